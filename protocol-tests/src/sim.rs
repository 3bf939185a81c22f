//! The simulator, first form: the producer's core, real frames through the real pipeline, and the mock cluster, in one thread
//! under virtual time. Everything that happens follows from one seed.
//!
//! Two phases: faults first (cuts before and after the broker applied a request, delays, refusals, leader moves, brokers
//! down), then none, and everything must finish. What was promised is held against the logs of the mock, which knows the truth.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use bytes::Buf;
use bytes::Bytes;
use fastrand::Rng;
use ottla::conn::pipeline::Pipeline;
use ottla::conn::pipeline::Write;
use ottla::error::Written;
use ottla::metadata::Cache;
use ottla::mock;
use ottla::partitioner::Builtin;
use ottla::producer::core::Action;
use ottla::producer::core::Entry;
use ottla::producer::core::Key;
use ottla::producer::core::Outcome;
use ottla::producer::core::ProducerCore;
use ottla::producer::core::Settings;
use ottla::record::RecordRef;
use ottla::types::ProducerIdentity;
use ottla::types::Sequence;
use ottla::wire::Api;
use ottla::wire::Request;
use ottla::wire::Response;
use ottla::wire::Versions;
use ottla::wire::message as m;

const TOPIC: &str = "t";
const PARTITIONS: i32 = 3;
const BROKERS: i32 = 3;

/// A mistake put in on purpose, which the simulator must find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// None.
    Nothing,
    /// A batch that is sent again gets the next sequence instead of its own.
    FreshSequenceOnRetry,
    /// What was sent before a cut is taken for acknowledged.
    SuccessAfterCut,
    /// A batch that was cut is reported as not written.
    CutMeansNotWritten,
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// Equal for equal seeds.
    pub trace: u64,
    /// Events that happened.
    pub steps: u64,
    /// Records acknowledged, surely not written, and in doubt.
    pub acknowledged: u64,
    /// Records surely not written.
    pub refused: u64,
    /// Records in doubt.
    pub doubtful: u64,
}

/// Runs one seed. An error says which promise was broken.
pub fn run(seed: u64, plant: Plant) -> Result<Report, String> {
    World::new(seed, plant).run()
}

#[derive(Debug)]
enum Event {
    Append,
    Arrive { link: u64, broker: i32, frame: Bytes },
    Answer { link: u64, broker: i32, frame: Bytes },
    Cut { link: u64, broker: i32 },
    Fault,
    Metadata,
    Identity,
    Sealed { key: Key, id: u64, closed: Option<ottla::record::ClosedBatch> },
    Timer,
}

struct Link {
    number: u64,
    pipeline: Pipeline<u64>,
}

struct World {
    now: Instant,
    start: Instant,
    rng: Rng,
    plant: Plant,
    faults: bool,
    mock: mock::Cluster,
    cache: Cache,
    core: ProducerCore<u64>,
    links: BTreeMap<i32, Link>,
    events: BTreeMap<(Instant, u64), Event>,
    ties: u64,
    refreshing: bool,
    trace: u64,
    steps: u64,
    next_link: u64,
    next_ticket: u64,
    next_value: u64,
    left: u64,
    /// Ticket → partition and the values of its records.
    tickets: HashMap<u64, (i32, Vec<u64>)>,
    /// Value → what was said of it.
    decided: BTreeMap<u64, Said>,
    sent: HashMap<u64, Vec<(i32, u32)>>,
    in_flight: HashMap<i32, usize>,
    fresh: HashMap<i32, Sequence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Acknowledged(i32, Option<i64>),
    Written(Written),
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl World {
    fn new(seed: u64, plant: Plant) -> Self {
        let mut rng = Rng::with_seed(seed);
        #[allow(clippy::disallowed_methods)]
        let start = Instant::now();
        let settings = Settings {
            acks: -1,
            idempotent: true,
            // Sealing takes its time then, which the core must stand.
            compressed: rng.bool(),
            batch_bytes: *rng.choice(&[80, 200, 1_000]).expect("some"),
            request_bytes_max: *rng.choice(&[700, 4_000]).expect("some"),
            linger: Duration::from_millis(rng.u64(0..10)),
            // Short for half of the seeds, so that records expire in doubt.
            delivery_timeout: Duration::from_millis(if rng.bool() { rng.u64(40..400) } else { rng.u64(300..20_000) }),
            retry_backoff: Duration::from_millis(20),
            retry_backoff_max: Duration::from_millis(200),
            pool_bytes_max: 10_000,
        };
        let core = ProducerCore::new(settings, Arc::new(Builtin::RoundRobin), rng.u64(..));
        let mock = mock::Cluster::builder().brokers(BROKERS).topic(TOPIC, PARTITIONS).seed(seed).build();
        Self {
            now: start,
            start,
            plant,
            faults: true,
            mock,
            cache: Cache::default(),
            core,
            links: BTreeMap::new(),
            events: BTreeMap::new(),
            ties: 0,
            refreshing: false,
            trace: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            next_link: 0,
            next_ticket: 0,
            next_value: 0,
            left: rng.u64(20..120),
            tickets: HashMap::new(),
            decided: BTreeMap::new(),
            sent: HashMap::new(),
            in_flight: HashMap::new(),
            fresh: HashMap::new(),
            rng,
        }
    }

    fn at(&mut self, wait_us: u64, event: Event) {
        self.ties += 1;
        self.events.insert((self.now + Duration::from_micros(wait_us), self.ties), event);
    }

    fn run(mut self) -> Result<Report, String> {
        self.refresh();
        self.at(2_000, Event::Append);
        self.at(5_000, Event::Fault);
        let total = self.left;
        let patience = Duration::from_secs(120);
        while self.decided.len() < usize::try_from(total).expect("small") {
            let Some(((at, tie), event)) = self.events.pop_first() else {
                return Err(format!(
                    "stuck: nothing is left to happen and {} of {total} are decided",
                    self.decided.len()
                ));
            };
            self.now = self.now.max(at);
            self.steps += 1;
            if self.now - self.start > patience || self.steps > 200_000 {
                let undecided: Vec<u64> =
                    (0..self.next_value).filter(|value| !self.decided.contains_key(value)).collect();
                return Err(format!(
                    "not finished after {:?} and {} steps; undecided: {undecided:?}; left {}",
                    self.now - self.start,
                    self.steps,
                    self.left
                ));
            }
            self.note(tie, &event);
            self.handle(event)?;
            self.pump()?;
        }
        self.judge()?;
        let count = |said: fn(&Said) -> bool| self.decided.values().filter(|s| said(s)).count() as u64;
        Ok(Report {
            trace: self.trace,
            steps: self.steps,
            acknowledged: count(|said| matches!(said, Said::Acknowledged(..))),
            refused: count(|said| *said == Said::Written(Written::No)),
            doubtful: count(|said| *said == Said::Written(Written::Maybe)),
        })
    }

    fn note(&mut self, tie: u64, event: &Event) {
        let kind = match event {
            Event::Append => 1,
            Event::Arrive { frame, .. } => 100 + frame.len() as u64,
            Event::Answer { frame, .. } => 100_000 + frame.len() as u64,
            Event::Cut { .. } => 4,
            Event::Fault => 5,
            Event::Metadata => 6,
            Event::Identity => 7,
            Event::Sealed { .. } => 8,
            Event::Timer => 9,
        };
        let micros = u64::try_from((self.now - self.start).as_micros()).expect("short");
        for word in [micros, tie, kind] {
            self.trace = (self.trace ^ word).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Append => self.append(),
            Event::Arrive { link, broker, frame } => self.arrive(link, broker, frame),
            Event::Answer { link, broker, frame } => self.answer(link, broker, frame)?,
            Event::Cut { link, broker } => self.cut(link, broker),
            Event::Fault => self.fault(),
            Event::Metadata => self.metadata(),
            Event::Identity => self.identity(),
            Event::Sealed { key, id, closed } => {
                let closed = closed.expect("taken once");
                let sealed = closed.seal(None).expect("no codec to fail").0;
                self.core.handle_sealed(self.now, key, id, Ok(sealed));
            }
            Event::Timer => self.core.handle_timeout(self.now),
        }
        Ok(())
    }

    /// A burst of records, until all are out; then the faults end and the world heals.
    fn append(&mut self) {
        let burst = self.rng.u64(1..8).min(self.left);
        let Some(topic) = self.core.topic(TOPIC) else { return self.at(1_000, Event::Append) };
        for _ in 0..burst {
            let value = self.next_value;
            let text = value.to_string();
            let partition = self.core.choose(topic, None);
            let ticket = self.next_ticket;
            let record = RecordRef { timestamp: 1, value: Some(text.as_bytes()), ..RecordRef::default() };
            let appended = self.core.append(self.now, Key { topic, partition }, &record, || ticket);
            self.left -= 1;
            self.next_value += 1;
            match appended {
                Ok(appended) => {
                    if appended.ticket == ticket {
                        self.next_ticket += 1;
                    }
                    self.tickets.entry(appended.ticket).or_insert((partition, Vec::new())).1.push(value);
                }
                Err(error) => {
                    let written = error.is_written().expect("a refusal says so");
                    self.decided.insert(value, Said::Written(written));
                }
            }
        }
        if self.left > 0 {
            let wait = self.rng.u64(0..20_000);
            self.at(wait, Event::Append);
        } else {
            self.faults = false;
            self.mock.clear_faults();
            for broker in self.mock.brokers() {
                self.mock.set_up(broker);
            }
        }
    }

    fn fault(&mut self) {
        if !self.faults {
            return;
        }
        let broker = *self.rng.choice(&self.mock.brokers()).expect("some");
        match self.rng.u8(..6) {
            0 => {
                self.mock.move_leader(TOPIC, self.rng.i32(..PARTITIONS), broker);
            }
            1 => {
                if let Some(link) = self.links.get(&broker).map(|link| link.number) {
                    self.at(0, Event::Cut { link, broker });
                }
            }
            2 => {
                let code = *self.rng.choice(&[3, 5, 6, 7, 19, 20, 56]).expect("some");
                self.mock.inject(Api::Produce.key(), mock::Fault::Error(code), self.rng.u32(1..3));
            }
            3 => self.mock.set_down(broker),
            _ => self.mock.set_up(broker),
        }
        let wait = self.rng.u64(1_000..60_000);
        self.at(wait, Event::Fault);
    }

    fn refresh(&mut self) {
        if !self.refreshing {
            self.refreshing = true;
            let wait = self.rng.u64(500..5_000);
            self.at(wait, Event::Metadata);
        }
    }

    /// One question outside the connections under test, by real frames all the same.
    fn ask(&mut self, request: &Request, version: i16) -> Option<Response> {
        let up = self.mock.brokers().into_iter().find(|broker| self.mock.is_up(*broker))?;
        let parts = request.encode(version, 1, "sim").expect("a request");
        let frame = Bytes::from(parts.into_iter().flatten().collect::<Vec<u8>>());
        match self.mock.handle(self.now, 1, up, u64::MAX, frame) {
            mock::Outcome::Reply(mut answer) => {
                answer.advance(4);
                Some(Response::decode(request.api(), version, answer).expect("the mock answers well"))
            }
            _ => None,
        }
    }

    fn metadata(&mut self) {
        self.refreshing = false;
        let request =
            Request::Metadata(m::MetadataRequest { topics: Some(vec![TOPIC.into()]), allow_auto_create: false });
        match self.ask(&request, 12) {
            Some(Response::Metadata(response)) => {
                self.cache.handle_response(response);
                self.core.handle_metadata(self.now, &self.cache.snapshot());
            }
            _ => self.refresh(),
        }
    }

    fn identity(&mut self) {
        let request = Request::InitProducerId(m::InitProducerIdRequest::default());
        match self.ask(&request, 4) {
            Some(Response::InitProducerId(m::InitProducerIdResponse { identity: Some(identity), .. })) => {
                // Close to the end of its epochs, sometimes.
                let identity = ProducerIdentity { epoch: identity.epoch, ..identity };
                self.core.handle_identity(self.now, Ok(identity));
            }
            _ => self.at(5_000, Event::Identity),
        }
    }

    fn pump(&mut self) -> Result<(), String> {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Complete { ticket, first, count, outcome, .. } => {
                    self.complete(ticket, first, count, &outcome)?
                }
                Action::Hint { topic, partition, leader, nodes } => {
                    if self.cache.handle_hint(&topic, partition, leader, &nodes) {
                        self.core.handle_metadata(self.now, &self.cache.snapshot());
                    }
                }
                Action::InitProducerId => self.at(700, Event::Identity),
                Action::RefreshMetadata(_) => self.refresh(),
                Action::Release { .. } => {}
                Action::Seal { key, id, closed } => {
                    let wait = self.rng.u64(0..200);
                    self.at(wait, Event::Sealed { key, id, closed: Some(closed) });
                }
                Action::Send { broker, request, entries } => self.send(broker, request, entries)?,
                Action::Split { key, id, sealed, parts } => {
                    let parts = sealed.split(&ottla::codec::Codecs::default(), parts).expect("what was sealed");
                    self.core.handle_split(self.now, key, id, Ok(parts));
                }
            }
        }
        if let Some(at) = self.core.poll_timeout() {
            let wait = at.saturating_duration_since(self.now);
            self.at(u64::try_from(wait.as_micros()).expect("short") + 1, Event::Timer);
        }
        Ok(())
    }

    fn send(&mut self, broker: i32, tag: u64, mut entries: Vec<Entry>) -> Result<(), String> {
        for entry in &mut entries {
            let count = self.in_flight.entry(entry.partition).or_default();
            *count += 1;
            if *count > 5 {
                return Err(format!("{count} batches in flight for partition {}", entry.partition));
            }
            if self.plant == Plant::FreshSequenceOnRetry {
                let next = self.fresh.entry(entry.partition).or_insert(Sequence::ZERO);
                if let Some((_, sequence)) = &mut entry.stamp.identity {
                    *sequence = *next;
                }
                *next = next.advance(entry.batch.count());
            }
        }
        self.sent.insert(tag, entries.iter().map(|entry| (entry.partition, entry.batch.count())).collect());
        let partition = |entry: Entry| m::ProducePartition {
            index: entry.partition,
            records: Some(m::Payload {
                head: Bytes::copy_from_slice(&entry.batch.header(&entry.stamp)),
                body: entry.batch.into_body(),
            }),
        };
        let id = entries[0].id;
        let topic =
            m::ProduceTopic { name: TOPIC.into(), id, partitions: entries.into_iter().map(partition).collect() };
        let request = m::ProduceRequest { transactional_id: None, acks: -1, timeout_ms: 1_000, topics: vec![topic] };
        let next_link = &mut self.next_link;
        let link = self.links.entry(broker).or_insert_with(|| {
            *next_link += 1;
            let apis = Api::ALL.map(|api| (api.key(), api.versions().0, api.versions().1)).to_vec();
            let versions = Versions::agree(&m::ApiVersionsResponse { apis, ..Default::default() });
            Link { number: *next_link, pipeline: Pipeline::new("sim".into(), versions, 5) }
        });
        link.pipeline.submit(Request::Produce(request), self.now + Duration::from_secs(1), tag);
        self.write(broker);
        Ok(())
    }

    fn write(&mut self, broker: i32) {
        loop {
            let Some(link) = self.links.get_mut(&broker) else { return };
            let number = link.number;
            let Some(write) = link.pipeline.poll_write(self.now) else { return };
            let Write::Frame(parts, _) = write else { panic!("the mock speaks what we do") };
            let frame = Bytes::from(parts.into_iter().flatten().collect::<Vec<u8>>());
            let wait = self.rng.u64(50..2_000);
            // A request can be lost on its way; the connection is then lost too.
            if self.faults && self.rng.u8(..25) == 0 {
                self.at(wait, Event::Cut { link: number, broker });
            } else {
                self.at(wait, Event::Arrive { link: number, broker, frame });
            }
        }
    }

    fn is_current(&self, link: u64, broker: i32) -> bool {
        self.links.get(&broker).is_some_and(|current| current.number == link)
    }

    fn arrive(&mut self, link: u64, broker: i32, frame: Bytes) {
        if !self.is_current(link, broker) || !self.mock.is_up(broker) {
            return self.cut(link, broker);
        }
        let outcome = self.mock.handle(self.now, 1, broker, link, frame);
        let mock::Outcome::Reply(answer) = outcome else { return self.cut(link, broker) };
        let wait = self.rng.u64(50..3_000);
        // The broker did it, and its answer is lost.
        if self.faults && self.rng.u8(..25) == 0 {
            self.at(wait, Event::Cut { link, broker });
        } else {
            self.at(wait, Event::Answer { link, broker, frame: answer });
        }
    }

    fn answer(&mut self, link: u64, broker: i32, mut frame: Bytes) -> Result<(), String> {
        if !self.is_current(link, broker) {
            return Ok(());
        }
        frame.advance(4);
        let pipeline = &mut self.links.get_mut(&broker).expect("it is current").pipeline;
        // Answers can overtake each other here; on a real connection they cannot, so the order of requests decides.
        let (tag, response) = match pipeline.handle_frame(self.now, frame) {
            Ok(answered) => answered,
            Err((tag, _)) => {
                self.cut(link, broker);
                if let Some(tag) = tag {
                    self.landed(tag);
                }
                return Ok(());
            }
        };
        let Response::Produce(response) = response else { return Err("an answer to another question".into()) };
        self.landed(tag);
        self.core.handle_response(self.now, tag, &Ok(response));
        self.write(broker);
        Ok(())
    }

    fn landed(&mut self, tag: u64) {
        for (partition, _) in self.sent.remove(&tag).unwrap_or_default() {
            *self.in_flight.get_mut(&partition).expect("it was sent") -= 1;
        }
    }

    fn cut(&mut self, link: u64, broker: i32) {
        if !self.is_current(link, broker) {
            return;
        }
        let mut link = self.links.remove(&broker).expect("it is current");
        self.mock.disconnect(link.number);
        for (tag, error) in link.pipeline.lost() {
            let entries = self.sent.get(&tag).cloned().unwrap_or_default();
            self.landed(tag);
            let answer = match self.plant {
                Plant::SuccessAfterCut => {
                    let partition = |(index, _)| m::ProducedPartition { index, base_offset: -1, ..Default::default() };
                    let topic = m::ProducedTopic {
                        name: TOPIC.into(),
                        partitions: entries.into_iter().map(partition).collect(),
                        ..Default::default()
                    };
                    Ok(m::ProduceResponse { topics: vec![topic], ..Default::default() })
                }
                Plant::Nothing | Plant::FreshSequenceOnRetry | Plant::CutMeansNotWritten => Err(error),
            };
            self.core.handle_response(self.now, tag, &answer);
        }
    }

    fn complete(&mut self, ticket: u64, first: u32, count: u32, outcome: &Outcome) -> Result<(), String> {
        let (partition, values) = self.tickets.get(&ticket).cloned().ok_or("a ticket that nobody was given")?;
        for index in first..first + count {
            let value = values[index as usize];
            let said = match outcome {
                Outcome::Acknowledged { base_offset, .. } => {
                    Said::Acknowledged(partition, base_offset.map(|base| base + i64::from(index - first)))
                }
                Outcome::Failed(_) if self.plant == Plant::CutMeansNotWritten => Said::Written(Written::No),
                Outcome::Failed(error) => Said::Written(error.is_written().ok_or("a failure that does not say")?),
            };
            if let Some(before) = self.decided.insert(value, said) {
                return Err(format!("record {value} was decided twice: {before:?}, then {said:?}"));
            }
        }
        Ok(())
    }

    /// Holds what was said against the logs.
    fn judge(&mut self) -> Result<(), String> {
        let mut places: BTreeMap<u64, (i32, i64)> = BTreeMap::new();
        for partition in 0..PARTITIONS {
            let mut last = None;
            for record in self.mock.log(TOPIC, partition) {
                let text = record.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned());
                let value: u64 = text.and_then(|text| text.parse().ok()).ok_or("a record that nobody sent")?;
                if let Some(before) = places.insert(value, (partition, record.offset)) {
                    return Err(format!(
                        "record {value} is in the log twice: {before:?} and {:?}",
                        (partition, record.offset)
                    ));
                }
                if last.is_some_and(|last| last > value) {
                    return Err(format!("record {value} is behind a later one in partition {partition}"));
                }
                last = Some(value);
            }
        }
        for (value, said) in &self.decided {
            let place = places.get(value);
            match said {
                Said::Acknowledged(partition, offset) => {
                    let there = place.ok_or(format!("record {value} was acknowledged and is not in the log"))?;
                    if there.0 != *partition || offset.is_some_and(|offset| offset != there.1) {
                        return Err(format!("record {value} was said to be at {said:?} and is at {there:?}"));
                    }
                }
                Said::Written(Written::No) if place.is_some() => {
                    return Err(format!("record {value} was said not to be written and is at {place:?}"));
                }
                Said::Written(_) => {}
            }
        }
        let known: BTreeSet<u64> = self.decided.keys().copied().collect();
        if places.keys().any(|value| !known.contains(value)) {
            return Err("a record is in the log that was never decided".into());
        }
        Ok(())
    }
}
