//! The counters of a connection, shared by its task and a reader.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::metrics::ConnectionCounters;

/// The counters of one connection, shared by its task and its readers.
///
/// The task locks it once a turn, for everything that it counted; a reader copies. Neither holds the lock for anything else.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<ConnectionCounters>>);

impl Meter {
    fn lock(&self) -> MutexGuard<'_, ConnectionCounters> {
        // Counters are whole after every statement, so a panic elsewhere does not spoil them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the counters.
    pub fn count(&self, change: impl FnOnce(&mut ConnectionCounters)) {
        change(&mut self.lock());
    }

    /// Copies the counters.
    pub fn read(&self) -> ConnectionCounters {
        self.lock().clone()
    }

    /// Whether the task holds it too, which it does as long as it lives.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }
}
