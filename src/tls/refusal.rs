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

/// The error of a handshake with `host` that failed, or of the first response after it: TLS 1.3 refuses the client's certificate only
/// there. `None` if TLS has no part in it.
pub(crate) fn explain(error: &io::Error, host: &str, has_identity: bool) -> Option<Error> {
    let inner = error.get_ref()?.downcast_ref::<TlsError>()?;
    let (kind, text) = match inner {
        TlsError::InvalidCertificate(reason) => (Kind::Tls, refused(reason, host)),
        TlsError::AlertReceived(alert) => alerted(*alert, has_identity),
        TlsError::InvalidMessage(_) => (
            Kind::Tls,
            "the broker did not respond by TLS: check that the port is a listener with TLS (SSL or SASL_SSL)"
                .to_owned(),
        ),
        TlsError::PeerIncompatible(_) => (
            Kind::Tls,
            "broker and client have no version of TLS and no cipher in common: enable TLS 1.2 or 1.3 on the broker"
                .to_owned(),
        ),
        TlsError::NoCertificatesPresented => (Kind::Tls, "the broker has no certificate".to_owned()),
        // Damage on the way may cause it, so it is tried again.
        TlsError::DecryptError => (Kind::Connect, "the TLS connection was damaged".to_owned()),
        _ => (Kind::Tls, "the TLS handshake failed".to_owned()),
    };
    Some(Error::new(kind, text).caused_by(inner.clone()))
}

/// A certificate that the client refuses.
fn refused(reason: &CertificateError, host: &str) -> String {
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
            "{whose} is for other hosts, {}: connect by one of these names, make brokers advertise them, or give the certificate this \
             name",
            names(presented)
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

const WANTS: &str = "wants a certificate of the client, which has none";
const SET: &str = "set one by Tls::builder().identity or ssl.keystore.location";

/// A refusal by the broker.
fn alerted(alert: AlertDescription, has_identity: bool) -> (Kind, String) {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired | A::BadCertificate | A::NoCertificate if !has_identity => {
            (Kind::Tls, format!("the broker {WANTS}: {SET}"))
        }
        // Of old versions: no cipher in common, or no certificate.
        A::HandshakeFailure if !has_identity => (
            Kind::Tls,
            format!("the broker refused the handshake: it {WANTS} ({SET}), or has no cipher in common with it"),
        ),
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
            (Kind::Tls, format!("the broker refused the client's certificate ({alert:?}): check its CA and its dates"))
        }
        A::ProtocolVersion | A::InsufficientSecurity | A::HandshakeFailure => (
            Kind::Tls,
            "broker and client have no version of TLS and no cipher in common: enable TLS 1.2 or 1.3 on the broker"
                .to_owned(),
        ),
        A::UnrecognisedName => {
            (Kind::Tls, "the broker has no certificate for this name: connect by another".to_owned())
        }
        // A failure of the broker's own, which may pass.
        A::InternalError | A::UserCanceled | A::CloseNotify => {
            (Kind::Connect, format!("the broker ended the TLS handshake ({alert:?})"))
        }
        _ => (Kind::Tls, format!("the broker refused the TLS handshake ({alert:?})")),
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
    fn refusals_name_the_remedy_and_only_trouble_of_the_broker_is_retried() {
        let alert = |alert, has_identity| {
            let error = io::Error::other(TlsError::AlertReceived(alert));
            explain(&error, "h", has_identity).expect("an error of TLS")
        };
        let lacks = alert(AlertDescription::CertificateRequired, false);
        assert!(lacks.kind() == Kind::Tls && lacks.to_string().contains("ssl.keystore.location"), "{lacks}");
        let refused = alert(AlertDescription::UnknownCA, true);
        assert!(refused.to_string().contains("refused the client's certificate"), "{refused}");
        assert_eq!(alert(AlertDescription::InternalError, true).kind(), Kind::Connect);
        assert!(explain(&io::ErrorKind::ConnectionReset.into(), "h", true).is_none());
    }
}
