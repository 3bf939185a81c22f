//! Why bytes could not be decoded.

use std::fmt;

use crate::error::Error;

/// Why bytes from a peer could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A count of elements exceeds what the rest of the frame can hold.
    CountExceedsFrame {
        /// The declared count.
        count: usize,
        /// Bytes left in the frame.
        remaining: usize,
    },
    /// A frame's length is outside the limit.
    FrameLength {
        /// The declared length.
        length: i32,
        /// The longest frame that is accepted.
        limit: usize,
    },
    /// A null where a value is required, or a negative length other than −1.
    Negative(i64),
    /// The peer speaks another protocol.
    NotKafka(&'static str),
    /// The bytes end within a field.
    Truncated,
    /// The declared size of a tagged field differs from the size of its content. Holds the tag.
    TagSize(u32),
    /// Tagged fields do not ascend, as KIP-482 requires. Holds the tag.
    TagOrder(u32),
    /// A string is not UTF-8.
    Utf8,
    /// A variable-length number is too long.
    Varint,
    /// The reason that `kafka-protocol` gave.
    Message(String),
    /// A request does not fit any version that the broker supports.
    TooOld(String),
    /// This client does not support the version.
    Version(i16),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountExceedsFrame { count, remaining } => {
                write!(f, "a count of {count} elements exceeds the {remaining} bytes that are left")
            }
            Self::FrameLength { length, limit } => {
                write!(f, "a response of {length} bytes exceeds the limit of {limit}")
            }
            Self::Negative(number) => write!(f, "a length of {number} where a value is required"),
            Self::NotKafka(what) => write!(f, "the peer does not speak Kafka: {what}"),
            Self::Truncated => f.write_str("the response ends too early"),
            Self::TagSize(tag) => write!(f, "tagged field {tag} does not have its declared size"),
            Self::TagOrder(tag) => write!(f, "tagged field {tag} is out of order"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::Varint => f.write_str("a variable-length number is too long"),
            Self::Message(text) | Self::TooOld(text) => f.write_str(text),
            Self::Version(version) => write!(f, "version {version} is not supported"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::protocol("could not understand the response").caused_by(error)
    }
}
