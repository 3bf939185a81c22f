//! Reassignments: replicas of a partition move to other brokers (`PartitionReassignmentReplicas`).
//!
//! A move is complete when every new replica runs and has all records. That is at once, unless a broker is down or a test holds the
//! replication of the partition.

use crate::mock::state::Partition;
use crate::mock::state::Placement;
use crate::mock::state::State;

impl Placement {
    /// Whether replicas are moving.
    pub(super) fn is_moving(&self) -> bool {
        !self.adding.is_empty() || !self.removing.is_empty()
    }

    /// The live replicas, except those that are added and do not have all records yet.
    pub(super) fn in_sync(&self, live: &[i32]) -> Vec<i32> {
        self.replicas.iter().copied().filter(|id| live.contains(id) && !self.adding.contains(id)).collect()
    }
}

impl Partition {
    fn reassign(&mut self, target: Vec<i32>, live: &[i32]) {
        let current = &self.placement.replicas;
        let mut adding: Vec<i32> = target.iter().copied().filter(|id| !current.contains(id)).collect();
        let mut removing: Vec<i32> = current.iter().copied().filter(|id| !target.contains(id)).collect();
        adding.sort_unstable();
        removing.sort_unstable();
        // Those of an earlier move that are still on their way remain on it.
        adding.extend(self.placement.adding.iter().copied().filter(|id| target.contains(id)));
        self.placement.replicas = [target, removing.clone()].concat();
        (self.placement.adding, self.placement.removing) = (adding, removing);
        self.settle(live);
    }

    fn cancel_move(&mut self, live: &[i32]) {
        let adding = std::mem::take(&mut self.placement.adding);
        self.placement.removing.clear();
        self.placement.replicas.retain(|id| !adding.contains(id));
        self.follow(live);
    }

    /// Completes a move if it can be completed.
    fn settle(&mut self, live: &[i32]) {
        let placement = &mut self.placement;
        let is_held = self.log.is_held() && !placement.adding.is_empty();
        let mut kept = placement.replicas.iter().filter(|id| !placement.removing.contains(id));
        if !placement.is_moving() || is_held || !kept.all(|id| live.contains(id)) {
            return;
        }
        let removing = std::mem::take(&mut placement.removing);
        placement.adding.clear();
        placement.replicas.retain(|id| !removing.contains(id));
        self.follow(live);
    }

    /// Elects another leader where the old one has no replica any more.
    fn follow(&mut self, live: &[i32]) {
        let replicas = &self.placement.replicas;
        self.lagging.retain(|id, _| replicas.contains(id));
        if self.placement.leader.is_none_or(|leader| !replicas.contains(&leader)) {
            let heir = self.placement.in_sync(live).first().copied();
            if self.placement.leader.is_some() || heir.is_some() {
                self.log.replicate();
                self.elect(heir);
            }
        }
    }
}

impl State {
    /// Begins to move the replicas of a partition to these brokers.
    pub(super) fn reassign(&mut self, topic: &str, partition: i32, target: Vec<i32>) {
        let live: Vec<i32> = self.live().collect();
        self.changes += 1;
        if let Some(found) = self.partition_mut(topic, partition) {
            found.reassign(target, &live);
        }
    }

    /// Gives the replicas of a partition back to the brokers that had them.
    pub(super) fn cancel_move(&mut self, topic: &str, partition: i32) {
        let live: Vec<i32> = self.live().collect();
        self.changes += 1;
        if let Some(found) = self.partition_mut(topic, partition) {
            found.cancel_move(&live);
        }
    }

    /// Completes the moves that can be completed.
    pub(super) fn settle_moves(&mut self) {
        let live: Vec<i32> = self.live().collect();
        let partitions = self.topics.values_mut().flat_map(|topic| &mut topic.partitions);
        partitions.for_each(|partition| partition.settle(&live));
    }
}
