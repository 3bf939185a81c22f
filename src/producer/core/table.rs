//! Partitions by their numbers: a look-up for every record costs two indexings, no hash.

use super::Key;
use super::partition::Partition;

#[derive(Debug)]
pub(super) struct Table<T>(Vec<Vec<Option<Partition<T>>>>);

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Partition<T>> {
        self.0.get_mut(key.topic as usize)?.get_mut(usize::try_from(key.partition).ok()?)?.as_mut()
    }

    /// The partition, created with its first record. The caller checked the key against the topic's partitions.
    pub(super) fn get_or_make(&mut self, key: Key) -> &mut Partition<T> {
        let (topic, index) = (key.topic as usize, usize::try_from(key.partition).unwrap_or(0));
        if self.0.len() <= topic {
            self.0.resize_with(topic + 1, Vec::new);
        }
        let partitions = &mut self.0[topic];
        if partitions.len() <= index {
            partitions.resize_with(index + 1, || None);
        }
        partitions[index].get_or_insert_with(Partition::new)
    }

    /// The partitions of all topics that have batches.
    pub(super) fn busy(&self) -> Vec<Key> {
        (0..).zip(&self.0).flat_map(|(topic, partitions)| busy(topic, partitions)).collect()
    }

    /// The partitions of one topic that have batches.
    pub(super) fn busy_in(&self, topic: u32) -> Vec<Key> {
        self.0.get(topic as usize).into_iter().flat_map(|partitions| busy(topic, partitions)).collect()
    }
}

fn busy<T>(topic: u32, partitions: &[Option<Partition<T>>]) -> impl Iterator<Item = Key> {
    let is_busy = |partition: &Option<Partition<T>>| partition.as_ref().is_some_and(|partition| !partition.is_empty());
    (0..)
        .zip(partitions)
        .filter(move |(_, partition)| is_busy(partition))
        .map(move |(partition, _)| Key { topic, partition })
}
