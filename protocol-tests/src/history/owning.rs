//! The rules of members: each reads only what it owns, no partition has two owners in one generation, and a new owner begins at the
//! committed offset.
//!
//! A member that the group removed while it was cut off may read on until it notices: by then others own its partitions, in a later
//! generation. Records are repeated only from the committed offset on, so only after a death, a loss or a commit that failed.

use std::collections::BTreeMap;
use std::collections::HashMap;

use ottla::types::TopicPartition;

use super::Anomaly;
use super::Body;
use super::Change;
use super::CommitOutcome;
use super::Event;
use super::History;
use super::Rule;
use super::Seen;
use super::check::Index;

pub(super) fn check(history: &History, index: &Index<'_>, anomalies: &mut Vec<Anomaly>) {
    let mut owners = Owners {
        index,
        open: HashMap::new(),
        ended: Vec::new(),
        offsets: BTreeMap::new(),
        commits: HashMap::new(),
        anomalies,
    };
    for event in history.events().iter().filter(|event| index.members.contains(&event.process)) {
        owners.take(event);
    }
    owners.finish();
}

type Place<'h> = (&'h str, &'h TopicPartition);

/// The time in which a member owns a partition.
#[derive(Clone, Debug)]
struct Tenure<'h> {
    place: Place<'h>,
    process: u32,
    /// The first and the last generation in which it is known to own it.
    generations: (i32, i32),
    /// The events of its beginning and end.
    events: (u64, u64),
    /// The offsets at which it may begin: the committed ones at its assignment. `None` once it has returned a record.
    starts: Option<Vec<i64>>,
}

/// The committed offsets of a partition that a new owner may find.
#[derive(Debug, Default)]
struct Offsets {
    done: Option<(i64, u64)>,
    /// Commits with an unknown outcome: the process, the offset, the event.
    maybe: Vec<(u32, i64, u64)>,
    /// The number of owners so far.
    owners: u64,
}

impl Offsets {
    /// The offsets where an owner may begin. A group without a commit begins at the first one.
    fn starts(&self) -> impl Iterator<Item = i64> {
        let first = self.done.map_or(0, |(offset, _)| offset);
        std::iter::once(first).chain(self.maybe.iter().map(|(_, offset, _)| *offset))
    }

    fn events(&self) -> impl Iterator<Item = u64> {
        self.done.iter().map(|(_, event)| *event).chain(self.maybe.iter().map(|(_, _, event)| *event))
    }
}

struct Commit<'h> {
    event: u64,
    /// Each with the number of owners that the partition had had.
    positions: Vec<(Place<'h>, i64, u64)>,
}

struct Owners<'h, 'a> {
    index: &'a Index<'h>,
    open: HashMap<(u32, &'h TopicPartition), Tenure<'h>>,
    ended: Vec<Tenure<'h>>,
    offsets: BTreeMap<Place<'h>, Offsets>,
    /// The commit of each process that has not ended.
    commits: HashMap<u32, Commit<'h>>,
    anomalies: &'a mut Vec<Anomaly>,
}

impl<'h> Owners<'h, '_> {
    fn take(&mut self, event: &'h Event) {
        match &event.body {
            Body::Rebalanced { change: Change::Assigned, generation, partitions } => {
                self.assigned(event, *generation, partitions);
            }
            Body::Rebalanced { change: Change::Revoked | Change::Lost, partitions, .. } => {
                for partition in partitions {
                    if !self.end(event, partition) {
                        let detail = format!("process {} gave up {partition}, which it does not own", event.process);
                        self.anomalies.push(Anomaly::new(Rule::WrongRebalance, detail, [event.index]));
                    }
                }
            }
            Body::Crashed => {
                let owned = self.open.keys().filter(|(process, _)| *process == event.process);
                for (_, partition) in owned.copied().collect::<Vec<_>>() {
                    self.end(event, partition);
                }
            }
            Body::Polled { records, moved, .. } => {
                for record in records.iter().filter(|record| !self.index.forsaken.contains(&record.partition)) {
                    self.returned(event, record, moved);
                }
            }
            Body::CommitInvoked(positions) => self.commit_invoked(event, positions),
            Body::Committed(outcome) => self.committed(event, outcome),
            Body::Opened(_)
            | Body::Subscribed(_)
            | Body::Invoked { .. }
            | Body::Accepted { .. }
            | Body::Decided { .. }
            | Body::Moved { .. }
            | Body::ReadToEnd { .. }
            | Body::Forsaken(_)
            | Body::Retained { .. }
            | Body::Fault(_) => {}
        }
    }

    fn place(&self, process: u32, partition: &'h TopicPartition) -> Place<'h> {
        (self.index.groups.get(&process).copied().unwrap_or_default(), partition)
    }

    fn assigned(&mut self, event: &Event, generation: i32, partitions: &'h [TopicPartition]) {
        // The partitions that stay are its own in this generation, too.
        for tenure in self.open.values_mut().filter(|tenure| tenure.process == event.process) {
            tenure.generations.1 = tenure.generations.1.max(generation);
        }
        for partition in partitions {
            if self.end(event, partition) {
                let detail = format!("process {} was assigned {partition}, which it owns", event.process);
                self.anomalies.push(Anomaly::new(Rule::WrongRebalance, detail, [event.index]));
            }
            let place = self.place(event.process, partition);
            let offsets = self.offsets.entry(place).or_default();
            offsets.owners += 1;
            let starts = Some(offsets.starts().collect());
            let tenure = Tenure {
                place,
                process: event.process,
                generations: (generation, generation),
                events: (event.index, u64::MAX),
                starts,
            };
            self.open.insert((event.process, partition), tenure);
        }
    }

    /// Ends the time in which a process owns a partition; returns whether it does.
    fn end(&mut self, event: &Event, partition: &'h TopicPartition) -> bool {
        let Some(mut tenure) = self.open.remove(&(event.process, partition)) else { return false };
        tenure.events.1 = event.index;
        self.ended.push(tenure);
        true
    }

    fn returned(&mut self, event: &'h Event, record: &'h Seen, moved: &[TopicPartition]) {
        let Seen { partition, offset, value } = record;
        let Some(tenure) = self.open.get_mut(&(event.process, partition)) else {
            let detail =
                format!("process {} got {value} at {partition}@{offset}, which it does not own", event.process);
            return self.anomalies.push(Anomaly::new(Rule::ReadUnowned, detail, [event.index]));
        };
        let Some(mut starts) = tenure.starts.take().filter(|_| !moved.contains(partition)) else { return };
        let (place, begun) = (tenure.place, tenure.events.0);
        let offsets = self.offsets.entry(place).or_default();
        let begins_at = |start: i64| start <= *offset && self.index.first_between(partition, start, *offset).is_none();
        // It reads the committed offset between its assignment and its first record.
        starts.extend(offsets.starts());
        let first = self.index.starts.get(partition).copied().unwrap_or(0);
        if starts.iter().map(|start| *start.max(&first)).any(begins_at) {
            return;
        }
        let is_behind = starts.iter().all(|start| *start > *offset);
        let rule = if is_behind { Rule::OwnerBehind } else { Rule::OwnerAhead };
        let detail =
            format!("process {} began at {partition}@{offset} where {starts:?} may be committed", event.process);
        self.anomalies.push(Anomaly::new(rule, detail, offsets.events().chain([begun, event.index])));
    }

    fn commit_invoked(&mut self, event: &'h Event, positions: &'h [(TopicPartition, i64)]) {
        let mut commit = Commit { event: event.index, positions: Vec::new() };
        for (partition, offset) in positions {
            let place = self.place(event.process, partition);
            let offsets = self.offsets.entry(place).or_default();
            // One that has returned nothing may commit where it began.
            let is_fresh = self.open.get(&(event.process, partition)).is_some_and(|tenure| tenure.starts.is_some());
            let last = offsets.starts().max().unwrap_or(0);
            if is_fresh && let Some((missed, known)) = self.index.first_between(partition, last, *offset) {
                let detail = format!(
                    "process {} committed {partition}@{offset} and has returned nothing, before {} at {missed}",
                    event.process, known.value
                );
                self.anomalies.push(Anomaly::new(Rule::CommitAhead, detail, [event.index, known.event]));
            }
            offsets.maybe.push((event.process, *offset, event.index));
            commit.positions.push((place, *offset, offsets.owners));
        }
        self.commits.insert(event.process, commit);
    }

    /// A commit that failed may have been made for some of its partitions.
    fn committed(&mut self, event: &Event, outcome: &CommitOutcome) {
        let Some(commit) = self.commits.remove(&event.process) else { return };
        if *outcome != CommitOutcome::Done {
            return;
        }
        for (place, offset, owners) in commit.positions {
            let offsets = self.offsets.entry(place).or_default();
            // Another owner may have committed since, whose commit is the last.
            if offsets.owners == owners {
                offsets.done = Some((offset, commit.event));
                offsets.maybe.retain(|(process, _, since)| *process == event.process && *since != commit.event);
            }
        }
    }

    /// Compares each owner of a partition with the others of its group.
    fn finish(mut self) {
        self.ended.extend(self.open.drain().map(|(_, tenure)| tenure));
        let mut by_place: BTreeMap<Place<'h>, Vec<Tenure<'h>>> = BTreeMap::new();
        for tenure in self.ended.drain(..) {
            by_place.entry(tenure.place).or_default().push(tenure);
        }
        for ((group, partition), mut tenures) in by_place {
            tenures.sort_by_key(|tenure| tenure.events);
            for (at, tenure) in tenures.iter().enumerate() {
                let later = tenures[at + 1..].iter().take_while(|later| later.events.0 < tenure.events.1);
                let meets = |later: &&Tenure<'_>| {
                    later.process != tenure.process
                        && later.generations.0 <= tenure.generations.1
                        && tenure.generations.0 <= later.generations.1
                };
                if let Some(later) = later.clone().find(meets) {
                    let detail = format!(
                        "{partition} belongs to {} (generations {:?}) and {} ({:?}) of {group}",
                        tenure.process, tenure.generations, later.process, later.generations
                    );
                    let events = [tenure.events.0, later.events.0];
                    self.anomalies.push(Anomaly::new(Rule::TwoOwners, detail, events));
                }
            }
        }
    }
}
