//! The front of the mock: frames in, replies out, what waits in between, and what tests may do to the cluster.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use crate::mock::api;
use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::fetch;
use crate::mock::builder::Builder;
use crate::mock::fault::Fault;
use crate::mock::fault::Faults;
use crate::mock::frame;
use crate::mock::frame::Envelope;
use crate::mock::log::StoredRecord;
use crate::mock::state::State;
use crate::types::TopicId;
use crate::types::TopicName;

/// What comes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection is closed: the request is malformed, of a version not spoken, or a fault says so.
    Close,
    /// This frame, size prefix included, is the reply.
    Reply(Bytes),
    /// There is no reply: `acks` is 0, or a fault says so.
    Silent,
    /// [`Cluster::poll`] will have the reply.
    Wait,
}

/// A request that arrived, for tests to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// When it arrived.
    pub at: Instant,
    /// The broker it was sent to.
    pub broker: i32,
    /// The connection it came on.
    pub connection: u64,
    /// Which API it asks.
    pub api_key: i16,
    /// In which version.
    pub version: i16,
    /// What the client calls it.
    pub correlation_id: i32,
    /// What the client calls itself.
    pub client_id: String,
    /// The bytes of its frame, without the size prefix.
    pub size: usize,
}

/// Several brokers in one value, without sockets, tasks or clocks.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
///
/// use bytes::Bytes;
/// use ottla::mock::{Cluster, Outcome};
///
/// let mut cluster = Cluster::builder().brokers(3).topic("events", 6).build();
/// // ApiVersions, version 0, correlation id 7, no client id.
/// let request = Bytes::from_static(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff]);
/// let outcome = cluster.handle(Instant::now(), 0, 1, 1, request);
/// let Outcome::Reply(reply) = outcome else { panic!("{outcome:?}") };
/// assert_eq!(reply[4..8], [0, 0, 0, 7]);
/// ```
#[derive(Debug)]
pub struct Cluster {
    state: State,
    faults: Faults,
    /// Connections whose oldest request waits, with the requests behind it.
    parked: HashMap<u64, Parked>,
    ready: VecDeque<(u64, Outcome)>,
    seen: VecDeque<SeenRequest>,
    counts: HashMap<i16, u64>,
    /// The last wall-clock time told, and when.
    unix: Option<(Instant, i64)>,
    /// The state's changes when the parked fetches were last looked at.
    looked_at: u64,
}

#[derive(Debug)]
struct Parked {
    until: Instant,
    waiting: Waiting,
    behind: VecDeque<(i32, Bytes)>,
}

#[derive(Debug)]
enum Waiting {
    Fetch(Box<fetch::Plan>),
    Outcome(Outcome),
}

impl Cluster {
    /// Starts with one broker and no topic.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn new(state: State) -> Self {
        Self {
            state,
            faults: Faults::default(),
            parked: HashMap::new(),
            ready: VecDeque::new(),
            seen: VecDeque::new(),
            counts: HashMap::new(),
            unix: None,
            looked_at: 0,
        }
    }

    /// Answers one request frame, size prefix included, that came to `broker` on `connection`.
    ///
    /// Connection numbers are the caller's; no two live connections may share one, whatever their brokers.
    /// A broker answers a connection's requests one after the other: those behind one that waits, wait too.
    pub fn handle(&mut self, now: Instant, unix_ms: i64, broker: i32, connection: u64, frame: Bytes) -> Outcome {
        self.unix = Some((now, unix_ms));
        if let Some(parked) = self.parked.get_mut(&connection) {
            parked.behind.push_back((broker, frame));
            return Outcome::Wait;
        }
        let outcome = self.answer(now, unix_ms, broker, connection, frame, VecDeque::new());
        // A reply must not overtake an earlier one that nobody has polled for yet.
        let overtakes = self.ready.iter().any(|(other, _)| *other == connection);
        if overtakes && matches!(outcome, Outcome::Reply(_) | Outcome::Close) {
            self.ready.push_back((connection, outcome));
            return Outcome::Wait;
        }
        outcome
    }

    /// The next reply that was waited for, with its connection: a [`Outcome::Reply`] or a [`Outcome::Close`].
    pub fn poll(&mut self, now: Instant) -> Option<(u64, Outcome)> {
        if self.ready.is_empty() {
            self.finish_parked(now);
        }
        self.ready.pop_front()
    }

    /// When [`Cluster::poll`] has something to say if nothing else happens first.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.parked.values().map(|parked| parked.until).min()
    }

    /// Forgets what waits for a connection that is gone. The requests behind it are never served.
    pub fn disconnect(&mut self, connection: u64) {
        self.parked.remove(&connection);
        self.ready.retain(|(other, _)| *other != connection);
    }

    /// Says under which address clients reach a broker.
    pub fn advertise(&mut self, broker: i32, host: &str, port: u16) {
        if let Some(known) = self.state.brokers.get_mut(&broker) {
            host.clone_into(&mut known.host);
            known.port = port;
        }
    }

    /// The ids of all brokers, ascending.
    pub fn brokers(&self) -> Vec<i32> {
        self.state.brokers.keys().copied().collect()
    }

    /// Every live broker's advertised address, as `bootstrap.servers` wants them.
    pub fn bootstrap(&self) -> String {
        let live = self.state.brokers.values().filter(|broker| broker.up);
        live.map(|broker| format!("{}:{}", broker.host, broker.port)).collect::<Vec<_>>().join(",")
    }

    fn answer(
        &mut self,
        now: Instant,
        unix_ms: i64,
        broker: i32,
        connection: u64,
        mut body: Bytes,
        behind: VecDeque<(i32, Bytes)>,
    ) -> Outcome {
        let size = body.len().saturating_sub(4);
        if !self.state.is_up(broker) {
            return Outcome::Close;
        }
        let Some(envelope) = frame::read_header(&mut body) else { return Outcome::Close };
        self.note(now, broker, connection, size, &envelope);
        let fault = self.faults.take(broker, envelope.api_key);
        let error = if let Some(Fault::Error(code)) = fault { Some(code) } else { None };
        match fault {
            Some(Fault::CloseBefore) => return Outcome::Close,
            Some(Fault::Swallowed) => return Outcome::Silent,
            _ => {}
        }
        let Envelope { api_key, version, correlation_id, .. } = envelope;
        let call = Call { now, unix_ms, broker, api_key, version, correlation_id, error };
        let outcome = match api::dispatch(&mut self.state, &call, body) {
            Answer::Close => Outcome::Close,
            Answer::Reply(frame) => Outcome::Reply(frame),
            Answer::Silent => Outcome::Silent,
            Answer::Park(_) if fault == Some(Fault::CloseAfter) => Outcome::Close,
            Answer::Park(_) if fault == Some(Fault::Lost) => Outcome::Silent,
            Answer::Park(plan) => {
                self.parked.insert(connection, Parked { until: plan.until, waiting: Waiting::Fetch(plan), behind });
                return Outcome::Wait;
            }
        };
        match fault {
            Some(Fault::CloseAfter) => Outcome::Close,
            Some(Fault::Lost) => Outcome::Silent,
            Some(Fault::Delay(delay)) => {
                let waiting = Waiting::Outcome(outcome);
                self.parked.insert(connection, Parked { until: now + delay, waiting, behind });
                Outcome::Wait
            }
            _ => outcome,
        }
    }

    fn note(&mut self, at: Instant, broker: i32, connection: u64, size: usize, envelope: &Envelope) {
        *self.counts.entry(envelope.api_key).or_default() += 1;
        if self.seen.len() == SEEN_MAX {
            self.seen.pop_front();
        }
        let Envelope { api_key, version, correlation_id, ref client_id } = *envelope;
        let client_id = client_id.clone();
        self.seen.push_back(SeenRequest { at, broker, connection, api_key, version, correlation_id, client_id, size });
    }

    /// Moves to `ready` what has waited long enough or has got what it waited for, and what was behind it.
    fn finish_parked(&mut self, now: Instant) {
        let changed = self.looked_at != self.state.changes;
        self.looked_at = self.state.changes;
        let state = &self.state;
        let done = |parked: &Parked| {
            parked.until <= now
                || match &parked.waiting {
                    Waiting::Fetch(plan) => changed && fetch::is_ready(state, plan),
                    Waiting::Outcome(_) => false,
                }
        };
        let mut due: Vec<u64> = self.parked.iter().filter(|(_, parked)| done(parked)).map(|(id, _)| *id).collect();
        // The map's order is not the same in two runs.
        due.sort_unstable();
        for connection in due {
            self.finish(now, connection);
        }
    }

    fn finish(&mut self, now: Instant, connection: u64) {
        let Some(parked) = self.parked.remove(&connection) else { return };
        let outcome = match parked.waiting {
            Waiting::Fetch(plan) => fetch::finish(&mut self.state, &plan).map_or(Outcome::Close, Outcome::Reply),
            Waiting::Outcome(outcome) => outcome,
        };
        let mut behind = parked.behind;
        let mut open = outcome != Outcome::Close;
        if outcome != Outcome::Silent {
            self.ready.push_back((connection, outcome));
        }
        let unix_ms = self.unix.map_or(0, |(then, unix_ms)| {
            let passed = now.saturating_duration_since(then).as_millis();
            unix_ms.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
        });
        while open && let Some((broker, frame)) = behind.pop_front() {
            let rest = std::mem::take(&mut behind);
            match self.answer(now, unix_ms, broker, connection, frame, VecDeque::new()) {
                Outcome::Wait => {
                    if let Some(parked) = self.parked.get_mut(&connection) {
                        parked.behind = rest;
                    }
                    return;
                }
                Outcome::Silent => {}
                outcome => {
                    open = outcome != Outcome::Close;
                    self.ready.push_back((connection, outcome));
                }
            }
            behind = rest;
        }
    }
}

/// What tests do to a cluster, and what they look at.
impl Cluster {
    /// Makes a topic, whatever was there under its name; answers its id.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> TopicId {
        self.state.delete_topic(name);
        let replicas = self.state.settings.replication_default;
        self.state.create_topic(&TopicName::from(name), partitions, replicas).id
    }

    /// Deletes a topic; whether there was one.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        self.state.delete_topic(name)
    }

    /// A topic's id.
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.state.topics.get(name).map(|topic| topic.id)
    }

    /// Makes a topic refuse batches larger than this (`max.message.bytes`); whether there is such a topic.
    pub fn set_batch_bytes_max(&mut self, topic: &str, bytes: usize) -> bool {
        let topic = self.state.topics.get_mut(topic);
        topic.map(|topic| topic.batch_bytes_max = bytes).is_some()
    }

    /// Makes a broker the leader of a partition, under a new epoch; whether there is such a partition and broker.
    pub fn move_leader(&mut self, topic: &str, partition: i32, broker: i32) -> bool {
        self.state.move_leader(topic, partition, broker)
    }

    /// Who leads a partition, and under which epoch.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<(i32, i32)> {
        let found = self.state.partition(topic, partition)?;
        Some((found.leader?, found.leader_epoch))
    }

    /// Makes another broker coordinate a group (key type 0) or a transactional id (1).
    pub fn move_coordinator(&mut self, key_type: i8, key: &str, broker: i32) {
        self.state.move_coordinator(key_type, key, broker);
    }

    /// Takes a broker away: it closes every connection that asks it anything, and live replicas take over.
    pub fn set_down(&mut self, broker: i32) {
        self.state.set_up(broker, false);
    }

    /// Brings a broker back. It leads only what nobody else could.
    pub fn set_up(&mut self, broker: i32) {
        self.state.set_up(broker, true);
    }

    /// Whether a broker is there.
    pub fn is_up(&self, broker: i32) -> bool {
        self.state.is_up(broker)
    }

    /// Applies a fault to the next `times` requests of an API, on whichever broker.
    pub fn inject(&mut self, api_key: i16, fault: Fault, times: u32) {
        self.faults.add(None, api_key, fault, times);
    }

    /// Applies a fault to the next `times` requests of an API that come to one broker.
    pub fn inject_at(&mut self, broker: i32, api_key: i16, fault: Fault, times: u32) {
        self.faults.add(Some(broker), api_key, fault, times);
    }

    /// Takes back every fault that has not struck.
    pub fn clear_faults(&mut self) {
        self.faults.clear();
    }

    /// Makes every reply from now on claim that the client was held back for so long.
    pub fn set_throttle_ms(&mut self, throttle_ms: i32) {
        self.state.throttle_ms = throttle_ms;
    }

    /// Makes a partition forget its producers, as brokers do some time after they fell silent.
    pub fn expire_producers(&mut self, topic: &str, partition: i32) -> bool {
        let found = self.state.partition_mut(topic, partition);
        found.map(|partition| partition.log.producers.expire()).is_some()
    }

    /// Drops what lies before `offset`, as retention does; answers the offset the log then starts at.
    pub fn delete_before(&mut self, topic: &str, partition: i32, offset: i64) -> Option<i64> {
        self.state.changes += 1;
        Some(self.state.partition_mut(topic, partition)?.log.delete_before(offset))
    }

    /// Every record of a partition, in order; nothing where there is no such partition.
    pub fn log(&self, topic: &str, partition: i32) -> Vec<StoredRecord> {
        let found = self.state.partition(topic, partition);
        found.map(|found| found.log.records(&self.state.codecs)).unwrap_or_default()
    }

    /// Every batch of a partition as a consumer gets it.
    pub fn batches(&self, topic: &str, partition: i32) -> Vec<Bytes> {
        self.state.partition(topic, partition).map(|found| found.log.batches().collect()).unwrap_or_default()
    }

    /// Where a partition's log starts and where it ends.
    pub fn offsets(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let log = &self.state.partition(topic, partition)?.log;
        Some((log.start(), log.end()))
    }

    /// What a group has committed for a partition.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let offsets = self.state.groups.get(group)?;
        offsets.get(&(TopicName::from(topic), partition)).map(|committed| committed.offset)
    }

    /// The requests that arrived, oldest first; only the last 65,536 are kept.
    pub fn requests_seen(&self) -> impl Iterator<Item = &SeenRequest> {
        self.seen.iter()
    }

    /// How many requests of an API arrived.
    pub fn requests_count(&self, api_key: i16) -> u64 {
        self.counts.get(&api_key).copied().unwrap_or_default()
    }
}

const SEEN_MAX: usize = 65_536;
