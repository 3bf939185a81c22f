//! Requests of the control plane, encoded by `kafka-protocol`. Their responses are decoded by hand, each beside its kind.

use bytes::BytesMut;
use kafka_protocol::messages as kp;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::StrBytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::coordinator::COORDINATORS;
use super::message::ApiVersionsRequest;
use super::message::CreateTopicsRequest;
use super::message::DeleteTopicsRequest;
use super::message::DescribeClusterRequest;
use super::message::FindCoordinatorRequest;
use super::message::InitProducerIdRequest;
use super::message::ListOffsetsRequest;
use super::message::MetadataRequest;
use super::message::OffsetForLeaderEpochRequest;
use crate::types::LeaderEpoch;
use crate::types::TopicName;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &TopicName) -> kp::TopicName {
    text(name).into()
}

/// Encodes a message of the crate. It can only refuse a field that the version lacks, which is a mistake of ours.
fn put(message: &impl Encodable, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).map_err(|error| DecodeError::Message(error.to_string()))?;
    out.put_slice(&bytes);
    Ok(())
}

impl ApiVersionsRequest {
    pub(super) fn put(version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let mut request = kp::ApiVersionsRequest::default();
        if version >= 3 {
            request = request
                .with_client_software_name(StrBytes::from_static_str("ottla"))
                .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        }
        put(&request, version, out)
    }
}

impl MetadataRequest {
    pub(super) fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let topic =
            |name: &TopicName| kp::metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let mut topics: Option<Vec<_>> = self.topics.as_ref().map(|topics| topics.iter().map(topic).collect());
        if version == 0 {
            // Version 0 has no null: an empty list asks for all.
            topics = Some(topics.unwrap_or_default());
        }
        let mut request = kp::MetadataRequest::default().with_topics(topics);
        if version >= 4 {
            request = request.with_allow_auto_topic_creation(self.allow_auto_create);
        }
        put(&request, version, out)
    }
}

impl ListOffsetsRequest {
    pub(super) fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        use kp::list_offsets_request::ListOffsetsPartition;
        use kp::list_offsets_request::ListOffsetsTopic;
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let asked = ListOffsetsPartition::default()
                    .with_partition_index(partition.index)
                    .with_timestamp(partition.timestamp);
                let epoch = LeaderEpoch::to_wire(partition.current_leader_epoch);
                if version >= 4 { asked.with_current_leader_epoch(epoch) } else { asked }
            });
            ListOffsetsTopic::default().with_name(topic_name(&topic.name)).with_partitions(partitions.collect())
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

impl OffsetForLeaderEpochRequest {
    pub(super) fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        use kp::offset_for_leader_epoch_request::OffsetForLeaderPartition;
        use kp::offset_for_leader_epoch_request::OffsetForLeaderTopic;
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                OffsetForLeaderPartition::default()
                    .with_partition(partition.index)
                    .with_current_leader_epoch(LeaderEpoch::to_wire(partition.current_leader_epoch))
                    .with_leader_epoch(LeaderEpoch::to_wire(partition.leader_epoch))
            });
            OffsetForLeaderTopic::default().with_topic(topic_name(&topic.name)).with_partitions(partitions.collect())
        });
        let mut request = kp::OffsetForLeaderEpochRequest::default().with_topics(topics.collect());
        if version >= 3 {
            request = request.with_replica_id((-1).into());
        }
        put(&request, version, out)
    }
}

impl FindCoordinatorRequest {
    pub(super) fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let mut request = kp::FindCoordinatorRequest::default();
        if version >= 1 {
            request = request.with_key_type(self.kind);
        }
        request = if version >= COORDINATORS {
            request.with_coordinator_keys(vec![text(&self.key)])
        } else {
            request.with_key(text(&self.key))
        };
        put(&request, version, out)
    }
}

impl InitProducerIdRequest {
    pub(super) fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let mut request = kp::InitProducerIdRequest::default()
            .with_transactional_id(self.transactional_id.as_deref().map(|id| text(id).into()))
            .with_transaction_timeout_ms(self.transaction_timeout_ms);
        if version >= 3 {
            let (id, epoch) = self.current.map_or((-1, -1), |current| (current.id, current.epoch));
            request = request.with_producer_id(id.into()).with_producer_epoch(epoch);
        }
        put(&request, version, out)
    }
}

impl CreateTopicsRequest {
    pub(super) fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        use kp::create_topics_request::CreatableTopic;
        use kp::create_topics_request::CreatableTopicConfig;
        let topics = self.topics.iter().map(|topic| {
            let configs = topic.configs.iter().map(|(name, value)| {
                CreatableTopicConfig::default().with_name(text(name)).with_value(value.as_deref().map(text))
            });
            CreatableTopic::default()
                .with_name(topic_name(&topic.name))
                .with_num_partitions(topic.partitions)
                .with_replication_factor(topic.replication)
                .with_configs(configs.collect())
        });
        let request = kp::CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.timeout_ms)
            .with_validate_only(self.validate_only);
        put(&request, version, out)
    }
}

impl DeleteTopicsRequest {
    pub(super) fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let mut request = kp::DeleteTopicsRequest::default().with_timeout_ms(self.timeout_ms);
        if version >= 6 {
            let topic = |name| kp::delete_topics_request::DeleteTopicState::default().with_name(Some(topic_name(name)));
            request = request.with_topics(self.names.iter().map(topic).collect());
        } else {
            request = request.with_topic_names(self.names.iter().map(topic_name).collect());
        }
        put(&request, version, out)
    }
}

impl DescribeClusterRequest {
    pub(super) fn put(version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let request = kp::DescribeClusterRequest::default();
        put(&if version >= 1 { request.with_endpoint_type(1) } else { request }, version, out)
    }
}
