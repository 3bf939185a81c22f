//! What a poll hands out: batches that were verified, inflated and walked, and records that borrow from them.

use std::fmt;
use std::slice;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use bytes::Bytes;

use super::core::Position;
use super::core::Reset;
use super::core::Visible;
use crate::record::Decoded;
use crate::record::Header;
use crate::record::Headers;
use crate::record::Record;
use crate::record::TimestampType;
use crate::types::LeaderEpoch;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// Records of one [`poll`](super::Consumer::poll), and what else it has to tell.
///
/// Every batch in it was verified and walked, so iterating cannot fail. The records borrow: they live as long as this does.
/// Dropping it gives its buffers back to the consumer.
///
/// ```no_run
/// # async fn run(mut consumer: ottla::consumer::Consumer) -> Result<(), ottla::Error> {
/// while let Some(records) = consumer.poll().await? {
///     for record in &records {
///         println!("{}[{}]@{}: {:?}", record.topic, record.partition, record.offset, record.value);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Records {
    batches: Vec<Batch>,
    ends: Vec<(TopicPartition, i64)>,
    resets: Vec<Reset>,
    pool: Pool,
}

/// A batch, and of which partition it is.
#[derive(Debug)]
struct Batch {
    topic: TopicName,
    partition: i32,
    visible: Visible,
}

impl Records {
    pub(super) fn new(pool: Pool) -> Self {
        Self { batches: Vec::new(), ends: Vec::new(), resets: Vec::new(), pool }
    }

    pub(super) fn push(&mut self, topic: &TopicName, partition: i32, visible: Visible) {
        self.batches.push(Batch { topic: topic.clone(), partition, visible });
    }

    /// How many batches there are so far.
    pub(super) fn mark(&self) -> usize {
        self.batches.len()
    }

    /// Drops the batches that came after `mark` was taken.
    pub(super) fn drop_from(&mut self, mark: usize) {
        for batch in self.batches.drain(mark..) {
            self.pool.give_back(batch);
        }
    }

    pub(super) fn push_end(&mut self, partition: TopicPartition, offset: i64) {
        self.ends.push((partition, offset));
    }

    pub(super) fn push_reset(&mut self, reset: Reset) {
        self.resets.push(reset);
    }

    /// Whether there is nothing at all to tell.
    pub(super) fn is_bare(&self) -> bool {
        self.batches.is_empty() && self.ends.is_empty() && self.resets.is_empty()
    }

    /// Whether there is no record. There may be something else: see [`Records::ends`] and [`Records::resets`].
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// How many records there are. Walks over all of them.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The records, in order within each partition.
    pub fn iter(&self) -> Iter<'_> {
        Iter { batches: self.batches.iter(), current: None }
    }

    /// The records of one partition after the other. A partition may come more than once.
    pub fn by_partition(&self) -> impl Iterator<Item = PartitionRecords<'_>> {
        self.batches
            .chunk_by(|one, other| one.partition == other.partition && one.topic == other.topic)
            .map(|batches| PartitionRecords { batches })
    }

    /// Partitions whose end was reached, each with its end offset then. Told once until there is more to read.
    pub fn ends(&self) -> &[(TopicPartition, i64)] {
        &self.ends
    }

    /// Positions that were moved by the reset policy. Records before a move come in an earlier poll, or earlier in this one.
    pub fn resets(&self) -> &[Reset] {
        &self.resets
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = ConsumedRecord<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        self.drop_from(0);
    }
}

/// Records of one partition.
#[derive(Clone, Copy, Debug)]
pub struct PartitionRecords<'a> {
    batches: &'a [Batch],
}

impl<'a> PartitionRecords<'a> {
    /// The topic.
    pub fn topic(&self) -> &'a TopicName {
        &self.batches[0].topic
    }

    /// The partition.
    pub fn partition(&self) -> i32 {
        self.batches[0].partition
    }
}

impl<'a> IntoIterator for PartitionRecords<'a> {
    type Item = ConsumedRecord<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter { batches: self.batches.iter(), current: None }
    }
}

/// Iterates over records.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    batches: slice::Iter<'a, Batch>,
    current: Option<(&'a Batch, <&'a Decoded as IntoIterator>::IntoIter)>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = ConsumedRecord<'a>;

    #[inline]
    fn next(&mut self) -> Option<ConsumedRecord<'a>> {
        loop {
            if let Some((batch, records)) = &mut self.current {
                let visible = &batch.visible;
                let counts = |record: &Record<'_>| record.offset >= visible.from && record.offset < visible.until;
                if let Some(record) = records.find(counts) {
                    return Some(ConsumedRecord::new(batch, record));
                }
            }
            let batch = self.batches.next()?;
            self.current = Some((batch, batch.visible.decoded.iter()));
        }
    }
}

/// A record as it was read. It borrows from the [`Records`] it came in.
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
    fn new(batch: &'a Batch, record: Record<'a>) -> Self {
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

    /// A copy that outlives the [`Records`], made in one allocation: it keeps nothing else of what was fetched alive.
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

/// Buffers to inflate into, used again and again.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool(Arc<Mutex<Vec<Vec<u8>>>>);

/// Buffers kept, and bytes of the largest that is.
const BUFFERS_MAX: usize = 16;
const BUFFER_BYTES_MAX: usize = 4 << 20;

impl Pool {
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, batch: Batch) {
        if let Some(buffer) = batch.visible.decoded.into_buffer() {
            self.give(buffer);
        }
    }

    pub(super) fn give(&self, buffer: Vec<u8>) {
        let mut buffers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS_MAX && buffer.capacity() <= BUFFER_BYTES_MAX {
            buffers.push(buffer);
        }
    }
}
