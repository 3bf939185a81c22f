//! Reads record batches out of responses: for consumers now, for share groups later.
//!
//! ```text
//! payload of a partition ──> Scan: how far it reaches
//!                        └─> Chunk ──batch by batch──> Visible ──> ReadBatches ──> ConsumedRecord
//!                              └─ Isolation: aborted transactions are left out
//! ```
//!
//! It knows nothing of fetching, sessions or groups: the caller brings the bytes and keeps the position. All of it but
//! [`batches`] and [`buffers`] is pure.

mod batch;
pub(crate) mod batches;
pub(crate) mod buffers;
mod chunk;
mod isolation;
mod position;
mod record;
mod scan;
#[cfg(test)]
mod tests;

pub use self::batch::Iter;
pub use self::batch::PartitionBatch;
pub use self::batch::PartitionRecords;
pub(crate) use self::batches::ReadBatches;
pub use self::chunk::Chunk;
pub use self::chunk::Unreadable;
pub use self::chunk::Visible;
pub use self::isolation::Isolation;
pub use self::position::Position;
pub use self::record::ConsumedRecord;
pub use self::record::OwnedRecord;
pub(crate) use self::scan::Scan;
