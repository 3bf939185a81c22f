//! SASL at the secured nodes of the rig, Kafka 4.3.1.

use std::process::Command;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use ottla::Client;
use ottla::Record;
use ottla::admin::ScramChange;
use ottla::client::ClientBuilder;
use ottla::config::Config;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Kind;
use ottla::mock::key;
use ottla::sasl::AssertionAlgorithm;
use ottla::sasl::Sasl;
use ottla::sasl::Token;
use ottla::sasl::from_fn;
use ottla::types::ScramMechanism;
use protocol_tests::pki::Authority;
use protocol_tests::proxy::Direction;
use protocol_tests::proxy::Frame;
use protocol_tests::proxy::Proxy;
use protocol_tests::proxy::Through;
use protocol_tests::rig;
use protocol_tests::rig::secure;

use super::endpoint::Act;
use super::endpoint::Endpoint;
use super::endpoint::field;
use super::endpoint::grant;
use super::endpoint::issued;
use super::oauth::verified;
use super::sum;
use super::text_of;

/// A client of a listener of the single node.
fn builder(listener: u16, sasl: Sasl) -> ClientBuilder {
    secure::builder(listener).sasl(sasl.allow_plaintext_credentials())
}

/// The same over TLS.
fn encrypted(listener: u16, sasl: Sasl) -> ClientBuilder {
    builder(listener, sasl).tls(secure::tls())
}

/// Writes one record and reads it.
async fn round_trip(client: &Client, topic: &str, value: &str) {
    let producer = client.producer().build().expect("a producer");
    producer.send(Record::to(topic).value(value)).await.expect("acknowledged");
    let consumer = client.consumer().assign([topic]).start(Start::Earliest).until_end().build();
    let mut consumer = consumer.expect("a consumer");
    let mut read = Vec::new();
    while let Some(records) = consumer.poll().await.expect("readable") {
        read.extend(records.iter().map(|record| text_of(record.value)));
    }
    assert_eq!(read.last().map(String::as_str), Some(value));
}

#[tokio::test]
async fn mechanisms_lead_to_records_at_a_real_broker() {
    if !secure::is_node_up() {
        return;
    }
    let admin = secure::admin().await;
    let topic = secure::topic(&admin, "sasl", 1).await;
    let all = [
        (secure::CLEAR, Sasl::plain("alice", "alice-secret")),
        (secure::CLEAR, Sasl::scram_sha_256("alice", "alice-secret")),
        (secure::CLEAR, Sasl::scram_sha_512("alice", "alice-secret")),
        (secure::SCRAM, Sasl::plain("alice", "alice-secret")),
        (secure::SCRAM, Sasl::scram_sha_256("admin", "admin-secret")),
        (secure::OAUTH_UNSECURED, Sasl::unsecured_tokens("alice")),
    ];
    for (listener, sasl) in all {
        let name = format!("{sasl} at {listener}");
        let builder = builder(listener, sasl);
        let builder = if listener == secure::CLEAR { builder } else { builder.tls(secure::tls()) };
        round_trip(&builder.connect().await.expect(&name), &topic, &name).await;
    }
}

/// The properties of a client that logs in at the listener for signed tokens, by this endpoint.
fn signed_by(authority: &Authority, port: u16, rest: &[(&str, &str)]) -> Config {
    let (servers, url) =
        (format!("localhost:{}", secure::NODE + secure::OAUTH_SIGNED), format!("https://localhost:{port}/token"));
    let ca = rig::pki("ca.pem");
    let common = [
        ("bootstrap.servers", servers.as_str()),
        ("security.protocol", "SASL_SSL"),
        ("ssl.truststore.type", "PEM"),
        ("ssl.truststore.location", ca.to_str().expect("text")),
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.jaas.config", "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;"),
        ("sasl.oauthbearer.token.endpoint.url", url.as_str()),
        ("https.ca.pem", authority.pem()),
    ];
    Config::from_properties(common.iter().chain(rest).copied()).expect("each is valid")
}

/// A token endpoint on a port, whose tokens the broker verifies: by client credentials, and by an assertion that the endpoint verifies.
#[tokio::test]
async fn tokens_of_an_endpoint_are_accepted_by_a_real_broker() {
    if !secure::is_node_up() {
        return;
    }
    let jwt_key = std::fs::read_to_string(rig::pki("jwt.key")).expect("a key");
    let authority = Authority::new("idp-ca");
    let client_key = include_str!("test-rsa.key");
    let endpoint = Endpoint::new(Some(&authority.sign(&["localhost"])), move |_, request| {
        let is_known = match field(request, "assertion") {
            // It panics unless the signature is good.
            Some(assertion) => verified(&assertion, client_key, AssertionAlgorithm::Rs256).1["iss"] == "me",
            None => request.contains("authorization: Basic bWU6aHVudGVyMg==\r\n"),
        };
        if is_known { grant(&issued(&jwt_key, "alice")) } else { Act::Answer(401, String::new()) }
    });
    let port = endpoint.on_a_port().await;
    let topic = secure::topic(&secure::admin().await, "signed", 1).await;
    let folder = tempfile::tempdir().expect("a folder");
    let key_file = folder.path().join("client.key");
    std::fs::write(&key_file, client_key).expect("written");
    let package = "org.apache.kafka.common.security.oauthbearer";
    let (retriever, key_file) = (format!("{package}.JwtBearerJwtRetriever"), key_file.to_str().expect("text"));
    for (name, rest) in [
        ("secret", &[("sasl.oauthbearer.client.id", "me"), ("sasl.oauthbearer.client.secret", "hunter2")][..]),
        (
            "assertion",
            &[
                ("sasl.oauthbearer.jwt.retriever.class", retriever.as_str()),
                ("sasl.oauthbearer.assertion.private.key.file", key_file),
                ("sasl.oauthbearer.assertion.claim.iss", "me"),
            ],
        ),
    ] {
        let config = signed_by(&authority, port, rest);
        let client = secure::builder(secure::OAUTH_SIGNED).properties(config.properties());
        round_trip(&client.connect().await.expect(name), &topic, name).await;
    }
    assert_eq!(endpoint.requests().len(), 2);
    let wrong = [("sasl.oauthbearer.client.id", "me"), ("sasl.oauthbearer.client.secret", "hunter3")];
    let config = signed_by(&authority, port, &wrong);
    let client = secure::builder(secure::OAUTH_SIGNED).properties(config.properties());
    let error = client.connect().await.expect_err("a wrong secret");
    assert_eq!(error.kind(), Kind::Authentication, "{error:#}");
    assert!(error.to_string().contains("status 401") && !format!("{error:#}").contains("hunter3"), "{error:#}");
}

#[tokio::test]
async fn wrong_password_is_refused_by_a_real_broker_in_time() {
    if !secure::is_node_up() {
        return;
    }
    for (sasl, messages, words) in [
        (Sasl::plain("alice", "hunter2"), 1, "Authentication failed: Invalid username or password"),
        (Sasl::scram_sha_256("alice", "hunter2"), 2, "invalid credentials with SASL mechanism SCRAM-SHA-256"),
        (Sasl::scram_sha_512("nobody", "hunter2"), 1, "invalid credentials with SASL mechanism SCRAM-SHA-512"),
    ] {
        let broker = rig::address(secure::NODE + secure::CLEAR).parse().expect("an address");
        let proxy = Proxy::start(broker).await.expect("a port");
        let builder = builder(secure::CLEAR, sasl).connector(Through::proxies([&proxy]));
        let error = builder.connect().await.expect_err("refused");
        assert_eq!((error.kind(), error.code()), (Kind::Authentication, Some(Code::SaslAuthenticationFailed)));
        assert!(format!("{error:#}").contains(words), "{error:#}");
        let frames = proxy.frames();
        let count = |api: i16| {
            let is_request = |frame: &&Frame| frame.direction == Direction::Request && frame.api_key == api;
            frames.iter().filter(is_request).count()
        };
        let connections = frames.iter().map(|frame| frame.connection).max();
        let seen = (connections, count(key::SASL_HANDSHAKE), count(key::SASL_AUTHENTICATE));
        assert_eq!(seen, (Some(1), 1, messages), "it is not tried again: {error:#}");
    }
}

/// A client, and how it is refused: the kind and some words of the error.
type Row = (&'static str, fn() -> ClientBuilder, Kind, &'static str);

#[tokio::test]
async fn client_and_listener_that_differ_in_security_are_named() {
    if !secure::is_node_up() {
        return;
    }
    let (refused, broken) = (Kind::Authentication, Kind::Connect);
    let rows: [Row; 6] = [
        ("another mechanism", || builder(secure::CLEAR, Sasl::unsecured_tokens("alice")), refused, "SCRAM-SHA-512"),
        ("SASL, where there is none", || builder(secure::PLAIN, secure::alice()), refused, "does not use SASL"),
        ("SASL, where there is only TLS", || encrypted(secure::TLS, secure::alice()), refused, "does not use SASL"),
        (
            "no TLS, where there is TLS",
            || builder(secure::SCRAM, secure::alice()),
            Kind::Protocol,
            "it responds in TLS",
        ),
        ("TLS, where there is none", || encrypted(secure::CLEAR, secure::alice()), broken, "its listener has no TLS"),
        (
            "no SASL, where there is SASL",
            || secure::builder(secure::SCRAM).tls(secure::tls()),
            broken,
            "it may require SASL",
        ),
    ];
    for (row, builder, kind, words) in rows {
        // A busy machine does not respond within the first limit, which is as long as the last two rows take.
        for (seconds, is_last) in [(1, false), (20, true)] {
            let limit = Duration::from_secs(seconds);
            let error = builder().setup_timeout(limit, limit).connect().await.expect_err(row);
            if error.kind() == kind && format!("{error:#}").contains(words) {
                break;
            }
            assert!(!is_last, "{row}: {kind:?}, {error:#}");
        }
    }
}

/// A token of this header and these claims, which openssl signs by RS256.
fn signed(header: &str, claims: &str, key: &str) -> String {
    let text = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("text");
    std::fs::write(&file, &text).expect("written");
    let mut openssl = Command::new("openssl");
    let signature = rig::output(openssl.args(["dgst", "-sha256", "-sign"]).arg(rig::pki(key)).arg(&file));
    format!("{text}.{}", base64url(&signature))
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().zip([16, 8, 0]).fold(0, |bits, (byte, shift)| bits | usize::from(*byte) << shift);
        text.extend([18, 12, 6, 0][..=three.len()].iter().map(|shift| char::from(LETTERS[bits >> shift & 63])));
    }
    text
}

/// The broker knows the public key of `jwt.key` by the name `ottla`, and wants its audience and its issuer.
#[tokio::test]
async fn signed_token_is_believed_only_if_each_part_of_it_is_right() {
    if !secure::is_node_up() {
        return;
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
    let claims = |audience: &str, issuer: &str, expires: u64| {
        format!(r#"{{"sub":"alice","aud":"{audience}","iss":"{issuer}","iat":{},"exp":{expires}}}"#, now - 600)
    };
    let (issuer, soon) = ("https://issuer.example", now + 300);
    let right = claims("kafka", issuer, soon);
    let (expired, other) = (claims("kafka", issuer, now - 300), claims("other", issuer, soon));
    let elsewhere = claims("kafka", "https://elsewhere.example", soon);
    let header = |kid: &str| format!(r#"{{"alg":"RS256","kid":"{kid}","typ":"JWT"}}"#);
    let ottla = header("ottla");
    let unsigned = format!("{}.{}.", base64url(br#"{"alg":"none"}"#), base64url(right.as_bytes()));
    let rows = [
        ("right", signed(&ottla, &right, "jwt.key"), true),
        ("signed by another key", signed(&ottla, &right, "other.key"), false),
        ("a key that nobody knows", signed(&header("nobody"), &right, "jwt.key"), false),
        ("expired", signed(&ottla, &expired, "jwt.key"), false),
        ("another audience", signed(&ottla, &other, "jwt.key"), false),
        ("another issuer", signed(&ottla, &elsewhere, "jwt.key"), false),
        ("not signed", unsigned, false),
    ];
    for (row, token, is_believed) in rows {
        let expires = SystemTime::now() + Duration::from_secs(300);
        let given = token.clone();
        let source = from_fn(move || std::future::ready(Ok(Token::new(given.clone(), expires))));
        match builder(secure::OAUTH_SIGNED, Sasl::oauth_bearer(source)).tls(secure::tls()).connect().await {
            Ok(client) => {
                assert!(is_believed, "{row}");
                client.admin().list_topics().await.expect("alice may do everything");
            }
            Err(error) => {
                assert!(!is_believed, "{row}: {error:#}");
                assert_eq!(error.kind(), Kind::Authentication, "{row}: {error:#}");
                assert!(!format!("{error:#} {error:?}").contains(&token), "{row}");
            }
        }
    }
}

/// The admin of this crate adds a user, who logs in at once; then deletes it. SASLprep would change the password, and brokers do not.
#[tokio::test]
async fn user_that_the_admin_adds_can_log_in() {
    if !secure::is_node_up() {
        return;
    }
    let client = secure::admin().await;
    let user = rig::fresh("user");
    let password = "\u{fb01}n\u{a0}Ⅸ\u{ad}, with = and ,";
    let change = ScramChange::password(user.as_str(), ScramMechanism::Sha512, password);
    for (_, outcome) in client.admin().alter_scram_users([change]).await {
        outcome.expect("added");
    }
    let connect = || builder(secure::CLEAR, Sasl::scram_sha_512(user.as_str(), password)).connect();
    // The broker that authenticates learns of the user from the controller.
    let deadline = Instant::now() + Duration::from_secs(10);
    while let Err(error) = connect().await {
        assert_eq!(error.kind(), Kind::Authentication, "{error:#}");
        assert!(Instant::now() < deadline, "{error:#}");
        tokio::task::yield_now().await;
    }
    for (_, outcome) in
        client.admin().alter_scram_users([ScramChange::delete(user.as_str(), ScramMechanism::Sha512)]).await
    {
        outcome.expect("deleted");
    }
}

/// Sessions end every 2 s. `OTTLA_REAUTH_SECONDS=60` makes it as long as the measure wants.
#[tokio::test]
async fn sessions_of_two_seconds_are_renewed_under_load() {
    if secure::is_node_up() {
        renew_under_load(builder(secure::REAUTH_2, secure::alice()), 1).await;
    }
}

/// The same over TLS, at three nodes that replicate.
#[tokio::test]
async fn sessions_with_three_nodes_are_renewed_under_load() {
    if secure::is_trio_up() {
        let builder = Client::builder(secure::trio(secure::REAUTH_2_TLS)).expect("addresses");
        renew_under_load(builder.tls(secure::tls()).sasl(secure::alice()), 6).await;
    }
}

async fn renew_under_load(builder: ClientBuilder, partitions: i32) {
    let seconds = std::env::var("OTTLA_REAUTH_SECONDS").map_or(6, |text| text.parse().expect("seconds"));
    let client = builder.connect().await.unwrap_or_else(|error| panic!("{error:#}"));
    let topic = secure::topic(&client, "reauth", partitions).await;
    let consumer = client.consumer().assign([topic.as_str()]).start(Start::Earliest).build();
    let mut consumer = consumer.expect("a consumer");
    let ended = Instant::now() + Duration::from_secs(seconds);
    let mut writing = Box::pin(tokio::spawn(write_until(ended, client.clone(), topic.clone(), partitions)));
    let mut next = vec![0_u64; usize::try_from(partitions).expect("some")];
    let mut sent = None;
    while sent.is_none_or(|sent| next.iter().sum::<u64>() < sent) {
        tokio::select! {
            done = &mut writing, if sent.is_none() => sent = Some(done.expect("no panic")),
            records = consumer.poll() => {
                for record in &records.expect("readable").expect("no end") {
                    let next = &mut next[usize::try_from(record.partition).expect("one of them")];
                    assert_eq!(text_of(record.value), next.to_string(), "lost, repeated or out of order");
                    *next += 1;
                }
            }
        }
    }
    assert_eq!(sum(&client, |counters| counters.disconnects), 0, "{:?}", client.metrics().connections);
    let renewed = sum(&client, |counters| counters.reauthentications);
    // At least two busy connections, each of which renews its session after 1.9 s at the latest.
    assert!(renewed >= (seconds / 2 - 1) * 2, "{renewed} of {seconds} s");
    let connections = client.metrics().connections.len();
    println!("{} records, {renewed} authentications of {connections} connections in {seconds} s", sent.unwrap_or(0));
}

/// Writes numbers, which count up in each partition, and returns how many.
async fn write_until(ended: Instant, client: Client, topic: String, partitions: i32) -> u64 {
    let producer = client.producer().build().expect("a producer");
    let (mut sent, mut turn) = (0, 0_u64);
    while Instant::now() < ended {
        let mut deliveries = Vec::new();
        for number in turn * 10..(turn + 1) * 10 {
            let number = number.to_string();
            for partition in 0..partitions {
                let record = Record::to(topic.as_str()).partition(partition).value(&number);
                deliveries.push(producer.enqueue(record).await.expect("accepted"));
                sent += 1;
            }
        }
        turn += 1;
        for delivery in deliveries {
            delivery.await.expect("acknowledged");
        }
    }
    sent
}
