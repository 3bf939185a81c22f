//! The simulator: producers, consumers and a cluster in one thread, under virtual time, all of it from one seed.
//!
//! ```text
//! user ─> Writer { producer::core } ─┐                                        ┌─ mock::Cluster
//!                                    ├─ Peer { Cache, Pipeline } ═ frames ═ net ┤
//! user ─> Reader { consumer::core } ─┘                                        └─ faults
//!                         Ghost sees all sides and ends the run at the first broken promise;
//!                         Chronicle records what a user sees, for the judge of histories
//! ```
//!
//! The cores, the pipeline, the codecs of requests and the metadata cache are the client's own. The asynchronous code between
//! them is not run here; [`peer`], [`writer`] and [`reader`] stand for it.
//!
//! A run has two phases: first faults of the kinds that the seed allows, then none; then everything must finish within a bound.

mod chronicle;
mod cover;
mod event;
mod expected;
mod faults;
mod foreign;
mod gate;
mod ghost;
mod login;
mod net;
mod owners;
mod peer;
mod reader;
mod reading;
mod setting;
mod shrink;
mod stream;
mod team;
mod trace;
mod writer;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use std::time::Instant;

use fastrand::Rng;
use ottla::codec::Codecs;
use ottla::internals::wire::Api;
use ottla::mock;
use ottla::types::TopicPartition;

pub use self::expected::never_happened;
pub use self::setting::Fault;
pub use self::setting::Odd;
pub use self::setting::Setting;
pub use self::shrink::shrink;

use self::cover::with_group;
use self::event::Event;
use self::event::Queue;
use self::gate::Gate;
use self::ghost::Ghost;
use self::ghost::Place;
use self::login::Door;
use self::net::Net;
use self::peer::Peer;
use self::reader::Reader;
use self::team::Team;
use self::trace::Trace;
use self::writer::Writer;

/// The time within which everything must finish after the faults end, in virtual microseconds.
const FINISH_US: u64 = 120_000_000;
/// The limit of events in a run. The slowest reading, a record at a time from a broker that throttles, needs about half of it.
const STEPS_MAX: u64 = 2_000_000;
/// The age at which clients refresh metadata where partitions may be added, or a member may lead a group.
const MAX_AGE_US: u64 = 250_000;
/// How long a run waits for late requests at its end.
const LATE_US: u64 = 1_000_000;

/// The result of a run.
#[derive(Debug)]
pub struct Report {
    /// Equal for equal settings.
    pub trace: u64,
    /// Events that happened.
    pub steps: u64,
    /// Virtual time that passed.
    pub passed: Duration,
    /// Records acknowledged, surely not written, and in doubt.
    pub decided: [u64; 3],
    /// How often each fault struck, and each way to recover was taken.
    pub counts: BTreeMap<&'static str, u64>,
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The promise, and how it was broken.
    pub what: String,
    /// After how many events.
    pub steps: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} steps: {}", self.steps, self.what)
    }
}

/// Runs a setting; `loud` prints every event.
pub fn run(setting: &Setting, loud: bool) -> Result<Report, Broken> {
    World::new(setting.clone(), loud).run()
}

/// The state that all parts of the world share.
#[derive(Debug)]
struct Context {
    /// Virtual microseconds since the beginning.
    now: u64,
    base: Instant,
    rng: Rng,
    setting: Setting,
    queue: Queue,
    mock: mock::Cluster,
    mock_timer: Option<u64>,
    net: Net,
    ghost: Ghost,
    trace: Trace,
    topics: Vec<String>,
    codecs: Codecs,
    commits: Vec<(usize, Place, i64)>,
    healed: bool,
    /// The error of the wall clock, in milliseconds.
    wall_ms: i64,
    /// The settings of the group's members.
    team: Team,
    /// Clients that are not scheduled, and until when.
    stalled: BTreeMap<usize, u64>,
    /// The credentials of clients and brokers, where these demand authentication.
    door: Door,
    gate: Gate,
}

impl Context {
    fn at(&mut self, at: u64, event: Event) {
        self.queue.push(at.max(self.now), event);
    }

    fn instant(&self) -> Instant {
        self.base + Duration::from_micros(self.now)
    }

    fn micros(&self, at: Instant) -> u64 {
        peer::micros(at.saturating_duration_since(self.base))
    }

    fn unix_ms(&self) -> i64 {
        1_700_000_000_000 + self.wall_ms + i64::try_from(self.now / 1_000).expect("a run is short")
    }

    fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let partitions = self.setting.partitions;
        (0..self.setting.topics).flat_map(move |topic| (0..partitions).map(move |partition| (topic, partition)))
    }

    fn key(&self, place: Place) -> TopicPartition {
        TopicPartition::new(self.topics[place.0].as_str(), place.1)
    }

    fn place(&self, key: &TopicPartition) -> Place {
        let topic = self.topics.iter().position(|name| **name == *key.topic).expect("a topic of this world");
        (topic, key.partition)
    }

    /// Whether a timer fires that was not set.
    fn spurious(&mut self) -> bool {
        self.setting.has_odd(Odd::SpuriousTimers) && self.rng.bool()
    }
}

#[derive(Debug)]
enum Role {
    Reader(Box<Reader>),
    Writer(Box<Writer>),
}

#[derive(Debug)]
struct Client {
    peer: Peer,
    role: Role,
}

#[derive(Debug)]
struct World {
    ctx: Context,
    clients: Vec<Client>,
    steps: u64,
}

impl World {
    fn new(setting: Setting, loud: bool) -> Self {
        let mut rng = Rng::with_seed(setting.seed ^ 0x5eed);
        // Only differences to this instant matter.
        #[allow(clippy::disallowed_methods)]
        let base = Instant::now();
        let topics: Vec<String> = (0..setting.topics).map(|topic| format!("t{topic}")).collect();
        let door = Door::default();
        let builder = brokers(&setting, &topics, &door, &mut rng);
        let (writers, readers, members) = (setting.writers, setting.readers, setting.members);
        let ctx = Context {
            now: 0,
            base,
            rng,
            queue: Queue::default(),
            mock: builder.build(),
            mock_timer: None,
            net: Net::new(),
            ghost: Ghost::default(),
            trace: Trace::new(loud),
            topics,
            codecs: reader::codecs(),
            commits: Vec::new(),
            healed: false,
            wall_ms: 0,
            team: Team::draw(&setting),
            stalled: BTreeMap::new(),
            door,
            gate: Gate::default(),
            setting,
        };
        let mut world = Self { clients: Vec::new(), steps: 0, ctx };
        world.ctx.ghost.owners.first = (members > 0).then_some(readers);
        for topic in 0..world.ctx.topics.len() {
            let id = world.ctx.mock.topic_id(&world.ctx.topics[topic]);
            world.ctx.ghost.created(topic, id);
        }
        world.ctx.observe();
        for number in 0..writers {
            world.add_writer(number);
        }
        for number in 0..readers + members {
            world.add_reader(number);
        }
        world.ctx.at(1_000, Event::Strike);
        let heals = world.ctx.setting.fault_us();
        world.ctx.at(heals, Event::Heal);
        world
    }

    fn add_peer(&mut self, request_timeout: Duration) -> Peer {
        let names = self.ctx.topics.iter().map(|name| name.as_str().into()).collect();
        let rng = self.ctx.rng.fork();
        let mut peer = Peer::new(self.clients.len(), rng, request_timeout, names);
        peer.refresh(&mut self.ctx);
        // A member that leads the group follows its topics.
        let setting = &self.ctx.setting;
        let is_member = self.clients.len() >= setting.writers + setting.readers;
        if setting.has(Fault::PartitionCount) || is_member {
            self.ctx.at(MAX_AGE_US, Event::MaxAge { client: self.clients.len() });
        }
        peer
    }

    fn add_writer(&mut self, number: usize) {
        let writers = self.ctx.setting.writers as u64;
        let left = self.ctx.setting.records / writers + u64::from(number == 0) * (self.ctx.setting.records % writers);
        let writer = Writer::new(&mut self.ctx, number, left);
        let short = self.ctx.setting.has_odd(Odd::ShortTimeouts);
        let timeout_ms = if short { self.ctx.rng.u64(1..20) } else { self.ctx.rng.u64(50..3_000) };
        let peer = self.add_peer(Duration::from_millis(timeout_ms));
        let wait = self.ctx.rng.u64(1_000..5_000);
        self.ctx.at(wait, Event::Work { client: self.clients.len() });
        self.clients.push(Client { peer, role: Role::Writer(Box::new(writer)) });
    }

    fn add_reader(&mut self, number: usize) {
        let short = self.ctx.setting.has_odd(Odd::ShortTimeouts);
        let timeout_ms = if short { self.ctx.rng.u64(5..20) } else { self.ctx.rng.u64(50..3_000) };
        let mut peer = self.add_peer(Duration::from_millis(timeout_ms));
        let reader = Reader::new(&mut self.ctx, number, &mut peer);
        let wait = self.ctx.rng.u64(1_000..5_000);
        self.ctx.at(wait, Event::Work { client: self.clients.len() });
        self.clients.push(Client { peer, role: Role::Reader(Box::new(reader)) });
    }

    fn run(mut self) -> Result<Report, Broken> {
        let mut finished = None;
        loop {
            let Some((at, event)) = self.ctx.queue.pop() else {
                if finished.is_some() {
                    break;
                }
                return self.broken(format!("nothing is left to happen: {}", self.describe()));
            };
            self.ctx.now = self.ctx.now.max(at);
            self.steps += 1;
            let words = event.words();
            self.ctx.trace.mix(&[self.ctx.now, words[0], words[1]]);
            if let Some(event) = self.ctx.holds(event).and_then(|event| self.ctx.stalls(event)) {
                self.handle(event);
            }
            let now = self.ctx.now;
            self.ctx.ghost.check_time(now);
            if let Some(what) = self.ctx.ghost.broken() {
                return self.broken(what);
            }
            match finished {
                None if self.is_done() => finished = Some(now + LATE_US),
                Some(until) if now >= until && self.is_done() => break,
                // An error that was reported late made a reader start again.
                Some(until) if now >= until => finished = None,
                _ => {}
            }
            if now > self.ctx.setting.fault_us() + FINISH_US + LATE_US * 20 || self.steps > STEPS_MAX {
                return self.broken(format!("not finished at {now}: {}", self.describe()));
            }
        }
        if !self.is_done() {
            return self.broken(format!("finished, and then not: {}", self.describe()));
        }
        self.ctx.ghost.check_group(&self.subscribed(), self.ctx.team.auto_commit.is_some());
        self.ctx.ghost.judge();
        if let Some(what) = self.ctx.ghost.broken() {
            return self.broken(what);
        }
        Ok(Report {
            steps: self.steps,
            passed: Duration::from_micros(self.ctx.now),
            decided: self.ctx.ghost.tally(),
            trace: self.ctx.trace.hash(),
            counts: self.ctx.trace.into_counts(),
        })
    }

    fn broken<T>(&self, what: String) -> Result<T, Broken> {
        Err(Broken { what, steps: self.steps })
    }

    fn handle(&mut self, event: Event) {
        let ctx = &mut self.ctx;
        let client = match event {
            Event::Bytes { link, bytes } => {
                let Some(client) = ctx.net.links.get(&link).map(|link| link.client) else { return };
                self.clients[client].peer.bytes(ctx, link, &bytes);
                client
            }
            Event::Closed { link } => {
                let Some(client) = ctx.net.links.get(&link).map(|link| link.client) else { return };
                self.clients[client].peer.end(ctx, link, None);
                client
            }
            Event::Idle { link } => {
                let Some(client) = ctx.net.links.get(&link).map(|link| link.client) else { return };
                return self.clients[client].peer.close_idle(ctx, link);
            }
            Event::MaxAge { client } => {
                ctx.at(ctx.now + MAX_AGE_US, Event::MaxAge { client });
                return self.clients[client].peer.refresh(ctx);
            }
            Event::LinkTimer { link } => {
                let Some(client) = ctx.net.links.get(&link).map(|link| link.client) else { return };
                self.clients[client].peer.link_timer(ctx, link);
                client
            }
            Event::Dialled { client, broker, lane } => {
                self.clients[client].peer.dialled(ctx, broker, lane);
                client
            }
            Event::Refresh { client } => {
                self.clients[client].peer.refresh_now(ctx);
                client
            }
            Event::Fin { link } => return ctx.fin(link),
            Event::Frame { link, frame } => return ctx.arrive(link, frame),
            Event::Mock => {
                ctx.mock_timer = None;
                return ctx.poll_mock();
            }
            Event::Over { fault, broker } => return ctx.over(fault, broker),
            Event::Strike => return ctx.strike(),
            Event::Unclog { client, broker } => return ctx.unclog((client, broker)),
            Event::Heal => return self.heal(),
            Event::Retry { client, .. }
            | Event::Sealed { client, .. }
            | Event::Timer { client }
            | Event::Turn { client }
            | Event::Work { client } => {
                if !self.at_client(client, event) {
                    return;
                }
                client
            }
        };
        self.pump(client);
    }

    /// Returns whether the client's driver is notified.
    fn at_client(&mut self, client: usize, event: Event) -> bool {
        let ctx = &mut self.ctx;
        let Client { peer, role } = &mut self.clients[client];
        match (role, event) {
            (Role::Reader(reader), Event::Retry { operation, .. }) => reader.ask(ctx, peer, operation),
            (Role::Reader(reader), Event::Timer { .. }) => reader.due(ctx),
            (Role::Reader(reader), Event::Turn { .. }) => reader.turn(ctx, peer),
            (Role::Reader(reader), Event::Work { .. }) => reader.work(ctx, peer),
            (Role::Writer(writer), Event::Sealed { life, key, id, closed, .. }) => {
                writer.sealed(ctx, life, key, id, closed);
            }
            (Role::Writer(writer), Event::Timer { .. }) => writer.due(ctx),
            // A driver that is not notified does nothing.
            (Role::Writer(writer), Event::Work { .. }) => return writer.work(ctx, peer),
            (role, event) => unreachable!("{event:?} is nothing for {role:?}"),
        }
        true
    }

    fn pump(&mut self, client: usize) {
        let Client { peer, role } = &mut self.clients[client];
        match role {
            Role::Reader(reader) => reader.pump(&mut self.ctx, peer),
            Role::Writer(writer) => writer.pump(&mut self.ctx, peer),
        }
    }

    fn heal(&mut self) {
        self.ctx.heal();
        for client in 0..self.clients.len() {
            self.ctx.at(self.ctx.now, Event::Work { client });
        }
    }

    fn is_done(&self) -> bool {
        self.ctx.healed
            && self.ctx.ghost.is_all_decided()
            && self.clients.iter().all(|client| match &client.role {
                Role::Reader(reader) => reader.is_done(&self.ctx),
                Role::Writer(writer) => writer.is_done(&self.ctx),
            })
            && self.unowned().is_none()
            && self.imbalance().is_none()
    }

    fn describe(&self) -> String {
        let describe = |client: &Client| match &client.role {
            Role::Reader(reader) if !reader.is_done(&self.ctx) => Some(reader.describe(&self.ctx)),
            Role::Writer(writer) if !writer.is_done(&self.ctx) => Some(writer.describe(&self.ctx)),
            Role::Reader(_) | Role::Writer(_) => None,
        };
        let unowned = self.unowned().map(|(place, owners)| format!("{place:?} is owned by {owners:?}"));
        let uneven =
            self.imbalance().map(|counts| format!("members of the same subscription own {counts:?} partitions"));
        self.clients.iter().filter_map(describe).chain(unowned).chain(uneven).collect::<Vec<_>>().join("; ")
    }
}

/// The brokers of a setting.
fn brokers(setting: &Setting, topics: &[String], door: &Door, rng: &mut Rng) -> mock::Builder {
    let mut builder = mock::Cluster::builder().brokers(setting.brokers).auto_create(false).seed(rng.u64(..));
    for name in topics {
        let count =
            if setting.has(Fault::PartitionCount) { rng.i32(1..=setting.partitions) } else { setting.partitions };
        builder = builder.topic(name, count);
    }
    if setting.has(Fault::FollowerReads) {
        builder = builder.follower_reads();
    }
    if setting.has_odd(Odd::UnknownGroups) {
        builder = builder.unknown_groups();
    }
    if setting.has_odd(Odd::FewSessions) {
        builder = builder.fetch_sessions(rng.usize(..3));
    }
    if setting.has_odd(Odd::OldVersions) {
        for api in [Api::Produce, Api::Fetch, Api::Metadata, Api::OffsetFetch, Api::OffsetCommit, Api::FindCoordinator]
        {
            let (low, high) = api.versions();
            builder = builder.versions(api.key(), low, rng.i16(low..=high));
        }
    }
    if setting.members > 0 {
        builder = with_group(builder, setting, rng);
    }
    if setting.logins > 0 {
        builder = builder.sasl(door.of_brokers(setting));
    }
    builder
}
