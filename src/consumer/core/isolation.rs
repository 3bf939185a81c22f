//! What one fetch brought of one partition, read batch by batch.
//!
//! Batches before the position, control batches and batches of aborted transactions are passed over without being inflated
//! (`CompletedFetch.nextFetchedRecord`). The position moves past all of them.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::position::Position;
use crate::codec::Codecs;
use crate::record::Batch;
use crate::record::Batches;
use crate::record::ControlKind;
use crate::record::Decoded;
use crate::record::RecordError;
use crate::types::LeaderEpoch;

/// Which records of transactions are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Those that were committed, once their transaction has ended, and those of no transaction.
    ReadCommitted,
    /// All.
    #[default]
    ReadUncommitted,
}

impl Isolation {
    pub(crate) fn to_wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// What one fetch brought of one partition.
#[derive(Debug)]
pub struct Chunk {
    batches: Batches,
    position: Position,
    /// Records from this offset on are not handed out.
    until: i64,
    aborted: Option<Aborted>,
    /// Where the log ended, as the fetch saw it.
    pub(super) end: i64,
    pub(super) bytes: usize,
    pub(super) generation: u64,
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
    pub(super) fn new(payload: Bytes, position: Position, end: i64, generation: u64) -> Self {
        Self {
            bytes: payload.len(),
            batches: Batches::new(payload),
            position,
            until: i64::MAX,
            aborted: None,
            end,
            generation,
            finished: false,
        }
    }

    /// Leaves out what was aborted: transactions as (producer id, first offset).
    pub(super) fn without(mut self, aborted: Vec<(i64, i64)>) -> Self {
        self.aborted = Some(Aborted::new(aborted));
        self
    }

    /// Holds its own bytes, and no others of the response that they came in.
    pub(super) fn copy_out(&mut self) {
        self.batches.copy_out();
    }

    pub(super) fn stop_before(&mut self, until: i64) {
        self.until = until;
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
            let buffer = if batch.compression == crate::codec::Compression::None { Vec::new() } else { buffer() };
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

/// Aborted transactions of a fetch response, in the order they began, and the producers whose batches are in one.
#[derive(Debug)]
struct Aborted {
    /// (first offset, producer id), the earliest last.
    ahead: Vec<(i64, i64)>,
    producers: BTreeSet<i64>,
}

impl Aborted {
    fn new(transactions: Vec<(i64, i64)>) -> Self {
        let mut ahead: Vec<_> = transactions.into_iter().map(|(producer, first)| (first, producer)).collect();
        ahead.sort_unstable_by(|one, other| other.cmp(one));
        Self { ahead, producers: BTreeSet::new() }
    }

    fn is_visible(&mut self, batch: &Batch) -> bool {
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first <= batch.last_offset) {
            self.producers.insert(producer);
        }
        if batch.is_control {
            if batch.control_kind() == ControlKind::Abort {
                self.producers.remove(&batch.producer_id);
            }
            return false;
        }
        !(batch.is_transactional && self.producers.contains(&batch.producer_id))
    }
}

/// What a payload holds, told from the ends of its batches without reading them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scan {
    /// The last offset of the last whole batch, and its leader epoch.
    pub(super) last: Option<(i64, Option<LeaderEpoch>)>,
    /// Bytes that the batch cut short at the end would have; `None` where nothing is cut short.
    pub(super) cut: Option<i64>,
    /// What follows is no batch.
    pub(super) is_broken: bool,
}

/// Offset and length, which come before everything that the length counts.
const PREFIX: usize = 12;
const LENGTH: usize = 8;
const EPOCH: usize = 12;
const MAGIC: usize = 16;
const LAST_OFFSET_DELTA: usize = 23;
const HEADER: u8 = 61;
/// The least that follows the prefix in any format.
const LEAST: usize = 14;

impl Scan {
    pub(super) fn new(payload: &[u8]) -> Self {
        let mut rest = payload;
        let mut last = None;
        let (mut cut, mut is_broken) = (None, false);
        while let Some(declared) = rest.get(LENGTH..PREFIX).map(be_i32) {
            let Some(length) = usize::try_from(declared).ok().filter(|length| *length >= LEAST) else {
                is_broken = true;
                break;
            };
            let Some((batch, after)) = rest.split_at_checked(PREFIX + length) else {
                cut = Some(12 + i64::from(declared));
                break;
            };
            (last, rest) = (Some(batch), after);
        }
        if cut.is_none() && !is_broken && !rest.is_empty() {
            cut = Some(i64::from(HEADER));
        }
        let last = last.map(ending);
        is_broken |= last.is_some_and(|last| last.is_none());
        Self { last: last.flatten(), cut, is_broken }
    }
}

/// The last offset and the epoch of a whole batch; `None` if it makes no sense.
fn ending(batch: &[u8]) -> Option<(i64, Option<LeaderEpoch>)> {
    let base = i64::from_be_bytes(batch[..LENGTH].try_into().expect("eight bytes"));
    let (delta, epoch) = match (batch[MAGIC], batch.len() >= usize::from(HEADER)) {
        (0 | 1, _) => (0, None),
        (2, true) => (be_i32(&batch[LAST_OFFSET_DELTA..]), LeaderEpoch::from_wire(be_i32(&batch[EPOCH..]))),
        _ => return None,
    };
    let last = base.checked_add(i64::from(delta)).filter(|last| base >= 0 && *last >= base && *last < i64::MAX)?;
    Some((last, epoch))
}

fn be_i32(bytes: &[u8]) -> i32 {
    i32::from_be_bytes(bytes[..4].try_into().expect("four bytes"))
}
