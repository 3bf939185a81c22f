//! The result of a poll: records, ends of partitions that were reached, and positions that were reset.

use super::core::Reset;
use super::owned::OwnedRecords;
use crate::reading::ConsumedRecord;
use crate::reading::Iter;
use crate::reading::PartitionBatch;
use crate::reading::PartitionRecords;
use crate::reading::ReadBatches;
use crate::reading::buffers::Buffers;
use crate::types::TopicPartition;

/// The records of one [`poll`](super::Consumer::poll), the ends of partitions that were reached, and positions that were reset.
///
/// Every batch was verified and checked, so iterating cannot fail. The records borrow from this value. Dropping it returns its
/// buffers to the consumer.
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
    batches: ReadBatches,
    ends: Vec<(TopicPartition, i64)>,
    resets: Vec<Reset>,
}

impl Records {
    pub(super) fn new(buffers: Buffers) -> Self {
        Self { batches: ReadBatches::new(buffers), ends: Vec::new(), resets: Vec::new() }
    }

    /// No records, for a poll whose time is over.
    #[cfg(feature = "blocking")]
    pub(crate) fn none() -> Self {
        Self::new(Buffers::default())
    }

    pub(super) fn push(&mut self, batch: PartitionBatch) {
        self.batches.push(batch);
    }

    /// The number of batches so far.
    pub(super) fn batch_count(&self) -> usize {
        self.batches.len()
    }

    /// The number of records, without iterating over those of batches that are returned whole.
    pub(super) fn record_count(&self) -> usize {
        self.batches.record_count()
    }

    /// Drops the batches after the first `mark`.
    pub(super) fn drop_from(&mut self, mark: usize) {
        self.batches.truncate(mark);
    }

    pub(super) fn push_end(&mut self, partition: TopicPartition, offset: i64) {
        self.ends.push((partition, offset));
    }

    pub(super) fn push_reset(&mut self, reset: Reset) {
        self.resets.push(reset);
    }

    /// Whether there are no batches, ends and resets.
    pub(super) fn is_bare(&self) -> bool {
        self.batches.len() == 0 && self.ends.is_empty() && self.resets.is_empty()
    }

    pub(super) fn into_parts(self) -> (ReadBatches, Vec<(TopicPartition, i64)>, Vec<Reset>) {
        (self.batches, self.ends, self.resets)
    }

    /// The records of each partition, for other tasks, without a copy. A partition may occur more than once.
    pub fn into_partitions(self) -> Vec<OwnedRecords> {
        OwnedRecords::split(self.batches)
    }

    /// Whether there is no record. There may still be [ends](Records::ends) and [resets](Records::resets).
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The number of records. This iterates over all of them.
    pub fn count(&self) -> usize {
        self.iter().count()
    }

    /// The records, in order within each partition.
    pub fn iter(&self) -> Iter<'_> {
        self.batches.iter()
    }

    /// The records, one partition after the other. A partition may occur more than once.
    pub fn by_partition(&self) -> impl Iterator<Item = PartitionRecords<'_>> {
        self.batches.by_partition()
    }

    /// The partitions whose end was reached, with the end offset at that time. Each end is reported once.
    pub fn ends(&self) -> &[(TopicPartition, i64)] {
        &self.ends
    }

    /// The positions that the reset policy has moved. Records from before a reset are in an earlier poll, or earlier in this one.
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
