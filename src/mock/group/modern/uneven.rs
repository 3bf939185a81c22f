//! The assignor `uniform` for groups whose members subscribe to different topics (`UniformHeterogeneousAssignmentBuilder`).
//!
//! Members keep what they have. Partitions without an owner go to the least loaded subscriber, topics with the most partitions for
//! each subscriber first. Then partitions move from the most to the least loaded subscribers, topic by topic, until no topic can be
//! balanced further.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::Place;
use super::assignor::Assigned;
use super::assignor::Subscriber;
use crate::types::TopicId;

/// Rounds over all topics. Loads settle within a few.
const ROUNDS_MAX: usize = 16;

pub(super) fn uniform(members: Vec<Subscriber>, partitions: &BTreeMap<TopicId, usize>) -> Assigned {
    let mut uneven = Uneven::new(&members, partitions);
    let unowned = uneven.topics.keys().copied().filter(|topic| uneven.topics[topic].owners.contains(&None));
    for topic in uneven.sorted(unowned.collect()) {
        uneven.assign_unowned(topic);
    }
    let shared = uneven.topics.iter().filter(|(_, topic)| topic.subscribers.len() >= 2).map(|(id, _)| *id);
    uneven.balance(&uneven.sorted(shared.collect()));
    uneven.assigned(members)
}

/// A topic with its subscribers and owners, by the indexes of members.
struct Shared {
    subscribers: Vec<usize>,
    owners: Vec<Option<usize>>,
}

/// The assignment while it is made.
struct Uneven {
    topics: BTreeMap<TopicId, Shared>,
    /// The number of partitions of each member.
    loads: Vec<usize>,
}

impl Uneven {
    fn new(members: &[Subscriber], partitions: &BTreeMap<TopicId, usize>) -> Self {
        let mut topics: BTreeMap<TopicId, Shared> = BTreeMap::new();
        for (at, member) in members.iter().enumerate() {
            for topic in &member.topics {
                let fresh = || Shared { subscribers: Vec::new(), owners: vec![None; partitions[topic]] };
                topics.entry(*topic).or_insert_with(fresh).subscribers.push(at);
            }
        }
        let mut loads = vec![0; members.len()];
        for (at, member) in members.iter().enumerate() {
            for (topic, partition) in member.before.iter().filter(|(topic, _)| member.topics.contains(topic)) {
                let owner = topics.get_mut(topic).and_then(|topic| topic.owners.get_mut(index(*partition)));
                if let Some(owner) = owner {
                    *owner = Some(at);
                    loads[at] += 1;
                }
            }
        }
        Self { topics, loads }
    }

    /// Topics with most partitions for each subscriber first.
    fn sorted(&self, mut topics: Vec<TopicId>) -> Vec<TopicId> {
        topics.sort_by(|one, other| self.compare(*one, *other));
        topics
    }

    fn compare(&self, one: TopicId, other: TopicId) -> Ordering {
        let counts = |id| {
            let topic = &self.topics[id];
            (topic.owners.len(), topic.subscribers.len())
        };
        let ((partitions, subscribers), (other_partitions, other_subscribers)) = (counts(&one), counts(&other));
        let by_share = (other_partitions * subscribers).cmp(&(partitions * other_subscribers));
        by_share.then(subscribers.cmp(&other_subscribers)).then(signed(one).cmp(&signed(other)))
    }

    fn assign_unowned(&mut self, id: TopicId) {
        let Some(topic) = self.topics.get_mut(&id) else { return };
        let mut balancer = Balancer::new(&topic.subscribers, &self.loads);
        for owner in topic.owners.iter_mut().filter(|owner| owner.is_none()) {
            let least = balancer.next_least(&self.loads);
            *owner = Some(least);
            self.loads[least] += 1;
        }
    }

    fn balance(&mut self, topics: &[TopicId]) {
        let mut last_changed = None;
        for _ in 0..ROUNDS_MAX {
            for (at, topic) in topics.iter().enumerate() {
                if last_changed == Some(at) {
                    return;
                }
                if self.balance_topic(*topic) || last_changed.is_none() {
                    last_changed = Some(at);
                }
            }
        }
    }

    /// Moves partitions of a topic from the most to the least loaded of its subscribers; returns whether any moved.
    fn balance_topic(&mut self, id: TopicId) -> bool {
        let Some(topic) = self.topics.get_mut(&id) else { return false };
        let loads = topic.subscribers.iter().map(|at| self.loads[*at]);
        let imbalance = loads.clone().max().unwrap_or(0) - loads.min().unwrap_or(0);
        if imbalance <= 1 {
            return false;
        }
        let mut balancer = Balancer::new(&topic.subscribers, &self.loads);
        let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in topic.owners.iter().enumerate() {
            if let Some(owner) = owner {
                owned.entry(*owner).or_default().push(partition);
            }
        }
        let mut has_moved = false;
        while !balancer.is_balanced() {
            let partition = loop {
                let Some(most) = balancer.next_most(&self.loads) else { return has_moved };
                match owned.get_mut(&most).and_then(Vec::pop) {
                    Some(partition) => break partition,
                    None => balancer.exclude_most(),
                }
            };
            let least = balancer.next_least(&self.loads);
            if balancer.is_balanced() {
                break;
            }
            if let Some(owner) = topic.owners[partition].replace(least) {
                self.loads[owner] -= 1;
            }
            self.loads[least] += 1;
            has_moved = true;
        }
        has_moved
    }

    fn assigned(self, members: Vec<Subscriber>) -> Assigned {
        let mut all: Vec<BTreeSet<Place>> = vec![BTreeSet::new(); members.len()];
        for (id, topic) in self.topics {
            for (partition, owner) in (0..).zip(topic.owners) {
                if let Some(owner) = owner {
                    all[owner].insert((id, partition));
                }
            }
        }
        members.into_iter().map(|member| member.id).zip(all).collect()
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).unwrap_or(usize::MAX)
}

/// The order of `Uuid.compareTo`, whose halves are signed.
fn signed(id: TopicId) -> (i64, i64) {
    let half = |at: usize| i64::from_be_bytes(id.0[at..].first_chunk().copied().unwrap_or_default());
    (half(0), half(8))
}

/// Takes the subscribers of a topic by turns, from both ends of their loads (`MemberAssignmentBalancer`).
struct Balancer {
    /// From the least to the most loaded.
    members: Vec<usize>,
    /// The first members, of this load and less when they were taken.
    least: (usize, usize),
    next_least: usize,
    /// The last members: from, to, and their load.
    most: (usize, usize, usize),
    /// After the next one to be taken; `None` where all have been excluded.
    next_most: usize,
}

impl Balancer {
    fn new(subscribers: &[usize], loads: &[usize]) -> Self {
        let mut members = subscribers.to_vec();
        members.sort_by_key(|at| (loads[*at], *at));
        let load = |at: Option<&usize>| at.map_or(0, |at| loads[*at]);
        let (least, most) = (load(members.first()), load(members.last()));
        let count = members.len();
        // Both ranges are empty, one before the load of the first and one beyond that of the last member.
        Self { members, least: (0, least), next_least: 0, most: (count, count, most + 1), next_most: count }
    }

    /// The next of the least loaded members. Each of them gets a partition before one gets two.
    fn next_least(&mut self, loads: &[usize]) -> usize {
        let (end, load) = &mut self.least;
        if self.next_least >= *end {
            if *end > 0 {
                *load += 1;
            }
            while self.members.get(*end).is_some_and(|at| loads[*at] == *load) {
                *end += 1;
            }
            self.next_least = 0;
        }
        self.next_least += 1;
        self.members[self.next_least - 1]
    }

    /// The next of the most loaded members; `None` where all have been excluded.
    fn next_most(&mut self, loads: &[usize]) -> Option<usize> {
        let (start, end, load) = &mut self.most;
        if self.next_most <= *start {
            *load = if *end <= *start && *start > 0 { loads[self.members[*start - 1]] } else { load.saturating_sub(1) };
            while *start > 0 && loads[self.members[*start - 1]] == *load {
                *start -= 1;
            }
            self.next_most = *end;
        }
        let next = self.next_most.checked_sub(1)?;
        self.next_most = next;
        Some(self.members[next])
    }

    /// Leaves out the member that was taken last, which has no partition of the topic.
    fn exclude_most(&mut self) {
        self.most.1 -= 1;
        self.members.swap(self.next_most, self.most.1);
    }

    fn is_balanced(&self) -> bool {
        let has_begun = usize::from(self.least.0 > 0);
        // Before the first member was taken, its range counts as one less.
        (self.most.2 + 1).saturating_sub(self.least.1 + has_begun) <= 1
    }
}
