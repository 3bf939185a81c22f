//! The batches that one poll returns. Dropping them gives their buffers back to the pool.

use super::Iter;
use super::PartitionBatch;
use super::PartitionRecords;
use super::batch;
use super::buffers::Buffers;

/// Batches in the order in which they were read.
#[derive(Debug)]
pub(crate) struct ReadBatches {
    batches: Vec<PartitionBatch>,
    buffers: Buffers,
}

impl ReadBatches {
    pub(crate) fn new(buffers: Buffers) -> Self {
        Self { batches: Vec::new(), buffers }
    }

    pub(crate) fn push(&mut self, batch: PartitionBatch) {
        self.batches.push(batch);
    }

    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The number of records to return.
    pub(crate) fn record_count(&self) -> usize {
        self.batches.iter().map(PartitionBatch::record_count).sum()
    }

    /// Drops the batches after the first `len`.
    pub(crate) fn truncate(&mut self, len: usize) {
        let dropped = self.batches.drain(len.min(self.batches.len())..);
        dropped.filter_map(PartitionBatch::into_buffer).for_each(|buffer| self.buffers.give(buffer));
    }

    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter::new(&self.batches)
    }

    /// The records of one partition after the other. A partition may come more than once.
    pub(crate) fn by_partition(&self) -> impl Iterator<Item = PartitionRecords<'_>> {
        batch::by_partition(&self.batches)
    }
}

impl Drop for ReadBatches {
    fn drop(&mut self) {
        self.truncate(0);
    }
}
