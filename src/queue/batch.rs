//! Records that were taken, with the leases on them.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;
use std::time::Instant;

use super::core::Cursor;
use super::core::LeaseId;
use super::core::Lost;
use super::core::Notice;
use super::core::Span;
use super::core::Stored;
use super::cursors::Cursors;
use super::cursors::Entry;
use super::cursors::Verdict;
use crate::consumer::OwnedRecord;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::TopicPartition;
use crate::types::bounded;

/// A lease on offsets of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leased {
    pub(super) partition: i32,
    pub(super) id: LeaseId,
    pub(super) span: Span,
}

/// The records of one [`take`](super::Queue::take), in order within each partition, and the leases on them.
///
/// With [`Promise::AtLeastOnce`](super::Promise) call [`Self::ack`] once they are processed. A batch that is dropped is not processed:
/// its records are handed out again when its leases expire. [`Self::release`] does not wait for that. With
/// [`Promise::AtMostOnce`](super::Promise) there is nothing to acknowledge, and `ack` does nothing.
///
/// It can be sent to another task, and acknowledged there, in any order with other batches.
#[derive(Debug)]
#[must_use = "records that are not acknowledged are handed out again"]
pub struct Batch {
    pub(super) records: Vec<OwnedRecord>,
    pub(super) notices: Vec<(TopicPartition, Notice)>,
    pub(super) leases: Vec<Leased>,
    pub(super) entries: BTreeMap<i32, Entry>,
    pub(super) cursors: Option<Cursors>,
    pub(super) expires_at: Option<Instant>,
    pub(super) lasts: Duration,
}

impl Batch {
    /// The records.
    pub fn records(&self) -> &[OwnedRecord] {
        &self.records
    }

    /// Takes the records out. The leases stay.
    pub fn take_records(&mut self) -> Vec<OwnedRecord> {
        std::mem::take(&mut self.records)
    }

    /// Other events: where partitions began to be read, records that retention has deleted, leases that were taken over.
    pub fn notices(&self) -> &[(TopicPartition, Notice)] {
        &self.notices
    }

    /// The time that is left before others may take over these records. `None` if there is no lease.
    pub fn remaining(&self) -> Option<Duration> {
        Some(self.expires_at?.saturating_duration_since(clock::now()))
    }

    /// Says that all records are processed: nobody gets them again.
    ///
    /// # Errors
    ///
    /// - [`Kind::Unacknowledged`]: a lease had ended. It expired and was taken over, or the queue was reset; its records may be processed
    ///   again. Those of the other partitions are acknowledged.
    /// - [`Kind::Storage`]: the store failed, or did not answer in time. The records may be processed again.
    ///
    /// Cancel safety: dropped before it is ready, it may have acknowledged the records or not.
    pub async fn ack(self, timeout: Duration) -> Result<(), Error> {
        self.change(timeout, |cursor, lease| cursor.finish(lease.id, lease.span, lease.span.to)).await
    }

    /// Gives the records back unprocessed: others, or a later take, get them at once.
    ///
    /// # Errors
    ///
    /// [`Kind::Storage`]: the store failed, or did not answer in time. Then they are handed out when the leases expire.
    ///
    /// Cancel safety: as [`Self::ack`].
    pub async fn release(self, timeout: Duration) -> Result<(), Error> {
        self.change(timeout, |cursor, lease| {
            // A lease that was lost has another holder, who needs nothing of this batch.
            let _ = cursor.finish(lease.id, lease.span, lease.span.from);
            Ok(())
        })
        .await
    }

    /// Renews the leases for as long as they lasted: for records that take longer.
    ///
    /// # Errors
    ///
    /// As [`Self::ack`]. After [`Kind::Unacknowledged`] stop processing: others may do so.
    ///
    /// Cancel safety: dropped before it is ready, it may have renewed the leases or not.
    pub async fn renew(&mut self, timeout: Duration) -> Result<(), Error> {
        let begun = clock::now();
        self.change(timeout, |cursor, lease| cursor.renew(lease.id, lease.span)).await?;
        if self.expires_at.is_some() {
            self.expires_at = Some(begun + self.lasts);
        }
        Ok(())
    }

    async fn change(
        &self,
        timeout: Duration,
        mut change: impl FnMut(&mut Cursor, &Leased) -> Result<(), Lost>,
    ) -> Result<(), Error> {
        let Some(cursors) = self.cursors.as_ref().filter(|_| !self.leases.is_empty()) else { return Ok(()) };
        let deadline = clock::now() + bounded(timeout);
        let changed = cursors.update(self.entries.clone(), deadline, |partition, stored, _| {
            change_all(stored, self.leases.iter().filter(|lease| lease.partition == partition), &mut change)
        });
        let mut problem = None;
        for (partition, result) in changed.await {
            let lost = match result {
                Ok((_, None)) => continue,
                Ok((_, Some(lease))) => lost(&lease),
                Err(error) => error,
            };
            problem.get_or_insert(lost.in_partition(&cursors.topic, partition));
        }
        problem.map_or(Ok(()), Err)
    }
}

/// Changes the leases of one partition. Reports the first that had ended.
pub(super) fn change_all<'l>(
    stored: &Stored,
    leases: impl Iterator<Item = &'l Leased>,
    mut change: impl FnMut(&mut Cursor, &Leased) -> Result<(), Lost>,
) -> Verdict<Option<Leased>> {
    let mut leases = leases.peekable();
    let (Stored::Current(cursor) | Stored::Expired(cursor)) = stored else {
        return Verdict::Leave(leases.next().copied());
    };
    let mut changed = cursor.clone();
    let mut ended = None;
    for lease in leases {
        // Offsets that are done need nothing, whoever has done them.
        if let Err(Lost { is_done: false }) = change(&mut changed, lease) {
            ended.get_or_insert(*lease);
        }
    }
    if changed == *cursor { Verdict::Leave(ended) } else { Verdict::Store(changed, ended) }
}

fn lost(lease: &Leased) -> Error {
    let text = format!(
        "the lease on offsets {} had ended: it expired and was taken over, or the queue was reset, so these records may be processed \
         again; raise `QueueBuilder::lease`, take fewer records at once, or call `Batch::renew` in between",
        lease.span
    );
    Error::new(Kind::Unacknowledged, text)
}

impl Deref for Batch {
    type Target = [OwnedRecord];

    fn deref(&self) -> &[OwnedRecord] {
        &self.records
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = &'a OwnedRecord;
    type IntoIter = std::slice::Iter<'a, OwnedRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}
