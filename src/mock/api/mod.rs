//! The APIs: requests are dispatched to the module that answers them.

mod admin;
mod altering;
mod by_id;
mod configs;
mod consumer_group;
mod coordinator;
mod epochs;
pub(super) mod fetch;
mod group_admin;
pub(super) mod groups;
mod list_offsets;
mod metadata;
mod offsets;
pub(super) mod operating;
pub(super) mod produce;
pub(super) mod request;
mod sasl;
mod versions;

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::protocol::Request;

use crate::mock::api::request::AnyRequest;
use crate::mock::fault::Errors;
use crate::mock::frame;
use crate::mock::state::State;

/// A request without its body.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) now: Instant,
    pub(super) unix_ms: i64,
    pub(super) broker: i32,
    pub(super) connection: u64,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) client_id: String,
    /// The throttle time of the response.
    pub(super) throttle_ms: i32,
    /// The errors that scripts put into the response.
    pub(super) errors: Errors,
    /// The errors that scripts put into the response after the request has taken effect.
    pub(super) late_errors: Errors,
    /// Whether the records in the response are damaged.
    pub(super) corrupt: bool,
}

impl Call {
    /// The injected error for the request as a whole, before anything is done.
    fn refused(&self) -> Result<(), ResponseError> {
        self.errors.whole().map_or(Ok(()), Err)
    }

    /// The injected error for a topic.
    fn refused_topic(&self, topic: &str) -> Result<(), ResponseError> {
        self.errors.topic(topic).map_or(Ok(()), Err)
    }

    /// The injected error for a partition.
    fn refused_at(&self, topic: &str, partition: i32) -> Result<(), ResponseError> {
        self.errors.partition(topic, partition).map_or(Ok(()), Err)
    }

    /// The injected error for a request that has taken effect.
    fn failed_late(&self) -> Result<(), ResponseError> {
        self.late_errors.whole().map_or(Ok(()), Err)
    }

    /// The injected error for a topic where the request has taken effect.
    fn failed_late_topic(&self, topic: &str) -> Result<(), ResponseError> {
        self.late_errors.topic(topic).map_or(Ok(()), Err)
    }

    /// The injected error for a partition where the request has taken effect.
    fn failed_late_at(&self, topic: &str, partition: i32) -> Result<(), ResponseError> {
        self.late_errors.partition(topic, partition).map_or(Ok(()), Err)
    }
}

/// The answer of an API to a request.
pub(super) enum Answer {
    Close,
    Park(Box<Pending>),
    Reply(Bytes),
    Silent,
}

/// A request that waits for the cluster to change.
#[derive(Debug)]
pub(super) enum Pending {
    Fetch(fetch::Plan),
    Group(groups::Plan),
    Produce(produce::Plan),
}

impl Pending {
    /// When it is answered at the latest; `None` where only the cluster ends its wait.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Fetch(plan) => Some(plan.until),
            Self::Group(_) => None,
            Self::Produce(plan) => Some(plan.until),
        }
    }

    /// Whether a member of a group waits for the others.
    pub(super) fn is_of_group(&self) -> bool {
        match self {
            Self::Group(_) => true,
            Self::Fetch(_) | Self::Produce(_) => false,
        }
    }

    /// Whether its wait is over.
    pub(super) fn is_ready(&self, state: &State) -> bool {
        match self {
            Self::Fetch(plan) => fetch::is_ready(state, plan),
            Self::Group(plan) => plan.is_ready(),
            Self::Produce(plan) => produce::is_ready(state, plan),
        }
    }

    /// The response frame.
    pub(super) fn finish(&self, state: &mut State) -> Option<Bytes> {
        match self {
            Self::Fetch(plan) => fetch::finish(state, plan),
            Self::Group(plan) => plan.finish(),
            Self::Produce(plan) => produce::finish(state, plan),
        }
    }
}

/// The versions of each API that the mock supports.
pub(super) fn versions() -> BTreeMap<i16, (i16, i16)> {
    SPOKEN.iter().map(|(api, min, max)| (*api as i16, (*min, *max))).chain(operating::versions()).collect()
}

/// Answers a request.
pub(super) fn dispatch(state: &mut State, call: &Call, request: AnyRequest) -> Answer {
    match request {
        AnyRequest::ApiVersions => write::<ApiVersionsRequest>(call, &versions::api_versions(state, call)),
        AnyRequest::ApiVersionsUnsupported => versions::unsupported(state, call),
        AnyRequest::ConsumerGroupDescribe(ask) => answer(state, call, ask, group_admin::consumer_group_describe),
        AnyRequest::ConsumerGroupHeartbeat(ask) => answer(state, call, ask, consumer_group::heartbeat),
        AnyRequest::CreatePartitions(ask) => answer(state, call, ask, admin::create_partitions),
        AnyRequest::CreateTopics(ask) => answer(state, call, ask, admin::create_topics),
        AnyRequest::DeleteGroups(ask) => answer(state, call, ask, group_admin::delete_groups),
        AnyRequest::DeleteTopics(ask) => answer(state, call, ask, admin::delete_topics),
        AnyRequest::DescribeCluster(ask) => answer(state, call, ask, metadata::describe_cluster),
        AnyRequest::DescribeConfigs(ask) => answer(state, call, ask, configs::describe_configs),
        AnyRequest::DescribeGroups(ask) => answer(state, call, ask, group_admin::describe_groups),
        AnyRequest::Fetch(ask) => fetch::answer(state, call, ask),
        AnyRequest::FindCoordinator(ask) => answer(state, call, ask, coordinator::find_coordinator),
        AnyRequest::Heartbeat(ask) => answer(state, call, ask, groups::heartbeat),
        AnyRequest::IncrementalAlterConfigs(ask) => answer(state, call, ask, altering::alter_configs),
        AnyRequest::InitProducerId(ask) => answer(state, call, ask, coordinator::init_producer_id),
        AnyRequest::JoinGroup(ask) => groups::join(state, call, ask),
        AnyRequest::LeaveGroup(ask) => answer(state, call, ask, groups::leave),
        AnyRequest::ListGroups(ask) => answer(state, call, ask, group_admin::list_groups),
        AnyRequest::ListOffsets(ask) => {
            let response = list_offsets::list_offsets(state, call, ask);
            let version = call.version.min(by_id::LIST_OFFSETS_KNOWN);
            write::<ListOffsetsRequest>(&Call { version, ..call.clone() }, &response)
        }
        AnyRequest::Metadata(ask) => answer(state, call, ask, metadata::metadata),
        AnyRequest::OffsetCommit(ask) => answer(state, call, ask, offsets::commit),
        AnyRequest::OffsetDelete(ask) => answer(state, call, ask, group_admin::offset_delete),
        AnyRequest::OffsetFetch(ask) => answer(state, call, ask, offsets::fetch),
        AnyRequest::OffsetForLeaderEpoch(ask) => answer(state, call, ask, epochs::offset_for_leader_epoch),
        AnyRequest::Operating(ask) => ask.dispatch(state, call),
        AnyRequest::Produce(ask) => produce::answer(state, call, ask),
        AnyRequest::SaslAuthenticate(ask) => sasl::authenticate(state, call, &ask),
        AnyRequest::SaslHandshake(ask) => answer(state, call, ask, sasl::handshake),
        AnyRequest::SyncGroup(ask) => groups::sync(state, call, ask),
    }
}

/// Answers a request with `handle`, and encodes the response.
fn answer<R: Request>(
    state: &mut State,
    call: &Call,
    request: R,
    handle: fn(&mut State, &Call, R) -> R::Response,
) -> Answer {
    let response = handle(state, call, request);
    write::<R>(call, &response)
}

fn write<R: Request>(call: &Call, response: &R::Response) -> Answer {
    frame::reply::<R>(call.correlation_id, call.version, response).map_or(Answer::Close, Answer::Reply)
}

/// The error code of a result, 0 for success.
fn code<T>(result: &Result<T, ResponseError>) -> i16 {
    result.as_ref().err().map_or(0, ResponseError::code)
}

/// The versions that the mock supports: those of `kafka-protocol` and a few more, from the first that Apache Kafka 4 accepts.
const SPOKEN: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 13),
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ListOffsets, 1, 11),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 10),
    (ApiKey::OffsetFetch, 1, 10),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::SaslHandshake, 1, 1),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 5),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::SaslAuthenticate, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::ConsumerGroupDescribe, 0, 1),
];
