//! Produce: accepted batches, refused batches, duplicates.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_request::TopicProduceData;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;

use super::Draft;
use super::Rig;
use super::name;
use crate::codec::Compression;
use crate::error::Code;
use crate::mock::Cluster;
use crate::mock::Fault;
use crate::mock::Outcome;
use crate::mock::state::wire_id;

pub(super) fn request(topic: &'static str, acks: i16, partition: i32, records: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_timeout_ms(1_000).with_topic_data(vec![topic])
}

fn produce(rig: &mut Rig, version: i16, records: Bytes) -> PartitionProduceResponse {
    let response = rig.ask(1, version, &request("t", -1, 0, records));
    response.responses[0].partition_responses[0].clone()
}

fn error(rig: &mut Rig, draft: &Draft) -> Option<ResponseError> {
    ResponseError::try_from_code(produce(rig, 9, draft.bytes()).error_code)
}

fn rig() -> Rig {
    Rig::new(Cluster::builder().topic("t", 2))
}

#[test]
fn records_are_appended_one_batch_after_the_other() {
    let mut rig = rig();
    assert_eq!(produce(&mut rig, 3, Draft::of(&["a", "b"]).bytes()).base_offset, 0);
    let second = produce(&mut rig, 12, Draft::of(&["c"]).by(9, 1, 5).bytes());
    assert_eq!((second.error_code, second.base_offset, second.log_start_offset), (0, 2, 0));
    let log = rig.cluster.log("t", 0);
    let read: Vec<_> = log.iter().map(|record| (record.offset, record.value.clone().expect("a value"))).collect();
    assert_eq!(read, [(0, Bytes::from("a")), (1, Bytes::from("b")), (2, Bytes::from("c"))]);
    assert_eq!((log[2].producer_id, log[2].producer_epoch, log[2].sequence), (9, 1, 5));
    assert_eq!((log[0].sequence, log[1].timestamp - log[0].timestamp), (-1, 1));
    assert_eq!(log[0].headers, [(Bytes::from("h"), None)]);
}

#[test]
fn every_codec_is_read() {
    for compression in Compression::ALL {
        let mut rig = rig();
        let draft = Draft { compression, ..Draft::of(&["one", "two", "three"]) };
        assert_eq!(error(&mut rig, &draft), None, "{compression}");
        assert_eq!(rig.cluster.log("t", 0).len(), 3, "{compression}");
    }
    let zstd = Draft { compression: Compression::Zstd, ..Draft::of(&["one"]) }.bytes();
    let code = produce(&mut rig(), 6, zstd).error_code;
    assert_eq!(code, ResponseError::UnsupportedCompressionType.code(), "zstd came with version 7");
}

#[test]
fn malformed_batch_gets_the_error_code_of_kafka() {
    let mut rig = rig();
    let good = Draft::of(&["a", "b"]);
    let cases = [
        (Draft { count_extra: 1, ..good.clone() }, ResponseError::InvalidRecord),
        (Draft { max_timestamp_extra: 1, ..good.clone() }, ResponseError::InvalidRecord),
        (Draft { attributes: 0x20, ..good.clone() }, ResponseError::InvalidRecord),
        (Draft { attributes: 0x08, ..good.clone() }, ResponseError::InvalidTimestamp),
        (Draft { attributes: 0x07, ..good.clone() }, ResponseError::UnknownServerError),
        (Draft { values: Vec::new(), ..good.clone() }, ResponseError::InvalidRecord),
        (good.clone().by(1, 0, -1), ResponseError::InvalidRecord),
        (good.clone().at(1_700_003_700_000), ResponseError::InvalidTimestamp),
    ];
    for (draft, expected) in cases {
        assert_eq!(error(&mut rig, &draft), Some(expected));
    }
    assert_eq!(rig.cluster.offsets("t", 0), Some((0, 0)));
}

#[test]
fn batch_with_a_flipped_bit_is_never_appended() {
    let mut rig = rig();
    let good = Draft::of(&["value"]).by(1, 0, 0).bytes();
    for index in 0..good.len() {
        // The leader epoch is the one field that neither the CRC covers nor a broker reads.
        if (12..16).contains(&index) {
            continue;
        }
        let mut bad = good.to_vec();
        bad[index] ^= 1;
        assert_ne!(produce(&mut rig, 9, bad.into()).error_code, 0, "byte {index}");
    }
    for length in 0..good.len() {
        assert_ne!(produce(&mut rig, 9, good.slice(..length)).error_code, 0, "cut at {length}");
    }
    let twice = [&good[..], &good[..]].concat();
    assert_ne!(produce(&mut rig, 9, twice.into()).error_code, 0, "two batches");
    assert_eq!(produce(&mut rig, 9, good).error_code, 0);
}

#[test]
fn a_batch_over_the_topics_limit_is_too_large() {
    let mut rig = rig();
    let batch = Draft::of(&["0123456789"]).bytes();
    rig.cluster.set_batch_bytes_max("t", batch.len() - 1);
    assert_eq!(produce(&mut rig, 9, batch.clone()).error_code, ResponseError::MessageTooLarge.code());
    rig.cluster.set_batch_bytes_max("t", batch.len());
    assert_eq!(produce(&mut rig, 9, batch).error_code, 0);
}

#[test]
fn resent_batch_gets_its_first_offset() {
    let mut rig = rig();
    let first = Draft::of(&["a", "b"]).by(1_000, 0, 0);
    assert_eq!(produce(&mut rig, 9, first.bytes()).base_offset, 0);
    assert_eq!(produce(&mut rig, 9, Draft::of(&["c"]).by(1_000, 0, 2).bytes()).base_offset, 2);
    let again = produce(&mut rig, 9, first.bytes());
    assert_eq!((again.error_code, again.base_offset), (0, 0));
    assert_eq!(rig.cluster.log("t", 0).len(), 3);
    assert_eq!(error(&mut rig, &Draft::of(&["e"]).by(1_000, 0, 4)), Some(ResponseError::OutOfOrderSequenceNumber));
    assert_eq!(error(&mut rig, &Draft::of(&["f"]).by(1_000, 1, 0)), None);
    assert_eq!(error(&mut rig, &Draft::of(&["d"]).by(1_000, 0, 3)), Some(ResponseError::InvalidProducerEpoch));
    rig.cluster.expire_producers("t", 0);
    assert_eq!(error(&mut rig, &Draft::of(&["g"]).by(1_000, 0, 77)), None, "nothing is known any more");
}

#[test]
fn wrong_broker_hints_at_the_leader() {
    let mut rig = Rig::new(Cluster::builder().brokers(2).topic("t", 2));
    assert_eq!(rig.cluster.leader("t", 0), Some((1, 0)));
    assert!(rig.cluster.move_leader("t", 0, 2));
    let batch = Draft::of(&["a"]).bytes();
    let response = rig.ask(1, 10, &request("t", 1, 0, batch.clone()));
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!(partition.error_code, ResponseError::NotLeaderOrFollower.code());
    assert_eq!((partition.current_leader.leader_id.0, partition.current_leader.leader_epoch), (2, 1));
    assert_eq!((response.node_endpoints[0].node_id.0, response.node_endpoints[0].port), (2, 9_093));
    assert_eq!(rig.ask(2, 10, &request("t", 1, 0, batch)).responses[0].partition_responses[0].error_code, 0);
    assert_eq!(rig.cluster.log("t", 0)[0].leader_epoch, 1);
}

#[test]
fn version_13_knows_topics_by_id() {
    let mut rig = rig();
    let mut ask = request("t", -1, 0, Draft::of(&["a"]).bytes());
    ask.topic_data[0].topic_id = wire_id(rig.cluster.topic_id("t").expect("it was made"));
    let response = rig.ask(1, 13, &ask);
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0);
    assert_eq!(response.responses[0].topic_id, ask.topic_data[0].topic_id);
    rig.cluster.create_topic("t", 1);
    let code = rig.ask(1, 13, &ask).responses[0].partition_responses[0].error_code;
    assert_eq!(code, ResponseError::UnknownTopicId.code(), "the topic of that name is another");
}

#[test]
fn error_without_acks_closes_the_connection() {
    let mut rig = rig();
    assert_eq!(rig.send(1, 9, &request("t", 0, 0, Draft::of(&["a"]).bytes())), Outcome::Silent);
    assert_eq!(rig.send(1, 9, &request("t", 0, 7, Draft::of(&["a"]).bytes())), Outcome::Close);
    assert_eq!(rig.cluster.log("t", 0).len(), 1);
    let odd = rig.ask(1, 9, &request("t", 2, 0, Draft::of(&["a"]).bytes()));
    assert_eq!(odd.responses[0].partition_responses[0].error_code, ResponseError::InvalidRequiredAcks.code());
}

#[test]
fn faults_strike_before_or_after_the_append() {
    let mut rig = rig();
    let ask = request("t", 1, 0, Draft::of(&["a"]).bytes());
    let faults = [
        (Fault::CloseBefore, Outcome::Close, 0),
        (Fault::Swallowed, Outcome::Silent, 0),
        (Fault::CloseAfter, Outcome::Close, 1),
        (Fault::Lost, Outcome::Silent, 2),
    ];
    for (fault, outcome, records) in faults {
        rig.cluster.inject(0, fault, 1);
        assert_eq!(rig.send(1, 9, &ask), outcome, "{fault:?}");
        assert_eq!(rig.cluster.log("t", 0).len(), records, "{fault:?}");
    }
    rig.cluster.inject(0, Fault::Error(Code::NotEnoughReplicas), 1);
    assert_eq!(rig.ask(1, 9, &ask).responses[0].partition_responses[0].error_code, 19);
    assert_eq!(rig.cluster.log("t", 0).len(), 2);
    assert_eq!(rig.cluster.requests_count(0), 5);
}

#[test]
fn requests_behind_a_delayed_one_wait_their_turn() {
    let mut rig = rig();
    rig.cluster.inject(0, Fault::Delay(std::time::Duration::from_millis(50)), 1);
    for value in ["a", "b", "c"] {
        assert_eq!(rig.send(1, 9, &request("t", 1, 0, Draft::of(&[value]).bytes())), Outcome::Wait);
    }
    assert_eq!(rig.cluster.log("t", 0).len(), 1, "only the first has been served");
    assert_eq!(rig.cluster.poll(rig.now), None);
    rig.pass(50);
    assert_eq!(rig.cluster.poll_timeout(), Some(rig.now));
    let replies: Vec<_> = std::iter::from_fn(|| rig.cluster.poll(rig.now)).collect();
    assert_eq!(replies.len(), 3);
    let offsets = replies.into_iter().map(|(_, outcome)| match outcome {
        Outcome::Reply(frame) => {
            super::decode::<ProduceRequest>(9, frame).responses[0].partition_responses[0].base_offset
        }
        outcome => panic!("{outcome:?}"),
    });
    assert_eq!(offsets.collect::<Vec<_>>(), [0, 1, 2]);
}
