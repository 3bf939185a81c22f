//! Membership in consumer groups, as pure machines: they get the time, the metadata and the responses as arguments.
//!
//! A machine says by steps which partitions the application gives up and takes. Its [`GroupMetadata`] fences commits: one that belongs
//! to an earlier generation is refused.

pub mod assignor;
pub(crate) mod classic;
pub(crate) mod step;

/// The generation of a member that is in no group.
pub(crate) const NO_GENERATION: i32 = -1;

/// On whose behalf offsets are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
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
    pub(crate) fn none(group: impl Into<String>, instance: Option<String>) -> Self {
        Self { group: group.into(), generation: NO_GENERATION, member: String::new(), instance }
    }
}
