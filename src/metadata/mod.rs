//! What is known about the cluster.
//!
//! [`Cache`] takes what brokers say and keeps it from going back; [`Snapshot`] is what everybody else reads.

mod cache;
mod doubts;
mod grouping;
mod snapshot;

pub use self::cache::Cache;
pub use self::grouping::ByLeader;
pub use self::grouping::ByTopic;
pub use self::grouping::by_broker;
pub use self::grouping::by_leader;
pub use self::grouping::by_topic;
pub use self::snapshot::Partition;
pub use self::snapshot::Snapshot;
pub use self::snapshot::Topic;
