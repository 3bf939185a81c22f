//! Repeats what failed: pauses that grow, until a deadline.

use std::time::Instant;

use fastrand::Rng;

use super::cluster::Cluster;
use crate::conn::backoff::Backoff;
use crate::error::Error;
use crate::net::clock;
use crate::net::runtime::Runtime;

/// The retries of one call. Every loop that repeats requests uses it.
#[derive(Debug)]
pub(crate) struct Retry {
    backoff: Backoff,
    rng: Rng,
    deadline: Instant,
    runtime: Runtime,
    may_help: fn(&Error) -> bool,
}

impl Cluster {
    /// Retries until `deadline`, as `retry.backoff.ms` says.
    pub(crate) fn retry(&self, deadline: Instant) -> Retry {
        let (backoff, rng) = (self.retry_backoff(), Rng::with_seed(clock::seed()));
        Retry { backoff, rng, deadline, runtime: self.runtime().clone(), may_help: Error::is_retriable }
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
        self.runtime.sleep_until(until).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::time::Duration;

    use super::*;
    use crate::error::Code;
    use crate::error::Kind;

    fn retry(deadline: Duration) -> Retry {
        Retry {
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(1)),
            rng: Rng::with_seed(1),
            deadline: clock::now() + deadline,
            runtime: Runtime::current().expect("tests have a runtime"),
            may_help: Error::is_retriable,
        }
    }

    fn error(code: Code) -> Error {
        Error::broker(code, "could not list offsets").in_partition(&"t".into(), 3)
    }

    #[tokio::test(start_paused = true)]
    async fn retries_pause_longer_each_time_until_the_deadline() {
        let (begun, mut retry) = (clock::now(), retry(Duration::from_secs(5)));
        let mut pauses = 0;
        let end = loop {
            match retry.pause(error(Code::LeaderNotAvailable)).await {
                Ok(()) => pauses += 1,
                Err(end) => break end,
            }
        };
        // 0.1, 0.2, 0.4, 0.8 and then 1 s, give or take a fifth.
        assert!((5..=8).contains(&pauses), "{pauses} pauses");
        assert!(clock::now() - begun < Duration::from_secs(5));
        assert_eq!((end.kind(), end.topic(), end.partition()), (Kind::Timeout, Some("t"), Some(3)));
        let cause = end.source().and_then(|cause| cause.downcast_ref::<Error>()).and_then(Error::code);
        assert_eq!(cause, Some(Code::LeaderNotAvailable));
    }

    #[tokio::test(start_paused = true)]
    async fn error_that_a_retry_cannot_help_is_returned_at_once() {
        let begun = clock::now();
        let denied = || error(Code::TopicAuthorizationFailed);
        let end = retry(Duration::from_secs(5)).pause(denied()).await.expect_err("it is final");
        assert_eq!(end.code(), Some(Code::TopicAuthorizationFailed));
        let mut stubborn = retry(Duration::from_secs(5)).when(|_| true);
        stubborn.pause(denied()).await.expect("the caller says that it may help");
        assert!(clock::now() - begun < Duration::from_millis(150));
    }
}
