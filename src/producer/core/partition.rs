//! One partition's batches, in order.

use std::collections::VecDeque;
use std::time::Instant;

use super::BatchId;
use super::batch::Batch;
use super::batch::Fate;
use super::dues::Dues;
use super::settings::Mode;
use crate::error::Error;
use crate::metadata;
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
    /// The most bytes that it takes before compression.
    pub(super) limit: usize,
    pub(super) ticket: T,
    pub(super) opened: Instant,
    pub(super) deadline: Instant,
    /// It has waited enough: it is sent when its broker can take it, and takes records until then.
    pub(super) due: bool,
}

impl<T> Open<T> {
    /// Opens a batch with its first record; returns the record's bytes.
    pub(super) fn new(
        id: BatchId,
        [opened, deadline]: [Instant; 2],
        (buffer, limit): (Vec<u8>, usize),
        ticket: T,
        record: &RecordRef<'_>,
    ) -> (Self, usize) {
        let mut builder = BatchBuilder::new(buffer);
        let (_, bytes) = builder.append_within(record, usize::MAX).expect("an empty batch takes any record");
        (Self { id, builder, limit, ticket, opened, deadline, due: false }, bytes)
    }

    /// Writes a record if it fits; returns its index and its bytes.
    pub(super) fn append(&mut self, record: &RecordRef<'_>) -> Option<(u32, usize)> {
        self.builder.append_within(record, self.limit)
    }

    /// Whether another record of this size would not fit.
    pub(super) fn is_full(&self, bytes: usize) -> bool {
        self.builder.size() + bytes > self.limit || self.builder.len() >= RECORDS_MAX
    }
}

/// Records in one batch; fewer than the ids that a batch's parts may have.
const RECORDS_MAX: u32 = 1 << 20;

/// Requests allowed in flight for one partition.
///
/// One until the broker has accepted a batch under this identity: it takes *any* sequence as the first it sees
/// (`ProducerAppendInfo.checkSequence`), so a second behind a refused first would be accepted out of order. Five after that,
/// the batches a broker remembers for deduplication (`NUM_BATCHES_TO_RETAIN`).
const IN_FLIGHT_MAX_UNPROVEN: usize = 1;
const IN_FLIGHT_MAX: usize = 5;
const _: () = assert!(IN_FLIGHT_MAX_UNPROVEN <= IN_FLIGHT_MAX);

/// A partition's log: at a broker, and of one incarnation of its topic. A new log knows no sequence of ours, and takes any as the
/// first.
pub(super) type Home = (i32, u32);

/// The identity and stamps that a partition may send under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamping {
    /// Those that it has: they are good, or a batch in doubt is repeated unchanged.
    AsItIs,
    /// The producer's current identity, which it has to adopt first.
    Current,
    /// Another epoch: sequences under this one are lost.
    NextEpoch,
    /// None until its batches in doubt are decided.
    Wait,
}

#[derive(Debug)]
pub(super) struct Partition<T> {
    pub(super) open: Option<Open<T>>,
    /// Closed batches in the order of their ids, which is the order of their records.
    pub(super) ready: VecDeque<Batch<T>>,
    /// Sent batches in the order of their sequences.
    pub(super) in_flight: VecDeque<Batch<T>>,
    /// The log that the batches in flight went to.
    pub(super) at: Option<Home>,
    pub(super) identity: Option<ProducerIdentity>,
    pub(super) next_sequence: Sequence,
    /// The log that accepted a batch under this identity, if nothing failed since.
    proven: Option<Home>,
    /// The last batch that was acknowledged.
    acknowledged: BatchId,
    /// A sequence was used that no broker will see: later batches need a new epoch.
    pub(super) hole: bool,
    /// A batch came back to be sent again: nothing new is sent until all are back.
    pub(super) recovering: bool,
    /// Failed attempts in a row, for the back-off.
    pub(super) failures: u32,
    /// Why the last attempt failed, if none has succeeded since: the cause of records that run out of time.
    pub(super) failure: Option<Error>,
    pub(super) retry_at: Option<Instant>,
    /// The leader that the last attempt went to, with its epoch, and the topic's incarnation: another one is tried at once.
    pub(super) tried: Option<(u32, metadata::Partition)>,
    /// Records with deadlines of their own.
    pub(super) dues: Dues,
    /// The time at which it is serviced, at the latest.
    pub(super) timer: Option<Instant>,
    /// The brokers in whose queue it has an entry: one entry in each at most, however often the leader moves there and back.
    pub(super) queued_at: Vec<i32>,
    /// The broker that takes its open batch as soon as it is idle.
    pub(super) noted: Option<i32>,
    /// The bytes of its last batch, as an estimate of the next.
    pub(super) usual: usize,
}

impl<T> Partition<T> {
    pub(super) fn new() -> Self {
        Self {
            open: None,
            ready: VecDeque::new(),
            in_flight: VecDeque::new(),
            at: None,
            identity: None,
            next_sequence: Sequence::ZERO,
            proven: None,
            acknowledged: 0,
            hole: false,
            recovering: false,
            failures: 0,
            failure: None,
            retry_at: None,
            tried: None,
            dues: Dues::default(),
            timer: None,
            queued_at: Vec::new(),
            noted: None,
            usual: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_none() && self.ready.is_empty() && self.in_flight.is_empty()
    }

    /// Closes the open batch, which stays here, last in the queue, to be sealed. `ids` is the number of ids that it owns.
    pub(super) fn close(&mut self, ids: u64) -> Option<(BatchId, ClosedBatch)> {
        let Open { id, builder, ticket, deadline, .. } = self.open.take()?;
        let closed = builder.close();
        self.usual = closed.records.len();
        self.ready.push_back(Batch {
            id,
            ids,
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
            reported: Vec::new(),
            parts: Vec::new(),
        });
        Some((id, closed))
    }

    /// Stores a sealed batch; returns its bytes before and after, if it is still here.
    pub(super) fn sealed(&mut self, id: BatchId, sealed: SealedBatch) -> Option<(usize, usize)> {
        let batch = self.ready.iter_mut().rev().find(|batch| batch.id == id)?;
        let sizes = (batch.bytes, sealed.body().len());
        batch.sealed = Some(sealed);
        Some(sizes)
    }

    pub(super) fn remove(&mut self, id: BatchId) -> Option<Batch<T>> {
        let at = self.ready.iter().position(|batch| batch.id == id)?;
        self.ready.remove(at)
    }

    /// Takes out a batch in flight whose response has come.
    pub(super) fn answered(&mut self, id: BatchId) -> Option<Batch<T>> {
        let at = self.in_flight.iter().position(|batch| batch.id == id)?;
        self.in_flight.remove(at)
    }

    /// Whether there is something to send: the first batch of the queue is sealed, or the queue is empty and the open batch is due.
    pub(super) fn wants(&self) -> bool {
        match self.ready.front() {
            Some(head) => head.sealed.is_some(),
            None => self.open.as_ref().is_some_and(|open| open.due),
        }
    }

    /// Whether one more batch may go to this log.
    pub(super) fn has_slot(&self, home: Home, mode: Mode) -> bool {
        if self.in_flight.is_empty() {
            return true;
        }
        // Requests to two logs may be carried out in either order.
        if self.recovering || self.at != Some(home) {
            return false;
        }
        let retried = self.ready.front().is_some_and(|head| head.attempts > 0);
        let cap = match mode {
            Mode::Idempotent if self.proven == Some(home) && !retried => IN_FLIGHT_MAX,
            Mode::Unanswered => IN_FLIGHT_MAX,
            Mode::Idempotent | Mode::Answered => IN_FLIGHT_MAX_UNPROVEN,
        };
        self.in_flight.len() < cap
    }

    /// Stamps the first batch, unless it has a stamp, and moves it in flight.
    pub(super) fn send(&mut self, home: Home) -> Option<&Batch<T>> {
        let mut batch = self.ready.pop_front()?;
        if batch.stamp.is_none() {
            batch.stamp = self.identity.map(|identity| (identity, self.next_sequence));
            self.next_sequence = self.next_sequence.advance(batch.count);
        }
        batch.fate = batch.fate.sent();
        batch.attempts += 1;
        self.at = Some(home);
        self.in_flight.push_back(batch);
        self.in_flight.back()
    }

    /// Notes an entry in a broker's queue; returns whether there was none.
    pub(super) fn enter_queue(&mut self, broker: i32) -> bool {
        let is_new = !self.queued_at.contains(&broker);
        if is_new {
            self.queued_at.push(broker);
        }
        is_new
    }

    /// Its entry was taken out of a broker's queue.
    pub(super) fn left_queue(&mut self, broker: i32) {
        self.queued_at.retain(|queued| *queued != broker);
    }

    /// Puts a batch into the queue where its id belongs.
    pub(super) fn insert(&mut self, batch: Batch<T>) {
        let at = self.ready.iter().position(|other| other.id > batch.id);
        self.ready.insert(at.unwrap_or(self.ready.len()), batch);
    }

    /// Puts a batch back into the queue, to be sent again before any later batch.
    pub(super) fn retry(&mut self, batch: Batch<T>) {
        self.recovering = true;
        self.proven = None;
        self.insert(batch);
    }

    /// Notes that the leader accepted a batch.
    pub(super) fn succeeded(&mut self, id: BatchId) {
        self.acknowledged = self.acknowledged.max(id);
        self.failures = 0;
        self.failure = None;
        self.retry_at = None;
        if self.in_flight.is_empty() {
            self.recovering &= self.ready.front().is_some_and(|head| head.attempts > 0);
        }
        if !self.recovering {
            self.proven = self.at;
        }
    }

    /// The last batch that is in the log, or may be.
    pub(super) fn last_maybe_written(&self) -> BatchId {
        let doubtful = self.ready.iter().rev().find(|batch| batch.fate == Fate::Doubtful);
        doubtful.map_or(self.acknowledged, |batch| batch.id.max(self.acknowledged))
    }

    /// Takes all batches up to this one out of the queue.
    pub(super) fn take_until(&mut self, last: BatchId) -> VecDeque<Batch<T>> {
        let after = self.ready.split_off(self.ready.partition_point(|batch| batch.id <= last));
        std::mem::replace(&mut self.ready, after)
    }

    /// Whether every stamped batch is back, and surely neither it nor a later one is in the log, so that stamps may be replaced.
    pub(super) fn may_restamp(&self) -> bool {
        let is_bound = |batch: &Batch<T>| batch.fate == Fate::Doubtful || batch.id < self.acknowledged;
        self.in_flight.is_empty() && !self.ready.iter().any(is_bound)
    }

    /// Whether records may be taken out of a batch: it waits here, is surely in no log, and its stamp is not needed.
    pub(super) fn may_cull(&self, id: BatchId) -> bool {
        let batch = self.ready.iter().find(|batch| batch.id == id);
        batch.is_some_and(|batch| batch.fate == Fate::Absent && (batch.stamp.is_none() || self.may_restamp()))
    }

    /// Decides what it may send under, where `current` is the producer's identity.
    pub(super) fn stamping(&self, current: ProducerIdentity) -> Stamping {
        let is_stale = self.identity != Some(current);
        if !self.hole && !is_stale {
            return Stamping::AsItIs;
        }
        if !self.may_restamp() {
            // A batch in doubt is sent again unchanged, and its response decides. Nothing new goes out under the old identity.
            let is_stamped = self.ready.front().is_some_and(|head| head.stamp.is_some());
            return if is_stamped { Stamping::AsItIs } else { Stamping::Wait };
        }
        if !self.hole && self.ready.iter().any(|batch| batch.stamp.is_some()) {
            // Refused batches keep their stamps while those are good.
            return Stamping::AsItIs;
        }
        if is_stale { Stamping::Current } else { Stamping::NextEpoch }
    }

    /// Starts over under another identity, with this sequence.
    pub(super) fn adopt(&mut self, identity: ProducerIdentity, first: Sequence) {
        debug_assert!(self.in_flight.is_empty(), "a stamp is replaced only when all batches are back");
        self.identity = Some(identity);
        self.next_sequence = first;
        self.proven = None;
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

    /// The first delivery deadline, of a batch or of a single record. Batches are in the order of their deadlines.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let sent = self.in_flight.iter().find(|batch| !batch.abandoned).map(|batch| batch.deadline);
        let ready = self.ready.front().map(|batch| batch.deadline);
        [sent, ready, self.open.as_ref().map(|open| open.deadline), self.dues.first()].into_iter().flatten().min()
    }
}
