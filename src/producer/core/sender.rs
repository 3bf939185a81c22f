//! What is sent, when, and to whom.

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
use crate::record::Stamp;
use crate::types::ProducerIdentity;
use crate::types::TopicId;

/// Bytes of a request around its batches, generously: header, topic and partition entries.
const ENVELOPE: usize = 512;

impl<T: Clone> ProducerCore<T> {
    /// Looks at a partition after something happened to it. Answers whether there may be something to do.
    pub(super) fn service(&mut self, now: Instant, key: Key) -> bool {
        self.expire(now, key);
        let topic = &self.topics[key.topic as usize].name;
        let led = self.snapshot.partition(topic, key.partition);
        let leader = led.and_then(|partition| partition.leader);
        let idle = leader.is_some_and(|id| self.brokers.get(&id).is_none_or(|broker| broker.in_flight == 0));
        let Some(partition) = self.partitions.get_mut(&key) else { return false };
        let mut acted = false;
        let linger = self.settings.linger;
        if let Some(open) = &partition.open {
            // A broker with nothing to do is worth more than a fuller batch; what is in line goes first all the same.
            let early = idle && partition.ready.is_empty() && partition.in_flight.is_empty();
            if open.opened + linger <= now || early {
                self.close_open(key);
                acted = true;
            }
        }
        let Some(partition) = self.partitions.get_mut(&key) else { return acted };
        if led != partition.tried && leader.is_some() {
            // Another leader, or another epoch of it: no reason to wait.
            partition.retry_at = None;
        }
        let waits = partition.retry_at.is_some_and(|at| at > now);
        let pipelined = self.settings.acks == 0;
        let sendable = partition.is_sendable(self.settings.idempotent, pipelined) && !waits;
        match leader {
            Some(leader) if sendable && partition.queued != Some(leader) => {
                partition.queued = Some(leader);
                self.brokers.entry(leader).or_default().ready.push_back(key);
                acted = true;
            }
            None if sendable => {
                let name = self.topics[key.topic as usize].name.clone();
                self.actions.push_back(Action::RefreshMetadata(name));
                let wait = self.back_off(1);
                if let Some(partition) = self.partitions.get_mut(&key) {
                    partition.tried = led;
                    partition.retry_at = Some(now + wait);
                }
            }
            Some(_) | None => {}
        }
        self.rearm(now, key);
        acted
    }

    fn rearm(&mut self, now: Instant, key: Key) {
        let Some(partition) = self.partitions.get(&key) else { return };
        let linger = partition.open.as_ref().map(|open| open.opened + self.settings.linger);
        let retry = partition.retry_at.filter(|at| *at > now && !partition.ready.is_empty());
        match [linger, retry, partition.next_deadline()].into_iter().flatten().min() {
            Some(at) => self.arm(key, at),
            None => self.disarm(key),
        }
    }

    pub(super) fn back_off(&mut self, failures: u32) -> std::time::Duration {
        let mut backoff = Backoff::new(self.settings.retry_backoff, self.settings.retry_backoff_max);
        for _ in 1..failures.min(16) {
            backoff.next(&mut self.rng);
        }
        backoff.next(&mut self.rng)
    }

    /// Decides what is past its delivery deadline.
    fn expire(&mut self, now: Instant, key: Key) {
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        if partition.open.as_ref().is_some_and(|open| open.deadline <= now) {
            self.close_open(key);
        }
        let Some(partition) = self.partitions.get_mut(&key) else { return };
        let mut expired = Vec::new();
        while let Some(at) = partition.ready.iter().position(|batch| batch.deadline <= now) {
            let Some(batch) = partition.ready.remove(at) else { break };
            // Its sequences were given out and nobody will see them.
            partition.hole |= batch.stamp.is_some();
            expired.push(batch);
        }
        let mut told = Vec::new();
        for batch in partition.in_flight.iter_mut().filter(|batch| batch.deadline <= now && !batch.abandoned) {
            // The answer may still come and decides the sequence; the records are told now.
            batch.abandoned = true;
            told.push((batch.id, batch.ticket.clone(), batch.first, batch.count, batch.whole, batch.bytes));
        }
        if told.is_empty() && expired.is_empty() {
            return;
        }
        let timed_out = self.timed_out(key);
        for (id, ticket, first, count, whole, bytes) in told {
            self.outstanding.remove(&id);
            let outcome = Outcome::Failed(timed_out.clone().written(Written::Maybe));
            self.actions.push_back(Action::Complete { ticket, first, count, whole, outcome, bytes });
        }
        for batch in expired {
            let written = batch.fate.written();
            self.complete(batch, Outcome::Failed(timed_out.clone().written(written)));
        }
    }

    /// Makes requests while brokers can take them.
    pub(super) fn fill_requests(&mut self) {
        let brokers: Vec<i32> = self
            .brokers
            .iter()
            .filter(|(_, broker)| broker.in_flight < REQUESTS_MAX && !broker.ready.is_empty())
            .map(|(id, _)| *id)
            .collect();
        for broker in brokers {
            while self.fill_request(broker) {}
        }
    }

    /// Makes one request for a broker, each partition in turn with one batch; answers whether there was something to send.
    fn fill_request(&mut self, broker: i32) -> bool {
        let Some(state) = self.brokers.get_mut(&broker).filter(|state| state.in_flight < REQUESTS_MAX) else {
            return false;
        };
        let turns = state.ready.len();
        let mut entries = Vec::new();
        let mut sent = Vec::new();
        let mut bytes = ENVELOPE;
        for _ in 0..turns {
            let Some(key) = self.brokers.get_mut(&broker).and_then(|state| state.ready.pop_front()) else { break };
            let size = match self.next_size(broker, key) {
                Some(size) => size,
                None => continue,
            };
            if !entries.is_empty() && bytes + size > self.settings.request_bytes_max {
                // The next request starts with it.
                if let Some(state) = self.brokers.get_mut(&broker) {
                    state.ready.push_front(key);
                }
                break;
            }
            if let Some((id, entry)) = self.take(key) {
                bytes += size + ENVELOPE / 4;
                sent.push((key, id));
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            return false;
        }
        let request = self.new_id();
        self.requests.insert(request, (broker, sent));
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.in_flight += 1;
        }
        self.actions.push_back(Action::Send { broker, request, entries });
        true
    }

    /// The size of what a partition would send to this broker now; takes it out of line if that is nothing.
    fn next_size(&mut self, broker: i32, key: Key) -> Option<usize> {
        let topic = &self.topics[key.topic as usize].name;
        let leader = self.snapshot.partition(topic, key.partition).and_then(|partition| partition.leader);
        let idempotent = self.settings.idempotent;
        let pipelined = self.settings.acks == 0;
        let identified = !idempotent || self.identify(key);
        let partition = self.partitions.get_mut(&key)?;
        if partition.queued != Some(broker) {
            return None;
        }
        let ours = leader == Some(broker) && partition.is_sendable(idempotent, pipelined) && identified;
        if !ours {
            partition.queued = None;
            return None;
        }
        partition.ready.front()?.sealed.as_ref().map(crate::record::SealedBatch::size)
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
        let Some(partition) = self.partitions.get_mut(&key) else { return false };
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
            partition.adopt(current);
            return true;
        }
        self.bump(key, current)
    }

    /// Moves on to the next epoch, or to a new id where epochs have run out.
    fn bump(&mut self, key: Key, current: ProducerIdentity) -> bool {
        match current.next_epoch() {
            Some(next) => {
                self.identity = Identity::Known(next);
                if let Some(partition) = self.partitions.get_mut(&key) {
                    partition.adopt(next);
                }
                true
            }
            None => {
                self.identity = Identity::Asked;
                self.actions.push_back(Action::InitProducerId);
                false
            }
        }
    }

    /// Moves a partition's first batch in flight, and the partition to the end of the line if it has more.
    fn take(&mut self, key: Key) -> Option<(BatchId, Entry)> {
        let topic = self.topics[key.topic as usize].name.clone();
        let id = self.snapshot.topic(&topic).map_or(TopicId::ZERO, |topic| topic.id);
        let tried = self.snapshot.partition(&topic, key.partition);
        let (idempotent, pipelined) = (self.settings.idempotent, self.settings.acks == 0);
        let partition = self.partitions.get_mut(&key)?;
        partition.tried = tried;
        let queued = partition.queued.take();
        let batch = partition.send()?;
        debug_assert!(matches!(batch.fate, Fate::InFlight { .. }));
        let stamp = Stamp { identity: batch.stamp, transactional: false };
        let (batch_id, sealed) = (batch.id, batch.sealed.clone()?);
        if partition.is_sendable(idempotent, pipelined) {
            partition.queued = queued;
            if let Some(state) = queued.and_then(|broker| self.brokers.get_mut(&broker)) {
                state.ready.push_back(key);
            }
        }
        Some((batch_id, Entry { topic, id, partition: key.partition, batch: sealed, stamp }))
    }
}
