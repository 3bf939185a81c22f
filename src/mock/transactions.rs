//! A partition's transactions: the open ones, the aborted ones, and the last stable offset
//! (`ProducerStateManager.firstUnstableOffset`, `TransactionIndex`).

use std::collections::BTreeMap;

/// A transaction that was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Aborted {
    pub(super) producer_id: i64,
    /// The offset of its first record.
    pub(super) first: i64,
    /// The offset of its marker.
    pub(super) last: i64,
}

/// The transactions of a partition.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions {
    /// The first offsets of open transactions, by producer.
    open: BTreeMap<i64, i64>,
    /// The first offset and the marker of transactions whose marker may not be replicated yet.
    ended: Vec<(i64, i64)>,
    /// In the order of their markers, not of their first offsets.
    aborted: Vec<Aborted>,
}

impl Transactions {
    /// Takes a transactional batch.
    pub(super) fn write(&mut self, producer_id: i64, offset: i64) {
        self.open.entry(producer_id).or_insert(offset);
    }

    pub(super) fn is_open(&self, producer_id: i64) -> bool {
        self.open.contains_key(&producer_id)
    }

    /// The first offset of a producer's open transaction.
    pub(super) fn start_of(&self, producer_id: i64) -> Option<i64> {
        self.open.get(&producer_id).copied()
    }

    /// The producers that have an open transaction, ascending.
    pub(super) fn open(&self) -> impl Iterator<Item = i64> {
        self.open.keys().copied()
    }

    /// Takes a marker. One of a producer without an open transaction changes nothing.
    pub(super) fn end(&mut self, producer_id: i64, marker: i64, commit: bool, high_watermark: i64) {
        self.ended.retain(|(_, last)| *last >= high_watermark);
        let Some(first) = self.open.remove(&producer_id) else { return };
        self.ended.push((first, marker));
        if !commit {
            self.aborted.push(Aborted { producer_id, first, last: marker });
        }
    }

    /// The last stable offset: the first of a transaction that is open, or whose marker is not replicated; else the high
    /// watermark.
    pub(super) fn stable(&self, high_watermark: i64) -> i64 {
        let unreplicated = self.ended.iter().filter(|(_, last)| *last >= high_watermark).map(|(first, _)| *first);
        self.open.values().copied().chain(unreplicated).fold(high_watermark, i64::min)
    }

    /// The aborted transactions that overlap `from..to`.
    pub(super) fn aborted(&self, from: i64, to: i64) -> impl Iterator<Item = Aborted> {
        self.aborted.iter().copied().filter(move |aborted| aborted.last >= from && aborted.first < to)
    }

    /// Whether a record of this producer at this offset was aborted.
    pub(super) fn is_aborted(&self, producer_id: i64, offset: i64) -> bool {
        self.aborted(offset, offset + 1).any(|aborted| aborted.producer_id == producer_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_stable_offset_stops_at_first_open_transaction() {
        let mut transactions = Transactions::default();
        transactions.write(1, 10);
        transactions.write(2, 12);
        transactions.write(1, 14);
        assert_eq!(transactions.stable(20), 10);
        transactions.end(1, 20, false, 20);
        assert_eq!(transactions.stable(20), 10, "its marker is not replicated");
        assert_eq!(transactions.stable(21), 12);
        transactions.end(2, 21, true, 21);
        assert_eq!(transactions.stable(22), 22);
        assert_eq!(transactions.aborted(0, 99).collect::<Vec<_>>(), [Aborted { producer_id: 1, first: 10, last: 20 }]);
        assert_eq!((transactions.aborted(0, 10).count(), transactions.aborted(21, 99).count()), (0, 0));
        assert!(transactions.is_aborted(1, 14) && !transactions.is_aborted(2, 14));
    }
}
