//! The record of a run: a hash that two runs of a seed share, counts of events, and lines for people.

use std::collections::BTreeMap;

/// The record of one run.
#[derive(Debug)]
pub(super) struct Trace {
    hash: u64,
    loud: bool,
    counts: BTreeMap<&'static str, u64>,
}

impl Trace {
    /// `loud` prints every event.
    pub(super) fn new(loud: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, loud, counts: BTreeMap::new() }
    }

    /// Mixes numbers into the hash.
    pub(super) fn mix(&mut self, words: &[u64]) {
        for word in words {
            self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        }
    }

    /// Prints a line, if the run is loud.
    pub(super) fn say(&self, now: u64, line: impl FnOnce() -> String) {
        if self.loud {
            println!("{:>6}.{:06} {}", now / 1_000_000, now % 1_000_000, line());
        }
    }

    /// Counts that a fault struck or a way to recover was taken.
    pub(super) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn into_counts(self) -> BTreeMap<&'static str, u64> {
        self.counts
    }
}

/// A hash of bytes.
pub(super) fn fingerprint(bytes: &[u8]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes.len() as u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    for byte in rest {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29);
    }
    hash
}
