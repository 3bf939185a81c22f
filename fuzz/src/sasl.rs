//! Targets in which the bytes are messages of SASL, answers of a token endpoint, a login module, or keys and certificates.

use std::time::Duration;
use std::time::SystemTime;

use ottla::config::Properties;
use ottla::error::Kind;
use ottla::internals::sasl::Answer;
use ottla::internals::sasl::Form;
use ottla::internals::sasl::reason;
use ottla::internals::scram::Challenge;
use ottla::internals::scram::Client;
use ottla::internals::scram::ITERATIONS_MIN;
use ottla::tls::Pem;
use ottla::tls::Tls;
use ottla::tls::Verify;
use ottla::types::ScramMechanism;

/// The most iterations that are accepted here.
const ITERATIONS_MAX: u32 = 16_384;

/// A secret: nothing that is printed may contain it.
const SECRET: &str = "hunter2";

/// A server's first and last message, with a line between them. The server does not know the password, so it is never believed.
pub fn scram(data: &[u8]) {
    let cut = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, last) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let mut client = Client::new(ScramMechanism::Sha256, "alice", false, "nonce".to_owned(), ITERATIONS_MAX);
    assert!(client.verify(last).is_err(), "nothing was sent yet");
    match client.challenge(first) {
        Ok(Challenge { salt, iterations }) => {
            assert!(!salt.is_empty() && (ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations));
            assert!(first.starts_with(b"r=nonce"));
            let sent = client.last(vec![7; 32].into());
            assert!(sent.starts_with("c=biws,r=nonce") && sent.contains(",p="), "{sent}");
            assert!(client.verify(last).is_err(), "it was believed");
        }
        Err(error) => assert!(error.to_string().chars().count() < 600, "{error}"),
    }
}

/// The value of `sasl.jaas.config`. Errors show nothing of it.
pub fn jaas(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut properties = Properties::new();
    if let Err(error) = properties.set("sasl.jaas.config", text) {
        let error = error.to_string();
        assert!(error.len() < 400 && !error.contains(char::is_control), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
    assert!(!format!("{properties:?} {}", properties.explain()).contains(SECRET));
}

/// An answer of a token endpoint: its status in two bytes, then its body. It may send back what it was sent. The body is also a
/// broker's answer to a token that it refuses.
pub fn oauth(data: &[u8]) {
    let [high, low, body @ ..] = data else { return };
    let reason = reason(body);
    assert!(reason.chars().count() <= 400 && !reason.contains(char::is_control), "{reason:?}");
    let (form, now) = (Form::of_client("me", &SECRET.into(), false, None), Duration::from_secs(1_700_000_000));
    let location = Some(String::from_utf8_lossy(body).into_owned());
    let answer = Answer { status: u16::from_be_bytes([*high, *low]), location, body: body.to_vec().into() };
    match answer.token(&form, "E", now) {
        Ok(token) => {
            assert!(matches!(answer.status, 200 | 201));
            assert!(token.expires() > SystemTime::UNIX_EPOCH + now, "it has expired");
        }
        Err(error) => {
            assert!(matches!(error.kind(), Kind::Authentication | Kind::Connect), "{error:?}");
            let text = error.to_string();
            assert!(text.chars().count() < 900 && !text.contains(char::is_control), "{text:?}");
            assert!(!format!("{error:#} {error:?}").contains(SECRET), "{text}");
        }
    }
}

/// Certificates and keys, as CA, and as certificate and key of a client; as they are, and in Base64. Errors name the role and show nothing.
pub fn pem(data: &[u8]) {
    let encoded = [b"base64://", data].concat();
    for text in [data, &encoded] {
        let pem = || Pem::text(text);
        for builder in [Tls::builder().ca(pem()), Tls::builder().verify(Verify::DangerouslyNone).identity(pem(), pem())]
        {
            assert!(!format!("{builder:?}").contains(SECRET));
            let Err(error) = builder.build() else { continue };
            assert_eq!(error.kind(), Kind::Config, "{error:?}");
            let printed = format!("{error:#}");
            assert!(printed.len() < 1_200 && !printed.contains(SECRET), "{printed}");
        }
    }
}
