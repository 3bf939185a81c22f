//! Follows the metadata: who leads the partition, whether it exists, and which replica is read.

use std::time::Instant;

use super::Bound;
use super::Partition;
use super::Preferred;
use super::State;
use crate::consumer::core::start::ResetPolicy;
use crate::error::Error;
use crate::metadata::Topic;
use crate::types::LeaderEpoch;
use crate::types::TopicId;

impl Partition {
    /// Takes what the metadata says about its topic.
    pub(in super::super) fn follow(&mut self, topic: &Topic, policy: ResetPolicy, generation: u64) {
        let epoch = self.log_epoch();
        if !topic.id.is_zero() && topic.id != self.topic_id {
            self.recreated(topic.id, policy, generation);
        }
        let known = usize::try_from(self.key.partition).ok().and_then(|index| topic.partitions.get(index));
        if known.is_some() && std::mem::take(&mut self.gone) {
            self.retry.clear();
        }
        let known = known.copied().unwrap_or_default();
        self.led_by(known.leader, known.epoch);
        // The response to a request of another epoch will not count.
        self.asking &= self.log_epoch() == epoch;
    }

    /// Another topic of the same name: no offset of the old one means anything in it. The move is reported from the returned
    /// position, even if an earlier move was not reported yet.
    fn recreated(&mut self, id: TopicId, policy: ResetPolicy, generation: u64) {
        let before = std::mem::replace(&mut self.topic_id, id);
        if before.is_zero() {
            return;
        }
        self.rewind(generation);
        (self.leader, self.leader_epoch) = (None, None);
        self.fetch.epoch = None;
        if self.bound != Bound::None {
            self.bound = Bound::Unknown(i64::MAX);
        }
        if self.returned.is_some() {
            self.lost(policy, "the topic was deleted and created again");
        }
    }

    /// A leader of a later epoch may have less of the log than the last one had.
    fn led_by(&mut self, leader: Option<i32>, epoch: Option<LeaderEpoch>) {
        if (leader, epoch) == (self.leader, self.leader_epoch) {
            return;
        }
        let is_new = epoch > self.leader_epoch;
        let (topic, partition) = (&self.key.topic, self.key.partition);
        let to = LeaderEpoch::to_wire(epoch);
        tracing::debug!(target: "ottla::consumer", %topic, partition, from = ?self.leader, ?leader, epoch = to, "leader changed");
        self.awaited_epoch = self.awaited_epoch.filter(|awaited| epoch.is_some_and(|epoch| epoch < *awaited));
        (self.leader, self.leader_epoch) = (leader, epoch);
        self.retry.retry_now();
        self.doubt_range();
        if is_new && !self.is_done() {
            self.forget_bound();
        }
        if is_new && self.fetch.epoch.is_some() && self.state == State::Fetching {
            self.state = State::AwaitValidation;
        }
    }

    /// The topic does not have this partition, which `error` reports.
    ///
    /// Records that wait for the bound of a bounded read can never be returned: no broker knows the bound.
    pub(in super::super) fn vanished(&mut self, error: Error, generation: u64) {
        self.gone = true;
        if matches!(self.bound, Bound::Unknown(_)) {
            self.drop_queue(generation);
        }
        self.report_surely(error);
    }

    /// Where it is fetched from.
    pub(in super::super) fn source(&self) -> Option<i32> {
        self.preferred.map(|preferred| preferred.node).or(self.leader)
    }

    /// The leader prefers it to be read from a replica.
    pub(in super::super) fn prefer_replica(&mut self, node: i32, until: Instant) {
        let (topic, partition) = (&self.key.topic, self.key.partition);
        tracing::debug!(target: "ottla::consumer", %topic, partition, replica = node, "preferred replica chosen");
        self.preferred = Some(Preferred { node, until });
    }

    /// It is read from the leader again, if it is read from a replica.
    pub(in super::super) fn leave_replica(&mut self, reason: &'static str) {
        if let Some(Preferred { node, .. }) = self.preferred.take() {
            let (topic, partition) = (&self.key.topic, self.key.partition);
            tracing::debug!(target: "ottla::consumer", %topic, partition, replica = node, reason, "preferred replica left");
        }
    }

    /// It is read from the leader again, if it is read from this replica.
    pub(in super::super) fn leave_broker(&mut self, id: i32, reason: &'static str) {
        if self.preferred.is_some_and(|preferred| preferred.node == id) {
            self.leave_replica(reason);
        }
    }
}
