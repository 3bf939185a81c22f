//! Tokens from a token endpoint: how it is asked, how long, and how often.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use tokio::time::timeout;

use super::assertion::Assertion;
use super::builder::Credentials;
use super::builder::TokenEndpointBuilder;
use super::grant::Answer;
use super::grant::Form;
use super::http;
use super::http::Failure;
use super::jwt;
use super::url::Url;
use crate::config::HostPort;
use crate::error::Error;
use crate::error::Kind;
use crate::net::Stream;
use crate::net::clock;
use crate::net::secure::Secure;
use crate::sasl::Fetching;
use crate::sasl::Token;
use crate::sasl::TokenSource;
use crate::secret::Secret;
use crate::types::bounded;

/// Fetches tokens from the token endpoint of an OAuth 2.0 server, over https (feature `sasl-oauth`).
///
/// Made by [`TokenEndpoint::client_credentials`], [`TokenEndpoint::client_assertion`] or [`TokenEndpoint::jwt_bearer`]. Properties of
/// Java and librdkafka (`sasl.oauthbearer.token.endpoint.url` and so on) lead to the same.
///
/// # Limits
///
/// The client follows no redirect, whatever host it names. It reads at most 64 KiB of an answer, and waits at most for
/// [`connect_timeout`](TokenEndpointBuilder::connect_timeout) and [`read_timeout`](TokenEndpointBuilder::read_timeout). No proxy is
/// used unless a [`connector`](TokenEndpointBuilder::connector) does.
///
/// # Errors
///
/// Each names the endpoint, and none shows a secret. [`Kind::Authentication`], at once: the server refused the client (status 4xx),
/// with the server's `error` and `error_description`; it redirects; it is no token endpoint; its token has expired. [`Kind::Tls`], at
/// once: its certificate cannot be trusted. [`Kind::Connect`], after repeated attempts: it cannot be reached, is silent, or has a fault
/// (status 5xx); the client connects again later.
///
/// ```no_run
/// use ottla::Client;
/// use ottla::sasl::{Sasl, TokenEndpoint};
/// use ottla::tls::Tls;
///
/// # let program = async {
/// let source = TokenEndpoint::client_credentials("https://idp.example/oauth2/token", "client-7", "correct horse").scope("kafka");
/// let client = Client::builder(["broker.example:9093"])?
///     .tls(Tls::builder().build()?)
///     .sasl(Sasl::oauth_bearer(source.build()?))
///     .connect()
///     .await?;
/// # Ok::<(), ottla::Error>(()) };
/// ```
pub struct TokenEndpoint {
    pub(super) settings: TokenEndpointBuilder,
    pub(super) url: Url,
    /// How connections are encrypted, if they are.
    pub(super) secure: Option<Secure>,
}

impl TokenEndpoint {
    /// By the id and the secret of the client (RFC 6749, 4.4; Java's `ClientCredentialsJwtRetriever`).
    pub fn client_credentials(
        url: impl Into<String>,
        id: impl Into<String>,
        secret: impl Into<Secret>,
    ) -> TokenEndpointBuilder {
        TokenEndpointBuilder::new(url, Credentials::Secret { id: id.into(), secret: secret.into() })
    }

    /// As the client itself, which proves by an assertion who it is (RFC 7523, 2.2; KIP-1258).
    pub fn client_assertion(url: impl Into<String>, assertion: impl Into<Assertion>) -> TokenEndpointBuilder {
        TokenEndpointBuilder::new(url, Credentials::Assertion { id: None, assertion: assertion.into() })
    }

    /// By an assertion that is the grant itself (RFC 7523, 2.1; KIP-1139; Java's `JwtBearerJwtRetriever`).
    pub fn jwt_bearer(url: impl Into<String>, assertion: impl Into<Assertion>) -> TokenEndpointBuilder {
        TokenEndpointBuilder::new(url, Credentials::Bearer(assertion.into()))
    }
}

impl fmt::Debug for TokenEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = format_args!("{}", self.url);
        f.debug_struct("TokenEndpoint").field("url", &url).field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl TokenSource for TokenEndpoint {
    fn token(&self) -> Fetching<'_> {
        Box::pin(async move { Ok(self.fetch().await?) })
    }

    fn place(&self) -> Option<String> {
        Some(self.name())
    }
}

impl TokenEndpoint {
    /// Names it in an error.
    fn name(&self) -> String {
        format!("the token endpoint {}", self.url)
    }

    /// Repeats attempts that failed by something that may pass.
    async fn fetch(&self) -> Result<Token, Error> {
        let end = clock::now() + bounded(self.settings.retry_backoff_max);
        let (mut pause, mut longest) = (bounded(self.settings.retry_backoff), Duration::ZERO);
        loop {
            let begun = clock::now();
            let error = match self.attempt().await {
                Err(error) if error.kind() == Kind::Connect => error,
                done => return done,
            };
            longest = longest.max(clock::now().saturating_duration_since(begun));
            let next = clock::now() + pause;
            if pause.is_zero() || next + longest > end {
                return Err(error);
            }
            let (endpoint, pause_ms) = (&self.url, pause.as_millis());
            tracing::debug!(target: TARGET, %endpoint, error = %error.chain(), pause_ms, "token request retried");
            tokio::time::sleep_until(next.into()).await;
            pause = bounded(pause.saturating_mul(2));
        }
    }

    async fn attempt(&self) -> Result<Token, Error> {
        let TokenEndpointBuilder { connect_timeout, read_timeout, .. } = self.settings;
        let form = self.form().await?.conceal(self.url.secrets());
        let stream = self.in_time(connect_timeout, "accept a connection", self.connect()).await?;
        let answer = self.in_time(read_timeout, "answer", self.post(stream, &form)).await?;
        let token = answer.token(&form, &self.name(), clock::since_epoch())?;
        self.check(&token)?;
        Ok(token.extended(&self.settings.extensions))
    }

    async fn in_time<T>(
        &self,
        limit: Duration,
        what: &str,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let silent = |_| {
            let text = format!("{} did not {what} within {} ms", self.name(), limit.as_millis());
            Err(Error::new(Kind::Connect, text))
        };
        timeout(limit, future).await.unwrap_or_else(silent)
    }

    /// The request. Assertions are made on a thread for blocking work.
    async fn form(&self) -> Result<Form, Error> {
        let scope = self.settings.scope.as_deref().map(str::trim).filter(|scope| !scope.is_empty());
        match &self.settings.credentials {
            Credentials::Secret { id, secret } => {
                let text = secret.expose_text().unwrap_or_default().trim();
                Ok(Form::of_client(id.trim(), &text.into(), self.settings.is_url_encoded, scope))
            }
            Credentials::Assertion { id, assertion } => {
                Ok(Form::of_assertion(id.as_deref(), made(assertion).await?, scope))
            }
            Credentials::Bearer(assertion) => Ok(Form::of_bearer(made(assertion).await?, scope)),
        }
    }

    /// Dials, and encrypts.
    async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        let Url { host, port, .. } = &self.url;
        let stream =
            self.settings.connector.connect(host, *port).await.map_err(|error| {
                Error::new(Kind::Connect, format!("could not reach {}", self.name())).caused_by(error)
            })?;
        let Some(secure) = &self.secure else { return Ok(stream) };
        let address = HostPort { host: host.clone(), port: *port };
        secure.handshake(&address, stream).await.map_err(|error| {
            let text = format!(
                "could not encrypt the connection to {} (TokenEndpointBuilder::tls, https.ca.location)",
                self.name()
            );
            Error::new(error.kind(), text).caused_by(error)
        })
    }

    async fn post(&self, stream: Box<dyn Stream>, form: &Form) -> Result<Answer, Error> {
        http::post(stream, &self.url, form).await.map_err(|failure| match failure {
            Failure::Connection(error) => {
                Error::new(Kind::Connect, format!("{} broke off its answer", self.name())).caused_by(error)
            }
            Failure::Server(what) => Error::authentication(format!("{} {what}", self.name())),
        })
    }

    /// Whether the token has the claim that brokers look for.
    fn check(&self, token: &Token) -> Result<(), Error> {
        match &self.settings.subject_claim {
            Some(claim) if !has_claim(token, claim) => Err(Error::authentication(format!(
                "{} gave a token without the claim {claim:?}: ask for another scope, or set sasl.oauthbearer.sub.claim.name",
                self.name()
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether a token is opaque, or a JWT with this claim.
fn has_claim(token: &Token, name: &str) -> bool {
    let claims = token.value().expose_text().and_then(jwt::claims);
    claims.is_none_or(|claims| claims.get(name).is_some_and(|value| value.as_str().is_none_or(|text| !text.is_empty())))
}

const TARGET: &str = "ottla::connection";

async fn made(assertion: &Assertion) -> Result<Secret, Error> {
    let assertion = assertion.clone();
    let now = clock::since_epoch();
    let making = tokio::task::spawn_blocking(move || assertion.make(now));
    making.await.unwrap_or_else(|_| Err(Error::new(Kind::Connect, "the runtime ends")))
}
