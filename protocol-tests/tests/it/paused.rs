//! Tests as a user writes them over the mock cluster, on a paused clock: a long outage passes at once.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::client::ClientBuilder;
use ottla::client::Connector;
use ottla::consumer::Consumer;
use ottla::consumer::Start;
use ottla::error::Kind;
use ottla::error::Written;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::Server;
use ottla::mock::key;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

const OUTAGE: Duration = Duration::from_secs(600);
/// More than the longest pause between two attempts.
const SOON: Duration = Duration::from_secs(5);

fn cluster() -> Cluster {
    Cluster::builder().brokers(3).topic("t", 1).build()
}

fn set_up(server: &Server, up: bool) {
    server.with(|cluster| {
        for broker in cluster.brokers() {
            if up { cluster.set_up(broker) } else { cluster.set_down(broker) }
        }
    });
}

fn in_memory(server: &Server) -> ClientBuilder {
    Client::builder([server.bootstrap()]).expect("well-formed").connector(server.connector())
}

/// Writes before, during and after an outage, and reads all of it. Returns how long the outage was for the producer.
async fn outlast(server: &Server, client: ClientBuilder) -> Duration {
    let client = client.connect().await.expect("the brokers respond");
    let producer = client.producer().delivery_timeout(OUTAGE * 2).build().expect("the settings are fine");
    producer.send(Record::to("t").value("before")).await.expect("the leader appends it");
    let mut consumer = client.consumer().assign(["t"]).start(Start::Earliest).build().expect("the settings are fine");
    assert_eq!(next_offset(&mut consumer).await, 0);

    set_up(server, false);
    let began = Instant::now();
    let during = producer.enqueue(Record::to("t").value("during")).await.expect("the buffer has capacity");
    tokio::time::sleep(OUTAGE).await;
    set_up(server, true);
    assert_eq!(during.await.expect("the leader appends it").offset, Some(1));
    let lasted = began.elapsed();
    assert_eq!(next_offset(&mut consumer).await, 1);
    lasted
}

/// The offset of the next record. Errors are those of the outage.
async fn next_offset(consumer: &mut Consumer) -> i64 {
    loop {
        if let Ok(records) = consumer.poll().await
            && let Some(record) = records.expect("the read has no end").iter().next()
        {
            return record.offset;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn long_outage_passes_at_once_in_memory() {
    let server = Server::in_memory(cluster());
    let lasted = outlast(&server, in_memory(&server)).await;
    assert!(lasted >= OUTAGE && lasted < OUTAGE + SOON, "{lasted:?}");
}

/// The kernel may deliver late, and then the clock moves on too far: no bound from above.
#[tokio::test(start_paused = true)]
async fn long_outage_passes_at_once_over_tcp() {
    let server = Server::start(cluster(), ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let client = Client::builder([server.bootstrap()]).expect("well-formed");
    assert!(outlast(&server, client).await >= OUTAGE);
}

#[tokio::test(start_paused = true)]
async fn deadline_passes_to_the_millisecond_in_memory() {
    let server = Server::in_memory(cluster());
    let client = in_memory(&server).connect().await.expect("the brokers respond");
    let limit = Duration::from_secs(120);
    let producer = client.producer().delivery_timeout(limit).build().expect("the settings are fine");
    producer.send(Record::to("t").value("0")).await.expect("the leader appends it");
    server.with(|cluster| cluster.inject(key::PRODUCE, Fault::Lost, u32::MAX));
    let began = Instant::now();
    let error = producer.send(Record::to("t").value("1")).await.expect_err("no response comes");
    assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::Maybe)));
    assert_eq!(began.elapsed().as_millis(), limit.as_millis());
    assert_eq!(server.with(|cluster| cluster.log("t", 0).len()), 2, "it is in the log, which nobody could know");
}

#[tokio::test(start_paused = true)]
async fn dropped_server_closes_its_connections_in_memory() {
    let server = Server::in_memory(cluster());
    let mut stream = server.connector().connect("anywhere", 9_092).await.expect("broker 1 is there");
    let connector = server.connector();
    assert!(connector.connect("anywhere", 9_095).await.is_err(), "there is no broker 4");
    server.with(|cluster| cluster.set_down(2));
    assert!(connector.connect("anywhere", 9_093).await.is_err(), "broker 2 is down");
    drop(server);
    let mut bytes = [0; 8];
    let ended = tokio::time::timeout(SOON, stream.read(&mut bytes)).await.expect("the connection is closed");
    assert_eq!(ended.expect("an orderly end"), 0);
    assert!(connector.connect("anywhere", 9_092).await.is_err(), "the server is gone");
}
