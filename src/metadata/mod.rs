//! What is known about the cluster.
//!
//! [`Cache`] takes what brokers say and keeps it from going back; [`Snapshot`] is what everybody else reads.

mod cache;
mod snapshot;

pub use self::cache::Cache;
pub use self::snapshot::Partition;
pub use self::snapshot::Snapshot;
pub use self::snapshot::Topic;
