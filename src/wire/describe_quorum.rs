//! DescribeQuorum: the controllers that replicate the metadata (KIP-595, KIP-836, KIP-853).

use super::declare::api;
use super::declare::messages;
use super::texts::Strings;
use super::texts::Texts;
use super::thin::ThinList;
use crate::error::Code;
use crate::types::TopicId;
use crate::types::TopicName;

api! {
    DescribeQuorum = 55, versions 0..=2, flexible 0.., reads;
    DescribeQuorumRequest => DescribeQuorumResponse
}

messages! {
    DescribeQuorumRequest:

    /// `texts` are its name and its host. The port is unsigned.
    struct QuorumListener {
        texts: Texts as Strings<2, 0>,
        port: i16,
    }

    /// `DescribeQuorumRequest.json`.
    request DescribeQuorumRequest {
        topics: Vec<QuorumTopicFilter>,
    }

    struct QuorumTopicFilter {
        name: TopicName,
        partitions: Vec<QuorumPartitionFilter>,
    }

    struct QuorumPartitionFilter {
        index: i32,
    }

    /// `DescribeQuorumResponse.json`.
    response DescribeQuorumResponse {
        /// In no version.
        throttle_time_ms: i32 [3..],
        error: Option<Code>,
        error_message: Option<Box<str>> [2..],
        topics: Vec<QuorumTopic>,
        nodes: Vec<QuorumNode> [2..],
    }

    struct QuorumTopic {
        name: Box<str>,
        partitions: ThinList<QuorumPartition>,
    }

    struct QuorumPartition {
        index: i32,
        error: Option<Code>,
        error_message: Option<Box<str>> [2..],
        leader: i32,
        leader_epoch: i32,
        high_watermark: i64,
        voters: Box<[QuorumReplica]>,
        observers: Box<[QuorumReplica]>,
    }

    /// −1 stands for an unknown offset or time.
    struct QuorumReplica {
        id: i32,
        directory: TopicId [2..],
        log_end_offset: i64,
        last_fetch_ms: i64 [1..] = -1,
        last_caught_up_ms: i64 [1..] = -1,
    }

    struct QuorumNode {
        id: i32,
        listeners: Box<[QuorumListener]>,
    }
}
