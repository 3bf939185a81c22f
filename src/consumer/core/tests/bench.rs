//! Runs the core by a script: steps on one side, its requests and the records it returns on the other.
//!
//! Partitions of the one topic are `t0`, `t1`, …; a fetch is printed as `fetch n1 s7/2 t0@5 -t1` (broker, session id and
//! epoch, partitions with their offsets, forgotten ones; over the second connection, `n1b`), records as `t0 5 6 7`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::*;
use crate::codec::Codecs;
use crate::metadata::Cache;
use crate::record::BatchBuilder;
use crate::record::RecordRef;
use crate::record::Stamp;
use crate::types::LeaderEpoch;
use crate::types::ProducerIdentity;
use crate::types::Sequence;
use crate::wire::message as m;

const ID: TopicId = TopicId([9; 16]);

pub(super) fn check(script: &str, expected: &str) {
    check_with(Config { start: Start::Offset(5), ..Config::default() }, script, expected);
}

#[track_caller]
pub(super) fn check_with(config: Config, script: &str, expected: &str) {
    let mut bench = Bench::new(config);
    bench.run(script);
    let lines = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&bench.log), lines(expected), "\nscript: {script}");
}

pub(super) struct Bench {
    held: Option<Taken>,
    core: ConsumerCore,
    cache: Cache,
    now: Instant,
    log: String,
    /// Tags of open requests: of fetches by broker, of the rest by name.
    open: BTreeMap<String, VecDeque<u64>>,
    /// The frame of the last response, of which records are slices.
    frame: Bytes,
    /// Fetch requests that were not looked at yet.
    asked: Vec<FetchRequest>,
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        let log = String::new();
        let (open, frame) = (BTreeMap::new(), Bytes::new());
        Self {
            held: None,
            core: ConsumerCore::new(config),
            cache: Cache::default(),
            now,
            log,
            open,
            frame,
            asked: Vec::new(),
        }
    }

    pub(super) fn run(&mut self, script: &str) {
        for step in script.split(['|', '\n']).map(str::trim).filter(|step| !step.is_empty()) {
            self.step(step);
            self.act();
            self.core.check_schedule();
        }
    }

    /// Sets the wall clock, in milliseconds since 1970.
    pub(super) fn set_clock(&mut self, unix_ms: i64) {
        self.core.handle_clock(self.now, unix_ms);
    }

    /// The requests, and everything that was returned.
    pub(super) fn log(&self) -> &str {
        &self.log
    }

    /// The fetch requests since the last call.
    pub(super) fn fetches(&mut self) -> Vec<FetchRequest> {
        std::mem::take(&mut self.asked)
    }

    pub(super) fn core(&self) -> &ConsumerCore {
        &self.core
    }

    /// The error that is returned next.
    pub(super) fn next_error(&mut self) -> Error {
        match self.core.next() {
            Some(Next::Error(error)) => error,
            other => panic!("no error but {other:?}"),
        }
    }

    /// As the step `meta`, but everything that was known before is forgotten, so that a topic can have fewer partitions.
    pub(super) fn fewer_partitions(&mut self, step: &str) {
        self.cache = Cache::default();
        self.run(step);
    }

    fn step(&mut self, step: &str) {
        let mut words = step.split_whitespace();
        let verb = words.next().expect("a step has a verb");
        let words: Vec<&str> = words.collect();
        let key = |word: &str| TopicPartition::new("t", word[1..].parse().expect("t0, t1, …"));
        let now = self.now;
        match verb {
            "assign" if words == ["t"] => self.core.assign_topics(now, ["t".into()]),
            "assign" => self.core.assign_partitions(now, words.into_iter().map(key)),
            "close" => self.core.close(),
            "epoch" => self.epoch(&words),
            "fail" => self.answer(words[0], Err(Error::new(Kind::Connect, "gone"))),
            "fetched" => self.fetched(&words),
            "finished" => writeln!(self.log, "finished {}", self.core.is_finished()).expect("a string takes all"),
            "list" => self.list(&words),
            "meta" => self.meta(&words),
            "pause" => drop(self.core.pause(now, &key(words[0]))),
            "pinned" => writeln!(self.log, "pinned {}", !self.frame.is_unique()).expect("a string takes all"),
            "position" => {
                let offset = self.core.position(&key(words[0])).map(|position| position.offset);
                writeln!(self.log, "position {offset:?}").expect("a string takes all");
            }
            "refuse" => {
                let error = Code::from_wire(words[1].parse().expect("a code"));
                let response = m::FetchResponse { error, ..m::FetchResponse::default() };
                self.answer(words[0], Ok(Response::Fetch(response)));
            }
            // All of them are late.
            "late" => {
                let keys = words.into_iter().map(key).collect();
                self.core.replace_assignment_and_begin(now, &keys, |_| true);
            }
            "replace" => self.core.replace_assignment(now, &words.into_iter().map(key).collect()),
            "revoke" => self.core.revoke(now, &words.into_iter().map(key).collect::<Vec<_>>()),
            "resume" => drop(self.core.resume(now, &key(words[0]))),
            "seek" => {
                let start = Start::Offset(words[1].parse().expect("an offset"));
                assert!(self.core.seek(now, &key(words[0]), &start), "{step}");
            }
            "stored" => self.stored(&words),
            "hold" => match self.core.next() {
                Some(Next::Chunk(taken)) => self.held = Some(taken),
                other => panic!("there is no chunk to hold but {other:?}"),
            },
            "read" => {
                let taken = self.held.take().expect("something is held");
                let line = self.read(taken);
                writeln!(self.log, "{line}").expect("a string takes all");
            }
            "part" => self.part(),
            "take" => while self.take() {},
            "unsupported" => self.answer(words[0], Err(Error::new(Kind::Unsupported, "too old"))),
            "wait" => {
                self.now += Duration::from_millis(words[0].parse().expect("milliseconds"));
                // As the driver does: it sleeps until the timeout.
                if self.core.poll_timeout().is_some_and(|at| at <= self.now) {
                    self.core.handle_timeout(self.now);
                }
            }
            other => panic!("no step is called {other}"),
        }
    }

    /// `meta t0=1e5 t1=-`: leaders and their epochs; `meta id=8 …` of a topic that was recreated; `meta error=5` where a broker
    /// answers with an error only; `meta n4 …` where a fourth broker is there.
    fn meta(&mut self, mut words: &[&str]) {
        let node = |id| m::Node { id, host: "h".into(), port: 9092, rack: None };
        let mut topic = m::MetadataTopic { name: "t".into(), id: ID, ..m::MetadataTopic::default() };
        if let [first, rest @ ..] = words
            && let Some(id) = first.strip_prefix("id=")
        {
            (topic.id, words) = (TopicId([id.parse().expect("a byte"); 16]), rest);
        }
        let mut brokers = vec![node(1), node(2), node(3)];
        if let [first, rest @ ..] = words
            && let Some(id) = first.strip_prefix('n')
        {
            brokers.push(node(id.parse().expect("a broker")));
            words = rest;
        }
        if let [error] = words
            && let Some(error) = error.strip_prefix("error=")
        {
            (topic.error, words) = (code_of(error), &[]);
        }
        for (index, word) in (0..).zip(words) {
            let (_, leader) = word.split_once('=').expect("t0=1e5");
            let (leader, epoch) = leader.split_once('e').unwrap_or(("-1", "0"));
            topic.partitions.push(m::MetadataPartition {
                index,
                leader: leader.parse().expect("a broker"),
                leader_epoch: LeaderEpoch::from_wire(epoch.parse().expect("an epoch")),
                ..m::MetadataPartition::default()
            });
        }
        let response = m::MetadataResponse { brokers, topics: vec![topic], ..m::MetadataResponse::default() };
        self.cache.handle_response(response);
        self.core.handle_metadata(self.now, self.cache.snapshot());
    }

    fn answer(&mut self, what: &str, response: Result<Response, Error>) {
        let tag = self.open.get_mut(what).and_then(VecDeque::pop_front);
        let tag = tag.unwrap_or_else(|| panic!("nothing is open for {what}\n{}", self.log));
        self.core.handle_response(self.now, tag, response);
    }

    /// `list t0=5e1 t1=!6`: answers the oldest open request for offsets.
    fn list(&mut self, words: &[&str]) {
        let partitions = words.iter().map(|word| {
            let (index, answer) = split(word, '=');
            if let Some(code) = answer.strip_prefix('!') {
                return m::ListedPartition { index, error: code_of(code), ..m::ListedPartition::default() };
            }
            let (offset, leader_epoch) = offset_epoch(answer);
            m::ListedPartition { index, offset, leader_epoch, ..m::ListedPartition::default() }
        });
        let topics = vec![m::ListedTopic { name: "t".into(), partitions: partitions.collect() }];
        let response = m::ListOffsetsResponse { throttle_time_ms: 0, topics };
        self.answer("list", Ok(Response::ListOffsets(response)));
    }

    /// `epoch t0=5e1`: the end offset and the epoch it is of; `t0=-1` where there is none.
    fn epoch(&mut self, words: &[&str]) {
        let partitions = words.iter().map(|word| {
            let (index, answer) = split(word, '=');
            let (end_offset, leader_epoch) = offset_epoch(answer);
            m::EpochEnd { index, error: None, leader_epoch, end_offset }
        });
        let topics = vec![m::EpochEndTopic { name: "t".into(), partitions: partitions.collect() }];
        let response = m::OffsetForLeaderEpochResponse { throttle_time_ms: 0, topics };
        self.answer("epoch", Ok(Response::OffsetForLeaderEpoch(response)));
    }

    /// `stored t0=5e1 t1=-1`: committed offsets. `stored !113`: the group is refused.
    fn stored(&mut self, words: &[&str]) {
        let refused = words.iter().find_map(|word| word.strip_prefix('!'));
        let error = refused.and_then(|code| Code::from_wire(code.parse().expect("a code")));
        let words = if error.is_some() { &[] } else { words };
        let partitions = words.iter().map(|word| {
            let (index, answer) = split(word, '=');
            let (offset, leader_epoch) = offset_epoch(answer);
            m::FetchedOffset { index, offset, leader_epoch, ..m::FetchedOffset::default() }
        });
        let topics = vec![m::FetchedOffsets { name: "t".into(), id: ID, partitions: partitions.collect() }];
        let groups = vec![m::FetchedGroup { group: "g".into(), error, topics: topics.into() }];
        let response = m::OffsetFetchResponse { throttle_time_ms: 0, groups };
        self.answer("stored", Ok(Response::OffsetFetch(response)));
    }

    /// `fetched n1 s7 t0:5+3,8+1;hw=9`: batches of offset and count, and how far the partition goes. Before them may stand
    /// `id=8`, the topic's, and `throttle=500`.
    fn fetched(&mut self, words: &[&str]) {
        let mut response = m::FetchResponse::default();
        let mut topic = m::FetchedTopic { name: TopicName::default(), id: ID, partitions: Vec::new() };
        for word in &words[1..] {
            match word.split_once('=') {
                Some(("id", id)) => topic.id = TopicId([id.parse().expect("a byte"); 16]),
                Some(("throttle", wait)) => response.throttle_time_ms = wait.parse().expect("milliseconds"),
                _ => match word.strip_prefix('s') {
                    Some(session) => response.session_id = session.parse().expect("a session"),
                    None => topic.partitions.push(fetched_partition(word)),
                },
            }
        }
        self.share_frame(&mut topic.partitions);
        if !topic.partitions.is_empty() {
            response.topics.push(topic);
        }
        self.answer(words[0], Ok(Response::Fetch(response)));
    }

    /// Makes the records slices of one frame, as a connection gives them.
    fn share_frame(&mut self, partitions: &mut [m::FetchedPartition]) {
        let whole: Vec<u8> =
            partitions.iter().filter_map(|partition| partition.records.as_deref()).flatten().copied().collect();
        self.frame = whole.into();
        let mut rest = self.frame.clone();
        for records in partitions.iter_mut().filter_map(|partition| partition.records.as_mut()) {
            *records = rest.split_to(records.len());
        }
    }

    /// Takes what is returned next, and reads it whole.
    fn take(&mut self) -> bool {
        let line = match self.core.next() {
            None => return false,
            Some(Next::End(key, offset)) => format!("end t{} @{offset}", key.partition),
            Some(Next::Reset(reset)) => format!("reset t{} {}->{}", reset.partition, reset.from, reset.to),
            Some(Next::Error(error)) => {
                let partition = error.partition().map_or("-".to_owned(), |partition| format!("t{partition}"));
                let text = error.to_string();
                let range = text.split_once("which is ").and_then(|(_, rest)| rest.split_once(','));
                let range = range.map_or(String::new(), |(range, _)| format!(" {range}"));
                format!("error {partition} {:?} @{:?}{range}", error.kind(), error.offset())
            }
            Some(Next::Chunk(taken)) => self.read(taken),
        };
        writeln!(self.log, "{line}").expect("a string takes all");
        self.core.handle_capacity(self.now);
        true
    }

    /// Takes a chunk, reads no more than a batch of it, and gives it back.
    fn part(&mut self) {
        let Some(Next::Chunk(mut taken)) = self.core.next() else { panic!("there is nothing to read\n{}", self.log) };
        let read = taken.chunk.read(&Codecs::default(), 1 << 20, Vec::new).expect("a good batch");
        let count = read.map_or(0, |visible| visible.decoded.iter().count());
        writeln!(self.log, "{count} of t{}", taken.partition).expect("a string takes all");
        self.core.give_back(taken);
        self.core.handle_capacity(self.now);
    }

    fn read(&mut self, mut taken: Taken) -> String {
        let mut line = format!("t{}", taken.partition);
        loop {
            match taken.chunk.read(&Codecs::default(), 1 << 20, Vec::new) {
                Ok(None) => break,
                Ok(Some(Visible { decoded, from, until })) => {
                    let offsets = decoded.iter().map(|record| record.offset);
                    for offset in offsets.filter(|offset| (from..until).contains(offset)) {
                        write!(line, " {offset}").expect("a string takes all");
                    }
                }
                Err(unreadable) => {
                    return match self.core.unreadable(self.now, taken, unreadable) {
                        Some(error) => format!("{line} then {:?} @{:?}", error.kind(), error.offset()),
                        None => format!("{line} overtaken"),
                    };
                }
            }
        }
        match self.core.give_back(taken) {
            Returned::Delivered { end: Some((_, offset)) } => format!("{line} end @{offset}"),
            Returned::Delivered { end: None } => line,
            Returned::Overtaken => format!("{line} overtaken"),
        }
    }

    fn act(&mut self) {
        while let Some(action) = self.core.poll_action() {
            if let Action::Fetch { request, .. } = &action {
                self.asked.push(request.clone());
            }
            let (line, open) = describe(action);
            writeln!(self.log, "{line}").expect("a string takes all");
            if let Some((what, tag)) = open {
                self.open.entry(what).or_default().push_back(tag);
            }
        }
    }
}

fn describe(action: Action) -> (String, Option<(String, u64)>) {
    match action {
        Action::EpochEnd { node, tag, request } => {
            let asked = |p: &m::EpochPartition| format!(" t{}@e{}", p.index, LeaderEpoch::to_wire(p.leader_epoch));
            let asked = request.topics.iter().flat_map(|topic| &topic.partitions).map(asked);
            (format!("epoch n{node}{}", asked.collect::<String>()), Some(("epoch".into(), tag)))
        }
        Action::Fetch { node, connection, tag, request } => {
            let name = format!("n{node}{}", ["", "b"][connection]);
            let mut line = format!("fetch {name} s{}/{}", request.session_id, request.session_epoch);
            if !request.rack.is_empty() {
                write!(line, " rack={}", request.rack).expect("a string takes all");
            }
            for partition in request.topics.iter().flat_map(|topic| &topic.partitions) {
                write!(line, " t{}@{}", partition.index, partition.fetch_offset).expect("a string takes all");
                if partition.partition_max_bytes != Config::default().partition_fetch_bytes_max {
                    write!(line, " max={}", partition.partition_max_bytes).expect("a string takes all");
                }
            }
            for partition in request.forgotten.iter().flat_map(|topic| &topic.partitions) {
                write!(line, " -t{partition}").expect("a string takes all");
            }
            (line, Some((name, tag)))
        }
        Action::Hint { partition, leader, .. } => (format!("hint t{partition} n{} e{}", leader.id, leader.epoch), None),
        Action::ListOffsets { node, tag, request } => {
            let asked = |p: &m::ListOffsetsPartition| format!(" t{}={}", p.index, p.timestamp);
            let asked = request.topics.iter().flat_map(|topic| &topic.partitions).map(asked);
            (format!("list n{node}{}", asked.collect::<String>()), Some(("list".into(), tag)))
        }
        Action::OffsetFetch { tag, request } => {
            let topics = request.groups[0].topics.iter().flatten();
            let asked = topics.flat_map(|topic| &topic.partitions).map(|index| format!(" t{index}"));
            (format!("stored{}", asked.collect::<String>()), Some(("stored".into(), tag)))
        }
        Action::RefreshMetadata { topics } => {
            (format!("refresh {}", topics.iter().map(|topic| &**topic).collect::<String>()), None)
        }
    }
}

fn split(word: &str, at: char) -> (i32, &str) {
    let (partition, rest) = word[1..].split_once(at).expect("t0 and something");
    (partition.parse().expect("t0, t1, …"), rest)
}

fn offset_epoch(text: &str) -> (i64, Option<LeaderEpoch>) {
    let (offset, epoch) = text.split_once('e').unwrap_or((text, "-1"));
    (offset.parse().expect("an offset"), LeaderEpoch::from_wire(epoch.parse().expect("an epoch")))
}

fn code_of(text: &str) -> Option<Code> {
    Code::from_wire(text.parse().expect("a code"))
}

/// `t0:BATCHES;hw=9;lso=7;abort=7@5;pref=2;leads=2e6`, with `-` for no batches and `!6` for an error.
fn fetched_partition(word: &str) -> m::FetchedPartition {
    let (index, rest) = split(word, ':');
    let mut parts = rest.split(';');
    let mut answer =
        m::FetchedPartition { index, last_stable_offset: -1, preferred_read_replica: -1, ..Default::default() };
    let batches = parts.next().expect("split gives one");
    match batches.strip_prefix('!') {
        Some(code) => answer.error = code_of(code),
        None if batches == "-" => {}
        None => answer.records = Some(batches.split(',').flat_map(batch).collect()),
    }
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        let number = || value.parse().expect("a number");
        match name {
            "abort" => {
                let (producer, first) = value.split_once('@').expect("producer@offset");
                let transaction = (producer.parse().expect("an id"), first.parse().expect("an offset"));
                answer.aborted.get_or_insert_default().push(transaction);
            }
            "hw" => answer.high_watermark = number(),
            "leads" => {
                let (id, epoch) = value.split_once('e').expect("2e6");
                let (id, epoch) = (id.parse().expect("a broker"), epoch.parse().expect("an epoch"));
                answer.current_leader = Some(Leader { id, epoch });
            }
            "lso" => answer.last_stable_offset = number(),
            "pref" => answer.preferred_read_replica = value.parse().expect("a broker"),
            other => panic!("a fetched partition has no {other}"),
        }
    }
    answer
}

/// `5+3` three records from 5 on; `5+3x7` of a transaction of producer 7; `5+3~` cut short, `5+3~900` that
/// claims this length; `5+3!` of a length that no batch has; `8A7` and `8C7` the marker of
/// producer 7; any with `?` behind corrupt; `5+2_9` the rest that compaction left of a batch whose last offset was 9.
pub(super) fn batch(text: &str) -> Vec<u8> {
    if let Some(good) = text.strip_suffix('?') {
        let mut bytes = batch(good);
        *bytes.last_mut().expect("it has records") ^= 1;
        return bytes;
    }
    if let Some(good) = text.strip_suffix('!') {
        let mut bytes = batch(good);
        bytes[8..12].copy_from_slice(&1_i32.to_be_bytes());
        return bytes;
    }
    if let Some((left, length)) = text.split_once('~')
        && let Ok(length) = length.parse::<i32>()
    {
        let mut bytes = batch(&format!("{left}~"));
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        return bytes;
    }
    if let Some((left, last)) = text.split_once('_') {
        return compacted(batch(left), last.parse().expect("an offset"));
    }
    if let Some((offset, producer)) = text.split_once(['A', 'C']) {
        return marker(text.contains('C'), offset, producer);
    }
    let (offset, rest) = text.split_once('+').expect("offset+count");
    let is_cut = rest.ends_with('~');
    let (count, producer) = match rest.trim_end_matches('~').split_once('x') {
        Some((count, producer)) => (count, Some(producer.parse().expect("a producer"))),
        None => (rest.trim_end_matches('~'), None),
    };
    let mut builder = BatchBuilder::new(Vec::new());
    for _ in 0..count.parse().expect("a count") {
        builder.append(&RecordRef { timestamp: 1, value: Some(b"value"), ..RecordRef::default() });
    }
    let mut bytes = sealed(builder, producer, offset);
    if is_cut {
        bytes.truncate(40);
    }
    bytes
}

fn sealed(builder: BatchBuilder, producer: Option<i64>, offset: &str) -> Vec<u8> {
    let identity = producer.map(|id| (ProducerIdentity { id, epoch: 0 }, Sequence::ZERO));
    let (batch, _) = builder.close().seal(None).expect("nothing is compressed");
    let stamp = Stamp { identity, transactional: producer.is_some() };
    let mut bytes = Vec::from(batch.to_bytes(&stamp));
    let offset: i64 = offset.parse().expect("an offset");
    bytes[..8].copy_from_slice(&offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&5_i32.to_be_bytes());
    bytes
}

fn compacted(mut bytes: Vec<u8>, last: i64) -> Vec<u8> {
    let base = i64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
    let delta = i32::try_from(last - base).expect("a small number");
    bytes[23..27].copy_from_slice(&delta.to_be_bytes());
    hashed(bytes)
}

fn hashed(mut bytes: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

fn marker(commits: bool, offset: &str, producer: &str) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new());
    let key = [0, 0, 0, u8::from(commits)];
    builder.append(&RecordRef { timestamp: 1, key: Some(&key), value: Some(&[0; 6]), headers: &[] });
    let mut bytes = sealed(builder, Some(producer.parse().expect("a producer")), offset);
    bytes[22] |= 0x20;
    hashed(bytes)
}
