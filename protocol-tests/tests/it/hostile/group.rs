//! Members that lie to the leader, and leaders that lie to members, whose bytes coordinators pass on; and coordinators that assign
//! themselves (KIP-848) and lie.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use ottla::error::Code;
use ottla::group::assignor::Group;
use ottla::group::assignor::Member;
use ottla::group::assignor::RebalanceProtocol;
use ottla::group::assignor::Topic;
use ottla::group::assignor::by_name;
use ottla::group::assignor::check;
use ottla::internals::group::Step;
use ottla::internals::group::modern::Action;
use ottla::internals::group::modern::Modern;
use ottla::internals::group::modern::Settings;
use ottla::internals::metadata::Cache;
use ottla::internals::wire::DecodeError;
use ottla::internals::wire::consumer_protocol::Assignment;
use ottla::internals::wire::consumer_protocol::StickyUserData;
use ottla::internals::wire::consumer_protocol::Subscription;
use ottla::internals::wire::message as m;
use ottla::types::TopicId;
use ottla::types::TopicPartition;

use super::super::golden::rows;
use super::super::golden::unhex;
use super::CLAIMS;
use super::mutate;
use super::overwrite;
use super::seeds;

const HEADING: &str = "#assignor\ttopics\tmembers\tassignments";

/// The subscriptions that Java's members of one group sent, and the assignments that they got.
type Sent = (Vec<Vec<u8>>, Vec<Vec<u8>>);

fn sent() -> Vec<Sent> {
    let last = |text: &str| unhex(text.rsplit('/').next().expect("bytes"));
    let rows = rows(HEADING);
    rows.iter().map(|row| (row[2].split(' ').map(last).collect(), row[3].split(' ').map(last).collect())).collect()
}

#[test]
fn class_26_cut_subscriptions_and_assignments_are_refused() {
    for (subscriptions, assignments) in sent() {
        for bytes in subscriptions {
            for end in 0..bytes.len() {
                let cut = Bytes::copy_from_slice(&bytes[..end]);
                assert!(Subscription::decode(cut).is_err(), "{end} bytes of {bytes:02x?}");
            }
        }
        for bytes in assignments {
            for end in 0..bytes.len() {
                assert!(
                    Assignment::decode(Bytes::copy_from_slice(&bytes[..end])).is_err(),
                    "{end} bytes of {bytes:02x?}"
                );
            }
        }
    }
}

#[test]
fn class_26_counts_and_lengths_are_checked() {
    let version = [0, 3];
    for claim in [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xfe], &[0x80, 0, 0, 0], &[0xff; 4]] {
        let zeros = [0; 40];
        // The topics; the user data, which alone may be null; the owned topics; their partitions.
        let places: [&[u8]; 4] = [
            &[],
            &[0; 4],
            &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0],
        ];
        for (number, before) in places.into_iter().enumerate() {
            let bytes = [&version, before, claim, &zeros[..]].concat();
            let decoded = Subscription::decode(bytes.into());
            let may_be_null = number == 1 && claim == [0xff; 4];
            assert_eq!(decoded.is_ok(), may_be_null, "{number} {claim:?}: {decoded:?}");
        }
        let assigned = Assignment::decode([&version, claim, &zeros[..]].concat().into());
        assert!(assigned.is_err(), "{assigned:?}");
        let data = StickyUserData::decode([claim, &zeros[..]].concat().into());
        assert!(data.is_err(), "{data:?}");
    }
    let name = [&version[..], &[0, 0, 0, 1, 0, 2, 0xff, 0xff], &[0; 20]].concat();
    assert_eq!(Subscription::decode(name.into()), Err(DecodeError::Utf8));
}

/// A group whose members said these things; `None` of them that cannot be read.
fn group(subscriptions: &[Vec<u8>]) -> Group {
    let mut group = Group::default();
    group.topics = BTreeMap::from(["t0", "t1", "topic-0", "topic-7"].map(|name| (name.into(), Topic::new(5))));
    for bytes in subscriptions {
        if let Ok(subscription) = Subscription::decode(Bytes::copy_from_slice(bytes)) {
            let id = format!("m{}", group.members.len() / 2);
            group.members.push(Member::from_subscription(id, None, subscription));
        }
    }
    group
}

/// Ids that repeat, partitions that are negative or beyond the end, topics unknown or named twice, claims of the same partitions.
#[test]
fn class_26_leader_assigns_whatever_members_say() {
    let sent = sent();
    seeds(3000, |rng| {
        let (subscriptions, _) = &sent[rng.usize(..sent.len())];
        let mut subscriptions = subscriptions.clone();
        for bytes in &mut subscriptions {
            match rng.u8(..4) {
                0 => mutate(rng, bytes),
                1 => {
                    let at = rng.usize(..bytes.len());
                    overwrite(bytes, at, CLAIMS[rng.usize(..CLAIMS.len())]);
                }
                _ => {}
            }
        }
        if rng.bool() {
            subscriptions.extend(subscriptions.clone());
        }
        let group = group(&subscriptions);
        for name in ["range", "roundrobin", "sticky", "cooperative-sticky"] {
            let assignments = by_name(name).expect("a built-in assignor").assign(&group);
            assert_eq!(check(&group, &assignments, RebalanceProtocol::Eager), Ok(()), "{name}");
        }
    });
}

#[test]
fn class_26_mutated_assignments_never_panic() {
    let sent = sent();
    seeds(3000, |rng| {
        let (_, assignments) = &sent[rng.usize(..sent.len())];
        let mut bytes = assignments[rng.usize(..assignments.len())].clone();
        mutate(rng, &mut bytes);
        if let Ok(assignment) = Assignment::decode(bytes.into()) {
            assert_eq!(Assignment::decode(assignment.encode(3)), Ok(assignment));
        }
    });
}

const TOPIC: TopicId = TopicId([7; 16]);
const PARTITIONS: i32 = 4;

/// A member of KIP-848 that knows one topic, and the coordinator's side of it.
struct Lied {
    member: Modern,
    now: Instant,
    /// The heartbeat that is not answered.
    tag: Option<u64>,
    /// The partitions that the application reads.
    held: BTreeSet<TopicPartition>,
    beats: u32,
}

impl Lied {
    #[expect(clippy::disallowed_methods, reason = "a test has to start at some time")]
    fn new(seed: u64) -> Self {
        let settings = Settings {
            group: "g".into(),
            instance: None,
            rack: String::new(),
            assignor: None,
            poll_interval_max: Duration::from_secs(300),
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            seed,
        };
        let now = Instant::now();
        let mut lied = Self { member: Modern::new(settings), now, tag: None, held: BTreeSet::new(), beats: 0 };
        lied.subscribe();
        let partition = |index| m::MetadataPartition { index, leader: 1, ..m::MetadataPartition::default() };
        let topic = m::MetadataTopic {
            name: "t".into(),
            id: TOPIC,
            partitions: (0..PARTITIONS).map(partition).collect(),
            ..m::MetadataTopic::default()
        };
        let brokers = vec![m::Node { id: 1, host: "h".into(), port: 1, rack: None }];
        let mut cache = Cache::default();
        cache.handle_response(m::MetadataResponse { brokers, topics: vec![topic], ..m::MetadataResponse::default() });
        lied.member.handle_metadata(now, cache.snapshot());
        lied
    }

    fn subscribe(&mut self) {
        self.member.subscribe(self.now, BTreeSet::from(["t".into()]));
    }

    /// Lets the machine and the application do what they want, and time pass.
    fn turn(&mut self) {
        self.now += Duration::from_millis(50);
        self.member.handle_timeout(self.now);
        self.member.handle_poll(self.now);
        while let Some(action) = self.member.poll_action() {
            if let Action::Heartbeat { tag, .. } = action {
                self.tag = Some(tag);
                self.beats += 1;
            }
        }
        if self.member.has_step() {
            match self.member.step().expect("a step") {
                Step::Revoke { partitions, .. } => self.held.retain(|held| !partitions.contains(held)),
                Step::Assign { partitions, .. } => self.held = partitions,
            }
            assert!(self.held.iter().all(|held| held.partition >= 0 && &*held.topic == "t"), "{:?}", self.held);
            self.member.handle_step_done(self.now);
        }
        drop(self.member.standing_mut().poll_error());
    }

    fn answer(&mut self, response: m::ConsumerGroupHeartbeatResponse) {
        if let Some(tag) = self.tag.take() {
            self.member.handle_heartbeat(self.now, tag, Ok(response));
        }
    }
}

/// A response that no honest coordinator sends, or one that it might.
fn lie(rng: &mut fastrand::Rng) -> m::ConsumerGroupHeartbeatResponse {
    let numbers = [i32::MIN, -2, -1, 0, 1, 2, 3, 5_000, i32::MAX];
    let number = |rng: &mut fastrand::Rng| numbers[rng.usize(..numbers.len())];
    let topics = (0..rng.usize(..4)).map(|_| m::TopicIdPartitions {
        id: [TOPIC, TopicId([0; 16]), TopicId([9; 16])][rng.usize(..3)],
        partitions: (0..rng.usize(..6)).map(|_| number(rng)).collect(),
    });
    let topics = topics.collect();
    let codes = [25, 110, 113, 16, 15, 14, 3, 42, 112, 69, -1, 32_000];
    m::ConsumerGroupHeartbeatResponse {
        error: (rng.u8(..3) == 0).then(|| Code::from_wire(codes[rng.usize(..codes.len())])).flatten(),
        member: [None, Some(String::new()), Some("another".to_owned())][rng.usize(..3)].clone(),
        epoch: number(rng),
        heartbeat_interval_ms: number(rng),
        assignment: rng.bool().then_some(m::TargetAssignment { topics }),
        ..m::ConsumerGroupHeartbeatResponse::default()
    }
}

/// Epochs and intervals at their extremes, partitions that are negative, repeated or do not exist, ids of no topic, any error. When
/// the coordinator is honest again, the member has what it is assigned.
#[test]
fn class_26_member_survives_whatever_its_coordinator_assigns() {
    seeds(100, |rng| {
        let mut lied = Lied::new(rng.u64(..));
        for _ in 0..200 {
            lied.turn();
            if rng.u8(..20) == 0 {
                lied.subscribe();
            }
            if rng.u8(..4) > 0 {
                lied.answer(lie(rng));
            }
        }
        assert!(lied.beats <= 200, "{} heartbeats in 200 turns", lied.beats);
        // Another coordinator does not know it.
        let assigned = m::TopicIdPartitions { id: TOPIC, partitions: vec![0, 1] };
        let assignment = Some(m::TargetAssignment { topics: vec![assigned] });
        let honest = m::ConsumerGroupHeartbeatResponse { epoch: 5, heartbeat_interval_ms: 100, ..Default::default() };
        lied.answer(m::ConsumerGroupHeartbeatResponse { error: Some(Code::FencedMemberEpoch), ..Default::default() });
        lied.subscribe();
        for turn in 0..2_000 {
            lied.turn();
            let is_first = turn < 100;
            let refused =
                (lied.member.standing().identity().generation > 0 && is_first).then_some(Code::FencedMemberEpoch);
            lied.answer(m::ConsumerGroupHeartbeatResponse {
                error: refused,
                assignment: assignment.clone(),
                ..honest.clone()
            });
        }
        let expected = BTreeSet::from([0, 1].map(|index| TopicPartition::new("t", index)));
        assert_eq!(lied.held, expected, "in the end");
    });
}
