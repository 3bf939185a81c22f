//! Runs the core by a script: steps go in, actions and outcomes come out.
//!
//! Partitions are `t0`, `t1`, … of one topic and `u0`, … of another. A request is printed as `send r1 n2 t0#3+2e0`: its
//! number, its broker, and for each partition the first sequence, the number of records and the epoch (`t0+2` without
//! identity). Outcomes of records are printed as `done b1 0..3 @10` or `fail b1 0..3 No TIMEOUT…`, `b1` being the first
//! batch that was opened.
//!
//! Held for every script: a stamp is of the same bytes whenever it is sent, no record is reported twice, no request has a
//! partition twice, no more than five batches of a partition are in flight, and once all records are
//! reported and all requests answered no byte of the budget is missing.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt::Write;

use std::time::Duration;

use super::super::*;
use crate::codec::Codecs;
use crate::codec::Compression;
use crate::error::Code;
use crate::error::Kind;
use crate::error::Written;
use crate::metadata::Cache;
use crate::partitioner::Builtin;
use crate::record::ClosedBatch;
use crate::record::RecordRef;
use crate::types::LeaderEpoch;
use crate::types::ProducerIdentity;
use crate::types::Sequence;
use crate::types::TopicId;
use crate::wire::message as m;
use crate::wire::message::Leader;
use crate::wire::message::Node;

pub(super) fn settings() -> Settings {
    Settings {
        acks: -1,
        idempotent: true,
        compressed: false,
        batch_bytes: 1_000,
        request_bytes_max: 10_000,
        linger: Duration::from_millis(5),
        delivery_timeout: Duration::from_secs(1),
        retry_backoff: Duration::from_millis(100),
        retry_backoff_max: Duration::from_millis(400),
        pool_bytes_max: 100_000,
    }
}

#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    check_with(settings(), script, expected);
}

#[track_caller]
pub(super) fn check_with(settings: Settings, script: &str, expected: &str) {
    let log = run(settings, script);
    let lines = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&log), lines(expected), "\nscript: {script}");
}

/// The log of a script, line by line.
#[track_caller]
pub(super) fn run(settings: Settings, script: &str) -> String {
    let mut bench = Bench::new(settings);
    for step in script.split(['|', '\n']).map(str::trim).filter(|step| !step.is_empty()) {
        bench.step(step);
        bench.act();
    }
    if bench.open.is_empty() && bench.undecided.values().all(|left| *left == 0) {
        assert_eq!(bench.held, 0, "bytes that nobody gives back\n{}", bench.log);
    }
    bench.log
}

/// A batch in a request: its partition, its stamp, and the topic's id.
type Sent = (String, i32, Option<(ProducerIdentity, Sequence)>, TopicId);

struct Bench {
    core: ProducerCore<u64>,
    cache: Cache,
    /// An earlier snapshot, to be handed to the core again.
    old: Arc<Snapshot>,
    now: Instant,
    log: String,
    compressed: bool,
    tickets: u64,
    /// Ticket → records that were not reported.
    undecided: BTreeMap<u64, u32>,
    held: usize,
    /// Requests without a response, with their partitions.
    open: BTreeMap<u64, Vec<Sent>>,
    in_flight: BTreeMap<(String, i32), usize>,
    /// Stamp → the bytes sent under it.
    sent: HashMap<(String, i32, ProducerIdentity, Sequence), Vec<u8>>,
    unsealed: VecDeque<(Key, BatchId, ClosedBatch)>,
    mark: BatchId,
    /// How often the topics were recreated.
    recreated: u8,
    /// Responses have topic names, as before version 13, instead of ids.
    by_name: bool,
    /// Failures are printed with their causes.
    explains: bool,
}

macro_rules! say {
    ($bench:expr, $($text:tt)*) => { writeln!($bench.log, $($text)*).expect("a string takes all") };
}

impl Bench {
    fn new(settings: Settings) -> Self {
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        Self {
            compressed: settings.compressed,
            core: ProducerCore::new(settings, Arc::new(Builtin::RoundRobin), 1),
            cache: Cache::default(),
            old: Arc::default(),
            now,
            log: String::new(),
            tickets: 0,
            undecided: BTreeMap::new(),
            held: 0,
            open: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            sent: HashMap::new(),
            unsealed: VecDeque::new(),
            mark: 0,
            recreated: 0,
            by_name: false,
            explains: false,
        }
    }

    fn step(&mut self, step: &str) {
        let mut words = step.split_whitespace();
        let verb = words.next().expect("a step has a verb");
        let words: Vec<&str> = words.collect();
        match verb {
            "explain" => self.explains = true,
            "abort" => self.core.abort(&Error::new(Kind::Closed, "closed")),
            "recreate" => self.recreated += 1,
            "answer" => self.answer(words[0], &words[1..]),
            "flush" => self.mark = self.core.flush(self.now),
            "flushed" => say!(self, "flushed {}", self.core.oldest() >= self.mark),
            "held" => say!(self, "held {}", self.held),
            "id" => self.identity(words[0]),
            "lost" => self.lost(words[0], words[1]),
            "meta" => self.metadata(&words),
            "metrics" => self.metrics(),
            "named" => self.by_name = true,
            "old" => self.core.handle_metadata(self.now, &self.old),
            "put" => {
                let by = words.iter().find_map(|word| word.strip_prefix("by="));
                let what = words.get(1).copied().filter(|word| !word.starts_with("by=")).unwrap_or("1");
                self.put(key_of(words[0]), what, by.map(|by| by.parse().expect("milliseconds")));
            }
            "seal" => self.seal(),
            "sequence" => self.sequence(words[0], words[1]),
            "warm" => {
                let warm = self.core.warm().map_err(|error| error.kind());
                say!(self, "warm {warm:?}");
            }
            "wait" => {
                self.now += Duration::from_millis(words[0].parse().expect("milliseconds"));
                // As the driver does, which sleeps until its timer or a wake-up.
                if self.core.poll_timeout().is_some_and(|at| at <= self.now) {
                    self.core.handle_timeout(self.now);
                }
            }
            other => panic!("no step is called {other}"),
        }
    }

    fn metrics(&mut self) {
        let m = self.core.metrics();
        say!(
            self,
            "counted {} records of {} bytes, {} batches of {}",
            m.records,
            m.record_bytes,
            m.batches,
            m.batch_bytes
        );
        say!(
            self,
            "sent {} requests, {} retries, {} splits, {} epochs",
            m.requests,
            m.retries,
            m.splits,
            m.epoch_bumps
        );
        say!(self, "acknowledged {}, not written {}, maybe written {}", m.acknowledged, m.not_written, m.maybe_written);
        say!(self, "expired {}, queued {} in {} batches", m.expired, m.queued_records, m.queued_batches);
    }

    /// `meta t0=1e5 t1=- u0=2e0`: leaders and their epochs.
    fn metadata(&mut self, words: &[&str]) {
        let node = |id| Node { id, host: "h".into(), port: 9092, rack: None };
        let mut topics: BTreeMap<&str, m::MetadataTopic> = BTreeMap::new();
        for word in words {
            let (partition, leader) = word.split_once('=').expect("t0=1e5");
            let (name, index) = partition.split_at(1);
            let (leader, epoch) = leader.split_once('e').unwrap_or(("-1", "0"));
            let id = TopicId([name.as_bytes()[0] + self.recreated; 16]);
            let topic =
                topics.entry(name).or_insert_with(|| m::MetadataTopic { name: name.into(), id, ..Default::default() });
            topic.partitions.push(m::MetadataPartition {
                index: index.parse().expect("an index"),
                leader: leader.parse().expect("a broker"),
                leader_epoch: LeaderEpoch::from_wire(epoch.parse().expect("an epoch")),
                ..Default::default()
            });
        }
        let (brokers, topics) = (vec![node(1), node(2)], topics.into_values().collect());
        self.old = self.cache.snapshot();
        self.cache.handle_response(m::MetadataResponse { brokers, topics, ..Default::default() });
        self.core.handle_metadata(self.now, &self.cache.snapshot());
    }

    /// `by=100`: each has a deadline of its own, in so many milliseconds.
    /// `put t0 3` three small records, `put t0 2x400` two of 400 bytes, `put t0 2x400z` two that compress well.
    fn put(&mut self, (topic, partition): (String, i32), what: &str, by: Option<u64>) {
        let (count, size) = what.split_once('x').unwrap_or((what, "1"));
        let (size, fill) = size.strip_suffix('z').map_or((size, false), |size| (size, true));
        let topic = self.core.topic(&topic).expect("metadata came before");
        for number in 0..count.parse::<u32>().expect("a number of records") {
            let mut rng = Rng::with_seed(u64::from(number) + 1000 * self.tickets);
            let value: Vec<u8> =
                (0..size.parse().expect("a size")).map(|_| if fill { b'z' } else { rng.u8(..) }).collect();
            let record = RecordRef { timestamp: 1, value: Some(&value), ..RecordRef::default() };
            let ticket = self.tickets + 1;
            match self.core.append(self.now, Key { topic, partition }, &record, || ticket) {
                Ok(appended) => {
                    self.tickets = self.tickets.max(appended.ticket);
                    *self.undecided.entry(appended.ticket).or_default() += 1;
                    self.held += appended.bytes;
                    let key = Key { topic, partition };
                    let at = by.map(|by| self.now + Duration::from_millis(by));
                    let wake = at.is_some_and(|at| self.core.expire_at(self.now, key, appended.index, at));
                    if (appended.wake || wake) && self.core.actions.is_empty() && !self.core.work {
                        say!(self, "wake");
                    }
                }
                Err(error) => say!(self, "refused {:?} {:?}", error.is_written().expect("it says"), error.kind()),
            }
            self.act();
        }
    }

    fn identity(&mut self, word: &str) {
        let answer = match word.strip_prefix('!') {
            Some("garbled") => Err(Error::protocol("it could not be read")),
            Some(code) => Err(Error::broker(code_of(code), "no identity")),
            None => {
                let (id, epoch) = word.split_once('e').unwrap_or((word, "0"));
                let (id, epoch) = (id.parse().expect("an id"), epoch.parse().expect("an epoch"));
                Ok(ProducerIdentity { id, epoch })
            }
        };
        self.core.handle_identity(self.now, answer);
    }

    /// Puts a partition near the end of its sequences.
    fn sequence(&mut self, word: &str, number: &str) {
        let (topic, partition) = key_of(word);
        let topic = self.core.topic(&topic).expect("metadata came before");
        let partition = self.core.partitions.get_mut(Key { topic, partition }).expect("it has had records");
        partition.next_sequence = Sequence::from_wire(number.parse().expect("a sequence")).expect("not negative");
    }

    fn closed(&mut self, request: &str) -> (u64, Vec<Sent>) {
        let number = request[1..].parse().expect("r1, r2, …");
        let sent = self.open.remove(&number).unwrap_or_else(|| panic!("no request {request}\n{}", self.log));
        for (topic, partition, ..) in &sent {
            *self.in_flight.get_mut(&(topic.clone(), *partition)).expect("it was sent") -= 1;
        }
        (number, sent)
    }

    /// `answer r1 t0@10 t1!6;leads=2e6;at=2 u0!87;bad=0,2 u1@3;time=9`: offsets, or codes with a leader (`at` says where it
    /// listens) and with the records that are refused.
    fn answer(&mut self, request: &str, words: &[&str]) {
        let (number, sent) = self.closed(request);
        let mut response = m::ProduceResponse::default();
        for word in words {
            let mut parts = word.split(';');
            let head = parts.next().expect("split gives one");
            let (place, answer) = head.split_at(head.find(['@', '!']).expect("t0@10 or t0!6"));
            let (name, index) = key_of(place);
            let mut partition =
                m::ProducedPartition { index, base_offset: -1, log_append_time: -1, ..Default::default() };
            match answer.strip_prefix('!') {
                Some(code) => {
                    partition.error = Some(code_of(code));
                    if partition.error == Some(Code::MessageTooLarge) {
                        // The only refusal after which the same sequences may be sent with other bytes.
                        let refused = sent.iter().find(|sent| sent.0 == name && sent.1 == index).expect("it was sent");
                        let (identity, sequence) = refused.2.expect("a stamp");
                        self.sent.remove(&(name.clone(), index, identity, sequence));
                    }
                }
                None => partition.base_offset = answer[1..].parse().expect("an offset"),
            }
            for (what, value) in parts.filter_map(|part| part.split_once('=')) {
                match what {
                    "at" => response.nodes.push(Node {
                        id: value.parse().expect("a broker"),
                        host: "h".into(),
                        port: 1,
                        rack: None,
                    }),
                    "bad" => {
                        let bad = value.split(',').map(|index| index.parse().expect("an index"));
                        partition.record_errors = bad.map(|index| (index, Some(format!("bad {index}")))).collect();
                    }
                    "leads" => {
                        let (id, epoch) = value.split_once('e').expect("2e6");
                        let (id, epoch) = (id.parse().expect("a broker"), epoch.parse().expect("an epoch"));
                        partition.current_leader = Some(Leader { id, epoch });
                    }
                    "time" => partition.log_append_time = value.parse().expect("a time"),
                    other => panic!("an answer has no {other}"),
                }
            }
            let (name, id) = if self.by_name {
                (TopicName::from(name.as_str()), TopicId::default())
            } else {
                // As from version 13 on: by the id that the request had.
                let id = sent.iter().find(|sent| sent.0 == name).expect("it was sent").3;
                (TopicName::default(), id)
            };
            if let Some(topic) = response.topics.iter_mut().find(|topic| topic.name == name && topic.id == id) {
                topic.partitions.push(partition);
            } else {
                response.topics.push(m::ProducedTopic { name, id, partitions: vec![partition] });
            }
        }
        self.core.handle_response(self.now, number, &Ok(response));
    }

    /// `lost r1 maybe` or `lost r1 no`: whether it was written. `lost r1 garbled`: the response could not be read.
    fn lost(&mut self, request: &str, how: &str) {
        let (number, _) = self.closed(request);
        let kind = if how == "garbled" { Kind::Protocol } else { Kind::Connect };
        let written = if how == "no" { Written::No } else { Written::Maybe };
        self.core.handle_response(self.now, number, &Err(Error::new(kind, "gone").written(written)));
    }

    fn seal(&mut self) {
        let codec = Codecs::default().get(Compression::Gzip).cloned().expect("it is built in");
        for (key, id, closed) in std::mem::take(&mut self.unsealed) {
            let raw = closed.records.len();
            let (sealed, _) = closed.seal(Some(&*codec)).expect("it compresses");
            say!(self, "sealed {} of {raw}", if sealed.body().len() < raw { "smaller" } else { "larger" });
            self.core.handle_sealed(self.now, key, id, Ok(sealed));
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Complete { ticket, first, count, outcome, bytes, .. } => {
                    self.complete(ticket, first, count, &outcome, bytes);
                }
                Action::Hint { topic, partition, leader, nodes } => {
                    say!(self, "hint {topic}{partition} n{} e{}", leader.id, leader.epoch);
                    assert!(self.cache.handle_hint(&topic, partition, leader, &nodes), "it is news");
                    self.core.handle_metadata(self.now, &self.cache.snapshot());
                }
                Action::InitProducerId => say!(self, "id?"),
                Action::RefreshMetadata(topic) => say!(self, "refresh {topic}"),
                Action::Release { bytes } => self.held -= bytes,
                Action::Seal { key, id, closed } => self.unsealed.push_back((key, id, closed)),
                Action::Send { broker, request, entries, .. } => self.send(broker, request, entries),
                Action::Split { key, id, sealed, parts } => {
                    say!(self, "split {}", parts.len());
                    let parts = sealed.split(&Codecs::default(), parts).map_err(Error::from);
                    self.core.handle_split(self.now, key, id, parts);
                }
            }
        }
        self.core.poll_timeout();
    }

    fn complete(&mut self, ticket: u64, first: u32, count: u32, outcome: &Outcome, bytes: usize) {
        self.held -= bytes;
        let left = self.undecided.get_mut(&ticket).expect("a record got it");
        *left = left.checked_sub(count).expect("each record is reported once");
        let range = format!("b{ticket} {first}..{}", first + count);
        match outcome {
            Outcome::Acknowledged { base_offset: Some(offset), log_append_time: Some(time) } => {
                say!(self, "done {range} @{offset} at {time}");
            }
            Outcome::Acknowledged { base_offset: Some(offset), .. } => say!(self, "done {range} @{offset}"),
            Outcome::Acknowledged { base_offset: None, .. } => say!(self, "done {range}"),
            Outcome::Failed(error) => {
                let why = error.code().map_or_else(|| format!("{:?}", error.kind()), |code| code.to_string());
                let text = error.to_string();
                let bad = text.split_once(',').map_or("", |(text, _)| text);
                let bad = bad.strip_prefix("bad ").map(|index| format!(" bad={index}")).unwrap_or_default();
                let cause = std::error::Error::source(error).filter(|_| self.explains);
                let cause = cause.map(|cause| format!(" because {cause}")).unwrap_or_default();
                say!(self, "fail {range} {:?} {why}{bad}{cause}", error.is_written().expect("a failure says so"));
            }
        }
    }

    fn send(&mut self, broker: i32, request: u64, entries: Vec<Entry>) {
        let mut line = format!("send r{request} n{broker}");
        for entry in entries {
            let key = (entry.topic.to_string(), entry.partition);
            let count = self.in_flight.entry(key.clone()).or_default();
            *count += 1;
            assert!(*count <= 5, "a broker remembers five batches");
            let (topic, partition) = (&entry.topic, entry.partition);
            let other =
                self.open.get(&request).is_some_and(|sent| sent.iter().any(|(t, p, ..)| (t, *p) == (&key.0, key.1)));
            assert!(!other, "a partition stands twice in one request\n{}", self.log);
            match entry.stamp.identity {
                None => write!(line, " {topic}{partition}+{}", entry.batch.count()),
                Some((identity, sequence)) => {
                    let bytes = entry.batch.to_bytes(&entry.stamp).to_vec();
                    let before =
                        self.sent.entry((key.0.clone(), key.1, identity, sequence)).or_insert_with(|| bytes.clone());
                    assert!(*before == bytes, "another batch under the stamp of one that was sent\n{}", self.log);
                    let sequence = sequence.to_wire();
                    write!(line, " {topic}{partition}#{sequence}+{}e{}", entry.batch.count(), identity.epoch)
                }
            }
            .expect("a string takes all");
            self.open.entry(request).or_default().push((key.0, key.1, entry.stamp.identity, entry.id));
        }
        if self.compressed {
            line.push_str(" compressed");
        }
        say!(self, "{line}");
    }
}

fn key_of(word: &str) -> (String, i32) {
    let (topic, partition) = word.split_at(1);
    (topic.to_owned(), partition.parse().expect("t0, t1, u0, …"))
}

fn code_of(text: &str) -> Code {
    Code::from_wire(text.parse().expect("a code")).expect("an error")
}
