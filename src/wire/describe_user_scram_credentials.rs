//! DescribeUserScramCredentials: the SCRAM mechanisms that users have (KIP-554).

use super::declare::api;
use super::declare::messages;
use super::thin::ThinList;
use crate::error::Code;

api! {
    DescribeUserScramCredentials = 50, versions 0..=0, flexible 0.., reads;
    DescribeUserScramCredentialsRequest => DescribeUserScramCredentialsResponse
}

messages! {
    DescribeUserScramCredentialsRequest:

    /// `DescribeUserScramCredentialsRequest.json`. `users: None` requests all users.
    request DescribeUserScramCredentialsRequest {
        users: Option<Vec<ScramUserName>>,
    }

    struct ScramUserName {
        name: String,
    }

    /// `DescribeUserScramCredentialsResponse.json`.
    response DescribeUserScramCredentialsResponse {
        throttle_time_ms: i32,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        results: Vec<DescribedScramUser>,
    }

    struct DescribedScramUser {
        user: Box<str>,
        error: Option<Code>,
        error_message: Option<Box<str>>,
        credentials: ThinList<ScramCredential>,
    }

    /// `mechanism`: 1 SCRAM-SHA-256, 2 SCRAM-SHA-512.
    struct ScramCredential {
        mechanism: i8,
        iterations: i32,
    }
}
