//! Typed settings, and the property names of the Java client and of librdkafka that lead to them.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroize;

use crate::error::Error;

mod bootstrap;
mod dsn;
mod duration;
mod explain;
mod file;
pub(crate) mod jaas;
mod keys;
pub(crate) mod written;

pub use self::bootstrap::BootstrapServers;
pub use self::bootstrap::HostPort;
pub use self::dsn::Config;
pub(crate) use self::duration::duration;
pub use self::explain::Explained;
pub use self::explain::Explanation;
pub(crate) use self::keys::BY_DURATION;
pub use self::keys::Defaults;
pub use self::keys::Family;
pub use self::keys::Key;
pub use self::keys::families;
pub use self::keys::keys;

/// Settings by their property names, as a file or a command line has them.
///
/// Every name of the Java client and of librdkafka is known. It has its effect ([`keys()`]), or is accepted without an effect, or is
/// refused; the last two have a reason ([`families`]). `Debug` shows names and never values: any may be a secret. Values are overwritten
/// when they are dropped.
///
/// ```
/// let mut properties = ottla::config::Properties::new();
/// properties.set("linger.ms", "20").unwrap();
/// assert!(properties.set("linger.sm", "20").unwrap_err().to_string().contains("linger.ms"));
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Properties(BTreeMap<&'static str, Value>);

/// A value, which may be a secret, and where it was set. Two values are equal whatever their origin.
#[derive(Clone)]
struct Value {
    text: String,
    origin: Option<Arc<str>>,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.text.zeroize();
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Properties ")?;
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Properties {
    /// No settings: all defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one by Java's or librdkafka's name.
    ///
    /// An unknown name is an error that suggests the nearest one. A value that the setting cannot have is an error that says which
    /// values it takes. A setting that is refused is an error with the reason.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.set_with(name, value, None)
    }

    /// Sets one as [`Self::set`] does, and keeps where it was set, for [`Self::explain`].
    ///
    /// ```
    /// let mut properties = ottla::config::Properties::new();
    /// properties.set_from("linger.ms", "20", "the command line").unwrap();
    /// assert!(properties.explain().to_string().contains("linger.ms = 20  (the command line)"));
    /// ```
    pub fn set_from(&mut self, name: &str, value: &str, origin: &str) -> Result<(), Error> {
        self.set_with(name, value, Some(origin.into()))
    }

    fn set_with(&mut self, name: &str, value: &str, origin: Option<Arc<str>>) -> Result<(), Error> {
        let key = match keys::find(name)? {
            keys::Found::Key(key) => key,
            keys::Found::Family(Family { accepted: true, why, .. }) => {
                tracing::debug!(target: "ottla::config", name, why, "property has no effect");
                return Ok(());
            }
            keys::Found::Family(Family { why, .. }) => {
                return Err(Error::config(format!("{name} cannot be set: {why}")));
            }
        };
        let value = keys::check(key, name, if value.is_empty() { key.when_empty() } else { value })?;
        check_build(key, &value)?;
        match key.name {
            "compression.level" => self.set_levels(value.parse().unwrap_or(-1), origin),
            "queue.buffering.max.kbytes" => {
                let kilobytes: i64 = value.parse().unwrap_or(0);
                let text = kilobytes.saturating_mul(1024).to_string();
                self.0.insert("buffer.memory", Value { text, origin });
            }
            _ => drop(self.0.insert(key.name, Value { text: value, origin })),
        }
        Ok(())
    }

    /// Takes over all settings of `others`, which win.
    ///
    /// ```
    /// use ottla::config::Properties;
    ///
    /// let (mut all, mut later) = (Properties::new(), Properties::new());
    /// all.set("linger.ms", "20")?;
    /// later.set("linger.ms", "5")?;
    /// all.extend(&later);
    /// assert_eq!(all.get("linger.ms"), Some("5"));
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn extend(&mut self, others: &Self) {
        self.0.extend(others.0.iter().map(|(name, value)| (*name, value.clone())));
    }

    /// Sets the level of every codec: each takes the nearest one in its own range, and −1 is the codec's default.
    fn set_levels(&mut self, level: i64, origin: Option<Arc<str>>) {
        let levels = [
            ("compression.gzip.level", level.clamp(1, 9)),
            ("compression.lz4.level", level.clamp(1, 17)),
            ("compression.zstd.level", level),
        ];
        for (codec, nearest) in levels {
            if level == -1 {
                self.0.remove(codec);
            } else {
                self.0.insert(codec, Value { text: nearest.to_string(), origin: origin.clone() });
            }
        }
    }

    /// Whether connections are encrypted. Settings of TLS without a word about encryption are an error: they would have no effect.
    pub(crate) fn is_encrypted(&self) -> Result<bool, Error> {
        match self.get("security.protocol") {
            Some(protocol) => Ok(protocol.ends_with("ssl")),
            None => match self.0.keys().find(|name| name.starts_with("ssl.")) {
                Some(name) => Err(Error::config(format!(
                    "{name} is set and security.protocol is not: set it to ssl or sasl_ssl, or to plaintext if nothing is to be encrypted"
                ))),
                None => Ok(false),
            },
        }
    }

    /// The first of the settings `sasl.*` that is set.
    pub(crate) fn sasl_name(&self) -> Option<&'static str> {
        self.0.keys().find(|name| name.starts_with("sasl.")).copied()
    }

    /// Whether the client has to authenticate.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.get("security.protocol").is_some_and(|protocol| protocol.starts_with("sasl"))
    }

    /// The value that was set, by Java's name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| &*value.text)
    }

    pub(crate) fn millis(&self, name: &str) -> Option<Duration> {
        let millis: f64 = self.get(name)?.parse().ok()?;
        Duration::try_from_secs_f64(millis / 1_000.0).ok()
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<usize> {
        self.number(name).map(|bytes| usize::try_from(bytes).unwrap_or(0))
    }

    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse().ok()
    }
}

/// Refuses a value that needs a feature which this build lacks.
fn check_build(key: &Key, value: &str) -> Result<(), Error> {
    if key.name == "security.protocol" && value.ends_with("ssl") && !cfg!(feature = "tls") {
        let text = "needs TLS, which this build lacks: turn on the feature `tls` of ottla";
        return Err(Error::config(format!("security.protocol = {value} {text}")));
    }
    let of_endpoint = ["https.", "sasl.oauthbearer.", "sasl.login.connect.", "sasl.login.read.", "sasl.login.retry."];
    if of_endpoint.iter().any(|beginning| key.name.starts_with(beginning)) && !cfg!(feature = "sasl-oauth") {
        let text = "needs an HTTP client, which this build lacks: turn on the feature `sasl-oauth` of ottla, or fetch tokens in a \
                    sasl::TokenSource";
        return Err(Error::config(format!("{} {text}", key.name)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::keys::defaults::DEFAULTS;
    use super::keys::defaults::Default;
    use super::keys::defaults::METHODS;
    use super::keys::defaults::NONE;
    use super::*;

    #[test]
    fn refused_setting_names_the_reason_and_hides_its_value() {
        let mut properties = Properties::new();
        let error = properties.set("sasl.oauthbearer.config", "hunter2").expect_err("refused").to_string();
        assert!(error.contains("sasl.oauthbearer.config") && error.contains("unsecured_tokens"), "{error}");
        assert!(!error.contains("hunter2"));
        properties.set("max.poll.records", "500").expect("accepted");
        assert_eq!(properties.get("max.poll.records"), None);
    }

    #[test]
    fn settings_of_tls_without_encryption_are_an_error() {
        let mut properties = Properties::new();
        assert!(!properties.is_encrypted().expect("nothing is set"));
        properties.set("ssl.ca.location", "ca.pem").expect("a text");
        let error = properties.is_encrypted().expect_err("it would have no effect").to_string();
        assert!(error.contains("ssl.truststore.location is set and security.protocol is not"), "{error}");
        properties.set("security.protocol", "PLAINTEXT").expect("a protocol");
        assert!(!properties.is_encrypted().expect("it is said"));
        let set = properties.set("security.protocol", "SASL_SSL");
        if cfg!(feature = "tls") {
            set.expect("a protocol");
            assert!(properties.is_encrypted().expect("it is said") && properties.is_authenticated());
        } else {
            assert!(set.expect_err("no TLS here").to_string().contains("turn on the feature `tls`"));
        }
        properties.set("ssl.endpoint.identification.algorithm", "").expect("as Java has it");
        assert_eq!(properties.get("ssl.endpoint.identification.algorithm"), Some("none"));
        let error = properties.set("ssl.truststore.type", "JKS").expect_err("not read").to_string();
        assert!(error.contains("give PEM: ") && error.contains("keytool -list -rfc"), "{error}");
    }

    #[test]
    fn debug_shows_names_and_no_values() {
        let mut properties = Properties::new();
        properties.set("client.id", "hunter2").expect("a text");
        let printed = format!("{properties:?}");
        assert!(printed.contains("client.id") && !printed.contains("hunter2"), "{printed}");
    }

    #[test]
    fn librdkafkas_names_are_aliases_of_javas() {
        let mut properties = Properties::new();
        properties.set("queue.buffering.max.kbytes", "64").expect("kilobytes");
        properties.set("compression.level", "12").expect("a level");
        properties.set("linger.ms", "0.5").expect("a fraction");
        assert_eq!(properties.bytes("buffer.memory"), Some(65_536));
        assert_eq!(properties.number("compression.gzip.level"), Some(9), "gzip's highest");
        assert_eq!(properties.number("compression.zstd.level"), Some(12));
        assert_eq!(properties.millis("linger.ms"), Some(Duration::from_micros(500)));
        properties.set("compression.level", "0").expect("the least");
        assert_eq!(properties.number("compression.lz4.level"), Some(1), "LZ4's lowest");
        properties.set("compression.level", "-1").expect("the codec's own");
        assert_eq!(properties.number("compression.zstd.level"), None);
    }

    /// The tables of docs/CONFIG.md, from the same source as the code.
    fn documentation() -> String {
        let mut text = String::from("| default of | here | Java | librdkafka | reason |\n|---|---|---|---|---|\n");
        for Default { name, here, java, librdkafka, why } in DEFAULTS.iter().filter(|default| !default.why.is_empty()) {
            text += &format!("| `{name}` | {here} | {java} | {librdkafka} | {why} |\n");
        }
        text += "\n## Settings with an effect\n\n| property | takes | default here | Java's | librdkafka's | method | also | effect |\n";
        text += "|---|---|---|---|---|---|---|---|\n";
        for (key, Default { here, java, librdkafka, .. }) in keys().zip(DEFAULTS) {
            let aliases: Vec<String> = key.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            let (takes, also) = (key.takes(), aliases.join(" "));
            let methods = METHODS.iter().filter(|(name, ..)| *name == key.name);
            let methods: Vec<String> = methods.map(|(_, of, method)| format!("{of}: `{method}`")).collect();
            let (name, methods, about) = (key.name, methods.join(", "), key.about);
            text +=
                &format!("| `{name}` | {takes} | {here} | {java} | {librdkafka} | {methods} | {also} | {about} |\n");
        }
        for accepted in [true, false] {
            let (title, verb) = if accepted { ("Accepted without an effect", "why") } else { ("Refused", "why") };
            text += &format!("\n## {title}\n\n| {verb} | properties |\n|---|---|\n");
            for family in families().filter(|family| family.accepted == accepted) {
                let names: Vec<String> = family.names.iter().map(|name| format!("`{name}`")).collect();
                text += &format!("| {} | {} |\n", family.why, names.join(" "));
            }
        }
        text
    }

    #[test]
    fn each_default_that_differs_is_documented_with_a_reason() {
        let names: Vec<&str> = keys().map(|key| key.name).collect();
        let documented: Vec<&str> = DEFAULTS.iter().map(|default| default.name).collect();
        assert_eq!(documented, names, "src/config/keys/defaults.rs has one line for each setting");
        for Default { name, here, java, librdkafka, why } in DEFAULTS {
            let differs = [java, librdkafka].into_iter().any(|other| other != here && *other != NONE);
            assert!(!differs || !why.is_empty(), "{name}");
            if !here.contains('—') {
                assert!(Properties::new().set(name, here).is_ok(), "{name} = {here}");
            }
        }
    }

    /// The docs of each builder's method name the property that sets the same.
    #[test]
    fn docs_of_each_method_name_its_property() {
        let builders = [
            ("client", include_str!("../client/mod.rs")),
            ("consumer", include_str!("../consumer/config.rs")),
            ("producer", include_str!("../producer/builder.rs")),
            ("assertion", include_str!("../sasl/oauth/sources/assertion.rs")),
            ("tls", include_str!("../tls/builder.rs")),
            ("token endpoint", include_str!("../sasl/oauth/sources/builder.rs")),
        ];
        for (name, of, method) in METHODS {
            let source = builders.iter().find(|(builder, _)| builder == of).expect(of).1;
            let (before, _) =
                source.split_once(&format!("pub fn {method}(mut self")).unwrap_or_else(|| panic!("{of}: {method}"));
            let docs = before.rsplit("\n\n").next().unwrap_or_default();
            assert!(docs.contains(&format!("`{name}`")), "{of}: the docs of {method} do not name {name}");
            assert!(keys().any(|key| key.name == *name), "{name}");
        }
    }

    #[test]
    fn documentation_lists_every_property() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIG.md");
        let page = std::fs::read_to_string(path).expect("the page");
        let begin = page.find("| default of |").expect("the table");
        let documented = documentation();
        if std::env::var("OTTLA_WRITE_DOCS").is_ok_and(|value| value == "1") {
            std::fs::write(path, page[..begin].to_owned() + &documented).expect("written");
            return;
        }
        assert!(page[begin..] == documented, "OTTLA_WRITE_DOCS=1 with this test rewrites docs/CONFIG.md");
    }
}
