//! A token that something else writes into a file.

use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use zeroize::Zeroizing;

use super::jwt;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::sasl::Fetching;
use crate::sasl::Token;
use crate::sasl::TokenSource;
use crate::secret::Secret;

/// Reads a token from a file (`sasl.oauthbearer.token.endpoint.url=file:///…`, Java's `FileJwtRetriever`; feature `sasl-oauth`).
///
/// The file has one JWT, which says when it expires; blanks around it do not count. It is read again whenever a token is needed, so that
/// an agent can replace it.
///
/// # Errors
///
/// A file that cannot be read is temporary: the client connects again later. One that has no token, or a token that has expired, is
/// [`Kind::Authentication`].
///
/// ```
/// use ottla::sasl::{Sasl, TokenFile};
///
/// let sasl = Sasl::oauth_bearer(TokenFile::new("/var/run/secrets/kafka/token"));
/// assert_eq!(sasl.name(), "OAUTHBEARER");
/// ```
#[derive(Clone, Debug)]
pub struct TokenFile {
    path: PathBuf,
    extensions: Vec<(String, String)>,
}

impl TokenFile {
    /// The token in this file.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), extensions: Vec::new() }
    }

    /// Adds an extension to each token. See [`Token::extension`].
    pub fn extension(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.extensions.push((name.into(), value.into()));
        self
    }
}

impl TokenSource for TokenFile {
    fn token(&self) -> Fetching<'_> {
        Box::pin(async move {
            let path = self.path.clone();
            // Files may lie on a network.
            let reading = tokio::task::spawn_blocking(move || read(&path, "token"));
            let text = reading.await.map_err(|_| Error::new(Kind::Connect, "the runtime ends"))??;
            let token = token(&text, clock::since_epoch())
                .map_err(|what| Error::authentication(format!("{} {what}", self.path.display())))?;
            Ok(token.extended(&self.extensions))
        })
    }

    fn place(&self) -> Option<String> {
        Some(self.path.display().to_string())
    }
}

/// The token that a text is. The error says what is wrong with the file.
fn token(text: &Secret, now: Duration) -> Result<Token, &'static str> {
    let claims = text.expose_text().and_then(jwt::claims).ok_or("is no JWT: it must have one, in three parts")?;
    let expires = jwt::expiry(&claims).ok_or("has a token that does not say when it expires (exp)")?;
    if expires <= now {
        return Err("has a token that has expired: write a new one into it, or check the clock of this machine");
    }
    Ok(Token::new(text.clone(), SystemTime::UNIX_EPOCH + expires))
}

/// Longer than any token and any template.
const BYTES_MAX: usize = 64 << 10;

/// Reads a text from a file, without the blanks around it. Blocks the thread.
pub(super) fn read(path: &Path, what: &str) -> Result<Secret, Error> {
    let wrong = |text: String| Error::new(Kind::Connect, format!("{} ({what}) {text}", path.display()));
    let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES_MAX + 1));
    let reading = File::open(path).and_then(|file| file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    let unreadable =
        |error: io::Error| wrong("could not be read: check the path and its permissions".to_owned()).caused_by(error);
    reading.map_err(unreadable)?;
    if bytes.len() > BYTES_MAX {
        return Err(wrong("is larger than 64 KiB".to_owned()));
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong("is no text".to_owned()))?.trim();
    if text.is_empty() { Err(wrong("is empty".to_owned())) } else { Ok(text.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sasl::base64;

    #[test]
    fn files_without_a_living_token_are_named() {
        let jwt = |claims: &str| Secret::from(format!("e30.{}.c2ln", base64::encode_url(claims.as_bytes())));
        let now = Duration::from_secs(100);
        assert!(token(&jwt(r#"{"exp":101}"#), now).is_ok());
        for (text, what) in
            [(jwt(r#"{"exp":100}"#), "has expired"), (jwt("{}"), "when it expires"), ("hunter2".into(), "no JWT")]
        {
            let error = token(&text, now).expect_err(what);
            assert!(error.contains(what), "{error}");
        }
    }
}
