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
use crate::types::TopicPartition;

/// A record, borrowed from the [`Records`](crate::consumer::Records) of a poll.
///
/// ```no_run
/// # fn run(records: &ottla::consumer::Records) {
/// for record in records {
///     let trace = record.headers().find(|header| header.key == b"trace");
///     println!("{}: {:?}, trace {trace:?}", record.offset, record.value);
/// }
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct ConsumedRecord<'a> {
    /// The topic.
    pub topic: &'a TopicName,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; −1 if the format has none.
    pub timestamp: i64,
    /// The meaning of the timestamp.
    pub timestamp_type: TimestampType,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    /// The epoch of the leader that appended it, if the format has one.
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

    /// The position after it: the one to commit once the record is processed.
    pub fn next_position(&self) -> Position {
        Position { offset: self.offset + 1, epoch: self.leader_epoch }
    }

    /// The partition that it is in.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }

    /// The headers in order. Keys may repeat and need not be UTF-8.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// A copy that outlives the [`Records`](crate::consumer::Records). It is one allocation, and does not keep the fetched batch alive.
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

/// A record with its own copy of key, value and headers. Made by [`ConsumedRecord::to_owned`].
///
/// ```no_run
/// # async fn run(mut consumer: ottla::consumer::Consumer) -> Result<(), ottla::Error> {
/// use ottla::consumer::OwnedRecord;
///
/// let Some(records) = consumer.poll().await? else { return Ok(()) };
/// let owned: Vec<OwnedRecord> = records.iter().map(|record| record.to_owned()).collect();
/// // Another task processes them, and returns them to be committed.
/// let processed = tokio::spawn(async move { owned }).await.expect("the task does not panic");
/// consumer.commit_positions(&processed).await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    /// The topic.
    pub topic: TopicName,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; −1 if the format has none.
    pub timestamp: i64,
    /// The meaning of the timestamp.
    pub timestamp_type: TimestampType,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
    /// The epoch of the leader that appended it, if the format has one.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The headers, as keys and values.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

impl OwnedRecord {
    /// The partition that it is in.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.clone(), partition: self.partition }
    }

    /// The position after it: the one to commit once the record is processed, as with [`ConsumedRecord::next_position`].
    pub fn next_position(&self) -> Position {
        Position { offset: self.offset + 1, epoch: self.leader_epoch }
    }
}
