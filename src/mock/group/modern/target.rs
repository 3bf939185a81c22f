//! The target assignment: when it is computed, for whom, and by which assignor (`TargetAssignmentBuilder`).

use std::collections::BTreeMap;
use std::time::Instant;

use super::Modern;
use super::Rules;
use super::assignor;
use super::assignor::Subscriber;
use super::hash_order;
use super::uneven;
use crate::mock::state::Topic;
use crate::types::TopicId;
use crate::types::TopicName;

/// The server-side assignors, the default one first (`group.consumer.assignors`).
pub(in crate::mock) const ASSIGNORS: [&str; 2] = [UNIFORM, RANGE];
const UNIFORM: &str = "uniform";
const RANGE: &str = "range";

impl Modern {
    /// Begins a group epoch if the subscription of a member changed, or a topic to which one subscribes.
    pub(super) fn refresh(&mut self, topics: &BTreeMap<TopicName, Topic>, has_changed: bool) {
        let found = self.describe_topics(topics);
        if has_changed || found != self.topics {
            self.epoch += 1;
        }
        self.topics = found;
    }

    /// The topics to which members subscribe and that exist.
    pub(super) fn describe_topics(&self, topics: &BTreeMap<TopicName, Topic>) -> BTreeMap<TopicName, (TopicId, usize)> {
        let names = self.members.iter().flat_map(|member| self.subscription(member));
        let describe =
            |name: &TopicName| topics.get(name).map(|topic| (name.clone(), (topic.id, topic.partitions.len())));
        names.filter_map(describe).collect()
    }

    /// Computes the target assignment of the group epoch, if the last one is old enough.
    pub(super) fn retarget(&mut self, now: Instant, rules: Rules, topics: &BTreeMap<TopicName, Topic>) {
        let is_early = self.target_since.is_some_and(|since| now < since + rules.assignment_interval);
        if self.target_epoch >= self.epoch || is_early {
            return;
        }
        let partitions: BTreeMap<TopicId, usize> =
            topics.values().map(|topic| (topic.id, topic.partitions.len())).collect();
        let subscribers: Vec<Subscriber> = hash_order::strings(&self.members, |member| &member.id)
            .into_iter()
            .map(|member| Subscriber {
                id: member.id.clone(),
                instance: member.instance.clone(),
                topics: self.subscription(member).filter_map(|name| Some(topics.get(name)?.id)).collect(),
                before: self.target.get(&member.id).cloned().unwrap_or_default(),
            })
            .collect();
        let is_even = self.is_even();
        let assigned = match self.preferred_assignor() {
            RANGE => assignor::range(subscribers, &partitions),
            _ if is_even => assignor::uniform(subscribers, &partitions),
            _ => uneven::uniform(subscribers, &partitions),
        };
        self.target = assigned;
        (self.target_epoch, self.target_since) = (self.epoch, Some(now));
    }

    /// The assignor that most members name; of several the first in Java's order.
    pub(super) fn preferred_assignor(&self) -> &'static str {
        let count =
            |name: &&str| self.members.iter().filter(|member| member.assignor.as_deref() == Some(*name)).count();
        // "range" comes before "uniform" in a `HashMap`.
        let [first, second] = [RANGE, UNIFORM].map(|name| (name, count(&name)));
        match (first.1, second.1) {
            (0, 0) => UNIFORM,
            (range, uniform) if range >= uniform => first.0,
            _ => second.0,
        }
    }
}
