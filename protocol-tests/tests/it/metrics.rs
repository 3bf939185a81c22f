//! After a known scenario, the counters say exactly what the mock saw.

use std::time::Duration;

use ottla::client::Client;
use ottla::consumer::Consumer;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::metrics::ConnectionCounters;
use ottla::metrics::Metrics;
use ottla::metrics::Purpose;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::Server;
use ottla::producer::Record;
use ottla::types::TopicPartition;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const OFFSET_COMMIT: i16 = 8;

async fn cluster() -> (Server, Client) {
    let mock = Cluster::builder().topic("t", 1).build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let builder = Client::builder([server.bootstrap()]).expect("its address is well-formed");
    let millisecond = Duration::from_millis(1);
    let client = builder.retry_backoff(millisecond, millisecond).connect().await.expect("the mock answers");
    (server, client)
}

fn seen(server: &Server, api: i16) -> u64 {
    server.with(|mock| mock.requests_count(api))
}

/// The counters of all connections of a purpose together.
fn of(metrics: &Metrics, purpose: Purpose) -> Vec<&ConnectionCounters> {
    metrics.connections.iter().filter(|open| open.purpose == purpose).map(|open| &open.counters).collect()
}

async fn read_to_end(consumer: &mut Consumer) -> u64 {
    let mut records = 0;
    while let Some(polled) = consumer.poll().await.expect("all is well") {
        records += u64::try_from(polled.count()).expect("a few");
    }
    records
}

#[tokio::test]
async fn producer_counts_records_batches_requests_and_outcomes() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    let send = || producer.send(Record::to("t").key("k").value("v"));
    // Acknowledged at once; acknowledged by a retry; refused.
    send().await.expect("acknowledged");
    server.with(|mock| mock.inject(PRODUCE, Fault::Error(Code::NotEnoughReplicas), 1));
    send().await.expect("acknowledged");
    server.with(|mock| mock.inject(PRODUCE, Fault::Error(Code::TopicAuthorizationFailed), 1));
    send().await.expect_err("refused");
    let metrics = client.metrics();
    let counted = &metrics.producers[0];
    assert_eq!((counted.records, counted.batches, counted.requests, counted.retries), (3, 3, 4, 1));
    assert_eq!((counted.acknowledged, counted.not_written, counted.maybe_written), (2, 1, 0));
    assert_eq!((counted.splits, counted.expired), (0, 0));
    assert_eq!((counted.queued_records, counted.queued_bytes, counted.queued_batches), (0, 0, 0));
    let bytes: usize = server.with(|mock| mock.batches("t", 0).iter().map(bytes::Bytes::len).sum());
    // Three batches of the same size, of which the log has two.
    assert_eq!(counted.batch_bytes * 2, 3 * u64::try_from(bytes).expect("small"));
    assert!((3 * 8..=3 * 40).contains(&counted.record_bytes), "{counted:?}");
    assert_eq!(seen(&server, PRODUCE), counted.requests);

    let connections = of(&metrics, Purpose::Produce);
    let [connection] = connections[..] else { panic!("one broker: {metrics:?}") };
    // The set-up requests versions once.
    assert_eq!((connection.requests, connection.responses, connection.in_flight), (5, 5, 0));
    assert_eq!((connection.connects, connection.connect_failures, connection.disconnects), (1, 0, 0));
    assert_eq!((connection.latency.count, connection.timeouts), (4, 0));
    assert!(connection.sent_bytes > counted.batch_bytes && connection.received_bytes > 0, "{connection:?}");
}

#[tokio::test]
async fn queued_records_are_counted_until_they_are_decided() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    server.with(|mock| mock.inject(PRODUCE, Fault::CloseAfter, 1));
    server.with(|mock| mock.inject(PRODUCE, Fault::Error(Code::NotEnoughReplicas), u32::MAX));
    let delivery = producer.enqueue(Record::to("t").value("v")).await.expect("there is capacity");
    let counted = client.metrics().producers.remove(0);
    assert_eq!((counted.records, counted.queued_records, counted.queued_batches), (2, 1, 1));
    assert!(counted.queued_bytes > 0);
    producer.close(Duration::ZERO).await.expect_err("one is not acknowledged");
    delivery.await.expect_err("it was given up");
    let counted = client.metrics().producers.remove(0);
    assert_eq!((counted.acknowledged, counted.not_written + counted.maybe_written), (1, 1));
    assert_eq!((counted.queued_records, counted.queued_bytes, counted.queued_batches), (0, 0, 0));
}

#[tokio::test]
async fn consumer_counts_fetches_records_and_commits() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    for _ in 0..3 {
        producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    }
    let builder = client.consumer().group("g").assign(["t"]).until_end();
    let mut consumer = builder.build().expect("the defaults are fine");
    assert_eq!(read_to_end(&mut consumer).await, 3);
    consumer.commit().await.expect("committed");
    server.with(|mock| mock.inject(OFFSET_COMMIT, Fault::Error(Code::UnknownMemberId), 1));
    consumer.commit().await.expect_err("refused");
    let metrics = client.metrics();
    let counted = &metrics.consumers[0];
    assert_eq!((counted.records, counted.batches, counted.assigned_partitions), (3, 3, 1));
    let bytes: usize = server.with(|mock| mock.batches("t", 0).iter().map(bytes::Bytes::len).sum());
    assert_eq!((counted.fetched_bytes, counted.buffered_bytes), (u64::try_from(bytes).expect("small"), 0));
    assert_eq!(counted.fetch_requests, seen(&server, FETCH));
    assert_eq!(counted.full_fetches + counted.incremental_fetches, counted.fetch_requests);
    assert!(counted.full_fetches >= 1 && counted.fetch_responses >= 1, "{counted:?}");
    assert_eq!((counted.sessions_lost, counted.resets, counted.corrupt), (0, 0, 0));
    assert_eq!((counted.commits, counted.commit_failures), (1, 1));
}

#[tokio::test]
async fn consumer_counts_resets() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    for _ in 0..3 {
        producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    }
    let mut consumer = client.consumer().assign(["t"]).build().expect("the defaults are fine");
    let mut records = 0;
    while records < 3 {
        records += consumer.poll().await.expect("all is well").expect("it goes on").count();
    }
    server.with(|mock| mock.delete_before("t", 0, 3));
    consumer.seek(&TopicPartition::new("t", 0), Start::Offset(1)).expect("it is assigned");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    while records < 4 {
        records += consumer.poll().await.expect("all is well").expect("it goes on").count();
    }
    assert_eq!(client.metrics().consumers[0].resets, 1, "offset 1 was deleted");
}

#[tokio::test]
async fn metadata_counts_refreshes_and_leader_changes() {
    let mock = Cluster::builder().brokers(2).topic("t", 1).build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let client = Client::connect([server.bootstrap()]).await.expect("the mock answers");
    let producer = client.producer().build().expect("the defaults are fine");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    let before = client.metrics().metadata;
    assert_eq!((before.brokers, before.topics, before.leader_changes, before.failures), (2, 1, 0, 0));
    assert_eq!(before.refreshes, seen(&server, METADATA));
    let leader = server.with(|mock| mock.leader("t", 0)).expect("it has one").0;
    server.with(|mock| mock.move_leader("t", 0, 3 - leader));
    producer.send(Record::to("t").value("v")).await.expect("acknowledged by the other");
    assert_eq!(client.metrics().metadata.leader_changes, 1);
}

#[tokio::test]
async fn producer_counts_split_batches() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    server.with(|mock| mock.inject(PRODUCE, Fault::Error(Code::MessageTooLarge), 1));
    let records = (0..8).map(|_| Record::to("t").value("v"));
    for delivery in producer.enqueue_all(records).await.expect("there is capacity") {
        delivery.await.expect("its part is acknowledged");
    }
    let counted = client.metrics().producers.remove(0);
    assert_eq!((counted.splits, counted.acknowledged, counted.not_written), (1, 8, 0));
}

#[tokio::test]
async fn producer_counts_expired_records_and_epochs() {
    let (server, client) = cluster().await;
    let timeout = Duration::from_millis(300);
    let producer = client.producer().delivery_timeout(timeout).build().expect("more than zero");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    server.with(|mock| mock.inject(PRODUCE, Fault::Error(Code::NotEnoughReplicas), u32::MAX));
    producer.send(Record::to("t").value("v")).await.expect_err("refused until it expired");
    server.with(Cluster::clear_faults);
    producer.send(Record::to("t").value("v")).await.expect("acknowledged under a new epoch");
    let counted = client.metrics().producers.remove(0);
    assert_eq!((counted.expired, counted.not_written, counted.maybe_written, counted.epoch_bumps), (1, 1, 0, 1));
    assert!(counted.retries >= 1, "{counted:?}");
    server.with(|mock| mock.inject(PRODUCE, Fault::Swallowed, u32::MAX));
    producer.send(Record::to("t").value("v")).await.expect_err("no broker responds");
    let counted = client.metrics().producers.remove(0);
    assert_eq!((counted.expired, counted.not_written, counted.maybe_written), (2, 1, 1));
}

#[tokio::test]
async fn consumer_counts_full_and_incremental_fetches_apart() {
    let (server, client) = cluster().await;
    let wait = Duration::from_millis(10);
    let builder = client.consumer().assign(["t"]).fetch_wait_max(wait);
    let _consumer = builder.build().expect("the defaults are fine");
    let counted = async {
        loop {
            let counted = client.metrics().consumers.remove(0);
            if counted.incremental_fetches >= 2 {
                return counted;
            }
            tokio::time::sleep(wait).await;
        }
    };
    let counted = tokio::time::timeout(Duration::from_secs(20), counted).await.expect("an idle consumer fetches");
    assert_eq!((counted.full_fetches, counted.sessions_lost), (1, 0));
    assert!(seen(&server, FETCH) <= counted.fetch_requests, "{counted:?}");
}

#[tokio::test]
async fn connection_counts_losses_and_reconnects() {
    let (server, client) = cluster().await;
    let producer = client.producer().build().expect("the defaults are fine");
    producer.send(Record::to("t").value("v")).await.expect("acknowledged");
    server.with(|mock| mock.inject(PRODUCE, Fault::CloseBefore, 1));
    producer.send(Record::to("t").value("v")).await.expect("acknowledged over another connection");
    let metrics = client.metrics();
    let connections = of(&metrics, Purpose::Produce);
    let [connection] = connections[..] else { panic!("one broker: {metrics:?}") };
    assert_eq!((connection.connects, connection.disconnects, connection.connect_failures), (2, 1, 0));
    assert_eq!((connection.requests, connection.responses, connection.in_flight), (5, 4, 0));
}
