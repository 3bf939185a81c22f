//! Tokens from an endpoint: what it is sent, and endpoints that do what none should.

use std::fs;
use std::time::Duration;

use graviola::hashing::Sha256;
use graviola::signing::ecdsa;
use graviola::signing::rsa;
use ottla::Client;
use ottla::Error;
use ottla::error::Kind;
use ottla::mock::SaslAnswer;
use ottla::mock::SaslUsers;
use ottla::mock::Server;
use ottla::sasl::Assertion;
use ottla::sasl::AssertionAlgorithm;
use ottla::sasl::Sasl;
use ottla::sasl::SignedAssertion;
use ottla::sasl::TokenEndpoint;
use ottla::sasl::TokenEndpointBuilder;
use ottla::sasl::TokenFile;
use ottla::tls::Pem;
use ottla::tls::Tls;
use protocol_tests::pki::Authority;
use protocol_tests::pki::Identity;
use serde_json::Value;

use super::connect;
use super::endpoint::Act;
use super::endpoint::Endpoint;
use super::endpoint::decode;
use super::endpoint::der;
use super::endpoint::field;
use super::endpoint::grant;
use super::endpoint::now;
use super::endpoint::unsecured;
use super::serve;
use super::write_one;

const URL: &str = "https://idp.example/oauth2/token";
const RSA: &str = include_str!("test-rsa.key");

/// A cluster that takes one token.
fn cluster(token: &'static str) -> Server {
    serve(SaslUsers::new().mechanism("OAUTHBEARER", move |_, message| {
        let message = String::from_utf8_lossy(message).into_owned();
        if message.contains(&format!("auth=Bearer {token}\u{1}")) {
            SaslAnswer::Accept { user: "me".to_owned(), message: Vec::new() }
        } else {
            SaslAnswer::Refuse("another token".to_owned())
        }
    }))
}

struct World {
    authority: Authority,
    identity: Identity,
}

impl World {
    fn new() -> Self {
        let authority = Authority::new("idp-ca");
        let identity = authority.sign(&["idp.example"]);
        Self { authority, identity }
    }

    fn endpoint(&self, act: impl Fn(usize, &str) -> Act + Send + Sync + 'static) -> Endpoint {
        Endpoint::new(Some(&self.identity), act)
    }

    /// A client of this endpoint, with what is common to all.
    fn over(&self, endpoint: &Endpoint, builder: TokenEndpointBuilder) -> TokenEndpoint {
        let tls = Tls::builder().ca(self.authority.pem()).build().expect("a CA");
        builder.tls(tls).connector(endpoint.clone()).build().expect("complete")
    }

    fn client(&self, endpoint: &Endpoint) -> TokenEndpoint {
        self.over(endpoint, TokenEndpoint::client_credentials(URL, "me", "hunter2"))
    }
}

async fn refusal(source: TokenEndpoint) -> Error {
    let (begun, shown) = (tokio::time::Instant::now(), format!("{source:?}"));
    let error = connect(&cluster("t0k3n"), Sasl::oauth_bearer(source)).await.expect_err("no token");
    assert!(begun.elapsed() < Duration::from_secs(15), "{error:#}");
    let text = format!("{error:#} {error:?} {shown}");
    assert!(text.contains(URL), "{text}");
    assert!(!text.contains("hunter2") && !text.contains("bWU6aHVudGVyMg"), "{text}");
    error
}

#[tokio::test(start_paused = true)]
async fn client_credentials_lead_to_a_record_by_one_request() {
    let world = World::new();
    let endpoint = world.endpoint(|_, _| grant("t0k3n"));
    let builder = TokenEndpoint::client_credentials(URL, "me", "hunter2").scope("read write").extension("traceId", "7");
    let source = world.over(&endpoint, builder);
    let server = cluster("t0k3n\u{1}traceId=7");
    let client = connect(&server, Sasl::oauth_bearer(source)).await.expect("let in");
    write_one(&client).await.expect("acknowledged");
    let requests = endpoint.requests();
    assert_eq!((requests.len(), endpoint.dialled()), (1, vec!["idp.example:443".to_owned()]));
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /oauth2/token HTTP/1.1\r\n"), "{head}");
    for line in ["host: idp.example", "authorization: Basic bWU6aHVudGVyMg==", "accept: application/json"] {
        assert!(head.lines().any(|found| found == line), "{line}: {head}");
    }
    assert_eq!(body, "grant_type=client_credentials&scope=read+write");
}

/// The acts of an endpoint, with the kind and the words of the error.
type Case = (fn() -> Act, Kind, &'static str);

#[tokio::test(start_paused = true)]
async fn hostile_endpoints_are_named_by_one_error_in_time() {
    let refused =
        || Act::Answer(401, r#"{"error":"invalid_client","error_description":"hunter2 is wrong"}"#.to_owned());
    let expired = || Act::Answer(200, format!(r#"{{"access_token":"{}"}}"#, unsecured("me", now() - 1)));
    let cases: [Case; 12] = [
        (
            || Act::Bytes("HTTP/1.1 302 Found\r\nLocation: https://evil.example/token\r\nContent-Length: 0\r\n\r\n"),
            Kind::Authentication,
            "redirects to https://evil.example/token",
        ),
        (|| Act::Gigabyte, Kind::Authentication, "more than 64 KiB"),
        (|| Act::EndlessHead, Kind::Authentication, "does not speak HTTP/1.1"),
        (|| Act::Bytes("SSH-2.0-OpenSSH_9.2\r\n\r\n"), Kind::Authentication, "does not speak HTTP/1.1"),
        (|| Act::Answer(200, "<html>hunter2</html>".to_owned()), Kind::Authentication, "did not answer in JSON"),
        (|| Act::Answer(200, r#"{"token":"hunter2"}"#.to_owned()), Kind::Authentication, "gave no access_token"),
        (
            || Act::Answer(200, r#"{"access_token":"hunter2"}"#.to_owned()),
            Kind::Authentication,
            "when the token expires",
        ),
        (|| Act::Answer(404, "hunter2".to_owned()), Kind::Authentication, "status 404"),
        (|| Act::Silent, Kind::Connect, "did not answer within"),
        (|| Act::Drip, Kind::Connect, "did not answer within"),
        (|| Act::HangUp, Kind::Connect, "broke off its answer"),
        (|| Act::Answer(503, "hunter2".to_owned()), Kind::Connect, "answered with status 503"),
    ];
    let world = World::new();
    for (act, kind, words) in cases {
        let endpoint = world.endpoint(move |_, _| act());
        let error = refusal(world.client(&endpoint)).await;
        let text = format!("{error:#}");
        assert!(text.contains(words), "{words}: {text}");
        assert!(endpoint.dialled().iter().all(|host| host == "idp.example:443"), "{:?}", endpoint.dialled());
        if kind == Kind::Authentication {
            assert_eq!((error.kind(), endpoint.requests().len()), (kind, 1), "{text}");
        } else {
            assert!(![Kind::Authentication, Kind::Tls].contains(&error.kind()), "{text}");
        }
    }
    for (act, words) in [
        (Box::new(refused) as Box<dyn Fn() -> Act + Send + Sync>, "status 401: invalid_client: [redacted] is wrong"),
        (Box::new(expired), "a token that has expired"),
    ] {
        let endpoint = world.endpoint(move |_, _| act());
        let error = refusal(world.client(&endpoint)).await;
        assert_eq!((error.kind(), endpoint.requests().len()), (Kind::Authentication, 1), "{error:#}");
        assert!(format!("{error:#}").contains(words), "{error:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn fault_of_an_endpoint_that_passes_is_not_noticed() {
    let world = World::new();
    let endpoint = world.endpoint(|number, _| match number {
        0 => Act::Answer(500, String::new()),
        1 => Act::HangUp,
        2 => Act::Answer(429, String::new()),
        _ => grant("t0k3n"),
    });
    let begun = tokio::time::Instant::now();
    let sasl = Sasl::oauth_bearer(world.client(&endpoint));
    connect(&cluster("t0k3n"), sasl).await.expect("let in");
    assert_eq!(endpoint.requests().len(), 4);
    // 100, 200 and 400 ms.
    assert_eq!(begun.elapsed().as_millis(), 700);
}

#[tokio::test(start_paused = true)]
async fn endpoint_that_cannot_be_trusted_is_refused_at_once() {
    let world = World::new();
    let stranger = Authority::new("another-ca").sign(&["idp.example"]);
    let elsewhere = world.authority.sign(&["other.example"]);
    for (identity, words) in [(&stranger, "another-ca"), (&elsewhere, "other.example")] {
        let endpoint = Endpoint::new(Some(identity), |_, _| grant("t0k3n"));
        let error = refusal(world.client(&endpoint)).await;
        assert_eq!((error.kind(), endpoint.requests().len()), (Kind::Tls, 0), "{error:#}");
        let text = format!("{error:#}");
        assert!(text.contains("https.ca.location)") && text.contains(words), "{text}");
        assert_eq!(endpoint.dialled().len(), 1);
    }
    let plain = Endpoint::new(None, |_, _| grant("t0k3n"));
    let error = refusal(world.client(&plain)).await;
    assert!(format!("{error:#}").contains("did not respond by TLS"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn url_without_encryption_needs_a_word_of_the_program() {
    let url = "http://127.0.0.1:8080/token";
    let builder = || TokenEndpoint::client_credentials(url, "me", "hunter2");
    let error = builder().build().expect_err("nothing is encrypted");
    assert_eq!(error.kind(), Kind::Config);
    let text = error.to_string();
    assert!(text.contains(url) && text.contains("dangerously_allow_http") && !text.contains("hunter2"), "{text}");
    let endpoint = Endpoint::new(None, |_, _| grant("t0k3n"));
    let source = builder().dangerously_allow_http().connector(endpoint.clone()).build().expect("allowed");
    connect(&cluster("t0k3n"), Sasl::oauth_bearer(source)).await.expect("let in");
    assert_eq!(endpoint.dialled(), ["127.0.0.1:8080"]);
}

/// The assertion of a request: its header and its claims. Its signature is good.
pub(super) fn verified(assertion: &str, key: &str, algorithm: AssertionAlgorithm) -> (Value, Value) {
    let (message, signature) = assertion.rsplit_once('.').expect("three parts");
    let (key, signature) = (der(key), decode(signature));
    let outcome = if algorithm == AssertionAlgorithm::Rs256 {
        let key = rsa::SigningKey::from_pkcs8_der(&key).expect("an RSA key").public_key();
        key.verify_pkcs1_sha256(&signature, message.as_bytes())
    } else {
        let key = ecdsa::SigningKey::<ecdsa::P256>::from_pkcs8_der(&key).expect("an EC key");
        let mut buffer = [0; 256];
        let info = key.to_spki_der(&mut buffer).expect("short enough");
        // The point is what ends it.
        let point = ecdsa::VerifyingKey::<ecdsa::P256>::from_x962_uncompressed(&info[info.len() - 65..]);
        point.expect("a point").verify::<Sha256>(&[message.as_bytes()], &signature)
    };
    outcome.expect("a good signature");
    let part = |at: usize| {
        let part = message.split('.').nth(at).expect("two parts");
        serde_json::from_slice(&decode(part)).expect("JSON")
    };
    (part(0), part(1))
}

#[tokio::test(start_paused = true)]
async fn assertions_are_signed_as_the_endpoint_verifies_them() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let template = folder.path().join("template.json");
    let text = r#"{"header":{"kid":"k1","alg":"none"},"payload":{"iss":"template","groups":["a"],"exp":1}}"#;
    fs::write(&template, text).expect("written");
    for (key, algorithm, name) in
        [(RSA, AssertionAlgorithm::Rs256, "RS256"), (world.identity.key.as_str(), AssertionAlgorithm::Es256, "ES256")]
    {
        let endpoint = world.endpoint(|_, _| grant("t0k3n"));
        let assertion = SignedAssertion::new(key)
            .algorithm(algorithm)
            .issuer("me")
            .subject("me too")
            .audience(URL)
            .lifetime(Duration::from_secs(60))
            .not_before(Duration::from_secs(5))
            .template(&template)
            .unique();
        let source = world.over(&endpoint, TokenEndpoint::jwt_bearer(URL, assertion).scope("s"));
        connect(&cluster("t0k3n"), Sasl::oauth_bearer(source)).await.expect("let in");
        let request = &endpoint.requests()[0];
        assert_eq!(
            field(request, "grant_type").as_deref(),
            Some("urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer")
        );
        assert_eq!(field(request, "scope").as_deref(), Some("s"));
        assert!(!request.contains("authorization"), "{request}");
        let (header, claims) = verified(&field(request, "assertion").expect("one"), key, algorithm);
        assert_eq!((&header["alg"], &header["typ"], &header["kid"]), (&name.into(), &"JWT".into(), &"k1".into()));
        assert_eq!((&claims["iss"], &claims["sub"], &claims["aud"]), (&"me".into(), &"me too".into(), &URL.into()));
        assert_eq!(claims["groups"][0], "a");
        let issued = claims["iat"].as_u64().expect("seconds");
        assert!(issued.abs_diff(now()) < 60, "{claims}");
        assert_eq!((claims["exp"].as_u64(), claims["nbf"].as_u64()), (Some(issued + 60), Some(issued - 5)));
        assert_eq!(claims["jti"].as_str().map(str::len), Some(36));
    }
}

#[tokio::test(start_paused = true)]
async fn assertion_of_a_file_proves_the_client() {
    let world = World::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("assertion");
    let assertion = format!("{}c2ln", unsecured("me", now()));
    fs::write(&path, format!("\n{assertion}\n")).expect("written");
    let endpoint = world.endpoint(|_, _| grant("t0k3n"));
    let builder = TokenEndpoint::client_assertion(URL, Assertion::file(&path)).client_id("me");
    connect(&cluster("t0k3n"), Sasl::oauth_bearer(world.over(&endpoint, builder))).await.expect("let in");
    let request = &endpoint.requests()[0];
    assert_eq!(field(request, "client_assertion"), Some(assertion));
    assert_eq!(field(request, "client_id").as_deref(), Some("me"));
    fs::write(&path, "hunter2").expect("written");
    let error = TokenEndpoint::client_assertion(URL, Assertion::file(&path)).build().expect_err("no assertion");
    let text = format!("{error:#}");
    assert!(text.contains("is no JWT") && text.contains("assertion") && !text.contains("hunter2"), "{text}");
    let wrong = SignedAssertion::new(RSA).algorithm(AssertionAlgorithm::Es256);
    let error = TokenEndpoint::jwt_bearer(URL, wrong).build().expect_err("another kind of key");
    assert!(format!("{error:#}").contains("ES256: that takes an EC key on P-256"), "{error:#}");
    let missing = SignedAssertion::new(Pem::file(folder.path().join("none.key")));
    let error = TokenEndpoint::jwt_bearer(URL, missing).build().expect_err("no key");
    assert!(format!("{error:#}").contains("none.key"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn token_of_a_file_is_read_again_for_each_authentication() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("token");
    let server = serve(SaslUsers::new().unsecured_tokens());
    let sasl = || Sasl::oauth_bearer(TokenFile::new(&path));
    let error = connect(&server, sasl()).await.expect_err("no file");
    assert!(format!("{error:#}").contains("token (token) could not be read"), "{error:#}");
    for (text, words) in [("hunter2", "is no JWT"), (&*unsecured("me", now() - 1), "has expired")] {
        fs::write(&path, text).expect("written");
        let error = connect(&server, sasl()).await.expect_err("no living token");
        assert_eq!(error.kind(), Kind::Authentication);
        let text = format!("{error:#}");
        assert!(text.contains(words) && text.contains(&*path.to_string_lossy()) && !text.contains("hunter2"), "{text}");
    }
    fs::write(&path, format!("  {}\n", unsecured("me", now() + 3_600))).expect("written");
    let client: Client = connect(&server, sasl()).await.expect("let in");
    write_one(&client).await.expect("acknowledged");
}

#[tokio::test(start_paused = true)]
async fn silent_endpoint_is_named_whatever_its_limits_are() {
    let world = World::new();
    let endpoint = world.endpoint(|_, _| Act::Silent);
    let patient = Duration::from_secs(3_600);
    let builder = TokenEndpoint::client_credentials(URL, "me", "hunter2");
    let builder = builder.connect_timeout(Duration::MAX).read_timeout(patient).retry_backoff_max(Duration::MAX);
    let error = refusal(world.over(&endpoint, builder.retry_backoff(Duration::MAX))).await;
    assert!(format!("{error:#}").contains("did not answer"), "{error:#}");
}
