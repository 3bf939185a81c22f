//! Certificates that are accepted, and those that are refused at once for the right, named reason.

use ottla::error::Kind;
use ottla::mock::ServerTls;
use ottla::tls::Tls;
use ottla::tls::TlsVersion;
use ottla::tls::Verify;
use protocol_tests::pki;
use protocol_tests::pki::Authority;

use super::Counting;
use super::client;
use super::refusal;
use super::server;
use super::serving;
use super::trusting;

#[tokio::test(start_paused = true)]
async fn certificate_is_accepted_for_each_of_its_names() {
    let authority = Authority::new("test-ca");
    let server = server();
    server.set_tls(serving(&authority.sign(&["localhost", "*.cluster.example", "127.0.0.1", "::1"])));
    for host in ["localhost", "localhost.", "LocalHost", "b1.cluster.example", "127.0.0.1", "[::1]"] {
        let connected = client(&server, host).tls(trusting(&authority)).connect().await;
        connected.unwrap_or_else(|error| panic!("{host}: {error:#}"));
    }
}

#[tokio::test(start_paused = true)]
async fn wrong_certificate_is_refused_at_once_with_its_reason() {
    let (authority, other) = (Authority::new("test-ca"), Authority::new("other-ca"));
    let local = ["localhost"];
    let cases = [
        (
            "expired",
            authority.sign_for(&local, pki::EXPIRED),
            "localhost",
            "the certificate of localhost expired on 2021-01-01: renew",
        ),
        ("future", authority.sign_for(&local, pki::FUTURE), "localhost", "is valid only from 2120-01-01 on"),
        (
            "other host",
            authority.sign(&["a.example", "b.example"]),
            "localhost",
            "is for other hosts, a.example, b.example: connect",
        ),
        (
            "other address",
            authority.sign(&["127.0.0.2"]),
            "127.0.0.1",
            "the certificate of 127.0.0.1 is for other hosts, 127.0.0.2",
        ),
        ("no names", authority.sign(&[]), "localhost", "is for no host: it has no alternative names"),
        ("name for an address", authority.sign(&["localhost"]), "127.0.0.1", "is for other hosts, localhost"),
        ("wildcard over two labels", authority.sign(&["*.example"]), "a.b.example", "is for other hosts, *.example"),
        (
            "other CA",
            other.sign(&local),
            "localhost",
            "is signed by \"other-ca\", which leads to no trusted CA (the text of the CA)",
        ),
        (
            "self-signed",
            pki::self_signed(&local, pki::VALID, false),
            "localhost",
            "is self-signed, and is none of the trusted ones",
        ),
        (
            "self-signed CA",
            pki::self_signed(&local, pki::VALID, true),
            "localhost",
            "is self-signed, and is none of the trusted ones",
        ),
    ];
    for (case, identity, host, reason) in cases {
        let server = server();
        server.set_tls(serving(&identity));
        let connector = Counting::new(&server);
        let began = tokio::time::Instant::now();
        let error = refusal(client(&server, host).connector(connector.clone()).tls(trusting(&authority))).await;
        assert_eq!(error.kind(), Kind::Tls, "{case}: {error:#}");
        assert!(format!("{error:#}").contains(reason), "{case}: {error:#}");
        assert_eq!((connector.dials(), began.elapsed().as_millis()), (1, 0), "{case}: it is not tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn self_signed_certificate_that_was_given_is_trusted_while_it_is_valid() {
    for may_sign in [false, true] {
        for (years, accepted) in [(pki::VALID, true), (pki::EXPIRED, false), (pki::FUTURE, false)] {
            let identity = pki::self_signed(&["localhost"], years, may_sign);
            let server = server();
            server.set_tls(serving(&identity));
            let tls = Tls::builder().ca(identity.chain.as_str()).build().expect("a certificate");
            let connected = client(&server, "localhost").tls(tls.clone()).connect().await;
            assert_eq!(connected.is_ok(), accepted, "{may_sign} {years:?}: {:?}", connected.err());
            let error = refusal(client(&server, "elsewhere").tls(tls)).await;
            assert_eq!(error.kind(), Kind::Tls, "its name counts: {error:#}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn weaker_verification_leaves_out_what_it_says() {
    let (authority, other) = (Authority::new("test-ca"), Authority::new("other-ca"));
    let cases = [
        (authority.sign(&["elsewhere"]), [false, true, true]),
        (other.sign(&["localhost"]), [false, false, true]),
        (authority.sign_for(&["localhost"], pki::EXPIRED), [false, false, true]),
    ];
    for (identity, accepted) in cases {
        let server = server();
        server.set_tls(serving(&identity));
        for (verify, accepted) in [Verify::Full, Verify::CaOnly, Verify::DangerouslyNone].into_iter().zip(accepted) {
            let tls = Tls::builder().ca(authority.pem()).verify(verify).build().expect("a CA");
            let connected = client(&server, "localhost").tls(tls).connect().await;
            assert_eq!(connected.is_ok(), accepted, "{verify:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn client_certificate_is_shown_where_brokers_want_one() {
    let (authority, clients, strangers) =
        (Authority::new("test-ca"), Authority::new("client-ca"), Authority::new("stranger-ca"));
    let server = server();
    server.set_tls(serving(&authority.sign(&["localhost"])).client_ca(clients.pem()).expect("a CA"));
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let tls = || Tls::builder().ca(authority.pem()).versions([version]);
        let own = clients.sign(&[]);
        let with = tls().identity(own.chain.as_str(), own.key.as_str()).build().expect("an identity");
        client(&server, "localhost").tls(with).connect().await.expect("the broker trusts it");

        let connector = Counting::new(&server);
        let without = tls().build().expect("a CA");
        let error = refusal(client(&server, "localhost").connector(connector.clone()).tls(without)).await;
        assert_eq!((error.kind(), connector.dials()), (Kind::Tls, 1), "{version:?}: {error:#}");
        assert!(format!("{error:#}").contains("ssl.keystore.location"), "{version:?}: {error:#}");

        let other = strangers.sign(&[]);
        let wrong = tls().identity(other.chain.as_str(), other.key.as_str()).build().expect("an identity");
        let error = refusal(client(&server, "localhost").tls(wrong)).await;
        assert_eq!(error.kind(), Kind::Tls, "{version:?}: {error:#}");
        assert!(format!("{error:#}").contains("refused the client's certificate"), "{version:?}: {error:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn versions_that_brokers_lack_are_an_error() {
    let authority = Authority::new("test-ca");
    let server = server();
    let identity = authority.sign(&["localhost"]);
    let provider = std::sync::Arc::new(rustls_provider());
    for (served, spoken) in [(&rustls::version::TLS12, TlsVersion::V1_2), (&rustls::version::TLS13, TlsVersion::V1_3)] {
        server.set_tls(ServerTls::from_rustls(only(served, &identity, &provider)));
        for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
            let tls = Tls::builder().ca(authority.pem()).versions([version]).build().expect("a CA");
            let connected = client(&server, "localhost").tls(tls).connect().await;
            match connected {
                Ok(_) => assert_eq!(version, spoken),
                Err(error) => {
                    assert_ne!(version, spoken, "{error:#}");
                    assert_eq!(error.kind(), Kind::Tls, "{error:#}");
                    assert!(format!("{error:#}").contains("no version of TLS"), "{error:#}");
                }
            }
        }
    }
}

/// A provider that the process has not installed.
fn rustls_provider() -> rustls::crypto::CryptoProvider {
    rustls_graviola::default_provider()
}

/// A server of one version.
fn only(
    version: &'static rustls::SupportedProtocolVersion,
    identity: &pki::Identity,
    provider: &std::sync::Arc<rustls::crypto::CryptoProvider>,
) -> std::sync::Arc<rustls::ServerConfig> {
    use rustls::pki_types::pem::PemObject;
    let chain = vec![rustls::pki_types::CertificateDer::from_pem_slice(identity.chain.as_bytes()).expect("PEM")];
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("PEM");
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&[version]).expect("a version").with_no_client_auth();
    std::sync::Arc::new(builder.with_single_cert(chain, key).expect("it belongs together"))
}
