//! A producer and its user: the producer's core, run as its driver does, and a user who writes records.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use ottla::codec::Compression;
use ottla::error::Code;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::internals::producer::Action;
use ottla::internals::producer::BatchId;
use ottla::internals::producer::Entry;
use ottla::internals::producer::Key;
use ottla::internals::producer::Outcome;
use ottla::internals::producer::ProducerCore;
use ottla::internals::producer::Settings;
use ottla::internals::record::ClosedBatch;
use ottla::internals::record::RecordRef;
use ottla::internals::wire::Request;
use ottla::internals::wire::Response;
use ottla::internals::wire::message as m;
use ottla::partitioner::Builtin;
use ottla::types::Sequence;
use ottla::types::TopicId;

use super::Context;
use super::event::Event;
use super::ghost::Place;
use super::ghost::Said;
use super::peer::Peer;
use super::peer::Tag;
use super::peer::Target;
use super::peer::disconnected;
use super::peer::micros;
use super::setting::Odd;
use super::setting::Promise;

/// A batch's ticket: its records, by their numbers.
#[derive(Debug, Default)]
struct Ticket {
    values: Vec<u64>,
}

/// A producer.
#[derive(Debug)]
pub(super) struct Writer {
    number: usize,
    /// How often it was started.
    life: u32,
    rng: Rng,
    settings: Settings,
    /// Its first sequence under a new id.
    first: Sequence,
    core: ProducerCore<u64>,
    tickets: HashMap<u64, Ticket>,
    next_ticket: u64,
    /// Bytes that may be undecided.
    budget: i64,
    timer: Option<u64>,
    /// Records still to be written.
    pub(super) left: u64,
    flushing: Option<BatchId>,
    /// The driver has to be notified.
    woken: bool,
    acks_timeout: Duration,
}

impl Writer {
    pub(super) fn new(ctx: &mut Context, number: usize, left: u64) -> Self {
        let mut rng = ctx.rng.fork();
        let settings = settings(ctx, &mut rng);
        let promises = ctx.setting.promises();
        let promise = if promises.len() > 1 { *rng.choice(&promises).expect("some") } else { Promise::Once };
        let late = ctx.setting.has_odd(Odd::LateSequences).then(|| i32::MAX - rng.i32(0..12));
        let first = late.and_then(Sequence::from_wire).unwrap_or(Sequence::ZERO);
        ctx.ghost.promised(number, promise, first);
        let settings = Settings { acks: promise.acks(), idempotent: promise == Promise::Once, ..settings };
        let budget = if ctx.setting.has_odd(Odd::TinyBudgets) { rng.i64(60..200) } else { 1 << 20 };
        let core = core(&settings, first, &mut rng);
        Self {
            number,
            life: 0,
            rng,
            settings,
            first,
            core,
            tickets: HashMap::new(),
            next_ticket: 0,
            budget,
            timer: None,
            left,
            flushing: None,
            woken: false,
            acks_timeout: Duration::from_secs(1),
        }
    }

    /// The delivery timeout, in microseconds.
    pub(super) fn patience(&self) -> u64 {
        micros(self.settings.delivery_timeout)
    }

    /// The user writes a burst of records, or waits. Returns whether the driver is notified.
    pub(super) fn work(&mut self, ctx: &mut Context, peer: &mut Peer) -> bool {
        if self.left == 0 {
            return false;
        }
        let burst = self.rng.u64(1..8).min(self.left);
        for _ in 0..burst {
            if !self.write(ctx, peer) {
                break;
            }
        }
        if !ctx.healed && ctx.setting.has_odd(Odd::WriterRestarts) && self.rng.u8(..30) == 0 {
            self.restart(ctx, peer);
        }
        if self.flushing.is_none() && self.rng.u8(..10) == 0 {
            self.flushing = Some(self.core.flush(ctx.instant()));
            self.woken = true;
        }
        let calm = if ctx.healed { 2_000 } else { ctx.setting.fault_us() / 10 };
        let wait = self.rng.u64(0..=calm);
        ctx.at(ctx.now + wait, Event::Work { client: peer.client });
        std::mem::take(&mut self.woken)
    }

    /// Writes a record; returns whether the buffer had capacity and the topic was known.
    fn write(&mut self, ctx: &mut Context, peer: &mut Peer) -> bool {
        let number = self.rng.usize(..ctx.topics.len());
        let Some(topic) = self.core.topic(&ctx.topics[number]) else {
            peer.refresh(ctx);
            return false;
        };
        let value = ctx.ghost.next_value();
        let text = format!("{value}.{}", "x".repeat(self.rng.usize(..30)));
        let wanted = i64::try_from(text.len()).expect("short") + 21;
        let held = ctx.ghost.held(self.number);
        if held > 0 && held + wanted > self.budget {
            ctx.trace.count("waited for capacity");
            return false;
        }
        let partition =
            if self.rng.bool() { self.core.choose(topic, None) } else { self.rng.i32(0..ctx.setting.partitions) };
        let count = self.core.partition_count(topic);
        if u32::try_from(partition).map_or(true, |partition| partition >= count) {
            return false;
        }
        let record = RecordRef { timestamp: ctx.unix_ms(), value: Some(text.as_bytes()), ..RecordRef::default() };
        let ticket = self.next_ticket;
        let appended = self.core.append(ctx.instant(), Key { topic, partition }, &record, || ticket);
        match appended {
            Ok(appended) => {
                if appended.ticket == ticket {
                    self.next_ticket += 1;
                }
                let place = (number, partition);
                let snapshot = peer.cache.snapshot();
                let known = snapshot.topic(&ctx.topics[number]).map_or(0, |topic| topic.partitions.len());
                if usize::try_from(partition).is_ok_and(|partition| partition >= known) {
                    ctx.ghost
                        .fail(|| format!("a record for {place:?} was accepted, where {known} partitions are known"));
                }
                let general = ctx.now + self.patience();
                let mut own = general;
                if ctx.setting.has_odd(Odd::Deadlines) && self.rng.u8(..3) == 0 {
                    let patience = Duration::from_micros(self.rng.u64(..500_000));
                    own = ctx.now + micros(patience);
                    let (key, at) = (Key { topic, partition }, ctx.instant() + patience);
                    self.woken |= self.core.expire_at(ctx.instant(), key, appended.index, at);
                    ctx.trace.count("record with its own deadline");
                }
                ctx.trace.say(ctx.now, || format!("producer {} writes {value} to {place:?}", self.number));
                ctx.ghost.accepted((self.number, self.life), place, [own, general], appended.bytes);
                self.tickets.entry(appended.ticket).or_default().values.push(value);
                self.left -= 1;
                self.woken |= appended.wake;
                true
            }
            Err(error) => {
                ctx.trace.say(ctx.now, || format!("producer {} is of no more use: {error}", self.number));
                ctx.trace.count("fatal error");
                self.restart(ctx, peer);
                false
            }
        }
    }

    /// Closes the producer, which decides everything, and starts another.
    fn restart(&mut self, ctx: &mut Context, peer: &mut Peer) {
        ctx.trace.count("producer started again");
        ctx.trace.say(ctx.now, || format!("producer {} starts again", self.number));
        self.core.abort(&disconnected(ctx));
        self.pump(ctx, peer);
        peer.drop_all(ctx);
        ctx.ghost.abandoned(self.number);
        if ctx.ghost.held(self.number) != 0 {
            let held = ctx.ghost.held(self.number);
            ctx.ghost.fail(|| format!("producer {} was closed and still holds {held} bytes", self.number));
        }
        self.life += 1;
        self.core = core(&self.settings, self.first, &mut self.rng);
        self.tickets.clear();
        self.timer = None;
        self.flushing = None;
        peer.news = true;
    }

    /// The core's deadline has come, if it is still one.
    pub(super) fn due(&mut self, ctx: &mut Context) {
        self.timer = None;
        if self.core.poll_timeout().is_some_and(|at| at <= ctx.instant()) || ctx.spurious() {
            self.core.handle_timeout(ctx.instant());
        }
    }

    pub(super) fn sealed(&mut self, ctx: &mut Context, life: u32, key: Key, id: BatchId, closed: ClosedBatch) {
        if life == self.life {
            let codec = ctx.codecs.get(Compression::Snappy).expect("it is built in");
            let (sealed, buffer) = closed.seal(Some(&**codec)).expect("bytes can be compressed");
            if let Some(buffer) = buffer {
                self.core.recycle(buffer);
            }
            self.core.handle_sealed(ctx.instant(), key, id, Ok(sealed));
        }
    }

    /// Passes responses to the core, and carries out its actions, until there are no more.
    pub(super) fn pump(&mut self, ctx: &mut Context, peer: &mut Peer) {
        loop {
            let mut busy = false;
            while let Some((tag, answer)) = peer.answers.pop_front() {
                busy = true;
                self.answered(ctx, peer, tag, answer);
            }
            if std::mem::take(&mut peer.news) {
                busy = true;
                self.core.handle_metadata(ctx.instant(), &peer.cache.snapshot());
            }
            while let Some(action) = self.core.poll_action() {
                busy = true;
                self.act(ctx, peer, action);
            }
            if !busy {
                break;
            }
        }
        if self.flushing.is_some_and(|mark| self.core.oldest() >= mark) {
            self.flushing = None;
        }
        if let Some(at) = self.core.poll_timeout() {
            let at = ctx.micros(at);
            if self.timer.is_none_or(|armed| armed > at) {
                self.timer = Some(at);
                ctx.at(at.max(ctx.now), Event::Timer { client: peer.client });
            }
        }
    }

    fn answered(&mut self, ctx: &mut Context, peer: &mut Peer, tag: Tag, answer: Result<Response, Error>) {
        match (tag, answer) {
            (Tag::Core(request), Ok(Response::Produce(response))) => {
                let topics = &ctx.topics;
                ctx.ghost
                    .landed(self.number, request, |place, id| is_too_large(&response, (&topics[place.0], id), place.1));
                let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
                for code in partitions.filter_map(|partition| partition.error) {
                    ctx.trace
                        .say(ctx.now, || format!("producer {} is refused in answer to {request}: {code}", self.number));
                    ctx.trace.count(refusal(code));
                    if code == Code::ClusterAuthorizationFailed {
                        // An error from before the world healed ends the producer, with the records that it accepted since.
                        ctx.ghost.doomed((self.number, self.life));
                    }
                }
                ctx.ghost.gained(peer.client, 1);
                self.core.handle_response(ctx.instant(), request, &Ok(response));
            }
            (Tag::Core(request), Err(error)) => {
                ctx.trace.say(ctx.now, || format!("producer {} has no answer to {request}: {error}", self.number));
                ctx.ghost.landed(self.number, request, |_, _| false);
                self.refused(ctx, &error);
                self.core.handle_response(ctx.instant(), request, &Err(error));
            }
            (Tag::Identity, answer) => self.identified(ctx, answer),
            (Tag::Metadata, answer) => peer.refreshed(ctx, answer),
            (tag, answer) => ctx.ghost.fail(|| format!("unexpected response type: {tag:?} {answer:?}")),
        }
    }

    fn identified(&mut self, ctx: &mut Context, answer: Result<Response, Error>) {
        let identity = match answer {
            Ok(Response::InitProducerId(m::InitProducerIdResponse {
                error: None, identity: Some(identity), ..
            })) => Ok(identity),
            Ok(_) => Err(disconnected(ctx)),
            Err(error) => {
                self.refused(ctx, &error);
                Err(error)
            }
        };
        ctx.trace.count(if identity.is_ok() { "identity" } else { "no identity" });
        self.core.handle_identity(ctx.instant(), identity);
    }

    /// Brokers that refuse the client's credentials fail the records that it has accepted.
    fn refused(&self, ctx: &mut Context, error: &Error) {
        if error.kind() == Kind::Authentication {
            ctx.ghost.doomed((self.number, self.life));
        }
    }

    fn act(&mut self, ctx: &mut Context, peer: &mut Peer, action: Action<u64>) {
        match action {
            Action::Complete { ticket, first, count, outcome, bytes, .. } => {
                ctx.ghost.released(self.number, bytes);
                self.complete(ctx, ticket, first, count, &outcome);
            }
            Action::InitProducerId => {
                let request = Request::InitProducerId(m::InitProducerIdRequest {
                    transaction_timeout_ms: -1,
                    ..m::InitProducerIdRequest::default()
                });
                peer.submit(ctx, Target::Any, request, Tag::Identity);
            }
            Action::Hint { topic, partition, leader, nodes } => {
                if peer.cache.handle_hint(&topic, partition, leader, &nodes) {
                    ctx.trace.count("leader hinted to a producer");
                    peer.learnt(ctx);
                }
            }
            Action::RefreshMetadata(_) => peer.refresh(ctx),
            Action::Release { bytes } => ctx.ghost.released(self.number, bytes),
            Action::Seal { key, id, closed } => {
                let wait = self.rng.u64(0..200);
                let event = Event::Sealed { client: peer.client, life: self.life, key, id, closed };
                ctx.at(ctx.now + wait, event);
            }
            Action::Send { broker, request, entries, .. } => {
                let built = self.request(ctx, request, entries);
                peer.submit(ctx, Target::Broker(broker), built, Tag::Core(request));
            }
            Action::Split { key, id, sealed, parts } => {
                ctx.trace.count("batch split");
                let parts = sealed.split(&ctx.codecs, parts).expect("what was sealed");
                self.core.handle_split(ctx.instant(), key, id, Ok(parts));
            }
        }
    }

    fn request(&mut self, ctx: &mut Context, tag: u64, entries: Vec<Entry>) -> Request {
        let mut topics: Vec<m::ProduceTopic> = Vec::new();
        for entry in entries {
            let number = ctx.topics.iter().position(|name| **name == *entry.topic).expect("it was written to");
            let place: Place = (number, entry.partition);
            ctx.trace.say(ctx.now, || {
                let stamp = entry.stamp.identity;
                format!("producer {} sends {} records to {place:?} as {stamp:?}", self.number, entry.batch.count())
            });
            ctx.ghost.sent(self.number, tag, place, &entry);
            let head = Bytes::copy_from_slice(&entry.batch.header(&entry.stamp));
            let records = Some(m::Payload { head, body: entry.batch.into_body() });
            let partition = m::ProducePartition { index: entry.partition, records };
            match topics.iter_mut().find(|topic| topic.name == entry.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => {
                    topics.push(m::ProduceTopic { name: entry.topic, id: entry.id, partitions: vec![partition] });
                }
            }
        }
        let timeout_ms = i32::try_from(self.acks_timeout.as_millis()).expect("short");
        Request::Produce(m::ProduceRequest { transactional_id: None, acks: self.core.acks(), timeout_ms, topics })
    }

    fn complete(&mut self, ctx: &mut Context, ticket: u64, first: u32, count: u32, outcome: &Outcome) {
        for index in first..first + count {
            let known = self.tickets.get(&ticket).and_then(|ticket| ticket.values.get(index as usize)).copied();
            let Some(value) = known else {
                return ctx.ghost.fail(|| format!("producer {} decides a record that it never wrote", self.number));
            };
            let said = match outcome {
                Outcome::Acknowledged { base_offset, .. } => {
                    Said::Acknowledged(base_offset.map(|base| base + i64::from(index - first)))
                }
                Outcome::Failed(error) => match error.is_written() {
                    Some(written) => Said::from(written),
                    None => return ctx.ghost.fail(|| format!("a failure that does not say: {error}")),
                },
            };
            ctx.trace.say(ctx.now, || match outcome {
                Outcome::Failed(error) => format!("producer {} says that {value} is {said:?}: {error}", self.number),
                Outcome::Acknowledged { .. } => format!("producer {} says that {value} is {said:?}", self.number),
            });
            ctx.ghost.gained(self.number, 1);
            ctx.trace.count(match said {
                Said::Acknowledged(Some(_)) => "acknowledged",
                Said::Acknowledged(None) => "acknowledged as a duplicate",
                Said::NotWritten => "not written",
                Said::MaybeWritten => "in doubt",
            });
            ctx.ghost.decided(ctx.now, value, said);
        }
    }

    /// Whether all records are written and decided.
    pub(super) fn is_done(&self, ctx: &Context) -> bool {
        self.left == 0 && ctx.ghost.held(self.number) == 0 && self.flushing.is_none()
    }

    /// Its unfinished work, for a report.
    pub(super) fn describe(&self, ctx: &Context) -> String {
        let held = ctx.ghost.held(self.number);
        format!(
            "producer {}: {} to write, {held} bytes undecided, flushing {:?}",
            self.number, self.left, self.flushing
        )
    }
}

fn core(settings: &Settings, first: Sequence, rng: &mut Rng) -> ProducerCore<u64> {
    let mut core = ProducerCore::new(settings.clone(), Arc::new(Builtin::RoundRobin), rng.u64(..));
    core.begin_with(first);
    core
}

fn settings(ctx: &Context, rng: &mut Rng) -> Settings {
    let short = ctx.setting.has_odd(Odd::ShortTimeouts);
    let tiny = ctx.setting.has_odd(Odd::TinyBudgets);
    let delivery_ms = if short && rng.bool() { rng.u64(1..50) } else { rng.u64(300..20_000) };
    Settings {
        acks: -1,
        idempotent: true,
        compressed: rng.u8(..4) == 0,
        batch_bytes: if ctx.setting.has_odd(Odd::OneRecordBatches) {
            1
        } else {
            *rng.choice(&[80, 200, 1_000]).expect("some")
        },
        request_bytes_max: *rng.choice(&[700, 4_000]).expect("some"),
        linger: Duration::from_millis(rng.u64(0..10)),
        delivery_timeout: Duration::from_millis(delivery_ms),
        retry_backoff: Duration::from_millis(rng.u64(1..30)),
        retry_backoff_max: Duration::from_millis(200),
        pool_bytes_max: if tiny { 0 } else { 10_000 },
    }
}

/// Whether the batch of this partition was refused as too large. A response that names topics by id has the id that the request
/// had, which metadata has forgotten if the topic was recreated since.
fn is_too_large(response: &m::ProduceResponse, (name, id): (&str, TopicId), partition: i32) -> bool {
    let is_it = |topic: &&m::ProducedTopic| if topic.name.is_empty() { topic.id == id } else { *topic.name == *name };
    let mut answers = response.topics.iter().filter(is_it).flat_map(|topic| &topic.partitions);
    answers.any(|answer| answer.index == partition && answer.error == Some(Code::MessageTooLarge))
}

fn refusal(code: Code) -> &'static str {
    match code {
        Code::OutOfOrderSequenceNumber => "refused: out of order",
        Code::UnknownProducerId | Code::InvalidProducerEpoch => "refused: identity",
        Code::NotLeaderOrFollower => "refused: not the leader",
        Code::UnknownTopicOrPartition | Code::UnknownTopicId => "refused: no such topic",
        Code::MessageTooLarge => "refused: too large",
        _ => "refused: another reason",
    }
}
