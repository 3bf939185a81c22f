//! IncrementalAlterConfigs: changes single entries of configurations (KIP-339).

use super::declare::api;
use super::declare::messages;
use super::field::Message;
use crate::error::Code;

api! {
    IncrementalAlterConfigs = 44, versions 0..=1, flexible 1.., writes;
    IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse
}

messages! {
    IncrementalAlterConfigsRequest:

    /// `IncrementalAlterConfigsRequest.json`.
    request IncrementalAlterConfigsRequest {
        resources: Vec<AlteredResource>,
        validate_only: bool,
    }

    struct AlteredResource {
        kind: i8,
        name: String,
        configs: Vec<AlteredConfig>,
    }

    /// `operation`: 0 set, 1 delete, 2 append, 3 subtract.
    struct AlteredConfig {
        name: String,
        operation: i8,
        value: Option<String>,
    }

    /// `IncrementalAlterConfigsResponse.json`.
    response IncrementalAlterConfigsResponse {
        throttle_time_ms: i32,
        results: Vec<AlterConfigsResult>,
    }

    struct AlterConfigsResult {
        error: Option<Code>,
        message: Option<Box<Box<str>>> as Message,
        kind: i8,
        name: Box<str>,
    }
}
