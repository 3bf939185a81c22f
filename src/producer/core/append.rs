//! The way of a record into its batch, until that is closed and sealed.

use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Key;
use super::Outcome;
use super::ProducerCore;
use super::partition::Open;
use crate::error::Error;
use crate::error::Written;
use crate::record::ClosedBatch;
use crate::record::RecordRef;
use crate::record::SealedBatch;

/// Ids of batches are this far apart, so that the parts of a batch that was split have ids below it.
pub(super) const ID_STEP: u64 = 1 << 24;

/// Batches before compression are no larger than this share of the memory, however well their records compress.
pub(super) const POOL_SHARE: usize = 8;

/// A record that was appended.
#[derive(Debug)]
pub struct Appended<T> {
    pub ticket: T,
    pub index: u32,
    pub bytes: usize,
    /// Whether the batch is full with it.
    pub full: bool,
    /// Whether there is something for the driver to do.
    pub wake: bool,
}

impl<T: Clone> ProducerCore<T> {
    /// Writes a record into the open batch of a partition that the topic has; opens one, with a ticket, where none has the
    /// capacity.
    pub fn append(
        &mut self,
        now: Instant,
        key: Key,
        record: &RecordRef<'_>,
        ticket: impl FnOnce() -> T,
    ) -> Result<Appended<T>, Error> {
        if let Some(error) = &self.fatal {
            return Err(error.clone().written(Written::No));
        }
        let partition = self.partitions.get_or_make(key);
        if let Some(open) = &mut partition.open {
            if let Some((index, bytes)) = open.append(record) {
                let (ticket, full) = (open.ticket.clone(), open.is_full(bytes));
                let wake = self.appended(now, key, bytes, full);
                return Ok(Appended { ticket, index, bytes, full, wake });
            }
            // It takes smaller records, but not this one.
            self.topics[key.topic as usize].partitioner.on_appended(key.partition, 0, true);
            self.close_open(key);
        }
        let (ticket, bytes, full) = self.open(now, key, record, ticket());
        self.appended(now, key, bytes, full);
        self.service(now, key);
        Ok(Appended { ticket, index: 0, bytes, full, wake: self.is_waiting() })
    }

    /// Opens a batch with its first record; returns the record's bytes, and whether the batch is full with it.
    fn open(&mut self, now: Instant, key: Key, record: &RecordRef<'_>, ticket: T) -> (T, usize, bool) {
        self.last_batch += ID_STEP;
        let id = self.last_batch;
        self.outstanding.insert(id);
        let limit = self.limit(key);
        let usual = self.partitions.get_mut(key).map_or(0, |partition| partition.usual);
        let buffer = self.pool.take(usual);
        let until = now + self.settings.delivery_timeout;
        let (open, bytes) = Open::new(id, [now, until], (buffer, limit), ticket.clone(), record);
        let full = open.is_full(bytes);
        self.partitions.get_or_make(key).open = Some(open);
        (ticket, bytes, full)
    }

    /// Bytes that a batch of this topic may have before compression, so that it has `batch_bytes` after it.
    pub(super) fn limit(&self, key: Key) -> usize {
        let wanted = self.settings.batch_bytes;
        if !self.settings.compressed {
            return wanted;
        }
        let most = wanted.max(self.settings.pool_bytes_max / POOL_SHARE);
        self.topics[key.topic as usize].ratio.raw_for(wanted).min(most)
    }

    /// Notifies the partitioner of a record, and closes its batch if that is full. Returns whether the driver is needed.
    fn appended(&mut self, now: Instant, key: Key, bytes: usize, full: bool) -> bool {
        self.counters.records += 1;
        self.counters.record_bytes += bytes as u64;
        let topic = &mut self.topics[key.topic as usize];
        // The partitioner counts bytes as they will be sent.
        let sent = if self.settings.compressed { topic.ratio.wire_for(bytes) } else { bytes };
        topic.partitioner.on_appended(key.partition, sent, full);
        if full {
            self.close_open(key);
            self.service(now, key);
        }
        full && self.is_waiting()
    }

    /// Keeps a buffer for later batches.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        self.pool.put(buffer);
    }

    /// Closes the open batch. Without compression that seals it too.
    pub(super) fn close_open(&mut self, key: Key) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let Some((id, closed)) = partition.close(ID_STEP) else { return };
        self.seal(key, id, closed);
    }

    pub(super) fn seal(&mut self, key: Key, id: BatchId, closed: ClosedBatch) {
        if self.settings.compressed {
            return self.actions.push_back(Action::Seal { key, id, closed });
        }
        let (sealed, _) = closed.seal(None).expect("nothing can fail where nothing is compressed");
        self.sealed(key, id, sealed);
    }

    /// Puts a batch that was sealed in its place; returns its bytes before and after, if it is still wanted.
    fn sealed(&mut self, key: Key, id: BatchId, sealed: SealedBatch) -> Option<(usize, usize)> {
        self.counters.batches += 1;
        self.counters.batch_bytes += u64::try_from(sealed.size()).unwrap_or(0);
        let sizes = self.partitions.get_mut(key)?.sealed(id, sealed);
        self.cull(key, id);
        sizes
    }

    /// Takes a batch that was compressed.
    pub fn handle_sealed(&mut self, now: Instant, key: Key, id: BatchId, sealed: Result<SealedBatch, Error>) {
        match sealed {
            Ok(sealed) => {
                if let Some((before, after)) = self.sealed(key, id, sealed) {
                    self.topics[key.topic as usize].ratio.observe(before, after);
                }
            }
            Err(error) => {
                if let Some(batch) = self.partitions.get_mut(key).and_then(|partition| partition.remove(id)) {
                    let written = batch.fate.written();
                    self.complete(key, batch, Outcome::Failed(error.written(written)));
                }
            }
        }
        self.service(now, key);
    }
}
