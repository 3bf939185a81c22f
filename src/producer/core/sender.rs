//! Requests: which partition's batch is sent when, and to which broker.

use std::time::Instant;

use super::Action;
use super::BatchId;
use super::Entry;
use super::Key;
use super::ProducerCore;
use super::REQUESTS_MAX;
use super::batch::Fate;
use super::identity::Current;
use super::identity::Identity;
use super::partition::Stamping;
use super::settings::Mode;
use crate::error::Error;
use crate::record::SealedBatch;
use crate::record::Stamp;
use crate::types::ProducerIdentity;

/// Bytes of a request around its batches, generously: header, client id and a topic's name.
const ENVELOPE: usize = 512;
/// Bytes around one batch, generously.
const ENTRY: usize = 128;

impl<T: Clone> ProducerCore<T> {
    /// Services a partition after an event: expires its old batches, and queues it at its broker if it has something to send.
    pub(super) fn service(&mut self, now: Instant, key: Key) {
        self.expire(now, key);
        let topic = &mut self.topics[key.topic as usize];
        let Some(partition) = self.partitions.get_mut(key) else { return };
        topic.note_queued(key.partition, partition.ready.len() + usize::from(partition.open.is_some()));
        if partition.is_empty() {
            return;
        }
        let (incarnation, led) = (topic.incarnation, topic.leader(key.partition));
        let leader = led.and_then(|partition| partition.leader);
        if led.map(|led| (incarnation, led)) != partition.tried && leader.is_some() {
            // Another leader, another epoch of it, or another log: the failures were not theirs.
            partition.retry_at = None;
            partition.failures = 0;
        }
        let broker = leader.map(|id| self.brokers.entry(id).or_default());
        if let Some(open) = &mut partition.open {
            // An idle broker is worth more than a fuller batch.
            let idle = broker.as_ref().is_some_and(|broker| broker.in_flight == 0);
            open.due |= idle || open.opened + self.settings.linger <= now || open.id <= self.flush_mark;
        }
        let waits = partition.retry_at.is_some_and(|at| at > now);
        match (leader, broker) {
            (Some(leader), Some(broker)) => {
                let wanted = partition.wants() && !waits && partition.has_slot((leader, incarnation), self.mode);
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
                partition.tried = led.map(|led| (incarnation, led));
                let until = self.request_leader(now, key.topic);
                if let Some(partition) = self.partitions.get_mut(key) {
                    partition.retry_at = Some(until);
                }
            }
            (None, _) | (_, None) => {}
        }
        self.arm(now, key);
    }

    /// Requests metadata for a partition without a leader, and returns when to request it again. All partitions of a topic share
    /// that time; metadata that names a leader wakes them before.
    fn request_leader(&mut self, now: Instant, topic: u32) -> Instant {
        if let Some(at) = self.topics[topic as usize].asks_again_at.filter(|at| *at > now) {
            return at;
        }
        self.refresh(topic);
        let until = now + self.settings.back_off(1, &mut self.rng);
        self.topics[topic as usize].asks_again_at = Some(until);
        until
    }

    /// Arms the partition's timer. A timer that is too early stays: one useless call costs less than moving it for each batch.
    pub(super) fn arm(&mut self, now: Instant, key: Key) {
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

    /// Makes requests as long as brokers can take them.
    pub(super) fn fill_requests(&mut self) {
        let able = |(id, broker): (&i32, &super::Broker)| {
            (broker.in_flight < REQUESTS_MAX && !broker.ready.is_empty()).then_some(*id)
        };
        let brokers: Vec<i32> = self.brokers.iter().filter_map(able).collect();
        for broker in brokers {
            while self.fill_request(broker) {}
        }
    }

    /// Makes one request for a broker, with one batch of each partition in turn; returns whether there was something to send.
    fn fill_request(&mut self, broker: i32) -> bool {
        let Some(state) = self.brokers.get(&broker).filter(|state| state.in_flight < REQUESTS_MAX) else {
            return false;
        };
        let turns = state.ready.len();
        let (mut entries, mut sent) = (Vec::with_capacity(turns), Vec::with_capacity(turns));
        let mut bytes = ENVELOPE;
        let mut expiry: Option<Instant> = None;
        for _ in 0..turns {
            let Some(key) = self.brokers.get_mut(&broker).and_then(|state| state.ready.pop_front()) else { break };
            let Some(size) = self.prepare(broker, key) else { continue };
            if !entries.is_empty() && bytes + size + ENTRY > self.settings.request_bytes_max {
                // The next request starts with this partition.
                if let (Some(state), Some(partition)) = (self.brokers.get_mut(&broker), self.partitions.get_mut(key)) {
                    partition.enter_queue(broker);
                    state.ready.push_front(key);
                }
                break;
            }
            if let Some((id, deadline, entry)) = self.take(broker, key) {
                expiry = Some(expiry.map_or(deadline, |first| first.min(deadline)));
                bytes += size + ENTRY;
                sent.push((key, id));
                entries.push(entry);
            }
        }
        let Some(expiry) = expiry else { return false };
        self.last_request += 1;
        self.counters.requests += 1;
        let request = self.last_request;
        self.requests.insert(request, (broker, sent));
        if let Some(state) = self.brokers.get_mut(&broker) {
            state.in_flight += 1;
        }
        self.actions.push_back(Action::Send { broker, request, entries, expiry });
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
        let home = (broker, self.topics[key.topic as usize].incarnation);
        let partition = self.partitions.get_mut(key)?;
        if !partition.wants() || !partition.has_slot(home, self.mode) {
            return None;
        }
        if partition.ready.is_empty() {
            self.close_open(key);
        }
        // A batch that is being compressed comes back when that is done.
        self.partitions.get_mut(key)?.ready.front()?.sealed.as_ref().map(SealedBatch::size)
    }

    /// Gives a partition the identity that it sends under; returns whether it has one.
    fn identify(&mut self, key: Key) -> bool {
        let Some(current) = self.known(Identity::current) else { return false };
        let Some(partition) = self.partitions.get_mut(key) else { return false };
        match partition.stamping(current) {
            Stamping::AsItIs => true,
            Stamping::Wait => false,
            Stamping::Current => {
                partition.adopt(current, self.identity.first_sequence(current));
                true
            }
            Stamping::NextEpoch => {
                self.counters.epoch_bumps += 1;
                let (topic, from) = (&*self.topics[key.topic as usize].name, current.epoch);
                tracing::info!(target: "ottla::producer", topic, partition = key.partition, from, "epoch bumped");
                let Some(next) = self.known(Identity::bump) else { return false };
                if let Some(partition) = self.partitions.get_mut(key) {
                    partition.adopt(next, self.identity.first_sequence(next));
                }
                true
            }
        }
    }

    /// Requests the identity before a batch needs it, and again after failures. Returns whether there is none to wait for.
    pub fn warm(&mut self) -> Result<bool, Error> {
        if let Some(fatal) = &self.fatal {
            return Err(fatal.clone());
        }
        self.warming = self.mode == Mode::Idempotent && self.known(Identity::current).is_none();
        Ok(!self.warming)
    }

    /// Why the last request for an identity failed, if none has succeeded since.
    pub fn identity_problem(&self) -> Option<Error> {
        self.identity.failure().cloned()
    }

    /// The identity that `ask` gets from the machine; requests one where the machine says so.
    pub(super) fn known(&mut self, ask: impl FnOnce(&mut Identity) -> Current) -> Option<ProducerIdentity> {
        match ask(&mut self.identity) {
            Current::Known(identity) => Some(identity),
            Current::Request => {
                self.actions.push_back(Action::InitProducerId);
                None
            }
            Current::Wait => None,
        }
    }

    /// Moves a partition's first batch in flight, and the partition to the end of the queue if it has more.
    fn take(&mut self, broker: i32, key: Key) -> Option<(BatchId, Instant, Entry)> {
        let topic = &mut self.topics[key.topic as usize];
        let partition = self.partitions.get_mut(key)?;
        partition.tried = topic.leader(key.partition).map(|led| (topic.incarnation, led));
        let home = (broker, topic.incarnation);
        let batch = partition.send(home)?;
        debug_assert!(matches!(batch.fate, Fate::InFlight { .. }));
        self.counters.retries += u64::from(batch.attempts > 1);
        let stamp = Stamp { identity: batch.stamp, transactional: false };
        let (id, deadline, sealed) = (batch.id, batch.deadline, batch.sealed.clone()?);
        topic.note_queued(key.partition, partition.ready.len() + usize::from(partition.open.is_some()));
        if partition.wants() && partition.has_slot(home, self.mode) && partition.enter_queue(broker) {
            self.brokers.entry(broker).or_default().ready.push_back(key);
        }
        let entry =
            Entry { topic: topic.name.clone(), id: topic.known.id, partition: key.partition, batch: sealed, stamp };
        Some((id, deadline, entry))
    }
}
