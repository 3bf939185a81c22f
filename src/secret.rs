//! The one type of passwords, tokens and keys: it prints nothing and is erased when it is dropped.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

/// A secret: a password, a token or a key, as text or as bytes.
///
/// `Debug` and `Display` print `[redacted]`. Its memory is overwritten when the last clone is dropped; clones share it. It cannot be
/// serialized, and it does not compare: a comparison of secrets that takes longer the more of them is right helps to guess them.
///
/// Bytes that are sent are copied into the buffers of the connection, and those are not overwritten.
///
/// ```
/// use ottla::Secret;
///
/// let password = Secret::from("correct horse");
/// assert_eq!(format!("{password} {password:?}"), "[redacted] [redacted]");
/// assert_eq!(password.expose(), b"correct horse");
/// ```
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

impl Secret {
    /// The bytes of the secret. The one way to see them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The secret as text; `None` if it is not UTF-8.
    ///
    /// ```
    /// use ottla::Secret;
    ///
    /// assert_eq!(Secret::from("pässword").expose_text(), Some("pässword"));
    /// assert_eq!(Secret::from(vec![0xff]).expose_text(), None);
    /// ```
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<u8>> for Secret {
    /// Takes the bytes over without a copy.
    fn from(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }
}

impl From<String> for Secret {
    /// Takes the text over without a copy.
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        text.as_bytes().to_vec().into()
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

/// The text that stands for every secret.
const REDACTED: &str = "[redacted]";

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_prints_it() {
        let secret = Secret::from("hunter2");
        for printed in
            [format!("{secret}"), format!("{secret:?}"), format!("{secret:#?}"), format!("{:?}", Some(&secret))]
        {
            assert!(printed.contains("[redacted]") && !printed.contains("hunter2"), "{printed}");
        }
    }

    #[test]
    fn owned_bytes_are_taken_over_without_a_copy() {
        let bytes = b"hunter2".to_vec();
        let at = bytes.as_ptr();
        assert_eq!(Secret::from(bytes).expose().as_ptr(), at);
    }
}
