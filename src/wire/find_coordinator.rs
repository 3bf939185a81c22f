//! FindCoordinator: the broker that coordinates a group or a transaction.

use super::buf::Chunks;
use super::buf::DecodeError;
use super::declare::api;
use super::declare::messages;
use super::field::NotNull;
use super::field::OneOrSeveral;
use crate::error::Code;

/// The first version with several keys in one request (KIP-699).
const SEVERAL: i16 = 4;

/// `kind`: 0 group, 1 transaction. Versions below 4 carry exactly one key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FindCoordinatorRequest {
    pub keys: Vec<String>,
    pub kind: i8,
}

api! {
    FindCoordinator = 10, versions 0..=6, flexible 3.., reads;
    FindCoordinatorRequest by hand => FindCoordinatorResponse
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
    /// Refuses several keys where the version carries one: the others would be lost silently.
    fn check(&self, version: i16) -> Result<(), DecodeError> {
        if version < SEVERAL && self.keys.len() != 1 {
            let text = format!("version {version} carries one key, not {}", self.keys.len());
            return Err(DecodeError::TooOld(text));
        }
        Ok(())
    }

    fn put(&self, version: i16, out: &mut Chunks) {
        if version < SEVERAL {
            out.put_string(self.keys.first().map_or("", String::as_str));
        }
        if version >= 1 {
            out.put_i8(self.kind);
        }
        if version >= SEVERAL {
            out.put_array(&self.keys, |out, key| out.put_string(key));
        }
        out.put_no_tags();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Call;

    #[test]
    fn several_keys_are_refused_where_the_version_carries_one() {
        let keys =
            |keys: &[&str]| FindCoordinatorRequest { keys: keys.iter().map(ToString::to_string).collect(), kind: 0 };
        let put = |request: &FindCoordinatorRequest, version| Call::put(request, version, &mut Chunks::default());
        assert!(put(&keys(&["a", "b"]), 3).is_err() && put(&keys(&["a", "b"]), 4).is_ok());
        assert!(put(&keys(&["a"]), 0).is_ok());
    }

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
