//! DeleteGroups: deletes groups without members, with their offsets (KIP-229).

use super::declare::api;
use super::declare::messages;
use super::field::Message;
use crate::error::Code;

api! {
    DeleteGroups = 42, versions 0..=3, flexible 2.., writes;
    DeleteGroupsRequest => DeleteGroupsResponse
}

messages! {
    DeleteGroupsRequest:

    /// `DeleteGroupsRequest.json`.
    request DeleteGroupsRequest {
        groups: Vec<String>,
    }

    /// `DeleteGroupsResponse.json`.
    response DeleteGroupsResponse {
        throttle_time_ms: i32,
        results: Vec<DeletedGroup>,
    }

    struct DeletedGroup {
        group: Box<str>,
        error: Option<Code>,
        error_message: Option<Box<Box<str>>> as Message [3..],
    }
}
