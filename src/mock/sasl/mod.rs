//! SASL on the broker's side: who may connect, and how far each connection is (`SaslServerAuthenticator`).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::mock::key;

mod base64;
#[cfg(feature = "scram")]
mod scram;
mod token;

/// The users of a mock cluster, and how they authenticate. See [`Builder::sasl`](crate::mock::Builder::sasl).
///
/// It answers in the words of Kafka. A connection may request its versions, then it has to authenticate; anything else closes it.
///
/// # Examples
///
/// A session that ends after a minute:
///
/// ```
/// use std::time::Duration;
/// use ottla::mock::{Cluster, SaslUsers};
///
/// let users = SaslUsers::new().plain("alice", "correct horse").unsecured_tokens().session_lifetime(Duration::from_secs(60));
/// let cluster = Cluster::builder().sasl(users).build();
/// ```
///
/// A mechanism of your own:
///
/// ```
/// use ottla::mock::{SaslAnswer, SaslUsers};
///
/// let users = SaslUsers::new().mechanism("X-KNOCK", |_round, message| match message {
///     b"knock" => SaslAnswer::Accept { user: "alice".into(), message: Vec::new() },
///     _ => SaslAnswer::Refuse("who is there?".into()),
/// });
/// ```
#[derive(Clone)]
pub struct SaslUsers {
    plain: BTreeMap<String, String>,
    #[cfg(feature = "scram")]
    scram: scram::Users,
    tokens: bool,
    own: BTreeMap<String, Own>,
    lifetime: Option<Duration>,
    apart: Duration,
}

/// `KafkaChannel.MIN_REAUTH_INTERVAL_ONE_SECOND_NANOS`.
const RENEWALS_APART: Duration = Duration::from_secs(1);

impl Default for SaslUsers {
    fn default() -> Self {
        Self {
            plain: BTreeMap::new(),
            #[cfg(feature = "scram")]
            scram: scram::Users::default(),
            tokens: false,
            own: BTreeMap::new(),
            lifetime: None,
            apart: RENEWALS_APART,
        }
    }
}

type Own = Arc<dyn Fn(usize, &[u8]) -> SaslAnswer + Send + Sync>;

impl fmt::Debug for SaslUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SaslUsers").field("mechanisms", &self.mechanisms()).finish_non_exhaustive()
    }
}

/// The answer to a message of a client. Returned by the function of [`SaslUsers::mechanism`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslAnswer {
    /// The client has to answer this.
    Challenge(Vec<u8>),
    /// The client is this user. The message is the last one.
    Accept {
        /// The user, who must be the same each time that a connection authenticates.
        user: String,
        /// The last message of the server.
        message: Vec<u8>,
    },
    /// The credentials are refused, with this error message.
    Refuse(String),
    /// There is no response.
    Silent,
    /// The connection is closed.
    Close,
}

impl SaslUsers {
    /// Nobody may connect.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a user with a password by PLAIN.
    pub fn plain(mut self, user: &str, password: &str) -> Self {
        self.plain.insert(user.to_owned(), password.to_owned());
        self
    }

    /// Adds a user with a password by SCRAM-SHA-256 and SCRAM-SHA-512.
    #[cfg(feature = "scram")]
    pub fn scram(mut self, user: &str, password: &str) -> Self {
        self.scram.add(user, password, false);
        self
    }

    /// Adds a delegation token by SCRAM-SHA-256 and SCRAM-SHA-512: its id, and its HMAC.
    #[cfg(feature = "scram")]
    pub fn delegation_token(mut self, id: &str, hmac: &str) -> Self {
        self.scram.add(id, hmac, true);
        self
    }

    /// Lets in everybody with an unsecured token by OAUTHBEARER that has a subject and has not expired
    /// (`OAuthBearerUnsecuredValidatorCallbackHandler`).
    pub fn unsecured_tokens(mut self) -> Self {
        self.tokens = true;
        self
    }

    /// Adds a mechanism that answers by a function: it gets the number of the message within the authentication, from 0 on, and the
    /// message.
    pub fn mechanism(
        mut self,
        name: &str,
        answer: impl Fn(usize, &[u8]) -> SaslAnswer + Send + Sync + 'static,
    ) -> Self {
        self.own.insert(name.to_owned(), Arc::new(answer));
        self
    }

    /// How long an authentication holds (`connections.max.reauth.ms`). Then only another one is accepted: anything else closes the
    /// connection. By default it holds forever.
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// How soon a connection may authenticate again after it last began to; 1 s by default, which Kafka has fixed. One that begins
    /// sooner is refused with `ILLEGAL_SASL_STATE` (34) while its session holds, and closed when it has ended.
    pub fn renewals_apart(mut self, apart: Duration) -> Self {
        self.apart = apart;
        self
    }

    pub(super) fn lifetime(&self) -> Option<Duration> {
        self.lifetime
    }

    pub(super) fn apart(&self) -> Duration {
        self.apart
    }

    /// The names of the mechanisms that somebody can use.
    pub(super) fn mechanisms(&self) -> Vec<String> {
        let mut names: Vec<String> = self.own.keys().cloned().collect();
        if !self.plain.is_empty() {
            names.push("PLAIN".to_owned());
        }
        #[cfg(feature = "scram")]
        if !self.scram.is_empty() {
            names.extend(["SCRAM-SHA-256".to_owned(), "SCRAM-SHA-512".to_owned()]);
        }
        if self.tokens {
            names.push("OAUTHBEARER".to_owned());
        }
        names
    }

    fn answer(&self, unix_ms: i64, exchange: &mut Exchange, message: &[u8]) -> SaslAnswer {
        let round = exchange.round;
        exchange.round += 1;
        if let Some(own) = self.own.get(&exchange.mechanism) {
            return own(round, message);
        }
        match exchange.mechanism.as_str() {
            "PLAIN" => self.answer_plain(message),
            "OAUTHBEARER" => token::answer(unix_ms, round, message),
            #[cfg(feature = "scram")]
            name => self.scram.answer(name, &mut exchange.scram, message).unwrap_or_else(|| refused(name)),
            #[cfg(not(feature = "scram"))]
            name => refused(name),
        }
    }

    fn answer_plain(&self, message: &[u8]) -> SaslAnswer {
        let mut parts = message.split(|byte| *byte == 0);
        let (Some(_), Some(user), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return SaslAnswer::Refuse("Invalid SASL/PLAIN response: expected 3 tokens".to_owned());
        };
        let known = std::str::from_utf8(user).ok().and_then(|user| self.plain.get_key_value(user));
        match known.filter(|(_, known)| known.as_bytes() == password) {
            Some((user, _)) => SaslAnswer::Accept { user: user.clone(), message: Vec::new() },
            None => SaslAnswer::Refuse("Authentication failed: Invalid username or password".to_owned()),
        }
    }
}

/// Refuses credentials in the words of a broker.
fn refused(mechanism: &str) -> SaslAnswer {
    let text = format!(
        "Authentication failed during authentication due to invalid credentials with SASL mechanism {mechanism}"
    );
    SaslAnswer::Refuse(text)
}

/// An authentication that goes on.
#[derive(Debug, Default)]
struct Exchange {
    mechanism: String,
    round: usize,
    #[cfg(feature = "scram")]
    scram: scram::Stage,
}

/// A connection: who it is, and the authentication that goes on.
#[derive(Debug, Default)]
struct Connection {
    /// The user, and when the session ends.
    session: Option<(String, Option<Instant>)>,
    exchange: Option<Exchange>,
    failed: bool,
    /// When it last began to authenticate again.
    renewed: Option<Instant>,
}

/// How far the authentication of each connection is.
#[derive(Debug, Default)]
pub(super) struct Stages(HashMap<u64, Connection>);

impl Stages {
    pub(super) fn forget(&mut self, connection: u64) {
        self.0.remove(&connection);
    }

    /// Whether a connection may send a request of this API: a broker closes it otherwise. Renewals are `apart`.
    pub(super) fn admits(&mut self, now: Instant, apart: Duration, connection: u64, api_key: i16) -> bool {
        let is_too_soon = self.is_too_soon(now, apart, connection);
        let Connection { session, exchange, failed, .. } = self.0.entry(connection).or_default();
        match (session, exchange) {
            _ if *failed => false,
            (_, Some(_)) => api_key == key::SASL_AUTHENTICATE,
            (Some((_, until)), None) => {
                let holds = until.is_none_or(|until| now < until);
                match api_key {
                    key::SASL_AUTHENTICATE => false,
                    key::SASL_HANDSHAKE => holds || !is_too_soon,
                    _ => holds,
                }
            }
            (None, None) => matches!(api_key, key::API_VERSIONS | key::SASL_HANDSHAKE),
        }
    }

    /// Whether a connection has begun to authenticate again less than `apart` ago (`KafkaChannel.maybeBeginServerReauthentication`).
    pub(super) fn is_too_soon(&self, now: Instant, apart: Duration, connection: u64) -> bool {
        let renewed = self.0.get(&connection).and_then(|known| known.renewed);
        renewed.is_some_and(|renewed| now < renewed + apart)
    }

    pub(super) fn begin(&mut self, now: Instant, connection: u64, mechanism: &str) {
        let exchange = Exchange { mechanism: mechanism.to_owned(), ..Exchange::default() };
        let known = self.0.entry(connection).or_default();
        known.exchange = Some(exchange);
        known.renewed = known.session.as_ref().map(|_| now);
    }

    pub(super) fn fail(&mut self, connection: u64) {
        self.0.entry(connection).or_default().failed = true;
    }

    pub(super) fn answer(&mut self, users: &SaslUsers, unix_ms: i64, connection: u64, message: &[u8]) -> SaslAnswer {
        let exchange = self.0.entry(connection).or_default().exchange.as_mut();
        exchange.map_or(SaslAnswer::Close, |exchange| users.answer(unix_ms, exchange, message))
    }

    /// Ends an authentication; whether the user is the one that it was.
    pub(super) fn accept(&mut self, connection: u64, user: &str, until: Option<Instant>) -> bool {
        let known = self.0.entry(connection).or_default();
        let same = known.session.as_ref().is_none_or(|(before, _)| before == user);
        known.failed = !same;
        known.exchange = None;
        known.session = Some((user.to_owned(), until));
        same
    }
}
