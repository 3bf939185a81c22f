//! ListOffsets: the first and the last offset of a log, and the offset of a timestamp.

use super::declare::api;
use super::declare::messages;
use super::field::NoReplica;
use super::field::Partitioned;
use super::field::Topics;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicName;

api! {
    ListOffsets = 2, versions 1..=10, flexible 6.., reads;
    ListOffsetsRequest => ListOffsetsResponse
}

messages! {
    ListOffsetsRequest:

    /// `ListOffsetsRequest.json`.
    request ListOffsetsRequest {
        _: NoReplica,
        isolation: i8 [2..],
        topics: Vec<ListOffsetsTopic>,
        timeout_ms: i32 [10..],
    }

    struct ListOffsetsTopic {
        name: TopicName,
        partitions: Vec<ListOffsetsPartition>,
    }

    /// `timestamp`: −1 latest, −2 earliest, −3 largest timestamp, otherwise milliseconds.
    struct ListOffsetsPartition {
        index: i32,
        current_leader_epoch: Option<LeaderEpoch> [4..],
        timestamp: i64,
    }

    /// `ListOffsetsResponse.json`.
    response ListOffsetsResponse {
        throttle_time_ms: i32 [2..],
        topics: Vec<ListedTopic> as Topics<ListedTopic>,
    }

    struct ListedTopic {
        name: TopicName,
        partitions: Vec<ListedPartition>,
    }

    struct ListedPartition {
        index: i32,
        error: Option<Code>,
        timestamp: i64,
        offset: i64,
        leader_epoch: Option<LeaderEpoch> [4..],
    }
}

impl Partitioned for ListedTopic {
    type Partition = ListedPartition;

    fn has_partitions(topic: &Self) -> bool {
        !topic.partitions.is_empty()
    }
}

impl ListOffsetsResponse {
    /// The first result for this partition.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&ListedPartition> {
        let topics = self.topics.iter().filter(|listed| *listed.name == *topic);
        topics.flat_map(|listed| &listed.partitions).find(|listed| listed.index == partition)
    }
}
