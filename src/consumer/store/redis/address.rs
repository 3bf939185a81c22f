//! The address of a Redis as a user writes it: what is dialled, who logs in, and whether by TLS.

use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::link::Cause;
use super::login::Login;
use crate::config::HostPort;
use crate::error::Error;
use crate::secret::Secret;

/// An address that was understood.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) place: Place,
    pub(super) login: Login,
    /// Whether the scheme is one of TLS.
    pub(super) is_encrypted: bool,
}

/// The place that is dialled. It has no secret, so errors name it.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Tcp(HostPort),
    /// A socket of Unix.
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Address {
    /// No error of this shows the address: it may have a password.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Some((_, fragment)) = text.rsplit_once('#') {
            return Err(Error::config(match fragment {
                "insecure" => {
                    "the address of Redis ends in #insecure, which would accept every certificate: leave it out, and name the CA by \
                     `RedisStore::connect_tls`, or pass it a `Tls` with the `Verify` that you want"
                }
                _ => "the address of Redis has a #: write one in a password as %23",
            }));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| malformed("it has no scheme"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => Self::tcp(rest, query, false),
            "rediss" | "valkeys" => Self::tcp(rest, query, true),
            "unix" | "redis+unix" | "valkey+unix" => Self::file(rest, query),
            _ => Err(malformed("its scheme is not one of Redis")),
        }
    }

    /// `[USER:PASSWORD@]HOST[:PORT][/DATABASE]`
    fn tcp(rest: &str, query: &str, is_encrypted: bool) -> Result<Self, Error> {
        let settings = Settings::parse(query)?;
        if settings.database.is_some() {
            return Err(malformed(
                "a database after the ? is for unix://: write it after the host, as in redis://HOST/3",
            ));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let place = place_of(place).map_err(|why| {
            let is_cut = path.contains('@') || query.contains('@');
            malformed(if is_cut {
                "a / or ? stands before the @: write them as %2F and %3F in a password"
            } else {
                why
            })
        })?;
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let database = match path.trim_matches('/') {
            "" => 0,
            number => database(number)?,
        };
        let login =
            Login { user: given(decode(user)?), password: given(decode(password)?).map(Secret::from), database };
        Ok(Self { place: Place::Tcp(place), login, is_encrypted })
    }

    /// `PATH[?db=DATABASE][&user=USER][&pass=PASSWORD]`
    fn file(path: &str, query: &str) -> Result<Self, Error> {
        let Settings { user, password, database } = Settings::parse(query)?;
        let path = decode(path.strip_prefix("localhost").unwrap_or(path))?;
        if !path.starts_with('/') || path.len() == 1 {
            return Err(malformed("a socket of Unix needs an absolute path, as in unix:///run/redis.sock"));
        }
        let login = Login { user, password: password.map(Secret::from), database: database.unwrap_or(0) };
        Ok(Self { place: Place::File(path.into()), login, is_encrypted: false })
    }
}

/// The settings after the `?`. Those of other clients are ignored.
#[derive(Default)]
struct Settings {
    user: Option<String>,
    password: Option<String>,
    database: Option<i64>,
}

impl Settings {
    fn parse(query: &str) -> Result<Self, Error> {
        let mut settings = Self::default();
        for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let value = || decode(&value.replace('+', " "));
            match key {
                "db" => settings.database = Some(database(&value()?)?),
                "pass" => settings.password = given(value()?),
                // The replies that a store needs are the same in both protocols.
                "protocol" if !matches!(&*value()?, "2" | "3" | "resp2" | "resp3") => {
                    return Err(malformed("its protocol is neither 2 nor 3"));
                }
                "user" => settings.user = given(value()?),
                _ => {}
            }
        }
        Ok(settings)
    }
}

/// The port of Redis.
const PORT: u16 = 6379;

/// `HOST[:PORT]`
fn place_of(text: &str) -> Result<HostPort, &'static str> {
    let (host, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
        None => text.split_once(':').map_or((text.to_owned(), None), |(host, port)| (host.to_owned(), Some(port))),
        Some(None) => return Err("a bracket is not closed"),
        Some(Some((address, after))) => {
            let address: Ipv6Addr = address.parse().map_err(|_| "there is no IPv6 address between the brackets")?;
            let port =
                if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or("its port is no number")?) };
            (address.to_string(), port)
        }
    };
    let is_legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    match host.as_str() {
        "" => return Err("it has no host; an IPv6 address needs brackets"),
        "0.0.0.0" | "::" => return Err("0.0.0.0 and :: are no host to connect to"),
        host if !host.chars().all(is_legal) => return Err("its host is not valid"),
        _ => {}
    }
    let port = match port {
        None | Some("") => PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("its port is no number from 1 to 65535")?,
    };
    Ok(HostPort { host, port })
}

fn database(text: &str) -> Result<i64, Error> {
    text.parse().map_err(|_| malformed("its database is no number"))
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// Replaces each `%XX` by its byte. Any other % stands for itself, as in other clients of Redis.
fn decode(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.push(u8::try_from(high << 4 | low).expect("two hexadecimal digits are a byte"));
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).map_err(|_| malformed("its %-encoded bytes are not UTF-8"))
}

fn malformed(why: &str) -> Error {
    let text = "the address of Redis cannot be used: write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or rediss://… for TLS, with \
                %-encoded special characters in the password";
    Error::config(text).caused_by(Cause(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_has_place_login_and_encryption() {
        for (text, place, user, database, is_encrypted) in [
            ("redis://h", "h:6379", None, 0, false),
            ("REDIS://h:/\n", "h:6379", None, 0, false),
            ("rediss://u:p%40%23@h:7000/3", "h:7000", Some("u"), 3, true),
            ("valkeys://[::1]/2", "[::1]:6379", None, 2, true),
            ("valkey://:p@[2001:DB8::0:1]:7/2/", "[2001:db8::1]:7", None, 2, false),
            (
                "redis://default@redis_1.example?protocol=resp3&timeout=5",
                "redis_1.example:6379",
                Some("default"),
                0,
                false,
            ),
            ("unix:///run/redis.sock?db=4", "/run/redis.sock", None, 4, false),
            ("redis+unix:///run/a%20b.sock?user=u+1&pass=p%2B", "/run/a b.sock", Some("u 1"), 0, false),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.place.to_string().as_str(), address.is_encrypted), (place, is_encrypted), "{text}");
            assert_eq!((address.login.user.as_deref(), address.login.database), (user, database), "{text}");
        }
    }

    #[test]
    fn password_is_read_with_and_without_encoding() {
        for (text, password) in [
            ("rediss://u:p%40%23%2f@h", Some("p@#/")),
            ("redis://u:p@:+&=!@h/1", Some("p@:+&=!")),
            ("redis://u:100%sure%4@h", Some("100%sure%4")),
            ("redis://u:%C3%A9\u{e9}@h", Some("\u{e9}\u{e9}")),
            ("redis://u:@h", None),
            ("redis://@h", None),
            ("unix:///s?pass=a%26+b", Some("a& b")),
            ("unix:///s?pass=", None),
        ] {
            let login = Address::parse(text).expect(text).login;
            assert_eq!(login.password.as_ref().and_then(|password| password.expose_text()), password, "{text}");
        }
    }

    #[test]
    fn unusable_address_has_an_error_without_its_secret() {
        for (text, reason) in [
            ("hunter2@h", "it has no scheme"),
            ("http://u:hunter2@h", "its scheme is not one of Redis"),
            ("redis://u:hunter2@h/many", "its database is no number"),
            ("redis://u:hunter2@h?db=3", "after the host, as in redis://HOST/3"),
            ("redis://u:hunter2@h?protocol=4", "neither 2 nor 3"),
            ("redis://u:hunter2@0.0.0.0", "no host to connect to"),
            ("redis://u:hunter2@[::]", "no host to connect to"),
            ("redis://u:hunter2@", "it has no host"),
            ("redis://u:hunter2@::1", "an IPv6 address needs brackets"),
            ("redis://u:hunter2@[::1", "a bracket is not closed"),
            ("redis://u:hunter2@[h]", "no IPv6 address"),
            ("redis://u:hunter2@[::1]7", "its port is no number"),
            ("redis://u:hunter2@h:65536", "its port is no number"),
            ("redis://u:hunter2@h:0", "its port is no number"),
            ("redis://u:hunter2", "its port is no number"),
            ("redis://u:hunter2@a,b", "its host is not valid"),
            ("redis://u:hunter2/@h", "write them as %2F and %3F"),
            ("redis://u:hunter2?@h", "write them as %2F and %3F"),
            ("redis://u:hunter2%ff@h", "not UTF-8"),
            ("rediss://u:hunter2@h#insecure", "RedisStore::connect_tls"),
            ("redis://u:#hunter2@h", "as %23"),
            ("unix://?pass=hunter2", "an absolute path"),
            ("unix://run/s?pass=hunter2", "an absolute path"),
            ("unix:///s?pass=hunter2&db=x", "its database is no number"),
        ] {
            let error = Address::parse(text).expect_err(text);
            let shown = format!("{error:#} {error:?}");
            assert!(shown.contains(reason) && !shown.contains("hunter2"), "{text}: {shown}");
        }
        let address = Address::parse("redis://u:hunter2@h").expect("an address");
        assert!(!format!("{address:?}").contains("hunter2"));
    }
}
