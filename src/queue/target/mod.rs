//! The topic that values are published to, with its cluster and the settings of its producer: read from a DSN or a map of properties.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::BootstrapServers;
use crate::config::Config;
use crate::config::Properties;
use crate::config::written::Dsn;
use crate::error::Error;
use crate::producer::Guarantee;
use crate::secret::Secret;
use crate::types::TopicName;

mod map;
mod setting;
#[cfg(test)]
mod tests;

pub use self::map::Targets;
pub use self::setting::Setting;

/// A topic, its cluster, and the settings of the producer that writes to it.
///
/// It was `KafKaClient`'s configuration. A target is checked when it is made, it is never changed afterwards, and it connects to nothing:
/// [`Publisher::publish`](super::Publisher::publish) does.
///
/// A DSN is `kafka://HOST[:PORT][,HOST[:PORT]…]/TOPIC[?KEY=VALUE&…]`. Its brokers are [`BootstrapServers`]; `%XX` stands for a byte in the
/// topic, the keys and the values. A map has the same keys, `bootstrap.servers` and `topic` among them. Keys are the property names of
/// Java and librdkafka ([`config`](crate::config)).
///
/// ```
/// use std::collections::BTreeMap;
/// use std::time::Duration;
///
/// use ottla::queue::Target;
///
/// let target = Target::parse("kafka://a.example,[::1]:9093/alerts?message.timeout.ms=8000")?;
/// assert_eq!(target.to_string(), "kafka://a.example:9092,[::1]:9093/alerts?delivery.timeout.ms=8000");
/// assert_eq!(target.timeout(), Duration::from_secs(8));
///
/// let map = BTreeMap::from([("bootstrap.servers", "a.example"), ("topic", "alerts")]);
/// assert_eq!(Target::from_properties(&map)?.timeout(), Duration::from_secs(3));
/// # Ok::<(), ottla::Error>(())
/// ```
///
/// # The timeout
///
/// One setting, `delivery.timeout.ms`, bounds [`Publisher::publish`](super::Publisher::publish): connecting, metadata, all retries and the
/// acknowledgement. `message.timeout.ms` is another name for it.
///
/// | value | [`Target::timeout`] | because |
/// |---|---|---|
/// | not given | 3 s | the original's value |
/// | `8000`, `8000.0`, `"8000"`, `"8000.0"` | 8 s | |
/// | both names | an error | the original waited for one of them, and librdkafka kept the one that came last |
/// | `0` | an error | it is forever to librdkafka, and was 3 s to the original |
/// | below zero, `inf`, `nan`, `true`, any other text | an error | the original waited for less than a second, failed, or took 3 s |
///
/// # Security
///
/// `user:password@`, or `sasl.username` and `sasl.password`, with `sasl.mechanism` authenticate; `kafka+ssl://`, or `security.protocol`,
/// encrypts. Errors, `Display` and `Debug` show no password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    topic: TopicName,
    /// With the brokers and the timeout. Targets with equal properties share a producer.
    properties: Arc<Properties>,
    timeout: Duration,
}

const SERVERS: &str = "bootstrap.servers";
const TIMEOUT: &str = "delivery.timeout.ms";
const TIMEOUT_DEFAULT: &str = "3000";

impl Target {
    /// Reads a DSN.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config) names the part that is wrong: the scheme, a broker, the topic, or a key. Keys that
    /// are not known, or given twice, are refused as well.
    pub fn parse(dsn: &str) -> Result<Self, Error> {
        let config = Config::from_dsn(dsn)?;
        let topic =
            config.topic().ok_or_else(|| Error::config("the DSN names no topic: write kafka://HOST[:PORT]/TOPIC"))?;
        Self::new(topic, config.properties().clone())
    }

    /// Reads a map of properties, which is not changed. Values may be texts, numbers and truth values: see [`Setting`].
    ///
    /// # Errors
    ///
    /// As those of [`Self::parse`]. None shows a value of a key that is refused or not known.
    pub fn from_properties<'a, K: AsRef<str>, V: Into<Setting<'a>>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        let mut topic: Option<String> = None;
        let mut others = Vec::new();
        for (key, value) in pairs {
            let value = value.into();
            if key.as_ref() != "topic" {
                others.push((key, value));
            } else if topic.replace(value.to_string()).is_some() {
                return Err(Error::config("topic is given twice: leave one of them out"));
            }
        }
        let topic = topic.ok_or_else(|| Error::config("topic is not given: name the topic to publish to"))?;
        let config = Config::from_properties(others.iter().map(|(key, value)| (key, value)))?;
        Self::new(&topic, config.properties().clone())
    }

    fn new(topic: &str, mut properties: Properties) -> Result<Self, Error> {
        if let Some(problem) = TopicName::problem(topic) {
            return Err(Error::config(format!("the topic of the target is not valid: {problem}")));
        }
        if properties.get(SERVERS).is_none() {
            return Err(Error::config("bootstrap.servers is not given: name a broker"));
        }
        if properties.get(TIMEOUT).is_none() {
            properties.set(TIMEOUT, TIMEOUT_DEFAULT)?;
        }
        let timeout = properties.millis(TIMEOUT).filter(|timeout| !timeout.is_zero());
        let timeout = timeout.ok_or_else(|| {
            Error::config(
                "delivery.timeout.ms is 0, which bounds nothing: leave it out for 3000, or give more milliseconds",
            )
        })?;
        if Guarantee::from_properties(&properties)? == Some(Guarantee::FireAndForget) {
            return Err(Error::config("acks is 0, and nothing would be acknowledged: set it to all or 1"));
        }
        Ok(Self { topic: topic.into(), properties: Arc::new(properties), timeout })
    }

    /// The topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The brokers of the cluster.
    pub fn servers(&self) -> BootstrapServers {
        let servers = self.properties.get(SERVERS).and_then(|servers| servers.parse().ok());
        servers.expect("brokers were read when the target was made")
    }

    /// The time within which a value is acknowledged, or has failed.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// All settings, the brokers among them.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The DSN with all settings that were given, and the timeout, which [`Self::parse`] reads back to an equal target. It has its
    /// secrets, and so is one.
    ///
    /// ```
    /// use ottla::queue::Target;
    ///
    /// let dsn = "kafka://u:pw@a.example/alerts?sasl.mechanism=PLAIN&security.protocol=sasl_plaintext";
    /// let target = Target::parse(dsn)?;
    /// assert!(target.to_string().starts_with("kafka://u:[redacted]@a.example:9092/alerts?"));
    /// assert_eq!(Target::parse(target.to_dsn().expose_text().unwrap_or_default())?, target);
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn to_dsn(&self) -> Secret {
        self.dsn().exposed()
    }

    fn dsn(&self) -> Dsn<'_> {
        Dsn { properties: &self.properties, topic: Some(&self.topic) }
    }

    pub(super) fn shared_properties(&self) -> &Arc<Properties> {
        &self.properties
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(dsn: &str) -> Result<Self, Error> {
        Self::parse(dsn)
    }
}

impl fmt::Display for Target {
    /// Prints the DSN with all settings that were given, and the timeout. [`Target::parse`] reads it back to an equal target, unless a
    /// setting is a secret, which is printed as `[redacted]`: see [`Target::to_dsn`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dsn().fmt(f)
    }
}
