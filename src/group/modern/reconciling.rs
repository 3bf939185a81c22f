//! Reconciling what a member has with what the coordinator wants it to have.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Instant;

use super::Action;
use super::Event;
use super::Modern;
use crate::error::Kind;
use crate::types::TopicId;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::inserted;
use crate::wire::message::TopicIdPartitions;

/// Partitions by the ids of their topics.
type Topics = BTreeMap<TopicId, BTreeSet<i32>>;

/// An assignment, and how many the member had got before it. Two assignments of the same partitions are not the same: each is
/// acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    number: u64,
    topics: Topics,
}

/// The part of an assignment that the application takes next.
#[derive(Debug)]
pub(super) struct Applying {
    held: Held,
    /// By the names of their topics.
    pub(super) partitions: BTreeSet<TopicPartition>,
}

impl Modern {
    /// Takes a target assignment.
    pub(super) fn take_target(&mut self, assigned: &[TopicIdPartitions]) {
        let mut topics = Topics::new();
        for topic in assigned {
            if topic.partitions.iter().any(|partition| *partition < 0) {
                let text = format!("the coordinator assigned a partition below zero of the topic {}", topic.id);
                return self.fail(self.standing.error(Kind::Protocol, text));
            }
            if !topic.partitions.is_empty() {
                topics.entry(topic.id).or_default().extend(&topic.partitions);
            }
        }
        if self.target.as_ref().is_none_or(|target| target.topics != topics) {
            let number = self.number();
            self.target = Some(Held { number, topics });
        }
        if self.current != self.target {
            self.transition(Event::Assigned);
        }
    }

    /// The partitions that a heartbeat claims: those that the member has, and those that it may take before the response comes. A
    /// coordinator that knows that a member does not own a partition may give it to another at once.
    pub(super) fn claimed(&self) -> Vec<TopicIdPartitions> {
        let applying = self.applying.as_ref().map(|applying| &applying.held);
        let mut topics = Topics::new();
        for held in [self.current.as_ref(), self.target.as_ref(), applying].into_iter().flatten() {
            for (id, partitions) in &held.topics {
                topics.entry(*id).or_default().extend(partitions);
            }
        }
        let entry = |(id, partitions): (TopicId, BTreeSet<i32>)| TopicIdPartitions {
            id,
            partitions: partitions.into_iter().collect(),
        };
        topics.into_iter().map(entry).collect()
    }

    /// Decides what the application takes next. Topics that the metadata does not know stay pending, and are asked for.
    pub(super) fn reconcile(&mut self, now: Instant) {
        self.applying = None;
        let Some(target) = &self.target else { return };
        let number = target.number;
        let (topics, names) = self.resolve(&target.topics);
        let is_pending = topics.len() < target.topics.len();
        let by_name = |(id, partitions): (&TopicId, &BTreeSet<i32>)| {
            let topic = names[id].clone();
            partitions.iter().map(move |at| TopicPartition { topic: topic.clone(), partition: *at }).collect::<Vec<_>>()
        };
        let partitions: BTreeSet<TopicPartition> = inserted(topics.iter().flat_map(by_name));
        let unknown: Vec<TopicId> = target.topics.keys().filter(|id| !names.contains_key(id)).copied().collect();
        let has_changed = self.names != names;
        self.names = names;
        if has_changed && self.regex.is_some() {
            self.follow();
        }
        if is_pending {
            self.ask_for_metadata(now, unknown);
        } else {
            self.metadata_due = None;
        }
        match &mut self.current {
            // Nothing is known yet of what was assigned.
            None if is_pending && topics.is_empty() => {}
            Some(current) if current.topics == topics && self.standing.owned == partitions => {
                if current.number != number {
                    current.number = number;
                    self.transition(Event::Applied);
                }
            }
            _ => self.applying = Some(Applying { held: Held { number, topics }, partitions }),
        }
    }

    /// The part of an assignment whose topics are known, with their names.
    fn resolve(&self, topics: &Topics) -> (Topics, BTreeMap<TopicId, TopicName>) {
        let name_of = |id: TopicId| {
            let known = self.snapshot.topic_by_id(id).map(|topic| topic.name.clone());
            known.or_else(|| self.names.get(&id).cloned())
        };
        let names: BTreeMap<_, _> = inserted(topics.keys().filter_map(|id| Some((*id, name_of(*id)?))));
        let known = topics.iter().filter(|(id, _)| names.contains_key(*id));
        (inserted(known.map(|(id, partitions)| (*id, partitions.clone()))), names)
    }

    fn ask_for_metadata(&mut self, now: Instant, unknown: Vec<TopicId>) {
        if self.metadata_due.is_none_or(|due| due <= now) {
            self.metadata_due = Some(now + self.settings.retry_backoff_max);
            self.actions.push_back(match self.regex {
                None => Action::RefreshMetadata { topics: self.standing.subscription.clone() },
                Some(_) => Action::FindTopics { ids: unknown },
            });
        }
    }

    /// The application has taken an assignment. One of an epoch that was lost meanwhile is lost too.
    pub(super) fn applied(&mut self) {
        let Some(applying) = self.applying.take() else { return };
        self.current = Some(applying.held);
        self.standing.counters.rebalances += 1;
        self.transition(Event::Applied);
    }
}
