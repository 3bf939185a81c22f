//! Which partitions are to be read: those that were named, and all of the topics that were named whole.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::metadata::Snapshot;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;

/// The topics and partitions that the caller assigned.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    named: BTreeMap<TopicName, BTreeSet<i32>>,
    /// Topics to read whole, and how many of their partitions were found so far.
    whole: BTreeMap<TopicName, usize>,
    /// How many of them were not found yet.
    unresolved: usize,
}

/// A partition to be read from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) key: TopicPartition,
    /// It was created after reading began: every record in it is newer than that.
    pub(super) is_late: bool,
}

impl Subscription {
    pub(super) fn add_topic(&mut self, topic: TopicName) {
        self.whole.entry(topic).or_insert_with(|| {
            self.unresolved += 1;
            0
        });
    }

    /// Names a partition, unless its topic is read whole. Returns whether it is named.
    ///
    /// One may be named and not be read: a bounded read leaves out the partitions that were added to a whole topic later.
    pub(super) fn add_partition(&mut self, key: &TopicPartition) -> bool {
        let is_named = !self.whole.contains_key(&key.topic);
        if is_named {
            self.named.entry(key.topic.clone()).or_default().insert(key.partition);
        }
        is_named
    }

    /// A topic that was named whole is read in its other partitions, and its later ones are not added any more.
    pub(super) fn remove_partition(&mut self, key: &TopicPartition) {
        if let Some(count) = self.whole.remove(&key.topic) {
            self.unresolved -= usize::from(count == 0);
            let partitions = (0..).take(count).filter(|partition| *partition != key.partition);
            self.named.entry(key.topic.clone()).or_default().extend(partitions);
        }
        if let Some(partitions) = self.named.get_mut(&key.topic) {
            partitions.remove(&key.partition);
            if partitions.is_empty() {
                self.named.remove(&key.topic);
            }
        }
    }

    /// Reads these partitions and no others, and no topic whole.
    pub(super) fn name_only(&mut self, partitions: &BTreeSet<TopicPartition>) {
        *self = Self::default();
        for key in partitions {
            self.add_partition(key);
        }
    }

    pub(super) fn topics(&self) -> BTreeSet<TopicName> {
        inserted(self.whole.keys().chain(self.named.keys()).cloned())
    }

    /// Whether every topic to be read whole has been found.
    pub(super) fn is_resolved(&self) -> bool {
        self.unresolved == 0
    }

    /// Finds partitions that are to be read and were not there before.
    pub(super) fn update(&mut self, snapshot: &Snapshot) -> Vec<Added> {
        let mut added = Vec::new();
        for (name, known) in &mut self.whole {
            let Some(topic) = snapshot.topic(name) else { continue };
            let is_late = *known > 0;
            for index in *known..topic.partitions.len() {
                let Ok(partition) = i32::try_from(index) else { break };
                added.push(Added { key: TopicPartition { topic: name.clone(), partition }, is_late });
            }
            let count = topic.partitions.len().max(*known);
            self.unresolved -= usize::from(*known == 0 && count > 0);
            *known = count;
        }
        added
    }

    /// Topics that are not there, or of which a broker said an error instead.
    pub(super) fn missing(&self, snapshot: &Snapshot) -> BTreeSet<TopicName> {
        let lacks = |name: &&TopicName| snapshot.topic(name).is_none_or(|topic| topic.error.is_some());
        inserted(self.whole.keys().chain(self.named.keys()).filter(lacks).cloned())
    }
}
