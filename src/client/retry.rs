//! Repeats what failed: pauses that grow, until a deadline.

use std::time::Instant;

use fastrand::Rng;

use super::cluster::Cluster;
use crate::conn::backoff::Backoff;
use crate::error::Error;
use crate::net::clock;

/// The retries of one call. Every loop that repeats requests uses it.
#[derive(Debug)]
pub(crate) struct Retry {
    backoff: Backoff,
    rng: Rng,
    deadline: Instant,
    may_help: fn(&Error) -> bool,
}

impl Cluster {
    /// Retries until `deadline`, as `retry.backoff.ms` says.
    pub(crate) fn retry(&self, deadline: Instant) -> Retry {
        let (backoff, rng) = (self.retry_backoff(), Rng::with_seed(clock::seed()));
        Retry { backoff, rng, deadline, may_help: Error::is_retriable }
    }

    pub(super) fn retry_backoff(&self) -> Backoff {
        Backoff::new(self.settings().retry_backoff, self.settings().retry_backoff_max)
    }
}

impl Retry {
    /// Retries after the errors that `may_help` names. The default is [`Error::is_retriable`].
    pub(crate) fn when(mut self, may_help: fn(&Error) -> bool) -> Self {
        self.may_help = may_help;
        self
    }

    /// Waits before the next attempt.
    ///
    /// Returns `error` itself where another attempt cannot help. Returns a timeout with `error` as its cause where the deadline
    /// leaves no time for another attempt.
    pub(crate) async fn pause(&mut self, error: Error) -> Result<(), Error> {
        if !(self.may_help)(&error) {
            return Err(error);
        }
        let until = clock::now() + self.backoff.next(&mut self.rng);
        if until >= self.deadline {
            return Err(error.out_of_time("the deadline passed before an attempt succeeded"));
        }
        tokio::time::sleep_until(until.into()).await;
        Ok(())
    }
}
