//! Decides what is written, when, and what became of it. Owns no socket, task, lock or clock.
//!
//! ```text
//!  append -> open --full, linger, idle broker, flush--> closed --Seal--> ready --Send--> in flight --answer--> Complete
//!                                                                         ^                  |
//!                                                                         +---- retry -------+
//! ```
//!
//! A batch is stamped (producer identity and first sequence) when it is first sent, and keeps the stamp: a retry is the same
//! batch to a broker. Only when every batch of a partition is back may its stamps be replaced, under a new epoch.

mod batch;
mod partition;
mod respond;
mod sender;
mod table;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use self::batch::Batch;
pub use self::batch::Outcome;
use self::table::Table;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::metadata::Snapshot;
use crate::partitioner::Partitioner;
use crate::partitioner::PartitionerFactory;
use crate::partitioner::Partitions;
use crate::record::ClosedBatch;
use crate::record::RecordRef;
use crate::record::SealedBatch;
use crate::record::Stamp;
use crate::types::ProducerIdentity;
use crate::types::TopicId;
use crate::types::TopicName;

/// What a producer goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// 0, 1 or −1 for all.
    pub acks: i16,
    pub idempotent: bool,
    pub compressed: bool,
    /// Largest batch before compression.
    pub batch_bytes: usize,
    pub request_bytes_max: usize,
    pub linger: Duration,
    pub delivery_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// Buffers that are kept for later batches, in bytes.
    pub pool_bytes_max: usize,
}

/// A batch, for as long as the core knows it.
pub type BatchId = u64;

/// A partition, by the core's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub topic: u32,
    pub partition: i32,
}

/// One batch in a request.
#[derive(Clone, Debug)]
pub struct Entry {
    pub topic: TopicName,
    pub id: TopicId,
    pub partition: i32,
    pub batch: SealedBatch,
    pub stamp: Stamp,
}

/// What the core wants done.
#[derive(Debug)]
pub enum Action<T> {
    /// Tell whoever holds the ticket what became of these records.
    Complete { ticket: T, first: u32, count: u32, whole: bool, outcome: Outcome, bytes: usize },
    /// Ask for a producer identity; answer by `handle_identity`.
    InitProducerId,
    /// Ask again who leads.
    RefreshMetadata(TopicName),
    /// Compress and hash; answer by `handle_sealed`.
    Seal { key: Key, id: BatchId, closed: ClosedBatch },
    /// Send; answer by `handle_response`.
    Send { broker: i32, request: u64, entries: Vec<Entry> },
    /// Make smaller batches of it; answer by `handle_split`.
    Split { key: Key, id: BatchId, sealed: SealedBatch },
}

/// What became of an append.
#[derive(Debug)]
pub struct Appended<T> {
    pub ticket: T,
    pub index: u32,
    pub bytes: usize,
    /// Whether there is something for the driver to do.
    pub wake: bool,
}

struct Topic {
    name: TopicName,
    partitioner: Box<dyn Partitioner>,
    available: Vec<i32>,
    count: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Identity {
    Missing,
    Asked,
    Known(ProducerIdentity),
    /// Asking failed; it is asked again at this time.
    Failed(Instant),
}

#[derive(Debug, Default)]
struct Broker {
    in_flight: usize,
    /// Partitions with something to send, in turn.
    ready: VecDeque<Key>,
    /// Partitions whose batch was opened since the broker last had nothing to do.
    opened: Vec<Key>,
}

/// Ids of batches are this far apart, so that the parts of a batch that was split find room below it.
const ID_STEP: u64 = 1 << 20;

/// Requests in flight to one broker.
const REQUESTS_MAX: usize = 5;

/// The producer's decisions. `T` is whatever the caller wants back for a batch.
pub struct ProducerCore<T> {
    settings: Settings,
    factory: Arc<dyn PartitionerFactory>,
    rng: Rng,
    topics: Vec<Topic>,
    numbers: HashMap<TopicName, u32>,
    partitions: Table<T>,
    snapshot: Arc<Snapshot>,
    identity: Identity,
    brokers: BTreeMap<i32, Broker>,
    requests: HashMap<u64, (i32, Vec<(Key, BatchId)>)>,
    actions: VecDeque<Action<T>>,
    timers: BTreeSet<(Instant, Key)>,
    /// Ids of batches that are not decided, oldest first.
    outstanding: BTreeSet<BatchId>,
    pool: Vec<Vec<u8>>,
    pooled: usize,
    next_id: u64,
    fatal: Option<Error>,
}

impl<T> std::fmt::Debug for ProducerCore<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerCore").field("outstanding", &self.outstanding.len()).finish_non_exhaustive()
    }
}

impl<T: Clone> ProducerCore<T> {
    pub fn new(settings: Settings, factory: Arc<dyn PartitionerFactory>, seed: u64) -> Self {
        Self {
            settings,
            factory,
            rng: Rng::with_seed(seed),
            topics: Vec::new(),
            numbers: HashMap::new(),
            partitions: Table::new(),
            snapshot: Arc::default(),
            identity: Identity::Missing,
            brokers: BTreeMap::new(),
            requests: HashMap::new(),
            actions: VecDeque::new(),
            timers: BTreeSet::new(),
            outstanding: BTreeSet::new(),
            pool: Vec::new(),
            pooled: 0,
            next_id: 0,
            fatal: None,
        }
    }

    /// The core's number for a topic whose partitions are known; `None` where they are not.
    pub fn topic(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return (self.topics[*number as usize].count > 0).then_some(*number);
        }
        let known = self.snapshot.topic(name).filter(|topic| !topic.partitions.is_empty())?;
        let name = known.name.clone();
        let number = u32::try_from(self.topics.len()).ok()?;
        let partitioner = self.factory.make(self.settings.batch_bytes);
        self.topics.push(Topic { name: name.clone(), partitioner, available: Vec::new(), count: 0 });
        self.numbers.insert(name, number);
        self.learn(number);
        (self.topics[number as usize].count > 0).then_some(number)
    }

    /// Takes over what the snapshot says about a topic.
    fn learn(&mut self, number: u32) {
        let topic = &mut self.topics[number as usize];
        let Some(known) = self.snapshot.topic(&topic.name) else { return };
        topic.count = u32::try_from(known.partitions.len()).unwrap_or(0).max(topic.count);
        let led = known.partitions.iter().enumerate().filter(|(_, partition)| partition.leader.is_some());
        topic.available = led.filter_map(|(index, _)| i32::try_from(index).ok()).collect();
        if topic.available.len() == known.partitions.len() {
            // All of them: an empty list says so and costs the partitioner less.
            topic.available.clear();
        }
    }

    /// Chooses a partition as the built-in partitioner of the topic does.
    pub fn choose(&mut self, topic: u32, key: Option<&[u8]>) -> i32 {
        let state = &mut self.topics[topic as usize];
        let known = Partitions { count: state.count, available: &state.available, queued: &[] };
        state.partitioner.partition(key, &known, &mut self.rng)
    }

    /// How many acknowledgements are asked for, as the wire has it.
    pub fn acks(&self) -> i16 {
        self.settings.acks
    }

    /// How many partitions a topic has.
    pub fn partition_count(&self, topic: u32) -> u32 {
        self.topics[topic as usize].count
    }

    /// Writes a record into the open batch of a partition, opening one with a ticket if there is none with room.
    pub fn append(
        &mut self,
        now: Instant,
        key: Key,
        record: &RecordRef<'_>,
        ticket: impl FnOnce() -> T,
    ) -> Result<Appended<T>, Error> {
        if let Some(error) = &self.fatal {
            return Err(error.clone().written(Written::No));
        }
        let limit = self.settings.batch_bytes;
        let partition = self.partitions.get_or_make(key);
        let mut wake = false;
        if let Some(open) = &mut partition.open {
            if let Some((index, bytes)) = open.builder.append_within(record, limit) {
                let appended = Appended { ticket: open.ticket.clone(), index, bytes, wake };
                self.topics[key.topic as usize].partitioner.on_appended(key.partition, bytes, false);
                return Ok(appended);
            }
            self.topics[key.topic as usize].partitioner.on_appended(key.partition, 0, true);
            self.close_open(key);
            wake = true;
        }
        let buffer = self.take_buffer();
        let id = self.new_id();
        self.outstanding.insert(id);
        let partition = self.partitions.get_mut(&key).expect("made above");
        let deadline = now + self.settings.delivery_timeout;
        let ticket = ticket();
        let (index, bytes) = partition.open(id, now, deadline, buffer, ticket.clone(), record);
        self.topics[key.topic as usize].partitioner.on_appended(key.partition, bytes, false);
        self.note_opened(key);
        wake |= self.service(now, key);
        Ok(Appended { ticket, index, bytes, wake: wake || self.settings.linger.is_zero() || index == 0 })
    }

    fn note_opened(&mut self, key: Key) {
        let topic = &self.topics[key.topic as usize].name;
        if let Some(leader) = self.snapshot.partition(topic, key.partition).and_then(|partition| partition.leader) {
            self.brokers.entry(leader).or_default().opened.push(key);
        }
    }

    fn new_id(&mut self) -> u64 {
        self.next_id += ID_STEP;
        self.next_id
    }

    /// An id for a part of batch `id`: below it, and above every other.
    fn part_id(&mut self, id: BatchId) -> BatchId {
        let before = self.outstanding.range(..id).next_back().copied().unwrap_or(0);
        // Each split takes a place just below the parent; the parts before it are already there.
        before.max(id - ID_STEP) + 1
    }

    fn take_buffer(&mut self) -> Vec<u8> {
        let buffer = self.pool.pop().unwrap_or_default();
        self.pooled -= buffer.capacity();
        buffer
    }

    /// Keeps a buffer for later batches.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.pooled + buffer.capacity() <= self.settings.pool_bytes_max {
            self.pooled += buffer.capacity();
            self.pool.push(buffer);
        }
    }

    fn close_open(&mut self, key: Key) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        if let Some((id, closed)) = partition.close() {
            self.actions.push_back(Action::Seal { key, id, closed });
        }
    }

    /// Closes every open batch, and answers the id below which all must be decided for a flush to be over.
    pub fn flush(&mut self) -> BatchId {
        let open: Vec<Key> =
            self.partitions.iter().filter(|(_, partition)| partition.open.is_some()).map(|(key, _)| key).collect();
        for key in open {
            self.close_open(key);
        }
        self.next_id + 1
    }

    /// Whether every batch older than `mark` is decided.
    pub fn flushed(&self, mark: BatchId) -> bool {
        self.outstanding.first().is_none_or(|oldest| *oldest >= mark)
    }

    /// Takes a batch that was compressed and hashed.
    pub fn handle_sealed(&mut self, now: Instant, key: Key, id: BatchId, sealed: Result<SealedBatch, Error>) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        match sealed {
            Ok(sealed) => partition.sealed(id, sealed),
            Err(error) => {
                if let Some(batch) = partition.remove(id) {
                    self.complete(batch, Outcome::Failed(error.written(Written::No)));
                }
            }
        }
        self.service(now, key);
    }

    /// Takes what is known of the cluster now.
    pub fn handle_metadata(&mut self, now: Instant, snapshot: &Arc<Snapshot>) {
        self.snapshot = Arc::clone(snapshot);
        for number in 0..self.topics.len() {
            self.learn(u32::try_from(number).unwrap_or(u32::MAX));
        }
        for key in self.partitions.busy() {
            self.service(now, key);
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.identity, Identity::Failed(at) if at <= now) {
            self.identity = Identity::Missing;
            for key in self.partitions.busy() {
                self.service(now, key);
            }
        }
        while let Some((at, key)) = self.timers.first().copied() {
            if at > now {
                break;
            }
            self.timers.pop_first();
            self.service(now, key);
        }
    }

    /// When something is due, if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let identity = match self.identity {
            Identity::Failed(at) => Some(at),
            Identity::Missing | Identity::Asked | Identity::Known(_) => None,
        };
        self.timers.first().map(|(at, _)| *at).into_iter().chain(identity).min()
    }

    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action<T>> {
        if self.actions.is_empty() {
            self.fill_requests();
        }
        self.actions.pop_front()
    }

    fn arm(&mut self, key: Key, at: Instant) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        if partition.timer == Some(at) {
            return;
        }
        if let Some(before) = partition.timer.replace(at) {
            self.timers.remove(&(before, key));
        }
        self.timers.insert((at, key));
    }

    fn disarm(&mut self, key: Key) {
        let timer = self.partitions.get_mut(&key).and_then(|partition| partition.timer.take());
        if let Some(at) = timer {
            self.timers.remove(&(at, key));
        }
    }

    fn complete(&mut self, batch: Batch<T>, outcome: Outcome) {
        self.outstanding.remove(&batch.id);
        let Batch { ticket, first, count, whole, bytes, abandoned, sealed, .. } = batch;
        if let Some(body) = sealed.map(SealedBatch::into_body) {
            if let Ok(buffer) = body.try_into_mut() {
                self.recycle(buffer.into());
            }
        }
        if !abandoned {
            self.actions.push_back(Action::Complete { ticket, first, count, whole, outcome, bytes });
        }
    }

    /// Gives everything up; what was sent may have been written.
    pub fn abort(&mut self, error: &Error) {
        self.fatal = Some(error.clone());
        for key in self.partitions.busy() {
            self.close_open(key);
            self.disarm(key);
            let Some(partition) = self.partitions.get_mut(&key) else { continue };
            for batch in partition.drain() {
                let outcome = Outcome::Failed(error.clone().written(batch.fate.written()));
                self.complete(batch, outcome);
            }
        }
        self.actions.retain(|action| matches!(action, Action::Complete { .. }));
        self.timers.clear();
        self.requests.clear();
    }

    /// What a record is told that was not decided in time, with the broker that leads its partition.
    fn timed_out(&self, key: Key) -> Error {
        let topic = &self.topics[key.topic as usize].name;
        let error = Error::new(Kind::Timeout, "the record was not acknowledged by its delivery deadline")
            .in_partition(topic, key.partition);
        match self.snapshot.partition(topic, key.partition).and_then(|partition| partition.leader) {
            Some(leader) => error.in_api("Produce").at_broker(leader.to_string()),
            None => error,
        }
    }
}
