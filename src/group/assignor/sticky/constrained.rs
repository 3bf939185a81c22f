//! The case of equal subscriptions: everybody may have every partition, so only numbers matter.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::claims::Resolved;
use crate::group::assignor::layout::Layout;
use crate::group::assignor::racks::Racks;

/// Returns the partitions of each member, and which partitions go from one member to another.
///
/// Each member keeps what it owns up to its quota: a share of all partitions, rounded up for the first members that own so many, and
/// down for the others. The rest goes to members below their quota in turn, to those near its replicas first.
pub(super) fn assign(
    layout: &Layout<'_>,
    racks: &Racks,
    racks_matter: bool,
    hashed: &[usize],
    resolved: &Resolved,
) -> (Vec<Vec<usize>>, Vec<bool>) {
    let quotas = Quotas::new(layout.partitions(), layout.members.len());
    let mut filling = Filling::new(layout, quotas, resolved.contested.clone());
    for member in hashed.iter().copied() {
        filling.keep_owned(layout, member, &resolved.owned[member], |partition| {
            !racks_matter || !racks.mismatch(member, partition)
        });
    }
    let mut rank = vec![0; layout.members.len()];
    layout.members_by_id().into_iter().enumerate().for_each(|(place, member)| rank[member] = place);
    filling.below.sort_unstable_by_key(|member| rank[*member]);
    filling.at_fewest.make_contiguous().sort_unstable_by_key(|member| rank[*member]);

    let mut unassigned: Vec<usize> =
        (0..layout.partitions()).filter(|partition| !filling.assigned[*partition]).collect();
    let near = racks.members_near();
    if !near.is_empty() {
        unassigned.sort_by_key(|partition| near[*partition]);
    }
    if racks_matter {
        unassigned = filling.assign_near(unassigned, racks);
    }
    filling.assign_in_turn(unassigned);
    (filling.partitions_of, filling.transferred)
}

/// How many partitions members get.
#[derive(Clone, Copy, Debug)]
struct Quotas {
    fewest: usize,
    most: usize,
    /// How many members get more than the fewest.
    extra: usize,
}

impl Quotas {
    fn new(partitions: usize, members: usize) -> Self {
        Self { fewest: partitions / members, most: partitions.div_ceil(members), extra: partitions % members }
    }
}

/// An assignment that is being filled.
#[derive(Debug)]
struct Filling {
    quotas: Quotas,
    partitions_of: Vec<Vec<usize>>,
    assigned: Vec<bool>,
    /// The owner that had to give up each partition.
    revoked_from: Vec<Option<usize>>,
    contested: Vec<bool>,
    transferred: Vec<bool>,
    /// Members with less than the fewest.
    below: Vec<usize>,
    /// Members with exactly the fewest that may get one more.
    at_fewest: VecDeque<usize>,
    /// How many members have more than the fewest.
    above: usize,
}

impl Filling {
    fn new(layout: &Layout<'_>, quotas: Quotas, contested: Vec<bool>) -> Self {
        let partitions = layout.partitions();
        Self {
            quotas,
            partitions_of: vec![Vec::new(); layout.members.len()],
            assigned: vec![false; partitions],
            revoked_from: vec![None; partitions],
            contested,
            transferred: vec![false; partitions],
            below: Vec::new(),
            at_fewest: VecDeque::new(),
            above: 0,
        }
    }

    fn may_exceed_fewest(&self) -> bool {
        self.above < self.quotas.extra
    }

    /// Counts a member that has got more than the fewest. When enough have, nobody else may.
    fn exceed_fewest(&mut self) {
        self.above += 1;
        if self.above == self.quotas.extra {
            self.at_fewest.clear();
        }
    }

    /// Lets a member keep partitions up to its quota, those with the lowest numbers first.
    fn keep_owned(&mut self, layout: &Layout<'_>, member: usize, owned: &[usize], is_near: impl Fn(usize) -> bool) {
        let (mut kept, far): (Vec<usize>, Vec<usize>) = owned.iter().partition(|partition| is_near(**partition));
        kept.sort_unstable_by_key(|partition| (layout.number(*partition), *partition));
        kept.retain(|partition| !self.contested[*partition]);
        let quota = if kept.len() < self.quotas.fewest {
            self.below.push(member);
            kept.len()
        } else if kept.len() >= self.quotas.most && self.may_exceed_fewest() {
            self.exceed_fewest();
            self.quotas.most
        } else {
            if self.may_exceed_fewest() {
                self.at_fewest.push_back(member);
            }
            self.quotas.fewest
        };
        for partition in kept.drain(quota..).chain(far) {
            self.revoked_from[partition] = Some(member);
        }
        for partition in &kept {
            self.assigned[*partition] = true;
        }
        self.partitions_of[member] = kept;
    }

    /// Gives partitions in turn to members in a rack of their replicas, and returns those that do not fit anywhere.
    fn assign_near(&mut self, unassigned: Vec<usize>, racks: &Racks) -> Vec<usize> {
        let mut left = Vec::new();
        let mut turn = 0;
        for partition in unassigned {
            let is_near = |member: &usize| racks.match_fully(*member, partition);
            if let Some(place) = position_from(&self.below, turn, is_near) {
                turn = self.give_below(place, partition);
            } else if let Some(place) = self.at_fewest.iter().position(is_near) {
                self.give_at_fewest(place, partition);
            } else {
                left.push(partition);
            }
        }
        left
    }

    /// Gives a partition to the member at this place of `below`, and returns whose turn is next.
    fn give_below(&mut self, place: usize, partition: usize) -> usize {
        let member = self.below[place];
        let count = self.give(member, partition);
        let mut next = place + 1;
        if count >= self.quotas.fewest {
            next = place;
            self.below.remove(place);
            if count < self.quotas.most && self.may_exceed_fewest() {
                self.at_fewest.push_back(member);
            }
        }
        if self.below.is_empty() { 0 } else { next % self.below.len() }
    }

    fn give_at_fewest(&mut self, place: usize, partition: usize) {
        let member = self.at_fewest.remove(place).expect("a place in the queue");
        self.give(member, partition);
        self.exceed_fewest();
    }

    /// Gives partitions in turn to members below the fewest, then to members that may get one more.
    fn assign_in_turn(&mut self, unassigned: Vec<usize>) {
        let mut below: VecDeque<usize> = std::mem::take(&mut self.below).into();
        for partition in unassigned {
            let Some(member) = below.pop_front() else {
                let member = self.at_fewest.pop_front().expect("quotas add up to the number of partitions");
                self.give(member, partition);
                continue;
            };
            match self.give(member, partition).cmp(&self.quotas.fewest) {
                Ordering::Less => below.push_back(member),
                _ => self.at_fewest.push_back(member),
            }
        }
    }

    /// Gives a partition to a member, and returns how many it has.
    fn give(&mut self, member: usize, partition: usize) -> usize {
        self.partitions_of[member].push(partition);
        let from_another = self.revoked_from[partition].is_some_and(|owner| owner != member);
        self.transferred[partition] = from_another || self.contested[partition];
        self.partitions_of[member].len()
    }
}

/// The first place with a member that `fits`, from `start` on and around.
fn position_from(members: &[usize], start: usize, fits: impl Fn(&usize) -> bool) -> Option<usize> {
    let (before, after) = members.split_at(start);
    let after = after.iter().position(&fits).map(|place| place + start);
    after.or_else(|| before.iter().position(&fits))
}
