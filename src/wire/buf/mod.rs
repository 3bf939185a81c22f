//! The protocol's primitives, as bytes.

mod error;
mod reader;
mod writer;

pub use self::error::DecodeError;
pub use self::reader::COST_MAX;
pub use self::reader::Reader;
pub use self::writer::Chunks;
