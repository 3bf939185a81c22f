//! AlterUserScramCredentials: sets and deletes SCRAM credentials of users (KIP-554).

use std::fmt;

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::declare::api;
use super::declare::messages;
use super::field::Read;
use super::field::Write;
use crate::error::Code;

api! {
    AlterUserScramCredentials = 51, versions 0..=0, flexible 0.., writes;
    AlterUserScramCredentialsRequest => AlterUserScramCredentialsResponse
}

messages! {
    AlterUserScramCredentialsRequest:

    /// `AlterUserScramCredentialsRequest.json`.
    request AlterUserScramCredentialsRequest {
        deletions: Vec<ScramDeletion>,
        upsertions: Vec<ScramUpsertion>,
    }

    struct ScramDeletion {
        name: String,
        mechanism: i8,
    }

    struct ScramUpsertion {
        name: String,
        mechanism: i8,
        iterations: i32,
        salt: Bytes,
        salted_password: SecretBytes,
    }

    /// `AlterUserScramCredentialsResponse.json`.
    response AlterUserScramCredentialsResponse {
        throttle_time_ms: i32,
        results: Vec<AlteredScramUser>,
    }

    struct AlteredScramUser {
        user: Box<str>,
        error: Option<Code>,
        error_message: Option<Box<str>>,
    }
}

/// Bytes that are a secret: `Debug` shows none of them.
#[derive(Clone, Default, PartialEq)]
pub struct SecretBytes(pub Bytes);

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl Read for SecretBytes {
    type Value = Self;

    const FEWEST: [usize; 2] = [Bytes::FEWEST[0], Bytes::FEWEST[1]];

    fn read(reader: &mut Reader, _: i16) -> Result<Self, DecodeError> {
        reader.bytes().map(Self)
    }
}

impl Write for SecretBytes {
    type Value = Self;

    fn write(secret: &Self, out: &mut Chunks, _: i16) {
        out.put_bytes(Some(&[&secret.0]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_request_shows_no_secret() {
        let upsertion = ScramUpsertion { salted_password: SecretBytes("hunter2".into()), ..ScramUpsertion::default() };
        let request = AlterUserScramCredentialsRequest { deletions: vec![], upsertions: vec![upsertion] };
        assert!(!format!("{request:?}").contains("hunter2"));
    }
}
