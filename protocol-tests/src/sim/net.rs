//! The connections between clients and brokers, and the faults on them.
//!
//! A frame that was written arrives whatever happens to the client. A connection keeps the order of its bytes in each direction;
//! connections overtake each other.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use bytes::Bytes;
use bytes::BytesMut;
use ottla::internals::conn::pipeline::Pipeline;
use ottla::internals::wire::Api;
use ottla::internals::wire::FrameReader;
use ottla::mock;

use super::Context;
use super::event::Event;
use super::gate::Order;
use super::login::Login;
use super::peer::Entering;
use super::peer::Lane;
use super::peer::Whose;
use super::setting::Fault;

/// The state of a connection at its client.
#[derive(Debug)]
pub(super) enum Phase {
    /// Versions are being agreed on, by an ApiVersions request of this version.
    Agreeing(i16),
    /// The client authenticates.
    Entering(Box<Entering>),
    Up(Box<Pipeline<Whose>>),
}

/// A client's end of a connection.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) client: usize,
    pub(super) broker: i32,
    pub(super) lane: Lane,
    pub(super) phase: Phase,
    pub(super) frames: FrameReader,
    pub(super) arrived: BytesMut,
    pub(super) timer: Option<u64>,
    /// The order of its requests.
    pub(super) order: Order,
    /// Another authentication, beside the requests in flight.
    pub(super) renewal: Option<Login>,
    /// The broker throttles the client until then (KIP-219).
    pub(super) quiet_until: u64,
    /// The additional latency of this connection, in microseconds.
    drag: u64,
    up_at: u64,
}

/// A broker's end.
#[derive(Debug)]
struct Served {
    client: usize,
    broker: i32,
    down_at: u64,
    drag: u64,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Net {
    pub(super) links: BTreeMap<u64, Link>,
    served: BTreeMap<u64, Served>,
    next: u64,
    pub(super) clogged: BTreeSet<(usize, i32)>,
    held: BTreeMap<(usize, i32), Vec<Event>>,
    pub(super) refusing: BTreeSet<i32>,
    /// Produce requests on their way.
    pub(super) writes: usize,
    /// Whether there are faults on the wire.
    pub(super) rough: bool,
}

const FRAME_MAX: usize = 100 << 20;

impl Net {
    pub(super) fn new() -> Self {
        Self { rough: true, ..Self::default() }
    }
}

impl Context {
    fn rolls(&mut self, fault: Fault, in_thousand: u32) -> bool {
        let struck = self.net.rough && self.setting.has(fault) && self.rng.u32(..1_000) < in_thousand;
        if struck {
            self.trace.count(fault.name());
        }
        struck
    }

    /// The latency in one direction.
    pub(super) fn latency(&mut self) -> u64 {
        if !self.net.rough {
            return self.rng.u64(20..60);
        }
        if self.rolls(Fault::Latency, 100) {
            return self.rng.u64(1_000..100_000);
        }
        self.rng.u64(50..800)
    }

    fn drag(&mut self) -> u64 {
        let slow = self.net.rough && self.setting.has(Fault::Latency) && self.rng.bool();
        if slow { self.rng.u64(0..10_000) } else { 0 }
    }

    /// Opens a connection if the broker accepts it; returns its number.
    pub(super) fn open(&mut self, client: usize, broker: i32, lane: Lane) -> Option<u64> {
        if self.net.refusing.contains(&broker) || !self.mock.is_up(broker) {
            return None;
        }
        self.net.next += 1;
        let number = self.net.next;
        let drag = self.drag();
        let link = Link {
            client,
            broker,
            lane,
            phase: Phase::Agreeing(Api::ApiVersions.versions().1),
            frames: FrameReader::new(FRAME_MAX),
            arrived: BytesMut::new(),
            timer: None,
            order: Order::default(),
            renewal: None,
            quiet_until: 0,
            drag,
            up_at: 0,
        };
        self.net.links.insert(number, link);
        self.net.served.insert(number, Served { client, broker, down_at: 0, drag });
        Some(number)
    }

    /// Sends a frame to the broker.
    pub(super) fn transmit(&mut self, number: u64, frame: Bytes) {
        let wait = self.latency();
        let (now, rough) = (self.now, self.net.rough);
        let Some(link) = self.net.links.get_mut(&number) else { return };
        link.up_at = link.up_at.max(now + wait + if rough { link.drag } else { 0 });
        let (at, client, quiet_until) = (link.up_at, link.client, link.quiet_until);
        if now < quiet_until {
            self.ghost.fail(|| format!("client {client} sends at {now}, though it is throttled until {quiet_until}"));
        }
        self.net.writes += usize::from(api_of(&frame) == Api::Produce.key());
        self.ghost.asked(now, client);
        if self.setting.logins > 0
            && let Err(what) = self.gate.writes(now, number, api_of(&frame), id_of(&frame))
        {
            self.ghost.fail(|| format!("client {client}: {what}"));
        }
        self.at(at, Event::Frame { link: number, frame });
    }

    /// The client closes a connection. Frames that it sent before still arrive.
    pub(super) fn let_go(&mut self, number: u64) -> Option<Link> {
        let link = self.net.links.remove(&number)?;
        self.gate.let_go(number);
        let wait = self.latency();
        self.at(link.up_at.max(self.now + wait), Event::Fin { link: number });
        Some(link)
    }

    /// The broker closes a connection.
    pub(super) fn sever(&mut self, number: u64) {
        self.mock.disconnect(number);
        self.gate.closed(number);
        let wait = self.latency();
        let Some(served) = self.net.served.remove(&number) else { return };
        self.at(served.down_at.max(self.now + wait), Event::Closed { link: number });
    }

    /// A broker closes its idle connections (`connections.max.idle.ms`). Returns whether there were any.
    pub(super) fn close_idle(&mut self, broker: i32) -> bool {
        let is_idle = |link: &Link| matches!(&link.phase, Phase::Up(pipeline) if pipeline.is_idle());
        let served = self.net.served.iter().filter(|(_, served)| served.broker == broker);
        let idle = served.filter(|(number, _)| self.net.links.get(number).is_some_and(is_idle));
        let numbers: Vec<u64> = idle.map(|(number, _)| *number).collect();
        for number in &numbers {
            self.sever(*number);
        }
        !numbers.is_empty()
    }

    /// Closes all connections of a broker.
    pub(super) fn sever_all(&mut self, broker: i32) {
        let numbers: Vec<u64> =
            self.net.served.iter().filter(|(_, served)| served.broker == broker).map(|(number, _)| *number).collect();
        for number in numbers {
            self.sever(number);
        }
    }

    /// Returns an event unless its link is clogged; then it is held.
    pub(super) fn holds(&mut self, event: Event) -> Option<Event> {
        let number = match &event {
            Event::Bytes { link, .. } | Event::Closed { link } | Event::Fin { link } | Event::Frame { link, .. } => {
                *link
            }
            _ => return Some(event),
        };
        if self.net.clogged.is_empty() {
            return Some(event);
        }
        let served = self.net.served.get(&number).map(|served| (served.client, served.broker));
        let pair = served.or_else(|| self.net.links.get(&number).map(|link| (link.client, link.broker)));
        let Some(pair) = pair.filter(|pair| self.net.clogged.contains(pair)) else { return Some(event) };
        self.net.held.entry(pair).or_default().push(event);
        None
    }

    /// Releases the events that were held between a client and a broker.
    pub(super) fn unclog(&mut self, pair: (usize, i32)) {
        self.net.clogged.remove(&pair);
        for event in self.net.held.remove(&pair).unwrap_or_default() {
            // Before later events that are overdue because the clock has jumped.
            self.queue.push(0, event);
        }
    }

    /// A frame arrives at its broker.
    pub(super) fn arrive(&mut self, number: u64, frame: Bytes) {
        let api = api_of(&frame);
        self.net.writes -= usize::from(api == Api::Produce.key());
        let Some((broker, client)) = self.net.served.get(&number).map(|served| (served.broker, served.client)) else {
            return;
        };
        if self.rolls(Fault::CutBefore, 15) {
            return self.sever(number);
        }
        self.trace.say(self.now, || {
            format!("  broker {broker} takes {} ({} bytes) on link {number}", api_name(api), frame.len())
        });
        let unix_ms = self.unix_ms();
        let before = self.committed_by_group(api);
        let outcome = self.mock.handle(self.instant(), unix_ms, broker, number, frame);
        self.observe();
        self.check_committed(client, &before);
        self.outcome(number, outcome);
        self.poll_mock();
    }

    /// Lets the ghost observe the brokers.
    pub(super) fn observe(&mut self) {
        self.watch_gate();
        self.ghost.observe(&self.mock, &self.topics, self.setting.partitions);
        let of_group = self.ghost.owners.first;
        let alone =
            self.ghost.follows.keys().copied().filter(|(reader, _)| of_group.is_none_or(|first| *reader < first));
        let mut ledgers: Vec<_> = alone.collect();
        ledgers.extend(of_group.into_iter().flat_map(|first| self.places().map(move |place| (first, place))));
        for (ledger, place) in ledgers {
            let group = super::reader::group(ledger);
            if let Some(offset) = self.mock.committed(&group, &self.topics[place.0], place.1) {
                self.commits.push((ledger, place, offset));
            }
        }
        for (ledger, place, offset) in self.commits.drain(..) {
            self.ghost.stored(ledger, place, offset);
        }
    }

    /// Takes the responses that had to wait.
    pub(super) fn poll_mock(&mut self) {
        let now = self.instant();
        while let Some((number, outcome)) = self.mock.poll(now) {
            self.observe();
            self.outcome(number, outcome);
        }
        if let Some(at) = self.mock.poll_timeout() {
            let at = self.micros(at);
            if self.mock_timer.is_none_or(|armed| armed > at || armed < self.now) {
                self.mock_timer = Some(at);
                self.at(at, Event::Mock);
            }
        }
    }

    fn outcome(&mut self, number: u64, outcome: mock::Outcome) {
        match outcome {
            mock::Outcome::Close => self.sever(number),
            mock::Outcome::Reply(reply) => {
                self.watch_answer(number, &reply);
                self.answer(number, reply);
            }
            mock::Outcome::Silent | mock::Outcome::Wait => {}
        }
    }

    /// Sends a response to the client.
    fn answer(&mut self, number: u64, mut reply: Bytes) {
        if self.rolls(Fault::CutAfter, 15) {
            return self.sever(number);
        }
        if self.rolls(Fault::WrongCorrelation, 8) {
            let mut bytes = BytesMut::from(&reply[..]);
            // An id that was never used: with that of a lost request the client could not notice it.
            bytes[5] ^= 1 << self.rng.u32(..3);
            reply = bytes.freeze();
        }
        if self.rolls(Fault::CutInside, 15) {
            let cut = self.rng.usize(..reply.len());
            self.deliver(number, reply.slice(..cut), 0);
            return self.sever(number);
        }
        if self.rolls(Fault::SlowDrip, 30) {
            let piece = reply.len().div_ceil(12).max(1);
            while !reply.is_empty() {
                let bytes = reply.split_to(piece.min(reply.len()));
                let wait = self.rng.u64(100..5_000);
                self.deliver(number, bytes, wait);
            }
            return;
        }
        if self.rolls(Fault::HalfFrames, 100) {
            let cut = self.rng.usize(..reply.len());
            let half = reply.split_to(cut);
            self.deliver(number, half, 0);
        }
        self.deliver(number, reply, 0);
    }

    fn deliver(&mut self, number: u64, bytes: Bytes, wait: u64) {
        let wait = wait + self.latency();
        let (now, rough) = (self.now, self.net.rough);
        let Some(served) = self.net.served.get_mut(&number) else { return };
        let drag = if rough { served.drag } else { 0 };
        served.down_at = if wait > drag { served.down_at + wait / 8 } else { served.down_at }.max(now + wait + drag);
        let at = served.down_at;
        self.at(at, Event::Bytes { link: number, bytes });
    }

    /// The broker notices that the client closed.
    pub(super) fn fin(&mut self, number: u64) {
        if self.net.served.remove(&number).is_some() {
            self.mock.disconnect(number);
            self.gate.closed(number);
        }
    }
}

fn id_of(frame: &Bytes) -> i32 {
    frame.get(8..12).map_or(-1, |id| i32::from_be_bytes([id[0], id[1], id[2], id[3]]))
}

fn api_of(frame: &Bytes) -> i16 {
    frame.get(4..6).map_or(-1, |key| i16::from_be_bytes([key[0], key[1]]))
}

pub(super) fn api_name(key: i16) -> &'static str {
    Api::ALL.into_iter().find(|api| api.key() == key).map_or("?", Api::name)
}
