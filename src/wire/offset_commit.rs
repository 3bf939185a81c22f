//! OffsetCommit: the offsets at which a group continues.

use super::declare::api;
use super::declare::messages;
use super::field::Partitioned;
use super::field::Topics;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

api! {
    OffsetCommit = 8, versions 2..=10, flexible 8.., writes [by name ..=9];
    OffsetCommitRequest => OffsetCommitResponse
}

messages! {
    OffsetCommitRequest:

    /// `OffsetCommitRequest.json`.
    request OffsetCommitRequest {
        group: String,
        generation_or_epoch: i32,
        member: String,
        instance: Option<String> [7..],
        retention_ms: i64 [0..=4] = -1,
        topics: Vec<CommitTopic>,
    }

    struct CommitTopic {
        name: TopicName [0..=9],
        id: TopicId [10..],
        partitions: Vec<CommitPartition>,
    }

    struct CommitPartition {
        index: i32,
        offset: i64,
        leader_epoch: Option<LeaderEpoch> [6..],
        metadata: Option<String>,
    }

    /// `OffsetCommitResponse.json`.
    response OffsetCommitResponse {
        throttle_time_ms: i32 [3..],
        topics: Vec<CommittedTopic> as Topics<CommittedTopic>,
    }

    struct CommittedTopic {
        name: TopicName [0..=9],
        id: TopicId [10..],
        partitions: Vec<(i32, Option<Code>)>,
    }
}

impl Partitioned for CommittedTopic {
    type Partition = (i32, Option<Code>);

    fn has_partitions(topic: &Self) -> bool {
        !topic.partitions.is_empty()
    }
}

impl OffsetCommitRequest {
    fn lacks_id(&self) -> bool {
        self.topics.iter().any(|topic| topic.id.is_zero())
    }
}
