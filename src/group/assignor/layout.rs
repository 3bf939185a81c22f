//! A group in numbers: members by their index, topics by their order, partitions by their place among all partitions.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Range;

use super::group::Assignment;
use super::group::Group;
use super::group::Member;
use super::group::Topic;
use super::java;
use super::java::HashOrder;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// The subscribed topics that exist, and who subscribes to them.
///
/// Topics are numbered in Java's order of names and partitions in the order of topics, so that sorting numbers sorts names.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) members: &'a [Member],
    names: Vec<&'a TopicName>,
    numbers: HashMap<&'a TopicName, usize>,
    topics: Vec<&'a Topic>,
    /// The first partition of each topic, and the number of all partitions.
    firsts: Vec<usize>,
    /// The topic of each partition.
    topic_of: Vec<usize>,
    /// The topics of each member, sorted.
    topics_of: Vec<Vec<usize>>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(group: &'a Group) -> Self {
        let mut subscribed: Vec<&TopicName> = group.members.iter().flat_map(|member| &member.topics).collect();
        subscribed.sort_unstable();
        subscribed.dedup();
        let mut topics: Vec<(&TopicName, &Topic)> =
            subscribed.into_iter().filter_map(|name| group.topics.get_key_value(name)).collect();
        topics.retain(|(_, topic)| topic.partitions() > 0);
        topics.sort_by(|(one, _), (other, _)| java::compare(one, other));
        let (names, topics): (Vec<_>, Vec<_>) = topics.into_iter().unzip();
        let numbers: HashMap<&TopicName, usize> = names.iter().copied().zip(0..).collect();
        let mut firsts = vec![0];
        let mut topic_of = Vec::new();
        for (number, topic) in topics.iter().enumerate() {
            topic_of.resize(topic_of.len() + topic.racks().len(), number);
            firsts.push(topic_of.len());
        }
        let topics_of = group.members.iter().map(|member| {
            let mut topics: Vec<usize> = member.topics.iter().filter_map(|topic| numbers.get(topic).copied()).collect();
            topics.sort_unstable();
            topics.dedup();
            topics
        });
        let topics_of = topics_of.collect();
        Self { members: &group.members, names, numbers, topics, firsts, topic_of, topics_of }
    }

    pub(super) fn topics(&self) -> usize {
        self.names.len()
    }

    /// The number of all partitions.
    pub(super) fn partitions(&self) -> usize {
        self.topic_of.len()
    }

    pub(super) fn partitions_of(&self, topic: usize) -> Range<usize> {
        self.firsts[topic]..self.firsts[topic + 1]
    }

    pub(super) fn topic_of(&self, partition: usize) -> usize {
        self.topic_of[partition]
    }

    /// A partition's number within its topic.
    pub(super) fn number(&self, partition: usize) -> usize {
        partition - self.firsts[self.topic_of[partition]]
    }

    /// Java's hash of a partition.
    pub(super) fn hash(&self, partition: usize) -> u32 {
        let number = u32::try_from(self.number(partition)).expect("partitions are counted in 31 bits");
        java::hash_of_partition(java::hash(self.names[self.topic_of[partition]]), number)
    }

    /// The racks of a partition's replicas.
    pub(super) fn racks(&self, partition: usize) -> impl Iterator<Item = &'a str> + use<'a> {
        let topic = self.topic_of[partition];
        self.topics[topic].racks()[partition - self.firsts[topic]].iter().map(AsRef::as_ref)
    }

    /// The topics of a member, sorted.
    pub(super) fn topics_of(&self, member: usize) -> &[usize] {
        &self.topics_of[member]
    }

    /// Whether all members subscribe to the same topics, existing or not.
    ///
    /// Java also says so of members without topics that happen to be first in its order, and then gives them partitions.
    pub(super) fn subscriptions_are_equal(&self) -> bool {
        let topics = |member: &'a Member| {
            let mut topics: Vec<&TopicName> = member.topics.iter().collect();
            topics.sort_unstable();
            topics.dedup();
            topics
        };
        let mut all = self.members.iter().map(topics);
        let first = all.next();
        all.all(|topics| Some(topics) == first)
    }

    pub(super) fn subscribes(&self, member: usize, topic: usize) -> bool {
        self.topics_of[member].binary_search(&topic).is_ok()
    }

    /// The members that subscribe to each topic, in the order of `members`.
    pub(super) fn consumers(&self, members: &[usize]) -> Vec<Vec<usize>> {
        let mut consumers = vec![Vec::new(); self.topics()];
        for member in members {
            for topic in &self.topics_of[*member] {
                consumers[*topic].push(*member);
            }
        }
        consumers
    }

    /// The place of a partition; `None` if it does not exist, or nobody subscribes to its topic.
    pub(super) fn place(&self, partition: &TopicPartition) -> Option<usize> {
        let range = self.partitions_of(*self.numbers.get(&partition.topic)?);
        let place = range.start.checked_add(usize::try_from(partition.partition).ok()?)?;
        range.contains(&place).then_some(place)
    }

    /// Members in the order in which a leader's `HashMap` of their ids returns them.
    pub(super) fn hashed_members(&self) -> Vec<usize> {
        HashOrder::sort(0..self.members.len(), |member| java::hash(&self.members[*member].id))
    }

    /// Members by their ids.
    pub(super) fn members_by_id(&self) -> Vec<usize> {
        let mut members: Vec<usize> = (0..self.members.len()).collect();
        members.sort_by(|one, other| java::compare(&self.members[*one].id, &self.members[*other].id));
        members
    }

    /// Static members by their own names, then the others by their ids (`MemberInfo.compareTo`).
    pub(super) fn members_by_instance(&self) -> Vec<usize> {
        let mut members = self.hashed_members();
        members.sort_by(|one, other| {
            let (one, other) = (&self.members[*one], &self.members[*other]);
            match (&one.instance_id, &other.instance_id) {
                (Some(one), Some(other)) => java::compare(one, other),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => java::compare(&one.id, &other.id),
            }
        });
        members
    }

    /// Topics in the order in which Java's `HashMap` returns them: it is filled from a `HashSet` of all that are subscribed to.
    pub(super) fn hashed_topics(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        let hashed = self.hashed_members().into_iter().flat_map(|member| &self.members[member].topics);
        let subscribed: Vec<&TopicName> = hashed.filter(|topic| seen.insert(*topic)).collect();
        let subscribed = HashOrder::sort(subscribed, |topic| java::hash(topic));
        let existing = subscribed.into_iter().filter_map(|topic| self.numbers.get(topic).copied());
        HashOrder::sort(existing, |topic| java::hash(self.names[*topic]))
    }

    /// Names the partitions that each member gets.
    pub(super) fn assignments(&self, members: Vec<Vec<usize>>) -> Vec<Assignment> {
        let named = |partition: usize| {
            let number = i32::try_from(self.number(partition)).expect("partitions are counted in 31 bits");
            TopicPartition::new(self.names[self.topic_of[partition]].clone(), number)
        };
        let assignment = |partitions: Vec<usize>| Assignment {
            partitions: partitions.into_iter().map(named).collect(),
            user_data: None,
        };
        members.into_iter().map(assignment).collect()
    }
}
