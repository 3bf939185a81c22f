//! Failures in a row: when to retry, and when to report them.

use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use crate::conn::backoff::Backoff;

/// The failures in a row of a node, a partition or a topic.
#[derive(Debug)]
pub(super) struct RetryState {
    backoff: Backoff,
    since: Option<Instant>,
    reported: Option<Instant>,
    retry_at: Option<Instant>,
}

impl RetryState {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self { backoff: Backoff::new(first, longest), since: None, reported: None, retry_at: None }
    }

    /// Counts a failure. Returns whether it is to be reported: it has lasted for `patience` since the first, or since the last report.
    pub(super) fn failed(&mut self, now: Instant, rng: &mut Rng, patience: Duration) -> bool {
        self.retry_at = Some(now + self.backoff.next(rng));
        let since = *self.since.get_or_insert(now);
        let reports = now.saturating_duration_since(self.reported.unwrap_or(since)) >= patience;
        if reports {
            self.reported = Some(now);
        }
        reports
    }

    /// Waits until `then` without counting a failure.
    pub(super) fn wait(&mut self, then: Instant) {
        self.retry_at = self.retry_at.max(Some(then));
    }

    /// Retries at once, without forgetting the failures.
    pub(super) fn retry_now(&mut self) {
        self.retry_at = None;
    }

    /// Whether there was a failure since the last success.
    pub(super) fn has_failed(&self) -> bool {
        self.since.is_some()
    }

    /// Starts over after a success.
    pub(super) fn clear(&mut self) {
        self.backoff.reset();
        (self.since, self.reported, self.retry_at) = (None, None, None);
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
