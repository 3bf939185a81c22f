//! The offsets of a store as a map, with compare-and-set and expiry. It knows no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Change;
use super::Expected;
use super::Lookup;
use super::Outcome;
use super::StoredOffset;
use crate::types::Timestamp;
use crate::types::TopicPartition;

/// Group and partition.
pub(super) type Key = (String, TopicPartition);

/// All offsets of a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub(super) offsets: BTreeMap<Key, StoredOffset>,
    /// After which an offset has expired.
    pub(super) retention: Option<Duration>,
}

impl Table {
    pub(super) fn load(&self, now_ms: i64, group: &str, partitions: Vec<TopicPartition>) -> Vec<Lookup> {
        partitions.into_iter().map(|partition| self.lookup(now_ms, &(group.to_owned(), partition))).collect()
    }

    fn lookup(&self, now_ms: i64, key: &Key) -> Lookup {
        let Some(stored) = self.offsets.get(key) else { return Lookup::Missing };
        let age = u64::try_from(now_ms.saturating_sub(stored.stored_at.0)).unwrap_or(0);
        match self.retention {
            Some(retention) if u128::from(age) > retention.as_millis() => Lookup::Expired(stored.clone()),
            _ => Lookup::Found(stored.clone()),
        }
    }

    pub(super) fn compare_and_set(&mut self, now_ms: i64, group: &str, changes: Vec<Change>) -> Vec<Outcome> {
        changes.into_iter().map(|change| self.change(now_ms, group, change)).collect()
    }

    fn change(&mut self, now_ms: i64, group: &str, change: Change) -> Outcome {
        let key = (group.to_owned(), change.partition);
        let version = self.offsets.get(&key).map(|stored| stored.version);
        let is_expected = match change.expected {
            Expected::Any => true,
            Expected::Missing => version.is_none(),
            Expected::Version(expected) => version == Some(expected),
        };
        if !is_expected {
            return Outcome::Conflict(self.lookup(now_ms, &key));
        }
        let version = version.map_or(1, |version| version.wrapping_add(1));
        let stored_at = Timestamp(now_ms);
        let stored = StoredOffset { position: change.position, metadata: change.metadata, stored_at, version };
        self.offsets.insert(key, stored);
        Outcome::Stored(version)
    }
}
