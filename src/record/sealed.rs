//! A sealed batch: compressed once, stamped and checksummed each time it is sent.
//!
//! The same stamp always gives the same bytes, so that a broker recognizes a retry. Computing the checksum of the whole batch
//! for each stamp is cheaper than combining it with a checksum of the records: `crc32c_combine` squares matrices on every call.

use std::ops::Range;

use bytes::Bytes;

use super::BatchBuilder;
use super::Batches;
use super::ClosedBatch;
use super::HEADER_LEN;
use super::Header;
use super::RecordError;
use super::RecordRef;
use super::at;
use super::bits;
use crate::codec::Codec;
use crate::codec::CodecError;
use crate::codec::Codecs;
use crate::types::ProducerIdentity;
use crate::types::Sequence;

/// The identity of the producer of a batch, and the position of the batch in its sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The producer and the batch's first sequence; `None` without idempotence.
    pub identity: Option<(ProducerIdentity, Sequence)>,
    /// Whether the batch is part of a transaction.
    pub transactional: bool,
}

/// A batch whose records do not change any more.
#[derive(Clone, Debug)]
pub struct SealedBatch {
    body: Bytes,
    compression: i16,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl ClosedBatch {
    /// Compresses the batch. With a codec, it also returns the buffer of the uncompressed records for reuse.
    pub fn seal(self, codec: Option<&dyn Codec>) -> Result<(SealedBatch, Option<Vec<u8>>), CodecError> {
        let Self { records, count, base_timestamp, max_timestamp } = self;
        let (body, compression, buffer) = match codec {
            None => (records, 0, None),
            Some(codec) => {
                let mut out = Vec::with_capacity(records.len() / 3 + 128);
                codec.compress(&records, &mut out)?;
                (out, i16::from(codec.compression().id()), Some(records))
            }
        };
        let body = Bytes::from(body);
        Ok((SealedBatch { body, compression, count, base_timestamp, max_timestamp }, buffer))
    }
}

impl SealedBatch {
    /// The size on the wire, header included.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// The number of records.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The largest timestamp of the records.
    pub fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// The bytes after the header.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// The bytes after the header. Their buffer can be reused once nothing else holds it.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// The header with this stamp, checksum included.
    pub fn header(&self, stamp: &Stamp) -> [u8; HEADER_LEN] {
        let mut header = [0; HEADER_LEN];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        let length = i32::try_from(self.size() - at::LEADER_EPOCH).expect("a batch is bounded by its request");
        put(at::LENGTH, &length.to_be_bytes());
        put(at::LEADER_EPOCH, &(-1_i32).to_be_bytes());
        put(at::MAGIC, &[2]);
        let transactional = if stamp.transactional { bits::TRANSACTIONAL } else { 0 };
        put(at::ATTRIBUTES, &(self.compression | transactional).to_be_bytes());
        let count = i32::try_from(self.count).expect("a batch is bounded by its bytes");
        put(at::LAST_OFFSET_DELTA, &(count - 1).to_be_bytes());
        put(at::BASE_TIMESTAMP, &self.base_timestamp.to_be_bytes());
        put(at::MAX_TIMESTAMP, &self.max_timestamp.to_be_bytes());
        let (id, epoch, sequence) = match stamp.identity {
            Some((identity, sequence)) => (identity.id, identity.epoch, sequence.to_wire()),
            None => (-1, -1, -1),
        };
        put(at::PRODUCER_ID, &id.to_be_bytes());
        put(at::PRODUCER_EPOCH, &epoch.to_be_bytes());
        put(at::BASE_SEQUENCE, &sequence.to_be_bytes());
        put(at::COUNT, &count.to_be_bytes());
        let crc = crc32c::crc32c_append(crc32c::crc32c(&header[at::ATTRIBUTES..]), &self.body);
        header[at::CRC..at::ATTRIBUTES].copy_from_slice(&crc.to_be_bytes());
        header
    }

    /// Header and body in one buffer.
    pub fn to_bytes(&self, stamp: &Stamp) -> Bytes {
        [&self.header(stamp)[..], &self.body].concat().into()
    }

    /// Makes a batch of each of these ranges of the records, which are not empty and ascend (KIP-126). Others are left out.
    pub fn split(&self, codecs: &Codecs, parts: Vec<Range<u32>>) -> Result<Vec<ClosedBatch>, RecordError> {
        let whole = self.to_bytes(&Stamp::default());
        let batch = Batches::new(whole).next().ok_or(RecordError::Count { declared: 0 })??;
        // No limit is needed: this client compressed the records itself.
        let decoded = batch.decode(codecs, usize::MAX >> 1, Vec::new())?;
        let mut records = (0..).zip(&decoded).peekable();
        let mut split = Vec::with_capacity(parts.len());
        for part in parts {
            let mut open = BatchBuilder::new(Vec::new());
            while records.next_if(|(index, _)| *index < part.start).is_some() {}
            while let Some((_, record)) = records.next_if(|(index, _)| *index < part.end) {
                let headers: Vec<Header<'_>> = record.headers().collect();
                let (timestamp, key, value) = (record.timestamp, record.key, record.value);
                open.append(&RecordRef { timestamp, key, value, headers: &headers });
            }
            split.push(open.close());
        }
        Ok(split)
    }
}
