//! Topics and partitions that do not exist. A miss is remembered for a while, so that not every record for it waits for metadata.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use super::cluster::Cluster;
use super::topics::AutoCreate;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::TopicName;

/// The memory about a destination.
#[derive(Clone, Debug)]
pub(crate) enum Recalled {
    /// It was missing a moment ago.
    Missing(Error),
    /// It was missing some time ago: the next metadata decides, without time for a new topic to become known to all brokers.
    Before,
    /// It is in the metadata, or was never found missing.
    Nothing,
}

impl Recalled {
    /// Whether it was found missing before.
    pub(crate) fn was_missing(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// The destinations that were found missing. One without a partition is a topic.
#[derive(Debug, Default)]
pub(super) struct Misses(Mutex<HashMap<(TopicName, Option<i32>), Miss>>);

#[derive(Debug)]
struct Miss {
    error: Error,
    /// The end of the back-off.
    until: Instant,
}

/// The most misses that are remembered. Beyond that all are forgotten.
const MISSES_MAX: usize = 1_000;

impl Misses {
    fn known(&self) -> MutexGuard<'_, HashMap<(TopicName, Option<i32>), Miss>> {
        // The map is whole after every statement, so a panic elsewhere does not spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cluster {
    /// Whether a topic, or a partition of it, was found missing and is still not in the metadata.
    ///
    /// Nothing is remembered where a request may create the topic.
    pub(crate) fn recall_miss(&self, topic: &TopicName, partition: Option<i32>, create: AutoCreate) -> Recalled {
        if create == AutoCreate::Allow {
            return Recalled::Nothing;
        }
        let key = (topic.clone(), partition);
        let mut known = self.misses().known();
        let Some(miss) = known.get(&key) else { return Recalled::Nothing };
        if self.has(topic, partition) {
            known.remove(&key);
            return Recalled::Nothing;
        }
        if clock::now() < miss.until { Recalled::Missing(miss.error.clone()) } else { Recalled::Before }
    }

    /// Remembers a destination by the error of a wait for it, if that says that brokers refuse it: for `retry.backoff.max.ms`.
    pub(crate) fn note_miss(&self, topic: &TopicName, partition: Option<i32>, error: &Error) {
        if error.code().is_none() && error.kind() != Kind::UnknownTopic {
            return;
        }
        let mut known = self.misses().known();
        if known.len() >= MISSES_MAX {
            known.clear();
        }
        let until = clock::now() + self.settings().retry_backoff_max;
        known.insert((topic.clone(), partition), Miss { error: error.clone(), until });
    }

    /// Forgets what was missing of a topic, which was created by this client.
    pub(crate) fn forget_misses(&self, topic: &TopicName) {
        self.misses().known().retain(|(missing, _), _| missing != topic);
    }

    fn has(&self, topic: &TopicName, partition: Option<i32>) -> bool {
        let snapshot = self.snapshot();
        let known = snapshot.topic(topic).filter(|topic| topic.error.is_none());
        known.is_some_and(|known| match partition {
            None => !known.partitions.is_empty(),
            Some(partition) => usize::try_from(partition).is_ok_and(|partition| partition < known.partitions.len()),
        })
    }
}
