//! A group as its leader sees it, and the assignments that it returns.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::wire::consumer_protocol::Subscription;
use crate::wire::consumer_protocol::TopicPartitions;

/// The members of a group, and the topics that they subscribe to.
///
/// ```
/// use ottla::group::assignor::{Assignor, Group, Member, Range, Topic};
///
/// let mut group = Group::default();
/// group.topics.insert("events".into(), Topic::new(3));
/// group.members.push(Member::new("a", ["events"]));
/// group.members.push(Member::new("b", ["events"]));
/// let assignments = Range.assign(&group);
/// assert_eq!(assignments[0].partitions.len(), 2);
/// assert_eq!(assignments[1].partitions.len(), 1);
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Group {
    /// The members, in the order in which the coordinator lists them.
    pub members: Vec<Member>,
    /// The topics that exist. Members may subscribe to others too.
    pub topics: BTreeMap<TopicName, Topic>,
}

/// A member of a group, with its subscription.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Member {
    /// Its id, given by the coordinator, unique in the group.
    pub id: String,
    /// Its own name, which it keeps when it restarts (`group.instance.id`, KIP-345).
    pub instance_id: Option<String>,
    /// The rack it runs in (`client.rack`, KIP-881).
    pub rack: Option<Arc<str>>,
    /// The topics that it subscribes to.
    pub topics: Vec<TopicName>,
    /// The partitions that it had not given up when it joined, by its own account (KIP-429).
    pub owned: Vec<TopicPartition>,
    /// The generation in which it got `owned`, if it says so (KIP-792).
    pub generation: Option<i32>,
    /// The data that its assignor of this name added.
    pub user_data: Option<Bytes>,
}

impl Member {
    /// A member that owns nothing yet.
    pub fn new<T: Into<TopicName>>(id: impl Into<String>, topics: impl IntoIterator<Item = T>) -> Self {
        Self { id: id.into(), topics: topics.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// A member as it describes itself to the leader, in the format of `wire/consumer_protocol.rs`.
    #[doc(hidden)]
    pub fn from_subscription(id: String, instance_id: Option<String>, subscription: Subscription) -> Self {
        Self {
            id,
            instance_id,
            rack: subscription.rack.map(Arc::from),
            topics: subscription.topics,
            owned: TopicPartitions::flatten(&subscription.owned),
            generation: subscription.generation,
            user_data: subscription.user_data,
        }
    }
}

/// The partitions of a topic, and the racks of their replicas.
///
/// ```
/// use ottla::group::assignor::Topic;
///
/// assert_eq!(Topic::new(3).partitions(), 3);
/// assert_eq!(Topic::with_racks([["a", "b"], ["b", "c"]]).partitions(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topic {
    racks: Vec<Vec<Arc<str>>>,
}

impl Topic {
    /// A topic with this number of partitions, whose racks are unknown.
    pub fn new(partitions: u32) -> Self {
        Self { racks: vec![Vec::new(); partitions as usize] }
    }

    /// A topic with, for each partition in order, the racks of its replicas. Replicas without a rack are left out.
    pub fn with_racks<R: Into<Arc<str>>, P: IntoIterator<Item = R>>(racks: impl IntoIterator<Item = P>) -> Self {
        Self { racks: racks.into_iter().map(|partition| partition.into_iter().map(Into::into).collect()).collect() }
    }

    /// How many partitions it has. They are numbered from zero.
    pub fn partitions(&self) -> i32 {
        i32::try_from(self.racks.len()).unwrap_or(i32::MAX)
    }

    /// The racks of each partition's replicas.
    pub fn racks(&self) -> &[Vec<Arc<str>>] {
        &self.racks
    }
}

/// The partitions that a member gets, and data of the leader's assignor for the member's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The partitions. Java returns them in this order too.
    pub partitions: Vec<TopicPartition>,
    /// Data for the member's assignor, which gets it with [`Assignor::on_assignment`](super::Assignor::on_assignment).
    pub user_data: Option<Bytes>,
}

/// The last assignment that a consumer got in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastAssignment {
    /// The partitions.
    pub partitions: Vec<TopicPartition>,
    /// The generation of the assignment.
    pub generation: i32,
}
