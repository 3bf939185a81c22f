//! Partitioners that users wrote: they run without the producer's lock, each under one of its own.

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

/// One partitioner a topic, made when the topic's first record comes.
pub(super) struct Placing {
    factory: Arc<dyn PartitionerFactory>,
    batch_bytes: usize,
    topics: Mutex<HashMap<TopicName, Arc<Mutex<Placed>>>>,
}

struct Placed {
    partitioner: Box<dyn Partitioner>,
    known: Arc<Topic>,
    /// Partitions with a leader; empty if all have one.
    available: Vec<i32>,
    rng: Rng,
}

impl std::fmt::Debug for Placing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Placing").field("factory", &self.factory).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A partitioner that panicked is asked again; what it is asked for is checked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Placing {
    pub(super) fn new(factory: Arc<dyn PartitionerFactory>, batch_bytes: usize) -> Self {
        Self { factory, batch_bytes, topics: Mutex::default() }
    }

    fn placed(&self, topic: &Arc<Topic>, seed: impl FnOnce() -> u64) -> Arc<Mutex<Placed>> {
        if let Some(placed) = lock(&self.topics).get(&topic.name) {
            return Arc::clone(placed);
        }
        // Made without the lock: this is the user's code too.
        let made = Placed {
            partitioner: self.factory.make(self.batch_bytes),
            known: Arc::default(),
            available: Vec::new(),
            rng: Rng::with_seed(seed()),
        };
        let made = Arc::new(Mutex::new(made));
        Arc::clone(lock(&self.topics).entry(topic.name.clone()).or_insert(made))
    }

    /// Chooses a partition of a topic that has some.
    pub(super) fn choose(&self, topic: &Arc<Topic>, key: Option<&[u8]>, seed: impl FnOnce() -> u64) -> i32 {
        let placed = self.placed(topic, seed);
        let placed = &mut *lock(&placed);
        if !Arc::ptr_eq(&placed.known, topic) {
            let led = topic.partitions.iter().enumerate().filter(|(_, partition)| partition.leader.is_some());
            placed.available = led.filter_map(|(index, _)| i32::try_from(index).ok()).collect();
            if placed.available.len() == topic.partitions.len() {
                placed.available.clear();
            }
            placed.known = Arc::clone(topic);
        }
        let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX);
        let partitions = Partitions { count, available: &placed.available, queued: &[] };
        placed.partitioner.partition(key, &partitions, &mut placed.rng)
    }

    /// Tells the partitioner of a record that was accepted.
    pub(super) fn appended(&self, topic: &str, partition: i32, bytes: usize, full: bool) {
        let placed = lock(&self.topics).get(topic).cloned();
        if let Some(placed) = placed {
            lock(&placed).partitioner.on_appended(partition, bytes, full);
        }
    }
}
