//! DeleteTopics: deletes topics, with an outcome for each.

use kafka_protocol::messages as kp;
use kafka_protocol::messages::delete_topics_request as kp_request;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::control::put;
use super::control::topic_name;
use super::declare::api;
use super::declare::messages;
use super::field::Message;
use super::field::OrEmpty;
use super::message::TopicOutcome;
use crate::error::Code;
use crate::types::TopicId;
use crate::types::TopicName;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeleteTopicsRequest {
    pub names: Vec<TopicName>,
    pub timeout_ms: i32,
}

api! {
    DeleteTopics = 20, versions 1..=6, flexible 4.., writes;
    DeleteTopicsRequest by kafka_protocol => DeleteTopicsResponse
}

messages! {
    DeleteTopicsRequest:

    /// `DeleteTopicsResponse.json`.
    response DeleteTopicsResponse {
        throttle_time_ms: i32,
        topics: Vec<TopicOutcome> as Vec<Deleted>,
    }

    layout Deleted for TopicOutcome {
        name: Box<str> as OrEmpty,
        _: TopicId [6..],
        error: Option<Code>,
        message: Option<Box<Box<str>>> as Message [5..],
    }
}

impl DeleteTopicsRequest {
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let mut request = kp::DeleteTopicsRequest::default().with_timeout_ms(self.timeout_ms);
        if version >= 6 {
            let topic = |name| kp_request::DeleteTopicState::default().with_name(Some(topic_name(name)));
            request = request.with_topics(self.names.iter().map(topic).collect());
        } else {
            request = request.with_topic_names(self.names.iter().map(topic_name).collect());
        }
        put(&request, version, out)
    }
}
