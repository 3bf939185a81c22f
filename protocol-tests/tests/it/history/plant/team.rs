//! Faults of members of a group.

use std::time::Duration;

use ottla::types::TopicPartition;
use protocol_tests::history::Body;
use protocol_tests::history::Change;
use protocol_tests::history::CommitOutcome;
use protocol_tests::history::Event;
use protocol_tests::history::History;
use protocol_tests::history::Role;
use protocol_tests::history::Seen;

use super::super::model::team::TEAM;
use super::find;
use super::of_one_partition;
use super::records_mut;

/// A change of the partitions of a member: its place, and what it says.
struct Turn {
    at: usize,
    process: u32,
    change: Change,
    generation: i32,
    partitions: Vec<TopicPartition>,
}

fn turns(history: &History) -> Vec<Turn> {
    let turn = |(at, event): (usize, &Event)| match &event.body {
        Body::Rebalanced { change, generation, partitions } => Some(Turn {
            at,
            process: event.process,
            change: *change,
            generation: *generation,
            partitions: partitions.clone(),
        }),
        _ => None,
    };
    history.events().iter().enumerate().filter_map(turn).collect()
}

fn insert(history: &mut History, at: usize, process: u32, body: Body) {
    let time = history.events()[at.min(history.events().len() - 1)].at;
    history.events_mut().insert(at, Event { index: 0, at: time, process, body });
}

/// The first poll after `from` in which a member returns records of a partition, unless its partitions change before.
fn first_poll(history: &History, from: usize, process: u32, partition: &TopicPartition) -> Option<usize> {
    let events = history.events().iter().enumerate().skip(from + 1).filter(|(_, event)| event.process == process);
    for (at, event) in events {
        match &event.body {
            Body::Rebalanced { .. } | Body::Crashed => return None,
            Body::Polled { records, .. } if records.iter().any(|record| record.partition == *partition) => {
                return Some(at);
            }
            _ => {}
        }
    }
    None
}

fn records_of<'h>(history: &'h History, at: usize, partition: &TopicPartition) -> Vec<&'h Seen> {
    match &history.events()[at].body {
        Body::Polled { records, .. } => records.iter().filter(|record| record.partition == *partition).collect(),
        _ => Vec::new(),
    }
}

/// Everything that the group returned of a partition before.
fn returned_before(history: &History, at: usize, partition: &TopicPartition) -> Vec<Seen> {
    let team = members(history);
    let polls = history.events()[..at].iter().filter(|event| team.contains(&event.process));
    let records = polls.filter_map(|event| match &event.body {
        Body::Polled { records, .. } => Some(records),
        _ => None,
    });
    records.flatten().filter(|record| record.partition == *partition).cloned().collect()
}

pub(super) fn members(history: &History) -> Vec<u32> {
    let of_team =
        |event: &Event| matches!(&event.body, Body::Opened(Role::Consumer { group: Some(group) }) if group == TEAM);
    find(history, of_team).into_iter().map(|at| history.events()[at].process).collect()
}

/// The new owner of a partition leaves out its first record.
pub(super) fn begins_ahead(history: &mut History) -> bool {
    let team = members(history);
    for turn in turns(history).into_iter().filter(|turn| turn.change == Change::Assigned) {
        for partition in &turn.partitions {
            let Some(poll) = first_poll(history, turn.at, turn.process, partition) else { continue };
            let returned = records_of(history, poll, partition);
            // The record that is left out was not committed by anyone, and another one follows.
            let Some(first) = returned.first().map(|first| (*first).clone()).filter(|_| returned.len() > 1) else {
                continue;
            };
            let beyond = |event: &Event| match &event.body {
                Body::CommitInvoked(positions) => {
                    positions.iter().any(|(at, to)| at == partition && *to > first.offset)
                }
                _ => false,
            };
            if history.events()[..poll].iter().filter(|event| team.contains(&event.process)).any(beyond) {
                continue;
            }
            if let Some(records) = records_mut(&mut history.events_mut()[poll]) {
                records.retain(|record| *record != first);
            }
            return true;
        }
    }
    false
}

/// A member commits and gives a partition up, and its heir begins one record before.
pub(super) fn begins_behind(history: &mut History) -> bool {
    let all = of_one_partition(history);
    if all.len() < 5 {
        return false;
    }
    let partition = all[0].partition.clone();
    let turn = |change, generation| Body::Rebalanced { change, generation, partitions: vec![partition.clone()] };
    let polled = |records: &[Seen]| Body::Polled { records: records.to_vec(), moved: Vec::new(), error: None };
    for (process, generation, records) in [(9_001, 1, &all[..3]), (9_002, 2, &all[2..])] {
        let end = records.last().expect("some").offset + 1;
        for body in [
            Body::Opened(Role::Consumer { group: Some("behind".to_owned()) }),
            Body::Subscribed(vec![partition.topic.clone()]),
            turn(Change::Assigned, generation),
            polled(records),
            Body::CommitInvoked(vec![(partition.clone(), end)]),
            Body::Committed(CommitOutcome::Done),
            turn(Change::Revoked, generation),
        ] {
            history.push(Duration::ZERO, process, body);
        }
    }
    true
}

/// A member returns a record of a partition that it has given up.
pub(super) fn reads_after_revocation(history: &mut History) -> bool {
    for turn in turns(history).into_iter().filter(|turn| turn.change == Change::Revoked) {
        let returned = turn.partitions.iter().find_map(|partition| returned_before(history, turn.at, partition).pop());
        let Some(seen) = returned else { continue };
        let body = Body::Polled { records: vec![seen], moved: Vec::new(), error: None };
        insert(history, turn.at + 1, turn.process, body);
        return true;
    }
    false
}

/// A partition is assigned to a second member in the same generation.
pub(super) fn is_assigned_twice(history: &mut History) -> bool {
    let Some(turn) =
        turns(history).into_iter().find(|turn| turn.change == Change::Assigned && !turn.partitions.is_empty())
    else {
        return false;
    };
    let twin = 9_003;
    let body = Body::Rebalanced {
        change: Change::Assigned,
        generation: turn.generation,
        partitions: vec![turn.partitions[0].clone()],
    };
    for (at, body) in (turn.at + 1..).zip([
        Body::Opened(Role::Consumer { group: Some(TEAM.to_owned()) }),
        Body::Subscribed(vec!["a".into()]),
        body,
    ]) {
        insert(history, at, twin, body);
    }
    true
}

/// A member keeps a partition into the generation in which another one gets it.
pub(super) fn keeps_what_moved(history: &mut History) -> bool {
    let all = turns(history);
    for gained in all.iter().filter(|turn| turn.change == Change::Assigned) {
        let Some(partition) = gained.partitions.first() else { continue };
        // Somebody else is assigned something in this generation, and owned nothing of this.
        let Some(other) = all.iter().find(|turn| {
            turn.change == Change::Assigned && turn.generation == gained.generation && turn.process != gained.process
        }) else {
            continue;
        };
        if let Body::Rebalanced { partitions, .. } = &mut history.events_mut()[other.at].body {
            partitions.push(partition.clone());
        }
        return true;
    }
    false
}

/// A member gives up a partition that it has given up before.
pub(super) fn gives_up_what_it_has_not(history: &mut History) -> bool {
    let Some(turn) = turns(history).into_iter().find(|turn| turn.change == Change::Revoked) else { return false };
    let again = history.events()[turn.at].clone();
    history.events_mut().insert(turn.at + 1, again);
    true
}

/// No member returned the first record of a partition.
pub(super) fn skips_the_beginning(history: &mut History) -> bool {
    let team = members(history);
    let mut polls = history.events().iter().filter(|event| team.contains(&event.process));
    let first = polls.find_map(|event| match &event.body {
        Body::Polled { records, .. } => records.first().cloned(),
        _ => None,
    });
    let Some(first) = first else { return false };
    for event in history.events_mut().iter_mut().filter(|event| team.contains(&event.process)) {
        if let Some(records) = records_mut(event) {
            records.retain(|record| record.partition != first.partition || record.offset > first.offset);
        }
    }
    true
}

/// A member commits beyond records before it has returned any.
pub(super) fn commits_before_it_reads(history: &mut History) -> bool {
    let team = members(history);
    for turn in turns(history).into_iter().filter(|turn| turn.change == Change::Assigned) {
        for partition in &turn.partitions {
            let later = history.events()[turn.at..].iter().filter(|event| team.contains(&event.process));
            let later = later.filter_map(|event| match &event.body {
                Body::Polled { records, .. } => Some(records),
                _ => None,
            });
            let last =
                later.flatten().filter(|record| record.partition == *partition).map(|record| record.offset).max();
            let before = returned_before(history, turn.at, partition).into_iter().map(|record| record.offset).max();
            let Some(last) = last.filter(|last| before.is_none_or(|before| *last > before)) else { continue };
            insert(history, turn.at + 1, turn.process, Body::CommitInvoked(vec![(partition.clone(), last + 1)]));
            insert(history, turn.at + 2, turn.process, Body::Committed(CommitOutcome::Failed("planted".into())));
            return true;
        }
    }
    false
}
