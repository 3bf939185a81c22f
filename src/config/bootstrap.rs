//! Reading lists of brokers.

use std::fmt;

use crate::error::Error;

/// A broker's address as a user writes it.
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
pub fn parse_bootstrap<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Vec<HostPort>, Error> {
    let mut found = Vec::new();
    for list in servers {
        for text in list.as_ref().split(',').map(str::trim).filter(|text| !text.is_empty()) {
            let server = parse(text)?;
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

fn parse(text: &str) -> Result<HostPort, Error> {
    if text.contains('@') {
        // What stands before it may be a password.
        return Err(Error::config("a broker's address has no user before an @; write HOST:PORT"));
    }
    let wrong = |why: &str| Error::config(format!("broker {text:?}: {why}; write HOST:PORT"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or_else(|| wrong("a bracket is not closed"))?;
            let port = if after.is_empty() {
                None
            } else {
                Some(after.strip_prefix(':').ok_or_else(|| wrong("something stands between ']' and the port"))?)
            };
            (host, port)
        }
        None if text.matches(':').count() > 1 => return Err(wrong("an IPv6 address needs brackets")),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(legal) {
        return Err(wrong("the host is not one"));
    }
    let port = match port {
        None => PORT,
        Some(port) => {
            port.parse().ok().filter(|port| *port > 0).ok_or_else(|| wrong("the port is not from 1 to 65535"))?
        }
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
    fn what_is_not_an_address_is_named() {
        for bad in ["", ",", "a:0", "a:70000", "a:b", "::1", "[::1", "[::1]x", "http://a:1", "a b:1", ":9"] {
            assert!(parse_bootstrap([bad]).is_err(), "{bad}");
        }
    }
}
