//! Message sets of formats 0 and 1, which are only read. A compressed set is the value of another message, its wrapper.

use std::collections::VecDeque;

use bytes::Buf;
use bytes::Bytes;

use super::Record;
use super::RecordError;
use super::at;
use super::bits;
use super::reader::Batch;
use super::reader::Decoded;
use super::reader::TimestampType;
use super::reader::compression;
use super::reader::timestamp_type;
use crate::codec::Codecs;
use crate::codec::Compression;

/// One message of a set.
#[derive(Clone, Debug)]
pub(super) struct Message {
    offset: i64,
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
}

impl Message {
    /// The memory it holds, itself included: a set may have one message for every 26 bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + [&self.key, &self.value].into_iter().flatten().map(Bytes::len).sum::<usize>()
    }

    pub(super) fn record(&self) -> Record<'_> {
        Record::without_headers(self.offset, self.timestamp, self.key.as_deref(), self.value.as_deref())
    }
}

/// Offset, length, checksum, magic, attributes.
const HEAD: usize = 18;

/// Reads a message as a batch of one record, or of the messages that it wraps.
pub(super) fn batch(bytes: Bytes) -> Result<Batch, RecordError> {
    let mut fields = &bytes[..];
    let offset = fields.get_i64();
    let magic = bytes[at::MAGIC].cast_signed();
    let attributes = i16::from(bytes[at::MAGIC + 1]);
    let compression = compression(attributes).ok_or(RecordError::Attributes(attributes))?;
    if offset < 0 {
        return Err(RecordError::Offset);
    }
    if magic == 1 && bytes.len() < HEAD + 8 {
        return Err(RecordError::left(&bytes));
    }
    let timestamp = if magic == 1 { (&bytes[HEAD..]).get_i64() } else { -1 };
    Ok(Batch {
        // A wrapper has the offset of its last message. That of the first is known after decompression.
        base_offset: offset,
        last_offset: offset,
        leader_epoch: None,
        magic,
        compression,
        timestamp_type: if magic == 0 {
            TimestampType::None
        } else {
            timestamp_type(attributes & bits::LOG_APPEND_TIME)
        },
        is_control: false,
        is_transactional: false,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        count: 1,
        bytes,
    })
}

/// Reads the messages of a batch. A wrapper inside a wrapper is refused, as in Java.
pub(super) fn decode(batch: &Batch, codecs: &Codecs, limit: usize) -> Result<Decoded, RecordError> {
    let mut messages = VecDeque::new();
    let outer = message(&batch.bytes, batch.magic)?;
    if batch.compression == Compression::None {
        messages.push_back(outer);
        return Ok(Decoded::of_messages(batch, messages));
    }
    let wrapped = outer.value.ok_or(RecordError::Length(-1))?;
    let mut plain = Vec::new();
    decompress(batch, codecs, &wrapped, limit, &mut plain)?;
    read_set(Bytes::from(plain), batch.magic, &mut messages)?;
    let Some(last) = messages.back().map(|message| message.offset) else {
        return Err(RecordError::Count { declared: 1 });
    };
    // In format 1 the messages of a wrapper are numbered from zero. In format 0 each has its own offset.
    let shift = if batch.magic == 1 { batch.last_offset.checked_sub(last).ok_or(RecordError::Offset)? } else { 0 };
    for message in &mut messages {
        message.offset = message.offset.checked_add(shift).ok_or(RecordError::Offset)?;
        if message.offset < 0 || message.offset > batch.last_offset {
            return Err(RecordError::Offset);
        }
        if batch.timestamp_type == TimestampType::LogAppendTime {
            message.timestamp = batch.max_timestamp;
        }
    }
    // As in format 2, a message at or below the offset before it is skipped.
    let mut before = -1;
    messages.retain(|message| {
        let ascends = message.offset > before;
        before = before.max(message.offset);
        ascends
    });
    let first = messages.front().map_or(batch.base_offset, |message| message.offset);
    let count = i32::try_from(messages.len()).map_err(|_| RecordError::Offset)?;
    Ok(Decoded::of_messages(&Batch { base_offset: first, count, ..batch.clone() }, messages))
}

fn decompress(
    batch: &Batch,
    codecs: &Codecs,
    wrapped: &[u8],
    limit: usize,
    plain: &mut Vec<u8>,
) -> Result<(), RecordError> {
    if batch.compression == Compression::Lz4
        && batch.magic == 0
        && let Some(repaired) = repair_lz4(wrapped)
    {
        return Ok(codecs.decompress(batch.compression, &repaired, limit, plain)?);
    }
    Ok(codecs.decompress(batch.compression, wrapped, limit, plain)?)
}

/// Writes the right checksum into the header of an LZ4 frame: clients of format 0 included the magic in it (KIP-57).
fn repair_lz4(frame: &[u8]) -> Option<Vec<u8>> {
    const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
    let flags = *frame.get(4)?;
    if frame.get(..4)? != MAGIC || flags & 0x08 != 0 {
        return None;
    }
    let hash = xxh32(frame.get(4..6)?);
    let mut repaired = frame.to_vec();
    *repaired.get_mut(6)? = hash.to_be_bytes()[2];
    Some(repaired)
}

/// XXH32 with seed 0 of fewer than four bytes. The header of a frame has two.
fn xxh32(data: &[u8]) -> u32 {
    const PRIME_1: u32 = 0x9e37_79b1;
    const PRIME_2: u32 = 0x85eb_ca77;
    const PRIME_3: u32 = 0xc2b2_ae3d;
    const PRIME_5: u32 = 0x1656_67b1;
    let length = u32::try_from(data.len()).unwrap_or(0);
    let mut hash = PRIME_5.wrapping_add(length);
    for byte in data {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(PRIME_5)).rotate_left(11).wrapping_mul(PRIME_1);
    }
    hash = (hash ^ (hash >> 15)).wrapping_mul(PRIME_2);
    hash = (hash ^ (hash >> 13)).wrapping_mul(PRIME_3);
    hash ^ (hash >> 16)
}

fn read_set(mut plain: Bytes, magic: i8, messages: &mut VecDeque<Message>) -> Result<(), RecordError> {
    while plain.len() >= at::LEADER_EPOCH {
        let declared = (&plain[at::LENGTH..]).get_i32();
        let length = usize::try_from(declared).map_err(|_| RecordError::Length(i64::from(declared)))?;
        if length > plain.len() - at::LEADER_EPOCH || length < HEAD - at::LEADER_EPOCH {
            return Err(RecordError::Length(i64::from(declared)));
        }
        let bytes = plain.split_to(at::LEADER_EPOCH + length);
        if bytes[at::MAGIC].cast_signed() != magic
            || compression(i16::from(bytes[at::MAGIC + 1])) != Some(Compression::None)
        {
            return Err(RecordError::Attributes(i16::from(bytes[at::MAGIC + 1])));
        }
        messages.push_back(message(&bytes, magic)?);
    }
    if plain.is_empty() { Ok(()) } else { Err(RecordError::left(&plain)) }
}

fn message(bytes: &Bytes, magic: i8) -> Result<Message, RecordError> {
    let mut rest = bytes.clone();
    let offset = rest.get_i64();
    rest.advance(HEAD - 8);
    let timestamp = if magic == 1 {
        if rest.len() < 8 {
            return Err(RecordError::left(&rest));
        }
        rest.get_i64()
    } else {
        -1
    };
    let key = field(&mut rest)?;
    let value = field(&mut rest)?;
    Ok(Message { offset, timestamp, key, value })
}

fn field(rest: &mut Bytes) -> Result<Option<Bytes>, RecordError> {
    if rest.len() < 4 {
        return Err(RecordError::left(rest));
    }
    let declared = rest.get_i32();
    if declared == -1 {
        return Ok(None);
    }
    match usize::try_from(declared) {
        Ok(length) if length <= rest.len() => Ok(Some(rest.split_to(length))),
        _ => Err(RecordError::Length(i64::from(declared))),
    }
}
