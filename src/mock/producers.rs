//! A partition's state of idempotent producers (`ProducerStateManager`, `ProducerAppendInfo`).

use std::collections::HashMap;
use std::collections::VecDeque;

use kafka_protocol::error::ResponseError;

/// The sequence numbers of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbered {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
    pub(super) first: i32,
    pub(super) last: i32,
}

/// Whether a numbered batch may be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Its sequence is the next one.
    Next,
    /// It is in the log already, at this base offset.
    Duplicate(i64),
}

/// The producers a partition knows.
#[derive(Debug, Default)]
pub(super) struct Producers {
    known: HashMap<i64, Producer>,
}

/// A producer that a partition knows.
#[derive(Debug)]
pub(super) struct Producer {
    epoch: i16,
    /// The last batches, oldest first: first sequence, last sequence, first offset.
    batches: VecDeque<(i32, i32, i64)>,
    /// The largest timestamp of its last batch, or the timestamp of its last marker.
    last_timestamp: i64,
    /// The epoch of the coordinator that wrote its last marker; −1 without one.
    coordinator_epoch: i32,
}

impl Producer {
    fn new(epoch: i16) -> Self {
        Self { epoch, batches: VecDeque::with_capacity(BATCHES_KEPT), last_timestamp: -1, coordinator_epoch: -1 }
    }

    pub(super) fn epoch(&self) -> i16 {
        self.epoch
    }

    /// The sequence of its last record; −1 if it has written only markers in its epoch.
    pub(super) fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |(_, last, _)| *last)
    }

    pub(super) fn last_timestamp(&self) -> i64 {
        self.last_timestamp
    }

    pub(super) fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }
}

impl Producers {
    /// Checks a batch as `ProducerAppendInfo` does.
    pub(super) fn admit(&self, batch: Numbered) -> Result<Admission, ResponseError> {
        // A partition without state of a producer accepts any sequence, because the state may have expired.
        let Some(known) = self.known.get(&batch.producer_id) else { return Ok(Admission::Next) };
        if batch.epoch < known.epoch {
            return Err(ResponseError::InvalidProducerEpoch);
        }
        if batch.epoch > known.epoch {
            let starts = batch.first == 0;
            return if starts { Ok(Admission::Next) } else { Err(ResponseError::OutOfOrderSequenceNumber) };
        }
        let same = |(first, last, _): &&(i32, i32, i64)| (*first, *last) == (batch.first, batch.last);
        if let Some((_, _, offset)) = known.batches.iter().find(same) {
            return Ok(Admission::Duplicate(*offset));
        }
        let Some((_, last, _)) = known.batches.back() else {
            // The producer has written only markers, which have no sequence.
            return if batch.first == 0 { Ok(Admission::Next) } else { Err(ResponseError::OutOfOrderSequenceNumber) };
        };
        let next = after(*last, 1);
        if batch.first == next { Ok(Admission::Next) } else { Err(ResponseError::OutOfOrderSequenceNumber) }
    }

    /// Stores the sequence of a batch that was appended at `offset`.
    pub(super) fn record(&mut self, batch: Numbered, offset: i64, timestamp: i64) {
        let known = self.known.entry(batch.producer_id).or_insert_with(|| Producer::new(batch.epoch));
        known.last_timestamp = timestamp;
        if known.epoch != batch.epoch {
            known.epoch = batch.epoch;
            known.batches.clear();
        }
        if known.batches.len() == BATCHES_KEPT {
            known.batches.pop_front();
        }
        known.batches.push_back((batch.first, batch.last, offset));
    }

    /// Stores the epoch of a transaction marker, which can be newer (`ProducerAppendInfo.appendEndTxnMarker`).
    pub(super) fn marked(&mut self, producer_id: i64, epoch: i16, coordinator_epoch: i32, timestamp: i64) {
        let known = self.known.entry(producer_id).or_insert_with(|| Producer::new(epoch));
        (known.coordinator_epoch, known.last_timestamp) = (coordinator_epoch, timestamp);
        if known.epoch < epoch {
            known.epoch = epoch;
            known.batches.clear();
        }
    }

    /// A producer, if it is known.
    pub(super) fn find(&self, producer_id: i64) -> Option<&Producer> {
        self.known.get(&producer_id)
    }

    /// The known producers by their ids, ascending.
    pub(super) fn known(&self) -> impl Iterator<Item = (i64, &Producer)> {
        let mut known: Vec<_> = self.known.iter().map(|(id, producer)| (*id, producer)).collect();
        known.sort_by_key(|(id, _)| *id);
        known.into_iter()
    }

    /// The base offset of a producer's last batch.
    pub(super) fn last_offset(&self, producer_id: i64) -> Option<i64> {
        self.known.get(&producer_id)?.batches.back().map(|(_, _, offset)| *offset)
    }

    /// Forgets every producer.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }

    /// Forgets producers, as when `producer.id.expiration.ms` has passed. One that has an open transaction is remembered
    /// (`ProducerStateManager.isProducerExpired`).
    pub(super) fn expire(&mut self, is_open: impl Fn(i64) -> bool) {
        self.known.retain(|id, _| is_open(*id));
    }
}

/// The sequence `records` after `sequence`: 31 bits that wrap to zero.
pub(super) fn after(sequence: i32, records: i32) -> i32 {
    sequence.wrapping_add(records) & i32::MAX
}

/// `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`.
const BATCHES_KEPT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32, records: i32) -> Numbered {
        Numbered { producer_id: 7, epoch, first, last: after(first, records - 1) }
    }

    #[test]
    fn the_last_five_batches_are_known_again() {
        let mut producers = Producers::default();
        for (offset, first) in [(0_i64, 0), (10, 10), (20, 20), (30, 30), (40, 40), (50, 50)] {
            assert_eq!(producers.admit(batch(0, first, 10)), Ok(Admission::Next));
            producers.record(batch(0, first, 10), offset, 1);
        }
        assert_eq!(producers.admit(batch(0, 10, 10)), Ok(Admission::Duplicate(10)));
        assert_eq!(producers.admit(batch(0, 50, 10)), Ok(Admission::Duplicate(50)));
        assert_eq!(producers.admit(batch(0, 0, 10)), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producers.admit(batch(0, 50, 9)), Err(ResponseError::OutOfOrderSequenceNumber), "another batch");
        assert_eq!(producers.admit(batch(0, 61, 1)), Err(ResponseError::OutOfOrderSequenceNumber), "a gap");
    }

    #[test]
    fn an_unknown_producer_may_start_anywhere() {
        assert_eq!(Producers::default().admit(batch(3, 4_711, 2)), Ok(Admission::Next));
    }

    #[test]
    fn an_epoch_starts_from_zero_and_fences_older_ones() {
        let mut producers = Producers::default();
        producers.record(batch(1, 0, 5), 0, 1);
        assert_eq!(producers.admit(batch(0, 5, 1)), Err(ResponseError::InvalidProducerEpoch));
        assert_eq!(producers.admit(batch(2, 5, 1)), Err(ResponseError::OutOfOrderSequenceNumber));
        assert_eq!(producers.admit(batch(2, 0, 1)), Ok(Admission::Next));
    }

    #[test]
    fn sequences_wrap() {
        let mut producers = Producers::default();
        producers.record(batch(0, i32::MAX - 1, 4), 0, 1);
        assert_eq!(producers.admit(batch(0, 2, 1)), Ok(Admission::Next));
    }
}
