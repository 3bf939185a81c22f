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

    /// The batches, each run of one partition by itself. There is at least one batch in each.
    pub(crate) fn into_partitions(mut self) -> Vec<Self> {
        let mut parts: Vec<Self> = Vec::new();
        for batch in std::mem::take(&mut self.batches) {
            match parts.last_mut().filter(|part| part.batches[0].is_of_same_partition(&batch)) {
                Some(part) => part.batches.push(batch),
                None => parts.push(Self { batches: vec![batch], buffers: self.buffers.clone() }),
            }
        }
        parts
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
