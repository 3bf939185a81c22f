//! Responses and requests against `kafka-protocol`, which writes the responses and reads the requests.
//!
//! Values are random, from numbered seeds: strings and lists of every length, nulls, and unknown tagged fields.

use std::collections::BTreeMap;
use std::fmt::Debug;

use bytes::Bytes;
use bytes::BytesMut;
use kafka_protocol::messages as kp;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::RequestKind;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::Encodable;
use kafka_protocol::protocol::Message;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::protocol::decode_request_header_from_buffer;
use ottla::internals::wire::Api;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use ottla::types::LeaderEpoch;
use ottla::types::ProducerIdentity;
use ottla::types::TopicId;
use ottla::types::TopicName;

use super::fuzz_corpus::targets::second;
use super::fuzz_corpus::targets::shape;

mod requests;
mod responses;

const SEEDS: u64 = 40;

/// Random values for a message of one version. Fields of other versions keep their defaults.
struct Fill {
    rng: fastrand::Rng,
    version: i16,
}

impl Fill {
    fn new(seed: u64, version: i16) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), version }
    }

    /// `make`'s value where the version is at least `first`, otherwise `absent`.
    fn since<T>(&mut self, first: i16, absent: T, make: impl FnOnce(&mut Self) -> T) -> T {
        if self.version >= first { make(self) } else { absent }
    }

    fn i8(&mut self) -> i8 {
        self.rng.i8(..)
    }

    fn i16(&mut self) -> i16 {
        self.rng.i16(..)
    }

    fn i32(&mut self) -> i32 {
        self.rng.i32(..)
    }

    fn i64(&mut self) -> i64 {
        self.rng.i64(..)
    }

    fn bool(&mut self) -> bool {
        self.rng.bool()
    }

    /// An error code, or none. Not 35, which changes the encoding of ApiVersions.
    fn code(&mut self) -> i16 {
        *self.rng.choice(&[0, 0, -1, 3, 5, 6, 41, 999]).expect("there are some")
    }

    /// Mostly short; now and then so long that its compact length takes a second byte.
    fn string(&mut self) -> String {
        let length = match self.rng.u8(..8) {
            0 => 0,
            1 => self.rng.usize(125..300),
            _ => self.rng.usize(1..12),
        };
        (0..length).map(|_| *self.rng.choice(&['a', '.', '7', 'ß', '→', '𝄞']).expect("there are some")).collect()
    }

    fn text(&mut self) -> StrBytes {
        self.string().into()
    }

    fn name(&mut self) -> kp::TopicName {
        self.text().into()
    }

    fn id(&mut self) -> TopicId {
        TopicId(self.rng.u128(1..).to_be_bytes())
    }

    fn maybe<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.rng.u8(..4) > 0).then(|| make(self))
    }

    /// Mostly few elements; now and then so many that the compact count takes a second byte.
    fn list<T>(&mut self, make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = if self.rng.u8(..24) == 0 { 130 } else { self.rng.usize(..4) };
        self.so_many(count, make)
    }

    fn so_many<T>(&mut self, count: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| make(self)).collect()
    }

    /// Unknown tagged fields, in flexible versions.
    fn tags(&mut self, flexible_from: i16) -> BTreeMap<i32, Bytes> {
        let count = if self.version >= flexible_from && self.rng.u8(..4) == 0 { self.rng.i32(1..4) } else { 0 };
        (0..count).map(|at| (100 + at * 200, Bytes::from(vec![0xff; self.rng.usize(..200)]))).collect()
    }
}

/// Each supported version of `api`, with each seed.
fn fills(api: Api) -> impl Iterator<Item = Fill> {
    let (low, high) = api.versions();
    (low..=high).flat_map(|version| (0..SEEDS).map(move |seed| Fill::new(seed, version)))
}

fn encoded(message: &impl Encodable, version: i16) -> Bytes {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).expect("a value that the version can carry");
    bytes.freeze()
}
