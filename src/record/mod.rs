//! Record batches: format 2 is written straight into wire form and read lazily, formats 0 and 1 are only read.
//!
//! ```text
//! BatchBuilder --close--> ClosedBatch --seal (compress, CRC)--> SealedBatch --header(stamp)--> 61 bytes + body
//! Batches (a fetch payload) --> Batch --verify, decode--> Decoded --> Record (borrows)
//! ```
//!
//! Format: `org.apache.kafka.common.record.DefaultRecordBatch` and `DefaultRecord`.

use std::fmt;

use crate::codec::CodecError;
use crate::error::Error;
use crate::error::Kind;

mod builder;
mod legacy;
mod reader;
mod sealed;
mod varint;

pub use self::builder::BatchBuilder;
pub use self::builder::ClosedBatch;
pub use self::reader::Batch;
pub use self::reader::Batches;
pub use self::reader::ControlKind;
pub use self::reader::Decoded;
pub use self::reader::Headers;
pub use self::reader::Record;
pub use self::reader::TimestampType;
pub use self::sealed::SealedBatch;
pub use self::sealed::Stamp;

/// Bytes of a batch before its records.
pub const HEADER_LEN: usize = 61;

/// Offsets of the fields in a batch's header.
mod at {
    pub(super) const LENGTH: usize = 8;
    pub(super) const LEADER_EPOCH: usize = 12;
    pub(super) const MAGIC: usize = 16;
    pub(super) const CRC: usize = 17;
    pub(super) const ATTRIBUTES: usize = 21;
    pub(super) const LAST_OFFSET_DELTA: usize = 23;
    pub(super) const BASE_TIMESTAMP: usize = 27;
    pub(super) const MAX_TIMESTAMP: usize = 35;
    pub(super) const PRODUCER_ID: usize = 43;
    pub(super) const PRODUCER_EPOCH: usize = 51;
    pub(super) const BASE_SEQUENCE: usize = 53;
    pub(super) const COUNT: usize = 57;
}

/// Bits of a batch's attributes.
mod bits {
    pub(super) const COMPRESSION: i16 = 0x07;
    pub(super) const LOG_APPEND_TIME: i16 = 0x08;
    pub(super) const TRANSACTIONAL: i16 = 0x10;
    pub(super) const CONTROL: i16 = 0x20;
    /// The base timestamp is the horizon after which tombstones go (KIP-534).
    pub(super) const DELETE_HORIZON: i16 = 0x40;
}

/// A header of a record. Keys may repeat and need not be UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Its value, or null.
    pub value: Option<&'a [u8]>,
}

/// A record to write, borrowed from its owner.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordRef<'a> {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Its key, or null.
    pub key: Option<&'a [u8]>,
    /// Its value, or null, which is a tombstone to compaction.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: &'a [Header<'a>],
}

/// The reason why bytes are not a valid batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// Attributes, or a compression, that this client does not know.
    Attributes(i16),
    /// The codec failed.
    Codec(CodecError),
    /// The number of records is not what the header says.
    Count {
        /// The count in the header.
        declared: i32,
    },
    /// The checksum is wrong.
    Crc {
        /// The checksum in the header.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// A length that does not fit into the enclosing bytes.
    Length(i64),
    /// A format that this client does not know.
    Magic(i8),
    /// An offset that overflows, is negative, or is beyond the last one of its batch.
    Offset,
    /// A variable-length number that is too long.
    Varint,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attributes(attributes) => write!(f, "unknown batch attributes {attributes:#06x}"),
            Self::Codec(error) => error.fmt(f),
            Self::Count { declared } => write!(f, "a batch does not hold the {declared} records it declares"),
            Self::Crc { stored, computed } => {
                write!(f, "the checksum in the batch is {stored:#010x}, but that of its bytes is {computed:#010x}")
            }
            Self::Length(length) => write!(f, "a length of {length} does not fit into the enclosing bytes"),
            Self::Magic(magic) => write!(f, "unknown batch format {magic}"),
            Self::Offset => f.write_str("an offset is out of range"),
            Self::Varint => f.write_str("a variable-length number is too long"),
        }
    }
}

impl std::error::Error for RecordError {}

impl RecordError {
    /// Too few or too many bytes are left.
    fn left(bytes: &[u8]) -> Self {
        Self::Length(i64::try_from(bytes.len()).unwrap_or(i64::MAX))
    }
}

impl From<CodecError> for RecordError {
    fn from(error: CodecError) -> Self {
        Self::Codec(error)
    }
}

impl From<RecordError> for Error {
    /// A batch is [`Kind::Corrupt`] if its bytes are wrong, and not if this client lacks the codec or allows too few bytes.
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Codec(missing @ CodecError::Missing(_)) => {
                Self::new(Kind::Unsupported, format!("could not decompress a record batch: {missing}"))
            }
            RecordError::Codec(CodecError::TooLarge { limit }) => {
                let text = format!(
                    "a record batch has more than {limit} bytes when decompressed: raise batch_bytes_max of the consumer"
                );
                Self::new(Kind::RecordTooLarge, text)
            }
            error => Self::new(Kind::Corrupt, "could not read a record batch").caused_by(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Compression;

    #[test]
    fn only_wrong_bytes_are_corrupt() {
        let missing = Error::from(RecordError::from(CodecError::Missing(Compression::Snappy)));
        assert_eq!(missing.kind(), Kind::Unsupported);
        assert!(missing.to_string().contains("cargo feature `snappy`"), "{missing}");
        let limited = Error::from(RecordError::from(CodecError::TooLarge { limit: 7 }));
        assert_eq!(limited.kind(), Kind::RecordTooLarge);
        assert!(limited.to_string().contains("more than 7 bytes") && limited.to_string().contains("batch_bytes_max"));
        // Kafka has numbered no fifth codec. Java's `CompressionType.forId` throws, so that its consumer stops there, too.
        for wrong in
            [RecordError::from(CodecError::Corrupt("x".into())), RecordError::Attributes(5), RecordError::Varint]
        {
            assert_eq!(Error::from(wrong).kind(), Kind::Corrupt);
        }
    }
}
