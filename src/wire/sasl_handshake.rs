//! SaslHandshake: begins the authentication of a connection by one mechanism (KIP-43).

use super::declare::api;
use super::declare::messages;
use super::texts::Texts;
use crate::error::Code;

api! {
    SaslHandshake = 17, versions 1..=1, flexible 2.., reads;
    SaslHandshakeRequest => SaslHandshakeResponse
}

messages! {
    SaslHandshakeRequest:

    /// `SaslHandshakeRequest.json`. After version 0, tokens would follow without a header (KIP-152).
    request SaslHandshakeRequest {
        mechanism: String,
    }

    /// `SaslHandshakeResponse.json`.
    response SaslHandshakeResponse {
        /// In no version.
        throttle_time_ms: i32 [2..],
        error: Option<Code>,
        /// The mechanisms that the listener enables.
        mechanisms: Texts,
    }
}
