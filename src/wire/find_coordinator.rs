//! FindCoordinator: the broker that coordinates a group or a transaction.

use kafka_protocol::messages as kp;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::control::put;
use super::control::text;
use super::declare::api;
use super::declare::messages;
use super::field::NotNull;
use super::field::OneOrSeveral;
use crate::error::Code;

/// The first version with several keys in one request (KIP-699).
const SEVERAL: i16 = 4;

/// `kind`: 0 group, 1 transaction.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindCoordinatorRequest {
    pub key: String,
    pub kind: i8,
}

api! {
    FindCoordinator = 10, versions 0..=6, flexible 3.., reads;
    FindCoordinatorRequest by kafka_protocol => FindCoordinatorResponse
}

messages! {
    FindCoordinatorRequest:

    /// `FindCoordinatorResponse.json`.
    response FindCoordinatorResponse {
        throttle_time_ms: i32 [1..],
        coordinators: Vec<Coordinator> as OneOrSeveral<SEVERAL, Sole, Coordinator>,
    }

    struct Coordinator {
        /// The key that it coordinates; `None` below version 4, whose response is about the key of the request.
        key: Option<String> as NotNull,
        id: i32,
        host: String,
        port: i32,
        error: Option<Code>,
        error_message: Option<String>,
    }

    part Sole for Coordinator {
        error: Option<Code>,
        error_message: Option<String> [1..],
        id: i32,
        host: String,
        port: i32,
    }
}

impl FindCoordinatorResponse {
    /// The coordinator of `key` among those of the response (KIP-699).
    pub fn of(&self, key: &str) -> Option<&Coordinator> {
        self.coordinators.iter().find(|found| found.key.as_deref().is_none_or(|found| found == key))
    }
}

impl FindCoordinatorRequest {
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        let mut request = kp::FindCoordinatorRequest::default();
        if version >= 1 {
            request = request.with_key_type(self.kind);
        }
        request = if version >= SEVERAL {
            request.with_coordinator_keys(vec![text(&self.key)])
        } else {
            request.with_key(text(&self.key))
        };
        put(&request, version, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinator_is_found_by_its_key_among_several() {
        let found = |key: Option<&str>, id| Coordinator { key: key.map(str::to_owned), id, ..Coordinator::default() };
        let several = vec![found(Some("a"), 1), found(Some("b"), 2)];
        let response = FindCoordinatorResponse { throttle_time_ms: 0, coordinators: several };
        assert_eq!(response.of("b").map(|found| found.id), Some(2));
        assert_eq!(response.of("c"), None);
        // Below version 4 no response names the key.
        let response = FindCoordinatorResponse { throttle_time_ms: 0, coordinators: vec![found(None, 3)] };
        assert_eq!(response.of("c").map(|found| found.id), Some(3));
    }
}
