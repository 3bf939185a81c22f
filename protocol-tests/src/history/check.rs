//! The index that all rules use: sends by value, and values by offset.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;

use ottla::types::TopicName;
use ottla::types::TopicPartition;

use super::Anomaly;
use super::Body;
use super::Event;
use super::History;
use super::Outcome;
use super::Role;
use super::Rule;
use super::Value;
use super::owning;
use super::reading;
use super::sending;

/// Returns every anomaly of a history. A decision may be `slack` late, because of the scheduler of the machine.
pub fn check(history: &History, slack: Duration) -> Vec<Anomaly> {
    let (index, mut anomalies) = Index::new(history);
    sending::check(&index, slack, &mut anomalies);
    reading::check(history, &index, &mut anomalies);
    owning::check(history, &index, &mut anomalies);
    anomalies
}

fn forsaken(event: &Event) -> Option<&TopicPartition> {
    match &event.body {
        Body::Forsaken(partition) => Some(partition),
        _ => None,
    }
}

/// A send, and everything known about it.
#[derive(Debug)]
pub(super) struct Send<'h> {
    pub(super) value: &'h Value,
    pub(super) process: u32,
    pub(super) topic: &'h TopicName,
    pub(super) partition: Option<i32>,
    pub(super) deadline: Duration,
    /// The event of its invocation. The sends of a process were invoked in this order.
    pub(super) invoked: u64,
    pub(super) accepted: Option<u64>,
    /// Whether its log is exempt from the rules.
    forsaken: bool,
    pub(super) decided: Vec<Decision<'h>>,
}

#[derive(Debug)]
pub(super) struct Decision<'h> {
    pub(super) event: u64,
    pub(super) at: Duration,
    pub(super) outcome: &'h Outcome,
}

impl Send<'_> {
    /// The acknowledged partition and offset, and the event.
    pub(super) fn acknowledged(&self) -> Option<(TopicPartition, Option<i64>, u64)> {
        if self.forsaken {
            return None;
        }
        self.decided.iter().find_map(|decision| match decision.outcome {
            Outcome::Acknowledged { partition, offset } => {
                Some((TopicPartition::new(self.topic.clone(), *partition), *offset, decision.event))
            }
            Outcome::NotWritten(_) | Outcome::InDoubt(_) => None,
        })
    }
}

/// A value known to be at an offset, by an acknowledgement or by a poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known<'h> {
    pub(super) value: &'h Value,
    pub(super) event: u64,
}

/// The values at each offset of a partition; more than one is an anomaly.
pub(super) type Log<'h> = BTreeMap<i64, Vec<Known<'h>>>;

pub(super) struct Index<'h> {
    /// In the order of invocation.
    pub(super) sends: Vec<Send<'h>>,
    pub(super) by_value: HashMap<&'h Value, usize>,
    pub(super) logs: BTreeMap<TopicPartition, Log<'h>>,
    /// The places where each value was read, with the first event that read it there.
    pub(super) read: HashMap<&'h Value, Vec<(TopicPartition, i64, u64)>>,
    pub(super) crashed: HashSet<u32>,
    /// Producers that promise neither order nor uniqueness.
    pub(super) lenient: HashSet<u32>,
    pub(super) groups: HashMap<u32, &'h str>,
    /// The processes that are members of their groups.
    pub(super) members: HashSet<u32>,
    /// Partitions whose logs are exempt from the rules.
    pub(super) forsaken: HashSet<&'h TopicPartition>,
    /// The final start offsets of partitions from which retention deleted records.
    pub(super) starts: HashMap<&'h TopicPartition, i64>,
}

impl<'h> Index<'h> {
    fn new(history: &'h History) -> (Self, Vec<Anomaly>) {
        let mut index = Self {
            sends: Vec::new(),
            by_value: HashMap::new(),
            logs: BTreeMap::new(),
            read: HashMap::new(),
            crashed: HashSet::new(),
            lenient: HashSet::new(),
            groups: HashMap::new(),
            members: HashSet::new(),
            forsaken: history.events().iter().filter_map(forsaken).collect(),
            starts: HashMap::new(),
        };
        let mut anomalies = Vec::new();
        for event in history.events() {
            if let Err(problem) = index.take(event) {
                anomalies.push(Anomaly::new(Rule::Malformed, problem, [event.index]));
            }
        }
        index.forsake();
        index.place_acknowledged();
        (index, anomalies)
    }

    fn take(&mut self, event: &'h Event) -> Result<(), String> {
        match &event.body {
            Body::Opened(Role::Producer { idempotent: false }) => drop(self.lenient.insert(event.process)),
            Body::Opened(Role::Consumer { group: Some(group) }) => drop(self.groups.insert(event.process, group)),
            Body::Subscribed(_) => drop(self.members.insert(event.process)),
            Body::Crashed => drop(self.crashed.insert(event.process)),
            Body::Invoked { topic, partition, value, deadline } => {
                let send = Send {
                    value,
                    process: event.process,
                    topic,
                    partition: *partition,
                    deadline: *deadline,
                    invoked: event.index,
                    accepted: None,
                    forsaken: false,
                    decided: Vec::new(),
                };
                if self.by_value.insert(value, self.sends.len()).is_some() {
                    return Err(format!("{value} is sent a second time"));
                }
                self.sends.push(send);
            }
            Body::Accepted { value, deadline } => {
                let send = self.send_mut(value)?;
                send.deadline = *deadline;
                send.accepted = Some(event.index);
            }
            Body::Decided { value, outcome } => {
                self.send_mut(value)?.decided.push(Decision { event: event.index, at: event.at, outcome });
            }
            Body::Polled { records, .. } => {
                for record in records {
                    if self.forsaken.contains(&record.partition) {
                        continue;
                    }
                    self.place(&record.partition, record.offset, &record.value, event.index);
                    let places = self.read.entry(&record.value).or_default();
                    let same =
                        |place: &(TopicPartition, i64, u64)| place.0 == record.partition && place.1 == record.offset;
                    if !places.iter().any(same) {
                        places.push((record.partition.clone(), record.offset, event.index));
                    }
                }
            }
            Body::Retained { partition, start } => drop(self.starts.insert(partition, *start)),
            Body::Opened(_)
            | Body::Moved { .. }
            | Body::Rebalanced { .. }
            | Body::CommitInvoked(_)
            | Body::Committed(_)
            | Body::ReadToEnd { .. }
            | Body::Forsaken(_)
            | Body::Fault(_) => {}
        }
        Ok(())
    }

    fn send_mut(&mut self, value: &Value) -> Result<&mut Send<'h>, String> {
        let number = self.by_value.get(value).ok_or_else(|| format!("{value} was not sent before"))?;
        Ok(&mut self.sends[*number])
    }

    fn place(&mut self, partition: &TopicPartition, offset: i64, value: &'h Value, event: u64) {
        if !self.logs.contains_key(partition) {
            self.logs.insert(partition.clone(), Log::new());
        }
        let here = self.logs.get_mut(partition).expect("made above").entry(offset).or_default();
        if !here.iter().any(|known| known.value == value) {
            here.push(Known { value, event });
        }
    }

    fn forsake(&mut self) {
        for number in 0..self.sends.len() {
            let place = self.sends[number].acknowledged();
            self.sends[number].forsaken = place.is_some_and(|(partition, _, _)| self.forsaken.contains(&partition));
        }
    }

    fn place_acknowledged(&mut self) {
        let places: Vec<_> = self
            .sends
            .iter()
            .filter_map(|send| {
                let (partition, offset, event) = send.acknowledged()?;
                Some((partition, offset?, send.value, event))
            })
            .collect();
        for (partition, offset, value, event) in places {
            self.place(&partition, offset, value, event);
        }
    }

    /// The first value that is known to be at or after `from` and before `to`.
    pub(super) fn first_between(&self, partition: &TopicPartition, from: i64, to: i64) -> Option<(i64, Known<'h>)> {
        if from >= to {
            return None;
        }
        let (offset, known) = self.logs.get(partition)?.range(from..to).next()?;
        Some((*offset, *known.first()?))
    }
}
