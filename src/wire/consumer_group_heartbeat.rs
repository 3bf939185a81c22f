//! ConsumerGroupHeartbeat: a member's part of the rebalance protocol of KIP-848.

use super::declare::api;
use super::declare::messages;
use super::field::Nullable;
use crate::error::Code;
use crate::types::TopicId;
use crate::types::TopicName;

api! {
    ConsumerGroupHeartbeat = 68, versions 0..=1, flexible 0.., writes;
    ConsumerGroupHeartbeatRequest => ConsumerGroupHeartbeatResponse
}

messages! {
    ConsumerGroupHeartbeatRequest:

    /// `ConsumerGroupHeartbeatRequest.json`. Fields that are `None` or −1 did not change since the last heartbeat.
    request ConsumerGroupHeartbeatRequest {
        group: String,
        member: String,
        /// 0 joins the group, −1 leaves it, −2 leaves it for a static member that will return.
        epoch: i32,
        instance: Option<String>,
        rack: Option<String>,
        rebalance_timeout_ms: i32,
        topics: Option<Vec<TopicName>>,
        regex: Option<String> [1..],
        assignor: Option<String>,
        owned: Option<Vec<TopicIdPartitions>>,
    }

    struct TopicIdPartitions {
        id: TopicId,
        partitions: Vec<i32>,
    }

    /// `ConsumerGroupHeartbeatResponse.json`.
    response ConsumerGroupHeartbeatResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<String>,
        member: Option<String>,
        epoch: i32,
        heartbeat_interval_ms: i32,
        /// `None` where it did not change.
        assignment: Option<TargetAssignment> as Nullable<TargetAssignment>,
    }

    /// The partitions that the member is to have.
    struct TargetAssignment {
        topics: Vec<TopicIdPartitions>,
    }
}
