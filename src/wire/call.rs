//! The API and the response type of each request type.

use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::table::Api;
use super::table::Request;
use super::table::Response;
use crate::error::Error;

/// A request whose response type is known. Implemented by the macro `api!`.
pub trait Call: Into<Request> {
    /// The response to it.
    type Response;

    /// The API that it belongs to.
    const API: Api;
    /// Its number on the wire.
    const KEY: i16;
    /// The supported versions, first and last.
    const VERSIONS: (i16, i16);
    /// The first version with compact lengths and tagged fields (KIP-482).
    const FLEXIBLE_FROM: i16;
    /// Whether it is read-only.
    const READ_ONLY: bool;

    /// The highest version that can carry it.
    fn version_max(&self) -> i16 {
        i16::MAX
    }

    /// Refuses a version that cannot carry the whole request. Requests with such versions have an inherent method of this name.
    fn check(&self, _version: i16) -> Result<(), DecodeError> {
        Ok(())
    }

    /// Writes its body.
    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError>;

    /// Reads the body of its response.
    fn decode(version: i16, body: Bytes) -> Result<Self::Response, DecodeError>;

    /// How long the broker throttles the client, in milliseconds (KIP-219).
    fn throttle_time_ms(response: &Self::Response) -> i32;

    /// Takes the response out of the sum of all responses.
    ///
    /// A connection decodes each frame as the API of its request, so that the error stands for a defect of this client.
    fn response(response: Response) -> Result<Self::Response, Error>;
}

/// The side of a broker, for tests: it reads requests and writes responses. Implemented by the macro `api!`.
#[cfg(any(test, feature = "unstable-internals"))]
pub(super) trait Serve: Call {
    /// Whether a response keeps every field.
    const EXACT: bool;

    /// Reads the body of a request; `None` for one that is written by hand, which nothing here reads.
    fn decode_request(version: i16, body: Bytes) -> Option<Result<Self, DecodeError>>;

    /// Writes the body of a response.
    fn encode_response(response: &Self::Response, version: i16, out: &mut Chunks);
}

pub(super) fn unexpected(api: Api) -> Error {
    Error::protocol("unexpected response type").in_api(api.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message as m;

    #[test]
    fn response_of_another_api_is_refused_by_name() {
        let response = || Response::ApiVersions(m::ApiVersionsResponse::default());
        assert_eq!(m::ApiVersionsRequest::response(response()).unwrap(), m::ApiVersionsResponse::default());
        let error = m::MetadataRequest::response(response()).unwrap_err();
        assert!(error.to_string().contains("unexpected response type"), "{error}");
        assert!(error.to_string().contains("Metadata"), "{error}");
    }
}
