//! Encodes v2 batches: those that tests append, those that compaction leaves, and transaction markers.

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;

use crate::codec::Codecs;
use crate::codec::Compression;
use crate::mock::check::HEAD_LEN;

/// A batch that a test appends to a partition without a client.
///
/// # Examples
///
/// ```
/// use ottla::mock::{Cluster, NewBatch};
///
/// let mut cluster = Cluster::builder().topic("events", 1).build();
/// cluster.append("events", 0, &NewBatch::of([("k", "v0"), ("k", "v1")]));
/// // Two transactions: the first one is aborted, the second one stays open.
/// cluster.append("events", 0, &NewBatch::of([("k", "v2")]).by(7, 0, 0).transactional());
/// cluster.end_transaction("events", 0, 7, false);
/// cluster.append("events", 0, &NewBatch::of([("k", "v3")]).by(7, 0, 1).transactional());
///
/// let values = |records: Vec<ottla::mock::StoredRecord>| records.into_iter().filter_map(|r| r.value).collect::<Vec<_>>();
/// assert_eq!(values(cluster.log("events", 0)), ["v0", "v1", "v2", "v3"]);
/// assert_eq!(values(cluster.log_committed("events", 0)), ["v0", "v1"]);
/// assert_eq!(cluster.last_stable_offset("events", 0), Some(4));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBatch {
    pub(super) producer: (i64, i16, i32),
    pub(super) transactional: bool,
    pub(super) compression: Compression,
    pub(super) timestamp: Option<i64>,
    pub(super) records: Vec<(Option<Bytes>, Option<Bytes>)>,
}

impl NewBatch {
    /// Starts with records of these keys and values, uncompressed and without a producer.
    pub fn of<K: Into<Bytes>, V: Into<Bytes>>(records: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::of_nullable(records.into_iter().map(|(key, value)| (Some(key), Some(value))))
    }

    /// As [`NewBatch::of`], where keys and values may be null.
    pub fn of_nullable<K: Into<Bytes>, V: Into<Bytes>>(
        records: impl IntoIterator<Item = (Option<K>, Option<V>)>,
    ) -> Self {
        let record = |(key, value): (Option<K>, Option<V>)| (key.map(Into::into), value.map(Into::into));
        Self {
            producer: (-1, -1, -1),
            transactional: false,
            compression: Compression::None,
            timestamp: None,
            records: records.into_iter().map(record).collect(),
        }
    }

    /// Sets the producer, its epoch and the sequence of the first record. The partition does not check them.
    pub fn by(mut self, producer_id: i64, epoch: i16, sequence: i32) -> Self {
        self.producer = (producer_id, epoch, sequence);
        self
    }

    /// Makes the batch part of its producer's transaction; begins one unless one is open.
    pub fn transactional(mut self) -> Self {
        self.transactional = true;
        self
    }

    /// Compresses the records.
    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the timestamp of every record, in milliseconds since 1970; by default the time of the append.
    pub fn timestamp(mut self, unix_ms: i64) -> Self {
        self.timestamp = Some(unix_ms);
        self
    }
}

/// A batch, field by field, before it is written.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) base_offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) attributes: i16,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer: (i64, i16, i32),
    pub(super) entries: Vec<Entry>,
}

/// A record before it is written.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) offset_delta: i32,
    pub(super) timestamp: i64,
    pub(super) key: Option<Bytes>,
    pub(super) value: Option<Bytes>,
    pub(super) headers: Vec<(Bytes, Option<Bytes>)>,
}

impl Draft {
    /// Encodes the batch, compressed as its attributes say. `None` where the codec does not exist, or a field is beyond the
    /// limits of the format.
    pub(super) fn write(&self, codecs: &Codecs) -> Option<Bytes> {
        let mut plain = Vec::new();
        for entry in &self.entries {
            self.record(&mut plain, entry)?;
        }
        let compression = Compression::from_id(u8::try_from(self.attributes & 0x07).ok()?)?;
        let mut section = Vec::new();
        if compression == Compression::None || self.entries.is_empty() {
            section = plain;
        } else {
            codecs.get(compression)?.compress(&plain, &mut section).ok()?;
        }
        let mut batch = BytesMut::with_capacity(HEAD_LEN + section.len());
        batch.put_i64(self.base_offset);
        batch.put_i32(i32::try_from(HEAD_LEN - 12 + section.len()).ok()?);
        batch.put_i32(self.leader_epoch);
        batch.put_i8(2);
        batch.put_u32(0);
        batch.put_i16(self.attributes);
        batch.put_i32(self.last_offset_delta);
        batch.put_i64(self.base_timestamp);
        batch.put_i64(self.max_timestamp);
        batch.put_i64(self.producer.0);
        batch.put_i16(self.producer.1);
        batch.put_i32(self.producer.2);
        batch.put_i32(i32::try_from(self.entries.len()).ok()?);
        batch.extend_from_slice(&section);
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        Some(batch.freeze())
    }

    fn record(&self, out: &mut Vec<u8>, entry: &Entry) -> Option<()> {
        let mut record = vec![0];
        varint(&mut record, entry.timestamp.checked_sub(self.base_timestamp)?);
        varint(&mut record, i64::from(entry.offset_delta));
        nullable(&mut record, entry.key.as_deref())?;
        nullable(&mut record, entry.value.as_deref())?;
        varint(&mut record, i64::try_from(entry.headers.len()).ok()?);
        for (key, value) in &entry.headers {
            nullable(&mut record, Some(key))?;
            nullable(&mut record, value.as_deref())?;
        }
        varint(out, i64::try_from(record.len()).ok()?);
        out.extend_from_slice(&record);
        Some(())
    }
}

fn nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Option<()> {
    let Some(bytes) = bytes else {
        varint(out, -1);
        return Some(());
    };
    varint(out, i64::from(i32::try_from(bytes.len()).ok()?));
    out.extend_from_slice(bytes);
    Some(())
}

fn varint(out: &mut Vec<u8>, number: i64) {
    let mut bits = (number << 1 ^ number >> 63).cast_unsigned();
    while bits > 0x7f {
        out.push((bits.to_le_bytes()[0] & 0x7f) | 0x80);
        bits >>= 7;
    }
    out.push(bits.to_le_bytes()[0]);
}
