//! The time of each record: records that come fast share one reading of the clock.

use std::time::Duration;
use std::time::Instant;

use crate::net::clock::Clock;
use crate::net::clock::Now;

/// Reading a clock costs as much as copying a record. Where records come faster than one every two microseconds, the next few
/// share one reading, as long as the driver watches: it comes back by the end of [`Times::WATCH`] and makes the next record read
/// the clock again. So the time of a record is no older than that, unless the runtime itself stalls.
#[derive(Debug)]
pub(super) struct Times {
    clock: Clock,
    last: Now,
    /// How many more records share the last reading.
    left: u32,
    is_watched: bool,
    /// Records came fast since the driver last waited.
    is_fast: bool,
}

/// The most records that share a reading.
const SHARED: u32 = 32;
/// Records come fast if two readings are closer than this.
const FAST: Duration = Duration::from_micros(2 * SHARED as u64);

impl Times {
    /// How old a shared reading may become.
    pub(super) const WATCH: Duration = Duration::from_millis(1);

    pub(super) fn new() -> Self {
        let mut clock = Clock::new();
        Self { last: clock.now(), clock, left: 0, is_watched: false, is_fast: false }
    }

    pub(super) fn now(&mut self) -> Now {
        if self.is_watched && self.left > 0 {
            self.left -= 1;
            return self.last;
        }
        let now = self.clock.now();
        let is_fast = now.instant.saturating_duration_since(self.last.instant) < FAST;
        self.is_fast |= is_fast;
        self.left = if is_fast { SHARED } else { 0 };
        self.last = now;
        now
    }

    /// The driver was here at `now`, so the next record reads the clock. The driver is about to wait until `timeout`; returns when it
    /// has to be back.
    pub(super) fn watch(&mut self, now: Instant, timeout: Option<Instant>) -> Option<Instant> {
        self.left = 0;
        self.is_watched = std::mem::take(&mut self.is_fast);
        if !self.is_watched {
            return timeout;
        }
        let back = now + Self::WATCH;
        Some(timeout.map_or(back, |timeout| timeout.min(back)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clock_reading_is_shared_only_between_fast_records() {
        let mut times = Times::new();
        let pass = |millis| tokio::time::advance(Duration::from_millis(millis));
        // Tokio's paused clock moves by whole milliseconds: fast records come at the same time.
        let first = times.now().instant;
        pass(5).await;
        assert_eq!(times.now().instant - first, Duration::from_millis(5), "the driver does not watch");
        let fast = times.now().instant;
        assert_eq!(times.watch(fast, None), Some(fast + Times::WATCH));
        assert_eq!(times.now().instant, fast);
        pass(1).await;
        assert_eq!(times.now().instant, fast, "the reading is shared");
        // The driver is back; after a pause the next record reads the clock.
        let _ = times.watch(fast, None);
        pass(70).await;
        let slow = times.now().instant;
        assert_eq!(slow - fast, Duration::from_millis(71));
        assert_eq!(times.watch(slow, None), None, "nothing came fast: the driver may sleep");
    }
}
