//! A second opinion on responses: the result of `kafka-protocol`, converted to this client's types.

use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages as kp;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::ResponseKind;
use kafka_protocol::messages::api_versions_response::FinalizedFeatureKey;
use kafka_protocol::messages::api_versions_response::SupportedFeatureKey;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::list_offsets_response::ListOffsetsTopicResponse;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use kafka_protocol::messages::offset_for_leader_epoch_response::OffsetForLeaderTopicResult;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::StrBytes;
use ottla::error::Code;
use ottla::internals::wire::Api;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use ottla::types::LeaderEpoch;
use ottla::types::ProducerIdentity;
use ottla::types::TopicId;

use super::shape;

/// The response as the crate decodes it. `None` if the crate refuses it, or would reserve more than the frame can hold.
pub fn opinion(api: Api, version: i16, body: &Bytes) -> Option<Response> {
    // A broker that does not support the version responds with error 35 in version 0 (KIP-511).
    let version = if api == Api::ApiVersions && body.starts_with(&[0, 35]) { 0 } else { version };
    shape::walk(api, version, body)?;
    Some(match api {
        Api::ApiVersions => Response::ApiVersions(api_versions(decoded(version, body)?)),
        Api::CreateTopics => Response::CreateTopics(create_topics(decoded(version, body)?)),
        Api::DeleteTopics => Response::DeleteTopics(delete_topics(decoded(version, body)?)),
        Api::FindCoordinator => Response::FindCoordinator(find_coordinator(version, decoded(version, body)?)),
        Api::InitProducerId => Response::InitProducerId(init_producer_id(&decoded(version, body)?)),
        Api::ListOffsets => Response::ListOffsets(list_offsets(decoded(version, body)?)),
        Api::Metadata => Response::Metadata(metadata(decoded(version, body)?)),
        Api::OffsetForLeaderEpoch => Response::OffsetForLeaderEpoch(offset_for_leader_epoch(decoded(version, body)?)),
        _ => return None,
    })
}

/// Compares a response of an API without a layout with the crate: the crate decodes our encoding of it, and encodes it to the same
/// bytes. Only our own encoding is given to the crate, which trusts every count.
pub fn agrees(response: &Response, api: Api, version: i16) {
    // Kafka 4.4, which the crate does not know, added the messages of version 3.
    if (api, version) == (Api::DeleteGroups, 3) {
        return;
    }
    let ours = super::response_body(response, version);
    let key = ApiKey::try_from(api.key()).expect("an API that the crate knows");
    let theirs = ResponseKind::decode(key, &mut ours.clone(), version);
    let theirs = theirs.unwrap_or_else(|error| panic!("{api:?} version {version}: {error}: {response:?}"));
    let mut again = BytesMut::new();
    theirs
        .encode(&mut again, version)
        .unwrap_or_else(|error| panic!("{api:?} version {version}: {error}: {response:?}"));
    assert_eq!(again, ours, "{api:?} version {version}: {response:?}");
}

fn decoded<M: Decodable>(version: i16, body: &Bytes) -> Option<M> {
    M::decode(&mut body.clone(), version).ok()
}

fn owned(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}

/// The message of an outcome. An empty one is none.
fn message(text: Option<StrBytes>) -> Option<Box<Box<str>>> {
    text.filter(|text| !text.is_empty()).map(|text| Box::new(Box::from(&*text)))
}

fn ids(nodes: &[kp::BrokerId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}

fn api_versions(response: kp::ApiVersionsResponse) -> m::ApiVersionsResponse {
    let supported = |key: SupportedFeatureKey| m::SupportedFeature {
        name: key.name.to_string(),
        level_min: key.min_version,
        level_max: key.max_version,
    };
    let finalized = |key: FinalizedFeatureKey| m::Feature {
        name: key.name.to_string(),
        level: key.max_version_level,
        level_min: key.min_version_level,
    };
    m::ApiVersionsResponse {
        error: Code::from_wire(response.error_code),
        apis: response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect(),
        throttle_time_ms: response.throttle_time_ms,
        supported_features: response.supported_features.into_iter().map(supported).collect(),
        features_epoch: response.finalized_features_epoch,
        finalized_features: response.finalized_features.into_iter().map(finalized).collect(),
    }
}

fn create_topics(response: kp::CreateTopicsResponse) -> m::CreateTopicsResponse {
    let topic = |topic: CreatableTopicResult| m::TopicOutcome {
        name: Box::from(&**topic.name),
        error: Code::from_wire(topic.error_code),
        message: message(topic.error_message),
    };
    m::CreateTopicsResponse {
        throttle_time_ms: response.throttle_time_ms,
        topics: response.topics.into_iter().map(topic).collect(),
    }
}

fn delete_topics(response: kp::DeleteTopicsResponse) -> m::DeleteTopicsResponse {
    let topic = |topic: DeletableTopicResult| {
        let (id, message) = (TopicId(topic.topic_id.into_bytes()), topic.error_message.map(|text| Box::from(&*text)));
        m::DeletedTopic {
            name: topic.name.map(|name| Box::from(&**name)).unwrap_or_default(),
            error: Code::from_wire(topic.error_code),
            rest: (id != TopicId::ZERO || message.is_some()).then(|| Box::new((id, message))),
        }
    };
    m::DeleteTopicsResponse {
        throttle_time_ms: response.throttle_time_ms,
        topics: response.responses.into_iter().map(topic).collect(),
    }
}

fn find_coordinator(version: i16, response: kp::FindCoordinatorResponse) -> m::FindCoordinatorResponse {
    let several = |found: Coordinator| m::Coordinator {
        key: Some(found.key.to_string()),
        error: Code::from_wire(found.error_code),
        error_message: owned(found.error_message),
        id: found.node_id.0,
        host: found.host.to_string(),
        port: found.port,
    };
    let coordinators = if version >= 4 {
        response.coordinators.into_iter().map(several).collect()
    } else {
        vec![m::Coordinator {
            key: None,
            error: Code::from_wire(response.error_code),
            error_message: owned(response.error_message).filter(|_| version >= 1),
            id: response.node_id.0,
            host: response.host.to_string(),
            port: response.port,
        }]
    };
    m::FindCoordinatorResponse { throttle_time_ms: response.throttle_time_ms, coordinators }
}

fn init_producer_id(response: &kp::InitProducerIdResponse) -> m::InitProducerIdResponse {
    let identity = ProducerIdentity { id: response.producer_id.0, epoch: response.producer_epoch };
    m::InitProducerIdResponse {
        throttle_time_ms: response.throttle_time_ms,
        error: Code::from_wire(response.error_code),
        identity: (identity.id >= 0 && identity.epoch >= 0).then_some(identity),
    }
}

fn list_offsets(response: kp::ListOffsetsResponse) -> m::ListOffsetsResponse {
    let partition = |partition: ListOffsetsPartitionResponse| m::ListedPartition {
        index: partition.partition_index,
        error: Code::from_wire(partition.error_code),
        timestamp: partition.timestamp,
        offset: partition.offset,
        leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
    };
    let topic = |topic: ListOffsetsTopicResponse| m::ListedTopic {
        name: (&**topic.name).into(),
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    // A topic without partitions is left out.
    let topics = response.topics.into_iter().filter(|topic| !topic.partitions.is_empty());
    m::ListOffsetsResponse { throttle_time_ms: response.throttle_time_ms, topics: topics.map(topic).collect() }
}

fn metadata(response: kp::MetadataResponse) -> m::MetadataResponse {
    let broker = |broker: MetadataResponseBroker| m::Node {
        id: broker.node_id.0,
        host: broker.host.to_string(),
        port: broker.port,
        rack: owned(broker.rack),
    };
    let partition = |partition: MetadataResponsePartition| m::MetadataPartition {
        error: Code::from_wire(partition.error_code),
        index: partition.partition_index,
        leader: partition.leader_id.0,
        leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
        replicas: ids(&partition.replica_nodes),
        isr: ids(&partition.isr_nodes),
        offline: ids(&partition.offline_replicas),
    };
    let topic = |topic: MetadataResponseTopic| m::MetadataTopic {
        error: Code::from_wire(topic.error_code),
        name: topic.name.map(|name| Box::from(&**name)).unwrap_or_default(),
        id: TopicId(topic.topic_id.into_bytes()),
        internal: topic.is_internal,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    m::MetadataResponse {
        throttle_time_ms: response.throttle_time_ms,
        error: Code::from_wire(response.error_code),
        brokers: response.brokers.into_iter().map(broker).collect(),
        cluster_id: owned(response.cluster_id),
        controller: response.controller_id.0,
        topics: response.topics.into_iter().map(topic).collect(),
    }
}

fn offset_for_leader_epoch(response: kp::OffsetForLeaderEpochResponse) -> m::OffsetForLeaderEpochResponse {
    let end = |end: EpochEndOffset| m::EpochEnd {
        index: end.partition,
        error: Code::from_wire(end.error_code),
        leader_epoch: LeaderEpoch::from_wire(end.leader_epoch),
        end_offset: end.end_offset,
    };
    let topic = |topic: OffsetForLeaderTopicResult| m::EpochEndTopic {
        name: (&**topic.topic).into(),
        partitions: topic.partitions.into_iter().map(end).collect(),
    };
    // A topic without partitions is left out.
    let topics = response.topics.into_iter().filter(|topic| !topic.partitions.is_empty());
    m::OffsetForLeaderEpochResponse { throttle_time_ms: response.throttle_time_ms, topics: topics.map(topic).collect() }
}
