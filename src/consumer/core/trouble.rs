//! Failures in a row: when to try again, and when the caller should hear of them.

use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use crate::conn::backoff::Backoff;

/// What keeps failing, a node or a partition, and how long already.
#[derive(Debug)]
pub(super) struct Trouble {
    backoff: Backoff,
    since: Option<Instant>,
    told: Option<Instant>,
    retry_at: Option<Instant>,
}

impl Trouble {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff::new(first, longest), since: None, told: None, retry_at: None }
    }

    /// Counts a failure. Answers whether it has gone on for `patience` since it began, or since that was last said.
    pub(super) fn failed(&mut self, now: Instant, rng: &mut Rng, patience: Duration) -> bool {
        self.retry_at = Some(now + self.backoff.next(rng));
        let since = *self.since.get_or_insert(now);
        let tell = now.saturating_duration_since(self.told.unwrap_or(since)) >= patience;
        if tell {
            self.told = Some(now);
        }
        tell
    }

    /// Waits until `then` without counting a failure.
    pub(super) fn wait(&mut self, then: Instant) {
        self.retry_at = self.retry_at.max(Some(then));
    }

    /// Tries again at once, without forgetting the failures.
    pub(super) fn hurry(&mut self) {
        self.retry_at = None;
    }

    /// Whether there was a failure since the last success.
    pub(super) fn has_failed(&self) -> bool {
        self.since.is_some()
    }

    /// Starts over after a success.
    pub(super) fn clear(&mut self) {
        self.backoff.reset();
        (self.since, self.told, self.retry_at) = (None, None, None);
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.retry_at.is_some()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.retry_at = self.retry_at.filter(|at| *at > now);
    }
}
