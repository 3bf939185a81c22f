//! Every property name of the Java client and of librdkafka, with its values and its effect, or the reason why it has none.

use super::duration;
use crate::error::Error;

pub(super) mod defaults;
mod implemented;
mod others;

use self::implemented::KEYS;
use self::others::FAMILIES;

/// A setting that has an effect, by its property name. [`keys()`] lists them all.
#[derive(Debug)]
pub struct Key {
    /// Java's name, or librdkafka's where Java has none.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    pub(super) kind: Kind,
    /// Its effect.
    pub about: &'static str,
}

impl Key {
    /// Its default, beside those of Java and librdkafka.
    ///
    /// ```
    /// let batch = ottla::config::keys().find(|key| key.name == "batch.size").unwrap();
    /// assert_eq!((batch.defaults().here, batch.defaults().java), (Some("262144"), Some("16384")));
    /// ```
    pub fn defaults(&self) -> Defaults {
        let row = defaults::DEFAULTS.iter().find(|default| default.name == self.name);
        let known = |text: &'static str| Some(text).filter(|text| *text != defaults::NONE);
        row.map_or_else(Defaults::default, |row| Defaults {
            here: known(row.here),
            java: known(row.java),
            librdkafka: known(row.librdkafka),
            why: row.why,
        })
    }

    /// The value that an empty one stands for.
    pub(super) fn when_empty(&self) -> &'static str {
        if self.name == "ssl.endpoint.identification.algorithm" { "none" } else { "" }
    }

    /// The values that it takes, in words.
    ///
    /// ```
    /// let linger = ottla::config::keys().find(|key| key.name == "linger.ms").unwrap();
    /// assert_eq!(linger.takes(), "ms");
    /// ```
    pub fn takes(&self) -> String {
        self.kind.describe()
    }

    /// Whether its value is a secret, which nothing prints.
    pub fn is_secret(&self) -> bool {
        matches!(self.kind, Kind::Jaas | Kind::Secret)
    }
}

/// The defaults of a setting. Made by [`Key::defaults`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Defaults {
    /// The default here, in the form that [`Properties::set`](super::Properties::set) takes; `None` if there is none.
    pub here: Option<&'static str>,
    /// The default of Java's clients (4.x), with a note where it needs one; `None` if they have no such setting or no default.
    pub java: Option<&'static str>,
    /// The default of librdkafka (2.x), like that of Java.
    pub librdkafka: Option<&'static str>,
    /// The reason for a difference; empty where there is none.
    pub why: &'static str,
}

/// The values that a setting takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A number of bytes.
    Bytes,
    /// One of Java's classes, by the end of its name.
    Class(&'static [&'static str]),
    /// A number from the first to the second.
    From(i64, i64),
    /// Milliseconds, in fractions if need be.
    Millis,
    /// Milliseconds; −1 is never, as 0 is to librdkafka.
    MillisOrNever,
    /// One of these words, in upper or lower case.
    OneOf(&'static [&'static str]),
    /// One of these words, or `by_duration:` and a duration.
    OneOfOrDuration(&'static [&'static str]),
    Text,
    /// A login module of JAAS, which is never shown.
    Jaas,
    /// A mechanism of SASL.
    Mechanism,
    /// A fraction from the first to the second.
    Share(f64, f64),
    /// A text that is never shown.
    Secret,
}

/// Names without an effect, and the reason. [`families`] lists them all.
#[derive(Debug)]
pub struct Family {
    /// The names, Java's and librdkafka's.
    pub names: &'static [&'static str],
    /// Whether they are accepted and have no effect; otherwise setting one is an error.
    pub accepted: bool,
    /// The reason.
    pub why: &'static str,
}

/// Every setting that has an effect, by name.
///
/// ```
/// let linger = ottla::config::keys().find(|key| key.name == "linger.ms").unwrap();
/// assert_eq!(linger.aliases, ["queue.buffering.max.ms"]);
/// println!("{}: {}", linger.name, linger.about);
/// ```
pub fn keys() -> impl Iterator<Item = &'static Key> {
    KEYS.iter()
}

/// Every other name that is known, in families that share a reason.
///
/// ```
/// let family = ottla::config::families().find(|family| family.names.contains(&"max.poll.records")).unwrap();
/// assert!(family.accepted, "it has no effect, because {}", family.why);
/// ```
pub fn families() -> impl Iterator<Item = &'static Family> {
    FAMILIES.iter()
}

/// The meaning of a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    Key(&'static Key),
    Family(&'static Family),
}

pub(super) fn find(name: &str) -> Result<Found, Error> {
    if let Some(key) = KEYS.iter().find(|key| key.name == name || key.aliases.contains(&name)) {
        return Ok(Found::Key(key));
    }
    if let Some(family) = FAMILIES.iter().find(|family| family.names.contains(&name)) {
        return Ok(Found::Family(family));
    }
    if let Some(secret) = secret_with_more(name) {
        let why = "the rest is not shown, because it may be a secret; put a separator between name and value";
        let text = format!("no property is named {secret} with more text after it: {why}");
        return Err(Error::config(text));
    }
    let name = shown(name);
    if name.is_empty() {
        return Err(Error::config("a property has no name, or one that begins with a character that no name has"));
    }
    let hint = nearest(name).map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
    Err(Error::config(format!("no property is named {name}{hint}")))
}

/// The known name that is nearest to an unknown one.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    let name = shown(name);
    let names = KEYS.iter().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
    let names = names.chain(FAMILIES.iter().flat_map(|family| family.names));
    // The others are farther than that, since all are ASCII.
    let near = names.filter(|known| known.len().abs_diff(name.len()) <= DISTANCE_MAX);
    let nearest = near.map(|known| (distance(known, name), known)).min();
    nearest.filter(|(distance, _)| *distance <= DISTANCE_MAX).map(|(_, nearest)| *nearest)
}

/// The most letters in which a suggestion may differ.
const DISTANCE_MAX: usize = 5;

/// The name of a secret that an alleged name begins with: the rest may be its value, where a separator was left out.
fn secret_with_more(name: &str) -> Option<&'static str> {
    let names = KEYS.iter().filter(|key| key.is_secret()).flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
    names.copied().filter(|secret| name.starts_with(secret)).max_by_key(|secret| secret.len())
}

/// The part of an alleged name that may be shown: text after a `:` or a space may be a value, and so a secret.
pub(super) fn shown(name: &str) -> &str {
    let legal = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // All characters before the end take one byte.
    &name[..name.chars().take(NAME_LEN_MAX).take_while(legal).count()]
}

/// Longer than any name. It bounds the text that is compared and shown.
const NAME_LEN_MAX: usize = 80;

/// Checks a value and returns it in the form that is stored. Errors call the key by `name`, as the user did.
pub(super) fn check(key: &Key, name: &str, value: &str) -> Result<String, Error> {
    let wrong = |what: &str| Error::config(format!("{name} = {value:?}: give {what}"));
    let whole = || value.parse::<i64>().ok();
    match key.kind {
        Kind::Bytes => {
            let fits = whole().filter(|bytes| (0..=i64::from(u32::MAX)).contains(bytes));
            Ok(fits.ok_or_else(|| wrong("a number of bytes up to 4294967295"))?.to_string())
        }
        Kind::Class(classes) => {
            let last = value.rsplit('.').next().unwrap_or_default();
            let known = classes.iter().find(|class| **class == last);
            let remedy =
                "for a class of your own implement sasl::TokenSource or sasl::Mechanism, and call ClientBuilder::sasl";
            let wrong =
                || Error::config(format!("{name} is no class that is built in: give {}; {remedy}", either(classes)));
            Ok((*known.ok_or_else(wrong)?).to_owned())
        }
        Kind::From(low, high) => {
            let fits = whole().filter(|number| (low..=high).contains(number));
            Ok(fits.ok_or_else(|| wrong(&format!("a number from {low} to {high}")))?.to_string())
        }
        Kind::Millis => millis(value).ok_or_else(|| wrong("a number of milliseconds, up to 4294967295")),
        Kind::MillisOrNever => match value.parse() {
            Ok(-1.0 | 0.0) => Ok("-1".to_owned()),
            _ => millis(value).ok_or_else(|| wrong("a number of milliseconds, or -1 for never")),
        },
        Kind::OneOf(words) => {
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(value));
            // A single word names the only behaviour; the table says why there is no other.
            let why = if words.len() == 1 { format!(": {}", key.about) } else { String::new() };
            Ok((*word.ok_or_else(|| wrong(&format!("{}{why}", either(words))))?).to_owned())
        }
        Kind::OneOfOrDuration(words) => {
            let lower = value.to_ascii_lowercase();
            let word = words.iter().find(|word| **word == lower).map(|word| (*word).to_owned());
            let by_duration = || {
                let text = lower.strip_prefix(BY_DURATION).map(str::to_ascii_uppercase)?;
                duration(&text).map(|_| format!("{BY_DURATION}{text}"))
            };
            word.or_else(by_duration)
                .ok_or_else(|| wrong(&format!("{}, or {BY_DURATION}PnDTnHnMn.nS", words.join(", "))))
        }
        Kind::Jaas => super::jaas::parse(value).map(|_| value.to_owned()),
        Kind::Mechanism => {
            let known = MECHANISMS.iter().find(|known| known.eq_ignore_ascii_case(value));
            let remedy = "pass another mechanism, such as GSSAPI, to ClientBuilder::sasl as a sasl::Mechanism";
            // The value is not shown: somebody may have mixed up the lines.
            let wrong =
                || Error::config(format!("{name} is no built-in mechanism: give {}; {remedy}", either(MECHANISMS)));
            Ok((*known.ok_or_else(wrong)?).to_owned())
        }
        Kind::Share(low, high) => {
            let share = value.parse::<f64>().ok().filter(|share| (low..=high).contains(share));
            Ok(share.ok_or_else(|| wrong(&format!("a fraction from {low} to {high}")))?.to_string())
        }
        Kind::Text | Kind::Secret => Ok(value.to_owned()),
    }
}

/// The built-in mechanisms of SASL.
pub(super) const MECHANISMS: &[&str] = &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"];

/// The beginning of a reset policy that names an age (KIP-1106).
pub(crate) const BY_DURATION: &str = "by_duration:";

/// Words in a row, with an "or" before the last.
fn either(words: &[&str]) -> String {
    match words {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => words.concat(),
    }
}

/// Reads milliseconds. librdkafka takes fractions of them.
fn millis(value: &str) -> Option<String> {
    let millis: f64 = value.parse().ok()?;
    // Adding zero takes the sign from another zero.
    (0.0..=f64::from(u32::MAX)).contains(&millis).then(|| (millis + 0.0).to_string())
}

impl Kind {
    fn describe(self) -> String {
        match self {
            Self::Bytes => "bytes".to_owned(),
            Self::Class(classes) => classes.join(", "),
            Self::From(low, high) => format!("{low} to {high}"),
            Self::Millis => "ms".to_owned(),
            Self::MillisOrNever => "ms, -1 is never".to_owned(),
            Self::OneOf(words) => words.join(", "),
            Self::OneOfOrDuration(words) => format!("{}, {BY_DURATION}PnDTnHnMn.nS", words.join(", ")),
            Self::Jaas => "a login module of JAAS, never shown".to_owned(),
            Self::Mechanism => MECHANISMS.join(", "),
            Self::Share(low, high) => format!("{low} to {high}, in fractions"),
            Self::Text => "text".to_owned(),
            Self::Secret => "text, never shown".to_owned(),
        }
    }
}

/// The number of letters to add, drop or change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(name: &str) -> &'static Key {
        match find(name) {
            Ok(Found::Key(key)) => key,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn names_are_found_by_alias_and_typos_get_a_hint() {
        assert_eq!(key("queue.buffering.max.ms").name, "linger.ms");
        assert!(find("batchsize").expect_err("unknown").to_string().contains("batch.size"));
        assert!(find("ssl.keystore.lokation").expect_err("unknown").to_string().contains("ssl.keystore.location"));
        assert!(!find("zzzzzzzzzzzzzzzzzzzz").expect_err("unknown").to_string().contains("mean"));
    }

    #[test]
    fn text_after_an_invalid_name_is_never_shown() {
        let names = ["sasl.password:hunter2", "sasl.password hunter2", "linger.ms\nhunter2", "", "=hunter2"];
        // A separator was left out; Base64 ends with one.
        for name in names.into_iter().chain(["sasl.passwordhunter2", "ssl.key.pemhunter2", "sasl.jaas.config.hunter2"])
        {
            let error = find(name).expect_err(name).to_string();
            assert!(!error.contains("hunter2") && error.lines().count() == 1, "{error}");
        }
        let long = find(&"sasl.".repeat(1_000_000)).expect_err("no name is so long").to_string();
        assert!(long.len() < 200, "{}", long.len());
    }

    #[test]
    fn values_are_stored_in_one_form() {
        let forms = [
            ("connections.max.idle.ms", "-0.0", "-1"),
            ("connections.max.idle.ms", "1e3", "1000"),
            ("linger.ms", "-0", "0"),
            ("linger.ms", ".50", "0.5"),
            ("batch.size", "+007", "7"),
            ("acks", "ALL", "all"),
        ];
        for (name, given, kept) in forms {
            assert_eq!(check(key(name), name, given).expect(given), kept, "{name} = {given}");
        }
    }

    #[test]
    fn each_name_is_listed_once() {
        let mut seen = BTreeSet::new();
        let names = keys().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
        for name in names.chain(families().flat_map(|family| family.names)) {
            assert!(seen.insert(name), "{name}");
        }
    }

    #[test]
    fn settings_that_sound_secret_are_never_shown() {
        let words = ["password", "secret", "passphrase", "jaas", "keystore.key", "key.pem"];
        let secrets = keys().filter(|key| {
            std::iter::once(&key.name).chain(key.aliases).any(|name| words.iter().any(|word| name.contains(word)))
        });
        for key in secrets {
            assert!(key.is_secret(), "{} must be of the kind Secret", key.name);
        }
    }

    #[test]
    fn values_are_checked_by_kind() {
        let good = [("linger.ms", "0.5"), ("connections.max.idle.ms", "-1"), ("acks", "ALL"), ("batch.size", "0")];
        for (name, value) in good {
            assert!(check(key(name), name, value).is_ok(), "{name} = {value}");
        }
        let bad = [
            ("linger.ms", "-1"),
            ("linger.ms", "NaN"),
            ("linger.ms", "1e300"),
            ("batch.size", "1.5"),
            ("batch.size", "99999999999"),
            ("connections.max.idle.ms", "-2"),
            ("compression.gzip.level", "10"),
            ("compression.gzip.level", "0"),
            ("queue.buffering.max.ms", "soon"),
            ("acks", "2"),
        ];
        for (name, value) in bad {
            let error = check(key(name), name, value).expect_err(name).to_string();
            assert!(error.contains(name) && error.contains(value) && error.contains("give "), "{error}");
        }
    }
}
