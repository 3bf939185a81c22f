//! Metadata and DescribeCluster.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::DescribeClusterRequest;
use kafka_protocol::messages::DescribeClusterResponse;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::MetadataResponse;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::state::Partition;
use crate::mock::state::State;
use crate::mock::state::Topic;
use crate::mock::state::text;
use crate::mock::state::wire_id;
use crate::mock::state::wire_name;
use crate::types::TopicId;
use crate::types::TopicName;

pub(super) fn metadata(state: &mut State, call: &Call, request: MetadataRequest) -> MetadataResponse {
    // Version 0 has no null: an empty list asks for all topics.
    let asked = request.topics.filter(|topics| call.version > 0 || !topics.is_empty());
    let topics = match asked {
        None => state.topics.iter().map(|(name, topic)| describe(state, call, name, topic)).collect(),
        Some(asked) => asked.iter().map(|topic| one(state, call, topic, request.allow_auto_topic_creation)).collect(),
    };
    let broker = |id: i32| {
        let broker = &state.brokers[&id];
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(id))
            .with_host(text(&broker.host))
            .with_port(i32::from(broker.port))
            .with_rack(broker.rack.as_deref().map(text))
    };
    MetadataResponse::default()
        .with_throttle_time_ms(call.throttle_ms)
        .with_brokers(state.live().map(broker).collect())
        .with_cluster_id(Some(text(&state.settings.cluster_id)))
        .with_controller_id(state.controller())
        .with_topics(topics)
}

fn one(state: &mut State, call: &Call, asked: &MetadataRequestTopic, auto: bool) -> MetadataResponseTopic {
    let id = TopicId(asked.topic_id.into_bytes());
    let name = match &asked.name {
        Some(name) => TopicName::from(name.as_str()),
        None => match state.name_of(id) {
            Some(name) => name.clone(),
            None => return missing(None, id, ResponseError::UnknownTopicId),
        },
    };
    if let Err(error) = call.refused_topic(&name) {
        return missing(Some(&name), TopicId::ZERO, error);
    }
    if TopicName::problem(&name).is_some() {
        return missing(Some(&name), TopicId::ZERO, ResponseError::InvalidTopicException);
    }
    if let Some(topic) = state.topics.get(&*name) {
        return describe(state, call, &name, topic);
    }
    if auto && state.settings.auto_create {
        let (partitions, replicas) = (state.settings.partitions_default, state.settings.replication_default);
        state.create_topic(&name, partitions, replicas);
    }
    // A topic that is being made is not known yet (`AutoTopicCreationManager`): the client has to ask again.
    missing(Some(&name), TopicId::ZERO, ResponseError::UnknownTopicOrPartition)
}

fn missing(name: Option<&TopicName>, id: TopicId, error: ResponseError) -> MetadataResponseTopic {
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name.map(|name| wire_name(name)))
        .with_topic_id(wire_id(id))
}

fn describe(state: &State, call: &Call, name: &TopicName, topic: &Topic) -> MetadataResponseTopic {
    let refused = call.refused_topic(name);
    let partitions = (0_i32..).zip(&topic.partitions).map(|(index, found)| {
        let told = partition(state, index, found);
        match call.refused_at(name, index) {
            Ok(()) => told,
            Err(error) => told.with_error_code(error.code()).with_leader_id(BrokerId(-1)),
        }
    });
    MetadataResponseTopic::default()
        .with_error_code(code(&refused))
        .with_name(Some(wire_name(name)))
        .with_topic_id(wire_id(topic.id))
        .with_partitions(if refused.is_err() { Vec::new() } else { partitions.collect() })
}

fn partition(state: &State, index: i32, found: &Partition) -> MetadataResponsePartition {
    let of = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect::<Vec<_>>();
    let (live, offline) = found.replicas.iter().partition(|id| state.is_up(**id));
    MetadataResponsePartition::default()
        .with_error_code(if found.leader.is_some() { 0 } else { ResponseError::LeaderNotAvailable.code() })
        .with_partition_index(index)
        .with_leader_id(BrokerId(found.leader.unwrap_or(-1)))
        .with_leader_epoch(found.leader_epoch)
        .with_replica_nodes(of(found.replicas.clone()))
        .with_isr_nodes(of(live))
        .with_offline_replicas(of(offline))
}

pub(super) fn describe_cluster(
    state: &mut State,
    call: &Call,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let response = DescribeClusterResponse::default().with_throttle_time_ms(call.throttle_ms);
    // Version 1 and later can ask for controllers (2), which only a controller's listener answers (KIP-919).
    let mistaken = (call.version >= 1 && request.endpoint_type != 1).then_some(ResponseError::MismatchedEndpointType);
    if let Some(error) = call.errors.whole().or(mistaken) {
        return response.with_error_code(error.code()).with_error_message(Some(text("refused")));
    }
    let broker = |id: i32| {
        let broker = &state.brokers[&id];
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(id))
            .with_host(text(&broker.host))
            .with_port(i32::from(broker.port))
            .with_rack(broker.rack.as_deref().map(text))
    };
    response
        .with_cluster_id(text(&state.settings.cluster_id))
        .with_controller_id(state.controller())
        .with_brokers(state.live().map(broker).collect())
}
