//! The application's part of a rebalance: it commits, runs the hooks and changes the assignment while it polls.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::oneshot::error::TryRecvError;
use tokio::task::JoinHandle;

use super::commits;
use super::core::acks::Refusal;
use super::driver::State;
use super::handle::ConsumerHandle;
use super::listener::RebalanceListener;
use crate::error::Error;
use crate::error::Kind;
use crate::group::NO_GENERATION;
use crate::group::step::Revocation;
use crate::group::step::Step;
use crate::net::clock;
use crate::reading::Position;
use crate::types::TopicPartition;

/// How long a commit that is due waits for the result of the one before it, until that is looked at again.
const COMMIT_AGAIN: Duration = Duration::from_millis(500);

/// The settings of the application's part.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) listener: Option<Arc<dyn RebalanceListener>>,
    /// `auto.commit.interval.ms`; `None` commits nothing by itself.
    pub(super) auto_commit: Option<Duration>,
    /// The longest time that a hook takes.
    pub(super) hook_timeout: Duration,
}

/// The commits that a consumer makes by itself: of positions after records that earlier polls have returned.
#[derive(Debug, Default)]
pub(super) struct AutoCommit {
    due: Option<Instant>,
    committed: HashMap<TopicPartition, Position>,
    /// The last commit that nobody waits for.
    last: Option<commits::Pending>,
}

impl AutoCommit {
    /// Whether the last commit has a result. If it failed, its positions are committed again.
    fn is_ready(&mut self) -> bool {
        match self.last.as_mut().map(commits::Pending::try_recv) {
            None | Some(Ok(Ok(()))) => {}
            Some(Err(TryRecvError::Empty)) => return false,
            Some(Ok(Err(_)) | Err(TryRecvError::Closed)) => self.committed.clear(),
        }
        self.last = None;
        true
    }

    /// The positions that have moved since the last time.
    fn take(&mut self, positions: Vec<(TopicPartition, Position)>) -> Vec<(TopicPartition, Position)> {
        let moved = |(key, position): &(TopicPartition, Position)| self.committed.get(key) != Some(position);
        let moved: Vec<_> = positions.into_iter().filter(moved).collect();
        self.committed.extend(moved.iter().cloned());
        moved
    }
}

/// A step that is being done. It outlives a poll that is dropped.
#[derive(Debug)]
pub(super) struct Running {
    step: Step,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Records of partitions that are given up are not acknowledged yet.
    Draining {
        until: Instant,
    },
    Committing(commits::Pending),
    Hook {
        task: JoinHandle<Result<(), Error>>,
        until: Instant,
    },
    Applying(Result<(), Error>),
}

/// The application's part of a group.
#[derive(Debug)]
pub(super) struct Rebalancing {
    pub(super) settings: Settings,
    running: Option<Running>,
    auto_commit: AutoCommit,
}

impl Rebalancing {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, running: None, auto_commit: AutoCommit::default() }
    }

    /// Commits what earlier polls have returned, if it is time. Nothing waits for it.
    pub(super) fn commit_if_due(&mut self, handle: &ConsumerHandle, now: Instant) {
        let Some(interval) = self.settings.auto_commit else { return };
        let due = *self.auto_commit.due.get_or_insert(now + interval);
        if due <= now && self.auto_commit.is_ready() {
            self.auto_commit.due = Some(now + interval);
            self.auto_commit.last = self.begin_commit(handle, now);
        }
    }

    /// When an application that waits in a poll takes part again, if nothing happens first.
    pub(super) fn next_turn(&self, now: Instant) -> Instant {
        let polled = now + self.settings.hook_timeout / 2;
        // A commit that is due while the last one has no result waits for that result, which is news of the driver alone.
        let commit = self.auto_commit.due.map(|due| due.max(now + COMMIT_AGAIN));
        commit.map_or(polled, |commit| commit.min(polled))
    }

    /// Begins to commit what earlier polls have returned. `None` if there is nothing to commit, or nobody to commit for.
    pub(super) fn begin_commit(&mut self, handle: &ConsumerHandle, now: Instant) -> Option<commits::Pending> {
        self.settings.auto_commit?;
        let mut state = handle.shared.lock();
        let State { core, commits, member, .. } = &mut *state;
        if member.as_ref().is_some_and(|member| member.identity().generation < 0) {
            return None;
        }
        let positions = match &handle.shared.acks {
            Some(acks) => acks.acknowledged(core.positions()),
            None => core.positions(),
        };
        // Nobody waits for the commit of a topic that was deleted: it would be retried until its deadline.
        let moved = self.auto_commit.take(positions).into_iter();
        let (gone, moved): (Vec<_>, Vec<_>) = moved.partition(|(key, _)| core.is_gone(&key.topic));
        let commits = commits.as_mut()?;
        let mut begin = |moved: Vec<_>| (!moved.is_empty()).then(|| commits.begin(moved, now + handle.timeout));
        drop(begin(gone));
        let pending = begin(moved);
        drop(state);
        handle.shared.work.notify_one();
        pending
    }

    /// Begins the commit before partitions are given up. If the last commit by interval has no result yet, its positions are committed
    /// again behind it: nobody else waits for them.
    fn begin_last_commit(&mut self, handle: &ConsumerHandle, now: Instant) -> Option<commits::Pending> {
        if !self.auto_commit.is_ready() {
            self.auto_commit.last = None;
            self.auto_commit.committed.clear();
        }
        self.begin_commit(handle, now)
    }

    /// Does the steps of a rebalance that are due.
    ///
    /// Cancel safety: a step that has begun continues with the next call.
    pub(super) async fn run(&mut self, handle: &ConsumerHandle) -> Result<(), Error> {
        loop {
            if self.running.is_none() {
                let Some(running) = self.begin(handle) else { return Ok(()) };
                self.running = Some(running);
            }
            let Some(Running { step, stage }) = &mut self.running else { continue };
            match stage {
                Stage::Draining { until } => {
                    let step = step.clone();
                    drain(handle, &step, *until).await;
                    let stage = self.give_up(handle, &step);
                    self.running = Some(Running { step, stage });
                }
                Stage::Committing(pending) => {
                    // The committer has logged the error. The next owner reads again what was not committed.
                    let _ = pending.await;
                    *stage = hook(&self.settings, handle, step);
                }
                Stage::Hook { task, until } => {
                    let ended = handle.runtime.timeout_at(*until, &mut *task).await;
                    let result = ended.map_or_else(
                        |_| {
                            task.abort();
                            Err(stopped(self.settings.hook_timeout))
                        },
                        |joined| joined.unwrap_or_else(|_| Err(panicked())),
                    );
                    *stage = Stage::Applying(result);
                }
                Stage::Applying(result) => {
                    let result = std::mem::replace(result, Ok(()));
                    let step = step.clone();
                    self.running = None;
                    self.apply(handle, &step);
                    result?;
                }
            }
        }
    }

    /// Commits, calls the listener and gives up all partitions, before the group is left. The error is of the commit or of the
    /// listener.
    pub(super) async fn give_all_up(&mut self, handle: &ConsumerHandle, deadline: Instant) -> Result<(), Error> {
        if self.running.is_some() {
            // Its error, and a step that takes too long, change nothing: the partitions are given up below.
            let _ = handle.runtime.timeout_at(deadline, self.run(handle)).await;
        }
        let mut result = Ok(());
        let drained = drain_all(handle, deadline, self.settings.hook_timeout / 2).await;
        if let Some(pending) = self.begin_last_commit(handle, clock::now()) {
            let late =
                || Error::new(Kind::Timeout, "the last offsets were not committed before the consumer was closed");
            let committed = handle.runtime.timeout_at(deadline, pending).await;
            result = committed.map_or_else(|_| Err(late()), |committed| committed.unwrap_or_else(|_| Err(late())));
        }
        let step = {
            let state = handle.shared.lock();
            let is_lost = state.member.as_ref().is_some_and(|member| member.identity().generation == NO_GENERATION);
            let why = if is_lost { Revocation::Lost } else { Revocation::Moved };
            Step::Revoke {
                partitions: state.member.as_ref().map(|member| member.owned().clone()).unwrap_or_default(),
                why,
            }
        };
        if let Stage::Hook { mut task, until } = hook(&self.settings, handle, &step) {
            let until = until.min(deadline);
            let ended = handle.runtime.timeout_at(until, &mut task).await;
            task.abort();
            let ended = ended.map_or_else(
                |_| Err(stopped(self.settings.hook_timeout)),
                |joined| joined.unwrap_or_else(|_| Err(panicked())),
            );
            result = result.and(ended);
        }
        let Step::Revoke { partitions, .. } = step else { return result };
        handle.shared.lock().core.revoke(clock::now(), &partitions);
        end_acks(handle, &drained);
        self.auto_commit = AutoCommit::default();
        result
    }

    fn begin(&mut self, handle: &ConsumerHandle) -> Option<Running> {
        let now = clock::now();
        let step = {
            let mut state = handle.shared.lock();
            let step = state.member.as_mut()?.step()?;
            state.follow_membership();
            step
        };
        let is_moved = matches!(step, Step::Revoke { why: Revocation::Moved, .. });
        let stage = match handle.shared.acks.as_ref().filter(|_| is_moved) {
            Some(acks) => Stage::Draining { until: now + acks.wait().min(self.settings.hook_timeout / 2) },
            None => self.give_up(handle, &step),
        };
        Some(Running { step, stage })
    }

    /// Commits before partitions are given up, where that is possible, or calls the hook at once.
    fn give_up(&mut self, handle: &ConsumerHandle, step: &Step) -> Stage {
        let mut may_commit = false;
        if let Step::Revoke { partitions, why } = step {
            may_commit = *why == Revocation::Moved;
            fence_acks(handle, partitions, *why);
        }
        let pending = if may_commit { self.begin_last_commit(handle, clock::now()) } else { None };
        pending.map_or_else(|| hook(&self.settings, handle, step), Stage::Committing)
    }

    fn apply(&mut self, handle: &ConsumerHandle, step: &Step) {
        let now = clock::now();
        let mut state = handle.shared.lock();
        if let Step::Revoke { partitions, .. } = step {
            state.core.revoke(now, partitions);
            end_acks(handle, partitions);
            self.auto_commit.committed.retain(|key, _| !partitions.contains(key));
        }
        if let Some(member) = &mut state.member {
            member.handle_step_done(now);
        }
        state.follow_membership();
        drop(state);
        handle.shared.work.notify_one();
    }
}

/// Waits until the records of the partitions that a step gives up are acknowledged.
async fn drain(handle: &ConsumerHandle, step: &Step, until: Instant) {
    if let (Some(acks), Step::Revoke { partitions, .. }) = (&handle.shared.acks, step) {
        acks.settle(&handle.runtime, partitions, until).await;
    }
}

/// Before all partitions are given up: waits for acknowledgements, for half of the time until `deadline` at most, and refuses later
/// ones.
pub(super) async fn drain_all(
    handle: &ConsumerHandle,
    deadline: Instant,
    longest: Duration,
) -> BTreeSet<TopicPartition> {
    let Some(acks) = &handle.shared.acks else { return BTreeSet::new() };
    let partitions = handle.shared.lock().core.assignment().cloned().collect();
    let now = clock::now();
    let wait = acks.wait().min(longest).min(deadline.saturating_duration_since(now) / 2);
    acks.settle(&handle.runtime, &partitions, now + wait).await;
    fence_acks(handle, &partitions, Revocation::Moved);
    partitions
}

/// Refuses acknowledgements of partitions from now on. What is acknowledged so far is committed.
fn fence_acks(handle: &ConsumerHandle, partitions: &BTreeSet<TopicPartition>, why: Revocation) {
    let Some(acks) = &handle.shared.acks else { return };
    let refusal = match why {
        Revocation::Moved => Refusal::Revoked,
        Revocation::Lost => Refusal::Lost,
    };
    let records = acks.fence(partitions, refusal);
    if records > 0 {
        let group = handle.group.as_deref();
        tracing::info!(target: "ottla::group", group, records, "partitions given up with unacknowledged records");
    }
}

/// Forgets the acknowledgements of partitions that are given up.
fn end_acks(handle: &ConsumerHandle, partitions: &BTreeSet<TopicPartition>) {
    if let Some(acks) = &handle.shared.acks {
        acks.end(partitions, Refusal::Revoked);
    }
}

/// Begins the hook of a step.
///
/// Added partitions are assigned before their hook, which may seek. None of their records is returned before it ends, because the
/// application is in a poll that waits for it.
fn hook(settings: &Settings, handle: &ConsumerHandle, step: &Step) -> Stage {
    if let Step::Assign { partitions, .. } = step {
        let mut state = handle.shared.lock();
        let State { core, member, .. } = &mut *state;
        let is_late = |key: &TopicPartition| member.as_ref().is_some_and(|member| member.is_late(key));
        core.replace_assignment_and_begin(clock::now(), partitions, is_late);
        drop(state);
        if let Some(acks) = &handle.shared.acks {
            acks.retain(partitions);
        }
        handle.shared.work.notify_one();
    }
    let group = handle.group.as_deref();
    let partitions = match step {
        Step::Revoke { partitions, why: Revocation::Moved } => {
            tracing::info!(target: "ottla::group", group, count = partitions.len(), "partitions revoked");
            partitions
        }
        Step::Revoke { partitions, why: Revocation::Lost } => {
            tracing::warn!(target: "ottla::group", group, count = partitions.len(), "partitions lost");
            partitions
        }
        Step::Assign { partitions, added } => {
            let (count, added_count) = (partitions.len(), added.len());
            tracing::info!(target: "ottla::group", group, count, added = added_count, "partitions assigned");
            added
        }
    };
    let (Some(listener), false) = (settings.listener.clone(), partitions.is_empty()) else {
        return Stage::Applying(Ok(()));
    };
    let (handle, partitions, step) = (handle.clone(), partitions.iter().cloned().collect(), step.clone());
    let runtime = handle.runtime.clone();
    let task = runtime.handle().spawn(async move {
        match step {
            Step::Revoke { why: Revocation::Moved, .. } => listener.revoked(handle, partitions).await,
            Step::Revoke { why: Revocation::Lost, .. } => listener.lost(handle, partitions).await,
            Step::Assign { .. } => listener.assigned(handle, partitions).await,
        }
    });
    Stage::Hook { task, until: clock::now() + settings.hook_timeout }
}

fn stopped(timeout: Duration) -> Error {
    let text = format!(
        "a hook of the rebalance took longer than {timeout:?} (poll_interval_max, max.poll.interval.ms) and was stopped: \
         let it do less, or raise the interval"
    );
    Error::new(Kind::Timeout, text)
}

fn panicked() -> Error {
    Error::new(Kind::Config, "a hook of the rebalance panicked: its partitions changed hands without it")
}
