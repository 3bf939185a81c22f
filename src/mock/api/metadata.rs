//! Metadata and DescribeCluster.

use std::collections::BTreeSet;

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
use crate::mock::state::Placement;
use crate::mock::state::State;
use crate::mock::state::Topic;
use crate::mock::state::text;
use crate::mock::state::wire_id;
use crate::mock::state::wire_name;
use crate::types::TopicId;
use crate::types::TopicName;

pub(super) fn metadata(state: &mut State, call: &Call, request: MetadataRequest) -> MetadataResponse {
    // The one error of the whole response, and the versions that have a field for it (KIP-1102).
    if call.version >= 13 && call.errors.whole() == Some(ResponseError::RebootstrapRequired) {
        return MetadataResponse::default().with_error_code(ResponseError::RebootstrapRequired.code());
    }
    // Version 0 has no null: an empty list requests all topics.
    let asked = request.topics.filter(|topics| call.version > 0 || !topics.is_empty());
    let topics = match asked {
        None => all(state, call),
        Some(asked) => {
            let mut met = BTreeSet::new();
            let once = asked.iter().filter(|topic| met.insert((topic.name.clone(), topic.topic_id)));
            once.map(|topic| one(state, call, topic, request.allow_auto_topic_creation)).collect()
        }
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
        .with_brokers(live(state, call).into_iter().map(broker).collect())
        .with_cluster_id(Some(text(&state.settings.cluster_id)))
        .with_controller_id(state.controller())
        .with_topics(topics)
}

/// The live brokers, as far as this one knows.
pub(super) fn live(state: &State, call: &Call) -> Vec<i32> {
    state.view(call.broker).map_or_else(|| state.live().collect(), |view| view.live.clone())
}

fn all(state: &State, call: &Call) -> Vec<MetadataResponseTopic> {
    if let Some(view) = state.view(call.broker) {
        let topics = view.topics.iter();
        return topics
            .map(|(name, (id, placements))| describe(call, &view.live, name, *id, placements.iter()))
            .collect();
    }
    let live = live(state, call);
    let topic_metadata = |(name, topic): (&TopicName, &Topic)| {
        let placements = topic.partitions.iter().map(|partition| &partition.placement);
        describe(call, &live, name, topic.id, placements)
    };
    state.topics.iter().map(topic_metadata).collect()
}

/// The metadata of a topic, as far as this broker knows.
fn known(state: &State, call: &Call, name: &TopicName) -> Option<MetadataResponseTopic> {
    if let Some(view) = state.view(call.broker) {
        let (id, placements) = view.topics.get(name)?;
        return Some(describe(call, &view.live, name, *id, placements.iter()));
    }
    let topic = state.topics.get(name)?;
    let placements = topic.partitions.iter().map(|partition| &partition.placement);
    Some(describe(call, &live(state, call), name, topic.id, placements))
}

fn one(state: &mut State, call: &Call, asked: &MetadataRequestTopic, auto: bool) -> MetadataResponseTopic {
    let id = TopicId(asked.topic_id.into_bytes());
    let name = match &asked.name {
        Some(name) => TopicName::from(name.as_str()),
        None => match name_of(state, call, id) {
            Some(name) => name,
            None => return missing(None, id, ResponseError::UnknownTopicId),
        },
    };
    if let Err(error) = call.refused_topic(&name) {
        return missing(Some(&name), TopicId::ZERO, error);
    }
    if TopicName::problem(&name).is_some() {
        return missing(Some(&name), TopicId::ZERO, ResponseError::InvalidTopicException);
    }
    if let Some(known) = known(state, call, &name) {
        return known;
    }
    if auto && state.settings.auto_create && !state.topics.contains_key(&name) {
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

fn name_of(state: &State, call: &Call, id: TopicId) -> Option<TopicName> {
    match state.view(call.broker) {
        Some(view) => view.topics.iter().find(|(_, (other, _))| *other == id).map(|(name, _)| name.clone()),
        None => state.name_of(id).cloned(),
    }
}

fn describe<'a>(
    call: &Call,
    live: &[i32],
    name: &TopicName,
    id: TopicId,
    placements: impl Iterator<Item = &'a Placement>,
) -> MetadataResponseTopic {
    let refused = call.refused_topic(name);
    let partitions = (0_i32..).zip(placements).map(|(index, placement)| {
        let found = partition(live, index, placement);
        match call.refused_at(name, index) {
            Ok(()) => found,
            Err(error) => found.with_error_code(error.code()).with_leader_id(BrokerId(-1)),
        }
    });
    MetadataResponseTopic::default()
        .with_error_code(code(&refused))
        .with_name(Some(wire_name(name)))
        .with_topic_id(wire_id(id))
        .with_partitions(if refused.is_err() { Vec::new() } else { partitions.collect() })
}

fn partition(live: &[i32], index: i32, placement: &Placement) -> MetadataResponsePartition {
    let of = |ids: Vec<i32>| ids.into_iter().map(BrokerId).collect::<Vec<_>>();
    let offline = placement.replicas.iter().copied().filter(|id| !live.contains(id)).collect();
    MetadataResponsePartition::default()
        .with_error_code(if placement.leader.is_some() { 0 } else { ResponseError::LeaderNotAvailable.code() })
        .with_partition_index(index)
        .with_leader_id(BrokerId(placement.leader.unwrap_or(-1)))
        .with_leader_epoch(placement.leader_epoch)
        .with_replica_nodes(of(placement.replicas.clone()))
        .with_isr_nodes(of(placement.in_sync(live)))
        .with_offline_replicas(of(offline))
}

pub(super) fn describe_cluster(
    state: &mut State,
    call: &Call,
    request: DescribeClusterRequest,
) -> DescribeClusterResponse {
    let response = DescribeClusterResponse::default().with_throttle_time_ms(call.throttle_ms);
    let mistaken = match request.endpoint_type {
        _ if call.version == 0 => None,
        1 => None,
        // Controllers, for which only a controller's listener answers (KIP-919).
        2 => Some(ResponseError::MismatchedEndpointType),
        _ => Some(ResponseError::UnsupportedEndpointType),
    };
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
