//! CreateTopics: creates topics, with an outcome for each.

use kafka_protocol::messages as kp;
use kafka_protocol::messages::create_topics_request as kp_request;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::control::put;
use super::control::text;
use super::control::topic_name;
use super::declare::api;
use super::declare::messages;
use super::field::Message;
use super::message::Skipped;
use super::message::TopicOutcome;
use crate::error::Code;
use crate::types::TopicId;
use crate::types::TopicName;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct CreateTopicsRequest {
    pub topics: Vec<NewTopic>,
    pub timeout_ms: i32,
    pub validate_only: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewTopic {
    pub name: TopicName,
    pub partitions: i32,
    pub replication: i16,
    pub configs: Vec<(String, Option<String>)>,
}

api! {
    CreateTopics = 19, versions 2..=7, flexible 5.., writes;
    CreateTopicsRequest by kafka_protocol => CreateTopicsResponse
}

messages! {
    CreateTopicsRequest:

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

impl CreateTopicsRequest {
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let topics = self.topics.iter().map(|topic| {
            let configs = topic.configs.iter().map(|(name, value)| {
                kp_request::CreatableTopicConfig::default().with_name(text(name)).with_value(value.as_deref().map(text))
            });
            kp_request::CreatableTopic::default()
                .with_name(topic_name(&topic.name))
                .with_num_partitions(topic.partitions)
                .with_replication_factor(topic.replication)
                .with_configs(configs.collect())
        });
        let request = kp::CreateTopicsRequest::default()
            .with_topics(topics.collect())
            .with_timeout_ms(self.timeout_ms)
            .with_validate_only(self.validate_only);
        put(&request, version, out)
    }
}
