//! An open batch: records are written once, in wire form, with exact account of their size.

use super::HEADER_LEN;
use super::RecordRef;
use super::varint;

/// A batch that takes records.
#[derive(Debug)]
pub struct BatchBuilder {
    records: Vec<u8>,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchBuilder {
    /// Opens a batch that writes into `buffer`, whose content is dropped and whose room is used.
    pub fn new(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        Self { records: buffer, count: 0, base_timestamp: 0, max_timestamp: i64::MIN }
    }

    /// How many records it has.
    pub fn len(&self) -> u32 {
        self.count
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its size on the wire, header included, uncompressed.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// The size it would have with this record, to the byte.
    pub fn size_with(&self, record: &RecordRef<'_>) -> usize {
        let body = self.body_len(record);
        self.size() + varint::len(body) + usize::try_from(body).expect("a length is not negative")
    }

    fn timestamp_delta(&self, record: &RecordRef<'_>) -> i64 {
        if self.count == 0 { 0 } else { record.timestamp.wrapping_sub(self.base_timestamp) }
    }

    /// The record's length without the length itself.
    fn body_len(&self, record: &RecordRef<'_>) -> i64 {
        let mut length = 1 + varint::len(self.timestamp_delta(record)) + varint::len(i64::from(self.count));
        length += field_len(record.key) + field_len(record.value) + varint::len(signed(record.headers.len()));
        for header in record.headers {
            length += field_len(Some(header.key)) + field_len(header.value);
        }
        signed(length)
    }

    /// Writes a record if the batch then has no more than `limit` bytes, or is empty now. Answers its index and its bytes.
    pub fn append_within(&mut self, record: &RecordRef<'_>, limit: usize) -> Option<(u32, usize)> {
        let body = self.body_len(record);
        let bytes = varint::len(body) + usize::try_from(body).expect("a length is not negative");
        if !self.is_empty() && self.size() + bytes > limit {
            return None;
        }
        Some((self.write(record, body), bytes))
    }

    /// Writes a record and answers its index in the batch.
    pub fn append(&mut self, record: &RecordRef<'_>) -> u32 {
        self.write(record, self.body_len(record))
    }

    fn write(&mut self, record: &RecordRef<'_>, body: i64) -> u32 {
        if self.count == 0 {
            self.base_timestamp = record.timestamp;
        }
        let delta = self.timestamp_delta(record);
        // The numbers before the key, and before the value where there is no key, are put together first: one copy for all.
        let mut head = [0; 1 + 5 * varint::LEN_MAX];
        let mut at = varint::write(&mut head, 0, body);
        // No attribute of a record is in use.
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

    /// Takes no more records.
    pub fn close(self) -> ClosedBatch {
        let Self { records, count, base_timestamp, max_timestamp } = self;
        ClosedBatch { records, count, base_timestamp, max_timestamp }
    }
}

/// A batch that takes no more records and is not yet compressed.
#[derive(Debug)]
pub struct ClosedBatch {
    /// The records in wire form.
    pub records: Vec<u8>,
    /// How many there are.
    pub count: u32,
    /// The first record's timestamp.
    pub base_timestamp: i64,
    /// The largest timestamp.
    pub max_timestamp: i64,
}

impl ClosedBatch {
    /// Its size on the wire, header included, uncompressed.
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
