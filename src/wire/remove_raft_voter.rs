//! RemoveRaftVoter: removes a controller from the voters of the metadata quorum (KIP-853).

use super::declare::api;
use super::declare::messages;
use crate::error::Code;
use crate::types::TopicId;

api! {
    RemoveRaftVoter = 81, versions 0..=0, flexible 0.., writes;
    RemoveRaftVoterRequest => RemoveRaftVoterResponse
}

messages! {
    RemoveRaftVoterRequest:

    /// `RemoveRaftVoterRequest.json`.
    request RemoveRaftVoterRequest {
        cluster_id: Option<String>,
        voter: i32,
        directory: TopicId,
    }

    /// `RemoveRaftVoterResponse.json`.
    response RemoveRaftVoterResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
    }
}
