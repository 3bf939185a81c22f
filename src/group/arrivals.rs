//! Which partitions were created after the consumer had subscribed to their topics. Every record in them is newer than that.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::error::Code;
use crate::metadata::Snapshot;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;

/// The numbers of partitions that topics had when they were subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    counts: BTreeMap<TopicName, usize>,
    /// Topics of which nothing is known yet.
    open: BTreeSet<TopicName>,
    /// Every topic that existed has its number: any other is new.
    is_complete: bool,
}

impl Arrivals {
    /// Subscribes to these topics and no others. Those that stay keep their numbers.
    pub(crate) fn subscribe(&mut self, topics: &BTreeSet<TopicName>) {
        self.is_complete = false;
        self.counts.retain(|name, _| topics.contains(name));
        self.open = inserted(topics.iter().filter(|name| !self.counts.contains_key(*name)).cloned());
    }

    /// Notes the number of partitions of a topic, unless it has one already.
    pub(crate) fn note(&mut self, topic: TopicName, partitions: usize) {
        self.open.remove(&topic);
        self.counts.entry(topic).or_insert(partitions);
    }

    /// Notes the numbers of partitions of all topics that there are.
    pub(crate) fn note_all(&mut self, topics: BTreeMap<TopicName, usize>) {
        (self.counts, self.is_complete) = (topics, true);
    }

    /// Takes the state of the cluster.
    pub(crate) fn handle_metadata(&mut self, snapshot: &Snapshot) {
        let count_of = |name: &TopicName| {
            let topic = snapshot.topic(name)?;
            match topic.error {
                None => Some(topic.partitions.len()),
                Some(Code::UnknownTopicOrPartition | Code::UnknownTopicId) => Some(0),
                // It may exist.
                Some(_) => None,
            }
        };
        let known: Vec<(TopicName, usize)> =
            self.open.iter().filter_map(|name| Some((name.clone(), count_of(name)?))).collect();
        for (name, partitions) in known {
            self.note(name, partitions);
        }
    }

    /// Whether a partition did not exist when its topic was subscribed to.
    pub(crate) fn is_late(&self, key: &TopicPartition) -> bool {
        let partition = usize::try_from(key.partition).unwrap_or(0);
        self.counts.get(&key.topic).map_or(self.is_complete, |count| partition >= *count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Cache;
    use crate::wire::message as m;

    fn metadata(topic: &str, partitions: i32, error: Option<Code>) -> std::sync::Arc<Snapshot> {
        let partition = |index| m::MetadataPartition { index, leader: 1, ..m::MetadataPartition::default() };
        let partitions = (0..partitions).map(partition).collect();
        let topic = m::MetadataTopic { name: topic.into(), error, partitions, ..m::MetadataTopic::default() };
        let mut cache = Cache::default();
        cache.handle_response(m::MetadataResponse { topics: vec![topic], ..m::MetadataResponse::default() });
        cache.snapshot()
    }

    fn late(arrivals: &Arrivals, topic: &str) -> Vec<i32> {
        (0..5).filter(|partition| arrivals.is_late(&TopicPartition::new(topic, *partition))).collect()
    }

    #[test]
    fn partitions_are_late_if_they_were_added_after_subscribing() {
        let mut arrivals = Arrivals::default();
        arrivals.subscribe(&BTreeSet::from(["a".into(), "b".into(), "c".into()]));
        assert_eq!(late(&arrivals, "a"), [0_i32; 0], "nothing is known yet");
        arrivals.handle_metadata(&metadata("a", 3, None));
        arrivals.handle_metadata(&metadata("b", 0, Some(Code::UnknownTopicOrPartition)));
        arrivals.handle_metadata(&metadata("c", 0, Some(Code::LeaderNotAvailable)));
        arrivals.handle_metadata(&metadata("a", 5, None));
        arrivals.handle_metadata(&metadata("b", 2, None));
        arrivals.handle_metadata(&metadata("c", 2, None));
        assert_eq!(late(&arrivals, "a"), [3, 4]);
        assert_eq!(late(&arrivals, "b"), [0, 1, 2, 3, 4], "it did not exist");
        assert_eq!(late(&arrivals, "c"), [2, 3, 4], "the error did not say that it does not exist");
    }

    #[test]
    fn topic_is_late_if_it_is_missing_among_all() {
        let mut arrivals = Arrivals::default();
        arrivals.subscribe(&BTreeSet::new());
        assert_eq!(late(&arrivals, "b"), [0_i32; 0], "nothing is known yet");
        arrivals.note_all(BTreeMap::from([("a".into(), 3)]));
        assert_eq!((late(&arrivals, "a"), late(&arrivals, "b")), (vec![3, 4], vec![0, 1, 2, 3, 4]));
        arrivals.subscribe(&BTreeSet::new());
        assert_eq!(late(&arrivals, "b"), [0_i32; 0], "it is another subscription");
    }

    #[test]
    fn topic_that_is_subscribed_to_again_is_counted_again() {
        let mut arrivals = Arrivals::default();
        let topics = BTreeSet::from([TopicName::from("a")]);
        arrivals.subscribe(&topics);
        arrivals.handle_metadata(&metadata("a", 2, None));
        arrivals.subscribe(&topics);
        arrivals.handle_metadata(&metadata("a", 4, None));
        assert_eq!(late(&arrivals, "a"), [2, 3, 4], "it was not given up");
        arrivals.subscribe(&BTreeSet::new());
        arrivals.subscribe(&topics);
        arrivals.handle_metadata(&metadata("a", 4, None));
        assert_eq!(late(&arrivals, "a"), [4]);
    }
}
