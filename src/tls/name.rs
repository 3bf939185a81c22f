//! The name that a broker's certificate must be for.

use rustls::pki_types::ServerName;

use crate::error::Error;

/// The name or address of the host that was dialled. A dot at its end makes a name absolute for the resolver, and is in no certificate.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, Error> {
    let name = host.strip_suffix('.').unwrap_or(host);
    // The zone of a link-local address is this machine's own.
    let name = name.split_once('%').map_or(name, |(address, _)| address);
    ServerName::try_from(name.to_owned()).map_err(|error| {
        Error::tls(format!("{host:?} is not a name that a certificate can be for: connect by another name"))
            .caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_lose_what_no_certificate_has() {
        for (host, name) in [
            ("broker.example.", "broker.example"),
            ("broker_1", "broker_1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("::1", "::1"),
            ("fe80::1%eth0", "fe80::1"),
        ] {
            assert_eq!(server_name(host).expect(host).to_str(), name);
        }
        assert!(server_name("a b").expect_err("a space").to_string().contains("\"a b\""));
    }
}
