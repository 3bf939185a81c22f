//! The pause before a retry: exponential, with jitter (KIP-144, KIP-580).

use std::time::Duration;

use fastrand::Rng;

/// `min(longest, first · 2ⁿ) · U(0.8, 1.2)`, where n is the number of failures so far.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration) -> Self {
        // No retry follows without a pause, whatever the settings say.
        let first = first.max(Duration::from_millis(1));
        Self { first, longest: longest.max(first), failures: 0 }
    }

    /// Counts a failure and returns the pause after it.
    pub fn next(&mut self, rng: &mut Rng) -> Duration {
        let doubled = self.first.saturating_mul(1_u32.checked_shl(self.failures.min(20)).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.longest).mul_f64(0.8 + 0.4 * rng.f64())
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The number of failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_within_a_fifth() {
        let mut rng = Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        for expected in [50, 100, 200, 400, 800, 1_000, 1_000] {
            let waited = backoff.next(&mut rng).as_millis();
            assert!((expected * 8 / 10..=expected * 12 / 10).contains(&waited), "{waited} for {expected}");
        }
        backoff.reset();
        assert!(backoff.next(&mut rng).as_millis() <= 60);
    }

    #[test]
    fn failures_in_a_row_are_counted_until_a_success() {
        let mut rng = Rng::with_seed(1);
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        for _ in 0..3 {
            backoff.next(&mut rng);
        }
        assert_eq!(backoff.failures(), 3);
        backoff.reset();
        assert_eq!(backoff.failures(), 0);
    }
}
