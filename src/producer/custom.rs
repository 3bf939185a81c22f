//! Custom partitioners: each topic has one, which runs under a lock of its own and without the producer's.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use fastrand::Rng;

use crate::metadata::Topic;
use crate::partitioner::Partitioner;
use crate::partitioner::PartitionerFactory;
use crate::partitioner::Partitions;
use crate::types::TopicName;

/// Makes a partitioner for each topic when its first record comes.
pub(super) struct CustomPartitioner {
    factory: Arc<dyn PartitionerFactory>,
    batch_bytes: usize,
    topics: Mutex<HashMap<TopicName, Arc<Mutex<PerTopic>>>>,
}

struct PerTopic {
    partitioner: Box<dyn Partitioner>,
    known: Arc<Topic>,
    /// Partitions with a leader; empty if all have one.
    available: Vec<i32>,
    rng: Rng,
}

impl std::fmt::Debug for CustomPartitioner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomPartitioner").field("factory", &self.factory).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A partitioner that panicked is called again: the partition that it returns is checked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CustomPartitioner {
    pub(super) fn new(factory: Arc<dyn PartitionerFactory>, batch_bytes: usize) -> Self {
        Self { factory, batch_bytes, topics: Mutex::default() }
    }

    fn of_topic(&self, topic: &Arc<Topic>, seed: impl FnOnce() -> u64) -> Arc<Mutex<PerTopic>> {
        if let Some(state) = lock(&self.topics).get(&topic.name) {
            return Arc::clone(state);
        }
        // The factory is the user's code too, and runs without the lock.
        let created = PerTopic {
            partitioner: self.factory.make(self.batch_bytes),
            known: Arc::default(),
            available: Vec::new(),
            rng: Rng::with_seed(seed()),
        };
        let created = Arc::new(Mutex::new(created));
        Arc::clone(lock(&self.topics).entry(topic.name.clone()).or_insert(created))
    }

    /// Chooses a partition of a topic that has some.
    pub(super) fn choose(&self, topic: &Arc<Topic>, key: Option<&[u8]>, seed: impl FnOnce() -> u64) -> i32 {
        let state = self.of_topic(topic, seed);
        let state = &mut *lock(&state);
        if !Arc::ptr_eq(&state.known, topic) {
            let led = topic.partitions.iter().enumerate().filter(|(_, partition)| partition.leader.is_some());
            state.available = led.filter_map(|(index, _)| i32::try_from(index).ok()).collect();
            if state.available.len() == topic.partitions.len() {
                state.available.clear();
            }
            state.known = Arc::clone(topic);
        }
        let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        let partitions = Partitions { count, available: &state.available, queued: &[] };
        state.partitioner.partition(key, &partitions, &mut state.rng)
    }

    /// Notifies the partitioner of an accepted record.
    pub(super) fn appended(&self, topic: &str, partition: i32, bytes: usize, full: bool) {
        let state = lock(&self.topics).get(topic).cloned();
        if let Some(state) = state {
            lock(&state).partitioner.on_appended(partition, bytes, full);
        }
    }
}
