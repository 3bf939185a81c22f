//! What is fetched from which broker, and what becomes of the answers.
//!
//! A broker is asked over two lines, each with a connection and a session of its own, because it answers what came over
//! one connection in order and may take its time with each answer. What is to be fetched goes over the first line. What
//! comes up while an answer to that is awaited, a position that was moved, a partition that was resumed or found, goes
//! over the second at once, so that no partition waits for another's silence. The next fetch is sent while what the last
//! one brought is still unread, as long as what is held of that broker's partitions is under half of its share of the
//! budget.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::Action;
use super::Config;
use super::ConsumerCore;
use super::Pending;
use super::position::Fetched;
use super::position::Item;
use super::position::Partition;
use super::position::Preferred;
use super::position::ResetPolicy;
use super::position::State;
use super::session::Entry;
use super::session::Plan;
use super::session::Session;
use super::trouble::Trouble;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::metadata::Snapshot;
use crate::reading::Chunk;
use crate::reading::Isolation;
use crate::reading::Position;
use crate::reading::Scan;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::message::FetchPartition;
use crate::wire::message::FetchRequest;
use crate::wire::message::FetchResponse;
use crate::wire::message::FetchTopic;
use crate::wire::message::FetchedPartition;
use crate::wire::message::ForgottenTopic;
use crate::wire::message::Node as Broker;

/// A broker that is fetched from.
#[derive(Debug)]
pub(super) struct Node {
    lines: [Line; LINES],
    pub(super) trouble: Trouble,
    /// It refers to a replica that cannot be used, so it is not told where this consumer is.
    without_rack: Option<WithoutRack>,
}

/// For how long a leader is asked without the rack, and because of which replica.
#[derive(Clone, Copy, Debug)]
struct WithoutRack {
    replica: i32,
    until: Instant,
}

/// A connection's worth of fetching: at most one request is in flight.
#[derive(Debug, Default)]
struct Line {
    /// Has what was sent last.
    session: Session,
    in_flight: Option<InFlight>,
    /// Answers in a row that brought nothing and did not wait for anything.
    hollow: u32,
    /// With which partition full requests begin, so that each comes first in turn.
    turn: usize,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    since: Instant,
    /// Bytes that the answer may have.
    room: usize,
}

const LINES: usize = 2;

/// Answers that brought nothing and did not wait, after which to slow down.
const HOLLOW_MAX: u32 = 3;
/// How long to wait then.
const HOLLOW_PAUSE: Duration = Duration::from_millis(50);
/// No batch is larger; `partition_fetch_bytes_max` is not raised beyond this.
const BATCH_BYTES_MAX: i32 = 1 << 30;

impl Node {
    fn new(config: &Config) -> Self {
        let trouble = Trouble::new(config.retry_backoff, config.retry_backoff_max);
        Self { lines: Default::default(), trouble, without_rack: None }
    }

    /// The replica that was not known is known from now on.
    pub(super) fn handle_metadata(&mut self, before: &Snapshot, after: &Snapshot) {
        let is_known = |snapshot: &Snapshot, replica| snapshot.broker(replica).is_some();
        self.without_rack =
            self.without_rack.filter(|without| is_known(before, without.replica) || !is_known(after, without.replica));
    }

    /// The first line that is free, if any is.
    fn free(&self) -> Option<usize> {
        self.lines.iter().position(|line| line.in_flight.is_none())
    }

    /// Bytes that answers which are awaited may have.
    fn awaited(&self) -> usize {
        self.lines.iter().filter_map(|line| line.in_flight).map(|in_flight| in_flight.room).sum()
    }

    /// Whether just this is being asked for.
    fn asks(&self, slot: usize, entry: &Entry) -> bool {
        let mut busy = self.lines.iter().filter(|line| line.in_flight.is_some());
        busy.any(|line| line.session.entry(slot).is_some_and(|sent| sent.is_same(entry)))
    }
}

/// What is to be fetched from a broker.
#[derive(Default)]
struct Wanted {
    slots: Vec<usize>,
    held: usize,
}

impl ConsumerCore {
    pub(super) fn plan_fetches(&mut self, now: Instant) {
        let mut wanted: BTreeMap<i32, Wanted> = BTreeMap::new();
        let mut parked = 0;
        for slot in 0..self.partitions.len() {
            let Some(partition) = &mut self.partitions[slot] else { continue };
            if partition.paused {
                parked += partition.buffered;
            }
            if !partition.wants_fetch() {
                continue;
            }
            partition.preferred = partition
                .preferred
                .filter(|preferred| preferred.until > now && self.snapshot.broker(preferred.node).is_some());
            let Some(node) = partition.preferred.map(|preferred| preferred.node).or(partition.leader) else {
                self.await_leader(now, slot);
                continue;
            };
            let wanted = wanted.entry(node).or_default();
            wanted.held += partition.buffered;
            wanted.slots.push(slot);
        }
        if parked > self.config.prefetch_bytes / 2 {
            self.drop_parked();
        }
        let share = self.config.prefetch_bytes / wanted.len().max(1);
        for (id, wanted) in wanted {
            let node = self.nodes.entry(id).or_insert_with(|| Node::new(&self.config));
            let is_full = wanted.held > share / 2;
            if !node.trouble.is_waiting()
                && !is_full
                && let Some(line) = node.free()
            {
                self.fetch(now, id, line, &wanted, share);
            }
        }
    }

    /// Gives up what was fetched of paused partitions: it can be fetched again, and others need the room.
    fn drop_parked(&mut self) {
        for slot in 0..self.partitions.len() {
            let generation = self.generation();
            let parks = |partition: &&mut Partition| partition.paused && partition.buffered > 0;
            if let Some(partition) = self.partitions[slot].as_mut().filter(parks) {
                partition.go_back(generation);
            }
        }
    }

    /// Asks over a line that is free for what is not asked for over another.
    fn fetch(&mut self, now: Instant, id: i32, at: usize, wanted: &Wanted, share: usize) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let entry = |slot: &usize| Some((*slot, entry(self.partitions[*slot].as_ref()?)));
        let entries = wanted.slots.iter().filter_map(entry).filter(|(slot, entry)| !node.asks(*slot, entry));
        let entries: BTreeMap<usize, Entry> = entries.collect();
        if entries.is_empty() {
            return;
        }
        let room = share.saturating_sub(wanted.held + node.awaited()).max(1);
        let room = room.min(usize::try_from(self.config.fetch_bytes_max).unwrap_or(usize::MAX));
        let line = &mut node.lines[at];
        let is_full = line.session.is_full();
        let mut plan = line.session.next(entries);
        if is_full && !plan.sent.is_empty() {
            let first = line.turn % plan.sent.len();
            plan.sent.rotate_left(first);
            line.turn = first + 1;
        }
        line.in_flight = Some(InFlight { since: now, room });
        node.without_rack = node.without_rack.filter(|without| without.until > now);
        let rack = if node.without_rack.is_some() { String::new() } else { self.config.rack.clone() };
        let room = i32::try_from(room).unwrap_or(i32::MAX);
        let request = FetchRequest { rack, ..self.fetch_request(&plan, room) };
        let tag = self.tag(Pending::Fetch { node: id, line: at });
        self.actions.push_back(Action::Fetch { node: id, line: at, tag, request });
    }

    fn fetch_request(&self, plan: &Plan, room: i32) -> FetchRequest {
        let config = &self.config;
        FetchRequest {
            max_wait_ms: i32::try_from(config.fetch_wait_max.as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.fetch_bytes_min,
            max_bytes: room,
            isolation: config.isolation.to_wire(),
            session_id: plan.id,
            session_epoch: plan.epoch,
            topics: self.topics_of(plan),
            forgotten: forgotten(plan, &self.keys),
            ..FetchRequest::default()
        }
    }

    fn topics_of(&self, plan: &Plan) -> Vec<FetchTopic> {
        let mut topics: Vec<FetchTopic> = Vec::new();
        for slot in &plan.sent {
            let Some(partition) = &self.partitions[*slot] else { continue };
            let name = &partition.key.topic;
            if topics.last().is_none_or(|topic| topic.name != *name) {
                topics.push(FetchTopic { name: name.clone(), id: partition.topic_id, partitions: Vec::new() });
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(FetchPartition {
                    index: partition.key.partition,
                    current_leader_epoch: partition.leader_epoch,
                    fetch_offset: partition.fetch.offset,
                    // As Java's consumer: a truncated log is found by asking for the end of the epoch.
                    last_fetched_epoch: None,
                    log_start_offset: -1,
                    partition_max_bytes: partition.bytes_max,
                    ..FetchPartition::default()
                });
            }
        }
        topics
    }

    pub(super) fn close_sessions(&mut self) {
        let lines = self.nodes.iter_mut().flat_map(|(id, node)| (0..).zip(&mut node.lines).map(|line| (*id, line)));
        let open = |(id, (at, line)): (i32, (usize, &mut Line))| Some((id, at, line.session.close()?));
        let plans: Vec<(i32, usize, Plan)> = lines.filter_map(open).collect();
        for (node, line, plan) in plans {
            let request = FetchRequest { max_wait_ms: 0, ..self.fetch_request(&plan, 1) };
            let tag = self.tag(Pending::Fetch { node, line });
            self.actions.push_back(Action::Fetch { node, line, tag, request });
        }
    }

    /// A fetch was not answered: the connection broke, or could not be made, or the deadline passed.
    pub(super) fn fetch_failed(&mut self, now: Instant, id: i32, line: usize, error: Error) {
        let patience = self.config.patience;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let line = &mut node.lines[line];
        line.in_flight = None;
        line.session.failed();
        let lasts = node.trouble.failed(now, &mut self.rng, patience);
        let slots: Vec<usize> = line.session.slots().collect();
        for slot in slots {
            self.want_metadata(slot);
            if let Some(partition) = &mut self.partitions[slot] {
                partition.preferred = partition.preferred.filter(|preferred| preferred.node != id);
            }
        }
        self.tell(lasts, &error.at_broker(id.to_string()));
    }

    pub(super) fn fetched(&mut self, now: Instant, id: i32, at: usize, response: FetchResponse) {
        if self.closed {
            return;
        }
        if let Some(code) = response.error {
            return self.fetch_refused(now, id, at, code);
        }
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let line = &mut node.lines[at];
        let sent = line.in_flight.take();
        let waited = sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent.since));
        let answered = response.topics.iter().map(|topic| topic.partitions.len()).sum();
        let entries = line.session.slots().filter_map(|slot| Some((slot, *line.session.entry(slot)?)));
        let mut entries: BTreeMap<usize, Entry> = entries.collect();
        if !line.session.answered(response.session_id, answered, response.throttle_time_ms > 0) {
            let error = Error::protocol("a fetch response is not about what was asked").at_broker(id.to_string());
            let lasts = node.trouble.failed(now, &mut self.rng, self.config.patience);
            return self.tell(lasts, &Error::new(Kind::Connect, error.to_string()));
        }
        node.trouble.clear();
        if let Ok(throttle @ 1..) = u64::try_from(response.throttle_time_ms) {
            node.trouble.wait(now + Duration::from_millis(throttle));
        }
        let mut moved = false;
        for topic in response.topics {
            for partition in topic.partitions {
                let Some(slot) = self.slot_of(&topic.name, topic.id, partition.index) else { continue };
                // What was not asked for counts as little as what is said a second time.
                let Some(sent) = entries.remove(&slot) else { continue };
                moved |= self.partition_fetched(now, id, slot, &sent, partition, &response.nodes);
            }
        }
        self.slow_down(now, id, at, moved || waited >= self.config.fetch_wait_max / 2);
    }

    /// Brokers wait until there is something to say. One that does not is not asked over and over.
    fn slow_down(&mut self, now: Instant, id: i32, line: usize, is_fine: bool) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let line = &mut node.lines[line];
        line.hollow = if is_fine { 0 } else { line.hollow.saturating_add(1) };
        if line.hollow >= HOLLOW_MAX {
            node.trouble.wait(now + HOLLOW_PAUSE);
        }
    }

    fn fetch_refused(&mut self, now: Instant, id: i32, line: usize, code: Code) {
        let patience = self.config.patience;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let line = &mut node.lines[line];
        line.in_flight = None;
        let was_incremental = !line.session.is_full();
        line.session.refused(code);
        // A broker forgets sessions when it has too many; one that forgets what it was not told is asked less often.
        if code == Code::FetchSessionIdNotFound && was_incremental {
            return;
        }
        let lasts = node.trouble.failed(now, &mut self.rng, patience);
        let slots: Vec<usize> = line.session.slots().collect();
        if code == Code::FetchSessionTopicIdError || code.is_stale_metadata() {
            for slot in slots {
                self.want_metadata(slot);
            }
        }
        if lasts || !code.is_retriable() {
            self.complain(Error::broker(code, "could not fetch").at_broker(id.to_string()));
        }
    }

    /// Takes what a response says of one partition. Answers whether anything came of it.
    fn partition_fetched(
        &mut self,
        now: Instant,
        id: i32,
        slot: usize,
        sent: &Entry,
        answer: FetchedPartition,
        nodes: &[Broker],
    ) -> bool {
        let Some(partition) = self.partitions[slot].as_mut() else { return false };
        let is_stale = partition.generation != sent.generation
            || partition.fetch.offset != sent.offset
            // What one leader had, the next may not have: it is asked itself.
            || partition.era() != (sent.topic_id, sent.leader_epoch)
            || partition.state != State::Fetching;
        if let Some(leader) = answer.current_leader {
            let TopicPartition { topic, partition } = partition.key.clone();
            self.actions.push_back(Action::Hint { topic, partition, leader, nodes: nodes.to_vec() });
        }
        if is_stale {
            return true;
        }
        match answer.error {
            None => self.take_in(now, id, slot, answer),
            Some(code) => {
                self.partition_refused(now, id, slot, code);
                true
            }
        }
    }

    fn partition_refused(&mut self, now: Instant, id: i32, slot: usize, code: Code) {
        const REASON: &str = "the position is out of the log's range";
        let policy = self.config.reset;
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        partition.preferred = None;
        let from_follower = partition.leader != Some(id);
        match code {
            // A follower may be behind, or have less of the log: only the leader knows what is in range.
            Code::OffsetOutOfRange if from_follower => {}
            Code::OffsetOutOfRange => {
                // Put right at once, unless that did not help: a log that no offset fits is asked about ever more rarely.
                let again = partition.trouble.has_failed();
                partition.trouble.failed(now, &mut self.rng, self.config.patience);
                if !again {
                    partition.trouble.hurry();
                }
                match policy {
                    ResetPolicy::Earliest | ResetPolicy::Latest => partition.lost(policy, REASON),
                    ResetPolicy::None => partition.measure(REASON),
                }
                self.make_ready(slot);
            }
            Code::CorruptMessage => {
                let error = Error::broker(code, "the broker could not read its log");
                let error = partition.place(error).at_offset(partition.fetch.offset);
                partition.trouble.failed(now, &mut self.rng, self.config.patience);
                partition.complain(error);
                self.make_ready(slot);
            }
            _ => self.partition_failed(now, slot, code, "could not fetch"),
        }
    }

    /// Whether a replica can be fetched from, as far as is known.
    fn is_usable(&self, replica: i32) -> bool {
        self.snapshot.broker(replica).is_some()
            && self.nodes.get(&replica).is_none_or(|node| !node.trouble.is_waiting())
    }

    /// The leader refers to a replica that cannot be used, and brings no records itself.
    ///
    /// It may have restarted, so metadata is asked for, and the leader again after a pause. If it still refers to that
    /// replica, it is asked without a rack, which makes Kafka's `RackAwareReplicaSelector` choose the leader.
    fn avoid_replica(&mut self, now: Instant, leader: i32, slot: usize, replica: i32) {
        let patience = self.config.patience;
        let Some(partition) = self.partitions[slot].as_mut() else { return };
        let is_repeated = partition.trouble.has_failed();
        if partition.trouble.failed(now, &mut self.rng, patience) {
            let message = format!("the leader refers to replica {replica}, which cannot be reached: check that broker");
            let error = partition.place(Error::broker(Code::ReplicaNotAvailable, message));
            partition.complain(error);
        }
        if is_repeated && let Some(node) = self.nodes.get_mut(&leader) {
            node.without_rack = Some(WithoutRack { replica, until: now + self.config.replica_lease });
        }
        let TopicPartition { topic, partition } = &self.keys[slot];
        tracing::debug!(target: "ottla::consumer", %topic, partition, leader, replica, "preferred replica is unusable");
        self.want_metadata(slot);
    }

    /// Queues what was fetched. Answers whether anything came.
    fn take_in(&mut self, now: Instant, id: i32, slot: usize, answer: FetchedPartition) -> bool {
        let isolation = self.config.isolation;
        let lease = now + self.config.replica_lease;
        let is_usable = self.is_usable(answer.preferred_read_replica);
        let Some(partition) = self.partitions[slot].as_mut() else { return false };
        let mut moved = false;
        match Some(answer.preferred_read_replica).filter(|replica| *replica >= 0 && *replica != id) {
            None => partition.trouble.clear(),
            Some(replica) if is_usable => {
                partition.preferred = Some(Preferred { node: replica, until: lease });
                moved = true;
            }
            Some(replica) => self.avoid_replica(now, id, slot, replica),
        }
        let Some(partition) = self.partitions[slot].as_mut() else { return false };
        if answer.diverging.is_some() {
            partition.state = State::AwaitValidation;
            return true;
        }
        let end = match isolation {
            Isolation::ReadCommitted if answer.last_stable_offset >= 0 => answer.last_stable_offset,
            _ => answer.high_watermark,
        };
        // Below zero it is not known, and nothing is at it.
        partition.end = Some(end).filter(|end| *end >= 0);
        let end = partition.end.unwrap_or(i64::MAX);
        match answer.records.filter(|records| !records.is_empty()) {
            None => moved |= partition.reached(end),
            Some(records) => {
                let start = partition.fetch;
                let scan = Scan::new(&records);
                if let Err(error) = partition.advance(&scan, records.len()) {
                    partition.trouble.failed(now, &mut self.rng, self.config.patience);
                    partition.complain(error);
                } else if scan.last.is_some() || scan.is_broken {
                    partition.buffered += records.len();
                    let mut chunk = Chunk::new(records, start);
                    if isolation == Isolation::ReadCommitted {
                        chunk = chunk.without(answer.aborted.unwrap_or_default());
                    }
                    if partition.paused {
                        chunk.copy_out();
                    }
                    let fetched = Fetched { chunk, end, generation: partition.generation };
                    partition.queue.push_back(Item::Chunk(Box::new(fetched)));
                }
                moved = true;
            }
        }
        self.make_ready(slot);
        moved
    }
}

impl Partition {
    /// Nothing came. Says so once where that is because there is no more.
    fn reached(&mut self, end: i64) -> bool {
        let offset = self.fetch.offset;
        let is_news = offset >= end && self.queue.is_empty() && self.end_told != Some(offset);
        if is_news && self.handed.is_some_and(|handed| handed.offset == offset) {
            self.end_told = Some(offset);
            self.queue.push_back(Item::End(offset));
        }
        is_news
    }

    /// Moves the position to fetch from past what came, or asks for more where a batch did not fit.
    fn advance(&mut self, scan: &Scan, came: usize) -> Result<(), Error> {
        let offset = self.fetch.offset;
        self.blocked = scan.is_broken;
        match (scan.last, scan.cut) {
            (Some((last, epoch)), _) if last >= offset => {
                self.fetch = Position { offset: last + 1, epoch: epoch.or(self.fetch.epoch) };
                Ok(())
            }
            _ if scan.is_broken => Ok(()),
            (None, Some(needed)) => {
                let room = i64::from(self.bytes_max).saturating_mul(2).max(needed).min(i64::from(BATCH_BYTES_MAX));
                let room = i32::try_from(room).unwrap_or(BATCH_BYTES_MAX);
                if needed > i64::from(BATCH_BYTES_MAX) || room == self.bytes_max {
                    let error = Error::new(Kind::RecordTooLarge, "a record batch is larger than a fetch can bring");
                    return Err(self.place(error).at_offset(offset));
                }
                tracing::debug!(partition = %self.key, offset, came, room, "fetching more, a batch did not fit");
                self.bytes_max = room;
                Ok(())
            }
            _ => {
                let error = Error::protocol("a fetch brought only batches from before the position");
                Err(self.place(error).at_offset(offset))
            }
        }
    }
}

fn entry(partition: &Partition) -> Entry {
    Entry {
        topic_id: partition.topic_id,
        generation: partition.generation,
        offset: partition.fetch.offset,
        leader_epoch: partition.leader_epoch,
        bytes_max: partition.bytes_max,
    }
}

fn forgotten(plan: &Plan, keys: &[TopicPartition]) -> Vec<ForgottenTopic> {
    let mut topics: BTreeMap<(TopicName, TopicId), Vec<i32>> = BTreeMap::new();
    for (slot, id) in &plan.forgotten {
        let TopicPartition { topic, partition } = &keys[*slot];
        topics.entry((topic.clone(), *id)).or_default().push(*partition);
    }
    topics.into_iter().map(|((name, id), partitions)| ForgottenTopic { name, id, partitions }).collect()
}
