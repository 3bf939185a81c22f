//! How much lag is too much.

use std::collections::BTreeMap;

use crate::admin::Lag;
use crate::admin::PartitionLag;
use crate::types::TopicName;

/// The most records that may be left to read.
#[derive(Clone, Debug, Default)]
pub(super) struct Thresholds {
    /// In one partition.
    pub(super) partition: Option<u64>,
    /// In all partitions of a topic.
    pub(super) topics: BTreeMap<TopicName, u64>,
}

impl Thresholds {
    /// Whether a partition is congested. A commit outside its log always is: records were lost, or the topic is another one.
    pub(super) fn is_exceeded_by(&self, lag: &PartitionLag) -> bool {
        match lag.lag {
            Ok(Lag::Ahead | Lag::Expired) => true,
            Ok(Lag::Behind(_) | Lag::NoCommit { .. }) => {
                self.partition.zip(lag.to_read()).is_some_and(|(most, left)| left > most)
            }
            Err(_) => false,
        }
    }
}
