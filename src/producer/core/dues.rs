//! Deadlines of single records of a partition, which pass before those of their batches.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Instant;

use super::BatchId;

/// The records that have a deadline of their own and are not decided, by their indices in the ticket. Empty it takes no memory.
#[derive(Debug, Default)]
pub(super) struct Dues {
    by_time: BTreeSet<(Instant, BatchId, u32)>,
    by_record: BTreeMap<(BatchId, u32), Instant>,
}

impl Dues {
    pub(super) fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    /// Adds a record.
    pub(super) fn note(&mut self, id: BatchId, index: u32, at: Instant) {
        self.by_time.insert((at, id, index));
        self.by_record.insert((id, index), at);
    }

    /// The first deadline.
    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, ..)| *at)
    }

    /// Removes the records whose deadline has passed, and returns them by batch.
    pub(super) fn take(&mut self, now: Instant) -> BTreeMap<BatchId, Vec<u32>> {
        let mut passed: BTreeMap<BatchId, Vec<u32>> = BTreeMap::new();
        while self.by_time.first().is_some_and(|(at, ..)| *at <= now) {
            let Some((_, id, index)) = self.by_time.pop_first() else { break };
            self.by_record.remove(&(id, index));
            passed.entry(id).or_default().push(index);
        }
        for indices in passed.values_mut() {
            indices.sort_unstable();
        }
        passed
    }

    /// Removes the records of a batch that is decided.
    pub(super) fn forget(&mut self, id: BatchId) {
        self.remove(id, 0..u32::MAX);
    }

    /// Gives some records of a batch to a part that was split off.
    pub(super) fn give(&mut self, from: BatchId, to: BatchId, records: Range<u32>) {
        for (index, at) in self.remove(from, records) {
            self.note(to, index, at);
        }
    }

    fn remove(&mut self, id: BatchId, records: Range<u32>) -> Vec<(u32, Instant)> {
        let found = self.by_record.range((id, records.start)..(id, records.end));
        let removed: Vec<(u32, Instant)> = found.map(|((_, index), at)| (*index, *at)).collect();
        for (index, at) in &removed {
            self.by_record.remove(&(id, *index));
            self.by_time.remove(&(*at, id, *index));
        }
        removed
    }
}

/// The parts of `records` that lie between the indices of `without`, which ascend.
pub(super) fn gaps(records: Range<u32>, without: &[u32]) -> Vec<Range<u32>> {
    let mut from = records.start;
    let mut found = Vec::new();
    for index in without.iter().copied().filter(|index| records.contains(index)) {
        found.push(from..index);
        from = index + 1;
    }
    found.push(from..records.end);
    found.retain(|gap| !gap.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn records_are_taken_in_time_and_follow_their_batch() {
        #[allow(clippy::disallowed_methods)]
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut dues = Dues::default();
        for (id, index, seconds) in [(7, 0, 3), (7, 4, 1), (7, 9, 2), (8, 0, 1)] {
            dues.note(id, index, at(seconds));
        }
        dues.give(7, 5, 0..5);
        assert_eq!(dues.first(), Some(at(1)));
        assert_eq!(dues.take(at(1)), BTreeMap::from([(5, vec![4]), (8, vec![0])]));
        dues.forget(7);
        assert_eq!(dues.take(at(9)), BTreeMap::from([(5, vec![0])]));
        assert!(dues.is_empty() && dues.by_record.is_empty());
    }

    #[test]
    fn gaps_are_the_records_that_are_left() {
        assert_eq!(gaps(2..6, &[]).as_slice(), std::slice::from_ref(&(2..6)));
        assert_eq!(gaps(2..6, &[0, 2, 4, 7]), [3..4, 5..6]);
        assert_eq!(gaps(0..2, &[0, 1]), []);
    }
}
