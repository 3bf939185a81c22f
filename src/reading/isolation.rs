//! Which records a reader of transactions sees: those of aborted transactions are left out.

use std::collections::BTreeSet;

use crate::record::Batch;
use crate::record::ControlKind;

/// The records of transactions that a consumer returns (`isolation.level`).
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::consumer::Isolation;
///
/// let consumer = client.consumer().assign(["payments"]).isolation(Isolation::ReadCommitted).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Records of committed transactions, and records outside of transactions. Reading stops before the first open transaction.
    ReadCommitted,
    /// All records.
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

/// The aborted transactions of a fetch response in the order of their first offsets, and the producers that are in one at the
/// current batch (`CompletedFetch.consumeAbortedTransactionsUpTo`).
#[derive(Debug)]
pub(super) struct Aborted {
    /// (first offset, producer id), the lowest offset last.
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
