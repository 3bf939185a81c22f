//! AlterReplicaLogDirs: moves replicas of a broker between its log directories (KIP-113).

use super::declare::api;
use super::declare::messages;
use super::message::TopicIndexes;
use super::thin::ThinList;
use crate::error::Code;

api! {
    AlterReplicaLogDirs = 34, versions 1..=2, flexible 2.., writes;
    AlterReplicaLogDirsRequest => AlterReplicaLogDirsResponse
}

messages! {
    AlterReplicaLogDirsRequest:

    /// `AlterReplicaLogDirsRequest.json`.
    request AlterReplicaLogDirsRequest {
        directories: Vec<ReplicaMove>,
    }

    struct ReplicaMove {
        path: String,
        topics: Vec<TopicIndexes>,
    }

    /// `AlterReplicaLogDirsResponse.json`.
    response AlterReplicaLogDirsResponse {
        throttle_time_ms: i32,
        topics: Vec<MovedTopic>,
    }

    struct MovedTopic {
        name: Box<str>,
        partitions: ThinList<MovedReplica>,
    }

    struct MovedReplica {
        index: i32,
        error: Option<Code>,
    }
}
