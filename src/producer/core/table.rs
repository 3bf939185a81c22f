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

    /// The partition, made if this is the first that is heard of it. Keys were checked against the topic's partitions.
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

    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, &Partition<T>)> {
        self.0.iter().enumerate().flat_map(|(topic, partitions)| {
            partitions.iter().enumerate().filter_map(move |(index, partition)| {
                let key = Key { topic: u32::try_from(topic).ok()?, partition: i32::try_from(index).ok()? };
                partition.as_ref().map(|partition| (key, partition))
            })
        })
    }

    /// Those with something in them.
    pub(super) fn busy(&self) -> Vec<Key> {
        self.iter().filter(|(_, partition)| !partition.is_empty()).map(|(key, _)| key).collect()
    }
}
