//! One topic as the core sees it: its partitions, their leaders, its partitioner.

use std::sync::Arc;
use std::time::Instant;

use super::ratio::Ratio;
use crate::metadata;
use crate::partitioner::Partitioner;
use crate::types::TopicId;
use crate::types::TopicName;

pub(super) struct Topic {
    pub(super) name: TopicName,
    pub(super) known: Arc<metadata::Topic>,
    /// The former id. Responses to requests in flight still carry it.
    pub(super) former_id: TopicId,
    /// Increases when the topic was recreated: the new logs have none of our sequences.
    pub(super) incarnation: u32,
    pub(super) partitioner: Box<dyn Partitioner>,
    /// Partitions with a leader; empty if all have one.
    pub(super) available: Vec<i32>,
    /// How many partitions there are, at least one.
    pub(super) count: u32,
    /// Batches that are not sent yet, for each partition that has records; empty while all have the same.
    pub(super) queued: Vec<u32>,
    pub(super) ratio: Ratio,
    /// A refresh is among the actions.
    pub(super) refreshing: bool,
    /// Metadata is requested again at this time, for all partitions without a leader.
    pub(super) asks_again_at: Option<Instant>,
}

impl Topic {
    pub(super) fn new(known: &Arc<metadata::Topic>, partitioner: Box<dyn Partitioner>) -> Self {
        let mut topic = Self {
            name: known.name.clone(),
            known: Arc::clone(known),
            former_id: known.id,
            incarnation: 0,
            partitioner,
            available: Vec::new(),
            count: 0,
            queued: Vec::new(),
            ratio: Ratio::new(),
            refreshing: false,
            asks_again_at: None,
        };
        topic.count_partitions();
        topic
    }

    /// Takes newer metadata; returns whether anything changed.
    pub(super) fn learn(&mut self, known: &Arc<metadata::Topic>) -> bool {
        if Arc::ptr_eq(known, &self.known) {
            return false;
        }
        let before = std::mem::replace(&mut self.known, Arc::clone(known));
        if *before == *self.known {
            return false;
        }
        if before.id != self.known.id {
            self.former_id = before.id;
        }
        if is_another(&before, &self.known) {
            self.incarnation += 1;
        }
        self.count_partitions();
        true
    }

    fn count_partitions(&mut self) {
        let partitions = &self.known.partitions;
        // A topic that nothing is known of any more keeps its partitions, without leaders: the broker may only lag behind.
        if let Some(count) = u32::try_from(partitions.len()).ok().filter(|count| *count > 0) {
            self.count = count;
        }
        let led = partitions.iter().enumerate().filter(|(_, partition)| partition.leader.is_some());
        self.available = led.filter_map(|(index, _)| i32::try_from(index).ok()).collect();
        if self.available.len() == partitions.len() {
            // All of them: an empty list says so and costs the partitioner less.
            self.available.clear();
        }
    }

    pub(super) fn leader(&self, partition: i32) -> Option<metadata::Partition> {
        self.known.partitions.get(usize::try_from(partition).ok()?).copied()
    }

    /// Whether the topic has this partition.
    pub(super) fn has(&self, partition: i32) -> bool {
        u32::try_from(partition).is_ok_and(|partition| partition < self.count)
    }

    /// Notes how many batches of a partition wait.
    pub(super) fn note_queued(&mut self, partition: i32, batches: usize) {
        let Ok(index) = usize::try_from(partition) else { return };
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        if self.queued.len() <= index {
            if batches == 0 {
                return;
            }
            self.queued.resize(index + 1, 0);
        }
        self.queued[index] = batches;
    }
}

/// Whether a topic was recreated under its name: another id says so, and without ids (before 2.8) fewer partitions or a leader
/// epoch that went back, which no topic's own history has.
fn is_another(before: &metadata::Topic, after: &metadata::Topic) -> bool {
    let went_back = |(old, new): (&metadata::Partition, &metadata::Partition)| matches!((old.epoch, new.epoch), (Some(old), Some(new)) if new < old);
    before.id != after.id
        || after.partitions.len() < before.partitions.len()
        || before.partitions.iter().zip(&after.partitions).any(went_back)
}
