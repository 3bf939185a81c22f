//! Runs the core: sends its requests, and passes it responses, metadata and the time. One task for each consumer.

use std::collections::BTreeSet;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::task::Poll;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::mpsc;
use tokio::sync::watch;

use super::acks;
use super::acks::Acks;
use super::commits;
use super::commits::Commits;
use super::core::Action;
use super::core::Config;
use super::core::ConsumerCore;
use super::core::committer::CommitAction;
use super::membership;
use super::offsets;
use crate::client::AutoCreate;
use crate::client::Cluster;
use crate::client::Coordinated;
use crate::client::Hint;
use crate::client::Interest;
use crate::client::Source;
use crate::client::Target;
use crate::error::Error;
use crate::group::NO_GENERATION;
use crate::group::classic;
use crate::group::member;
use crate::group::member::Departure;
use crate::group::member::Member;
use crate::group::modern;
use crate::group::step::GroupCounters;
use crate::metadata::Snapshot;
use crate::metrics::ConsumerMetrics;
use crate::metrics::Metrics;
use crate::net::clock;
use crate::net::clock::Clock;
use crate::net::connection::Reply;
use crate::types::TopicName;
use crate::wire::Request;
use crate::wire::Response;
use crate::wire::message::OffsetFetchRequest;

/// The state shared by the handle and the driver.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the driver.
    pub(super) work: Notify,
    /// Wakes the task that polls.
    pub(super) news: Arc<Notify>,
    /// Acknowledgements, where records have tokens.
    pub(super) acks: Option<Arc<Acks>>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) core: ConsumerCore,
    /// Commits, where there is a group to commit for.
    pub(super) commits: Option<Commits>,
    /// The membership in the group, where topics are subscribed to.
    pub(super) member: Option<Member>,
    /// The version of the membership that commits follow.
    seen: Option<u64>,
    /// Records and batches that polls have returned.
    pub(super) records: u64,
    pub(super) batches: u64,
    /// The consumer was closed or dropped.
    pub(super) stopped: bool,
    /// The driver ended although the consumer was not closed.
    pub(super) died: bool,
}

impl State {
    /// Lets commits follow the membership, after anything that may have changed it.
    pub(super) fn follow_membership(&mut self) {
        let (Some(member), Some(commits)) = (&self.member, &mut self.commits) else { return };
        if self.seen != Some(member.version()) {
            self.seen = Some(member.version());
            let identity = member.identity().clone();
            // Without a generation, others may have taken over everything.
            let owned = if identity.generation == NO_GENERATION { BTreeSet::new() } else { member.owned().clone() };
            commits.handle_membership(identity, owned);
        }
    }
}

impl Source for Shared {
    fn read(&self, id: u64, into: &mut Metrics) {
        let state = self.lock();
        let commits = state.commits.as_ref().map(Commits::counters).unwrap_or_default();
        let counted = state.core.metrics();
        let (records, batches) = (state.records, state.batches);
        let member = state.member.as_ref().map(Member::counters).unwrap_or_default();
        drop(state);
        let (commits, commit_failures) = (commits.commits, commits.failures);
        let GroupCounters { rebalances, heartbeats, losses: memberships_lost } = member;
        into.consumers.push(ConsumerMetrics {
            id,
            records,
            batches,
            commits,
            commit_failures,
            rebalances,
            heartbeats,
            memberships_lost,
            ..counted
        });
    }
}

impl Shared {
    pub(super) fn new(
        core: ConsumerCore,
        commits: Option<Commits>,
        member: Option<Member>,
        acks: Option<acks::Settings>,
    ) -> Self {
        let news = Arc::new(Notify::new());
        Self {
            acks: acks.map(|settings| Arc::new(Acks::new(settings, Arc::clone(&news)))),
            state: Mutex::new(State {
                core,
                commits,
                member,
                seen: None,
                records: 0,
                batches: 0,
                stopped: false,
                died: false,
            }),
            work: Notify::new(),
            news,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the core is complete before the lock is released, so a panic elsewhere leaves it consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        if let Some(acks) = &self.acks {
            acks.close();
        }
        self.work.notify_one();
        self.news.notify_one();
    }
}

/// The requests of one turn.
type Requests = (Vec<Action>, Vec<CommitAction>, Vec<member::Action>);
/// A response, or the error of a request, with the tag of the request.
type Tagged = (u64, Result<Response, Error>);

pub(super) struct Driver {
    shared: Arc<Shared>,
    cluster: Cluster,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    seen: Option<Arc<Snapshot>>,
    responses: mpsc::UnboundedReceiver<Tagged>,
    sink: mpsc::UnboundedSender<Tagged>,
    fetch_wait_max: Duration,
    group: Option<Coordinated>,
    /// Keeps the metadata of the topics of the group fresh.
    followed: Option<Interest>,
    auto_create: AutoCreate,
    clock: Clock,
    /// The owner of the fetch connections: this consumer's fetches must not wait behind another consumer's long poll.
    reader: u64,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, cluster: Cluster, settings: &Config, auto_create: AutoCreate) -> Self {
        let (sink, responses) = mpsc::unbounded_channel();
        let snapshots = cluster.subscribe();
        let reader = cluster.reader();
        let group = settings.group.as_ref().map(Coordinated::group);
        let fetch_wait_max = settings.fetch_wait_max;
        Self {
            shared,
            cluster,
            snapshots,
            seen: None,
            responses,
            sink,
            fetch_wait_max,
            group,
            followed: None,
            auto_create,
            clock: Clock::new(),
            reader,
        }
    }

    pub(super) async fn run(mut self) {
        let mut first = None;
        loop {
            let ((actions, of_commits, of_member), timeout, stopped) = self.turn(first.take());
            let mut hints = Vec::new();
            for action in actions {
                self.act(action, &mut hints);
            }
            self.cluster.take_hints(&hints);
            for action in of_commits {
                self.act_for_commits(action);
            }
            for action in of_member {
                self.act_for_member(action);
            }
            if stopped {
                return;
            }
            first = self.wait(timeout).await;
        }
    }

    /// Passes the core everything that happened since the last turn, and takes the requests that it wants to send.
    fn turn(&mut self, first: Option<Tagged>) -> (Requests, Option<Instant>, bool) {
        let now = clock::now();
        // Not `has_changed`: waiting for a change marks it as seen.
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        let is_news = self.seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &snapshot));
        let mut state = self.shared.lock();
        if is_news && let Some(member) = &mut state.member {
            member.handle_metadata(now, Arc::clone(&snapshot));
        }
        state.follow_membership();
        let State { core, commits, member, stopped, .. } = &mut *state;
        let wall = self.clock.now();
        core.handle_clock(wall.instant, wall.unix_ms);
        if is_news {
            self.seen = Some(Arc::clone(&snapshot));
            if let Some(commits) = commits {
                commits.handle_metadata(Arc::clone(&snapshot));
            }
            core.handle_metadata(now, snapshot);
        }
        if let Some((tag, response)) = first {
            core.handle_response(now, tag, response);
        }
        while let Ok((tag, response)) = self.responses.try_recv() {
            core.handle_response(now, tag, response);
        }
        if *stopped {
            core.close();
        } else if core.poll_timeout().is_some_and(|at| at <= now) {
            core.handle_timeout(now);
        }
        if core.has_next() || core.is_finished() {
            self.shared.news.notify_one();
        }
        let mut timeout = core.poll_timeout();
        let mut of_commits = Vec::new();
        if let Some(commits) = commits {
            if *stopped {
                commits.close();
            }
            commits.handle_timeout(now);
            while let (Some((code, identity)), Some(member)) = (commits.poll_refusal(), &mut *member) {
                member.handle_refusal(now, code, &identity);
            }
            of_commits.extend(std::iter::from_fn(|| commits.poll_action()));
            timeout = [timeout, commits.poll_timeout()].into_iter().flatten().min();
        }
        let mut of_member = Vec::new();
        if let Some(member) = member {
            if *stopped {
                member.leave(now, Departure::Default, "the consumer was closed");
            } else if member.poll_timeout().is_some_and(|at| at <= now) {
                member.handle_timeout(now);
            }
            if member.has_step() || member.has_error() {
                self.shared.news.notify_one();
            }
            of_member.extend(std::iter::from_fn(|| member.poll_action()));
            timeout = [timeout, member.poll_timeout()].into_iter().flatten().min();
        }
        ((std::iter::from_fn(|| core.poll_action()).collect(), of_commits, of_member), timeout, *stopped)
    }

    fn act(&self, action: Action, hints: &mut Vec<Hint>) {
        let timeout = self.cluster.settings().request_timeout;
        match action {
            Action::EpochEnd { node, tag, request } => {
                self.send(node, tag, Request::OffsetForLeaderEpoch(request), timeout);
            }
            Action::Fetch { node, connection, tag, request } => {
                let deadline = clock::now() + timeout + self.fetch_wait_max;
                let reply = Reply::Tagged { tag, sink: self.sink.clone() };
                self.cluster.submit_fetch((self.reader, connection), node, request, deadline, reply);
            }
            Action::Hint { topic, partition, leader, nodes } => hints.push(Hint { topic, partition, leader, nodes }),
            Action::ListOffsets { node, tag, request } => {
                self.send(node, tag, Request::ListOffsets(request), timeout);
            }
            Action::OffsetFetch { tag, request } => self.fetch_offsets(tag, request, timeout),
            Action::RefreshMetadata { topics } => self.cluster.refresh(&topics),
        }
    }

    /// Reads committed offsets, as the member whose protocol wants it. If the coordinator refuses the member, the member is notified.
    fn fetch_offsets(&self, tag: u64, mut request: OffsetFetchRequest, timeout: Duration) {
        let Some(group) = request.groups.first().map(|group| group.group.clone()) else { return };
        let reads_as = self.shared.lock().member.as_ref().and_then(|member| member.reads_as().cloned());
        if let Some(identity) = &reads_as {
            for group in &mut request.groups {
                group.member = Some(identity.member.clone());
                group.member_epoch = identity.generation;
            }
        }
        let (shared, cluster, sink) = (Arc::clone(&self.shared), self.cluster.clone(), self.sink.clone());
        let runtime = cluster.runtime().clone();
        drop(runtime.spawn(async move {
            let call = offsets::fetch_offsets(&cluster, &group, request, clock::now() + timeout);
            let (mut call, mut ended) = (pin!(call), pin!(sink.closed()));
            let response = poll_fn(|cx| match call.as_mut().poll(cx) {
                Poll::Ready(response) => Poll::Ready(Some(response)),
                // If the driver ends, nothing needs the response.
                Poll::Pending => ended.as_mut().poll(cx).map(|()| None),
            });
            let Some(response) = response.await else { return };
            let refused = response.as_ref().ok().and_then(|response| response.group(&group)?.error);
            if let (Some(code), Some(identity)) = (refused, reads_as)
                && let Some(member) = &mut shared.lock().member
            {
                member.handle_refusal(clock::now(), code, &identity);
            }
            let _ = sink.send((tag, response.map(Response::OffsetFetch)));
        }));
    }

    fn act_for_commits(&self, action: CommitAction) {
        let Some(group) = &self.group else { return };
        let sink = self.sink.clone();
        commits::act(&self.shared, &self.cluster, group, action, async move { sink.closed().await });
    }

    fn act_for_member(&mut self, action: member::Action) {
        if let member::Action::Classic(classic::Action::Follow { topics })
        | member::Action::Modern(modern::Action::Follow { topics }) = &action
        {
            let topics: Vec<TopicName> = topics.iter().cloned().collect();
            self.followed = Some(self.cluster.hold(&topics, self.auto_create));
        }
        let Some(group) = self.group.clone() else { return };
        let sender = membership::Sender { cluster: self.cluster.clone(), group, reader: self.reader };
        let sink = self.sink.clone();
        membership::act(&self.shared, &sender, action, async move { sink.closed().await });
    }

    fn send(&self, node: i32, tag: u64, request: Request, timeout: Duration) {
        let reply = Reply::Tagged { tag, sink: self.sink.clone() };
        self.cluster.submit(Target::Broker(node), request, clock::now() + timeout, reply);
    }

    /// Waits until something happens. A response that arrives is returned for the next turn.
    async fn wait(&mut self, timeout: Option<Instant>) -> Option<Tagged> {
        let mut work = pin!(self.shared.work.notified());
        let mut news = pin!(self.snapshots.changed());
        let mut timer = pin!(timeout.map(|at| tokio::time::sleep_until(at.into())));
        let responses = &mut self.responses;
        poll_fn(|cx| {
            if let Poll::Ready(received) = responses.poll_recv(cx) {
                return Poll::Ready(received);
            }
            let mut ready = work.as_mut().poll(cx).is_ready() | news.as_mut().poll(cx).is_ready();
            if let Some(timer) = timer.as_mut().as_pin_mut() {
                ready |= timer.poll(cx).is_ready();
            }
            if ready { Poll::Ready(None) } else { Poll::Pending }
        })
        .await
    }
}

impl Drop for Driver {
    /// Notifies the task that polls. If the consumer was not closed, the driver has panicked or its runtime has ended, and
    /// polling is an error from now on.
    fn drop(&mut self) {
        self.cluster.release(self.reader);
        let mut state = self.shared.lock();
        if let Some(commits) = &mut state.commits {
            commits.close();
        }
        if !state.stopped {
            state.died = true;
            tracing::error!(target: "ottla::consumer", panicking = std::thread::panicking(), "driver ended");
        }
        drop(state);
        self.shared.stop();
    }
}
