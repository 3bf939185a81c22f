//! The messages of all APIs, in Kafka's words and free of versions, and the structs that several of them share.
//!
//! A field that a version lacks is ignored when encoding and has its default when decoding.

use bytes::Bytes;

pub use super::table::messages::*;
use crate::error::Code;

/// A batch's bytes: a small head, copied into the request, and a body that is sent as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    pub head: Bytes,
    pub body: Bytes,
}

/// Who leads a partition, as a Produce or Fetch response hints (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub id: i32,
    pub epoch: i32,
}

/// Where a broker listens.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicOutcome {
    /// Empty where a broker says only an id, as none does that was asked about names.
    pub name: Box<str>,
    pub error: Option<Code>,
    /// Never empty. Boxed twice: most have none, and the smallest outcome on the wire has four bytes.
    pub message: Option<Box<Box<str>>>,
}

/// A struct of the wire of which nothing is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped;
