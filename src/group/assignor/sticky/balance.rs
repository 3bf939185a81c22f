//! An assignment that is moved towards balance, one partition at a time.

use std::collections::BTreeSet;

use super::movements::Movements;
use crate::group::assignor::layout::Layout;
use crate::types::inserted;

/// Who has which partitions, and members by how many they have.
#[derive(Debug)]
pub(super) struct Balance<'a> {
    layout: &'a Layout<'a>,
    /// The members that subscribe to each topic.
    consumers: Vec<Vec<usize>>,
    holdings: Holdings,
    /// The members that may get or lose partitions: by load, then by rank.
    order: BTreeSet<(usize, usize)>,
    /// Members by id, and the place of each there.
    by_id: Vec<usize>,
    rank: Vec<usize>,
    movements: Movements,
    uneven: Uneven,
    /// The topic that was looked at last, and its consumer with the lowest load, as long as nothing moves.
    least: Option<(usize, usize)>,
}

/// The state that a rebalance may return to.
#[derive(Clone, Debug)]
pub(super) struct Holdings {
    /// The owner of each partition, and when it got it: a member's partitions are listed in that order.
    owners: Vec<Option<(usize, usize)>>,
    now: usize,
    loads: Vec<usize>,
}

/// A topic of which one member could give a partition to another, which would even their loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uneven {
    /// Not known since a partition moved. This topic was uneven before.
    Unknown(usize),
    Topic(usize),
    None,
}

impl Holdings {
    fn give(&mut self, partition: usize, member: usize) {
        if let Some((owner, _)) = self.owners[partition].replace((member, self.now)) {
            self.loads[owner] -= 1;
        }
        self.loads[member] += 1;
        self.now += 1;
    }

    /// The partitions of each member, in the order in which it got them.
    pub(super) fn into_lists(self) -> Vec<Vec<usize>> {
        let mut lists = vec![Vec::new(); self.loads.len()];
        for (partition, owner) in self.owners.into_iter().enumerate() {
            if let Some((owner, since)) = owner {
                lists[owner].push((since, partition));
            }
        }
        lists.into_iter().map(in_order).collect()
    }
}

fn in_order(mut partitions: Vec<(usize, usize)>) -> Vec<usize> {
    partitions.sort_unstable();
    partitions.into_iter().map(|(_, partition)| partition).collect()
}

impl<'a> Balance<'a> {
    /// An assignment of nothing. `consumers` are the members that subscribe to each topic.
    pub(super) fn new(layout: &'a Layout<'a>, consumers: Vec<Vec<usize>>) -> Self {
        let by_id = layout.members_by_id();
        let mut rank = vec![0; by_id.len()];
        by_id.iter().enumerate().for_each(|(place, member)| rank[*member] = place);
        let loads = vec![0; by_id.len()];
        Self {
            layout,
            consumers,
            holdings: Holdings { owners: vec![None; layout.partitions()], now: 0, loads },
            order: inserted(rank.iter().map(|rank| (0, *rank))),
            by_id,
            rank,
            movements: Movements::default(),
            uneven: Uneven::Unknown(0),
            least: None,
        }
    }

    pub(super) fn consumers(&self, topic: usize) -> &[usize] {
        &self.consumers[topic]
    }

    pub(super) fn owner(&self, partition: usize) -> Option<usize> {
        self.holdings.owners[partition].map(|(owner, _)| owner)
    }

    pub(super) fn load(&self, member: usize) -> usize {
        self.holdings.loads[member]
    }

    /// Whether nobody has anything.
    pub(super) fn is_empty(&self) -> bool {
        self.holdings.loads.iter().all(|load| *load == 0)
    }

    /// Whether a member may get or lose partitions.
    pub(super) fn takes_part(&self, member: usize) -> bool {
        self.order.contains(&self.key(member))
    }

    /// Gives a partition to a member.
    pub(super) fn give(&mut self, partition: usize, member: usize) {
        let owner = self.owner(partition).unwrap_or(member);
        self.order.remove(&self.key(owner));
        self.order.remove(&self.key(member));
        self.holdings.give(partition, member);
        self.order.insert(self.key(owner));
        self.order.insert(self.key(member));
        self.forget();
    }

    /// Gives a partition to the member with the lowest load that subscribes to its topic, unless it is `far` from it.
    pub(super) fn give_to_least(&mut self, partition: usize, far: impl Fn(usize, usize) -> bool) -> bool {
        let topic = self.layout.topic_of(partition);
        let mut members = self.order.iter().map(|(_, rank)| self.by_id[*rank]);
        let least = members.find(|member| self.layout.subscribes(*member, topic) && !far(*member, partition));
        if let Some(member) = least {
            self.give(partition, member);
        }
        least.is_some()
    }

    /// Moves a partition to a member, or in its place one of the same topic that came from there.
    pub(super) fn move_to(&mut self, partition: usize, member: usize) {
        let owner = self.owner(partition).expect("all partitions have been assigned");
        let moved = self.movements.instead_of(self.layout, partition, owner, member);
        let owner = self.owner(moved).expect("all partitions have been assigned");
        self.movements.record(self.layout, moved, owner, member);
        self.give(moved, member);
    }

    /// Leaves out the members that have all partitions they can get, if nobody else can get those.
    pub(super) fn leave_out_fixed_members(&mut self) {
        for member in 0..self.by_id.len() {
            let topics = self.layout.topics_of(member);
            let most: usize = topics.iter().map(|topic| self.layout.partitions_of(*topic).len()).sum();
            if self.load(member) == most && topics.iter().all(|topic| self.consumers[*topic].len() == 1) {
                self.order.remove(&self.key(member));
            }
        }
    }

    /// Whether no member could take a partition from one that has at least two more.
    pub(super) fn is_balanced(&mut self) -> bool {
        let loads = self.order.first().zip(self.order.last());
        if loads.is_none_or(|((lowest, _), (highest, _))| lowest + 1 >= *highest) {
            return true;
        }
        if let Uneven::Unknown(before) = self.uneven {
            let mut topics = std::iter::once(before).chain(0..self.consumers.len());
            self.uneven = topics.find(|topic| self.is_uneven(*topic)).map_or(Uneven::None, Uneven::Topic);
        }
        self.uneven == Uneven::None
    }

    fn is_uneven(&self, topic: usize) -> bool {
        let owners = self.layout.partitions_of(topic).filter_map(|partition| self.owner(partition));
        let highest = owners.map(|owner| self.load(owner)).max();
        let lowest = self.consumers[topic].iter().map(|member| self.load(*member)).min();
        highest.zip(lowest).is_some_and(|(highest, lowest)| lowest + 1 < highest)
    }

    /// The consumer of a topic that has the lowest load.
    pub(super) fn least(&mut self, topic: usize) -> usize {
        match self.least {
            Some((of, member)) if of == topic => member,
            _ => {
                let consumers = self.consumers[topic].iter().copied();
                let least = consumers.min_by_key(|member| self.key(*member)).expect("a topic with subscribers");
                self.least = Some((topic, least));
                least
            }
        }
    }

    /// The sum of the differences between any two members (`getBalanceScore`).
    pub(super) fn score(&self, holdings: &Holdings) -> usize {
        let mut loads: Vec<usize> = self.order.iter().map(|(_, rank)| holdings.loads[self.by_id[*rank]]).collect();
        loads.sort_unstable();
        let mut below = 0;
        let differences = loads.into_iter().enumerate().map(|(members, load)| {
            let difference = members * load - below;
            below += load;
            difference
        });
        differences.sum()
    }

    pub(super) fn holdings(&self) -> &Holdings {
        &self.holdings
    }

    fn key(&self, member: usize) -> (usize, usize) {
        (self.load(member), self.rank[member])
    }

    /// Forgets what a move may have changed.
    fn forget(&mut self) {
        self.least = None;
        if let Uneven::Topic(topic) = self.uneven {
            self.uneven = Uneven::Unknown(topic);
        } else if self.uneven == Uneven::None {
            self.uneven = Uneven::Unknown(0);
        }
    }
}
