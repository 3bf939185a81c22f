//! OffsetForLeaderEpoch (KIP-320).

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::OffsetForLeaderEpochResponse;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::EpochEndOffset;
use kafka_protocol::messages::offset_for_leader_epoch_response::OffsetForLeaderTopicResult;

use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::state::State;

pub(super) fn offset_for_leader_epoch(
    state: &mut State,
    call: &Call,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for asked in &topic.partitions {
            let result = find(state, call, &topic.topic, asked);
            let (epoch, end) = result.unwrap_or((-1, -1));
            let response = EpochEndOffset::default().with_error_code(code(&result)).with_partition(asked.partition);
            partitions.push(response.with_leader_epoch(epoch).with_end_offset(end));
        }
        topics.push(OffsetForLeaderTopicResult::default().with_topic(topic.topic).with_partitions(partitions));
    }
    OffsetForLeaderEpochResponse::default().with_throttle_time_ms(call.throttle_ms).with_topics(topics)
}

fn find(
    state: &State,
    call: &Call,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ResponseError> {
    call.refused_at(topic, asked.partition)?;
    let partition = state.led(call.broker, topic, asked.partition, asked.current_leader_epoch)?;
    Ok(partition.log.end_of_epoch(asked.leader_epoch))
}
