//! The values in effect, and where each comes from.

use std::fmt;

use super::Config;
use super::Key;
use super::Properties;
use super::keys;

/// librdkafka's names for settings that are stored under other names, in other units or several at once.
const STORED_ELSEWHERE: [&str; 2] = ["compression.level", "queue.buffering.max.kbytes"];

/// The text in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// The value of one setting. See [`Properties::explain`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explained {
    /// The property name: Java's, or librdkafka's where Java has none.
    pub name: &'static str,
    /// The value in effect; `None` if nothing is set and there is no default. That of a secret is `[redacted]`.
    pub value: Option<String>,
    /// Where the value was set; `None` for a default.
    pub origin: Option<String>,
}

/// The values of all settings, by name. `Display` prints those that have one, a line each, with where it comes from.
///
/// ```
/// use ottla::config::Config;
///
/// let config = Config::from_properties([("bootstrap.servers", "a.example"), ("linger.ms", "20")])?;
/// let explained = config.explain();
/// assert!(explained.to_string().contains("linger.ms = 20  (set)\n"));
/// assert!(explained.to_string().contains("acks = all  (default)\n"));
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Explanation(Vec<Explained>);

impl Explanation {
    /// The settings, by name.
    pub fn iter(&self) -> std::slice::Iter<'_, Explained> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Explanation {
    type Item = &'a Explained;
    type IntoIter = std::slice::Iter<'a, Explained>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Explained { name, value, origin } in self {
            if let Some(value) = value {
                writeln!(f, "{name} = {value}  ({})", origin.as_deref().unwrap_or("default"))?;
            }
        }
        Ok(())
    }
}

impl Properties {
    /// The value of each setting that is in effect, and where it comes from. Secrets are hidden.
    ///
    /// Builders may change settings by their methods afterwards, which is not seen here.
    pub fn explain(&self) -> Explanation {
        let listed = keys().filter(|key| !STORED_ELSEWHERE.contains(&key.name));
        Explanation(listed.map(|key| self.explained(key)).collect())
    }

    fn explained(&self, key: &Key) -> Explained {
        let set = self.0.get(key.name);
        let hidden = |value: &str| if key.is_secret() { REDACTED.to_owned() } else { value.to_owned() };
        let value = set.map(|value| hidden(&value.text)).or_else(|| key.defaults().here.map(str::to_owned));
        let origin = set.map(|value| value.origin.as_deref().unwrap_or("set").to_owned());
        Explained { name: key.name, value, origin }
    }
}

impl Config {
    /// The value of each setting that is in effect, and where it comes from: see [`Properties::explain`].
    pub fn explain(&self) -> Explanation {
        self.properties.explain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_with_their_origin() {
        let mut properties = Properties::new();
        properties.set_from("queue.buffering.max.ms", "7", "the command line").expect("a setting");
        properties.set("compression.level", "12").expect("a level");
        let explained = properties.explain();
        let row = |name: &str| explained.iter().find(|row| row.name == name).expect(name).clone();
        assert_eq!(row("linger.ms").origin.as_deref(), Some("the command line"));
        assert_eq!(row("compression.gzip.level").value.as_deref(), Some("9"));
        assert_eq!((row("batch.size").value.as_deref(), row("batch.size").origin), (Some("262144"), None));
        assert!(!explained.iter().any(|row| STORED_ELSEWHERE.contains(&row.name)));
    }

    #[test]
    fn origin_makes_no_difference_between_equal_settings() {
        let (mut one, mut other) = (Properties::new(), Properties::new());
        one.set_from("linger.ms", "7", "a file").expect("a setting");
        other.set("linger.ms", "7").expect("a setting");
        assert_eq!(one, other);
    }
}
