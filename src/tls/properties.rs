//! From the property names of Java and librdkafka to a configuration.

use super::Tls;
use super::TlsBuilder;
use super::TlsVersion;
use super::Verify;
use super::pem::Pem;
use crate::config::Properties;
use crate::error::Error;

impl Tls {
    /// Builds what the properties `ssl.*` say, whatever `security.protocol` is. A client that is made from properties does this by itself.
    ///
    /// # Errors
    ///
    /// Those of [`TlsBuilder::build`], and [`Kind::Config`](crate::error::Kind::Config) where properties contradict each other or one is
    /// missing.
    ///
    /// ```no_run
    /// use ottla::config::Properties;
    /// use ottla::tls::Tls;
    ///
    /// let mut properties = Properties::new();
    /// properties.set("ssl.truststore.location", "/etc/kafka/ca.pem")?;
    /// let tls = Tls::from_properties(&properties)?;
    /// # Ok::<(), ottla::Error>(())
    /// ```
    pub fn from_properties(properties: &Properties) -> Result<Self, Error> {
        builder(properties)?.build()
    }
}

fn builder(properties: &Properties) -> Result<TlsBuilder, Error> {
    let mut builder = Tls::builder().versions(versions(properties)?);
    if let Some(ca) = one_of(properties, FILE_OF_CA, "ssl.truststore.certificates", "a CA")? {
        builder = builder.ca(ca);
    }
    if let Some((certificate, key)) = identity(properties)? {
        builder = builder.identity(certificate, key);
    }
    let is = |name, value| properties.get(name) == Some(value);
    Ok(if is("enable.ssl.certificate.verification", "false") {
        builder.verify(Verify::DangerouslyNone)
    } else if is("ssl.endpoint.identification.algorithm", "none") {
        builder.verify(Verify::CaOnly)
    } else {
        builder
    })
}

const FILE_OF_CA: &str = "ssl.truststore.location";
const KEYSTORE: &str = "ssl.keystore.location";

/// A file or a text, by whichever property it is given.
fn one_of(properties: &Properties, file: &str, text: &str, what: &str) -> Result<Option<Pem>, Error> {
    match (properties.get(file).filter(|path| *path != "probe"), properties.get(text)) {
        (Some(_), Some(_)) => Err(Error::config(format!("{file} and {text} both give {what}: keep one"))),
        (Some(path), None) => Ok(Some(Pem::file(path))),
        (None, text) => Ok(text.map(Pem::text)),
    }
}

/// The client's certificate and its key.
fn identity(properties: &Properties) -> Result<Option<(Pem, Pem)>, Error> {
    let certificate =
        one_of(properties, "ssl.certificate.location", "ssl.keystore.certificate.chain", "the client's certificate")?;
    let key = one_of(properties, "ssl.key.location", "ssl.keystore.key", "the client's key")?;
    match (properties.get(KEYSTORE), certificate, key) {
        (None, None, None) => Ok(None),
        (None, Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(both), None, None) => Ok(Some((Pem::file(both), Pem::file(both)))),
        (Some(_), ..) => {
            Err(Error::config(format!("{KEYSTORE} has certificate and key: take out the properties of one of them")))
        }
        (None, Some(_), None) => Err(Error::config(
            "the client's certificate is set and its key is not: set ssl.key.location or ssl.keystore.key",
        )),
        (None, None, Some(_)) => Err(Error::config(
            "the client's key is set and its certificate is not: set ssl.certificate.location or \
             ssl.keystore.certificate.chain",
        )),
    }
}

/// The versions that are spoken; none stands for all.
fn versions(properties: &Properties) -> Result<Vec<TlsVersion>, Error> {
    let Some(list) = properties.get("ssl.enabled.protocols") else {
        let is_old = properties.get("ssl.protocol") == Some("TLSv1.2");
        return Ok(if is_old { vec![TlsVersion::V1_2] } else { Vec::new() });
    };
    let mut versions = Vec::new();
    for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "TLSv1.3" => versions.push(TlsVersion::V1_3),
            "TLSv1.2" => versions.push(TlsVersion::V1_2),
            // Too old to be spoken; the others of the list are.
            "SSLv3" | "TLSv1" | "TLSv1.1" => {}
            _ => {
                let text =
                    format!("ssl.enabled.protocols has {name:?}, which is no version of TLS: give TLSv1.2 and TLSv1.3");
                return Err(Error::config(text));
            }
        }
    }
    if versions.is_empty() {
        return Err(Error::config(
            "ssl.enabled.protocols has neither TLSv1.2 nor TLSv1.3, the versions that are spoken",
        ));
    }
    Ok(versions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        Config::from_properties(pairs.iter().copied()).expect("each is valid").properties().clone()
    }

    #[test]
    fn names_of_java_and_librdkafka_lead_to_one_builder() {
        let java = properties(&[
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "ca.pem"),
            ("ssl.keystore.location", "client.pem"),
            ("ssl.endpoint.identification.algorithm", ""),
            ("ssl.enabled.protocols", "TLSv1.3, TLSv1.1"),
        ]);
        let expected = Tls::builder()
            .ca(Pem::file("ca.pem"))
            .identity(Pem::file("client.pem"), Pem::file("client.pem"))
            .verify(Verify::CaOnly)
            .versions([TlsVersion::V1_3]);
        assert_eq!(format!("{:?}", builder(&java).expect("a builder")), format!("{expected:?}"));

        let librdkafka = properties(&[
            ("ssl.ca.location", "probe"),
            ("ssl.certificate.location", "client.pem"),
            ("ssl.key.pem", "hunter2"),
            ("enable.ssl.certificate.verification", "false"),
            ("ssl.protocol", "TLSv1.2"),
        ]);
        let expected = Tls::builder()
            .identity(Pem::file("client.pem"), "hunter2")
            .verify(Verify::DangerouslyNone)
            .versions([TlsVersion::V1_2]);
        let printed = format!("{:?}", builder(&librdkafka).expect("a builder"));
        assert_eq!(printed, format!("{expected:?}"));
        assert!(!printed.contains("hunter2"));
    }

    #[test]
    fn contradictions_name_the_properties() {
        for (pairs, part) in [
            (&[("ssl.ca.location", "a"), ("ssl.ca.pem", "b")][..], "ssl.truststore.certificates both give a CA"),
            (
                &[("ssl.keystore.location", "a"), ("ssl.key.location", "b")],
                "ssl.keystore.location has certificate and key",
            ),
            (&[("ssl.certificate.location", "a")], "set ssl.key.location or ssl.keystore.key"),
            (&[("ssl.key.location", "a")], "set ssl.certificate.location"),
            (&[("ssl.enabled.protocols", "TLSv1.1")], "neither TLSv1.2 nor TLSv1.3"),
            (&[("ssl.enabled.protocols", "TLS 1.3")], "\"TLS 1.3\", which is no version"),
        ] {
            let error = builder(&properties(pairs)).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
