//! A consumer and its user: the consumer's core, run as its driver does, and a user who reads, seeks and commits.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use ottla::codec::Codecs;
use ottla::consumer::Isolation;
use ottla::consumer::ResetPolicy;
use ottla::consumer::Start;
use ottla::internals::consumer::Config;
use ottla::internals::consumer::ConsumerCore;
use ottla::internals::consumer::Taken;
use ottla::internals::wire::Request;

use super::Context;
use super::event::Event;
use super::ghost::Place;
use super::peer::Peer;
use super::reading::Begin;
use super::setting::Fault;
use super::setting::Odd;

mod assigning;
mod coordinator;
mod driving;
mod life;
mod member;
mod rebalancing;
mod taking;

use self::assigning::Assigned;
use self::coordinator::Asker;
use self::coordinator::Operation;
use self::coordinator::commit_request;
use self::life::Life;
use self::member::Membership;

/// A consumer.
#[derive(Debug)]
pub(super) struct Reader {
    number: usize,
    rng: Rng,
    config: Config,
    core: ConsumerCore,
    timer: Option<u64>,
    /// A turn of the user is to come.
    turning: bool,
    assigned: Assigned,
    /// The chunk that the user is reading.
    held: Option<Taken>,
    operations: BTreeMap<u64, Operation>,
    next_operation: u64,
    coordinator: Option<i32>,
    /// It does nothing at random any more.
    settled: bool,
    /// A bounded read has finished, and was checked.
    finished: bool,
    /// The membership in the group, of one that is a member of it now.
    member: Option<Box<Membership>>,
    life: Life,
}

/// The group of a reader, which it has for itself, or of all members.
pub(super) fn group(reader: usize) -> String {
    format!("g{reader}")
}

impl Reader {
    pub(super) fn new(ctx: &mut Context, number: usize, peer: &mut Peer) -> Self {
        let mut rng = ctx.rng.fork();
        let start = match rng.u8(..4) {
            0 => Start::Latest,
            1 => Start::Stored { otherwise: Box::new(Start::Earliest) },
            2 => Start::Offset(rng.i64(0..10)),
            _ => Start::Earliest,
        };
        let config = config(ctx, &mut rng, number, start);
        if config.isolation == Isolation::ReadCommitted {
            ctx.ghost.committed_only.insert(number);
        }
        let core = ConsumerCore::new(config.clone());
        let mut reader = Self {
            number,
            rng,
            config,
            core,
            timer: None,
            turning: false,
            assigned: Assigned::default(),
            held: None,
            operations: BTreeMap::new(),
            next_operation: 0,
            coordinator: None,
            settled: false,
            finished: false,
            member: None,
            life: Life::default(),
        };
        if reader.is_member(ctx) {
            reader.join(ctx, peer);
        } else {
            reader.assign(ctx);
        }
        peer.refresh(ctx);
        reader
    }

    /// Its number: members come after the readers that assign partitions themselves.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    fn group(&self) -> String {
        self.config.group.clone().unwrap_or_default()
    }

    // The user.

    /// The user does something else than reading.
    pub(super) fn work(&mut self, ctx: &mut Context, peer: &mut Peer) {
        if self.is_member(ctx) {
            return self.live(ctx, peer);
        }
        if ctx.healed {
            return self.settle(ctx);
        }
        if self.held.is_none() {
            match self.rng.u8(..12) {
                0 | 1 if ctx.setting.has_odd(Odd::Seeks) => self.seek(ctx),
                2 | 3 if ctx.setting.has_odd(Odd::Pauses) => self.pause(ctx),
                4 if ctx.setting.has_odd(Odd::ReaderRestarts) => self.restart(ctx, peer),
                5..8 => self.commit(ctx, peer),
                _ => {}
            }
        }
        if ctx.setting.has_odd(Odd::Reassignments) && self.rng.u8(..3) == 0 {
            self.reassign(ctx);
        }
        let wait = self.rng.u64(100..100_000);
        ctx.at(ctx.now + wait, Event::Work { client: peer.client });
    }

    /// From here on the user only reads.
    fn settle(&mut self, ctx: &mut Context) {
        if !std::mem::replace(&mut self.settled, true) {
            for place in ctx.places().collect::<Vec<_>>() {
                let key = ctx.key(place);
                self.core.resume(ctx.instant(), &key);
            }
            if ctx.setting.has_odd(Odd::Reassignments) && self.rng.u8(..4) != 0 {
                self.assign_rest(ctx);
            }
        }
    }

    fn seek(&mut self, ctx: &mut Context) {
        let places: Vec<Place> = ctx.places().collect();
        let place = *self.rng.choice(&places).expect("some");
        let end = ctx.ghost.logs.get(&place).map_or(0, |log| log.end);
        let start = match self.rng.u8(..5) {
            0 => Start::Earliest,
            1 => Start::Latest,
            2 => Start::Stored { otherwise: Box::new(Start::Earliest) },
            _ => Start::Offset(self.rng.i64(0..=end + 1)),
        };
        self.seek_to(ctx, place, &start);
    }

    fn seek_to(&mut self, ctx: &mut Context, place: Place, start: &Start) {
        if self.core.seek(ctx.instant(), &ctx.key(place), start) {
            ctx.trace.count("seek");
            ctx.trace.say(ctx.now, || format!("consumer {} seeks to {start:?} in {place:?}", self.number));
            ctx.ghost.begins(self.number, place, begin(start));
            ctx.ghost.seeks(self.number, place);
        }
    }

    fn pause(&mut self, ctx: &mut Context) {
        let places: Vec<Place> = ctx.places().collect();
        let key = ctx.key(*self.rng.choice(&places).expect("some"));
        ctx.trace.count("pause or resume");
        if self.rng.bool() {
            self.core.pause(ctx.instant(), &key);
        } else {
            self.core.resume(ctx.instant(), &key);
        }
    }

    /// Drops the consumer, as it is or after it was closed, and starts another where the group left off.
    fn restart(&mut self, ctx: &mut Context, peer: &mut Peer) {
        ctx.trace.count("consumer started again");
        ctx.trace.say(ctx.now, || format!("consumer {} starts again", self.number));
        if self.rng.bool() {
            // A closed consumer is finished wherever it is.
            self.finished = true;
            self.core.close();
            self.pump(ctx, peer);
        }
        self.finished = false;
        peer.drop_all(ctx);
        self.operations.clear();
        self.config.start = Start::Stored { otherwise: Box::new(Start::Earliest) };
        self.config.seed = self.rng.u64(..);
        self.core = ConsumerCore::new(self.config.clone());
        self.timer = None;
        self.assign(ctx);
        peer.news = true;
    }

    fn commit(&mut self, ctx: &mut Context, peer: &mut Peer) {
        let positions = self.core.positions();
        if positions.is_empty() {
            return;
        }
        for (key, position) in &positions {
            let place = ctx.place(key);
            ctx.ghost.committing(self.number, place, position.offset);
        }
        ctx.trace.count("commit");
        let request = Request::OffsetCommit(commit_request(peer, self.group(), &positions));
        let operation = self.begin(ctx, request, Asker::User);
        if ctx.setting.has_odd(Odd::CancelCommits) && self.rng.bool() {
            ctx.trace.count("commit given up");
            if self.rng.bool() {
                self.ask(ctx, peer, operation);
            }
            self.operations.remove(&operation);
            return;
        }
        self.ask(ctx, peer, operation);
    }

    // The end.

    /// Whether all records were returned.
    pub(super) fn is_done(&self, ctx: &Context) -> bool {
        if self.is_member(ctx) {
            return self.is_settled(ctx);
        }
        if self.config.until_end {
            return self.core.is_finished();
        }
        ctx.places().all(|place| ctx.ghost.is_at_end(self.number, place))
    }

    pub(super) fn describe(&self, ctx: &Context) -> String {
        let behind: Vec<String> = ctx
            .places()
            .filter(|place| self.config.until_end || !ctx.ghost.is_at_end(self.number, *place))
            .map(|place| {
                format!(
                    "{place:?} {:?} of {:?}",
                    ctx.ghost.follows.get(&(self.number, place)),
                    ctx.ghost.logs.get(&place).map(|log| (log.start, log.end))
                )
            })
            .collect();
        let member = self.member.as_ref().map(|member| format!("{:?}", member.machine)).unwrap_or_default();
        format!("consumer {}: {} {member}", self.number, behind.join(", "))
    }
}

fn begin(start: &Start) -> Begin {
    match start {
        Start::Earliest => Begin::Earliest,
        Start::Latest => Begin::Latest,
        Start::Offset(offset) => Begin::Offset(*offset),
        Start::Stored { .. } => Begin::Stored,
        other => unreachable!("the user does not ask for {other:?}"),
    }
}

fn config(ctx: &Context, rng: &mut Rng, number: usize, start: Start) -> Config {
    let one = ctx.setting.has_odd(Odd::OneByteFetches);
    let tiny = ctx.setting.has_odd(Odd::TinyBudgets);
    let mut config = Config {
        group: Some(group(number.min(ctx.setting.readers))),
        start,
        reset: *rng.choice(&[ResetPolicy::Earliest, ResetPolicy::Earliest, ResetPolicy::None]).expect("some"),
        fetch_bytes_max: if one { 1 } else { 4_000 },
        fetch_bytes_min: *rng.choice(&[1, 1, 500]).expect("some"),
        fetch_wait_max: Duration::from_millis(rng.u64(20..200)),
        partition_fetch_bytes_max: if one { 1 } else { *rng.choice(&[100, 2_000]).expect("some") },
        prefetch_bytes: if tiny { 1 } else { 20_000 },
        retry_backoff: Duration::from_millis(rng.u64(1..30)),
        retry_backoff_max: Duration::from_millis(200),
        patience: Duration::from_millis(rng.u64(1..5_000)),
        topic_patience: Duration::from_millis(rng.u64(1..1_000)),
        seed: rng.u64(..),
        until_end: ctx.setting.has_odd(Odd::BoundedReads) && rng.bool(),
        ..Config::default()
    };
    // Drawn after all else, so that an old seed is unchanged without these faults.
    if ctx.setting.has(Fault::Transactions) && rng.u8(..4) != 0 {
        config.isolation = Isolation::ReadCommitted;
    }
    if number >= ctx.setting.readers {
        // A group reads to the end of all logs.
        config.reset = ResetPolicy::Earliest;
        config.isolation = if ctx.team.committed_only { Isolation::ReadCommitted } else { Isolation::ReadUncommitted };
    }
    if ctx.setting.has(Fault::FollowerReads) {
        config.rack = format!("rack-{}", rng.i32(1..=ctx.setting.brokers));
        config.replica_lease = Duration::from_millis(rng.u64(10..2_000));
    }
    config
}

/// The codecs of a consumer.
pub(super) fn codecs() -> Codecs {
    Codecs::default()
}
