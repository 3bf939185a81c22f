//! The URL of a token endpoint: its parts, and the form in which errors show it.

use std::fmt;

use crate::error::Error;
use crate::secret::Secret;

/// An URL of the scheme `https` or `http`. Printed it has no query, which may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(super) is_encrypted: bool,
    /// A name or an address, without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// The path and the query.
    pub(super) target: String,
}

/// Longer than any URL in use.
const LEN_MAX: usize = 2_048;

impl Url {
    /// Reads an URL. Errors show nothing of it: somebody may have mixed up the lines of a file.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong = |what: &str| {
            Error::config(format!("the URL of the token endpoint {what}: write it as https://HOST:PORT/PATH"))
        };
        let text = text.trim();
        if text.len() > LEN_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("is too long, or has a space or another character that no URL has"));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
        let is_encrypted = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("is neither https nor http")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        if target.contains('#') {
            return Err(wrong("has a fragment"));
        }
        if authority.contains('@') {
            return Err(wrong("has a user, which belongs into the client's id and secret"));
        }
        let (host, port) = split(authority).ok_or_else(|| wrong("has no valid host"))?;
        let port = match port {
            None => {
                if is_encrypted {
                    443
                } else {
                    80
                }
            }
            Some(port) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                port.ok_or_else(|| wrong("has a port that is no number from 1 to 65535"))?
            }
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { is_encrypted, host: host.to_ascii_lowercase(), port, target })
    }

    /// The query and its longer values, any of which may be a secret.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        const LEN_MIN: usize = 8;
        let Some((_, query)) = self.target.split_once('?') else { return Vec::new() };
        let values = query.split('&').filter_map(|pair| Some(pair.split_once('=')?.1));
        values.filter(|value| value.len() >= LEN_MIN).chain([query]).map(Secret::from).collect()
    }

    /// The host and the port, as the header `Host` has them.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let default = if self.is_encrypted { 443 } else { 80 };
        if self.port == default { host } else { format!("{host}:{}", self.port) }
    }
}

/// The host without brackets, and the port.
fn split(authority: &str) -> Option<(&str, Option<&str>)> {
    let (host, rest) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(is_host) {
        return None;
    }
    match rest.strip_prefix(':') {
        Some(port) => Some((host, Some(port))),
        None => rest.is_empty().then_some((host, None)),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        write!(f, "{scheme}://{}{path}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (text, host, port, target, printed) in [
            ("https://idp.example", "idp.example", 443, "/", "https://idp.example/"),
            (
                "HTTPS://IdP.example:8443/oauth2/token",
                "idp.example",
                8443,
                "/oauth2/token",
                "https://idp.example:8443/oauth2/token",
            ),
            ("https://[::1]:8443/t?key=hunter2", "::1", 8443, "/t?key=hunter2", "https://[::1]:8443/t"),
            ("http://idp:80?x", "idp", 80, "/?x", "http://idp/"),
        ] {
            let url = Url::parse(text).expect(text);
            assert_eq!((&*url.host, url.port, &*url.target), (host, port, target), "{text}");
            assert_eq!(url.to_string(), printed);
        }
    }

    #[test]
    fn wrong_urls_are_refused_without_showing_them() {
        for (text, what) in [
            ("hunter2", "no scheme"),
            ("ftp://hunter2", "neither https nor http"),
            ("https://", "no valid host"),
            ("https:///hunter2", "no valid host"),
            ("https://user:hunter2@idp.example/", "has a user"),
            ("https://idp.example/#hunter2", "fragment"),
            ("https://idp.example:hunter2/", "a port"),
            ("https://idp.example:0/hunter2", "a port"),
            ("https://idp.example:65536/hunter2", "a port"),
            ("https://[::1/hunter2", "no valid host"),
            ("https://[hunter2]/", "no valid host"),
            ("https://[::1]hunter2/", "no valid host"),
            ("https://idp.example/hunter2 x", "a space"),
            ("https://idp.exämple/hunter2", "another character"),
        ] {
            let error = Url::parse(text).expect_err(text).to_string();
            assert!(error.contains(what) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(Url::parse(&format!("https://a/{}", "x".repeat(3_000))).is_err());
    }
}
