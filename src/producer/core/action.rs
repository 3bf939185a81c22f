//! The actions that the core requests from its driver, and their names for batches and partitions.

use std::ops::Range;
use std::time::Instant;

use crate::producer::core::Outcome;
use crate::record::ClosedBatch;
use crate::record::SealedBatch;
use crate::record::Stamp;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::wire::message::Leader;
use crate::wire::message::Node;

/// A batch, for as long as the core knows it.
pub type BatchId = u64;

/// A partition, by the core's own numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub topic: u32,
    pub partition: i32,
}

/// One batch in a request.
#[derive(Clone, Debug)]
pub struct Entry {
    pub topic: TopicName,
    pub id: TopicId,
    pub partition: i32,
    pub batch: SealedBatch,
    pub stamp: Stamp,
}

/// An action for the driver.
#[derive(Debug)]
pub enum Action<T> {
    /// Report the outcome of these records to the holder of the ticket, and give their bytes back to the budget.
    Complete { ticket: T, first: u32, count: u32, whole: bool, outcome: Outcome, bytes: usize },
    /// A broker named the new leader (KIP-951): answer by `handle_metadata` if that is news.
    Hint { topic: TopicName, partition: i32, leader: Leader, nodes: Vec<Node> },
    /// Request a producer identity; answer by `handle_identity`.
    InitProducerId,
    /// Request the topic's metadata.
    RefreshMetadata(TopicName),
    /// Give bytes back to the budget whose records were reported before.
    Release { bytes: usize },
    /// Compress; answer by `handle_sealed`.
    Seal { key: Key, id: BatchId, closed: ClosedBatch },
    /// Send; answer by `handle_response`. The first of these batches expires at `expiry`.
    Send { broker: i32, request: u64, entries: Vec<Entry>, expiry: Instant },
    /// Make a batch of each of these ranges of its records; answer by `handle_split`.
    Split { key: Key, id: BatchId, sealed: SealedBatch, parts: Vec<Range<u32>> },
}
