//! Which response answers which request.

use super::message as m;
use super::request::Request;
use super::request::Response;
use super::version::Api;
use crate::error::Error;

/// A request whose response type is known.
pub trait Call: Into<Request> {
    /// The response to it.
    type Response;

    /// The API that it belongs to.
    const API: Api;

    /// Takes the response out of the sum of all responses.
    ///
    /// A connection decodes each frame as the API of the request it answers, so that the error stands for a defect of this client.
    fn response(response: Response) -> Result<Self::Response, Error>;
}

macro_rules! calls {
    ($($api:ident: $request:ident => $response:ident,)*) => {$(
        impl From<m::$request> for Request {
            fn from(request: m::$request) -> Self {
                Self::$api(request)
            }
        }

        impl Call for m::$request {
            type Response = m::$response;

            const API: Api = Api::$api;

            fn response(response: Response) -> Result<Self::Response, Error> {
                if let Response::$api(response) = response { Ok(response) } else { Err(unexpected(Self::API)) }
            }
        }
    )*};
}

calls! {
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse,
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse,
    DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse,
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse,
    Fetch: FetchRequest => FetchResponse,
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse,
    InitProducerId: InitProducerIdRequest => InitProducerIdResponse,
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse,
    Metadata: MetadataRequest => MetadataResponse,
    OffsetCommit: OffsetCommitRequest => OffsetCommitResponse,
    OffsetFetch: OffsetFetchRequest => OffsetFetchResponse,
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse,
    Produce: ProduceRequest => ProduceResponse,
}

fn unexpected(api: Api) -> Error {
    Error::protocol("unexpected response type").in_api(api.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_of_another_api_is_refused_by_name() {
        let response = || Response::ApiVersions(m::ApiVersionsResponse::default());
        assert_eq!(m::ApiVersionsRequest::response(response()).unwrap(), m::ApiVersionsResponse::default());
        let error = m::MetadataRequest::response(response()).unwrap_err();
        assert!(error.to_string().contains("unexpected response type"), "{error}");
        assert!(error.to_string().contains("Metadata"), "{error}");
    }
}
