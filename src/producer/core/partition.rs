//! One partition's batches, in order.

use std::collections::VecDeque;
use std::time::Instant;

use super::BatchId;
use super::batch::Batch;
use super::batch::Fate;
use crate::record::BatchBuilder;
use crate::record::ClosedBatch;
use crate::record::RecordRef;
use crate::record::SealedBatch;
use crate::types::ProducerIdentity;
use crate::types::Sequence;

/// The batch that takes records.
#[derive(Debug)]
pub(super) struct Open<T> {
    pub(super) id: BatchId,
    pub(super) builder: BatchBuilder,
    pub(super) ticket: T,
    pub(super) opened: Instant,
    pub(super) deadline: Instant,
}

/// Requests allowed in flight for one partition.
///
/// One until the broker has accepted a batch under this identity: it takes *any* sequence as the first it sees
/// (`ProducerAppendInfo.checkSequence`), so a second behind a refused first would be accepted out of order. Five after that,
/// the batches a broker remembers for deduplication (`NUM_BATCHES_TO_RETAIN`).
const IN_FLIGHT_MAX_UNPROVEN: usize = 1;
const IN_FLIGHT_MAX: usize = 5;
const _: () = assert!(IN_FLIGHT_MAX_UNPROVEN <= IN_FLIGHT_MAX);

#[derive(Debug)]
pub(super) struct Partition<T> {
    pub(super) open: Option<Open<T>>,
    /// Closed batches in order: those to be sent again first, with their stamps.
    pub(super) ready: VecDeque<Batch<T>>,
    /// Sent batches in the order of their sequences.
    pub(super) in_flight: VecDeque<Batch<T>>,
    pub(super) identity: Option<ProducerIdentity>,
    next_sequence: Sequence,
    proven: bool,
    /// A sequence was given out that no broker will see: what follows needs a new epoch.
    pub(super) hole: bool,
    /// A batch came back to be sent again: nothing new is sent until all are back.
    pub(super) recovering: bool,
    /// Failed attempts in a row, for the back-off.
    pub(super) failures: u32,
    pub(super) retry_at: Option<Instant>,
    /// The leader that the last attempt went to, with its epoch: another one is tried at once.
    pub(super) tried: Option<crate::metadata::Partition>,
    pub(super) timer: Option<Instant>,
    /// Whether it stands in a broker's queue.
    pub(super) queued: Option<i32>,
}

impl<T> Partition<T> {
    pub(super) fn new() -> Self {
        Self {
            open: None,
            ready: VecDeque::new(),
            in_flight: VecDeque::new(),
            identity: None,
            next_sequence: Sequence::ZERO,
            proven: false,
            hole: false,
            recovering: false,
            failures: 0,
            retry_at: None,
            tried: None,
            timer: None,
            queued: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.ready.is_empty() && self.in_flight.is_empty()
    }

    /// Opens a batch with its first record; answers the record's index and bytes.
    pub(super) fn open(
        &mut self,
        id: BatchId,
        now: Instant,
        deadline: Instant,
        buffer: Vec<u8>,
        ticket: T,
        record: &RecordRef<'_>,
    ) -> (u32, usize) {
        let mut builder = BatchBuilder::new(buffer);
        let appended = builder.append_within(record, usize::MAX).expect("an empty batch takes any record");
        self.open = Some(Open { id, builder, ticket, opened: now, deadline });
        appended
    }

    /// Closes the open batch; it stays here, to be sealed, as the last in line.
    pub(super) fn close(&mut self) -> Option<(BatchId, ClosedBatch)> {
        let Open { id, builder, ticket, deadline, .. } = self.open.take()?;
        let closed = builder.close();
        self.ready.push_back(Batch {
            id,
            ticket,
            first: 0,
            count: closed.count,
            whole: true,
            bytes: closed.records.len(),
            deadline,
            attempts: 0,
            sealed: None,
            stamp: None,
            fate: Fate::Absent,
            abandoned: false,
        });
        Some((id, closed))
    }

    pub(super) fn sealed(&mut self, id: BatchId, sealed: SealedBatch) {
        if let Some(batch) = self.ready.iter_mut().find(|batch| batch.id == id) {
            batch.sealed = Some(sealed);
        }
    }

    pub(super) fn remove(&mut self, id: BatchId) -> Option<Batch<T>> {
        let at = self.ready.iter().position(|batch| batch.id == id)?;
        self.ready.remove(at)
    }

    /// Takes a sent batch that was answered.
    pub(super) fn answered(&mut self, id: BatchId) -> Option<Batch<T>> {
        let at = self.in_flight.iter().position(|batch| batch.id == id)?;
        self.in_flight.remove(at)
    }

    /// Whether the first batch may be sent, time and leader permitting.
    pub(super) fn is_sendable(&self, idempotent: bool, pipelined: bool) -> bool {
        let Some(head) = self.ready.front().filter(|head| head.sealed.is_some()) else { return false };
        let cap = match (idempotent, pipelined) {
            (true, _) if self.proven && head.attempts == 0 => IN_FLIGHT_MAX,
            (false, true) => IN_FLIGHT_MAX,
            (true | false, _) => IN_FLIGHT_MAX_UNPROVEN,
        };
        self.in_flight.len() < cap && !(self.recovering && !self.in_flight.is_empty())
    }

    /// Stamps the first batch, unless it has a stamp, and moves it in flight.
    pub(super) fn send(&mut self) -> Option<&Batch<T>> {
        let mut batch = self.ready.pop_front()?;
        if batch.stamp.is_none() {
            batch.stamp = self.identity.map(|identity| (identity, self.next_sequence));
            self.next_sequence = self.next_sequence.advance(batch.count);
        }
        batch.fate = batch.fate.sent();
        batch.attempts += 1;
        self.in_flight.push_back(batch);
        self.in_flight.back()
    }

    /// Puts a batch back in line, by its sequence among those that were sent before.
    pub(super) fn retry(&mut self, batch: Batch<T>) {
        self.recovering = true;
        self.proven = false;
        let at = self.ready.iter().position(|other| other.stamp.is_none() || other.id > batch.id);
        self.ready.insert(at.unwrap_or(self.ready.len()), batch);
    }

    /// The leader accepted a batch: nothing stands in the way of more.
    pub(super) fn succeeded(&mut self) {
        self.proven = true;
        self.failures = 0;
        self.retry_at = None;
        if self.in_flight.is_empty() || !self.recovering {
            self.recovering = self.ready.front().is_some_and(|head| head.attempts > 0) && self.recovering;
        }
    }

    /// Whether every stamped batch is back and known not to be in the log, so that stamps may be given anew.
    pub(super) fn may_restamp(&self) -> bool {
        self.in_flight.is_empty() && !self.ready.iter().any(|batch| batch.fate == Fate::Doubtful)
    }

    /// Starts over under another identity.
    pub(super) fn adopt(&mut self, identity: ProducerIdentity) {
        debug_assert!(self.in_flight.is_empty(), "a stamp is replaced only when all batches are back");
        self.identity = Some(identity);
        self.next_sequence = Sequence::ZERO;
        self.proven = false;
        self.hole = false;
        self.recovering = false;
        for batch in &mut self.ready {
            batch.stamp = None;
        }
    }

    /// All batches, to be given up.
    pub(super) fn drain(&mut self) -> Vec<Batch<T>> {
        self.in_flight.drain(..).chain(self.ready.drain(..)).collect()
    }

    /// When something happens to it by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let ready = self.ready.iter().map(|batch| batch.deadline).min();
        let sent = self.in_flight.iter().filter(|batch| !batch.abandoned).map(|batch| batch.deadline).min();
        [ready, sent, self.open.as_ref().map(|open| open.deadline)].into_iter().flatten().min()
    }
}
