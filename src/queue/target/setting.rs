//! A value of a map of properties: a text, a number or a truth value.

use std::borrow::Cow;
use std::fmt;

/// A value of a property, as the maps of other languages have them. Made from texts, numbers and truth values.
///
/// A number with nothing after its point is the whole number, so that `8000.0` is `8000`. `Debug` does not show it, because it may be a
/// secret.
///
/// ```
/// use ottla::queue::Setting;
/// use ottla::queue::Target;
///
/// let map: [(&str, Setting); 3] =
///     [("bootstrap.servers", "a.example".into()), ("topic", "alerts".into()), ("message.timeout.ms", 8000.0.into())];
/// assert_eq!(Target::from_properties(map)?.timeout().as_secs(), 8);
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Setting<'a>(Cow<'a, str>);

impl AsRef<str> for Setting<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Setting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Setting")
    }
}

impl<'a> From<&'a str> for Setting<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.into())
    }
}

impl<'a> From<&&'a str> for Setting<'a> {
    fn from(text: &&'a str) -> Self {
        Self((*text).into())
    }
}

impl<'a> From<&'a String> for Setting<'a> {
    fn from(text: &'a String) -> Self {
        Self(text.into())
    }
}

impl From<String> for Setting<'_> {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl<'a> From<&'a Setting<'_>> for Setting<'a> {
    fn from(setting: &'a Setting<'_>) -> Self {
        Self(Cow::Borrowed(&setting.0))
    }
}

impl From<bool> for Setting<'_> {
    fn from(truth: bool) -> Self {
        Self(if truth { "true" } else { "false" }.into())
    }
}

impl From<i64> for Setting<'_> {
    fn from(number: i64) -> Self {
        Self(number.to_string().into())
    }
}

impl From<i32> for Setting<'_> {
    fn from(number: i32) -> Self {
        i64::from(number).into()
    }
}

impl From<f64> for Setting<'_> {
    fn from(number: f64) -> Self {
        // Rust prints a whole number without a point.
        Self(number.to_string().into())
    }
}
