//! Reading and writing the protocol's primitives.

mod error;
mod reader;
mod writer;

pub use self::error::DecodeError;
pub use self::reader::COST_MAX;
pub use self::reader::Reader;
pub use self::writer::Chunks;
