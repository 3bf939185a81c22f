//! The split of a batch that is too large for the broker (KIP-126).

use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Key;
use super::ProducerCore;
use super::batch::Batch;
use super::batch::Outcome;
use crate::error::Error;
use crate::record::ClosedBatch;

impl<T: Clone> ProducerCore<T> {
    /// Splits a batch that was refused as too large. It waits in the queue, unsealed, until its parts take its place and its
    /// sequences, as in `ProducerBatch.assignProducerStateToBatches`: batches sent behind it keep their stamps.
    pub(super) fn split(&mut self, key: Key, mut batch: Batch<T>) {
        batch.fate = batch.fate.failed(false);
        let Some(sealed) = batch.sealed.take() else { return };
        self.topics[key.topic as usize].ratio.refused(batch.bytes, sealed.body().len());
        self.counters.splits += 1;
        let id = batch.id;
        // A batch that grew beyond the usual size, because it was expected to compress better, is split to that size; others in two.
        let parts = batch.bytes.div_ceil(self.settings.batch_bytes).max(2);
        let parts = u32::try_from(parts).unwrap_or(u32::MAX).min(batch.count);
        let each = batch.count.div_ceil(parts).max(1);
        let starts = (0..batch.count).step_by(each as usize);
        batch.parts = starts.map(|start| start..batch.count.min(start + each)).collect();
        let ranges = batch.parts.clone();
        let (topic, partition) = (&*self.topics[key.topic as usize].name, key.partition);
        let bytes = sealed.size();
        tracing::debug!(target: "ottla::producer", topic, partition, bytes, parts, "batch split");
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.recovering = true;
            partition.insert(batch);
        }
        self.actions.push_back(Action::Split { key, id, sealed, parts: ranges });
    }

    /// Takes the parts that a batch was split into, each to be sealed.
    pub fn handle_split(&mut self, now: Instant, key: Key, id: BatchId, parts: Result<Vec<ClosedBatch>, Error>) {
        let Some(parent) = self.partitions.get_mut(key).and_then(|partition| partition.remove(id)) else { return };
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => {
                let written = parent.fate.written();
                self.complete(key, parent, Outcome::Failed(error.written(written)));
                return self.service(now, key);
            }
        };
        let kept = parts.iter().map(|part| part.count as usize).sum::<usize>();
        debug_assert!(kept + parent.reported.len() >= parent.count as usize, "no record is lost in a split");
        self.outstanding.remove(&id);
        let (last, mut left) = (parts.len(), parent.bytes);
        for (number, (records, closed)) in (1..).zip(parent.parts.iter().zip(parts)) {
            let bytes = if number == last { left } else { closed.records.len().min(left) };
            left -= bytes;
            let part = parent.part(parent.first + records.start, closed.count, bytes);
            let (part_id, of_ticket) = (part.id, part.first..part.first + part.count);
            self.outstanding.insert(part_id);
            if let Some(partition) = self.partitions.get_mut(key) {
                partition.dues.give(id, part_id, of_ticket);
                partition.insert(part);
            }
            self.seal(key, part_id, closed);
        }
        self.service(now, key);
    }
}
