//! Decides what is written, when, and what became of it. Owns no socket, task, lock or clock.
//!
//! ```text
//!  append -> open --full, or due and its broker's turn--> closed --Seal--> ready --Send--> in flight --answer--> Complete
//!                                                                           ^                  |
//!                                                                           +---- retry -------+
//! ```
//!
//! A batch is due after its linger, when its broker has nothing to do, or on a flush. It is closed only when its broker can
//! take it, so that batches grow while brokers are busy, however many partitions there are.
//!
//! A batch is stamped (producer identity and first sequence) when it is first sent, and keeps the stamp: a retry is the same
//! batch to a broker. Only when every batch of a partition is back may its stamps be replaced, under a new epoch.

mod batch;
mod partition;
mod ratio;
mod respond;
mod sender;
mod split;
mod table;
#[cfg(test)]
mod tests;

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
use self::partition::Open;
use self::ratio::Ratio;
use self::table::Table;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::metadata;
use crate::metadata::Snapshot;
use crate::metrics::ProducerMetrics;
use crate::partitioner::Partitioner;
use crate::partitioner::PartitionerFactory;
use crate::partitioner::Partitions;
use crate::record::ClosedBatch;
use crate::record::RecordRef;
use crate::record::SealedBatch;
use crate::record::Stamp;
use crate::types::ProducerIdentity;
use crate::types::Sequence;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::wire::message::Leader;
use crate::wire::message::Node;

/// What a producer goes by.
#[derive(Clone, Debug)]
pub struct Settings {
    /// 0, 1 or −1 for all.
    pub acks: i16,
    pub idempotent: bool,
    pub compressed: bool,
    /// Largest batch, after compression by what is known of the topic's records.
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
    /// Tell whoever holds the ticket what became of these records, and give their bytes back to the budget.
    Complete { ticket: T, first: u32, count: u32, whole: bool, outcome: Outcome, bytes: usize },
    /// A broker said who leads instead (KIP-951): answer by `handle_metadata` if that is news.
    Hint { topic: TopicName, partition: i32, leader: Leader, nodes: Vec<Node> },
    /// Ask for a producer identity; answer by `handle_identity`.
    InitProducerId,
    /// Ask again who leads.
    RefreshMetadata(TopicName),
    /// Give bytes back to the budget whose records were told of before.
    Release { bytes: usize },
    /// Compress; answer by `handle_sealed`.
    Seal { key: Key, id: BatchId, closed: ClosedBatch },
    /// Send; answer by `handle_response`.
    Send { broker: i32, request: u64, entries: Vec<Entry> },
    /// Make so many smaller batches of it; answer by `handle_split`.
    Split { key: Key, id: BatchId, sealed: SealedBatch, parts: u32 },
}

/// What became of an append.
#[derive(Debug)]
pub struct Appended<T> {
    pub ticket: T,
    pub index: u32,
    pub bytes: usize,
    /// Whether the batch is full with it.
    pub full: bool,
    /// Whether there is something for the driver to do.
    pub wake: bool,
}

/// What the number of requests in flight depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Acknowledged, without sequences: one at a time, or a retry could overtake.
    Answered,
    /// With sequences.
    Idempotent,
    /// Not acknowledged.
    Unanswered,
}

struct Topic {
    name: TopicName,
    known: Arc<metadata::Topic>,
    partitioner: Box<dyn Partitioner>,
    /// Partitions with a leader; empty if all have one.
    available: Vec<i32>,
    count: u32,
    /// Batches that are not sent yet, for each partition that has records; empty while all have the same.
    queued: Vec<u32>,
    ratio: Ratio,
    /// A refresh is among the actions.
    refreshing: bool,
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
    /// Partitions whose open batch goes as soon as the broker has nothing to do.
    opened: Vec<Key>,
}

/// Ids of batches are this far apart, so that the parts of a batch that was split find room below it.
const ID_STEP: u64 = 1 << 24;

/// Requests in flight to one broker.
const REQUESTS_MAX: usize = 5;

/// Batches before compression are no larger than this share of the memory, however well their records compress.
const POOL_SHARE: usize = 8;

/// The producer's decisions. `T` is whatever the caller wants back for a batch.
pub struct ProducerCore<T> {
    settings: Settings,
    mode: Mode,
    factory: Arc<dyn PartitionerFactory>,
    rng: Rng,
    topics: Vec<Topic>,
    numbers: HashMap<TopicName, u32>,
    partitions: Table<T>,
    snapshot: Arc<Snapshot>,
    identity: Identity,
    identity_failures: u32,
    /// What a new producer id begins with.
    first_sequence: Sequence,
    brokers: BTreeMap<i32, Broker>,
    requests: HashMap<u64, (i32, Vec<(Key, BatchId)>)>,
    actions: VecDeque<Action<T>>,
    timers: BTreeSet<(Instant, Key)>,
    /// Ids of batches that are not decided, oldest first.
    outstanding: BTreeSet<BatchId>,
    /// Open batches up to this one are due.
    flush_mark: BatchId,
    pool: Vec<Vec<u8>>,
    pooled: usize,
    last_batch: BatchId,
    last_request: u64,
    /// There may be requests to be made.
    work: bool,
    /// What `poll_timeout` answered last.
    told: Option<Instant>,
    fatal: Option<Error>,
    counters: ProducerMetrics,
}

impl<T> std::fmt::Debug for ProducerCore<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerCore").field("outstanding", &self.outstanding.len()).finish_non_exhaustive()
    }
}

impl<T: Clone> ProducerCore<T> {
    pub fn new(settings: Settings, factory: Arc<dyn PartitionerFactory>, seed: u64) -> Self {
        let mode = match settings.acks {
            0 => Mode::Unanswered,
            _ if settings.idempotent => Mode::Idempotent,
            _ => Mode::Answered,
        };
        Self {
            settings,
            mode,
            factory,
            rng: Rng::with_seed(seed),
            topics: Vec::new(),
            numbers: HashMap::new(),
            partitions: Table::new(),
            snapshot: Arc::default(),
            identity: Identity::Missing,
            identity_failures: 0,
            first_sequence: Sequence::ZERO,
            brokers: BTreeMap::new(),
            requests: HashMap::new(),
            actions: VecDeque::new(),
            timers: BTreeSet::new(),
            outstanding: BTreeSet::new(),
            flush_mark: 0,
            pool: Vec::new(),
            pooled: 0,
            last_batch: 0,
            last_request: 0,
            work: false,
            told: None,
            fatal: None,
            counters: ProducerMetrics::default(),
        }
    }

    /// The counters and gauges that the core knows.
    pub fn metrics(&self) -> ProducerMetrics {
        let queued_batches = self.outstanding.len().try_into().unwrap_or(u64::MAX);
        ProducerMetrics { queued_batches, ..self.counters.clone() }
    }

    /// Lets producer ids that are new begin with another sequence than zero, which brokers take of whom they do not know
    /// (`ProducerAppendInfo.checkSequence`): close to the largest, it wraps within a test.
    #[cfg(feature = "unstable-internals")]
    pub fn begin_with(&mut self, first: Sequence) {
        self.first_sequence = first;
    }

    /// The core's number for a topic whose partitions are known; `None` where they are not.
    pub fn topic(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let known = self.snapshot.topic(name).filter(|topic| !topic.partitions.is_empty())?;
        let number = u32::try_from(self.topics.len()).ok()?;
        self.numbers.insert(known.name.clone(), number);
        self.topics.push(Topic {
            name: known.name.clone(),
            known: Arc::clone(known),
            partitioner: self.factory.make(self.settings.batch_bytes),
            available: Vec::new(),
            count: 0,
            queued: Vec::new(),
            ratio: Ratio::new(),
            refreshing: false,
        });
        self.topics.last_mut().expect("pushed above").learn();
        Some(number)
    }

    /// Chooses a partition as the built-in partitioner of the topic does.
    pub fn choose(&mut self, topic: u32, key: Option<&[u8]>) -> i32 {
        let state = &mut self.topics[topic as usize];
        let known = Partitions { count: state.count, available: &state.available, queued: &state.queued };
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
        let partition = self.partitions.get_or_make(key);
        if let Some(open) = &mut partition.open {
            if let Some((index, bytes)) = open.append(record) {
                let (ticket, full) = (open.ticket.clone(), open.is_full(bytes));
                let wake = self.appended(now, key, bytes, full);
                return Ok(Appended { ticket, index, bytes, full, wake });
            }
            // It has room, though not for this record.
            self.topics[key.topic as usize].partitioner.on_appended(key.partition, 0, true);
            self.close_open(key);
        }
        let (ticket, bytes, full) = self.open(now, key, record, ticket());
        self.appended(now, key, bytes, full);
        self.service(now, key);
        Ok(Appended { ticket, index: 0, bytes, full, wake: self.is_waiting() })
    }

    /// Opens a batch with its first record; answers the record's bytes, and whether there is no room for another.
    fn open(&mut self, now: Instant, key: Key, record: &RecordRef<'_>, ticket: T) -> (T, usize, bool) {
        self.last_batch += ID_STEP;
        let id = self.last_batch;
        self.outstanding.insert(id);
        let limit = self.limit(key);
        let usual = self.partitions.get_mut(key).map_or(0, |partition| partition.usual);
        let buffer = self.take_buffer(usual);
        let until = now + self.settings.delivery_timeout;
        let (open, bytes) = Open::new(id, [now, until], (buffer, limit), ticket.clone(), record);
        let full = open.is_full(bytes);
        self.partitions.get_or_make(key).open = Some(open);
        (ticket, bytes, full)
    }

    /// Bytes that a batch of this topic may have before compression, so that it has `batch_bytes` after it.
    fn limit(&self, key: Key) -> usize {
        let wanted = self.settings.batch_bytes;
        if !self.settings.compressed {
            return wanted;
        }
        let most = wanted.max(self.settings.pool_bytes_max / POOL_SHARE);
        self.topics[key.topic as usize].ratio.raw_for(wanted).min(most)
    }

    /// Tells the partitioner of a record, and closes its batch if that is full. Answers whether the driver is needed.
    fn appended(&mut self, now: Instant, key: Key, bytes: usize, full: bool) -> bool {
        let topic = &mut self.topics[key.topic as usize];
        // What counts for the partitioner is what will be sent.
        let sent = if self.settings.compressed { topic.ratio.wire_for(bytes) } else { bytes };
        topic.partitioner.on_appended(key.partition, sent, full);
        if full {
            self.close_open(key);
            self.service(now, key);
        }
        full && self.is_waiting()
    }

    /// Whether something is to be done, or earlier than the driver was told.
    fn is_waiting(&self) -> bool {
        let next = self.next_timeout();
        self.work || !self.actions.is_empty() || next.is_some_and(|at| self.told.is_none_or(|told| at < told))
    }

    fn take_buffer(&mut self, usual: usize) -> Vec<u8> {
        match self.pool.pop() {
            Some(buffer) => {
                self.pooled -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(usual),
        }
    }

    /// Keeps a buffer for later batches.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if self.pooled + buffer.capacity() <= self.settings.pool_bytes_max {
            self.pooled += buffer.capacity();
            self.pool.push(buffer);
        }
    }

    /// Closes the open batch. What is not to be compressed is sealed by that.
    fn close_open(&mut self, key: Key) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let Some((id, closed)) = partition.close(ID_STEP) else { return };
        self.seal(key, id, closed);
    }

    fn seal(&mut self, key: Key, id: BatchId, closed: ClosedBatch) {
        if self.settings.compressed {
            return self.actions.push_back(Action::Seal { key, id, closed });
        }
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let (sealed, _) = closed.seal(None).expect("nothing can fail where nothing is compressed");
        partition.sealed(id, sealed);
    }

    /// Makes every open batch due, and answers the id below which all must be decided for a flush to be over.
    pub fn flush(&mut self, now: Instant) -> BatchId {
        self.flush_mark = self.last_batch;
        for key in self.partitions.busy() {
            self.service(now, key);
        }
        self.last_batch + 1
    }

    /// The oldest batch that is not decided; if all are, the next there will be.
    pub fn oldest(&self) -> BatchId {
        self.outstanding.first().copied().unwrap_or(self.last_batch + 1)
    }

    /// Takes a batch that was compressed.
    pub fn handle_sealed(&mut self, now: Instant, key: Key, id: BatchId, sealed: Result<SealedBatch, Error>) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        match sealed {
            Ok(sealed) => {
                if let Some((before, after)) = partition.sealed(id, sealed) {
                    self.topics[key.topic as usize].ratio.observe(before, after);
                }
            }
            Err(error) => {
                if let Some(batch) = partition.remove(id) {
                    let written = batch.fate.written();
                    self.complete(batch, Outcome::Failed(error.written(written)));
                }
            }
        }
        self.service(now, key);
    }

    /// Takes what is known of the cluster now. What is older than what is known already changes nothing.
    pub fn handle_metadata(&mut self, now: Instant, snapshot: &Arc<Snapshot>) {
        if snapshot.generation() < self.snapshot.generation() {
            return;
        }
        self.snapshot = Arc::clone(snapshot);
        for topic in &mut self.topics {
            if let Some(known) = snapshot.topic(&topic.name) {
                topic.known = Arc::clone(known);
                topic.learn();
            }
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
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.timers.pop_first() else { break };
            if let Some(partition) = self.partitions.get_mut(key) {
                partition.timer = None;
            }
            self.service(now, key);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let identity = match self.identity {
            Identity::Failed(at) => Some(at),
            Identity::Missing | Identity::Asked | Identity::Known(_) => None,
        };
        self.timers.first().map(|(at, _)| *at).into_iter().chain(identity).min()
    }

    /// When something may be due, if nothing else happens first.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.told = self.next_timeout();
        self.told
    }

    /// The next thing to do, until there is none.
    pub fn poll_action(&mut self) -> Option<Action<T>> {
        if self.actions.is_empty() && self.work {
            self.work = false;
            self.fill_requests();
        }
        let action = self.actions.pop_front();
        if let Some(Action::RefreshMetadata(name)) = &action
            && let Some(number) = self.numbers.get(name)
        {
            self.topics[*number as usize].refreshing = false;
        }
        action
    }

    fn refresh(&mut self, topic: u32) {
        let topic = &mut self.topics[topic as usize];
        if !topic.refreshing {
            topic.refreshing = true;
            self.actions.push_back(Action::RefreshMetadata(topic.name.clone()));
        }
    }

    fn complete(&mut self, batch: Batch<T>, outcome: Outcome) {
        self.outstanding.remove(&batch.id);
        let Batch { ticket, first, count, whole, bytes, abandoned, sealed, .. } = batch;
        if let Some(body) = sealed.map(SealedBatch::into_body)
            && let Ok(mut buffer) = body.try_into_mut()
        {
            buffer.clear();
            self.recycle(buffer.into());
        }
        self.actions.push_back(if abandoned {
            Action::Release { bytes }
        } else {
            Action::Complete { ticket, first, count, whole, outcome, bytes }
        });
    }

    /// Gives everything up; what was sent may have been written.
    pub fn abort(&mut self, error: &Error) {
        self.fatal = Some(error.clone());
        for key in self.partitions.busy() {
            self.close_open(key);
            let Some(partition) = self.partitions.get_mut(key) else { continue };
            partition.timer = None;
            for batch in partition.drain() {
                let outcome = Outcome::Failed(error.clone().written(batch.fate.written()));
                self.complete(batch, outcome);
            }
        }
        self.actions.retain(|action| matches!(action, Action::Complete { .. } | Action::Release { .. }));
        for topic in &mut self.topics {
            topic.refreshing = false;
        }
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

impl Topic {
    /// Takes over how many partitions there are, and which of them have a leader.
    fn learn(&mut self) {
        let partitions = &self.known.partitions;
        self.count = u32::try_from(partitions.len()).unwrap_or(0).max(self.count);
        let led = partitions.iter().enumerate().filter(|(_, partition)| partition.leader.is_some());
        self.available = led.filter_map(|(index, _)| i32::try_from(index).ok()).collect();
        if self.available.len() == partitions.len() {
            // All of them: an empty list says so and costs the partitioner less.
            self.available.clear();
        }
    }

    fn leader(&self, partition: i32) -> Option<metadata::Partition> {
        self.known.partitions.get(usize::try_from(partition).ok()?).copied()
    }

    /// Notes how many batches of a partition wait.
    fn note_queued(&mut self, partition: i32, batches: usize) {
        let Ok(index) = usize::try_from(partition) else { return };
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        if self.queued.len() <= index {
            if batches == 0 {
                return;
            }
            self.queued.resize(index + 1, 0);
        }
        self.queued[index] = batches;
    }
}
