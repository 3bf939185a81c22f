//! Records with a deadline of their own: each is reported at its deadline, and the others of its batch go on.
//!
//! A record whose batch is surely in no log is taken out of it, so that it is *not written*: the batch is split around it, and
//! cannot be sent until that is done. Otherwise the record may be written, now or by a retry of the same bytes.

use std::ops::Range;
use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Key;
use super::Outcome;
use super::ProducerCore;
use super::batch::Batch;
use super::dues::gaps;
use crate::error::Written;

impl<T: Clone> ProducerCore<T> {
    /// Gives the record that was appended last to a partition, with this index in its batch, a deadline of its own. It has no effect
    /// after the batch's. Returns whether the driver is needed.
    pub fn expire_at(&mut self, now: Instant, key: Key, index: u32, at: Instant) -> bool {
        let Some(partition) = self.partitions.get_mut(key) else { return false };
        let open = partition.open.as_ref().filter(|open| open.builder.len() == index + 1);
        let newest = open.map(|open| (open.id, open.deadline));
        // It was closed if the record filled it.
        let closed = || partition.ready.back().filter(|last| last.first + last.count == index + 1);
        let newest = newest.or_else(|| closed().map(|last| (last.id, last.deadline)));
        if let Some((id, _)) = newest.filter(|(_, deadline)| at < *deadline) {
            partition.dues.note(id, index, at);
            self.arm(now, key);
        }
        self.is_waiting()
    }

    /// Reports the records of a partition that are past their own deadlines.
    pub(super) fn expire_records(&mut self, now: Instant, key: Key) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let passed = partition.dues.take(now);
        if partition.open.as_ref().is_some_and(|open| passed.contains_key(&open.id)) {
            self.close_open(key);
        }
        for (id, indices) in passed {
            self.expire_in(key, id, &indices);
        }
        self.drop_reported(key);
    }

    /// Reports some records of a batch.
    fn expire_in(&mut self, key: Key, id: BatchId, indices: &[u32]) {
        let error =
            self.late(key, "the record was not acknowledged by its own deadline (`Record::deadline`)".to_owned());
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let may_cull = partition.may_cull(id);
        let mut batches = partition.in_flight.iter_mut().chain(&mut partition.ready);
        let Some(batch) = batches.find(|batch| batch.id == id && !batch.abandoned) else { return };
        let written = if may_cull { Written::No } else { Written::Maybe };
        let ticket = batch.ticket.clone();
        batch.reported.extend(indices);
        batch.reported.sort_unstable();
        if batch.is_reported() {
            self.outstanding.remove(&id);
        }
        let (topic, partition, records) = (&*self.topics[key.topic as usize].name, key.partition, indices.len());
        tracing::debug!(target: "ottla::producer", topic, partition, records, ?written, "record deadlines passed");
        self.counters.expired += indices.len() as u64;
        for run in indices.chunk_by(|a, b| a + 1 == *b) {
            let (first, count) = (run[0], u32::try_from(run.len()).unwrap_or(u32::MAX));
            let outcome = Outcome::Failed(error.clone().written(written));
            self.report(ticket.clone(), first, (count, false), outcome, 0);
        }
        if may_cull {
            self.cull(key, id);
        }
    }

    /// Drops the batches in the queue whose records were all reported: they are in doubt, and nobody waits for them. One stays if a
    /// stamped batch comes after it, which the broker would refuse without it.
    pub(super) fn drop_reported(&mut self, key: Key) {
        while let Some(partition) = self.partitions.get_mut(key) {
            let all = partition.in_flight.iter().chain(&partition.ready);
            let last_stamped = all.filter(|batch| batch.stamp.is_some()).map(|batch| batch.id).max();
            let is_over =
                |batch: &&Batch<T>| batch.is_reported() && (batch.stamp.is_none() || last_stamped == Some(batch.id));
            let Some(id) = partition.ready.iter().find(is_over).map(|batch| batch.id) else { return };
            let Some(batch) = partition.remove(id) else { return };
            partition.hole |= batch.stamp.is_some();
            self.complete(key, batch, Outcome::Acknowledged { base_offset: None, log_append_time: None });
        }
    }

    /// Takes the records that were reported out of a batch that is surely in no log. A batch that is not sealed is not sent
    /// either, and has its turn when it is.
    pub(super) fn cull(&mut self, key: Key, id: BatchId) {
        let Some(partition) = self.partitions.get_mut(key).filter(|partition| partition.may_cull(id)) else { return };
        let Some(batch) = partition.ready.iter_mut().find(|batch| batch.id == id) else { return };
        if batch.reported.is_empty() {
            return;
        }
        // Other bytes must not be sent under the stamp that it may have. No batch goes before a new epoch replaces all stamps.
        partition.hole |= batch.stamp.take().is_some();
        if batch.sealed.is_none() {
            return;
        }
        let left = gaps(batch.first..batch.first + batch.count, &batch.reported);
        if left.is_empty() {
            return self.drop_reported(key);
        }
        let first = batch.first;
        batch.parts = left.into_iter().map(|left| left.start - first..left.end - first).collect();
        let (parts, Some(sealed)) = (batch.parts.clone(), batch.sealed.take()) else { return };
        self.actions.push_back(Action::Split { key, id, sealed, parts });
    }

    /// Reports the outcome of those records of a batch in `range` that were not reported before. Indices are those of the ticket.
    pub(super) fn report_left(&mut self, batch: &Batch<T>, range: Range<u32>, outcome: &Outcome) {
        for left in gaps(range, &batch.reported) {
            let outcome = outcome.clone().after(left.start - batch.first);
            self.report(batch.ticket.clone(), left.start, (left.end - left.start, false), outcome, 0);
        }
    }
}
