//! Scripts of faults, as a client sees them, and the log of requests.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_request::TopicProduceData;

use super::Draft;
use super::Rig;
use super::decode;
use super::fetch;
use super::name;
use super::produce;
use crate::error::Code;
use crate::mock::Cluster;
use crate::mock::Fault;
use crate::mock::On;
use crate::mock::Outcome;
use crate::mock::SeenWhat;
use crate::mock::key;

fn rig() -> Rig {
    Rig::new(Cluster::builder().topic("t", 3))
}

fn ask() -> MetadataRequest {
    MetadataRequest::default().with_topics(None)
}

/// The response of the cluster without faults.
fn whole(rig: &mut Rig) -> Bytes {
    let Outcome::Reply(frame) = rig.send(1, 9, &ask()) else { panic!("no fault is left") };
    frame
}

#[test]
fn cut_response_is_followed_by_a_close() {
    let mut rig = rig();
    rig.cluster
        .play(On::api(key::METADATA).then(Fault::CutReply(7)).then(Fault::CutReply(0)).then(Fault::CutReply(9_999)));
    let mut halves = Vec::new();
    for _ in 0..3 {
        let outcome = rig.send(1, 9, &ask());
        if let Outcome::Reply(half) = outcome {
            halves.push(half);
            assert_eq!(rig.cluster.poll_timeout(), Some(rig.now));
            assert_eq!(rig.cluster.poll(rig.now), Some((1, Outcome::Close)));
        } else {
            assert_eq!(outcome, Outcome::Close, "not one byte");
        }
        assert_eq!(rig.cluster.poll(rig.now), None);
    }
    let whole = whole(&mut rig);
    assert_eq!(halves, [whole.slice(..7), whole.slice(..whole.len() - 1)]);
}

#[test]
fn dripping_response_delays_later_requests() {
    let mut rig = rig();
    let pause = Duration::from_millis(10);
    rig.cluster.play(On::any().then(Fault::Drip { bytes: 20, pause }).and(Fault::Delay(pause)));
    assert_eq!(rig.send(1, 9, &ask()), Outcome::Wait);
    assert_eq!(rig.send(1, 9, &ask()), Outcome::Wait, "behind the first");
    let mut dripped = Vec::new();
    let mut pieces = 0;
    while rig.cluster.poll_timeout().is_some() {
        assert_eq!(rig.cluster.poll(rig.now), None, "not yet");
        rig.pass(10);
        let Some((1, Outcome::Reply(piece))) = rig.cluster.poll(rig.now) else { panic!("a piece is due") };
        assert!(piece.len() <= 20);
        dripped.extend_from_slice(&piece);
        pieces += 1;
    }
    let Some((1, Outcome::Reply(second))) = rig.cluster.poll(rig.now) else { panic!("its turn has come") };
    assert_eq!(dripped, second);
    assert_eq!(pieces, second.len().div_ceil(20));
}

#[test]
fn held_request_is_applied_to_the_later_state() {
    let mut rig = Rig::new(Cluster::builder().brokers(2).topic("t", 1));
    let hold = Duration::from_millis(50);
    rig.cluster.play(On::api(key::PRODUCE).then(Fault::Hold(hold)).then(Fault::Delay(hold)));
    let batch = Draft::of(&["a"]).bytes();
    let ask = produce::request("t", -1, 0, batch);
    assert_eq!(rig.send_on(7, 1, 9, &ask), Outcome::Wait);
    assert_eq!(rig.cluster.log("t", 0).len(), 0, "not yet applied");
    rig.cluster.move_leader("t", 0, 2);
    rig.pass(50);
    let Some((7, Outcome::Reply(reply))) = rig.cluster.poll(rig.now) else { panic!("it is due") };
    assert_eq!(decode::<ProduceRequest>(9, reply).responses[0].partition_responses[0].error_code, 6);
    assert_eq!(rig.send_on(8, 2, 9, &ask), Outcome::Wait);
    assert_eq!(rig.cluster.log("t", 0).len(), 1, "a delayed reply has had its effect");
}

#[test]
fn error_for_one_partition_leaves_the_others() {
    let mut rig = rig();
    let script =
        On::api(key::PRODUCE).partition("t", 1).then(Fault::Error(Code::NotLeaderOrFollower)).and(Fault::Throttle(77));
    let script = rig.cluster.play(script);
    let data = |index| {
        PartitionProduceData::default().with_index(index).with_records(Some(Draft::of(&["a"]).by(5, 0, 0).bytes()))
    };
    let topic = TopicProduceData::default().with_name(name("t")).with_partition_data(vec![data(0), data(1)]);
    let ask = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
    assert_eq!(rig.cluster.strikes(script), 0);
    let codes: Vec<_> = (0..2)
        .map(|_| {
            let response = rig.ask(1, 9, &ask);
            let partitions = &response.responses[0].partition_responses;
            (partitions[0].error_code, partitions[1].error_code, response.throttle_time_ms)
        })
        .collect();
    assert_eq!(codes, [(0, 6, 77), (0, 0, 0)]);
    assert_eq!((rig.cluster.log("t", 0).len(), rig.cluster.log("t", 1).len()), (1, 1));
    assert_eq!((rig.cluster.strikes(script), rig.cluster.is_playing(script)), (1, false));
}

#[test]
fn script_selects_partition_of_a_session() {
    let mut rig = rig();
    fetch::append(&mut rig, 0, &["a"]);
    let opened = rig.ask(1, 12, &fetch::request(&[(0, 0), (1, 0)]).with_session_epoch(0));
    rig.cluster.play(On::api(key::FETCH).partition("t", 1).then(Fault::Error(Code::KafkaStorageError)));
    let next = fetch::request(&[]).with_session_id(opened.session_id).with_session_epoch(1);
    let response = rig.ask(1, 12, &next);
    let codes: Vec<_> = response.responses.iter().flat_map(|topic| &topic.partitions).map(|p| p.error_code).collect();
    assert_eq!((codes.iter().filter(|code| **code == 56).count(), codes.len()), (1, 2));
}

#[test]
fn metadata_of_one_partition_can_be_wrong() {
    let mut rig = rig();
    rig.cluster.play(On::api(key::METADATA).partition("t", 2).then(Fault::Error(Code::LeaderNotAvailable)));
    let response = rig.ask(1, 9, &ask());
    let leaders: Vec<_> = response.topics[0].partitions.iter().map(|p| (p.error_code, p.leader_id.0)).collect();
    assert_eq!(leaders, [(0, 1), (0, 1), (5, -1)]);
}

#[test]
fn response_can_have_another_correlation_id() {
    let mut rig = rig();
    rig.cluster.play(On::any().then(Fault::WrongCorrelationId(-9)));
    let Outcome::Reply(wrong) = rig.send(1, 9, &ask()) else { panic!("there is a reply") };
    let right = whole(&mut rig);
    assert_eq!(wrong[4..8], (-9_i32).to_be_bytes());
    assert_eq!((&wrong[..4], &wrong[8..]), (&right[..4], &right[8..]));
}

#[test]
fn fault_applies_when_a_long_poll_ends() {
    let mut rig = rig();
    rig.cluster.play(On::api(key::FETCH).then(Fault::CutReply(5)).then(Fault::CloseAfter));
    assert_eq!(rig.send_on(7, 1, 12, &fetch::request(&[(0, 0)])), Outcome::Wait);
    fetch::append(&mut rig, 0, &["a"]);
    let Some((7, Outcome::Reply(half))) = rig.cluster.poll(rig.now) else { panic!("data came") };
    assert_eq!(half.len(), 5);
    assert_eq!(rig.cluster.poll(rig.now), Some((7, Outcome::Close)));
    assert_eq!(rig.send_on(7, 1, 12, &fetch::request(&[(0, 1)])), Outcome::Close, "there is nothing to wait for");
}

#[test]
fn waiting_connections_of_a_stopped_broker_are_closed() {
    let mut rig = Rig::new(Cluster::builder().brokers(2).topic("t", 1));
    rig.cluster.play(On::api(key::METADATA).then(Fault::Hold(Duration::from_secs(9))));
    assert_eq!(rig.send(1, 12, &fetch::request(&[(0, 0)])), Outcome::Wait);
    assert_eq!(rig.send(2, 9, &ask()), Outcome::Wait);
    rig.cluster.set_down(2);
    assert_eq!(rig.cluster.poll(rig.now), Some((2, Outcome::Close)));
    assert_eq!(rig.cluster.poll(rig.now), None, "the other broker goes on");
}

#[test]
fn request_log_shows_what_each_partition_is_asked() {
    let mut rig = rig();
    rig.ask(1, 9, &produce::request("t", -1, 2, Draft::of(&["a", "b"]).by(7, 1, 40).bytes()));
    rig.send(1, 12, &fetch::request(&[(1, 3)]));
    let seen: Vec<_> = rig.cluster.requests().collect();
    assert_eq!((seen[0].api_key, seen[0].acks, seen[0].partitions[0].partition), (key::PRODUCE, Some(-1), Some(2)));
    let what = SeenWhat::Append { producer_id: 7, producer_epoch: 1, sequence: 40, records: 2, bytes: 85 };
    assert_eq!(seen[0].partitions[0].what, what);
    let what = SeenWhat::Fetch { offset: 3, leader_epoch: -1, bytes_max: 1 << 20 };
    assert_eq!((seen[1].partitions[0].what, seen[1].session), (what, Some((0, -1))));
    assert!(seen[1].names("t", 1) && !seen[1].names("t", 2));
    assert_eq!(rig.cluster.requests_on(&On::any().partition("t", 2)).count(), 1);
    assert_eq!(rig.cluster.take_requests().len(), 2);
    assert_eq!((rig.cluster.requests().len(), rig.cluster.requests_count(key::PRODUCE)), (0, 1));
}

#[test]
fn error_after_the_append_leaves_the_batch_in_the_log() {
    let mut rig = rig();
    rig.cluster
        .play(On::api(key::PRODUCE).partition("t", 0).then(Fault::ErrorAfter(Code::NotEnoughReplicasAfterAppend)));
    let ask = produce::request("t", -1, 0, Draft::of(&["a"]).by(5, 0, 0).bytes());
    let answer = rig.ask(1, 9, &ask).responses.remove(0).partition_responses.remove(0);
    assert_eq!((answer.error_code, answer.base_offset, rig.cluster.log("t", 0).len()), (20, 0, 1));
    let answer = rig.ask(1, 9, &ask).responses.remove(0).partition_responses.remove(0);
    assert_eq!((answer.error_code, answer.base_offset, rig.cluster.log("t", 0).len()), (0, 0, 1), "a duplicate");
    rig.cluster.play(On::api(key::PRODUCE).then(Fault::ErrorAfter(Code::RequestTimedOut)));
    let ask = produce::request("t", -1, 0, Draft::of(&["b"]).by(5, 0, 7).bytes());
    let answer = rig.ask(1, 9, &ask).responses.remove(0).partition_responses.remove(0);
    assert_eq!(answer.error_code, 45, "what is refused is not appended, and keeps its error");
}

#[test]
fn error_after_applies_to_read_only_requests_too() {
    let mut rig = rig();
    rig.cluster.play(On::api(key::METADATA).topic("t").then(Fault::ErrorAfter(Code::UnknownTopicOrPartition)));
    assert_eq!(rig.ask(1, 9, &ask()).topics[0].error_code, 3);
    assert_eq!(rig.ask(1, 9, &ask()).topics[0].error_code, 0);
}

#[test]
fn damaged_records_fail_checksum_and_the_log_stays_whole() {
    let mut rig = rig();
    rig.ask(1, 9, &produce::request("t", -1, 0, Draft::of(&["a"]).bytes()));
    rig.cluster.play(On::api(key::FETCH).partition("t", 0).then(Fault::CorruptRecords));
    let mut records = || {
        let response = rig.ask(1, 11, &fetch::request(&[(0, 0)]));
        response.responses[0].partitions[0].records.clone().expect("records")
    };
    let (damaged, whole) = (records(), records());
    let differing = damaged.iter().zip(&whole).filter(|(one, other)| one != other).count();
    assert_eq!((damaged.len(), differing), (whole.len(), 1));
    assert_ne!(crc32c::crc32c(&damaged[21..]).to_be_bytes(), damaged[17..21]);
}
