//! OffsetCommit and OffsetFetch.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::OffsetCommitResponse;
use kafka_protocol::messages::OffsetFetchRequest;
use kafka_protocol::messages::OffsetFetchResponse;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_commit_response::OffsetCommitResponsePartition;
use kafka_protocol::messages::offset_commit_response::OffsetCommitResponseTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseGroup;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseTopic;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseTopics;
use kafka_protocol::protocol::StrBytes;

use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::group::CommitAsked;
use crate::mock::state::Committed;
use crate::mock::state::GROUP;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::mock::state::wire_id;
use crate::mock::state::wire_name;
use crate::types::TopicId;
use crate::types::TopicName;

pub(super) fn commit(state: &mut State, call: &Call, request: OffsetCommitRequest) -> OffsetCommitResponse {
    let mut committer = Committer::new(state, call, &request);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let name = named(state, call, &topic.name, TopicId(topic.topic_id.into_bytes()));
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in topic.partitions {
            let index = asked.partition_index;
            let result = name.as_ref().map_err(|error| *error);
            let result = result.and_then(|name| committer.commit_one(state, call, name, asked));
            let response = OffsetCommitResponsePartition::default().with_partition_index(index);
            partitions.push(response.with_error_code(code(&result)));
        }
        let response = OffsetCommitResponseTopic::default().with_name(topic.name).with_topic_id(topic.topic_id);
        topics.push(response.with_partitions(partitions));
    }
    OffsetCommitResponse::default().with_throttle_time_ms(call.throttle_ms).with_topics(topics)
}

/// The topic of a request, by name or, from version 10 on, by id.
fn named(state: &State, call: &Call, name: &str, id: TopicId) -> Result<TopicName, ResponseError> {
    match call.version {
        10.. => state.name_of(id).cloned().ok_or(ResponseError::UnknownTopicId),
        _ => Ok(state.intern(name)),
    }
}

/// The identity under which a request commits, and whether the group admits it.
struct Committer {
    group: String,
    asked: CommitAsked,
    /// Decided at the first partition that exists.
    admitted: Option<Result<(), ResponseError>>,
}

impl Committer {
    fn new(state: &State, call: &Call, request: &OffsetCommitRequest) -> Self {
        let mut partitions = Vec::new();
        for topic in &request.topics {
            let name = named(state, call, &topic.name, TopicId(topic.topic_id.into_bytes()));
            let Some(found) = name.ok().and_then(|name| state.topics.get(&name)) else { continue };
            let is_fit = |asked: &&OffsetCommitRequestPartition| {
                let exists = usize::try_from(asked.partition_index).is_ok_and(|index| index < found.partitions.len());
                exists && metadata_len(asked) <= METADATA_BYTES_MAX
            };
            let fit = topic.partitions.iter().filter(is_fit);
            partitions.extend(fit.map(|asked| (found.id, asked.partition_index)));
        }
        let asked = CommitAsked {
            member: request.member_id.clone(),
            instance: request.group_instance_id.clone(),
            generation: request.generation_id_or_member_epoch,
            version: call.version,
            partitions,
        };
        Self { group: request.group_id.to_string(), asked, admitted: None }
    }

    fn commit_one(
        &mut self,
        state: &mut State,
        call: &Call,
        topic: &TopicName,
        asked: OffsetCommitRequestPartition,
    ) -> Result<(), ResponseError> {
        if state.partition(topic, asked.partition_index).is_none() {
            return Err(ResponseError::UnknownTopicOrPartition);
        }
        coordinates(state, call, &self.group)?;
        call.refused_at(topic, asked.partition_index)?;
        let admitted = self.admitted.take().unwrap_or_else(|| self.admit(state, call));
        self.admitted = Some(admitted);
        admitted?;
        if metadata_len(&asked) > METADATA_BYTES_MAX {
            return Err(ResponseError::OffsetMetadataTooLarge);
        }
        let metadata = asked.committed_metadata.unwrap_or_default();
        let (offset, leader_epoch) = (asked.committed_offset, asked.committed_leader_epoch);
        let group = state.groups.entry(self.group.clone()).or_default();
        group.offsets.insert((topic.clone(), asked.partition_index), Committed { offset, leader_epoch, metadata });
        call.failed_late_at(topic, asked.partition_index)
    }

    /// Whether the group admits the commit (`OffsetMetadataManager.validateOffsetCommit`).
    fn admit(&self, state: &mut State, call: &Call) -> Result<(), ResponseError> {
        match state.groups.get_mut(&self.group) {
            Some(group) => group.admit_commit(call.now, &self.asked),
            None if self.asked.generation < 0 => Ok(()),
            None if call.version >= 9 => Err(ResponseError::GroupIdNotFound),
            None => Err(ResponseError::IllegalGeneration),
        }
    }
}

fn metadata_len(asked: &OffsetCommitRequestPartition) -> usize {
    asked.committed_metadata.as_ref().map_or(0, |metadata| metadata.len())
}

pub(super) fn coordinates(state: &State, call: &Call, group: &str) -> Result<(), ResponseError> {
    call.refused()?;
    if state.coordinator(GROUP, group) == Some(call.broker) { Ok(()) } else { Err(ResponseError::NotCoordinator) }
}

/// Refuses a group that does not exist, where the builder says so.
fn known(state: &State, group: &str) -> Result<(), ResponseError> {
    let is_known = !state.settings.unknown_groups || state.groups.contains_key(group);
    if is_known { Ok(()) } else { Err(ResponseError::GroupIdNotFound) }
}

/// Whether the group lets the member read its offsets.
fn admit_fetch(state: &State, asked: &OffsetFetchRequestGroup) -> Result<(), ResponseError> {
    let member = asked.member_id.as_deref();
    state.groups.get(&*asked.group_id.0).map_or(Ok(()), |group| group.admit_fetch(member, asked.member_epoch))
}

/// The offsets of each topic, before they are encoded for a version.
type Offsets = Vec<(TopicName, Vec<(i32, Option<Committed>)>)>;

pub(super) fn fetch(state: &mut State, call: &Call, request: OffsetFetchRequest) -> OffsetFetchResponse {
    let response = OffsetFetchResponse::default().with_throttle_time_ms(call.throttle_ms);
    if call.version >= 8 {
        let groups = request.groups.into_iter().map(|group| fetch_group(state, call, group));
        return response.with_groups(groups.collect());
    }
    let allowed = coordinates(state, call, &request.group_id).and_then(|()| known(state, &request.group_id));
    let asked =
        request.topics.map(|topics| topics.into_iter().map(|topic| (topic.name.0, topic.partition_indexes)).collect());
    if let Err(error) = allowed {
        // Version 1 reports the error in each partition only.
        let asked: Vec<(StrBytes, Vec<i32>)> = asked.unwrap_or_default();
        let topics = asked.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|index| (index, None)).collect();
            older(call, &TopicName::from(&*name), partitions, Err(error))
        });
        return response.with_error_code(error.code()).with_topics(topics.collect());
    }
    let found = look_up(state, &request.group_id, asked);
    response.with_topics(found.into_iter().map(|(name, offsets)| older(call, &name, offsets, Ok(()))).collect())
}

/// The committed offsets of one of several groups.
fn fetch_group(state: &State, call: &Call, group: OffsetFetchRequestGroup) -> OffsetFetchResponseGroup {
    let response = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
    let allowed = coordinates(state, call, &group.group_id)
        .and_then(|()| known(state, &group.group_id))
        .and_then(|()| admit_fetch(state, &group));
    if let Err(error) = allowed {
        return response.with_error_code(error.code());
    }
    let Some(asked) = group.topics else {
        let found = look_up(state, &group.group_id, None);
        return response.with_topics(found.into_iter().map(|(name, found)| newer(state, call, &name, found)).collect());
    };
    let mut topics = Vec::with_capacity(asked.len());
    for topic in asked {
        topics.push(match named(state, call, &topic.name, TopicId(topic.topic_id.into_bytes())) {
            Ok(name) => {
                let asked = Some(vec![(text(&name), topic.partition_indexes)]);
                let found = look_up(state, &group.group_id, asked).into_iter().flat_map(|(_, found)| found).collect();
                newer(state, call, &name, found)
            }
            Err(error) => {
                let partition = |index| {
                    let partition = OffsetFetchResponsePartitions::default().with_partition_index(index);
                    let partition = partition.with_committed_offset(-1).with_committed_leader_epoch(-1);
                    partition.with_metadata(Some(StrBytes::new())).with_error_code(error.code())
                };
                let partitions = topic.partition_indexes.into_iter().map(partition).collect();
                OffsetFetchResponseTopics::default().with_topic_id(topic.topic_id).with_partitions(partitions)
            }
        });
    }
    response.with_topics(topics)
}

/// The committed offsets of a group for the requested partitions, or for all where none are named.
fn look_up(state: &State, group: &str, asked: Option<Vec<(StrBytes, Vec<i32>)>>) -> Offsets {
    let offsets = state.groups.get(group).map(|group| &group.offsets);
    let Some(asked) = asked else {
        let mut all: Offsets = Vec::new();
        for ((topic, partition), committed) in offsets.into_iter().flatten() {
            let found = (*partition, Some(committed.clone()));
            match all.last_mut().filter(|(last, _)| last == topic) {
                Some((_, partitions)) => partitions.push(found),
                None => all.push((topic.clone(), vec![found])),
            }
        }
        return all;
    };
    let one = |(name, partitions): (StrBytes, Vec<i32>)| {
        let name = TopicName::from(&*name);
        let find = |index: i32| offsets.and_then(|offsets| offsets.get(&(name.clone(), index)).cloned());
        let found = partitions.into_iter().map(|index| (index, find(index))).collect();
        (name, found)
    };
    asked.into_iter().map(one).collect()
}

fn newer(
    state: &State,
    call: &Call,
    name: &TopicName,
    offsets: Vec<(i32, Option<Committed>)>,
) -> OffsetFetchResponseTopics {
    let partition = |(index, committed): (i32, Option<Committed>)| {
        let refused = call.refused_at(name, index);
        let committed = committed.filter(|_| refused.is_ok()).unwrap_or(NOTHING);
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_error_code(code(&refused))
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(committed.metadata))
    };
    let partitions = offsets.into_iter().map(partition).collect();
    let topic = OffsetFetchResponseTopics::default().with_partitions(partitions);
    match (call.version, state.topics.get(name)) {
        (10.., Some(known)) => topic.with_topic_id(wire_id(known.id)),
        _ => topic.with_name(wire_name(name)),
    }
}

fn older(
    call: &Call,
    name: &TopicName,
    offsets: Vec<(i32, Option<Committed>)>,
    allowed: Result<(), ResponseError>,
) -> OffsetFetchResponseTopic {
    let partition = |(index, committed): (i32, Option<Committed>)| {
        let refused = allowed.and_then(|()| call.refused_at(name, index));
        let committed = committed.filter(|_| refused.is_ok()).unwrap_or(NOTHING);
        OffsetFetchResponsePartition::default()
            .with_partition_index(index)
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(committed.metadata))
            .with_error_code(code(&refused))
    };
    let partitions = offsets.into_iter().map(partition).collect();
    OffsetFetchResponseTopic::default().with_name(wire_name(name)).with_partitions(partitions)
}

const NOTHING: Committed = Committed { offset: -1, leader_epoch: -1, metadata: StrBytes::new() };

/// `offset.metadata.max.bytes`.
const METADATA_BYTES_MAX: usize = 4_096;
