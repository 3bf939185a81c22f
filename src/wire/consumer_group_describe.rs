//! ConsumerGroupDescribe: groups of the protocol of KIP-848, and their members.

use super::declare::api;
use super::declare::messages;
use super::texts::Strings;
use super::texts::Texts;
use crate::error::Code;
use crate::types::TopicId;

api! {
    ConsumerGroupDescribe = 69, versions 0..=1, flexible 0.., reads;
    ConsumerGroupDescribeRequest => ConsumerGroupDescribeResponse
}

messages! {
    ConsumerGroupDescribeRequest:

    /// `ConsumerGroupDescribeRequest.json`.
    request ConsumerGroupDescribeRequest {
        groups: Vec<String>,
        include_authorized_operations: bool,
    }

    /// `ConsumerGroupDescribeResponse.json`.
    response ConsumerGroupDescribeResponse {
        throttle_time_ms: i32,
        groups: Vec<DescribedConsumerGroup>,
    }

    struct DescribedConsumerGroup {
        error: Option<Code>,
        error_message: Option<Box<str>>,
        group: Box<str>,
        state: Box<str>,
        epoch: i32,
        assignment_epoch: i32,
        /// The server-side assignor.
        assignor: Box<str>,
        members: Box<[DescribedConsumer]>,
        authorized_operations: i32 = i32::MIN,
    }

    struct DescribedConsumer {
        /// Its id, the name of a static member, its rack.
        names: Texts as Strings<3, 0b110>,
        epoch: i32,
        /// Its client id and its host.
        client: Texts as Strings<2, 0>,
        /// The topics that it names.
        topics: Texts,
        /// A pattern of topics, which the coordinator matches.
        regex: Option<Box<str>>,
        /// The partitions that it has.
        assignment: ConsumerAssignment,
        /// The partitions that it is to have.
        target: ConsumerAssignment,
        /// 0 for a member of the classic protocol, 1 for one of KIP-848, −1 if unknown.
        kind: i8 [1..] = -1,
    }

    struct ConsumerAssignment {
        topics: Box<[AssignedTopic]>,
    }

    struct AssignedTopic {
        id: TopicId,
        name: Box<str>,
        partitions: Vec<i32>,
    }
}
