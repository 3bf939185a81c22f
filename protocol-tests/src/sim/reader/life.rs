//! The lives of a member: its user joins the group, polls late, leaves, dies, and comes back.

use std::collections::BTreeSet;

use ottla::consumer::Start;
use ottla::internals::consumer::ConsumerCore;
use ottla::internals::group::member::Departure;

use super::Reader;
use super::assigning::Assigned;
use super::member::Membership;
use super::rebalancing::LastCommit;
use crate::sim::Context;
use crate::sim::event::Event;
use crate::sim::peer::Peer;
use crate::sim::peer::micros;
use crate::sim::setting::Odd;

/// How long closing may take, in microseconds.
const CLOSE_US: u64 = 500_000;

/// How long after the faults partitions may be stranded, in microseconds: see [`Context::free_stranded`].
const STRANDED_US: u64 = 4_000_000;

/// Where a member is in its life.
#[derive(Debug, Default)]
pub(super) struct Life {
    /// It is not in the group before; `u64::MAX` for one that is gone for good.
    out_until: Option<u64>,
    /// The user does not poll before.
    silent_until: u64,
    /// It is being closed, until then at most.
    closing: Option<u64>,
    /// It has asked to leave the group.
    is_leaving: bool,
    /// The last commit of one that is being closed.
    pub(super) last_commit: LastCommit,
    /// The coordinator was asked for a rebalance.
    is_nudged: bool,
    /// Its membership has failed for good.
    pub(super) is_over: bool,
}

impl Reader {
    /// The first life of a member.
    pub(super) fn join(&mut self, ctx: &mut Context, peer: &mut Peer) {
        ctx.trace.say(ctx.now, || format!("consumer {} begins a life in the group", self.number));
        let group = self.group();
        ctx.ghost.chronicle.opened(self.number, &group);
        self.life = Life::default();
        self.config.start = Start::Stored { otherwise: Box::new(Start::Earliest) };
        self.config.seed = self.rng.u64(..);
        self.config.until_end = false;
        self.core = ConsumerCore::new(self.config.clone());
        self.timer = None;
        self.held = None;
        self.assigned = Assigned::default();
        self.member = Some(Box::new(Membership::new(ctx, self, peer)));
        let topics = self.some_topics(ctx);
        self.subscribe(ctx, &topics);
        peer.news = true;
    }

    fn some_topics(&mut self, ctx: &Context) -> BTreeSet<usize> {
        let all: BTreeSet<usize> = (0..ctx.topics.len()).collect();
        let one = self.rng.usize(..ctx.topics.len());
        if !ctx.setting.has_odd(Odd::Resubscriptions) || self.rng.bool() { all } else { BTreeSet::from([one]) }
    }

    /// The user of a member does something else than reading.
    pub(super) fn live(&mut self, ctx: &mut Context, peer: &mut Peer) {
        if ctx.healed && !std::mem::replace(&mut self.settled, true) {
            self.settle_as_member(ctx);
        }
        if let Some(until) = self.life.out_until {
            if until <= ctx.now {
                self.join(ctx, peer);
            }
        } else if self.life.is_over {
            self.end(ctx, peer, "has failed");
        } else if self.life.closing.is_none() && !ctx.healed {
            match self.rng.u8(..60) {
                0 | 1 if ctx.setting.has_odd(Odd::Deaths) => self.end(ctx, peer, "dies"),
                2 if ctx.setting.has_odd(Odd::Deaths) => self.drop_it(ctx, peer),
                3..6 if ctx.setting.has_odd(Odd::Leavers) => self.close(ctx),
                6..8 if ctx.setting.has_odd(Odd::LatePolls) => self.poll_late(ctx),
                8..10 if ctx.setting.has_odd(Odd::Stalls) => self.stall(ctx),
                10..12 if ctx.setting.has_odd(Odd::Resubscriptions) => {
                    let topics = self.some_topics(ctx);
                    ctx.trace.count("subscription changed");
                    self.subscribe(ctx, &topics);
                }
                12..20 => self.commit_as_member(ctx),
                _ => {}
            }
        }
        if ctx.now > ctx.setting.fault_us() + STRANDED_US && !std::mem::replace(&mut self.life.is_nudged, true) {
            ctx.free_stranded();
        }
        // A poll that waits wakes up from time to time.
        self.wake(ctx, 0);
        let longest = (micros(ctx.team.poll_interval_max) / 3).min(100_000);
        let wait = self.rng.u64(1_000..longest);
        ctx.at(ctx.now + wait, Event::Work { client: peer.client });
    }

    /// From here on the user only polls. Some of those that are out stay out.
    fn settle_as_member(&mut self, ctx: &mut Context) {
        self.life.silent_until = 0;
        if self.life.out_until.is_some() {
            let is_first = self.number == ctx.setting.readers;
            let is_gone = !is_first && self.rng.u8(..4) == 0;
            self.life.out_until = Some(if is_gone { u64::MAX } else { ctx.now });
        }
        let all = (0..ctx.topics.len()).collect();
        if self.rng.bool() {
            self.subscribe(ctx, &all);
        }
    }

    fn wake(&mut self, ctx: &mut Context, wait: u64) {
        if !self.turning && self.life.out_until.is_none() {
            self.turning = true;
            ctx.at(
                (ctx.now + wait).max(self.life.silent_until),
                Event::Turn { client: self.number + ctx.setting.writers },
            );
        }
    }

    fn poll_late(&mut self, ctx: &mut Context) {
        let interval = micros(ctx.team.poll_interval_max);
        self.life.silent_until = ctx.now + self.rng.u64(interval / 2..interval * 2);
        ctx.trace.count("no poll for a while");
        ctx.trace.say(ctx.now, || format!("consumer {} does not poll until {}", self.number, self.life.silent_until));
    }

    /// The process is not scheduled.
    fn stall(&mut self, ctx: &mut Context) {
        let session = micros(ctx.team.session_timeout);
        let until = ctx.now + self.rng.u64(session / 2..session * 2);
        ctx.trace.count("process stalled");
        ctx.trace.say(ctx.now, || format!("consumer {} is stalled until {until}", self.number));
        ctx.stalled.insert(self.number + ctx.setting.writers, until);
    }

    /// Whether the user does not poll now.
    pub(super) fn is_silent(&self, ctx: &Context) -> bool {
        ctx.now < self.life.silent_until
    }

    pub(in crate::sim) fn is_out(&self) -> bool {
        self.life.out_until.is_some()
    }

    /// The user closes the consumer.
    fn close(&mut self, ctx: &mut Context) {
        ctx.trace.count("member closed");
        ctx.trace.say(ctx.now, || format!("consumer {} is being closed", self.number));
        self.life.closing = Some(ctx.now + CLOSE_US);
        ctx.at(ctx.now + CLOSE_US, Event::Turn { client: self.number + ctx.setting.writers });
    }

    /// Goes on to close, where it is being closed. Returns whether it is (`Consumer::close_within`).
    pub(super) fn go_on_closing(&mut self, ctx: &mut Context, peer: &mut Peer) -> bool {
        let Some(until) = self.life.closing else { return false };
        let is_late = until <= ctx.now;
        if !self.life.is_leaving && self.give_all_up(ctx, is_late) {
            self.life.is_leaving = true;
            if let Some(member) = &mut self.member {
                member.machine.leave(ctx.instant(), Departure::Default, "the consumer was closed");
            }
            self.pump_membership(ctx, peer);
        }
        let is_left = self.member.as_ref().is_none_or(|member| !member.machine.is_leaving());
        if self.life.is_leaving && (is_left || is_late) {
            self.end(ctx, peer, "is closed");
        }
        true
    }

    /// The consumer is dropped: its driver leaves the group, and commits nothing.
    fn drop_it(&mut self, ctx: &mut Context, peer: &mut Peer) {
        if let Some(member) = &mut self.member {
            member.machine.leave(ctx.instant(), Departure::Default, "the consumer was closed");
        }
        self.pump_membership(ctx, peer);
        self.end(ctx, peer, "is dropped");
    }

    /// A life ends. What was in flight stays on its way.
    fn end(&mut self, ctx: &mut Context, peer: &mut Peer, how: &str) {
        ctx.trace.count("member's life ended");
        ctx.trace.say(ctx.now, || format!("consumer {} {how}", self.number));
        let read: Vec<_> = self.assigned_places();
        if !read.is_empty() {
            ctx.ghost.excuse_repeats();
        }
        for place in read {
            ctx.ghost.gave_up(self.number, place);
            self.revoked(ctx, place);
        }
        self.core = ConsumerCore::new(self.config.clone());
        peer.drop_all(ctx);
        self.operations.clear();
        self.held = None;
        self.member = None;
        let session = micros(ctx.team.session_timeout);
        let wait = if ctx.healed { 0 } else { self.rng.u64(..session * 2) };
        self.life = Life { out_until: Some(ctx.now + wait), ..Life::default() };
    }

    /// Whether it has nothing to do any more.
    pub(super) fn is_settled(&self, ctx: &Context) -> bool {
        if let Some(until) = self.life.out_until {
            return until == u64::MAX;
        }
        let is_stable = self.member.as_ref().is_some_and(|member| member.machine.is_stable());
        let places = self.assigned_places();
        is_stable && !self.is_stepping() && places.iter().all(|place| ctx.ghost.is_at_end(self.number, *place))
    }

    /// The topics that it is subscribed to, while it is in the group.
    pub(in crate::sim) fn subscription(&self, ctx: &Context) -> BTreeSet<usize> {
        let names = self.member.iter().flat_map(|member| member.machine.subscription());
        names.filter_map(|name| ctx.topics.iter().position(|topic| **topic == **name)).collect()
    }
}
