//! The configuration of a producer's core, and the promise that follows from it.

use std::time::Duration;

use fastrand::Rng;

use crate::conn::backoff::Backoff;
use crate::error::recovery::Promise;

/// The configuration of a producer's core.
#[derive(Clone, Debug)]
pub struct Settings {
    /// 0, 1 or −1 for all.
    pub acks: i16,
    pub idempotent: bool,
    pub compressed: bool,
    /// Largest batch, after compression as far as that can be estimated from the topic's records.
    pub batch_bytes: usize,
    pub request_bytes_max: usize,
    pub linger: Duration,
    pub delivery_timeout: Duration,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    /// Buffers that are kept for later batches, in bytes.
    pub pool_bytes_max: usize,
}

/// The promise that decides how many batches of a partition may be in flight, and what an error means for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Acknowledged, without sequences: one batch at a time, or a retry could overtake.
    Answered,
    /// Acknowledged by all in-sync replicas, with sequences.
    Idempotent,
    /// Not acknowledged.
    Unanswered,
}

impl Mode {
    /// The promise that error codes are read by. Where nothing is acknowledged no code comes.
    pub(super) fn promise(self) -> Promise {
        match self {
            Self::Answered | Self::Unanswered => Promise::Acknowledged,
            Self::Idempotent => Promise::Idempotent,
        }
    }
}

impl Settings {
    /// How long to wait after so many failures in a row.
    pub(super) fn back_off(&self, failures: u32, rng: &mut Rng) -> Duration {
        let mut backoff = Backoff::new(self.retry_backoff, self.retry_backoff_max);
        for _ in 1..failures.min(16) {
            backoff.next(rng);
        }
        backoff.next(rng)
    }

    pub(super) fn mode(&self) -> Mode {
        match self.acks {
            0 => Mode::Unanswered,
            _ if self.idempotent => Mode::Idempotent,
            _ => Mode::Answered,
        }
    }
}
