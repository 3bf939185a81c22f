//! Requests to the coordinator of the group, which has to be found first (`Cluster::call_coordinator`).

use std::time::Duration;
use std::time::Instant;

use ottla::consumer::Position;
use ottla::error::Code;
use ottla::error::Error;
use ottla::internals::conn::backoff::Backoff;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use ottla::types::TopicPartition;

use super::Reader;
use super::member::Kind;
use crate::sim::Context;
use crate::sim::event::Event;
use crate::sim::peer::Lane;
use crate::sim::peer::Peer;
use crate::sim::peer::Tag;
use crate::sim::peer::Target;
use crate::sim::peer::disconnected;
use crate::sim::peer::micros;

/// Who asks the coordinator for something.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asker {
    /// The core, under its own number. The request is retried.
    Core(u64),
    /// The user of a reader that is no member. The request is retried.
    User,
    /// The committer of a member, which retries by itself.
    Committer(u64, Instant),
    /// The machine of a member, which retries by itself.
    Member(Kind, u64, Instant),
}

/// A request to the coordinator.
#[derive(Debug)]
pub(super) struct Operation {
    request: Request,
    asker: Asker,
    until: u64,
    backoff: Backoff,
}

/// How long an operation is retried.
const OPERATION_US: u64 = 2_000_000;

impl Reader {
    pub(super) fn begin(&mut self, ctx: &Context, request: Request, asker: Asker) -> u64 {
        self.next_operation += 1;
        let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(100));
        let operation = Operation { request, asker, until: ctx.now + OPERATION_US, backoff };
        self.operations.insert(self.next_operation, operation);
        self.next_operation
    }

    /// Sends the request to the coordinator, or finds that first.
    pub(in crate::sim) fn ask(&mut self, ctx: &mut Context, peer: &mut Peer, number: u64) {
        let Some(operation) = self.operations.get(&number) else { return };
        let (request, tag) = (operation.request.clone(), Tag::Operation(number));
        match (self.coordinator, operation.asker) {
            (None, _) => {
                let request = m::FindCoordinatorRequest { keys: vec![self.group()], kind: 0 };
                peer.submit(ctx, Target::Any, Request::FindCoordinator(request), Tag::Find(number));
            }
            (Some(broker), Asker::Core(_) | Asker::User) => peer.submit(ctx, Target::Broker(broker), request, tag),
            // The coordinator may hold these. Nothing else waits behind them.
            (Some(broker), Asker::Member(Kind::Join | Kind::Sync, _, deadline)) => {
                peer.submit_by(ctx, (broker, Lane::Membership), request, tag, deadline);
            }
            (Some(broker), Asker::Committer(_, deadline) | Asker::Member(_, _, deadline)) => {
                let deadline = deadline.min(ctx.instant() + peer.request_timeout);
                peer.submit_by(ctx, (broker, Lane::Control), request, tag, deadline);
            }
        }
    }

    pub(super) fn located(&mut self, ctx: &mut Context, peer: &mut Peer, number: u64, answer: Result<Response, Error>) {
        match answer {
            Ok(Response::FindCoordinator(found)) => {
                let found = found.of(&self.group()).filter(|found| found.error.is_none());
                let Some(id) = found.map(|found| found.id) else {
                    return self.try_again(ctx, number, disconnected(ctx));
                };
                if peer.cache.snapshot().broker(id).is_none() {
                    peer.refresh(ctx);
                    return self.try_again(ctx, number, disconnected(ctx));
                }
                self.coordinator = Some(id);
                self.ask(ctx, peer, number);
            }
            Ok(_) => self.try_again(ctx, number, disconnected(ctx)),
            Err(error) => self.try_again(ctx, number, error),
        }
    }

    pub(super) fn operated(&mut self, ctx: &mut Context, number: u64, answer: Result<Response, Error>) {
        let retries = |operation: &Operation| matches!(operation.asker, Asker::Core(_) | Asker::User);
        let moved = self.operations.get(&number).is_some_and(retries) && answer.as_ref().is_ok_and(moved);
        if !moved && let Ok(response) = answer {
            let Some(operation) = self.operations.remove(&number) else { return };
            ctx.trace.count("coordinator responded");
            return self.finish(ctx, operation.asker, Ok(response));
        }
        if moved {
            ctx.trace.count("coordinator moved");
        }
        self.coordinator = None;
        let error = answer.err().unwrap_or_else(|| disconnected(ctx));
        self.try_again(ctx, number, error);
    }

    fn try_again(&mut self, ctx: &mut Context, number: u64, error: Error) {
        let Some(operation) = self.operations.get_mut(&number) else { return };
        if matches!(operation.asker, Asker::Core(_) | Asker::User) {
            let at = ctx.now + micros(operation.backoff.next(&mut self.rng));
            if error.is_retriable() && at < operation.until {
                return ctx.at(at, Event::Retry { client: self.number + ctx.setting.writers, operation: number });
            }
        }
        let operation = self.operations.remove(&number).expect("it is there");
        self.finish(ctx, operation.asker, Err(error));
    }

    fn finish(&mut self, ctx: &mut Context, asker: Asker, answer: Result<Response, Error>) {
        match asker {
            Asker::User => {}
            Asker::Core(tag) => {
                self.refused_as_member(ctx, &answer);
                self.core.handle_response(ctx.instant(), tag, answer);
            }
            Asker::Committer(tag, _) => self.committer_answered(ctx, tag, answer),
            Asker::Member(kind, tag, _) => self.member_answered(ctx, kind, tag, answer),
        }
    }
}

/// Whether a response reports that its sender does not coordinate the group (`consumer::commit::moved`).
fn moved(response: &Response) -> bool {
    let elsewhere = |code: &Code| {
        matches!(code, Code::NotCoordinator | Code::CoordinatorNotAvailable | Code::CoordinatorLoadInProgress)
    };
    match response {
        Response::OffsetCommit(response) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.filter_map(|(_, code)| *code).any(|code| elsewhere(&code))
        }
        Response::OffsetFetch(response) => {
            let groups = response.groups.iter().filter_map(|group| group.error);
            let topics = response.groups.iter().flat_map(|group| &group.topics);
            let partitions = topics.flat_map(|topic| &topic.partitions).filter_map(|partition| partition.error);
            groups.chain(partitions).any(|code| elsewhere(&code))
        }
        _ => false,
    }
}

pub(super) fn commit_request(
    peer: &Peer,
    group: String,
    positions: &[(TopicPartition, Position)],
) -> m::OffsetCommitRequest {
    let snapshot = peer.cache.snapshot();
    let mut topics: Vec<m::CommitTopic> = Vec::new();
    for (key, position) in positions {
        if topics.last().is_none_or(|topic| topic.name != key.topic) {
            let id = snapshot.topic(&key.topic).map(|topic| topic.id).unwrap_or_default();
            topics.push(m::CommitTopic { name: key.topic.clone(), id, partitions: Vec::new() });
        }
        topics.last_mut().expect("one was pushed").partitions.push(m::CommitPartition {
            index: key.partition,
            offset: position.offset,
            leader_epoch: position.epoch,
            metadata: Some(String::new()),
        });
    }
    m::OffsetCommitRequest {
        group,
        generation_or_epoch: -1,
        retention_ms: -1,
        topics,
        ..m::OffsetCommitRequest::default()
    }
}
