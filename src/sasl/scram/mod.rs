//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677), and delegation tokens by them (KIP-48).
//!
//! [`client`] decides what is sent and accepted, [`keys`] computes; here are the nonce, the thread for the long computation, and the
//! memory of its result.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use zeroize::Zeroizing;

use super::BoxError;
use super::Exchange;
use super::Mechanism;
use super::Starting;
use super::Step;
use super::Stepping;
use super::base64;
use crate::error::Error;
use crate::error::Kind;
use crate::secret::Secret;
use crate::types::ScramMechanism;

pub(crate) mod client;
pub(crate) mod keys;

use self::client::Challenge;
use self::client::Client;

/// The mechanisms SCRAM-SHA-256 and SCRAM-SHA-512. Most programs use [`Sasl::scram_sha_512`](super::Sasl::scram_sha_512).
///
/// The password is never sent: both sides prove that they know it, and a broker that does not is refused. It is hashed thousands of
/// times, on a thread for blocking work ([`tokio::task::spawn_blocking`]), and the result is kept for the next connections until the
/// mechanism is dropped.
///
/// The password is not normalized (SASLprep): Kafka does not do it either, neither when it stores a password nor in its own
/// clients, so that a normalized one would not match.
///
/// ```
/// use ottla::sasl::{Sasl, Scram};
/// use ottla::types::ScramMechanism;
///
/// let scram = Scram::new(ScramMechanism::Sha256, "alice", "correct horse").iterations_max(16_384);
/// assert_eq!(Sasl::mechanism(scram).to_string(), "user alice by SCRAM-SHA-256");
/// ```
#[derive(Clone, Debug)]
pub struct Scram {
    mechanism: ScramMechanism,
    user: String,
    password: Secret,
    token: bool,
    iterations_max: u32,
    salted: Arc<Salted>,
}

/// The last salted password. Brokers of a cluster have the same salt for a user.
#[derive(Debug, Default)]
struct Salted(Mutex<Option<(Challenge, Secret)>>);

impl Salted {
    fn of(&self, challenge: &Challenge) -> Option<Secret> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(of, _)| of == challenge).map(|(_, salted)| salted.clone())
    }

    fn keep(&self, challenge: Challenge, salted: Secret) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((challenge, salted));
    }
}

impl Scram {
    /// The most iterations that a broker may demand by default. Kafka stores 16,384 at most.
    pub const ITERATIONS_MAX: u32 = 131_072;

    /// A user and a password.
    pub fn new(mechanism: ScramMechanism, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self {
            mechanism,
            user: user.into(),
            password: password.into(),
            token: false,
            iterations_max: Self::ITERATIONS_MAX,
            salted: Arc::default(),
        }
    }

    /// The user is the id of a delegation token, and the password its HMAC in Base64 (`tokenauth=true` in Java).
    pub fn token(mut self) -> Self {
        self.token = true;
        self
    }

    /// The most iterations that a broker may demand; 131,072 by default, which take about 40 ms. A broker that demands more is refused:
    /// it would make every connection cost as much as it likes. Fewer than 4,096 are never accepted.
    pub fn iterations_max(mut self, iterations: u32) -> Self {
        self.iterations_max = iterations;
        self
    }

    /// The salted password, computed off the reactor unless it is known.
    async fn salted(&self, challenge: Challenge) -> Result<Secret, BoxError> {
        if let Some(known) = self.salted.of(&challenge) {
            return Ok(known);
        }
        let (mechanism, password, of) = (self.mechanism, self.password.clone(), challenge.clone());
        let hashing = move || keys::salted_password(mechanism, password.expose(), &of.salt, of.iterations);
        let salted = Secret::from(tokio::task::spawn_blocking(hashing).await?);
        self.salted.keep(challenge, salted.clone());
        Ok(salted)
    }
}

/// A nonce of 24 random bytes from the operating system.
fn nonce() -> Result<String, Error> {
    let mut bytes = [0; 24];
    let failed = |error| Error::new(Kind::Connect, "the system gave no random bytes for SCRAM").caused_by(error);
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(base64::encode(&bytes))
}

impl Mechanism for Scram {
    fn name(&self) -> &'static str {
        match self.mechanism {
            ScramMechanism::Sha256 => "SCRAM-SHA-256",
            ScramMechanism::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn exposes_secret(&self) -> bool {
        false
    }

    fn check(&self) -> Result<(), Error> {
        if self.user.is_empty() || self.password.is_empty() {
            return Err(Error::config("SCRAM needs a user and a password, and one of them is empty"));
        }
        Ok(())
    }

    fn start<'a>(&'a self, _host: &'a str) -> Starting<'a> {
        Box::pin(async move {
            let client = Client::new(self.mechanism, &self.user, self.token, nonce()?, self.iterations_max);
            Ok(Box::new(Proving { scram: self.clone(), client, sent: 0 }) as Box<dyn Exchange>)
        })
    }
}

struct Proving {
    scram: Scram,
    client: Client,
    /// How many messages the client has sent.
    sent: u8,
}

impl Exchange for Proving {
    fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a> {
        Box::pin(async move {
            let respond = |message: String| Ok(Step::Respond(message.into()));
            self.sent += 1;
            match self.sent {
                1 => respond(self.client.first()),
                2 => {
                    let challenge = self.client.challenge(challenge)?;
                    let salted = self.scram.salted(challenge).await?;
                    respond(self.client.last(Zeroizing::new(salted.expose().to_vec())))
                }
                _ => {
                    self.client.verify(challenge)?;
                    Ok(Step::Done)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn salted_password_is_computed_once_for_a_salt() {
        let scram = Scram::new(ScramMechanism::Sha256, "alice", "pencil");
        let challenge = |salt: &[u8]| Challenge { salt: salt.to_vec(), iterations: 4_096 };
        let at = |salted: &Secret| salted.expose().as_ptr();
        let first = scram.salted(challenge(b"one")).await.expect("hashed");
        let second = scram.clone().salted(challenge(b"one")).await.expect("known");
        assert_eq!(at(&first), at(&second));
        let other = scram.salted(challenge(b"two")).await.expect("hashed");
        assert_ne!(first.expose(), other.expose());
    }

    #[test]
    fn nonces_differ_and_are_printable() {
        let nonces = [nonce().expect("random"), nonce().expect("random")];
        assert_ne!(nonces[0], nonces[1]);
        assert!(nonces[0].len() == 32 && nonces[0].bytes().all(|byte| byte.is_ascii_graphic() && byte != b','));
    }

    #[test]
    fn debug_shows_neither_the_password_nor_its_hash() {
        let scram = Scram::new(ScramMechanism::Sha512, "alice", "hunter2");
        let challenge = Challenge { salt: vec![1], iterations: 4_096 };
        scram.salted.keep(challenge, "hunter2".into());
        assert!(!format!("{scram:?}").contains("hunter2"), "{scram:?}");
    }
}
