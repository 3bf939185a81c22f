//! PLAIN (RFC 4616): the user and the password as they are.

use std::future::ready;

use super::Exchange;
use super::Mechanism;
use super::Starting;
use super::Step;
use super::Stepping;
use crate::error::Error;
use crate::secret::Secret;

/// The mechanism PLAIN. Most programs use [`Sasl::plain`](super::Sasl::plain).
///
/// ```
/// use ottla::sasl::{Plain, Sasl};
///
/// let sasl = Sasl::mechanism(Plain::new("alice", "correct horse"));
/// assert_eq!(sasl.user(), Some("alice"));
/// ```
#[derive(Clone, Debug)]
pub struct Plain {
    user: String,
    password: Secret,
}

impl Plain {
    /// A user and a password. Neither may be empty or contain the character NUL: connecting fails then with
    /// [`Kind::Config`](crate::error::Kind::Config).
    pub fn new(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    /// The one message: no authorization id, the user, the password, with NUL before the last two.
    fn message(&self) -> Secret {
        let Self { user, password } = self;
        let mut message = Vec::with_capacity(2 + user.len() + password.expose().len());
        message.push(0);
        message.extend_from_slice(user.as_bytes());
        message.push(0);
        message.extend_from_slice(password.expose());
        message.into()
    }
}

impl Mechanism for Plain {
    fn name(&self) -> &'static str {
        "PLAIN"
    }

    fn user(&self) -> Option<&str> {
        Some(&self.user)
    }

    fn check(&self) -> Result<(), Error> {
        let Self { user, password } = self;
        if user.is_empty() || password.is_empty() {
            return Err(Error::config("PLAIN needs a user and a password, and one of them is empty"));
        }
        if user.contains('\0') || password.expose().contains(&0) {
            return Err(Error::config("a user or a password of PLAIN cannot contain the character NUL"));
        }
        Ok(())
    }

    fn start<'a>(&'a self, _host: &'a str) -> Starting<'a> {
        let exchange = Box::new(Sending { message: Some(self.message()) }) as Box<dyn Exchange>;
        Box::pin(ready(Ok(exchange)))
    }
}

struct Sending {
    /// `None` once it was sent.
    message: Option<Secret>,
}

impl Exchange for Sending {
    fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a> {
        let step = match self.message.take() {
            Some(message) => Ok(Step::Respond(message)),
            None if challenge.is_empty() => Ok(Step::Done),
            None => Err(Error::authentication("the broker sent a challenge, and PLAIN has none").into()),
        };
        Box::pin(ready(step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[tokio::test]
    async fn user_and_password_are_one_message() {
        let plain = Plain::new("alice", "pässword");
        let mut exchange = plain.start("host").await.expect("started");
        let Ok(Step::Respond(message)) = exchange.step(&[]).await else { panic!("a message") };
        assert_eq!(message.expose(), "\0alice\0pässword".as_bytes());
        assert!(matches!(exchange.step(&[]).await, Ok(Step::Done)));
        assert!(exchange.step(b"more?").await.is_err());
    }

    #[test]
    fn credentials_that_cannot_be_sent_are_refused_without_showing_them() {
        for (user, password) in [("alice", ""), ("", "hunter2"), ("alice", "hunter2\0"), ("al\0ice", "hunter2")] {
            let error = Plain::new(user, password).check().expect_err(user);
            assert_eq!(error.kind(), Kind::Config);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert!(Plain::new("alice", "hunter2").check().is_ok());
    }
}
