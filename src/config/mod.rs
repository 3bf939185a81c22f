//! Typed settings, and the property names of the Java client and of librdkafka that lead to them.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::error::Error;

mod bootstrap;
mod keys;

pub use self::bootstrap::HostPort;
pub use self::bootstrap::parse_bootstrap;
pub use self::keys::KEYS;
pub use self::keys::Key;

/// Settings by their property names, as a file or a command line has them.
///
/// ```
/// let mut properties = ottla::config::Properties::new();
/// properties.set("linger.ms", "20").unwrap();
/// assert!(properties.set("linger.sm", "20").unwrap_err().to_string().contains("linger.ms"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Properties(BTreeMap<&'static str, String>);

impl Properties {
    /// No settings: every default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one by Java's or librdkafka's name. A name that is not known, and a value that the setting cannot have, are
    /// errors that say what would do.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let key = keys::find(name)?;
        keys::check(key, value)?;
        self.0.insert(key.name, value.to_owned());
        Ok(())
    }

    /// What was set under Java's name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(crate) fn millis(&self, name: &str) -> Option<Duration> {
        self.number(name).map(|millis| Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<usize> {
        self.number(name).map(|bytes| usize::try_from(bytes).unwrap_or(0))
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }
}
