//! AlterPartitionReassignments: moves the replicas of partitions to other brokers (KIP-455, KIP-860).

use super::buf::DecodeError;
use super::declare::api;
use super::declare::messages;
use super::thin::ThinList;
use crate::error::Code;
use crate::types::TopicName;

/// The first version that can refuse another number of replicas (KIP-860).
const REFUSES: i16 = 1;

api! {
    AlterPartitionReassignments = 45, versions 0..=1, flexible 0.., writes;
    AlterPartitionReassignmentsRequest => AlterPartitionReassignmentsResponse
}

messages! {
    AlterPartitionReassignmentsRequest:

    /// `AlterPartitionReassignmentsRequest.json`.
    request AlterPartitionReassignmentsRequest {
        timeout_ms: i32,
        allow_replication_change: bool [1..] = true,
        topics: Vec<ReassignedTopic>,
    }

    struct ReassignedTopic {
        name: TopicName,
        partitions: Vec<Reassignment>,
    }

    /// `replicas: None` cancels a reassignment.
    struct Reassignment {
        index: i32,
        replicas: Option<Vec<i32>>,
    }

    /// `AlterPartitionReassignmentsResponse.json`.
    response AlterPartitionReassignmentsResponse {
        throttle_time_ms: i32,
        allow_replication_change: bool [1..] = true,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        topics: Vec<AlteredTopic>,
    }

    struct AlteredTopic {
        name: Box<str>,
        partitions: ThinList<AlteredPartition>,
    }

    struct AlteredPartition {
        index: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
    }
}

impl AlterPartitionReassignmentsRequest {
    /// Refuses to let the number of replicas change where it must not.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < REFUSES && !self.allow_replication_change {
            return Err(DecodeError::TooOld(format!("version {version} always allows another number of replicas")));
        }
        Ok(())
    }
}
