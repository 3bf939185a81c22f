//! One partition's log: the stored batches, the offsets that bound them, the leader epochs they were written under.

use bytes::Bytes;
use bytes::BytesMut;

use crate::codec::Codecs;
use crate::mock::check::CONTROL;
use crate::mock::check::Checked;
use crate::mock::check::HEAD_LEN;
use crate::mock::check::Head;
use crate::mock::check::NO_TIMESTAMP;
use crate::mock::check::TRANSACTIONAL;
use crate::mock::check::decompress;
use crate::mock::compact;
use crate::mock::encode::Draft;
use crate::mock::encode::Entry;
use crate::mock::producers::Producers;
use crate::mock::producers::after;
use crate::mock::transactions::Aborted;
use crate::mock::transactions::Transactions;
use crate::mock::walk::RawRecord;
use crate::mock::walk::Walk;

/// A record in a log, as tests read it.
///
/// # Examples
///
/// ```
/// use ottla::mock::{Cluster, NewBatch};
///
/// let mut cluster = Cluster::builder().topic("events", 1).build();
/// cluster.append("events", 0, &NewBatch::of([("k", "v")]));
/// let record = &cluster.log("events", 0)[0];
/// assert_eq!((record.offset, record.value.as_deref()), (0, Some(&b"v"[..])));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRecord {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, as its producer set it.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<Bytes>,
    /// The value, or null.
    pub value: Option<Bytes>,
    /// The headers, in order, duplicates kept.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
    /// The id of the producer that wrote it; −1 without idempotence.
    pub producer_id: i64,
    /// The epoch of that producer; −1 without idempotence.
    pub producer_epoch: i16,
    /// The record's own sequence number; −1 without idempotence.
    pub sequence: i32,
    /// Whether it is part of a transaction, committed or not.
    pub transactional: bool,
    /// The epoch of the leader that appended it.
    pub leader_epoch: i32,
}

/// The log.
#[derive(Debug, Default)]
pub(super) struct Log {
    batches: Vec<Batch>,
    start: i64,
    end: i64,
    high_watermark: i64,
    /// Whether replication is held, so that the high watermark stays.
    held: bool,
    /// Bytes ever appended.
    bytes: u64,
    /// Each leader epoch with its first offset, both growing (`LeaderEpochFileCache`).
    epochs: Vec<(i32, i64)>,
    pub(super) producers: Producers,
    pub(super) transactions: Transactions,
}

/// A batch: its header with the offset and epoch of this log, its records still in the frame they came in.
#[derive(Debug)]
struct Batch {
    head: [u8; HEAD_LEN],
    body: Bytes,
    last: i64,
    max_timestamp: i64,
    leader_epoch: i32,
    /// Bytes appended before it.
    position: u64,
}

impl Batch {
    fn len(&self) -> usize {
        HEAD_LEN + self.body.len()
    }

    fn base(&self) -> i64 {
        Head::read(&self.head).base_offset
    }

    /// Calls `visit` with each record's offset, timestamp and content until it returns false.
    fn visit(&self, codecs: &Codecs, mut visit: impl FnMut(&Head, i64, i64, RawRecord<'_>) -> bool) {
        let head = Head::read(&self.head);
        let Some(compression) = head.compression() else { return };
        let mut scratch = Vec::new();
        let Ok(plain) = decompress(&self.body, compression, codecs, &mut scratch) else { return };
        let mut walk = Walk::new(plain);
        while let Some(record) = walk.next_record() {
            let offset = head.base_offset + i64::from(record.offset_delta);
            if !visit(&head, offset, head.base_timestamp + record.timestamp_delta, record) {
                return;
            }
        }
    }
}

impl Log {
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// The offset the next record gets.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The high watermark: every replica has the records before it.
    pub(super) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The last stable offset: every transaction before it has ended.
    pub(super) fn stable(&self) -> i64 {
        self.transactions.stable(self.high_watermark)
    }

    /// The end of what a consumer may read.
    pub(super) fn readable(&self, read_committed: bool) -> i64 {
        if read_committed { self.stable() } else { self.high_watermark }
    }

    /// Holds replication, or resumes it.
    pub(super) fn hold(&mut self, held: bool) {
        self.held = held;
        self.replicated();
    }

    /// Whether replication is held.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// The bytes that are stored.
    pub(super) fn size(&self) -> i64 {
        let before = self.batches.first().map_or(self.bytes, |batch| batch.position);
        i64::try_from(self.bytes - before).unwrap_or(i64::MAX)
    }

    /// Replicates everything once.
    pub(super) fn replicate(&mut self) {
        self.high_watermark = self.end;
    }

    fn replicated(&mut self) {
        if !self.held {
            self.high_watermark = self.end;
        }
    }

    /// Appends a checked batch, and returns the offset of its first record.
    pub(super) fn append(&mut self, records: &Bytes, checked: &Checked, leader_epoch: i32) -> i64 {
        let mut head: [u8; HEAD_LEN] = records.first_chunk().copied().expect("a checked batch has a whole header");
        let base = self.end;
        // The CRC starts after these two, so that a broker can set them.
        head[..8].copy_from_slice(&base.to_be_bytes());
        head[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
        let batch = Batch {
            head,
            body: records.slice(HEAD_LEN..),
            last: base + i64::from(checked.last_offset_delta),
            max_timestamp: checked.max_timestamp,
            leader_epoch,
            position: self.bytes,
        };
        self.bytes += batch.len() as u64;
        self.end = batch.last + 1;
        self.note(&Head::read(&batch.head), base, &batch.body);
        self.batches.push(batch);
        self.replicated();
        base
    }

    /// Updates the state of the producer and its transaction.
    fn note(&mut self, head: &Head, base: i64, body: &[u8]) {
        if head.is_control() {
            let (kind, coordinator_epoch) = control(body).unwrap_or((ABORT, -1));
            let commit = kind == COMMIT;
            self.producers.marked(head.producer_id, head.producer_epoch, coordinator_epoch, head.max_timestamp);
            return self.transactions.end(head.producer_id, base, commit, self.high_watermark);
        }
        if let Some(numbered) = head.numbered() {
            self.producers.record(numbered, base, head.max_timestamp);
        }
        if head.is_transactional() {
            self.transactions.write(head.producer_id, base);
        }
    }

    /// Appends the marker that ends a producer's transaction; returns its offset.
    pub(super) fn mark(&mut self, marker: Marker, timestamp: i64, leader_epoch: i32, codecs: &Codecs) -> Option<i64> {
        let mut key = [0; 4];
        key[2..].copy_from_slice(&(if marker.commit { COMMIT } else { ABORT }).to_be_bytes());
        // Version 0.
        let mut value = [0; 6];
        value[2..].copy_from_slice(&marker.coordinator_epoch.to_be_bytes());
        let entry = Entry {
            offset_delta: 0,
            timestamp,
            key: Some(Bytes::copy_from_slice(&key)),
            value: Some(Bytes::copy_from_slice(&value)),
            headers: Vec::new(),
        };
        let draft = Draft {
            base_offset: 0,
            leader_epoch,
            attributes: TRANSACTIONAL | CONTROL,
            last_offset_delta: 0,
            base_timestamp: timestamp,
            max_timestamp: timestamp,
            producer: (marker.producer_id, marker.epoch, -1),
            entries: vec![entry],
        };
        let checked = Checked { last_offset_delta: 0, max_timestamp: timestamp, numbered: None, transactional: true };
        Some(self.append(&draft.write(codecs)?, &checked, leader_epoch))
    }

    /// Forgets the producers that have no open transaction.
    pub(super) fn expire_producers(&mut self) {
        self.producers.expire(|id| self.transactions.is_open(id));
    }

    /// Removes the batches from the one that contains `offset` on, and rebuilds the state of producers and transactions from
    /// the rest. Returns the new end of the log.
    pub(super) fn truncate(&mut self, offset: i64) -> i64 {
        let kept = self.batches.partition_point(|batch| batch.last < offset);
        if let Some(first) = self.batches.get(kept) {
            self.end = first.base().max(self.start);
            self.bytes = first.position;
        }
        self.batches.truncate(kept);
        self.end = self.end.min(offset.max(self.start));
        self.high_watermark = self.high_watermark.min(self.end);
        let end = self.end;
        self.epochs.retain(|(_, start)| *start < end);
        self.producers.clear();
        self.transactions = Transactions::default();
        let batches = std::mem::take(&mut self.batches);
        for batch in &batches {
            self.note(&Head::read(&batch.head), batch.base(), &batch.body);
        }
        self.batches = batches;
        end
    }

    /// Compacts the stable part before `until`, as the log cleaner does; returns the number of removed records.
    pub(super) fn compact(&mut self, until: i64, horizon_ms: i64, codecs: &Codecs) -> usize {
        let until = until.min(self.stable());
        let clean = self.batches.partition_point(|batch| batch.last < until);
        let pieces = self.batches.iter().map(|batch| compact::Piece { head: batch.head, body: batch.body.clone() });
        let last = |producer_id| self.producers.last_offset(producer_id);
        let aborted = |producer_id, offset| self.transactions.is_aborted(producer_id, offset);
        let (pieces, gone) = compact::clean(pieces.collect(), clean, horizon_ms, codecs, last, aborted);
        self.bytes = 0;
        self.batches.clear();
        for piece in pieces {
            let head = Head::read(&piece.head);
            let batch = Batch {
                head: piece.head,
                body: piece.body,
                last: head.base_offset + i64::from(head.last_offset_delta),
                max_timestamp: head.max_timestamp,
                leader_epoch: head.leader_epoch,
                position: self.bytes,
            };
            self.bytes += batch.len() as u64;
            self.batches.push(batch);
        }
        gone
    }

    /// The bytes of the batches from the one that contains `offset` to the last one before `upper`.
    pub(super) fn available(&self, offset: i64, upper: i64) -> u64 {
        let position = |index: usize| self.batches.get(index).map_or(self.bytes, |batch| batch.position);
        position(self.find(upper)).saturating_sub(position(self.find(offset)))
    }

    /// At most `limit` bytes of the batches from the one that contains `offset` to the last one before `upper`; the last one
    /// is cut where the limit falls in it.
    ///
    /// A first batch larger than the limit is returned whole if `first_whole`, else nothing is.
    pub(super) fn read(&self, offset: i64, upper: i64, limit: usize, first_whole: bool) -> Bytes {
        let (from, to) = (self.find(offset), self.find(upper));
        let batches = self.batches.get(from..to).unwrap_or_default();
        let Some(first) = batches.first() else { return Bytes::new() };
        if first.len() > limit && !first_whole {
            return Bytes::new();
        }
        let available = usize::try_from(self.available(offset, upper)).unwrap_or(usize::MAX);
        let size = available.min(limit.max(first.len()));
        let mut out = BytesMut::with_capacity(size);
        for part in batches.iter().flat_map(|batch| [&batch.head[..], &batch.body[..]]) {
            let capacity = size - out.len();
            if capacity == 0 {
                break;
            }
            out.extend_from_slice(&part[..part.len().min(capacity)]);
        }
        out.freeze()
    }

    /// The first record at or after a timestamp, with its own timestamp and leader epoch.
    pub(super) fn find_time(&self, timestamp: i64, codecs: &Codecs) -> Option<Found> {
        for batch in self.batches.iter().filter(|batch| batch.max_timestamp >= timestamp) {
            let mut found = None;
            batch.visit(codecs, |_, offset, time, _| {
                if time >= timestamp && offset >= self.start {
                    found = Some(Found { offset, timestamp: time, leader_epoch: batch.leader_epoch });
                }
                found.is_none()
            });
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// The first record that has the largest timestamp (KIP-734).
    pub(super) fn latest_time(&self, codecs: &Codecs) -> Option<Found> {
        let timestamp = self.batches.iter().map(|batch| batch.max_timestamp).max()?;
        self.find_time(timestamp, codecs).filter(|_| timestamp != NO_TIMESTAMP)
    }

    /// The leader epoch that the record at `offset` was written under.
    pub(super) fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.epochs.iter().rev().find(|(_, start)| *start <= offset).map(|(epoch, _)| *epoch)
    }

    /// Begins a leader epoch at the end of the log.
    pub(super) fn begin_epoch(&mut self, epoch: i32) {
        let end = self.end;
        self.epochs.retain(|(known, start)| *known < epoch && *start < end);
        self.epochs.push((epoch, end));
    }

    /// The largest epoch not above `epoch` in the log, and its end (`LeaderEpochFileCache.endOffsetFor`); −1 twice where it is
    /// undefined.
    pub(super) fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        let Some((newest, _)) = self.epochs.last() else { return (-1, -1) };
        if epoch < 0 || epoch > *newest {
            return (-1, -1);
        }
        if epoch == *newest {
            return (epoch, self.end);
        }
        let above = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let end = self.epochs[above].1;
        match above.checked_sub(1) {
            Some(floor) => (self.epochs[floor].0, end),
            None => (epoch, end),
        }
    }

    /// Deletes the batches before `offset`, up to the high watermark, as retention and DeleteRecords do; returns the new
    /// start.
    pub(super) fn delete_before(&mut self, offset: i64) -> i64 {
        self.start = offset.clamp(self.start, self.high_watermark.max(self.start));
        let start = self.start;
        self.batches.retain(|batch| batch.last >= start);
        // Epochs are removed with their records, except the one that contains the start (`truncateFromStart`).
        let keep = self.epochs.partition_point(|(_, first)| *first <= start).saturating_sub(1);
        self.epochs.drain(..keep);
        if let Some((_, first)) = self.epochs.first_mut() {
            *first = start.max(*first);
        }
        self.start
    }

    /// As [`Log::records`], from the batch on that contains `offset`.
    pub(super) fn records_from(&self, offset: i64, codecs: &Codecs) -> Vec<StoredRecord> {
        self.select(codecs, |batch| batch.last >= offset)
    }

    /// All records from the start on, those of transactions too, without markers.
    pub(super) fn records(&self, codecs: &Codecs) -> Vec<StoredRecord> {
        self.select(codecs, |_| true)
    }

    /// The records that a `read_committed` consumer sees.
    pub(super) fn committed(&self, codecs: &Codecs) -> Vec<StoredRecord> {
        let stable = self.stable();
        self.select(codecs, |batch| {
            let head = Head::read(&batch.head);
            let aborted = head.is_transactional() && self.transactions.is_aborted(head.producer_id, head.base_offset);
            batch.last < stable && !aborted
        })
    }

    fn select(&self, codecs: &Codecs, wanted: impl Fn(&Batch) -> bool) -> Vec<StoredRecord> {
        let mut records = Vec::new();
        let data = self.batches.iter().filter(|batch| !Head::read(&batch.head).is_control());
        for batch in data.filter(|batch| wanted(batch)) {
            batch.visit(codecs, |head, offset, timestamp, raw| {
                if offset >= self.start {
                    records.push(stored(head, offset, timestamp, raw));
                }
                true
            });
        }
        records
    }

    /// The stored batches, each as a consumer receives it.
    pub(super) fn batches(&self) -> impl Iterator<Item = Bytes> {
        self.batches.iter().map(|batch| Bytes::from([&batch.head[..], &batch.body[..]].concat()))
    }

    /// The aborted transactions that a consumer of `from..to` has to know.
    pub(super) fn aborted(&self, from: i64, to: i64) -> impl Iterator<Item = Aborted> {
        self.transactions.aborted(from, to)
    }

    /// The index of the batch that contains `offset`, or of the first after it.
    fn find(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.last < offset)
    }
}

/// The end of a producer's transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marker {
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
    pub(super) coordinator_epoch: i32,
    pub(super) commit: bool,
}

/// The result of a search by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) offset: i64,
    pub(super) timestamp: i64,
    pub(super) leader_epoch: i32,
}

fn stored(head: &Head, offset: i64, timestamp: i64, raw: RawRecord<'_>) -> StoredRecord {
    let headers = raw.headers.iter();
    StoredRecord {
        offset,
        timestamp,
        key: raw.key.map(Bytes::copy_from_slice),
        value: raw.value.map(Bytes::copy_from_slice),
        headers: headers.map(|(key, value)| (Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice))).collect(),
        producer_id: head.producer_id,
        producer_epoch: head.producer_epoch,
        sequence: if head.base_sequence < 0 { -1 } else { after(head.base_sequence, raw.offset_delta) },
        transactional: head.is_transactional(),
        leader_epoch: head.leader_epoch,
    }
}

/// Whether a marker commits or aborts, and the epoch of its coordinator (`ControlRecordType.parse`, `EndTransactionMarker`).
fn control(body: &[u8]) -> Option<(i16, i32)> {
    let record = Walk::new(body).next_record()?;
    let kind = record.key?.get(2..4)?.first_chunk().map(|bytes| i16::from_be_bytes(*bytes))?;
    let epoch = record.value.and_then(|value| value.get(2..6)?.first_chunk().map(|bytes| i32::from_be_bytes(*bytes)));
    Some((kind, epoch.unwrap_or(-1)))
}

const ABORT: i16 = 0;
const COMMIT: i16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_ends_where_the_next_begins() {
        let mut log = Log::default();
        assert_eq!(log.end_of_epoch(0), (-1, -1));
        for (epoch, end) in [(0, 0), (1, 10), (2, 10), (5, 30)] {
            log.end = end;
            log.begin_epoch(epoch);
        }
        log.end = 40;
        assert_eq!(log.end_of_epoch(0), (0, 10), "an epoch without a record is forgotten");
        assert_eq!(log.end_of_epoch(1), (0, 10));
        assert_eq!(log.end_of_epoch(3), (2, 30));
        assert_eq!(log.end_of_epoch(5), (5, 40));
        assert_eq!(log.end_of_epoch(6), (-1, -1));
        assert_eq!(log.end_of_epoch(-1), (-1, -1));
    }
}
