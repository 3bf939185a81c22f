//! CreateTopics: creates topics, with an outcome for each.

use super::declare::api;
use super::declare::messages;
use super::field::Message;
use super::message::Skipped;
use super::message::TopicOutcome;
use crate::error::Code;
use crate::types::TopicId;
use crate::types::TopicName;

api! {
    CreateTopics = 19, versions 2..=7, flexible 5.., writes;
    CreateTopicsRequest => CreateTopicsResponse
}

messages! {
    CreateTopicsRequest:

    /// `CreateTopicsRequest.json`.
    request CreateTopicsRequest {
        topics: Vec<NewTopic>,
        timeout_ms: i32,
        validate_only: bool,
    }

    struct NewTopic {
        name: TopicName,
        partitions: i32,
        replication: i16,
        /// The brokers of each partition. The controller chooses them if there are none.
        assignments: Vec<Assignment>,
        configs: Vec<(String, Option<String>)>,
    }

    struct Assignment {
        partition: i32,
        brokers: Vec<i32>,
    }

    /// `CreateTopicsResponse.json`.
    response CreateTopicsResponse {
        throttle_time_ms: i32,
        topics: Vec<TopicOutcome> as Vec<Created>,
    }

    layout Created for TopicOutcome {
        name: Box<str>,
        _: TopicId [7..],
        error: Option<Code>,
        message: Option<Box<Box<str>>> as Message,
        /// The number of partitions, of replicas, and the configuration (KIP-525).
        _: i32 [5..],
        _: i16 [5..],
        _: Option<Vec<Setting>> [5..],
        /// Why the configuration is missing.
        _: i16 [tag 0],
    }

    layout Setting for Skipped {
        _: String,
        _: Option<String>,
        _: bool,
        _: i8,
        _: bool,
    }
}
