//! Reads the records that a response has for one partition, batch by batch.
//!
//! Batches before the position, control batches and batches of aborted transactions are skipped without being decompressed
//! (`CompletedFetch.nextFetchedRecord`). The position moves past all of them.

use bytes::Bytes;

use super::Position;
use super::isolation::Aborted;
use crate::codec::Codecs;
use crate::codec::Compression;
use crate::record::Batch;
use crate::record::Batches;
use crate::record::Decoded;
use crate::record::RecordError;

/// The batches that one response has for one partition.
#[derive(Debug)]
pub struct Chunk {
    batches: Batches,
    position: Position,
    /// Records from this offset on are not returned.
    until: i64,
    aborted: Option<Aborted>,
    bytes: usize,
    finished: bool,
}

/// A decoded batch, of which the records from `from` on and before `until` are returned.
#[derive(Debug)]
pub struct Visible {
    /// The batch.
    pub decoded: Decoded,
    /// The lowest offset to return.
    pub from: i64,
    /// The offset before which records are returned.
    pub until: i64,
}

impl Visible {
    /// The number of records to return. It iterates over them only if some records of the batch are not returned.
    pub fn record_count(&self) -> usize {
        let batch = self.decoded.batch();
        if self.from <= batch.base_offset && batch.last_offset < self.until {
            return usize::try_from(batch.count).unwrap_or(0);
        }
        self.decoded.iter().filter(|record| (self.from..self.until).contains(&record.offset)).count()
    }
}

/// The reason why a batch could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// The last offset of the batch: reading can go on after it.
    pub offset: i64,
    /// The error.
    pub error: RecordError,
}

impl Chunk {
    /// Reads `payload` from `position` on.
    pub fn new(payload: Bytes, position: Position) -> Self {
        Self {
            bytes: payload.len(),
            batches: Batches::new(payload),
            position,
            until: i64::MAX,
            aborted: None,
            finished: false,
        }
    }

    /// Leaves out aborted transactions, given as (producer id, first offset).
    pub fn without(mut self, aborted: Vec<(i64, i64)>) -> Self {
        self.aborted = Some(Aborted::new(aborted));
        self
    }

    /// Copies the unread bytes, and releases the response that they were a part of.
    pub fn copy_out(&mut self) {
        self.batches.copy_out();
    }

    /// Records from `until` on are not returned.
    pub fn stop_before(&mut self, until: i64) {
        self.until = until;
    }

    /// The size of the payload.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next offset to read, and the epoch of the batch before it.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether all of it was read.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Reads the next batch that has records to return, and skips those before it that have none.
    ///
    /// The position moves past it, or stays before it if it cannot be read. It is decompressed to at most `limit` bytes, into the
    /// buffer that `buffer` returns.
    pub fn read(
        &mut self,
        codecs: &Codecs,
        limit: usize,
        buffer: impl FnOnce() -> Vec<u8>,
    ) -> Result<Option<Visible>, Unreadable> {
        let batch = loop {
            if self.position.offset >= self.until {
                break None;
            }
            let from = self.position.offset;
            match self.batches.next() {
                None => break None,
                Some(Err(error)) => return Err(Unreadable { offset: from, error }),
                Some(Ok(batch)) if batch.last_offset < from => {}
                Some(Ok(batch)) => match self.is_visible(&batch) {
                    Ok(true) => break Some(batch),
                    Ok(false) => self.pass(&batch),
                    Err(error) => return Err(Unreadable { offset: batch.last_offset, error }),
                },
            }
        };
        let Some(batch) = batch else {
            self.finished = true;
            return Ok(None);
        };
        let from = self.position.offset;
        let decoded = batch.verify().and_then(|()| {
            let buffer = if batch.compression == Compression::None { Vec::new() } else { buffer() };
            batch.decode(codecs, limit, buffer)
        });
        let decoded = decoded.map_err(|error| Unreadable { offset: self.resume_after(&batch), error })?;
        self.pass(&batch);
        Ok(Some(Visible { decoded, from, until: self.until }))
    }

    fn pass(&mut self, batch: &Batch) {
        let offset = batch.last_offset.saturating_add(1).min(self.until);
        self.position = Position { offset, epoch: batch.leader_epoch.or(self.position.epoch) };
    }

    /// The last offset of a batch that cannot be read. Its own header may be wrong, so the base offset of the next batch counts
    /// too.
    fn resume_after(&mut self, batch: &Batch) -> i64 {
        let next = self.batches.next().and_then(Result::ok).map(|next| next.base_offset - 1);
        let next = next.filter(|next| *next >= self.position.offset);
        next.map_or(batch.last_offset, |next| next.min(batch.last_offset))
    }

    fn is_visible(&mut self, batch: &Batch) -> Result<bool, RecordError> {
        if batch.is_control {
            // A forged marker would make aborted records visible.
            batch.verify()?;
        }
        Ok(match &mut self.aborted {
            Some(aborted) => aborted.is_visible(batch),
            None => !batch.is_control,
        } && batch.count > 0)
    }
}
