//! Canaries (reliability, 5.4): a secret in no form appears in an event, an error or a value's `Debug`, whatever goes wrong.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;
use std::time::SystemTime;

use ottla::Client;
use ottla::Secret;
use ottla::admin::ScramChange;
use ottla::config::Config;
use ottla::config::Properties;
use ottla::mock::SaslAnswer;
use ottla::mock::SaslUsers;
use ottla::sasl::AwsCredentials;
use ottla::sasl::MskIam;
use ottla::sasl::OAuthBearer;
use ottla::sasl::Plain;
use ottla::sasl::Sasl;
use ottla::sasl::Scram;
use ottla::sasl::SignedAssertion;
use ottla::sasl::Token;
use ottla::sasl::TokenEndpoint;
use ottla::sasl::from_fn;
use ottla::tls::Tls;
use ottla::types::ScramMechanism;
use protocol_tests::pki::Authority;
use tracing::Event;
use tracing::Metadata;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing::span::Attributes;
use tracing::span::Id;
use tracing::span::Record as Values;

use super::builder;
use super::endpoint::Act;
use super::endpoint::Endpoint;
use super::endpoint::field;
use super::endpoint::grant;
use super::serve;
use super::users;
use super::write_one;

const CANARY: &str = "c4n4ry-Secret-77";

/// Everything that is printed. As a subscriber it takes every event, at `TRACE` too.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<String>>);

impl Seen {
    fn note(&self, printed: impl std::fmt::Display) {
        let mut text = self.0.lock().expect("nobody panicked");
        writeln!(text, "{printed}").expect("a string");
    }
}

impl Visit for Seen {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.note(format_args!("{field}={value:?}"));
    }
}

impl Subscriber for Seen {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut self.clone());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Values<'_>) {
        values.record(&mut self.clone());
    }

    fn event(&self, event: &Event<'_>) {
        self.note(event.metadata().target());
        event.record(&mut self.clone());
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A secret as text, as Base64 at each of its three alignments, in hexadecimal, and as a list of bytes.
fn forms(secret: &str) -> Vec<String> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let bytes: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![secret.to_owned(), hex.to_uppercase(), hex, bytes.join(", "), format!("{secret:?}")];
    for skipped in 0..3 {
        let groups = secret.as_bytes()[skipped..].chunks_exact(3);
        let letters = groups.flat_map(|group| {
            let bits = u32::from(group[0]) << 16 | u32::from(group[1]) << 8 | u32::from(group[2]);
            (0..4).map(move |at| char::from(alphabet[(bits >> (18 - 6 * at) & 0x3f) as usize]))
        });
        forms.push(letters.collect());
    }
    forms
}

fn assert_hidden(seen: &Seen) {
    let text = seen.0.lock().expect("nobody panicked");
    assert!(text.contains("ottla::connection"), "the events were seen");
    for form in forms(CANARY) {
        assert!(!text.contains(&form), "{form} is shown");
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_in_no_event_and_no_error_of_any_authentication() {
    let seen = Seen::default();
    let listening = tracing::subscriber::set_default(seen.clone());
    let token = || from_fn(|| async { Ok(Token::new(CANARY, SystemTime::now() + Duration::from_secs(60))) });
    let keys = || MskIam::new(AwsCredentials::new("id", CANARY).session_token(CANARY)).region("eu-west-1");
    let all = || {
        [
            Sasl::plain("alice", CANARY),
            Sasl::scram_sha_256("alice", CANARY),
            Sasl::scram_sha_512("alice", CANARY),
            Sasl::delegation_token("alice", CANARY),
            Sasl::oauth_bearer(token()),
            Sasl::mechanism(keys()),
            Sasl::oauth_bearer(keys().tokens()),
        ]
    };
    let known = SaslUsers::new().plain("alice", CANARY).scram("alice", CANARY).session_lifetime(Duration::from_secs(5));
    let noise = |_: usize, message: &[u8]| SaslAnswer::Challenge(message.to_vec());
    let echo = SaslUsers::new().mechanism("PLAIN", noise).mechanism("SCRAM-SHA-256", noise);
    let echo =
        echo.mechanism("AWS_MSK_IAM", noise).mechanism("SCRAM-SHA-512", noise).mechanism("OAUTHBEARER", |round, _| {
            match round {
                0 => SaslAnswer::Challenge(b"{\"status\":\"invalid_token\"}".to_vec()),
                _ => SaslAnswer::Refuse("no".into()),
            }
        });
    for users in [known, users().unsecured_tokens(), echo, SaslUsers::new().unsecured_tokens()] {
        let server = serve(users);
        for sasl in all() {
            seen.note(format_args!("{sasl} {sasl:?}"));
            let builder = builder(&server, sasl);
            seen.note(format_args!("{builder:?}"));
            match builder.connect().await {
                Ok(client) => {
                    for _ in 0..3 {
                        tokio::time::sleep(Duration::from_secs(6)).await;
                        write_one(&client).await.expect("acknowledged");
                    }
                    seen.note(format_args!("{client:?} {:?}", client.metrics()));
                }
                Err(error) => seen.note(format_args!("{error} {error:#} {error:?}")),
            }
        }
        let failing = from_fn(|| async { Err("the token endpoint is down".into()) });
        let error = builder(&server, Sasl::oauth_bearer(failing)).connect().await.expect_err("no token");
        seen.note(format_args!("{error:#} {error:?}"));
    }
    drop(listening);
    assert_hidden(&seen);
}

#[tokio::test(start_paused = true)]
async fn secrets_are_in_no_event_and_no_error_of_a_token_endpoint() {
    let seen = Seen::default();
    let listening = tracing::subscriber::set_default(seen.clone());
    let authority = Authority::new("idp-ca");
    let identity = authority.sign(&["idp.example"]);
    // It sends back all that it is sent.
    let acts: [fn(&str) -> Act; 6] = [
        |request| Act::Answer(400, serde_json::json!({"error": request, "error_description": request}).to_string()),
        |request| Act::Answer(500, request.to_owned()),
        |request| Act::Answer(200, request.to_owned()),
        |_| Act::Answer(200, format!(r#"{{"access_token":"{CANARY}","expires_in":0}}"#)),
        |_| Act::Answer(200, format!(r#"{{"access_token":"{CANARY} x","expires_in":60}}"#)),
        |_| grant(CANARY),
    ];
    for act in acts {
        let endpoint = Endpoint::new(Some(&identity), move |_, request| act(request));
        let builders = || {
            let url = format!("https://idp.example/token?key={CANARY}");
            let key = SignedAssertion::new(include_str!("test-rsa.key")).issuer("me");
            [TokenEndpoint::client_credentials(&url, "me", CANARY), TokenEndpoint::jwt_bearer(&url, key)]
        };
        for builder in builders() {
            seen.note(format_args!("{builder:?}"));
            let tls = Tls::builder().ca(authority.pem()).build().expect("a CA");
            let source = builder.tls(tls).connector(endpoint.clone()).build().expect("complete");
            seen.note(format_args!("{source:?}"));
            let server = serve(SaslUsers::new().unsecured_tokens());
            let error = super::connect(&server, Sasl::oauth_bearer(source)).await.expect_err("no such token");
            seen.note(format_args!("{error:#} {error:?}"));
        }
        let assertions =
            endpoint.requests().iter().filter_map(|request| field(request, "assertion")).collect::<Vec<_>>();
        assert!(!assertions.is_empty());
        let text = seen.0.lock().expect("nobody panicked").clone();
        assert!(assertions.iter().all(|assertion| !text.contains(assertion)), "an assertion is shown");
    }
    drop(listening);
    assert_hidden(&seen);
}

#[test]
fn secrets_are_in_no_debug_of_a_public_type_and_no_error_of_a_setting() {
    let seen = Seen::default();
    seen.note("ottla::connection");
    seen.note(format_args!("{:?} {0}", Secret::from(CANARY)));
    seen.note(format_args!("{:?}", Plain::new("alice", CANARY)));
    seen.note(format_args!("{:?}", Scram::new(ScramMechanism::Sha256, "alice", CANARY)));
    let token = Token::new(CANARY, SystemTime::UNIX_EPOCH);
    seen.note(format_args!("{token:?} {:?}", OAuthBearer::new(from_fn(|| async { Err("no".into()) }))));
    seen.note(format_args!("{:?}", SaslUsers::new().plain("alice", CANARY).scram("alice", CANARY)));
    seen.note(format_args!("{:?}", ScramChange::password("alice", ScramMechanism::Sha256, CANARY)));
    let mut properties = Properties::new();
    for name in [
        "sasl.password",
        "sasl.jaas.config",
        "ssl.key.password",
        "sasl.mechanism",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.token.endpoint.url",
        "sasl.oauthbearer.jwt.retriever.class",
    ] {
        if let Err(error) = properties.set(name, CANARY) {
            seen.note(format_args!("{error:#} {error:?}"));
        }
    }
    // Nothing of an URL is secret but what somebody wrote there by mistake.
    properties.set("sasl.oauthbearer.token.endpoint.url", "https://idp.example").expect("a text");
    seen.note(format_args!("{properties:?} {}", properties.explain()));
    for dsn in [
        format!("kafka://alice:{CANARY}@localhost:1/t"),
        format!("kafka://alice:{CANARY}@localhost:1/t?sasl.mechanism=PLAIN"),
        format!("kafka+ssl://alice:{CANARY}@localhost:x/t?sasl.mechanism=PLAIN"),
        format!("kafka://alice:{CANARY}/@localhost"),
        format!("kafka://localhost?sasl.jaas.config=PlainLoginModule%20required%20password={CANARY}"),
    ] {
        match Config::from_dsn(&dsn) {
            Ok(config) => {
                seen.note(format_args!("{config:?} {}", config.properties().explain()));
                let builder = Client::builder(["localhost:1"]).expect("an address").properties(config.properties());
                seen.note(format_args!("{builder:?}"));
            }
            Err(error) => seen.note(format_args!("{error:#} {error:?}")),
        }
    }
    assert_hidden(&seen);
}
