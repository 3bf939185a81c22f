//! DeleteRecords: deletes the records of partitions before an offset.

use super::declare::api;
use super::declare::messages;
use super::field::Partitioned;
use super::field::Topics;
use crate::error::Code;
use crate::types::TopicName;

api! {
    DeleteRecords = 21, versions 0..=2, flexible 2.., writes;
    DeleteRecordsRequest => DeleteRecordsResponse
}

messages! {
    DeleteRecordsRequest:

    /// `DeleteRecordsRequest.json`.
    request DeleteRecordsRequest {
        topics: Vec<DeleteRecordsTopic>,
        timeout_ms: i32,
    }

    /// Each partition with the first offset that stays; −1 is its high watermark.
    struct DeleteRecordsTopic {
        name: TopicName,
        partitions: Vec<(i32, i64)>,
    }

    /// `DeleteRecordsResponse.json`.
    response DeleteRecordsResponse {
        throttle_time_ms: i32,
        topics: Vec<RecordsDeletedTopic> as Topics<RecordsDeletedTopic>,
    }

    /// Each partition with its first offset.
    struct RecordsDeletedTopic {
        name: TopicName,
        partitions: Vec<(i32, i64, Option<Code>)>,
    }
}

impl Partitioned for RecordsDeletedTopic {
    type Partition = (i32, i64, Option<Code>);

    fn has_partitions(topic: &Self) -> bool {
        !topic.partitions.is_empty()
    }
}
