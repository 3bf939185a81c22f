//! CreateTopics, CreatePartitions and DeleteTopics.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::CreatePartitionsRequest;
use kafka_protocol::messages::CreatePartitionsResponse;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::CreateTopicsResponse;
use kafka_protocol::messages::DeleteTopicsRequest;
use kafka_protocol::messages::DeleteTopicsResponse;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;

use crate::mock::api::Call;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::mock::state::wire_id;
use crate::mock::state::wire_name;
use crate::types::TopicId;
use crate::types::TopicName;

pub(super) fn create_topics(state: &mut State, call: &Call, request: CreateTopicsRequest) -> CreateTopicsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    let mut met = BTreeSet::new();
    let mut twice = BTreeSet::new();
    twice.extend(request.topics.iter().filter(|asked| !met.insert(asked.name.clone())).map(|asked| asked.name.clone()));
    for asked in &request.topics {
        let repeated = twice.contains(&asked.name);
        if repeated && !met.remove(&asked.name) {
            continue;
        }
        let response = CreatableTopicResult::default().with_name(asked.name.clone()).with_configs(Some(Vec::new()));
        let result = if repeated {
            Err((ResponseError::InvalidRequest, "the request names the topic twice"))
        } else {
            create(state, call, asked, request.validate_only)
        };
        topics.push(match result {
            Ok((id, partitions, replicas)) => response
                .with_topic_id(wire_id(id))
                .with_error_message(None)
                .with_num_partitions(partitions)
                .with_replication_factor(replicas),
            Err((error, reason)) => response
                .with_error_code(error.code())
                .with_error_message(Some(text(reason)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        });
    }
    CreateTopicsResponse::default().with_throttle_time_ms(call.throttle_ms).with_topics(topics)
}

type Refused = (ResponseError, &'static str);

fn create(
    state: &mut State,
    call: &Call,
    asked: &CreatableTopic,
    validate_only: bool,
) -> Result<(TopicId, i32, i16), Refused> {
    call.refused_topic(&asked.name).map_err(|error| (error, "refused"))?;
    let name = TopicName::from(asked.name.as_str());
    if let Some(problem) = TopicName::problem(&name) {
        return Err((ResponseError::InvalidTopicException, problem));
    }
    if state.topics.contains_key(&*name) {
        return Err((ResponseError::TopicAlreadyExists, "the topic exists already"));
    }
    let (partitions, replicas) = extent(state, asked)?;
    let batch_bytes_max = batch_bytes_max(asked)?;
    if validate_only {
        // Kafka draws an id for a validated topic, too.
        return Ok((TopicId(state.rng.u128(1..).to_be_bytes()), partitions, replicas));
    }
    let topic = state.create_topic(&name, partitions, replicas);
    let others = asked.configs.iter().filter(|config| &*config.name != "max.message.bytes");
    let set = others.filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())));
    topic.configs.extend(set);
    if let Some(bytes) = batch_bytes_max {
        topic.batch_bytes_max = bytes;
    }
    let created = (topic.id, partitions, replicas);
    call.failed_late_topic(&name).map_err(|error| (error, "failed after the topic was created"))?;
    Ok(created)
}

/// The number of partitions and replicas of the topic.
fn extent(state: &State, asked: &CreatableTopic) -> Result<(i32, i16), Refused> {
    let brokers = i16::try_from(state.live().count()).unwrap_or(i16::MAX);
    if !asked.assignments.is_empty() {
        if asked.num_partitions != -1 || asked.replication_factor != -1 {
            return Err((ResponseError::InvalidRequest, "the request assigns replicas and also counts them"));
        }
        let mut indexes: Vec<i32> = asked.assignments.iter().map(|assignment| assignment.partition_index).collect();
        indexes.sort_unstable();
        if !(0..).zip(&indexes).all(|(expected, index)| expected == *index) {
            return Err((ResponseError::InvalidReplicaAssignment, "the partitions are not numbered from zero on"));
        }
        // The mock places the replicas itself, and keeps their number.
        let partitions = i32::try_from(asked.assignments.len()).unwrap_or(i32::MAX);
        let replicas = asked.assignments.iter().map(|assignment| assignment.broker_ids.len()).max().unwrap_or(1);
        return Ok((partitions, i16::try_from(replicas).unwrap_or(i16::MAX)));
    }
    let partitions = match asked.num_partitions {
        -1 => state.settings.partitions_default,
        count if (1..=PARTITIONS_MAX).contains(&count) => count,
        _ => return Err((ResponseError::InvalidPartitions, "the number of partitions must be from 1 to 100,000")),
    };
    let replicas = match asked.replication_factor {
        -1 => state.settings.replication_default.min(brokers).max(1),
        count if (1..=brokers).contains(&count) => count,
        _ => return Err((ResponseError::InvalidReplicationFactor, "there are fewer brokers")),
    };
    Ok((partitions, replicas))
}

/// The one topic configuration that has an effect; others of Kafka are kept.
fn batch_bytes_max(asked: &CreatableTopic) -> Result<Option<usize>, Refused> {
    if asked.configs.iter().any(|config| !TOPIC_CONFIGS.contains(&config.name.as_str())) {
        return Err((ResponseError::InvalidConfig, "topics have no configuration of this name"));
    }
    let Some(config) = asked.configs.iter().find(|config| &*config.name == "max.message.bytes") else {
        return Ok(None);
    };
    let parsed = config.value.as_ref().and_then(|value| value.parse().ok());
    parsed.map(Some).ok_or((ResponseError::InvalidConfig, "max.message.bytes is not a number of bytes"))
}

pub(super) fn create_partitions(
    state: &mut State,
    call: &Call,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let mut results = Vec::with_capacity(request.topics.len());
    for asked in &request.topics {
        let result = CreatePartitionsTopicResult::default().with_name(asked.name.clone()).with_error_message(None);
        results.push(match extend(state, call, asked, request.validate_only) {
            Ok(()) => result,
            // Kafka has no message for a topic that does not exist.
            Err((error @ ResponseError::UnknownTopicOrPartition, _)) => result.with_error_code(error.code()),
            Err((error, reason)) => result.with_error_code(error.code()).with_error_message(Some(text(reason))),
        });
    }
    CreatePartitionsResponse::default().with_throttle_time_ms(call.throttle_ms).with_results(results)
}

fn extend(state: &mut State, call: &Call, asked: &CreatePartitionsTopic, validate_only: bool) -> Result<(), Refused> {
    call.refused_topic(&asked.name).map_err(|error| (error, "refused"))?;
    let topic = state.topics.get(&**asked.name);
    let topic = topic.ok_or((ResponseError::UnknownTopicOrPartition, "there is no such topic"))?;
    let known = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    if asked.count <= known || asked.count > PARTITIONS_MAX {
        return Err((ResponseError::InvalidPartitions, "the topic has as many partitions, or more"));
    }
    let added = usize::try_from(asked.count - known).unwrap_or(usize::MAX);
    if asked.assignments.as_ref().is_some_and(|assignments| assignments.len() != added) {
        return Err((ResponseError::InvalidReplicaAssignment, "the request does not assign each new partition"));
    }
    if !validate_only {
        // The mock places the replicas itself.
        state.add_partitions(&asked.name, asked.count);
        call.failed_late_topic(&asked.name).map_err(|error| (error, "failed after the partitions were added"))?;
    }
    Ok(())
}

pub(super) fn delete_topics(state: &mut State, call: &Call, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    let mut asked: Vec<(Option<TopicName>, TopicId)> = Vec::new();
    if call.version >= 6 {
        for topic in &request.topics {
            let name = topic.name.as_ref().map(|name| TopicName::from(name.as_str()));
            asked.push((name, TopicId(topic.topic_id.into_bytes())));
        }
    } else {
        asked.extend(request.topic_names.iter().map(|name| (Some(TopicName::from(name.as_str())), TopicId::ZERO)));
    }
    let mut met = BTreeSet::new();
    let twice: BTreeSet<_> = asked.iter().filter(|topic| !met.insert((*topic).clone())).cloned().collect();
    let once = asked.into_iter().filter(|topic| met.remove(topic));
    let responses = once.map(|(name, id)| {
        if twice.contains(&(name.clone(), id)) {
            DeletableTopicResult::default()
                .with_name(name.map(|name| wire_name(&name)))
                .with_topic_id(wire_id(id))
                .with_error_code(ResponseError::InvalidRequest.code())
                .with_error_message(Some(text("the request names the topic twice")))
        } else {
            delete(state, call, name, id)
        }
    });
    let responses = responses.collect();
    DeleteTopicsResponse::default().with_throttle_time_ms(call.throttle_ms).with_responses(responses)
}

fn delete(state: &mut State, call: &Call, name: Option<TopicName>, id: TopicId) -> DeletableTopicResult {
    let by_name = name.is_some();
    let name = name.or_else(|| state.name_of(id).cloned());
    let id = name.as_ref().and_then(|name| state.topics.get(&**name)).map_or(id, |topic| topic.id);
    let unknown = if by_name { ResponseError::UnknownTopicOrPartition } else { ResponseError::UnknownTopicId };
    let refused = name.as_ref().map_or_else(|| call.refused(), |name| call.refused_topic(name));
    let result = refused.and_then(|()| {
        let deleted = name.as_ref().is_some_and(|name| state.delete_topic(name));
        if deleted { name.as_ref().map_or(Ok(()), |name| call.failed_late_topic(name)) } else { Err(unknown) }
    });
    let response =
        DeletableTopicResult::default().with_name(name.map(|name| wire_name(&name))).with_topic_id(wire_id(id));
    match result {
        Ok(()) => response,
        Err(error) => response.with_error_code(error.code()).with_error_message(Some(text("not deleted"))),
    }
}

/// The names in `TopicConfig`, of this release and older ones.
pub(super) const TOPIC_CONFIGS: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// More partitions in one topic are a mistake of a test.
const PARTITIONS_MAX: i32 = 100_000;
