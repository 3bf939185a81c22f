//! Which leases of others have expired: those that did not change for as long as they last, by the watcher's own clock.
//!
//! Clocks of different machines are never compared. The holder counts from before it asked for the lease, and a watcher from when it saw
//! it, so a lease is never over for others before it is over for its holder.

use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

use super::cursor::Cursor;
use super::cursor::Lease;
use super::cursor::LeaseId;

/// The leases that were seen in one partition, with the beat and since when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(BTreeMap<LeaseId, (u32, Instant)>);

impl Watch {
    /// Notes the leases that a cursor has now, and forgets all others.
    pub(crate) fn see(&mut self, now: Instant, cursor: &Cursor) {
        let before = std::mem::take(&mut self.0);
        for (_, lease) in cursor.leases() {
            let seen = before.get(&lease.id).filter(|(beat, _)| *beat == lease.beat);
            self.0.insert(lease.id, seen.copied().unwrap_or((lease.beat, now)));
        }
    }

    /// Whether a lease has not changed for as long as it lasts.
    pub(crate) fn has_expired(&self, now: Instant, lease: &Lease) -> bool {
        self.0.get(&lease.id).is_some_and(|(beat, since)| {
            *beat == lease.beat && now.saturating_duration_since(*since) >= Duration::from_millis(lease.lasts_ms)
        })
    }
}
