//! DeleteTopics: deletes topics, with an outcome for each.

use super::buf::Chunks;
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
    DeleteTopicsRequest by hand => DeleteTopicsResponse
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
    fn put(&self, version: i16, out: &mut Chunks) {
        out.put_array(&self.names, |out, name| {
            out.put_string(name);
            if version >= 6 {
                out.put_id(TopicId::ZERO);
                out.put_no_tags();
            }
        });
        out.put_i32(self.timeout_ms);
        out.put_no_tags();
    }
}
