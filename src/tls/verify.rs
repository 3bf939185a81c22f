//! The checks of a broker's certificate.

use std::error;
use std::fmt;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::OtherError;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::verify_tls12_signature;
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::ParsedCertificate;

use super::certificate::common_name;
use super::certificate::validity;
use super::roots::Trusted;

/// The checks of a broker's certificate.
///
/// ```no_run
/// use ottla::tls::{Pem, Tls, Verify};
///
/// // Brokers are reached through a tunnel, by a name that is not theirs.
/// let tls = Tls::builder().ca(Pem::file("ca.pem")).verify(Verify::CaOnly).build()?;
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Verify {
    /// That it leads to a trusted CA, is valid now, and is for the host that was dialled.
    #[default]
    Full,
    /// As `Full`, but for any host (`ssl.endpoint.identification.algorithm` empty). Whoever has a certificate of the same CA can pose as
    /// a broker.
    CaOnly,
    /// Nothing (librdkafka's `enable.ssl.certificate.verification=false`). Anybody between client and broker can read and change
    /// everything, credentials too.
    DangerouslyNone,
}

#[derive(Debug)]
pub(super) struct Verifier {
    trusted: Trusted,
    verify: Verify,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    pub(super) fn new(trusted: Trusted, verify: Verify, provider: &CryptoProvider) -> Self {
        Self { trusted, verify, algorithms: provider.signature_verification_algorithms }
    }

    fn verify_chain(
        &self,
        own: &CertificateDer<'_>,
        parsed: &ParsedCertificate<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        if self.trusted.given.iter().any(|given| given.as_ref() == own.as_ref()) {
            return verify_dates(own, now);
        }
        let algorithms = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(parsed, &self.trusted.roots, others, now, algorithms).map_err(
            |error| match error {
                Error::InvalidCertificate(CertificateError::UnknownIssuer) => self.untrusted(own),
                error => self.as_its_own_ca(own, error),
            },
        )
    }

    /// A certificate that does not lead to a trusted CA.
    fn untrusted(&self, own: &CertificateDer<'_>) -> Error {
        let from = &self.trusted.from;
        let Ok(certificate) = webpki::EndEntityCert::try_from(own) else {
            return CertificateError::UnknownIssuer.into();
        };
        if certificate.issuer() == certificate.subject() {
            return other(format!(
                "is self-signed, and is none of the trusted ones ({from}): trust it by adding it to them"
            ));
        }
        let issuer =
            common_name(certificate.issuer()).map_or("a CA without a name".to_owned(), |name| format!("{name:?}"));
        other(format!(
            "is signed by {issuer}, which leads to no trusted CA ({from}): add its CA to them, or let the server send the \
             certificates between"
        ))
    }

    /// A self-signed certificate that may sign others is refused for that, before anybody asks who signed it.
    fn as_its_own_ca(&self, own: &CertificateDer<'_>, error: Error) -> Error {
        let is_ca = match &error {
            Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) => {
                matches!(cause.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
            }
            _ => false,
        };
        if is_ca { self.untrusted(own) } else { error }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.verify != Verify::DangerouslyNone {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            self.verify_chain(end_entity, &parsed, intermediates, now)?;
            if self.verify == Verify::Full {
                verify_server_name(&parsed, server_name)?;
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Checks the dates of a certificate that is trusted as it is.
fn verify_dates(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (first, last) = validity(certificate).ok_or(CertificateError::BadEncoding)?;
    let at = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    if now.as_secs() < first {
        return Err(CertificateError::NotValidYetContext { time: now, not_before: at(first) }.into());
    }
    if last < now.as_secs() {
        return Err(CertificateError::ExpiredContext { time: now, not_after: at(last) }.into());
    }
    Ok(())
}

/// Why a certificate is refused, in words that follow "the certificate".
#[derive(Debug)]
pub(super) struct Untrusted(pub(super) String);

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the certificate {}", self.0)
    }
}

impl error::Error for Untrusted {}

fn other(text: String) -> Error {
    CertificateError::Other(OtherError(Arc::new(Untrusted(text)))).into()
}
