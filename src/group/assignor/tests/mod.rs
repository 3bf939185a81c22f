//! Properties of the assignors that need no second implementation. Java's results are in `protocol-tests/golden`.

mod claims;
mod properties;

use std::collections::BTreeSet;

use fastrand::Rng;

use super::Assignment;
use super::Assignor;
use super::CooperativeSticky;
use super::Group;
use super::LastAssignment;
use super::Member;
use super::Range;
use super::RebalanceProtocol;
use super::RoundRobin;
use super::Sticky;
use super::Topic;
use super::check;
use crate::types::TopicPartition;

const ALL: [&dyn Assignor; 4] = [&Range, &RoundRobin, &Sticky, &CooperativeSticky];

fn seeds(count: u64, mut case: impl FnMut(&mut Rng)) {
    for seed in 0..count {
        // Shown only if it fails.
        println!("seed {seed}");
        case(&mut Rng::with_seed(seed));
    }
}

/// A group without history: `equal` members subscribe to all topics.
fn group(rng: &mut Rng, members: usize, equal: bool) -> Group {
    let mut group = Group::default();
    for topic in 0..rng.usize(1..=4) {
        group.topics.insert(format!("t{topic}").into(), Topic::new(rng.u32(1..=8)));
    }
    for member in 0..members {
        let topics = group.topics.keys().filter(|_| equal || rng.bool()).cloned().collect::<Vec<_>>();
        group.members.push(Member::new(format!("m{member}"), topics));
    }
    group
}

/// Members join again with what they were assigned in `generation`.
fn rejoin(group: &mut Group, assignor: &dyn Assignor, assignments: &[Assignment], generation: i32) {
    for (member, assignment) in group.members.iter_mut().zip(assignments) {
        let last = LastAssignment { partitions: assignment.partitions.clone(), generation };
        member.user_data = assignor.user_data(&member.topics, Some(&last));
        member.generation = Some(generation);
        member.owned = match assignor.protocols() {
            [RebalanceProtocol::Eager] => Vec::new(),
            _ => last.partitions,
        };
    }
}

fn sizes(assignments: &[Assignment]) -> Vec<usize> {
    assignments.iter().map(|assignment| assignment.partitions.len()).collect()
}

fn sorted(assignments: &[Assignment]) -> Vec<BTreeSet<TopicPartition>> {
    assignments.iter().map(|assignment| assignment.partitions.iter().cloned().collect()).collect()
}

fn partitions(topic: &str, numbers: &[i32]) -> Vec<TopicPartition> {
    numbers.iter().map(|number| TopicPartition::new(topic, *number)).collect()
}
