//! OAUTHBEARER (RFC 7628): a token of the user's source, kept and replaced in time.

use std::fmt;
use std::future::Future;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::BoxError;
use super::Exchange;
use super::Mechanism;
use super::Starting;
use super::Step;
use super::Stepping;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::bounded;

#[cfg(feature = "sasl-oauth")]
pub(crate) mod sources;
pub(crate) mod token;

pub use self::token::Refresh;
pub use self::token::Token;

/// The future of [`TokenSource::token`].
pub type Fetching<'a> = Pin<Box<dyn Future<Output = Result<Token, BoxError>> + Send + 'a>>;

/// Gives tokens for OAUTHBEARER: from a token endpoint, a file, an agent. See [`from_fn`].
///
/// The client keeps a token and fetches another one when [`Refresh`] says so, for the next connection or authentication that needs it.
/// An [`Error`] of [`Kind::Authentication`] is fatal; after any other error the client
/// connects again later. While a token lives, a source that fails or blocks delays nothing. `Debug` must not show a secret.
pub trait TokenSource: fmt::Debug + Send + Sync {
    /// Fetches a new token. The future may be dropped at any point.
    fn token(&self) -> Fetching<'_>;

    /// The place that tokens come from, for the error if none comes in time. The default is none.
    fn place(&self) -> Option<String> {
        None
    }
}

/// A source that calls a function for each token.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use ottla::sasl::{Sasl, Token, from_fn};
///
/// # async fn request_token() -> Result<(String, u64), std::io::Error> { Ok(("abc".into(), 3_600)) }
/// let source = from_fn(|| async {
///     // Your HTTP client, with a timeout, over https.
///     let (access_token, expires_in) = request_token().await?;
///     Ok(Token::new(access_token, SystemTime::now() + Duration::from_secs(expires_in)))
/// });
/// let sasl = Sasl::oauth_bearer(source);
/// assert_eq!(sasl.name(), "OAUTHBEARER");
/// ```
pub fn from_fn<F, T>(fetch: F) -> impl TokenSource
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = Result<Token, BoxError>> + Send + 'static,
{
    FromFn(fetch)
}

struct FromFn<F>(F);

impl<F> fmt::Debug for FromFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromFn")
    }
}

impl<F, T> TokenSource for FromFn<F>
where
    F: Fn() -> T + Send + Sync,
    T: Future<Output = Result<Token, BoxError>> + Send + 'static,
{
    fn token(&self) -> Fetching<'_> {
        Box::pin(self.0())
    }
}

/// A source of unsecured tokens for tests. See [`Token::unsecured`].
#[derive(Clone, Debug)]
pub(crate) struct Unsecured {
    pub(crate) subject: String,
    pub(crate) lifetime: Duration,
}

impl TokenSource for Unsecured {
    fn token(&self) -> Fetching<'_> {
        let now = std::time::SystemTime::UNIX_EPOCH + clock::since_epoch();
        Box::pin(ready(Ok(Token::unsecured(&self.subject, now, self.lifetime))))
    }
}

/// The mechanism OAUTHBEARER. Most programs use [`Sasl::oauth_bearer`](super::Sasl::oauth_bearer).
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use ottla::sasl::{OAuthBearer, Refresh, Sasl, Token, from_fn};
///
/// let source = from_fn(|| async { Ok(Token::unsecured("alice", SystemTime::now(), Duration::from_secs(60))) });
/// let refresh = Refresh { buffer: Duration::from_secs(5), min_period: Duration::from_secs(5), ..Refresh::default() };
/// let sasl = Sasl::mechanism(OAuthBearer::new(source).refresh(refresh));
/// ```
#[derive(Clone, Debug)]
pub struct OAuthBearer {
    source: Arc<dyn TokenSource>,
    refresh: Refresh,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    kept: Mutex<Option<Kept>>,
    /// Held by who fetches a token while there is none.
    fetching: tokio::sync::Mutex<()>,
    /// Whether a token is fetched while there is another.
    refreshing: AtomicBool,
}

/// A token, when it is to be replaced and when it ends.
#[derive(Clone, Debug)]
struct Kept {
    token: Token,
    refresh: Instant,
    end: Instant,
}

impl Shared {
    fn read(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, kept: Option<Kept>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

impl OAuthBearer {
    /// Tokens of this source.
    pub fn new(source: impl TokenSource + 'static) -> Self {
        Self { source: Arc::new(source), refresh: Refresh::default(), shared: Arc::default() }
    }

    /// When tokens are replaced.
    pub fn refresh(mut self, refresh: Refresh) -> Self {
        self.refresh = refresh;
        self
    }

    /// A token that lives: the one that is kept, or a new one. Past its refresh time another one is fetched meanwhile.
    async fn token(&self) -> Result<Token, BoxError> {
        if let Some(token) = self.living() {
            return Ok(token);
        }
        let _turn = self.shared.fetching.lock().await;
        // Another connection may have fetched one meanwhile.
        match self.living() {
            Some(token) => Ok(token),
            None => self.fetch().await,
        }
    }

    fn living(&self) -> Option<Token> {
        let now = clock::now();
        let kept = self.shared.read().filter(|kept| now < kept.end)?;
        if kept.refresh <= now && !self.shared.refreshing.swap(true, Ordering::AcqRel) {
            let refreshing = Refreshing(Arc::clone(&self.shared));
            let this = self.clone();
            drop(tokio::spawn(async move {
                let silent = |_| Err("the token source did not answer in time".into());
                let fetched = tokio::time::timeout(FETCH_MAX, this.fetch()).await.unwrap_or_else(silent);
                if let Err(error) = fetched {
                    tracing::warn!(target: TARGET, error = %error, "could not refresh the token");
                    this.postpone();
                }
                drop(refreshing);
            }));
        }
        Some(kept.token)
    }

    /// After a failure the next attempt follows no sooner than this.
    fn postpone(&self) {
        if let Some(mut kept) = self.shared.read() {
            kept.refresh = clock::now() + RETRY.min(bounded(self.refresh.min_period));
            self.shared.write(Some(kept));
        }
    }

    async fn fetch(&self) -> Result<Token, BoxError> {
        let token = self.source.token().await?;
        token.check()?;
        let expires = token.expires().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        let life = bounded(expires.saturating_sub(clock::since_epoch()));
        if life.is_zero() {
            return Err(Error::new(Kind::Connect, "the token source returned a token that has expired").into());
        }
        let arrived = clock::now();
        let refresh = arrived + self.refresh.after(life, Rng::with_seed(clock::seed()).f64());
        let kept = Kept { token: token.clone(), refresh, end: arrived + life };
        self.shared.write(Some(kept));
        tracing::debug!(target: TARGET, life_ms = life.as_millis(), "token fetched");
        Ok(token)
    }
}

/// Notes that a token is not being refreshed any more, also where its task was aborted.
struct Refreshing(Arc<Shared>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.store(false, Ordering::Release);
    }
}

const TARGET: &str = "ottla::connection";
/// How long a source may take while there is another token.
const FETCH_MAX: Duration = Duration::from_secs(60);
/// The longest pause after a token could not be refreshed.
const RETRY: Duration = Duration::from_secs(10);

impl Mechanism for OAuthBearer {
    fn name(&self) -> &'static str {
        "OAUTHBEARER"
    }

    fn place(&self) -> Option<String> {
        self.source.place()
    }

    fn start<'a>(&'a self, _host: &'a str) -> Starting<'a> {
        Box::pin(async move {
            let token = self.token().await?;
            let showing = Showing { shared: Arc::clone(&self.shared), token, sent: 0, reason: None };
            Ok(Box::new(showing) as Box<dyn Exchange>)
        })
    }
}

struct Showing {
    shared: Arc<Shared>,
    token: Token,
    /// How many messages the client has sent.
    sent: u8,
    /// The server's answer to a token that it refuses.
    reason: Option<String>,
}

impl Showing {
    fn answer(&mut self, challenge: &[u8]) -> Result<Step, BoxError> {
        self.sent = self.sent.saturating_add(1);
        match self.sent {
            1 => Ok(Step::Respond(self.token.message())),
            2 if challenge.is_empty() => Ok(Step::Done),
            2 => {
                // The source may have a better one.
                self.shared.write(None);
                self.reason = Some(token::reason(challenge));
                // The server fails the exchange once the client has acknowledged its answer (RFC 7628, section 3.2.3).
                Ok(Step::Respond(b"\x01".to_vec().into()))
            }
            _ => {
                let reason = self.reason.as_deref().unwrap_or("it gave no reason");
                Err(Error::authentication(format!("the broker refused the token: {reason}")).into())
            }
        }
    }
}

impl Exchange for Showing {
    fn step<'a>(&'a mut self, challenge: &'a [u8]) -> Stepping<'a> {
        Box::pin(ready(self.answer(challenge)))
    }

    fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}
