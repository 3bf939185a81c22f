//! ListOffsets: the first and the last offset of a log, and the offset of a timestamp.

use super::buf::DecodeError;
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

    /// `timestamp`: −1 latest, −2 earliest, −3 largest timestamp, −4 earliest of the local log, −5 latest in remote storage,
    /// otherwise milliseconds.
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

impl ListOffsetsRequest {
    /// Refuses a special timestamp that the version does not know: a broker would fail the whole request.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        let requested = self.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.timestamp);
        let lowest = requested.min().unwrap_or(0);
        let (since, what) = match lowest {
            -2.. => return Ok(()),
            -3 => (7, "the largest timestamp: it needs Kafka 3.0"),
            -4 => (8, "the earliest local offset: it needs Kafka 3.4"),
            _ => (9, "the latest offset in remote storage: it needs Kafka 3.9"),
        };
        if version < since {
            return Err(DecodeError::TooOld(format!("version {version} has no offset of {what}")));
        }
        Ok(())
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
