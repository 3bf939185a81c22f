//! ListGroups, DescribeGroups, ConsumerGroupDescribe, DeleteGroups and OffsetDelete.

use std::collections::BTreeMap;

use bytes::Buf;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ConsumerGroupDescribeRequest;
use kafka_protocol::messages::ConsumerGroupDescribeResponse;
use kafka_protocol::messages::ConsumerProtocolSubscription;
use kafka_protocol::messages::DeleteGroupsRequest;
use kafka_protocol::messages::DeleteGroupsResponse;
use kafka_protocol::messages::DescribeGroupsRequest;
use kafka_protocol::messages::DescribeGroupsResponse;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::ListGroupsRequest;
use kafka_protocol::messages::ListGroupsResponse;
use kafka_protocol::messages::OffsetDeleteRequest;
use kafka_protocol::messages::OffsetDeleteResponse;
use kafka_protocol::messages::consumer_group_describe_response as consumers;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_delete_response::OffsetDeleteResponsePartition;
use kafka_protocol::messages::offset_delete_response::OffsetDeleteResponseTopic;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::api::offsets::coordinates;
use crate::mock::group::GroupDescription;
use crate::mock::group::GroupState;
use crate::mock::group::MemberDescription;
use crate::mock::state::GROUP;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::mock::state::wire_id;
use crate::mock::state::wire_name;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// The address of every member, as Java prints it.
const HOST: &str = "/127.0.0.1";

pub(super) fn list_groups(state: &mut State, call: &Call, request: ListGroupsRequest) -> ListGroupsResponse {
    let response = ListGroupsResponse::default().with_throttle_time_ms(call.throttle_ms);
    if let Err(error) = call.refused() {
        return response.with_error_code(error.code());
    }
    let admits = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(value))
    };
    let mut names: Vec<&String> =
        state.groups.keys().filter(|name| state.coordinator(GROUP, name) == Some(call.broker)).collect();
    names.sort();
    let listed = names.into_iter().filter_map(|name| {
        let group = describe_group(state, name)?;
        let (label, kind) = (group.state.to_string(), if is_modern(&group) { CONSUMER } else { "classic" });
        let is_wanted = admits(&request.states_filter, &label) && admits(&request.types_filter, kind);
        is_wanted.then(|| {
            let listed = ListedGroup::default().with_group_id(GroupId(text(name)));
            let listed = listed.with_protocol_type(text(group.protocol_type.as_deref().unwrap_or_default()));
            let listed = if call.version >= 4 { listed.with_group_state(text(&label)) } else { listed };
            if call.version >= 5 { listed.with_group_type(text(kind)) } else { listed }
        })
    });
    response.with_groups(listed.collect())
}

/// A group as tests see it.
fn describe_group(state: &State, name: &str) -> Option<GroupDescription> {
    let name_of = |id: TopicId| state.name_of(id).cloned();
    state.groups.get(name).map(|group| group.describe(state.settings.groups, &name_of))
}

/// Whether its members join by the protocol of KIP-848.
fn is_modern(group: &GroupDescription) -> bool {
    group.assignment_epoch.is_some()
}

/// The group of a request at its coordinator; `None` where it does not exist.
fn find(state: &State, call: &Call, name: &str) -> Result<Option<GroupDescription>, ResponseError> {
    call.refused()?;
    coordinates(state, call, name)?;
    Ok(describe_group(state, name))
}

/// As [`find`], for requests that refuse an empty name.
fn find_named(state: &State, call: &Call, name: &str) -> Result<Option<GroupDescription>, ResponseError> {
    if name.is_empty() { Err(ResponseError::InvalidGroupId) } else { find(state, call, name) }
}

pub(super) fn describe_groups(
    state: &mut State,
    call: &Call,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let described = request.groups.into_iter().map(|name| {
        let group = DescribedGroup::default().with_group_id(name.clone());
        match find(state, call, &name) {
            Err(error) => group.with_error_code(error.code()),
            Ok(Some(found)) if !is_modern(&found) => describe(group, call, found),
            Ok(found) if call.version >= 6 => group
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(not_found(&name, found.is_some(), "a classic group")))
                .with_group_state(text("Dead")),
            Ok(_) => group.with_group_state(text("Dead")),
        }
    });
    DescribeGroupsResponse::default().with_throttle_time_ms(call.throttle_ms).with_groups(described.collect())
}

fn not_found(name: &str, exists: bool, wanted: &str) -> StrBytes {
    text(&if exists { format!("Group {name} is not {wanted}.") } else { format!("Group {name} not found.") })
}

/// Subscriptions and assignments are shown only of a stable group.
fn describe(group: DescribedGroup, call: &Call, found: GroupDescription) -> DescribedGroup {
    let is_stable = found.state == GroupState::Stable;
    let member = |member: MemberDescription| {
        let shown = |bytes: Bytes| if is_stable { bytes } else { Bytes::new() };
        DescribedGroupMember::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance_id.as_deref().filter(|_| call.version >= 4).map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text(HOST))
            .with_member_metadata(shown(member.metadata))
            .with_member_assignment(shown(member.assignment))
    };
    group
        .with_group_state(text(&found.state.to_string()))
        .with_protocol_type(text(found.protocol_type.as_deref().unwrap_or_default()))
        .with_protocol_data(text(found.protocol.as_deref().filter(|_| is_stable).unwrap_or_default()))
        .with_members(found.members.into_iter().map(member).collect())
}

pub(super) fn consumer_group_describe(
    state: &mut State,
    call: &Call,
    request: ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    let described = request.group_ids.into_iter().map(|name| {
        let group = consumers::DescribedGroup::default().with_group_id(name.clone());
        match find_named(state, call, &name) {
            Err(error) => group.with_error_code(error.code()),
            Ok(Some(found)) if is_modern(&found) => describe_consumers(state, call, group, found),
            Ok(found) => group
                .with_error_code(ResponseError::GroupIdNotFound.code())
                .with_error_message(Some(not_found(&name, found.is_some(), "a consumer group"))),
        }
    });
    ConsumerGroupDescribeResponse::default().with_throttle_time_ms(call.throttle_ms).with_groups(described.collect())
}

fn describe_consumers(
    state: &State,
    call: &Call,
    group: consumers::DescribedGroup,
    found: GroupDescription,
) -> consumers::DescribedGroup {
    let member = |member: MemberDescription| {
        let modern = member.modern?;
        let described = consumers::Member::default()
            .with_member_id(text(&member.id))
            .with_instance_id(member.instance_id.as_deref().map(text))
            .with_rack_id(modern.rack.as_deref().map(text))
            .with_member_epoch(modern.epoch)
            .with_client_id(text(&member.client_id))
            .with_client_host(text(HOST))
            .with_subscribed_topic_names(modern.topics.iter().map(|topic| wire_name(topic)).collect())
            .with_subscribed_topic_regex(Some(text(modern.regex.as_deref().unwrap_or_default())))
            .with_assignment(assignment(state, &modern.assigned))
            .with_target_assignment(assignment(state, &modern.target));
        Some(if call.version >= 1 { described.with_member_type(1) } else { described })
    };
    group
        .with_group_state(text(&found.state.to_string()))
        .with_group_epoch(found.generation)
        .with_assignment_epoch(found.assignment_epoch.unwrap_or_default())
        .with_assignor_name(text(found.protocol.as_deref().unwrap_or_default()))
        .with_members(found.members.into_iter().filter_map(member).collect())
}

fn assignment(state: &State, partitions: &[TopicPartition]) -> consumers::Assignment {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for TopicPartition { topic, partition } in partitions {
        topics.entry(topic).or_default().push(*partition);
    }
    let topic = |(name, partitions): (&TopicName, Vec<i32>)| {
        let id = state.topics.get(name).map_or(TopicId::ZERO, |topic| topic.id);
        let topic = consumers::TopicPartitions::default().with_topic_id(wire_id(id));
        topic.with_topic_name(wire_name(name)).with_partitions(partitions)
    };
    consumers::Assignment::default().with_topic_partitions(topics.into_iter().map(topic).collect())
}

pub(super) fn delete_groups(state: &mut State, call: &Call, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut results = Vec::with_capacity(request.groups_names.len());
    for name in request.groups_names {
        let deleted = find(state, call, &name).and_then(|group| match group {
            None => Err(ResponseError::GroupIdNotFound),
            Some(group) if group.state == GroupState::Empty => {
                state.groups.remove(&*name.0);
                state.changes += 1;
                call.failed_late()
            }
            Some(_) => Err(ResponseError::NonEmptyGroup),
        });
        results.push(DeletableGroupResult::default().with_group_id(name).with_error_code(code(&deleted)));
    }
    DeleteGroupsResponse::default().with_throttle_time_ms(call.throttle_ms).with_results(results)
}

pub(super) fn offset_delete(state: &mut State, call: &Call, request: OffsetDeleteRequest) -> OffsetDeleteResponse {
    let response = OffsetDeleteResponse::default().with_throttle_time_ms(call.throttle_ms);
    let group = find_named(state, call, &request.group_id).and_then(|group| may_delete_offsets(group.as_ref()));
    let subscribed = match group {
        Ok(subscribed) => subscribed,
        Err(error) => return response.with_error_code(error.code()),
    };
    let is_subscribed = |topic: &TopicName| subscribed.as_ref().is_none_or(|topics| topics.contains(topic));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = TopicName::from(&*topic.name.0);
        let allowed = if is_subscribed(&name) { Err(ResponseError::GroupSubscribedToTopic) } else { Ok(()) };
        let is_known = |index: i32| state.partition(&name, index).is_some();
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        let (known, unknown): (Vec<i32>, Vec<i32>) = indexes.partition(|index| is_known(*index));
        let missing = |index| {
            let partition = OffsetDeleteResponsePartition::default().with_partition_index(index);
            partition.with_error_code(ResponseError::UnknownTopicOrPartition.code())
        };
        let partition = |index| {
            let deleted = allowed.and_then(|()| call.refused_at(&name, index)).and_then(|()| {
                let offsets = state.groups.get_mut(&*request.group_id.0).map(|group| &mut group.offsets);
                offsets.and_then(|offsets| offsets.remove(&(name.clone(), index)));
                call.failed_late_at(&name, index)
            });
            OffsetDeleteResponsePartition::default().with_partition_index(index).with_error_code(code(&deleted))
        };
        // Kafka answers for partitions that it does not know before it asks the group.
        let partitions = unknown.into_iter().map(missing).chain(known.into_iter().map(partition)).collect();
        topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name).with_partitions(partitions));
    }
    response.with_topics(topics)
}

/// The topics that members subscribe to, `None` for all (`ClassicGroup.validateOffsetDelete`, `isSubscribedToTopic`).
fn may_delete_offsets(group: Option<&GroupDescription>) -> Result<Option<Vec<TopicName>>, ResponseError> {
    let group = group.ok_or(ResponseError::GroupIdNotFound)?;
    if group.members.is_empty() {
        return Ok(Some(Vec::new()));
    }
    if group.protocol_type.as_deref() != Some(CONSUMER) {
        return Err(ResponseError::NonEmptyGroup);
    }
    let topics = |member: &MemberDescription| match &member.modern {
        Some(modern) => Some(modern.topics.clone()),
        None => topics(&member.metadata),
    };
    let topics: Option<Vec<Vec<TopicName>>> = group.members.iter().map(topics).collect();
    Ok(topics.map(|topics| topics.concat()))
}

/// The topics of a subscription; `None` where it does not decode.
fn topics(subscription: &Bytes) -> Option<Vec<TopicName>> {
    let mut bytes = subscription.clone();
    let version = bytes.try_get_i16().ok()?;
    let subscription = ConsumerProtocolSubscription::decode(&mut bytes, version.clamp(0, 3)).ok()?;
    Some(subscription.topics.iter().map(|topic| TopicName::from(&**topic)).collect())
}
