//! Writes a configuration in the forms that it is read from: a list of names and values, a DSN, a file of properties.

use std::fmt;
use std::fmt::Write;

use zeroize::Zeroizing;

use super::Config;
use super::Properties;
use super::dsn::PROTOCOL;
use super::dsn::SERVERS;
use super::explain::REDACTED;
use super::file::BYTES_MAX;
use super::file::cut;
use super::keys::keys;
use crate::error::Error;
use crate::secret::Secret;

impl Properties {
    /// The settings that were set, by name, each with its value in the form that [`Self::set`] takes. Secrets are among the values, as
    /// they are: [`Self::explain`] hides them.
    ///
    /// ```
    /// use ottla::config::Config;
    ///
    /// let config = Config::from_dsn("kafka://a.example?linger.ms=20")?;
    /// let pairs: Vec<_> = config.properties().pairs().collect();
    /// assert_eq!(pairs, [("bootstrap.servers", "a.example:9092"), ("linger.ms", "20")]);
    /// assert_eq!(Config::from_properties(pairs)?, config);
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.text.as_str()))
    }
}

impl Config {
    /// The DSN of this configuration, which [`Self::from_dsn`] reads back to an equal one. It is a [`Secret`], because a password or a key
    /// may be in it: [`Secret::expose_text`] shows it.
    ///
    /// A user and a password that are used are written before the brokers, all other settings as keys.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): `bootstrap.servers` is not set.
    ///
    /// ```
    /// use ottla::config::Config;
    ///
    /// let config = Config::from_properties([
    ///     ("bootstrap.servers", "a.example"),
    ///     ("security.protocol", "sasl_plaintext"),
    ///     ("sasl.mechanism", "PLAIN"),
    ///     ("sasl.username", "alice"),
    ///     ("sasl.password", "correct horse"),
    /// ])?;
    /// let dsn = config.to_dsn()?;
    /// assert_eq!(
    ///     dsn.expose_text(),
    ///     Some("kafka://alice:correct%20horse@a.example:9092?sasl.mechanism=PLAIN&security.protocol=sasl_plaintext")
    /// );
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn to_dsn(&self) -> Result<Secret, Error> {
        if self.properties.get(SERVERS).is_none() {
            return Err(Error::config("bootstrap.servers is not set: a DSN begins with the brokers"));
        }
        Ok(Dsn { properties: &self.properties, topic: self.topic() }.exposed())
    }

    /// The text of a file of properties with these settings, which [`Self::from_file`] and Java's clients read back to equal ones. It is a
    /// [`Secret`], because a password or a key may be in it: write the file where nobody else reads it. The topic of a DSN is no setting,
    /// and is left out.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config) names a setting whose value begins or ends with a space, which readers of such files
    /// cut, or says that the text is larger than 1 MiB, which [`Self::from_file`] refuses.
    ///
    /// ```
    /// use ottla::config::Config;
    ///
    /// let config = Config::from_dsn("kafka://a.example?client.id=caf%C3%A9&linger.ms=20")?;
    /// let text = config.to_file_text()?;
    /// assert_eq!(text.expose_text(), Some("bootstrap.servers=a.example:9092\nclient.id=caf\\u00e9\nlinger.ms=20\n"));
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn to_file_text(&self) -> Result<Secret, Error> {
        let mut text = buffer(&self.properties, 6);
        for (name, value) in self.properties.pairs() {
            if cut(value) != value {
                let why = "begins or ends with a space, which readers of files cut: write a DSN instead";
                return Err(Error::config(format!("{name} {why}")));
            }
            text.push_str(name);
            text.push('=');
            value.chars().for_each(|c| escape(c, &mut text));
            text.push('\n');
        }
        if text.len() as u64 > BYTES_MAX {
            return Err(Error::config(
                "the settings are larger than 1 MiB: name files of certificates and keys instead",
            ));
        }
        Ok(std::mem::take(&mut *text).into())
    }
}

/// As long as a text of all settings can be, so that no shorter copy of a secret is left in freed memory. `longest` is the most bytes that
/// a byte of a value becomes.
fn buffer(properties: &Properties, longest: usize) -> Zeroizing<String> {
    let len: usize = properties.pairs().map(|(name, value)| name.len() + longest * value.len() + 2).sum();
    Zeroizing::new(String::with_capacity(len + OTHER_PARTS))
}

/// More than a topic, a scheme and what is between them.
const OTHER_PARTS: usize = 512;

/// Writes a character of a value for a file of properties. Java reads these as ISO 8859-1, so that all that is not ASCII is escaped.
fn escape(c: char, text: &mut String) {
    match c {
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        ' '..='~' => text.push(c),
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
}

/// The DSN of some settings and a topic. `Display` hides secrets.
pub(crate) struct Dsn<'a> {
    pub(crate) properties: &'a Properties,
    pub(crate) topic: Option<&'a str>,
}

impl Dsn<'_> {
    /// The DSN with its secrets.
    pub(crate) fn exposed(&self) -> Secret {
        let mut text = buffer(self.properties, 3);
        self.write(&mut *text, true).expect("a string takes any text");
        std::mem::take(&mut *text).into()
    }

    fn write(&self, out: &mut impl Write, is_exposed: bool) -> fmt::Result {
        let get = |name| self.properties.get(name);
        let has_mechanism = get("sasl.mechanism").is_some();
        // Where SASL is not used, or no mechanism is named, a reader refuses a user before the brokers.
        let is_used = has_mechanism && self.properties.is_authenticated();
        let user = get("sasl.username").zip(get("sasl.password")).filter(|_| is_used);
        let encrypted = if has_mechanism { "sasl_ssl" } else { "ssl" };
        let is_encrypted = get(PROTOCOL) == Some(encrypted);
        out.write_str(if is_encrypted { "kafka+ssl://" } else { "kafka://" })?;
        if let Some((user, password)) = user {
            percent(user, out)?;
            out.write_str(":")?;
            value(password, !is_exposed, out)?;
            out.write_str("@")?;
        }
        out.write_str(get(SERVERS).unwrap_or_default())?;
        if let Some(topic) = self.topic {
            write!(out, "/{topic}")?;
        }
        let is_key = |name: &str| match name {
            SERVERS => false,
            PROTOCOL => !is_encrypted,
            "sasl.username" | "sasl.password" => user.is_none(),
            _ => true,
        };
        let mut separator = '?';
        for key in keys().filter(|key| is_key(key.name)) {
            let Some(text) = get(key.name) else { continue };
            write!(out, "{separator}{}=", key.name)?;
            value(text, key.is_secret() && !is_exposed, out)?;
            separator = '&';
        }
        Ok(())
    }
}

impl fmt::Display for Dsn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, false)
    }
}

fn value(text: &str, is_hidden: bool, out: &mut impl Write) -> fmt::Result {
    if is_hidden { out.write_str(REDACTED) } else { percent(text, out) }
}

/// Writes each byte that may be more than itself in a DSN as `%XX`.
fn percent(text: &str, out: &mut impl Write) -> fmt::Result {
    text.bytes().try_for_each(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => out.write_char(char::from(byte)),
        _ => write!(out, "%{byte:02X}"),
    })
}

#[cfg(test)]
mod tests;
