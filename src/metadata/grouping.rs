//! Groups items of partitions by broker and by topic, as requests need them.

use std::collections::BTreeMap;
use std::collections::HashMap;

use super::snapshot::Snapshot;
use crate::types::TopicName;
use crate::types::TopicPartition;

/// Items by topic, in the order in which topics first came.
pub type ByTopic<T> = Vec<(TopicName, Vec<T>)>;

/// The result of [`by_leader`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByLeader<T> {
    /// The items of each leader, with the index of their partitions.
    pub leaders: Vec<(i32, ByTopic<(i32, T)>)>,
    /// Items whose partition is not known or has no leader.
    pub leaderless: Vec<(TopicPartition, T)>,
}

/// Groups items by topic. Each topic comes once, and its items keep their order.
///
/// Items of one topic are mostly neighbours, which costs one comparison for each.
pub fn by_topic<T>(items: impl IntoIterator<Item = (TopicName, T)>) -> ByTopic<T> {
    let mut groups = Groups::default();
    for (topic, item) in items {
        groups.push(topic, item);
    }
    groups.topics
}

/// Groups items by broker, in the order of their ids, then by topic.
pub fn by_broker<T>(items: impl IntoIterator<Item = (i32, TopicName, T)>) -> Vec<(i32, ByTopic<T>)> {
    let mut brokers: BTreeMap<i32, Groups<T>> = BTreeMap::new();
    for (broker, topic, item) in items {
        brokers.entry(broker).or_default().push(topic, item);
    }
    brokers.into_iter().map(|(broker, groups)| (broker, groups.topics)).collect()
}

/// Groups items by the broker that leads their partition, then by topic.
pub fn by_leader<T>(snapshot: &Snapshot, items: impl IntoIterator<Item = (TopicPartition, T)>) -> ByLeader<T> {
    let mut leaderless = Vec::new();
    let led = items.into_iter().filter_map(|(key, item)| {
        let Some(leader) = snapshot.partition(&key.topic, key.partition).and_then(|partition| partition.leader) else {
            leaderless.push((key, item));
            return None;
        };
        Some((leader, key.topic, (key.partition, item)))
    });
    let leaders = by_broker(led);
    ByLeader { leaders, leaderless }
}

/// Groups under construction.
struct Groups<T> {
    topics: ByTopic<T>,
    /// The place of each topic in `topics`.
    places: HashMap<TopicName, usize>,
}

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self { topics: Vec::new(), places: HashMap::new() }
    }
}

impl<T> Groups<T> {
    fn push(&mut self, topic: TopicName, item: T) {
        if let Some((last, items)) = self.topics.last_mut()
            && *last == topic
        {
            return items.push(item);
        }
        if let Some(place) = self.places.get(&topic) {
            return self.topics[*place].1.push(item);
        }
        self.places.insert(topic.clone(), self.topics.len());
        self.topics.push((topic, vec![item]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Cache;
    use crate::wire::message::MetadataPartition;
    use crate::wire::message::MetadataResponse;
    use crate::wire::message::MetadataTopic;

    #[test]
    fn items_of_interleaved_topics_are_grouped_in_order() {
        let items = [("b", 1), ("a", 2), ("b", 3), ("b", 4), ("a", 5)];
        let groups = by_topic(items.map(|(topic, item)| (topic.into(), item)));
        assert_eq!(groups, [("b".into(), vec![1, 3, 4]), ("a".into(), vec![2, 5])]);
    }

    #[test]
    fn partitions_are_grouped_by_leader_and_leaderless_ones_apart() {
        let partition = |index, leader| MetadataPartition { index, leader, ..MetadataPartition::default() };
        let topic = |name: &str, leaders: &[i32]| MetadataTopic {
            name: name.into(),
            partitions: (0..).zip(leaders).map(|(index, leader)| partition(index, *leader)).collect(),
            ..MetadataTopic::default()
        };
        let mut cache = Cache::default();
        let topics = vec![topic("a", &[1, 2, -1]), topic("b", &[2, 1])];
        cache.handle_response(MetadataResponse { topics, ..MetadataResponse::default() });
        let keys = [("a", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 0), ("b", 7), ("c", 0)];
        let keys = keys.map(|(topic, partition)| TopicPartition::new(topic, partition));
        let grouped = by_leader(&cache.snapshot(), keys.clone().into_iter().zip('a'..));
        let one = vec![("a".into(), vec![(0, 'a')]), ("b".into(), vec![(1, 'c')])];
        let two = vec![("a".into(), vec![(1, 'b')]), ("b".into(), vec![(0, 'e')])];
        assert_eq!(grouped.leaders, [(1, one), (2, two)]);
        let leaderless = [(3, 'd'), (5, 'f'), (6, 'g')].map(|(index, item)| (keys[index].clone(), item));
        assert_eq!(grouped.leaderless, leaderless);
    }
}
