//! An open batch: each record is written once, in wire form, and sizes are exact.

use super::HEADER_LEN;
use super::RecordRef;
use super::varint;

/// A batch that accepts records.
#[derive(Debug)]
pub struct BatchBuilder {
    records: Vec<u8>,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// Opens a batch that writes into `buffer`. Its content is dropped, its capacity is used.
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { records: buffer, count: 0, base_timestamp: 0, max_timestamp: i64::MIN }
    }

    /// The number of records.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The size on the wire before compression, header included.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// The exact size with this record added.
    pub fn size_with(&self, record: &RecordRef<'_>) -> usize {
        let body = self.body_len(record);
        self.size() + varint::len(body) + usize::try_from(body).expect("a length is not negative")
    }

    fn timestamp_delta(&self, record: &RecordRef<'_>) -> i64 {
        if self.count == 0 { 0 } else { record.timestamp.wrapping_sub(self.base_timestamp) }
    }

    /// The length of a record, without the length field.
    fn body_len(&self, record: &RecordRef<'_>) -> i64 {
        let mut length = 1 + varint::len(self.timestamp_delta(record)) + varint::len(i64::from(self.count));
        length += field_len(record.key) + field_len(record.value) + varint::len(signed(record.headers.len()));
        for header in record.headers {
            length += field_len(Some(header.key)) + field_len(header.value);
        }
        signed(length)
    }

    /// Writes a record if the batch is empty or stays within `limit` bytes. Returns the index and the size of the record.
    pub fn append_within(&mut self, record: &RecordRef<'_>, limit: usize) -> Option<(u32, usize)> {
        let body = self.body_len(record);
        let bytes = varint::len(body) + usize::try_from(body).expect("a length is not negative");
        if !self.is_empty() && self.size() + bytes > limit {
            return None;
        }
        Some((self.write(record, body), bytes))
    }

    /// Writes a record and returns its index in the batch.
    pub fn append(&mut self, record: &RecordRef<'_>) -> u32 {
        self.write(record, self.body_len(record))
    }

    fn write(&mut self, record: &RecordRef<'_>, body: i64) -> u32 {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        let delta = self.timestamp_delta(record);
        // The numbers up to the key, or up to the value if there is no key, are collected first: one copy instead of several.
        let mut head = [0; 1 + 5 * varint::LEN_MAX];
        let mut at = varint::write(&mut head, 0, body);
        // The attributes of a record are unused and zero.
        at = varint::write(&mut head, at + 1, delta);
        at = varint::write(&mut head, at, i64::from(self.count));
        at = varint::write(&mut head, at, record.key.map_or(-1, |key| signed(key.len())));
        let out = &mut self.records;
        if let Some(key) = record.key {
            out.extend_from_slice(&head[..at]);
            out.extend_from_slice(key);
            at = 0;
        }
        at = varint::write(&mut head, at, record.value.map_or(-1, |value| signed(value.len())));
        out.extend_from_slice(&head[..at]);
        out.extend_from_slice(record.value.unwrap_or_default());
        varint::put(out, signed(record.headers.len()));
        for header in record.headers {
            put_field(out, Some(header.key));
            put_field(out, header.value);
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp);
        self.count += 1;
        self.count - 1
    }

    /// Closes the batch: it accepts no more records.
    pub fn close(self) -> ClosedBatch {
        let Self { records, count, base_timestamp, max_timestamp } = self;
        ClosedBatch { records, count, base_timestamp, max_timestamp }
    }
}

/// A batch that accepts no more records and is not compressed yet.
#[derive(Debug)]
pub struct ClosedBatch {
    /// The records in wire form.
    pub records: Vec<u8>,
    /// The number of records.
    pub count: u32,
    /// The timestamp of the first record.
    pub base_timestamp: i64,
    /// The largest timestamp.
    pub max_timestamp: i64,
}

impl ClosedBatch {
    /// The size on the wire before compression, header included.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }
}

fn signed(length: usize) -> i64 {
    i64::try_from(length).expect("no slice is longer than i64::MAX")
}

fn field_len(field: Option<&[u8]>) -> usize {
    field.map_or(1, |bytes| varint::len(signed(bytes.len())) + bytes.len())
}

fn put_field(out: &mut Vec<u8>, field: Option<&[u8]>) {
    match field {
        Some(bytes) => {
            varint::put(out, signed(bytes.len()));
            out.extend_from_slice(bytes);
        }
        None => varint::put(out, -1),
    }
}
