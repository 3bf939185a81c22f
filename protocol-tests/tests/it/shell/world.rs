//! A cluster with a client, a producer and a consumer, and records by which a test checks them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::codec::Compression;
use ottla::consumer::Consumer;
use ottla::consumer::Records;
use ottla::mock::Cluster;
use ottla::producer::Delivery;
use ottla::producer::Producer;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::net::Net;

pub(super) const TOPIC: &str = "t";
pub(super) const GROUP: &str = "g";
pub(super) const PARTITIONS: i32 = 3;

/// The whole buffer, and the largest request: a record of nearly so many bytes fits only if nothing leaked.
pub(super) const BUFFER: usize = 16 * 1024;

/// Bytes that the numbers of a record, its key, its frame and a batch's header may take of the buffer.
const OVERHEAD: usize = 160;

/// A topic of one partition that only the test itself uses.
pub(super) const OTHER: &str = "other";

/// A cluster of three brokers that lead a partition of the topic each.
pub(super) fn cluster() -> Cluster {
    let builder = Cluster::builder().brokers(3).topic(TOPIC, PARTITIONS).topic(OTHER, 1).auto_create(false);
    let mut cluster = builder.build();
    for partition in 0..PARTITIONS {
        assert!(cluster.move_leader(TOPIC, partition, partition + 1));
    }
    cluster
}

/// Awaits a future that takes only a moment: nothing in it waits for a deadline.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let asked = Instant::now();
    let answer = tokio::time::timeout(Duration::from_secs(5), future).await;
    answer.unwrap_or_else(|_| panic!("{what}: no result after {:?}", asked.elapsed()))
}

/// Client, producer, consumer, and the records that they must have written and read.
///
/// Each value is a number, ascending within a partition in the order it was sent.
#[derive(Debug)]
pub(super) struct World {
    pub(super) net: Net,
    pub(super) client: Client,
    pub(super) producer: Producer,
    pub(super) consumer: Consumer,
    next: u64,
    /// Must be in the log, once.
    sure: BTreeMap<i32, BTreeSet<u64>>,
    /// May be in the log, once.
    maybe: BTreeMap<i32, BTreeSet<u64>>,
    deliveries: Vec<Delivery>,
    /// Other writers, which must end before the world is judged.
    pub(super) others: Vec<JoinHandle<()>>,
    /// The values that the consumer returned, by partition.
    read: BTreeMap<i32, Vec<u64>>,
}

impl World {
    pub(super) async fn new(net: Net) -> Self {
        Self::compressed(net, Compression::None).await
    }

    /// As [`World::new`], with a producer that compresses.
    pub(super) async fn compressed(net: Net, compression: Compression) -> Self {
        let client = soon("connect", net.client().connect()).await.expect("the brokers answer");
        let producer =
            client.producer().buffer_bytes(BUFFER).request_bytes_max(BUFFER).compression(compression).build();
        let consumer = client.consumer().group(GROUP).assign([TOPIC]).build();
        Self {
            net,
            client,
            producer: producer.expect("the settings are fine"),
            consumer: consumer.expect("the settings are fine"),
            next: 0,
            sure: BTreeMap::new(),
            maybe: BTreeMap::new(),
            deliveries: Vec::new(),
            others: Vec::new(),
            read: BTreeMap::new(),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// A value that must be in the log of a partition in the end.
    pub(super) fn sure(&mut self, partition: i32) -> String {
        let number = self.number();
        self.sure.entry(partition).or_default().insert(number);
        number.to_string()
    }

    /// A value that may or may not be in the log of a partition in the end.
    pub(super) fn maybe(&mut self, partition: i32) -> String {
        let number = self.number();
        self.maybe.entry(partition).or_default().insert(number);
        number.to_string()
    }

    /// Accepts records, some in each partition, that must be acknowledged in the end.
    pub(super) async fn background(&mut self, rounds: usize) {
        for _ in 0..rounds {
            for partition in 0..PARTITIONS {
                let value = self.sure(partition);
                let record = Record::to(TOPIC).partition(partition).value(&value);
                let delivery = soon("enqueue", self.producer.enqueue(record)).await;
                self.deliveries.push(delivery.expect("there is capacity"));
            }
        }
    }

    /// Writes and reads on, and judges the logs and the records that the consumer returned.
    pub(super) async fn check(&mut self) {
        for other in std::mem::take(&mut self.others) {
            soon("another's record", other).await.expect("it does not panic");
        }
        self.background(2).await;
        for delivery in std::mem::take(&mut self.deliveries) {
            soon("a delivery", delivery).await.expect("it is acknowledged");
        }
        soon("flush", self.producer.flush()).await;
        let value = self.sure(0);
        let value = format!("{value:0>width$}", width = BUFFER - OVERHEAD);
        let whole = self.producer.send(Record::to(TOPIC).partition(0).value(&value));
        soon("a record as large as the buffer", whole).await.expect("nothing is left in the buffer");
        for partition in 0..PARTITIONS {
            let log = self.log(partition);
            self.judge("the log", partition, &log);
        }
        self.read_all().await;
        soon("commit", self.consumer.commit()).await.expect("the coordinator takes it");
        for partition in 0..PARTITIONS {
            let end = self.net.with(|cluster| cluster.offsets(TOPIC, partition)).expect("it exists").1;
            let committed = self.net.with(|cluster| cluster.committed(GROUP, TOPIC, partition));
            assert_eq!(committed, Some(end), "the commit of partition {partition}");
        }
    }

    fn log(&self, partition: i32) -> Vec<u64> {
        let records = self.net.with(|cluster| cluster.log(TOPIC, partition));
        records.iter().map(|record| number(record.value.as_deref())).collect()
    }

    fn judge(&self, whose: &str, partition: i32, found: &[u64]) {
        let empty = BTreeSet::new();
        let (sure, maybe) = (&self.sure[&partition], self.maybe.get(&partition).unwrap_or(&empty));
        let ascends = found.windows(2).all(|pair| pair[0] < pair[1]);
        assert!(ascends, "{whose} of partition {partition} is out of order, or repeats: {found:?}");
        let found: BTreeSet<u64> = found.iter().copied().collect();
        assert!(sure.is_subset(&found), "{whose} of partition {partition} lacks {:?}", sure - &found);
        let invented = &(&found - sure) - maybe;
        assert!(invented.is_empty(), "{whose} of partition {partition} has {invented:?}");
    }

    /// Reads until the consumer has returned every record of the logs once.
    pub(super) async fn read_all(&mut self) {
        let is_done = |world: &Self| (0..PARTITIONS).all(|partition| world.has_read(partition) == world.log(partition));
        while !is_done(self) {
            let polled = soon("poll", self.consumer.poll()).await.expect("nothing is wrong");
            self.note(&polled.expect("the consumer is open"));
        }
    }

    fn has_read(&self, partition: i32) -> &[u64] {
        self.read.get(&partition).map_or(&[], Vec::as_slice)
    }

    /// Notes the records of a poll. Their offsets must continue where the last ones ended.
    pub(super) fn note(&mut self, records: &Records) {
        assert!(records.resets().is_empty(), "nothing was truncated: {:?}", records.resets());
        for record in records {
            let read = self.read.entry(record.partition).or_default();
            let expected = i64::try_from(read.len()).expect("few");
            assert_eq!(record.offset, expected, "the next offset of partition {}", record.partition);
            read.push(number(record.value));
        }
    }
}

fn number(value: Option<&[u8]>) -> u64 {
    let text = std::str::from_utf8(value.expect("each record has one")).expect("written as text");
    text.parse().expect("written as a number")
}
