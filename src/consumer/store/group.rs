//! The offsets of one group in a store, for a consumer that assigns its partitions.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use super::Change;
use super::Expected;
use super::Lookup;
use super::OffsetStore;
use super::Outcome;
use crate::consumer::ConsumerHandle;
use crate::consumer::OffsetToCommit;
use crate::consumer::Start;
use crate::error::Error;
use crate::types::TopicPartition;

/// The offsets of one group in an [`OffsetStore`], and their versions as of the last read or change: a commit after somebody else's
/// is refused instead of overwriting it.
///
/// See the [module](super) for a program. With an [`AckConsumer`](crate::consumer::AckConsumer),
/// [`acknowledged`](crate::consumer::AckConsumer::acknowledged) has the positions to commit.
#[derive(Debug)]
pub struct StoredGroup {
    store: Arc<dyn OffsetStore>,
    group: String,
    versions: HashMap<TopicPartition, Expected>,
}

impl StoredGroup {
    /// The offsets of a group in a store.
    pub fn new(store: impl OffsetStore, group: impl Into<String>) -> Self {
        Self::shared(Arc::new(store), group)
    }

    /// As [`Self::new`], with a store that others use too.
    pub fn shared(store: Arc<dyn OffsetStore>, group: impl Into<String>) -> Self {
        Self { store, group: group.into(), versions: HashMap::new() }
    }

    /// Moves assigned partitions to their stored offsets, and returns what the store has for each. Call it before the first poll, or
    /// after partitions were assigned.
    ///
    /// Partitions whose offset is [missing](Lookup::Missing) or [expired](Lookup::Expired) stay where they are: at the start that the
    /// consumer was built with. Decide about expired ones by [`ConsumerHandle::seek`].
    ///
    /// # Errors
    ///
    /// The store's, and [`Kind::Config`](crate::error::Kind::Config) for a partition that is not assigned.
    ///
    /// Cancel safety: dropped before it is ready, it has moved nothing.
    pub async fn resume(
        &mut self,
        consumer: &ConsumerHandle,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Vec<(TopicPartition, Lookup)>, Error> {
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        let found = self.store.load(&self.group, partitions.clone()).await?;
        if found.len() != partitions.len() {
            return Err(Error::storage("the store did not answer for each partition that was asked for"));
        }
        let found: Vec<(TopicPartition, Lookup)> = partitions.into_iter().zip(found).collect();
        for (key, lookup) in &found {
            self.versions.insert(key.clone(), lookup.expected());
            if let Lookup::Found(stored) = lookup {
                consumer.seek(key, Start::Offset(stored.position.offset))?;
            }
        }
        Ok(found)
    }

    /// Stores offsets. A partition that was not [resumed](Self::resume) must have none in the store.
    ///
    /// # Errors
    ///
    /// The store's; and one of kind [`Storage`](crate::error::Kind::Storage) that names the partition, if somebody else has stored its
    /// offset meanwhile: nothing of that partition was stored, the others were. Stop reading it, or resume it again.
    ///
    /// Cancel safety: dropped before it is ready, it may have stored the offsets, and the next call returns a conflict: resume again.
    pub async fn commit(&mut self, offsets: impl IntoIterator<Item: Into<OffsetToCommit>>) -> Result<(), Error> {
        let change = |offset: OffsetToCommit| {
            let expected = self.versions.get(&offset.partition).copied().unwrap_or(Expected::Missing);
            let OffsetToCommit { partition, position, metadata } = offset;
            (partition.clone(), Change { partition, position, metadata, expected })
        };
        // Of several offsets of a partition the last one counts.
        let changes: BTreeMap<TopicPartition, Change> = offsets.into_iter().map(Into::into).map(change).collect();
        let partitions: Vec<TopicPartition> = changes.keys().cloned().collect();
        let outcomes = self.store.compare_and_set(&self.group, changes.into_values().collect()).await?;
        if outcomes.len() != partitions.len() {
            return Err(Error::storage("the store did not answer for each offset that was to be stored"));
        }
        let mut conflict = None;
        for (key, outcome) in partitions.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Stored(version) => drop(self.versions.insert(key, Expected::Version(version))),
                Outcome::Conflict(_) => {
                    let text = "another process has stored an offset of the partition, so this one was not stored: stop \
                        reading it here, or call `StoredGroup::resume` again";
                    conflict.get_or_insert(Error::storage(text).in_partition(&key.topic, key.partition));
                }
            }
        }
        conflict.map_or(Ok(()), Err)
    }
}
