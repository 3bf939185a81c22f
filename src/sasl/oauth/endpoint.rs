//! Tokens from a token endpoint: what it is asked for, how long, and how often.

use std::fmt;
use std::future::Future;
use std::time::Duration;
use std::time::SystemTime;

use tokio::time::timeout;

use super::Fetching;
use super::TokenSource;
use super::assertion::Assertion;
use super::grant::Form;
use super::http;
use super::http::Failure;
use super::token::Token;
use super::unix_ms;
use super::url::Url;
use crate::config::HostPort;
use crate::error::Error;
use crate::error::Kind;
use crate::net::Connector;
use crate::net::Stream;
use crate::net::Tcp;
use crate::net::clock;
use crate::net::secure::Secure;
use crate::secret::Secret;
use crate::tls;
use crate::tls::Peer;
use crate::tls::Tls;
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
    settings: TokenEndpointBuilder,
    url: Url,
    /// How connections are encrypted, if they are.
    secure: Option<Secure>,
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

/// The proof that a client shows to a token endpoint.
#[derive(Clone, Debug)]
enum Credentials {
    Assertion { id: Option<String>, assertion: Assertion },
    Bearer(Assertion),
    Secret { id: String, secret: Secret },
}

/// Settings of a [`TokenEndpoint`].
///
/// ```no_run
/// use std::time::Duration;
/// use ottla::sasl::TokenEndpoint;
/// use ottla::tls::{Pem, Tls};
///
/// let endpoint = TokenEndpoint::client_credentials("https://idp.example/oauth2/token", "client-7", "correct horse")
///     .scope("kafka.read kafka.write")
///     .tls(Tls::builder().ca(Pem::file("/etc/ssl/company.pem")).build()?)
///     .read_timeout(Duration::from_secs(10))
///     .build()?;
/// # Ok::<(), ottla::Error>(())
/// ```
#[must_use = "it is made by `build`"]
pub struct TokenEndpointBuilder {
    url: String,
    credentials: Credentials,
    scope: Option<String>,
    extensions: Vec<(String, String)>,
    is_url_encoded: bool,
    subject_claim: Option<String>,
    tls: Option<Tls>,
    connector: Box<dyn Connector>,
    is_http_allowed: bool,
    connect_timeout: Duration,
    read_timeout: Duration,
    retry_backoff: Duration,
    retry_backoff_max: Duration,
}

/// How long a connection to the endpoint may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take. With the time before, it is less than the set-up of a broker's connection may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(5);

impl TokenEndpointBuilder {
    fn new(url: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            url: url.into(),
            credentials,
            scope: None,
            extensions: Vec::new(),
            is_url_encoded: false,
            subject_claim: None,
            tls: None,
            connector: Box::new(Tcp),
            is_http_allowed: false,
            connect_timeout: CONNECT_TIMEOUT,
            read_timeout: READ_TIMEOUT,
            retry_backoff: RETRY_BACKOFF,
            retry_backoff_max: RETRY_BACKOFF_MAX,
        }
    }

    /// The scopes that are asked for, with spaces between them (`sasl.oauthbearer.scope`). By default the server decides.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// The id of the client beside [`TokenEndpoint::client_assertion`], for servers that want it. Without a meaning for the other ways.
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        if let Credentials::Assertion { id, .. } = &mut self.credentials {
            *id = Some(client_id.into());
        }
        self
    }

    /// Adds an extension to each token (KIP-342). See [`Token::extension`].
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.push((name.into(), value.into()));
        self
    }

    /// Encodes id and secret before they are sent, as RFC 6749 demands and few servers expect
    /// (`sasl.oauthbearer.header.urlencode`, KIP-1025). By default they are sent as they are, as Java's client does.
    pub fn url_encoded_credentials(mut self) -> Self {
        self.is_url_encoded = true;
        self
    }

    /// Refuses tokens without this claim (`sasl.oauthbearer.sub.claim.name`): brokers that find no user in a token refuse it with fewer
    /// words. By default the client does not look at it.
    pub fn subject_claim(mut self, name: impl Into<String>) -> Self {
        self.subject_claim = Some(name.into());
        self
    }

    /// The CAs that are trusted, and the certificate that the client shows (`https.ca.location`, `https.ca.pem`). The default is that of
    /// [`Tls::builder`]: the CAs of the system. The brokers' CAs have no part in it.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Dials the endpoint: for a proxy or a test. The default is [`Tcp`].
    pub fn connector(mut self, connector: impl Connector + 'static) -> Self {
        self.connector = Box::new(connector);
        self
    }

    /// Allows an URL of the scheme `http`, which shows secrets and tokens to everybody on the way: for tests, and for an agent on this
    /// machine.
    pub fn dangerously_allow_http(mut self) -> Self {
        self.is_http_allowed = true;
        self
    }

    /// How long a connection may take, with the TLS handshake (`sasl.login.connect.timeout.ms`): 5 s by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long an answer may take, to its last byte (`sasl.login.read.timeout.ms`): 5 s by default.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// The pause after the first attempt that fails; it doubles with each (`sasl.login.retry.backoff.ms`): 100 ms by default.
    pub fn retry_backoff(mut self, pause: Duration) -> Self {
        self.retry_backoff = pause;
        self
    }

    /// How long attempts are repeated (`sasl.login.retry.backoff.max.ms`): 5 s by default. An attempt that would end later if it took
    /// as long as the longest before it is not begun.
    pub fn retry_backoff_max(mut self, time: Duration) -> Self {
        self.retry_backoff_max = time;
        self
    }

    /// Checks the settings, and reads the files of an assertion and, for the first time, of CAs. Blocks the thread while it reads.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] with the remedy: the URL is none, or not of https; id or secret are empty; a key or
    /// a file cannot be used; there is no trusted CA.
    pub fn build(mut self) -> Result<TokenEndpoint, Error> {
        let url = Url::parse(&self.url)?;
        // Errors show the form without a query.
        self.url.clear();
        if !url.is_encrypted && !self.is_http_allowed {
            let text =
                format!("{url} would be sent secrets unencrypted: use https, or allow it by dangerously_allow_http");
            return Err(Error::config(text));
        }
        self.check()?;
        let tls =
            if url.is_encrypted { Some(self.tls.take().map_or_else(|| Tls::builder().build(), Ok)?) } else { None };
        if url.is_encrypted {
            tls::server_name(&url.host)?;
        }
        let secure = tls.map(|tls| Secure::new(tls, Peer::TokenEndpoint));
        Ok(TokenEndpoint { settings: self, url, secure })
    }

    fn check(&self) -> Result<(), Error> {
        match &self.credentials {
            Credentials::Secret { id, secret } => {
                let secret = secret.expose_text().unwrap_or_default();
                if id.trim().is_empty() || secret.trim().is_empty() {
                    return Err(Error::config(
                        "a token endpoint needs the id and the secret of the client, and one is empty",
                    ));
                }
                if !self.is_url_encoded && id.contains(':') {
                    let text = "the id of an OAuth client cannot have a colon unless it is encoded: call \
                                url_encoded_credentials, or set sasl.oauthbearer.header.urlencode=true";
                    return Err(Error::config(text));
                }
            }
            Credentials::Bearer(assertion) | Credentials::Assertion { assertion, .. } => {
                assertion.make(Duration::from_millis(unix_ms())).map_err(|error| {
                    Error::config("the assertion for the token endpoint cannot be made").caused_by(error)
                })?;
            }
        }
        let token = self
            .extensions
            .iter()
            .fold(Token::new("x", SystemTime::UNIX_EPOCH), |token, (name, value)| token.extension(name, value));
        token.check().map_err(|error| Error::config(error.to_string()))
    }
}

impl fmt::Debug for TokenEndpointBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may have a secret in its query.
        f.debug_struct("TokenEndpointBuilder")
            .field("credentials", &self.credentials)
            .field("scope", &self.scope)
            .field("extensions", &self.extensions)
            .field("connector", &self.connector)
            .field("tls", &self.tls)
            .finish_non_exhaustive()
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
        let token = answer.token(&form, &self.name(), Duration::from_millis(unix_ms()))?;
        self.check(&token)?;
        Ok(self.settings.extensions.iter().fold(token, |token, (name, value)| token.extension(name, value)))
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

    async fn post(&self, stream: Box<dyn Stream>, form: &Form) -> Result<super::grant::Answer, Error> {
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
            Some(claim) if !token.has_claim(claim) => Err(Error::authentication(format!(
                "{} gave a token without the claim {claim:?}: ask for another scope, or set sasl.oauthbearer.sub.claim.name",
                self.name()
            ))),
            _ => Ok(()),
        }
    }
}

const TARGET: &str = "ottla::connection";

async fn made(assertion: &Assertion) -> Result<Secret, Error> {
    let assertion = assertion.clone();
    let now = Duration::from_millis(unix_ms());
    let making = tokio::task::spawn_blocking(move || assertion.make(now));
    making.await.unwrap_or_else(|_| Err(Error::new(Kind::Connect, "the runtime ends")))
}
