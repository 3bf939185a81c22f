//! Fetch: sizes, waits, sessions, epochs.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;

use super::Draft;
use super::Rig;
use super::decode;
use super::name;
use super::produce;
use crate::mock::Cluster;
use crate::mock::Outcome;
use crate::mock::state::wire_id;

fn rig() -> Rig {
    Rig::new(Cluster::builder().brokers(2).topic("t", 4))
}

/// Appends a batch to partition 0 or 2, which broker 1 leads; answers its size.
pub(super) fn append(rig: &mut Rig, partition: i32, values: &[&'static str]) -> usize {
    let batch = Draft::of(values).bytes();
    let response = rig.ask(1, 9, &produce::request("t", 1, partition, batch.clone()));
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    batch.len()
}

pub(super) fn request(partitions: &[(i32, i64)]) -> FetchRequest {
    let partition = |(index, offset): &(i32, i64)| {
        let partition = FetchPartition::default().with_partition(*index).with_fetch_offset(*offset);
        partition.with_partition_max_bytes(1 << 20)
    };
    let topic = FetchTopic::default().with_topic(name("t"));
    FetchRequest::default()
        .with_max_wait_ms(100)
        .with_min_bytes(1)
        .with_topics(vec![topic.with_partitions(partitions.iter().map(partition).collect())])
}

fn records(response: &FetchResponse, at: usize) -> Bytes {
    response.responses[0].partitions[at].records.clone().expect("never null")
}

#[test]
fn a_fetch_starts_at_the_batch_that_holds_the_offset() {
    let mut rig = rig();
    let first = append(&mut rig, 0, &["a", "b"]);
    let second = append(&mut rig, 0, &["c"]);
    for version in 4..=12 {
        let response = rig.ask(1, version, &request(&[(0, 1)]));
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.high_watermark, partition.last_stable_offset), (0, 3, 3));
        assert_eq!(records(&response, 0).len(), first + second, "version {version}");
    }
    let response = rig.ask(1, 12, &request(&[(0, 2)]));
    assert_eq!(records(&response, 0)[..8], 2_i64.to_be_bytes());
    assert_eq!(records(&response, 0)[12..16], 0_i32.to_be_bytes(), "the leader epoch is the broker's");
}

#[test]
fn limits_cut_a_batch_short_but_never_the_first() {
    let mut rig = rig();
    let first = append(&mut rig, 0, &["0123456789"]);
    append(&mut rig, 0, &["0123456789"]);
    append(&mut rig, 2, &["0123456789"]);
    let mut ask = request(&[(0, 0), (2, 0)]);
    ask.topics[0].partitions[0].partition_max_bytes = 1;
    let response = rig.ask(1, 12, &ask);
    assert_eq!(records(&response, 0).len(), first, "whole though larger");
    ask.max_bytes = 1;
    let response = rig.ask(1, 12, &ask);
    assert_eq!((records(&response, 0).len(), records(&response, 1).len()), (first, 0));
    ask.max_bytes = 1 << 20;
    ask.topics[0].partitions[0].partition_max_bytes = i32::try_from(first + 70).expect("small");
    assert_eq!(records(&rig.ask(1, 12, &ask), 0).len(), first + 70, "the second is cut");
}

#[test]
fn empty_fetch_waits_for_data_or_timeout() {
    let mut rig = rig();
    assert_eq!(rig.send_on(7, 1, 12, &request(&[(0, 0), (2, 0)])), Outcome::Wait);
    assert_eq!(rig.cluster.poll(rig.now), None);
    append(&mut rig, 2, &["a"]);
    let Some((7, Outcome::Reply(frame))) = rig.cluster.poll(rig.now) else { panic!("data is there") };
    assert!(!records(&decode::<FetchRequest>(12, frame), 1).is_empty());

    assert_eq!(rig.send_on(7, 1, 12, &request(&[(0, 0)])), Outcome::Wait);
    rig.pass(100);
    let Some((7, Outcome::Reply(frame))) = rig.cluster.poll(rig.now) else { panic!("time is over") };
    assert!(records(&decode::<FetchRequest>(12, frame), 0).is_empty());

    let mut many = request(&[(2, 0)]);
    many.min_bytes = 100_000;
    assert_eq!(rig.send_on(7, 1, 12, &many), Outcome::Wait);
    rig.cluster.disconnect(7);
    assert_eq!(rig.cluster.poll_timeout(), None);
}

#[test]
fn leader_change_ends_a_long_poll() {
    let mut rig = rig();
    let leader = rig.cluster.leader("t", 0);
    let mut ask = by_id(&rig, request(&[(0, 0)]));
    assert_eq!(rig.send_on(8, 1, 16, &ask), Outcome::Wait);
    ask.topics[0].partitions[0].current_leader_epoch = 0;
    assert_eq!(rig.send_on(7, 1, 16, &ask), Outcome::Wait);
    rig.cluster.move_leader("t", 0, 2);
    let Some((7, Outcome::Reply(frame))) = rig.cluster.poll(rig.now) else { panic!("it should not wait") };
    let response = decode::<FetchRequest>(16, frame);
    let partition = &response.responses[0].partitions[0];
    assert_eq!((leader, partition.error_code), (Some((1, 0)), ResponseError::FencedLeaderEpoch.code()));
    assert_eq!((partition.current_leader.leader_id.0, partition.current_leader.leader_epoch), (2, 1));
    assert_eq!(response.node_endpoints[0].node_id.0, 2);
    assert_eq!(rig.cluster.poll(rig.now), None, "without an epoch a client may read from a follower");
}

#[test]
fn waiting_fetch_ends_when_its_topic_is_recreated() {
    let mut rig = rig();
    append(&mut rig, 0, &["a"]);
    let ask = by_id(&rig, request(&[(0, 1)]));
    assert_eq!(rig.send_on(7, 1, 13, &ask), Outcome::Wait);
    rig.cluster.create_topic("t", 1);
    let Some((7, Outcome::Reply(frame))) = rig.cluster.poll(rig.now) else { panic!("it should not wait") };
    let code = decode::<FetchRequest>(13, frame).responses[0].partitions[0].error_code;
    assert_eq!(code, ResponseError::UnknownTopicOrPartition.code(), "the new log has nothing to do with it");
    let later = rig.ask(1, 13, &ask).responses[0].partitions[0].error_code;
    assert_eq!(later, ResponseError::UnknownTopicId.code());
}

fn by_id(rig: &Rig, mut request: FetchRequest) -> FetchRequest {
    request.topics[0].topic = name("");
    request.topics[0].topic_id = wire_id(rig.cluster.topic_id("t").expect("it was made"));
    request
}

#[test]
fn wrong_offset_or_epoch_is_an_error() {
    let mut rig = rig();
    append(&mut rig, 0, &["a", "b", "c"]);
    let code = |rig: &mut Rig, offset, epoch| {
        let mut ask = request(&[(0, offset)]);
        ask.topics[0].partitions[0].current_leader_epoch = epoch;
        ResponseError::try_from_code(rig.ask(1, 12, &ask).responses[0].partitions[0].error_code)
    };
    assert_eq!(code(&mut rig, 4, -1), Some(ResponseError::OffsetOutOfRange));
    assert_eq!(code(&mut rig, -1, -1), Some(ResponseError::OffsetOutOfRange));
    assert_eq!(code(&mut rig, 0, 0), None);
    assert_eq!(code(&mut rig, 0, 1), Some(ResponseError::UnknownLeaderEpoch));
    rig.cluster.move_leader("t", 0, 1);
    assert_eq!(code(&mut rig, 0, 0), Some(ResponseError::FencedLeaderEpoch));
    assert_eq!(rig.cluster.delete_before("t", 0, 2), Some(2));
    assert_eq!(code(&mut rig, 1, -1), Some(ResponseError::OffsetOutOfRange));
}

#[test]
fn session_response_lists_only_changes() {
    for version in [7, 12, 13, 18] {
        let mut rig = rig();
        let shape = |rig: &Rig, ask: FetchRequest| if version >= 13 { by_id(rig, ask) } else { ask };
        append(&mut rig, 0, &["a"]);
        let ask = shape(&rig, request(&[(0, 0), (2, 0)])).with_session_epoch(0);
        let opened = rig.ask(1, version, &ask);
        assert_ne!(opened.session_id, 0);
        assert_eq!(opened.responses[0].partitions.len(), 2);

        let id = opened.session_id;
        let ask = shape(&rig, request(&[(0, 1)])).with_session_id(id).with_session_epoch(1);
        assert_eq!(rig.send_on(7, 1, version, &ask), Outcome::Wait, "nothing new");
        append(&mut rig, 2, &["b"]);
        let Some((7, Outcome::Reply(frame))) = rig.cluster.poll(rig.now) else { panic!("data is there") };
        let response = decode::<FetchRequest>(version, frame);
        assert_eq!((response.session_id, response.responses[0].partitions.len()), (id, 1));
        assert_eq!(response.responses[0].partitions[0].partition_index, 2, "though not asked for again");

        let stale = FetchRequest::default().with_session_id(id).with_session_epoch(1);
        assert_eq!(rig.ask(1, version, &stale).error_code, ResponseError::InvalidFetchSessionEpoch.code());
        let end = FetchRequest::default().with_session_id(id).with_session_epoch(-1);
        assert_eq!(rig.ask(1, version, &end).error_code, 0);
        let after = FetchRequest::default().with_session_id(id).with_session_epoch(2);
        assert_eq!(rig.ask(1, version, &after).error_code, ResponseError::FetchSessionIdNotFound.code());
    }
}

#[test]
fn no_session_is_opened_beyond_the_slots() {
    let mut rig = Rig::new(Cluster::builder().topic("t", 1).fetch_sessions(0));
    append(&mut rig, 0, &["a"]);
    let response = rig.ask(1, 12, &request(&[(0, 0)]).with_session_epoch(0));
    assert_eq!((response.session_id, response.error_code), (0, 0));
}

#[test]
fn deleted_topic_id_is_unknown() {
    let mut rig = rig();
    let ask = by_id(&rig, request(&[(0, 0)]));
    rig.cluster.create_topic("t", 4);
    let response = rig.ask(1, 13, &ask);
    assert_eq!(response.responses[0].partitions[0].error_code, ResponseError::UnknownTopicId.code());
    assert_eq!(response.responses[0].topic_id, ask.topics[0].topic_id);
}

#[test]
fn offsets_are_found_by_time() {
    let mut rig = rig();
    for (start, values) in [(1_000, &["a", "b"][..]), (3_000, &["c"]), (2_000, &["d"])] {
        let batch = Draft::of(values).at(start).bytes();
        rig.ask(1, 9, &produce::request("t", 1, 0, batch));
    }
    let mut find = |timestamp| {
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let ask = ListOffsetsRequest::default().with_topics(vec![topic]);
        let found = rig.ask(1, 10, &ask).topics[0].partitions[0].clone();
        (found.error_code, found.offset, found.timestamp)
    };
    assert_eq!(find(-1), (0, 4, -1));
    assert_eq!(find(-2), (0, 0, -1));
    assert_eq!(find(-3), (0, 2, 3_000));
    assert_eq!(find(0), (0, 0, 1_000));
    assert_eq!(find(1_001), (0, 1, 1_001));
    assert_eq!(find(1_002), (0, 2, 3_000));
    assert_eq!(find(3_001), (0, -1, -1));
}

#[test]
fn end_offset_of_an_epoch_is_answered() {
    let mut rig = rig();
    append(&mut rig, 0, &["a", "b"]);
    rig.cluster.move_leader("t", 0, 2);
    rig.cluster.move_leader("t", 0, 1);
    append(&mut rig, 0, &["c"]);
    let mut end = |epoch| {
        let partition = OffsetForLeaderPartition::default().with_leader_epoch(epoch).with_current_leader_epoch(2);
        let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
        let found = rig.ask(1, 4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic]));
        let found = &found.topics[0].partitions[0];
        (found.error_code, found.leader_epoch, found.end_offset)
    };
    assert_eq!(end(0), (0, 0, 2));
    assert_eq!(end(1), (0, 0, 2));
    assert_eq!(end(2), (0, 2, 3));
    assert_eq!(end(9), (0, -1, -1));
}
