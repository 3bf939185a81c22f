//! What is sent, when, and to whom.

use std::time::Duration;
use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Entry;
use super::Identity;
use super::Key;
use super::ProducerCore;
use super::REQUESTS_MAX;
use super::batch::Fate;
use super::batch::Outcome;
use crate::conn::backoff::Backoff;
use crate::error::Written;
use crate::record::SealedBatch;
use crate::record::Stamp;
use crate::types::ProducerIdentity;
use crate::types::Sequence;

/// Bytes of a request around its batches, generously: header, client id and a topic's name.
const ENVELOPE: usize = 512;
/// Bytes around one batch, generously.
const ENTRY: usize = 128;

impl<T: Clone> ProducerCore<T> {
    /// Looks at a partition after something happened to it: decides what is too old, and puts it in its broker's line if it
    /// has something to send.
    pub(super) fn service(&mut self, now: Instant, key: Key) {
        self.expire(now, key);
        let topic = &mut self.topics[key.topic as usize];
        let Some(partition) = self.partitions.get_mut(key) else { return };
        topic.note_queued(key.partition, partition.ready.len() + usize::from(partition.open.is_some()));
        if partition.is_empty() {
            return;
        }
        let id = topic.known.id;
        let led = topic.leader(key.partition);
        let leader = led.and_then(|partition| partition.leader);
        if led != partition.tried && leader.is_some() {
            // Another leader, or another epoch of it: no reason to wait.
            partition.retry_at = None;
        }
        let broker = leader.map(|id| self.brokers.entry(id).or_default());
        if let Some(open) = &mut partition.open {
            // A broker with nothing to do is worth more than a fuller batch.
            let idle = broker.as_ref().is_some_and(|broker| broker.in_flight == 0);
            open.due |= idle || open.opened + self.settings.linger <= now || open.id <= self.flush_mark;
        }
        let waits = partition.retry_at.is_some_and(|at| at > now);
        match (leader, broker) {
            (Some(leader), Some(broker)) => {
                let wanted = partition.wants() && !waits && partition.has_slot((leader, id), self.mode);
                if wanted && partition.enter_queue(leader) {
                    broker.ready.push_back(key);
                    self.work |= broker.in_flight < REQUESTS_MAX;
                }
                if partition.open.as_ref().is_some_and(|open| !open.due) && partition.noted != Some(leader) {
                    partition.noted = Some(leader);
                    broker.opened.push(key);
                }
            }
            (None, _) | (_, None) if partition.wants() && !waits => {
                partition.tried = led;
                self.refresh(key.topic);
                let wait = self.back_off(1);
                if let Some(partition) = self.partitions.get_mut(key) {
                    partition.retry_at = Some(now + wait);
                }
            }
            (None, _) | (_, None) => {}
        }
        self.arm(now, key);
    }

    /// Sees to it that the partition is looked at when its next time comes. A timer that is too early is left as it is: it
    /// costs one look, less than moving it for each batch.
    fn arm(&mut self, now: Instant, key: Key) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let linger = partition.open.as_ref().filter(|open| !open.due).map(|open| open.opened + self.settings.linger);
        let retry = partition.retry_at.filter(|at| *at > now && partition.wants());
        let Some(at) = [linger, retry, partition.next_deadline()].into_iter().flatten().min() else { return };
        if partition.timer.is_some_and(|armed| armed <= at) {
            return;
        }
        if let Some(before) = partition.timer.replace(at) {
            self.timers.remove(&(before, key));
        }
        self.timers.insert((at, key));
    }

    pub(super) fn back_off(&mut self, failures: u32) -> Duration {
        let mut backoff = Backoff::new(self.settings.retry_backoff, self.settings.retry_backoff_max);
        for _ in 1..failures.min(16) {
            backoff.next(&mut self.rng);
        }
        backoff.next(&mut self.rng)
    }

    /// Decides what is past its delivery deadline.
    fn expire(&mut self, now: Instant, key: Key) {
        let Some(partition) = self.partitions.get_mut(key) else { return };
        if partition.next_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if partition.open.as_ref().is_some_and(|open| open.deadline <= now) {
            self.close_open(key);
        }
        let timed_out = self.timed_out(key);
        let Some(partition) = self.partitions.get_mut(key) else { return };
        let mut expired = Vec::new();
        while partition.ready.front().is_some_and(|batch| batch.deadline <= now) {
            let Some(batch) = partition.ready.pop_front() else { break };
            // Its sequences were given out and nobody will see them.
            partition.hole |= batch.stamp.is_some();
            expired.push(batch);
        }
        for batch in partition.in_flight.iter_mut().filter(|batch| batch.deadline <= now && !batch.abandoned) {
            // The answer may still come: it decides the sequence, and until then the bytes are held. The records are told now.
            batch.abandoned = true;
            self.outstanding.remove(&batch.id);
            let outcome = Outcome::Failed(timed_out.clone().written(Written::Maybe));
            let (ticket, first, count, whole) = (batch.ticket.clone(), batch.first, batch.count, batch.whole);
            self.actions.push_back(Action::Complete { ticket, first, count, whole, outcome, bytes: 0 });
        }
        for batch in expired {
            let written = batch.fate.written();
            self.complete(batch, Outcome::Failed(timed_out.clone().written(written)));
        }
    }

    /// Makes requests while brokers can take them.
    pub(super) fn fill_requests(&mut self) {
        let able = |(id, broker): (&i32, &super::Broker)| {
            (broker.in_flight < REQUESTS_MAX && !broker.ready.is_empty()).then_some(*id)
        };
        let brokers: Vec<i32> = self.brokers.iter().filter_map(able).collect();
        for broker in brokers {
            while self.fill_request(broker) {}
        }
    }

    /// Makes one request for a broker, each partition in turn with one batch; answers whether there was something to send.
    fn fill_request(&mut self, broker: i32) -> bool {
        let Some(state) = self.brokers.get(&broker).filter(|state| state.in_flight < REQUESTS_MAX) else {
            return false;
        };
        let turns = state.ready.len();
        let (mut entries, mut sent) = (Vec::with_capacity(turns), Vec::with_capacity(turns));
        let mut bytes = ENVELOPE;
        for _ in 0..turns {
            let Some(key) = self.brokers.get_mut(&broker).and_then(|state| state.ready.pop_front()) else { break };
            let Some(size) = self.prepare(broker, key) else { continue };
            if !entries.is_empty() && bytes + size + ENTRY > self.settings.request_bytes_max {
                // The next request starts with it.
                if let (Some(state), Some(partition)) = (self.brokers.get_mut(&broker), self.partitions.get_mut(key)) {
                    partition.enter_queue(broker);
                    state.ready.push_front(key);
                }
                break;
            }
            if let Some((id, entry)) = self.take(broker, key) {
                bytes += size + ENTRY;
                sent.push((key, id));
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            return false;
        }
        self.last_request += 1;
        let request = self.last_request;
        self.requests.insert(request, (broker, sent));
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.in_flight += 1;
        }
        self.actions.push_back(Action::Send { broker, request, entries });
        true
    }

    /// Prepares the batch that a partition sends to this broker, and returns its size. The partition has left the queue by this;
    /// `None` if it has nothing that may be sent.
    fn prepare(&mut self, broker: i32, key: Key) -> Option<usize> {
        let led = self.topics[key.topic as usize].leader(key.partition);
        self.partitions.get_mut(key)?.left_queue(broker);
        if led.and_then(|led| led.leader) != Some(broker) || (self.settings.idempotent && !self.identify(key)) {
            return None;
        }
        let id = self.topics[key.topic as usize].known.id;
        let partition = self.partitions.get_mut(key)?;
        if !partition.wants() || !partition.has_slot((broker, id), self.mode) {
            return None;
        }
        if partition.ready.is_empty() {
            self.close_open(key);
        }
        // One that is being compressed comes again when that is done.
        self.partitions.get_mut(key)?.ready.front()?.sealed.as_ref().map(SealedBatch::size)
    }

    /// Gives a partition the identity it sends under; answers whether it has one that is of use.
    fn identify(&mut self, key: Key) -> bool {
        let Identity::Known(current) = self.identity else {
            if self.identity == Identity::Missing {
                self.identity = Identity::Asked;
                self.actions.push_back(Action::InitProducerId);
            }
            return false;
        };
        let Some(partition) = self.partitions.get_mut(key) else { return false };
        let stale = partition.identity != Some(current);
        if !partition.hole && !stale {
            return true;
        }
        if !partition.may_restamp() {
            // What is in doubt is sent again as it was; its answer decides. Nothing new goes out under the old identity.
            return partition.ready.front().is_some_and(|head| head.stamp.is_some());
        }
        let fresh = partition.ready.iter().all(|batch| batch.stamp.is_none());
        if !partition.hole && !fresh {
            // Refused batches keep their stamps while those are good.
            return true;
        }
        if stale {
            // Brokers that know the id want its next epoch to begin with zero.
            partition.adopt(current, if current.epoch == 0 { self.first_sequence } else { Sequence::ZERO });
            return true;
        }
        self.bump(key, current)
    }

    /// Moves on to the next epoch, or to a new id where epochs have run out.
    fn bump(&mut self, key: Key, current: ProducerIdentity) -> bool {
        let Some(next) = current.next_epoch() else {
            self.identity = Identity::Asked;
            self.actions.push_back(Action::InitProducerId);
            return false;
        };
        self.identity = Identity::Known(next);
        if let Some(partition) = self.partitions.get_mut(key) {
            partition.adopt(next, Sequence::ZERO);
        }
        true
    }

    /// Moves a partition's first batch in flight, and the partition to the end of the line if it has more.
    fn take(&mut self, broker: i32, key: Key) -> Option<(BatchId, Entry)> {
        let topic = &mut self.topics[key.topic as usize];
        let partition = self.partitions.get_mut(key)?;
        partition.tried = topic.leader(key.partition);
        let home = (broker, topic.known.id);
        let batch = partition.send(home)?;
        debug_assert!(matches!(batch.fate, Fate::InFlight { .. }));
        let stamp = Stamp { identity: batch.stamp, transactional: false };
        let (id, sealed) = (batch.id, batch.sealed.clone()?);
        topic.note_queued(key.partition, partition.ready.len() + usize::from(partition.open.is_some()));
        if partition.wants() && partition.has_slot(home, self.mode) && partition.enter_queue(broker) {
            self.brokers.entry(broker).or_default().ready.push_back(key);
        }
        let entry =
            Entry { topic: topic.name.clone(), id: topic.known.id, partition: key.partition, batch: sealed, stamp };
        Some((id, entry))
    }
}
