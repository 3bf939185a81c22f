//! Whether an assignment is valid, whoever made it.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;

use super::RebalanceProtocol;
use super::group::Assignment;
use super::group::Group;
use super::group::Member;
use crate::types::TopicPartition;

/// Why an assignment cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidAssignment {
    /// There are more or fewer assignments than members.
    Count {
        /// How many members there are.
        members: usize,
        /// How many assignments there are.
        assignments: usize,
    },
    /// A partition was given to two members, or twice to one.
    Twice(TopicPartition),
    /// A partition does not exist.
    Absent(TopicPartition),
    /// A member does not subscribe to the topic of a partition.
    NotSubscribed {
        /// The id of the member.
        member: String,
        /// The partition.
        partition: TopicPartition,
    },
    /// In a cooperative rebalance, a partition was given to a member while another one still has it.
    NotRevoked {
        /// The id of the member that has it.
        owner: String,
        /// The partition.
        partition: TopicPartition,
    },
}

impl fmt::Display for InvalidAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { members, assignments } => {
                write!(f, "there are {assignments} assignments for {members} members")
            }
            Self::Twice(partition) => write!(f, "partition {partition} is assigned twice"),
            Self::Absent(partition) => write!(f, "partition {partition} does not exist"),
            Self::NotSubscribed { member, partition } => {
                write!(f, "member {member} gets partition {partition} and does not subscribe to the topic")
            }
            Self::NotRevoked { owner, partition } => write!(
                f,
                "partition {partition} moves while member {owner} has it: a cooperative assignor leaves it out until the next rebalance"
            ),
        }
    }
}

impl std::error::Error for InvalidAssignment {}

/// Checks the assignments that an assignor returned for a group.
///
/// Each partition must exist, go to one member at most, and to one that subscribes to its topic. In a cooperative rebalance, no
/// partition may go to another member while its owner still has it (Java's `validateCooperativeAssignment`). If several members
/// claim a partition, the one with the latest generation is its owner.
///
/// ```
/// use ottla::group::assignor::{Assignor, Group, InvalidAssignment, Member, Range, RebalanceProtocol, Topic, check};
/// use ottla::types::TopicPartition;
///
/// let mut group = Group::default();
/// group.topics.insert("a".into(), Topic::new(1));
/// group.members.extend(["x", "y"].map(|id| Member::new(id, ["a"])));
/// group.members[1].owned.push(TopicPartition::new("a", 0));
/// let assignments = Range.assign(&group);
/// assert_eq!(check(&group, &assignments, RebalanceProtocol::Eager), Ok(()));
///
/// // `range` moves the partition at once, which a cooperative rebalance must not.
/// let refused = check(&group, &assignments, RebalanceProtocol::Cooperative);
/// assert!(matches!(refused, Err(InvalidAssignment::NotRevoked { .. })));
/// ```
pub fn check(group: &Group, assignments: &[Assignment], protocol: RebalanceProtocol) -> Result<(), InvalidAssignment> {
    if assignments.len() != group.members.len() {
        return Err(InvalidAssignment::Count { members: group.members.len(), assignments: assignments.len() });
    }
    let owners = match protocol {
        RebalanceProtocol::Eager => HashMap::new(),
        RebalanceProtocol::Cooperative => owners(&group.members),
    };
    let mut assigned = HashSet::new();
    for (member, assignment) in group.members.iter().zip(assignments) {
        let topics: HashSet<_> = member.topics.iter().collect();
        let owned: HashSet<_> = member.owned.iter().collect();
        for partition in &assignment.partitions {
            let count = group.topics.get(&partition.topic).map_or(0, super::Topic::partitions);
            if !(0..count).contains(&partition.partition) {
                return Err(InvalidAssignment::Absent(partition.clone()));
            }
            if !topics.contains(&partition.topic) {
                return Err(InvalidAssignment::NotSubscribed {
                    member: member.id.clone(),
                    partition: partition.clone(),
                });
            }
            if !assigned.insert(partition) {
                return Err(InvalidAssignment::Twice(partition.clone()));
            }
            if let Some(owner) = owners.get(partition).filter(|_| !owned.contains(partition)) {
                return Err(InvalidAssignment::NotRevoked { owner: owner.id.clone(), partition: partition.clone() });
            }
        }
    }
    Ok(())
}

/// The member with the latest claim to each partition.
fn owners(members: &[Member]) -> HashMap<&TopicPartition, &Member> {
    let mut owners: HashMap<&TopicPartition, &Member> = HashMap::new();
    for member in members {
        for partition in &member.owned {
            let owner = owners.entry(partition).or_insert(member);
            if member.generation > owner.generation {
                *owner = member;
            }
        }
    }
    owners
}
