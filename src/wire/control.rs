//! Between this crate's messages and those of `kafka-protocol`, for all that is not coded by hand.

use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages as kp;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::StrBytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message::ApiVersionsResponse;
use super::message::CreateTopicsRequest;
use super::message::CreateTopicsResponse;
use super::message::DeleteTopicsRequest;
use super::message::DeleteTopicsResponse;
use super::message::DescribeClusterResponse;
use super::message::EpochEnd;
use super::message::EpochEndTopic;
use super::message::FindCoordinatorRequest;
use super::message::FindCoordinatorResponse;
use super::message::InitProducerIdRequest;
use super::message::InitProducerIdResponse;
use super::message::ListOffsetsRequest;
use super::message::ListOffsetsResponse;
use super::message::ListedPartition;
use super::message::ListedTopic;
use super::message::MetadataPartition;
use super::message::MetadataRequest;
use super::message::MetadataResponse;
use super::message::MetadataTopic;
use super::message::Node;
use super::message::OffsetForLeaderEpochRequest;
use super::message::OffsetForLeaderEpochResponse;
use super::message::TopicOutcome;
use super::shape;
use super::version::Api;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::ProducerIdentity;
use crate::types::TopicId;
use crate::types::TopicName;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &TopicName) -> kp::TopicName {
    text(name).into()
}

fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

fn named(name: &kp::TopicName) -> TopicName {
    TopicName::from(&*name.0)
}

fn ids(nodes: &[kp::BrokerId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

/// Encodes a message of the crate. It can only refuse a field that the version lacks, which is a mistake of ours.
fn put(message: &impl Encodable, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).map_err(|error| DecodeError::Message(error.to_string()))?;
    out.put_slice(&bytes);
    Ok(())
}

/// Decodes a response of the crate, after its counts were held against the frame.
fn take<M: Decodable>(api: Api, version: i16, mut body: Bytes) -> Result<M, DecodeError> {
    shape::check(api, version, &body)?;
    M::decode(&mut body, version).map_err(|error| DecodeError::Message(error.to_string()))
}

pub(super) fn put_api_versions(version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
    let mut request = kp::ApiVersionsRequest::default();
    if version >= 3 {
        request = request
            .with_client_software_name(StrBytes::from_static_str("ottla"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
    }
    put(&request, version, out)
}

/// Coded by hand: it is the first thing read from a peer that may be anything, and its tagged fields hold arrays.
///
/// A broker that does not speak the version answers error 35 in the form of version 0 (KIP-511).
pub(super) fn api_versions(version: i16, body: Bytes) -> Result<ApiVersionsResponse, DecodeError> {
    const UNSUPPORTED: [u8; 2] = 35_i16.to_be_bytes();
    let version = if body.starts_with(&UNSUPPORTED) { 0 } else { version };
    let mut reader = Reader::new(body, version >= 3);
    let error = reader.code()?;
    let apis = reader.array(6, |reader| {
        let api = (reader.i16()?, reader.i16()?, reader.i16()?);
        reader.skip_tags()?;
        Ok(api)
    })?;
    let throttle_time_ms = if version >= 1 { reader.i32()? } else { 0 };
    let mut finalized_features = Vec::new();
    reader.tags(|tag, field| {
        if tag == 2 {
            finalized_features = field.array(6, |field| {
                let feature = (field.string()?, field.i16()?);
                field.i16()?;
                field.skip_tags()?;
                Ok(feature)
            })?;
        }
        Ok(())
    })?;
    Ok(ApiVersionsResponse { error, apis, throttle_time_ms, finalized_features })
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

pub(super) fn metadata(version: i16, body: Bytes) -> Result<MetadataResponse, DecodeError> {
    let response: kp::MetadataResponse = take(Api::Metadata, version, body)?;
    let broker = |broker: kp::metadata_response::MetadataResponseBroker| Node {
        id: broker.node_id.0,
        host: broker.host.to_string(),
        port: broker.port,
        rack: owned(broker.rack),
    };
    let partition = |partition: kp::metadata_response::MetadataResponsePartition| MetadataPartition {
        error: Code::from_wire(partition.error_code),
        index: partition.partition_index,
        leader: partition.leader_id.0,
        leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
        replicas: ids(&partition.replica_nodes),
        isr: ids(&partition.isr_nodes),
        offline: ids(&partition.offline_replicas),
    };
    let topic = |topic: kp::metadata_response::MetadataResponseTopic| MetadataTopic {
        error: Code::from_wire(topic.error_code),
        name: topic.name.as_ref().map(named).unwrap_or_default(),
        id: TopicId(topic.topic_id.into_bytes()),
        internal: topic.is_internal,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    Ok(MetadataResponse {
        throttle_time_ms: response.throttle_time_ms,
        error: Code::from_wire(response.error_code),
        brokers: response.brokers.into_iter().map(broker).collect(),
        cluster_id: owned(response.cluster_id),
        controller: response.controller_id.0,
        topics: response.topics.into_iter().map(topic).collect(),
    })
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

pub(super) fn list_offsets(version: i16, body: Bytes) -> Result<ListOffsetsResponse, DecodeError> {
    let response: kp::ListOffsetsResponse = take(Api::ListOffsets, version, body)?;
    let partition = |partition: kp::list_offsets_response::ListOffsetsPartitionResponse| ListedPartition {
        index: partition.partition_index,
        error: Code::from_wire(partition.error_code),
        timestamp: partition.timestamp,
        offset: partition.offset,
        leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
    };
    let topic = |topic: kp::list_offsets_response::ListOffsetsTopicResponse| ListedTopic {
        name: named(&topic.name),
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    Ok(ListOffsetsResponse {
        throttle_time_ms: response.throttle_time_ms,
        topics: response.topics.into_iter().map(topic).collect(),
    })
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

pub(super) fn offset_for_leader_epoch(version: i16, body: Bytes) -> Result<OffsetForLeaderEpochResponse, DecodeError> {
    let response: kp::OffsetForLeaderEpochResponse = take(Api::OffsetForLeaderEpoch, version, body)?;
    let partition = |end: kp::offset_for_leader_epoch_response::EpochEndOffset| EpochEnd {
        index: end.partition,
        error: Code::from_wire(end.error_code),
        leader_epoch: LeaderEpoch::from_wire(end.leader_epoch),
        end_offset: end.end_offset,
    };
    let topic = |topic: kp::offset_for_leader_epoch_response::OffsetForLeaderTopicResult| EpochEndTopic {
        name: named(&topic.topic),
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    Ok(OffsetForLeaderEpochResponse {
        throttle_time_ms: response.throttle_time_ms,
        topics: response.topics.into_iter().map(topic).collect(),
    })
}

/// The first version that asks for several coordinators at once (KIP-699).
const COORDINATORS: i16 = 4;

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

pub(super) fn find_coordinator(version: i16, body: Bytes) -> Result<FindCoordinatorResponse, DecodeError> {
    let response: kp::FindCoordinatorResponse = take(Api::FindCoordinator, version, body)?;
    let throttle_time_ms = response.throttle_time_ms;
    if version < COORDINATORS {
        let (id, host, port) = (response.node_id.0, response.host.to_string(), response.port);
        return Ok(FindCoordinatorResponse {
            throttle_time_ms,
            error: Code::from_wire(response.error_code),
            error_message: owned(response.error_message),
            key: None,
            node: Node { id, host, port, rack: None },
        });
    }
    let missing = || DecodeError::Message("the coordinator that was asked for is not in the answer".into());
    let found = response.coordinators.into_iter().next().ok_or_else(missing)?;
    let (id, host, port) = (found.node_id.0, found.host.to_string(), found.port);
    Ok(FindCoordinatorResponse {
        throttle_time_ms,
        error: Code::from_wire(found.error_code),
        error_message: owned(found.error_message),
        key: Some(found.key.to_string()),
        node: Node { id, host, port, rack: None },
    })
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

pub(super) fn init_producer_id(version: i16, body: Bytes) -> Result<InitProducerIdResponse, DecodeError> {
    let response: kp::InitProducerIdResponse = take(Api::InitProducerId, version, body)?;
    let identity = ProducerIdentity { id: response.producer_id.0, epoch: response.producer_epoch };
    Ok(InitProducerIdResponse {
        throttle_time_ms: response.throttle_time_ms,
        error: Code::from_wire(response.error_code),
        identity: (identity.id >= 0 && identity.epoch >= 0).then_some(identity),
    })
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

pub(super) fn create_topics(version: i16, body: Bytes) -> Result<CreateTopicsResponse, DecodeError> {
    let response: kp::CreateTopicsResponse = take(Api::CreateTopics, version, body)?;
    let topic = |topic: kp::create_topics_response::CreatableTopicResult| TopicOutcome {
        name: named(&topic.name),
        id: TopicId(topic.topic_id.into_bytes()),
        error: Code::from_wire(topic.error_code),
        message: owned(topic.error_message),
    };
    Ok(CreateTopicsResponse {
        throttle_time_ms: response.throttle_time_ms,
        topics: response.topics.into_iter().map(topic).collect(),
    })
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

pub(super) fn delete_topics(version: i16, body: Bytes) -> Result<DeleteTopicsResponse, DecodeError> {
    let response: kp::DeleteTopicsResponse = take(Api::DeleteTopics, version, body)?;
    let topic = |topic: kp::delete_topics_response::DeletableTopicResult| TopicOutcome {
        name: topic.name.as_ref().map(named).unwrap_or_default(),
        id: TopicId(topic.topic_id.into_bytes()),
        error: Code::from_wire(topic.error_code),
        message: owned(topic.error_message),
    };
    Ok(DeleteTopicsResponse {
        throttle_time_ms: response.throttle_time_ms,
        topics: response.responses.into_iter().map(topic).collect(),
    })
}

pub(super) fn put_describe_cluster(version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
    let request = kp::DescribeClusterRequest::default();
    put(&if version >= 1 { request.with_endpoint_type(1) } else { request }, version, out)
}

pub(super) fn describe_cluster(version: i16, body: Bytes) -> Result<DescribeClusterResponse, DecodeError> {
    let response: kp::DescribeClusterResponse = take(Api::DescribeCluster, version, body)?;
    let broker = |broker: kp::describe_cluster_response::DescribeClusterBroker| Node {
        id: broker.broker_id.0,
        host: broker.host.to_string(),
        port: broker.port,
        rack: owned(broker.rack),
    };
    Ok(DescribeClusterResponse {
        throttle_time_ms: response.throttle_time_ms,
        error: Code::from_wire(response.error_code),
        cluster_id: response.cluster_id.to_string(),
        controller: response.controller_id.0,
        brokers: response.brokers.into_iter().map(broker).collect(),
    })
}
