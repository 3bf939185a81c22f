//! Producers and consumers that record their actions. They live for a while, end in different ways, and are replaced.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fastrand::Rng;
use ottla::Client;
use ottla::Record;
use ottla::codec::Compression;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::Start;
use ottla::producer::Delivery;
use ottla::producer::Guarantee;
use ottla::producer::Producer;
use ottla::types::TopicPartition;
use protocol_tests::history::Body;
use protocol_tests::history::CommitOutcome;
use protocol_tests::history::Recorder;
use protocol_tests::history::Role;
use protocol_tests::history::Value;
use protocol_tests::proxy::Through;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::PARTITIONS;
use super::Run;
use super::partitions;
use super::site::Site;

/// The behaviour of a producer.
#[derive(Clone, Debug)]
struct Writing {
    through: Option<Through>,
    request_timeout: Duration,
    delivery_timeout: Duration,
    compression: Compression,
    batch_bytes: usize,
    /// The lifetime of each, in milliseconds.
    life: std::ops::Range<u64>,
}

/// The promises of producers. With `OTTLA_CHAOS_ACKS=1` they claim more than one acknowledgement can keep, and the judge must notice.
fn guarantee() -> Guarantee {
    match std::env::var("OTTLA_CHAOS_ACKS").as_deref() {
        Ok("1") => Guarantee::LeaderAck,
        Ok(_) | Err(_) => Guarantee::Idempotent,
    }
}

/// The delivery timeout of producers that outlast every fault.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Starts three producers and three consumers.
pub(super) fn start(tasks: &mut JoinSet<()>, run: &Run) {
    let through = &run.through;
    let seconds = Duration::from_secs;
    let patient = Writing {
        through: None,
        request_timeout: seconds(5),
        delivery_timeout: PATIENCE,
        compression: Compression::None,
        batch_bytes: 16 * 1024,
        life: 20_000..60_000,
    };
    let far = Writing { through: Some(through.clone()), compression: Compression::Lz4, ..patient.clone() };
    // Its records are often doubtful when their deadline passes.
    let hasty = Writing {
        request_timeout: seconds(2),
        delivery_timeout: seconds(3),
        compression: Compression::Zstd,
        batch_bytes: 2 * 1024,
        life: 5_000..20_000,
        ..far.clone()
    };
    for (writing, number) in [patient, far, hasty].into_iter().zip(0..) {
        let world = World::new(run, 10 + number);
        tasks.spawn(world.write(writing));
    }
    for (reading, number) in [Reading::Group, Reading::Seeking, Reading::Tail].into_iter().zip(0..) {
        let world = World::new(run, 20 + number);
        let through = (reading != Reading::Tail).then(|| through.clone());
        tasks.spawn(world.read(reading, through));
    }
}

/// The context of every task of the load.
struct World {
    site: Site,
    recorder: Recorder,
    topic: String,
    rng: Rng,
    stopped: watch::Receiver<bool>,
    renewed: Arc<AtomicU64>,
}

impl World {
    fn new(run: &Run, number: u64) -> Self {
        let Run { site, recorder, topic, seed, stopped, renewed, .. } = run.clone();
        Self { site, recorder, topic, rng: Rng::with_seed(seed.wrapping_add(number)), stopped, renewed }
    }

    fn is_over(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Connects, however long that takes.
    async fn connect(&self, through: Option<&Through>, request_timeout: Duration) -> Option<Client> {
        while !self.is_over() {
            let builder = self.site.builder().request_timeout(request_timeout).client_id("chaos");
            let builder = match through {
                Some(through) => builder.connector(through.clone()),
                None => builder,
            };
            match builder.connect().await {
                Ok(client) => return Some(client),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        None
    }

    async fn write(mut self, writing: Writing) {
        while let Some(client) = self.connect(writing.through.as_ref(), writing.request_timeout).await {
            let process = self.recorder.open(Role::Producer { idempotent: true });
            let producer = client
                .producer()
                .guarantee(guarantee())
                .delivery_timeout(writing.delivery_timeout)
                .compression(writing.compression)
                .batch_bytes(writing.batch_bytes)
                .build()
                .expect("a producer");
            let mut deliveries = JoinSet::new();
            let end = self.recorder.now() + Duration::from_millis(self.rng.u64(writing.life.clone()));
            let mut sequence = 0;
            while self.recorder.now() < end && !self.is_over() {
                for _ in 0..self.rng.u32(1..8) {
                    self.send(&producer, process, sequence, &writing, &mut deliveries).await;
                    sequence += 1;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.end(process, producer, client, deliveries, &writing).await;
        }
    }

    async fn send(
        &mut self,
        producer: &Producer,
        process: u32,
        sequence: u64,
        writing: &Writing,
        deliveries: &mut JoinSet<()>,
    ) {
        let partition = (self.rng.u8(..3) == 0).then(|| self.rng.i32(0..PARTITIONS));
        let value = value(&self.topic, partition, process, sequence);
        let text = padded(&value);
        let key = sequence.to_string();
        let mut record = Record::to(&self.topic).value(&text);
        if let Some(partition) = partition {
            record = record.partition(partition);
        } else if sequence.is_multiple_of(2) {
            record = record.key(&key);
        }
        let deadline = self.recorder.now() + writing.delivery_timeout;
        let topic = self.topic.as_str().into();
        self.recorder.push(process, Body::Invoked { topic, partition, value: value.clone(), deadline });
        match producer.enqueue(record).await {
            Ok(delivery) => {
                let deadline = self.recorder.now() + writing.delivery_timeout;
                self.recorder.push(process, Body::Accepted { value: value.clone(), deadline });
                deliveries.spawn(decide(self.recorder.clone(), process, value, delivery));
            }
            Err(error) => self.recorder.decided(process, value, &Err(error)),
        }
    }

    /// Ends a producer: closes it, drops it, or drops it with everything that waits for it.
    async fn end(
        &mut self,
        process: u32,
        producer: Producer,
        client: Client,
        mut deliveries: JoinSet<()>,
        writing: &Writing,
    ) {
        let way = if self.is_over() { 0 } else { self.rng.u8(..3) };
        match way {
            0 => {
                // Deliveries that are not acknowledged by then fail by themselves.
                let _ = producer.close(writing.delivery_timeout + Duration::from_secs(5)).await;
            }
            1 => drop(producer),
            _ => {
                deliveries.abort_all();
                while deliveries.join_next().await.is_some() {}
                self.recorder.push(process, Body::Crashed);
                drop(producer);
            }
        }
        self.renewed.fetch_add(renewals(&client), Ordering::Relaxed);
        drop(client);
        // The judge finds deliveries that are undecided by now.
        let all = async { while deliveries.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(writing.delivery_timeout + Duration::from_secs(10), all).await;
    }

    async fn read(mut self, reading: Reading, through: Option<Through>) {
        let mut client = None;
        loop {
            if client.is_none() {
                client = self.connect(through.as_ref(), Duration::from_secs(5)).await;
            }
            let Some(connected) = &client else { return };
            let group = (reading == Reading::Group).then(|| group(&self.topic));
            let process = self.recorder.open(Role::Consumer { group });
            let consumer = reading.consumer(connected, &self.topic).build().expect("a consumer");
            let life = if reading == Reading::Tail { u64::MAX / 2 } else { self.rng.u64(4_000..20_000) };
            let end = self.recorder.now() + Duration::from_millis(life);
            Reader { process, consumer, reading, world: &mut self }.run(end).await;
            if self.rng.bool() {
                client = None;
            }
            if self.is_over() {
                return;
            }
        }
    }
}

/// The sessions that a client has renewed.
fn renewals(client: &Client) -> u64 {
    let metrics = client.metrics();
    let live = metrics.connections.iter().map(|connection| connection.counters.reauthentications);
    live.sum::<u64>() + metrics.retired.reauthentications
}

async fn decide(recorder: Recorder, process: u32, value: Value, delivery: Delivery) {
    let outcome = delivery.await;
    recorder.decided(process, value, &outcome);
}

/// The behaviour of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Commits for a group, and continues from the committed offsets.
    Group,
    /// Seeks back, now and then.
    Seeking,
    /// Reads without end.
    Tail,
}

impl Reading {
    fn consumer(self, client: &Client, topic: &str) -> ConsumerBuilder {
        let builder = from_the_beginning(client, topic).timeout(Duration::from_secs(5));
        match self {
            Self::Group => {
                let start = Start::Stored { otherwise: Box::new(Start::Earliest) };
                builder.group(group(topic)).start(start)
            }
            Self::Seeking | Self::Tail => builder,
        }
    }
}

fn group(topic: &str) -> String {
    format!("{topic}-readers")
}

pub(super) fn from_the_beginning(client: &Client, topic: &str) -> ConsumerBuilder {
    client.consumer().assign_partitions((0..PARTITIONS).map(|index| (topic, index))).start(Start::Earliest)
}

/// Reads the rest for the group, so that a missed record is noticed.
pub(super) async fn read_as_group(Run { site, recorder, topic, .. }: &Run) {
    let client = site.connect().await;
    let process = recorder.open(Role::Consumer { group: Some(group(topic)) });
    let mut consumer = Reading::Group.consumer(&client, topic).until_end().build().expect("a consumer");
    while let Some(records) = consumer.poll().await.expect("all faults are over") {
        recorder.polled(process, &records, value_of);
    }
}

struct Reader<'a> {
    process: u32,
    consumer: Consumer,
    reading: Reading,
    world: &'a mut World,
}

impl Reader<'_> {
    async fn run(mut self, end: Duration) {
        if self.reading != Reading::Group {
            for partition in partitions(&self.world.topic) {
                self.push(Body::Moved { partition, to: Some(0) });
            }
        }
        while self.world.recorder.now() < end && !self.world.is_over() {
            match tokio::time::timeout(Duration::from_millis(300), self.consumer.poll()).await {
                Ok(Ok(Some(records))) => self.world.recorder.polled(self.process, &records, value_of),
                Ok(Ok(None)) => return,
                Ok(Err(error)) => {
                    let error = Some(error.to_string());
                    self.push(Body::Polled { records: Vec::new(), moved: Vec::new(), error });
                }
                Err(_) => {}
            }
            match self.reading {
                Reading::Group if self.world.rng.u8(..5) == 0 => self.commit().await,
                Reading::Seeking if self.world.rng.u8(..100) == 0 => self.seek(),
                Reading::Group | Reading::Seeking | Reading::Tail => {}
            }
            // Not for each record.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if self.world.rng.bool() {
            self.consumer.close().await.expect("closing does not fail");
        }
    }

    fn push(&self, body: Body) {
        self.world.recorder.push(self.process, body);
    }

    /// Commits all records that were returned, or only a part of them.
    async fn commit(&mut self) {
        let short = self.world.rng.bool();
        let mut positions = Vec::new();
        for partition in partitions(&self.world.topic) {
            let Some(position) = self.consumer.position(&partition) else { continue };
            let less = if short { self.world.rng.i64(0..10) } else { 0 };
            let position = if less == 0 { position } else { (position.offset - less).max(0).into() };
            positions.push((partition, position));
        }
        let offsets = positions.iter().map(|(partition, position)| (partition.clone(), position.offset)).collect();
        self.push(Body::CommitInvoked(offsets));
        let ended = if short { self.consumer.commit_positions(positions).await } else { self.consumer.commit().await };
        let outcome = match ended {
            Ok(()) => CommitOutcome::Done,
            Err(error) if error.code().is_some() => CommitOutcome::Failed(error.to_string()),
            Err(error) => CommitOutcome::InDoubt(error.to_string()),
        };
        self.push(Body::Committed(outcome));
    }

    fn seek(&mut self) {
        let partition = TopicPartition::new(self.world.topic.as_str(), self.world.rng.i32(0..PARTITIONS));
        let Some(position) = self.consumer.position(&partition) else { return };
        // Only a little way back, so that reading reaches the end.
        let to = self.world.rng.i64((position.offset - 500).max(0)..=position.offset);
        self.push(Body::Moved { partition: partition.clone(), to: Some(to) });
        self.consumer.seek(&partition, Start::Offset(to)).expect("it is assigned");
    }
}

/// A value that names its topic, its partition if one was chosen, its producer, and its number there.
fn value(topic: &str, partition: Option<i32>, process: u32, sequence: u64) -> Value {
    let partition = partition.map_or_else(|| "any".to_owned(), |partition| partition.to_string());
    Arc::from(format!("{topic}/{partition}/{process}/{sequence}"))
}

/// The value as it is sent, with padding that depends on it.
fn padded(value: &str) -> String {
    let weight = value.bytes().fold(7_usize, |sum, byte| (sum * 31 + usize::from(byte)) % 400);
    format!("{value} {}", "x".repeat(weight))
}

/// The value of a record. A damaged one becomes a value that was never sent.
pub(super) fn value_of(bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    match text.split_once(' ') {
        Some((value, _)) if padded(value) == text => Arc::from(value),
        Some(_) | None => Arc::from(&*text),
    }
}
