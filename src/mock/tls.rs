//! Serves connections over TLS, and breaks handshakes on purpose.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustls::HandshakeKind;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::tls::provider;

/// How the brokers of a mock cluster serve TLS, for [`Server::set_tls`](crate::mock::Server::set_tls) (feature `tls`).
///
/// ```no_run
/// use ottla::mock::{Cluster, Server, ServerTls};
///
/// let server = Server::in_memory(Cluster::builder().build());
/// # let (chain, key, client_ca) = ("", "", "");
/// server.set_tls(ServerTls::from_pem(chain, key)?.client_ca(client_ca)?);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct ServerTls(Serving);

#[derive(Clone)]
enum Serving {
    Pem {
        chain: String,
        key: String,
        client_ca: Option<String>,
        config: Arc<ServerConfig>,
    },
    #[cfg(feature = "rustls-023")]
    Given(Arc<ServerConfig>),
    Broken(TlsFault),
}

/// The behaviour of a broker instead of a handshake. See [`ServerTls::broken`].
///
/// ```no_run
/// use ottla::mock::{Cluster, Server, ServerTls, TlsFault};
///
/// let server = Server::in_memory(Cluster::builder().build());
/// // A client gives up after its set-up timeout.
/// server.set_tls(ServerTls::broken(TlsFault::Silent));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsFault {
    /// It answers the first bytes with bytes that are not TLS.
    Garbage,
    /// It reads the first bytes and closes the connection.
    Close,
    /// It answers the first bytes with the beginning of a record, and then closes the connection.
    Cut,
    /// It reads and never answers.
    Silent,
}

impl ServerTls {
    /// Serves a certificate, followed by those that lead to its CA, with its private key, all as PEM text.
    ///
    /// # Errors
    ///
    /// The text is not PEM, the key cannot be used or belongs to another certificate, or there is no cryptography for this processor
    /// (see [`tls`](crate::tls#cryptography)).
    pub fn from_pem(chain: &str, key: &str) -> io::Result<Self> {
        let config = Arc::new(configuration(chain, key, None)?);
        Ok(Self(Serving::Pem { chain: chain.to_owned(), key: key.to_owned(), client_ca: None, config }))
    }

    /// Demands a certificate of clients that leads to this CA, as `ssl.client.auth=required` does. It has an effect on
    /// [`ServerTls::from_pem`] only.
    pub fn client_ca(self, ca: &str) -> io::Result<Self> {
        let Serving::Pem { chain, key, .. } = self.0 else { return Ok(self) };
        let config = Arc::new(configuration(&chain, &key, Some(ca))?);
        Ok(Self(Serving::Pem { chain, key, client_ca: Some(ca.to_owned()), config }))
    }

    /// Serves by a configuration of rustls 0.23.
    ///
    /// ```
    /// fn tls(config: rustls::ServerConfig) -> ottla::mock::ServerTls {
    ///     ottla::mock::ServerTls::from_rustls(std::sync::Arc::new(config))
    /// }
    /// ```
    #[cfg(feature = "rustls-023")]
    pub fn from_rustls(config: Arc<ServerConfig>) -> Self {
        Self(Serving::Given(config))
    }

    /// Breaks every handshake.
    pub fn broken(fault: TlsFault) -> Self {
        Self(Serving::Broken(fault))
    }

    /// Shakes hands on a connection. `None` where it ends before.
    pub(super) async fn accept<S>(self, mut stream: S, counts: &Handshakes) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = match self.0 {
            Serving::Pem { config, .. } => config,
            #[cfg(feature = "rustls-023")]
            Serving::Given(config) => config,
            Serving::Broken(fault) => {
                // The other side may be gone.
                let _ = fault.play(&mut stream).await;
                return None;
            }
        };
        let stream = TlsAcceptor::from(config).accept(stream).await.ok()?;
        counts.count(stream.get_ref().1.handshake_kind());
        Some(stream)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Serving::Pem { client_ca: Some(_), .. } => f.write_str("ServerTls(client certificate required)"),
            Serving::Pem { .. } => f.write_str("ServerTls"),
            #[cfg(feature = "rustls-023")]
            Serving::Given(_) => f.write_str("ServerTls(rustls)"),
            Serving::Broken(fault) => write!(f, "ServerTls({fault:?})"),
        }
    }
}

impl TlsFault {
    async fn play(self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
        let mut hello = [0; 4_096];
        let _ = stream.read(&mut hello).await?;
        match self {
            Self::Garbage => stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await,
            Self::Close => Ok(()),
            Self::Cut => stream.write_all(&[22, 3, 3, 0, 122, 2, 0, 0]).await,
            Self::Silent => {
                while stream.read(&mut hello).await? > 0 {}
                Ok(())
            }
        }
    }
}

/// Handshakes that were completed.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    full: AtomicU64,
    resumed: AtomicU64,
}

impl Handshakes {
    fn count(&self, kind: Option<HandshakeKind>) {
        let counter = if kind == Some(HandshakeKind::Resumed) { &self.resumed } else { &self.full };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Those in full, and those that resumed a session.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.full.load(Ordering::Relaxed), self.resumed.load(Ordering::Relaxed))
    }
}

fn configuration(chain: &str, key: &str, client_ca: Option<&str>) -> io::Result<ServerConfig> {
    let provider = provider::resolve().map_err(io::Error::other)?;
    let certificates = certificates(chain)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(io::Error::other)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    let builder = match client_ca {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            for certificate in self::certificates(ca)? {
                roots.add(certificate).map_err(io::Error::other)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            let verifier: Arc<dyn ClientCertVerifier> = verifier.map_err(io::Error::other)?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    builder.with_single_cert(certificates, key).map_err(io::Error::other)
}

fn certificates(text: &str) -> io::Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(io::Error::other)
}
