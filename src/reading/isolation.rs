//! Which records a reader of transactions sees: those of aborted transactions are left out.

use std::collections::BTreeSet;

use crate::record::Batch;
use crate::record::ControlKind;

/// Which records of transactions are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Those that were committed, once their transaction has ended, and those of no transaction.
    ReadCommitted,
    /// All.
    #[default]
    ReadUncommitted,
}

impl Isolation {
    pub(crate) fn to_wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// Aborted transactions of a fetch response, in the order they began, and the producers whose batches are in one.
#[derive(Debug)]
pub(super) struct Aborted {
    /// (first offset, producer id), the earliest last.
    ahead: Vec<(i64, i64)>,
    producers: BTreeSet<i64>,
}

impl Aborted {
    pub(super) fn new(transactions: Vec<(i64, i64)>) -> Self {
        let mut ahead: Vec<_> = transactions.into_iter().map(|(producer, first)| (first, producer)).collect();
        ahead.sort_unstable_by(|one, other| other.cmp(one));
        Self { ahead, producers: BTreeSet::new() }
    }

    pub(super) fn is_visible(&mut self, batch: &Batch) -> bool {
        while let Some((_, producer)) = self.ahead.pop_if(|(first, _)| *first <= batch.last_offset) {
            self.producers.insert(producer);
        }
        if batch.is_control {
            if batch.control_kind() == ControlKind::Abort {
                self.producers.remove(&batch.producer_id);
            }
            return false;
        }
        !(batch.is_transactional && self.producers.contains(&batch.producer_id))
    }
}
