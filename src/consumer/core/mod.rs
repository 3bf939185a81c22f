//! Decides what is fetched, from where, and what is handed out. It knows no socket, task, lock or clock.
//!
//! ```text
//! assign, seek, pause ──┐                        ┌─> Fetch, ListOffsets, EpochEnd, OffsetFetch
//! metadata ─────────────┼─> Partition × n, ──────┼─> RefreshMetadata, Hint
//! answers, by tag ──────┘   Node × n             └─> next(): chunks, ends, resets and errors, by turns
//! ```
//!
//! Each partition is a machine of its own ([`position`]), and so is the session with each broker ([`session`]); this owner
//! carries what one says to the other. What was fetched is read outside, batch by batch ([`Chunk`]), and handed back.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::metrics::ConsumerMetrics;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::Response;
use crate::wire::message::FetchRequest;
use crate::wire::message::Leader;
use crate::wire::message::ListOffsetsRequest;
use crate::wire::message::Node as Broker;
use crate::wire::message::OffsetFetchRequest;
use crate::wire::message::OffsetForLeaderEpochRequest;

pub mod committer;
mod fetcher;
mod handout;
mod position;
mod reset;
mod session;
mod subscription;
#[cfg(test)]
mod tests;
mod trouble;
mod validate;

pub use self::handout::Next;
pub use self::handout::Returned;
pub use self::handout::Taken;
pub use self::position::Reset;
pub use self::position::ResetPolicy;
pub use self::position::Start;
pub use crate::reading::Chunk;
pub use crate::reading::Isolation;
pub use crate::reading::Position;
pub use crate::reading::Unreadable;
pub use crate::reading::Visible;

use self::fetcher::Node;
use self::position::Bound;
use self::position::Era;
use self::position::Partition;
use self::position::State;
use self::position::Target;
use self::subscription::Subscription;
use self::trouble::Trouble;

/// What a consumer is told when it is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose committed offsets are read.
    pub group: Option<String>,
    /// Where a partition starts.
    pub start: Start,
    /// What to do when a position is gone.
    pub reset: ResetPolicy,
    /// Which records of transactions are handed out.
    pub isolation: Isolation,
    /// Where this consumer is, for the choice of a replica near it.
    pub rack: String,
    /// Bytes of one fetch response.
    pub fetch_bytes_max: i32,
    /// Bytes a broker waits for.
    pub fetch_bytes_min: i32,
    /// How long a broker waits for them.
    pub fetch_wait_max: Duration,
    /// Bytes of one partition in one fetch response.
    pub partition_fetch_bytes_max: i32,
    /// Bytes fetched and not handed out, over all brokers.
    pub prefetch_bytes: usize,
    /// Whether to stop at what was the end when reading began.
    pub until_end: bool,
    /// The first pause after a failure.
    pub retry_backoff: Duration,
    /// The longest pause after a failure.
    pub retry_backoff_max: Duration,
    /// How long something may fail before the caller is told.
    pub patience: Duration,
    /// How long a topic may be unknown before the caller is told.
    pub topic_patience: Duration,
    /// How long to read from a replica before asking the leader again.
    pub replica_lease: Duration,
    /// Where jitter comes from.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: None,
            start: Start::Earliest,
            reset: ResetPolicy::default(),
            isolation: Isolation::default(),
            rack: String::new(),
            fetch_bytes_max: 8 << 20,
            fetch_bytes_min: 1,
            fetch_wait_max: Duration::from_millis(500),
            partition_fetch_bytes_max: 1 << 20,
            prefetch_bytes: 32 << 20,
            until_end: false,
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            patience: Duration::from_secs(30),
            topic_patience: Duration::from_secs(5),
            replica_lease: Duration::from_secs(300),
            seed: 0,
        }
    }
}

/// What the owner of a core has to do. Answers are given back with the tag.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Ask a leader for the end of an epoch.
    EpochEnd { node: i32, tag: u64, request: OffsetForLeaderEpochRequest },
    /// Fetch from a broker.
    ///
    /// Requests of different lines go over different connections.
    Fetch { node: i32, line: usize, tag: u64, request: FetchRequest },
    /// Pass on who leads a partition.
    Hint { topic: TopicName, partition: i32, leader: Leader, nodes: Vec<Broker> },
    /// Ask a leader for offsets.
    ListOffsets { node: i32, tag: u64, request: ListOffsetsRequest },
    /// Ask the group's coordinator what was committed.
    OffsetFetch { tag: u64, request: OffsetFetchRequest },
    /// Ask for metadata of these topics.
    RefreshMetadata { topics: Vec<TopicName> },
}

/// A partition that was asked about, and its generation and era then.
#[derive(Clone, Copy, Debug)]
struct Asked {
    slot: usize,
    generation: u64,
    era: Era,
}

/// Errors kept for a caller who does not poll.
const ERRORS_MAX: usize = 16;

/// What an answer will be about.
#[derive(Debug)]
enum Pending {
    Bounds(Vec<Asked>),
    EpochEnd(Vec<Asked>),
    Fetch { node: i32, line: usize },
    Offsets(Vec<(Asked, Target)>),
    Stored(Vec<Asked>),
}

/// The consumer's decisions.
#[derive(Debug)]
pub struct ConsumerCore {
    config: Config,
    rng: Rng,
    snapshot: Arc<Snapshot>,
    subscription: Subscription,
    /// What each slot is for; a partition keeps its slot for good.
    keys: Vec<TopicPartition>,
    partitions: Vec<Option<Partition>>,
    index: BTreeMap<TopicName, BTreeMap<i32, usize>>,
    nodes: BTreeMap<i32, Node>,
    pending: BTreeMap<u64, Pending>,
    tags: u64,
    generations: u64,
    /// Slots that have something to hand out, by turns.
    ready: VecDeque<usize>,
    errors: VecDeque<Error>,
    actions: VecDeque<Action>,
    stale: BTreeSet<TopicName>,
    refresh: Trouble,
    missing: BTreeMap<TopicName, Trouble>,
    closed: bool,
    counters: ConsumerMetrics,
}

impl ConsumerCore {
    /// A consumer that reads nothing so far.
    pub fn new(config: Config) -> Self {
        let refresh = Trouble::new(config.retry_backoff, config.retry_backoff_max);
        Self {
            rng: Rng::with_seed(config.seed),
            config,
            snapshot: Arc::default(),
            subscription: Subscription::default(),
            keys: Vec::new(),
            partitions: Vec::new(),
            index: BTreeMap::new(),
            nodes: BTreeMap::new(),
            pending: BTreeMap::new(),
            tags: 0,
            generations: 0,
            ready: VecDeque::new(),
            errors: VecDeque::new(),
            actions: VecDeque::new(),
            stale: BTreeSet::new(),
            refresh,
            missing: BTreeMap::new(),
            closed: false,
            counters: ConsumerMetrics::default(),
        }
    }

    // Commands.

    /// Reads all partitions of topics, those added later from their beginning.
    pub fn assign_topics(&mut self, now: Instant, topics: impl IntoIterator<Item = TopicName>) {
        for topic in topics {
            self.subscription.add_topic(topic);
        }
        self.find_partitions(now);
        self.plan(now);
    }

    /// Reads these partitions.
    pub fn assign_partitions(&mut self, now: Instant, partitions: impl IntoIterator<Item = TopicPartition>) {
        for key in partitions {
            if self.subscription.add_partition(key.clone()) {
                self.add(key, &self.config.start.clone(), self.config.until_end);
            }
        }
        self.find_partitions(now);
        self.plan(now);
    }

    /// Stops handing out records of a partition. What was fetched is kept. Answers whether it is assigned.
    pub fn pause(&mut self, now: Instant, key: &TopicPartition) -> bool {
        let Some(partition) = self.partition_mut(key) else { return false };
        partition.pause();
        self.plan(now);
        true
    }

    /// Hands out records of a partition again. Answers whether it is assigned.
    pub fn resume(&mut self, now: Instant, key: &TopicPartition) -> bool {
        let Some(slot) = self.slot(&key.topic, key.partition) else { return false };
        if let Some(partition) = &mut self.partitions[slot] {
            partition.paused = false;
        }
        self.make_ready(slot);
        self.plan(now);
        true
    }

    /// Reads a partition from elsewhere on. Answers whether it is assigned.
    pub fn seek(&mut self, now: Instant, key: &TopicPartition, start: &Start) -> bool {
        let generation = self.generation();
        let Some(partition) = self.partition_mut(key) else { return false };
        partition.start(start, generation);
        self.plan(now);
        true
    }

    /// The partitions that are read.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.iter().flatten().map(|partition| &partition.key)
    }

    /// The counters and gauges that the core knows.
    pub fn metrics(&self) -> ConsumerMetrics {
        let assigned_partitions = self.assignment().count().try_into().unwrap_or(u64::MAX);
        ConsumerMetrics { assigned_partitions, ..self.counters.clone() }
    }

    /// The position after what was handed out of a partition, once one is known.
    pub fn position(&self, key: &TopicPartition) -> Option<Position> {
        self.partition(self.slot(&key.topic, key.partition)?)?.handed
    }

    /// All known positions after what was handed out.
    pub fn positions(&self) -> Vec<(TopicPartition, Position)> {
        let known = |partition: &Partition| Some((partition.key.clone(), partition.handed?));
        self.partitions.iter().flatten().filter_map(known).collect()
    }

    /// How far the last fetch of a partition saw its end ahead of its position.
    pub fn lag(&self, key: &TopicPartition) -> Option<i64> {
        let partition = self.partition(self.slot(&key.topic, key.partition)?)?;
        Some((partition.end? - partition.handed?.offset).max(0))
    }

    /// The topics that metadata is needed for.
    pub fn topics(&self) -> BTreeSet<TopicName> {
        self.subscription.topics()
    }

    /// Whether a bounded read has handed out all there is.
    pub fn is_finished(&self) -> bool {
        self.closed
            || self.config.until_end
                && self.errors.is_empty()
                && self.subscription.is_resolved()
                && self.partitions.iter().flatten().all(Partition::is_done)
    }

    /// Ends the fetch sessions; nothing is fetched or handed out any more.
    pub fn close(&mut self) {
        self.closed = true;
        self.actions.clear();
        self.ready.clear();
        self.close_sessions();
    }

    // What came in.

    /// Takes what is known about the cluster.
    pub fn handle_metadata(&mut self, now: Instant, snapshot: Arc<Snapshot>) {
        let before = std::mem::replace(&mut self.snapshot, snapshot);
        for node in self.nodes.values_mut() {
            node.handle_metadata(&before, &self.snapshot);
        }
        self.find_partitions(now);
        for slot in 0..self.partitions.len() {
            self.follow(slot);
        }
        self.plan(now);
    }

    /// Takes the answer to what was asked under this tag.
    pub fn handle_response(&mut self, now: Instant, tag: u64, response: Result<Response, Error>) {
        let Some(pending) = self.pending.remove(&tag) else { return };
        let other = || Error::protocol("the response is of another API than the request");
        match (pending, response) {
            (Pending::Fetch { node, line }, Ok(Response::Fetch(response))) => self.fetched(now, node, line, response),
            (Pending::Fetch { node, line }, Ok(_)) => self.fetch_failed(now, node, line, other()),
            (Pending::Fetch { node, line }, Err(error)) => self.fetch_failed(now, node, line, error),
            (Pending::Offsets(asked), Ok(Response::ListOffsets(response))) => self.listed(now, asked, &response),
            (Pending::Bounds(asked), Ok(Response::ListOffsets(response))) => self.bounded(now, &asked, &response),
            (Pending::EpochEnd(asked), Ok(Response::OffsetForLeaderEpoch(response))) => {
                self.validated(now, asked, &response);
            }
            (Pending::Stored(asked), Ok(Response::OffsetFetch(response))) => self.stored(now, asked, &response),
            (Pending::EpochEnd(asked), Err(error)) if error.kind() == Kind::Unsupported => self.cannot_validate(asked),
            (pending, response) => {
                let error = response.map_or_else(|error| error, |_| other());
                self.question_failed(now, pending, &error);
            }
        }
        self.plan(now);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        for partition in self.partitions.iter_mut().flatten() {
            partition.trouble.handle_timeout(now);
        }
        for node in self.nodes.values_mut() {
            node.trouble.handle_timeout(now);
        }
        self.refresh.handle_timeout(now);
        for trouble in self.missing.values_mut() {
            trouble.handle_timeout(now);
        }
        self.find_missing(now);
        self.plan(now);
    }

    // What to do next.

    /// Takes what is to be done next, until there is nothing.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether there is something to be done.
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// When this core next needs attention if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let partitions = self.partitions.iter().flatten().map(|partition| &partition.trouble);
        let nodes = self.nodes.values().map(|node| &node.trouble);
        let troubles = partitions.chain(nodes).chain(self.missing.values()).chain([&self.refresh]);
        troubles.filter_map(Trouble::poll_timeout).min()
    }

    // Private.

    /// Decides all that can be decided.
    fn plan(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        self.plan_questions(now);
        self.plan_fetches(now);
        self.plan_refresh(now);
    }

    fn plan_refresh(&mut self, now: Instant) {
        if self.stale.is_empty() {
            if !self.refresh.is_waiting() {
                self.refresh.clear();
            }
            return;
        }
        if self.refresh.is_waiting() {
            return;
        }
        self.refresh.failed(now, &mut self.rng, Duration::MAX);
        let topics = std::mem::take(&mut self.stale).into_iter().collect();
        self.actions.push_back(Action::RefreshMetadata { topics });
    }

    fn find_partitions(&mut self, now: Instant) {
        for added in self.subscription.update(&self.snapshot) {
            // What was named by itself before its whole topic was goes on where it is.
            let is_known = self.slot(&added.key.topic, added.key.partition).is_some();
            if is_known || added.is_late && self.config.until_end {
                continue;
            }
            let start = match (added.is_late, &self.config.start) {
                (false, start) => start.clone(),
                (true, Start::StoredOnly) => Start::StoredOnly,
                (true, Start::Stored { .. }) => Start::Stored { otherwise: Box::new(Start::Earliest) },
                (true, _) => Start::Earliest,
            };
            self.add(added.key, &start, self.config.until_end);
        }
        self.find_missing(now);
    }

    fn find_missing(&mut self, now: Instant) {
        let missing = self.subscription.missing(&self.snapshot);
        self.missing.retain(|topic, _| missing.iter().any(|(name, _)| name == topic));
        for (topic, code) in missing {
            let trouble = self
                .missing
                .entry(topic.clone())
                .or_insert_with(|| Trouble::new(self.config.retry_backoff, self.config.retry_backoff_max));
            if trouble.is_waiting() {
                continue;
            }
            let may_appear = code.is_none_or(|code| {
                matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopicId) || code.is_retriable()
            });
            let patience = if may_appear { self.config.topic_patience } else { Duration::ZERO };
            let tell = trouble.failed(now, &mut self.rng, patience);
            if tell {
                trouble.wait(now + self.config.topic_patience);
                let code = code.unwrap_or(Code::UnknownTopicOrPartition);
                let remedy = match code {
                    Code::UnknownTopicOrPartition | Code::UnknownTopicId => {
                        "the topic does not exist: create it or check its name"
                    }
                    _ => "the topic cannot be read",
                };
                self.complain(Error::broker(code, remedy).in_topic(&topic));
            }
            self.stale.insert(topic);
        }
    }

    fn add(&mut self, key: TopicPartition, start: &Start, bounded: bool) {
        let generation = self.generation();
        let bound = if bounded { Bound::Unknown(i64::MAX) } else { Bound::None };
        let trouble = Trouble::new(self.config.retry_backoff, self.config.retry_backoff_max);
        let bytes_max = self.config.partition_fetch_bytes_max;
        let mut partition = Partition::new(key.clone(), generation, bytes_max, bound, trouble);
        partition.start(start, generation);
        let slots = self.index.entry(key.topic.clone()).or_default();
        let slot = *slots.entry(key.partition).or_insert(self.partitions.len());
        if slot == self.partitions.len() {
            self.keys.push(key);
            self.partitions.push(None);
        }
        self.partitions[slot] = Some(partition);
        self.follow(slot);
    }

    /// Lets a partition know who leads it.
    fn follow(&mut self, slot: usize) {
        let generation = self.generation();
        let policy = self.config.reset;
        let Some(partition) = self.partitions.get_mut(slot).and_then(Option::as_mut) else { return };
        let Some(topic) = self.snapshot.topic(&partition.key.topic) else { return };
        let era = partition.era();
        if !topic.id.is_zero() && topic.id != partition.topic_id {
            let before = std::mem::replace(&mut partition.topic_id, topic.id);
            if !before.is_zero() {
                // Another topic of the same name: no offset of the old one means anything in it. The caller is told from
                // where it was, even if it had not heard yet of an earlier move.
                partition.rewind(generation);
                (partition.leader, partition.leader_epoch) = (None, None);
                partition.fetch.epoch = None;
                if partition.bound != Bound::None {
                    partition.bound = Bound::Unknown(i64::MAX);
                }
                if partition.handed.is_some() {
                    partition.lost(policy, "the topic was deleted and created again");
                }
            }
        }
        let known = usize::try_from(partition.key.partition).ok().and_then(|index| topic.partitions.get(index));
        if known.is_some() {
            partition.appeared();
        }
        let known = known.copied().unwrap_or_default();
        partition.led_by(known.leader, known.epoch);
        // The answer to what was asked in another era will count no more.
        partition.asking &= partition.era() == era;
        self.make_ready(slot);
    }

    /// Asks who leads a partition that cannot go on without a leader, and reports what lasts.
    ///
    /// An election passes by itself, so it is waited for. A partition that the topic does not have is reported once; from
    /// then on it costs no metadata request of its own, and it is read when an ordinary one brings it.
    fn await_leader(&mut self, now: Instant, slot: usize) {
        let generation = self.generation();
        let TopicPartition { topic, partition: index } = &self.keys[slot];
        // A topic that is not there is asked for and reported as a whole.
        let Some(topic) = self.snapshot.topic(topic).filter(|topic| topic.error.is_none()) else { return };
        let count = topic.partitions.len();
        let exists = usize::try_from(*index).is_ok_and(|index| index < count);
        let patience = if exists { self.config.patience } else { self.config.topic_patience };
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        if partition.is_gone() {
            return;
        }
        let lasts = partition.trouble.failed(now, &mut self.rng, patience);
        if lasts && exists {
            let message = "the partition has no leader: start a broker that has an in-sync replica of it";
            let error = partition.place(Error::broker(Code::LeaderNotAvailable, message));
            partition.complain(error);
        } else if lasts {
            let message = format!(
                "the partition does not exist, the topic has {count}: add partitions to it or assign those it has"
            );
            let error = partition.place(Error::broker(Code::UnknownTopicOrPartition, message));
            partition.vanished(error, generation);
        }
        if lasts {
            self.make_ready(slot);
        }
        self.want_metadata(slot);
    }

    /// Asks for metadata as new as the committed position. Gives up after the longest wait for anything.
    fn await_epoch(&mut self, now: Instant, slot: usize) {
        let patience = self.config.patience;
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        if partition.trouble.failed(now, &mut self.rng, patience) {
            partition.give_up_epoch();
        }
        self.want_metadata(slot);
    }

    fn want_metadata(&mut self, slot: usize) {
        let topic = &self.keys[slot].topic;
        if !self.stale.contains(topic) {
            self.stale.insert(topic.clone());
        }
    }

    fn slot(&self, topic: &str, partition: i32) -> Option<usize> {
        self.index.get(topic)?.get(&partition).copied()
    }

    /// Finds a partition as an answer names it: by the topic's name, or by its id.
    fn slot_of(&self, name: &TopicName, id: TopicId, partition: i32) -> Option<usize> {
        if !name.is_empty() {
            return self.slot(name, partition);
        }
        let name = &self.snapshot.topic_by_id(id)?.name;
        self.slot(name, partition)
    }

    fn partition(&self, slot: usize) -> Option<&Partition> {
        self.partitions.get(slot)?.as_ref()
    }

    fn partition_mut(&mut self, key: &TopicPartition) -> Option<&mut Partition> {
        let slot = self.slot(&key.topic, key.partition)?;
        self.partitions.get_mut(slot)?.as_mut()
    }

    /// The partition, if it is still as it was when it was asked about.
    fn asked(&mut self, asked: Asked) -> Option<&mut Partition> {
        let partition = self.partitions.get_mut(asked.slot)?.as_mut()?;
        (partition.generation == asked.generation && partition.era() == asked.era).then_some(partition)
    }

    fn generation(&mut self) -> u64 {
        self.generations += 1;
        self.generations
    }

    fn tag(&mut self, pending: Pending) -> u64 {
        self.tags += 1;
        self.pending.insert(self.tags, pending);
        self.tags
    }

    /// What to do about an error code of a partition: ask who leads it, try again later, tell the caller.
    fn partition_failed(&mut self, now: Instant, slot: usize, code: Code, what: &str) {
        if code.is_stale_metadata() {
            self.want_metadata(slot);
        }
        let patience = self.config.patience;
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        let lasts = partition.trouble.failed(now, &mut self.rng, patience);
        let passes = code.is_stale_metadata()
            || code.is_retriable() && code != Code::CorruptMessage
            || code == Code::UnknownServerError;
        tracing::debug!(partition = %partition.key, %code, what, "partition failed");
        if lasts || !passes {
            let error = partition.place(Error::broker(code, what)).at_offset(partition.fetch.offset);
            partition.complain(error);
            self.make_ready(slot);
        }
    }

    /// A question about partitions got no answer.
    fn question_failed(&mut self, now: Instant, pending: Pending, error: &Error) {
        let asked: Vec<Asked> = match pending {
            Pending::Bounds(asked) => {
                for asked in &asked {
                    if let Some(partition) = &mut self.partitions[asked.slot] {
                        partition.asking_bound = false;
                    }
                }
                asked
            }
            Pending::EpochEnd(asked) | Pending::Stored(asked) => asked,
            Pending::Offsets(asked) => asked.into_iter().map(|(asked, _)| asked).collect(),
            Pending::Fetch { .. } => return,
        };
        let patience = self.config.patience;
        let mut told = false;
        for asked in asked {
            self.want_metadata(asked.slot);
            let Some(partition) = self.partitions[asked.slot].as_mut() else { continue };
            if partition.generation == asked.generation {
                partition.asking = false;
            }
            told |= partition.trouble.failed(now, &mut self.rng, patience);
        }
        self.tell(told, error);
    }

    /// Tells the caller of what is not about one partition, if it lasts or cannot pass.
    fn tell(&mut self, lasts: bool, error: &Error) {
        tracing::debug!(%error, "request failed");
        if (lasts || !error.is_retriable()) && error.kind() != Kind::Closed {
            self.complain(error.clone());
        }
    }

    fn complain(&mut self, error: Error) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push_back(error);
        }
    }

    /// Clears the marks of a question; answers the partition if the answer still counts and its state is as it was.
    fn answered(&mut self, asked: Asked, expected: impl FnOnce(&State) -> bool) -> bool {
        self.asked(asked).is_some_and(|partition| {
            partition.asking = false;
            expected(&partition.state)
        })
    }
}
