//! Certificates for tests, made in memory: a CA, and what it signs.

use std::fmt;

use graviola::hashing::Sha256;
use graviola::signing::ecdsa;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::Error;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyUsagePurpose;
use rcgen::PublicKeyData;
use rcgen::SerialNumber;
use rcgen::SignatureAlgorithm;
use rcgen::SigningKey;
use rcgen::date_time_ymd;

/// A key on P-256.
struct Key {
    signing: ecdsa::SigningKey<ecdsa::P256>,
    point: Vec<u8>,
}

impl Key {
    fn generate() -> Self {
        let signing = ecdsa::SigningKey::<ecdsa::P256>::generate().expect("random numbers");
        let mut buffer = [0; 256];
        let info = signing.to_spki_der(&mut buffer).expect("the buffer is large enough");
        // The point is what ends it: 4, x, y.
        let point = info[info.len() - 65..].to_vec();
        Self { signing, point }
    }

    fn pem(&self) -> String {
        let mut buffer = [0; 512];
        let der = self.signing.to_pkcs8_der(&mut buffer).expect("the buffer is large enough");
        pem::encode(&pem::Pem::new("PRIVATE KEY", der))
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut buffer = [0; 128];
        let signature = self.signing.sign_asn1::<Sha256>(&[message], &mut buffer).expect("a signature");
        Ok(signature.to_vec())
    }
}

/// A certificate with its private key, as PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub chain: String,
    /// Its private key, in PKCS#8.
    pub key: String,
}

/// The years from and until whose first day a certificate is valid.
pub type Years = (i32, i32);

/// Long before and long after today.
pub const VALID: Years = (2020, 2120);
/// Long ago.
pub const EXPIRED: Years = (2020, 2021);
/// Long from now.
pub const FUTURE: Years = (2120, 2121);

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    pem: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// A CA of this common name.
    pub fn new(name: &str) -> Self {
        let key = Key::generate();
        let mut params = params(name, &[], VALID);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages.clear();
        let pem = params.self_signed(&key).expect("well-formed").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its own certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for names and addresses, valid now.
    pub fn sign(&self, names: &[&str]) -> Identity {
        self.sign_for(names, VALID)
    }

    /// A certificate for names and addresses.
    pub fn sign_for(&self, names: &[&str], years: Years) -> Identity {
        let key = Key::generate();
        let certificate = params("leaf", names, years).signed_by(&key, &self.issuer).expect("well-formed");
        Identity { chain: certificate.pem(), key: key.pem() }
    }
}

/// A certificate that no CA has signed. `may_sign` makes it a CA, as `openssl req -x509` does.
pub fn self_signed(names: &[&str], years: Years, may_sign: bool) -> Identity {
    let key = Key::generate();
    let mut params = params("lonely", names, years);
    if may_sign {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    Identity { chain: params.self_signed(&key).expect("well-formed").pem(), key: key.pem() }
}

fn params(name: &str, names: &[&str], (first, last): Years) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("well-formed names");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(fastrand::u64(1..)));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = date_time_ymd(first, 1, 1);
    params.not_after = date_time_ymd(last, 1, 1);
    params
}
