//! The choice of a record's partition, by a built-in or a custom partitioner.
//!
//! The default chooses by the key as Java does (murmur2). Records without a key are spread uniformly: they stay on one partition
//! until it has taken a batch, and partitions with a longer queue are chosen less often (KIP-794).

use std::fmt;

use fastrand::Rng;

pub mod hash;
mod sticky;

pub use self::sticky::Sticky;

/// A topic as a partitioner sees it.
///
/// ```
/// use ottla::partitioner::Partitions;
///
/// // Partition 1 has no leader.
/// let topic = Partitions { count: 3, available: &[0, 2], queued: &[] };
/// assert!(!topic.available.contains(&1));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Partitions<'a> {
    /// How many partitions the topic has, at least one.
    pub count: u32,
    /// The partitions that have a leader; all, if empty.
    pub available: &'a [i32],
    /// Batches waiting for each partition; unknown, if empty.
    pub queued: &'a [u32],
}

/// Chooses the partition of each record of one topic.
///
/// ```
/// use ottla::partitioner::{Partitioner, Partitions};
///
/// /// The severity, the key's first byte, chooses the partition.
/// struct BySeverity;
///
/// impl Partitioner for BySeverity {
///     fn partition(&mut self, key: Option<&[u8]>, topic: &Partitions<'_>, _: &mut fastrand::Rng) -> i32 {
///         let severity = key.and_then(|key| key.first()).copied().unwrap_or_default();
///         (u32::from(severity) % topic.count) as i32
///     }
/// }
/// ```
pub trait Partitioner: Send {
    /// The partition for a record with this key. It must be below `topic.count`.
    fn partition(&mut self, key: Option<&[u8]>, topic: &Partitions<'_>, rng: &mut Rng) -> i32;

    /// Called after each record, with the bytes that it took and whether its batch is full.
    fn on_appended(&mut self, _partition: i32, _bytes: usize, _batch_full: bool) {}
}

/// Makes a partitioner for each topic.
///
/// ```
/// use ottla::partitioner::{Builtin, Partitioner, PartitionerFactory, Partitions};
///
/// /// Records without a key go to partition 0; the others as in Java.
/// #[derive(Debug)]
/// struct ZeroWithoutKey;
///
/// struct Zero(Box<dyn Partitioner>);
///
/// impl Partitioner for Zero {
///     fn partition(&mut self, key: Option<&[u8]>, topic: &Partitions<'_>, rng: &mut fastrand::Rng) -> i32 {
///         if key.is_some() { self.0.partition(key, topic, rng) } else { 0 }
///     }
/// }
///
/// impl PartitionerFactory for ZeroWithoutKey {
///     fn make(&self, batch_bytes: usize) -> Box<dyn Partitioner> {
///         Box::new(Zero(Builtin::Murmur2.make(batch_bytes)))
///     }
/// }
/// ```
pub trait PartitionerFactory: Send + Sync + fmt::Debug {
    /// A partitioner for one topic, whose batches have about `batch_bytes`.
    fn make(&self, batch_bytes: usize) -> Box<dyn Partitioner>;
}

/// The built-in partitioners.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::partitioner::Builtin;
///
/// let producer = client.producer().partitioner(Builtin::ConsistentRandom).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builtin {
    /// Keys by murmur2, as in Java; records without a key sticky and adaptive (KIP-794). The default.
    #[default]
    Murmur2,
    /// Every record on the next partition, keys ignored.
    RoundRobin,
    /// Keys by CRC32, as librdkafka's `consistent_random`; records without a key at random.
    ConsistentRandom,
    /// Keys by FNV-1a, as librdkafka's `fnv1a_random`; records without a key at random.
    Fnv1aRandom,
}

impl PartitionerFactory for Builtin {
    fn make(&self, batch_bytes: usize) -> Box<dyn Partitioner> {
        match self {
            Self::Murmur2 => Box::new(Murmur2 { sticky: Sticky::new(batch_bytes) }),
            Self::RoundRobin => Box::new(RoundRobin { next: None }),
            // librdkafka's `consistent_random` treats an empty key as none, its `fnv1a_random` hashes it.
            Self::ConsistentRandom => Box::new(Hashed { hash: hash::consistent, empty_is_none: true }),
            Self::Fnv1aRandom => Box::new(Hashed { hash: hash::fnv1a_partition, empty_is_none: false }),
        }
    }
}

struct Murmur2 {
    sticky: Sticky,
}

impl Partitioner for Murmur2 {
    fn partition(&mut self, key: Option<&[u8]>, topic: &Partitions<'_>, rng: &mut Rng) -> i32 {
        match key {
            Some(key) => hash::java_partition(key, topic.count),
            None => self.sticky.current(topic, rng),
        }
    }

    fn on_appended(&mut self, partition: i32, bytes: usize, batch_full: bool) {
        self.sticky.on_appended(partition, bytes, batch_full);
    }
}

struct RoundRobin {
    next: Option<u32>,
}

impl Partitioner for RoundRobin {
    fn partition(&mut self, _key: Option<&[u8]>, topic: &Partitions<'_>, rng: &mut Rng) -> i32 {
        let turn = self.next.unwrap_or_else(|| rng.u32(..topic.count));
        self.next = Some(turn.wrapping_add(1));
        let available = topic.available;
        if available.is_empty() {
            return index(turn % topic.count);
        }
        available[turn as usize % available.len()]
    }
}

/// Chooses by a hash of the key, or at random without one.
struct Hashed {
    hash: fn(&[u8], u32) -> i32,
    empty_is_none: bool,
}

impl Partitioner for Hashed {
    fn partition(&mut self, key: Option<&[u8]>, topic: &Partitions<'_>, rng: &mut Rng) -> i32 {
        match key {
            Some(key) if !(self.empty_is_none && key.is_empty()) => (self.hash)(key, topic.count),
            _ => random(topic, rng),
        }
    }
}

fn random(topic: &Partitions<'_>, rng: &mut Rng) -> i32 {
    rng.choice(topic.available).copied().unwrap_or_else(|| index(rng.u32(..topic.count)))
}

fn index(partition: u32) -> i32 {
    i32::try_from(partition).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_robin_visits_every_available_partition_in_turn() {
        let topic = Partitions { count: 4, available: &[0, 2, 3], queued: &[] };
        let mut partitioner = Builtin::RoundRobin.make(1);
        let mut rng = Rng::with_seed(1);
        let mut seen: Vec<i32> = (0..3).map(|_| partitioner.partition(None, &topic, &mut rng)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 2, 3]);
    }

    #[test]
    fn key_stays_on_its_partition_without_a_leader() {
        let topic = Partitions { count: 32, available: &[1], queued: &[] };
        let mut partitioner = Builtin::Murmur2.make(1);
        let key = b"fd7af248-ce5c-46a5-93d7-1c0c9005b99d";
        assert_eq!(partitioner.partition(Some(key), &topic, &mut Rng::with_seed(1)), 26);
    }

    #[test]
    fn empty_key_is_placed_as_librdkafka_does() {
        let topic = Partitions { count: 1_000, available: &[], queued: &[] };
        let distinct = |builtin: Builtin| {
            let (mut partitioner, mut rng) = (builtin.make(1), Rng::with_seed(1));
            (0..20)
                .map(|_| partitioner.partition(Some(b""), &topic, &mut rng))
                .collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(distinct(Builtin::Fnv1aRandom), [hash::fnv1a_partition(b"", 1_000)].into());
        assert_eq!(distinct(Builtin::Murmur2), [hash::java_partition(b"", 1_000)].into());
        assert!(distinct(Builtin::ConsistentRandom).len() > 1);
    }
}
