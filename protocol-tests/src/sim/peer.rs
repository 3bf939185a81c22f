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
use ottla::error::Kind;
use ottla::internals::conn::backoff::Backoff;
use ottla::internals::conn::login::Session;
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
use super::login::Login;
use super::login::Next;
use super::login::SET_UP_US;
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

/// The receiver of a response on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The authentication that goes on.
    Login,
    /// A request, by its number on the connection.
    Request(u64, Tag),
}

/// A connection whose client authenticates before anything else.
#[derive(Debug)]
pub(super) struct Entering {
    versions: Versions,
    login: Login,
    /// The API, the version and the id of the request whose response is due.
    asked: (Api, i16, i32),
    deadline: u64,
}

/// The ids of requests that set a connection up.
const SET_UP_FIRST: i32 = 0x4000_0000;

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
    /// Why the broker refused this client, and until when requests fail for that.
    rejection: Option<(Error, u64)>,
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
            rejection: None,
        });
        if let Some(number) = slot.link
            && let Some(Link { phase: Phase::Up(pipeline), order, .. }) = ctx.net.links.get_mut(&number)
        {
            pipeline.submit(request, deadline, Whose::Request(order.submit(), tag));
            return self.write(ctx, number);
        }
        if let Some((error, _)) = slot.rejection.as_ref().filter(|(_, until)| ctx.now < *until) {
            ctx.trace.count("refused without an attempt");
            return self.answers.extend(refuse(vec![(request, deadline, tag)], Some(error)));
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
            None => self.lost(ctx, broker, lane, None),
        }
    }

    /// Fails the requests that waited for a connection, which is lost or was not made. One that the broker refused is not tried again
    /// for a while, and fails all requests meanwhile (`Task::failed`).
    fn lost(&mut self, ctx: &mut Context, broker: i32, lane: Lane, error: Option<&Error>) {
        let Some(slot) = self.slots.get_mut(&(broker, lane)) else { return };
        slot.link = None;
        let rejection = error.filter(|error| error.kind() == Kind::Authentication);
        if let Some(error) = rejection {
            ctx.trace.count("client refused");
            ctx.trace.say(ctx.now, || format!("client {} is refused by {broker}: {error}", self.client));
            if ctx.ghost.is_healthy() {
                ctx.ghost.fail(|| format!("client {} is refused in a healed world: {error}", self.client));
            }
            slot.rejection = Some((error.clone(), ctx.now + micros(RECONNECT.1)));
        } else {
            let pause = slot.backoff.next(&mut self.rng);
            slot.not_before = ctx.now + micros(pause);
        }
        self.answers.extend(refuse(slot.waiting.drain(..), rejection));
    }

    /// Writes the requests that may be written.
    fn write(&mut self, ctx: &mut Context, number: u64) {
        loop {
            let now = ctx.instant();
            let Some(Link { phase: Phase::Up(pipeline), .. }) = ctx.net.links.get_mut(&number) else { return };
            match pipeline.poll_write(now) {
                Some(Write::Frame(parts, written)) => {
                    ctx.transmit(number, gather(parts));
                    if let Some(whose) = written {
                        ctx.trace.count("sent for no answer");
                        self.sent(ctx, number, whose);
                    }
                }
                Some(Write::Renew) => {
                    let (login, request) = Login::begin(ctx, true);
                    let Some(Link { phase: Phase::Up(pipeline), renewal, .. }) = ctx.net.links.get_mut(&number) else {
                        return;
                    };
                    *renewal = Some(login);
                    pipeline.submit_ahead(request, Whose::Login);
                }
                Some(Write::Refused(whose, error)) => {
                    if self.result(ctx, number, whose, Err(error)).is_none() {
                        return;
                    }
                }
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
        let Some(Link { phase, timer, .. }) = ctx.net.links.get_mut(&number) else { return };
        *timer = None;
        let pipeline = match phase {
            Phase::Up(pipeline) => pipeline,
            Phase::Entering(entering) if entering.deadline <= ctx.now => {
                ctx.trace.count("set-up timed out");
                return self.end(ctx, number, None);
            }
            Phase::Agreeing(_) | Phase::Entering(_) => return,
        };
        let expired = pipeline.handle_timeout(now);
        let end = pipeline.poll_end(now);
        // The end of an authentication ends the connection, and fails what is left.
        let (of_login, expired): (Vec<_>, Vec<_>) = expired.into_iter().partition(|(whose, _)| *whose == Whose::Login);
        for (whose, error) in expired.into_iter().chain(of_login) {
            if self.result(ctx, number, whose, Err(error)).is_none() {
                return;
            }
        }
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
                Phase::Entering(_) => self.entering(ctx, number, (broker, lane), frame),
                Phase::Up(pipeline) => match pipeline.handle_frame(now, frame) {
                    Ok(Some((whose, response))) => {
                        let throttle_ms = u64::try_from(response.throttle_time_ms()).unwrap_or(0);
                        link.quiet_until = link.quiet_until.max(ctx.now + throttle_ms * 1_000);
                        if self.result(ctx, number, whose, Ok(response)).is_none() {
                            return;
                        }
                    }
                    Ok(None) => ctx.trace.count("abandoned response arrived"),
                    Err((whose, error)) => {
                        ctx.trace.count("answer that did not fit");
                        if let Some(whose @ Whose::Request(..)) = whose {
                            let _ = self.result(ctx, number, whose, Err(error.clone()));
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
        if ctx.setting.logins == 0 {
            return self.up(ctx, number, at, versions, None);
        }
        let (login, request) = Login::begin(ctx, false);
        let entering =
            Entering { versions, login, asked: (request.api(), 0, SET_UP_FIRST), deadline: ctx.now + SET_UP_US };
        ctx.at(entering.deadline, Event::LinkTimer { link: number });
        enter(ctx, number, entering, &request);
    }

    /// A response to the authentication of a new connection.
    fn entering(&mut self, ctx: &mut Context, number: u64, at: (i32, Lane), frame: Bytes) {
        let Some(Link { phase, .. }) = ctx.net.links.get_mut(&number) else { return };
        let Phase::Entering(mut entering) = std::mem::replace(phase, Phase::Agreeing(0)) else { return };
        let (api, version, id) = entering.asked;
        if frame[..4] != id.to_be_bytes() {
            return self.end(ctx, number, None);
        }
        let Ok(response) = Response::decode(api, version, frame) else { return self.end(ctx, number, None) };
        ctx.ghost.gained(self.client, 1);
        match entering.login.take(ctx, number, &response) {
            Ok(Next::Ask(request)) => enter(ctx, number, *entering, &request),
            Ok(Next::Done(session)) => self.up(ctx, number, at, entering.versions, session),
            Err(error) => self.end(ctx, number, Some(&error)),
        }
    }

    /// Requests may be sent.
    fn up(&mut self, ctx: &mut Context, number: u64, at: (i32, Lane), versions: Versions, session: Option<Session>) {
        let mut pipeline = Pipeline::new("sim".into(), versions, self.in_flight_max, self.request_timeout);
        let Some(slot) = self.slots.get_mut(&at) else { return };
        let Some(link) = ctx.net.links.get_mut(&number) else { return };
        slot.backoff.reset();
        slot.rejection = None;
        for (request, deadline, tag) in slot.waiting.drain(..) {
            pipeline.submit(request, deadline, Whose::Request(link.order.submit(), tag));
        }
        pipeline.renew_at(session.map(|session| session.renewal(&mut self.rng, Duration::ZERO)));
        link.phase = Phase::Up(Box::new(pipeline));
    }

    /// The result of a request. Returns nothing if the connection has ended with it.
    fn result(&mut self, ctx: &mut Context, number: u64, whose: Whose, answer: Result<Response, Error>) -> Option<()> {
        let link = ctx.net.links.get_mut(&number)?;
        let Whose::Request(of_link, tag) = whose else { return self.renewing(ctx, number, answer) };
        let kept = if answer.is_ok() { link.order.respond(of_link) } else { link.order.fail(of_link) };
        note(ctx, number, kept);
        self.answers.push_back((tag, answer));
        Some(())
    }

    /// A request that has no response was sent. Responses to earlier ones may still come.
    fn sent(&mut self, ctx: &mut Context, number: u64, whose: Whose) {
        let Some(link) = ctx.net.links.get_mut(&number) else { return };
        let Whose::Request(of_link, tag) = whose else { return };
        let kept = link.order.fail(of_link);
        note(ctx, number, kept);
        self.answers.push_back((tag, Ok(Response::Produce(m::ProduceResponse::default()))));
    }

    /// The result of a request of another authentication. If it fails, the connection ends (`Link::poll_renewal`).
    fn renewing(&mut self, ctx: &mut Context, number: u64, answer: Result<Response, Error>) -> Option<()> {
        let mut login = ctx.net.links.get_mut(&number)?.renewal.take()?;
        ctx.ghost.gained(self.client, i64::from(answer.is_ok()));
        let next = answer.and_then(|response| login.take(ctx, number, &response));
        let apart = ctx.setting.renewals_apart();
        let Some(Link { phase: Phase::Up(pipeline), renewal, .. }) = ctx.net.links.get_mut(&number) else {
            return None;
        };
        match next {
            Ok(Next::Ask(request)) => {
                *renewal = Some(login);
                pipeline.submit_ahead(request, Whose::Login);
            }
            Ok(Next::Done(session)) => {
                pipeline.renew_at(session.map(|session| session.renewal(&mut self.rng, apart)));
            }
            Err(error) => {
                ctx.trace.count("renewal failed");
                self.end(ctx, number, Some(&error));
                return None;
            }
        }
        Some(())
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
            let mut order = link.order;
            for (whose, error) in answers {
                let Whose::Request(of_link, tag) = whose else { continue };
                note(ctx, number, order.fail(of_link));
                self.answers.push_back((tag, Err(error)));
            }
            note(ctx, number, order.end());
        }
        self.lost(ctx, link.broker, link.lane, error);
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

/// Sends the next request of an authentication that sets a connection up.
fn enter(ctx: &mut Context, number: u64, mut entering: Entering, request: &Request) {
    let (api, id) = (request.api(), entering.asked.2 + 1);
    let version = entering.versions.pick(api, request.version_max()).unwrap_or(0);
    let parts = request.encode(version, id, "sim").expect("it is small");
    entering.asked = (api, version, id);
    if let Some(link) = ctx.net.links.get_mut(&number) {
        link.phase = Phase::Entering(Box::new(entering));
    }
    ctx.transmit(number, gather(parts));
}

/// Fails requests that have no connection.
fn refuse(
    waiting: impl IntoIterator<Item = (Request, Instant, Tag)>,
    rejection: Option<&Error>,
) -> Vec<(Tag, Result<Response, Error>)> {
    let mut nowhere = Pipeline::new(String::new(), Versions::default(), 1, Duration::ZERO);
    for (request, deadline, tag) in waiting {
        nowhere.submit(request, deadline, tag);
    }
    let failed = match rejection {
        Some(error) => nowhere.close(error),
        None => nowhere.lost(),
    };
    failed.into_iter().map(|(tag, error)| (tag, Err(error))).collect()
}

fn note(ctx: &mut Context, link: u64, kept: Result<(), String>) {
    if let Err(what) = kept {
        ctx.ghost.fail(|| format!("on link {link}: {what}"));
    }
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
