//! SASL: how a client proves to brokers who it is.
//!
//! A [`Sasl`] names one mechanism with its credentials, and [`ClientBuilder::sasl`](crate::client::ClientBuilder::sasl) takes it. The
//! client uses this mechanism and no other, whatever a broker offers: a list of the broker's can be forged, and must not lead to a
//! weaker mechanism.
//!
//! ```
//! # #[cfg(feature = "scram")] {
//! use ottla::Client;
//! use ottla::sasl::Sasl;
//!
//! let builder = Client::builder(["localhost:9092"])?.sasl(Sasl::scram_sha_512("alice", "correct horse"));
//! # }
//! # Ok::<(), ottla::Error>(())
//! ```
//!
//! | mechanism | made by | needs TLS |
//! |---|---|---|
//! | PLAIN | [`Sasl::plain`] | yes, or [`Sasl::allow_plaintext_credentials`] |
//! | SCRAM-SHA-256, SCRAM-SHA-512 (feature `scram`) | `Sasl::scram_sha_256`, `Sasl::scram_sha_512` | no |
//! | a delegation token (feature `scram`) | `Sasl::delegation_token` | no |
//! | OAUTHBEARER | [`Sasl::oauth_bearer`], with a [`TokenSource`] of yours, or with `TokenEndpoint` or `TokenFile` (feature `sasl-oauth`) | yes, or [`Sasl::allow_plaintext_credentials`] |
//! | AWS_MSK_IAM, for Amazon MSK (feature `aws-msk-iam`) | [`Sasl::mechanism`], `MskIam` | yes, or [`Sasl::allow_plaintext_credentials`] |
//! | any other, GSSAPI for example | [`Sasl::mechanism`], an implementation of [`Mechanism`] | as it says |
//!
//! # Errors
//!
//! A broker that refuses the credentials fails all requests that wait for it with
//! [`Kind::Authentication`](crate::error::Kind::Authentication) at once, in the broker's own words, and is not dialled again before
//! `reconnect.backoff.max.ms` has passed. No error and no log event has a secret in it.
//!
//! # Sessions
//!
//! A broker may limit how long an authentication holds (`connections.max.reauth.ms`, KIP-368). The client authenticates again on the
//! same connection after 85 to 95 % of that time, a random share, so that many connections do not do it at once. Requests that
//! come meanwhile wait in order, and responses that are due still arrive. A connection without requests waits for the next one. A
//! mechanism is started again for each authentication.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Error;
use crate::secret::Secret;

pub(crate) mod base64;
#[cfg(feature = "aws-msk-iam")]
pub(crate) mod msk;
pub(crate) mod oauth;
mod plain;
#[cfg(feature = "scram")]
pub(crate) mod scram;

#[cfg(feature = "aws-msk-iam")]
pub use self::msk::*;
pub use self::oauth::Fetching;
pub use self::oauth::OAuthBearer;
pub use self::oauth::Refresh;
pub use self::oauth::Token;
pub use self::oauth::TokenSource;
pub(crate) use self::oauth::Unsecured;
pub use self::oauth::from_fn;
#[cfg(feature = "sasl-oauth")]
pub use self::oauth::sources::*;
pub use self::plain::Plain;
#[cfg(feature = "scram")]
pub use self::scram::Scram;

/// Any error. An [`Error`] of this crate is passed on as it is; another one is temporary, and the client connects again
/// after its back-off.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The future of [`Mechanism::start`].
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Exchange>, BoxError>> + Send + 'a>>;

/// The future of [`Exchange::step`].
pub type Stepping<'a> = Pin<Box<dyn Future<Output = Result<Step, BoxError>> + Send + 'a>>;

/// A mechanism of SASL with the credentials of a client. Implement it for one that is not built in.
///
/// The client starts it for every connection, and again before a session ends. `Debug` must not show a secret.
///
/// # Examples
///
/// GSSAPI (Kerberos) takes a library that knows tickets; here `Kerberos` stands for it. The context wraps the service name and the
/// host, gives the first token, and answers the server's tokens until it is complete. The last message of the server offers layers of
/// security, and the answer to it chooses none, as all of Kafka's clients do (RFC 4752).
///
/// ```
/// use ottla::sasl::{BoxError, Exchange, Mechanism, Starting, Step, Stepping};
///
/// # #[derive(Clone, Debug)] struct Kerberos;
/// # struct Context { rounds: usize }
/// # impl Kerberos {
/// #     fn begin(&self, service: &str) -> Result<Context, BoxError> { Ok(Context { rounds: service.len() - 24 }) }
/// # }
/// # impl Context {
/// #     fn token(&mut self, _: &[u8]) -> Result<Option<Vec<u8>>, BoxError> {
/// #         self.rounds -= 1;
/// #         Ok((self.rounds > 0).then(|| b"token".to_vec()))
/// #     }
/// #     fn unwrap(&self, wrapped: &[u8]) -> Result<Vec<u8>, BoxError> { Ok(wrapped.to_vec()) }
/// #     fn wrap(&self, plain: &[u8]) -> Result<Vec<u8>, BoxError> { Ok(plain.to_vec()) }
/// # }
/// #[derive(Debug)]
/// struct Gssapi {
///     /// Finds the tickets, in a cache or by a keytab.
///     kerberos: Kerberos,
///     /// `sasl.kerberos.service.name`
///     service: String,
/// }
///
/// impl Mechanism for Gssapi {
///     fn name(&self) -> &str {
///         "GSSAPI"
///     }
///
///     fn exposes_secret(&self) -> bool {
///         false
///     }
///
///     fn start<'a>(&'a self, host: &'a str) -> Starting<'a> {
///         // Something that waits for the network or computes for long belongs here, or in a step: both are awaited.
///         Box::pin(async move {
///             let context = self.kerberos.begin(&format!("{}/{host}", self.service))?;
///             Ok(Box::new(Negotiation { context, complete: false, done: false }) as Box<dyn Exchange>)
///         })
///     }
/// }
///
/// struct Negotiation {
///     context: Context,
///     complete: bool,
///     done: bool,
/// }
///
/// impl Negotiation {
///     fn answer(&mut self, challenge: &[u8]) -> Result<Step, BoxError> {
///         if self.done {
///             return Ok(Step::Done);
///         }
///         if !self.complete {
///             if let Some(token) = self.context.token(challenge)? {
///                 return Ok(Step::Respond(token.into()));
///             }
///             self.complete = true;
///             return Ok(Step::Respond(Vec::new().into()));
///         }
///         let offered = self.context.unwrap(challenge)?;
///         if offered.first().is_none_or(|layers| layers & 1 == 0) {
///             return Err(ottla::Error::authentication("the broker demands a security layer of GSSAPI").into());
///         }
///         self.done = true;
///         Ok(Step::Respond(self.context.wrap(&[1, 0, 0, 0])?.into()))
///     }
/// }
///
/// impl Exchange for Negotiation {
///     fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a> {
///         Box::pin(async move { self.answer(challenge) })
///     }
/// }
///
/// let gssapi = Gssapi { kerberos: Kerberos, service: "kafka".into() };
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let mut exchange = gssapi.start("broker.example.internal.").await?;
/// # let mut steps = 0;
/// # while let Step::Respond(_) = exchange.step(&[7]).await? { steps += 1; }
/// # assert!(steps > 2);
/// # Ok::<(), BoxError>(())
/// # })?;
/// let sasl = ottla::sasl::Sasl::mechanism(gssapi);
/// # Ok::<(), BoxError>(())
/// ```
pub trait Mechanism: fmt::Debug + Send + Sync {
    /// Its name, as the server knows it: `GSSAPI`, for example.
    fn name(&self) -> &str;

    /// The user, for errors and log events; `None` if the mechanism has no name for it.
    fn user(&self) -> Option<&str> {
        None
    }

    /// Whether its messages show a secret to whoever can read the connection, so that it needs TLS. The default is `true`.
    fn exposes_secret(&self) -> bool {
        true
    }

    /// Whether it can be used at all: an error is returned by the call that builds the client. The default is that it can.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The place that it asks for a token or a ticket, for the error if no answer comes in time. The default is none.
    fn place(&self) -> Option<String> {
        None
    }

    /// Begins an authentication at the broker `host`, its name as it was dialled.
    ///
    /// The time that it takes counts as part of setting the connection up. The future may be dropped at any point.
    fn start<'a>(&'a self, host: &'a str) -> Starting<'a>;
}

/// One authentication. Made by [`Mechanism::start`].
pub trait Exchange: Send {
    /// Takes the server's message and gives the client's. The first message of the server is empty: the client begins.
    ///
    /// An [`Error`] of [`Kind::Authentication`](crate::error::Kind::Authentication) is fatal: see [`BoxError`]. The future
    /// may be dropped at any point, and the exchange with it.
    fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a>;

    /// The reason that the server gave within the exchange for its refusal, if it gave one. It is added to the broker's error.
    fn reason(&self) -> Option<&str> {
        None
    }
}

/// The next step of an [`Exchange`].
#[derive(Clone, Debug)]
pub enum Step {
    /// Send this to the server and await its answer.
    Respond(Secret),
    /// The server has proved what it had to, and nothing is to be sent.
    Done,
}

/// A mechanism with its credentials, for [`ClientBuilder::sasl`](crate::client::ClientBuilder::sasl). Cheap to clone.
///
/// ```
/// use ottla::sasl::Sasl;
///
/// let sasl = Sasl::plain("alice", "correct horse").allow_plaintext_credentials();
/// assert_eq!(sasl.name(), "PLAIN");
/// assert!(!format!("{sasl:?}").contains("correct horse"));
/// ```
#[derive(Clone, Debug)]
pub struct Sasl {
    mechanism: Arc<dyn Mechanism>,
    plaintext_allowed: bool,
}

impl Sasl {
    /// A user and a password by PLAIN (RFC 4616), which sends the password as it is: a connection without TLS is refused. See
    /// [`Sasl::allow_plaintext_credentials`].
    pub fn plain(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::mechanism(Plain::new(user, password))
    }

    /// A user and a password by SCRAM-SHA-256 (RFC 7677). See [`Scram`].
    #[cfg(feature = "scram")]
    pub fn scram_sha_256(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::mechanism(Scram::new(crate::types::ScramMechanism::Sha256, user, password))
    }

    /// A user and a password by SCRAM-SHA-512. See [`Scram`].
    #[cfg(feature = "scram")]
    pub fn scram_sha_512(user: impl Into<String>, password: impl Into<Secret>) -> Self {
        Self::mechanism(Scram::new(crate::types::ScramMechanism::Sha512, user, password))
    }

    /// A delegation token (KIP-48): its id, and its HMAC as `kafka-delegation-tokens` prints it. By SCRAM-SHA-512; for another mechanism
    /// see [`Scram::token`].
    #[cfg(feature = "scram")]
    pub fn delegation_token(id: impl Into<String>, hmac: impl Into<Secret>) -> Self {
        Self::mechanism(Scram::new(crate::types::ScramMechanism::Sha512, id, hmac).token())
    }

    /// Tokens by OAUTHBEARER (RFC 7628). It sends them as they are: a connection without TLS is refused. See [`OAuthBearer`].
    pub fn oauth_bearer(source: impl TokenSource + 'static) -> Self {
        Self::mechanism(OAuthBearer::new(source))
    }

    /// Unsecured tokens of this subject by OAUTHBEARER, for tests: only a broker that is set up for tests accepts them. Each lives for
    /// an hour.
    pub fn unsecured_tokens(subject: impl Into<String>) -> Self {
        let lifetime = std::time::Duration::from_secs(3_600);
        Self::oauth_bearer(Unsecured { subject: subject.into(), lifetime })
    }

    /// A mechanism of your own, or a built-in one with other settings than the defaults.
    pub fn mechanism(mechanism: impl Mechanism + 'static) -> Self {
        Self { mechanism: Arc::new(mechanism), plaintext_allowed: false }
    }

    /// Allows a mechanism that shows its secret on connections without TLS: for a network that nobody else reads, and for tests.
    pub fn allow_plaintext_credentials(mut self) -> Self {
        self.plaintext_allowed = true;
        self
    }

    /// The name of the mechanism.
    pub fn name(&self) -> &str {
        self.mechanism.name()
    }

    /// The user, if the mechanism names one.
    pub fn user(&self) -> Option<&str> {
        self.mechanism.user()
    }

    /// Whether it can be used by a client whose connections are encrypted or not.
    pub(crate) fn check(&self, encrypted: bool) -> Result<(), Error> {
        self.mechanism.check()?;
        if self.mechanism.exposes_secret() && !self.plaintext_allowed && !encrypted {
            return Err(Error::config(format!(
                "{} would send its secret unencrypted: use TLS, or allow it by Sasl::allow_plaintext_credentials",
                self.name()
            )));
        }
        Ok(())
    }

    /// Names the place that a client waits for while the mechanism is at work, for errors.
    pub(crate) fn place(&self) -> String {
        self.mechanism.place().unwrap_or_else(|| format!("the mechanism {}", self.name()))
    }

    pub(crate) fn start<'a>(&'a self, host: &'a str) -> Starting<'a> {
        self.mechanism.start(host)
    }
}

/// The mechanism and the user, in errors.
impl fmt::Display for Sasl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user() {
            Some(user) => write!(f, "user {user} by {}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}
