//! The CAs that are trusted.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::pem::Content;
use super::pem::Pem;
use crate::error::Error;

/// A collection of CAs, for [`TlsBuilder::roots`](super::TlsBuilder::roots).
///
/// ```no_run
/// use ottla::tls::{Pem, Roots, Tls};
///
/// // A private CA beside the public ones.
/// let tls = Tls::builder().ca(Pem::file("ca.pem")).roots(Roots::System).build()?;
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Roots {
    /// Those of the operating system. On Linux the environment variables `SSL_CERT_FILE` and `SSL_CERT_DIR` name others, as for OpenSSL.
    System,
    /// Those of Mozilla, compiled in (feature `webpki-roots`): for containers without a system.
    #[cfg(feature = "webpki-roots")]
    Bundled,
}

/// The CAs that are trusted, and where they come from.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) roots: Arc<RootCertStore>,
    /// The certificates that were given. A broker may show one of them as its own.
    pub(super) given: Vec<CertificateDer<'static>>,
    /// Where they come from, for errors.
    pub(super) from: String,
}

impl Default for Trusted {
    fn default() -> Self {
        Self { roots: Arc::new(RootCertStore::empty()), given: Vec::new(), from: String::new() }
    }
}

impl Trusted {
    /// Takes the certificates that were given and read, and a collection.
    pub(super) fn load<'a>(
        read: impl Iterator<Item = (&'a Pem, &'a Content)>,
        collection: Option<Roots>,
    ) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        let (mut given, mut from) = (Vec::new(), Vec::new());
        for (pem, bytes) in read {
            let place = pem.place("CA");
            for (number, certificate) in (1..).zip(pem.certificates("CA", bytes)?) {
                roots.add(certificate.clone()).map_err(|error| {
                    let text =
                        format!("certificate {number} of {place} cannot be used: make it again, as X.509 version 3");
                    Error::config(text).caused_by(error)
                })?;
                given.push(certificate);
            }
            from.push(place);
        }
        let default = given.is_empty().then_some(Roots::System);
        if let Some(collection) = collection.or(default) {
            from.push(collection.add_to(&mut roots)?.to_owned());
        }
        Ok(Self { roots: Arc::new(roots), given, from: from.join(", ") })
    }
}

impl Roots {
    /// Adds the collection, and says where it comes from.
    fn add_to(self, roots: &mut RootCertStore) -> Result<&'static str, Error> {
        match self {
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = roots.add_parsable_certificates(found.certs);
                if added == 0 {
                    let text = "the system has no trusted CAs: install the package ca-certificates, or give the CA of the server";
                    let error = Error::config(text);
                    return Err(match found.errors.into_iter().next() {
                        Some(cause) => error.caused_by(cause),
                        None => error,
                    });
                }
                Ok("the system")
            }
            #[cfg(feature = "webpki-roots")]
            Self::Bundled => {
                roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                Ok("Mozilla's list")
            }
        }
    }
}
