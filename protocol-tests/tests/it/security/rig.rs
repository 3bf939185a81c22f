//! The listeners of the secured broker: each connects, or is refused at once for the right, named reason.

use ottla::Client;
use ottla::Record;
use ottla::client::Tcp;
use ottla::config::Properties;
use ottla::consumer::Start;
use ottla::error::Kind;
use ottla::tls::Pem;
use ottla::tls::Tls;
use ottla::tls::TlsBuilder;
use ottla::tls::TlsVersion;
use ottla::tls::Verify;
use protocol_tests::rig;
use protocol_tests::rig::secure;

use super::Counting;

fn file(name: &str) -> Pem {
    Pem::file(rig::pki(name))
}

fn trusting(ca: &str) -> TlsBuilder {
    Tls::builder().ca(file(ca))
}

fn showing(identity: &str) -> TlsBuilder {
    trusting("ca.pem").identity(file(identity), file(identity))
}

#[tokio::test]
async fn each_listener_of_the_broker_connects_as_it_should() {
    if !secure::is_node_up() {
        return;
    }
    let own = || trusting("ca.pem");
    let rows = [
        ("TLS", secure::TLS, own()),
        ("TLS 1.2 at a listener with both", secure::TLS, own().versions([TlsVersion::V1_2])),
        ("a client certificate that nobody asked for", secure::TLS, showing("client.pem")),
        ("client certificate, RSA", secure::MTLS, showing("client.pem")),
        ("client certificate, EC", secure::MTLS, showing("client-ec.pem")),
        ("client certificate over TLS 1.2", secure::MTLS, showing("client.pem").versions([TlsVersion::V1_2])),
        ("wrong host, not checked", secure::WRONG_HOST, own().verify(Verify::CaOnly)),
        ("expired, not checked", secure::EXPIRED, own().verify(Verify::DangerouslyNone)),
        ("self-signed, given", secure::SELF_SIGNED, trusting("selfsigned.crt")),
        ("the other CA, given", secure::OTHER_CA, trusting("other.pem")),
        ("both CAs", secure::OTHER_CA, own().ca(file("other.pem"))),
        ("TLS 1.2 alone", secure::TLS_12, own()),
        ("TLS 1.3 alone", secure::TLS_13, own()),
    ];
    for (row, listener, tls) in rows {
        let tls = tls.build().unwrap_or_else(|error| panic!("{row}: {error:#}"));
        let client = secure::builder(listener).tls(tls).connect().await;
        let client = client.unwrap_or_else(|error| panic!("{row}: {error:#}"));
        // Metadata names the broker again, for a second connection.
        client.admin().describe_cluster().await.unwrap_or_else(|error| panic!("{row}: {error:#}"));
    }
}

#[tokio::test]
async fn each_wrong_certificate_of_the_broker_is_refused_at_once() {
    if !secure::is_node_up() {
        return;
    }
    let own = || trusting("ca.pem");
    let rows = [
        ("no CA of its", secure::TLS, trusting("other.pem"), "is signed by \"ottla ca\", which leads to no trusted CA"),
        (
            "wrong host",
            secure::WRONG_HOST,
            own(),
            "the certificate of localhost is for other hosts, broker.elsewhere.example",
        ),
        ("expired", secure::EXPIRED, own(), "the certificate of localhost expired on 20"),
        ("self-signed", secure::SELF_SIGNED, own(), "is self-signed, and is none of the trusted ones"),
        ("other CA", secure::OTHER_CA, own(), "is signed by \"ottla other\", which leads to no trusted CA"),
        ("not valid yet", secure::FUTURE, own(), "is valid only from 20"),
        ("no client certificate", secure::MTLS, own(), "wants a certificate of the client, which has none"),
        ("a stranger", secure::MTLS, showing("stranger.pem"), "the broker refused the client's certificate"),
        (
            "an expired client certificate",
            secure::MTLS,
            showing("client-expired.pem"),
            "the broker refused the client's certificate",
        ),
        (
            "no client certificate, TLS 1.2",
            secure::MTLS,
            own().versions([TlsVersion::V1_2]),
            "wants a certificate of the client",
        ),
        ("TLS 1.3 where 1.2 is spoken", secure::TLS_12, own().versions([TlsVersion::V1_3]), "no version of TLS"),
        ("TLS 1.2 where 1.3 is spoken", secure::TLS_13, own().versions([TlsVersion::V1_2]), "no version of TLS"),
    ];
    for (row, listener, tls, reason) in rows {
        let tls = tls.build().unwrap_or_else(|error| panic!("{row}: {error:#}"));
        let connector = Counting::over(Tcp);
        let builder = secure::builder(listener).connector(connector.clone());
        let error = builder.tls(tls).connect().await.expect_err(row);
        assert_eq!(error.kind(), Kind::Tls, "{row}: {error:#}");
        assert!(format!("{error:#}").contains(reason), "{row}: {error:#}");
        assert_eq!(connector.dials(), 1, "{row}: it is not tried again");
    }
}

#[tokio::test]
async fn plain_client_at_a_listener_with_tls_fails_at_once() {
    if !secure::is_node_up() {
        return;
    }
    let connector = Counting::over(Tcp);
    let error =
        secure::builder(secure::TLS).connector(connector.clone()).connect().await.expect_err("the listener speaks TLS");
    assert_eq!((error.kind(), connector.dials()), (Kind::Protocol, 1), "{error:#}");
    assert!(format!("{error:#}").contains("it responds in TLS; set security.protocol"), "{error:#}");
}

#[tokio::test]
async fn records_pass_by_the_properties_of_java_and_librdkafka() {
    if !secure::is_node_up() {
        return;
    }
    let path = |name: &str| rig::pki(name).display().to_string();
    let java = [
        ("bootstrap.servers", format!("localhost:{}", secure::NODE + secure::MTLS)),
        ("security.protocol", "SSL".to_owned()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", path("ca.pem")),
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.location", path("client.pem")),
    ];
    let text = |name: &str| std::fs::read_to_string(rig::pki(name)).expect("the rig has made it").replace('\n', " ");
    let librdkafka = [
        ("metadata.broker.list", format!("localhost:{}", secure::NODE + secure::MTLS)),
        ("security.protocol", "ssl".to_owned()),
        ("ssl.ca.pem", text("ca.pem")),
        ("ssl.certificate.location", path("client.crt")),
        ("ssl.key.pem", text("client.key")),
    ];
    let writer = by_properties(&java).await;
    let topic = secure::topic(&writer, "tls", 1).await;
    let producer = writer.producer().build().expect("a producer");
    let value = "x".repeat(1_000);
    let mut deliveries = Vec::new();
    for number in 0..5_000 {
        let key = number.to_string();
        let record = Record::to(topic.as_str()).key(&key).value(value.as_str());
        deliveries.push(producer.enqueue(record).await.expect("there is capacity"));
    }
    for delivery in deliveries {
        delivery.await.expect("acknowledged");
    }
    let reader = by_properties(&librdkafka).await;
    let consumer = reader.consumer().assign([topic.as_str()]).start(Start::Earliest).until_end().build();
    let mut consumer = consumer.expect("a consumer");
    let mut keys = Vec::new();
    while let Some(records) = consumer.poll().await.expect("records") {
        keys.extend(records.iter().map(|record| String::from_utf8_lossy(record.key.unwrap_or_default()).into_owned()));
    }
    assert!(keys == (0..5_000).map(|number| number.to_string()).collect::<Vec<_>>(), "{} records", keys.len());
    assert_eq!(by_kcat(&topic), 5_000);
    writer.admin().delete_topics([topic.as_str()]).await.expect("a controller");
}

async fn by_properties(pairs: &[(&str, String)]) -> Client {
    let mut properties = Properties::new();
    for (name, value) in pairs {
        properties.set(name, value).expect(name);
    }
    Client::from_properties(&properties).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// The number of records that librdkafka reads over TLS.
fn by_kcat(topic: &str) -> usize {
    secure::records_by_kcat(&format!("localhost:{}", secure::NODE + secure::MTLS), topic).len()
}
