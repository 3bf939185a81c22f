//! The address of a Redis as a user writes it: what is dialled, who logs in, and whether by TLS.

use std::fmt;
use std::path::PathBuf;

use ::redis::ConnectionAddr;
use ::redis::IntoConnectionInfo;
use ::redis::RedisConnectionInfo;

use super::link::Cause;
use crate::config::HostPort;
use crate::error::Error;

/// An address that was understood.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) place: Place,
    /// User, password and database. Its `Debug` hides the password.
    pub(super) login: RedisConnectionInfo,
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
        let is_encrypted = matches!(scheme, "rediss" | "valkeys");
        // The crate `redis` refuses these schemes without its own TLS, which is not used.
        let plain = if is_encrypted { format!("redis://{rest}") } else { text.to_owned() };
        let info = plain.as_str().into_connection_info().map_err(|error| malformed(error.category()))?;
        let place = match info.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp(HostPort { host: host.clone(), port: *port }),
            ConnectionAddr::Unix(path) => Place::File(path.clone()),
            _ => return Err(malformed("this kind of address is not known")),
        };
        let login = info.redis_settings().clone().set_lib_name("ottla", env!("CARGO_PKG_VERSION"));
        Ok(Self { place, login, is_encrypted })
    }
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
            ("rediss://u:p%40%23@h:7000/3", "h:7000", Some("u"), 3, true),
            ("valkeys://[::1]/2", "[::1]:6379", None, 2, true),
            ("unix:///run/redis.sock?db=4", "/run/redis.sock", None, 4, false),
        ] {
            let address = Address::parse(text).expect(text);
            assert_eq!((address.place.to_string().as_str(), address.is_encrypted), (place, is_encrypted), "{text}");
            assert_eq!((address.login.username(), address.login.db()), (user, database), "{text}");
        }
        let address = Address::parse("rediss://u:p%40%23@h").expect("an address");
        assert_eq!(address.login.password(), Some("p@#"));
    }

    #[test]
    fn unusable_address_has_an_error_without_its_secret() {
        for (text, reason) in [
            ("hunter2@h", "it has no scheme"),
            ("http://u:hunter2@h", "write redis://"),
            ("redis://u:hunter2@h/many", "write redis://"),
            ("redis://u:hunter2@0.0.0.0", "write redis://"),
            ("rediss://u:hunter2@h#insecure", "RedisStore::connect_tls"),
            ("redis://u:#hunter2@h", "as %23"),
        ] {
            let error = Address::parse(text).expect_err(text);
            let shown = format!("{error:#} {error:?}");
            assert!(shown.contains(reason) && !shown.contains("hunter2"), "{text}: {shown}");
        }
    }
}
