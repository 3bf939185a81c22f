//! A whole configuration in one line: `kafka://host:port,…/topic?key=value`.

use zeroize::Zeroizing;

use super::BootstrapServers;
use super::Properties;
use super::keys;
use crate::error::Error;
use crate::types::TopicName;

/// Brokers, settings and a topic, read from a DSN, a list of properties or a file.
///
/// All of them lead to the same model, and each is written again: [`Config::to_dsn`], [`Config::to_file_text`], [`Properties::pairs`].
/// Two configurations are equal if their settings and topics are, wherever they were set. Brokers are kept in the form of
/// [`BootstrapServers`].
///
/// ```
/// use ottla::config::Config;
///
/// let config = Config::from_dsn("kafka://a.example:9092,b.example/events?acks=all&linger.ms=20")?;
/// assert_eq!(config.properties().get("bootstrap.servers"), Some("a.example:9092,b.example:9092"));
/// assert_eq!(config.topic(), Some("events"));
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub(super) properties: Properties,
    pub(super) topic: Option<TopicName>,
}

/// Where settings of a DSN come from.
const DSN: &str = "the DSN";
pub(super) const SERVERS: &str = "bootstrap.servers";
pub(super) const PROTOCOL: &str = "security.protocol";
const FORM: &str = "write it as kafka[+ssl]://HOST[:PORT][,HOST[:PORT]…][/TOPIC][?KEY=VALUE&…]";

impl Config {
    /// Reads `kafka://host[:port][,…][/topic][?key=value&…]`. Keys are those of [`Properties`], each given once; `%XX` stands for a byte.
    ///
    /// `kafka+ssl://` sets `security.protocol` to `ssl`. No error repeats a possible password: if the DSN has an `@` in its query, errors
    /// name the part that is wrong and show nothing of it.
    ///
    /// `user:password@` before the brokers sets `sasl.username` and `sasl.password`; the key `sasl.mechanism` has to name the mechanism.
    /// `/`, `@`, `?`, `:` and `%` in them are written as `%2F`, `%40`, `%3F`, `%3A` and `%25`. It takes `kafka+ssl://`, which becomes
    /// `security.protocol` `sasl_ssl`, or the key `security.protocol=sasl_plaintext`.
    ///
    /// ```
    /// use ottla::config::Config;
    ///
    /// let dsn = "kafka://alice:correct%20horse@localhost/events?sasl.mechanism=PLAIN&security.protocol=sasl_plaintext";
    /// let config = Config::from_dsn(dsn)?;
    /// assert_eq!(config.properties().get("sasl.username"), Some("alice"));
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn from_dsn(dsn: &str) -> Result<Self, Error> {
        let (scheme, rest) = dsn.split_once("://").ok_or_else(|| wrong("not a DSN"))?;
        let is_encrypted = match scheme {
            "kafka" => false,
            "kafka+ssl" => true,
            _ => return Err(wrong("the scheme is neither kafka nor kafka+ssl")),
        };
        let (hierarchy, query) = rest.split_once('?').unwrap_or((rest, ""));
        // A password may contain the slash or the @ that would end it.
        let (user, hierarchy) = match hierarchy.split_once('@') {
            Some((user, rest)) if user.contains('/') || rest.contains('@') => return Err(wrong_user()),
            Some((user, rest)) => (Some(user), rest),
            None => (None, hierarchy),
        };
        // It may also contain the question mark.
        let hidden = query.contains('@');
        let hiding = |part: &str, error: Error| {
            let text = format!("{part} of the DSN cannot be used; write %40 for @ to be shown why: {FORM}");
            if hidden { Error::config(text) } else { error }
        };
        let (authority, topic) = hierarchy.split_once('/').unwrap_or((hierarchy, ""));
        let servers: BootstrapServers = authority.parse().map_err(|error| hiding("a broker", error))?;
        let topic = decode(topic).and_then(|topic| named(&topic)).map_err(|error| hiding("the topic", error))?;
        let mut properties = Properties::new();
        let mut follows_secret = false;
        for (number, pair) in (1..).zip(query.split('&').filter(|pair| !pair.is_empty())) {
            let name = decode(pair.split('=').next().unwrap_or_default()).unwrap_or_default();
            let wrong = |error| if follows_secret { unknown(number, &name, error) } else { error };
            set_pair(&mut properties, pair).map_err(|error| hiding(&part(number, &name), wrong(error)))?;
            follows_secret = matches!(keys::find(&name), Ok(keys::Found::Key(key)) if key.is_secret());
        }
        if properties.get(SERVERS).is_some() {
            return Err(wrong("bootstrap.servers is not a key of a DSN: put the brokers before the topic"));
        }
        if is_encrypted {
            if properties.get(PROTOCOL).is_some() {
                return Err(wrong("security.protocol is not a key of a DSN that begins with kafka+ssl://"));
            }
            let authenticates = user.is_some() || properties.get("sasl.mechanism").is_some();
            properties.set_from(PROTOCOL, if authenticates { "sasl_ssl" } else { "ssl" }, DSN)?;
        }
        if let Some(user) = user {
            set_user(&mut properties, user)?;
        }
        properties.set_from(SERVERS, &servers.to_string(), DSN)?;
        Ok(Self { properties, topic })
    }

    /// Reads settings by Java's or librdkafka's names. A setting that is given twice, under one name or two, is an error:
    /// `delivery.timeout.ms` beside `message.timeout.ms`, for example. So are brokers that cannot be read.
    ///
    /// ```
    /// use ottla::config::Config;
    ///
    /// let config = Config::from_properties([("bootstrap.servers", "a.example"), ("linger.ms", "20")])?;
    /// assert_eq!(config.properties().get("linger.ms"), Some("20"));
    /// assert_eq!(config, Config::from_dsn("kafka://a.example:9092?linger.ms=20")?);
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn from_properties<K: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, Error> {
        let mut properties = Properties::new();
        for (key, value) in pairs {
            set_once(&mut properties, key.as_ref(), value.as_ref(), "set")?;
        }
        Ok(Self { properties, topic: None })
    }

    /// The settings, for [`Client::from_properties`](crate::Client::from_properties) and the builders.
    pub fn properties(&self) -> &Properties {
        &self.properties
    }

    /// The topic, if the DSN names one.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }
}

#[cold]
fn wrong_user() -> Error {
    Error::config(
        "the user of the DSN cannot be read: write USER:PASSWORD@ before the brokers, with %2F for /, %40 for @, %3F for ?, \
         %3A for : and %25 for %",
    )
}

/// Sets user and password, and checks that they have an effect.
fn set_user(properties: &mut Properties, user: &str) -> Result<(), Error> {
    let (user, password) = user.split_once(':').ok_or_else(wrong_user)?;
    let read = |text: &str| decode(text).map(Zeroizing::new).map_err(|_| wrong_user());
    set_once(properties, "sasl.username", &read(user)?, DSN)?;
    set_once(properties, "sasl.password", &read(password)?, DSN)?;
    if properties.get("sasl.mechanism").is_none() {
        return Err(Error::config(
            "a DSN with a user needs a mechanism: add sasl.mechanism=SCRAM-SHA-512, for example",
        ));
    }
    if !properties.is_authenticated() {
        let text = "a DSN with a user needs an encrypted connection: begin it with kafka+ssl://, or add \
                    security.protocol=sasl_plaintext on a network that nobody else reads";
        return Err(Error::config(text));
    }
    Ok(())
}

#[cold]
fn wrong(why: &str) -> Error {
    Error::config(format!("{why}: {FORM}"))
}

/// Names a key and its value in an error that may show nothing but a well-known name.
fn part(number: usize, name: &str) -> String {
    if keys::find(name).is_ok() { format!("key {number}, {name},") } else { format!("key {number}") }
}

/// The error of a key after a secret. An unknown name is not shown: it may be the rest of a secret with a `&` in it.
fn unknown(number: usize, name: &str, error: Error) -> Error {
    if keys::find(name).is_ok() {
        return error;
    }
    let hint = keys::nearest(name).map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
    let why = "it is not shown, because it follows a secret: write %26 for & in a value";
    Error::config(format!("key {number} of the DSN is no property's name ({why}){hint}"))
}

/// Sets one `KEY=VALUE`.
fn set_pair(properties: &mut Properties, pair: &str) -> Result<(), Error> {
    let (key, value) = pair.split_once('=').ok_or_else(|| wrong("a key has no value"))?;
    set_once(properties, &decode(key)?, &Zeroizing::new(decode(value)?), DSN)
}

/// Sets a property that is not set yet, under none of its names: the order of a map must not decide between two values.
pub(super) fn set_once(properties: &mut Properties, name: &str, value: &str, origin: &str) -> Result<(), Error> {
    match keys::find(name) {
        Ok(keys::Found::Key(key)) if properties.get(key.name).is_some() => {
            let also = if key.name == name { String::new() } else { format!(", which is {},", key.name) };
            Err(Error::config(format!("{name}{also} is given twice: leave one of them out")))
        }
        Ok(keys::Found::Key(key)) if key.name == SERVERS => {
            let wrong = |error: Error| Error::config(format!("{name}: {error}"));
            let servers: BootstrapServers = value.parse().map_err(wrong)?;
            properties.set_from(name, &servers.to_string(), origin)
        }
        _ => properties.set_from(name, value, origin),
    }
}

fn named(topic: &str) -> Result<Option<TopicName>, Error> {
    if topic.is_empty() {
        return Ok(None);
    }
    let name = TopicName::from(topic);
    match TopicName::problem(&name) {
        Some(problem) => {
            // Where a question mark was left out, a secret may follow.
            let begin = keys::shown(topic);
            let rest = if begin.len() < topic.len() { " with the text after it" } else { "" };
            Err(Error::config(format!("{begin:?}{rest} is not a valid topic name: {problem}")))
        }
        None => Ok(Some(name)),
    }
}

/// Replaces each `%XX` by its byte.
fn decode(text: &str) -> Result<String, Error> {
    let wrong = || Error::config("a % in a DSN needs two hexadecimal digits after it, and the bytes must be UTF-8");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|d| d.is_ascii_hexdigit()));
        bytes.push(u8::from_str_radix(digits.ok_or_else(wrong)?, 16).map_err(|_| wrong())?);
        rest = after;
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_but_the_brokers_are_optional() {
        let config = Config::from_dsn("kafka://[::1]:9093").expect("brokers alone");
        assert_eq!(config.properties().get("bootstrap.servers"), Some("[::1]:9093"));
        assert_eq!(config.topic(), None);
        let config = Config::from_dsn("kafka://a?client.id=a%26b%C3%A9").expect("no topic");
        assert_eq!(config.properties().get("client.id"), Some("a&bé"));
        let encrypted = Config::from_dsn("kafka+ssl://a?ssl.ca.location=/etc/ca.pem");
        if cfg!(feature = "tls") {
            let config = encrypted.expect("an encrypted one");
            assert_eq!(config.properties().get("security.protocol"), Some("ssl"));
        } else {
            assert!(encrypted.expect_err("no TLS here").to_string().contains("turn on the feature `tls`"));
        }
    }

    #[test]
    fn errors_name_the_part_that_is_wrong() {
        let cases = [
            ("localhost:9092", "write it as kafka[+ssl]://"),
            ("http://a", "the scheme is neither kafka nor kafka+ssl"),
            ("kafka://", "at least one"),
            ("kafka://a/b c", "not a valid topic name"),
            ("kafka://a?linger.ms", "a key has no value"),
            ("kafka://a?linger.sm=1", "linger.ms"),
            ("kafka://a?client.id=%4", "two hexadecimal digits"),
            ("kafka://a?client.id=%+1", "two hexadecimal digits"),
            ("kafka+ssl://a?security.protocol=plaintext", "security.protocol is not a key"),
            ("kafka://a?metadata.broker.list=b", "bootstrap.servers"),
            ("kafka://a?sasl.password=x&lingr.ms=1", "key 2 of the DSN is no property's name"),
            ("kafka://a?sasl.password=x&lingr.ms=1", "did you mean linger.ms?"),
            ("kafka://a?sasl.password=x&linger.ms=soon", "linger.ms = \"soon\""),
            (
                "kafka://a?linger.ms=1&queue.buffering.max.ms=1",
                "queue.buffering.max.ms, which is linger.ms, is given twice",
            ),
            ("kafka://a?linger.ms=1&linger.ms=1", "linger.ms is given twice"),
            ("kafka://a?acks=all&client.id=me@home&linger.ms=x", "key 3, linger.ms, of"),
        ];
        for (dsn, part) in cases {
            let error = Config::from_dsn(dsn).expect_err(dsn).to_string();
            assert!(error.contains(part), "{dsn}: {error}");
        }
    }

    #[test]
    fn user_and_password_lead_to_sasl() {
        let dsn = "kafka://alice:p%40ss%2Fw%3Ard@a:1,b/t?sasl.mechanism=PLAIN&security.protocol=SASL_PLAINTEXT";
        let config = Config::from_dsn(dsn).expect("a user");
        let properties = config.properties();
        assert_eq!(properties.get("sasl.username"), Some("alice"));
        assert_eq!(properties.get("sasl.password"), Some("p@ss/w:rd"));
        assert_eq!(properties.get("bootstrap.servers"), Some("a:1,b:9092"));
        for (dsn, part) in [
            ("kafka://alice:pw@a", "needs a mechanism"),
            ("kafka://alice:pw@a?sasl.mechanism=PLAIN", "kafka+ssl://"),
            ("kafka://alice@a?sasl.mechanism=PLAIN", "USER:PASSWORD@"),
            ("kafka://alice:p%4@a?sasl.mechanism=PLAIN", "USER:PASSWORD@"),
            ("kafka://alice:pw@b@a?sasl.mechanism=PLAIN", "%40 for @"),
            ("kafka://alice:pw@a?sasl.mechanism=PLAIN&sasl.username=bob", "sasl.username is given twice"),
            ("kafka://a?sasl.mechanism=GSSAPI", "sasl::Mechanism"),
        ] {
            let error = Config::from_dsn(dsn).expect_err(dsn).to_string();
            assert!(error.contains(part), "{dsn}: {error}");
        }
    }

    #[test]
    fn stray_character_in_a_dsn_shows_no_secret() {
        const SECRET: &str = "qzxvkwjq==";
        let by_user = format!("kafka+ssl://alice:{SECRET}@a:1,[::1]:2/t?sasl.mechanism=PLAIN&linger.ms=5");
        let by_keys = format!("kafka://a/t?sasl.username=alice&sasl.password={SECRET}&ssl.key.pem={SECRET}&acks=1");
        let parts = || (0..SECRET.len() - 2).map(|at| &SECRET[at..at + 3]).filter(|part| !part.contains('='));
        let mut refused = 0;
        for dsn in [by_user, by_keys] {
            for at in 0..dsn.len() {
                let without = [&dsn[..at], &dsn[at + 1..]].concat();
                let with = |stray: char| format!("{}{stray}{}", &dsn[..at], &dsn[at..]);
                for wrong in "/?@#%:&=, \n+".chars().map(with).chain([without]) {
                    let Err(error) = Config::from_dsn(&wrong) else { continue };
                    let printed = format!("{error:#} {error:?}");
                    assert!(!parts().any(|part| printed.contains(part)), "{wrong}: {printed}");
                    assert_eq!(error.to_string().lines().count(), 1, "{wrong}: {printed}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 1_000, "{refused}");
    }

    #[test]
    fn errors_never_repeat_a_password() {
        for dsn in [
            "kafka://user:hunter2@a:9092/t",
            "kafka://user:hunter2@a b",
            "kafka+ssl://user:hunter2@a",
            "user:hunter2@a:9092",
            "kafka:/user:hunter2@a",
            "kafka://user:hunter2",
            "kafka://user:hunter2/@a",
            "kafka://user:pass/hunter2@a",
            "kafka://user:hunter2?@a",
            "kafka://user:1?hunter2=@a",
            "kafka://user:1?linger.ms=hunter2@a",
            "kafka://user:1/hunter2+?@a",
            "kafka://a?sasl.password=hunter2&sasl.password=hunter2",
            "kafka://a?sasl.jaas.config=PlainLoginModule required password=hunter2",
            "kafka://a?sasl.pasword=hunter2",
        ] {
            let error = Config::from_dsn(dsn).expect_err(dsn).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let error = BootstrapServers::parse(["user:hunter2@a:9092"]).expect_err("no user here").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
