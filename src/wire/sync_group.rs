//! SyncGroup: the leader gives the coordinator every member's assignment, and each member gets its own.

use bytes::Bytes;

use super::declare::api;
use super::declare::messages;
use crate::error::Code;

api! {
    SyncGroup = 14, versions 1..=5, flexible 4.., writes;
    SyncGroupRequest => SyncGroupResponse
}

messages! {
    SyncGroupRequest:

    /// `SyncGroupRequest.json`.
    request SyncGroupRequest {
        group: String,
        generation: i32,
        member: String,
        instance: Option<String> [3..],
        protocol_type: Option<String> [5..],
        protocol: Option<String> [5..],
        /// Empty, except in the leader's request.
        assignments: Vec<MemberAssignment>,
    }

    struct MemberAssignment {
        member: String,
        assignment: Bytes,
    }

    /// `SyncGroupResponse.json`.
    response SyncGroupResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        protocol_type: Option<String> [5..],
        protocol: Option<String> [5..],
        assignment: Bytes,
    }
}
