//! The partitions that need attention: sets and counters that follow every change of a partition, so that no event walks over all.
//!
//! Code that changes a partition takes it from [`Slots`](super::slots::Slots) by `get_mut`, which notes its slot.
//! [`ConsumerCore::reindex`] compares each noted partition with what is registered of it, and moves it between the sets.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Instant;

use super::ConsumerCore;
use super::node::Node;
use super::position::Partition;

/// The sets and counters over all partitions. Those of one broker's partitions are in its [`Node`].
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// When partitions need attention.
    timers: BTreeSet<(Instant, usize)>,
    /// Partitions with a request to send about their position, or without a leader.
    due: BTreeSet<usize>,
    /// Paused partitions that have records.
    pub(super) paused: BTreeSet<usize>,
    /// Their bytes.
    pub(super) paused_bytes: usize,
    /// Bytes of all partitions.
    pub(super) buffered: usize,
    /// Partitions whose bounded read is not over.
    pub(super) unfinished: usize,
    /// Partitions that have something to return, by turns.
    pub(super) ready: VecDeque<usize>,
}

/// The membership of one partition in the sets, and its share of the counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is the membership in one set")]
pub(super) struct Registered {
    /// The broker whose counters it is in.
    node: Option<i32>,
    wants_fetch: bool,
    buffered: usize,
    is_paused: bool,
    timer: Option<Instant>,
    is_due: bool,
    is_unfinished: bool,
    /// In the rotation.
    is_ready: bool,
}

impl Registered {
    /// The registration that fits the state of a partition. A partition without a leader stays with the broker that its records
    /// came from.
    fn of(partition: &Partition, before: &Self) -> Self {
        let source = partition.source();
        Self {
            node: source.or(before.node),
            wants_fetch: source.is_some() && partition.wants_fetch(),
            buffered: partition.buffered(),
            is_paused: partition.is_paused(),
            timer: partition.poll_timeout(),
            is_due: partition.is_due(),
            is_unfinished: !partition.is_done(),
            is_ready: before.is_ready || partition.has_next(),
        }
    }

    fn paused(&self) -> usize {
        if self.is_paused { self.buffered } else { 0 }
    }

    /// Bytes that count against the broker's share. A paused partition's do not: they are given up when there are too many.
    fn held(&self) -> usize {
        self.buffered - self.paused()
    }
}

impl Schedule {
    /// The next partition whose time has come.
    pub(super) fn take_due_timer(&mut self, now: Instant) -> Option<usize> {
        let (at, slot) = *self.timers.first()?;
        if at > now {
            return None;
        }
        self.timers.pop_first();
        Some(slot)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Partitions that a request is to be sent about.
    pub(super) fn due(&self) -> impl Iterator<Item = usize> {
        self.due.iter().copied()
    }

    fn apply(&mut self, slot: usize, before: &Registered, after: &Registered) {
        if before.timer != after.timer {
            if let Some(at) = before.timer {
                self.timers.remove(&(at, slot));
            }
            self.timers.extend(after.timer.map(|at| (at, slot)));
        }
        if before.is_due != after.is_due {
            put(&mut self.due, slot, after.is_due);
        }
        if (before.paused() > 0) != (after.paused() > 0) {
            put(&mut self.paused, slot, after.paused() > 0);
        }
        self.paused_bytes = self.paused_bytes - before.paused() + after.paused();
        self.buffered = self.buffered - before.buffered + after.buffered;
        self.unfinished = self.unfinished - usize::from(before.is_unfinished) + usize::from(after.is_unfinished);
        if after.is_ready && !before.is_ready {
            self.ready.push_back(slot);
        }
    }
}

fn put(set: &mut BTreeSet<usize>, slot: usize, is_in: bool) {
    if is_in {
        set.insert(slot);
    } else {
        set.remove(&slot);
    }
}

impl ConsumerCore {
    /// Brings the sets and counters up to date with all partitions that changed.
    pub(super) fn reindex(&mut self) {
        while let Some(slot) = self.slots.take_changed() {
            let before = *self.slots.registered(slot);
            let Some(partition) = self.slots.get(slot) else { continue };
            let after = Registered::of(partition, &before);
            self.register(slot, before, after);
        }
    }

    /// Forgets a partition that is about to be removed.
    pub(super) fn unregister(&mut self, slot: usize) {
        let before = *self.slots.registered(slot);
        // Its place in the rotation stays, and is skipped or used by the next partition of the slot.
        let after = Registered { is_ready: before.is_ready, ..Registered::default() };
        self.register(slot, before, after);
    }

    /// The slot left the rotation.
    pub(super) fn left_rotation(&mut self, slot: usize) {
        self.slots.registered(slot).is_ready = false;
    }

    /// The slot's timer has fired.
    pub(super) fn left_timers(&mut self, slot: usize) {
        self.slots.registered(slot).timer = None;
    }

    /// Holds every set and counter against a walk over all partitions.
    #[cfg(test)]
    pub(super) fn check_schedule(&self) {
        let mut expected = Schedule::default();
        let mut nodes: std::collections::BTreeMap<i32, (usize, usize)> = std::collections::BTreeMap::new();
        for (slot, partition) in self.slots.iter() {
            let registered = self.slots.registration(slot);
            assert_eq!(
                Registered::of(partition, &registered),
                registered,
                "{} was not brought up to date",
                partition.key()
            );
            expected.apply(slot, &Registered::default(), &registered);
            let node = registered.node.map(|id| nodes.entry(id).or_default());
            if let Some((wanted, held)) = node {
                *wanted += usize::from(registered.wants_fetch);
                *held += registered.held();
            }
        }
        let sums = |schedule: &Schedule| (schedule.paused_bytes, schedule.buffered, schedule.unfinished);
        assert_eq!(sums(&expected), sums(&self.schedule));
        assert_eq!((&expected.timers, &expected.due), (&self.schedule.timers, &self.schedule.due));
        assert_eq!(expected.paused, self.schedule.paused);
        for (id, node) in &self.nodes {
            assert_eq!((node.wanted, node.held), nodes.get(id).copied().unwrap_or_default(), "broker {id}");
        }
    }

    fn register(&mut self, slot: usize, before: Registered, after: Registered) {
        *self.slots.registered(slot) = after;
        self.schedule.apply(slot, &before, &after);
        if let Some(node) = before.node.and_then(|id| self.nodes.get_mut(&id)) {
            node.wanted -= usize::from(before.wants_fetch);
            node.held -= before.held();
            if before.wants_fetch {
                node.changed.insert(slot);
            }
        }
        if let Some(id) = after.node {
            let node = self.nodes.entry(id).or_insert_with(|| Node::new(&self.config));
            node.wanted += usize::from(after.wants_fetch);
            node.held += after.held();
            if after.wants_fetch {
                node.changed.insert(slot);
            }
        }
    }
}
