//! Assertions: JWTs by which a client proves to a token endpoint who it is (RFC 7523, KIP-1139).

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustls::SignatureScheme;
use rustls::sign::Signer;
use serde_json::Map;
use serde_json::Value;

use super::file::read;
use super::jwt;
use crate::error::Error;
use crate::sasl::base64;
use crate::secret::Secret;
use crate::tls::Pem;
use crate::tls::der_element;
use crate::tls::provider;

/// An object of JSON.
type Object = Map<String, Value>;

/// How an assertion is signed.
///
/// ```
/// use ottla::sasl::{AssertionAlgorithm, SignedAssertion};
/// use ottla::tls::Pem;
///
/// let assertion = SignedAssertion::new(Pem::file("key.pem")).algorithm(AssertionAlgorithm::Es256);
/// # let _ = assertion;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AssertionAlgorithm {
    /// ECDSA on P-256 with SHA-256, by an EC key.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, by an RSA key. The default.
    #[default]
    Rs256,
}

impl AssertionAlgorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }

    fn scheme(self) -> SignatureScheme {
        match self {
            Self::Es256 => SignatureScheme::ECDSA_NISTP256_SHA256,
            Self::Rs256 => SignatureScheme::RSA_PKCS1_SHA256,
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::Es256 => "an EC key on P-256",
            Self::Rs256 => "an RSA key of 2048 bits or more",
        }
    }
}

/// An assertion of a client, for [`TokenEndpoint::jwt_bearer`](super::TokenEndpoint::jwt_bearer) and
/// [`TokenEndpoint::client_assertion`](super::TokenEndpoint::client_assertion) (feature `sasl-oauth`).
///
/// Either something else writes it into a file, or the client makes and signs one for each request: see [`SignedAssertion`].
///
/// ```
/// use ottla::sasl::{Assertion, SignedAssertion};
/// use ottla::tls::Pem;
///
/// let written = Assertion::file("/var/run/secrets/assertion");
/// let signed = Assertion::from(SignedAssertion::new(Pem::file("key.pem")).issuer("client-7").audience("https://idp.example"));
/// # let _ = (written, signed);
/// ```
#[derive(Clone, Debug)]
pub struct Assertion(Source);

#[derive(Clone, Debug)]
enum Source {
    File(PathBuf),
    Signed(Box<SignedAssertion>),
}

impl Assertion {
    /// The JWT in this file (`sasl.oauthbearer.assertion.file`). It is read again for each request.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// Makes one. `now` is the time since 1970. Blocks the thread: it reads files and signs.
    pub(super) fn make(&self, now: Duration) -> Result<Secret, Error> {
        match &self.0 {
            Source::File(path) => {
                let text = read(path, "assertion")?;
                match text.expose_text().and_then(jwt::claims) {
                    Some(_) => Ok(text),
                    None => Err(Error::config(format!(
                        "{} (assertion) is no JWT: it must have one, in three parts",
                        path.display()
                    ))),
                }
            }
            Source::Signed(signed) => signed.make(now.as_secs()),
        }
    }
}

impl From<SignedAssertion> for Assertion {
    fn from(signed: SignedAssertion) -> Self {
        Self(Source::Signed(Box::new(signed)))
    }
}

/// An assertion that the client makes and signs for each request (`sasl.oauthbearer.assertion.*`; feature `sasl-oauth`).
///
/// Its header has `alg` and `typ`, its claims `iat`, `exp` and `nbf`, and what is set here. Files are read again for each request.
///
/// ```
/// use std::time::Duration;
/// use ottla::sasl::SignedAssertion;
/// use ottla::tls::Pem;
///
/// let assertion = SignedAssertion::new(Pem::file("/etc/kafka/client.key"))
///     .issuer("client-7")
///     .subject("client-7")
///     .audience("https://idp.example/oauth2/token")
///     .key_id("2026-11")
///     .lifetime(Duration::from_secs(60))
///     .unique();
/// # let _ = assertion;
/// ```
#[derive(Clone)]
pub struct SignedAssertion {
    key: Pem,
    algorithm: AssertionAlgorithm,
    header: Object,
    claims: Object,
    template: Option<PathBuf>,
    lifetime: Duration,
    not_before: Duration,
    is_unique: bool,
}

impl SignedAssertion {
    /// Signed by this private key (`sasl.oauthbearer.assertion.private.key.file`): PKCS#8, PKCS#1 or SEC1, not encrypted.
    pub fn new(key: impl Into<Pem>) -> Self {
        Self {
            key: key.into(),
            algorithm: AssertionAlgorithm::default(),
            header: Map::new(),
            claims: Map::new(),
            template: None,
            lifetime: Duration::from_secs(300),
            not_before: Duration::from_secs(60),
            is_unique: false,
        }
    }

    /// How it is signed (`sasl.oauthbearer.assertion.algorithm`).
    pub fn algorithm(mut self, algorithm: AssertionAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The claim `iss` (`sasl.oauthbearer.assertion.claim.iss`): most servers want the id of the client.
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.claim("iss", issuer.into())
    }

    /// The claim `sub` (`sasl.oauthbearer.assertion.claim.sub`): most servers want the id of the client.
    pub fn subject(self, subject: impl Into<String>) -> Self {
        self.claim("sub", subject.into())
    }

    /// The claim `aud` (`sasl.oauthbearer.assertion.claim.aud`): most servers want the URL of the token endpoint.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        self.claim("aud", audience.into())
    }

    fn claim(mut self, name: &str, value: String) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// The header `kid`, by which the server finds the public key.
    pub fn key_id(mut self, id: impl Into<String>) -> Self {
        self.header.insert("kid".to_owned(), id.into().into());
        self
    }

    /// How long it is valid (`sasl.oauthbearer.assertion.claim.exp.seconds`): 300 s by default, a day at most.
    pub fn lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime.min(Duration::from_secs(86_400));
        self
    }

    /// How long before its making it is valid (`sasl.oauthbearer.assertion.claim.nbf.seconds`), for clocks that are late: 60 s by
    /// default, an hour at most.
    pub fn not_before(mut self, early: Duration) -> Self {
        self.not_before = early.min(Duration::from_secs(3_600));
        self
    }

    /// Gives each a random `jti` (`sasl.oauthbearer.assertion.claim.jti.include`), for servers that take an assertion once.
    pub fn unique(mut self) -> Self {
        self.is_unique = true;
        self
    }

    /// A JSON file of further headers and claims (`sasl.oauthbearer.assertion.template.file`), an object with `header` and `payload`.
    /// Settings made here win.
    pub fn template(mut self, path: impl Into<PathBuf>) -> Self {
        self.template = Some(path.into());
        self
    }

    fn make(&self, now: u64) -> Result<Secret, Error> {
        let (mut header, mut claims) = self.of_template()?;
        header.extend(self.header.clone());
        header.insert("alg".to_owned(), self.algorithm.name().into());
        header.insert("typ".to_owned(), "JWT".into());
        claims.extend(self.claims.clone());
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(self.lifetime.as_secs()).into());
        claims.insert("nbf".to_owned(), now.saturating_sub(self.not_before.as_secs()).into());
        if self.is_unique {
            claims.insert("jti".to_owned(), uuid()?.into());
        }
        let part = |object: Object| base64::encode_url(Value::Object(object).to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", base64::encode_url(&signature)).into())
    }

    /// The headers and claims of the template.
    fn of_template(&self) -> Result<(Object, Object), Error> {
        let Some(path) = &self.template else { return Ok(Default::default()) };
        let text = read(path, "template of assertions")?;
        let wrong = || {
            let form = "write it as {\"header\": {…}, \"payload\": {…}}";
            Error::config(format!("{} (template of assertions) is no such JSON: {form}", path.display()))
        };
        let mut object: Object = serde_json::from_slice(text.expose()).map_err(|_| wrong())?;
        let mut part = |name: &str| match object.remove(name) {
            None => Ok(Map::new()),
            Some(Value::Object(part)) => Ok(part),
            Some(_) => Err(wrong()),
        };
        Ok((part("header")?, part("payload")?))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signer = self.signer()?;
        // The reason could quote the key.
        let failed = |_| Error::config("could not sign an assertion by this key");
        let signature = signer.sign(message).map_err(failed)?;
        match self.algorithm {
            AssertionAlgorithm::Rs256 => Ok(signature),
            AssertionAlgorithm::Es256 => {
                fixed(&signature).ok_or_else(|| Error::config("the cryptography provider made no signature of P-256"))
            }
        }
    }

    fn signer(&self) -> Result<Box<dyn Signer>, Error> {
        const ROLE: &str = "private key";
        let der = self.key.key(ROLE, &self.key.read(ROLE)?)?;
        let wrong = || {
            let (place, name) = (self.key.place(ROLE), self.algorithm.name());
            Error::config(format!("{place} cannot sign assertions by {name}: that takes {}", self.algorithm.key()))
        };
        let key = provider::resolve()?.key_provider.load_private_key(der).map_err(|_| wrong())?;
        key.choose_scheme(&[self.algorithm.scheme()]).ok_or_else(wrong)
    }
}

impl fmt::Debug for SignedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, algorithm, header, claims, template, lifetime, not_before, is_unique } = self;
        f.debug_struct("SignedAssertion")
            .field("key", key)
            .field("algorithm", algorithm)
            .field("header", header)
            .field("claims", claims)
            .field("template", template)
            .field("lifetime", lifetime)
            .field("not_before", not_before)
            .field("is_unique", is_unique)
            .finish()
    }
}

/// A random UUID of version 4 (RFC 9562).
fn uuid() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| Error::config("the system gave no random numbers"))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}

/// From the two numbers in DER to those of JOSE, 32 bytes each (RFC 7518, 3.4).
fn fixed(der: &[u8]) -> Option<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 2;
    let (SEQUENCE, numbers, []) = der_element(der)? else { return None };
    let (INTEGER, r, rest) = der_element(numbers)? else { return None };
    let (INTEGER, s, []) = der_element(rest)? else { return None };
    let mut signature = Vec::with_capacity(64);
    for number in [r, s] {
        // A number whose first bit is set has a zero before it.
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let number = &number[zeros..];
        signature.resize(signature.len() + 32_usize.checked_sub(number.len())?, 0);
        signature.extend_from_slice(number);
    }
    Some(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_in_der_become_two_numbers_of_32_bytes() {
        let whole = [7; 32];
        let der = |r: &[u8], s: &[u8]| {
            let number = |value: &[u8]| [&[2, u8::try_from(value.len()).expect("short")], value].concat();
            let numbers = [number(r), number(s)].concat();
            [&[0x30, u8::try_from(numbers.len()).expect("short")], &numbers[..]].concat()
        };
        assert_eq!(fixed(&der(&whole, &whole)), Some([whole, whole].concat()));
        let high = [&[0][..], &[0xff; 32]].concat();
        let short = [&[0; 31][..], &[5]].concat();
        assert_eq!(fixed(&der(&high, &[5])), Some([&[0xff; 32][..], &short].concat()));
        for wrong in [&[][..], &[0x30], &der(&[1; 33], &whole), &[&der(&whole, &whole)[..], &[0]].concat(), &[2, 1, 1]]
        {
            assert_eq!(fixed(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn ids_are_random_uuids() {
        let id = uuid().expect("random numbers");
        assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
        assert_ne!(id, uuid().expect("random numbers"));
    }

    #[test]
    fn wrong_keys_and_files_are_named() {
        let cases = [
            (Assertion::from(SignedAssertion::new("hunter2")), "is not PEM"),
            (Assertion::from(SignedAssertion::new(Pem::file("/nonexistent/key"))), "/nonexistent/key"),
            (Assertion::from(SignedAssertion::new("x").template("/nonexistent/t")), "/nonexistent/t"),
            (Assertion::file("/nonexistent/assertion"), "/nonexistent/assertion"),
        ];
        for (assertion, what) in cases {
            let error = assertion.make(Duration::ZERO).expect_err(what);
            let text = format!("{error:#} {assertion:?}");
            assert!(text.contains(what) && !text.contains("hunter2"), "{text}");
        }
    }
}
