//! A closed batch: its place in the order, its stamp, and whether it may be in the log.

use std::ops::Range;
use std::time::Instant;

use super::BatchId;
use crate::error::Error;
use crate::error::Written;
use crate::record::SealedBatch;
use crate::types::ProducerIdentity;
use crate::types::Sequence;

/// The outcome of a batch's records.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All are in the log, from this offset on; `None` where the broker had them already and did not say where.
    Acknowledged { base_offset: Option<i64>, log_append_time: Option<i64> },
    /// None is acknowledged. The error says whether they may be in the log.
    Failed(Error),
}

impl Outcome {
    /// The outcome of the records after so many.
    pub(super) fn after(self, records: u32) -> Self {
        match self {
            Self::Acknowledged { base_offset, log_append_time } => {
                let base_offset = base_offset.map(|base| base.saturating_add(i64::from(records)));
                Self::Acknowledged { base_offset, log_append_time }
            }
            Self::Failed(error) => Self::Failed(error),
        }
    }
}

/// Whether a batch may be in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Never sent, or refused outright: not in any log.
    Absent,
    /// On the wire. Doubtful if an earlier attempt was lost.
    InFlight { doubtful: bool },
    /// An attempt was lost, or the broker could not say: it may be in the log.
    Doubtful,
}

impl Fate {
    /// The fate once it is sent, for the first time or again.
    pub(super) fn sent(self) -> Self {
        Self::InFlight { doubtful: self == Self::Doubtful || self == Self::InFlight { doubtful: true } }
    }

    /// The fate once the attempt failed. A clear refusal rejects only its own attempt, not an earlier one that was lost.
    pub(super) fn failed(self, unclear: bool) -> Self {
        match self {
            Self::InFlight { doubtful: true } | Self::Doubtful => Self::Doubtful,
            Self::InFlight { doubtful: false } | Self::Absent if unclear => Self::Doubtful,
            Self::InFlight { doubtful: false } | Self::Absent => Self::Absent,
        }
    }

    /// Whether its records may be in the log, for their error.
    pub(super) fn written(self) -> Written {
        match self {
            Self::Absent => Written::No,
            Self::InFlight { .. } | Self::Doubtful => Written::Maybe,
        }
    }
}

/// A closed batch.
#[derive(Debug)]
pub(super) struct Batch<T> {
    pub(super) id: BatchId,
    /// It owns the ids from `id - ids` (exclusive) to `id`: its parts get them if it is split.
    pub(super) ids: u64,
    pub(super) ticket: T,
    /// The index of its first record among those of the ticket: more than zero in a part that was split off.
    pub(super) first: u32,
    pub(super) count: u32,
    /// Whether these are all the records of the ticket.
    pub(super) whole: bool,
    /// The bytes that its records took from the budget, before compression.
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
    pub(super) attempts: u32,
    /// `None` while it is being sealed.
    pub(super) sealed: Option<SealedBatch>,
    pub(super) stamp: Option<(ProducerIdentity, Sequence)>,
    pub(super) fate: Fate,
    /// Its records were reported before. It still holds its place in the sequence, and its bytes.
    pub(super) abandoned: bool,
    /// The indices in the ticket of the records that were reported at deadlines of their own, in order.
    pub(super) reported: Vec<u32>,
    /// The records of each part that it is being split into, counted from its first.
    pub(super) parts: Vec<Range<u32>>,
}

impl<T> Batch<T> {
    /// Whether all its records were reported at deadlines of their own.
    pub(super) fn is_reported(&self) -> bool {
        self.reported.len() == self.count as usize
    }

    /// A part that takes its place with others, with `count` records from `first` on. Its ids are the parent's share for these
    /// records, in their order, and its records keep their sequences.
    pub(super) fn part(&self, first: u32, count: u32, bytes: usize) -> Self
    where
        T: Clone,
    {
        let each = self.ids / u64::from(self.count.max(1));
        let end = first + count;
        Self {
            id: self.id - self.ids + each * u64::from(end - self.first),
            ids: each * u64::from(count),
            ticket: self.ticket.clone(),
            first,
            count,
            whole: false,
            bytes,
            deadline: self.deadline,
            attempts: 0,
            sealed: None,
            stamp: self.stamp.map(|(identity, sequence)| (identity, sequence.advance(first - self.first))),
            fate: self.fate,
            abandoned: false,
            reported: self.reported.iter().copied().filter(|index| (first..end).contains(index)).collect(),
            parts: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_survives_a_later_refusal() {
        let lost = Fate::Absent.sent().failed(true);
        assert_eq!(lost, Fate::Doubtful);
        assert_eq!(lost.sent().failed(false), Fate::Doubtful);
        assert_eq!(Fate::Absent.sent().failed(false), Fate::Absent);
    }
}
