//! The case of unequal subscriptions: assign what nobody keeps, then move partitions as long as that improves the balance.

use super::balance::Balance;
use super::claims::Previous;
use super::claims::Resolved;
use crate::group::assignor::layout::Layout;
use crate::group::assignor::racks::Racks;

/// How often all partitions are looked at. A handful of times is enough for honest members. Java has no limit, and no proof that it
/// needs none: to undo a move of another partition may undo some of the balance.
const PASSES_MAX: usize = 1000;

/// Returns the partitions of each member. `racks` are given if they matter.
pub(super) fn assign(
    layout: &Layout<'_>,
    racks: Option<&Racks>,
    hashed: &[usize],
    resolved: &Resolved,
    previous: &[Option<Previous>],
) -> Vec<Vec<usize>> {
    let far = |member: usize, partition: usize| racks.is_some_and(|racks| racks.mismatch(member, partition));
    let mut balance = Balance::new(layout, layout.consumers(hashed));
    let mut has_revoked = false;
    for (member, owned) in resolved.owned.iter().enumerate() {
        for partition in owned.iter().copied() {
            if layout.subscribes(member, layout.topic_of(partition)) && !far(member, partition) {
                balance.give(partition, member);
            } else {
                has_revoked = true;
            }
        }
    }

    // Topics with the fewest consumers come first.
    let mut topics: Vec<(usize, usize)> =
        (0..layout.topics()).map(|topic| (balance.consumers(topic).len(), topic)).collect();
    topics.sort_unstable();
    let all: Vec<usize> = topics.into_iter().flat_map(|(_, topic)| layout.partitions_of(topic)).collect();
    let free: Vec<usize> = all.iter().copied().filter(|partition| balance.owner(*partition).is_none()).collect();
    let is_first = balance.is_empty();
    let mut left = free.clone();
    if racks.is_some() {
        left.retain(|partition| !balance.give_to_least(*partition, far));
    }
    for partition in left {
        balance.give_to_least(partition, |_, _| false);
    }

    balance.leave_out_fixed_members();
    let is_movable = |balance: &Balance<'_>, partition: usize| balance.consumers(layout.topic_of(partition)).len() > 1;
    let movable: Vec<usize> = all.into_iter().filter(|partition| is_movable(&balance, *partition)).collect();
    let before = balance.holdings().clone();
    if !has_revoked {
        let free: Vec<usize> = free.into_iter().filter(|partition| is_movable(&balance, *partition)).collect();
        improve(&mut balance, layout, &free, previous);
    }
    let has_moved = improve(&mut balance, layout, &movable, previous);
    let holdings = balance.holdings();
    let is_in_vain = !is_first && has_moved && balance.score(holdings) >= balance.score(&before);
    if is_in_vain { before.into_lists() } else { holdings.clone().into_lists() }
}

/// Moves partitions from members with more to members with less until that is no longer possible, and returns whether any moved.
fn improve(
    balance: &mut Balance<'_>,
    layout: &Layout<'_>,
    partitions: &[usize],
    previous: &[Option<Previous>],
) -> bool {
    let mut passes = 0;
    loop {
        let mut has_moved = false;
        for partition in partitions.iter().copied() {
            if balance.is_balanced() {
                break;
            }
            if let Some(member) = better_owner(balance, layout, partition, previous[partition]) {
                balance.move_to(partition, member);
                has_moved = true;
            }
        }
        passes += 1;
        if !has_moved || passes == PASSES_MAX {
            return passes > 1 || has_moved;
        }
    }
}

/// A member with at least two partitions less than the owner: one that had this partition before, or else the one with the least.
fn better_owner(
    balance: &mut Balance<'_>,
    layout: &Layout<'_>,
    partition: usize,
    previous: Option<Previous>,
) -> Option<usize> {
    let owner = balance.owner(partition).expect("all partitions have been assigned");
    let topic = layout.topic_of(partition);
    let has_less = |balance: &Balance<'_>, member: usize| balance.load(owner) > balance.load(member) + 1;
    // Java does not look at the subscription, and fails if the member can no longer get anything.
    let returns = previous.map(|previous| previous.member).filter(|member| {
        layout.subscribes(*member, topic) && balance.takes_part(*member) && has_less(balance, *member)
    });
    returns.or_else(|| Some(balance.least(topic)).filter(|member| has_less(balance, *member)))
}
