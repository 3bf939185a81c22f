//! DescribeTopicPartitions: topics and their partitions, page by page (KIP-966).

use super::declare::api;
use super::declare::messages;
use super::field::Nullable;
use super::field::OrEmpty;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;

api! {
    DescribeTopicPartitions = 75, versions 0..=0, flexible 0.., reads;
    DescribeTopicPartitionsRequest => DescribeTopicPartitionsResponse
}

messages! {
    DescribeTopicPartitionsRequest:

    /// The first partition of the next page.
    struct TopicCursor {
        topic: TopicName,
        partition: i32,
    }

    /// `DescribeTopicPartitionsRequest.json`. Without topics it requests all of them.
    request DescribeTopicPartitionsRequest {
        topics: Vec<TopicByName>,
        partitions_max: i32,
        cursor: Option<TopicCursor> as Nullable<TopicCursor>,
    }

    struct TopicByName {
        name: TopicName,
    }

    /// `DescribeTopicPartitionsResponse.json`.
    response DescribeTopicPartitionsResponse {
        throttle_time_ms: i32,
        topics: Vec<DescribedTopic>,
        next: Option<TopicCursor> as Nullable<TopicCursor>,
    }

    struct DescribedTopic {
        error: Option<Code>,
        name: Box<str> as OrEmpty,
        id: TopicId,
        internal: bool,
        partitions: Vec<DescribedPartition>,
        operations: i32,
    }

    struct DescribedPartition {
        error: Option<Code>,
        index: i32,
        leader: i32,
        leader_epoch: Option<LeaderEpoch>,
        replicas: Vec<i32>,
        isr: Vec<i32>,
        /// The replicas that may lead although they left the set in sync.
        eligible: Option<Vec<i32>>,
        /// The last of those, where none is left.
        last_eligible: Option<Vec<i32>>,
        offline: Vec<i32>,
    }
}
