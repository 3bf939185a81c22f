//! Uniform sticky partitioning, adaptive to queues (KIP-794, `BuiltInPartitioner`).

use fastrand::Rng;

use super::Partitions;
use super::random;

/// Stays on one partition until it has taken the bytes of a batch, then chooses the next at random, preferring short queues.
///
/// ```
/// use ottla::partitioner::{Partitions, Sticky};
///
/// let topic = Partitions { count: 8, available: &[], queued: &[] };
/// let mut rng = fastrand::Rng::with_seed(1);
/// let mut sticky = Sticky::new(1_000);
/// let partition = sticky.current(&topic, &mut rng);
/// sticky.on_appended(partition, 100, false);
/// assert_eq!(sticky.current(&topic, &mut rng), partition);
/// ```
#[derive(Debug)]
pub struct Sticky {
    batch_bytes: usize,
    current: Option<i32>,
    produced: usize,
}

impl Sticky {
    /// Switches after about `batch_bytes`.
    pub fn new(batch_bytes: usize) -> Self {
        Self { batch_bytes: batch_bytes.max(1), current: None, produced: 0 }
    }

    /// The partition to stay on.
    pub fn current(&mut self, topic: &Partitions<'_>, rng: &mut Rng) -> i32 {
        let in_range = |partition: &i32| u32::try_from(*partition).is_ok_and(|partition| partition < topic.count);
        if let Some(current) = self.current.filter(in_range) {
            return current;
        }
        let next = choose(topic, rng);
        self.current = Some(next);
        self.produced = 0;
        next
    }

    /// Counts appended bytes. After those of one batch it moves on when the batch is full, after those of two in any case, so that
    /// batches are not left half full.
    pub fn on_appended(&mut self, partition: i32, bytes: usize, batch_full: bool) {
        if self.current != Some(partition) {
            return;
        }
        self.produced += bytes;
        if (self.produced >= self.batch_bytes && batch_full) || self.produced >= 2 * self.batch_bytes {
            self.current = None;
        }
    }
}

/// Uniform where queues are equal or unknown; otherwise each partition weighs `longest queue + 1 − its own`.
fn choose(topic: &Partitions<'_>, rng: &mut Rng) -> i32 {
    let Some(longest) = topic.queued.iter().max().copied() else { return random(topic, rng) };
    if topic.queued.iter().all(|queued| *queued == longest) {
        return random(topic, rng);
    }
    let candidates = || -> Box<dyn Iterator<Item = i32>> {
        if topic.available.is_empty() {
            Box::new(0..i32::try_from(topic.count).unwrap_or(i32::MAX))
        } else {
            Box::new(topic.available.iter().copied())
        }
    };
    let weight = |partition: i32| {
        let queued = usize::try_from(partition).ok().and_then(|slot| topic.queued.get(slot));
        u64::from(longest + 1 - queued.copied().unwrap_or(0).min(longest))
    };
    let total: u64 = candidates().map(weight).sum();
    let mut left = rng.u64(..total.max(1));
    for partition in candidates() {
        let weight = weight(partition);
        if left < weight {
            return partition;
        }
        left -= weight;
    }
    random(topic, rng)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_weigh_as_the_java_client_says() {
        // The example in BuiltInPartitioner: queues 0, 3, 1 weigh 4, 1, 3.
        let topic = Partitions { count: 3, available: &[], queued: &[0, 3, 1] };
        let mut rng = Rng::with_seed(7);
        let mut counts = [0_u32; 3];
        for _ in 0..80_000 {
            counts[usize::try_from(choose(&topic, &mut rng)).unwrap()] += 1;
        }
        for (count, expected) in counts.into_iter().zip([40_000_u32, 10_000, 30_000]) {
            assert!(count.abs_diff(expected) < expected / 20, "{counts:?}");
        }
    }

    #[test]
    fn sticky_partition_lasts_from_one_to_two_batches() {
        let topic = Partitions { count: 100, available: &[], queued: &[] };
        let mut rng = Rng::with_seed(3);
        let mut sticky = Sticky::new(1_000);
        for _ in 0..1_000 {
            let stay = sticky.current(&topic, &mut rng);
            let mut bytes = 0;
            while sticky.current == Some(stay) {
                let full = rng.u8(..4) == 0;
                sticky.on_appended(stay, 70, full);
                bytes += 70;
            }
            assert!((1_000..2_070).contains(&bytes), "{bytes}");
        }
    }

    #[test]
    fn sticky_partition_ends_when_the_topic_shrinks() {
        let mut sticky = Sticky::new(1_000);
        sticky.current = Some(9);
        let topic = Partitions { count: 2, available: &[], queued: &[] };
        assert!(sticky.current(&topic, &mut Rng::with_seed(1)) < 2);
        sticky.current = Some(2);
        assert!(sticky.current(&topic, &mut Rng::with_seed(1)) < 2, "the first partition that does not exist");
    }

    #[test]
    fn sticky_partition_ends_after_two_batches_that_never_fill() {
        let topic = Partitions { count: 1_000, available: &[], queued: &[] };
        let mut rng = Rng::with_seed(5);
        let mut sticky = Sticky::new(1_000);
        let stay = sticky.current(&topic, &mut rng);
        sticky.on_appended(stay, 1_999, false);
        assert_eq!(sticky.current(&topic, &mut rng), stay);
        sticky.on_appended(stay, 1, false);
        assert_eq!(sticky.current, None);
    }

    #[test]
    fn sticky_switches_are_uniform_over_equal_queues() {
        let topic = Partitions { count: 10, available: &[], queued: &[2; 10] };
        let mut rng = Rng::with_seed(11);
        let mut sticky = Sticky::new(1);
        let mut counts = [0_u32; 10];
        for _ in 0..100_000 {
            let partition = sticky.current(&topic, &mut rng);
            counts[usize::try_from(partition).unwrap()] += 1;
            sticky.on_appended(partition, 2, true);
        }
        let squares: f64 = counts.iter().map(|count| (f64::from(*count) - 10_000.0).powi(2) / 10_000.0).sum();
        // Nine degrees of freedom: one in a thousand is above 27.88.
        assert!(squares < 27.88, "{squares} {counts:?}");
    }
}
