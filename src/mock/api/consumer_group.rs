//! ConsumerGroupHeartbeat.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::ConsumerGroupHeartbeatResponse;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::Call;
use crate::mock::api::groups::find;
use crate::mock::api::groups::millis;
use crate::mock::api::groups::uuid;
use crate::mock::group::ASSIGNORS;
use crate::mock::group::BeatAsked;
use crate::mock::group::Beaten;
use crate::mock::group::Group;
use crate::mock::group::Refusal;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::mock::state::wire_id;
use crate::types::TopicId;
use crate::types::TopicName;

pub(super) fn heartbeat(
    state: &mut State,
    call: &Call,
    request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    let late = |beaten| call.failed_late().map(|()| beaten).map_err(|error| Refusal::new(error, "injected"));
    let response = ConsumerGroupHeartbeatResponse::default().with_throttle_time_ms(call.throttle_ms);
    match beat(state, call, request).and_then(late) {
        Ok(beaten) => response
            .with_member_id(Some(beaten.member))
            .with_member_epoch(beaten.epoch)
            .with_heartbeat_interval_ms(beaten.interval.map_or(0, wire_ms))
            .with_assignment(beaten.assignment.map(assignment)),
        Err(refusal) => response.with_error_code(refusal.error.code()).with_error_message(Some(text(refusal.message))),
    }
}

fn beat(state: &mut State, call: &Call, request: ConsumerGroupHeartbeatRequest) -> Result<Beaten, Refusal> {
    let refused = |error| Refusal::new(error, "this broker does not serve the group");
    call.refused().map_err(|error| Refusal::new(error, "injected"))?;
    validate(&request, call.version)?;
    let name = request.group_id.to_string();
    let is_known = find(state, call, &name).map_err(refused)?.is_some();
    let id = uuid(state.rng.u128(..));
    let asked = asked(call, request, &id);
    let rules = state.settings.groups;
    if is_known {
        let group = state.groups.entry(name).or_default();
        return group.beat(call.now, rules, &state.topics, asked);
    }
    if !asked.joins() {
        return Err(Refusal::not_a_consumer_group());
    }
    // A group that refuses its first member does not come to be.
    let mut group = Group::default();
    let beaten = group.beat(call.now, rules, &state.topics, asked)?;
    state.groups.insert(name, group);
    Ok(beaten)
}

/// Refuses requests that contradict themselves (`throwIfConsumerGroupHeartbeatRequestIsInvalid`).
fn validate(request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), Refusal> {
    let is_empty = |text: &Option<StrBytes>| text.as_ref().is_some_and(|text| text.is_empty());
    let epoch = request.member_epoch;
    let problem = if request.member_id.is_empty() && (version >= 1 || epoch > 0 || epoch == -1) {
        "MemberId can't be empty."
    } else if request.group_id.is_empty() {
        "GroupId can't be empty."
    } else if is_empty(&request.instance_id) {
        "InstanceId can't be empty."
    } else if is_empty(&request.rack_id) {
        "RackId can't be empty."
    } else if epoch == 0 && request.rebalance_timeout_ms == -1 {
        "RebalanceTimeoutMs must be provided in first request."
    } else if epoch == 0 && !request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        "TopicPartitions must be empty when (re-)joining."
    } else if epoch == 0 && request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
    } else if epoch == -2 && request.instance_id.is_none() {
        "InstanceId can't be null."
    } else if epoch < -2 {
        "MemberEpoch is invalid."
    } else {
        return validate_names(request);
    };
    Err(Refusal::new(ResponseError::InvalidRequest, problem))
}

fn validate_names(request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    if request.server_assignor.as_ref().is_some_and(|name| !ASSIGNORS.contains(&&**name)) {
        let message = "ServerAssignor is not supported. Supported assignors: uniform, range.";
        return Err(Refusal::new(ResponseError::UnsupportedAssignor, message));
    }
    Ok(())
}

/// The content of a request. A member without an id (version 0) gets one.
fn asked(call: &Call, request: ConsumerGroupHeartbeatRequest, fresh_id: &str) -> BeatAsked {
    let names = |names: Vec<kafka_protocol::messages::TopicName>| {
        names.iter().map(|name| TopicName::from(&***name)).collect::<BTreeSet<TopicName>>()
    };
    let owned = request.topic_partitions.map(|topics| {
        let of_topic = |topic: kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions| {
            let id = TopicId(topic.topic_id.into_bytes());
            topic.partitions.into_iter().map(move |partition| (id, partition))
        };
        topics.into_iter().flat_map(of_topic).collect()
    });
    BeatAsked {
        member: if request.member_id.is_empty() { text(fresh_id) } else { request.member_id },
        epoch: request.member_epoch,
        instance: request.instance_id,
        rack: request.rack_id,
        client_id: call.client_id.clone(),
        rebalance_timeout: (request.rebalance_timeout_ms != -1).then(|| millis(request.rebalance_timeout_ms)),
        topics: request.subscribed_topic_names.map(names),
        regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned,
    }
}

fn assignment(places: Vec<(TopicId, i32)>) -> Assignment {
    let mut topics: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (id, partition) in places {
        topics.entry(id).or_default().push(partition);
    }
    let topic = |(id, partitions)| TopicPartitions::default().with_topic_id(wire_id(id)).with_partitions(partitions);
    Assignment::default().with_topic_partitions(topics.into_iter().map(topic).collect())
}

fn wire_ms(duration: std::time::Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
