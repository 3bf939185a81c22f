//! DeleteRecords: the log's start moves.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::DeleteRecordsResponse;
use kafka_protocol::messages::delete_records_request::DeleteRecordsPartition;
use kafka_protocol::messages::delete_records_response::DeleteRecordsPartitionResult;
use kafka_protocol::messages::delete_records_response::DeleteRecordsTopicResult;

use super::Ask;
use crate::mock::api::Call;
use crate::mock::api::code;
use crate::mock::state::State;

impl Ask for DeleteRecordsRequest {
    const HAS_EFFECT: bool = true;

    fn answer(self, state: &mut State, call: &Call) -> DeleteRecordsResponse {
        let mut topics = Vec::with_capacity(self.topics.len());
        for topic in self.topics {
            let partition = |asked: DeleteRecordsPartition| {
                let start = delete(state, call, &topic.name, &asked);
                DeleteRecordsPartitionResult::default()
                    .with_partition_index(asked.partition_index)
                    .with_low_watermark(start.unwrap_or(-1))
                    .with_error_code(code(&start))
            };
            let partitions = topic.partitions.into_iter().map(partition).collect();
            topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
        }
        DeleteRecordsResponse::default().with_throttle_time_ms(call.throttle_ms).with_topics(topics)
    }

    fn partitions(&self) -> Vec<(&str, Option<i32>)> {
        let mut all = Vec::new();
        for topic in &self.topics {
            all.extend(topic.partitions.iter().map(|asked| (topic.name.as_str(), Some(asked.partition_index))));
        }
        all
    }
}

/// As `Partition.deleteRecordsOnLeader`; returns the new start.
fn delete(state: &mut State, call: &Call, topic: &str, asked: &DeleteRecordsPartition) -> Result<i64, ResponseError> {
    call.refused_at(topic, asked.partition_index)?;
    let high_watermark = state.led(call.broker, topic, asked.partition_index, -1)?.log.high_watermark();
    let policy = state.topics.get(topic).and_then(|topic| topic.configs.get("cleanup.policy"));
    if policy.is_some_and(|policy| !policy.split(',').any(|policy| policy.trim() == "delete")) {
        return Err(ResponseError::PolicyViolation);
    }
    let offset = if asked.offset == HIGH_WATERMARK { high_watermark } else { asked.offset };
    if !(0..=high_watermark).contains(&offset) {
        return Err(ResponseError::OffsetOutOfRange);
    }
    state.changes += 1;
    let partition = state.partition_mut(topic, asked.partition_index);
    let start = partition.ok_or(ResponseError::UnknownTopicOrPartition)?.log.delete_before(offset);
    call.failed_late_at(topic, asked.partition_index).map(|()| start)
}

/// `DeleteRecordsRequest.HIGH_WATERMARK`.
const HIGH_WATERMARK: i64 = -1;
