//! OffsetForLeaderEpoch: the end offset of a leader epoch.

use super::declare::api;
use super::declare::messages;
use super::field::NoReplica;
use super::field::Partitioned;
use super::field::Topics;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicName;

api! {
    OffsetForLeaderEpoch = 23, versions 2..=4, flexible 4.., reads;
    OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse
}

messages! {
    OffsetForLeaderEpochRequest:

    /// `OffsetForLeaderEpochRequest.json`.
    request OffsetForLeaderEpochRequest {
        _: NoReplica [3..],
        topics: Vec<EpochTopic>,
    }

    struct EpochTopic {
        name: TopicName,
        partitions: Vec<EpochPartition>,
    }

    struct EpochPartition {
        index: i32,
        current_leader_epoch: Option<LeaderEpoch>,
        leader_epoch: Option<LeaderEpoch>,
    }

    /// `OffsetForLeaderEpochResponse.json`.
    response OffsetForLeaderEpochResponse {
        throttle_time_ms: i32,
        topics: Vec<EpochEndTopic> as Topics<EpochEndTopic>,
    }

    struct EpochEndTopic {
        name: TopicName,
        partitions: Vec<EpochEnd>,
    }

    struct EpochEnd {
        error: Option<Code>,
        index: i32,
        leader_epoch: Option<LeaderEpoch>,
        end_offset: i64,
    }
}

impl Partitioned for EpochEndTopic {
    type Partition = EpochEnd;

    fn has_partitions(topic: &Self) -> bool {
        !topic.partitions.is_empty()
    }
}
