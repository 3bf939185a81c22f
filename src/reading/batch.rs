//! One decoded batch of one partition, and iterating over the records of several.

use std::slice;

use super::ConsumedRecord;
use super::Position;
use super::Visible;
use crate::record::Decoded;
use crate::record::Record;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// A batch, and the partition it belongs to.
#[derive(Debug)]
pub struct PartitionBatch {
    pub(super) topic: TopicName,
    pub(super) partition: i32,
    pub(super) visible: Visible,
}

impl PartitionBatch {
    /// A batch of a partition.
    pub fn new(topic: TopicName, partition: i32, visible: Visible) -> Self {
        Self { topic, partition, visible }
    }

    /// The buffer that it was decompressed into, unless something else holds it.
    pub fn into_buffer(self) -> Option<Vec<u8>> {
        self.visible.decoded.into_buffer()
    }

    /// The number of records to return.
    pub(super) fn record_count(&self) -> usize {
        self.visible.record_count()
    }

    /// The lowest offset that is returned. The first record may come after it.
    fn from(&self) -> i64 {
        self.visible.from
    }

    /// The position after its records, and after those that were left out behind them.
    fn next_position(&self) -> Position {
        let batch = self.visible.decoded.batch();
        let offset = batch.last_offset.saturating_add(1).min(self.visible.until);
        Position { offset, epoch: batch.leader_epoch }
    }

    pub(super) fn is_of_same_partition(&self, other: &Self) -> bool {
        self.partition == other.partition && self.topic == other.topic
    }
}

/// Groups neighbouring batches of the same partition.
pub(super) fn by_partition(batches: &[PartitionBatch]) -> impl Iterator<Item = PartitionRecords<'_>> {
    batches.chunk_by(PartitionBatch::is_of_same_partition).map(|batches| PartitionRecords { batches })
}

/// Records of one partition. See [`Records::by_partition`](crate::consumer::Records::by_partition).
///
/// ```no_run
/// # fn run(records: &ottla::consumer::Records) {
/// for partition in records.by_partition() {
///     println!("{}[{}]: {} records", partition.topic(), partition.partition(), partition.into_iter().count());
/// }
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct PartitionRecords<'a> {
    batches: &'a [PartitionBatch],
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

    /// The topic and the partition.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: self.topic().clone(), partition: self.partition() }
    }

    /// The position after all of these records: the one to commit once they are processed.
    pub fn next_position(&self) -> Position {
        self.batches[self.batches.len() - 1].next_position()
    }

    /// The lowest offset that is returned.
    pub(crate) fn first_offset(&self) -> i64 {
        self.batches[0].from()
    }

    /// The records, in order.
    pub fn iter(&self) -> Iter<'a> {
        Iter::new(self.batches)
    }
}

impl<'a> IntoIterator for &PartitionRecords<'a> {
    type Item = ConsumedRecord<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<'a> IntoIterator for PartitionRecords<'a> {
    type Item = ConsumedRecord<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter::new(self.batches)
    }
}

/// Iterates over records. See [`Records::iter`](crate::consumer::Records::iter).
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    batches: slice::Iter<'a, PartitionBatch>,
    current: Option<(&'a PartitionBatch, <&'a Decoded as IntoIterator>::IntoIter)>,
}

impl<'a> Iter<'a> {
    pub(super) fn new(batches: &'a [PartitionBatch]) -> Self {
        Self { batches: batches.iter(), current: None }
    }
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
