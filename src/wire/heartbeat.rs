//! Heartbeat: a member of a group is alive, and learns whether the group rebalances.

use super::declare::api;
use super::declare::messages;
use crate::error::Code;

api! {
    Heartbeat = 12, versions 1..=4, flexible 4.., writes;
    HeartbeatRequest => HeartbeatResponse
}

messages! {
    HeartbeatRequest:

    /// `HeartbeatRequest.json`.
    request HeartbeatRequest {
        group: String,
        generation: i32,
        member: String,
        instance: Option<String> [3..],
    }

    /// `HeartbeatResponse.json`.
    response HeartbeatResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
    }
}
