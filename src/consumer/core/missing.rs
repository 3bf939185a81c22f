//! Waits for what the metadata does not have: topics, partitions, leaders and leader epochs. Asks for it, and reports what lasts.

use std::time::Duration;
use std::time::Instant;

use super::ConsumerCore;
use super::action::Action;
use super::retry::RetryState;
use crate::error::Code;
use crate::error::Error;
use crate::types::TopicPartition;
use crate::types::inserted;

impl ConsumerCore {
    /// Finds the topics that are not there, after metadata or the assignment changed.
    pub(super) fn find_missing(&mut self, now: Instant) {
        let mut before = std::mem::take(&mut self.missing);
        let missing = self.subscription.missing(&self.snapshot).into_iter();
        let missing = missing.map(|topic| {
            let retry = before.remove(&topic);
            let mut retry =
                retry.unwrap_or_else(|| RetryState::new(self.config.retry_backoff, self.config.retry_backoff_max));
            // The first description of the topic has just arrived.
            if self.snapshot.topic(&topic).is_some() && !retry.has_failed() {
                retry.retry_now();
            }
            (topic, retry)
        });
        self.missing = inserted(missing);
        self.request_missing(now);
    }

    /// Asks for the topics that are not there.
    pub(super) fn request_missing(&mut self, now: Instant) {
        let mut reports = Vec::new();
        for (topic, retry) in self.missing.iter_mut().filter(|(_, retry)| !retry.is_waiting()) {
            self.stale.insert(topic.clone());
            let Some(known) = self.snapshot.topic(topic) else {
                // No broker has described it yet, which is no failure: brokers may be down.
                retry.wait(now + self.config.retry_backoff_max);
                continue;
            };
            let code = known.error.unwrap_or(Code::UnknownTopicOrPartition);
            let is_unknown = matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopicId);
            let may_appear = is_unknown || code.is_retriable();
            let patience = if may_appear { self.config.topic_patience } else { Duration::ZERO };
            if retry.failed(now, &mut self.rng, patience) {
                retry.wait(now + self.config.topic_patience);
                reports.push(Error::no_topic(code, topic));
            }
        }
        for error in reports {
            self.report(error);
        }
    }

    /// Asks who leads a partition that cannot go on without a leader, and reports what lasts.
    ///
    /// An election passes by itself, so it is waited for. A partition that the topic does not have is reported once; from
    /// then on it costs no metadata request of its own, and it is read when an ordinary one brings it.
    pub(super) fn await_leader(&mut self, now: Instant, slot: usize) {
        let generation = self.generation();
        let Some(partition) = self.slots.get_mut(slot) else { return };
        let TopicPartition { topic, partition: index } = partition.key();
        let Some(topic) = self.snapshot.topic(topic).filter(|topic| topic.error.is_none()) else {
            // A missing topic is requested and reported as a whole.
            return partition.retry.wait(now + self.config.topic_patience);
        };
        let count = topic.partitions.len();
        let exists = usize::try_from(*index).is_ok_and(|index| index < count);
        let patience = if exists { self.config.patience } else { self.config.topic_patience };
        let lasts = partition.retry.failed(now, &mut self.rng, patience);
        if lasts && exists {
            let error = partition.place(Error::broker(Code::LeaderNotAvailable, "the partition has no leader"));
            partition.report(error);
        } else if lasts {
            let TopicPartition { topic, partition: index } = partition.key();
            let error = Error::no_partition(topic, *index, count);
            partition.vanished(error, generation);
        }
        self.want_metadata(slot);
    }

    /// Asks for metadata as new as the committed position. Gives up after the longest wait for anything.
    pub(super) fn await_epoch(&mut self, now: Instant, slot: usize) {
        let patience = self.config.patience;
        let Some(partition) = self.slots.get_mut(slot) else { return };
        if partition.retry.failed(now, &mut self.rng, patience) {
            partition.give_up_epoch();
        }
        self.want_metadata(slot);
    }

    pub(super) fn want_metadata(&mut self, slot: usize) {
        let Some(partition) = self.slots.get(slot) else { return };
        let topic = &partition.key().topic;
        if !self.stale.contains(topic) {
            self.stale.insert(topic.clone());
        }
    }

    /// Asks for metadata of the topics that may be stale, no more often than the back-off says.
    pub(super) fn plan_refresh(&mut self, now: Instant) {
        if self.stale.is_empty() {
            if !self.refresh.is_waiting() {
                self.refresh.clear();
            }
            return;
        }
        if self.refresh.is_waiting() {
            return;
        }
        self.refresh.failed(now, &mut self.rng, Duration::MAX);
        let topics = std::mem::take(&mut self.stale).into_iter().collect();
        self.actions.push_back(Action::RefreshMetadata { topics });
    }
}
