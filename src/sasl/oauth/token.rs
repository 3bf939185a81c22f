//! Tokens of OAUTHBEARER (RFC 7628): what is sent of them, what a server answers, and when they are replaced.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::SystemTime;

use crate::error::Error;
use crate::error::one_line;
use crate::sasl::base64;
use crate::secret::Secret;

/// A token and when it expires. Made by a [`TokenSource`](super::TokenSource).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use ottla::sasl::Token;
///
/// # let response_text = "eyJh.eyJz.c2ln";
/// let token = Token::new(response_text, SystemTime::now() + Duration::from_secs(3_600)).extension("traceId", "7");
/// assert!(!format!("{token:?}").contains(response_text));
/// ```
#[derive(Clone, Debug)]
pub struct Token {
    value: Secret,
    expires: SystemTime,
    extensions: BTreeMap<String, String>,
}

/// Separates what is sent.
const SEPARATOR: char = '\u{1}';

impl Token {
    /// A token as its issuer gave it, and when it expires by the clock of this machine.
    pub fn new(value: impl Into<Secret>, expires: SystemTime) -> Self {
        Self { value: value.into(), expires, extensions: BTreeMap::new() }
    }

    /// An unsecured token (JWS with `alg` none) of this subject, for tests: a broker accepts it only if it is set up for tests.
    ///
    /// Connecting fails if the subject has a quotation mark, a backslash or a control character.
    pub fn unsecured(subject: &str, issued: SystemTime, lifetime: Duration) -> Self {
        let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let expires = issued + lifetime.min(Duration::from_secs(10 * 365 * 86_400));
        let claims = format!(r#"{{"sub":"{subject}","iat":{},"exp":{}}}"#, seconds(issued), seconds(expires));
        let plain = |c: char| c != '"' && c != '\\' && !c.is_control();
        let value = format!("{}.{}.", base64::encode_url(br#"{"alg":"none"}"#), base64::encode_url(claims.as_bytes()));
        // An empty token is refused when it is used.
        Self::new(if subject.chars().all(plain) && !subject.is_empty() { value } else { String::new() }, expires)
    }

    /// Adds an extension (KIP-342): a name of ASCII letters other than `auth`, and a printable text. Connecting fails otherwise.
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.insert(name.into(), value.into());
        self
    }

    /// When it expires.
    pub fn expires(&self) -> SystemTime {
        self.expires
    }

    /// Adds several extensions.
    #[cfg(feature = "sasl-oauth")]
    pub(super) fn extended(self, extensions: &[(String, String)]) -> Self {
        extensions.iter().fold(self, |token, (name, value)| token.extension(name, value))
    }

    #[cfg(feature = "sasl-oauth")]
    pub(super) fn value(&self) -> &Secret {
        &self.value
    }

    /// Whether it can be sent (`OAuthBearerClientInitialResponse`).
    pub(super) fn check(&self) -> Result<(), Error> {
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_~+/.".contains(byte);
        let value = self.value.expose();
        let end = value.iter().position(|byte| !legal(byte)).unwrap_or(value.len());
        if end == 0 || !value[end..].iter().all(|byte| *byte == b'=') {
            return Err(Error::authentication("the token is empty, or has a character that no token has (RFC 6750)"));
        }
        for (name, value) in &self.extensions {
            if name.is_empty() || name == "auth" || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
                return Err(Error::authentication(format!(
                    "{name:?} cannot name an extension of a token: use ASCII letters, and not auth"
                )));
            }
            let legal = |byte: u8| matches!(byte, 0x21..=0x7e | b' ' | b'\t' | b'\r' | b'\n');
            if value.is_empty() || !value.bytes().all(legal) {
                return Err(Error::authentication(format!("the extension {name} of the token is empty or not ASCII")));
            }
        }
        Ok(())
    }

    /// The client's first message.
    pub(super) fn message(&self) -> Secret {
        let mut message = Vec::with_capacity(32 + self.value.expose().len());
        message.extend_from_slice(b"n,,\x01auth=Bearer ");
        message.extend_from_slice(self.value.expose());
        for (name, value) in &self.extensions {
            message.extend_from_slice(format!("{SEPARATOR}{name}={value}").as_bytes());
        }
        message.extend_from_slice(b"\x01\x01");
        message.into()
    }
}

/// The longest part of a server's answer that is kept.
const REASON_MAX: usize = 400;

/// The reason in a server's answer to a token that it refuses: its JSON in one line, cut to a bounded length.
pub fn reason(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(&answer[..answer.len().min(4 * REASON_MAX)]);
    one_line(&text, REASON_MAX)
}

/// When a token is replaced (`sasl.login.refresh.*`), with the defaults of Java's client.
///
/// ```
/// use std::time::Duration;
/// use ottla::sasl::Refresh;
///
/// let refresh = Refresh { window_factor: 0.9, ..Refresh::default() };
/// assert_eq!(refresh.min_period, Duration::from_secs(60));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refresh {
    /// The share of its life after which a token is replaced: 0.8 by default, from 0.5 to 1.
    pub window_factor: f64,
    /// Up to this share more, at random: 0.05 by default, up to 0.25.
    pub window_jitter: f64,
    /// How long a token is kept at least: 60 s by default, up to 15 minutes.
    pub min_period: Duration,
    /// How long before its end a token is replaced at the latest: 300 s by default, up to an hour. Where the life of a token has no time for
    /// this and [`min_period`](Self::min_period), neither counts.
    pub buffer: Duration,
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            window_factor: 0.8,
            window_jitter: 0.05,
            min_period: Duration::from_secs(60),
            buffer: Duration::from_secs(300),
        }
    }
}

impl Refresh {
    /// How long after its arrival a token is replaced that lives so long from then on. `random` is from 0 to 1.
    pub(super) fn after(&self, life: Duration, random: f64) -> Duration {
        let factor = self.window_factor.clamp(0.5, 1.0) + self.window_jitter.clamp(0.0, 0.25) * random;
        let proposed = life.mul_f64(factor.min(1.0));
        match life.checked_sub(self.min_period.saturating_add(self.buffer)) {
            Some(_) => proposed.max(self.min_period).min(life.saturating_sub(self.buffer)),
            None => proposed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(value: &str) -> Token {
        Token::new(value, SystemTime::UNIX_EPOCH)
    }

    /// RFC 7628, section 4.1, without the authorization id and the host.
    #[test]
    fn message_is_that_of_the_standard() {
        let token = token("vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==").extension("port", "143");
        assert!(token.check().is_ok());
        assert_eq!(
            token.message().expose(),
            b"n,,\x01auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01port=143\x01\x01"
        );
    }

    #[test]
    fn tokens_that_cannot_be_sent_are_refused_without_showing_them() {
        let bad = [
            token(""),
            token("hunter2 "),
            token("hunter2\u{1}"),
            token("=hunter2"),
            token("hunter2=x"),
            token("hunter2").extension("auth", "x"),
            token("hunter2").extension("a-b", "x"),
            token("hunter2").extension("", "x"),
            token("hunter2").extension("a", ""),
            token("hunter2").extension("a", "b\u{1}auth=Bearer x"),
            Token::unsecured("a\"b", SystemTime::UNIX_EPOCH, Duration::ZERO),
        ];
        for token in bad {
            let error = token.check().expect_err("refused").to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn unsecured_token_has_subject_and_times() {
        let token = Token::unsecured("alice", SystemTime::UNIX_EPOCH + Duration::from_secs(5), Duration::from_secs(10));
        let text = token.value.expose_text().expect("text");
        let parts: Vec<&str> = text.split('.').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(base64::decode_url(parts[0]).as_deref(), Some(&br#"{"alg":"none"}"#[..]));
        assert_eq!(base64::decode_url(parts[1]).as_deref(), Some(&br#"{"sub":"alice","iat":5,"exp":15}"#[..]));
    }

    #[test]
    fn token_is_replaced_when_java_replaces_it() {
        let seconds = Duration::from_secs;
        let refresh = Refresh::default();
        for (life, random, after) in [
            (3_600, 0.0, 2_880),
            (3_600, 1.0, 3_060),
            // 80 % would be within the last 300 s.
            (1_000, 0.0, 700),
            // There is no time for both limits.
            (100, 0.0, 80),
            (0, 0.5, 0),
        ] {
            assert_eq!(refresh.after(seconds(life), random), seconds(after), "{life}");
        }
        let eager = Refresh { window_factor: 0.5, min_period: seconds(600), buffer: seconds(1), ..refresh };
        assert_eq!(eager.after(seconds(700), 0.0), seconds(600));
        let wild = Refresh {
            window_factor: f64::NAN,
            window_jitter: f64::INFINITY,
            min_period: Duration::MAX,
            buffer: Duration::MAX,
        };
        assert!(wild.window_factor.is_nan());
        let bounded = Refresh { window_factor: 7.0, ..wild };
        assert_eq!(bounded.after(seconds(100), 1.0), seconds(100));
    }
}
