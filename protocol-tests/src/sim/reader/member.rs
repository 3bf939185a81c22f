//! The driver's part of a membership: it carries the requests of the member's machine and of its committer (`consumer::driver`,
//! `consumer::membership`).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use ottla::error::Error;
use ottla::internals::consumer::committer::CommitAction;
use ottla::internals::consumer::committer::Committer;
use ottla::internals::consumer::committer::Ticket;
use ottla::internals::group as classic;
use ottla::internals::group::member::Action;
use ottla::internals::group::member::MatchingSettings;
use ottla::internals::group::member::Member;
use ottla::internals::group::member::Selection;
use ottla::internals::group::modern;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use ottla::types::TopicName;
use ottla::types::TopicPartition;

use super::Reader;
use super::coordinator::Asker;
use super::rebalancing::Rebalancing;
use crate::sim::Context;
use crate::sim::peer::Peer;

/// The request of a member's machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Heartbeat,
    Join,
    Leave,
    Sync,
}

/// The membership of a reader.
#[derive(Debug)]
pub(super) struct Membership {
    pub(super) machine: Member,
    pub(super) committer: Committer,
    /// The version of the membership that the committer follows.
    seen: Option<u64>,
    /// The results of commits that somebody waits for.
    pub(super) results: BTreeMap<Ticket, bool>,
    pub(super) app: Rebalancing,
}

impl Membership {
    pub(super) fn new(ctx: &Context, reader: &mut Reader, peer: &Peer) -> Self {
        let seed = reader.rng.u64(..);
        let machine = ctx.team.machine(reader.group(), reader.number, peer.request_timeout, seed);
        let pauses = (Duration::from_millis(10), Duration::from_millis(200));
        let matching = MatchingSettings {
            excludes_internal: true,
            interval: Duration::from_secs(60),
            request_timeout: peer.request_timeout,
            retry_backoff: pauses.0,
            retry_backoff_max: pauses.1,
            seed,
        };
        let mut machine = Member::new(machine, matching, true);
        machine.handle_metadata(ctx.instant(), peer.cache.snapshot());
        let mut committer = Committer::new(machine.identity().clone(), pauses, seed);
        committer.handle_metadata(peer.cache.snapshot());
        Self { machine, committer, seen: None, results: BTreeMap::new(), app: Rebalancing::default() }
    }

    /// Lets commits follow the membership (`State::follow_membership`).
    pub(super) fn follow(&mut self) {
        if self.seen == Some(self.machine.version()) {
            return;
        }
        self.seen = Some(self.machine.version());
        let identity = self.machine.identity().clone();
        let owned = if identity.generation < 0 { BTreeSet::new() } else { self.machine.owned().clone() };
        self.committer.handle_membership(identity, owned);
    }
}

impl Reader {
    /// Whether a group assigns its partitions.
    pub(in crate::sim) fn is_member(&self, ctx: &Context) -> bool {
        self.number >= ctx.setting.readers
    }

    pub(super) fn subscribe(&mut self, ctx: &Context, topics: &BTreeSet<usize>) {
        let names: BTreeSet<TopicName> = topics.iter().map(|topic| ctx.topics[*topic].as_str().into()).collect();
        ctx.trace.say(ctx.now, || format!("consumer {} subscribes to {names:?}", self.number));
        let Some(member) = &mut self.member else { return };
        let subscribed = member.machine.subscribe(ctx.instant(), Selection::Topics(names));
        subscribed.expect("both protocols have names of topics");
    }

    /// Passes the membership what happened, and carries out its actions. Returns whether there was something to do.
    pub(super) fn pump_membership(&mut self, ctx: &mut Context, peer: &mut Peer) -> bool {
        let Some(member) = &mut self.member else { return false };
        member.follow();
        while let Some((code, identity)) = member.committer.poll_refusal() {
            ctx.trace.count("commit refused because of the membership");
            member.machine.handle_refusal(ctx.instant(), code, &identity);
            member.follow();
        }
        while let Some((ticket, result)) = member.committer.poll_result() {
            if let Err(error) = &result {
                ctx.trace.count("commit failed");
                ctx.trace.say(ctx.now, || format!("consumer {} could not commit: {error:?}", self.number));
            }
            member.results.insert(ticket, result.is_ok());
        }
        ctx.ghost.is_member(self.number, member.machine.identity(), member.machine.counters().losses);
        let mut busy = false;
        while let Some(action) = self.member.as_mut().and_then(|member| member.committer.poll_action()) {
            busy = true;
            self.act_for_commits(ctx, peer, action);
        }
        while let Some(action) = self.member.as_mut().and_then(|member| member.machine.poll_action()) {
            busy = true;
            self.act_for_member(ctx, peer, action);
        }
        busy
    }

    fn act_for_commits(&mut self, ctx: &mut Context, peer: &mut Peer, action: CommitAction) {
        match action {
            CommitAction::Commit { tag, deadline, request } => {
                self.check_commit(ctx, &request);
                let operation = self.begin(ctx, Request::OffsetCommit(request), Asker::Committer(tag, deadline));
                self.ask(ctx, peer, operation);
            }
            CommitAction::ForgetCoordinator => self.coordinator = None,
            CommitAction::RefreshMetadata { .. } => peer.refresh(ctx),
        }
    }

    /// A member commits nothing without a generation, and nothing that it has given up in the generation that it is in.
    fn check_commit(&self, ctx: &mut Context, request: &m::OffsetCommitRequest) {
        let Some(member) = &self.member else { return };
        let (number, now) = (self.number, member.machine.identity());
        ctx.trace.say(ctx.now, || {
            format!("consumer {number} commits {:?} as {}", request.topics, request.generation_or_epoch)
        });
        if request.generation_or_epoch < 0 {
            ctx.ghost.fail(|| format!("consumer {number} commits {:?} without a generation", request.topics));
        }
        let keys = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| TopicPartition::new(topic.name.clone(), partition.index))
        });
        if request.generation_or_epoch != now.generation || request.member != now.member {
            return;
        }
        if let Some(foreign) = keys.into_iter().find(|key| !member.machine.owned().contains(key)) {
            ctx.ghost.fail(|| format!("consumer {number} commits {foreign:?}, which it has given up"));
        }
    }

    fn act_for_member(&mut self, ctx: &mut Context, peer: &mut Peer, action: Action) {
        ctx.trace.say(ctx.now, || format!("consumer {} as a member: {}", self.number, briefly(&action)));
        let (kind, tag, deadline, request) = match action {
            Action::Classic(classic::Action::Join { tag, deadline, request }) => {
                ctx.trace.count("group joined");
                ctx.ghost.joins(self.number);
                (Kind::Join, tag, deadline, Request::JoinGroup(request))
            }
            Action::Classic(classic::Action::Sync { tag, deadline, request }) => {
                (Kind::Sync, tag, deadline, Request::SyncGroup(request))
            }
            Action::Classic(classic::Action::Heartbeat { tag, deadline, request }) => {
                (Kind::Heartbeat, tag, deadline, Request::Heartbeat(request))
            }
            Action::Classic(classic::Action::Leave { tag, deadline, request }) => {
                (Kind::Leave, tag, deadline, Request::LeaveGroup(request))
            }
            Action::Modern(
                modern::Action::Heartbeat { tag, deadline, request } | modern::Action::Leave { tag, deadline, request },
            ) => {
                if request.epoch == 0 {
                    ctx.trace.count("group joined by a heartbeat");
                    ctx.ghost.joins(self.number);
                }
                (Kind::Heartbeat, tag, deadline, Request::ConsumerGroupHeartbeat(request))
            }
            Action::Classic(classic::Action::ForgetCoordinator) | Action::Modern(modern::Action::ForgetCoordinator) => {
                self.coordinator = None;
                return;
            }
            Action::Modern(modern::Action::FindTopics { .. } | modern::Action::RefreshMetadata { .. })
            | Action::Refresh(_) => return peer.refresh(ctx),
            Action::List(_) => unreachable!("no member has a pattern"),
            Action::Choosing(_) => unreachable!("each member has its protocol"),
            // Every client keeps the metadata of all topics fresh.
            Action::Classic(classic::Action::Follow { .. }) | Action::Modern(modern::Action::Follow { .. }) => return,
        };
        if kind == Kind::Heartbeat {
            ctx.ghost.beats(self.number);
        }
        let operation = self.begin(ctx, request, Asker::Member(kind, tag, deadline));
        self.ask(ctx, peer, operation);
    }

    pub(super) fn member_answered(&mut self, ctx: &mut Context, kind: Kind, tag: u64, answer: Result<Response, Error>) {
        let now = ctx.instant();
        let Some(member) = &mut self.member else { return };
        if let Some(machine) = member.machine.classic() {
            match kind {
                Kind::Join => {
                    let joined =
                        |response| if let Response::JoinGroup(response) = response { Some(response) } else { None };
                    machine.handle_joined(now, tag, only(answer, joined));
                }
                Kind::Sync => {
                    let synced =
                        |response| if let Response::SyncGroup(response) = response { Some(response) } else { None };
                    machine.handle_synced(now, tag, only(answer, synced));
                }
                Kind::Heartbeat => {
                    let beaten =
                        |response| if let Response::Heartbeat(response) = response { Some(response) } else { None };
                    machine.handle_heartbeat(now, tag, only(answer, beaten));
                }
                Kind::Leave => {
                    let left =
                        |response| if let Response::LeaveGroup(response) = response { Some(response) } else { None };
                    machine.handle_left(tag, &only(answer, left));
                }
            }
        } else if let Some(machine) = member.machine.modern() {
            let beaten = |response| {
                if let Response::ConsumerGroupHeartbeat(response) = response { Some(response) } else { None }
            };
            machine.handle_heartbeat(now, tag, only(answer, beaten));
        }
        member.follow();
    }

    pub(super) fn committer_answered(&mut self, ctx: &mut Context, tag: u64, answer: Result<Response, Error>) {
        let Some(member) = &mut self.member else { return };
        let answer = only(answer, |response| match response {
            Response::OffsetCommit(response) => Some(response),
            _ => None,
        });
        member.committer.handle_response(ctx.instant(), tag, answer);
    }

    /// Committed offsets are read as the member whose protocol wants it.
    pub(super) fn as_member(&self, mut request: m::OffsetFetchRequest) -> m::OffsetFetchRequest {
        if let Some(identity) = self.member.as_ref().and_then(|member| member.machine.reads_as()) {
            for group in &mut request.groups {
                group.member = Some(identity.member.clone());
                group.member_epoch = identity.generation;
            }
        }
        request
    }

    /// The member is to know that committed offsets were refused to it.
    pub(super) fn refused_as_member(&mut self, ctx: &mut Context, answer: &Result<Response, Error>) {
        let group = self.group();
        let Some(member) = &mut self.member else { return };
        let Some(identity) = member.machine.reads_as().cloned() else { return };
        let Ok(Response::OffsetFetch(response)) = answer else { return };
        if let Some(code) = response.group(&group).and_then(|group| group.error) {
            member.machine.handle_refusal(ctx.instant(), code, &identity);
            member.follow();
        }
    }
}

/// A response of the type of its request, which the pipeline has decoded by that.
fn only<R>(answer: Result<Response, Error>, take: impl FnOnce(Response) -> Option<R>) -> Result<R, Error> {
    answer.map(|response| take(response).expect("a response has the type of its request"))
}

/// An action, without the bytes of its request.
fn briefly(action: &Action) -> String {
    match action {
        Action::Classic(classic::Action::Join { request, .. }) => {
            format!("joins as {:?}: {:?}", request.member, request.reason)
        }
        other => format!("{other:?}"),
    }
}
