//! ConsumerGroupHeartbeat: a member's part of the rebalance protocol of KIP-848.

use super::buf::DecodeError;
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

    struct TopicIdPartitions {
        id: TopicId,
        partitions: Vec<i32>,
    }

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

impl ConsumerGroupHeartbeatRequest {
    /// Refuses a pattern where the version carries none: the member would subscribe to nothing.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < 1 && self.regex.as_ref().is_some_and(|regex| !regex.is_empty()) {
            let text = "version 0 carries no pattern: subscribe to one that the client matches, or use brokers of Kafka 4.0 or later";
            return Err(DecodeError::Message(text.to_owned()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Request;

    #[test]
    fn pattern_is_not_left_out_silently_by_version_0() {
        let with = |regex: Option<&str>| {
            Request::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatRequest {
                regex: regex.map(str::to_owned),
                ..ConsumerGroupHeartbeatRequest::default()
            })
        };
        let encodes = |request: Request, version| request.encode(version, 1, "c").is_ok();
        assert_eq!([0, 1].map(|version| encodes(with(Some("a")), version)), [false, true]);
        assert_eq!([None, Some("")].map(|regex| encodes(with(regex), 0)), [true, true]);
    }
}
