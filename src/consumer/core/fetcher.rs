//! Decides what is fetched from which broker.
//!
//! The next fetch is sent while the records of the last one are still unread, as long as the queued records of that broker's
//! partitions are under half of its share of the budget.

use std::time::Instant;

use super::ConsumerCore;
use super::Pending;
use super::action::Action;
use super::node::InFlight;
use super::session::Entry;
use super::session::Plan;
use crate::metadata::by_topic;
use crate::types::TopicPartition;
use crate::wire::message::FetchPartition;
use crate::wire::message::FetchRequest;
use crate::wire::message::FetchTopic;
use crate::wire::message::ForgottenTopic;

impl ConsumerCore {
    /// Sends a fetch to each broker that may take one. Walks over brokers, not over partitions.
    pub(super) fn plan_fetches(&mut self, now: Instant) {
        if self.schedule.paused_bytes > self.config.prefetch_bytes / 2 {
            self.drop_paused();
            self.reindex();
        }
        let wanted = self.nodes.values().filter(|node| node.wanted > 0).count();
        let share = self.config.prefetch_bytes / wanted.max(1);
        let is_ready = |connection: Option<usize>, held: usize| connection.filter(|_| held <= share / 2);
        let ready = self.nodes.iter().filter(|(_, node)| node.wanted > 0 && !node.retry.is_waiting());
        let ready = ready.filter_map(|(id, node)| Some((*id, is_ready(node.free(), node.held)?)));
        for (id, connection) in ready.collect::<Vec<_>>() {
            self.fetch(now, id, connection, share);
        }
    }

    /// Gives up the records of paused partitions: they can be fetched again, and others need the memory.
    fn drop_paused(&mut self) {
        let paused: Vec<usize> = self.schedule.paused.iter().copied().collect();
        for slot in paused {
            let generation = self.generation();
            if let Some(partition) = self.slots.get_mut(slot) {
                partition.go_back(generation);
            }
        }
    }

    /// Sends a fetch over a free connection, for the partitions that the other one does not fetch.
    fn fetch(&mut self, now: Instant, id: i32, at: usize, share: usize) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let mut wanted: Vec<(usize, &TopicPartition, Entry)> = Vec::new();
        for slot in node.take_changed(at) {
            let partition = self.slots.get(slot);
            let fetched = partition.filter(|partition| partition.wants_fetch() && partition.source() == Some(id));
            let entry = fetched.map(|partition| (slot, partition.key(), partition.entry()));
            if node.place(at, slot, entry.as_ref().map(|(.., entry)| entry)) {
                wanted.extend(entry);
            }
        }
        let bytes = share.saturating_sub(node.held + node.awaited()).max(1);
        let bytes = bytes.min(usize::try_from(self.config.fetch_bytes_max).unwrap_or(usize::MAX));
        let hides_rack = node.hides_rack(now);
        let connection = &mut node.connections[at];
        if wanted.is_empty() && connection.session.is_empty() {
            return;
        }
        let is_full = connection.session.is_full();
        let mut plan = connection.session.next(&wanted);
        if is_full && !plan.sent.is_empty() {
            let first = connection.turn % plan.sent.len();
            plan.sent.rotate_left(first);
            connection.turn = first + 1;
        }
        connection.in_flight = Some(InFlight { since: now, bytes });
        self.counters.fetch_requests += 1;
        *if is_full { &mut self.counters.full_fetches } else { &mut self.counters.incremental_fetches } += 1;
        let mut request = self.fetch_request(&plan, i32::try_from(bytes).unwrap_or(i32::MAX));
        if hides_rack {
            request.rack.clear();
        }
        let tag = self.tag(Pending::Fetch { node: id, connection: at });
        self.actions.push_back(Action::Fetch { node: id, connection: at, tag, request });
    }

    fn fetch_request(&self, plan: &Plan, max_bytes: i32) -> FetchRequest {
        let config = &self.config;
        FetchRequest {
            max_wait_ms: i32::try_from(config.fetch_wait_max.as_millis()).unwrap_or(i32::MAX),
            min_bytes: config.fetch_bytes_min,
            max_bytes,
            isolation: config.isolation.to_wire(),
            session_id: plan.id,
            session_epoch: plan.epoch,
            topics: self.topics_of(plan),
            forgotten: self.forgotten(plan),
            rack: config.rack.clone(),
            ..FetchRequest::default()
        }
    }

    fn topics_of(&self, plan: &Plan) -> Vec<FetchTopic> {
        let partitions = plan.sent.iter().filter_map(|slot| self.slots.get(*slot));
        let partitions = partitions.map(|partition| {
            let entry = FetchPartition {
                index: partition.key().partition,
                current_leader_epoch: partition.leader_epoch(),
                fetch_offset: partition.fetch().offset,
                // As Java's consumer: a truncated log is detected by the end of the epoch.
                last_fetched_epoch: None,
                log_start_offset: -1,
                partition_max_bytes: partition.bytes_max(),
                ..FetchPartition::default()
            };
            (partition.key().topic.clone(), (partition.topic_id(), entry))
        });
        let topics = by_topic(partitions).into_iter().map(|(name, partitions)| {
            let id = partitions.first().map(|(id, _)| *id).unwrap_or_default();
            FetchTopic { name, id, partitions: partitions.into_iter().map(|(_, partition)| partition).collect() }
        });
        topics.collect()
    }

    fn forgotten(&self, plan: &Plan) -> Vec<ForgottenTopic> {
        let left = plan.forgotten.iter().filter_map(|(slot, id)| Some((self.slots.get(*slot)?.key().clone(), *id)));
        let mut partitions: Vec<_> = left.chain(plan.revoked.iter().cloned()).collect();
        // A topic that was recreated is forgotten under each of its ids.
        partitions.sort_unstable_by(|(one, id), (other, other_id)| {
            (&one.topic, id, one.partition).cmp(&(&other.topic, other_id, other.partition))
        });
        let mut topics: Vec<ForgottenTopic> = Vec::new();
        for (TopicPartition { topic, partition }, id) in partitions {
            match topics.last_mut().filter(|last| last.name == topic && last.id == id) {
                Some(last) => last.partitions.push(partition),
                None => topics.push(ForgottenTopic { name: topic, id, partitions: vec![partition] }),
            }
        }
        topics
    }

    pub(super) fn close_sessions(&mut self) {
        let mut plans = Vec::new();
        for (id, node) in &mut self.nodes {
            for (at, connection) in (0..).zip(&mut node.connections) {
                plans.extend(connection.session.close().map(|plan| (*id, at, plan)));
            }
        }
        for (node, connection, plan) in plans {
            let request = FetchRequest { max_wait_ms: 0, ..self.fetch_request(&plan, 1) };
            let tag = self.tag(Pending::Fetch { node, connection });
            self.actions.push_back(Action::Fetch { node, connection, tag, request });
        }
    }
}
