//! The only place that reads a clock or the system's randomness.

use std::hash::BuildHasher;
use std::hash::Hasher;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// A point in time by both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// Milliseconds since 1970, for timestamps.
    pub unix_ms: i64,
}

/// Returns both times for the price of one clock read: it adds the time that has passed to the last reading of the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    instant: Instant,
    unix_ms: i64,
}

/// How old the reading of the wall clock may be, so that a clock that was set is followed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

impl Clock {
    #[allow(clippy::disallowed_methods)]
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { instant: now(), unix_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) }
    }

    /// The current time by both clocks.
    pub fn now(&mut self) -> Now {
        let instant = now();
        let passed = instant.saturating_duration_since(self.instant);
        if passed > LOOK_EVERY {
            *self = Self::new();
            return Now { instant, unix_ms: self.unix_ms };
        }
        Now { instant, unix_ms: self.unix_ms.saturating_add(i64::try_from(passed.as_millis()).unwrap_or(0)) }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// The current time. It follows tokio's clock, so that tests can pause it.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The time since 1970, by the wall clock.
pub fn since_epoch() -> Duration {
    Duration::from_millis(u64::try_from(Clock::new().unix_ms).unwrap_or(0))
}

/// A seed for a random generator, from the randomness that the standard library has for each process.
pub fn seed() -> u64 {
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
