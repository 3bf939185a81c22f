//! The result of a poll: records, ends of partitions that were reached, and positions that were reset.

use super::core::Reset;
use crate::reading::ConsumedRecord;
use crate::reading::Iter;
use crate::reading::PartitionBatch;
use crate::reading::PartitionRecords;
use crate::reading::ReadBatches;
use crate::reading::buffers::Buffers;
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
    batches: ReadBatches,
    ends: Vec<(TopicPartition, i64)>,
    resets: Vec<Reset>,
}

impl Records {
    pub(super) fn new(buffers: Buffers) -> Self {
        Self { batches: ReadBatches::new(buffers), ends: Vec::new(), resets: Vec::new() }
    }

    pub(super) fn push(&mut self, batch: PartitionBatch) {
        self.batches.push(batch);
    }

    /// How many batches there are so far.
    pub(super) fn mark(&self) -> usize {
        self.batches.len()
    }

    /// Drops the batches that came after `mark` was taken.
    pub(super) fn drop_from(&mut self, mark: usize) {
        self.batches.truncate(mark);
    }

    pub(super) fn push_end(&mut self, partition: TopicPartition, offset: i64) {
        self.ends.push((partition, offset));
    }

    pub(super) fn push_reset(&mut self, reset: Reset) {
        self.resets.push(reset);
    }

    /// Whether there is nothing at all to tell.
    pub(super) fn is_bare(&self) -> bool {
        self.batches.len() == 0 && self.ends.is_empty() && self.resets.is_empty()
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
        self.batches.iter()
    }

    /// The records of one partition after the other. A partition may come more than once.
    pub fn by_partition(&self) -> impl Iterator<Item = PartitionRecords<'_>> {
        self.batches.by_partition()
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
