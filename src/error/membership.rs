//! The recovery after each error code of a request by which a member joins a group and stays in it.

use super::Code;

/// The next step after an error code in a response to JoinGroup, SyncGroup or Heartbeat (`AbstractCoordinator`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipRecovery {
    /// Joining again does not help.
    Fail,
    /// Another broker coordinates the group. Find it and retry.
    FindCoordinator,
    /// The coordinator has another generation. The member joins again with its id.
    NewGeneration,
    /// The coordinator does not know the member. It joins again as a new one.
    NewMember,
    /// The group rebalances. The member joins again, and keeps what it has until then.
    Rejoin,
    /// Retry after a pause.
    Retry,
}

impl Code {
    /// The recovery after this code in a response to JoinGroup, SyncGroup or Heartbeat.
    pub fn membership_recovery(self) -> MembershipRecovery {
        use MembershipRecovery as R;
        match self {
            Self::CoordinatorNotAvailable | Self::NotCoordinator => R::FindCoordinator,
            Self::CoordinatorLoadInProgress => R::Retry,
            Self::IllegalGeneration => R::NewGeneration,
            Self::RebalanceInProgress => R::Rejoin,
            Self::UnknownMemberId => R::NewMember,
            // Among others: FENCED_INSTANCE_ID, another member has taken the name; GROUP_MAX_SIZE_REACHED;
            // INCONSISTENT_GROUP_PROTOCOL; INVALID_SESSION_TIMEOUT; GROUP_AUTHORIZATION_FAILED.
            other if other.is_retriable() => R::Retry,
            _ => R::Fail,
        }
    }
}
