//! The history of a run, for the judge of histories: [`crate::history::check`] checks the simulator as it checks real brokers and
//! clients, independently of the ghost.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla::types::TopicName;
use ottla::types::TopicPartition;

use super::ghost::Place;
use super::ghost::Said;
use super::reading::Begin;
use crate::history::Anomaly;
use crate::history::Body;
use crate::history::History;
use crate::history::Outcome;
use crate::history::Role;
use crate::history::Seen;
use crate::history::Value;
use crate::history::check;

/// The history so far.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    history: History,
    now: Duration,
    /// The total time in which nothing could happen.
    stop: Duration,
    topics: Vec<TopicName>,
    writers: BTreeMap<(usize, u32), u32>,
    readers: BTreeMap<usize, u32>,
    /// The partitions in which each process has begun.
    begun: BTreeSet<(u32, Place)>,
    processes: u32,
}

impl Chronicle {
    /// Advances the time.
    pub(super) fn at(&mut self, now: u64) {
        self.now = Duration::from_micros(now);
    }

    /// Advances the time by a jump in which nothing could happen.
    pub(super) fn jumped(&mut self, now: u64) {
        self.stop += Duration::from_micros(now).saturating_sub(self.now);
        self.at(now);
    }

    fn key(&mut self, place: Place) -> TopicPartition {
        while self.topics.len() <= place.0 {
            self.topics.push(format!("t{}", self.topics.len()).as_str().into());
        }
        TopicPartition::new(self.topics[place.0].clone(), place.1)
    }

    fn open(&mut self, role: Role) -> u32 {
        let process = self.processes;
        self.processes += 1;
        self.history.push(self.now, process, Body::Opened(role));
        process
    }

    fn push(&mut self, process: u32, body: Body) {
        self.history.push(self.now, process, body);
    }

    /// A record is accepted.
    pub(super) fn accepted(&mut self, writer: (usize, u32), place: Place, number: u64, deadline: u64, once: bool) {
        let process = if let Some(process) = self.writers.get(&writer) {
            *process
        } else {
            let process = self.open(Role::Producer { idempotent: once });
            *self.writers.entry(writer).or_insert(process)
        };
        let TopicPartition { topic, partition } = self.key(place);
        let (value, deadline) = (value(number), Duration::from_micros(deadline));
        self.push(process, Body::Invoked { topic, partition: Some(partition), value: value.clone(), deadline });
        self.push(process, Body::Accepted { value, deadline });
    }

    /// A producer reported the outcome of a record.
    pub(super) fn decided(&mut self, writer: (usize, u32), place: Place, number: u64, said: Said) {
        let Some(process) = self.writers.get(&writer).copied() else { return };
        let outcome = match said {
            Said::Acknowledged(offset) => Outcome::Acknowledged { partition: place.1, offset },
            Said::NotWritten => Outcome::NotWritten(String::new()),
            Said::MaybeWritten => Outcome::InDoubt(String::new()),
        };
        self.push(process, Body::Decided { value: value(number), outcome });
    }

    /// A consumer begins; an earlier one of this number has ended.
    pub(super) fn opened(&mut self, reader: usize, group: &str) {
        let process = self.open(Role::Consumer { group: Some(group.to_owned()) });
        self.readers.insert(reader, process);
    }

    /// A consumer begins in a partition, or seeks.
    pub(super) fn begins(&mut self, reader: usize, place: Place, begin: &Begin) {
        let to = match begin {
            Begin::Offset(offset) => Some(*offset),
            Begin::Earliest | Begin::Latest | Begin::Stored => None,
        };
        let process = self.readers[&reader];
        if self.begun.insert((process, place)) {
            let partition = self.key(place);
            return self.push(process, Body::Moved { partition, to });
        }
        self.moved(process, place, to);
    }

    /// A consumer reported that its position was moved.
    pub(super) fn reset(&mut self, reader: usize, place: Place, to: i64) {
        self.moved(self.readers[&reader], place, Some(to));
    }

    /// The records between are skipped on purpose.
    fn moved(&mut self, process: u32, place: Place, to: Option<i64>) {
        let partition = self.key(place);
        let moved = vec![partition.clone()];
        self.push(process, Body::Polled { records: Vec::new(), moved, error: None });
        self.push(process, Body::Moved { partition, to });
    }

    /// A consumer returned a record.
    pub(super) fn returned(&mut self, reader: usize, place: Place, offset: i64, number: u64) {
        let (process, partition) = (self.readers[&reader], self.key(place));
        let seen = Seen { partition, offset, value: value(number) };
        self.push(process, Body::Polled { records: vec![seen], moved: Vec::new(), error: None });
    }

    /// A consumer commits.
    pub(super) fn commits(&mut self, reader: usize, place: Place, offset: i64) {
        let (process, partition) = (self.readers[&reader], self.key(place));
        self.push(process, Body::CommitInvoked(vec![(partition, offset)]));
    }

    /// The cluster broke its promises about a partition.
    pub(super) fn forsaken(&mut self, place: Place) {
        let partition = self.key(place);
        self.push(u32::MAX, Body::Forsaken(partition));
    }

    /// Retention deleted the records before `start`.
    pub(super) fn retained(&mut self, place: Place, start: i64) {
        let partition = self.key(place);
        self.push(u32::MAX, Body::Retained { partition, start });
    }

    /// Ends the history with the records of each log, and returns its first anomaly.
    pub(super) fn judge<'l>(
        mut self,
        logs: impl Iterator<Item = (Place, [i64; 2], &'l [(i64, u64)])>,
        slack: Duration,
    ) -> Option<Anomaly> {
        let process = self.open(Role::Consumer { group: None });
        for (place, [from, to], entries) in logs {
            let partition = self.key(place);
            let seen = |(offset, number): &(i64, u64)| Seen {
                partition: partition.clone(),
                offset: *offset,
                value: value(*number),
            };
            let records = entries.iter().filter(|(offset, _)| *offset >= from).map(seen).collect();
            self.push(process, Body::Moved { partition: partition.clone(), to: Some(from) });
            self.push(process, Body::Polled { records, moved: Vec::new(), error: None });
            self.push(process, Body::ReadToEnd { partition, from, to });
        }
        check(&self.history, self.stop + slack).into_iter().next()
    }
}

fn value(number: u64) -> Value {
    Arc::from(number.to_string())
}
