//! ApiVersions: the first response read from a peer, which may not be a broker.

use super::buf::Chunks;
use super::declare::api;
use super::declare::messages;
use crate::error::Code;

/// The error of a broker that does not support the version of the request: its response has the form of version 0 (KIP-511).
const UNSUPPORTED: [u8; 2] = 35_i16.to_be_bytes();

/// Carries the name and the version of this client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ApiVersionsRequest;

api! {
    ApiVersions = 18, versions 0..=4, flexible 3.., reads;
    ApiVersionsRequest by hand => ApiVersionsResponse
}

messages! {
    ApiVersionsRequest:

    /// `ApiVersionsResponse.json`.
    response ApiVersionsResponse {
        error: Option<Code>,
        /// The key of each API, with the first and the last version that the broker supports.
        apis: Vec<(i16, i16, i16)>,
        throttle_time_ms: i32 [1..],
        supported_features: Vec<SupportedFeature> [tag 0],
        /// The epoch of the finalized features; −1 where it is unknown.
        features_epoch: i64 [tag 1] = -1,
        finalized_features: Vec<Feature> [tag 2],
        /// Whether the cluster is ready to leave ZooKeeper.
        _: bool [tag 3],
    }

    /// A feature, and the lowest and the highest level that the broker supports.
    struct SupportedFeature {
        name: String,
        level_min: i16,
        level_max: i16,
    }

    /// A feature, and its finalized level.
    struct Feature {
        name: String,
        level: i16,
        level_min: i16,
    }
}

/// The version that encodes the response to a request of `version`.
pub(super) fn written_in(version: i16, body: &[u8]) -> i16 {
    if body.starts_with(&UNSUPPORTED) { 0 } else { version }
}

impl ApiVersionsRequest {
    #[allow(clippy::unused_self, reason = "as every request is written")]
    fn put(&self, version: i16, out: &mut Chunks) {
        if version >= 3 {
            out.put_string("ottla");
            out.put_string(env!("CARGO_PKG_VERSION"));
        }
        out.put_no_tags();
    }
}
