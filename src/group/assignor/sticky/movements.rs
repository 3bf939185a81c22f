//! The moves of a rebalance, which are undone rather than crossed.

use std::collections::HashMap;

use crate::group::assignor::java::HashOrder;
use crate::group::assignor::layout::Layout;

/// The partitions that have moved, each from its first owner to its present one.
#[derive(Debug, Default)]
pub(super) struct Movements {
    of_partition: HashMap<usize, Movement>,
    /// By topic. Java takes the first partition of a `HashSet`.
    partitions: HashMap<(usize, Movement), HashOrder<usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Movement {
    from: usize,
    to: usize,
}

impl Movements {
    /// The partition that is to move in order that `owner` has one less and `next` one more of this partition's topic: one that moved
    /// the other way before, if there is one. Two partitions of a topic would otherwise change places.
    pub(super) fn instead_of(&self, layout: &Layout<'_>, partition: usize, owner: usize, next: usize) -> usize {
        let owner = self.of_partition.get(&partition).map_or(owner, |movement| movement.from);
        let reverse = (layout.topic_of(partition), Movement { from: next, to: owner });
        self.partitions.get(&reverse).and_then(HashOrder::first).copied().unwrap_or(partition)
    }

    /// Records that a partition moves. One that returns to its first owner has not moved.
    pub(super) fn record(&mut self, layout: &Layout<'_>, partition: usize, owner: usize, next: usize) {
        let hash = layout.hash(partition);
        let topic = layout.topic_of(partition);
        let mut from = owner;
        if let Some(before) = self.of_partition.remove(&partition) {
            from = before.from;
            if let Some(partitions) = self.partitions.get_mut(&(topic, before)) {
                partitions.remove(hash, &partition);
                if partitions.is_empty() {
                    self.partitions.remove(&(topic, before));
                }
            }
            if from == next {
                return;
            }
        }
        let movement = Movement { from, to: next };
        self.of_partition.insert(partition, movement);
        self.partitions.entry((topic, movement)).or_default().insert(hash, partition);
    }
}
