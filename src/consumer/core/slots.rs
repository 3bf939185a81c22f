//! The table of assigned partitions: found by name and number, numbered by slots that are reused.
//!
//! A slot is the index of a partition while it is assigned. Everything that may outlive an assignment carries a generation
//! besides the slot, so that a slot's next partition is not taken for the one before.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use super::position::Partition;
use super::schedule::Registered;
use crate::types::TopicName;

/// The assigned partitions.
#[derive(Debug, Default)]
pub(super) struct Slots {
    table: Vec<Slot>,
    free: Vec<usize>,
    /// By topic and number. Nothing is sized by a number, which may be as large as a user likes.
    index: BTreeMap<TopicName, BTreeMap<i32, usize>>,
    /// Slots whose partition may have changed since they were taken, each once.
    changed: VecDeque<usize>,
}

#[derive(Debug, Default)]
struct Slot {
    partition: Option<Partition>,
    is_changed: bool,
    registered: Registered,
}

impl Slots {
    /// Adds a partition that is not there yet, and returns its slot.
    pub(super) fn insert(&mut self, partition: Partition) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.table.push(Slot::default());
            self.table.len() - 1
        });
        let key = partition.key();
        self.index.entry(key.topic.clone()).or_default().insert(key.partition, slot);
        self.table[slot].partition = Some(partition);
        self.mark(slot);
        slot
    }

    /// Removes a partition. Its slot may have another one from now on.
    pub(super) fn remove(&mut self, slot: usize) -> Option<Partition> {
        let partition = self.table.get_mut(slot)?.partition.take()?;
        let key = partition.key();
        if let Some(topic) = self.index.get_mut(&key.topic) {
            topic.remove(&key.partition);
            if topic.is_empty() {
                self.index.remove(&key.topic);
            }
        }
        self.free.push(slot);
        Some(partition)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len() - self.free.len()
    }

    pub(super) fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        self.index.get(topic)?.get(&partition).copied()
    }

    pub(super) fn get(&self, slot: usize) -> Option<&Partition> {
        self.table.get(slot)?.partition.as_ref()
    }

    /// A partition that is about to change.
    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Partition> {
        self.table.get(slot)?.partition.as_ref()?;
        self.mark(slot);
        self.table[slot].partition.as_mut()
    }

    fn mark(&mut self, slot: usize) {
        if !std::mem::replace(&mut self.table[slot].is_changed, true) {
            self.changed.push_back(slot);
        }
    }

    /// The next slot whose partition may have changed.
    pub(super) fn take_changed(&mut self) -> Option<usize> {
        let slot = self.changed.pop_front()?;
        self.table[slot].is_changed = false;
        Some(slot)
    }

    /// The registration of a slot in the schedule.
    pub(super) fn registered(&mut self, slot: usize) -> &mut Registered {
        &mut self.table[slot].registered
    }

    /// A copy of the registration of a slot in the schedule.
    #[cfg(test)]
    pub(super) fn registration(&self, slot: usize) -> Registered {
        self.table[slot].registered
    }

    /// All partitions with their slots, by topic and number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Partition)> {
        let assigned = self.index.values().flat_map(BTreeMap::values);
        assigned.filter_map(|slot| Some((*slot, self.get(*slot)?)))
    }

    /// The topics that have partitions here.
    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicName> {
        self.index.keys()
    }

    /// The slots of a topic's partitions, by number.
    pub(super) fn of_topic(&self, topic: &str) -> Option<&BTreeMap<i32, usize>> {
        self.index.get(topic)
    }
}
