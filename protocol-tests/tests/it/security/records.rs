//! Records over TLS, and what brokers can say about the others.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::client::ClientBuilder;
use ottla::consumer::Start;
use ottla::mock::Cluster;
use ottla::mock::Server;
use protocol_tests::pki::Authority;

use super::client;
use super::server;
use super::serving;
use super::trusting;

/// Writes records of many sizes and reads them again.
async fn round_trip(builder: ClientBuilder) {
    let client = builder.connect().await.expect("the certificate is trusted");
    let producer = client.producer().linger(Duration::from_millis(5)).build().expect("the settings are fine");
    let values: Vec<String> = (0..2_000).map(|number: usize| number.to_string().repeat(1 + number % 300)).collect();
    let mut deliveries = Vec::new();
    for value in &values {
        deliveries.push(producer.enqueue(Record::to("t").value(value)).await.expect("there is capacity"));
    }
    for delivery in deliveries {
        delivery.await.expect("acknowledged");
    }
    let mut consumer = client.consumer().assign(["t"]).start(Start::Earliest).until_end().build().expect("a consumer");
    let mut read = Vec::new();
    while let Some(records) = consumer.poll().await.expect("records") {
        read.extend(
            records.iter().map(|record| String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text")),
        );
    }
    assert!(read == values, "{} of {} records, in order", read.len(), values.len());
    producer.close(Duration::from_secs(5)).await.expect("nothing is left");
}

#[tokio::test]
async fn records_are_written_and_read_over_tls() {
    let authority = Authority::new("test-ca");
    let cluster = Cluster::builder().brokers(2).topic("t", 1).build();
    let server = Server::start(cluster, "127.0.0.1:0".parse().expect("an address")).await.expect("ports");
    server.set_tls(serving(&authority.sign(&["127.0.0.1"])));
    round_trip(Client::builder([server.bootstrap()]).expect("addresses").tls(trusting(&authority))).await;
    let (full, resumed) = server.tls_handshakes();
    assert!(full >= 1 && full + resumed >= 2, "{full} {resumed}");
}

#[tokio::test(start_paused = true)]
async fn records_pass_in_memory_over_tls() {
    let authority = Authority::new("test-ca");
    let server = server();
    server.set_tls(serving(&authority.sign(&["localhost"])));
    round_trip(client(&server, "localhost").tls(trusting(&authority))).await;
}

#[tokio::test(start_paused = true)]
async fn later_connections_resume_the_session_of_the_first() {
    let authority = Authority::new("test-ca");
    let server = server();
    server.set_tls(serving(&authority.sign(&["localhost"])));
    let tls = trusting(&authority);
    for _ in 0..3 {
        // Clients share the sessions of a `Tls`.
        client(&server, "localhost").tls(tls.clone()).connect().await.expect("the certificate is trusted");
    }
    assert_eq!(server.tls_handshakes(), (1, 2));
    // A client of its own `Tls` has none.
    client(&server, "localhost").tls(trusting(&authority)).connect().await.expect("the certificate is trusted");
    assert_eq!(server.tls_handshakes(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn host_that_metadata_names_is_checked_too() {
    let authority = Authority::new("test-ca");
    let server = server();
    server.set_tls(serving(&authority.sign(&["localhost"])));
    server.with(|cluster| cluster.advertise(1, "elsewhere.example", 9092));
    let client =
        client(&server, "localhost").tls(trusting(&authority)).connect().await.expect("the bootstrap address is fine");
    let producer = client.producer().delivery_timeout(Duration::from_secs(5)).build().expect("the settings are fine");
    let error = producer.send(Record::to("t").value("1")).await.expect_err("the leader is not who it says");
    assert!(
        format!("{error:#}").contains("the certificate of elsewhere.example is for other hosts, localhost"),
        "{error:#}"
    );
    assert!(server.with(|cluster| cluster.log("t", 0)).is_empty());
    assert_eq!(error.is_written(), Some(ottla::error::Written::No));
}

#[tokio::test(start_paused = true)]
async fn metadata_cannot_lower_tls() {
    let authority = Authority::new("test-ca");
    let server = server();
    server.set_tls(serving(&authority.sign(&["localhost"])));
    let client =
        client(&server, "localhost").tls(trusting(&authority)).connect().await.expect("the certificate is trusted");
    // The brokers go on without TLS: their next connections do not speak it.
    server.set_tls(None);
    let producer = client.producer().delivery_timeout(Duration::from_secs(5)).build().expect("the settings are fine");
    producer.send(Record::to("t").value("1")).await.expect_err("a plain connection is not made");
    assert!(server.with(|cluster| cluster.log("t", 0)).is_empty());
}
