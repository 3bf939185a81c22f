//! Groups of KIP-848: timers, a coordinator that moves, commands of tests, and members whose responses are lost.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use kafka_protocol::messages::ConsumerGroupHeartbeatResponse;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::protocol::StrBytes;

use super::Rig;
use super::name;
use crate::error::Code;
use crate::mock::Builder;
use crate::mock::Cluster;
use crate::mock::Fault;
use crate::mock::GroupState;
use crate::mock::ModernMember;
use crate::mock::Release;
use crate::mock::key;
use crate::mock::state::wire_id;
use crate::types::TopicId;

type Places = BTreeSet<(TopicId, i32)>;

fn rig(builder: Builder) -> Rig {
    let mut rig = Rig::new(builder.topic("t", 4).topic("u", 5));
    rig.cluster.move_coordinator(0, "g", 1);
    rig
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A heartbeat that changes nothing.
fn beat(id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_member_id(text(id))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_subscribed_topic_names(None)
        .with_topic_partitions(None)
}

/// Joins with a rebalance timeout of 60 s.
fn join(id: &str, topics: &[&'static str]) -> ConsumerGroupHeartbeatRequest {
    let names = topics.iter().map(|topic| name(topic)).collect();
    let request = beat(id, 0).with_rebalance_timeout_ms(60_000).with_subscribed_topic_names(Some(names));
    request.with_topic_partitions(Some(Vec::new()))
}

fn owning(request: ConsumerGroupHeartbeatRequest, owned: &Places) -> ConsumerGroupHeartbeatRequest {
    let topic = |(id, partition): &(TopicId, i32)| {
        TopicPartitions::default().with_topic_id(wire_id(*id)).with_partitions(vec![*partition])
    };
    request.with_topic_partitions(Some(owned.iter().map(topic).collect()))
}

fn assigned(response: &ConsumerGroupHeartbeatResponse) -> Option<Places> {
    let assignment = response.assignment.as_ref()?;
    let places = assignment.topic_partitions.iter().flat_map(|topic| {
        let id = TopicId(topic.topic_id.into_bytes());
        topic.partitions.iter().map(move |partition| (id, *partition))
    });
    Some(places.collect())
}

/// The error, the epoch, and the number of partitions of the assignment.
fn ask(rig: &mut Rig, request: &ConsumerGroupHeartbeatRequest) -> (i16, i32, Option<usize>) {
    let response = rig.ask(1, 1, request);
    (response.error_code, response.member_epoch, assigned(&response).map(|places| places.len()))
}

fn refused(error: ResponseError) -> (i16, i32, Option<usize>) {
    (error.code(), 0, None)
}

fn state(rig: &Rig) -> (GroupState, i32, usize) {
    let group = rig.cluster.describe_group("g").expect("the group exists");
    (group.state, group.generation, group.members.len())
}

fn member(rig: &Rig, id: &str) -> ModernMember {
    let group = rig.cluster.describe_group("g").expect("the group exists");
    let member = group.members.into_iter().find(|member| member.id == id).expect("a member");
    member.modern.expect("a member of KIP-848")
}

/// Two members with two partitions each, in epoch 2.
fn two(rig: &mut Rig) {
    assert_eq!(ask(rig, &join("a", &["t"])), (0, 1, Some(4)));
    assert_eq!(ask(rig, &join("b", &["t"])), (0, 2, Some(0)));
    assert_eq!(ask(rig, &beat("a", 1)), (0, 1, Some(2)));
    assert_eq!(ask(rig, &owning(beat("a", 1), &Places::new())), (0, 2, None));
    assert_eq!(ask(rig, &beat("b", 2)), (0, 2, Some(2)));
    assert_eq!(state(rig), (GroupState::Stable, 2, 2));
}

#[test]
fn partition_is_given_on_when_its_owner_has_given_it_up() {
    let mut rig = rig(Cluster::builder());
    assert_eq!(ask(&mut rig, &join("a", &["t"])), (0, 1, Some(4)));
    assert_eq!(ask(&mut rig, &join("b", &["t"])), (0, 2, Some(0)));
    assert_eq!(ask(&mut rig, &beat("b", 2)), (0, 2, None));
    assert_eq!(ask(&mut rig, &beat("a", 1)), (0, 1, Some(2)));
    assert_eq!((member(&rig, "a").revoking.len(), state(&rig).0), (2, GroupState::Reconciling));
    assert_eq!(ask(&mut rig, &beat("b", 2)), (0, 2, None), "the first has not said what it has");
    assert_eq!(ask(&mut rig, &owning(beat("a", 1), &Places::new())), (0, 2, None));
    assert_eq!(ask(&mut rig, &beat("b", 2)), (0, 2, Some(2)));
    assert_eq!((member(&rig, "b").assigned, state(&rig).0), (member(&rig, "b").target, GroupState::Stable));
}

#[test]
fn silent_member_is_removed_when_its_session_ends() {
    let mut rig = rig(Cluster::builder().consumer_session_timeout(Duration::from_secs(10)));
    two(&mut rig);
    rig.pass(6_000);
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 2, None));
    rig.pass(3_999);
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 2, None), "the session of the second has not ended");
    assert_eq!(rig.cluster.poll_timeout(), Some(rig.now + Duration::from_millis(1)));
    rig.pass(1);
    assert_eq!(rig.cluster.poll(rig.now), None);
    assert_eq!(state(&rig), (GroupState::Assigning, 3, 1));
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 3, Some(4)));
    assert_eq!(ask(&mut rig, &beat("b", 2)), refused(ResponseError::UnknownMemberId));
}

#[test]
fn member_that_gives_nothing_up_is_removed_in_time() {
    let mut rig = rig(Cluster::builder().consumer_session_timeout(Duration::from_secs(100)));
    ask(&mut rig, &join("a", &["t"]));
    ask(&mut rig, &join("b", &["t"]));
    assert_eq!(ask(&mut rig, &beat("a", 1)), (0, 1, Some(2)));
    for _ in 0..59 {
        rig.pass(1_000);
        assert_eq!(ask(&mut rig, &beat("a", 1)).0, 0, "it is alive");
        assert_eq!(ask(&mut rig, &beat("b", 2)).0, 0, "it waits");
    }
    rig.pass(1_000);
    assert_eq!(ask(&mut rig, &beat("a", 1)), refused(ResponseError::UnknownMemberId));
    assert_eq!(ask(&mut rig, &beat("b", 2)), (0, 3, Some(4)));
}

#[test]
fn member_that_gives_partitions_up_late_stays() {
    let mut rig = rig(Cluster::builder().consumer_session_timeout(Duration::from_secs(100)));
    ask(&mut rig, &join("a", &["t"]));
    ask(&mut rig, &join("b", &["t"]));
    ask(&mut rig, &beat("a", 1));
    rig.pass(59_999);
    assert_eq!(ask(&mut rig, &owning(beat("a", 1), &Places::new())), (0, 2, None));
    rig.pass(10_000);
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 2, None));
}

#[test]
fn expired_member_is_unknown_and_its_partitions_are_given_on() {
    let mut rig = rig(Cluster::builder());
    two(&mut rig);
    assert!(!rig.cluster.expire_member("g", "nobody"));
    assert!(rig.cluster.expire_member("g", "b"));
    assert_eq!(ask(&mut rig, &beat("b", 2)), refused(ResponseError::UnknownMemberId));
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 3, Some(4)));
}

#[test]
fn fenced_member_gives_everything_up_and_joins_again() {
    let mut rig = rig(Cluster::builder());
    two(&mut rig);
    assert!(!rig.cluster.fence_member("g", "nobody"));
    assert!(rig.cluster.fence_member("g", "b"));
    assert_eq!(ask(&mut rig, &beat("b", 2)), refused(ResponseError::FencedMemberEpoch));
    assert_eq!(ask(&mut rig, &join("b", &["t"])), (0, 3, Some(2)));
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 3, None));
}

#[test]
fn forced_rebalance_begins_an_epoch_and_moves_nothing() {
    let mut rig = rig(Cluster::builder());
    assert!(!rig.cluster.rebalance_group("g"), "there is no group");
    two(&mut rig);
    assert!(rig.cluster.rebalance_group("g"));
    assert_eq!(state(&rig), (GroupState::Assigning, 3, 2));
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 3, None));
    assert_eq!(ask(&mut rig, &beat("b", 2)), (0, 3, None));
}

#[test]
fn new_coordinator_knows_everything_and_sessions_begin_again() {
    let mut rig = rig(Cluster::builder().brokers(2).consumer_session_timeout(Duration::from_secs(10)));
    two(&mut rig);
    rig.pass(9_000);
    assert_eq!(rig.cluster.poll(rig.now), None);
    rig.cluster.move_coordinator(0, "g", 2);
    assert_eq!(ask(&mut rig, &beat("a", 2)), refused(ResponseError::NotCoordinator));
    rig.pass(9_999);
    assert_eq!(rig.ask(2, 1, &beat("a", 2)).error_code, 0);
    assert_eq!(rig.ask(2, 1, &beat("b", 2)).member_epoch, 2);
    rig.pass(10_000);
    assert_eq!(rig.cluster.poll(rig.now), None);
    assert_eq!(state(&rig), (GroupState::Empty, 4, 0));
}

#[test]
fn full_group_refuses_another_member() {
    let mut rig = rig(Cluster::builder().group_size_max(1));
    ask(&mut rig, &join("a", &["t"]));
    assert_eq!(ask(&mut rig, &join("b", &["t"])), refused(ResponseError::GroupMaxSizeReached));
    assert_eq!(ask(&mut rig, &join("a", &["t"])), (0, 1, Some(4)));
}

#[test]
fn members_of_an_interval_are_assigned_together() {
    let mut rig = rig(Cluster::builder().consumer_assignment_interval(Duration::from_secs(1)));
    assert_eq!(ask(&mut rig, &join("a", &["t"])), (0, 1, Some(4)));
    assert_eq!(ask(&mut rig, &join("b", &["t"])), (0, 1, Some(0)));
    assert_eq!(ask(&mut rig, &join("c", &["t"])), (0, 1, Some(0)));
    rig.pass(999);
    assert_eq!((ask(&mut rig, &beat("a", 1)), state(&rig).1), ((0, 1, None), 3));
    rig.pass(1);
    assert_eq!(ask(&mut rig, &beat("b", 1)), (0, 3, None));
    assert!(matches!(ask(&mut rig, &beat("a", 1)), (0, 1, Some(1 | 2))), "one epoch for both");
}

#[test]
fn partitions_and_topics_that_come_and_go_are_noticed() {
    let mut rig = rig(Cluster::builder());
    assert_eq!(ask(&mut rig, &join("a", &["t", "later"])), (0, 1, Some(4)));
    rig.cluster.add_partitions("t", 6);
    assert_eq!(ask(&mut rig, &beat("a", 1)), (0, 2, Some(6)));
    rig.cluster.create_topic("later", 1);
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 3, Some(7)));
    rig.cluster.delete_topic("t");
    assert_eq!(ask(&mut rig, &beat("a", 3)), (0, 3, Some(1)), "it has to give the topic up");
    assert_eq!(ask(&mut rig, &owning(beat("a", 3), &Places::new())), (0, 4, None));
}

#[test]
fn topics_that_match_a_pattern_are_assigned_by_the_next_heartbeat() {
    let mut rig = rig(Cluster::builder());
    let by_pattern = |request: ConsumerGroupHeartbeatRequest, pattern: &str| {
        request.with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(text(pattern)))
    };
    assert_eq!(ask(&mut rig, &by_pattern(join("a", &[]), "(")), refused(ResponseError::InvalidRegularExpression));
    assert_eq!(rig.cluster.describe_group("g"), None);
    ask(&mut rig, &join("b", &["t"]));
    assert_eq!(ask(&mut rig, &by_pattern(join("a", &[]), "[uv]")), (0, 1, Some(0)));
    assert_eq!(ask(&mut rig, &beat("a", 1)), (0, 2, Some(5)));
    rig.cluster.create_topic("v", 2);
    rig.cluster.create_topic("vv", 2);
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 2, None), "it is matched after this heartbeat");
    assert_eq!(ask(&mut rig, &beat("a", 2)), (0, 3, Some(7)));
    assert_eq!(ask(&mut rig, &by_pattern(beat("a", 3), "")), (0, 3, Some(0)));
    assert_eq!(ask(&mut rig, &owning(beat("a", 3), &Places::new())), (0, 4, None));
}

#[test]
fn error_after_the_effect_leaves_the_member_in_the_group() {
    let mut rig = rig(Cluster::builder());
    rig.cluster.inject(key::CONSUMER_GROUP_HEARTBEAT, Fault::Error(Code::NotCoordinator), 1);
    assert_eq!(ask(&mut rig, &join("a", &["t"])), refused(ResponseError::NotCoordinator));
    assert_eq!(rig.cluster.describe_group("g"), None);
    rig.cluster.inject(key::CONSUMER_GROUP_HEARTBEAT, Fault::ErrorAfter(Code::NotCoordinator), 1);
    assert_eq!(ask(&mut rig, &join("a", &["t"])), refused(ResponseError::NotCoordinator));
    assert_eq!(state(&rig), (GroupState::Stable, 1, 1));
}

#[test]
fn member_without_an_id_gets_one_in_version_0() {
    let mut rig = rig(Cluster::builder());
    let response = rig.ask(1, 0, &join("", &["t"]));
    let id = response.member_id.expect("an id").to_string();
    assert_eq!(member(&rig, &id).epoch, 1);
    assert_eq!(rig.cluster.describe_group("g").expect("a group").members[0].client_id, "rig");
}

#[test]
fn brokers_before_4_0_do_not_have_the_protocol() {
    let versions = |release| Cluster::builder().release(release).build().versions(key::CONSUMER_GROUP_HEARTBEAT);
    assert_eq!((versions(Release::V3_9), versions(Release::V4_3)), (None, Some((0, 1))));
}

/// The other side of a member, as a client has it.
#[derive(Debug, Default)]
struct Client {
    topics: Vec<&'static str>,
    epoch: i32,
    /// The partitions that it reads.
    held: Places,
    target: Places,
    /// Its next heartbeat says everything.
    is_full: bool,
}

impl Client {
    fn request(&self, id: &str) -> ConsumerGroupHeartbeatRequest {
        let request = if self.epoch == 0 || self.is_full {
            join(id, &self.topics).with_member_epoch(self.epoch)
        } else {
            beat(id, self.epoch)
        };
        owning(request, &self.held)
    }

    fn take(&mut self, response: &ConsumerGroupHeartbeatResponse) {
        if response.error_code != 0 {
            *self = Self { topics: std::mem::take(&mut self.topics), ..Self::default() };
            return;
        }
        self.is_full = false;
        self.epoch = response.member_epoch;
        if let Some(target) = assigned(response) {
            self.target = target;
        }
        self.held.clone_from(&self.target);
    }
}

/// Members come, go, subscribe to other topics, are fenced, and lose responses: no partition has two readers, and when that ends
/// every partition has one.
#[test]
fn no_partition_has_two_readers_whatever_is_lost() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut rig = rig(Cluster::builder());
        let assignor = ["uniform", "range"][rng.usize(..2)];
        let mut clients: BTreeMap<String, Client> = BTreeMap::new();
        for step in 0..400 {
            let is_calm = step >= 300;
            let id = format!("member-{}", rng.u8(..6));
            let client = clients.entry(id.clone()).or_default();
            match rng.u8(..if is_calm { 1 } else { 12 }) {
                0 if is_calm && client.epoch == 0 => continue,
                1 if client.epoch > 0 => {
                    rig.ask(1, 1, &beat(&id, -1));
                    *client = Client::default();
                    continue;
                }
                2 => drop(rig.cluster.fence_member("g", &id)),
                3 => drop(rig.cluster.expire_member("g", &id)),
                4 if client.epoch > 0 => {
                    client.topics = vec![["t", "u"][rng.usize(..2)]];
                    client.is_full = true;
                }
                _ => {}
            }
            if client.topics.is_empty() {
                client.topics = [vec!["t"], vec!["u"], vec!["t", "u"]][rng.usize(..3)].clone();
            }
            let request = client.request(&id).with_server_assignor(Some(text(assignor)));
            let response = rig.ask(1, 1, &request);
            if !is_calm && rng.u8(..4) == 0 {
                client.is_full = true;
                continue;
            }
            client.take(&response);
            check(seed, step, &clients, &rig);
        }
        settle(&mut rig, &mut clients, seed);
    }
}

/// A member that was fenced or has expired learns that later: until then it may read on, but not commit.
fn check(seed: u64, step: usize, clients: &BTreeMap<String, Client>, rig: &Rig) {
    let group = rig.cluster.describe_group("g").expect("the group exists");
    let mut readers = BTreeMap::new();
    for member in &group.members {
        let modern = member.modern.as_ref().expect("a member of KIP-848");
        let client = &clients[&member.id];
        for place in client.held.iter().filter(|_| client.epoch == modern.epoch) {
            let other = readers.insert(*place, &member.id);
            assert_eq!(other, None, "seed {seed}, step {step}: {place:?} is read by {} as well", member.id);
        }
    }
}

fn settle(rig: &mut Rig, clients: &mut BTreeMap<String, Client>, seed: u64) {
    for _ in 0..40 {
        for (id, client) in clients.iter_mut().filter(|(_, client)| client.epoch > 0) {
            let response = rig.ask(1, 1, &client.request(id));
            client.take(&response);
        }
    }
    let known: BTreeSet<&String> = clients.iter().filter(|(_, client)| client.epoch > 0).map(|(id, _)| id).collect();
    let ids: Vec<String> =
        rig.cluster.describe_group("g").expect("a group").members.into_iter().map(|m| m.id).collect();
    for gone in ids.iter().filter(|id| !known.contains(id)) {
        rig.cluster.expire_member("g", gone);
    }
    for _ in 0..10 {
        for (id, client) in clients.iter_mut().filter(|(_, client)| client.epoch > 0) {
            let response = rig.ask(1, 1, &client.request(id));
            client.take(&response);
        }
    }
    let live: Vec<&Client> = clients.values().filter(|client| client.epoch > 0).collect();
    for (topic, partitions) in [("t", 4), ("u", 5)] {
        let is_wanted = live.iter().any(|client| client.topics.contains(&topic));
        let id = rig.cluster.topic_id(topic).expect("it exists");
        let held = live.iter().flat_map(|client| &client.held).filter(|(of, _)| *of == id).count();
        assert_eq!(held, if is_wanted { partitions } else { 0 }, "seed {seed}: {topic}");
    }
}
