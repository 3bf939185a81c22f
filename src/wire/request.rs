//! Frames of requests and responses: length, header and body.

use std::collections::VecDeque;

use bytes::Buf;
use bytes::Bytes;

use super::api_versions;
use super::buf::Chunks;
use super::buf::DecodeError;
use super::buf::Reader;
use super::table::Api;
use super::table::Request;
use super::table::Response;

impl Request {
    /// Whether the broker responds. It does not respond to a Produce request without acknowledgement.
    pub fn expects_response(&self) -> bool {
        !matches!(self, Self::Produce(request) if request.acks == 0)
    }

    /// The whole frame, in pieces to be written in order.
    pub fn encode(&self, version: i16, correlation: i32, client_id: &str) -> Result<VecDeque<Bytes>, DecodeError> {
        let mut body = Chunks::default();
        let api = self.api();
        body.put_i16(api.key());
        body.put_i16(version);
        body.put_i32(correlation);
        // The client id has the classic encoding in every header.
        body.put_nullable_string(Some(client_id));
        body.set_flexible(api.flexible_request(version));
        body.put_no_tags();
        self.put(version, &mut body)?;
        let length = i32::try_from(body.len()).map_err(|_| DecodeError::Message("the request is too large".into()))?;
        let mut parts = body.into_parts();
        // The length is put before the first piece. Copying a small piece costs less than another piece of a vectored write.
        let first = parts.pop_front().unwrap_or_default();
        let mut head = Vec::with_capacity(4 + first.len());
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(&first);
        parts.push_front(head.into());
        Ok(parts)
    }
}

/// The correlation id at the start of a response frame.
pub fn correlation(frame: &Bytes) -> Result<i32, DecodeError> {
    let head = frame.get(..4).ok_or(DecodeError::Truncated)?;
    Ok(i32::from_be_bytes(head.try_into().expect("four bytes")))
}

impl Response {
    /// Decodes a frame without its length.
    pub fn decode(api: Api, version: i16, mut frame: Bytes) -> Result<Self, DecodeError> {
        correlation(&frame)?;
        frame.advance(4);
        let flexible = api.flexible_response(version);
        let mut header = Reader::new(frame, flexible);
        header.skip_tags()?;
        let body = header.take(header.remaining())?;
        let version = if api == Api::ApiVersions { api_versions::written_in(version, &body) } else { version };
        Self::read(api, version, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message as m;

    #[test]
    fn hostile_bytes_do_not_panic_in_any_api_and_version() {
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
    fn every_version_of_every_request_is_encoded() {
        let requests = [
            m::ApiVersionsRequest.into(),
            Request::CreateTopics(m::CreateTopicsRequest {
                topics: vec![m::NewTopic::default()],
                ..Default::default()
            }),
            Request::DeleteTopics(m::DeleteTopicsRequest { names: vec!["t".into()], ids: vec![], timeout_ms: 1 }),
            m::DescribeClusterRequest::default().into(),
            Request::FindCoordinator(m::FindCoordinatorRequest { keys: vec!["g".into()], kind: 0 }),
            Request::InitProducerId(m::InitProducerIdRequest::default()),
            Request::ListOffsets(m::ListOffsetsRequest {
                topics: vec![m::ListOffsetsTopic {
                    name: "t".into(),
                    partitions: vec![m::ListOffsetsPartition::default()],
                }],
                ..Default::default()
            }),
            Request::Metadata(m::MetadataRequest { topics: Some(vec!["t".into()]), ..Default::default() }),
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
