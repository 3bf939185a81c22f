//! Produce.

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
use crate::mock::api::write;
use crate::mock::check::Refusal;
use crate::mock::check::Rules;
use crate::mock::check::check;
use crate::mock::producers::Admission;
use crate::mock::state::State;
use crate::mock::state::text;
use crate::types::TopicId;
use crate::types::TopicName;

pub(super) fn answer(state: &mut State, call: &Call, request: ProduceRequest) -> Answer {
    let acks = request.acks;
    let response = produce(state, call, request);
    if acks != 0 {
        return write::<ProduceRequest>(call, &response);
    }
    // Without replies a broker has only one way to tell of an error (`KafkaApis.handleProduceRequest`).
    let partitions = response.responses.iter().flat_map(|topic| &topic.partition_responses);
    let failed = partitions.into_iter().any(|partition| partition.error_code != 0);
    if failed { Answer::Close } else { Answer::Silent }
}

fn produce(state: &mut State, call: &Call, request: ProduceRequest) -> ProduceResponse {
    let mut leaders = Vec::new();
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in request.topic_data {
        let id = TopicId(topic.topic_id.into_bytes());
        let name = match call.version {
            ..13 => Ok(TopicName::from(topic.name.as_str())),
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
                (Ok((base_offset, log_start)), _) => {
                    response.with_base_offset(base_offset).with_log_append_time_ms(-1).with_log_start_offset(log_start)
                }
                (Err(refusal), Ok(name)) => {
                    let response = refused(call, response, refusal);
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
    response.with_node_endpoints(leaders)
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self { error, reason: "", record: None }
    }
}

/// Checks and appends one partition's batch; the offset of its first record and that of the log's.
fn append(
    state: &mut State,
    call: &Call,
    acks: i16,
    topic: &TopicName,
    data: &PartitionProduceData,
) -> Result<(i64, i64), Refusal> {
    call.refused_at(topic, data.index)?;
    if !(-1..=1).contains(&acks) {
        return Err(ResponseError::InvalidRequiredAcks.into());
    }
    state.led(call.broker, topic, data.index, -1)?;
    let no_records = Bytes::new();
    let records = data.records.as_ref().unwrap_or(&no_records);
    let batch_bytes_max = state.topics.get(&**topic).map_or(usize::MAX, |topic| topic.batch_bytes_max);
    let timestamp_max = state.settings.timestamp_after_max_ms.map(|after| call.unix_ms.saturating_add(after));
    let rules = Rules { codecs: &state.codecs, batch_bytes_max, timestamp_max, version: call.version };
    let checked = check(records, &rules, &mut state.scratch)?;
    let partition = state.partition_mut(topic, data.index).ok_or(ResponseError::UnknownTopicOrPartition)?;
    let log = &mut partition.log;
    let admission = checked.numbered.map(|numbered| log.producers.admit(numbered)).transpose()?;
    if let Some(Admission::Duplicate(offset)) = admission {
        return Ok((offset, log.start()));
    }
    let base = log.append(records, &checked, partition.leader_epoch);
    if let Some(numbered) = checked.numbered {
        log.producers.record(numbered, base);
    }
    let start = log.start();
    state.changes += 1;
    Ok((base, start))
}

fn refused(call: &Call, response: PartitionProduceResponse, refusal: Refusal) -> PartitionProduceResponse {
    let response = response.with_error_code(refusal.error.code()).with_base_offset(-1).with_log_append_time_ms(-1);
    let response = response.with_log_start_offset(-1);
    if call.version < 8 || refusal.reason.is_empty() {
        return response;
    }
    let told = |index| {
        BatchIndexAndErrorMessage::default()
            .with_batch_index(index)
            .with_batch_index_error_message(Some(text(refusal.reason)))
    };
    response
        .with_error_message(Some(text(refusal.reason)))
        .with_record_errors(refusal.record.map(told).into_iter().collect())
}

/// Tells a client that asked the wrong broker who the right one is (KIP-951).
fn hint(
    state: &State,
    call: &Call,
    response: PartitionProduceResponse,
    topic: &TopicName,
    error: ResponseError,
    leaders: &mut Vec<NodeEndpoint>,
) -> PartitionProduceResponse {
    let moved = error == ResponseError::NotLeaderOrFollower && call.version >= 10 && call.errors.is_empty();
    let partition = state.partition(topic, response.index).filter(|_| moved);
    let Some((leader, epoch)) = partition.and_then(|found| Some((found.leader?, found.leader_epoch))) else {
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
