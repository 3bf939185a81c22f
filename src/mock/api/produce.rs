//! Produce.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_response::BatchIndexAndErrorMessage;
use kafka_protocol::messages::produce_response::LeaderIdAndEpoch;
use kafka_protocol::messages::produce_response::NodeEndpoint;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::produce_response::TopicProduceResponse;

use crate::mock::api::Answer;
use crate::mock::api::Call;
use crate::mock::api::Pending;
use crate::mock::api::write;
use crate::mock::check::Refusal;
use crate::mock::check::Rules;
use crate::mock::check::check;
use crate::mock::frame;
use crate::mock::producers::Admission;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::types::TopicId;
use crate::types::TopicName;

/// A request whose batches are appended and wait for replication (`DelayedProduce`).
#[derive(Debug)]
pub(in crate::mock) struct Plan {
    call: Call,
    /// When the response is sent at the latest.
    pub(in crate::mock) until: Instant,
    response: ProduceResponse,
    waiting: Vec<Awaited>,
}

/// A batch that waits for replication.
#[derive(Clone, Debug)]
struct Awaited {
    topic: TopicName,
    partition: i32,
    /// The high watermark has to get here.
    end: i64,
    leader_epoch: i32,
    /// Its position in the response.
    place: (usize, usize),
}

pub(super) fn answer(state: &mut State, call: &Call, request: ProduceRequest) -> Answer {
    let (acks, timeout) = (request.acks, u64::try_from(request.timeout_ms).unwrap_or(0));
    let (response, waiting) = produce(state, call, request);
    if acks == 0 {
        // Without a response a broker can report an error only by closing (`KafkaApis.handleProduceRequest`).
        let mut partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
        let failed = partitions.any(|partition| partition.error_code != 0);
        return if failed { Answer::Close } else { Answer::Silent };
    }
    if acks == 1 || waiting.is_empty() {
        return write::<ProduceRequest>(call, &response);
    }
    let plan = Plan { call: call.clone(), until: call.now + Duration::from_millis(timeout), response, waiting };
    if is_ready(state, &plan) {
        return finish(state, &plan).map_or(Answer::Close, Answer::Reply);
    }
    Answer::Park(Box::new(Pending::Produce(plan)))
}

/// Whether the wait is over.
pub(in crate::mock) fn is_ready(state: &State, plan: &Plan) -> bool {
    plan.waiting.iter().all(|awaited| fate(state, awaited) != Some(ResponseError::RequestTimedOut))
}

/// The error of a batch if its wait ended now.
fn fate(state: &State, awaited: &Awaited) -> Option<ResponseError> {
    let Some(found) = state.partition(&awaited.topic, awaited.partition) else {
        return Some(ResponseError::UnknownTopicOrPartition);
    };
    match found.log.high_watermark() >= awaited.end {
        _ if found.placement.leader_epoch != awaited.leader_epoch => Some(ResponseError::NotLeaderOrFollower),
        true => None,
        false => Some(ResponseError::RequestTimedOut),
    }
}

/// The response frame, with the error of each batch.
pub(in crate::mock) fn finish(state: &State, plan: &Plan) -> Option<Bytes> {
    let mut response = plan.response.clone();
    for awaited in &plan.waiting {
        if let Some(error) = fate(state, awaited) {
            let (topic, partition) = awaited.place;
            // The offset stays, although the batch may not: `DelayedProduce` changes only the error.
            response.responses[topic].partition_responses[partition].error_code = error.code();
        }
    }
    frame::reply::<ProduceRequest>(plan.call.correlation_id, plan.call.version, &response)
}

fn produce(state: &mut State, call: &Call, request: ProduceRequest) -> (ProduceResponse, Vec<Awaited>) {
    let mut leaders = Vec::new();
    let mut waiting = Vec::new();
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let id = TopicId(topic.topic_id.into_bytes());
        let name = match call.version {
            ..13 => Ok(state.intern(&topic.name)),
            13.. => state.name_of(id).cloned().ok_or(ResponseError::UnknownTopicId),
        };
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let result = match &name {
                Ok(name) => append(state, call, request.acks, name, &data),
                Err(error) => Err((*error).into()),
            };
            let response = PartitionProduceResponse::default().with_index(data.index);
            let response = match (result, &name) {
                (Ok(done), _) => {
                    let place = (responses.len(), partitions.len());
                    // The offset is reported all the same, as `DelayedProduce` does.
                    let error = name.as_ref().ok().and_then(|name| call.failed_late_at(name, data.index).err());
                    waiting
                        .extend(done.awaited.filter(|_| error.is_none()).map(|awaited| Awaited { place, ..awaited }));
                    let response = response.with_error_code(error.map_or(0, |error| error.code()));
                    let response = response.with_base_offset(done.base_offset);
                    response.with_log_append_time_ms(done.append_time).with_log_start_offset(done.log_start)
                }
                (Err(refusal), Ok(name)) => {
                    let start = state.partition(name, data.index).map_or(-1, |found| found.log.start());
                    let start = if refusal.early { -1 } else { start };
                    let response = refused(call, response, refusal).with_log_start_offset(start);
                    hint(state, call, response, name, refusal.error, &mut leaders)
                }
                (Err(refusal), Err(_)) => refused(call, response, refusal),
            };
            partitions.push(response);
        }
        let response = TopicProduceResponse::default().with_name(topic.name).with_topic_id(topic.topic_id);
        responses.push(response.with_partition_responses(partitions));
    }
    let response = ProduceResponse::default().with_responses(responses).with_throttle_time_ms(call.throttle_ms);
    (response.with_node_endpoints(leaders), waiting)
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        let late = matches!(
            error,
            ResponseError::OutOfOrderSequenceNumber
                | ResponseError::InvalidProducerEpoch
                | ResponseError::InvalidTxnState
                | ResponseError::NotEnoughReplicas
        );
        Self { error, reason: "", record: None, early: !late }
    }
}

/// A batch that is in the log.
struct Done {
    base_offset: i64,
    log_start: i64,
    /// Kafka reports the producer's timestamp of a duplicate here; −1 for a new batch.
    append_time: i64,
    /// The replication to wait for, if the followers do not have the batch yet.
    awaited: Option<Awaited>,
}

/// Checks and appends one partition's batch.
fn append(
    state: &mut State,
    call: &Call,
    acks: i16,
    topic: &TopicName,
    data: &PartitionProduceData,
) -> Result<Done, Refusal> {
    call.refused_at(topic, data.index)?;
    if !(-1..=1).contains(&acks) {
        return Err(ResponseError::InvalidRequiredAcks.into());
    }
    let found = state.led(call.broker, topic, data.index, -1)?;
    if acks == -1 && state.in_sync(found) < state.settings.min_insync {
        return Err(ResponseError::NotEnoughReplicas.into());
    }
    let no_records = Bytes::new();
    let records = data.records.as_ref().unwrap_or(&no_records);
    let batch_bytes_max = state.topics.get(&**topic).map_or(usize::MAX, |topic| topic.batch_bytes_max);
    let timestamp_max = state.settings.timestamp_after_max_ms.map(|after| call.unix_ms.saturating_add(after));
    let rules = Rules { codecs: &state.codecs, batch_bytes_max, timestamp_max, version: call.version };
    let checked = check(records, &rules, &mut state.scratch)?;
    let partition = state.partition_mut(topic, data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let (log, leader_epoch) = (&mut partition.log, partition.placement.leader_epoch);
    let admission = checked.numbered.map(|numbered| log.producers.admit(numbered)).transpose()?;
    let mut append_time = -1;
    let base_offset = match (admission, checked.numbered) {
        (Some(Admission::Duplicate(offset)), _) => {
            append_time = checked.max_timestamp;
            offset
        }
        (_, Some(numbered)) if !checked.transactional && log.transactions.is_open(numbered.producer_id) => {
            return Err(ResponseError::InvalidTxnState.into());
        }
        _ => log.append(records, &checked, leader_epoch),
    };
    let end = base_offset + i64::from(checked.last_offset_delta) + 1;
    let awaited = Awaited { topic: topic.clone(), partition: data.index, end, leader_epoch, place: (0, 0) };
    let awaited = (end > log.high_watermark()).then_some(awaited);
    let log_start = log.start();
    state.changes += 1;
    Ok(Done { base_offset, log_start, append_time, awaited })
}

fn refused(call: &Call, response: PartitionProduceResponse, refusal: Refusal) -> PartitionProduceResponse {
    let response = response.with_error_code(refusal.error.code()).with_base_offset(-1).with_log_append_time_ms(-1);
    let response = response.with_log_start_offset(-1);
    if call.version < 8 || refusal.reason.is_empty() {
        return response;
    }
    let detail = |index| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(text(refusal.reason)))
    };
    response
        .with_error_message(Some(text(refusal.reason)))
        .with_record_errors(refusal.record.map(detail).into_iter().collect())
}

/// Adds the current leader for a client that asked the wrong broker (KIP-951).
fn hint(
    state: &State,
    call: &Call,
    response: PartitionProduceResponse,
    topic: &TopicName,
    error: ResponseError,
    leaders: &mut Vec<NodeEndpoint>,
) -> PartitionProduceResponse {
    let moved = error == ResponseError::NotLeaderOrFollower && call.version >= 10 && call.errors.is_empty();
    // A stale broker does not know the new leader.
    let moved = moved && state.view(call.broker).is_none();
    let partition = state.partition(topic, response.index).filter(|_| moved);
    let Some((leader, epoch)) =
        partition.and_then(|found| Some((found.placement.leader?, found.placement.leader_epoch)))
    else {
        return response;
    };
    if let Some(broker) = state.brokers.get(&leader)
        && !leaders.iter().any(|known| known.node_id.0 == leader)
    {
        let endpoint = NodeEndpoint::default().with_node_id(BrokerId(leader)).with_host(text(&broker.host));
        leaders.push(endpoint.with_port(i32::from(broker.port)).with_rack(broker.rack.as_deref().map(text)));
    }
    let current = LeaderIdAndEpoch::default().with_leader_id(BrokerId(leader)).with_leader_epoch(epoch);
    response.with_current_leader(current)
}
