//! The rules of reading: each process receives every record from its position on, in order; it commits no more than that; and
//! after the run every acknowledged record is in the log.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;

use ottla::types::TopicPartition;

use super::Anomaly;
use super::Body;
use super::Event;
use super::History;
use super::Rule;
use super::Seen;
use super::Value;
use super::check::Index;

pub(super) fn check(history: &History, index: &Index<'_>, anomalies: &mut Vec<Anomaly>) {
    let mut readers =
        Readers { index, cursors: HashMap::new(), groups: BTreeMap::new(), passed: Vec::new(), anomalies };
    for event in history.events() {
        readers.take(event);
    }
    readers.finish();
    ends(history, index, anomalies);
}

/// The position of a process in a partition.
#[derive(Clone, Copy, Debug)]
struct Cursor {
    /// The offset where it began since it was moved last.
    from: i64,
    /// The offset after the last record returned.
    next: i64,
    /// The event that set it.
    event: u64,
    /// Whether no record was returned since it was moved, so that the next one has no predecessor.
    fresh: bool,
}

/// The records of a partition that the readers of a group received.
#[derive(Debug, Default)]
struct Group {
    returned: BTreeSet<i64>,
    /// Whether a reader was moved while it read, so that skipped records are no loss.
    moved: bool,
}

struct Readers<'h, 'a> {
    index: &'a Index<'h>,
    cursors: HashMap<(u32, TopicPartition), Cursor>,
    groups: BTreeMap<(&'h str, TopicPartition), Group>,
    /// Stretches of partitions that a reader read without a gap.
    passed: Vec<(TopicPartition, Cursor)>,
    anomalies: &'a mut Vec<Anomaly>,
}

impl Readers<'_, '_> {
    fn take(&mut self, event: &Event) {
        match &event.body {
            Body::Moved { partition, to } => {
                let read = self.leave(event.process, partition);
                if read && let Some(name) = self.index.groups.get(&event.process) {
                    self.groups.entry((name, partition.clone())).or_default().moved = true;
                }
                if let Some(to) = *to {
                    let cursor = Cursor { from: to, next: to, event: event.index, fresh: true };
                    self.cursors.insert((event.process, partition.clone()), cursor);
                }
            }
            Body::Polled { records, moved, .. } => self.polled(event, records, moved),
            Body::CommitInvoked(positions) => {
                for (partition, offset) in positions {
                    self.committed(event, partition, *offset);
                }
            }
            Body::Rebalanced { partitions, .. } => {
                for partition in partitions {
                    self.leave(event.process, partition);
                }
            }
            Body::Opened(_)
            | Body::Subscribed(_)
            | Body::Invoked { .. }
            | Body::Accepted { .. }
            | Body::Decided { .. }
            | Body::Committed(_)
            | Body::ReadToEnd { .. }
            | Body::Crashed
            | Body::Forsaken(_)
            | Body::Retained { .. }
            | Body::Fault(_) => {}
        }
    }

    /// Ends a stretch. Returns whether a record was returned in it.
    fn leave(&mut self, process: u32, partition: &TopicPartition) -> bool {
        let Some(cursor) = self.cursors.remove(&(process, partition.clone())) else { return false };
        if !cursor.fresh {
            self.passed.push((partition.clone(), cursor));
        }
        !cursor.fresh
    }

    fn polled(&mut self, event: &Event, records: &[Seen], moved: &[TopicPartition]) {
        for partition in moved {
            self.leave(event.process, partition);
            if let Some(name) = self.index.groups.get(&event.process) {
                self.groups.entry((name, partition.clone())).or_default().moved = true;
            }
        }
        for record in records.iter().filter(|record| !self.index.forsaken.contains(&record.partition)) {
            let key = (event.process, record.partition.clone());
            let next = record.offset + 1;
            // The records before and after a move in this poll cannot be distinguished, so only its end counts.
            let before = self.cursors.get(&key).copied().filter(|_| !moved.contains(&record.partition));
            let cursor = match before {
                None => Cursor { from: record.offset, next, event: event.index, fresh: false },
                Some(before) => {
                    self.step(event, record, before);
                    Cursor { from: before.from, next: next.max(before.next), event: event.index, fresh: false }
                }
            };
            self.cursors.insert(key, cursor);
            if let Some(name) = self.index.groups.get(&event.process) {
                self.groups.entry((name, record.partition.clone())).or_default().returned.insert(record.offset);
            }
        }
    }

    /// Checks one record against the position of its process.
    fn step(&mut self, event: &Event, record: &Seen, before: Cursor) {
        let within = before.event == event.index;
        let Seen { partition, offset, value } = record;
        if *offset < before.next {
            let rule = if within { Rule::IntNonmonotonicPoll } else { Rule::NonmonotonicPoll };
            let detail = format!(
                "process {} got {value} at {partition}@{offset} when its position was {}",
                event.process, before.next
            );
            self.anomalies.push(Anomaly::new(rule, detail, [before.event, event.index]));
        } else if let Some((missed, known)) = self.index.first_between(partition, before.next, *offset) {
            let rule = if within { Rule::IntPollSkip } else { Rule::PollSkip };
            let detail = format!(
                "process {} went from {partition}@{} to {offset} past {} at {missed}",
                event.process, before.next, known.value
            );
            self.anomalies.push(Anomaly::new(rule, detail, [before.event, event.index, known.event]));
        }
    }

    fn committed(&mut self, event: &Event, partition: &TopicPartition, offset: i64) {
        let Some(cursor) = self.cursors.get(&(event.process, partition.clone())) else { return };
        if let Some((missed, known)) = self.index.first_between(partition, cursor.next, offset) {
            let detail = format!(
                "process {} committed {partition}@{offset} when its position was {}, before {} at {missed}",
                event.process, cursor.next, known.value
            );
            self.anomalies.push(Anomaly::new(Rule::CommitAhead, detail, [cursor.event, event.index, known.event]));
        }
    }

    fn finish(mut self) {
        let cursors = std::mem::take(&mut self.cursors);
        let read = cursors.into_iter().filter(|(_, cursor)| !cursor.fresh);
        self.passed.extend(read.map(|((_, partition), cursor)| (partition, cursor)));
        self.losses();
        for ((name, partition), group) in self.groups.iter().filter(|(_, group)| !group.moved) {
            let (Some(first), Some(last)) = (group.returned.first(), group.returned.last()) else { continue };
            let Some(log) = self.index.logs.get(partition) else { continue };
            // A group whose members subscribe begins at the first offset.
            let subscribes =
                self.index.groups.iter().any(|(process, of)| of == name && self.index.members.contains(process));
            let first = if subscribes { &0 } else { first };
            let first = *first.max(self.index.starts.get(partition).unwrap_or(first));
            if first >= *last {
                continue;
            }
            for (offset, known) in log.range(first..*last).filter(|(offset, _)| !group.returned.contains(*offset)) {
                let detail = format!("group {name} never got {} at {partition}@{offset}", known[0].value);
                self.anomalies.push(Anomaly::new(Rule::GroupSkip, detail, [known[0].event]));
            }
        }
    }

    /// Finds acknowledged records in stretches that were read, which no reader received.
    fn losses(&mut self) {
        for send in self.index.sends.iter().filter(|send| !self.index.read.contains_key(send.value)) {
            let Some((partition, Some(offset), acknowledged)) = send.acknowledged() else { continue };
            let past = |(place, cursor): &&(TopicPartition, Cursor)| {
                *place == partition && (cursor.from..cursor.next).contains(&offset)
            };
            if let Some((_, cursor)) = self.passed.iter().find(past) {
                let detail = format!("{} was acknowledged at {partition}@{offset} and no reader got it", send.value);
                let events = [send.invoked, acknowledged, cursor.event];
                self.anomalies.push(Anomaly::new(Rule::LostWrite, detail, events));
            }
        }
    }
}

/// Compares the acknowledged records with those of readers that read a partition to its end.
fn ends(history: &History, index: &Index<'_>, anomalies: &mut Vec<Anomaly>) {
    let mut finished: HashMap<&TopicPartition, Vec<(u32, i64, u64)>> = HashMap::new();
    for event in history.events() {
        if let Body::ReadToEnd { partition, from, .. } = &event.body {
            finished.entry(partition).or_default().push((event.process, *from, event.index));
        }
    }
    let finals: HashSet<u32> = finished.values().flatten().map(|(process, _, _)| *process).collect();
    let mut returned: HashMap<u32, HashSet<&Value>> = HashMap::new();
    for event in history.events().iter().filter(|event| finals.contains(&event.process)) {
        if let Body::Polled { records, .. } = &event.body {
            returned.entry(event.process).or_default().extend(records.iter().map(|record| &record.value));
        }
    }
    let mut unfinished: BTreeMap<TopicPartition, u64> = BTreeMap::new();
    for send in &index.sends {
        let Some((partition, offset, acknowledged)) = send.acknowledged() else { continue };
        let Some(readers) = finished.get(&partition) else {
            unfinished.entry(partition).or_insert(acknowledged);
            continue;
        };
        for (process, from, end) in readers {
            // Retention may have taken what is before the first offset.
            let covered = acknowledged < *end && offset.unwrap_or(0) >= *from;
            let there = returned.get(process).is_some_and(|values| values.contains(send.value));
            if covered && !there {
                let detail = format!("{} was acknowledged and is not in {partition} in the end", send.value);
                anomalies.push(Anomaly::new(Rule::Unseen, detail, [send.invoked, acknowledged, *end]));
            }
        }
    }
    for (partition, event) in unfinished {
        let detail = format!("{partition} was not read to its end");
        anomalies.push(Anomaly::new(Rule::Unfinished, detail, [event]));
    }
}
