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
    /// Records from this offset on are not handed out.
    until: i64,
    aborted: Option<Aborted>,
    bytes: usize,
    finished: bool,
}

/// A batch to be handed out: its records from `from`, and before `until`.
#[derive(Debug)]
pub struct Visible {
    /// The batch.
    pub decoded: Decoded,
    /// The first offset that counts.
    pub from: i64,
    /// The first offset that does not count any more.
    pub until: i64,
}

/// Why a batch could not be read.
#[derive(Debug)]
pub struct Unreadable {
    /// Reading can go on after this offset.
    pub offset: i64,
    /// What is wrong with it.
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

    /// Leaves out what was aborted: transactions as (producer id, first offset).
    pub fn without(mut self, aborted: Vec<(i64, i64)>) -> Self {
        self.aborted = Some(Aborted::new(aborted));
        self
    }

    /// Holds its own bytes, and no others of the response that they came in.
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

    /// The next offset to be read, and the epoch of the batch before it.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether all of it was read.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Reads up to and with the next batch that has records to hand out.
    ///
    /// The position moves past it. Where it cannot be read the position stays before it. `buffer` is asked for room to
    /// inflate into, of which at most `limit` bytes are used.
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
            batch.inflate(codecs, limit, buffer)
        });
        let decoded = decoded.map_err(|error| Unreadable { offset: self.resume_after(&batch), error })?;
        self.pass(&batch);
        Ok(Some(Visible { decoded, from, until: self.until }))
    }

    fn pass(&mut self, batch: &Batch) {
        let offset = batch.last_offset.saturating_add(1).min(self.until);
        self.position = Position { offset, epoch: batch.leader_epoch.or(self.position.epoch) };
    }

    /// The last offset of a batch that cannot be read. What it says itself may be wrong, so what follows has a say too.
    fn resume_after(&mut self, batch: &Batch) -> i64 {
        let next = self.batches.next().and_then(Result::ok).map(|next| next.base_offset - 1);
        let next = next.filter(|next| *next >= self.position.offset);
        next.map_or(batch.last_offset, |next| next.min(batch.last_offset))
    }

    fn is_visible(&mut self, batch: &Batch) -> Result<bool, RecordError> {
        if batch.is_control {
            // A forged marker would bring aborted records back.
            batch.verify()?;
        }
        Ok(match &mut self.aborted {
            Some(aborted) => aborted.is_visible(batch),
            None => !batch.is_control,
        } && batch.count > 0)
    }
}
