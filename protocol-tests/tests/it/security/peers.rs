//! Peers that do not speak TLS, or break off.

use std::time::Duration;

use ottla::error::Kind;
use ottla::mock::ServerTls;
use ottla::mock::TlsFault;
use protocol_tests::pki::Authority;

use super::Counting;
use super::client;
use super::refusal;
use super::server;
use super::serving;
use super::trusting;

#[tokio::test(start_paused = true)]
async fn error_of_a_plain_client_says_that_the_listener_speaks_tls() {
    let authority = Authority::new("test-ca");
    let server = server();
    server.set_tls(serving(&authority.sign(&["localhost"])));
    let connector = Counting::new(&server);
    let error = refusal(client(&server, "localhost").connector(connector.clone())).await;
    assert_eq!((error.kind(), connector.dials()), (Kind::Protocol, 1), "{error:#}");
    assert!(format!("{error:#}").contains("it responds in TLS; set security.protocol"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn error_of_a_client_with_tls_says_that_the_listener_is_plain() {
    // The mock takes the handshake for the size of a request, which is too large, and closes the connection, as Kafka does.
    let server = server();
    let error = refusal(client(&server, "localhost").tls(trusting(&Authority::new("test-ca")))).await;
    assert_eq!(error.kind(), Kind::Connect, "{error:#}");
    assert!(format!("{error:#}").contains("its listener has no TLS"), "{error:#}");
}

#[tokio::test(start_paused = true)]
async fn broken_handshakes_end_in_an_error_in_time() {
    let cases = [
        (TlsFault::Garbage, false, "did not respond by TLS"),
        (TlsFault::Close, true, "ended the connection during the TLS handshake"),
        (TlsFault::Cut, true, "ended the connection during the TLS handshake"),
        (TlsFault::Silent, true, "no Kafka broker responded"),
    ];
    for (fault, is_retried, reason) in cases {
        let server = server();
        server.set_tls(ServerTls::broken(fault));
        let began = tokio::time::Instant::now();
        let error = refusal(client(&server, "localhost").tls(trusting(&Authority::new("test-ca")))).await;
        assert_eq!(
            (error.is_retriable(), error.kind() == Kind::Tls),
            (is_retried, !is_retried),
            "{fault:?}: {error:#}"
        );
        assert!(format!("{error:#}").contains(reason), "{fault:?}: {error:#}");
        assert!(began.elapsed() <= Duration::from_secs(13), "{fault:?}: the set-up timeout, give or take a fifth");
    }
}
