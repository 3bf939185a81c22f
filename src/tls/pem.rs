//! PEM text from a file, a folder or the program, and what else users take for it.

use std::fmt;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::pem::SectionKind;
use zeroize::Zeroizing;

use crate::error::Error;

/// Certificates or a key in PEM form: in a file, or given as text.
///
/// Text may also be `base64://` followed by the whole PEM text in Base64, as environment variables often have it. Single certificates
/// and keys in DER form are accepted too. `Debug` shows the name of a file, and nothing of a text.
///
/// ```
/// use ottla::tls::Pem;
///
/// let file = Pem::file("/etc/kafka/ca.pem");
/// let text = Pem::text("-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----");
/// assert_eq!(format!("{file:?} {text:?}"), "\"/etc/kafka/ca.pem\" <text>");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Pem(Source);

#[derive(Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Text(Zeroizing<Vec<u8>>),
}

/// The largest file that is read, in bytes. The CAs of a system take 200 KiB.
const BYTES_MAX: u64 = 16 << 20;

/// The content of a file or a text. It is erased when it is dropped, as it may be a key.
pub(crate) type Content = Zeroizing<Vec<u8>>;

/// A section of a PEM text, in DER form.
type Section = (SectionKind, Content);

const BASE64: &[u8] = b"base64://";

impl Pem {
    /// A file. It is read when the configuration is built, and again when a connection is made.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// A text, or the bytes of a file that the program has read.
    pub fn text(text: impl Into<Vec<u8>>) -> Self {
        Self(Source::Text(Zeroizing::new(text.into())))
    }

    pub(super) fn is_file(&self) -> bool {
        matches!(self.0, Source::File(_))
    }

    /// Names it in an error: by its file, or by its role.
    pub(crate) fn place(&self, role: &str) -> String {
        match &self.0 {
            Source::File(path) => format!("{} ({role})", path.display()),
            Source::Text(_) => format!("the text of the {role}"),
        }
    }

    /// The file's name for a command that converts it.
    fn argument(&self) -> String {
        match &self.0 {
            Source::File(path) => path.display().to_string(),
            Source::Text(_) => "FILE".to_owned(),
        }
    }

    /// Reads it. Blocks the thread.
    pub(crate) fn read(&self, role: &str) -> Result<Content, Error> {
        let bytes = match &self.0 {
            Source::File(path) => read_path(path).map_err(|error| {
                let text = format!("could not read {}: check the path and its permissions", self.place(role));
                Error::config(text).caused_by(error)
            })?,
            Source::Text(bytes) => match bytes.strip_prefix(BASE64) {
                Some(encoded) => decode_base64(encoded)
                    .ok_or_else(|| Error::config(format!("{} is not valid Base64", self.place(role))))?,
                None => bytes.clone(),
            },
        };
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Error::config(format!("{} is empty: {}", self.place(role), due(role))));
        }
        Ok(bytes)
    }

    /// The certificates in what was read.
    pub(super) fn certificates(&self, role: &str, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
        if let Some(der) = as_der(bytes) {
            return match foreign(der) {
                Some(format) => Err(self.refused(role, format)),
                None => Ok(vec![CertificateDer::from(der.to_vec())]),
            };
        }
        let sections = self.sections(role, bytes)?;
        let of_kind = |kind| sections.iter().filter(move |(found, _)| *found == kind);
        let found: Vec<_> =
            of_kind(SectionKind::Certificate).map(|(_, der)| CertificateDer::from(der.to_vec())).collect();
        if found.is_empty() {
            return Err(self.lacks(role, &sections, bytes));
        }
        Ok(found)
    }

    /// The one private key in what was read.
    pub(crate) fn key(&self, role: &str, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
        if let Some(der) = as_der(bytes) {
            if let Some(format) = foreign(der) {
                return Err(self.refused(role, format));
            }
            let text = || format!("{} is neither PEM nor a private key in DER form", self.place(role));
            return PrivateKeyDer::try_from(der.to_vec()).map_err(|_| Error::config(text()));
        }
        let is_encrypted = is_encrypted(bytes);
        let sections = match self.sections(role, bytes) {
            // The headers of OpenSSL's older form are not Base64.
            Err(_) if is_encrypted => Vec::new(),
            sections => sections?,
        };
        let keys: Vec<_> = sections.iter().filter(|(kind, _)| is_key(*kind)).collect();
        match keys[..] {
            [(kind, der)] if !is_encrypted => PrivateKeyDer::from_pem(*kind, der.to_vec())
                .ok_or_else(|| Error::config(format!("{} has a key of an unknown form", self.place(role)))),
            [] | [_] if is_encrypted => Err(self.refused(role, Foreign::EncryptedKey)),
            [] => Err(self.lacks(role, &sections, bytes)),
            _ => Err(Error::config(format!("{} has {} private keys: keep one", self.place(role), keys.len()))),
        }
    }

    fn sections(&self, role: &str, bytes: &[u8]) -> Result<Vec<Section>, Error> {
        let lines = in_lines(bytes);
        let read = <(SectionKind, Vec<u8>)>::pem_slice_iter(&lines);
        let (mut sections, mut number) = (Vec::new(), 0);
        for section in read {
            number += 1;
            // The reason could quote a line of a key.
            let text = || format!("section {number} of {} is not valid PEM: copy it again whole", self.place(role));
            let (kind, der) = section.map_err(|_| Error::config(text()))?;
            sections.push((kind, Zeroizing::new(der)));
        }
        Ok(sections)
    }

    /// The error of a text that has none of what is due.
    fn lacks(&self, role: &str, sections: &[Section], bytes: &[u8]) -> Error {
        let has = |wanted: fn(SectionKind) -> bool| sections.iter().any(|(kind, _)| wanted(*kind));
        let found = if has(is_key) || is_encrypted(bytes) {
            "has a private key"
        } else if has(|kind| kind == SectionKind::Certificate) {
            "has a certificate"
        } else if has(|kind| kind == SectionKind::PublicKey) {
            "has a public key"
        } else if has(|kind| kind == SectionKind::Csr) {
            "has a request for a certificate"
        } else if contains(bytes, b"-----BEGIN ") {
            "has PEM sections of other kinds"
        } else {
            "is not PEM"
        };
        Error::config(format!("{} {found}: {}", self.place(role), due(role)))
    }

    fn refused(&self, role: &str, format: Foreign) -> Error {
        let (file, place) = (self.argument(), self.place(role));
        let is_ca = role == "CA";
        let text = match format {
            Foreign::Jks if is_ca => format!(
                "{place} is a Java keystore (JKS): convert it to PEM by `keytool -list -rfc -keystore {file} > ca.pem`"
            ),
            Foreign::Jks => format!(
                "{place} is a Java keystore (JKS): convert it to PEM by `keytool -importkeystore -srckeystore {file} \
                 -destkeystore client.p12 -deststoretype PKCS12 && openssl pkcs12 -in client.p12 -nodes -out client.pem`"
            ),
            Foreign::Pkcs12 if is_ca => {
                format!("{place} is PKCS#12: convert it to PEM by `openssl pkcs12 -in {file} -nokeys -out ca.pem`")
            }
            Foreign::Pkcs12 => {
                format!("{place} is PKCS#12: convert it to PEM by `openssl pkcs12 -in {file} -nodes -out client.pem`")
            }
            Foreign::EncryptedKey => format!(
                "{place} is encrypted, which is not supported: decrypt it by `openssl pkey -in {file} -out client.key` and \
                 protect the file by its permissions"
            ),
        };
        Error::config(text)
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::File(path) => fmt::Debug::fmt(path, f),
            Source::Text(_) => f.write_str("<text>"),
        }
    }
}

impl From<&str> for Pem {
    /// A text, never the name of a file.
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// Formats that users have and that are not read.
#[derive(Clone, Copy)]
enum Foreign {
    Jks,
    Pkcs12,
    EncryptedKey,
}

/// The content that a role takes, as a remedy.
fn due(role: &str) -> &'static str {
    match role {
        "CA" => "give the PEM text of the CA's certificate, which begins with -----BEGIN CERTIFICATE-----",
        "private key" => "give the PEM text of the private key, which begins with -----BEGIN PRIVATE KEY-----",
        _ => "give the PEM text of the certificate, which begins with -----BEGIN CERTIFICATE-----",
    }
}

fn read_path(path: &Path) -> io::Result<Content> {
    if path.is_dir() { read_folder(path) } else { read_file(path) }
}

fn read_file(path: &Path) -> io::Result<Content> {
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path)?.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(io::Error::other("it is larger than 16 MiB"));
    }
    Ok(bytes)
}

/// The PEM files of a folder, one after another in the order of their names.
fn read_folder(path: &Path) -> io::Result<Content> {
    let mut paths: Vec<PathBuf> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let mut all = Zeroizing::new(Vec::new());
    for file in paths.iter().filter(|file| file.is_file()) {
        let bytes = read_file(file)?;
        if contains(&bytes, b"-----BEGIN ") {
            all.extend_from_slice(&bytes);
            all.push(b'\n');
        }
        if all.len() as u64 > BYTES_MAX {
            return Err(io::Error::other("its files are larger than 16 MiB together"));
        }
    }
    Ok(all)
}

/// The bytes, if they are binary: text begins with a letter, a dash or a space.
fn as_der(bytes: &[u8]) -> Option<&[u8]> {
    let is_binary =
        matches!(bytes, [0x30, second, ..] if *second >= 0x80 || *second < 0x20) || foreign(bytes).is_some();
    is_binary.then_some(bytes)
}

/// Recognises keystores by their first bytes.
fn foreign(bytes: &[u8]) -> Option<Foreign> {
    match bytes {
        [0xfe, 0xed, 0xfe, 0xed, ..] | [0xce, 0xce, 0xce, 0xce, ..] => Some(Foreign::Jks),
        // PFX begins with version 3 (RFC 7292); a certificate begins with a sequence, a PKCS#8 or PKCS#1 key with version 0 or 1.
        [0x30, 0x80, 2, 1, 3, ..]
        | [0x30, 0x81, _, 2, 1, 3, ..]
        | [0x30, 0x82, _, _, 2, 1, 3, ..]
        | [0x30, 0x83, _, _, _, 2, 1, 3, ..] => Some(Foreign::Pkcs12),
        _ => None,
    }
}

fn is_key(kind: SectionKind) -> bool {
    matches!(kind, SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey)
}

/// Whether a PEM text has an encrypted key: PKCS#8's form, or the older one of OpenSSL.
fn is_encrypted(bytes: &[u8]) -> bool {
    contains(bytes, b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || contains(bytes, b"Proc-Type: 4,ENCRYPTED")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// PEM with each marker on a line of its own. Java reads PEM that is one line, as properties files have it, and environment variables
/// often have `\n` in two characters.
fn in_lines(bytes: &[u8]) -> Content {
    const MARK: &[u8] = b"-----";
    let mut lines = Zeroizing::new(Vec::with_capacity(bytes.len() + 64));
    let mut at = 0;
    let mut is_marker = false;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(MARK)
            && (is_marker || rest[MARK.len()..].starts_with(b"BEGIN ") || rest[MARK.len()..].starts_with(b"END "))
        {
            // Begins or ends a marker.
            if !is_marker {
                lines.push(b'\n');
            }
            lines.extend_from_slice(MARK);
            if is_marker {
                lines.push(b'\n');
            }
            is_marker = !is_marker;
            at += MARK.len();
        } else if rest.starts_with(b"\\n") {
            lines.push(b'\n');
            at += 2;
        } else {
            let is_space = rest[0] == b' ' && !is_marker;
            lines.push(if is_space { b'\n' } else { rest[0] });
            at += 1;
        }
    }
    lines
}

/// Decodes Base64 by the reader of PEM, which is at hand: the text becomes the body of a section.
fn decode_base64(encoded: &[u8]) -> Option<Content> {
    let body = encoded.trim_ascii();
    let section = Zeroizing::new([b"-----BEGIN PRIVATE KEY-----\n", body, b"\n-----END PRIVATE KEY-----\n"].concat());
    let (_, decoded) = <(SectionKind, Vec<u8>)>::from_pem_slice(&section).ok()?;
    Some(Zeroizing::new(decoded))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAEC\nAwQF\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAECAwQF\n-----END PRIVATE KEY-----\n";

    fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
        Pem::file("ca.pem").certificates("CA", bytes)
    }

    fn key_error(bytes: &[u8]) -> String {
        Pem::file("client.key").key("private key", bytes).expect_err("no key").to_string()
    }

    #[test]
    fn pem_in_one_line_is_read_as_pem_in_many() {
        let whole = certificates(CERTIFICATE.as_bytes()).expect("a certificate");
        assert_eq!(whole, [CertificateDer::from(vec![0, 1, 2, 3, 4, 5])]);
        for text in [
            CERTIFICATE.replace('\n', " "),
            CERTIFICATE.replace('\n', "\r\n"),
            CERTIFICATE.replace('\n', "\\n"),
            CERTIFICATE.replace('\n', ""),
            format!("a comment - with dashes\n{CERTIFICATE}"),
        ] {
            assert_eq!(certificates(text.as_bytes()).expect("the same"), whole, "{text}");
        }
        let two = certificates(CERTIFICATE.repeat(2).as_bytes()).expect("certificates");
        assert_eq!(two.len(), 2);
    }

    #[test]
    fn base64_text_is_decoded_first() {
        let encoded = "base64://LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCkFBRUNBd1FGCi0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K";
        let pem = Pem::text(encoded);
        let bytes = pem.read("CA").expect("Base64");
        assert!(bytes.starts_with(b"-----BEGIN CERTIFICATE-----\n"));
        assert_eq!(pem.certificates("CA", &bytes).expect("a certificate").len(), 1);
        let error = Pem::text("base64://%%%").read("CA").expect_err("not Base64").to_string();
        assert!(error.contains("the text of the CA is not valid Base64"), "{error}");
    }

    #[test]
    fn other_content_is_named_with_the_remedy() {
        for (text, part) in [
            (KEY, "ca.pem (CA) has a private key: give the PEM text of the CA's certificate"),
            ("-----BEGIN PUBLIC KEY-----\nAAEC\n-----END PUBLIC KEY-----", "has a public key"),
            (
                "-----BEGIN CERTIFICATE REQUEST-----\nAAEC\n-----END CERTIFICATE REQUEST-----",
                "a request for a certificate",
            ),
            ("-----BEGIN DH PARAMETERS-----\nAAEC\n-----END DH PARAMETERS-----", "sections of other kinds"),
            ("hello", "is not PEM"),
            ("-----BEGIN CERTIFICATE-----\nAAEC", "section 1 of ca.pem (CA) is not valid PEM"),
            ("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", "section 1 of ca.pem (CA) is not valid PEM"),
        ] {
            let error = certificates(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(key_error(CERTIFICATE.as_bytes()).contains("client.key (private key) has a certificate"));
        assert!(key_error(KEY.repeat(2).as_bytes()).contains("has 2 private keys: keep one"));
        let empty = Pem::text(" \n").read("CA").expect_err("nothing").to_string();
        assert!(empty.contains("the text of the CA is empty"), "{empty}");
    }

    #[test]
    fn keystores_and_encrypted_keys_are_refused_with_the_command_that_converts_them() {
        let jks = certificates(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]).expect_err("JKS").to_string();
        assert!(jks.contains("`keytool -list -rfc -keystore ca.pem > ca.pem`"), "{jks}");
        let jks = key_error(&[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2]);
        assert!(jks.contains("keytool -importkeystore -srckeystore client.key"), "{jks}");
        let pkcs12 = key_error(&[0x30, 0x82, 9, 9, 2, 1, 3, 0x30]);
        assert!(pkcs12.contains("`openssl pkcs12 -in client.key -nodes -out client.pem`"), "{pkcs12}");
        let encrypted = KEY.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(key_error(encrypted.as_bytes()).contains("`openssl pkey -in client.key -out"));
        let old = KEY.replace("KEY-----\nAAEC", "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAEC");
        assert!(key_error(old.as_bytes()).contains("is encrypted"), "{old}");
    }

    #[test]
    fn file_that_is_missing_is_an_error_with_its_name() {
        let error = Pem::file("/no/such/ca.pem").read("CA").expect_err("missing");
        assert!(error.to_string().contains("could not read /no/such/ca.pem (CA): check the path"), "{error}");
    }

    #[test]
    fn debug_shows_no_text() {
        assert_eq!(format!("{:?}", Pem::text("hunter2")), "<text>");
    }
}
