//! CreatePartitions: adds partitions to topics, with an outcome for each topic.

use super::declare::api;
use super::declare::messages;
use super::field::Message;
use super::message::TopicOutcome;
use crate::error::Code;
use crate::types::TopicName;

api! {
    CreatePartitions = 37, versions 0..=3, flexible 2.., writes;
    CreatePartitionsRequest => CreatePartitionsResponse
}

messages! {
    CreatePartitionsRequest:

    /// `CreatePartitionsRequest.json`.
    request CreatePartitionsRequest {
        topics: Vec<MorePartitions>,
        timeout_ms: i32,
        validate_only: bool,
    }

    /// `count`: the partitions that the topic is to have. `assignments: None` lets the controller choose the brokers.
    struct MorePartitions {
        name: TopicName,
        count: i32,
        assignments: Option<Vec<NewReplicas>>,
    }

    /// The brokers of one new partition.
    struct NewReplicas {
        brokers: Vec<i32>,
    }

    /// `CreatePartitionsResponse.json`.
    response CreatePartitionsResponse {
        throttle_time_ms: i32,
        results: Vec<TopicOutcome> as Vec<Extended>,
    }

    layout Extended for TopicOutcome {
        name: Box<str>,
        error: Option<Code>,
        message: Option<Box<Box<str>>> as Message,
    }
}
