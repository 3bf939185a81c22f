//! Faults that are planted in good histories, at least one for each rule.

// A plant looks for the one kind of event that it changes.
#![allow(clippy::wildcard_enum_match_arm)]

mod team;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ottla::types::TopicPartition;
use protocol_tests::history::Body;
use protocol_tests::history::Event;
use protocol_tests::history::History;
use protocol_tests::history::Outcome;
use protocol_tests::history::Role;
use protocol_tests::history::Rule;
use protocol_tests::history::Seen;
use protocol_tests::history::Value;

/// A fault.
pub(super) struct Plant {
    /// The rule that it breaks.
    pub(super) rule: Rule,
    /// Other rules that it may break, too.
    pub(super) also: &'static [Rule],
    /// Plants it in a history; returns whether there was a place for it.
    pub(super) sow: fn(&mut History) -> bool,
}

pub(super) const ALL: &[Plant] = &[
    Plant {
        rule: Rule::OwnerAhead,
        also: &[Rule::GroupSkip, Rule::LostWrite, Rule::CommitAhead],
        sow: team::begins_ahead,
    },
    Plant { rule: Rule::OwnerBehind, also: &[], sow: team::begins_behind },
    Plant { rule: Rule::ReadUnowned, also: &[], sow: team::reads_after_revocation },
    Plant { rule: Rule::TwoOwners, also: &[], sow: team::is_assigned_twice },
    Plant { rule: Rule::TwoOwners, also: &[Rule::WrongRebalance], sow: team::keeps_what_moved },
    Plant { rule: Rule::WrongRebalance, also: &[], sow: team::gives_up_what_it_has_not },
    Plant { rule: Rule::GroupSkip, also: &[Rule::OwnerAhead, Rule::CommitAhead], sow: team::skips_the_beginning },
    Plant { rule: Rule::CommitAhead, also: &[], sow: team::commits_before_it_reads },
    Plant { rule: Rule::CommitAhead, also: &[], sow: commit_ahead },
    Plant { rule: Rule::DeliveryReportCount, also: &[], sow: decided_twice },
    Plant { rule: Rule::DeliveryReportCount, also: &[], sow: never_decided },
    Plant { rule: Rule::Duplicate, also: &[Rule::NonmonotonicSend], sow: duplicate },
    Plant { rule: Rule::GroupSkip, also: &[], sow: group_skip },
    Plant { rule: Rule::InconsistentOffsets, also: &[Rule::Phantom], sow: inconsistent },
    Plant { rule: Rule::IntNonmonotonicPoll, also: &[Rule::IntPollSkip, Rule::PollSkip], sow: swapped_in_poll },
    Plant { rule: Rule::IntPollSkip, also: &[Rule::GroupSkip], sow: left_out_in_poll },
    Plant { rule: Rule::LateDecision, also: &[], sow: late },
    // The reader's skip is found, too, because the acknowledgement has the offset.
    Plant {
        rule: Rule::LostWrite,
        also: &[Rule::Unseen, Rule::PollSkip, Rule::IntPollSkip, Rule::GroupSkip, Rule::CommitAhead],
        sow: lost,
    },
    Plant { rule: Rule::Malformed, also: &[], sow: malformed },
    Plant { rule: Rule::Misrouted, also: &[Rule::Duplicate, Rule::NonmonotonicSend], sow: misrouted },
    Plant { rule: Rule::Misrouted, also: &[], sow: said_to_be_elsewhere },
    Plant { rule: Rule::NonmonotonicPoll, also: &[], sow: handed_again },
    Plant { rule: Rule::NonmonotonicSend, also: &[], sow: reordered },
    Plant { rule: Rule::Phantom, also: &[], sow: phantom },
    Plant { rule: Rule::PollSkip, also: &[Rule::GroupSkip], sow: left_out_between_polls },
    Plant { rule: Rule::ReadOfFailed, also: &[Rule::NonmonotonicSend], sow: failed_and_read },
    Plant { rule: Rule::Unfinished, also: &[], sow: unfinished },
    Plant { rule: Rule::Unseen, also: &[Rule::CommitAhead], sow: unseen },
];

fn value_of(event: &Event) -> Option<&Value> {
    match &event.body {
        Body::Decided { value, .. } => Some(value),
        _ => None,
    }
}

/// Positions, in the list of events, of those for which `wanted` holds.
fn find(history: &History, wanted: impl Fn(&Event) -> bool) -> Vec<usize> {
    history.events().iter().enumerate().filter(|(_, event)| wanted(event)).map(|(at, _)| at).collect()
}

/// The process that read everything at the end.
fn last_reader(history: &History) -> u32 {
    let end = find(history, |event| matches!(event.body, Body::ReadToEnd { .. }));
    history.events()[end[0]].process
}

fn records_mut(event: &mut Event) -> Option<&mut Vec<Seen>> {
    match &mut event.body {
        Body::Polled { records, .. } => Some(records),
        _ => None,
    }
}

/// Lets the last reader read a value after the end of a partition. Returns the offset.
fn add_at_end(history: &mut History, partition: &TopicPartition, value: Value) -> i64 {
    let process = last_reader(history);
    let ends = find(history, |event| matches!(event.body, Body::ReadToEnd { .. }));
    let mut offset = 0;
    for event in history.events_mut() {
        if let Body::ReadToEnd { partition: read, to, .. } = &mut event.body
            && read == partition
        {
            offset = *to;
            *to += 1;
        }
    }
    let records = vec![Seen { partition: partition.clone(), offset, value }];
    let at = history.events()[ends[0]].at;
    let body = Body::Polled { records, moved: Vec::new(), error: None };
    history.events_mut().insert(ends[0], Event { index: 0, at, process, body });
    offset
}

/// An acknowledged send with its place: its value, partition and offset.
fn acknowledged(history: &History) -> Vec<(Value, TopicPartition, i64)> {
    let mut topics = BTreeMap::new();
    let mut found = Vec::new();
    let lenient: Vec<u32> =
        find(history, |event| matches!(event.body, Body::Opened(Role::Producer { idempotent: false })))
            .into_iter()
            .map(|at| history.events()[at].process)
            .collect();
    for event in history.events().iter().filter(|event| !lenient.contains(&event.process)) {
        match &event.body {
            Body::Invoked { value, topic, .. } => drop(topics.insert(value.clone(), topic.clone())),
            Body::Decided { value, outcome: Outcome::Acknowledged { partition, offset: Some(offset) } } => {
                let partition = TopicPartition::new(topics[value].clone(), *partition);
                found.push((value.clone(), partition, *offset));
            }
            _ => {}
        }
    }
    found
}

/// Takes a value out of every poll.
fn forget(history: &mut History, value: &Value) {
    for records in history.events_mut().iter_mut().filter_map(records_mut) {
        records.retain(|record| record.value != *value);
    }
}

/// A commit one record beyond the position of its process.
fn commit_ahead(history: &mut History) -> bool {
    let all = acknowledged(history);
    for event in history.events_mut() {
        if let Body::CommitInvoked(positions) = &mut event.body {
            for (partition, position) in positions {
                // Its position was exactly the committed one.
                if all.iter().any(|(_, place, offset)| place == partition && offset == position) {
                    *position += 1;
                    return true;
                }
            }
        }
    }
    false
}

fn decided_twice(history: &mut History) -> bool {
    let at = find(history, |event| value_of(event).is_some())[5];
    let again = history.events()[at].clone();
    history.events_mut().insert(at + 1, again);
    true
}

fn never_decided(history: &mut History) -> bool {
    let crashed: Vec<u32> =
        find(history, |event| event.body == Body::Crashed).into_iter().map(|at| history.events()[at].process).collect();
    let decided = find(history, |event| {
        let acknowledged = matches!(&event.body, Body::Decided { outcome: Outcome::Acknowledged { .. }, .. });
        acknowledged && !crashed.contains(&event.process)
    });
    history.events_mut().remove(decided[3]);
    true
}

fn duplicate(history: &mut History) -> bool {
    let (value, partition, _) = acknowledged(history).swap_remove(4);
    add_at_end(history, &partition, value);
    true
}

/// All records of a partition that has acknowledged ones.
fn of_one_partition(history: &History) -> Vec<Seen> {
    let (_, partition, _) = acknowledged(history).swap_remove(0);
    let process = last_reader(history);
    let polls =
        history.events().iter().filter(|event| event.process == process).filter_map(|event| match &event.body {
            Body::Polled { records, .. } => Some(records),
            _ => None,
        });
    polls.flatten().filter(|record| record.partition == partition).cloned().collect()
}

/// A group whose reader is replaced by one that starts beyond the records that the group has read.
fn group_skip(history: &mut History) -> bool {
    let all = of_one_partition(history);
    if all.len() < 5 {
        return false;
    }
    for (process, records) in [(9_001, &all[..2]), (9_002, &all[3..])] {
        history.push(Duration::ZERO, process, Body::Opened(Role::Consumer { group: Some("skipped".into()) }));
        let to = Some(records[0].offset);
        history.push(Duration::ZERO, process, Body::Moved { partition: records[0].partition.clone(), to });
        let body = Body::Polled { records: records.to_vec(), moved: Vec::new(), error: None };
        history.push(Duration::ZERO, process, body);
    }
    true
}

fn inconsistent(history: &mut History) -> bool {
    let (value, _, _) = acknowledged(history).swap_remove(2);
    let records = history.events_mut().iter_mut().filter_map(records_mut);
    for record in records.flatten() {
        if record.value == value {
            record.value = Arc::from("another");
            return true;
        }
    }
    false
}

/// Finds a poll with two records of one partition next to each other, the first of them at `at`.
fn pair(history: &mut History, mut change: impl FnMut(&mut Vec<Seen>, usize)) -> bool {
    for records in history.events_mut().iter_mut().filter_map(records_mut) {
        let neighbours = |at: &usize| records[*at].partition == records[*at + 1].partition;
        if records.len() > 1
            && let Some(at) = (0..records.len() - 1).find(neighbours)
        {
            change(records, at);
            return true;
        }
    }
    false
}

fn swapped_in_poll(history: &mut History) -> bool {
    pair(history, |records, at| records.swap(at, at + 1))
}

fn left_out_in_poll(history: &mut History) -> bool {
    for records in history.events_mut().iter_mut().filter_map(records_mut) {
        let middle = |at: &usize| {
            records[*at - 1].partition == records[*at].partition && records[*at].partition == records[*at + 1].partition
        };
        if records.len() > 2
            && let Some(at) = (1..records.len() - 1).find(middle)
        {
            records.remove(at);
            return true;
        }
    }
    false
}

fn late(history: &mut History) -> bool {
    let at = find(history, |event| value_of(event).is_some())[9];
    history.events_mut()[at].at += Duration::from_secs(11);
    true
}

fn lost(history: &mut History) -> bool {
    let all = acknowledged(history);
    let is_last = |place: &TopicPartition, offset: i64| {
        !all.iter().any(|(_, partition, other)| partition == place && *other > offset)
    };
    let Some((value, ..)) = all.iter().find(|(_, place, offset)| !is_last(place, *offset)) else { return false };
    forget(history, value);
    true
}

fn malformed(history: &mut History) -> bool {
    let body = Body::Accepted { value: Arc::from("never invoked"), deadline: Duration::MAX };
    history.push(Duration::MAX, 1, body);
    true
}

fn misrouted(history: &mut History) -> bool {
    let (value, partition, _) = acknowledged(history).swap_remove(1);
    forget(history, &value);
    let other = TopicPartition::new(partition.topic, 1 - partition.partition);
    let offset = add_at_end(history, &other, value.clone());
    for event in history.events_mut() {
        if let Body::Decided { value: decided, outcome } = &mut event.body
            && *decided == value
        {
            // The producer trusts the acknowledgement; only the partition that the caller chose shows the mistake.
            *outcome = Outcome::Acknowledged { partition: other.partition, offset: Some(offset) };
        }
        if let Body::Invoked { value: invoked, partition: asked, .. } = &mut event.body
            && *invoked == value
        {
            *asked = Some(1 - other.partition);
        }
    }
    true
}

/// The acknowledgement names another partition than the one where the record is.
fn said_to_be_elsewhere(history: &mut History) -> bool {
    let chosen: Vec<Value> = history
        .events()
        .iter()
        .filter_map(|event| match &event.body {
            Body::Invoked { value, partition: None, .. } => Some(value.clone()),
            _ => None,
        })
        .collect();
    for event in history.events_mut() {
        if let Body::Decided { value, outcome: Outcome::Acknowledged { partition, offset } } = &mut event.body
            && chosen.contains(value)
        {
            *partition = 1 - *partition;
            *offset = None;
            return true;
        }
    }
    false
}

fn handed_again(history: &mut History) -> bool {
    let team = team::members(history);
    let mut last: BTreeMap<u32, Seen> = BTreeMap::new();
    for event in history.events_mut().iter_mut().filter(|event| !team.contains(&event.process)) {
        let process = event.process;
        if let Body::Moved { partition, .. } = &event.body
            && last.get(&process).is_some_and(|seen| seen.partition == *partition)
        {
            last.remove(&process);
        }
        let Some(records) = records_mut(event) else { continue };
        if let Some(seen) = last.get(&process)
            && records.first().is_none_or(|first| first.partition != seen.partition)
        {
            records.insert(0, seen.clone());
            return true;
        }
        if let Some(seen) = records.last() {
            last.insert(process, seen.clone());
        }
    }
    false
}

/// Two neighbours in a partition, of one process, change places wherever they are seen or acknowledged.
fn reordered(history: &mut History) -> bool {
    let all = acknowledged(history);
    let process = |value: &Value| value.split('-').next().expect("a process").to_owned();
    let find = || {
        for (one, place, offset) in &all {
            for (other, elsewhere, behind) in &all {
                if place == elsewhere && offset < behind && process(one) == process(other) {
                    return Some((one.clone(), other.clone(), *offset, *behind));
                }
            }
        }
        None
    };
    let Some((one, other, first, second)) = find() else { return false };
    for event in history.events_mut() {
        match &mut event.body {
            Body::Polled { records, .. } => {
                for record in records {
                    if record.value == one {
                        record.value = other.clone();
                    } else if record.value == other {
                        record.value = one.clone();
                    }
                }
            }
            Body::Decided { value, outcome: Outcome::Acknowledged { offset, .. } } => {
                if *value == one {
                    *offset = Some(second);
                } else if *value == other {
                    *offset = Some(first);
                }
            }
            _ => {}
        }
    }
    true
}

fn phantom(history: &mut History) -> bool {
    let (_, partition, _) = acknowledged(history).swap_remove(0);
    add_at_end(history, &partition, Arc::from("made up"));
    true
}

fn left_out_between_polls(history: &mut History) -> bool {
    let last = last_reader(history);
    let team = team::members(history);
    let mut stands: BTreeMap<(u32, TopicPartition), i64> = BTreeMap::new();
    let is_apart = |process: u32| process != last && !team.contains(&process);
    for event in history.events_mut().iter_mut().filter(|event| is_apart(event.process)) {
        let process = event.process;
        if let Body::Moved { partition, .. } = &event.body {
            stands.remove(&(process, partition.clone()));
        }
        let Some(records) = records_mut(event) else { continue };
        // The first record of a partition that was read before, with another of it behind.
        let first = (0..records.len()).find(|at| {
            let place = &records[*at].partition;
            stands.contains_key(&(process, place.clone()))
                && (*at == 0 || records[*at - 1].partition != *place)
                && records.get(*at + 1).is_some_and(|next| next.partition == *place)
        });
        if let Some(at) = first {
            records.remove(at);
            return true;
        }
        for record in records {
            stands.insert((process, record.partition.clone()), record.offset);
        }
    }
    false
}

fn failed_and_read(history: &mut History) -> bool {
    let failed = find(history, |event| matches!(&event.body, Body::Decided { outcome: Outcome::NotWritten(_), .. }));
    let value = value_of(&history.events()[failed[0]]).expect("it was found by it").clone();
    let sent = history.events().iter().find_map(|event| match &event.body {
        Body::Invoked { value: sent, topic, partition, .. } if *sent == value => {
            Some(TopicPartition::new(topic.clone(), partition.unwrap_or(0)))
        }
        _ => None,
    });
    add_at_end(history, &sent.expect("it was sent"), value);
    true
}

fn unfinished(history: &mut History) -> bool {
    let ends = find(history, |event| matches!(event.body, Body::ReadToEnd { .. }));
    history.events_mut().remove(ends[0]);
    true
}

/// The end of a partition is lost, from its last acknowledged record on: no reader passed it, so no reader skipped it.
fn unseen(history: &mut History) -> bool {
    let all = acknowledged(history);
    let (_, partition, offset) = all.iter().max_by_key(|(_, _, offset)| *offset).expect("some");
    for records in history.events_mut().iter_mut().filter_map(records_mut) {
        records.retain(|record| record.partition != *partition || record.offset < *offset);
    }
    true
}
