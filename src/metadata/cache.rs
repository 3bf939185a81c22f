//! Takes what brokers say. Leader epochs never go back for one topic id; what makes no sense is passed over.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::snapshot::Partition;
use super::snapshot::Snapshot;
use super::snapshot::Topic;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicName;
use crate::wire::message::Leader;
use crate::wire::message::MetadataPartition;
use crate::wire::message::MetadataResponse;
use crate::wire::message::MetadataTopic;
use crate::wire::message::Node;

/// The state of knowledge, and how it changes.
#[derive(Debug, Default)]
pub struct Cache {
    current: Arc<Snapshot>,
}

impl Cache {
    /// What is known.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current)
    }

    fn edit(&mut self, change: impl FnOnce(&mut Snapshot)) {
        let snapshot = Arc::make_mut(&mut self.current);
        change(snapshot);
        snapshot.generation += 1;
    }

    /// Takes a Metadata response. Topics that it does not mention stay as they are.
    pub fn handle_response(&mut self, response: MetadataResponse) {
        self.edit(|snapshot| {
            let brokers: Vec<Node> = response.brokers.into_iter().filter(sensible).collect();
            // A broker that is starting may know of none; what was known serves better.
            if !brokers.is_empty() {
                // The last one collected stays, and of two that have the same id the first one counts.
                snapshot.brokers = brokers.into_iter().rev().map(|broker| (broker.id, broker)).collect();
            }
            snapshot.controller = Some(response.controller).filter(|id| *id >= 0);
            snapshot.cluster_id = response.cluster_id.or(snapshot.cluster_id.take());
            for topic in response.topics {
                update(snapshot, topic);
            }
        });
    }

    /// Takes the answer to a question about these topics. What it says of others is passed over: a broker that mentions new ones
    /// each time would be remembered without end. Of what it says twice, the first counts.
    pub fn handle_answer(&mut self, asked: &BTreeSet<TopicName>, mut response: MetadataResponse) {
        let mut open: BTreeSet<&str> = asked.iter().map(|name| &**name).collect();
        response.topics.retain(|topic| open.remove(&*topic.name));
        self.handle_response(response);
    }

    /// Takes a leader that a Produce or Fetch response hinted at (KIP-951); answers whether it was news.
    pub fn handle_hint(&mut self, topic: &TopicName, partition: i32, leader: Leader, nodes: &[Node]) -> bool {
        let (Some(epoch), true) = (LeaderEpoch::from_wire(leader.epoch), leader.id >= 0) else { return false };
        let Some(known) = self.current.partition(topic, partition) else { return false };
        if known.epoch.is_some_and(|known| known >= epoch) {
            return false;
        }
        let index = usize::try_from(partition).unwrap_or(usize::MAX);
        self.edit(|snapshot| {
            for node in nodes.iter().filter(|node| sensible(node)) {
                snapshot.brokers.insert(node.id, node.clone());
            }
            if let Some(slot) =
                snapshot.topics.get_mut(topic).and_then(|topic| Arc::make_mut(topic).partitions.get_mut(index))
            {
                *slot = Partition { leader: Some(leader.id), epoch: Some(epoch) };
            }
        });
        true
    }

    /// Forgets the brokers, so that the next question goes to the bootstrap addresses (KIP-899). Whatever cluster those lead to is
    /// the one that is meant.
    pub fn forget_brokers(&mut self) {
        self.edit(|snapshot| {
            snapshot.brokers.clear();
            snapshot.cluster_id = None;
        });
    }
}

fn sensible(broker: &Node) -> bool {
    broker.id >= 0 && !broker.host.is_empty() && (1..=65_535).contains(&broker.port)
}

fn update(snapshot: &mut Snapshot, heard: MetadataTopic) {
    if heard.name.is_empty() {
        return;
    }
    let before = snapshot.topics.get(&*heard.name).cloned();
    let name = before.as_ref().map_or_else(|| TopicName::from(&*heard.name), |topic| topic.name.clone());
    let topic = match heard.error {
        Some(error) => refused(name, &heard, error, before.as_deref()),
        None => described(name, &heard, before.as_deref()),
    };
    // Another id is another topic of the same name: what was known by the old one is not kept for good.
    if let Some(before) = before.filter(|before| before.id != topic.id)
        && snapshot.names.get(&before.id) == Some(&topic.name)
    {
        snapshot.names.remove(&before.id);
    }
    if topic.error.is_none() && !topic.id.is_zero() {
        snapshot.names.insert(topic.id, topic.name.clone());
    }
    snapshot.topics.insert(topic.name.clone(), Arc::new(topic));
}

/// A topic about which the broker says `error` instead of partitions.
fn refused(name: TopicName, heard: &MetadataTopic, error: Code, before: Option<&Topic>) -> Topic {
    let gone = matches!(error, Code::UnknownTopicOrPartition | Code::UnknownTopicId);
    let mut partitions = before.map(|topic| topic.partitions.clone()).unwrap_or_default();
    if gone {
        // It may be that a broker has not heard of the topic yet: epochs do not go back for that.
        for partition in &mut partitions {
            partition.leader = None;
        }
    }
    let known = before.map(|topic| topic.id).filter(|_| heard.id.is_zero());
    Topic { name, id: known.unwrap_or(heard.id), error: Some(error), partitions }
}

fn described(name: TopicName, heard: &MetadataTopic, before: Option<&Topic>) -> Topic {
    // Another id is another topic of the same name: nothing of the old one counts.
    let before = before.filter(|before| before.id == heard.id || before.id.is_zero() || heard.id.is_zero());
    let old = before.map_or(&[][..], |topic| &topic.partitions);
    // Indexes have no holes, so none is as large as their number; one that is would only cost memory.
    let count = heard.partitions.len().max(old.len());
    // A response that leaves out partitions does not unmake them.
    let mut partitions = old.to_vec();
    // The last one stays, and of two that have the same index the first one counts.
    for partition in heard.partitions.iter().rev() {
        let Some(index) = usize::try_from(partition.index).ok().filter(|index| *index < count) else {
            continue;
        };
        if partitions.len() <= index {
            partitions.resize(index + 1, Partition::default());
        }
        partitions[index] = newer(old.get(index).copied(), partition);
    }
    Topic { name, id: heard.id, error: None, partitions }
}

fn newer(old: Option<Partition>, heard: &MetadataPartition) -> Partition {
    let new = Partition { leader: Some(heard.leader).filter(|leader| *leader >= 0), epoch: heard.leader_epoch };
    match old {
        Some(old) if old.epoch > new.epoch && new.epoch.is_some() => old,
        _ => new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicId;

    fn response(id: u8, epoch: i32, leader: i32) -> MetadataResponse {
        let partition =
            MetadataPartition { leader, leader_epoch: LeaderEpoch::from_wire(epoch), ..MetadataPartition::default() };
        let topic = MetadataTopic {
            name: "t".into(),
            id: TopicId([id; 16]),
            partitions: vec![partition],
            ..Default::default()
        };
        let node = |id| Node { id, host: "h".into(), port: 9092, rack: None };
        MetadataResponse { brokers: vec![node(1), node(2)], topics: vec![topic], ..MetadataResponse::default() }
    }

    fn leader(cache: &Cache) -> Option<i32> {
        cache.snapshot().partition("t", 0).and_then(|partition| partition.leader)
    }

    #[test]
    fn an_older_epoch_changes_nothing_and_another_id_starts_anew() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 5, 1));
        cache.handle_response(response(1, 4, 2));
        assert_eq!(leader(&cache), Some(1));
        cache.handle_response(response(2, 0, 2));
        assert_eq!(leader(&cache), Some(2));
    }

    #[test]
    fn topics_that_nobody_asked_about_are_not_remembered() {
        let mut cache = Cache::default();
        let asked = ["a", "t", "u"].map(TopicName::from).into();
        for other in ["", "b", "tt", "v"] {
            let mut answer = response(1, 5, 1);
            answer.topics.push(MetadataTopic { name: other.into(), ..answer.topics[0].clone() });
            cache.handle_answer(&asked, answer);
        }
        assert_eq!(cache.snapshot().topics().map(|topic| &*topic.name).collect::<Vec<_>>(), ["t"]);
        assert_eq!(leader(&cache), Some(1));
    }

    #[test]
    fn what_is_said_a_second_time_in_one_answer_does_not_count() {
        let mut cache = Cache::default();
        let mut answer = response(1, 5, 1);
        answer.brokers.push(Node { host: "other".into(), ..answer.brokers[0].clone() });
        let again = MetadataPartition { leader: 2, leader_epoch: LeaderEpoch::from_wire(6), ..Default::default() };
        answer.topics[0].partitions.push(again);
        answer.topics.push(MetadataTopic { error: Some(Code::UnknownTopicOrPartition), ..answer.topics[0].clone() });
        cache.handle_answer(&[TopicName::from("t")].into(), answer);
        assert_eq!(leader(&cache), Some(1));
        assert_eq!(cache.snapshot().topics().map(|topic| topic.error).collect::<Vec<_>>(), [None]);
        assert_eq!(cache.snapshot().broker(1).map(|broker| broker.host.clone()), Some("h".into()));
    }

    #[test]
    fn the_id_of_a_topic_that_was_made_anew_is_forgotten() {
        let mut cache = Cache::default();
        for id in 1..=3 {
            cache.handle_response(response(id, 5, 1));
        }
        let known = |id| cache.snapshot().topic_by_id(TopicId([id; 16])).is_some();
        assert_eq!([1, 2, 3].map(known), [false, false, true]);
        assert_eq!(cache.snapshot().names.len(), 1, "it costs no memory");
    }

    #[test]
    fn another_cluster_is_known_by_its_id_until_the_brokers_are_forgotten() {
        let by = |id: Option<&str>| MetadataResponse { cluster_id: id.map(str::to_owned), ..response(1, 5, 1) };
        let mut cache = Cache::default();
        let is_other = |cache: &Cache, id| cache.snapshot().is_of_another_cluster(&by(id));
        assert!(!is_other(&cache, Some("b")), "none is known");
        cache.handle_response(by(Some("a")));
        assert_eq!([None, Some("a"), Some("b")].map(|id| is_other(&cache, id)), [false, false, true]);
        cache.forget_brokers();
        assert!(!is_other(&cache, Some("b")));
    }

    #[test]
    fn what_has_no_id_is_not_found_by_it() {
        let mut cache = Cache::default();
        cache.handle_response(response(0, 5, 1));
        assert!(cache.snapshot().topic_by_id(TopicId::ZERO).is_none());
        let mut refused = response(3, 5, 1);
        refused.topics[0].error = Some(Code::TopicAuthorizationFailed);
        cache.handle_response(refused);
        assert!(cache.snapshot().topic_by_id(TopicId([3; 16])).is_none());
    }

    #[test]
    fn a_topic_that_was_said_not_to_exist_does_not_go_back_to_an_older_epoch() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 5, 1));
        let mut gone = response(0, 0, 1);
        gone.topics[0].partitions.clear();
        gone.topics[0].error = Some(Code::UnknownTopicOrPartition);
        cache.handle_response(gone);
        assert_eq!(leader(&cache), None);
        cache.handle_response(response(1, 4, 2));
        assert_eq!(leader(&cache), None, "an older answer names no leader");
        cache.handle_response(response(1, 5, 1));
        assert_eq!(leader(&cache), Some(1));
    }

    #[test]
    fn a_hint_counts_only_if_it_is_newer() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 5, 1));
        assert!(!cache.handle_hint(&"t".into(), 0, Leader { id: 2, epoch: 5 }, &[]));
        assert!(cache.handle_hint(&"t".into(), 0, Leader { id: 2, epoch: 6 }, &[]));
        assert_eq!(leader(&cache), Some(2));
    }

    #[test]
    fn brokers_that_make_no_sense_are_passed_over() {
        let mut cache = Cache::default();
        let mut odd = response(1, 0, 1);
        odd.brokers.push(Node { id: -1, host: "h".into(), port: 1, rack: None });
        odd.brokers.push(Node { id: 9, host: String::new(), port: 1, rack: None });
        odd.brokers.push(Node { id: 8, host: "h".into(), port: 70_000, rack: None });
        cache.handle_response(odd);
        assert_eq!(cache.snapshot().brokers().map(|broker| broker.id).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_broker_that_knows_no_other_leaves_those_that_are_known_until_they_are_forgotten() {
        let mut cache = Cache::default();
        cache.handle_response(MetadataResponse { controller: 0, ..response(1, 5, 1) });
        assert_eq!(cache.snapshot().controller(), Some(0));
        cache.handle_response(MetadataResponse { brokers: Vec::new(), controller: -1, ..response(1, 5, 1) });
        assert_eq!((cache.snapshot().brokers().count(), cache.snapshot().controller()), (2, None));
        cache.forget_brokers();
        assert_eq!(cache.snapshot().brokers().count(), 0);
    }

    #[test]
    fn two_states_say_the_same_only_if_nothing_in_them_differs() {
        let told = |response: MetadataResponse| {
            let mut cache = Cache::default();
            cache.handle_response(response);
            cache.snapshot()
        };
        let first = response(1, 5, 1);
        let same = told(first.clone());
        let mut often = Cache { current: Arc::clone(&same) };
        often.handle_response(first.clone());
        assert!(often.snapshot().generation() > same.generation());
        assert!(same.says_the_same_as(&often.snapshot()));
        for other in [
            MetadataResponse { brokers: vec![first.brokers[0].clone()], ..first.clone() },
            MetadataResponse { controller: 1, ..first.clone() },
            MetadataResponse { cluster_id: Some("another".into()), ..first.clone() },
            response(1, 5, 2),
        ] {
            assert!(!same.says_the_same_as(&told(other.clone())), "{other:?}");
        }
    }

    #[test]
    fn partitions_may_come_in_any_order_and_none_that_is_left_out_is_forgotten() {
        let mut cache = Cache::default();
        let partition = |index, leader| MetadataPartition {
            index,
            leader,
            leader_epoch: LeaderEpoch::from_wire(5),
            ..MetadataPartition::default()
        };
        let mut several = response(1, 5, 1);
        several.topics[0].partitions = vec![partition(2, 3), partition(0, 1), partition(1, 2), partition(9, 9)];
        cache.handle_response(several);
        let leaders = |cache: &Cache| -> Vec<Option<i32>> {
            let snapshot = cache.snapshot();
            let topic = snapshot.topic("t").expect("it was told of");
            topic.partitions.iter().map(|partition| partition.leader).collect()
        };
        assert_eq!(leaders(&cache), [Some(1), Some(2), Some(3)], "one beyond their number makes no sense");
        cache.handle_response(response(1, 6, 7));
        assert_eq!(leaders(&cache), [Some(7), Some(2), Some(3)]);
        assert_eq!(cache.snapshot().topics().count(), 1);
    }

    #[test]
    fn a_topic_that_gets_an_id_is_the_one_that_had_none() {
        let mut cache = Cache::default();
        cache.handle_response(response(0, 5, 1));
        cache.handle_response(response(1, 4, 2));
        assert_eq!(leader(&cache), Some(1), "its epochs do not go back");
        cache.handle_response(response(0, 4, 2));
        assert_eq!(leader(&cache), Some(1), "nor where a broker is too old for ids");
    }
}
