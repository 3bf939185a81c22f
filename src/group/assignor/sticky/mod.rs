//! The assignors `sticky` and `cooperative-sticky`: balanced, and as little as possible moves.

mod balance;
mod claims;
mod constrained;
mod general;
mod movements;

use bytes::Bytes;

use self::claims::Claims;
use self::claims::Resolved;
use super::Assignor;
use super::RebalanceProtocol;
use super::group::Assignment;
use super::group::Group;
use super::group::LastAssignment;
use super::java;
use super::java::HashOrder;
use super::layout::Layout;
use super::racks::Racks;
use crate::types::TopicName;
use crate::wire::consumer_protocol::StickyUserData;
use crate::wire::consumer_protocol::TopicPartitions;
use crate::wire::consumer_protocol::encode_generation;

/// Balances partitions among members, and moves as few of them as it can (Java's `StickyAssignor`, KIP-54, KIP-341).
///
/// Members report their last assignment in its user data. Where racks are known, a partition may move to a member in a rack of its
/// replicas. It is eager: members give up all partitions in each rebalance, and get most of them again.
///
/// If Java's result would be invalid, this one is not: Java counts partitions that no longer exist, and may give partitions to
/// members that subscribe to nothing or no longer to the topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sticky;

/// As [`Sticky`], but members keep the partitions that stay with them through a rebalance (Java's `CooperativeStickyAssignor`,
/// KIP-429).
///
/// A partition that moves is given to nobody in the rebalance in which it is taken away.
///
/// ```
/// use ottla::group::assignor::{Assignor, CooperativeSticky, Group, Member, Topic};
///
/// let mut group = Group::default();
/// group.topics.insert("events".into(), Topic::new(4));
/// group.members.push(Member::new("a", ["events"]));
/// group.members[0].owned = CooperativeSticky.assign(&group).remove(0).partitions;
/// group.members[0].generation = Some(1);
/// assert_eq!(group.members[0].owned.len(), 4);
///
/// // A member joins: `a` gives up two partitions first, and `b` gets them in the rebalance that follows.
/// group.members.push(Member::new("b", ["events"]));
/// let assignments = CooperativeSticky.assign(&group);
/// assert_eq!((assignments[0].partitions.len(), assignments[1].partitions.len()), (2, 0));
/// group.members[0].owned = assignments[0].partitions.clone();
/// assert_eq!(CooperativeSticky.assign(&group)[1].partitions.len(), 2);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CooperativeSticky;

impl Assignor for Sticky {
    fn name(&self) -> &'static str {
        "sticky"
    }

    fn user_data(&self, _: &[TopicName], last: Option<&LastAssignment>) -> Option<Bytes> {
        last.map(|last| {
            let topics = TopicPartitions::group(&last.partitions);
            let partitions = HashOrder::sort_computed(topics, |topic| java::hash(&topic.topic));
            StickyUserData { partitions, generation: Some(last.generation) }.encode()
        })
    }

    fn assign(&self, group: &Group) -> Vec<Assignment> {
        let layout = Layout::new(group);
        let (assigned, _) = assign(&layout, &Claims::from_user_data(&layout));
        layout.assignments(assigned)
    }
}

impl Assignor for CooperativeSticky {
    fn name(&self) -> &'static str {
        "cooperative-sticky"
    }

    fn protocols(&self) -> &[RebalanceProtocol] {
        &[RebalanceProtocol::Cooperative, RebalanceProtocol::Eager]
    }

    fn user_data(&self, _: &[TopicName], last: Option<&LastAssignment>) -> Option<Bytes> {
        Some(encode_generation(last.map_or(-1, |last| last.generation)))
    }

    fn assign(&self, group: &Group) -> Vec<Assignment> {
        let layout = Layout::new(group);
        let (mut assigned, transferred) = assign(&layout, &Claims::from_owned(&layout));
        let transferred = transferred.unwrap_or_else(|| transferred_by_claims(&layout, &assigned));
        for partitions in &mut assigned {
            partitions.retain(|partition| !transferred[*partition]);
        }
        layout.assignments(assigned)
    }
}

/// Assigns partitions to members. The second value says which partitions a cooperative assignor withholds, if it is known already.
fn assign(layout: &Layout<'_>, claims: &[Claims]) -> (Vec<Vec<usize>>, Option<Vec<bool>>) {
    if layout.members.is_empty() {
        return (Vec::new(), None);
    }
    let racks = Racks::new(layout);
    let racks_matter = racks.matter(0..layout.members.len(), 0..layout.partitions());
    let hashed = layout.hashed_members();
    let resolved = Resolved::new(layout, claims, &hashed);
    if layout.subscriptions_are_equal() {
        let (assigned, transferred) = constrained::assign(layout, &racks, racks_matter, &hashed, &resolved);
        (assigned, Some(transferred))
    } else {
        let previous = resolved.previous(claims, &hashed);
        (general::assign(layout, racks_matter.then_some(&racks), &hashed, &resolved, &previous), None)
    }
}

/// The partitions that a member gets without having claimed them, while another member claims them and does not get them.
fn transferred_by_claims(layout: &Layout<'_>, assigned: &[Vec<usize>]) -> Vec<bool> {
    let mut new_owner = vec![None; layout.partitions()];
    for (member, partitions) in assigned.iter().enumerate() {
        for partition in partitions {
            new_owner[*partition] = Some(member);
        }
    }
    let mut claimed = vec![false; layout.partitions()];
    let mut kept = vec![false; layout.partitions()];
    for (member, owned) in layout.members.iter().map(|member| &member.owned).enumerate() {
        for partition in owned.iter().filter_map(|partition| layout.place(partition)) {
            claimed[partition] = true;
            kept[partition] |= new_owner[partition] == Some(member);
        }
    }
    claimed.iter().zip(kept).map(|(claimed, kept)| *claimed && !kept).collect()
}
