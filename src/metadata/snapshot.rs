//! The metadata of a cluster at one moment. It never changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::wire::message::MetadataResponse;
use crate::wire::message::Node;

/// Brokers and topics, as brokers last described them.
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

/// A topic, as a broker last described it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topic {
    pub name: TopicName,
    /// Zero where the broker or the topic has none.
    pub id: TopicId,
    /// The error code that the broker returned instead of partitions.
    pub error: Option<Code>,
    /// By index. A partition that no broker described has no leader.
    pub partitions: Vec<Partition>,
    /// The replicas of each partition. They are kept only where brokers have racks: nothing else needs them.
    pub replicas: Replicas,
}

/// The brokers with the replicas of each partition of a topic, in one list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    brokers: Box<[i32]>,
    /// Where the brokers of each partition end.
    ends: Box<[u32]>,
}

impl Replicas {
    /// Takes the replicas of partitions 0, 1, …
    pub fn new<'r>(partitions: impl IntoIterator<Item = &'r [i32]>) -> Self {
        let (mut brokers, mut ends) = (Vec::new(), Vec::new());
        for replicas in partitions {
            brokers.extend_from_slice(replicas);
            ends.push(u32::try_from(brokers.len()).unwrap_or(u32::MAX));
        }
        Self { brokers: brokers.into(), ends: ends.into() }
    }

    /// The brokers with replicas of a partition; none if they are not known.
    pub fn of(&self, partition: usize) -> &[i32] {
        let end_of = |partition: usize| self.ends.get(partition).map(|end| *end as usize);
        let begin = partition.checked_sub(1).map_or(Some(0), end_of);
        let range = begin.zip(end_of(partition)).map(|(begin, end)| begin..end);
        range.and_then(|range| self.brokers.get(range)).unwrap_or_default()
    }
}

/// The leader of a partition, and its epoch.
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
        // The name may belong to a topic with another id by now.
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

    /// The id of the cluster, if a broker has reported it.
    pub fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a response comes from a broker of another cluster than this metadata.
    pub fn is_of_another_cluster(&self, response: &MetadataResponse) -> bool {
        self.cluster_id.is_some() && response.cluster_id.is_some() && self.cluster_id != response.cluster_id
    }

    /// Whether both are the same but for their generation.
    pub fn is_equivalent_to(&self, other: &Self) -> bool {
        let Self { brokers, topics, names, controller, cluster_id, generation: _ } = self;
        *brokers == other.brokers
            && *topics == other.topics
            && *names == other.names
            && *controller == other.controller
            && *cluster_id == other.cluster_id
    }

    /// A partition, if it is known.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<Partition> {
        self.topic(topic)?.partitions.get(usize::try_from(partition).ok()?).copied()
    }
}
