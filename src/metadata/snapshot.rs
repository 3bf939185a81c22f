//! One state of knowledge, never changed once made.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::wire::message::MetadataResponse;
use crate::wire::message::Node;

/// Brokers and topics as they were last heard of.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub(super) brokers: BTreeMap<i32, Node>,
    pub(super) topics: BTreeMap<TopicName, Arc<Topic>>,
    pub(super) names: BTreeMap<TopicId, TopicName>,
    pub(super) controller: Option<i32>,
    pub(super) cluster_id: Option<String>,
    /// Grows with every change.
    pub(super) generation: u64,
}

/// A topic as it was last heard of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topic {
    pub name: TopicName,
    /// Zero where the broker or the topic has none.
    pub id: TopicId,
    /// What the broker said instead of partitions.
    pub error: Option<Code>,
    /// By index; one that was not heard of has no leader.
    pub partitions: Vec<Partition>,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    pub leader: Option<i32>,
    pub epoch: Option<LeaderEpoch>,
}

impl Snapshot {
    pub fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    pub fn topic_by_id(&self, id: TopicId) -> Option<&Arc<Topic>> {
        // A name that was given to another topic since is not this one's any more.
        self.topics.get(self.names.get(&id)?).filter(|topic| topic.id == id)
    }

    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    pub fn broker(&self, id: i32) -> Option<&Node> {
        self.brokers.get(&id)
    }

    pub fn brokers(&self) -> impl Iterator<Item = &Node> {
        self.brokers.values()
    }

    pub fn controller(&self) -> Option<i32> {
        self.controller
    }

    /// The id of the cluster, if a broker told it.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a broker says that it belongs to another cluster than the one that is known.
    pub fn is_of_another_cluster(&self, response: &MetadataResponse) -> bool {
        self.cluster_id.is_some() && response.cluster_id.is_some() && self.cluster_id != response.cluster_id
    }

    /// Whether both know the same, however often they were told.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        let Self { brokers, topics, names, controller, cluster_id, generation: _ } = self;
        *brokers == other.brokers
            && *topics == other.topics
            && *names == other.names
            && *controller == other.controller
            && *cluster_id == other.cluster_id
    }

    /// The partition, and who leads it, if that is known.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Partition> {
        self.topic(topic)?.partitions.get(usize::try_from(partition).ok()?).copied()
    }
}
