//! Runs the machine by a script: calls and responses on one side, its requests, steps and errors on the other.
//!
//! Partitions of topic `a` are `a0`, `a1`, …; the member owns them after `done`. Requests are printed as `join`, `sync`, `beat` and
//! `leave` with their generation and member id where they have one. A step is printed once, when it begins.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;

use super::super::*;
use crate::error::Code;
use crate::error::Error;
use crate::error::Kind;
use crate::group::assignor::CooperativeSticky;
use crate::group::assignor::Range;
use crate::group::tests::code_of;
use crate::group::tests::key;
use crate::group::tests::keys;
use crate::group::tests::rejection;
use crate::metadata::Cache;
use crate::wire::consumer_protocol::Assignment;
use crate::wire::consumer_protocol::Subscription;
use crate::wire::consumer_protocol::TopicPartitions;
use crate::wire::consumer_protocol::VERSION;
use crate::wire::message as m;

pub(super) fn settings() -> Settings {
    Settings {
        group: "g".into(),
        instance: None,
        rack: String::new(),
        assignors: vec![Arc::new(Range)],
        session_timeout: Duration::from_secs(45),
        heartbeat_interval: Duration::from_secs(3),
        poll_interval_max: Duration::from_secs(300),
        request_timeout: Duration::from_secs(30),
        retry_backoff: Duration::from_millis(100),
        retry_backoff_max: Duration::from_secs(1),
        seed: 1,
    }
}

/// Those of a member of which only partitions that move are revoked.
pub(super) fn cooperative() -> Settings {
    Settings { assignors: vec![Arc::new(CooperativeSticky)], ..settings() }
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
    pub(super) member: Classic,
    cache: Cache,
    counts: BTreeMap<String, i32>,
    /// By how much the replicas of partitions are shifted, where brokers and members have racks.
    racks: Option<i32>,
    is_away: bool,
    now: Instant,
    begun: Instant,
    /// The tag of the last request of each kind.
    tags: BTreeMap<&'static str, u64>,
    log: String,
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        let begun = crate::net::clock::now();
        Self {
            member: Classic::new(settings),
            cache: Cache::default(),
            counts: BTreeMap::new(),
            racks: None,
            is_away: false,
            now: begun,
            begun,
            tags: BTreeMap::new(),
            log: String::new(),
        }
    }

    /// Takes one line of a script: `subscribe a b`, `meta a=3 b=0 c=-5` (`b` does not exist, code 5 for `c`), `joined 1 m1 [leads m1:a
    /// m2:a,b@a0,a1]`, `synced a0 a1`, `beaten`, `left`, `X refused CODE [member]` and `X lost` for X of join, sync, beat and leave,
    /// `commit refused CODE`, `done`, `poll`, `wait 3000`, `leave`.
    pub(super) fn run(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            // The application does not poll until it is back.
            ["away"] => self.is_away = true,
            ["back"] => self.is_away = false,
            ["subscribe", ..] => {
                self.member.subscribe(self.now, words[1..].iter().map(|topic| TopicName::from(*topic)).collect());
            }
            ["meta", ..] => self.metadata(&words[1..]),
            // Three brokers and members 1 to 3 are in racks 1 to 3. The replica of partition i is in rack 1 + (i + shift) % 3.
            ["racks", shift] => {
                self.racks = Some(shift.parse().expect("a shift"));
                self.metadata(&[]);
            }
            ["joined", generation, member, ..] => self.joined(generation, member, &words[3..]),
            ["synced", ..] => {
                let partitions: Vec<TopicPartition> = words[1..].iter().copied().map(key).collect();
                let assignment = Assignment { partitions: TopicPartitions::group(&partitions), user_data: None };
                let response =
                    m::SyncGroupResponse { assignment: assignment.encode(VERSION), ..m::SyncGroupResponse::default() };
                let tag = self.tags["sync"];
                self.member.handle_synced(self.now, tag, Ok(response));
            }
            ["beaten"] => {
                let tag = self.tags["beat"];
                self.member.handle_heartbeat(self.now, tag, Ok(m::HeartbeatResponse::default()));
            }
            ["left"] => {
                let tag = self.tags["leave"];
                self.member.handle_left(tag, &Ok(m::LeaveGroupResponse::default()));
            }
            ["commit", "refused", code] => {
                let identity = self.member.standing().identity().clone();
                self.member.handle_refusal(self.now, code_of(code), &identity);
            }
            [what, "refused", code] => self.refused(what, code, ""),
            [what, "refused", code, member] => self.refused(what, code, member),
            [what, "lost"] => self.failed(what, Error::new(Kind::Connect, "the connection was lost")),
            [what, "rejected"] => {
                self.failed(what, rejection());
            }
            [what, "garbled"] => self.failed(what, Error::protocol("response 5 arrived where 4 was due")),
            ["done"] => {
                self.member.handle_step_done(self.now);
            }
            ["poll"] => self.member.handle_poll(self.now),
            ["wait", millis] => self.wait(millis.parse().expect("milliseconds")),
            ["leave"] => self.member.leave(self.now, false, "closed"),
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
            error: match *count {
                0 => Some(Code::UnknownTopicOrPartition),
                count => i16::try_from(-count).ok().filter(|code| *code > 0).and_then(Code::from_wire),
            },
            partitions: (0..*count)
                .map(|index| m::MetadataPartition {
                    index,
                    leader: 1,
                    replicas: self.racks.map(|shift| vec![1 + (index + shift) % 3]).unwrap_or_default(),
                    ..m::MetadataPartition::default()
                })
                .collect(),
            ..m::MetadataTopic::default()
        };
        let rack = |id| self.racks.map(|_| format!("{id}"));
        let brokers = (1..=3).map(|id| m::Node { id, host: "h".into(), port: 1, rack: rack(id) }).collect();
        let topics = self.counts.iter().map(topic).collect();
        self.cache.handle_response(m::MetadataResponse { brokers, topics, ..m::MetadataResponse::default() });
        self.member.handle_metadata(self.now, self.cache.snapshot());
    }

    fn joined(&mut self, generation: &str, member: &str, leads: &[&str]) {
        let subscribed = |word: &&str| {
            let (id, rest) = word.split_once(':').expect("member:topics");
            let (topics, owned) = rest.split_once('@').unwrap_or((rest, ""));
            let owned: Vec<TopicPartition> = owned.split(',').filter(|key| !key.is_empty()).map(key).collect();
            let subscription = Subscription {
                topics: topics.split(',').map(TopicName::from).collect(),
                owned: TopicPartitions::group(&owned),
                rack: self.racks.map(|_| id.trim_start_matches('m').into()),
                ..Subscription::default()
            };
            let metadata = if topics == "?" { Bytes::new() } else { subscription.encode(VERSION) };
            m::JoinedMember::new(id, None, &metadata)
        };
        let skip_assignment = leads.first() == Some(&"skips");
        let protocol = self.member.settings.assignors[0].name().to_owned();
        let response = m::JoinGroupResponse {
            generation: generation.parse().expect("a generation"),
            protocol_type: Some("consumer".into()),
            protocol: Some(protocol),
            leader: if leads.is_empty() { "other".into() } else { member.to_owned() },
            skip_assignment,
            member: member.to_owned(),
            members: leads.iter().skip(1).map(subscribed).collect(),
            ..m::JoinGroupResponse::default()
        };
        let tag = self.tags["join"];
        self.member.handle_joined(self.now, tag, Ok(response));
    }

    fn refused(&mut self, what: &str, code: &str, member: &str) {
        let (error, tag, now) = (Some(code_of(code)), self.tags[what], self.now);
        match what {
            "join" => {
                let member = member.to_owned();
                let response = m::JoinGroupResponse { error, member, ..m::JoinGroupResponse::default() };
                self.member.handle_joined(now, tag, Ok(response));
            }
            "sync" => {
                let response = m::SyncGroupResponse { error, ..m::SyncGroupResponse::default() };
                self.member.handle_synced(now, tag, Ok(response));
            }
            "beat" => {
                let response = m::HeartbeatResponse { error, ..m::HeartbeatResponse::default() };
                self.member.handle_heartbeat(now, tag, Ok(response));
            }
            other => panic!("{other} cannot be refused"),
        }
    }

    fn failed(&mut self, what: &str, error: Error) {
        let (tag, now) = (self.tags[what], self.now);
        match what {
            "join" => self.member.handle_joined(now, tag, Err(error)),
            "sync" => self.member.handle_synced(now, tag, Err(error)),
            "beat" => self.member.handle_heartbeat(now, tag, Err(error)),
            "leave" => self.member.handle_left(tag, &Err(error)),
            other => panic!("there is no request {other}"),
        }
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

    /// The tag and the time of the last request of this kind.
    pub(super) fn sent(&self, what: &str) -> (u64, Instant) {
        (self.tags[what], self.now)
    }

    fn collect(&mut self) {
        while self.member.has_actions() {
            let action = self.member.poll_action().expect("an action");
            self.print(action);
        }
        assert!(self.member.poll_action().is_none());
        if self.member.has_step() && !self.is_away {
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
        let deadline = match &action {
            Action::Join { deadline, .. }
            | Action::Sync { deadline, .. }
            | Action::Heartbeat { deadline, .. }
            | Action::Leave { deadline, .. } => Some(*deadline),
            Action::ForgetCoordinator | Action::Follow { .. } => None,
        };
        assert!(deadline.is_none_or(|deadline| deadline > self.now), "{action:?} has no time");
        let log = &mut self.log;
        let id = |id: &str| if id.is_empty() { "-".to_owned() } else { id.to_owned() };
        match action {
            Action::Join { tag, request, .. } => {
                self.tags.insert("join", tag);
                let metadata = request.protocols[0].metadata.clone();
                let subscription = Subscription::decode(metadata).expect("our own subscription");
                let owned: BTreeSet<_> = TopicPartitions::flatten(&subscription.owned).into_iter().collect();
                let topics: Vec<&str> = subscription.topics.iter().map(|topic| &**topic).collect();
                let reason = request.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                writeln!(log, "join {} {}{}{reason}", id(&request.member), topics.join(","), keys(&owned))
            }
            Action::Sync { tag, request, .. } => {
                self.tags.insert("sync", tag);
                let assigned = request.assignments.iter().fold(String::new(), |mut text, assigned| {
                    let assignment = Assignment::decode(assigned.assignment.clone()).expect("our own assignment");
                    let partitions: BTreeSet<_> =
                        TopicPartitions::flatten(&assignment.partitions).into_iter().collect();
                    write!(text, " {}:{}", assigned.member, keys(&partitions)).expect("a string");
                    text
                });
                writeln!(log, "sync g{} {}{assigned}", request.generation, request.member)
            }
            Action::Heartbeat { tag, request, .. } => {
                self.tags.insert("beat", tag);
                let at = self.now.duration_since(self.begun).as_millis();
                writeln!(log, "beat g{} {} at {at}", request.generation, request.member)
            }
            Action::Leave { tag, request, .. } => {
                self.tags.insert("leave", tag);
                let reason = request.members[0].reason.clone().unwrap_or_default();
                writeln!(log, "leave {} ({reason})", id(&request.members[0].member))
            }
            Action::ForgetCoordinator => writeln!(log, "forget coordinator"),
            Action::Follow { topics } => {
                let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
                writeln!(log, "follow {}", topics.join(","))
            }
        }
        .expect("a string");
    }

    fn print_step(&mut self, step: &Step) {
        let log = &mut self.log;
        match step {
            Step::Revoke { partitions, why: Revocation::Moved } => writeln!(log, "revoke{}", keys(partitions)),
            Step::Revoke { partitions, why: Revocation::Lost } => writeln!(log, "lost{}", keys(partitions)),
            Step::Assign { partitions, added } => {
                let identity = self.member.standing().identity();
                writeln!(log, "assign g{}{} added{}", identity.generation, keys(partitions), keys(added))
            }
        }
        .expect("a string");
    }
}
