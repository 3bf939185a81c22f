//! Produce and InitProducerId.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::InitProducerIdRequest;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::ProduceResponse;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use kafka_protocol::messages::produce_request::TopicProduceData;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::flag;
use super::make;
use super::name;
use super::peer::Draft;
use super::peer::Peer;
use super::peer::wall_ms;
use super::text;
use super::versions;
use super::wording;

/// The target of a scene: a topic, a partition, and a version.
struct Scene<'a, U> {
    peer: &'a mut Peer,
    topic: &'a str,
    id: U,
    version: i16,
}

macro_rules! request {
    ($scene:expr, $acks:expr, $partition:expr, $records:expr) => {{
        let data = PartitionProduceData::default().with_index($partition).with_records($records);
        let topic = TopicProduceData::default().with_partition_data(vec![data]);
        let topic = match $scene.version {
            ..13 => topic.with_name(name($scene.topic)),
            13.. => topic.with_topic_id($scene.id),
        };
        ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks($acks)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![topic])
    }};
}

fn record(peer: &mut Peer, step: String, response: Result<ProduceResponse, &'static str>) {
    let tidied = response.map(|mut response| {
        response.throttle_time_ms = 0;
        for endpoint in &mut response.node_endpoints {
            endpoint.port = 0;
            endpoint.host = text("");
        }
        for topic in &mut response.responses {
            flag(&mut topic.topic_id);
            for partition in &mut topic.partition_responses {
                // The mock gives a reason for every batch, Kafka only for single records.
                partition.error_message = None;
                partition.log_append_time_ms = partition.log_append_time_ms.min(1);
                for record in &mut partition.record_errors {
                    wording(&mut record.batch_index_error_message);
                }
            }
        }
        response
    });
    peer.record(step, tidied);
}

/// Appends a batch to partition 0 of a topic.
pub(super) fn append(peer: &mut Peer, topic: &str, batch: &Draft) {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(batch.bytes()));
    let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_transactional_id(None).with_acks(-1).with_timeout_ms(5_000);
    let response = peer.send(9, &request.with_topic_data(vec![topic])).expect("a response");
    assert_eq!(response.responses[0].partition_responses[0].error_code, 0, "{response:?}");
}

fn identity(peer: &mut Peer) -> i64 {
    let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
    // A broker that has just started has no ids to assign yet.
    loop {
        let response = peer.send(4, &request).expect("a response");
        if response.error_code != ResponseError::CoordinatorLoadInProgress.code() {
            assert_eq!(response.error_code, 0);
            return response.producer_id.0;
        }
        std::thread::yield_now();
    }
}

/// Every invalid batch, with its name. Null is not among them: 4.3.1 never responds to it.
fn bad_batches(now: i64) -> Vec<(&'static str, Option<Bytes>)> {
    let good = Draft::of(now, &["one", "two"]);
    let bytes = good.bytes();
    let mut flipped = bytes.to_vec();
    *flipped.last_mut().expect("not empty") ^= 1;
    let magic = |number: u8| {
        let mut bytes = bytes.to_vec();
        bytes[16] = number;
        Some(Bytes::from(bytes))
    };
    let bent = |draft: Draft| Some(draft.bytes());
    let large = "x".repeat(1_100_000);
    vec![
        ("a flipped bit", Some(flipped.into())),
        ("empty records", Some(Bytes::new())),
        ("half a header", Some(bytes.slice(..30))),
        ("half a batch", Some(bytes.slice(..70))),
        ("two batches", Some([&bytes[..], &bytes[..]].concat().into())),
        ("magic 0", magic(0)),
        ("magic 1", magic(1)),
        ("magic 3", magic(3)),
        ("too large", bent(Draft::of(now, &[&large]))),
        ("a control batch", bent(Draft { attributes: 0x20, ..good.clone() })),
        ("append time", bent(Draft { attributes: 0x08, ..good.clone() })),
        ("a codec that is none", bent(Draft { attributes: 0x07, ..good.clone() })),
        ("gzip that is none", bent(Draft { attributes: 0x01, ..good.clone() })),
        ("one record too few", bent(Draft { count_extra: 1, ..good.clone() })),
        ("one record too many", bent(Draft { count_extra: -1, ..good.clone() })),
        ("a delta too far", bent(Draft { delta_extra: 1, ..good.clone() })),
        ("no record", bent(Draft::of(now, &[]))),
        ("the far future", bent(Draft::of(now + 7_200_000, &["one"]))),
        ("a wrong maximum timestamp", bent(Draft { max_timestamp_extra: 1, ..good.clone() })),
        ("a negative sequence", bent(good.by(4_711, 0, -1))),
    ]
}

#[test]
fn invalid_batches_are_refused_as_by_kafka() {
    let topic = rig::fresh("conf-bad");
    compare(|peer| {
        let id = make(peer, &topic, 14);
        for version in versions(key::PRODUCE) {
            for (what, records) in bad_batches(wall_ms()) {
                let scene = Scene { peer, topic: &topic, id, version };
                let response = scene.peer.send(version, &request!(scene, -1, i32::from(version), records));
                record(peer, format!("produce: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn batches_are_accepted_and_deduplicated_as_by_kafka() {
    let topic = rig::fresh("conf-produce");
    compare(|peer| {
        let id = make(peer, &topic, 14);
        for version in versions(key::PRODUCE) {
            let (now, producer) = (wall_ms(), identity(peer));
            let of = |values: &[&str]| Draft::of(now, values);
            let by = |values: &[&str], epoch, sequence| of(values).by(producer, epoch, sequence);
            let steps = [
                ("plain", of(&["a", "b"])),
                ("the first", by(&["a", "b"], 0, 0)),
                ("the first again", by(&["a", "b"], 0, 0)),
                ("the second", by(&["c"], 0, 2)),
                ("a gap", by(&["d"], 0, 9)),
                ("the first once more", by(&["a", "b"], 0, 0)),
                ("a part of the first", by(&["a"], 0, 0)),
                ("the third", by(&["d"], 0, 3)),
                ("the fourth", by(&["e"], 0, 4)),
                ("the fifth", by(&["f"], 0, 5)),
                ("the sixth", by(&["g"], 0, 6)),
                ("the first, which is forgotten", by(&["a", "b"], 0, 0)),
                ("the second, which is not", by(&["c"], 0, 2)),
                ("a new epoch in the middle", by(&["h"], 1, 7)),
                ("a new epoch from zero", by(&["h"], 1, 0)),
                ("the old epoch", by(&["i"], 0, 7)),
                ("an unknown producer in the middle", of(&["j"]).by(producer + 5_000_000, 0, 7)),
            ];
            for (what, draft) in steps {
                let scene = Scene { peer, topic: &topic, id, version };
                let response = scene.peer.send(version, &request!(scene, -1, i32::from(version), Some(draft.bytes())));
                record(peer, format!("produce: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn acks_and_unknown_partitions_are_answered_as_by_kafka() {
    let topic = rig::fresh("conf-acks");
    let missing = rig::fresh("conf-none");
    compare(|peer| {
        let id = make(peer, &topic, 14);
        for version in versions(key::PRODUCE) {
            let records = || Some(Draft::of(wall_ms(), &["a"]).bytes());
            for (acks, partition) in [(1, 0), (-1, 0), (2, 0), (-2, 0), (1, 99), (1, -1)] {
                let scene = Scene { peer, topic: &topic, id, version };
                let response = scene.peer.send(version, &request!(scene, acks, partition, records()));
                record(peer, format!("produce: acks {acks} to {partition}: version {version}"), response);
            }
            let mut other = id;
            flag(&mut other);
            let scene = Scene { peer, topic: &missing, id: other, version };
            let response = scene.peer.send(version, &request!(scene, -1, 0, records()));
            record(peer, format!("produce: an unknown topic: version {version}"), response);
            for (what, partition) in [("taken", 0), ("an unknown partition", 99)] {
                let scene = Scene { peer, topic: &topic, id, version };
                let request = request!(scene, 0, partition, records());
                let state = peer.tell(version, &request);
                peer.record(format!("produce: acks 0: {what}: version {version}"), state);
                if state == "closed" {
                    peer.hang_up();
                }
            }
        }
    });
}

#[test]
fn producer_ids_are_assigned_as_by_kafka() {
    let prefix = rig::fresh("conf-txn");
    compare(|peer| {
        for version in versions(key::INIT_PRODUCER_ID) {
            let plain =
                InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
            let named = |name: &str| plain.clone().with_transactional_id(Some(TransactionalId(text(name))));
            let transactional = format!("{prefix}-{version}");
            settle(peer, &transactional);
            let mut requests = vec![
                ("idempotent", plain.clone()),
                ("an empty transactional id", named("")),
                ("transactional", named(&transactional)),
                ("transactional, again", named(&transactional)),
                ("a timeout of nothing", named(&transactional).with_transaction_timeout_ms(0)),
                ("a timeout too long", named(&transactional).with_transaction_timeout_ms(900_001)),
            ];
            if version >= 3 {
                let stranger = named(&transactional).with_producer_id(ProducerId(4_711)).with_producer_epoch(3);
                requests.push(("the producer id of another producer", stranger));
                let half = named(&transactional).with_producer_id(ProducerId(4_711));
                requests.push(("a producer id without an epoch", half));
            }
            for (what, request) in requests {
                let response = peer.send(version, &request);
                let response = response.map(|response| {
                    (response.error_code, response.producer_id >= ProducerId(0), response.producer_epoch)
                });
                peer.record(format!("init producer id: {what}: version {version}"), response);
            }
        }
    });
}

/// Waits until the coordinator accepts a transactional id, whose epoch is 0 then.
fn settle(peer: &mut Peer, transactional: &str) {
    let find = FindCoordinatorRequest::default().with_key(text(transactional)).with_key_type(1);
    while peer.send(3, &find).expect("a response").error_code != 0 {
        std::thread::yield_now();
    }
    let name = Some(TransactionalId(text(transactional)));
    let request = InitProducerIdRequest::default().with_transactional_id(name).with_transaction_timeout_ms(60_000);
    while peer.send(2, &request).expect("a response").error_code != 0 {
        std::thread::yield_now();
    }
}
