//! One broker as the core sees it: the partitions that wait for it, and the pace of retries after it failed.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;

use super::Key;

#[derive(Debug, Default)]
pub(super) struct Broker {
    pub(super) in_flight: usize,
    /// Partitions with something to send, in turn.
    pub(super) ready: VecDeque<Key>,
    /// Partitions whose open batch goes as soon as the broker has nothing to do.
    pub(super) opened: Vec<Key>,
    pub(super) pace: Pace,
}

/// The times at which partitions are retried that fail for one cause: their broker cannot be reached, or does not lead them yet.
///
/// All of them share the times at which they are tried: a thousand partitions of a topic that is being created cost one series of
/// requests, not a thousand. The pause is a quarter of the time that it has failed so far, from the first back-off to the longest,
/// so that a broker that becomes ready is noticed within a quarter of the time that it took. The first retry that succeeds starts
/// over, and those that wait longer than that are tried sooner.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// The first failure since a retry succeeded.
    since: Option<Instant>,
    /// Partitions whose batches failed are retried at this time.
    until: Option<Instant>,
    /// The partitions that wait until then.
    waiting: Vec<Key>,
}

impl Pace {
    /// Counts a failure of a partition, and returns when it is tried again.
    pub(super) fn failed(&mut self, now: Instant, key: Key, [first, longest]: [Duration; 2], rng: &mut Rng) -> Instant {
        if let Some(until) = self.until.filter(|until| *until > now) {
            self.waiting.push(key);
            return until;
        }
        let was_quiet = self.until.is_none_or(|until| until + longest < now);
        if was_quiet {
            self.since = None;
        }
        let since = *self.since.get_or_insert(now);
        let pause = first.max((now - since) / 4).min(longest).max(MIN_PAUSE);
        let until = now + pause.mul_f64(0.8 + 0.4 * rng.f64());
        self.until = Some(until);
        self.waiting.clear();
        self.waiting.push(key);
        until
    }

    /// A retry succeeded: the broker is ready. Returns the partitions that would wait for longer than `first`, and until when they
    /// wait instead.
    pub(super) fn succeeded(&mut self, now: Instant, first: Duration) -> Option<(Instant, Vec<Key>)> {
        self.since.take()?;
        let sooner = now + first;
        self.until.filter(|until| *until > sooner)?;
        self.until = Some(sooner);
        Some((sooner, self.waiting.clone()))
    }
}

/// Nothing is tried again without any pause, whatever the settings say.
const MIN_PAUSE: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    const BACK_OFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

    fn key(partition: i32) -> Key {
        Key { topic: 0, partition }
    }

    #[allow(clippy::disallowed_methods)]
    fn begin() -> (Instant, Pace, Rng) {
        (Instant::now(), Pace::default(), Rng::with_seed(1))
    }

    #[test]
    fn partitions_that_fail_together_are_tried_again_together() {
        let (now, mut pace, mut rng) = begin();
        let until = pace.failed(now, key(0), BACK_OFF, &mut rng);
        assert!((80..=120).contains(&(until - now).as_millis()));
        for partition in 1..1_000 {
            assert_eq!(pace.failed(now + Duration::from_millis(20), key(partition), BACK_OFF, &mut rng), until);
        }
    }

    #[test]
    fn pause_grows_to_a_quarter_of_the_outage_and_no_further_than_the_longest() {
        let (begin, mut pace, mut rng) = begin();
        let (mut now, mut tries) = (begin, 0);
        while now - begin < Duration::from_secs(60) {
            let until = pace.failed(now, key(0), BACK_OFF, &mut rng);
            let most = Duration::from_millis(100).max((now - begin) / 4).min(Duration::from_secs(1));
            assert!(until - now <= most.mul_f64(1.2), "{:?} after {:?}", until - now, now - begin);
            (now, tries) = (until, tries + 1);
        }
        assert!((60..90).contains(&tries), "{tries} in a minute");
    }

    #[test]
    fn first_retry_that_succeeds_lets_the_others_go_sooner() {
        let (begin, mut pace, mut rng) = begin();
        let mut now = begin;
        while now - begin < Duration::from_secs(10) {
            now = pace.failed(now, key(0), BACK_OFF, &mut rng);
        }
        let late = pace.failed(now, key(1), BACK_OFF, &mut rng);
        assert_eq!(pace.failed(now, key(2), BACK_OFF, &mut rng), late);
        let (sooner, who) = pace.succeeded(now, BACK_OFF[0]).expect("they wait for longer");
        assert_eq!((sooner, who), (now + BACK_OFF[0], vec![key(1), key(2)]));
        assert_eq!(pace.failed(now, key(3), BACK_OFF, &mut rng), sooner);
        assert_eq!(pace.succeeded(now, BACK_OFF[0]), None, "it started over before");
    }

    #[test]
    fn quiet_time_between_failures_does_not_count_as_an_outage() {
        let (begin, mut pace, mut rng) = begin();
        let until = pace.failed(begin, key(0), BACK_OFF, &mut rng);
        let later = until + Duration::from_secs(3_600);
        assert!(pace.failed(later, key(0), BACK_OFF, &mut rng) - later <= Duration::from_millis(120));
    }
}
