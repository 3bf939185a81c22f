//! The settings of a token endpoint, and their checks.

use std::fmt;
use std::time::Duration;
use std::time::SystemTime;

use super::assertion::Assertion;
use super::endpoint::TokenEndpoint;
use super::url::Url;
use crate::error::Error;
#[cfg(doc)]
use crate::error::Kind;
use crate::net::Connector;
use crate::net::Tcp;
use crate::net::clock;
use crate::net::secure::Secure;
use crate::sasl::Token;
use crate::secret::Secret;
use crate::tls;
use crate::tls::Peer;
use crate::tls::Tls;

/// The proof that a client shows to a token endpoint.
#[derive(Clone, Debug)]
pub(super) enum Credentials {
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
    pub(super) url: String,
    pub(super) credentials: Credentials,
    pub(super) scope: Option<String>,
    pub(super) extensions: Vec<(String, String)>,
    pub(super) is_url_encoded: bool,
    pub(super) subject_claim: Option<String>,
    pub(super) tls: Option<Tls>,
    pub(super) connector: Box<dyn Connector>,
    pub(super) is_http_allowed: bool,
    pub(super) connect_timeout: Duration,
    pub(super) read_timeout: Duration,
    pub(super) retry_backoff: Duration,
    pub(super) retry_backoff_max: Duration,
}

/// How long a connection to the endpoint may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer may take. With the time before, it is less than the set-up of a broker's connection may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(5);

impl TokenEndpointBuilder {
    pub(super) fn new(url: impl Into<String>, credentials: Credentials) -> Self {
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
                assertion.make(clock::since_epoch()).map_err(|error| {
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
