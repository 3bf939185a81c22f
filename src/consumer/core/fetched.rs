//! Takes fetch responses, and what happened instead of one.

use std::time::Duration;
use std::time::Instant;

use super::ConsumerCore;
use super::action::Action;
use super::node::WithoutRack;
use super::session::Entry;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::types::TopicPartition;
use crate::wire::message::FetchResponse;
use crate::wire::message::FetchedPartition;
use crate::wire::message::Node as Broker;

/// Responses that brought nothing and did not wait, after which to slow down.
const EMPTY_MAX: u32 = 3;
/// How long to wait then.
const EMPTY_PAUSE: Duration = Duration::from_millis(50);

impl ConsumerCore {
    /// A fetch got no response: the connection was lost, or could not be made, or the deadline passed.
    pub(super) fn fetch_failed(&mut self, now: Instant, id: i32, connection: usize, error: Error) {
        let patience = self.config.patience;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let connection = &mut node.connections[connection];
        connection.in_flight = None;
        connection.session.failed();
        let lasts = node.retry.failed(now, &mut self.rng, patience);
        let slots: Vec<usize> = connection.session.slots().collect();
        for slot in slots {
            self.want_metadata(slot);
            if let Some(partition) = self.slots.get_mut(slot) {
                partition.leave_broker(id, "fetch failed");
            }
        }
        self.report_request(lasts, &error.at_broker(id.to_string()));
    }

    pub(super) fn fetched(&mut self, now: Instant, id: i32, at: usize, response: FetchResponse) {
        if self.closed {
            return;
        }
        self.counters.fetch_responses += 1;
        if let Some(code) = response.error {
            return self.fetch_refused(now, id, at, code);
        }
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let connection = &mut node.connections[at];
        let sent = connection.in_flight.take();
        let waited = sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent.since));
        let results = response.topics.iter().map(|topic| topic.partitions.len()).sum();
        if !connection.session.handle_response(response.session_id, results, response.throttle_time_ms > 0) {
            let error = Error::protocol("the fetch response is not about the partitions of the request");
            let error = error.at_broker(id.to_string());
            let lasts = node.retry.failed(now, &mut self.rng, self.config.patience);
            return self.report_request(lasts, &Error::new(Kind::Connect, error.to_string()));
        }
        node.retry.clear();
        if let Ok(throttle @ 1..) = u64::try_from(response.throttle_time_ms) {
            node.retry.wait(now + Duration::from_millis(throttle));
        }
        let mut moved = false;
        for topic in response.topics {
            let name = if topic.name.is_empty() {
                self.snapshot.topic_by_id(topic.id).map(|topic| topic.name.clone()).unwrap_or_default()
            } else {
                topic.name
            };
            for partition in topic.partitions {
                let Some(slot) = self.slots.find(&name, partition.index) else { continue };
                // Partitions that were not requested, and second results for one, do not count.
                let sent = self.nodes.get_mut(&id).and_then(|node| node.connections[at].session.take_sent(slot));
                let Some(sent) = sent else { continue };
                moved |= self.partition_fetched(now, id, slot, &sent, partition, &response.nodes);
            }
        }
        self.slow_down(now, id, at, moved || waited >= self.config.fetch_wait_max / 2);
    }

    /// Brokers hold a fetch until there is something to return. A broker that does not is fetched from less often.
    fn slow_down(&mut self, now: Instant, id: i32, connection: usize, is_fine: bool) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let connection = &mut node.connections[connection];
        connection.empty = if is_fine { 0 } else { connection.empty.saturating_add(1) };
        if connection.empty >= EMPTY_MAX {
            node.retry.wait(now + EMPTY_PAUSE);
        }
    }

    fn fetch_refused(&mut self, now: Instant, id: i32, connection: usize, code: Code) {
        let patience = self.config.patience;
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let connection = &mut node.connections[connection];
        connection.in_flight = None;
        let was_incremental = !connection.session.is_full();
        connection.session.refused(code);
        self.counters.sessions_lost += u64::from(was_incremental);
        tracing::debug!(target: "ottla::consumer", broker = id, %code, "fetch session lost");
        // A broker forgets sessions when it has too many; a broker that reports a lost session where it had none is fetched from
        // less often.
        if code == Code::FetchSessionIdNotFound && was_incremental {
            return;
        }
        let lasts = node.retry.failed(now, &mut self.rng, patience);
        if code == Code::FetchSessionTopicIdError || code.is_stale_metadata() {
            let slots: Vec<usize> = connection.session.slots().collect();
            for slot in slots {
                self.want_metadata(slot);
            }
        }
        if lasts || !code.is_retriable() {
            self.report(Error::broker(code, "could not fetch").at_broker(id.to_string()));
        }
    }

    /// Handles the result for one partition. Returns whether it changed anything.
    fn partition_fetched(
        &mut self,
        now: Instant,
        id: i32,
        slot: usize,
        sent: &Entry,
        answer: FetchedPartition,
        nodes: &[Broker],
    ) -> bool {
        let Some(partition) = self.slots.get(slot) else { return false };
        if let Some(leader) = answer.current_leader {
            let TopicPartition { topic, partition } = partition.key().clone();
            self.actions.push_back(Action::Hint { topic, partition, leader, nodes: nodes.to_vec() });
        }
        if !partition.is_current_for(sent) {
            return true;
        }
        match answer.error {
            None => self.take_in(now, id, slot, answer),
            Some(code) => {
                self.partition_refused(now, id, slot, code);
                true
            }
        }
    }

    fn partition_refused(&mut self, now: Instant, id: i32, slot: usize, code: Code) {
        let policy = self.config.reset;
        let Some(partition) = self.slots.get_mut(slot) else { return };
        partition.leave_replica("fetch refused");
        let from_follower = partition.leader() != Some(id);
        match code {
            // A follower may be behind, or have less of the log: only the leader knows what is in range.
            Code::OffsetOutOfRange if from_follower => {}
            Code::OffsetOutOfRange => {
                // Retried at once the first time, then with growing pauses: no offset may fit the log.
                let again = partition.retry.has_failed();
                partition.retry.failed(now, &mut self.rng, self.config.patience);
                if !again {
                    partition.retry.retry_now();
                }
                partition.out_of_range(policy);
            }
            Code::CorruptMessage => {
                let error = Error::broker(code, "the broker could not read its log");
                let error = partition.place(error).at_offset(partition.fetch().offset);
                partition.retry.failed(now, &mut self.rng, self.config.patience);
                partition.report(error);
            }
            _ => self.partition_failed(now, slot, code, "could not fetch"),
        }
    }

    /// Queues what was fetched. Returns whether anything came.
    fn take_in(&mut self, now: Instant, id: i32, slot: usize, answer: FetchedPartition) -> bool {
        self.counters.fetched_bytes += answer.records.as_ref().map_or(0, |records| records.len() as u64);
        let preferred = Some(answer.preferred_read_replica).filter(|replica| *replica >= 0 && *replica != id);
        let mut moved = false;
        match preferred {
            Some(replica) if self.is_usable(replica) => {
                let until = now + self.config.replica_lease;
                if let Some(partition) = self.slots.get_mut(slot) {
                    partition.prefer_replica(replica, until);
                }
                moved = true;
            }
            Some(replica) => self.avoid_replica(now, id, slot, replica),
            None => {}
        }
        let Some(partition) = self.slots.get_mut(slot) else { return false };
        if preferred.is_none() {
            partition.retry.clear();
        }
        match partition.take_in(answer, self.config.isolation) {
            Ok(came) => moved | came,
            Err(error) => {
                partition.retry.failed(now, &mut self.rng, self.config.patience);
                partition.report(error);
                true
            }
        }
    }

    /// Whether a replica can be fetched from, as far as is known.
    fn is_usable(&self, replica: i32) -> bool {
        let is_waiting = self.nodes.get(&replica).is_some_and(|node| node.retry.is_waiting());
        self.snapshot.broker(replica).is_some() && !is_waiting
    }

    /// The leader refers to a replica that cannot be used, and brings no records itself.
    ///
    /// It may have restarted, so metadata is requested, and the leader is fetched from after a pause. If it still refers to that
    /// replica, fetches to it carry no rack, which makes Kafka's `RackAwareReplicaSelector` choose the leader.
    fn avoid_replica(&mut self, now: Instant, leader: i32, slot: usize, replica: i32) {
        let patience = self.config.patience;
        let Some(partition) = self.slots.get_mut(slot) else { return };
        let is_repeated = partition.retry.has_failed();
        if partition.retry.failed(now, &mut self.rng, patience) {
            let message = format!("the leader refers to replica {replica}, which cannot be reached: check that broker");
            let error = partition.place(Error::broker(Code::ReplicaNotAvailable, message));
            partition.report(error);
        }
        if is_repeated && let Some(node) = self.nodes.get_mut(&leader) {
            node.without_rack = Some(WithoutRack { replica, until: now + self.config.replica_lease });
        }
        let TopicPartition { topic, partition } = partition.key();
        tracing::debug!(target: "ottla::consumer", %topic, partition, leader, replica, "preferred replica is unusable");
        self.want_metadata(slot);
    }
}
