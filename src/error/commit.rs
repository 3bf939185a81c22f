//! The recovery after each error code of a partition in an OffsetCommit response.

use super::Code;

/// The next step after an error code in an OffsetCommit response (`ConsumerCoordinator.OffsetCommitResponseHandler`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitRecovery {
    /// The offset cannot be committed.
    Fail,
    /// The group has another generation, or another member has taken this one's place. The offset cannot be committed until
    /// the membership is renewed.
    Fenced,
    /// Another broker coordinates the group. Find it and retry.
    FindCoordinator,
    /// The topic has another id, or the broker does not know it yet. Refresh the metadata and retry.
    RefreshMetadata,
    /// Retry after a pause.
    Retry,
}

impl Code {
    /// The recovery after this code in an OffsetCommit response. Every code has its place here.
    #[rustfmt::skip]
    #[expect(clippy::match_same_arms, reason = "codes that coordinators send are apart from those that they do not")]
    pub fn commit_recovery(self) -> CommitRecovery {
        use CommitRecovery as R;
        match self {
            // A coordinator that could not append to its log in time translates that to one of these.
            Self::CoordinatorNotAvailable | Self::NotCoordinator | Self::RequestTimedOut => R::FindCoordinator,
            Self::UnknownTopicOrPartition | Self::UnknownTopicId | Self::InconsistentTopicId => R::RefreshMetadata,
            Self::FencedInstanceId | Self::FencedMemberEpoch | Self::IllegalGeneration
            | Self::RebalanceInProgress | Self::StaleMemberEpoch | Self::UnknownMemberId => R::Fenced,
            Self::CoordinatorLoadInProgress | Self::UnstableOffsetCommit | Self::Network
            | Self::NotEnoughReplicas | Self::NotEnoughReplicasAfterAppend | Self::ThrottlingQuotaExceeded => R::Retry,
            Self::GroupAuthorizationFailed | Self::GroupIdNotFound | Self::InvalidCommitOffsetSize
            | Self::InvalidGroupId | Self::InvalidRequest | Self::OffsetMetadataTooLarge
            | Self::TopicAuthorizationFailed | Self::UnsupportedVersion => R::Fail,
            // Not sent by coordinators: only the code itself says whether it passes.
            Self::CorruptMessage | Self::LeaderNotAvailable | Self::NotLeaderOrFollower
            | Self::ReplicaNotAvailable | Self::NotController | Self::ConcurrentTransactions
            | Self::KafkaStorageError | Self::FetchSessionIdNotFound | Self::InvalidFetchSessionEpoch
            | Self::ListenerNotFound | Self::FencedLeaderEpoch | Self::UnknownLeaderEpoch
            | Self::OffsetNotAvailable | Self::PreferredLeaderNotAvailable | Self::EligibleLeadersNotAvailable
            | Self::ElectionNotNeeded | Self::FetchSessionTopicIdError | Self::ShareSessionNotFound
            | Self::InvalidShareSessionEpoch => R::Retry,
            Self::UnknownServerError | Self::OffsetOutOfRange | Self::InvalidFetchSize
            | Self::BrokerNotAvailable | Self::MessageTooLarge | Self::StaleControllerEpoch | Self::InvalidTopic
            | Self::RecordListTooLarge | Self::InvalidRequiredAcks | Self::InconsistentGroupProtocol
            | Self::InvalidSessionTimeout | Self::ClusterAuthorizationFailed | Self::InvalidTimestamp
            | Self::UnsupportedSaslMechanism | Self::IllegalSaslState | Self::TopicAlreadyExists
            | Self::InvalidPartitions | Self::InvalidReplicationFactor | Self::InvalidReplicaAssignment
            | Self::InvalidConfig | Self::UnsupportedForMessageFormat | Self::PolicyViolation
            | Self::OutOfOrderSequenceNumber | Self::DuplicateSequenceNumber | Self::InvalidProducerEpoch
            | Self::InvalidTxnState | Self::InvalidProducerIdMapping | Self::InvalidTransactionTimeout
            | Self::TransactionCoordinatorFenced | Self::TransactionalIdAuthorizationFailed
            | Self::SecurityDisabled | Self::OperationNotAttempted | Self::LogDirNotFound
            | Self::SaslAuthenticationFailed | Self::UnknownProducerId | Self::ReassignmentInProgress
            | Self::DelegationTokenAuthDisabled | Self::DelegationTokenNotFound
            | Self::DelegationTokenOwnerMismatch | Self::DelegationTokenRequestNotAllowed
            | Self::DelegationTokenAuthorizationFailed | Self::DelegationTokenExpired | Self::InvalidPrincipalType
            | Self::NonEmptyGroup | Self::TopicDeletionDisabled | Self::UnsupportedCompressionType
            | Self::StaleBrokerEpoch | Self::MemberIdRequired | Self::GroupMaxSizeReached
            | Self::NoReassignmentInProgress | Self::GroupSubscribedToTopic | Self::InvalidRecord
            | Self::ProducerFenced | Self::ResourceNotFound | Self::DuplicateResource
            | Self::UnacceptableCredential | Self::InconsistentVoterSet | Self::InvalidUpdateVersion
            | Self::FeatureUpdateFailed | Self::PrincipalDeserializationFailure | Self::SnapshotNotFound
            | Self::PositionOutOfRange | Self::DuplicateBrokerRegistration | Self::BrokerIdNotRegistered
            | Self::InconsistentClusterId | Self::TransactionalIdNotFound | Self::IneligibleReplica
            | Self::NewLeaderElected | Self::OffsetMovedToTieredStorage | Self::UnreleasedInstanceId
            | Self::UnsupportedAssignor | Self::MismatchedEndpointType | Self::UnsupportedEndpointType
            | Self::UnknownControllerId | Self::UnknownSubscriptionId | Self::TelemetryTooLarge
            | Self::InvalidRegistration | Self::TransactionAbortable | Self::InvalidRecordState
            | Self::FencedStateEpoch | Self::InvalidVoterKey | Self::DuplicateVoter | Self::VoterNotFound
            | Self::InvalidRegularExpression | Self::RebootstrapRequired | Self::Unknown(_) => R::Fail,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_kafka_retries_are_never_final_and_membership_errors_are_never_retried() {
        for number in -1..200 {
            let Some(code) = Code::from_wire(number) else { continue };
            let is_final = matches!(code.commit_recovery(), CommitRecovery::Fail | CommitRecovery::Fenced);
            assert_eq!(is_final, !code.is_retriable(), "{code}");
        }
        for code in [Code::IllegalGeneration, Code::UnknownMemberId, Code::FencedInstanceId, Code::StaleMemberEpoch] {
            assert_eq!(code.commit_recovery(), CommitRecovery::Fenced, "{code}");
        }
    }
}
