//! Which API a request asks, and the modules that answer.

mod admin;
mod coordinator;
mod epochs;
pub(super) mod fetch;
mod list_offsets;
mod metadata;
mod offsets;
mod produce;
mod versions;

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Request;

use crate::mock::frame;
use crate::mock::state::State;

/// What is known of a request before its body is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) now: Instant,
    pub(super) unix_ms: i64,
    pub(super) broker: i32,
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    /// The error code that a fault puts into every answer.
    pub(super) error: Option<i16>,
}

impl Call {
    /// The injected error, if there is one, before anything is done.
    fn refused(&self) -> Result<(), ResponseError> {
        match self.error.and_then(ResponseError::try_from_code) {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

/// What an API makes of a request.
pub(super) enum Answer {
    Close,
    Park(Box<fetch::Plan>),
    Reply(Bytes),
    Silent,
}

/// The versions of each API that the mock can speak.
pub(super) fn versions() -> BTreeMap<i16, (i16, i16)> {
    SPOKEN.iter().map(|(api, min, max)| (*api as i16, (*min, *max))).collect()
}

/// Answers a request whose header has been read.
pub(super) fn dispatch(state: &mut State, call: &Call, body: Bytes) -> Answer {
    let spoken =
        state.settings.versions.get(&call.api_key).is_some_and(|(min, max)| (min..=max).contains(&&call.version));
    let Ok(api) = ApiKey::try_from(call.api_key) else { return Answer::Close };
    if api == ApiKey::ApiVersions && !spoken {
        return versions::unsupported(state, call);
    }
    if !spoken {
        return Answer::Close;
    }
    match api {
        ApiKey::Produce => produce::answer(state, call, body),
        ApiKey::Fetch => fetch::answer(state, call, body),
        ApiKey::ListOffsets => answer(state, call, body, list_offsets::list_offsets),
        ApiKey::Metadata => answer(state, call, body, metadata::metadata),
        ApiKey::OffsetCommit => answer(state, call, body, offsets::commit),
        ApiKey::OffsetFetch => answer(state, call, body, offsets::fetch),
        ApiKey::FindCoordinator => answer(state, call, body, coordinator::find_coordinator),
        ApiKey::ApiVersions => answer(state, call, body, versions::api_versions),
        ApiKey::CreateTopics => answer(state, call, body, admin::create_topics),
        ApiKey::DeleteTopics => answer(state, call, body, admin::delete_topics),
        ApiKey::InitProducerId => answer(state, call, body, coordinator::init_producer_id),
        ApiKey::OffsetForLeaderEpoch => answer(state, call, body, epochs::offset_for_leader_epoch),
        ApiKey::DescribeCluster => answer(state, call, body, metadata::describe_cluster),
        _ => Answer::Close,
    }
}

/// Reads the body, lets `handle` answer it, and writes the reply.
fn answer<R: Request>(
    state: &mut State,
    call: &Call,
    body: Bytes,
    handle: fn(&mut State, &Call, R) -> R::Response,
) -> Answer {
    let Some(request) = read::<R>(call, body) else { return Answer::Close };
    let response = handle(state, call, request);
    write::<R>(call, &response)
}

/// Reads a body; `None` where it is malformed. Bytes after its end are ignored, as brokers do: librdkafka 2.16 sends three
/// of them with every second Metadata request.
fn read<R: Request>(call: &Call, mut body: Bytes) -> Option<R> {
    R::decode(&mut body, call.version).ok()
}

fn write<R: Request>(call: &Call, response: &R::Response) -> Answer {
    frame::reply::<R>(call.correlation_id, call.version, response).map_or(Answer::Close, Answer::Reply)
}

/// The error code of a result, 0 for success.
fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

/// What the mock can speak: what `kafka-protocol` can, from the first version that Apache Kafka 4 takes.
const SPOKEN: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 13),
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeCluster, 0, 2),
];
