//! The racks of members and replicas, where they matter (KIP-881).

use std::collections::BTreeSet;
use std::collections::HashMap;

use super::layout::Layout;
use crate::types::inserted;

/// Racks as numbers.
#[derive(Debug)]
pub(super) struct Racks {
    of_member: Vec<Option<usize>>,
    /// The distinct racks of each partition's replicas, sorted. Empty if no member has a rack.
    of_partition: Vec<Vec<usize>>,
}

impl Racks {
    pub(super) fn new(layout: &Layout<'_>) -> Self {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut of_member = Vec::with_capacity(layout.members.len());
        for member in layout.members {
            let rack = member.rack.as_deref().filter(|rack| !rack.is_empty());
            of_member.push(rack.map(|rack| {
                let next = numbers.len();
                *numbers.entry(rack).or_insert(next)
            }));
        }
        let mut of_partition = Vec::new();
        if !numbers.is_empty() {
            for partition in 0..layout.partitions() {
                let racks = layout.racks(partition).map(|rack| {
                    let next = numbers.len();
                    *numbers.entry(rack).or_insert(next)
                });
                of_partition.push(inserted::<_, BTreeSet<usize>>(racks).into_iter().collect());
            }
        }
        Self { of_member, of_partition }
    }

    /// Whether racks can be matched, and not every partition has a replica in every rack (`useRackAwareAssignment`).
    pub(super) fn matter(
        &self,
        members: impl IntoIterator<Item = usize>,
        partitions: impl Iterator<Item = usize> + Clone,
    ) -> bool {
        let of_members: BTreeSet<usize> = inserted(members.into_iter().filter_map(|member| self.of_member[member]));
        if of_members.is_empty() {
            return false;
        }
        let all: BTreeSet<usize> =
            inserted(partitions.clone().flat_map(|partition| &self.of_partition[partition]).copied());
        let mut partitions = partitions;
        !of_members.is_disjoint(&all) && partitions.any(|partition| self.of_partition[partition].len() < all.len())
    }

    /// The rack of a member.
    pub(super) fn of(&self, member: usize) -> Option<usize> {
        self.of_member[member]
    }

    /// Whether a member has a rack and the partition a replica in it.
    pub(super) fn match_fully(&self, member: usize, partition: usize) -> bool {
        self.of_member[member].is_some_and(|rack| self.of_partition[partition].binary_search(&rack).is_ok())
    }

    /// Whether a member has a rack and the partition no replica in it.
    pub(super) fn mismatch(&self, member: usize, partition: usize) -> bool {
        self.of_member[member].is_some() && !self.match_fully(member, partition)
    }

    /// For each partition, how many members are in a rack with one of its replicas; nothing if no member has a rack.
    pub(super) fn members_near(&self) -> Vec<usize> {
        let mut members = HashMap::new();
        for rack in self.of_member.iter().flatten() {
            *members.entry(rack).or_insert(0_usize) += 1;
        }
        let near = |racks: &Vec<usize>| racks.iter().filter_map(|rack| members.get(rack)).sum();
        self.of_partition.iter().map(near).collect()
    }
}
