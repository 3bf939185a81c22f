//! Why a handshake failed, in words.

use std::io;

use rustls::AlertDescription;
use rustls::CertificateError;
use rustls::Error as TlsError;
use rustls::OtherError;

use super::certificate::date;
use super::verify::Untrusted;
use crate::error::Error;
use crate::error::Kind;

/// Who is at the other end of a connection, in the words of its errors.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Peer {
    Broker,
    #[cfg(feature = "redis")]
    Redis,
    #[cfg(feature = "sasl-oauth")]
    TokenEndpoint,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Broker => "the broker",
            #[cfg(feature = "redis")]
            Self::Redis => "Redis",
            #[cfg(feature = "sasl-oauth")]
            Self::TokenEndpoint => "the token endpoint",
        }
    }

    /// The port that has TLS.
    fn port(self) -> &'static str {
        match self {
            Self::Broker => "a listener with TLS (SSL or SASL_SSL)",
            #[cfg(feature = "redis")]
            Self::Redis => "one with TLS (`tls-port` in redis.conf), or write redis:// for one without",
            #[cfg(feature = "sasl-oauth")]
            Self::TokenEndpoint => "one of https",
        }
    }

    /// Why a connection may end during the handshake each time, and what helps.
    pub(crate) fn without_tls(self) -> &'static str {
        match self {
            Self::Broker => {
                "its listener has no TLS (set security.protocol to plaintext or sasl_plaintext), or the port is none of Kafka's"
            }
            #[cfg(feature = "redis")]
            Self::Redis => "its port has no TLS (write redis://), or is none of Redis",
            #[cfg(feature = "sasl-oauth")]
            Self::TokenEndpoint => "its port is none of https",
        }
    }

    /// How another name is chosen.
    fn naming(self) -> &'static str {
        match self {
            Self::Broker => "connect by one of these names, make brokers advertise them",
            #[cfg(feature = "redis")]
            Self::Redis => "connect by one of these names",
            #[cfg(feature = "sasl-oauth")]
            Self::TokenEndpoint => "use one of these names in its URL",
        }
    }

    /// How the client gets a certificate.
    fn identity(self) -> &'static str {
        match self {
            Self::Broker => "set one by Tls::builder().identity or ssl.keystore.location",
            #[cfg(feature = "redis")]
            Self::Redis => "set one by Tls::builder().identity",
            #[cfg(feature = "sasl-oauth")]
            Self::TokenEndpoint => "set one by Tls::builder().identity and TokenEndpointBuilder::tls",
        }
    }
}

/// The error of a handshake with `host` that failed, or of the first response after it: TLS 1.3 refuses the client's certificate only
/// there. `None` if TLS has no part in it.
pub(crate) fn explain(error: &io::Error, peer: Peer, host: &str, has_identity: bool) -> Option<Error> {
    let inner = error.get_ref()?.downcast_ref::<TlsError>()?;
    let name = peer.name();
    let (kind, text) = match inner {
        TlsError::InvalidCertificate(reason) => (Kind::Tls, refused(reason, peer, host)),
        TlsError::AlertReceived(alert) => alerted(*alert, peer, has_identity),
        TlsError::InvalidMessage(_) => {
            (Kind::Tls, format!("{name} did not respond by TLS: check that the port is {}", peer.port()))
        }
        TlsError::PeerIncompatible(_) => (Kind::Tls, nothing_in_common(peer)),
        TlsError::NoCertificatesPresented => (Kind::Tls, format!("{name} has no certificate")),
        // Damage on the way may cause it, so it is tried again.
        TlsError::DecryptError => (Kind::Connect, "the TLS connection was damaged".to_owned()),
        _ => (Kind::Tls, "the TLS handshake failed".to_owned()),
    };
    Some(Error::new(kind, text).caused_by(inner.clone()))
}

/// A certificate that the client refuses.
fn refused(reason: &CertificateError, peer: Peer, host: &str) -> String {
    let whose = format!("the certificate of {host}");
    match reason {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("{whose} expired on {}: renew it, or set this machine's clock", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("{whose} is valid only from {} on: set this machine's clock, or the CA's", date(*not_before))
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
            "{whose} is for no host: it has no alternative names (subjectAltName), and its common name does not count"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "{whose} is for other hosts, {}: {}, or give the certificate this name",
            names(presented),
            peer.naming()
        ),
        CertificateError::InvalidPurposeContext { .. } => {
            format!("{whose} is not one of a server: it needs the extended key usage serverAuth")
        }
        CertificateError::Revoked => format!("{whose} was revoked"),
        CertificateError::BadSignature => {
            format!("{whose} has a wrong signature: another CA has the same name, or somebody changed it")
        }
        CertificateError::Other(OtherError(cause)) => match cause.downcast_ref::<Untrusted>() {
            Some(Untrusted(text)) => format!("{whose} {text}"),
            None => format!("{whose} cannot be used"),
        },
        CertificateError::UnknownIssuer => format!("{whose} leads to no trusted CA"),
        _ => format!("{whose} cannot be used"),
    }
}

/// The first names of a certificate, as they are to be typed.
fn names(presented: &[String]) -> String {
    const SHOWN_MAX: usize = 10;
    // rustls has them as `DnsName("a.example")` and `IpAddress(127.0.0.1)`.
    let bare = |name: &String| {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, inner)| inner.trim_end_matches(')'));
        inner.trim_matches('"').chars().filter(|c| !c.is_control()).take(100).collect::<String>()
    };
    let mut shown: Vec<String> = presented.iter().take(SHOWN_MAX).map(bare).collect();
    if let Some(more) = presented.len().checked_sub(SHOWN_MAX).filter(|more| *more > 0) {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

fn nothing_in_common(peer: Peer) -> String {
    let name = peer.name();
    format!("{name} and the client have no version of TLS and no cipher in common: enable TLS 1.2 or 1.3 there")
}

const WANTS: &str = "wants a certificate of the client, which has none";

/// A refusal by the other end.
fn alerted(alert: AlertDescription, peer: Peer, has_identity: bool) -> (Kind, String) {
    use AlertDescription as A;
    let (name, set) = (peer.name(), peer.identity());
    match alert {
        A::CertificateRequired | A::BadCertificate | A::NoCertificate if !has_identity => {
            (Kind::Tls, format!("{name} {WANTS}: {set}"))
        }
        // Of old versions: no cipher in common, or no certificate.
        A::HandshakeFailure if !has_identity => {
            (Kind::Tls, format!("{name} refused the handshake: it {WANTS} ({set}), or has no cipher in common with it"))
        }
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::CertificateRequired
        | A::AccessDenied
            if has_identity =>
        {
            (Kind::Tls, format!("{name} refused the client's certificate ({alert:?}): check its CA and its dates"))
        }
        A::ProtocolVersion | A::InsufficientSecurity | A::HandshakeFailure => (Kind::Tls, nothing_in_common(peer)),
        A::UnrecognisedName => (Kind::Tls, format!("{name} has no certificate for this name: connect by another")),
        // As `DecryptError`, on the way to the other end.
        A::BadRecordMac => (Kind::Connect, "the TLS connection was damaged".to_owned()),
        // A failure of the other end's own, which may pass.
        A::InternalError | A::UserCanceled | A::CloseNotify => {
            (Kind::Connect, format!("{name} ended the TLS handshake ({alert:?})"))
        }
        _ => (Kind::Tls, format!("{name} refused the TLS handshake ({alert:?})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_certificate_are_listed_as_they_are_typed() {
        let presented = ["DnsName(\"a.example\")", "IpAddress(127.0.0.1)", "DnsName(\"*.b\")"].map(str::to_owned);
        assert_eq!(names(&presented), "a.example, 127.0.0.1, *.b");
        let many = vec!["DnsName(\"a\")".to_owned(); 12];
        assert!(names(&many).ends_with("a, and 2 more"));
    }

    #[test]
    fn refusals_name_the_remedy_and_only_damage_and_failures_are_retried() {
        let alert = |alert, has_identity| {
            let error = io::Error::other(TlsError::AlertReceived(alert));
            explain(&error, Peer::Broker, "h", has_identity).expect("an error of TLS")
        };
        let lacks = alert(AlertDescription::CertificateRequired, false);
        assert!(lacks.kind() == Kind::Tls && lacks.to_string().contains("ssl.keystore.location"), "{lacks}");
        let refused = alert(AlertDescription::UnknownCA, true);
        assert!(refused.to_string().contains("refused the client's certificate"), "{refused}");
        for passing in [AlertDescription::InternalError, AlertDescription::BadRecordMac] {
            assert_eq!(alert(passing, true).kind(), Kind::Connect, "{passing:?}");
        }
        assert!(explain(&io::ErrorKind::ConnectionReset.into(), Peer::Broker, "h", true).is_none());
    }
}
