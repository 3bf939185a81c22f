//! The producer as its users have it, against the mock cluster over TCP.

use std::pin::Pin;
use std::sync::OnceLock;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use super::*;
use crate::codec::Codec;
use crate::codec::CodecError;
use crate::codec::Codecs;
use crate::codec::Compression;
use crate::config::Properties;
use crate::error::Code;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::Server;
use crate::partitioner::Builtin;
use crate::partitioner::Partitioner;
use crate::partitioner::PartitionerFactory;
use crate::partitioner::Partitions;
use crate::types::LONGEST;

const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const INIT_PRODUCER_ID: i16 = 22;

async fn cluster(partitions: i32) -> (Server, Client) {
    let mock = Mock::builder().brokers(3).topic("t", partitions).build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let client = Client::connect([server.bootstrap()]).await.expect("the mock cluster answers");
    (server, client)
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes no 20 seconds")
}

fn now(delivery: &mut Delivery) -> Poll<Result<Receipt, Error>> {
    Pin::new(delivery).poll(&mut Context::from_waker(Waker::noop()))
}

/// The values in a partition's log, as numbers.
fn numbers(server: &Server, partition: i32) -> Vec<u32> {
    let log = server.with(|cluster| cluster.log("t", partition));
    let number = |value: &[u8]| String::from_utf8_lossy(value).trim().parse().expect("a number");
    log.iter().map(|record| number(record.value.as_ref().expect("each has a value"))).collect()
}

#[tokio::test]
async fn flush_leaves_every_delivery_ready_and_the_budget_empty() {
    let (server, client) = cluster(3).await;
    let producer = client.producer().linger(Duration::from_secs(60)).build().unwrap();
    let values: Vec<String> = (0..5_000).map(|number| format!("{number:>100}")).collect();
    let records = values.iter().map(|value| Record::to("t").value(value));
    let mut deliveries = within(producer.enqueue_all(records)).await.unwrap();
    within(producer.flush()).await;
    assert!(deliveries.iter_mut().all(|delivery| matches!(now(delivery), Poll::Ready(Ok(_)))));
    assert_eq!(producer.shared().lock().used(), 0);
    let mut all = Vec::new();
    for partition in 0..3 {
        let log = numbers(&server, partition);
        assert!(log.is_sorted(), "records that were accepted in order are in order");
        all.extend(log);
    }
    all.sort_unstable();
    assert!(all.into_iter().eq(0..5_000));
}

#[tokio::test]
async fn records_before_a_refused_one_are_accepted() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().request_bytes_max(10_000).build().unwrap();
    let large = "9".repeat(20_000);
    let error = within(producer.enqueue_all(["1", "2", &large, "3"].map(|value| Record::to("t").value(value)))).await;
    assert_eq!(error.unwrap_err().kind(), Kind::RecordTooLarge);
    within(producer.close(Duration::from_secs(10))).await.unwrap();
    assert_eq!(numbers(&server, 0), [1, 2]);
}

#[tokio::test]
async fn unacknowledged_record_is_reported_once_it_was_written() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().guarantee(Guarantee::FireAndForget).build().unwrap();
    let mut receipts = Vec::new();
    for number in 0..200 {
        let value = number.to_string();
        receipts.push(within(producer.send(Record::to("t").value(&value))).await.unwrap());
    }
    assert!(receipts.iter().all(|receipt| receipt.offset.is_none()));
    // No request on the same connection says when the records are appended: the test polls the log.
    within(async {
        while numbers(&server, 0).len() < 200 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(numbers(&server, 0).into_iter().eq(0..200));
}

#[tokio::test]
async fn moved_leader_is_followed_without_metadata_request() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().build().unwrap();
    within(producer.send(Record::to("t").value("0"))).await.unwrap();
    for number in 1..20 {
        server.with(|cluster| {
            let (leader, _) = cluster.leader("t", 0).unwrap();
            let next = cluster.brokers().into_iter().find(|broker| *broker != leader).unwrap();
            assert!(cluster.move_leader("t", 0, next));
            // No request for metadata gets a response: the hint has to suffice.
            cluster.inject(METADATA, Fault::Swallowed, 100);
        });
        let value = number.to_string();
        within(producer.send(Record::to("t").value(&value))).await.unwrap();
        server.with(Mock::clear_faults);
    }
    assert!(numbers(&server, 0).into_iter().eq(0..20));
}

#[tokio::test]
async fn close_ends_in_time_and_reports_undecided_records() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().build().unwrap();
    within(producer.send(Record::to("t").value("0"))).await.unwrap();
    server.with(|cluster| cluster.inject(PRODUCE, Fault::Swallowed, 10));
    let mut sent = within(producer.enqueue(Record::to("t").value("1"))).await.unwrap();
    within(async {
        while server.with(|cluster| cluster.requests_count(PRODUCE)) < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut kept = within(producer.enqueue(Record::to("t").value("2"))).await.unwrap();
    let error = within(producer.close(Duration::from_millis(1))).await.unwrap_err();
    assert!(error.is_timeout());
    // Every delivery has its outcome when `close` has returned.
    let Poll::Ready(Err(error)) = now(&mut sent) else { panic!("it was closed") };
    assert_eq!((error.kind(), error.is_written()), (Kind::Closed, Some(Written::Maybe)));
    let Poll::Ready(Err(error)) = now(&mut kept) else { panic!("it was closed") };
    assert!(error.is_written().is_some());
    let error = producer.try_enqueue(Record::to("t").value("3")).unwrap_err();
    assert_eq!((error.kind(), error.is_written()), (Kind::Closed, Some(Written::No)));
    assert_eq!(producer.shared().lock().used(), 0);
}

#[test]
fn deliveries_resolve_when_the_runtime_ends_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (producer, mut delivery, _server) = runtime.block_on(async {
        let (server, client) = cluster(1).await;
        let producer = client.producer().build().unwrap();
        within(producer.send(Record::to("t").value("0"))).await.unwrap();
        server.with(|cluster| cluster.inject(PRODUCE, Fault::Swallowed, 10));
        let delivery = within(producer.enqueue(Record::to("t").value("1"))).await.unwrap();
        (producer, delivery, server)
    });
    drop(runtime);
    let Poll::Ready(Err(error)) = now(&mut delivery) else { panic!("no later result can come") };
    assert_eq!(error.kind(), Kind::Closed);
    assert_eq!(producer.try_enqueue(Record::to("t").value("2")).unwrap_err().kind(), Kind::Closed);
}

/// Uses the producer that it serves, which would deadlock under a lock of the producer.
#[derive(Clone, Debug, Default)]
struct Curious(Arc<OnceLock<Producer>>);

impl PartitionerFactory for Curious {
    fn make(&self, _batch_bytes: usize) -> Box<dyn Partitioner> {
        Box::new(self.clone())
    }
}

impl Partitioner for Curious {
    fn partition(&mut self, _key: Option<&[u8]>, topic: &Partitions<'_>, _rng: &mut fastrand::Rng) -> i32 {
        assert_eq!(topic.count, 2);
        let producer = self.0.get().expect("it was set before the first record");
        drop(producer.try_enqueue(Record::to("t").value("1").partition(1)).expect("there is capacity"));
        0
    }
}

#[tokio::test]
async fn custom_partitioner_may_use_its_own_producer() {
    let (server, client) = cluster(2).await;
    let curious = Curious::default();
    let producer = client.producer().partitioner(curious.clone()).build().unwrap();
    within(producer.send(Record::to("t").value("0").partition(0))).await.unwrap();
    curious.0.set(producer.clone()).unwrap();
    within(producer.send(Record::to("t").value("2"))).await.unwrap();
    let two = ["3", "4"].map(|value| Record::to("t").value(value));
    drop(within(producer.enqueue_all(two)).await.unwrap());
    within(producer.close(Duration::from_secs(10))).await.unwrap();
    assert_eq!(numbers(&server, 0), [0, 2, 3, 4]);
    assert_eq!(numbers(&server, 1), [1, 1, 1]);
}

#[tokio::test]
async fn batches_compressed_in_parallel_stay_in_order() {
    let (server, client) = cluster(2).await;
    let builder = client.producer().compression(Compression::Gzip).batch_bytes(20_000);
    let producer = builder.build().unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let pad = |rng: &mut fastrand::Rng| (0..100).map(|_| if rng.bool() { ' ' } else { '\t' }).collect::<String>();
    let values: Vec<String> = (0..20_000).map(|number| format!("{}{number}", pad(&mut rng))).collect();
    let deliveries =
        within(producer.enqueue_all(values.iter().map(|value| Record::to("t").value(value)))).await.unwrap();
    for delivery in deliveries {
        within(delivery).await.unwrap();
    }
    let logs = [numbers(&server, 0), numbers(&server, 1)];
    assert!(logs.iter().all(|log| log.is_sorted()));
    assert_eq!(logs.iter().map(Vec::len).sum::<usize>(), 20_000);
}

#[derive(Debug)]
struct Panicking;

impl Codec for Panicking {
    fn compression(&self) -> Compression {
        Compression::Gzip
    }

    fn compress(&self, _input: &[u8], _out: &mut Vec<u8>) -> Result<(), CodecError> {
        panic!("as a codec may")
    }

    fn decompress(&self, _input: &[u8], limit: usize, _out: &mut Vec<u8>) -> Result<(), CodecError> {
        Err(CodecError::TooLarge { limit })
    }
}

#[tokio::test]
async fn panicking_codec_fails_its_records_at_once() {
    let (_server, client) = cluster(1).await;
    let mut codecs = Codecs::default();
    codecs.register(Arc::new(Panicking));
    let producer = client.producer().codecs(codecs).compression(Compression::Gzip).build().unwrap();
    // Apart, where it harms one batch; then in the driver's own task, which ends.
    let large = "x".repeat(100_000);
    let error = within(producer.send(Record::to("t").value(&large))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_written()), (Kind::Config, Some(Written::No)));
    let error = within(producer.send(Record::to("t").value("x"))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_written()), (Kind::Closed, Some(Written::No)));
    assert_eq!(producer.shared().lock().used(), 0);
}

#[tokio::test]
async fn refused_batch_fails_and_the_next_is_written() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().linger(Duration::from_secs(60)).build().unwrap();
    let far = i64::MAX / 2;
    let record = |value| Record::to("t").value(value);
    let three = [record("1"), record("2").timestamp(far), record("3")];
    let deliveries = within(producer.enqueue_all(three)).await.unwrap();
    for delivery in deliveries {
        let error = within(delivery).await.unwrap_err();
        assert_eq!((error.code(), error.is_written()), (Some(Code::InvalidTimestamp), Some(Written::No)));
    }
    within(producer.send(record("4"))).await.unwrap();
    assert_eq!(numbers(&server, 0), [4]);
}

#[tokio::test]
async fn longest_durations_are_accepted_and_do_not_panic() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().linger(Duration::MAX).delivery_timeout(Duration::MAX).build().unwrap();
    for number in 0..200 {
        // Some come while a request is in flight, and wait out their linger.
        drop(producer.try_enqueue(Record::to("t").value(&number.to_string())));
        tokio::task::yield_now().await;
    }
    within(producer.close(Duration::MAX)).await.unwrap();
    assert!(numbers(&server, 0).is_sorted());
}

fn configured(client: &Client, words: &str) -> Result<ProducerBuilder, Error> {
    let mut properties = Properties::new();
    for (name, value) in words.split_whitespace().filter_map(|word| word.split_once('=')) {
        properties.set(name, value).expect("it is known");
    }
    client.producer().properties(&properties)
}

#[tokio::test]
async fn message_timeout_of_zero_is_the_longest_there_is() {
    let (_server, client) = cluster(1).await;
    let builder = configured(&client, "message.timeout.ms=0").unwrap();
    assert_eq!(builder.delivery_timeout, LONGEST);
    drop(builder.build().expect("no limit is a limit that can be had"));
}

#[tokio::test]
async fn acknowledgement_properties_choose_the_guarantee() {
    let (_server, client) = cluster(1).await;
    let chosen = [
        ("acks=all", Guarantee::Idempotent),
        ("enable.idempotence=true", Guarantee::Idempotent),
        ("acks=-1 enable.idempotence=false", Guarantee::AllAcks),
        ("enable.idempotence=false", Guarantee::AllAcks),
        ("acks=1 enable.idempotence=false", Guarantee::LeaderAck),
        ("acks=1", Guarantee::LeaderAck),
        ("acks=0", Guarantee::FireAndForget),
    ];
    for (properties, guarantee) in chosen {
        assert_eq!(configured(&client, properties).unwrap().guarantee, guarantee, "{properties}");
    }
    for refused in ["acks=1 enable.idempotence=true", "acks=0 enable.idempotence=true"] {
        let error = configured(&client, refused).unwrap_err();
        assert!(error.to_string().contains("set `acks` to all"), "{error}");
    }
}

#[tokio::test]
async fn all_acks_writes_without_asking_for_an_identity() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().guarantee(Guarantee::AllAcks).build().unwrap();
    let mut offsets = Vec::new();
    for value in ["0", "1", "2"] {
        offsets.push(within(producer.send(Record::to("t").value(value))).await.unwrap().offset);
    }
    assert_eq!(offsets, [Some(0), Some(1), Some(2)]);
    assert_eq!(server.with(|cluster| cluster.requests_count(INIT_PRODUCER_ID)), 0);
}

/// Misses are remembered for so long.
const BACKOFF_MAX: Duration = Duration::from_millis(500);

/// A producer of a client that takes a topic or a partition for absent after a fifth of a second.
async fn impatient(partitions: i32) -> (Server, Producer) {
    let mock = Mock::builder().brokers(3).topic("t", partitions).build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let mut properties = Properties::new();
    properties.set("topic.metadata.propagation.max.ms", "200").expect("it is known");
    let builder = Client::builder([server.bootstrap()]).expect("it is an address").properties(&properties);
    let client = builder.retry_backoff(BACKOFF_MAX / 5, BACKOFF_MAX).connect().await.expect("the mock cluster answers");
    let producer = client.producer().build().expect("the settings are fine");
    within(producer.send(Record::to("t").partition(0).value("0"))).await.expect("the topic exists");
    (server, producer)
}

/// Tries until it is decided whether the record is taken; returns how often it was not, with the error that is final.
async fn tried(producer: &Producer, record: &Record<'_>) -> (usize, Result<Receipt, Error>) {
    let mut tries = 0;
    loop {
        match producer.try_enqueue(record.clone()) {
            Ok(delivery) => return (tries, within(delivery).await),
            Err(error) if error.kind() == Kind::Full => {
                assert!(error.is_retriable() && error.is_written() == Some(Written::No), "{error}");
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(error) => return (tries, Err(error)),
        }
    }
}

#[tokio::test]
async fn partitions_that_were_added_are_found() {
    let (server, producer) = impatient(1).await;
    server.with(|cluster| cluster.add_partitions("t", 3));
    let receipt = within(producer.send(Record::to("t").partition(2).value("1"))).await.unwrap();
    assert_eq!((receipt.partition, numbers(&server, 2)), (2, vec![1]));
    server.with(|cluster| cluster.add_partitions("t", 5));
    let (tries, receipt) = within(tried(&producer, &Record::to("t").partition(4).value("2"))).await;
    assert_eq!((receipt.unwrap().partition, numbers(&server, 4)), (4, vec![2]));
    assert!(tries > 0, "it was not known at first");
}

#[tokio::test]
async fn partition_that_does_not_exist_is_refused_once_metadata_says_so() {
    let (_server, producer) = impatient(2).await;
    for partition in [2, i32::MAX] {
        let record = Record::to("t").partition(partition).value("1");
        let error = within(producer.send(record.clone())).await.unwrap_err();
        let is = (error.kind(), error.is_written(), error.partition());
        assert_eq!(is, (Kind::UnknownTopic, Some(Written::No), Some(partition)), "{error}");
        assert!(error.to_string().contains("the topic has 2"), "{error}");
        let (tries, outcome) = within(tried(&producer, &record)).await;
        assert_eq!((outcome.unwrap_err().kind(), tries), (Kind::UnknownTopic, 0), "it is remembered");
    }
}

#[tokio::test]
async fn try_enqueue_refuses_a_missing_topic_once_metadata_says_so() {
    let (server, producer) = impatient(1).await;
    let record = Record::to("u").value("1");
    let (tries, outcome) = within(tried(&producer, &record)).await;
    let error = outcome.unwrap_err();
    assert_eq!((error.kind(), error.is_written()), (Kind::UnknownTopic, Some(Written::No)));
    assert!(tries > 0 && error.to_string().contains("create it"), "{error}");
    server.with(|cluster| cluster.create_topic("u", 1));
    let refused = producer.try_enqueue(record.clone()).unwrap_err();
    assert_eq!(refused.to_string(), error.to_string(), "it is remembered");
    tokio::time::sleep(BACKOFF_MAX).await;
    let (_, outcome) = within(tried(&producer, &record)).await;
    assert_eq!(outcome.unwrap().partition, 0, "it was created since");
}

#[tokio::test]
async fn names_that_no_topic_can_have_are_refused_at_once() {
    let (_server, producer) = impatient(1).await;
    let long = "x".repeat(40_000);
    for name in ["", "..", "a b", "ä", &long] {
        let error = producer.try_enqueue(Record::to(name)).unwrap_err();
        assert_eq!((error.kind(), error.is_written()), (Kind::Config, Some(Written::No)), "{error}");
        assert!(error.to_string().len() < 400);
        let error = within(producer.enqueue(Record::to(name))).await.unwrap_err();
        assert_eq!((error.kind(), error.is_written()), (Kind::Config, Some(Written::No)), "{error}");
    }
}

#[tokio::test]
async fn negative_partition_is_refused_at_once() {
    let (_server, client) = cluster(1).await;
    let producer = client.producer().build().unwrap();
    // The topic `t` is not known at first, and is known the second time.
    for partition in [-1, i32::MIN] {
        let record = Record::to("t").partition(partition);
        let mut enqueued = std::pin::pin!(producer.enqueue(record.clone()));
        let first = enqueued.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let Poll::Ready(Err(error)) = first else { panic!("nothing to wait for: {first:?}") };
        for error in [error, producer.try_enqueue(record).unwrap_err()] {
            let is = (error.kind(), error.is_written(), error.partition());
            assert_eq!(is, (Kind::UnknownTopic, Some(Written::No), Some(partition)), "{error}");
            assert!(error.to_string().contains("numbered from 0"), "{error}");
        }
        within(producer.send(Record::to("t").value("0"))).await.unwrap();
    }
}

/// Chooses the last partition there is.
#[derive(Clone, Debug)]
struct Last;

impl PartitionerFactory for Last {
    fn make(&self, _batch_bytes: usize) -> Box<dyn Partitioner> {
        Box::new(Self)
    }
}

impl Partitioner for Last {
    fn partition(&mut self, _key: Option<&[u8]>, topic: &Partitions<'_>, _rng: &mut fastrand::Rng) -> i32 {
        i32::try_from(topic.count).expect("few") - 1
    }
}

#[tokio::test]
async fn custom_partitioner_is_called_again_after_partitions_were_added() {
    let (server, client) = cluster(1).await;
    let producer = client.producer().partitioner(Last).build().unwrap();
    let record = Record::to("t").value("1");
    within(producer.send(record.clone())).await.unwrap();
    let before = producer.shared().route(&record);
    server.with(|cluster| cluster.add_partitions("t", 2));
    // Naming the partition that is new brings newer metadata.
    within(producer.send(record.clone().partition(1))).await.unwrap();
    assert!(matches!(producer.shared().admit(&record, before), Ok(Admission::Outdated)));
    assert_eq!(producer.shared().route(&record), Routing::Custom { partition: 1, count: 2 });
    assert_eq!(within(producer.send(record)).await.unwrap().partition, 1);
}

#[tokio::test]
async fn topic_recreated_with_fewer_partitions_is_written_to_without_waiting() {
    let (server, client) = cluster(6).await;
    let producer = client.producer().partitioner(Builtin::RoundRobin).build().unwrap();
    // The next record is placed on partition 2, which the new topic does not have.
    while within(producer.send(Record::to("t").value("0"))).await.unwrap().partition != 1 {}
    server.with(|cluster| cluster.create_topic("t", 2));
    let mut refused = 0;
    let mut written = 0;
    while written < 12 {
        // Each is decided long before its delivery timeout of two minutes.
        match within(producer.send(Record::to("t").value("1"))).await {
            Ok(receipt) => {
                assert!(receipt.partition < 2);
                written += 1;
            }
            Err(error) => {
                assert_eq!((error.kind(), error.is_written()), (Kind::UnknownTopic, Some(Written::No)), "{error}");
                refused += 1;
                assert_eq!(written, 0, "once it is known, nothing is placed on what is gone");
            }
        }
    }
    assert_eq!(refused, 1, "the first refusal brings the metadata of the new topic");
    assert_eq!(numbers(&server, 0).len() + numbers(&server, 1).len(), 12);
    assert_eq!(producer.shared().lock().used(), 0);
}
