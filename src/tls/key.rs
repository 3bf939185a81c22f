//! The client's certificate with its private key.

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::sign::SigningKey;

use super::pem::Pem;
use crate::error::Error;

/// Reads a chain of certificates and the private key of the first of them, and checks that they belong together.
pub(super) fn certified(
    (chain, chain_text): (&Pem, &[u8]),
    (key, key_text): (&Pem, &[u8]),
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let certificates = chain.certificates("client certificate", chain_text)?;
    let der = key.key("private key", key_text)?;
    let signing = provider.key_provider.load_private_key(der).map_err(|_| {
        // The reason could quote the key.
        let text = format!(
            "{} has a key that cannot be used: RSA keys of 2048 to 8192 bits, EC keys on P-256 or P-384, and Ed25519 keys can",
            key.place("private key")
        );
        Error::config(text)
    })?;
    match belongs(&certificates[0], &*signing, provider) {
        Ok(true) => Ok(CertifiedKey::new(certificates, signing)),
        Ok(false) => Err(Error::config(format!(
            "{} does not belong to the first certificate of {}: give the key that the certificate was made for, and the client's \
             certificate before those of its CAs",
            key.place("private key"),
            chain.place("client certificate")
        ))),
        Err(error) => {
            let text = format!("the first certificate of {} cannot be used", chain.place("client certificate"));
            Err(Error::config(text).caused_by(error))
        }
    }
}

/// Whether a key is that of a certificate: what it signs, the certificate verifies. (Not every provider can tell the public key of a
/// private one.)
fn belongs(
    certificate: &CertificateDer<'_>,
    key: &dyn SigningKey,
    provider: &CryptoProvider,
) -> Result<bool, webpki::Error> {
    const MESSAGE: &[u8] = b"whether this key belongs to this certificate";
    let certificate = webpki::EndEntityCert::try_from(certificate)?;
    let mapping = provider.signature_verification_algorithms.mapping;
    let signer = mapping.iter().find_map(|(scheme, algorithms)| Some((key.choose_scheme(&[*scheme])?, algorithms)));
    let Some((signer, algorithms)) = signer else { return Ok(false) };
    let Ok(signature) = signer.sign(MESSAGE) else { return Ok(false) };
    Ok(algorithms.iter().any(|algorithm| certificate.verify_signature(*algorithm, MESSAGE, &signature).is_ok()))
}
