//! A small Kafka that keeps every promise under all legal faults: lost acknowledgements, late writes, refusals, crashes of
//! producers and readers, seeks, commits with unknown outcomes, and members of a group that come and go. Its histories must have no
//! anomaly.

pub(super) mod team;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use ottla::types::TopicPartition;
use protocol_tests::history::Body;
use protocol_tests::history::CommitOutcome;
use protocol_tests::history::History;
use protocol_tests::history::Outcome;
use protocol_tests::history::Role;
use protocol_tests::history::Seen;
use protocol_tests::history::Value;

const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a good history.
pub(super) fn history(seed: u64) -> History {
    let mut model = Model::new(seed);
    for _ in 0..model.rng.u32(400..900) {
        model.step();
    }
    model.finish();
    model.history
}

#[derive(Clone, Debug)]
struct Pending {
    value: Value,
    partition: TopicPartition,
    /// It was reported as in doubt; it may still be written, or not.
    decided: bool,
}

#[derive(Debug)]
struct Producer {
    process: u32,
    next: u64,
    idempotent: bool,
    /// In the order of sending; each partition's are written in this order.
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Reader {
    process: u32,
    group: Option<String>,
    positions: BTreeMap<TopicPartition, i64>,
}

struct Model {
    rng: Rng,
    now: Duration,
    history: History,
    processes: u32,
    partitions: Vec<TopicPartition>,
    /// `None` is an offset that a control record takes.
    logs: BTreeMap<TopicPartition, Vec<Option<Value>>>,
    producers: Vec<Producer>,
    readers: Vec<Reader>,
    committed: BTreeMap<(String, TopicPartition), i64>,
    team: team::Team,
}

impl Model {
    fn new(seed: u64) -> Self {
        let topics = ["a", "b"];
        let partitions: Vec<TopicPartition> =
            topics.iter().flat_map(|topic| (0..2).map(|index| TopicPartition::new(*topic, index))).collect();
        let mut model = Self {
            rng: Rng::with_seed(seed),
            now: Duration::ZERO,
            history: History::default(),
            processes: 0,
            logs: partitions.iter().map(|partition| (partition.clone(), Vec::new())).collect(),
            partitions,
            producers: Vec::new(),
            readers: Vec::new(),
            committed: BTreeMap::new(),
            team: team::Team::default(),
        };
        for _ in 0..3 {
            let producer = model.producer(true);
            model.producers.push(producer);
        }
        for group in [Some("g"), Some("h"), None] {
            let reader = model.reader(group.map(str::to_owned));
            model.readers.push(reader);
        }
        model.begin_team();
        model
    }

    fn push(&mut self, process: u32, body: Body) {
        self.now += Duration::from_micros(self.rng.u64(1..5_000));
        self.history.push(self.now, process, body);
    }

    fn open(&mut self, role: Role) -> u32 {
        self.processes += 1;
        self.push(self.processes, Body::Opened(role));
        self.processes
    }

    fn producer(&mut self, idempotent: bool) -> Producer {
        let process = self.open(Role::Producer { idempotent });
        Producer { process, next: 0, idempotent, pending: VecDeque::new() }
    }

    /// A reader of a group continues at its commits, others at the beginning; both report the position.
    fn reader(&mut self, group: Option<String>) -> Reader {
        let process = self.open(Role::Consumer { group: group.clone() });
        let mut positions = BTreeMap::new();
        for partition in self.partitions.clone() {
            let stored = group.clone().and_then(|group| self.committed.get(&(group, partition.clone())).copied());
            let at = stored.unwrap_or(0);
            positions.insert(partition.clone(), at);
            self.push(process, Body::Moved { partition, to: Some(at) });
        }
        Reader { process, group, positions }
    }

    fn step(&mut self) {
        match self.rng.u32(..150) {
            100.. => self.team_step(),
            0..45 => self.send(),
            45..75 => self.decide(),
            75..92 => self.poll(),
            92..96 => self.commit(),
            96 => self.seek(),
            97 => self.restart_producer(),
            98 => self.restart_reader(),
            _ => {
                let partition = self.rng.choice(&self.partitions).expect("some").clone();
                self.logs.get_mut(&partition).expect("there").push(None);
                self.push(0, Body::Fault(format!("a control record in {partition}")));
            }
        }
    }

    fn send(&mut self) {
        let at = self.rng.usize(..self.producers.len());
        let partition = self.rng.choice(&self.partitions).expect("some").clone();
        let named = self.rng.bool().then_some(partition.partition);
        let producer = &mut self.producers[at];
        let value: Value = Arc::from(format!("{}-{}", producer.process, producer.next));
        producer.next += 1;
        let process = producer.process;
        let topic = partition.topic.clone();
        let deadline = self.now + PATIENCE;
        self.push(process, Body::Invoked { topic, partition: named, value: value.clone(), deadline });
        if self.rng.u32(..40) == 0 {
            return self.decided(process, value, Outcome::NotWritten("no capacity".into()));
        }
        let deadline = self.now + PATIENCE;
        self.push(process, Body::Accepted { value: value.clone(), deadline });
        self.producers[at].pending.push_back(Pending { value, partition, decided: false });
    }

    fn decided(&mut self, process: u32, value: Value, outcome: Outcome) {
        self.push(process, Body::Decided { value, outcome });
    }

    fn append(&mut self, pending: &Pending) -> i64 {
        let log = self.logs.get_mut(&pending.partition).expect("there");
        log.push(Some(pending.value.clone()));
        i64::try_from(log.len() - 1).expect("small")
    }

    /// Decides the oldest send of a producer.
    fn decide(&mut self) {
        let at = self.rng.usize(..self.producers.len());
        let Some(mut pending) = self.producers[at].pending.pop_front() else { return };
        let process = self.producers[at].process;
        let partition = pending.partition.partition;
        if pending.decided {
            // A write in doubt arrives late, or never.
            if self.rng.bool() {
                self.append(&pending);
            }
            return;
        }
        match self.rng.u32(..20) {
            0 => self.decided(process, pending.value, Outcome::NotWritten("refused".into())),
            1 => {
                self.decided(process, pending.value.clone(), Outcome::InDoubt("no answer".into()));
                pending.decided = true;
                self.producers[at].pending.push_front(pending);
            }
            2 => {
                self.append(&pending);
                self.decided(process, pending.value, Outcome::InDoubt("cut".into()));
            }
            3 => {
                // Retried after a lost response: a duplicate whose first offset the broker has forgotten.
                self.append(&pending);
                if !self.producers[at].idempotent && self.rng.bool() {
                    self.append(&pending);
                }
                let outcome = Outcome::Acknowledged { partition, offset: None };
                self.decided(process, pending.value, outcome);
            }
            _ => {
                let offset = Some(self.append(&pending));
                self.decided(process, pending.value, Outcome::Acknowledged { partition, offset });
            }
        }
    }

    fn poll(&mut self) {
        let at = self.rng.usize(..self.readers.len());
        if self.rng.u32(..30) == 0 {
            let process = self.readers[at].process;
            let body = Body::Polled { records: Vec::new(), moved: Vec::new(), error: Some("no answer".into()) };
            return self.push(process, body);
        }
        self.read(at, 8);
    }

    /// Hands out up to `most` records of each partition; returns their number.
    fn read(&mut self, at: usize, most: usize) -> usize {
        let mut records = Vec::new();
        let (reader, rng) = (&mut self.readers[at], &mut self.rng);
        for (partition, position) in &mut reader.positions {
            let log = &self.logs[partition];
            let from = usize::try_from(*position).expect("not negative");
            let until = log.len().min(from + rng.usize(0..=most));
            for (offset, value) in (*position..).zip(&log[from..until]) {
                let Some(value) = value.clone() else { continue };
                records.push(Seen { partition: partition.clone(), offset, value });
            }
            *position = i64::try_from(until).expect("small").max(*position);
        }
        let count = records.len();
        let process = reader.process;
        self.push(process, Body::Polled { records, moved: Vec::new(), error: None });
        count
    }

    fn commit(&mut self) {
        let at = self.rng.usize(..self.readers.len());
        let reader = &self.readers[at];
        let (process, Some(group)) = (reader.process, reader.group.clone()) else { return };
        let positions: Vec<_> = reader.positions.iter().map(|(at, offset)| (at.clone(), *offset)).collect();
        self.push(process, Body::CommitInvoked(positions.clone()));
        let (applied, outcome) = match self.rng.u32(..5) {
            0 => (false, CommitOutcome::Failed("refused".into())),
            1 => (self.rng.bool(), CommitOutcome::InDoubt("no answer".into())),
            _ => (true, CommitOutcome::Done),
        };
        if applied {
            for (partition, offset) in positions {
                self.committed.insert((group.clone(), partition), offset);
            }
        }
        self.push(process, Body::Committed(outcome));
    }

    fn seek(&mut self) {
        let reader = self.readers.iter_mut().find(|reader| reader.group.is_none()).expect("one has none");
        let partition = self.rng.choice(&self.partitions).expect("some").clone();
        let end = i64::try_from(self.logs[&partition].len()).expect("small");
        let to = self.rng.i64(0..=end);
        reader.positions.insert(partition.clone(), to);
        let process = reader.process;
        self.push(process, Body::Moved { partition, to: Some(to) });
    }

    fn restart_producer(&mut self) {
        let at = self.rng.usize(..self.producers.len());
        let fresh_is_idempotent = self.rng.u32(..4) > 0;
        let fresh = self.producer(fresh_is_idempotent);
        let old = std::mem::replace(&mut self.producers[at], fresh);
        let crash = self.rng.bool();
        for pending in old.pending {
            if self.rng.bool() {
                self.append(&pending);
            }
            if !crash && !pending.decided {
                self.decided(old.process, pending.value, Outcome::InDoubt("closed".into()));
            }
        }
        if crash {
            self.push(old.process, Body::Crashed);
        }
    }

    fn restart_reader(&mut self) {
        let at = self.rng.usize(..self.readers.len());
        let group = self.readers[at].group.clone();
        self.readers[at] = self.reader(group);
    }

    /// Decides all sends, lets every reader reach the end, and reads everything again from the beginning.
    fn finish(&mut self) {
        while self.producers.iter().any(|producer| !producer.pending.is_empty()) {
            self.decide();
        }
        self.finish_team();
        let last = self.reader(None);
        let process = last.process;
        self.readers.push(last);
        for at in 0..self.readers.len() {
            while self.readers[at].positions.iter().any(|(at, position)| !self.is_end(at, *position)) {
                self.read(at, 50);
            }
        }
        for partition in self.partitions.clone() {
            let to = i64::try_from(self.logs[&partition].len()).expect("small");
            self.push(process, Body::ReadToEnd { partition, from: 0, to });
        }
    }

    fn is_end(&self, partition: &TopicPartition, position: i64) -> bool {
        i64::try_from(self.logs[partition].len()).expect("small") == position
    }
}
