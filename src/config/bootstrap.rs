//! Reading lists of brokers.

use core::net::Ipv6Addr;
use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// A broker's address as a user writes it. Part of [`BootstrapServers`].
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

/// The brokers from which a client finds its cluster: in order, each once, at least one.
///
/// The list belongs to one cluster. A program that has several clusters keeps one list for each.
///
/// | a broker as it is written | is |
/// |---|---|
/// | `host`, `10.0.0.1` | the default port, 9092 |
/// | `host:9093`, `10.0.0.1:9093` | that port |
/// | `[::1]`, `::1`, `fe80::1%eth0` | an IPv6 address with the default port |
/// | `[::1]:9093`, `::1:9093` | an IPv6 address and a port |
///
/// Without brackets a last group of decimal digits is the port wherever an address remains before it, as in the monitoring system that
/// this type comes from. Write brackets where `fe80::1:2` is an address.
///
/// ```
/// use ottla::config::BootstrapServers;
///
/// let servers: BootstrapServers = "a.example, ::1:9093, b.example:9094, A.example:9092".parse()?;
/// assert_eq!(servers.to_string(), "a.example:9092,[::1]:9093,b.example:9094");
///
/// let unset = "a.example:None".parse::<BootstrapServers>().unwrap_err();
/// assert!(unset.to_string().starts_with(r#"broker 1 "a.example": the port is `None`"#));
/// # Ok::<(), ottla::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootstrapServers(Vec<HostPort>);

const PORT: u16 = 9092;

impl BootstrapServers {
    /// Reads lists of brokers, separated by commas. A broker without a port has port 9092. Empty items, such as the one after a last
    /// comma, are skipped, as by Java's client. A broker that is named again is left out; the letter case of a name does not matter.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config) names the broker that is wrong by its number and its host: it has no host, its
    /// port is not from 1 to 65535, or there is other text. Text in the place of a port, or before an `@`, may be a password, and is not
    /// shown. A list without any broker is refused as well.
    pub fn parse<S: AsRef<str>>(servers: impl IntoIterator<Item = S>) -> Result<Self, Error> {
        Self::parse_with_port(servers, PORT)
    }

    /// As [`Self::parse`], with another port for brokers that are written without one. It must not be 0.
    ///
    /// ```
    /// use ottla::config::BootstrapServers;
    ///
    /// let servers = BootstrapServers::parse_with_port(["kafka-0", "kafka-1:9093"], 9094)?;
    /// assert_eq!(servers.to_string(), "kafka-0:9094,kafka-1:9093");
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn parse_with_port<S: AsRef<str>>(
        servers: impl IntoIterator<Item = S>,
        default_port: u16,
    ) -> Result<Self, Error> {
        if default_port == 0 {
            return Err(Error::config("the default port of brokers is 0; give one from 1 to 65535"));
        }
        let mut found: Vec<HostPort> = Vec::new();
        let mut count = 0;
        for list in servers {
            if list.as_ref().contains('@') {
                return Err(Error::config("a broker's address has no user before an @; write HOST:PORT"));
            }
            for text in list.as_ref().split(',').map(str::trim).filter(|text| !text.is_empty()) {
                count += 1;
                let server = parse(text, default_port).map_err(|why| wrong(count, text, why))?;
                let is_known =
                    |known: &HostPort| known.port == server.port && known.host.eq_ignore_ascii_case(&server.host);
                if !found.iter().any(is_known) {
                    found.push(server);
                }
            }
        }
        if found.is_empty() {
            return Err(Error::config("no brokers to start from: give at least one HOST:PORT"));
        }
        Ok(Self(found))
    }

    /// The brokers, in order; at least one.
    pub fn as_slice(&self) -> &[HostPort] {
        &self.0
    }

    /// The brokers, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, HostPort> {
        self.0.iter()
    }
}

impl FromStr for BootstrapServers {
    type Err = Error;

    fn from_str(list: &str) -> Result<Self, Error> {
        Self::parse([list])
    }
}

impl fmt::Display for BootstrapServers {
    /// Prints a list that [`Self::parse`] reads back to the same brokers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, server) in self.iter().enumerate() {
            if number > 0 {
                f.write_str(",")?;
            }
            write!(f, "{server}")?;
        }
        Ok(())
    }
}

impl IntoIterator for BootstrapServers {
    type Item = HostPort;
    type IntoIter = std::vec::IntoIter<HostPort>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a BootstrapServers {
    type Item = &'a HostPort;
    type IntoIter = std::slice::Iter<'a, HostPort>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cold]
fn wrong(number: usize, text: &str, why: &str) -> Error {
    let address = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = address.split([':', '/']).next().filter(|host| !host.is_empty() && !host.starts_with('['));
    let named = host.map_or(String::new(), |host| format!(" {host:?}"));
    Error::config(format!("broker {number}{named}: {why}; write HOST:PORT"))
}

fn parse(text: &str, default_port: u16) -> Result<HostPort, &'static str> {
    match text.split_once("://") {
        Some(("kafka", _)) => return Err("kafka:// begins a DSN, which `Config::from_dsn` reads, and not an address"),
        Some(_) => return Err("an address has no scheme, such as http:// or PLAINTEXT://"),
        None => {}
    }
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, after) = rest.split_once(']').ok_or("a bracket is not closed")?;
        let address = ipv6(address).ok_or("there is no IPv6 address between the brackets")?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or("there is text between ']' and the port")?),
        };
        (address, port)
    } else if text.contains(char::is_whitespace) {
        return Err("a comma separates addresses, and not a space");
    } else if text.matches(':').count() > 1 {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let with_port = text.rsplit_once(':').filter(|(_, port)| digits(port));
        match with_port.and_then(|(address, port)| Some((ipv6(address)?, port))) {
            Some((address, port)) => (address, Some(port)),
            None => (ipv6(text).ok_or("an IPv6 address needs brackets, and a host has no colon")?, None),
        }
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        (named(host)?, port)
    };
    Ok(HostPort { host, port: port.map_or(Ok(default_port), number)? })
}

/// A name or an IPv4 address.
fn named(host: &str) -> Result<String, &'static str> {
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    match host {
        "" => Err("the host is empty"),
        _ if host.chars().all(legal) => Ok(host.to_owned()),
        _ => Err("the host is not valid"),
    }
}

/// An IPv6 address in its shortest form, with its zone if it has one.
fn ipv6(text: &str) -> Option<String> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let address: Ipv6Addr = address.parse().ok()?;
    let legal = |zone: &str| named(zone).is_ok();
    match zone {
        None => Some(address.to_string()),
        Some(zone) => legal(zone).then(|| format!("{address}%{zone}")),
    }
}

fn number(port: &str) -> Result<u16, &'static str> {
    match port {
        "" => return Err("the port is empty"),
        // Python prints it for a port that is not set.
        "None" => return Err("the port is `None`, so it was not set where the address was made"),
        _ => {}
    }
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(0) => Err("the port is 0, and not a number from 1 to 65535"),
        Ok(port) if digits => Ok(port),
        _ => Err("the port is not a number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(list: &str) -> Result<String, String> {
        list.parse::<BootstrapServers>().map(|servers| servers.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn lists_are_read_in_order_and_duplicates_dropped() {
        let servers = BootstrapServers::parse(["a:1, b,", "[::1]:3,A:1,[0:0::1]:3"]).expect("a list");
        assert_eq!(servers.to_string(), "a:1,b:9092,[::1]:3");
        let servers = BootstrapServers::parse_with_port(["a,::2,b:1"], 7).expect("a list");
        assert_eq!(servers.to_string(), "a:7,[::2]:7,b:1");
        assert!(BootstrapServers::parse_with_port(["a"], 0).is_err());
    }

    #[test]
    fn ipv6_is_read_with_and_without_brackets_and_port() {
        let table = [
            ("::1", "[::1]:9092"),
            ("[::1]", "[::1]:9092"),
            ("::1:9093", "[::1]:9093"),
            ("[::1]:9093", "[::1]:9093"),
            ("2001:db8::1:9093", "[2001:db8::1]:9093"),
            ("2001:db8:0:0:0:0:0:1", "[2001:db8::1]:9092"),
            ("2001:db8:0:0:0:0:0:1:9093", "[2001:db8::1]:9093"),
            ("fe80::a", "[fe80::a]:9092"),
            ("fe80::1%eth0", "[fe80::1%eth0]:9092"),
            ("[fe80::1%eth0]:1", "[fe80::1%eth0]:1"),
            ("::ffff:10.0.0.1:9093", "[::ffff:10.0.0.1]:9093"),
        ];
        for (text, address) in table {
            assert_eq!(read(text).as_deref(), Ok(address), "{text}");
            assert_eq!(read(address).as_deref(), Ok(address), "printed form of {text}");
        }
    }

    #[test]
    fn error_names_the_broker_and_shows_only_its_host() {
        let cases = [
            ("a, b:hunter2", "broker 2 \"b\": the port is not"),
            ("b:hunter2:9", "broker 1 \"b\": an IPv6"),
            ("[hunter2", "broker 1: a bracket"),
            ("[hunter2]:9", "broker 1: there is no IPv6 address"),
            ("b:1, hunter2 x,c@a", "no user before an @"),
        ];
        for (list, part) in cases {
            let error = read(list).expect_err(list);
            assert!(error.contains(part) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn bad_port_or_host_is_refused_by_name() {
        let cases = [
            ("a:None", "\"a\": the port is `None`"),
            ("a:0", "\"a\": the port is 0"),
            ("::1:0", "the port is 0"),
            ("a:65536", "\"a\": the port is not a number from 1 to 65535"),
            ("::1:65536", "the port is not a number from 1 to 65535"),
            ("a:+1", "the port is not a number"),
            ("a:", "\"a\": the port is empty"),
            (":9092", "broker 1: the host is empty"),
            ("a:9092x", "the port is not a number"),
            ("[::1]x", "text between ']' and the port"),
            ("a/b", "the host is not valid"),
        ];
        for (text, part) in cases {
            let error = read(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn other_texts_are_no_addresses() {
        for url in ["http://a:1", "PLAINTEXT://a:1/x", "https://a"] {
            let error = read(url).expect_err(url);
            assert!(error.starts_with("broker 1 \"a\": an address has no scheme"), "{error}");
        }
        let error = read("kafka://a:1/t").expect_err("a DSN");
        assert!(error.starts_with("broker 1 \"a\": kafka:// begins a DSN, which `Config::from_dsn` reads"), "{error}");
        for bad in ["", ",", "a:b", "[::1", "[]", "[a]:1", "a b:1", "a%b", "1:2:3", "fe80::1%", "[fe80::1%]:1"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
