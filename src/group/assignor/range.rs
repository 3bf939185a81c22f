//! The assignor `range`: each topic by itself, in consecutive ranges.

use std::collections::VecDeque;

use super::Assignor;
use super::group::Assignment;
use super::group::Group;
use super::layout::Layout;
use super::racks::Racks;

/// Splits each topic into consecutive ranges, one for each member that subscribes to it (Java's `RangeAssignor`).
///
/// Members are sorted by their instance ids or else their ids, and the first ones get one partition more if the number does not
/// divide. Topics with as many partitions and the same subscribers are split alike, so that a member gets the same partitions of
/// each. Where racks are known, members get partitions with a replica in their rack first, as far as both rules allow (KIP-881).
/// It is eager, and Java's default.
///
/// ```
/// use ottla::group::assignor::{Assignor, Group, Member, Range, Topic};
/// use ottla::types::TopicPartition;
///
/// let mut group = Group::default();
/// group.topics.insert("a".into(), Topic::new(3));
/// group.members.extend(["x", "y"].map(|id| Member::new(id, ["a"])));
/// let assignments = Range.assign(&group);
/// assert_eq!(assignments[0].partitions, [TopicPartition::new("a", 0), TopicPartition::new("a", 1)]);
/// assert_eq!(assignments[1].partitions, [TopicPartition::new("a", 2)]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range;

impl Assignor for Range {
    fn name(&self) -> &'static str {
        "range"
    }

    fn assign(&self, group: &Group) -> Vec<Assignment> {
        let layout = Layout::new(group);
        let racks = Racks::new(&layout);
        let mut consumers = layout.consumers(&layout.members_by_instance());
        let topics = layout.hashed_topics().into_iter();
        let mut topics: Vec<Topic> =
            topics.map(|topic| Topic::new(topic, std::mem::take(&mut consumers[topic]), &layout, &racks)).collect();
        let mut assigned = vec![Vec::new(); group.members.len()];
        let racks_matter = topics.iter().any(|topic| topic.racks_matter);
        if racks_matter {
            match_racks(&mut topics, &racks, &mut assigned);
        }
        for topic in &mut topics {
            topic.assign_ranges(&mut assigned);
        }
        if racks_matter {
            for partitions in &mut assigned {
                partitions.sort_unstable();
            }
        }
        layout.assignments(assigned)
    }
}

/// A topic while it is assigned.
#[derive(Debug)]
struct Topic {
    first: usize,
    count: usize,
    /// The members that subscribe to it, in order, with the partitions that each has got.
    consumers: Vec<(usize, usize)>,
    unassigned: VecDeque<usize>,
    /// Each member gets as many, and this number of members one more.
    fewest: usize,
    extra: usize,
    racks_matter: bool,
    /// Whether a subscriber has a rack.
    has_racks: bool,
}

impl Topic {
    fn new(topic: usize, consumers: Vec<usize>, layout: &Layout<'_>, racks: &Racks) -> Self {
        let partitions = layout.partitions_of(topic);
        Self {
            first: partitions.start,
            count: partitions.len(),
            fewest: partitions.len() / consumers.len(),
            extra: partitions.len() % consumers.len(),
            racks_matter: racks.matter(consumers.iter().copied(), partitions.clone()),
            has_racks: consumers.iter().any(|member| racks.of(*member).is_some()),
            consumers: consumers.into_iter().map(|member| (member, 0)).collect(),
            unassigned: partitions.collect(),
        }
    }

    /// How many more partitions the consumer at this place may get.
    fn capacity(&self, place: usize) -> usize {
        (self.fewest + usize::from(self.extra > 0)).saturating_sub(self.consumers[place].1)
    }

    /// Counts partitions that the consumer at this place has got.
    fn count(&mut self, place: usize, partitions: usize) {
        let (_, assigned) = &mut self.consumers[place];
        *assigned += partitions;
        if *assigned > self.fewest {
            self.extra = self.extra.saturating_sub(1);
        }
    }

    fn assign_ranges(&mut self, assigned: &mut [Vec<usize>]) {
        for place in 0..self.consumers.len() {
            let count = self.capacity(place).min(self.unassigned.len());
            if count > 0 {
                assigned[self.consumers[place].0].extend(self.unassigned.drain(..count));
                self.count(place, count);
            }
        }
    }

    /// As `assign_ranges`, but each consumer gets only partitions with a replica in its rack.
    fn assign_near(&mut self, racks: &Racks, assigned: &mut [Vec<usize>]) {
        for place in 0..self.consumers.len() {
            let (member, capacity) = (self.consumers[place].0, self.capacity(place));
            let mut count = 0;
            self.unassigned.retain(|partition| {
                let gets = count < capacity && !racks.mismatch(member, *partition);
                if gets {
                    assigned[member].push(*partition);
                    count += 1;
                }
                !gets
            });
            if count > 0 {
                self.count(place, count);
            }
        }
    }
}

/// Assigns what can be matched by racks, together for topics that are to be split alike.
fn match_racks(topics: &mut [Topic], racks: &Racks, assigned: &mut [Vec<usize>]) {
    let mut topics: Vec<&mut Topic> = topics.iter_mut().filter(|topic| topic.has_racks).collect();
    topics.sort_by(|one, other| (one.count, &one.consumers).cmp(&(other.count, &other.consumers)));
    for alike in topics.chunk_by_mut(|one, other| (one.count, &one.consumers) == (other.count, &other.consumers)) {
        match alike {
            [topic] if topic.racks_matter => topic.assign_near(racks, assigned),
            [_] => {}
            topics => assign_alike(topics, racks, assigned),
        }
    }
}

/// Gives the same partitions of all these topics to the first consumer with a replica of each in its rack.
fn assign_alike(topics: &mut [&mut Topic], racks: &Racks, assigned: &mut [Vec<usize>]) {
    let count = topics[0].count;
    let mut remaining: Vec<usize> = (0..topics[0].consumers.len()).collect();
    let mut is_taken = Vec::with_capacity(count);
    for number in 0..count {
        let fits = |place: &usize| {
            topics.iter().all(|topic| {
                topic.capacity(*place) > 0 && !racks.mismatch(topic.consumers[*place].0, topic.first + number)
            })
        };
        let found = remaining.iter().position(fits);
        is_taken.push(found.is_some());
        let Some(at) = found else { continue };
        let place = remaining[at];
        for topic in topics.iter_mut() {
            assigned[topic.consumers[place].0].push(topic.first + number);
            topic.count(place, 1);
        }
        if topics.iter().all(|topic| topic.capacity(place) == 0) {
            remaining.remove(at);
        }
    }
    for topic in topics {
        topic.unassigned.retain(|partition| !is_taken[partition - topic.first]);
    }
}
