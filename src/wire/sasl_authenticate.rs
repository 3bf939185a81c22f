//! SaslAuthenticate: carries the messages of a SASL mechanism (KIP-152), and the lifetime of the session (KIP-368).

use super::alter_user_scram_credentials::SecretBytes;
use super::declare::api;
use super::declare::messages;
use crate::error::Code;

api! {
    SaslAuthenticate = 36, versions 0..=2, flexible 2.., reads;
    SaslAuthenticateRequest => SaslAuthenticateResponse
}

messages! {
    SaslAuthenticateRequest:

    /// `SaslAuthenticateRequest.json`.
    request SaslAuthenticateRequest {
        message: SecretBytes,
    }

    /// `SaslAuthenticateResponse.json`.
    response SaslAuthenticateResponse {
        /// In no version.
        throttle_time_ms: i32 [3..],
        error: Option<Code>,
        error_message: Option<Box<str>>,
        message: SecretBytes,
        /// For how long the broker accepts requests; 0 where it does not end the session.
        session_lifetime_ms: i64 [1..],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_message_shows_no_secret() {
        let request = SaslAuthenticateRequest { message: SecretBytes("\0alice\0hunter2".into()) };
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
