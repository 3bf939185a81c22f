//! AddRaftVoter: adds a controller to the voters of the metadata quorum (KIP-853).

use super::declare::api;
use super::declare::messages;
use super::message::QuorumListener;
use crate::error::Code;
use crate::types::TopicId;

api! {
    AddRaftVoter = 80, versions 0..=0, flexible 0.., writes;
    AddRaftVoterRequest => AddRaftVoterResponse
}

messages! {
    AddRaftVoterRequest:

    /// `AddRaftVoterRequest.json`.
    request AddRaftVoterRequest {
        cluster_id: Option<String>,
        timeout_ms: i32,
        voter: i32,
        directory: TopicId,
        listeners: Vec<QuorumListener>,
    }

    /// `AddRaftVoterResponse.json`.
    response AddRaftVoterResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
    }
}
