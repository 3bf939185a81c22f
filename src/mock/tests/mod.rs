//! Drives the cluster with requests that `kafka-protocol` encodes and batches written here, byte by byte.

mod draft;
mod faults;
mod fetch;
mod groups;
mod members;
mod modern;
mod moves;
mod operating;
mod produce;
mod serve;
mod topics;

use std::time::Duration;
use std::time::Instant;

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages::RequestHeader;
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::HeaderVersion;
use kafka_protocol::protocol::Request;
use kafka_protocol::protocol::StrBytes;

use crate::codec::Codecs;
use crate::codec::Compression;
use crate::mock::Builder;
use crate::mock::Cluster;
use crate::mock::Outcome;

/// A cluster and its time.
struct Rig {
    cluster: Cluster,
    now: Instant,
    unix_ms: i64,
}

impl Rig {
    #[allow(clippy::disallowed_methods, reason = "a test has to start at some time")]
    fn new(builder: Builder) -> Self {
        Self { cluster: builder.build(), now: (Instant::now)(), unix_ms: 1_700_000_000_000 }
    }

    fn send<R: Request>(&mut self, broker: i32, version: i16, request: &R) -> Outcome {
        self.send_on(u64::try_from(broker).expect("ids are positive"), broker, version, request)
    }

    fn send_on<R: Request>(&mut self, connection: u64, broker: i32, version: i16, request: &R) -> Outcome {
        self.cluster.handle(self.now, self.unix_ms, broker, connection, encode(version, request))
    }

    /// Sends a request that is answered at once.
    fn ask<R: Request>(&mut self, broker: i32, version: i16, request: &R) -> R::Response {
        match self.send(broker, version, request) {
            Outcome::Reply(frame) => decode::<R>(version, frame),
            outcome => panic!("no reply: {outcome:?}"),
        }
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.unix_ms += i64::try_from(millis).expect("a short while");
    }
}

fn encode<R: Request>(version: i16, request: &R) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(4_711)
        .with_client_id(Some(StrBytes::from_static_str("rig")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version)).expect("an encodable header");
    request.encode(&mut body, version).expect("an encodable request");
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).expect("small"));
    frame.extend_from_slice(&body);
    frame.freeze()
}

fn decode<R: Request>(version: i16, frame: Bytes) -> R::Response {
    let mut body = frame.slice(4..);
    assert_eq!(frame[..4], u32::try_from(body.len()).expect("small").to_be_bytes());
    let header = ResponseHeader::decode(&mut body, R::Response::header_version(version)).expect("a header");
    assert_eq!(header.correlation_id, 4_711);
    let response = R::Response::decode(&mut body, version).expect("a response");
    assert!(body.is_empty());
    response
}

/// A batch to be written, with the fields that tests bend.
#[derive(Clone)]
struct Draft {
    producer: (i64, i16, i32),
    compression: Compression,
    base_timestamp: i64,
    attributes: i16,
    count_extra: i32,
    max_timestamp_extra: i64,
    values: Vec<&'static str>,
}

impl Draft {
    fn of(values: &[&'static str]) -> Self {
        Self {
            producer: (-1, -1, -1),
            compression: Compression::None,
            base_timestamp: 1_699_999_999_000,
            attributes: 0,
            count_extra: 0,
            max_timestamp_extra: 0,
            values: values.to_vec(),
        }
    }

    fn by(mut self, id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (id, epoch, sequence);
        self
    }

    fn at(mut self, timestamp: i64) -> Self {
        self.base_timestamp = timestamp;
        self
    }

    /// The batch; record number n has the key "k", the n-th value, one header and a timestamp n after the first.
    fn bytes(&self) -> Bytes {
        let mut plain = Vec::new();
        for (delta, value) in (0_i64..).zip(&self.values) {
            // One header: "h", null.
            draft::record(&mut plain, delta, Some("k"), value, &[2, 2, b'h', 1]);
        }
        let mut section = Vec::new();
        match Codecs::default().get(self.compression) {
            Some(codec) => codec.compress(&plain, &mut section).expect("compressible"),
            None => section = plain,
        }
        let count = i32::try_from(self.values.len()).expect("small");
        let head = draft::Head {
            attributes: i16::from(self.compression.id()) | self.attributes,
            last_delta: count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: self.base_timestamp + i64::from(count) - 1 + self.max_timestamp_extra,
            producer: self.producer,
            count: count + self.count_extra,
        };
        head.with(&section)
    }
}

fn name(text: &'static str) -> kafka_protocol::messages::TopicName {
    kafka_protocol::messages::TopicName(StrBytes::from_static_str(text))
}
