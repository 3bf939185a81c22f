//! Checks a produced batch as a broker does (`ProduceRequest.validateRecords`, `UnifiedLog.append`, `LogValidator`).
//!
//! The decoder is the mock's own. It is stricter than Kafka where the head of [`crate::mock`] says so.

use kafka_protocol::error::ResponseError;

use crate::codec::Codecs;
use crate::codec::Compression;
use crate::mock::producers::Numbered;
use crate::mock::producers::after;
use crate::mock::walk::Walk;

/// The bytes of a batch's header.
pub(super) const HEAD_LEN: usize = 61;

/// A batch's header, field by field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) base_offset: i64,
    pub(super) length: i32,
    pub(super) leader_epoch: i32,
    pub(super) crc: u32,
    pub(super) attributes: i16,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
    pub(super) count: i32,
}

impl Head {
    pub(super) fn read(bytes: &[u8; HEAD_LEN]) -> Self {
        fn field<const N: usize>(bytes: &[u8; HEAD_LEN], at: usize) -> [u8; N] {
            bytes[at..].first_chunk().copied().expect("every field lies within the header")
        }
        Self {
            base_offset: i64::from_be_bytes(field(bytes, 0)),
            length: i32::from_be_bytes(field(bytes, 8)),
            leader_epoch: i32::from_be_bytes(field(bytes, 12)),
            crc: u32::from_be_bytes(field(bytes, 17)),
            attributes: i16::from_be_bytes(field(bytes, 21)),
            last_offset_delta: i32::from_be_bytes(field(bytes, 23)),
            base_timestamp: i64::from_be_bytes(field(bytes, 27)),
            max_timestamp: i64::from_be_bytes(field(bytes, 35)),
            producer_id: i64::from_be_bytes(field(bytes, 43)),
            producer_epoch: i16::from_be_bytes(field(bytes, 51)),
            base_sequence: i32::from_be_bytes(field(bytes, 53)),
            count: i32::from_be_bytes(field(bytes, 57)),
        }
    }

    /// The compression of the records; `None` for the number of no codec.
    pub(super) fn compression(&self) -> Option<Compression> {
        Compression::from_id(u8::try_from(self.attributes & 0x07).ok()?)
    }

    pub(super) fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(super) fn numbered(&self) -> Option<Numbered> {
        (self.producer_id >= 0).then(|| Numbered {
            producer_id: self.producer_id,
            epoch: self.producer_epoch,
            first: self.base_sequence,
            last: after(self.base_sequence, self.last_offset_delta),
        })
    }
}

/// The rules for a batch.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) codecs: &'a Codecs,
    /// `max.message.bytes` of the topic.
    pub(super) batch_bytes_max: usize,
    /// The latest timestamp accepted (`message.timestamp.after.max.ms`), if there is a limit.
    pub(super) timestamp_max: Option<i64>,
    /// The version of the request; zstd is not allowed before 7.
    pub(super) version: i16,
}

/// The fields of a valid batch that the log needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Checked {
    pub(super) last_offset_delta: i32,
    pub(super) max_timestamp: i64,
    pub(super) numbered: Option<Numbered>,
    pub(super) transactional: bool,
}

/// Why a batch is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) error: ResponseError,
    pub(super) reason: &'static str,
    /// The index of the invalid record, if it is a single one.
    pub(super) record: Option<i32>,
    /// Whether it is refused before the log is read, so that the response does not have the start of the log.
    pub(super) early: bool,
}

/// Checks the records of one partition of a Produce request; `scratch` is the buffer to decompress into.
pub(super) fn check(records: &[u8], rules: &Rules<'_>, scratch: &mut Vec<u8>) -> Result<Checked, Refusal> {
    use ResponseError::CorruptMessage;
    use ResponseError::InvalidRecord;
    use ResponseError::InvalidTimestamp;
    use ResponseError::UnknownServerError;
    use ResponseError::UnsupportedCompressionType;

    let Some(bytes) = records.first_chunk::<HEAD_LEN>() else {
        return early(InvalidRecord, "the records do not hold one whole batch");
    };
    match bytes[16] {
        2 => {}
        0 | 1 => return early(InvalidRecord, "the batch is not of format v2"),
        _ => return early(CorruptMessage, "no batch format has this number"),
    }
    let head = Head::read(bytes);
    if usize::try_from(head.length).ok().and_then(|length| length.checked_add(12)) != Some(records.len()) {
        return early(InvalidRecord, "the records are not exactly one whole batch");
    }
    let Some(compression) = head.compression() else {
        // An unexpected exception (`CompressionType.forId`). Where zstd is not allowed, it is checked early.
        let refuse = if rules.version < 7 { early } else { refuse };
        return refuse(UnknownServerError, "no codec has this number");
    };
    if compression == Compression::Zstd && rules.version < 7 {
        return early(UnsupportedCompressionType, "zstd needs produce requests of version 7 or later");
    }
    if head.base_offset != 0 {
        return refuse(InvalidRecord, "the base offset of a produced batch is not zero");
    }
    if records.len() > rules.batch_bytes_max {
        return early(ResponseError::MessageTooLarge, "the batch is larger than the topic's max.message.bytes");
    }
    if crc32c::crc32c(&records[21..]) != head.crc {
        return early(CorruptMessage, "the CRC does not match");
    }
    if head.count <= 0 || head.last_offset_delta != head.count - 1 {
        return refuse(InvalidRecord, "the record count and the last offset delta disagree");
    }
    if head.is_control() {
        return refuse(InvalidRecord, "clients may not write control batches");
    }
    if head.attributes & 0x08 != 0 {
        return refuse(InvalidTimestamp, "clients may not set the log append time");
    }
    if head.attributes & !0x1f != 0 {
        return refuse(InvalidRecord, "an unused attribute bit is set");
    }
    if head.producer_id >= 0 && head.base_sequence < 0 {
        return refuse(InvalidRecord, "a batch with a producer id has no sequence");
    }
    let plain = decompress(&records[HEAD_LEN..], compression, rules.codecs, scratch)?;
    walk(plain, &head, rules.timestamp_max)?;
    Ok(Checked {
        last_offset_delta: head.last_offset_delta,
        max_timestamp: head.max_timestamp,
        numbered: head.numbered(),
        transactional: head.is_transactional(),
    })
}

fn refuse<T>(error: ResponseError, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { error, reason, record: None, early: false })
}

fn early<T>(error: ResponseError, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { error, reason, record: None, early: true })
}

/// The record section as it was before compression.
pub(super) fn decompress<'a>(
    section: &'a [u8],
    compression: Compression,
    codecs: &Codecs,
    scratch: &'a mut Vec<u8>,
) -> Result<&'a [u8], Refusal> {
    if compression == Compression::None {
        return Ok(section);
    }
    let Some(codec) = codecs.get(compression) else {
        return refuse(ResponseError::UnsupportedCompressionType, "the mock was built without this codec");
    };
    scratch.clear();
    match codec.decompress(section, DECOMPRESSED_MAX, scratch) {
        Ok(()) => Ok(scratch),
        // A broker reports this as an unknown error.
        Err(_) => refuse(ResponseError::UnknownServerError, "the records cannot be decompressed"),
    }
}

/// Decodes every record: as many as the header says, with offset deltas without gaps, no bytes left, timestamps as in the header.
fn walk(plain: &[u8], head: &Head, timestamp_max: Option<i64>) -> Result<(), Refusal> {
    let bad = |error, reason, record| Err(Refusal { error, reason, record: Some(record), early: false });
    let wrong = |reason, record| bad(ResponseError::InvalidRecord, reason, record);
    let mut records = Walk::new(plain);
    let mut latest = NO_TIMESTAMP;
    for index in 0..head.count {
        let Some(record) = records.next_record() else {
            return wrong("the record is malformed or missing", index);
        };
        if record.offset_delta != index {
            return wrong("the offset deltas are not consecutive", index);
        }
        let Some(timestamp) = head.base_timestamp.checked_add(record.timestamp_delta) else {
            return wrong("the timestamp delta overflows", index);
        };
        if timestamp_max.is_some_and(|limit| timestamp > limit) {
            return bad(ResponseError::InvalidTimestamp, "the timestamp lies too far in the future", index);
        }
        latest = latest.max(timestamp);
    }
    if !records.is_done() {
        return refuse(ResponseError::InvalidRecord, "bytes follow the last record");
    }
    if latest != head.max_timestamp {
        return refuse(ResponseError::InvalidRecord, "the maximum timestamp is not that of the records");
    }
    Ok(())
}

/// The attribute of batches that are part of a transaction.
pub(super) const TRANSACTIONAL: i16 = 0x10;
/// The attribute of batches that hold markers instead of records.
pub(super) const CONTROL: i16 = 0x20;
/// The attribute that makes the base timestamp the time from which tombstones may go (KIP-534).
pub(super) const DELETE_HORIZON: i16 = 0x40;

/// `RecordBatch.NO_TIMESTAMP`.
pub(super) const NO_TIMESTAMP: i64 = -1;

/// No client of a test sends a batch that decompresses to more bytes.
const DECOMPRESSED_MAX: usize = 1 << 30;
