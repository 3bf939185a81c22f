//! Batches of format 2 written byte by byte, sharing nothing with the code that reads and writes them elsewhere. The
//! conformance suite of `protocol-tests` includes this file.

use bytes::BufMut;
use bytes::Bytes;
use bytes::BytesMut;

/// The fields of a batch header about its records, right or wrong.
pub(super) struct Head {
    pub(super) attributes: i16,
    /// Offset of the last record less the base offset.
    pub(super) last_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    /// Id, epoch and first sequence.
    pub(super) producer: (i64, i16, i32),
    pub(super) count: i32,
}

impl Head {
    /// The batch with these records, at offset 0 and with the right length and checksum.
    pub(super) fn with(&self, section: &[u8]) -> Bytes {
        let mut tail = BytesMut::new();
        tail.put_i16(self.attributes);
        tail.put_i32(self.last_delta);
        tail.put_i64(self.base_timestamp);
        tail.put_i64(self.max_timestamp);
        tail.put_i64(self.producer.0);
        tail.put_i16(self.producer.1);
        tail.put_i32(self.producer.2);
        tail.put_i32(self.count);
        tail.extend_from_slice(section);
        let mut batch = BytesMut::new();
        batch.put_i64(0);
        batch.put_i32(i32::try_from(tail.len() + 9).expect("small"));
        batch.put_i32(-1);
        batch.put_i8(2);
        batch.put_u32(crc32c::crc32c(&tail));
        batch.extend_from_slice(&tail);
        batch.freeze()
    }
}

/// Adds a record, `delta` after the first both in offset and in milliseconds. `headers` is their count, and they.
pub(super) fn record(section: &mut Vec<u8>, delta: i64, key: Option<&str>, value: &str, headers: &[u8]) {
    let mut record = vec![0];
    varint(&mut record, delta);
    varint(&mut record, delta);
    match key {
        Some(key) => text(&mut record, key),
        None => varint(&mut record, -1),
    }
    text(&mut record, value);
    record.extend_from_slice(headers);
    varint(section, i64::try_from(record.len()).expect("small"));
    section.extend_from_slice(&record);
}

fn text(out: &mut Vec<u8>, text: &str) {
    varint(out, i64::try_from(text.len()).expect("small"));
    out.extend_from_slice(text.as_bytes());
}

fn varint(out: &mut Vec<u8>, number: i64) {
    let mut bits = (number << 1 ^ number >> 63).cast_unsigned();
    while bits > 0x7f {
        out.push(u8::try_from(bits & 0x7f).expect("seven bits") | 0x80);
        bits >>= 7;
    }
    out.push(u8::try_from(bits).expect("seven bits"));
}
