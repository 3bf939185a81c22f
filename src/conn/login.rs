//! Decides what the responses of an authentication mean (KIP-43, KIP-152), and when a session is to be renewed (KIP-368).
//!
//! `net::authenticate` carries the requests and asks the mechanism; the pipeline of the connection parks requests until a session is
//! renewed.

use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use crate::error::Code;
use crate::error::Error;
use crate::error::one_line;
use crate::sasl::Sasl;
use crate::types::bounded;
use crate::wire::message::SaslAuthenticateResponse;
use crate::wire::message::SaslHandshakeResponse;

/// A broker refuses to authenticate a connection again sooner than this after it last began to
/// (`KafkaChannel.MIN_REAUTH_INTERVAL_ONE_SECOND_NANOS`).
pub const RENEWALS_APART: Duration = Duration::from_secs(1);

/// The longest text of a broker that is put into an error, in characters.
const WORDS_MAX: usize = 400;
/// The most mechanisms of a broker that an error names.
const NAMES_MAX: usize = 16;

/// A session that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// When it began at the earliest: the broker counts from the last message that it took.
    begun: Instant,
    /// When the broker had begun the authentication at the latest: its response to the handshake arrived.
    accepted: Instant,
    /// How long it lasts.
    pub lifetime: Duration,
}

/// When a session is to be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// From then on no other request is written.
    pub from: Instant,
    /// The handshake is not written before. Not before `from`.
    pub handshake: Instant,
}

impl Session {
    /// When to renew it: after 85 to 95 % of the lifetime, as Java's client does, so that many connections do not at once. `apart` is
    /// the time that has to pass after the broker began this authentication: none after the first one of a connection.
    pub fn renewal(self, rng: &mut Rng, apart: Duration) -> Due {
        let from = self.begun + bounded(self.lifetime).mul_f64(0.85 + 0.1 * rng.f64());
        Due { from, handshake: from.max(self.accepted + apart) }
    }
}

/// Whether the broker enables the mechanism. Its list is only shown: it decides nothing.
pub fn accepted(sasl: &Sasl, response: &SaslHandshakeResponse) -> Result<(), Error> {
    let name = sasl.name();
    let text = match response.error {
        None => return Ok(()),
        Some(Code::UnsupportedSaslMechanism) => {
            let names: Vec<String> = response.mechanisms.iter().flatten().take(NAMES_MAX).map(words).collect();
            format!("the broker does not enable {name} here, only {}: use one of these", names.join(", "))
        }
        Some(Code::IllegalSaslState) => {
            "this listener of the broker does not use SASL: connect to another one, or without SASL".to_owned()
        }
        Some(_) => format!("the broker refused to begin {name}"),
    };
    Err(response.error.into_iter().fold(Error::authentication(text), Error::with_code))
}

/// Whether the broker goes on after a message: the session that it has begun, unless it has begun none or one that never ends.
///
/// `accepted` is when the response to the handshake arrived, `sent` when the message was sent, and `reason` what the mechanism
/// knows of a refusal.
pub fn answered(
    sasl: &Sasl,
    response: &SaslAuthenticateResponse,
    [accepted, sent]: [Instant; 2],
    reason: Option<&str>,
) -> Result<Option<Session>, Error> {
    if let Some(code) = response.error {
        return Err(refused(sasl, code, response.error_message.as_deref(), reason));
    }
    let millis = u64::try_from(response.session_lifetime_ms).ok().filter(|millis| *millis > 0);
    Ok(millis.map(|millis| Session { begun: sent, accepted, lifetime: Duration::from_millis(millis) }))
}

/// The error of a broker that does not believe the client, in its own words.
fn refused(sasl: &Sasl, code: Code, message: Option<&str>, reason: Option<&str>) -> Error {
    let said: Vec<String> =
        [message, reason].into_iter().flatten().map(words).filter(|text| !text.is_empty()).collect();
    let said = if said.is_empty() { "the broker gave no reason".to_owned() } else { said.join("; ") };
    Error::authentication(format!("could not authenticate {sasl}: {said}")).with_code(code)
}

/// A text of the broker for an error.
fn words(text: impl AsRef<str>) -> String {
    one_line(text.as_ref(), WORDS_MAX)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test has to start at some time")]

    use super::*;

    #[test]
    fn session_is_renewed_before_it_ends_and_not_too_soon() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let session = |millis| Session { begun, accepted: begun, lifetime: Duration::from_millis(millis) };
        for seed in 0..100 {
            let mut rng = Rng::with_seed(seed);
            let Due { from, handshake } = session(10_000).renewal(&mut rng, second);
            assert!(from >= begun + second * 17 / 2 && from < begun + second * 19 / 2, "{:?}", from - begun);
            assert_eq!(handshake, from, "a broker accepts it");
            let due = session(400).renewal(&mut rng, second);
            assert!(due.from < begun + Duration::from_millis(380) && due.handshake == begun + second, "{due:?}");
            let first = session(400).renewal(&mut rng, Duration::ZERO);
            assert_eq!(first.handshake, first.from, "the first renewal may come at any time");
        }
        let longest = session(u64::MAX).renewal(&mut Rng::with_seed(1), second);
        assert!(longest.from > begun + second, "no overflow");
    }
}
