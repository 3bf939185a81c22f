//! The user replaces the assignment, while requests are in flight and a chunk is being read.

use std::collections::BTreeSet;

use ottla::consumer::Start;
use ottla::error::Error;
use ottla::internals::consumer::Next;
use ottla::internals::consumer::Taken;
use ottla::types::TopicName;
use ottla::types::TopicPartition;

use super::Reader;
use super::begin;
use crate::sim::Context;
use crate::sim::ghost::Place;

/// The partitions that a consumer is to read.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    places: BTreeSet<Place>,
    /// Topics of which all partitions are read, as the metadata shows them.
    whole: BTreeSet<usize>,
    /// The partition of the chunk that is being read was revoked since.
    held_is_revoked: bool,
}

impl Reader {
    /// A new consumer reads everything.
    pub(super) fn assign(&mut self, ctx: &mut Context) {
        let group = self.group();
        ctx.ghost.chronicle.opened(self.number, &group);
        self.assigned = Assigned::default();
        let places: Vec<Place> = ctx.places().collect();
        for place in &places {
            self.begins(ctx, *place);
        }
        if self.rng.bool() {
            let topics: Vec<TopicName> = ctx.topics.iter().map(|name| name.as_str().into()).collect();
            self.assigned.whole = (0..topics.len()).collect();
            self.core.assign_topics(ctx.instant(), topics);
        } else {
            let keys: Vec<_> = places.iter().map(|place| ctx.key(*place)).collect();
            self.core.assign_partitions(ctx.instant(), keys);
        }
    }

    /// Revokes or adds partitions, or replaces the whole assignment.
    pub(super) fn reassign(&mut self, ctx: &mut Context) {
        let kept = self.known(ctx);
        match self.rng.u8(..4) {
            0 => self.replace(ctx),
            1 => self.add(ctx, &[]),
            _ => self.revoke(ctx),
        }
        for (place, position) in kept.iter().filter(|(place, _)| self.assigned.places.contains(place)) {
            self.is_undisturbed(ctx, *place, *position);
        }
        let named = |place: &Place| !self.assigned.whole.contains(&place.0);
        let read: BTreeSet<Place> = self.read_now(ctx).into_iter().filter(named).collect();
        let assigned: BTreeSet<Place> = self.assigned.places.iter().copied().filter(named).collect();
        if read != assigned {
            ctx.ghost.fail(|| format!("consumer {} reads {read:?}, and was assigned {assigned:?}", self.number));
        }
    }

    /// All partitions are read again.
    pub(super) fn assign_rest(&mut self, ctx: &mut Context) {
        let rest: Vec<Place> = ctx.places().filter(|place| !self.assigned.places.contains(place)).collect();
        self.assign_by_name(ctx, &rest);
    }

    /// Some partitions are revoked. Some of all that are not read then are assigned, and may get the slots of others.
    fn revoke(&mut self, ctx: &mut Context) {
        let known = self.known(ctx);
        let gone: Vec<Place> = self.assigned.places.clone().into_iter().filter(|_| self.rng.bool()).collect();
        let keys: Vec<TopicPartition> = gone.iter().map(|place| ctx.key(*place)).collect();
        self.core.revoke(ctx.instant(), &keys);
        for place in &gone {
            self.revoked(ctx, *place);
            self.assigned.whole.remove(&place.0);
        }
        // Partitions of a whole topic that the metadata has not shown yet are not read any more, unless they are named.
        let read = self.read_now(ctx);
        let unseen = |place: &Place| !self.assigned.whole.contains(&place.0) && !read.contains(place);
        let unseen: Vec<Place> = self.assigned.places.iter().copied().filter(unseen).collect();
        self.assign_by_name(ctx, &unseen);
        if self.rng.bool() {
            self.add(ctx, &known);
        }
    }

    /// Some partitions that are not read are assigned: from the policy's start, the committed offset, or the last position.
    fn add(&mut self, ctx: &mut Context, last: &[(Place, Option<i64>)]) {
        let mut fresh: Vec<Place> = ctx.places().filter(|place| !self.assigned.places.contains(place)).collect();
        fresh.retain(|_| self.rng.u8(..3) != 0);
        self.rng.shuffle(&mut fresh);
        self.assign_by_name(ctx, &fresh);
        for place in fresh {
            let last = last.iter().find(|(of, _)| *of == place).and_then(|(_, position)| *position);
            match (self.rng.u8(..3), last) {
                (0, Some(last)) => self.seek_to(ctx, place, &Start::Offset(last)),
                (1, _) => self.seek_to(ctx, place, &Start::Stored { otherwise: Box::new(Start::Earliest) }),
                _ => {}
            }
        }
    }

    fn replace(&mut self, ctx: &mut Context) {
        let wanted: BTreeSet<Place> = ctx.places().filter(|_| self.rng.u8(..3) != 0).collect();
        let read = self.read_now(ctx);
        ctx.trace.count("assignment replaced");
        let keys: BTreeSet<TopicPartition> = wanted.iter().map(|place| ctx.key(*place)).collect();
        self.core.replace_assignment(ctx.instant(), &keys);
        for place in self.assigned.places.clone().difference(&wanted) {
            self.revoked(ctx, *place);
        }
        for place in wanted.difference(&read) {
            self.begins(ctx, *place);
        }
        self.assigned.whole.clear();
    }

    fn assign_by_name(&mut self, ctx: &mut Context, places: &[Place]) {
        let keys: Vec<TopicPartition> = places.iter().map(|place| ctx.key(*place)).collect();
        self.core.assign_partitions(ctx.instant(), keys);
        for place in places {
            ctx.trace.count("partition assigned");
            self.begins(ctx, *place);
        }
    }

    pub(super) fn begins(&mut self, ctx: &mut Context, place: Place) {
        ctx.trace.say(ctx.now, || format!("consumer {} begins in {place:?}", self.number));
        ctx.ghost.begins(self.number, place, begin(&self.config.start));
        ctx.ghost.bounded(self.number, place);
        self.assigned.places.insert(place);
        self.finished = false;
    }

    pub(super) fn revoked(&mut self, ctx: &mut Context, place: Place) {
        ctx.trace.say(ctx.now, || format!("consumer {} has lost {place:?}", self.number));
        ctx.trace.count("partition revoked");
        ctx.ghost.revoked(self.number, place);
        self.assigned.places.remove(&place);
        if self.held.as_ref().is_some_and(|taken| place_of(ctx, taken) == place) {
            ctx.trace.count("revoked while being read");
            self.assigned.held_is_revoked = true;
        }
    }

    /// The partitions that are to be read.
    pub(super) fn assigned_places(&self) -> Vec<Place> {
        self.assigned.places.iter().copied().collect()
    }

    /// The partitions that the core reads.
    pub(super) fn read_now(&self, ctx: &Context) -> BTreeSet<Place> {
        self.core.assignment().map(|key| ctx.place(key)).collect()
    }

    /// Their positions.
    fn known(&self, ctx: &Context) -> Vec<(Place, Option<i64>)> {
        let position = |key: &TopicPartition| self.core.position(key).map(|position| position.offset);
        self.core.assignment().map(|key| (ctx.place(key), position(key))).collect()
    }

    fn is_undisturbed(&self, ctx: &mut Context, place: Place, before: Option<i64>) {
        let after = self.core.position(&ctx.key(place)).map(|position| position.offset);
        // One that was revoked and came back begins as the ghost knows.
        if before != after && !ctx.ghost.is_beginning(self.number, place) {
            let number = self.number;
            ctx.ghost.fail(|| {
                format!("consumer {number} kept {place:?}, and its position went from {before:?} to {after:?}")
            });
        }
    }

    /// The partition of the chunk that is being read, unless it was revoked since.
    pub(super) fn held_place(&self, ctx: &Context) -> Option<Place> {
        self.held.as_ref().filter(|_| !self.assigned.held_is_revoked).map(|taken| place_of(ctx, taken))
    }

    /// The chunk that was being read comes back. Nothing of it may be returned if its partition was revoked since.
    pub(super) fn take_held(&mut self) -> Option<(Taken, bool)> {
        let revoked = std::mem::take(&mut self.assigned.held_is_revoked);
        Some((self.held.take()?, revoked))
    }

    /// Checks that something is of a partition that is assigned.
    pub(super) fn is_ours(&self, ctx: &mut Context, next: &Next) {
        let place = match next {
            Next::Chunk(taken) => Some(place_of(ctx, taken)),
            Next::End(key, _) => Some(ctx.place(key)),
            Next::Error(error) => place_of_error(ctx, error),
            Next::Reset(reset) => Some(ctx.place(&TopicPartition::new(reset.topic.clone(), reset.partition))),
        };
        if place.is_some_and(|place| !self.assigned.places.contains(&place)) {
            ctx.ghost.fail(|| format!("consumer {} returned {next:?} of a revoked partition", self.number));
        }
    }
}

fn place_of(ctx: &Context, taken: &Taken) -> Place {
    ctx.place(&TopicPartition::new(taken.topic.clone(), taken.partition))
}

fn place_of_error(ctx: &Context, error: &Error) -> Option<Place> {
    Some(ctx.place(&TopicPartition::new(error.topic()?, error.partition()?)))
}
