//! Reads record batches from a Fetch response: lazily, batch by batch, without copying.

use std::collections::VecDeque;

use bytes::Buf;
use bytes::Bytes;

use super::HEADER_LEN;
use super::Header;
use super::RecordError;
use super::at;
use super::bits;
use super::legacy;
use super::varint;
use super::varint::Flaw;
use crate::codec::Codecs;
use crate::codec::Compression;
use crate::types::LeaderEpoch;

/// The meaning of the timestamps of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The time at which the producer created the record.
    CreateTime,
    /// The time at which the broker appended the batch.
    LogAppendTime,
    /// There are no timestamps (format 0).
    None,
}

/// The type of a control batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlKind {
    /// It ends an aborted transaction.
    Abort,
    /// It ends a committed transaction.
    Commit,
    /// Any other type. Consumers skip it.
    Unknown,
}

/// Iterates over the batches of a payload. The last batch is often truncated, which ends the iteration without an error.
#[derive(Debug)]
pub struct Batches {
    rest: Bytes,
    truncated: bool,
    failed: bool,
}

impl Batches {
    /// Reads `payload` without copying it.
    pub fn new(payload: Bytes) -> Self {
        Self { rest: payload, truncated: false, failed: false }
    }

    /// Copies the unread bytes, and releases the response that they were a part of.
    pub fn copy_out(&mut self) {
        self.rest = Bytes::copy_from_slice(&self.rest);
    }

    /// Whether the payload ends in the middle of a batch.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    fn read(&mut self) -> Result<Option<Batch>, RecordError> {
        // The smallest message of format 0: checksum, magic, attributes and two lengths.
        const LEAST: usize = 14;
        let Some(length) = self.rest.get(at::LENGTH..at::LEADER_EPOCH) else {
            self.truncated = !self.rest.is_empty();
            return Ok(None);
        };
        let declared = i32::from_be_bytes(length.try_into().expect("four bytes"));
        let short = RecordError::Length(i64::from(declared));
        let length = usize::try_from(declared).map_err(|_| short.clone())?;
        if length < LEAST {
            return Err(short);
        }
        if self.rest.len() - at::LEADER_EPOCH < length {
            self.truncated = true;
            return Ok(None);
        }
        let whole = self.rest.split_to(at::LEADER_EPOCH + length);
        match whole[at::MAGIC].cast_signed() {
            0 | 1 => legacy::batch(whole).map(Some),
            2 if whole.len() >= HEADER_LEN => Batch::read(whole).map(Some),
            2 => Err(short),
            magic => Err(RecordError::Magic(magic)),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        let read = self.read().transpose();
        self.failed = !matches!(read, Some(Ok(_)));
        read
    }
}

/// The header of a batch, and its bytes. Only the length was verified.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The offset of the first record when the batch was written.
    pub base_offset: i64,
    /// The offset of the last record when the batch was written. Compaction may have removed that record.
    pub last_offset: i64,
    /// The epoch of the leader that appended it.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The format: 0, 1 or 2.
    pub magic: i8,
    /// The compression of the records.
    pub compression: Compression,
    /// The meaning of the timestamps.
    pub timestamp_type: TimestampType,
    /// Whether it is a control batch, which holds a marker instead of records.
    pub is_control: bool,
    /// Whether it is part of a transaction.
    pub is_transactional: bool,
    /// The timestamp that the timestamp deltas of the records are relative to.
    pub base_timestamp: i64,
    /// The largest timestamp; with `LogAppendTime`, that of every record.
    pub max_timestamp: i64,
    /// The producer id, −1 without idempotence.
    pub producer_id: i64,
    /// The producer epoch.
    pub producer_epoch: i16,
    /// The sequence number of the first record.
    pub base_sequence: i32,
    /// The number of records.
    pub count: i32,
    pub(super) bytes: Bytes,
}

impl Batch {
    fn read(bytes: Bytes) -> Result<Self, RecordError> {
        let mut fields = &bytes[..];
        let base_offset = fields.get_i64();
        fields.advance(4);
        let leader_epoch = LeaderEpoch::from_wire(fields.get_i32());
        let magic = fields.get_i8();
        fields.advance(4);
        let attributes = fields.get_i16();
        let last_offset_delta = fields.get_i32();
        let known =
            bits::COMPRESSION | bits::LOG_APPEND_TIME | bits::TRANSACTIONAL | bits::CONTROL | bits::DELETE_HORIZON;
        let compression = compression(attributes).filter(|_| attributes & !known == 0);
        let mut batch = Self {
            base_offset,
            last_offset: base_offset.checked_add(i64::from(last_offset_delta)).ok_or(RecordError::Offset)?,
            leader_epoch,
            magic,
            compression: compression.ok_or(RecordError::Attributes(attributes))?,
            timestamp_type: timestamp_type(attributes),
            is_control: attributes & bits::CONTROL != 0,
            is_transactional: attributes & bits::TRANSACTIONAL != 0,
            base_timestamp: fields.get_i64(),
            max_timestamp: fields.get_i64(),
            producer_id: fields.get_i64(),
            producer_epoch: fields.get_i16(),
            base_sequence: fields.get_i32(),
            count: fields.get_i32(),
            bytes: Bytes::new(),
        };
        if base_offset < 0 || last_offset_delta < 0 {
            return Err(RecordError::Offset);
        }
        if batch.count < 0 {
            return Err(RecordError::Count { declared: batch.count });
        }
        batch.bytes = bytes;
        Ok(batch)
    }

    /// The size on the wire.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The checksum in the header.
    pub fn checksum(&self) -> u32 {
        let at = if self.magic == 2 { at::CRC } else { at::LEADER_EPOCH };
        u32::from_be_bytes(self.bytes[at..at + 4].try_into().expect("four bytes"))
    }

    /// Verifies the checksum.
    pub fn verify(&self) -> Result<(), RecordError> {
        let computed = if self.magic == 2 {
            crc32c::crc32c(&self.bytes[at::ATTRIBUTES..])
        } else {
            crate::partitioner::hash::crc32(&self.bytes[at::MAGIC..])
        };
        let stored = self.checksum();
        if stored == computed { Ok(()) } else { Err(RecordError::Crc { stored, computed }) }
    }

    /// Decompresses the records to at most `limit` bytes and checks each of them, so that iterating cannot fail.
    ///
    /// Uncompressed records are not copied. Compressed ones are decompressed into `buffer`: its content is dropped, its capacity
    /// is used.
    pub fn decode(&self, codecs: &Codecs, limit: usize, mut buffer: Vec<u8>) -> Result<Decoded, RecordError> {
        if self.magic < 2 {
            return legacy::decode(self, codecs, limit);
        }
        let stored = self.bytes.slice(HEADER_LEN..);
        let plain = match self.compression {
            Compression::None => stored,
            compression => {
                buffer.clear();
                if self.count > 0 {
                    codecs.decompress(compression, &stored, limit, &mut buffer)?;
                }
                Bytes::from(buffer)
            }
        };
        let (plain, count) = match self.walk(&plain)? {
            Order::Ascending => (plain, self.count),
            Order::Mixed => ascending(&plain)?,
        };
        let batch = Self { bytes: Bytes::new(), count, ..self.clone() };
        Ok(Decoded { batch, plain, legacy: VecDeque::new() })
    }

    /// Checks every record, so that iterating over them needs no checks.
    fn walk(&self, plain: &[u8]) -> Result<Order, RecordError> {
        let mut rest = plain;
        let mut last = None;
        let mut order = Order::Ascending;
        // `Batch::read` checked the header: the last offset is not below the first, and the sum does not overflow.
        let most = self.last_offset - self.base_offset;
        for _ in 0..self.count {
            let raw = Raw::take(&mut rest)?;
            if Some(raw.offset_delta) <= last {
                order = Order::Mixed;
            }
            if i64::from(raw.offset_delta) > most {
                return Err(RecordError::Offset);
            }
            raw.headers.check()?;
            last = Some(raw.offset_delta);
        }
        if rest.is_empty() { Ok(order) } else { Err(RecordError::Count { declared: self.count }) }
    }

    /// The type of a control batch, from the key of its first record (version, type).
    pub fn control_kind(&self) -> ControlKind {
        let mut rest = &self.bytes[HEADER_LEN.min(self.bytes.len())..];
        let first = if self.compression == Compression::None { Raw::take(&mut rest).ok() } else { None };
        match first.and_then(|first| first.key) {
            Some([_, _, 0, 0, ..]) => ControlKind::Abort,
            Some([_, _, 0, 1, ..]) => ControlKind::Commit,
            _ => ControlKind::Unknown,
        }
    }
}

/// Copies the records whose offsets ascend, and counts them.
///
/// Brokers do not check the offset deltas of uncompressed batches, so a client may have written any. Java reads such a
/// batch and skips every record at or below the offset that it returned last (`CompletedFetch.nextFetchedRecord`).
#[cold]
fn ascending(plain: &[u8]) -> Result<(Bytes, i32), RecordError> {
    let mut rest = plain;
    let mut last = None;
    let mut kept = Vec::with_capacity(plain.len());
    let mut count = 0;
    while !rest.is_empty() {
        let before = rest;
        let raw = Raw::take(&mut rest)?;
        if Some(raw.offset_delta) > last {
            last = Some(raw.offset_delta);
            kept.extend_from_slice(&before[..before.len() - rest.len()]);
            count += 1;
        }
    }
    Ok((kept.into(), count))
}

/// How the offsets of a batch's records follow one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Ascending,
    /// Some offset is not above the one before it.
    Mixed,
}

pub(super) fn compression(attributes: i16) -> Option<Compression> {
    Compression::from_id(u8::try_from(attributes & bits::COMPRESSION).ok()?)
}

pub(super) fn timestamp_type(attributes: i16) -> TimestampType {
    if attributes & bits::LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
}

/// A record as it is in a batch. Its headers are not parsed.
struct Raw<'a> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Raw<'a> {
    /// Removes the first record.
    #[inline(always)]
    fn take(rest: &mut &'a [u8]) -> Result<Self, Flaw> {
        let mut body = field(rest)?.ok_or(Flaw::Length(-1))?;
        let (_attributes, fields) = body.split_first().ok_or(Flaw::Length(0))?;
        body = fields;
        let timestamp_delta = varint::take(&mut body)?;
        let offset_delta = varint::take_i32(&mut body)?;
        if offset_delta < 0 {
            return Err(Flaw::Offset);
        }
        let key = field(&mut body)?;
        let value = field(&mut body)?;
        let count = varint::take_i32(&mut body)?;
        let left = u32::try_from(count).map_err(|_| Flaw::Length(i64::from(count)))?;
        Ok(Self { timestamp_delta, offset_delta, key, value, headers: Headers { left, rest: body } })
    }

    #[inline]
    fn in_batch(self, batch: &Batch) -> Record<'a> {
        let Self { timestamp_delta, offset_delta, key, value, headers } = self;
        let timestamp = match batch.timestamp_type {
            TimestampType::LogAppendTime => batch.max_timestamp,
            TimestampType::CreateTime | TimestampType::None => batch.base_timestamp.wrapping_add(timestamp_delta),
        };
        Record { offset: batch.base_offset + i64::from(offset_delta), timestamp, key, value, headers }
    }
}

/// Removes a length and that many bytes. `None` is null.
#[inline(always)]
fn field<'a>(body: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Flaw> {
    let length = varint::take_i32(body)?;
    if length == -1 {
        return Ok(None);
    }
    let flaw = Flaw::Length(i64::from(length));
    let length = usize::try_from(length).map_err(|_| flaw)?;
    let (taken, after) = body.split_at_checked(length).ok_or(flaw)?;
    *body = after;
    Ok(Some(taken))
}

/// A record, borrowed from its batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970; −1 if the format has none.
    pub timestamp: i64,
    /// The key, or null.
    pub key: Option<&'a [u8]>,
    /// The value, or null.
    pub value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Record<'a> {
    pub(super) fn without_headers(offset: i64, timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        Self { offset, timestamp, key, value, headers: Headers { left: 0, rest: &[] } }
    }

    /// The headers in order. Keys may repeat and need not be UTF-8.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }
}

/// Iterates over the headers of a record.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    left: u32,
    rest: &'a [u8],
}

impl Headers<'_> {
    /// Checks that the headers fill the rest of their record.
    #[inline]
    fn check(mut self) -> Result<(), Flaw> {
        for _ in 0..self.left {
            field(&mut self.rest)?.ok_or(Flaw::Length(-1))?;
            field(&mut self.rest)?;
        }
        if self.rest.is_empty() { Ok(()) } else { Err(Flaw::left(self.rest)) }
    }
}

#[expect(clippy::copy_iterator, reason = "a record is `Copy`, and its headers are part of it")]
impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        // The headers were checked when the batch was decoded.
        let key = field(&mut self.rest).ok()??;
        let value = field(&mut self.rest).ok()?;
        Some(Header { key, value })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

/// A batch whose records are decompressed and were checked.
#[derive(Debug)]
pub struct Decoded {
    batch: Batch,
    plain: Bytes,
    /// The messages of formats 0 and 1.
    pub(super) legacy: VecDeque<legacy::Message>,
}

impl Decoded {
    pub(super) fn of_messages(batch: &Batch, legacy: VecDeque<legacy::Message>) -> Self {
        Self { batch: Batch { bytes: Bytes::new(), ..batch.clone() }, plain: Bytes::new(), legacy }
    }

    /// The header of the batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The memory held by the decompressed records, or by the messages of formats 0 and 1.
    pub fn size(&self) -> usize {
        self.plain.len() + self.legacy.iter().map(legacy::Message::size).sum::<usize>()
    }

    /// The records in order.
    pub fn iter(&self) -> Iter<'_> {
        let left = if self.legacy.is_empty() { self.batch.count } else { 0 };
        Iter { batch: &self.batch, rest: &self.plain, left, legacy: self.legacy.iter() }
    }

    /// The buffer of the decompressed records for reuse, unless something else holds it.
    pub fn into_buffer(self) -> Option<Vec<u8>> {
        if self.batch.compression == Compression::None {
            return None;
        }
        self.plain.try_into_mut().ok().map(Vec::from)
    }
}

impl<'a> IntoIterator for &'a Decoded {
    type Item = Record<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over the records of a batch.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    batch: &'a Batch,
    rest: &'a [u8],
    left: i32,
    legacy: std::collections::vec_deque::Iter<'a, legacy::Message>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        if self.left > 0 {
            self.left -= 1;
            // All records were checked when the batch was decoded.
            return Raw::take(&mut self.rest).ok().map(|raw| raw.in_batch(self.batch));
        }
        self.legacy.next().map(legacy::Message::record)
    }
}
