//! TLS: which certificates are trusted, which one the client shows, and what is checked (feature `tls`).
//!
//! [`Tls`] is passed to [`ClientBuilder::tls`](crate::client::ClientBuilder::tls) and counts for every connection of the client: the
//! brokers that metadata names are reached as the bootstrap addresses are, and nothing that a broker says lowers that.
//!
//! ```no_run
//! # let program = async {
//! use ottla::Client;
//! use ottla::tls::{Pem, Tls};
//!
//! let tls = Tls::builder().ca(Pem::file("ca.pem")).identity(Pem::file("client.pem"), Pem::file("client.key")).build()?;
//! let client = Client::builder(["broker.example:9093"])?.tls(tls).connect().await?;
//! # Ok::<(), ottla::Error>(()) };
//! ```
//!
//! # What is checked
//!
//! By default ([`Verify::Full`]) a broker's certificate must lead to a trusted CA, be valid now, and be for the host that the client
//! dialled: a bootstrap address, or the host that a broker advertises. Names are compared with the certificate's alternative names
//! (`subjectAltName`), addresses with its IP addresses; its common name does not count. A certificate that is refused is
//! [`Kind::Tls`](crate::error::Kind::Tls) at once and not retried; the error says why, and which names the certificate has.
//!
//! TLS 1.3 and 1.2 are spoken. Sessions are resumed. Revocation is not checked.
//!
//! # Properties
//!
//! A client that is made from [`Properties`](crate::config::Properties) reads Java's names, with keystores in PEM form, and librdkafka's:
//! `security.protocol=ssl`, `ssl.truststore.location` or `ssl.ca.location`, and so on: see `docs/CONFIG.md`.
//!
//! # Files
//!
//! Files are read again whenever a connection is made, so that certificates rotate without a restart. If they cannot be used then, the
//! client goes on with those it has, and logs a warning.
//!
//! # Cryptography
//!
//! It comes from the provider that the process has installed by `rustls::crypto::CryptoProvider::install_default`, if it has one;
//! otherwise from [graviola](https://docs.rs/graviola), which needs no C compiler; otherwise from *ring* or AWS-LC, if the feature
//! `tls-ring` or `tls-aws-lc` is on. Both of these need a C compiler. graviola needs an x86-64 processor with AES, PCLMULQDQ, BMI1, ADX
//! and AVX2, or an AArch64 one with AES, PMULL and SHA-2; on others [`TlsBuilder::build`] returns an error that says so.

use std::fmt;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::error::Error;

mod builder;
mod certificate;
mod key;
mod name;
mod pem;
mod properties;
pub(crate) mod provider;
mod refusal;
mod roots;
mod verify;

use self::builder::Material;
pub use self::builder::TlsBuilder;
pub use self::builder::TlsVersion;
#[cfg(feature = "sasl-oauth")]
pub(crate) use self::certificate::element as der_element;
pub(crate) use self::name::server_name;
pub use self::pem::Pem;
pub(crate) use self::refusal::Peer;
pub(crate) use self::refusal::explain;
pub use self::roots::Roots;
pub use self::verify::Verify;

/// How a client encrypts its connections. Cheap to clone; clones share resumed sessions.
///
/// Made by [`Tls::builder`]. `Debug` shows names of files and no contents.
///
/// ```
/// // The CAs of the system, no client certificate.
/// let tls = ottla::tls::Tls::builder().build();
/// # let _ = tls;
/// ```
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    /// `None` for a configuration of the user's.
    source: Option<TlsBuilder>,
    first: Loaded,
}

/// A configuration, and what it was made of.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) config: Arc<ClientConfig>,
    /// Whether the client has a certificate to show, as far as is known.
    pub(crate) has_identity: bool,
    material: Arc<Material>,
}

impl Tls {
    /// Begins with the CAs of the system, no client certificate, and full verification. See [`TlsBuilder`].
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    /// Takes a configuration of rustls 0.23 as it is: its roots, verifier, identity, provider and versions count, and no file is read.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// fn tls(config: rustls::ClientConfig) -> ottla::tls::Tls {
    ///     ottla::tls::Tls::from_rustls(Arc::new(config))
    /// }
    /// ```
    #[cfg(feature = "rustls-023")]
    pub fn from_rustls(config: Arc<ClientConfig>) -> Self {
        let has_identity = config.client_auth_cert_resolver.has_certs();
        let first = Loaded { config, has_identity, material: Arc::default() };
        Self(Arc::new(Inner { source: None, first }))
    }

    /// The configuration as it was when this was built.
    pub(crate) fn first(&self) -> &Loaded {
        &self.0.first
    }

    /// Whether the configuration comes from files, which may change.
    pub(crate) fn has_files(&self) -> bool {
        self.0.source.as_ref().is_some_and(TlsBuilder::has_files)
    }

    /// Reads the files again; `None` if they are as they were. Blocks the thread.
    pub(crate) fn reload(&self, current: &Loaded) -> Result<Option<Loaded>, Error> {
        let Some(builder) = &self.0.source else { return Ok(None) };
        let material = builder.read()?;
        if material == *current.material { Ok(None) } else { builder.load(material).map(Some) }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.source {
            Some(builder) => f.debug_tuple("Tls").field(builder).finish(),
            None => f.write_str("Tls(rustls)"),
        }
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("has_identity", &self.has_identity).finish_non_exhaustive()
    }
}
