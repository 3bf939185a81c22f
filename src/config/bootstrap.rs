//! Reading lists of brokers.

use std::fmt;

use crate::error::Error;

/// A broker's address as a user writes it. Made by [`parse_bootstrap`].
///
/// ```
/// use ottla::config::HostPort;
///
/// let broker = HostPort { host: "::1".to_owned(), port: 9092 };
/// assert_eq!(broker.to_string(), "[::1]:9092");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, 9092 if none was written.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

const PORT: u16 = 9092;

/// Reads `HOST[:PORT]`, each of which may hold several, separated by commas. IPv6 addresses stand in brackets.
///
/// An error names the broker that is wrong, and shows its host at most: text in the place of a port, or before an `@`, may be a
/// password.
///
/// ```
/// let brokers = ottla::config::parse_bootstrap(["a.example, b.example:9093", "a.example:9092"])?;
/// let brokers: Vec<String> = brokers.iter().map(ToString::to_string).collect();
/// assert_eq!(brokers, ["a.example:9092", "b.example:9093"]);
/// # Ok::<(), ottla::Error>(())
/// ```
pub fn parse_bootstrap<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Vec<HostPort>, Error> {
    let mut found = Vec::new();
    let mut count = 0;
    for list in servers {
        if list.as_ref().contains('@') {
            return Err(Error::config("a broker's address has no user before an @; write HOST:PORT"));
        }
        for text in list.as_ref().split(',').map(str::trim).filter(|text| !text.is_empty()) {
            count += 1;
            let server = parse(text).map_err(|why| wrong(count, text, why))?;
            if !found.contains(&server) {
                found.push(server);
            }
        }
    }
    if found.is_empty() {
        return Err(Error::config("no brokers to start from: give at least one HOST:PORT"));
    }
    Ok(found)
}

#[cold]
fn wrong(number: usize, text: &str, why: &str) -> Error {
    let address = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = address.split([':', '/']).next().filter(|host| !host.is_empty() && !host.starts_with('['));
    let named = host.map_or(String::new(), |host| format!(" {host:?}"));
    Error::config(format!("broker {number}{named}: {why}; write HOST:PORT"))
}

fn parse(text: &str) -> Result<HostPort, &'static str> {
    match text.split_once("://") {
        Some(("kafka", _)) => return Err("kafka:// begins a DSN, which `Config::from_dsn` reads, and not an address"),
        Some(_) => return Err("an address has no scheme, such as http:// or PLAINTEXT://"),
        None => {}
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
            let port = if after.is_empty() {
                None
            } else {
                Some(after.strip_prefix(':').ok_or("there is text between ']' and the port")?)
            };
            (host, port)
        }
        None if text.contains(char::is_whitespace) => return Err("a comma separates addresses, and not a space"),
        None if text.matches(':').count() > 1 => return Err("an IPv6 address needs brackets"),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(legal) {
        return Err("the host is not valid");
    }
    let port = match port {
        None => PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or("the port is not a number from 1 to 65535")?,
    };
    Ok(HostPort { host: host.to_owned(), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_duplicates_dropped() {
        let read = parse_bootstrap(["a:1, b", "[::1]:3,a:1"]).expect("a list");
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b:9092", "[::1]:3"]);
    }

    #[test]
    fn error_names_the_broker_and_shows_only_its_host() {
        let cases = [("a, b:hunter2", "broker 2 \"b\": the port"), ("b:hunter2:9", "broker 1 \"b\": an IPv6")];
        for (list, part) in cases
            .into_iter()
            .chain([("[hunter2", "broker 1: a bracket"), ("b:1, hunter2 x,c@a", "no user before an @")])
        {
            let error = parse_bootstrap([list]).expect_err(list).to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        for url in ["http://a:1", "PLAINTEXT://a:1/x", "https://a"] {
            let error = parse_bootstrap([url]).expect_err(url).to_string();
            assert!(error.starts_with("broker 1 \"a\": an address has no scheme"), "{error}");
        }
        let error = parse_bootstrap(["kafka://a:1/t"]).expect_err("a DSN").to_string();
        assert!(error.starts_with("broker 1 \"a\": kafka:// begins a DSN, which `Config::from_dsn` reads"), "{error}");
        for bad in ["", ",", "a:0", "a:70000", "a:b", "::1", "[::1", "[::1]x", "http://a:1", "a b:1", ":9"] {
            assert!(parse_bootstrap([bad]).is_err(), "{bad}");
        }
    }
}
