//! The common part of all clients: connections, a metadata cache and its refreshes, responses on their way to a core.
//!
//! It stands for `net::connection`, `client::cluster` and `client::refresher`, which are not run here, and does as they do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use fastrand::Rng;
use ottla::error::Code;
use ottla::error::Error;
use ottla::internals::conn::backoff::Backoff;
use ottla::internals::conn::pipeline::Pipeline;
use ottla::internals::conn::pipeline::Write;
use ottla::internals::metadata::Cache;
use ottla::internals::wire::Api;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::Versions;
use ottla::internals::wire::message as m;
use ottla::types::TopicName;

use super::Context;
use super::event::Event;
use super::net::Link;
use super::net::Phase;
use super::setting::Odd;

/// The connections to a broker, by the kind of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Control,
    /// Fetches over one connection. Those over different connections do not wait for each other.
    Fetch(usize),
    Produce,
    /// Requests of members that a coordinator may hold.
    Membership,
}

impl Lane {
    fn of(api: Api) -> Self {
        match api {
            Api::Produce => Self::Produce,
            _ => Self::Control,
        }
    }

    pub(super) fn number(self) -> u64 {
        match self {
            Self::Control => 0,
            Self::Produce => 1,
            Self::Fetch(index) => 2 + index as u64,
            Self::Membership => 1_000,
        }
    }
}

/// The receiver of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The core, under its own number.
    Core(u64),
    /// The search for the coordinator of an operation.
    Find(u64),
    Identity,
    Metadata,
    /// An operation of the coordinator.
    Operation(u64),
}

/// The broker that a request goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Any,
    Broker(i32),
}

#[derive(Debug)]
struct Slot {
    link: Option<u64>,
    dialling: bool,
    waiting: Vec<(Request, Instant, Tag)>,
    not_before: u64,
    backoff: Backoff,
}

/// The common part of all clients.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) client: usize,
    pub(super) rng: Rng,
    pub(super) cache: Cache,
    pub(super) news: bool,
    pub(super) answers: VecDeque<(Tag, Result<Response, Error>)>,
    slots: BTreeMap<(i32, Lane), Slot>,
    pub(super) request_timeout: Duration,
    in_flight_max: usize,
    turn: usize,
    topics: BTreeSet<TopicName>,
    refreshing: bool,
    wanted: bool,
    refresh_after: u64,
    /// Metadata requests in a row without a response.
    unanswered: usize,
}

/// The least time between two Metadata requests, in microseconds.
const REFRESH_PAUSE_US: u64 = 10_000;
const RECONNECT: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));

impl Peer {
    pub(super) fn new(client: usize, mut rng: Rng, request_timeout: Duration, topics: BTreeSet<TopicName>) -> Self {
        let in_flight_max = *rng.choice(&[5, 5, 64, 1]).expect("some");
        Self {
            client,
            turn: rng.usize(..100),
            rng,
            cache: Cache::default(),
            news: false,
            answers: VecDeque::new(),
            slots: BTreeMap::new(),
            request_timeout,
            in_flight_max,
            topics,
            refreshing: false,
            wanted: false,
            refresh_after: 0,
            unanswered: 0,
        }
    }

    // Requests.

    /// Sends a request, and connects first if necessary.
    pub(super) fn submit(&mut self, ctx: &mut Context, target: Target, request: Request, tag: Tag) {
        let broker = match target {
            Target::Broker(broker) => broker,
            Target::Any => self.any(ctx),
        };
        let lane = Lane::of(request.api());
        self.submit_over(ctx, (broker, lane), request, tag, Duration::ZERO);
    }

    /// Sends a request over a certain connection. Its timeout is longer by `more`.
    pub(super) fn submit_over(
        &mut self,
        ctx: &mut Context,
        at: (i32, Lane),
        request: Request,
        tag: Tag,
        more: Duration,
    ) {
        let deadline = ctx.instant() + self.request_timeout + more;
        self.submit_by(ctx, at, request, tag, deadline);
    }

    /// Sends a request over a certain connection, with a deadline of its own.
    pub(super) fn submit_by(
        &mut self,
        ctx: &mut Context,
        at: (i32, Lane),
        request: Request,
        tag: Tag,
        deadline: Instant,
    ) {
        let (broker, lane) = at;
        let slot = self.slots.entry((broker, lane)).or_insert_with(|| Slot {
            link: None,
            dialling: false,
            waiting: Vec::new(),
            not_before: 0,
            backoff: Backoff::new(RECONNECT.0, RECONNECT.1),
        });
        if let Some(number) = slot.link
            && let Some(Link { phase: Phase::Up(pipeline), .. }) = ctx.net.links.get_mut(&number)
        {
            pipeline.submit(request, deadline, tag);
            return self.write(ctx, number);
        }
        slot.waiting.push((request, deadline, tag));
        if slot.link.is_none() && !slot.dialling {
            slot.dialling = true;
            let at = slot.not_before.max(ctx.now);
            let wait = ctx.latency() * 2;
            ctx.at(at + wait, Event::Dialled { client: self.client, broker, lane });
        }
    }

    fn any(&mut self, ctx: &Context) -> i32 {
        self.turn += 1;
        let snapshot = self.cache.snapshot();
        let known: Vec<i32> = snapshot.brokers().map(|broker| broker.id).collect();
        let all = if known.is_empty() { ctx.mock.brokers() } else { known };
        all[self.turn % all.len()]
    }

    /// An attempt to connect ends.
    pub(super) fn dialled(&mut self, ctx: &mut Context, broker: i32, lane: Lane) {
        let Some(slot) = self.slots.get_mut(&(broker, lane)).filter(|slot| slot.dialling) else { return };
        if ctx.net.clogged.contains(&(self.client, broker)) {
            // No response arrives; the attempt continues.
            return ctx.at(ctx.now + 2_000, Event::Dialled { client: self.client, broker, lane });
        }
        slot.dialling = false;
        match ctx.open(self.client, broker, lane) {
            Some(number) => {
                slot.link = Some(number);
                agree(ctx, number, Api::ApiVersions.versions().1);
            }
            None => self.lost(ctx, broker, lane),
        }
    }

    /// Fails the requests that waited for a connection, which is lost or was not made.
    fn lost(&mut self, ctx: &mut Context, broker: i32, lane: Lane) {
        let Some(slot) = self.slots.get_mut(&(broker, lane)) else { return };
        slot.link = None;
        let pause = slot.backoff.next(&mut self.rng);
        slot.not_before = ctx.now + micros(pause);
        let mut nowhere = Pipeline::new(String::new(), Versions::default(), 1, Duration::ZERO);
        for (request, deadline, tag) in slot.waiting.drain(..) {
            nowhere.submit(request, deadline, tag);
        }
        self.answers.extend(nowhere.lost().into_iter().map(|(tag, error)| (tag, Err(error))));
    }

    /// Writes the requests that may be written.
    fn write(&mut self, ctx: &mut Context, number: u64) {
        loop {
            let now = ctx.instant();
            let Some(Link { phase: Phase::Up(pipeline), .. }) = ctx.net.links.get_mut(&number) else { return };
            match pipeline.poll_write(now) {
                Some(Write::Frame(parts, written)) => {
                    ctx.transmit(number, gather(parts));
                    if let Some(tag) = written {
                        ctx.trace.count("sent for no answer");
                        self.answers.push_back((tag, Ok(Response::Produce(m::ProduceResponse::default()))));
                    }
                }
                Some(Write::Renew) => unreachable!("sessions in the simulator do not end"),
                Some(Write::Refused(tag, error)) => self.answers.push_back((tag, Err(error))),
                None => break,
            }
        }
        if ctx.setting.has_odd(Odd::IdleClients)
            && let Some(Link { phase: Phase::Up(pipeline), .. }) = ctx.net.links.get(&number)
            && pipeline.is_idle()
        {
            let wait = self.rng.u64(..50_000);
            ctx.at(ctx.now + wait, Event::Idle { link: number });
        }
        arm(ctx, number);
    }

    /// Closes an idle connection (`connections.max.idle.ms`).
    pub(super) fn close_idle(&mut self, ctx: &mut Context, number: u64) {
        let Some(Link { phase: Phase::Up(pipeline), broker, lane, .. }) = ctx.net.links.get(&number) else { return };
        let at = (*broker, *lane);
        if ctx.healed || !pipeline.is_idle() {
            return;
        }
        ctx.trace.count("idle connection closed");
        ctx.let_go(number);
        if let Some(slot) = self.slots.get_mut(&at) {
            slot.link = None;
        }
    }

    /// A connection's deadline.
    pub(super) fn link_timer(&mut self, ctx: &mut Context, number: u64) {
        let now = ctx.instant();
        let Some(Link { phase: Phase::Up(pipeline), timer, .. }) = ctx.net.links.get_mut(&number) else { return };
        *timer = None;
        let expired = pipeline.handle_timeout(now);
        let end = pipeline.poll_end(now);
        self.answers.extend(expired.into_iter().map(|(tag, error)| (tag, Err(error))));
        if let Some(error) = end {
            ctx.trace.count("request timed out");
            return self.end(ctx, number, Some(&error));
        }
        self.write(ctx, number);
    }

    /// Bytes arrive.
    pub(super) fn bytes(&mut self, ctx: &mut Context, number: u64, bytes: &Bytes) {
        let Some(link) = ctx.net.links.get_mut(&number) else { return };
        link.arrived.extend_from_slice(bytes);
        loop {
            let now = ctx.instant();
            let Some(link) = ctx.net.links.get_mut(&number) else { return };
            let frame = match link.frames.next(&mut link.arrived) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return self.end(ctx, number, None),
            };
            let (broker, lane) = (link.broker, link.lane);
            match &mut link.phase {
                Phase::Agreeing(version) => {
                    let version = *version;
                    self.agreed(ctx, number, (broker, lane), version, frame);
                }
                Phase::Up(pipeline) => match pipeline.handle_frame(now, frame) {
                    Ok(Some((tag, response))) => {
                        let throttle_ms = u64::try_from(response.throttle_time_ms()).unwrap_or(0);
                        link.quiet_until = link.quiet_until.max(ctx.now + throttle_ms * 1_000);
                        self.answers.push_back((tag, Ok(response)));
                    }
                    Ok(None) => ctx.trace.count("abandoned response arrived"),
                    Err((tag, error)) => {
                        ctx.trace.count("answer that did not fit");
                        if let Some(tag) = tag {
                            self.answers.push_back((tag, Err(error.clone())));
                        }
                        return self.end(ctx, number, Some(&error));
                    }
                },
            }
        }
        self.write(ctx, number);
    }

    fn agreed(&mut self, ctx: &mut Context, number: u64, at: (i32, Lane), version: i16, frame: Bytes) {
        // The correlation id of another request.
        if frame[..4] != [0; 4] {
            return self.end(ctx, number, None);
        }
        let Ok(Response::ApiVersions(response)) = Response::decode(Api::ApiVersions, version, frame) else {
            return self.end(ctx, number, None);
        };
        if response.error == Some(Code::UnsupportedVersion) {
            let spoken = response.apis.iter().find(|(key, _, _)| *key == Api::ApiVersions.key());
            let next = spoken.map_or(0, |(_, _, last)| *last).min(version - 1).max(0);
            if let Some(link) = ctx.net.links.get_mut(&number) {
                link.phase = Phase::Agreeing(next);
            }
            return agree(ctx, number, next);
        }
        let versions = Versions::agree(&response);
        let mut pipeline = Pipeline::new("sim".into(), versions, self.in_flight_max, self.request_timeout);
        let Some(slot) = self.slots.get_mut(&at) else { return };
        slot.backoff.reset();
        for (request, deadline, tag) in slot.waiting.drain(..) {
            pipeline.submit(request, deadline, tag);
        }
        if let Some(link) = ctx.net.links.get_mut(&number) {
            link.phase = Phase::Up(Box::new(pipeline));
        }
    }

    /// The connection is lost, or the client gives it up.
    pub(super) fn end(&mut self, ctx: &mut Context, number: u64, error: Option<&Error>) {
        let Some(link) = ctx.let_go(number) else { return };
        ctx.trace.count("connection lost");
        if let Phase::Up(mut pipeline) = link.phase {
            let answers = match error {
                Some(error) => pipeline.close(error),
                None => pipeline.lost(),
            };
            self.answers.extend(answers.into_iter().map(|(tag, error)| (tag, Err(error))));
        }
        self.lost(ctx, link.broker, link.lane);
    }

    /// Closes every connection; the responses are not needed.
    pub(super) fn drop_all(&mut self, ctx: &mut Context) {
        for slot in std::mem::take(&mut self.slots).into_values() {
            slot.link.map(|number| ctx.let_go(number));
        }
        self.answers.clear();
        if std::mem::take(&mut self.refreshing) && std::mem::take(&mut self.wanted) {
            self.refresh(ctx);
        }
    }

    // Metadata.

    /// Requests metadata soon.
    pub(super) fn refresh(&mut self, ctx: &mut Context) {
        if self.refreshing || std::mem::replace(&mut self.wanted, true) {
            self.wanted = true;
            return;
        }
        ctx.at(self.refresh_after.max(ctx.now), Event::Refresh { client: self.client });
    }

    pub(super) fn refresh_now(&mut self, ctx: &mut Context) {
        if self.refreshing || !std::mem::take(&mut self.wanted) {
            return;
        }
        self.refreshing = true;
        let request = Request::Metadata(m::MetadataRequest {
            topics: Some(self.topics.iter().cloned().collect()),
            ..m::MetadataRequest::default()
        });
        self.submit(ctx, Target::Any, request, Tag::Metadata);
    }

    pub(super) fn refreshed(&mut self, ctx: &mut Context, answer: Result<Response, Error>) {
        self.refreshing = false;
        self.refresh_after = ctx.now + REFRESH_PAUSE_US;
        ctx.trace.say(ctx.now, || format!("client {} hears of metadata: {answer:?}", self.client));
        if let Ok(Response::Metadata(response)) = answer {
            self.unanswered = 0;
            self.cache.handle_response_for(&self.topics, response);
            self.learnt(ctx);
        } else {
            self.wanted = true;
            self.unanswered += 1;
            let known = self.cache.snapshot().brokers().count();
            if known > 0 && self.unanswered > known {
                ctx.trace.count("started over from the bootstrap addresses");
                self.cache.forget_brokers();
                self.learnt(ctx);
            }
        }
        if std::mem::take(&mut self.wanted) {
            self.refresh(ctx);
        }
    }

    /// The metadata cache has changed.
    pub(super) fn learnt(&mut self, ctx: &mut Context) {
        self.news = true;
        ctx.ghost.knows(self.client, &self.cache.snapshot());
    }
}

/// Requests the versions that the broker supports.
fn agree(ctx: &mut Context, number: u64, version: i16) {
    let parts = Request::ApiVersions(m::ApiVersionsRequest).encode(version, 0, "sim").expect("it has no content");
    ctx.transmit(number, gather(parts));
}

/// Sets a connection's timer.
fn arm(ctx: &mut Context, number: u64) {
    let Some(Link { phase: Phase::Up(pipeline), timer, .. }) = ctx.net.links.get_mut(&number) else { return };
    let Some(due) = pipeline.poll_timeout().filter(|_| !pipeline.is_idle()) else { return };
    let due = micros(due.saturating_duration_since(ctx.base));
    if timer.is_none_or(|armed| armed > due || armed < ctx.now) {
        *timer = Some(due);
        ctx.at(due.max(ctx.now), Event::LinkTimer { link: number });
    }
}

fn gather(parts: VecDeque<Bytes>) -> Bytes {
    let mut whole = Vec::with_capacity(parts.iter().map(Bytes::len).sum());
    for part in &parts {
        whole.extend_from_slice(part);
    }
    whole.into()
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000)).expect("a run is short")
}

/// The error of a connection that was lost.
pub(super) fn disconnected(ctx: &Context) -> Error {
    let mut nowhere = Pipeline::new(String::new(), Versions::default(), 1, Duration::ZERO);
    nowhere.submit(Request::ApiVersions(m::ApiVersionsRequest), ctx.instant(), ());
    nowhere.lost().pop().expect("it waited").1
}
