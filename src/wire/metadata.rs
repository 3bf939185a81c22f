//! Metadata: brokers, the controller, and the leaders of partitions.

use kafka_protocol::messages as kp;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::control::put;
use super::control::topic_name;
use super::declare::api;
use super::declare::messages;
use super::field::OrEmpty;
use super::message::Node;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

/// `topics: None` requests all topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetadataRequest {
    pub topics: Option<Vec<TopicName>>,
    pub allow_auto_create: bool,
}

api! {
    Metadata = 3, versions 0..=13, flexible 9.., reads;
    MetadataRequest by kafka_protocol => MetadataResponse
}

messages! {
    MetadataRequest:

    /// `MetadataResponse.json`.
    response MetadataResponse {
        throttle_time_ms: i32 [3..],
        brokers: Vec<Node> as Vec<MetadataBroker>,
        cluster_id: Option<String> [2..],
        controller: i32 [1..] = -1,
        topics: Vec<MetadataTopic>,
        /// The authorized operations on the cluster, which the request does not include.
        _: i32 [8..=10],
        error: Option<Code> [13..],
    }

    struct MetadataTopic {
        error: Option<Code>,
        /// Empty if the broker gives only an id.
        name: Box<str> as OrEmpty,
        id: TopicId [10..],
        internal: bool [1..],
        partitions: Vec<MetadataPartition>,
        /// The authorized operations on the topic, which the request does not include.
        _: i32 [8..],
    }

    struct MetadataPartition {
        error: Option<Code>,
        index: i32,
        leader: i32,
        leader_epoch: Option<LeaderEpoch> [7..],
        replicas: Vec<i32>,
        isr: Vec<i32>,
        offline: Vec<i32> [5..],
    }

    layout MetadataBroker for Node {
        id: i32,
        host: String,
        port: i32,
        rack: Option<String> [1..],
    }
}

impl MetadataRequest {
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let topic =
            |name: &TopicName| kp::metadata_request::MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let mut topics: Option<Vec<_>> = self.topics.as_ref().map(|topics| topics.iter().map(topic).collect());
        if version == 0 {
            // Version 0 has no null: an empty list requests all topics.
            topics = Some(topics.unwrap_or_default());
        }
        let mut request = kp::MetadataRequest::default().with_topics(topics);
        if version >= 4 {
            request = request.with_allow_auto_topic_creation(self.allow_auto_create);
        }
        put(&request, version, out)
    }
}
