//! The assignor `roundrobin`: partitions in order, to members in turn.

use super::Assignor;
use super::group::Assignment;
use super::group::Group;
use super::layout::Layout;

/// Gives partitions to members in turn, leaving out those that do not subscribe to the topic (Java's `RoundRobinAssignor`).
///
/// Partitions are sorted by topic and number, members by their instance ids or else their ids. It is eager, and most partitions
/// move when a member joins or leaves.
///
/// ```
/// use ottla::group::assignor::{Assignor, Group, Member, RoundRobin, Topic};
/// use ottla::types::TopicPartition;
///
/// let mut group = Group::default();
/// group.topics.insert("a".into(), Topic::new(3));
/// group.topics.insert("b".into(), Topic::new(1));
/// group.members.extend(["x", "y"].map(|id| Member::new(id, ["a", "b"])));
/// let assignments = RoundRobin.assign(&group);
/// assert_eq!(assignments[0].partitions, [TopicPartition::new("a", 0), TopicPartition::new("a", 2)]);
/// assert_eq!(assignments[1].partitions, [TopicPartition::new("a", 1), TopicPartition::new("b", 0)]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundRobin;

impl Assignor for RoundRobin {
    fn name(&self) -> &'static str {
        "roundrobin"
    }

    fn assign(&self, group: &Group) -> Vec<Assignment> {
        let layout = Layout::new(group);
        let mut assigned = vec![Vec::new(); group.members.len()];
        let members = layout.members_by_instance();
        let mut turns = members.iter().copied().cycle();
        for partition in 0..layout.partitions() {
            let topic = layout.topic_of(partition);
            let next = turns.find(|member| layout.subscribes(*member, topic));
            assigned[next.expect("a topic that somebody subscribes to")].push(partition);
        }
        layout.assignments(assigned)
    }
}
