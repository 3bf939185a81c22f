//! Runs the machine by a script: calls and responses on one side, its requests, steps and errors on the other.
//!
//! Partitions of topic `a` are `a0`, `a1`, …; the id of a topic is made of its name. A heartbeat is printed with its epoch and with the
//! fields that it carries: `full` where it says everything. A step is printed once, when it begins.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::*;
use crate::error::Error;
use crate::error::Kind;
use crate::group::tests::code_of;
use crate::group::tests::keys;
use crate::group::tests::rejection;
use crate::metadata::Cache;
use crate::wire::message as m;

const INTERVAL_MS: i32 = 5_000;

pub(super) fn settings() -> Settings {
    Settings {
        group: "g".into(),
        instance: None,
        rack: String::new(),
        assignor: None,
        poll_interval_max: Duration::from_secs(300),
        request_timeout: Duration::from_secs(30),
        retry_backoff: Duration::from_millis(100),
        retry_backoff_max: Duration::from_secs(1),
        seed: 1,
    }
}

#[track_caller]
pub(super) fn check(script: &str, expected: &str) {
    check_with(settings(), script, expected);
}

#[track_caller]
pub(super) fn check_with(settings: Settings, script: &str, expected: &str) {
    let mut bench = Bench::new(settings);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        bench.run(line);
    }
    let lines = |text: &str| text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
    assert_eq!(lines(&bench.log), lines(expected), "\nscript: {script}");
}

pub(super) struct Bench {
    pub(super) member: Modern,
    cache: Cache,
    counts: BTreeMap<String, i32>,
    now: Instant,
    begun: Instant,
    /// The tag of the last request of each kind.
    tags: BTreeMap<&'static str, u64>,
    pub(super) requests: Vec<ConsumerGroupHeartbeatRequest>,
    log: String,
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        let begun = crate::net::clock::now();
        Self {
            member: Modern::new(settings),
            cache: Cache::default(),
            counts: BTreeMap::new(),
            now: begun,
            begun,
            tags: BTreeMap::new(),
            requests: Vec::new(),
            log: String::new(),
        }
    }

    /// Takes one line of a script: `subscribe a b`, `match REGEX`, `meta a=3 b=1`, `forget a`, `beaten 5` (epoch 5, no new assignment), `beaten 5 a0 a1`,
    /// `beaten 5 nothing`, `left`, `X refused CODE` and `X lost` for X of beat and leave, `commit refused CODE`, `done`, `poll`,
    /// `wait 5000`, `leave`, `leave even static`, `stay`.
    pub(super) fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["subscribe", ..] => {
                self.member.subscribe(self.now, words[1..].iter().map(|topic| TopicName::from(*topic)).collect());
            }
            ["match", regex] => self.member.subscribe_regex(self.now, regex.into()),
            ["meta", ..] => self.metadata(&words[1..]),
            ["forget", topic] => {
                self.cache.remove_topics(&[TopicName::from(topic)]);
                self.member.handle_metadata(self.now, self.cache.snapshot());
            }
            ["beaten", epoch, ..] => self.beaten(epoch, &words[2..]),
            ["left"] => self.answer("leave", Ok(m::ConsumerGroupHeartbeatResponse::default())),
            ["commit", "refused", code] => {
                let identity = self.member.standing().identity().clone();
                self.member.handle_refusal(self.now, code_of(code), &identity);
            }
            [what, "refused", code] => {
                let error = Some(code_of(code));
                let response = m::ConsumerGroupHeartbeatResponse { error, ..Default::default() };
                self.answer(what, Ok(response));
            }
            [what, "lost"] => self.answer(what, Err(Error::new(Kind::Connect, "the connection was lost"))),
            [what, "rejected"] => {
                self.answer(what, Err(rejection()));
            }
            [what, "garbled"] => self.answer(what, Err(Error::new(Kind::Protocol, "it cannot be read"))),
            [what, "unsupported"] => self.answer(what, Err(Error::new(Kind::Unsupported, "too old"))),
            ["done"] => self.member.handle_step_done(self.now),
            ["poll"] => self.member.handle_poll(self.now),
            ["wait", millis] => self.wait(millis.parse().expect("milliseconds")),
            ["stay"] => self.member.stay(self.now),
            ["leave"] => self.member.leave(self.now, false, "closed"),
            ["leave", "even", "static"] => self.member.leave(self.now, true, "closed"),
            _ => panic!("there is no step {line}"),
        }
        self.collect();
    }

    fn metadata(&mut self, words: &[&str]) {
        for word in words {
            let (topic, count) = word.split_once('=').expect("topic=count");
            self.counts.insert(topic.to_owned(), count.parse().expect("a count"));
        }
        let topic = |(name, count): (&String, &i32)| m::MetadataTopic {
            name: name.as_str().into(),
            id: id(name),
            partitions: (0..*count)
                .map(|index| m::MetadataPartition { index, leader: 1, ..m::MetadataPartition::default() })
                .collect(),
            ..m::MetadataTopic::default()
        };
        let brokers = vec![m::Node { id: 1, host: "h".into(), port: 1, rack: None }];
        let topics = self.counts.iter().map(topic).collect();
        self.cache.handle_response(m::MetadataResponse { brokers, topics, ..m::MetadataResponse::default() });
        self.member.handle_metadata(self.now, self.cache.snapshot());
    }

    fn beaten(&mut self, epoch: &str, assigned: &[&str]) {
        let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for key in assigned.iter().filter(|word| **word != "nothing") {
            let (topic, partition) = key.split_at(1);
            topics.entry(topic).or_default().push(partition.parse().expect("a partition"));
        }
        let entry = |(name, partitions): (&str, Vec<i32>)| m::TopicIdPartitions { id: id(name), partitions };
        let assignment = m::TargetAssignment { topics: topics.into_iter().map(entry).collect() };
        let response = m::ConsumerGroupHeartbeatResponse {
            epoch: epoch.parse().expect("an epoch"),
            heartbeat_interval_ms: INTERVAL_MS,
            assignment: (!assigned.is_empty()).then_some(assignment),
            ..Default::default()
        };
        self.answer("beat", Ok(response));
    }

    pub(super) fn answer(&mut self, what: &str, response: Result<m::ConsumerGroupHeartbeatResponse, Error>) {
        let tag = self.tags[what];
        self.member.handle_heartbeat(self.now, tag, response);
    }

    /// Lets time pass, in steps that the machine asks for.
    fn wait(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        let mut steps = 0;
        assert!(self.member.poll_timeout().is_none_or(|at| at > self.now), "what is due is done at once");
        while let Some(at) = self.member.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.member.handle_timeout(self.now);
            self.collect();
            steps += 1;
            assert!(steps < 1_000, "the machine asks for the same time again and again");
        }
        self.now = until;
        self.member.handle_timeout(self.now);
    }

    fn collect(&mut self) {
        while self.member.has_actions() {
            let action = self.member.poll_action().expect("an action");
            self.print(action);
        }
        assert!(self.member.poll_action().is_none());
        if self.member.has_step() {
            let step = self.member.step().expect("a step");
            self.print_step(&step);
        }
        if self.member.standing.failure.is_none() {
            while let Some(error) = self.member.standing_mut().poll_error() {
                writeln!(self.log, "error {:?}", error.kind()).expect("a string");
            }
        }
    }

    fn print(&mut self, action: Action) {
        if let Action::Heartbeat { deadline, .. } | Action::Leave { deadline, .. } = &action {
            assert!(*deadline > self.now, "{action:?} has no time");
        }
        let at = self.now.duration_since(self.begun).as_millis();
        let names = |topics: &BTreeSet<TopicName>| topics.iter().map(|topic| &**topic).collect::<Vec<_>>().join(",");
        let line = match action {
            Action::Heartbeat { tag, request, .. } => {
                self.tags.insert("beat", tag);
                let mut line = format!("beat e{}", request.epoch);
                if request.rebalance_timeout_ms >= 0 {
                    line.push_str(" full");
                }
                if let Some(topics) = &request.topics {
                    line.push_str(&format!(" topics {}", names(&topics.iter().cloned().collect())));
                }
                if let Some(regex) = &request.regex {
                    line.push_str(&format!(" regex {regex:?}"));
                }
                if let Some(owned) = &request.owned {
                    line.push_str(&format!(" owned{}", ids(owned)));
                }
                self.requests.push(request);
                format!("{line} at {at}")
            }
            Action::Leave { tag, request, .. } => {
                self.tags.insert("leave", tag);
                let line = format!("leave e{}", request.epoch);
                self.requests.push(request);
                line
            }
            Action::ForgetCoordinator => "forget coordinator".to_owned(),
            Action::Follow { topics } => format!("follow {}", names(&topics)),
            Action::RefreshMetadata { topics } => format!("refresh {} at {at}", names(&topics)),
            Action::FindTopics { ids } => {
                format!("find {} at {at}", ids.iter().map(|id| char::from(id.0[0])).collect::<String>())
            }
        };
        writeln!(self.log, "{line}").expect("a string");
    }

    fn print_step(&mut self, step: &Step) {
        let log = &mut self.log;
        match step {
            Step::Revoke { partitions, why: Revocation::Moved } => writeln!(log, "revoke{}", keys(partitions)),
            Step::Revoke { partitions, why: Revocation::Lost } => writeln!(log, "lost{}", keys(partitions)),
            Step::Assign { partitions, added } => writeln!(log, "assign{} added{}", keys(partitions), keys(added)),
        }
        .expect("a string");
    }
}

fn id(name: &str) -> TopicId {
    let mut id = [0; 16];
    id[0] = name.as_bytes()[0];
    TopicId(id)
}

fn ids(topics: &[m::TopicIdPartitions]) -> String {
    let entry = |topic: &m::TopicIdPartitions| {
        let name = char::from(topic.id.0[0]);
        topic.partitions.iter().map(move |partition| format!(" {name}{partition}")).collect::<Vec<_>>()
    };
    if topics.is_empty() { " -".to_owned() } else { topics.iter().flat_map(entry).collect() }
}
