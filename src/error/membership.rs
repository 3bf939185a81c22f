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

/// The next step after an error code in a response to ConsumerGroupHeartbeat (`AbstractHeartbeatRequestManager`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatRecovery {
    /// Joining again does not help.
    Fail,
    /// Another broker coordinates the group. Find it and retry.
    FindCoordinator,
    /// The coordinator does not know the member or its epoch. It gives up what it has, and joins again.
    Rejoin,
    /// The application is to know. The member stays, and retries after a pause.
    Report,
    /// Retry after a pause.
    Retry,
}

impl Code {
    /// The recovery after this code in a response to ConsumerGroupHeartbeat.
    pub fn heartbeat_recovery(self) -> HeartbeatRecovery {
        use HeartbeatRecovery as R;
        match self {
            Self::CoordinatorNotAvailable | Self::NotCoordinator => R::FindCoordinator,
            Self::FencedMemberEpoch | Self::UnknownMemberId => R::Rejoin,
            Self::TopicAuthorizationFailed => R::Report,
            // Among others: COORDINATOR_LOAD_IN_PROGRESS.
            other if other.is_retriable() => R::Retry,
            // Among others: UNRELEASED_INSTANCE_ID and FENCED_INSTANCE_ID, another member has the name; UNSUPPORTED_ASSIGNOR;
            // GROUP_MAX_SIZE_REACHED; GROUP_AUTHORIZATION_FAILED; INVALID_REQUEST; UNSUPPORTED_VERSION.
            _ => R::Fail,
        }
    }

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
