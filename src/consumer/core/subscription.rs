//! Which partitions are to be read: those that were named, and all of the topics that were named whole.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::error::Code;
use crate::metadata::Snapshot;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// What was asked to be read.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    named: BTreeSet<TopicPartition>,
    /// Topics to read whole, and how many of their partitions were found so far.
    whole: BTreeMap<TopicName, usize>,
}

/// A partition to be read from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Added {
    pub(super) key: TopicPartition,
    /// It was made after reading began: every record in it is newer than that.
    pub(super) is_late: bool,
}

impl Subscription {
    pub(super) fn add_topic(&mut self, topic: TopicName) {
        self.whole.entry(topic).or_default();
    }

    /// Answers whether it was not named before.
    pub(super) fn add_partition(&mut self, key: TopicPartition) -> bool {
        !self.whole.contains_key(&key.topic) && self.named.insert(key)
    }

    pub(super) fn topics(&self) -> BTreeSet<TopicName> {
        self.whole.keys().chain(self.named.iter().map(|key| &key.topic)).cloned().collect()
    }

    /// Whether every topic to be read whole has been found.
    pub(super) fn is_resolved(&self) -> bool {
        self.whole.values().all(|partitions| *partitions > 0)
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
            *known = topic.partitions.len().max(*known);
        }
        added
    }

    /// Topics that are not there, each with the error that the broker gave instead.
    pub(super) fn missing(&self, snapshot: &Snapshot) -> Vec<(TopicName, Option<Code>)> {
        let lacks = |name: &TopicName| match snapshot.topic(name) {
            None => Some((name.clone(), None)),
            Some(topic) => topic.error.map(|code| (name.clone(), Some(code))),
        };
        self.topics().iter().filter_map(lacks).collect()
    }
}
