//! The sequences of one producer identity in one partition, as the observer sees them.

use std::collections::BTreeMap;

/// The batches of one producer identity in one partition.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) next: u32,
    pub(super) sent: BTreeMap<u32, u64>,
    /// The sequences of batches that were refused as too large, which their parts may use.
    pub(super) free: BTreeMap<u32, u32>,
}

impl Stream {
    /// Takes sequences that are free, if all of them are.
    pub(super) fn take(&mut self, first: u32, end: u32) -> bool {
        let Some(free) = self.free.get(&first).copied().filter(|free| end <= *free) else { return false };
        self.free.remove(&first);
        if end < free {
            self.free.insert(end, free);
        }
        true
    }
}
