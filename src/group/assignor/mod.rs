//! Which member of a consumer group reads which partitions: Java's assignors with Java's results, or your own.
//!
//! In the classic protocol one member, the leader, assigns partitions to all members, whatever their language. The group can move
//! between leaders without moving partitions only if all of them decide alike, so these assignors return what Java's return, down
//! to the order of a hash table where it decides.

mod check;
mod group;
mod java;
mod layout;
mod racks;
mod range;
mod round_robin;
mod sticky;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::check::InvalidAssignment;
pub use self::check::check;
pub use self::group::Assignment;
pub use self::group::Group;
pub use self::group::LastAssignment;
pub use self::group::Member;
pub use self::group::Topic;
pub use self::range::Range;
pub use self::round_robin::RoundRobin;
pub use self::sticky::CooperativeSticky;
pub use self::sticky::Sticky;
use crate::types::TopicName;

/// How the members of a group give up partitions in a rebalance (`ConsumerPartitionAssignor.RebalanceProtocol`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RebalanceProtocol {
    /// Each member gives up all its partitions before it joins.
    Eager,
    /// Members keep their partitions while they join, and give up only those that the new assignment takes away. The assignor gives
    /// these to nobody; the group rebalances once more, and then they are free (KIP-429).
    Cooperative,
}

/// Assigns partitions to the members of a group.
///
/// Every member offers its assignors by name with its subscription. The coordinator chooses a name that all members offer, and one
/// member as the leader, whose assignor decides for all. So members must agree on what a name means.
///
/// Methods are called outside every lock, one after another, and should not block. The built-in ones are [`Range`], [`RoundRobin`],
/// [`Sticky`] and [`CooperativeSticky`].
///
/// ```
/// use bytes::Bytes;
/// use ottla::group::assignor::{Assignment, Assignor, Group, LastAssignment, Member, Topic};
/// use ottla::types::{TopicName, TopicPartition};
///
/// /// Gives everything to the member with the most processors.
/// #[derive(Debug)]
/// struct Strongest {
///     processors: u8,
/// }
///
/// impl Assignor for Strongest {
///     fn name(&self) -> &str {
///         "strongest"
///     }
///
///     fn user_data(&self, _: &[TopicName], _: Option<&LastAssignment>) -> Option<Bytes> {
///         Some(Bytes::copy_from_slice(&[self.processors]))
///     }
///
///     fn assign(&self, group: &Group) -> Vec<Assignment> {
///         let processors = |member: &Member| member.user_data.as_ref().and_then(|data| data.first().copied());
///         let strongest = (0..group.members.len()).max_by_key(|index| processors(&group.members[*index]));
///         let mut assignments = vec![Assignment::default(); group.members.len()];
///         if let Some(strongest) = strongest {
///             for name in &group.members[strongest].topics {
///                 let count = group.topics.get(name).map_or(0, Topic::partitions);
///                 let partitions = (0..count).map(|partition| TopicPartition::new(name.clone(), partition));
///                 assignments[strongest].partitions.extend(partitions);
///             }
///         }
///         assignments
///     }
/// }
///
/// let mut group = Group::default();
/// group.topics.insert("events".into(), Topic::new(2));
/// for processors in [4, 16] {
///     let mut member = Member::new(format!("member-{processors}"), ["events"]);
///     member.user_data = Strongest { processors }.user_data(&member.topics, None);
///     group.members.push(member);
/// }
/// let assignments = Strongest { processors: 4 }.assign(&group);
/// assert!(assignments[0].partitions.is_empty());
/// assert_eq!(assignments[1].partitions.len(), 2);
/// ```
pub trait Assignor: Send + Sync + fmt::Debug {
    /// The name by which members agree on an assignor, unique among those that a consumer offers.
    fn name(&self) -> &str;

    /// The protocols that it works with. A consumer uses the highest that all its assignors work with ([`common_protocol`]).
    fn protocols(&self) -> &[RebalanceProtocol] {
        &[RebalanceProtocol::Eager]
    }

    /// Returns data for the leader, sent with a subscription to `topics`. `last` is the last assignment that this consumer got, even
    /// if it has lost those partitions since.
    fn user_data(&self, _topics: &[TopicName], _last: Option<&LastAssignment>) -> Option<Bytes> {
        None
    }

    /// Returns the assignment of each member, in the order of `group.members`.
    ///
    /// [`check()`] says which assignments are valid; the leader fails if one is not.
    fn assign(&self, group: &Group) -> Vec<Assignment>;

    /// Called by each member with the assignment that it gets, and its generation.
    fn on_assignment(&self, _assignment: &Assignment, _generation: i32) {}
}

/// Returns the built-in assignor with this name, either as members know it (`range`) or as Java's setting
/// `partition.assignment.strategy` does (`org.apache.kafka.clients.consumer.RangeAssignor`).
///
/// ```
/// use ottla::group::assignor::by_name;
///
/// assert_eq!(by_name("sticky").unwrap().name(), "sticky");
/// assert_eq!(by_name("org.apache.kafka.clients.consumer.StickyAssignor").unwrap().name(), "sticky");
/// assert!(by_name("com.example.MyAssignor").is_none());
/// ```
pub fn by_name(name: &str) -> Option<Arc<dyn Assignor>> {
    match name.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(name) {
        "range" | "RangeAssignor" => Some(Arc::new(Range)),
        "roundrobin" | "RoundRobinAssignor" => Some(Arc::new(RoundRobin)),
        "sticky" | "StickyAssignor" => Some(Arc::new(Sticky)),
        "cooperative-sticky" | "CooperativeStickyAssignor" => Some(Arc::new(CooperativeSticky)),
        _ => None,
    }
}

/// Returns the highest protocol that all assignors of a consumer work with, or `None` if there is none.
///
/// ```
/// use std::sync::Arc;
///
/// use ottla::group::assignor::{Assignor, CooperativeSticky, Range, RebalanceProtocol, common_protocol};
///
/// // Java's default list: members can move to the second assignor while the first one is still offered.
/// let both: [Arc<dyn Assignor>; 2] = [Arc::new(Range), Arc::new(CooperativeSticky)];
/// assert_eq!(common_protocol(&both), Some(RebalanceProtocol::Eager));
/// assert_eq!(common_protocol(&both[1..]), Some(RebalanceProtocol::Cooperative));
/// ```
pub fn common_protocol(assignors: &[Arc<dyn Assignor>]) -> Option<RebalanceProtocol> {
    let (first, others) = assignors.split_first()?;
    let common = |protocol: &&RebalanceProtocol| others.iter().all(|other| other.protocols().contains(protocol));
    first.protocols().iter().filter(common).max().copied()
}
