//! The steps of a rebalance that the application does, and counters of a member.

use std::collections::BTreeSet;

use crate::types::TopicPartition;

/// Why partitions are revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// They are to be assigned again. Nobody else has them until they are given up, so their offsets can be committed.
    Moved,
    /// The member was taken for dead. Others may read them already, and their offsets cannot be committed.
    Lost,
}

/// One step of a rebalance, which the application does while it polls.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Give these partitions up: none of their records is returned any more.
    Revoke { partitions: BTreeSet<TopicPartition>, why: Revocation },
    /// Read these partitions and no others. `added` were not read before.
    Assign { partitions: BTreeSet<TopicPartition>, added: BTreeSet<TopicPartition> },
}

/// Counters of a member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupCounters {
    /// Assignments that were taken.
    pub rebalances: u64,
    /// Heartbeats that the coordinator answered without an error.
    pub heartbeats: u64,
    /// Generations that were lost.
    pub losses: u64,
}
