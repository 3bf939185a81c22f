//! ListOffsets.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::ListOffsetsResponse;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::list_offsets_response::ListOffsetsTopicResponse;

use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::log::Found;
use crate::mock::state::State;

pub(super) fn list_offsets(state: &mut State, call: &Call, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let result = find(state, call, &topic.name, asked, request.isolation_level == 1);
            let found = result.unwrap_or(NOT_FOUND);
            let response = ListOffsetsPartitionResponse::default()
                .with_partition_index(asked.partition_index)
                .with_error_code(code(&result))
                .with_timestamp(found.timestamp)
                .with_offset(found.offset);
            let epoch = if call.version >= 4 { found.leader_epoch } else { -1 };
            partitions.push(response.with_leader_epoch(epoch));
        }
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_throttle_time_ms(call.throttle_ms).with_topics(topics)
}

fn find(
    state: &State,
    call: &Call,
    topic: &str,
    asked: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<Found, ResponseError> {
    call.refused_at(topic, asked.partition_index)?;
    let partition = state.led(call.broker, topic, asked.partition_index, asked.current_leader_epoch)?;
    let log = &partition.log;
    let readable = log.readable(read_committed);
    let at = |offset| {
        let leader_epoch = log.epoch_at(offset).unwrap_or(-1);
        Ok(Found { offset, timestamp: -1, leader_epoch })
    };
    match asked.timestamp {
        LATEST => Ok(Found { offset: readable, timestamp: -1, leader_epoch: partition.placement.leader_epoch }),
        // Without tiered storage the local log is the whole log (KIP-405).
        EARLIEST => at(log.start()),
        EARLIEST_LOCAL if call.version >= 8 => at(log.start()),
        MAX_TIMESTAMP if call.version >= 7 => Ok(log.latest_time(&state.codecs).unwrap_or(NOT_FOUND)),
        LATEST_TIERED if call.version >= 9 => Ok(NOT_FOUND),
        EARLIEST_PENDING if call.version >= 11 => Ok(NOT_FOUND),
        timestamp if timestamp >= 0 => {
            let found = log.find_time(timestamp, &state.codecs);
            Ok(found.filter(|found| found.offset < readable).unwrap_or(NOT_FOUND))
        }
        _ => Err(ResponseError::UnsupportedVersion),
    }
}

const NOT_FOUND: Found = Found { offset: -1, timestamp: -1, leader_epoch: -1 };

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING: i64 = -6;
