//! The assignment, as state that is replaced: partitions are added and revoked while others are read on undisturbed.
//!
//! A revoked partition is forgotten at once. Its slot may be given to another, so everything that may come later is fenced: a
//! response to a fetch counts only for entries of the session that it belongs to, from which a revoked partition is taken; a
//! response to a request about a position carries the generation that the partition had; and so does a chunk that was taken
//! out to be read.

use std::collections::BTreeSet;
use std::time::Instant;

use super::ConsumerCore;
use super::position::Partition;
use super::retry::RetryState;
use super::start::Start;
use crate::error::Code;
use crate::metrics::ConsumerMetrics;
use crate::reading::Position;
use crate::types::TopicName;
use crate::types::TopicPartition;

impl ConsumerCore {
    /// Reads all partitions of topics too, those added later from their beginning.
    pub fn assign_topics(&mut self, now: Instant, topics: impl IntoIterator<Item = TopicName>) {
        for topic in topics {
            self.subscription.add_topic(topic);
        }
        self.find_partitions();
        self.find_missing(now);
        self.plan(now);
    }

    /// Reads these partitions too. A partition that is read already continues at its position.
    pub fn assign_partitions(&mut self, now: Instant, partitions: impl IntoIterator<Item = TopicPartition>) {
        let start = self.config.start.clone();
        for key in partitions {
            if self.subscription.add_partition(&key) && self.slots.find(&key.topic, key.partition).is_none() {
                self.add(key, &start, self.config.until_end);
            }
        }
        self.find_partitions();
        self.find_missing(now);
        self.plan(now);
    }

    /// Stops reading these partitions. Nothing of them is returned any more, and their fetch sessions forget them.
    pub fn revoke<'p>(&mut self, now: Instant, partitions: impl IntoIterator<Item = &'p TopicPartition>) {
        for key in partitions {
            self.subscription.remove_partition(key);
            let Some(slot) = self.slots.find(&key.topic, key.partition) else { continue };
            self.reindex();
            self.unregister(slot);
            for node in self.nodes.values_mut() {
                node.forget(slot, key);
            }
            self.slots.remove(slot);
            tracing::debug!(target: "ottla::consumer", topic = %key.topic, partition = key.partition, "partition revoked");
        }
        self.find_missing(now);
        self.plan(now);
    }

    /// Reads these partitions and no others. Those that stay assigned are not disturbed.
    pub fn replace_assignment(&mut self, now: Instant, partitions: &BTreeSet<TopicPartition>) {
        self.replace_assignment_and_begin(now, partitions, |_| false);
    }

    /// As [`Self::replace_assignment`]. Late partitions are new, so that all their records are: they are read from the first one, unless the
    /// group has committed an offset.
    pub fn replace_assignment_and_begin(
        &mut self,
        now: Instant,
        partitions: &BTreeSet<TopicPartition>,
        is_late: impl Fn(&TopicPartition) -> bool,
    ) {
        let gone: Vec<TopicPartition> = self.assignment().filter(|key| !partitions.contains(key)).cloned().collect();
        self.subscription.name_only(partitions);
        self.revoke(now, &gone);
        for key in partitions {
            if self.slots.find(&key.topic, key.partition).is_none() {
                let start = self.start_of(is_late(key));
                self.add(key.clone(), &start, self.config.until_end);
            }
        }
        self.find_missing(now);
        self.plan(now);
    }

    /// Where a partition starts. One that is late begins with its first record, because it was written after reading had begun.
    fn start_of(&self, is_late: bool) -> Start {
        match (is_late, &self.config.start) {
            (false, start) => start.clone(),
            (true, Start::StoredOnly) => Start::StoredOnly,
            (true, Start::Stored { .. }) => Start::Stored { otherwise: Box::new(Start::Earliest) },
            (true, _) => Start::Earliest,
        }
    }

    /// Stops returning records of a partition. Its fetched records are kept. Returns whether it is assigned.
    pub fn pause(&mut self, now: Instant, key: &TopicPartition) -> bool {
        let Some(partition) = self.partition_mut(key) else { return false };
        partition.pause();
        self.plan(now);
        true
    }

    /// Returns records of a partition again. Returns whether it is assigned.
    pub fn resume(&mut self, now: Instant, key: &TopicPartition) -> bool {
        let Some(partition) = self.partition_mut(key) else { return false };
        partition.resume();
        self.plan(now);
        true
    }

    /// Reads a partition from elsewhere on. Returns whether it is assigned.
    pub fn seek(&mut self, now: Instant, key: &TopicPartition, start: &Start) -> bool {
        let generation = self.generation();
        let Some(partition) = self.partition_mut(key) else { return false };
        partition.start(start, generation);
        self.plan(now);
        true
    }

    /// The partitions that are read, by topic and number.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        self.slots.iter().map(|(_, partition)| partition.key())
    }

    /// The counters and gauges that the core knows.
    pub fn metrics(&self) -> ConsumerMetrics {
        let gauge = |count: usize| count.try_into().unwrap_or(u64::MAX);
        ConsumerMetrics {
            assigned_partitions: gauge(self.slots.len()),
            buffered_bytes: gauge(self.schedule.buffered),
            lag: self.slots.iter().filter_map(|(_, partition)| u64::try_from(partition.lag()?).ok()).sum(),
            ..self.counters.clone()
        }
    }

    /// The position after the records of a partition that were returned, once one is known.
    pub fn position(&self, key: &TopicPartition) -> Option<Position> {
        self.partition(key)?.returned()
    }

    /// All known positions after the records that were returned. A topic that was recreated has none until its reset was returned: its
    /// old position would be committed for the new topic.
    pub fn positions(&self) -> Vec<(TopicPartition, Position)> {
        let known = |partition: &Partition| Some((partition.key().clone(), partition.committable()?));
        self.slots.iter().filter_map(|(_, partition)| known(partition)).collect()
    }

    /// Whether a topic does not exist by the metadata.
    pub fn is_gone(&self, topic: &TopicName) -> bool {
        let error = self.snapshot.topic(topic).and_then(|topic| topic.error);
        matches!(error, Some(Code::UnknownTopicOrPartition | Code::UnknownTopicId))
    }

    /// How far the last fetch of a partition saw its end ahead of its position.
    pub fn lag(&self, key: &TopicPartition) -> Option<i64> {
        self.partition(key)?.lag()
    }

    /// The topics that metadata is needed for.
    pub fn topics(&self) -> BTreeSet<TopicName> {
        self.subscription.topics()
    }

    fn partition(&self, key: &TopicPartition) -> Option<&Partition> {
        self.slots.get(self.slots.find(&key.topic, key.partition)?)
    }

    fn partition_mut(&mut self, key: &TopicPartition) -> Option<&mut Partition> {
        self.slots.get_mut(self.slots.find(&key.topic, key.partition)?)
    }

    /// Adds the partitions of topics that are read whole.
    pub(super) fn find_partitions(&mut self) {
        for added in self.subscription.update(&self.snapshot) {
            // A partition that was assigned before its whole topic was continues at its position.
            let is_known = self.slots.find(&added.key.topic, added.key.partition).is_some();
            if is_known || added.is_late && self.config.until_end {
                continue;
            }
            let start = self.start_of(added.is_late);
            self.add(added.key, &start, self.config.until_end);
        }
    }

    fn add(&mut self, key: TopicPartition, start: &Start, bounded: bool) {
        let generation = self.generation();
        let retry = RetryState::new(self.config.retry_backoff, self.config.retry_backoff_max);
        let bytes_max = self.config.partition_fetch_bytes_max;
        let mut partition = Partition::new(key, generation, bytes_max, bounded, retry);
        partition.start(start, generation);
        if let Some(topic) = self.snapshot.topic(&partition.key().topic) {
            partition.follow(topic, self.config.reset, generation);
        }
        self.slots.insert(partition);
    }

    /// Lets the partitions of topics that changed know about it.
    pub(super) fn follow_metadata(&mut self, before: &crate::metadata::Snapshot) {
        let snapshot = &self.snapshot;
        let is_same = |name: &TopicName| match (before.topic(name), snapshot.topic(name)) {
            (Some(before), Some(after)) => std::sync::Arc::ptr_eq(before, after) || before == after,
            (_, after) => after.is_none(),
        };
        let changed: Vec<TopicName> = self.slots.topics().filter(|name| !is_same(name)).cloned().collect();
        for name in changed {
            let Some(topic) = self.snapshot.topic(&name).cloned() else { continue };
            let slots: Vec<usize> =
                self.slots.of_topic(&name).into_iter().flat_map(|slots| slots.values().copied()).collect();
            for slot in slots {
                let generation = self.generation();
                if let Some(partition) = self.slots.get_mut(slot) {
                    partition.follow(&topic, self.config.reset, generation);
                }
            }
        }
    }
}
