//! OffsetForLeaderEpoch: the end offset of a leader epoch.

use kafka_protocol::messages as kp;
use kafka_protocol::messages::offset_for_leader_epoch_request as kp_request;

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
pub struct OffsetForLeaderEpochRequest {
    pub topics: Vec<EpochTopic>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochTopic {
    pub name: TopicName,
    pub partitions: Vec<EpochPartition>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct EpochPartition {
    pub index: i32,
    pub current_leader_epoch: Option<LeaderEpoch>,
    pub leader_epoch: Option<LeaderEpoch>,
}

api! {
    OffsetForLeaderEpoch = 23, versions 2..=4, flexible 4.., reads;
    OffsetForLeaderEpochRequest by kafka_protocol => OffsetForLeaderEpochResponse
}

messages! {
    OffsetForLeaderEpochRequest:

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

impl OffsetForLeaderEpochRequest {
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                kp_request::OffsetForLeaderPartition::default()
                    .with_partition(partition.index)
                    .with_current_leader_epoch(LeaderEpoch::to_wire(partition.current_leader_epoch))
                    .with_leader_epoch(LeaderEpoch::to_wire(partition.leader_epoch))
            });
            kp_request::OffsetForLeaderTopic::default()
                .with_topic(topic_name(&topic.name))
                .with_partitions(partitions.collect())
        });
        let mut request = kp::OffsetForLeaderEpochRequest::default().with_topics(topics.collect());
        if version >= 3 {
            request = request.with_replica_id((-1).into());
        }
        put(&request, version, out)
    }
}
