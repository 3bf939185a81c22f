//! LeaveGroup: members leave a group, so that it rebalances at once (KIP-345, KIP-800).

use super::declare::api;
use super::declare::messages;
use super::field::OneOrSeveral;
use crate::error::Code;

/// The first version with several members in one request (KIP-345).
const SEVERAL: i16 = 3;

api! {
    LeaveGroup = 13, versions 1..=5, flexible 4.., writes;
    LeaveGroupRequest => LeaveGroupResponse
}

messages! {
    LeaveGroupRequest:

    /// `LeaveGroupRequest.json`. Versions below 3 carry exactly one member.
    request LeaveGroupRequest {
        group: String,
        members: Vec<LeavingMember> as OneOrSeveral<SEVERAL, SoleLeaving, LeavingMember>,
    }

    struct LeavingMember {
        /// Empty for a static member that is removed by its instance id.
        member: String,
        instance: Option<String>,
        reason: Option<String> [5..],
    }

    part SoleLeaving for LeavingMember {
        member: String,
    }

    /// `LeaveGroupResponse.json`.
    response LeaveGroupResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        members: Vec<LeftMember> [3..],
    }

    struct LeftMember {
        member: Box<str>,
        instance: Option<Box<str>>,
        error: Option<Code>,
    }
}

impl LeaveGroupRequest {
    /// Refuses several members where the version carries one: the others would stay silently.
    fn check(&self, version: i16) -> Result<(), super::buf::DecodeError> {
        if version < SEVERAL && self.members.len() != 1 {
            let text = format!("version {version} carries one member, not {}", self.members.len());
            return Err(super::buf::DecodeError::TooOld(text));
        }
        Ok(())
    }
}

impl LeaveGroupResponse {
    /// The error of the request, or of a member.
    pub fn error(&self) -> Option<Code> {
        self.error.or_else(|| self.members.iter().find_map(|member| member.error))
    }
}
