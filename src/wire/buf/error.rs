//! Why bytes could not be decoded.

use std::fmt;

use crate::error::Error;

/// Why bytes are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// A count of elements that the rest of the frame cannot hold.
    CountExceedsFrame {
        /// What was declared.
        count: usize,
        /// What was left.
        remaining: usize,
    },
    /// A frame's length is outside the limit.
    FrameLength {
        /// What was declared.
        length: i32,
        /// What is allowed.
        limit: usize,
    },
    /// A null where there must be a value, or a negative length other than −1.
    Negative(i64),
    /// The peer speaks something else.
    NotKafka(&'static str),
    /// The bytes end in the middle of something.
    Truncated,
    /// A tagged field whose size is not that of what it holds, by its number.
    TagSize(u32),
    /// A tagged field that does not come after the one before it, as KIP-482 has them.
    TagOrder(u32),
    /// A string is not UTF-8.
    Utf8,
    /// A variable-length number that is too long.
    Varint,
    /// What the message crate says of the body.
    Message(String),
    /// A version that this client does not speak.
    Version(i16),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CountExceedsFrame { count, remaining } => {
                write!(f, "a count of {count} elements where {remaining} bytes are left")
            }
            Self::FrameLength { length, limit } => {
                write!(f, "a response of {length} bytes, where the limit is {limit}")
            }
            Self::Negative(number) => write!(f, "the length {number} where there must be a value"),
            Self::NotKafka(what) => write!(f, "the peer does not speak Kafka: {what}"),
            Self::Truncated => f.write_str("the response ends too early"),
            Self::TagSize(tag) => write!(f, "tagged field {tag} is not of the size that it declares"),
            Self::TagOrder(tag) => write!(f, "tagged field {tag} does not come after the one before it"),
            Self::Utf8 => f.write_str("a string is not UTF-8"),
            Self::Varint => f.write_str("a variable-length number is too long"),
            Self::Message(text) => f.write_str(text),
            Self::Version(version) => write!(f, "version {version} is not spoken"),
        }
    }
}

impl std::error::Error for DecodeError {}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Self {
        Self::protocol("could not understand the response").caused_by(error)
    }
}
