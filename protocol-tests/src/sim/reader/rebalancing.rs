//! The application's part of a membership: it commits, runs hooks and changes the assignment while it polls
//! (`consumer::rebalance`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use ottla::consumer::GroupMetadata;
use ottla::consumer::Position;
use ottla::error::Error;
use ottla::internals::consumer::committer::Ticket;
use ottla::internals::group::Revocation;
use ottla::internals::group::Step;
use ottla::types::TopicPartition;

use super::Reader;
use crate::sim::Context;
use crate::sim::event::Event;
use crate::sim::ghost::Place;
use crate::sim::peer::micros;
use crate::sim::setting::Odd;

/// How long a commit before a revocation is retried, in microseconds.
const COMMIT_US: u64 = 1_000_000;

/// The application's part.
#[derive(Debug, Default)]
pub(super) struct Rebalancing {
    running: Option<Running>,
    auto_commit: AutoCommit,
}

/// The commits that a consumer makes by itself, of positions after records that earlier polls have returned.
#[derive(Debug, Default)]
struct AutoCommit {
    due: u64,
    committed: BTreeMap<TopicPartition, Position>,
    /// The last commit that nobody waits for.
    last: Option<Ticket>,
}

/// The commit before everything is given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LastCommit {
    #[default]
    NotBegun,
    Waits(Ticket),
    /// It has a result, or there was nothing to commit.
    Nothing,
}

/// A step that is being done.
#[derive(Debug)]
struct Running {
    step: Step,
    stage: Stage,
}

/// A hook that runs.
#[derive(Clone, Debug)]
struct Hook {
    since: u64,
    until: u64,
    /// Of the member when it began, with the number of heartbeats until then.
    identity: GroupMetadata,
    beats: u64,
}

#[derive(Clone, Debug)]
enum Stage {
    Committing(Ticket),
    Hook(Hook),
}

impl Reader {
    /// Takes part in the group, as every poll does. Returns whether the poll goes on to records (`Consumer::take_part`).
    pub(super) fn take_part(&mut self, ctx: &mut Context) -> bool {
        let Some(member) = &mut self.member else { return true };
        if member.app.running.is_none() {
            member.machine.handle_poll(ctx.instant());
            if let Some(error) = member.machine.poll_error() {
                self.membership_error(ctx, &error);
                return false;
            }
            self.commit_if_due(ctx);
        }
        self.do_steps(ctx)
    }

    fn membership_error(&mut self, ctx: &mut Context, error: &Error) {
        ctx.trace.say(ctx.now, || format!("consumer {} says: {error:?}", self.number));
        ctx.trace.count("membership error");
        ctx.ghost.excuse_repeats();
        // The error of a membership that has ended is returned by every poll; there are never so many others.
        let rest =
            self.member.as_mut().map(|member| std::iter::from_fn(|| member.machine.poll_error()).take(9).collect());
        let rest: Vec<Error> = rest.unwrap_or_default();
        if let Some(error) = rest.get(8) {
            ctx.trace.count("membership failed");
            ctx.ghost.membership_failed(ctx.now, self.number, error);
            self.life.is_over = true;
        }
    }

    fn commit_if_due(&mut self, ctx: &mut Context) {
        let Some(interval) = ctx.team.auto_commit else { return };
        let Some(member) = &mut self.member else { return };
        if member.app.auto_commit.due <= ctx.now && member.is_ready() {
            member.app.auto_commit.due = ctx.now + micros(interval);
            let ticket = self.begin_commit(ctx);
            if let Some(member) = &mut self.member {
                member.app.auto_commit.last = ticket;
            }
        }
    }

    /// Begins to commit what earlier polls have returned.
    fn begin_commit(&mut self, ctx: &mut Context) -> Option<Ticket> {
        let mut positions = self.core.positions();
        // The stand-in does not try to commit for topics that do not exist by the metadata, which may be wrong.
        let all = positions.len();
        positions.retain(|(key, _)| !self.core.is_gone(&key.topic));
        if positions.len() < all {
            ctx.ghost.excuse_repeats();
        }
        let member = self.member.as_mut()?;
        if member.machine.identity().generation < 0 {
            return None;
        }
        let known = &mut member.app.auto_commit.committed;
        let moved: Vec<_> = positions.into_iter().filter(|(key, position)| known.get(key) != Some(position)).collect();
        known.extend(moved.iter().cloned());
        if moved.is_empty() {
            return None;
        }
        ctx.trace.count("commit by interval");
        for (key, position) in &moved {
            let place = ctx.place(key);
            ctx.ghost.committing(self.number, place, position.offset);
        }
        let now = ctx.instant();
        Some(member.committer.commit(now, moved, now + std::time::Duration::from_micros(COMMIT_US)))
    }

    /// Begins the commit before partitions are given up.
    fn begin_last_commit(&mut self, ctx: &mut Context) -> Option<Ticket> {
        let member = self.member.as_mut()?;
        if ctx.team.auto_commit.is_none() && self.rng.u8(..4) == 0 {
            return None;
        }
        if !member.is_ready() {
            member.app.auto_commit.last = None;
            member.app.auto_commit.committed.clear();
        }
        self.begin_commit(ctx)
    }

    /// The user commits by itself and does not wait for it.
    pub(super) fn commit_as_member(&mut self, ctx: &mut Context) {
        let is_idle = self.member.as_ref().is_some_and(|member| member.app.running.is_none());
        if is_idle && ctx.team.auto_commit.is_none() {
            self.begin_commit(ctx);
        }
    }

    /// Does the steps of a rebalance that are due. Returns whether none is left.
    pub(super) fn do_steps(&mut self, ctx: &mut Context) -> bool {
        loop {
            let running = self.member.as_ref().and_then(|member| member.app.running.as_ref());
            let Some(Running { step, stage, .. }) = running else {
                if self.begin_step(ctx) {
                    continue;
                }
                return true;
            };
            match stage.clone() {
                Stage::Committing(ticket) => {
                    let step = step.clone();
                    let result = self.member.as_mut().and_then(|member| member.results.remove(&ticket));
                    let Some(is_committed) = result else { return false };
                    if !is_committed {
                        ctx.ghost.excuse_repeats();
                    }
                    let stage = self.hook(ctx, &step);
                    if let Some(running) = self.member.as_mut().and_then(|member| member.app.running.as_mut()) {
                        running.stage = stage;
                    }
                }
                Stage::Hook(hook) if ctx.now < hook.until => {
                    ctx.at(hook.until, Event::Turn { client: self.number + ctx.setting.writers });
                    return false;
                }
                Stage::Hook(hook) => {
                    self.check_heartbeats(ctx, &hook);
                    self.end_step(ctx);
                }
            }
        }
    }

    fn begin_step(&mut self, ctx: &mut Context) -> bool {
        let Some(member) = &mut self.member else { return false };
        let generation = member.machine.identity().generation;
        let Some(step) = member.machine.step() else { return false };
        member.follow();
        ctx.trace.say(ctx.now, || format!("consumer {} in generation {generation}: {step:?}", self.number));
        let may_commit = matches!(step, Step::Revoke { why: Revocation::Moved, .. });
        if let Step::Revoke { partitions, why } = &step {
            self.check_revocation(ctx, partitions, *why);
        }
        let pending = if may_commit { self.begin_last_commit(ctx) } else { None };
        let stage = pending.map_or_else(|| self.hook(ctx, &step), Stage::Committing);
        if let Some(member) = &mut self.member {
            member.app.running = Some(Running { step, stage });
        }
        true
    }

    /// Begins the hook of a step. Added partitions are assigned before it.
    fn hook(&mut self, ctx: &mut Context, step: &Step) -> Stage {
        if let Step::Assign { partitions, .. } = step {
            self.take(ctx, partitions);
        }
        let longest = micros(ctx.team.poll_interval_max) / if ctx.healed { 3 } else { 1 };
        let slow = ctx.setting.has_odd(Odd::SlowHooks) && self.rng.u8(..3) == 0;
        if slow {
            ctx.trace.count("slow hook");
        }
        let until = ctx.now + if slow { self.rng.u64(..longest) } else { 0 };
        let identity = self.member.as_ref().expect("it has a step").machine.identity().clone();
        Stage::Hook(Hook { since: ctx.now, until, identity, beats: ctx.ghost.heartbeats(self.number) })
    }

    /// A hook stops no heartbeats. One that got no response is followed by another once its time is over.
    fn check_heartbeats(&self, ctx: &mut Context, hook: &Hook) {
        let Some(member) = &self.member else { return };
        let is_same = *member.machine.identity() == hook.identity && hook.identity.generation >= 0;
        let client = self.number + ctx.setting.writers;
        let was_stalled = ctx.stalled.get(&client).is_some_and(|until| *until >= hook.since);
        let passed = hook.until - hook.since;
        let is_long = passed > micros(ctx.team.heartbeat_interval + ctx.team.session_timeout) + 50_000;
        let has_beaten = ctx.ghost.heartbeats(self.number) > hook.beats;
        if is_long && is_same && !was_stalled && !has_beaten && !ctx.ghost.has_jumped_since(hook.since) {
            let number = self.number;
            ctx.ghost.fail(|| format!("member {number} sent no heartbeat in {passed} us, in which a hook ran"));
        }
    }

    /// Reads the partitions of an assignment, and no others.
    fn take(&mut self, ctx: &mut Context, partitions: &BTreeSet<TopicPartition>) {
        let read = self.read_now(ctx);
        let wanted: BTreeSet<Place> = partitions.iter().map(|key| ctx.place(key)).collect();
        let member = self.member.as_ref();
        let is_late = |key: &TopicPartition| member.is_some_and(|member| member.machine.is_late(key));
        self.core.replace_assignment_and_begin(ctx.instant(), partitions, is_late);
        for place in read.difference(&wanted) {
            self.revoked(ctx, *place);
        }
        for place in wanted.difference(&read) {
            ctx.trace.count("partition assigned by the group");
            self.begins(ctx, *place);
        }
        let Some(identity) = self.member.as_ref().map(|member| member.machine.identity().clone()) else { return };
        let number = self.number;
        match ctx.assigned_to(&identity.member, identity.generation) {
            Some(assigned) if assigned != *partitions => ctx.ghost.fail(|| {
                format!(
                    "member {number} takes {partitions:?} in generation {}, and was assigned {assigned:?}",
                    identity.generation
                )
            }),
            _ => {}
        }
        ctx.ghost.took(number, identity.generation, &wanted);
    }

    fn end_step(&mut self, ctx: &mut Context) {
        let Some(running) = self.member.as_mut().and_then(|member| member.app.running.take()) else { return };
        if let Step::Revoke { partitions, .. } = &running.step {
            self.give_up(ctx, partitions);
        }
        let Some(member) = &mut self.member else { return };
        member.machine.handle_step_done(ctx.instant());
        member.follow();
    }

    /// Stops reading partitions, and lets others have them.
    fn give_up(&mut self, ctx: &mut Context, partitions: &BTreeSet<TopicPartition>) {
        self.core.revoke(ctx.instant(), partitions);
        for key in partitions {
            let place = ctx.place(key);
            ctx.trace.count("partition revoked by the group");
            ctx.ghost.gave_up(self.number, place);
            self.revoked(ctx, place);
        }
        if let Some(member) = &mut self.member {
            member.app.auto_commit.committed.retain(|key, _| !partitions.contains(key));
        }
    }

    /// In a cooperative group, only partitions that the member is not to have any more are revoked.
    fn check_revocation(&mut self, ctx: &mut Context, partitions: &BTreeSet<TopicPartition>, why: Revocation) {
        let Some(member) = &self.member else { return };
        if why == Revocation::Lost {
            ctx.trace.count("partitions lost");
            return ctx.ghost.excuse_repeats();
        }
        let identity = member.machine.identity();
        if !ctx.team.is_cooperative() {
            return;
        }
        let kept = ctx.assigned_to(&identity.member, identity.generation).unwrap_or_default();
        let subscribed = member.machine.subscription();
        if let Some(key) = partitions.iter().find(|key| subscribed.contains(&key.topic) && kept.contains(*key)) {
            ctx.ghost.fail(|| format!("consumer {} revokes {key:?}, which it is assigned", self.number));
        }
    }

    /// Whether a step has something to do now.
    pub(super) fn can_step(&self) -> bool {
        self.member.as_ref().is_some_and(|member| match &member.app.running {
            None => member.machine.has_step() || member.machine.has_error(),
            Some(Running { stage: Stage::Committing(ticket), .. }) => member.results.contains_key(ticket),
            // A turn was planned for its end.
            Some(Running { stage: Stage::Hook(_), .. }) => false,
        })
    }

    /// Whether a step is being done.
    pub(super) fn is_stepping(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.app.running.is_some())
    }

    /// Commits and gives up everything, before the group is left. Returns whether that is done (`Rebalancing::give_all_up`).
    pub(super) fn give_all_up(&mut self, ctx: &mut Context, is_late: bool) -> bool {
        if self.is_stepping() && !self.do_steps(ctx) && !is_late {
            return false;
        }
        if self.life.last_commit == LastCommit::NotBegun {
            self.life.last_commit = self.begin_last_commit(ctx).map_or(LastCommit::Nothing, LastCommit::Waits);
        }
        if let LastCommit::Waits(ticket) = self.life.last_commit {
            let result = self.member.as_mut().and_then(|member| member.results.remove(&ticket));
            match result {
                Some(true) => {}
                None if !is_late => return false,
                Some(false) | None => ctx.ghost.excuse_repeats(),
            }
        }
        self.life.last_commit = LastCommit::Nothing;
        let is_lost = self.member.as_ref().is_some_and(|member| member.machine.identity().generation < 0);
        if is_lost {
            // Nothing can be committed for partitions that were lost.
            ctx.ghost.excuse_repeats();
        }
        let owned = self.member.as_ref().map(|member| member.machine.owned().clone()).unwrap_or_default();
        self.give_up(ctx, &owned);
        true
    }
}

impl super::member::Membership {
    /// Whether the last commit by interval has a result. If it failed, its positions are committed again.
    fn is_ready(&mut self) -> bool {
        let Some(last) = self.app.auto_commit.last else { return true };
        match self.results.remove(&last) {
            None => return false,
            Some(true) => {}
            Some(false) => self.app.auto_commit.committed.clear(),
        }
        self.app.auto_commit.last = None;
        true
    }
}
