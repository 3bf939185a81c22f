//! ListPartitionReassignments: the partitions whose replicas are moving (KIP-455).

use super::declare::api;
use super::declare::messages;
use super::message::TopicIndexes;
use super::thin::ThinList;
use crate::error::Code;

api! {
    ListPartitionReassignments = 46, versions 0..=0, flexible 0.., reads;
    ListPartitionReassignmentsRequest => ListPartitionReassignmentsResponse
}

messages! {
    ListPartitionReassignmentsRequest:

    /// `ListPartitionReassignmentsRequest.json`. `topics: None` requests all partitions.
    request ListPartitionReassignmentsRequest {
        timeout_ms: i32,
        topics: Option<Vec<TopicIndexes>>,
    }

    /// `ListPartitionReassignmentsResponse.json`.
    response ListPartitionReassignmentsResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        topics: Vec<OngoingTopic>,
    }

    struct OngoingTopic {
        name: Box<str>,
        partitions: ThinList<OngoingReassignment>,
    }

    struct OngoingReassignment {
        index: i32,
        replicas: Box<[i32]>,
        adding: Box<[i32]>,
        removing: Box<[i32]>,
    }
}
