//! Takes what brokers report about the cluster, and keeps older reports from replacing newer ones.
//!
//! Brokers learn of changes at different times. A broker that lags behind may report a topic id that was replaced, or an older leader
//! epoch. Such a report leaves the topic as it is. If brokers report nothing else for long, they are accepted: see
//! [`CONTRADICTIONS_MAX`](super::doubts::CONTRADICTIONS_MAX).

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;

use super::doubts::Doubts;
use super::doubts::Verdict;
use super::doubts::newer;
use super::snapshot::Partition;
use super::snapshot::Replicas;
use super::snapshot::Snapshot;
use super::snapshot::Topic;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::inserted;
use crate::wire::message::Leader;
use crate::wire::message::MetadataResponse;
use crate::wire::message::MetadataTopic;
use crate::wire::message::Node;

/// The metadata, and how it changes.
#[derive(Debug, Default)]
pub struct Cache {
    current: Arc<Snapshot>,
    doubts: HashMap<TopicName, Doubts>,
}

impl Cache {
    /// The metadata.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.current)
    }

    fn edit(&mut self, change: impl FnOnce(&mut Snapshot, &mut HashMap<TopicName, Doubts>)) {
        let snapshot = Arc::make_mut(&mut self.current);
        change(snapshot, &mut self.doubts);
        snapshot.generation += 1;
    }

    /// Takes a Metadata response. Topics that it does not mention stay as they are.
    pub fn handle_response(&mut self, response: MetadataResponse) {
        self.edit(|snapshot, doubts| {
            let brokers: Vec<Node> = response.brokers.into_iter().filter(is_valid).collect();
            // A broker that is starting may know of no brokers; those that were known serve better.
            if !brokers.is_empty() {
                // The last one collected stays, and of two that have the same id the first one counts.
                snapshot.brokers = inserted(brokers.into_iter().rev().map(|broker| (broker.id, broker)));
            }
            snapshot.controller = Some(response.controller).filter(|id| *id >= 0);
            let has_racks = snapshot.brokers.values().any(|broker| broker.rack.is_some());
            snapshot.cluster_id = response.cluster_id.or(snapshot.cluster_id.take());
            for topic in response.topics {
                update(snapshot, doubts, topic, has_racks);
            }
        });
    }

    /// Takes the response to a request about these topics. Other topics in it are ignored: a broker that mentions new ones each
    /// time would fill the memory. Of two results for one topic, the first counts.
    pub fn handle_response_for(&mut self, requested: &BTreeSet<TopicName>, mut response: MetadataResponse) {
        let mut open = requested.clone();
        response.topics.retain(|topic| open.remove(&*topic.name));
        self.handle_response(response);
    }

    /// Takes a leader that a Produce or Fetch response hinted at (KIP-951). Returns whether it was newer than what is known.
    pub fn handle_hint(&mut self, topic: &TopicName, partition: i32, leader: Leader, nodes: &[Node]) -> bool {
        let (Some(epoch), true) = (LeaderEpoch::from_wire(leader.epoch), leader.id >= 0) else { return false };
        let Some(known) = self.current.partition(topic, partition) else { return false };
        if known.epoch.is_some_and(|known| known >= epoch) {
            return false;
        }
        self.edit(|snapshot, _| {
            for node in nodes.iter().filter(|node| is_valid(node)) {
                snapshot.brokers.insert(node.id, node.clone());
            }
            set(snapshot, topic, partition, Partition { leader: Some(leader.id), epoch: Some(epoch) });
        });
        true
    }

    /// Forgets topics. Returns whether one of them was known.
    pub fn remove_topics(&mut self, topics: &[TopicName]) -> bool {
        let mut removed = false;
        self.edit(|snapshot, doubts| {
            for topic in topics {
                doubts.remove(topic);
                if let Some(topic) = snapshot.topics.remove(topic) {
                    forget_id(snapshot, &topic);
                    removed = true;
                }
            }
        });
        removed
    }

    /// Forgets the brokers and which cluster they belong to. The next request goes to the bootstrap addresses (KIP-899), and the
    /// cluster there is the one that is meant.
    pub fn forget_brokers(&mut self) {
        self.edit(|snapshot, _| {
            snapshot.brokers.clear();
            snapshot.cluster_id = None;
        });
    }
}

fn is_valid(broker: &Node) -> bool {
    broker.id >= 0 && !broker.host.is_empty() && (1..=65_535).contains(&broker.port)
}

fn set(snapshot: &mut Snapshot, topic: &TopicName, partition: i32, state: Partition) {
    let index = usize::try_from(partition).unwrap_or(usize::MAX);
    if let Some(slot) = snapshot.topics.get_mut(topic).and_then(|topic| Arc::make_mut(topic).partitions.get_mut(index))
    {
        *slot = state;
    }
}

fn forget_id(snapshot: &mut Snapshot, topic: &Topic) {
    if snapshot.names.get(&topic.id) == Some(&topic.name) {
        snapshot.names.remove(&topic.id);
    }
}

fn update(snapshot: &mut Snapshot, doubts: &mut HashMap<TopicName, Doubts>, reported: MetadataTopic, has_racks: bool) {
    if reported.name.is_empty() {
        return;
    }
    let before = snapshot.topics.get(&*reported.name).cloned();
    let name = before.as_ref().map_or_else(|| TopicName::from(&*reported.name), |topic| topic.name.clone());
    let Some(before) = before else {
        let topic = match reported.error {
            Some(error) => refused(name, &reported, error, None),
            None => described(name, &reported, None, has_racks),
        };
        return insert(snapshot, topic);
    };
    let doubts = doubts.entry(name.clone()).or_default();
    let known = match doubts.judge(&before, &reported) {
        Verdict::Stale => return,
        Verdict::StartOver => None,
        Verdict::Merge => Some(&*before),
    };
    let topic = match reported.error {
        Some(error) => refused(name, &reported, error, known),
        None => described(name, &reported, known, has_racks),
    };
    doubts.note(&before, &topic);
    // Another id is another topic of the same name.
    if before.id != topic.id {
        forget_id(snapshot, &before);
    }
    insert(snapshot, topic);
}

fn insert(snapshot: &mut Snapshot, topic: Topic) {
    if topic.error.is_none() && !topic.id.is_zero() {
        snapshot.names.insert(topic.id, topic.name.clone());
    }
    // A topic that did not change is not replaced, so that readers detect that by its address.
    if snapshot.topics.get(&topic.name).is_none_or(|known| **known != topic) {
        snapshot.topics.insert(topic.name.clone(), Arc::new(topic));
    }
}

/// A topic for which the broker returned `error` instead of partitions.
fn refused(name: TopicName, reported: &MetadataTopic, error: Code, before: Option<&Topic>) -> Topic {
    let gone = matches!(error, Code::UnknownTopicOrPartition | Code::UnknownTopicId);
    let mut partitions = before.map(|topic| topic.partitions.clone()).unwrap_or_default();
    if gone {
        // The broker may not know the topic yet: epochs do not decrease for that.
        for partition in &mut partitions {
            partition.leader = None;
        }
    }
    let replicas = before.map(|topic| topic.replicas.clone()).unwrap_or_default();
    Topic { name, id: id(reported, before), error: Some(error), partitions, replicas }
}

/// The id in a response. A response without ids does not remove a known id.
fn id(reported: &MetadataTopic, before: Option<&Topic>) -> TopicId {
    before.map(|topic| topic.id).filter(|_| reported.id.is_zero()).unwrap_or(reported.id)
}

fn described(name: TopicName, reported: &MetadataTopic, before: Option<&Topic>, has_racks: bool) -> Topic {
    let old = before.map_or(&[][..], |topic| &topic.partitions);
    // Indexes have no holes, so none is as large as their number; one that is would only cost memory.
    let count = reported.partitions.len().max(old.len());
    // A response that leaves out partitions does not remove them: the partitions of a topic never become fewer.
    let mut partitions = old.to_vec();
    // The last one stays, and of two that have the same index the first one counts.
    for partition in reported.partitions.iter().rev() {
        let Some(index) = usize::try_from(partition.index).ok().filter(|index| *index < count) else {
            continue;
        };
        if partitions.len() <= index {
            partitions.resize(index + 1, Partition::default());
        }
        partitions[index] = newer(old.get(index).copied(), partition);
    }
    let replicas = if has_racks { replicas(reported, before, partitions.len()) } else { Replicas::default() };
    Topic { name, id: id(reported, before), error: None, partitions, replicas }
}

/// The replicas of so many partitions. Those of a partition that a response leaves out stay.
fn replicas(reported: &MetadataTopic, before: Option<&Topic>, partitions: usize) -> Replicas {
    let mut found: Vec<&[i32]> =
        (0..partitions).map(|at| before.map_or(&[][..], |topic| topic.replicas.of(at))).collect();
    for partition in reported.partitions.iter().rev() {
        let slot = usize::try_from(partition.index).ok().and_then(|index| found.get_mut(index));
        if let Some(slot) = slot {
            *slot = &partition.replicas;
        }
    }
    Replicas::new(found)
}

#[cfg(test)]
mod tests {
    use super::super::doubts::CONTRADICTIONS_MAX;
    use super::*;
    use crate::wire::message::MetadataPartition;

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
    fn older_epoch_is_ignored_and_another_topic_id_replaces_everything() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 5, 1));
        cache.handle_response(response(1, 4, 2));
        assert_eq!(leader(&cache), Some(1));
        cache.handle_response(response(2, 0, 2));
        assert_eq!(leader(&cache), Some(2));
    }

    #[test]
    fn topics_that_were_not_requested_are_ignored() {
        let mut cache = Cache::default();
        let requested = ["a", "t", "u"].map(TopicName::from).into();
        for other in ["", "b", "tt", "v"] {
            let mut answer = response(1, 5, 1);
            answer.topics.push(MetadataTopic { name: other.into(), ..answer.topics[0].clone() });
            cache.handle_response_for(&requested, answer);
        }
        assert_eq!(cache.snapshot().topics().map(|topic| &*topic.name).collect::<Vec<_>>(), ["t"]);
        assert_eq!(leader(&cache), Some(1));
    }

    #[test]
    fn duplicates_in_one_response_are_ignored() {
        let mut cache = Cache::default();
        let mut answer = response(1, 5, 1);
        answer.brokers.push(Node { host: "other".into(), ..answer.brokers[0].clone() });
        let again = MetadataPartition { leader: 2, leader_epoch: LeaderEpoch::from_wire(6), ..Default::default() };
        answer.topics[0].partitions.push(again);
        answer.topics.push(MetadataTopic { error: Some(Code::UnknownTopicOrPartition), ..answer.topics[0].clone() });
        cache.handle_response_for(&[TopicName::from("t")].into(), answer);
        assert_eq!(leader(&cache), Some(1));
        assert_eq!(cache.snapshot().topics().map(|topic| topic.error).collect::<Vec<_>>(), [None]);
        assert_eq!(cache.snapshot().broker(1).map(|broker| broker.host.clone()), Some("h".into()));
    }

    #[test]
    fn id_of_a_recreated_topic_is_forgotten() {
        let mut cache = Cache::default();
        for id in 1..=3 {
            cache.handle_response(response(id, 5, 1));
        }
        let known = |id| cache.snapshot().topic_by_id(TopicId([id; 16])).is_some();
        assert_eq!([1, 2, 3].map(known), [false, false, true]);
        assert_eq!(cache.snapshot().names.len(), 1, "it costs no memory");
    }

    #[test]
    fn other_cluster_is_detected_by_its_id_until_brokers_are_forgotten() {
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
    fn topic_without_an_id_is_not_found_by_id() {
        let mut cache = Cache::default();
        cache.handle_response(response(0, 5, 1));
        assert!(cache.snapshot().topic_by_id(TopicId::ZERO).is_none());
        let mut refused = response(3, 5, 1);
        refused.topics[0].error = Some(Code::TopicAuthorizationFailed);
        cache.handle_response(refused);
        assert!(cache.snapshot().topic_by_id(TopicId([3; 16])).is_none());
    }

    #[test]
    fn topic_reported_missing_keeps_its_epochs() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 5, 1));
        let mut gone = response(0, 0, 1);
        gone.topics[0].partitions.clear();
        gone.topics[0].error = Some(Code::UnknownTopicOrPartition);
        cache.handle_response(gone);
        assert_eq!(leader(&cache), None);
        cache.handle_response(response(1, 4, 2));
        assert_eq!(leader(&cache), None, "an older response names no leader");
        cache.handle_response(response(1, 5, 1));
        assert_eq!(leader(&cache), Some(1));
    }

    #[test]
    fn leader_hint_is_taken_only_if_newer() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 5, 1));
        assert!(!cache.handle_hint(&"t".into(), 0, Leader { id: 2, epoch: 5 }, &[]));
        assert!(cache.handle_hint(&"t".into(), 0, Leader { id: 2, epoch: 6 }, &[]));
        assert_eq!(leader(&cache), Some(2));
    }

    #[test]
    fn invalid_brokers_are_ignored() {
        let mut cache = Cache::default();
        let mut odd = response(1, 0, 1);
        odd.brokers.push(Node { id: -1, host: "h".into(), port: 1, rack: None });
        odd.brokers.push(Node { id: 9, host: String::new(), port: 1, rack: None });
        odd.brokers.push(Node { id: 8, host: "h".into(), port: 70_000, rack: None });
        cache.handle_response(odd);
        assert_eq!(cache.snapshot().brokers().map(|broker| broker.id).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn empty_broker_list_keeps_the_known_brokers() {
        let mut cache = Cache::default();
        cache.handle_response(MetadataResponse { controller: 0, ..response(1, 5, 1) });
        assert_eq!(cache.snapshot().controller(), Some(0));
        cache.handle_response(MetadataResponse { brokers: Vec::new(), controller: -1, ..response(1, 5, 1) });
        assert_eq!((cache.snapshot().brokers().count(), cache.snapshot().controller()), (2, None));
        cache.forget_brokers();
        assert_eq!(cache.snapshot().brokers().count(), 0);
    }

    #[test]
    fn replicas_are_kept_only_where_brokers_have_racks() {
        let described = |rack: Option<&str>, replicas: &[&[i32]]| {
            let mut answer = response(1, 5, 1);
            answer.brokers[0].rack = rack.map(Into::into);
            let partition = |(index, replicas): (i32, &&[i32])| MetadataPartition {
                index,
                leader: 1,
                replicas: replicas.to_vec(),
                ..MetadataPartition::default()
            };
            answer.topics[0].partitions = (0..).zip(replicas).map(partition).collect();
            answer
        };
        let of = |cache: &Cache| {
            let snapshot = cache.snapshot();
            let topic = snapshot.topic("t").expect("it is known");
            (0..3).map(|partition| topic.replicas.of(partition).to_vec()).collect::<Vec<_>>()
        };
        let mut cache = Cache::default();
        cache.handle_response(described(None, &[&[1, 2], &[2]]));
        assert_eq!(of(&cache), [const { Vec::<i32>::new() }; 3]);
        cache.handle_response(described(Some("r"), &[&[1, 2], &[2]]));
        assert_eq!(of(&cache), [vec![1, 2], vec![2], vec![]]);
        cache.handle_response(described(Some("r"), &[&[2]]));
        assert_eq!(of(&cache), [vec![2], vec![2], vec![]], "a partition that is left out keeps its replicas");
    }

    #[test]
    fn snapshots_are_equivalent_only_if_nothing_differs() {
        let known_from = |response: MetadataResponse| {
            let mut cache = Cache::default();
            cache.handle_response(response);
            cache.snapshot()
        };
        let first = response(1, 5, 1);
        let same = known_from(first.clone());
        let mut often = Cache { current: Arc::clone(&same), ..Cache::default() };
        often.handle_response(first.clone());
        assert!(often.snapshot().generation() > same.generation());
        assert!(same.is_equivalent_to(&often.snapshot()));
        for other in [
            MetadataResponse { brokers: vec![first.brokers[0].clone()], ..first.clone() },
            MetadataResponse { controller: 1, ..first.clone() },
            MetadataResponse { cluster_id: Some("another".into()), ..first.clone() },
            response(1, 5, 2),
        ] {
            assert!(!same.is_equivalent_to(&known_from(other.clone())), "{other:?}");
        }
    }

    #[test]
    fn partitions_come_in_any_order_and_missing_ones_are_kept() {
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
            let topic = snapshot.topic("t").expect("it is known");
            topic.partitions.iter().map(|partition| partition.leader).collect()
        };
        assert_eq!(leaders(&cache), [Some(1), Some(2), Some(3)], "one beyond their number makes no sense");
        cache.handle_response(response(1, 6, 7));
        assert_eq!(leaders(&cache), [Some(7), Some(2), Some(3)]);
        assert_eq!(cache.snapshot().topics().count(), 1);
    }

    #[test]
    fn topic_that_gains_an_id_keeps_its_epochs() {
        let mut cache = Cache::default();
        cache.handle_response(response(0, 5, 1));
        cache.handle_response(response(1, 4, 2));
        assert_eq!(leader(&cache), Some(1), "its epochs do not go back");
        cache.handle_response(response(0, 4, 2));
        assert_eq!(leader(&cache), Some(1), "nor where a broker is too old for ids");
    }

    /// A response of a broker without topic ids, with the leader epochs of all partitions. Broker 1 leads them.
    fn without_ids(epochs: &[i32]) -> MetadataResponse {
        let mut answer = response(0, 0, 1);
        answer.topics[0].partitions = (0..)
            .zip(epochs)
            .map(|(index, epoch)| MetadataPartition {
                index,
                leader: 1,
                leader_epoch: LeaderEpoch::from_wire(*epoch),
                ..MetadataPartition::default()
            })
            .collect();
        answer
    }

    fn gone() -> MetadataResponse {
        let mut gone = response(0, 0, 1);
        gone.topics[0].partitions.clear();
        gone.topics[0].error = Some(Code::UnknownTopicOrPartition);
        gone
    }

    fn epochs(cache: &Cache) -> Vec<i32> {
        let snapshot = cache.snapshot();
        let partitions = &snapshot.topic("t").expect("it is known").partitions;
        partitions.iter().map(|partition| LeaderEpoch::to_wire(partition.epoch)).collect()
    }

    #[test]
    fn replaced_topic_id_is_ignored_while_another_broker_lags() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 7, 1));
        cache.handle_response(response(2, 0, 1));
        for _ in 0..3 * CONTRADICTIONS_MAX {
            cache.handle_response(response(1, 8, 2));
            assert_eq!(cache.snapshot().topic("t").unwrap().id, TopicId([2; 16]));
            assert_eq!(leader(&cache), Some(1));
            cache.handle_response(response(2, 0, 1));
        }
    }

    #[test]
    fn replaced_topic_id_is_believed_when_all_brokers_insist() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 7, 1));
        cache.handle_response(response(2, 9, 1));
        for _ in 1..CONTRADICTIONS_MAX {
            cache.handle_response(response(1, 7, 2));
        }
        assert_eq!(cache.snapshot().topic("t").unwrap().id, TopicId([2; 16]));
        cache.handle_response(response(1, 7, 2));
        assert_eq!(cache.snapshot().topic("t").unwrap().id, TopicId([1; 16]), "the cluster was restored");
        assert_eq!(leader(&cache), Some(2));
        cache.handle_response(response(2, 9, 1));
        assert_eq!(leader(&cache), Some(2), "the other id is the replaced one");
    }

    #[test]
    fn replaced_topic_ids_that_are_remembered_are_bounded() {
        let mut cache = Cache::default();
        for id in 1..200 {
            cache.handle_response(response(id, 0, 1));
        }
        assert!(cache.doubts["t"].memory() <= 8);
        cache.remove_topics(&["t".into()]);
        assert!(cache.doubts.is_empty());
        assert!(cache.snapshot().names.is_empty());
    }

    #[test]
    fn topic_recreated_with_fewer_partitions_has_fewer() {
        let mut cache = Cache::default();
        let mut many = response(1, 3, 1);
        many.topics[0].partitions = without_ids(&[3, 3, 3]).topics.remove(0).partitions;
        cache.handle_response(many);
        cache.handle_response(response(2, 0, 1));
        assert_eq!(epochs(&cache), [0]);
    }

    #[test]
    fn recreation_without_ids_is_noticed_after_the_topic_was_gone() {
        let mut cache = Cache::default();
        cache.handle_response(without_ids(&[5, 6, 7]));
        cache.handle_response(gone());
        cache.handle_response(without_ids(&[5, 6, 7]));
        assert_eq!(epochs(&cache), [5, 6, 7], "one broker did not know it");
        cache.handle_response(without_ids(&[4, 6, 7]));
        assert_eq!(epochs(&cache), [5, 6, 7], "another lags behind");
        cache.handle_response(gone());
        cache.handle_response(without_ids(&[0, 0]));
        assert_eq!(epochs(&cache), [0, 0]);
    }

    #[test]
    fn recreation_without_ids_is_noticed_when_all_brokers_insist() {
        let mut cache = Cache::default();
        cache.handle_response(without_ids(&[5, 6, 7]));
        for _ in 1..CONTRADICTIONS_MAX {
            cache.handle_response(without_ids(&[0, 0]));
            assert_eq!(epochs(&cache), [5, 6, 7]);
        }
        cache.handle_response(without_ids(&[5, 6, 7]));
        for _ in 1..CONTRADICTIONS_MAX {
            cache.handle_response(without_ids(&[0, 0]));
            assert_eq!(epochs(&cache), [5, 6, 7], "they were contradicted in between");
        }
        cache.handle_response(without_ids(&[0, 0]));
        assert_eq!(epochs(&cache), [0, 0]);
    }

    #[test]
    fn broker_without_topic_ids_does_not_remove_an_id() {
        let mut cache = Cache::default();
        cache.handle_response(response(1, 5, 1));
        cache.handle_response(response(0, 5, 1));
        assert!(cache.snapshot().topic_by_id(TopicId([1; 16])).is_some());
    }
}
