//! The recovery from an error code, by the request and by the promise about it.
//!
//! ```
//! use ottla::error::Code;
//! use ottla::error::recovery::{ProduceRecovery, Promise};
//!
//! // The batch is in the leader's log, and may be lost with it.
//! let recovery = Code::NotEnoughReplicasAfterAppend.produce_recovery(Promise::Idempotent);
//! assert_eq!(recovery, ProduceRecovery::Retry { doubtful: true });
//! ```

use super::Code;

/// The promise that a producer made about a batch, which decides what an error code means for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// The batch is acknowledged and has no sequence: a retry may write it twice.
    Acknowledged,
    /// The batch has a sequence, by which brokers know it again.
    Idempotent,
}

/// The recovery from a partition's error in a Produce response (`Sender.completeBatch`).
///
/// `doubtful` says that this attempt may have been written all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProduceRecovery {
    /// The batch had been written before: success without a known offset.
    Duplicate,
    /// This batch can never succeed.
    Fail {
        /// Whether the attempt may have been written.
        doubtful: bool,
    },
    /// The producer cannot go on.
    Fatal,
    /// The identity is of no use for this partition; continue with another epoch.
    NewEpoch,
    /// Refresh the metadata, then send the same bytes.
    RefreshMetadata {
        /// Whether the attempt may have been written.
        doubtful: bool,
    },
    /// Send the same bytes again after a pause.
    Retry {
        /// Whether the attempt may have been written.
        doubtful: bool,
    },
    /// Make smaller batches of it.
    Split,
}

/// The recovery from an error in an InitProducerId response (`TransactionManager.InitProducerIdHandler`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentityRecovery {
    /// The producer cannot have an identity.
    Fatal,
    /// Send the request again after a pause.
    Retry,
}

impl Code {
    /// The recovery from this code in an InitProducerId response: Java repeats the request after every retriable error.
    pub fn identity_recovery(self) -> IdentityRecovery {
        if self.is_retriable() { IdentityRecovery::Retry } else { IdentityRecovery::Fatal }
    }

    /// The recovery from this code in a Produce response. Every code has its place here.
    ///
    /// An attempt is in doubt after each code that a broker returns once it has appended the batch: when it waits for replicas
    /// (`DelayedProduce.tryComplete` and its expiry, `Partition.checkEnoughReplicasReachOffset`), when the disk fails under the
    /// append (`LogDirFailureChannel`), or when it cannot say what happened.
    #[rustfmt::skip]
    #[expect(clippy::match_same_arms, reason = "codes that brokers return stand apart from those that they do not")]
    pub fn produce_recovery(self, promise: Promise) -> ProduceRecovery {
        use ProduceRecovery as R;
        match self {
            Self::DuplicateSequenceNumber => R::Duplicate,
            Self::MessageTooLarge | Self::RecordListTooLarge => R::Split,
            Self::OutOfOrderSequenceNumber | Self::UnknownProducerId | Self::InvalidProducerEpoch => match promise {
                Promise::Idempotent => R::NewEpoch,
                // The batch had no sequence: this refuses it.
                Promise::Acknowledged => R::Fail { doubtful: false },
            },
            // While the broker waits for replicas, the leader moves (KAFKA-13574), the topic is deleted, or the disk fails.
            Self::NotLeaderOrFollower | Self::LeaderNotAvailable | Self::FencedLeaderEpoch | Self::KafkaStorageError
            | Self::UnknownTopicOrPartition => R::RefreshMetadata { doubtful: true },
            // Ids are looked up before anything is appended (`KafkaApis.handleProduceRequest`).
            Self::UnknownTopicId | Self::InconsistentTopicId | Self::ReplicaNotAvailable => {
                R::RefreshMetadata { doubtful: false }
            }
            Self::RequestTimedOut | Self::NotEnoughReplicasAfterAppend | Self::Network
            | Self::UnknownServerError => R::Retry { doubtful: true },
            Self::CorruptMessage | Self::NotEnoughReplicas | Self::ThrottlingQuotaExceeded
            | Self::UnknownLeaderEpoch => R::Retry { doubtful: false },
            Self::ProducerFenced | Self::ClusterAuthorizationFailed | Self::TransactionalIdAuthorizationFailed
            | Self::InvalidProducerIdMapping | Self::UnsupportedVersion => R::Fatal,
            // Refused before the append (`UnifiedLog.append`, `ReplicaManager.appendRecords`, `KafkaApis.handleProduceRequest`).
            Self::TopicAuthorizationFailed | Self::InvalidTopic | Self::InvalidRequiredAcks | Self::InvalidRecord
            | Self::InvalidTimestamp | Self::PolicyViolation | Self::UnsupportedCompressionType
            | Self::UnsupportedForMessageFormat | Self::InvalidTxnState | Self::InvalidRequest
            | Self::TransactionAbortable => R::Fail { doubtful: false },
            // Brokers do not return these for a Produce request. Each is read by its general meaning, and the attempt is in doubt.
            Self::CoordinatorLoadInProgress | Self::CoordinatorNotAvailable | Self::NotCoordinator
            | Self::NotController | Self::ConcurrentTransactions | Self::FetchSessionIdNotFound
            | Self::InvalidFetchSessionEpoch | Self::ListenerNotFound | Self::OffsetNotAvailable
            | Self::PreferredLeaderNotAvailable | Self::EligibleLeadersNotAvailable | Self::ElectionNotNeeded
            | Self::UnstableOffsetCommit | Self::FetchSessionTopicIdError | Self::ShareSessionNotFound
            | Self::InvalidShareSessionEpoch => R::Retry { doubtful: true },
            Self::OffsetOutOfRange | Self::InvalidFetchSize | Self::BrokerNotAvailable | Self::StaleControllerEpoch
            | Self::OffsetMetadataTooLarge | Self::IllegalGeneration | Self::InconsistentGroupProtocol
            | Self::InvalidGroupId | Self::UnknownMemberId | Self::InvalidSessionTimeout | Self::RebalanceInProgress
            | Self::InvalidCommitOffsetSize | Self::GroupAuthorizationFailed | Self::UnsupportedSaslMechanism
            | Self::IllegalSaslState | Self::TopicAlreadyExists | Self::InvalidPartitions
            | Self::InvalidReplicationFactor | Self::InvalidReplicaAssignment | Self::InvalidConfig
            | Self::InvalidTransactionTimeout | Self::TransactionCoordinatorFenced | Self::SecurityDisabled
            | Self::OperationNotAttempted | Self::LogDirNotFound | Self::SaslAuthenticationFailed
            | Self::ReassignmentInProgress | Self::DelegationTokenAuthDisabled | Self::DelegationTokenNotFound
            | Self::DelegationTokenOwnerMismatch | Self::DelegationTokenRequestNotAllowed
            | Self::DelegationTokenAuthorizationFailed | Self::DelegationTokenExpired | Self::InvalidPrincipalType
            | Self::NonEmptyGroup | Self::GroupIdNotFound | Self::TopicDeletionDisabled | Self::StaleBrokerEpoch
            | Self::MemberIdRequired | Self::GroupMaxSizeReached | Self::FencedInstanceId
            | Self::NoReassignmentInProgress | Self::GroupSubscribedToTopic | Self::ResourceNotFound
            | Self::DuplicateResource | Self::UnacceptableCredential | Self::InconsistentVoterSet
            | Self::InvalidUpdateVersion | Self::FeatureUpdateFailed | Self::PrincipalDeserializationFailure
            | Self::SnapshotNotFound | Self::PositionOutOfRange | Self::DuplicateBrokerRegistration
            | Self::BrokerIdNotRegistered | Self::InconsistentClusterId | Self::TransactionalIdNotFound
            | Self::IneligibleReplica | Self::NewLeaderElected | Self::OffsetMovedToTieredStorage
            | Self::FencedMemberEpoch | Self::UnreleasedInstanceId | Self::UnsupportedAssignor
            | Self::StaleMemberEpoch | Self::MismatchedEndpointType | Self::UnsupportedEndpointType
            | Self::UnknownControllerId | Self::UnknownSubscriptionId | Self::TelemetryTooLarge
            | Self::InvalidRegistration | Self::InvalidRecordState | Self::FencedStateEpoch | Self::InvalidVoterKey
            | Self::DuplicateVoter | Self::VoterNotFound | Self::InvalidRegularExpression | Self::RebootstrapRequired
            | Self::Unknown(_) => R::Fail { doubtful: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes that a broker returns before it appends anything, so that the attempt is surely not written.
    const BEFORE_THE_APPEND: &[Code] = &[
        Code::CorruptMessage,
        Code::InconsistentTopicId,
        Code::InvalidRecord,
        Code::InvalidRequest,
        Code::InvalidRequiredAcks,
        Code::InvalidTimestamp,
        Code::InvalidTopic,
        Code::InvalidTxnState,
        Code::NotEnoughReplicas,
        Code::PolicyViolation,
        Code::ReplicaNotAvailable,
        Code::ThrottlingQuotaExceeded,
        Code::TopicAuthorizationFailed,
        Code::TransactionAbortable,
        Code::UnknownLeaderEpoch,
        Code::UnknownTopicId,
        Code::UnsupportedCompressionType,
        Code::UnsupportedForMessageFormat,
    ];

    fn codes() -> impl Iterator<Item = Code> {
        (-1..=150).filter_map(Code::from_wire)
    }

    #[test]
    fn only_codes_from_before_the_append_leave_no_doubt() {
        for code in codes() {
            match code.produce_recovery(Promise::Idempotent) {
                ProduceRecovery::Fail { doubtful }
                | ProduceRecovery::RefreshMetadata { doubtful }
                | ProduceRecovery::Retry { doubtful } => {
                    assert_eq!(doubtful, !BEFORE_THE_APPEND.contains(&code), "{code}");
                }
                ProduceRecovery::Duplicate
                | ProduceRecovery::Fatal
                | ProduceRecovery::NewEpoch
                | ProduceRecovery::Split => {
                    assert!(!BEFORE_THE_APPEND.contains(&code), "{code}");
                }
            }
        }
    }

    #[test]
    fn codes_after_the_append_are_retried_in_doubt() {
        for code in [Code::RequestTimedOut, Code::NotEnoughReplicasAfterAppend, Code::Network, Code::UnknownServerError]
        {
            assert_eq!(code.produce_recovery(Promise::Idempotent), ProduceRecovery::Retry { doubtful: true }, "{code}");
        }
        for code in [
            Code::FencedLeaderEpoch,
            Code::KafkaStorageError,
            Code::LeaderNotAvailable,
            Code::NotLeaderOrFollower,
            Code::UnknownTopicOrPartition,
        ] {
            let expected = ProduceRecovery::RefreshMetadata { doubtful: true };
            assert_eq!(code.produce_recovery(Promise::Idempotent), expected, "{code}");
        }
    }

    #[test]
    fn without_sequences_only_codes_about_sequences_mean_something_else() {
        let differs =
            |code: &Code| code.produce_recovery(Promise::Acknowledged) != code.produce_recovery(Promise::Idempotent);
        let differing: Vec<Code> = codes().filter(differs).collect();
        assert_eq!(differing, [Code::OutOfOrderSequenceNumber, Code::InvalidProducerEpoch, Code::UnknownProducerId]);
        for code in differing {
            assert_eq!(
                code.produce_recovery(Promise::Acknowledged),
                ProduceRecovery::Fail { doubtful: false },
                "{code}"
            );
        }
    }

    #[test]
    fn identity_is_requested_again_after_retriable_codes_only() {
        assert_eq!(Code::CoordinatorLoadInProgress.identity_recovery(), IdentityRecovery::Retry);
        for code in [Code::ClusterAuthorizationFailed, Code::ProducerFenced, Code::UnknownServerError] {
            assert_eq!(code.identity_recovery(), IdentityRecovery::Fatal, "{code}");
        }
    }
}
