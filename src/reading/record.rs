//! A record as a reader gets it: with its topic and partition, borrowed from its batch or copied out of it.

use std::fmt;

use bytes::Bytes;

use super::PartitionBatch;
use super::Position;
use crate::record::Header;
use crate::record::Headers;
use crate::record::Record;
use crate::record::TimestampType;
use crate::types::LeaderEpoch;
use crate::types::TopicName;

/// A record as it was read. It borrows from the [`Records`](crate::consumer::Records) it came in.
#[derive(Clone, Copy)]
pub struct ConsumedRecord<'a> {
    /// Its topic.
    pub topic: &'a TopicName,
    /// Its partition.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; −1 where the format had none.
    pub timestamp: i64,
    /// Whose clock the timestamp is of.
    pub timestamp_type: TimestampType,
    /// Its key, or null.
    pub key: Option<&'a [u8]>,
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
    /// The epoch of the leader that took it, where the format has one.
    pub leader_epoch: Option<LeaderEpoch>,
    headers: Headers<'a>,
}

impl<'a> ConsumedRecord<'a> {
    #[inline]
    pub(super) fn new(batch: &'a PartitionBatch, record: Record<'a>) -> Self {
        let header = batch.visible.decoded.batch();
        Self {
            topic: &batch.topic,
            partition: batch.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            timestamp_type: header.timestamp_type,
            key: record.key,
            value: record.value,
            leader_epoch: header.leader_epoch,
            headers: record.headers(),
        }
    }

    /// The position after it, which is what to commit once it is dealt with.
    pub fn next_position(&self) -> Position {
        Position { offset: self.offset + 1, epoch: self.leader_epoch }
    }

    /// Its headers in order; keys may repeat and need not be UTF-8.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// A copy that outlives the [`Records`](crate::consumer::Records), made in one allocation: it keeps nothing else of what was fetched alive.
    pub fn to_owned(&self) -> OwnedRecord {
        let parts = || self.headers.flat_map(|Header { key, value }| [Some(key), value]);
        let all = || [self.key, self.value].into_iter().chain(parts()).flatten();
        let mut copy = Vec::with_capacity(all().map(<[u8]>::len).sum());
        all().for_each(|part| copy.extend_from_slice(part));
        let mut rest = Bytes::from(copy);
        let mut take = |part: &[u8]| rest.split_to(part.len());
        OwnedRecord {
            topic: self.topic.clone(),
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            timestamp_type: self.timestamp_type,
            key: self.key.map(&mut take),
            value: self.value.map(&mut take),
            leader_epoch: self.leader_epoch,
            headers: self.headers.map(|Header { key, value }| (take(key), value.map(&mut take))).collect(),
        }
    }
}

impl fmt::Debug for ConsumedRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumedRecord")
            .field("topic", self.topic)
            .field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("timestamp", &self.timestamp)
            .field("key", &self.key.map(<[u8]>::len))
            .field("value", &self.value.map(<[u8]>::len))
            .finish_non_exhaustive()
    }
}

/// A record that borrows from nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its topic.
    pub topic: TopicName,
    /// Its partition.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; −1 where the format had none.
    pub timestamp: i64,
    /// Whose clock the timestamp is of.
    pub timestamp_type: TimestampType,
    /// Its key, or null.
    pub key: Option<Bytes>,
    /// Its value, or null.
    pub value: Option<Bytes>,
    /// The epoch of the leader that took it, where the format has one.
    pub leader_epoch: Option<LeaderEpoch>,
    /// Its headers, as keys and values.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}
