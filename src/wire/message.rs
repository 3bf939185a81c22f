//! The messages of all APIs, independent of versions, and the structs that several of them share.
//!
//! A field that a version lacks is ignored when encoding and has its default when decoding.

use bytes::Bytes;

pub use super::table::messages::*;
use crate::error::Code;

/// The bytes of a batch: a small head, copied into the request, and a body that is sent unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    pub head: Bytes,
    pub body: Bytes,
}

/// The leader of a partition, as a Produce or Fetch response hints (KIP-951).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leader {
    pub id: i32,
    pub epoch: i32,
}

/// A broker and its address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    pub id: i32,
    pub host: String,
    pub port: i32,
    pub rack: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicOutcome {
    /// Empty if the broker gives only an id, which it does not do for requests by name.
    pub name: Box<str>,
    pub error: Option<Code>,
    /// Never empty. Boxed twice because most outcomes have none, and the smallest outcome has four bytes on the wire.
    pub message: Option<Box<Box<str>>>,
}

/// A struct that is read and not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped;
