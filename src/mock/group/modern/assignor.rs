//! The assignors of the coordinator for groups whose members subscribe to the same topics: `range` and `uniform`
//! (`RangeAssignor`, `UniformHomogeneousAssignmentBuilder`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use kafka_protocol::protocol::StrBytes;

use super::Place;
use super::hash_order;
use crate::types::TopicId;

/// A member to be assigned to, in Java's order of members.
#[derive(Clone, Debug)]
pub(super) struct Subscriber {
    pub(super) id: StrBytes,
    pub(super) instance: Option<StrBytes>,
    /// The topics to which it subscribes and that exist.
    pub(super) topics: BTreeSet<TopicId>,
    /// Its last target.
    pub(super) before: BTreeSet<Place>,
}

/// The partitions of each member.
pub(super) type Assigned = BTreeMap<StrBytes, BTreeSet<Place>>;

/// The topics of partitions in Java's order, each with its partitions in Java's order.
pub(super) fn by_topic(places: &BTreeSet<Place>) -> Vec<(TopicId, Vec<i32>)> {
    let mut found: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        found.entry(*topic).or_default().push(*partition);
    }
    let order = hash_order::topics(found.keys());
    let with = |topic: TopicId| (topic, hash_order::partitions(&found[&topic]));
    order.into_iter().map(with).collect()
}

fn indexes(count: usize) -> std::ops::Range<i32> {
    0..i32::try_from(count).unwrap_or(i32::MAX)
}

/// Gives each member a range of each topic, in the order of instance ids and then of member ids.
pub(super) fn range(mut members: Vec<Subscriber>, partitions: &BTreeMap<TopicId, usize>) -> Assigned {
    let rank = |member: &Subscriber| (member.instance.is_none(), member.instance.clone(), member.id.clone());
    members.sort_by_key(rank);
    let mut assigned: Assigned = members.iter().map(|member| (member.id.clone(), BTreeSet::new())).collect();
    for (topic, count) in partitions {
        let subscribers: Vec<&Subscriber> = members.iter().filter(|member| member.topics.contains(topic)).collect();
        let mut rest = indexes(*count);
        for (at, member) in subscribers.iter().enumerate() {
            let quota = count / subscribers.len() + usize::from(at < count % subscribers.len());
            let own = rest.by_ref().take(quota).map(|index| (*topic, index));
            assigned.entry(member.id.clone()).or_default().extend(own);
        }
    }
    assigned
}

/// Leaves every member as much as it may have, and gives the rest to those that have less.
pub(super) fn uniform(members: Vec<Subscriber>, partitions: &BTreeMap<TopicId, usize>) -> Assigned {
    let Some(topics) = members.first().map(|member| member.topics.clone()).filter(|topics| !topics.is_empty()) else {
        return Assigned::new();
    };
    let taken: BTreeSet<Place> = members.iter().flat_map(|member| member.before.iter().copied()).collect();
    let of_topic = |topic: TopicId| indexes(partitions[&topic]).map(move |index| (topic, index));
    let all = hash_order::topics(topics.iter()).into_iter().flat_map(of_topic);
    let mut unassigned: Vec<Place> = all.clone().filter(|place| !taken.contains(place)).collect();
    let (count, total) = (members.len(), all.count());
    let (least, mut extra) = (total / count, total % count);
    let mut unfilled = Vec::new();
    let mut assigned = Assigned::new();
    for (at, member) in members.into_iter().enumerate() {
        let mut quota = least + usize::from(extra > 0);
        let mut has_extra = extra > 0;
        let mut kept = BTreeSet::new();
        for (topic, own) in by_topic(&member.before).into_iter().filter(|(topic, _)| topics.contains(topic)) {
            for place in own.into_iter().map(|index| (topic, index)) {
                if quota > 0 {
                    quota -= 1;
                    kept.insert(place);
                } else {
                    unassigned.push(place);
                }
            }
        }
        if quota > 0 && has_extra && count - at > extra {
            (quota, has_extra) = (quota - 1, false);
        }
        if quota > 0 {
            unfilled.push((member.id.clone(), quota));
        }
        extra -= usize::from(has_extra);
        assigned.insert(member.id, kept);
    }
    let mut unassigned = unassigned.into_iter();
    for (id, quota) in unfilled {
        assigned.entry(id).or_default().extend(unassigned.by_ref().take(quota));
    }
    debug_assert_eq!(unassigned.next(), None, "the quotas add up to all partitions");
    assigned
}
