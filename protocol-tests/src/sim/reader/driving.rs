//! The driver: it passes responses, metadata and the time to the core, and carries out the core's actions.

use ottla::error::Code;
use ottla::error::Error;
use ottla::internals::consumer::Action;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::types::TopicPartition;

use super::Reader;
use super::coordinator::Asker;
use crate::sim::Context;
use crate::sim::event::Event;
use crate::sim::peer::Lane;
use crate::sim::peer::Peer;
use crate::sim::peer::Tag;
use crate::sim::peer::Target;
use crate::sim::setting::Fault;
use crate::sim::setting::Odd;

impl Reader {
    pub(in crate::sim) fn due(&mut self, ctx: &mut Context) {
        self.timer = None;
        if self.core.poll_timeout().is_some_and(|at| at <= ctx.instant()) || ctx.spurious() {
            self.core.handle_timeout(ctx.instant());
        }
        let spurious = ctx.setting.members > 0 && ctx.spurious();
        let Some(member) = &mut self.member else { return };
        let now = ctx.instant();
        if member.committer.poll_timeout().is_some_and(|at| at <= now) || spurious {
            member.committer.handle_timeout(now);
        }
        if member.machine.poll_timeout().is_some_and(|at| at <= now) || spurious {
            member.machine.handle_timeout(now);
        }
    }

    pub(in crate::sim) fn pump(&mut self, ctx: &mut Context, peer: &mut Peer) {
        loop {
            let mut busy = false;
            while let Some((tag, answer)) = peer.answers.pop_front() {
                busy = true;
                self.answered(ctx, peer, tag, answer);
            }
            if std::mem::take(&mut peer.news) {
                busy = true;
                if let Some(member) = &mut self.member {
                    member.machine.handle_metadata(ctx.instant(), peer.cache.snapshot());
                    member.committer.handle_metadata(peer.cache.snapshot());
                }
                self.core.handle_metadata(ctx.instant(), peer.cache.snapshot());
            }
            busy |= self.pump_membership(ctx, peer);
            while let Some(action) = self.core.poll_action() {
                busy = true;
                self.act(ctx, peer, action);
            }
            if !busy {
                break;
            }
        }
        let of_member =
            self.member.as_ref().map(|member| [member.machine.poll_timeout(), member.committer.poll_timeout()]);
        let timeouts = of_member.into_iter().flatten().chain([self.core.poll_timeout()]);
        if let Some(at) = timeouts.flatten().min() {
            let at = ctx.micros(at);
            if self.timer.is_none_or(|armed| armed > at) {
                self.timer = Some(at);
                ctx.at(at.max(ctx.now), Event::Timer { client: peer.client });
            }
        }
        let has_next = self.held.is_some() || self.core.has_next() && !self.is_stepping() || self.can_step();
        if !self.turning && has_next && !self.is_silent(ctx) {
            self.turning = true;
            let holds = ctx.setting.has(Fault::Corrupt) || ctx.setting.has_odd(Odd::Reassignments);
            let slow = ctx.setting.has_odd(Odd::SlowReader) || holds && self.held.is_some();
            let slow = slow && !ctx.healed;
            let wait = self.rng.u64(0..if slow { 100_000 } else { 500 });
            ctx.at(ctx.now + wait, Event::Turn { client: peer.client });
        }
        self.check(ctx, peer);
    }

    /// Compares the core's positions with the records that it returned.
    fn check(&mut self, ctx: &mut Context, peer: &Peer) {
        let held = self.held_place(ctx);
        for place in ctx.places().collect::<Vec<_>>() {
            let key = ctx.key(place);
            if held != Some(place) {
                ctx.ghost.position(self.number, place, self.core.position(&key).map(|position| position.offset));
            }
        }
        let finished = self.config.until_end && self.held.is_none() && self.core.is_finished();
        if finished && !self.finished {
            ctx.trace.count("bounded read finished");
            ctx.trace.say(ctx.now, || format!("consumer {} is finished", self.number));
            // A partition that was added since the client's last metadata is not part of a bounded read. One that was assigned by
            // its number was reported as missing.
            let snapshot = peer.cache.snapshot();
            let is_known = |key: &&TopicPartition| snapshot.partition(&key.topic, key.partition).is_some();
            let known: Vec<_> = self.core.assignment().filter(is_known).cloned().collect();
            let known = ctx.places().filter(|place| known.contains(&ctx.key(*place))).collect::<Vec<_>>();
            for place in known {
                ctx.ghost.finished(self.number, place);
            }
        }
        self.finished |= finished;
    }

    fn act(&mut self, ctx: &mut Context, peer: &mut Peer, action: Action) {
        match action {
            Action::EpochEnd { node, tag, request } => {
                ctx.trace.count("position validated");
                ctx.trace.say(ctx.now, || format!("consumer {} validates {:?}", self.number, request.topics));
                let request = Request::OffsetForLeaderEpoch(request);
                peer.submit(ctx, Target::Broker(node), request, Tag::Core(tag));
            }
            Action::Fetch { node, connection, tag, request } => {
                ctx.trace.say(ctx.now, || {
                    let session = (request.session_id, request.session_epoch);
                    let partitions = request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>();
                    format!("consumer {} fetches {partitions} partitions from {node}, session {session:?}", self.number)
                });
                let wait = self.config.fetch_wait_max;
                peer.submit_over(ctx, (node, Lane::Fetch(connection)), Request::Fetch(request), Tag::Core(tag), wait);
            }
            Action::Hint { topic, partition, leader, nodes } => {
                if peer.cache.handle_hint(&topic, partition, leader, &nodes) {
                    ctx.trace.count("leader hinted");
                    peer.learnt(ctx);
                }
            }
            Action::ListOffsets { node, tag, request } => {
                peer.submit(ctx, Target::Broker(node), Request::ListOffsets(request), Tag::Core(tag));
            }
            Action::OffsetFetch { tag, request } => {
                let request = self.as_member(request);
                let operation = self.begin(ctx, Request::OffsetFetch(request), Asker::Core(tag));
                self.ask(ctx, peer, operation);
            }
            Action::RefreshMetadata { .. } => peer.refresh(ctx),
        }
    }

    fn answered(&mut self, ctx: &mut Context, peer: &mut Peer, tag: Tag, answer: Result<Response, Error>) {
        match tag {
            Tag::Core(tag) => {
                if let Ok(Response::OffsetForLeaderEpoch(response)) = &answer {
                    ctx.trace.say(ctx.now, || format!("consumer {} hears that {:?}", self.number, response.topics));
                }
                if let Ok(response) = &answer {
                    self.look(ctx, peer, response);
                }
                self.core.handle_response(ctx.instant(), tag, answer);
            }
            Tag::Find(operation) => self.located(ctx, peer, operation, answer),
            Tag::Metadata => peer.refreshed(ctx, answer),
            Tag::Operation(operation) => self.operated(ctx, operation, answer),
            Tag::Identity => ctx.ghost.fail(|| "a consumer requested an identity".to_owned()),
        }
    }

    fn look(&mut self, ctx: &mut Context, peer: &Peer, response: &Response) {
        let Response::Fetch(response) = response else { return ctx.ghost.gained(peer.client, 1) };
        let partitions = || response.topics.iter().flat_map(|topic| &topic.partitions);
        let brought =
            partitions().filter(|partition| partition.records.as_ref().is_some_and(|bytes| !bytes.is_empty()));
        ctx.ghost.gained(peer.client, i64::from(brought.count() > 0));
        match response.error {
            Some(Code::InvalidFetchSessionEpoch) => {
                ctx.ghost.fail(|| format!("consumer {} lost count of a fetch session", self.number));
            }
            Some(Code::FetchSessionIdNotFound) => ctx.trace.count("fetch session forgotten"),
            _ => {}
        }
        for partition in partitions() {
            let brought = partition.records.as_ref().map_or(0, bytes::Bytes::len);
            let (index, error, end) = (partition.index, partition.error, partition.high_watermark);
            ctx.trace.say(ctx.now, || {
                format!("consumer {} is brought {brought} bytes of [{index}] ({error:?}, up to {end})", self.number)
            });
        }
        for code in partitions().filter_map(|partition| partition.error) {
            ctx.trace.count(match code {
                Code::OffsetOutOfRange => "fetch: out of range",
                Code::FencedLeaderEpoch | Code::UnknownLeaderEpoch => "fetch: another epoch",
                Code::NotLeaderOrFollower => "fetch: not the leader",
                Code::UnknownTopicId | Code::UnknownTopicOrPartition => "fetch: no such topic",
                _ => "fetch: another reason",
            });
        }
    }
}
