//! The metadata of a cluster: its brokers, its topics, the leaders of their partitions.
//!
//! [`Cache`] takes responses and hints of brokers, and keeps older ones from replacing newer ones. Everybody else reads a
//! [`Snapshot`], which never changes. Pure: it knows neither connections nor time.

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
pub use self::snapshot::Replicas;
pub use self::snapshot::Snapshot;
pub use self::snapshot::Topic;
