//! A store in memory, for tests and for consumers of one process that hand partitions to each other.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use super::Change;
use super::Lookup;
use super::OffsetStore;
use super::Outcome;
use super::StoreFuture;
use super::table::Table;
use crate::net::clock::Clock;
use crate::types::TopicPartition;

/// Offsets in memory: they end with the process.
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// use ottla::consumer::store::Lookup;
/// use ottla::consumer::store::MemoryStore;
/// use ottla::consumer::store::OffsetStore;
/// use ottla::types::TopicPartition;
///
/// let store = MemoryStore::new();
/// let found = store.load("audit", vec![TopicPartition::new("events", 0)]).await?;
/// assert_eq!(found, [Lookup::Missing]);
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<(Table, Clock)>);

impl MemoryStore {
    /// An empty store whose offsets do not expire.
    pub fn new() -> Self {
        Self::default()
    }

    /// Offsets that were stored longer ago than this have [expired](Lookup::Expired). The default is never.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner).0.retention = Some(retention);
        self
    }

    fn with<R>(&self, act: impl FnOnce(&mut Table, i64) -> R) -> R {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (table, clock) = &mut *state;
        let now_ms = clock.now().unix_ms;
        act(table, now_ms)
    }
}

impl OffsetStore for MemoryStore {
    fn load<'a>(&'a self, group: &'a str, partitions: Vec<TopicPartition>) -> StoreFuture<'a, Vec<Lookup>> {
        Box::pin(async move { Ok(self.with(|table, now_ms| table.load(now_ms, group, partitions))) })
    }

    fn compare_and_set<'a>(&'a self, group: &'a str, changes: Vec<Change>) -> StoreFuture<'a, Vec<Outcome>> {
        Box::pin(async move { Ok(self.with(|table, now_ms| table.compare_and_set(now_ms, group, changes))) })
    }
}
