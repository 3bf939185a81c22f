//! OffsetDelete: deletes offsets that a group has committed (KIP-496).

use super::declare::api;
use super::declare::messages;
use crate::error::Code;
use crate::types::TopicName;

api! {
    OffsetDelete = 47, versions 0..=0, flexible 1.., writes;
    OffsetDeleteRequest => OffsetDeleteResponse
}

messages! {
    OffsetDeleteRequest:

    /// `OffsetDeleteRequest.json`.
    request OffsetDeleteRequest {
        group: String,
        topics: Vec<OffsetDeleteTopic>,
    }

    struct OffsetDeleteTopic {
        name: TopicName,
        partitions: Vec<i32>,
    }

    /// `OffsetDeleteResponse.json`.
    response OffsetDeleteResponse {
        error: Option<Code>,
        throttle_time_ms: i32,
        topics: Vec<DeletedOffsets>,
    }

    struct DeletedOffsets {
        name: Box<str>,
        partitions: Vec<(i32, Option<Code>)>,
    }
}
