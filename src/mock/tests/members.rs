//! Members of groups: joining, sharing, leaving, expiring, and a coordinator that moves.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::HeartbeatRequest;
use kafka_protocol::messages::JoinGroupRequest;
use kafka_protocol::messages::JoinGroupResponse;
use kafka_protocol::messages::LeaveGroupRequest;
use kafka_protocol::messages::SyncGroupRequest;
use kafka_protocol::messages::SyncGroupResponse;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::protocol::StrBytes;

use super::Rig;
use super::decode;
use crate::error::Code;
use crate::mock::Builder;
use crate::mock::Cluster;
use crate::mock::Fault;
use crate::mock::GroupState;
use crate::mock::Outcome;
use crate::mock::key;

const GROUP: GroupId = GroupId(StrBytes::from_static_str("g"));

fn rig(builder: Builder) -> Rig {
    let mut rig = Rig::new(builder.topic("t", 4));
    rig.cluster.move_coordinator(0, "g", 1);
    rig
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Sessions of 10 s, rebalances of 60 s.
fn join_request(id: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(Bytes::from_static(b"m"));
    JoinGroupRequest::default()
        .with_group_id(GROUP)
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_member_id(text(id))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// An id for a new member.
fn invite(rig: &mut Rig) -> String {
    let response = rig.ask(1, 9, &join_request(""));
    assert_eq!(response.error_code, ResponseError::MemberIdRequired.code());
    response.member_id.to_string()
}

/// Begins to join on a connection of its own; returns the response if it need not wait.
fn join(rig: &mut Rig, connection: u64, id: &str) -> Option<JoinGroupResponse> {
    match rig.send_on(connection, 1, 9, &join_request(id)) {
        Outcome::Reply(frame) => Some(decode::<JoinGroupRequest>(9, frame)),
        Outcome::Wait => None,
        outcome => panic!("neither a response nor a wait: {outcome:?}"),
    }
}

/// The responses to JoinGroup that have become due, by connection.
fn joined(rig: &mut Rig) -> Vec<(u64, JoinGroupResponse)> {
    let mut all = Vec::new();
    while let Some((connection, outcome)) = rig.cluster.poll(rig.now) {
        let Outcome::Reply(frame) = outcome else { panic!("closed") };
        all.push((connection, decode::<JoinGroupRequest>(9, frame)));
    }
    all
}

fn sync_request(id: &str, generation: i32, assignments: &[(&str, &'static [u8])]) -> SyncGroupRequest {
    let one = |(id, data): &(&str, &'static [u8])| {
        SyncGroupRequestAssignment::default().with_member_id(text(id)).with_assignment(Bytes::from_static(data))
    };
    SyncGroupRequest::default()
        .with_group_id(GROUP)
        .with_generation_id(generation)
        .with_member_id(text(id))
        .with_protocol_type(Some(text("consumer")))
        .with_protocol_name(Some(text("range")))
        .with_assignments(assignments.iter().map(one).collect())
}

fn sync(rig: &mut Rig, id: &str, generation: i32, assignments: &[(&str, &'static [u8])]) -> SyncGroupResponse {
    rig.ask(1, 5, &sync_request(id, generation, assignments))
}

fn heartbeat(rig: &mut Rig, id: &str, generation: i32) -> i16 {
    let request = HeartbeatRequest::default().with_group_id(GROUP).with_generation_id(generation);
    rig.ask(1, 4, &request.with_member_id(text(id))).error_code
}

fn state(rig: &Rig) -> (GroupState, i32, usize) {
    let group = rig.cluster.describe_group("g").expect("the group exists");
    (group.state, group.generation, group.members.len())
}

/// A stable group of one member in generation 1.
fn one(rig: &mut Rig) -> String {
    let id = invite(rig);
    let joined = join(rig, 11, &id).expect("it is alone");
    assert_eq!((joined.error_code, joined.generation_id, joined.leader == joined.member_id), (0, 1, true));
    assert_eq!(sync(rig, &id, 1, &[(&id, b"all")]).assignment, "all");
    id
}

/// A stable group of two members in generation 2.
fn two(rig: &mut Rig) -> (String, String) {
    let first = one(rig);
    let second = invite(rig);
    assert_eq!(join(rig, 12, &second), None, "it waits for the first");
    assert_eq!(join(rig, 11, &first).expect("all have joined").members.len(), 2);
    assert_eq!(joined(rig).len(), 1);
    assert_eq!(rig.send_on(12, 1, 5, &sync_request(&second, 2, &[])), Outcome::Wait);
    sync(rig, &first, 2, &[(&first, b"a"), (&second, b"b")]);
    let Some((12, Outcome::Reply(frame))) = rig.cluster.poll(rig.now) else { panic!("the follower's assignment") };
    assert_eq!(decode::<SyncGroupRequest>(5, frame).assignment, "b");
    assert_eq!(state(rig), (GroupState::Stable, 2, 2));
    (first, second)
}

#[test]
fn follower_waits_for_the_leader_and_others_are_served() {
    let mut rig = rig(Cluster::builder());
    let (first, second) = two(&mut rig);
    assert_eq!((heartbeat(&mut rig, &first, 2), heartbeat(&mut rig, &second, 2)), (0, 0));
    assert_eq!(heartbeat(&mut rig, &second, 1), ResponseError::IllegalGeneration.code());
}

#[test]
fn silent_member_is_removed_when_its_session_ends() {
    let mut rig = rig(Cluster::builder());
    let (first, second) = two(&mut rig);
    rig.pass(6_000);
    assert_eq!(heartbeat(&mut rig, &first, 2), 0);
    rig.pass(3_999);
    assert_eq!(heartbeat(&mut rig, &first, 2), 0, "the session of the second has not ended");
    assert_eq!(rig.cluster.poll_timeout(), Some(rig.now + Duration::from_millis(1)));
    rig.pass(1);
    assert_eq!(rig.cluster.poll(rig.now), None);
    assert_eq!(state(&rig), (GroupState::PreparingRebalance, 2, 1));
    assert_eq!(heartbeat(&mut rig, &first, 2), ResponseError::RebalanceInProgress.code());
    assert_eq!(heartbeat(&mut rig, &second, 2), ResponseError::UnknownMemberId.code());
    assert_eq!(join(&mut rig, 11, &first).expect("it is alone").generation_id, 3);
}

#[test]
fn member_that_does_not_rejoin_in_time_is_removed() {
    let mut rig = rig(Cluster::builder());
    let first = one(&mut rig);
    let second = invite(&mut rig);
    assert_eq!(join(&mut rig, 12, &second), None);
    for _ in 0..10 {
        assert_eq!(heartbeat(&mut rig, &first, 1), ResponseError::RebalanceInProgress.code());
        rig.pass(6_000);
    }
    let responses = joined(&mut rig);
    assert_eq!(responses.len(), 1);
    assert_eq!((responses[0].0, responses[0].1.generation_id, responses[0].1.members.len()), (12, 2, 1));
    assert_eq!(heartbeat(&mut rig, &first, 1), ResponseError::UnknownMemberId.code());
}

#[test]
fn member_that_does_not_sync_in_time_is_removed() {
    let mut rig = rig(Cluster::builder());
    let id = invite(&mut rig);
    join(&mut rig, 11, &id).expect("it is alone");
    for _ in 0..10 {
        assert_eq!(heartbeat(&mut rig, &id, 1), 0);
        rig.pass(6_000);
    }
    assert_eq!(rig.cluster.poll(rig.now), None);
    assert_eq!(state(&rig), (GroupState::Empty, 2, 0));
}

#[test]
fn initial_delay_gathers_members_into_one_generation() {
    let mut rig = rig(Cluster::builder().initial_rebalance_delay(Duration::from_secs(3)));
    let (first, second) = (invite(&mut rig), invite(&mut rig));
    assert_eq!(join(&mut rig, 11, &first), None);
    rig.pass(2_000);
    assert_eq!(join(&mut rig, 12, &second), None);
    rig.pass(1_000);
    assert_eq!(joined(&mut rig), [], "a member came, so it waits for another 3 s");
    rig.pass(3_000);
    let generations: Vec<_> = joined(&mut rig).iter().map(|(_, joined)| joined.generation_id).collect();
    assert_eq!(generations, [1, 1]);
}

#[test]
fn invitation_that_is_not_taken_ends_with_its_session() {
    let mut rig = rig(Cluster::builder());
    let first = one(&mut rig);
    let lost = invite(&mut rig);
    assert_eq!(rig.cluster.describe_group("g").expect("a group").pending, [&*lost]);
    assert!(rig.cluster.rebalance_group("g"));
    assert_eq!(join(&mut rig, 11, &first), None, "it waits for the invited member");
    rig.pass(10_000);
    assert_eq!(joined(&mut rig).len(), 1);
}

#[test]
fn full_group_refuses_another_member() {
    let mut rig = rig(Cluster::builder().group_size_max(1));
    let first = one(&mut rig);
    assert_eq!(rig.ask(1, 9, &join_request("")).error_code, ResponseError::GroupMaxSizeReached.code());
    assert_eq!(heartbeat(&mut rig, &first, 1), 0);
}

#[test]
fn expired_member_is_unknown_and_the_others_rejoin() {
    let mut rig = rig(Cluster::builder());
    let (first, second) = two(&mut rig);
    assert!(!rig.cluster.expire_member("g", "nobody"));
    assert!(rig.cluster.expire_member("g", &second));
    assert_eq!(heartbeat(&mut rig, &second, 2), ResponseError::UnknownMemberId.code());
    assert_eq!(heartbeat(&mut rig, &first, 2), ResponseError::RebalanceInProgress.code());
}

#[test]
fn forced_rebalance_asks_every_member_to_rejoin() {
    let mut rig = rig(Cluster::builder());
    assert!(!rig.cluster.rebalance_group("g"), "there is no group");
    let (first, second) = two(&mut rig);
    assert!(rig.cluster.rebalance_group("g"));
    for id in [&first, &second] {
        assert_eq!(heartbeat(&mut rig, id, 2), ResponseError::RebalanceInProgress.code());
    }
    assert_eq!(join(&mut rig, 12, &second), None);
    assert_eq!(join(&mut rig, 11, &first).expect("all have joined").generation_id, 3);
}

#[test]
fn new_coordinator_continues_with_the_last_assignment() {
    let mut rig = rig(Cluster::builder().brokers(2));
    let (first, second) = two(&mut rig);
    let third = invite(&mut rig);
    assert_eq!(join(&mut rig, 13, &third), None);
    rig.cluster.move_coordinator(0, "g", 2);
    let responses = joined(&mut rig);
    assert_eq!((responses.len(), responses[0].1.error_code), (1, ResponseError::NotCoordinator.code()));
    assert_eq!(heartbeat(&mut rig, &first, 2), ResponseError::NotCoordinator.code());
    let request = HeartbeatRequest::default().with_group_id(GROUP).with_generation_id(2);
    assert_eq!(rig.ask(2, 4, &request.with_member_id(text(&second))).error_code, 0);
    assert_eq!(rig.ask(2, 5, &sync_request(&second, 2, &[])).assignment, "b");
    assert_eq!(rig.ask(2, 9, &join_request(&third)).error_code, ResponseError::UnknownMemberId.code());
    rig.pass(10_001);
    assert_eq!(rig.cluster.poll(rig.now), None);
    assert_eq!(state(&rig), (GroupState::Empty, 3, 0), "its sessions began again when it moved");
}

#[test]
fn group_moves_when_its_coordinator_stops() {
    let mut rig = rig(Cluster::builder().brokers(2));
    let first = one(&mut rig);
    rig.cluster.set_down(1);
    assert_eq!(rig.cluster.coordinator(0, "g"), Some(2));
    let request = HeartbeatRequest::default().with_group_id(GROUP).with_generation_id(1);
    assert_eq!(rig.ask(2, 4, &request.with_member_id(text(&first))).error_code, 0);
}

#[test]
fn error_after_the_effect_leaves_the_member_in_the_group() {
    let mut rig = rig(Cluster::builder());
    let id = invite(&mut rig);
    rig.cluster.inject(key::JOIN_GROUP, Fault::Error(Code::NotCoordinator), 1);
    let refused = join(&mut rig, 11, &id).expect("refused");
    assert_eq!((refused.error_code, state(&rig)), (16, (GroupState::Empty, 0, 0)));
    rig.cluster.inject(key::JOIN_GROUP, Fault::ErrorAfter(Code::NotCoordinator), 1);
    let late = join(&mut rig, 11, &id).expect("it is alone");
    assert_eq!((late.error_code, state(&rig)), (16, (GroupState::CompletingRebalance, 1, 1)));
}

#[test]
fn lost_response_of_a_waiting_member_is_lost_when_it_is_due() {
    let mut rig = rig(Cluster::builder());
    let first = one(&mut rig);
    let (second, third) = (invite(&mut rig), invite(&mut rig));
    rig.cluster.inject(key::JOIN_GROUP, Fault::Lost, 1);
    assert_eq!(join(&mut rig, 12, &second), None);
    rig.cluster.inject(key::JOIN_GROUP, Fault::CloseAfter, 1);
    assert_eq!(join(&mut rig, 13, &third), None);
    assert_eq!(rig.cluster.poll(rig.now), None, "the connection stays until the group has joined");
    assert_eq!(join(&mut rig, 11, &first).expect("all have joined").members.len(), 3);
    assert_eq!(rig.cluster.poll(rig.now), Some((13, Outcome::Close)));
    assert_eq!(rig.cluster.poll(rig.now), None);
    assert_eq!(state(&rig), (GroupState::CompletingRebalance, 2, 3));
}

#[test]
fn member_that_leaves_frees_its_place_at_once() {
    let mut rig = rig(Cluster::builder());
    let (first, second) = two(&mut rig);
    let request = LeaveGroupRequest::default().with_group_id(GROUP).with_member_id(text(&second));
    assert_eq!(rig.ask(1, 2, &request).error_code, 0);
    assert_eq!(rig.ask(1, 2, &request).error_code, ResponseError::UnknownMemberId.code());
    assert_eq!(join(&mut rig, 11, &first).expect("it is alone").generation_id, 3);
}
