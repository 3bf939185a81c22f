//! A consumer and its user: the consumer's core, run as its driver does, and a user who reads, seeks and commits.

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use ottla::codec::Codecs;
use ottla::consumer::Isolation;
use ottla::consumer::Position;
use ottla::consumer::ResetPolicy;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::internals::conn::backoff::Backoff;
use ottla::internals::consumer::Action;
use ottla::internals::consumer::Config;
use ottla::internals::consumer::ConsumerCore;
use ottla::internals::consumer::Next;
use ottla::internals::consumer::Returned;
use ottla::internals::consumer::Taken;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use ottla::types::TopicPartition;

use super::Context;
use super::event::Event;
use super::ghost::Place;
use super::ghost::parse;
use super::peer::Lane;
use super::peer::Peer;
use super::peer::Tag;
use super::peer::Target;
use super::peer::disconnected;
use super::peer::micros;
use super::reading::Begin;
use super::setting::Fault;
use super::setting::Odd;

mod assigning;

use self::assigning::Assigned;

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
}

/// A request to the coordinator.
#[derive(Debug)]
struct Operation {
    request: Request,
    /// The core's tag; `None` for a commit of the user.
    core: Option<u64>,
    until: u64,
    backoff: Backoff,
}

/// How long an operation is retried.
const OPERATION_US: u64 = 2_000_000;

/// The group of a consumer, which it has for itself.
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
        };
        reader.assign(ctx);
        peer.refresh(ctx);
        reader
    }

    // The user.

    /// The user does something else than reading.
    pub(super) fn work(&mut self, ctx: &mut Context, peer: &mut Peer) {
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
        let request = Request::OffsetCommit(commit_request(peer, self.number, &positions));
        let operation = self.begin(ctx, request, None);
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

    /// The user takes the next item, or continues to read a chunk.
    pub(super) fn turn(&mut self, ctx: &mut Context) {
        self.turning = false;
        if let Some((taken, revoked)) = self.take_held() {
            return self.read(ctx, taken, revoked);
        }
        let Some(next) = self.core.next() else {
            // An item may have been dropped, because it was beyond the bound.
            return self.core.handle_capacity(ctx.instant());
        };
        self.is_ours(ctx, &next);
        match next {
            Next::Chunk(taken) => {
                let often = ctx.setting.has(Fault::Corrupt);
                if self.rng.u8(..3) == 0 || often && self.rng.bool() {
                    // The driver continues meanwhile.
                    if often && !ctx.healed && ctx.setting.has(Fault::Recreate) && self.rng.u8(..3) == 0 {
                        let place = ctx.place(&TopicPartition::new(taken.topic.clone(), taken.partition));
                        ctx.trace.count("recreated while being read");
                        ctx.recreate(place.0);
                    }
                    self.held = Some(taken);
                } else {
                    self.read(ctx, taken, false);
                }
            }
            Next::End(key, offset) => {
                ctx.trace.count("end reported");
                let place = ctx.place(&key);
                ctx.ghost.ended(self.number, place, offset);
            }
            Next::Error(error) => self.reported_error(ctx, &error),
            Next::Reset(reset) => {
                ctx.trace.count("reset reported");
                let place = ctx.place(&TopicPartition { topic: reset.topic.clone(), partition: reset.partition });
                ctx.trace.say(ctx.now, || format!("consumer {} was moved: {reset:?}", self.number));
                ctx.ghost.reset(self.number, place, reset.from, reset.to);
            }
        }
        self.core.handle_capacity(ctx.instant());
    }

    fn reported_error(&mut self, ctx: &mut Context, error: &Error) {
        ctx.trace.count("error reported");
        ctx.trace.say(ctx.now, || format!("consumer {} says: {error}", self.number));
        if error.kind() == Kind::Truncated {
            // Only a seek helps. The error names the partition in its text only.
            for place in ctx.places().collect::<Vec<_>>() {
                self.seek_to(ctx, place, &Start::Earliest);
            }
        }
    }

    /// Reads some batches of a chunk, or all. Nothing is returned of a partition that was revoked since.
    fn read(&mut self, ctx: &mut Context, mut taken: Taken, revoked: bool) {
        let place = ctx.place(&TopicPartition { topic: taken.topic.clone(), partition: taken.partition });
        let mut left = self.rng.usize(1..6);
        let mut read = Vec::new();
        while left > 0 {
            left -= 1;
            match taken.chunk.read(&ctx.codecs, 1 << 20, Vec::new) {
                Ok(None) => break,
                Ok(Some(visible)) => {
                    let counts = |offset: i64| offset >= visible.from && offset < visible.until;
                    let records = visible.decoded.iter().filter(|record| counts(record.offset));
                    read.extend(records.map(|record| (record.offset, record.value.and_then(parse))));
                }
                Err(unreadable) => {
                    let after = unreadable.offset + 1;
                    let error = self.core.unreadable(ctx.instant(), taken, unreadable);
                    if revoked && error.is_some() {
                        ctx.ghost.fail(|| format!("an error of {place:?}, which was revoked: {error:?}"));
                    }
                    return self.unreadable(ctx, place, &read, error.map(|error| (error, after)));
                }
            }
        }
        match self.core.give_back(taken) {
            Returned::Delivered { .. } if revoked => {
                ctx.ghost.fail(|| format!("records {read:?} of {place:?} were returned, which was revoked"));
            }
            Returned::Delivered { end } => {
                self.returned(ctx, place, &read);
                if let Some((key, offset)) = end {
                    let place = ctx.place(&key);
                    ctx.trace.count("end reported");
                    ctx.ghost.ended(self.number, place, offset);
                }
            }
            Returned::Overtaken => ctx.trace.count("overtaken while being read"),
        }
        self.core.handle_capacity(ctx.instant());
    }

    fn returned(&self, ctx: &mut Context, place: Place, read: &[(i64, Option<u64>)]) {
        for (offset, value) in read.iter().copied() {
            let (now, number) = (ctx.now, self.number);
            ctx.trace.say(now, || format!("consumer {number} reads {value:?} at {place:?}@{offset}"));
            ctx.trace.mix(&[offset.unsigned_abs(), value.unwrap_or(u64::MAX)]);
            ctx.ghost.returned(number, place, offset, value);
        }
    }

    /// A batch cannot be read. The records before it are returned, unless the partition has moved on.
    fn unreadable(
        &mut self,
        ctx: &mut Context,
        place: Place,
        read: &[(i64, Option<u64>)],
        error: Option<(Error, i64)>,
    ) {
        if !ctx.setting.has(Fault::Corrupt) {
            return ctx.ghost.fail(|| format!("a batch that cannot be read: {error:?}"));
        }
        ctx.trace.count("unreadable");
        match error {
            Some((error, after)) => {
                self.returned(ctx, place, read);
                self.reported_error(ctx, &error);
                if self.rng.u8(..4) == 0 && !ctx.healed {
                    self.seek_to(ctx, place, &Start::Offset(after));
                }
            }
            None => ctx.trace.count("unreadable and overtaken"),
        }
        self.core.handle_capacity(ctx.instant());
    }

    // The driver.

    pub(super) fn due(&mut self, ctx: &mut Context) {
        self.timer = None;
        if self.core.poll_timeout().is_some_and(|at| at <= ctx.instant()) || ctx.spurious() {
            self.core.handle_timeout(ctx.instant());
        }
    }

    pub(super) fn pump(&mut self, ctx: &mut Context, peer: &mut Peer) {
        loop {
            let mut busy = false;
            while let Some((tag, answer)) = peer.answers.pop_front() {
                busy = true;
                self.answered(ctx, peer, tag, answer);
            }
            if std::mem::take(&mut peer.news) {
                busy = true;
                self.core.handle_metadata(ctx.instant(), peer.cache.snapshot());
            }
            while let Some(action) = self.core.poll_action() {
                busy = true;
                self.act(ctx, peer, action);
            }
            if !busy {
                break;
            }
        }
        if let Some(at) = self.core.poll_timeout() {
            let at = ctx.micros(at);
            if self.timer.is_none_or(|armed| armed > at) {
                self.timer = Some(at);
                ctx.at(at.max(ctx.now), Event::Timer { client: peer.client });
            }
        }
        if !self.turning && (self.held.is_some() || self.core.has_next()) {
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
                let operation = self.begin(ctx, Request::OffsetFetch(request), Some(tag));
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

    // The coordinator (`Cluster::request_coordinator`).

    fn begin(&mut self, ctx: &Context, request: Request, core: Option<u64>) -> u64 {
        self.next_operation += 1;
        let backoff = Backoff::new(Duration::from_millis(5), Duration::from_millis(100));
        let operation = Operation { request, core, until: ctx.now + OPERATION_US, backoff };
        self.operations.insert(self.next_operation, operation);
        self.next_operation
    }

    /// Sends the request to the coordinator, or finds that first.
    pub(super) fn ask(&mut self, ctx: &mut Context, peer: &mut Peer, number: u64) {
        let Some(operation) = self.operations.get(&number) else { return };
        if let Some(broker) = self.coordinator {
            let request = operation.request.clone();
            peer.submit(ctx, Target::Broker(broker), request, Tag::Operation(number));
        } else {
            let request = m::FindCoordinatorRequest { keys: vec![group(self.number)], kind: 0 };
            peer.submit(ctx, Target::Any, Request::FindCoordinator(request), Tag::Find(number));
        }
    }

    fn located(&mut self, ctx: &mut Context, peer: &mut Peer, number: u64, answer: Result<Response, Error>) {
        match answer {
            Ok(Response::FindCoordinator(found)) => {
                let found = found.of(&group(self.number)).filter(|found| found.error.is_none());
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

    fn operated(&mut self, ctx: &mut Context, number: u64, answer: Result<Response, Error>) {
        let moved = answer.as_ref().is_ok_and(moved);
        if !moved && let Ok(response) = answer {
            let Some(operation) = self.operations.remove(&number) else { return };
            ctx.trace.count("coordinator responded");
            if let Some(tag) = operation.core {
                self.core.handle_response(ctx.instant(), tag, Ok(response));
            }
            return;
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
        let at = ctx.now + micros(operation.backoff.next(&mut self.rng));
        if error.is_retriable() && at < operation.until {
            return ctx.at(at, Event::Retry { client: self.number + ctx.setting.writers, operation: number });
        }
        let operation = self.operations.remove(&number).expect("it is there");
        if let Some(tag) = operation.core {
            self.core.handle_response(ctx.instant(), tag, Err(error));
        }
    }

    // The end.

    /// Whether all records were returned.
    pub(super) fn is_done(&self, ctx: &Context) -> bool {
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
        format!("consumer {}: {}", self.number, behind.join(", "))
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
        group: Some(group(number)),
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
    if ctx.setting.has(Fault::FollowerReads) {
        config.rack = format!("rack-{}", rng.i32(1..=ctx.setting.brokers));
        config.replica_lease = Duration::from_millis(rng.u64(10..2_000));
    }
    config
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

fn commit_request(peer: &Peer, reader: usize, positions: &[(TopicPartition, Position)]) -> m::OffsetCommitRequest {
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
        group: group(reader),
        generation_or_epoch: -1,
        retention_ms: -1,
        topics,
        ..m::OffsetCommitRequest::default()
    }
}

/// The codecs of a consumer.
pub(super) fn codecs() -> Codecs {
    Codecs::default()
}
