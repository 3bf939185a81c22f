//! A batch that takes no more records: what it is, where it stands, and what is known of its fate.

use std::time::Instant;

use super::BatchId;
use crate::error::Error;
use crate::error::Written;
use crate::record::SealedBatch;
use crate::types::ProducerIdentity;
use crate::types::Sequence;

/// What became of a batch's records.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All are in the log, from this offset on; `None` where the broker had them already and did not say where.
    Acknowledged { base_offset: Option<i64>, log_append_time: Option<i64> },
    /// None is acknowledged; the error says whether they may be in the log.
    Failed(Error),
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
    /// It is sent, once more or for the first time.
    pub(super) fn sent(self) -> Self {
        Self::InFlight { doubtful: self == Self::Doubtful || self == Self::InFlight { doubtful: true } }
    }

    /// The attempt failed. A later clear refusal says nothing about an earlier attempt that was lost.
    pub(super) fn failed(self, unclear: bool) -> Self {
        match self {
            Self::InFlight { doubtful: true } | Self::Doubtful => Self::Doubtful,
            Self::InFlight { doubtful: false } | Self::Absent if unclear => Self::Doubtful,
            Self::InFlight { doubtful: false } | Self::Absent => Self::Absent,
        }
    }

    /// What can be said of it to whoever sent the records.
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
    /// The ids from `id - room` (exclusive) to `id` are its own: its parts get them if it is split.
    pub(super) room: u64,
    pub(super) ticket: T,
    /// The index, among the ticket's records, of its first: more than zero in what was split off.
    pub(super) first: u32,
    pub(super) count: u32,
    /// Whether these are all the records of the ticket.
    pub(super) whole: bool,
    /// What its records took from the budget: their bytes before compression.
    pub(super) bytes: usize,
    pub(super) deadline: Instant,
    pub(super) attempts: u32,
    /// `None` while it is being sealed.
    pub(super) sealed: Option<SealedBatch>,
    pub(super) stamp: Option<(ProducerIdentity, Sequence)>,
    pub(super) fate: Fate,
    /// Its records were reported already; only its place in the sequence is still of interest, and its bytes are still held.
    pub(super) abandoned: bool,
}

impl<T> Batch<T> {
    /// The `number`th of `parts` that take its place, with `count` records from `first` on; its id lies in the parent's room, and
    /// its sequences are those its records had.
    pub(super) fn part(&self, number: u64, parts: u64, first: u32, count: u32, bytes: usize) -> Self
    where
        T: Clone,
    {
        let room = self.room / parts;
        let id = if number + 1 == parts { self.id } else { self.id - self.room + room * (number + 1) };
        Self {
            id,
            room,
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
