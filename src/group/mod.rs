//! Membership in consumer groups, as pure machines: they get the time, the metadata and the responses as arguments.
//!
//! A machine says by [`Step`]s which partitions the application gives up and takes. Its [`GroupMetadata`] fences commits: one that
//! belongs to an earlier generation is refused.

use std::collections::BTreeSet;

use crate::types::TopicPartition;

pub mod assignor;
pub(crate) mod classic;

/// The generation of a member that is in no group.
pub const NO_GENERATION: i32 = -1;

/// On whose behalf offsets are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMetadata {
    /// The group.
    pub group: String,
    /// The generation of the group, or the member's epoch; −1 without membership.
    pub generation: i32,
    /// The member's id; empty without membership.
    pub member: String,
    /// The static member's name.
    pub instance: Option<String>,
}

impl GroupMetadata {
    /// A group that has no members: its offsets may be committed by anyone.
    pub fn none(group: impl Into<String>, instance: Option<String>) -> Self {
        Self { group: group.into(), generation: NO_GENERATION, member: String::new(), instance }
    }
}

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
