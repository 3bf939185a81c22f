//! The producer's decisions: which batch is sent when and where, and how it ends. Owns no socket, task, lock or clock.
//!
//! ```text
//!  append -> open --full, or due and its broker's turn--> closed --Seal--> ready --Send--> in flight --response--> Complete
//!                                                                           ^                  |
//!                                                                           +----- retry ------+
//! ```
//!
//! A batch is due after its linger, when its broker has no request in flight, or on a flush. It is closed only when its broker can
//! take it, so that batches grow while brokers are busy, however many partitions there are.
//!
//! A batch is stamped (producer identity and first sequence) when it is first sent, and keeps the stamp: a retry is the same
//! batch to a broker. Only when every batch of a partition is back may its stamps be replaced, under a new epoch.

mod action;
mod append;
mod batch;
mod broker;
mod complete;
mod deadline;
mod dues;
mod identity;
mod partition;
mod pool;
mod ratio;
mod respond;
mod sender;
mod settings;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;

pub use self::action::Action;
pub use self::action::BatchId;
pub use self::action::Entry;
pub use self::action::Key;
pub use self::append::Appended;
pub use self::batch::Outcome;
use self::broker::Broker;
use self::identity::Identity;
use self::pool::Pool;
use self::settings::Mode;
pub use self::settings::Settings;
use self::table::Table;
use self::topic::Topic;
use crate::error::Error;
use crate::metadata::Snapshot;
use crate::metrics::ProducerMetrics;
use crate::partitioner::PartitionerFactory;
use crate::partitioner::Partitions;
#[cfg(feature = "unstable-internals")]
use crate::types::Sequence;
use crate::types::TopicName;

/// Requests in flight to one broker.
const REQUESTS_MAX: usize = 5;

/// The producer's decisions. `T` is the caller's own value, returned with each batch.
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
    brokers: BTreeMap<i32, Broker>,
    requests: HashMap<u64, (i32, Vec<(Key, BatchId)>)>,
    actions: VecDeque<Action<T>>,
    timers: BTreeSet<(Instant, Key)>,
    /// Ids of batches that are not decided, oldest first.
    outstanding: BTreeSet<BatchId>,
    /// Open batches up to this one are due.
    flush_mark: BatchId,
    pool: Pool,
    counters: ProducerMetrics,
    last_batch: BatchId,
    last_request: u64,
    /// Requests may be made.
    work: bool,
    /// The driver calls `handle_timeout` at this time, as `poll_timeout` said.
    looks_again: Option<Instant>,
    fatal: Option<Error>,
    /// The identity is requested although no batch needs it yet.
    warming: bool,
}

impl<T> std::fmt::Debug for ProducerCore<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProducerCore").field("outstanding", &self.outstanding.len()).finish_non_exhaustive()
    }
}

impl<T: Clone> ProducerCore<T> {
    pub fn new(settings: Settings, factory: Arc<dyn PartitionerFactory>, seed: u64) -> Self {
        Self {
            mode: settings.mode(),
            pool: Pool::new(settings.pool_bytes_max),
            settings,
            factory,
            rng: Rng::with_seed(seed),
            topics: Vec::new(),
            numbers: HashMap::new(),
            partitions: Table::new(),
            snapshot: Arc::default(),
            identity: Identity::new(),
            brokers: BTreeMap::new(),
            requests: HashMap::new(),
            actions: VecDeque::new(),
            timers: BTreeSet::new(),
            outstanding: BTreeSet::new(),
            flush_mark: 0,
            counters: ProducerMetrics::default(),
            last_batch: 0,
            last_request: 0,
            work: false,
            looks_again: None,
            fatal: None,
            warming: false,
        }
    }

    /// Lets new producer ids begin with another sequence than zero, which brokers accept from an unknown producer
    /// (`ProducerAppendInfo.checkSequence`). Close to the largest, it wraps within a test.
    #[cfg(feature = "unstable-internals")]
    pub fn begin_with(&mut self, first: Sequence) {
        self.identity.begin_with(first);
    }

    /// The core's number for a topic whose partitions are known; `None` where they are not.
    pub fn topic(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let known = self.snapshot.topic(name).filter(|topic| !topic.partitions.is_empty())?;
        let number = u32::try_from(self.topics.len()).ok()?;
        self.numbers.insert(known.name.clone(), number);
        self.topics.push(Topic::new(known, self.factory.make(self.settings.batch_bytes)));
        Some(number)
    }

    /// Chooses a partition as the built-in partitioner of the topic does.
    pub fn choose(&mut self, topic: u32, key: Option<&[u8]>) -> i32 {
        let state = &mut self.topics[topic as usize];
        let known = Partitions { count: state.count, available: &state.available, queued: &state.queued };
        state.partitioner.partition(key, &known, &mut self.rng)
    }

    /// The `acks` field of requests, as on the wire.
    pub fn acks(&self) -> i16 {
        self.settings.acks
    }

    /// The number of partitions of a topic.
    pub fn partition_count(&self, topic: u32) -> u32 {
        self.topics[topic as usize].count
    }

    /// The counters and gauges that the core knows.
    pub fn metrics(&self) -> ProducerMetrics {
        let ProducerMetrics { records, acknowledged, not_written, maybe_written, .. } = self.counters;
        ProducerMetrics {
            queued_records: records.saturating_sub(acknowledged + not_written + maybe_written),
            queued_batches: self.outstanding.len().try_into().unwrap_or(u64::MAX),
            ..self.counters.clone()
        }
    }

    /// Whether the driver is needed before the time that it was given.
    fn is_waiting(&self) -> bool {
        let next = self.next_timeout();
        self.work || !self.actions.is_empty() || next.is_some_and(|at| self.looks_again.is_none_or(|then| at < then))
    }

    /// Makes every open batch due, and returns the id below which all must be decided for a flush to be over.
    pub fn flush(&mut self, now: Instant) -> BatchId {
        self.flush_mark = self.last_batch;
        let brokers: Vec<i32> = self.brokers.keys().copied().collect();
        for broker in brokers {
            // An open batch that is not due is noted there. One without a leader becomes due when it gets a leader.
            self.take_opened(now, broker);
        }
        self.last_batch + 1
    }

    /// The oldest batch that is not decided; if all are, the next one.
    pub fn oldest(&self) -> BatchId {
        self.outstanding.first().copied().unwrap_or(self.last_batch + 1)
    }

    /// Takes newer metadata; older metadata changes nothing. Only partitions of topics that changed are looked at.
    pub fn handle_metadata(&mut self, now: Instant, snapshot: &Arc<Snapshot>) {
        if snapshot.generation() < self.snapshot.generation() {
            return;
        }
        self.snapshot = Arc::clone(snapshot);
        let learn = |(number, topic): (u32, &mut Topic)| {
            snapshot.topic(&topic.name).is_some_and(|known| topic.learn(known)).then_some(number)
        };
        let changed: Vec<u32> = (0..).zip(&mut self.topics).filter_map(learn).collect();
        for number in changed {
            for key in self.partitions.busy_in(number) {
                if !self.topics[number as usize].has(key.partition) {
                    self.give_up_removed(key);
                }
                self.service(now, key);
            }
        }
    }

    /// Acts on every timer that has elapsed.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.identity.handle_timeout(now) {
            self.service_all(now);
            if self.warming {
                self.known(Identity::current);
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

    fn service_all(&mut self, now: Instant) {
        for key in self.partitions.busy() {
            self.service(now, key);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at).into_iter().chain(self.identity.poll_timeout()).min()
    }

    /// The time of the next `handle_timeout`, if nothing else happens first.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.looks_again = self.next_timeout();
        self.looks_again
    }

    /// The next action, until there is none.
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
}
