//! Records that were taken from a group's queue, with the tokens that acknowledge them.

use std::ops::Deref;

use crate::consumer::AckRefused;
use crate::consumer::AckToken;
use crate::consumer::OwnedRecord;
use crate::consumer::Portion;
use crate::consumer::Reset;

/// The records of one [`take`](super::GroupQueue::take), in order within each partition, and the right to acknowledge them.
///
/// Call [`Self::ack`] once they are processed. It can be sent to another task, and acknowledged there, in any order with other batches:
/// nothing is committed ahead of an open one. A batch that is dropped is not processed: the next take returns an error of kind
/// [`Unacknowledged`](crate::error::Kind::Unacknowledged), and nothing after its records is committed.
#[derive(Debug)]
#[must_use = "records that are not acknowledged come again, and nothing after them is committed"]
pub struct GroupBatch {
    records: Vec<OwnedRecord>,
    tokens: Vec<AckToken>,
    resets: Vec<Reset>,
}

impl GroupBatch {
    /// The records.
    pub fn records(&self) -> &[OwnedRecord] {
        &self.records
    }

    /// Takes the records out. The right to acknowledge them stays.
    pub fn take_records(&mut self) -> Vec<OwnedRecord> {
        std::mem::take(&mut self.records)
    }

    /// The positions that the reset policy has moved since the take before: see [`Records::resets`](crate::consumer::Records::resets).
    pub fn resets(&self) -> &[Reset] {
        &self.resets
    }

    /// Says that all records are processed. It waits for nothing: the next commit commits them.
    ///
    /// # Errors
    ///
    /// A partition was given up, or its position was moved, since they were taken: its records come again, to this member or another.
    /// Those of the other partitions are acknowledged. A program may ignore it.
    pub fn ack(self) -> Result<(), AckRefused> {
        let mut refused = None;
        for token in self.tokens {
            if let Err(error) = token.ack() {
                refused.get_or_insert(error);
            }
        }
        refused.map_or(Ok(()), Err)
    }
}

impl From<Portion> for GroupBatch {
    fn from(taken: Portion) -> Self {
        let Portion { records, tokens, resets } = taken;
        Self { records, tokens, resets }
    }
}

impl Deref for GroupBatch {
    type Target = [OwnedRecord];

    fn deref(&self) -> &[OwnedRecord] {
        &self.records
    }
}

impl<'a> IntoIterator for &'a GroupBatch {
    type Item = &'a OwnedRecord;
    type IntoIter = std::slice::Iter<'a, OwnedRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}
