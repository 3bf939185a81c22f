//! What is sent and what comes back, header and length included.

use std::collections::VecDeque;

use bytes::Buf;
use bytes::Bytes;

use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::message as m;
use super::version::Api;
use crate::types::TopicId;

/// A request of any API.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    ApiVersions(m::ApiVersionsRequest),
    CreateTopics(m::CreateTopicsRequest),
    DeleteTopics(m::DeleteTopicsRequest),
    DescribeCluster(m::DescribeClusterRequest),
    Fetch(m::FetchRequest),
    FindCoordinator(m::FindCoordinatorRequest),
    InitProducerId(m::InitProducerIdRequest),
    ListOffsets(m::ListOffsetsRequest),
    Metadata(m::MetadataRequest),
    OffsetCommit(m::OffsetCommitRequest),
    OffsetFetch(m::OffsetFetchRequest),
    OffsetForLeaderEpoch(m::OffsetForLeaderEpochRequest),
    Produce(m::ProduceRequest),
}

/// A response of any API.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    ApiVersions(m::ApiVersionsResponse),
    CreateTopics(m::CreateTopicsResponse),
    DeleteTopics(m::DeleteTopicsResponse),
    DescribeCluster(m::DescribeClusterResponse),
    Fetch(m::FetchResponse),
    FindCoordinator(m::FindCoordinatorResponse),
    InitProducerId(m::InitProducerIdResponse),
    ListOffsets(m::ListOffsetsResponse),
    Metadata(m::MetadataResponse),
    OffsetCommit(m::OffsetCommitResponse),
    OffsetFetch(m::OffsetFetchResponse),
    OffsetForLeaderEpoch(m::OffsetForLeaderEpochResponse),
    Produce(m::ProduceResponse),
}

impl Request {
    /// Which API it is of.
    pub fn api(&self) -> Api {
        match self {
            Self::ApiVersions(_) => Api::ApiVersions,
            Self::CreateTopics(_) => Api::CreateTopics,
            Self::DeleteTopics(_) => Api::DeleteTopics,
            Self::DescribeCluster(_) => Api::DescribeCluster,
            Self::Fetch(_) => Api::Fetch,
            Self::FindCoordinator(_) => Api::FindCoordinator,
            Self::InitProducerId(_) => Api::InitProducerId,
            Self::ListOffsets(_) => Api::ListOffsets,
            Self::Metadata(_) => Api::Metadata,
            Self::OffsetCommit(_) => Api::OffsetCommit,
            Self::OffsetFetch(_) => Api::OffsetFetch,
            Self::OffsetForLeaderEpoch(_) => Api::OffsetForLeaderEpoch,
            Self::Produce(_) => Api::Produce,
        }
    }

    /// The highest version that can carry it: later ones name topics by an id, which not every topic has.
    pub fn version_max(&self) -> i16 {
        let cap = |mut ids: Box<dyn Iterator<Item = TopicId> + '_>, by_name: i16| {
            if ids.any(TopicId::is_zero) { by_name } else { i16::MAX }
        };
        match self {
            Self::Produce(request) => cap(Box::new(request.topics.iter().map(|topic| topic.id)), 12),
            Self::Fetch(request) => {
                let forgotten = request.forgotten.iter().map(|topic| topic.id);
                cap(Box::new(request.topics.iter().map(|topic| topic.id).chain(forgotten)), 12)
            }
            Self::OffsetCommit(request) => cap(Box::new(request.topics.iter().map(|topic| topic.id)), 9),
            Self::OffsetFetch(request) => {
                let topics = request.groups.iter().flat_map(|group| group.topics.iter().flatten());
                cap(Box::new(topics.map(|topic| topic.id)), 9)
            }
            Self::ApiVersions(_)
            | Self::CreateTopics(_)
            | Self::DeleteTopics(_)
            | Self::DescribeCluster(_)
            | Self::FindCoordinator(_)
            | Self::InitProducerId(_)
            | Self::ListOffsets(_)
            | Self::Metadata(_)
            | Self::OffsetForLeaderEpoch(_) => i16::MAX,
        }
    }

    /// Whether the broker answers; it does not when asked for no acknowledgement.
    pub fn expects_response(&self) -> bool {
        !matches!(self, Self::Produce(request) if request.acks == 0)
    }

    /// The whole frame, as pieces to be written one after another.
    pub fn encode(&self, version: i16, correlation: i32, client_id: &str) -> Result<VecDeque<Bytes>, DecodeError> {
        let mut body = Chunks::default();
        let api = self.api();
        body.put_i16(api.key());
        body.put_i16(version);
        body.put_i32(correlation);
        // The client id keeps its classic form in every header.
        body.put_nullable_string(Some(client_id));
        body.set_flexible(api.flexible_request(version));
        body.put_no_tags();
        self.put(version, &mut body)?;
        let length = i32::try_from(body.len()).map_err(|_| DecodeError::Message("the request is too large".into()))?;
        let mut parts = body.into_parts();
        // The length goes with the first piece: a piece of its own would cost more than this copy of a small one.
        let first = parts.pop_front().unwrap_or_default();
        let mut head = Vec::with_capacity(4 + first.len());
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&first);
        parts.push_front(head.into());
        Ok(parts)
    }

    fn put(&self, version: i16, out: &mut Chunks) -> Result<(), DecodeError> {
        match self {
            Self::ApiVersions(_) => m::ApiVersionsRequest::put(version, out)?,
            Self::CreateTopics(request) => request.put(version, out)?,
            Self::DeleteTopics(request) => request.put(version, out)?,
            Self::DescribeCluster(_) => m::DescribeClusterRequest::put(version, out)?,
            Self::Fetch(request) => request.encode(version, out),
            Self::FindCoordinator(request) => request.put(version, out)?,
            Self::InitProducerId(request) => request.put(version, out)?,
            Self::ListOffsets(request) => request.put(version, out)?,
            Self::Metadata(request) => request.put(version, out)?,
            Self::OffsetCommit(request) => request.encode(version, out),
            Self::OffsetFetch(request) => {
                request.check(version)?;
                request.encode(version, out);
            }
            Self::OffsetForLeaderEpoch(request) => request.put(version, out)?,
            Self::Produce(request) => request.encode(version, out),
        }
        Ok(())
    }
}

/// The correlation id that a frame starts with.
pub fn correlation(frame: &Bytes) -> Result<i32, DecodeError> {
    let head = frame.get(..4).ok_or(DecodeError::Truncated)?;
    Ok(i32::from_be_bytes(head.try_into().expect("four bytes")))
}

impl Response {
    /// Decodes a frame, its length already taken off.
    pub fn decode(api: Api, version: i16, mut frame: Bytes) -> Result<Self, DecodeError> {
        correlation(&frame)?;
        frame.advance(4);
        let flexible = api.flexible_response(version);
        let mut header = Reader::new(frame, flexible);
        header.skip_tags()?;
        let body = header.take(header.remaining())?;
        Ok(match api {
            Api::ApiVersions => Self::ApiVersions(m::ApiVersionsResponse::decode(version, body)?),
            Api::CreateTopics => Self::CreateTopics(m::CreateTopicsResponse::decode(version, body)?),
            Api::DeleteTopics => Self::DeleteTopics(m::DeleteTopicsResponse::decode(version, body)?),
            Api::DescribeCluster => Self::DescribeCluster(m::DescribeClusterResponse::decode(version, body)?),
            Api::Fetch => Self::Fetch(m::FetchResponse::decode(version, body)?),
            Api::FindCoordinator => Self::FindCoordinator(m::FindCoordinatorResponse::decode(version, body)?),
            Api::InitProducerId => Self::InitProducerId(m::InitProducerIdResponse::decode(version, body)?),
            Api::ListOffsets => Self::ListOffsets(m::ListOffsetsResponse::decode(version, body)?),
            Api::Metadata => Self::Metadata(m::MetadataResponse::decode(version, body)?),
            Api::OffsetCommit => Self::OffsetCommit(m::OffsetCommitResponse::decode(version, body)?),
            Api::OffsetFetch => Self::OffsetFetch(m::OffsetFetchResponse::decode(version, body)?),
            Api::OffsetForLeaderEpoch => {
                Self::OffsetForLeaderEpoch(m::OffsetForLeaderEpochResponse::decode(version, body)?)
            }
            Api::Produce => Self::Produce(m::ProduceResponse::decode(version, body)?),
        })
    }

    /// How long the broker asks to be left alone, in milliseconds (KIP-219).
    pub fn throttle_time_ms(&self) -> i32 {
        match self {
            Self::ApiVersions(response) => response.throttle_time_ms,
            Self::CreateTopics(response) => response.throttle_time_ms,
            Self::DeleteTopics(response) => response.throttle_time_ms,
            Self::Fetch(response) => response.throttle_time_ms,
            Self::FindCoordinator(response) => response.throttle_time_ms,
            Self::InitProducerId(response) => response.throttle_time_ms,
            Self::ListOffsets(response) => response.throttle_time_ms,
            Self::OffsetCommit(response) => response.throttle_time_ms,
            Self::OffsetFetch(response) => response.throttle_time_ms,
            Self::OffsetForLeaderEpoch(response) => response.throttle_time_ms,
            Self::Produce(response) => response.throttle_time_ms,
            Self::DescribeCluster(response) => response.throttle_time_ms,
            Self::Metadata(response) => response.throttle_time_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_bytes_are_answered_for_every_api_and_version() {
        let mut rng = fastrand::Rng::with_seed(5);
        for api in Api::ALL {
            let (low, high) = api.versions();
            for version in low..=high {
                for _ in 0..300 {
                    let frame: Vec<u8> =
                        (0..rng.usize(4..80)).map(|_| *rng.choice(&[0, 1, 2, 0x7f, 0xff]).unwrap()).collect();
                    let _ = Response::decode(api, version, frame.into());
                }
            }
        }
    }

    #[test]
    fn every_version_of_every_request_can_be_encoded() {
        let requests = [
            m::ApiVersionsRequest.into(),
            Request::CreateTopics(m::CreateTopicsRequest {
                topics: vec![m::NewTopic::default()],
                ..Default::default()
            }),
            Request::DeleteTopics(m::DeleteTopicsRequest { names: vec!["t".into()], timeout_ms: 1 }),
            m::DescribeClusterRequest.into(),
            Request::FindCoordinator(m::FindCoordinatorRequest { key: "g".into(), kind: 0 }),
            Request::InitProducerId(m::InitProducerIdRequest::default()),
            Request::ListOffsets(m::ListOffsetsRequest {
                topics: vec![m::ListOffsetsTopic {
                    name: "t".into(),
                    partitions: vec![m::ListOffsetsPartition::default()],
                }],
                ..Default::default()
            }),
            Request::Metadata(m::MetadataRequest { topics: Some(vec!["t".into()]), allow_auto_create: false }),
            Request::OffsetForLeaderEpoch(m::OffsetForLeaderEpochRequest {
                topics: vec![m::EpochTopic { name: "t".into(), partitions: vec![m::EpochPartition::default()] }],
            }),
        ];
        for request in requests {
            let (low, high) = request.api().versions();
            for version in low..=high {
                assert!(request.encode(version, 1, "c").is_ok(), "{request:?} version {version}");
            }
        }
    }
}
