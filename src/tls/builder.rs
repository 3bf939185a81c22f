//! From the user's choices to a configuration of rustls.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::SupportedProtocolVersion;
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS12;
use rustls::version::TLS13;

use super::Inner;
use super::Loaded;
use super::Tls;
use super::key;
use super::pem::Content;
use super::pem::Pem;
use super::provider;
use super::roots::Roots;
use super::roots::Trusted;
use super::verify::Verifier;
use super::verify::Verify;
use crate::error::Error;

/// A version of TLS. Older ones are not spoken.
///
/// ```
/// use ottla::tls::{Tls, TlsVersion};
///
/// let builder = Tls::builder().versions([TlsVersion::V1_3]);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl TlsVersion {
    fn supported(self) -> &'static SupportedProtocolVersion {
        match self {
            Self::V1_2 => &TLS12,
            Self::V1_3 => &TLS13,
        }
    }
}

/// Settings of a [`Tls`]. Made by [`Tls::builder`].
///
/// ```no_run
/// use ottla::tls::{Pem, Tls};
///
/// // A private CA; the client's certificate and key are in one file.
/// let tls = Tls::builder().ca(Pem::file("ca.pem")).identity(Pem::file("client.pem"), Pem::file("client.pem")).build()?;
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct TlsBuilder {
    ca: Vec<Pem>,
    roots: Option<Roots>,
    identity: Option<(Pem, Pem)>,
    verify: Verify,
    versions: Vec<TlsVersion>,
}

impl TlsBuilder {
    /// Trusts the certificates in it (`ssl.truststore.location`, `ssl.truststore.certificates`; librdkafka's `ssl.ca.location`,
    /// `ssl.ca.pem`), and no longer those of the system unless [`TlsBuilder::roots`] is called too. May be called several times. A folder
    /// stands for the files in it.
    ///
    /// A broker's own certificate may be given instead of its CA's: that certificate alone is then trusted.
    pub fn ca(mut self, ca: impl Into<Pem>) -> Self {
        self.ca.push(ca.into());
        self
    }

    /// Trusts a collection of CAs. The default is [`Roots::System`] if no [CA](TlsBuilder::ca) is given.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = Some(roots);
        self
    }

    /// The certificate that the client shows, followed by those that lead to its CA, and its private key
    /// (`ssl.keystore.certificate.chain`, `ssl.keystore.key`, `ssl.keystore.location`; librdkafka's `ssl.certificate.location`,
    /// `ssl.key.location`). Both may be in one file. By default the client has none.
    ///
    /// Keys are PKCS#8, PKCS#1 (RSA) or SEC1 (EC), not encrypted.
    pub fn identity(mut self, certificate: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        self.identity = Some((certificate.into(), key.into()));
        self
    }

    /// The checks of a broker's certificate (`ssl.endpoint.identification.algorithm`; librdkafka's
    /// `enable.ssl.certificate.verification`). The default is [`Verify::Full`].
    pub fn verify(mut self, verify: Verify) -> Self {
        self.verify = verify;
        self
    }

    /// The versions of TLS that are spoken (`ssl.enabled.protocols`, `ssl.protocol`). The default is 1.3 and 1.2.
    pub fn versions(mut self, versions: impl IntoIterator<Item = TlsVersion>) -> Self {
        self.versions = versions.into_iter().collect();
        self
    }

    /// Reads the files and checks everything. Blocks the thread while it reads.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config), with the file and the remedy: a file cannot be read, is empty, has something else than
    /// what is due, or has another format (JKS, PKCS#12, an encrypted key); the key does not belong to the certificate; there is no
    /// trusted CA, or no cryptography for this processor.
    pub fn build(self) -> Result<Tls, Error> {
        let first = self.load(self.read()?)?;
        Ok(Tls(Arc::new(Inner { source: Some(self), first })))
    }

    pub(super) fn has_files(&self) -> bool {
        let identity = self.identity.iter().flat_map(|(certificate, key)| [certificate, key]);
        self.ca.iter().chain(identity).any(Pem::is_file)
    }

    /// Reads what the configuration is made of.
    pub(super) fn read(&self) -> Result<Material, Error> {
        let ca = self.ca.iter().map(|pem| pem.read("CA")).collect::<Result<_, _>>()?;
        let identity = match &self.identity {
            Some((certificate, key)) => Some((certificate.read("client certificate")?, key.read("private key")?)),
            None => None,
        };
        Ok(Material { ca, identity })
    }

    /// Makes the configuration.
    pub(super) fn load(&self, material: Material) -> Result<Loaded, Error> {
        let provider = provider::resolve()?;
        let given = self.ca.iter().zip(&material.ca);
        let trusted = match self.verify {
            Verify::DangerouslyNone => Trusted::default(),
            Verify::Full | Verify::CaOnly => Trusted::load(given, self.roots)?,
        };
        let verifier = Verifier::new(trusted, self.verify, &provider);
        let versions = self.supported();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| {
                Error::config("the cryptography provider has no cipher for these versions of TLS").caused_by(error)
            })?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let config = match (&self.identity, &material.identity) {
            (Some((chain, key)), Some((chain_text, key_text))) => {
                let certified = key::certified((chain, chain_text), (key, key_text), &provider)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            _ => builder.with_no_client_auth(),
        };
        let has_identity = self.identity.is_some();
        Ok(Loaded { config: Arc::new(config), has_identity, material: Arc::new(material) })
    }

    fn supported(&self) -> Vec<&'static SupportedProtocolVersion> {
        let chosen = |version: &TlsVersion| self.versions.is_empty() || self.versions.contains(version);
        let both = [TlsVersion::V1_3, TlsVersion::V1_2];
        both.into_iter().filter(chosen).map(TlsVersion::supported).collect()
    }
}

/// The contents of files and texts.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Material {
    ca: Vec<Content>,
    /// A chain of certificates, and a key.
    identity: Option<(Content, Content)>,
}
