//! ListOffsets: the first and the last offset of a log, and the offset of a timestamp.

use kafka_protocol::messages as kp;
use kafka_protocol::messages::list_offsets_request as kp_request;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::control::put;
use super::control::topic_name;
use super::declare::api;
use super::declare::messages;
use super::field::Partitioned;
use super::field::Topics;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicName;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsRequest {
    pub isolation: i8,
    pub timeout_ms: i32,
    pub topics: Vec<ListOffsetsTopic>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsTopic {
    pub name: TopicName,
    pub partitions: Vec<ListOffsetsPartition>,
}

/// `timestamp`: −1 latest, −2 earliest, −3 largest timestamp, otherwise milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListOffsetsPartition {
    pub index: i32,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub timestamp: i64,
}

api! {
    ListOffsets = 2, versions 1..=10, flexible 6.., reads;
    ListOffsetsRequest by kafka_protocol => ListOffsetsResponse
}

messages! {
    ListOffsetsRequest:

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

impl ListOffsetsRequest {
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let asked = kp_request::ListOffsetsPartition::default()
                    .with_partition_index(partition.index)
                    .with_timestamp(partition.timestamp);
                let epoch = LeaderEpoch::to_wire(partition.current_leader_epoch);
                if version >= 4 { asked.with_current_leader_epoch(epoch) } else { asked }
            });
            kp_request::ListOffsetsTopic::default()
                .with_name(topic_name(&topic.name))
                .with_partitions(partitions.collect())
        });
        let mut request = kp::ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(topics.collect());
        if version >= 2 {
            request = request.with_isolation_level(self.isolation);
        }
        if version >= 10 {
            request = request.with_timeout_ms(self.timeout_ms);
        }
        put(&request, version, out)
    }
}
