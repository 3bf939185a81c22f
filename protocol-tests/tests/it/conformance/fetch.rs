//! Fetch, with and without sessions.

use bytes::Bytes;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_request::FetchTopic;
use kafka_protocol::messages::fetch_request::ForgottenTopic;
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
use super::text;
use super::versions;

/// Equal on both sides, so that records can be compared byte by byte.
const TIMESTAMP: i64 = 1_700_000_000_000;

/// Three batches in partition 0, one in partition 1, none in 2 and 3.
pub(super) fn fill(peer: &mut Peer, topic: &str) {
    for (partition, at, values) in
        [(0, 0, &["a", "b"][..]), (0, 2_000, &["c"]), (0, 1_000, &["d", "e"]), (1, 0, &["f"])]
    {
        let records = Draft::of(TIMESTAMP + at, values).bytes();
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
        let topic = TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![topic]);
        assert_eq!(peer.send(9, &request).expect("a response").responses[0].partition_responses[0].error_code, 0);
    }
}

fn partition(index: i32, offset: i64) -> FetchPartition {
    FetchPartition::default().with_partition(index).with_fetch_offset(offset).with_partition_max_bytes(1 << 20)
}

fn base() -> FetchRequest {
    FetchRequest::default().with_max_wait_ms(0).with_min_bytes(0).with_max_bytes(1 << 20)
}

macro_rules! request {
    ($version:expr, $topic:expr, $id:expr, $partitions:expr) => {{
        let topic = FetchTopic::default().with_partitions($partitions);
        base().with_topics(vec![match $version {
            ..13 => topic.with_topic(name($topic)),
            13.. => topic.with_topic_id($id),
        }])
    }};
}

fn record(peer: &mut Peer, step: String, response: Result<FetchResponse, &'static str>) {
    let tidied = response.map(|mut response| {
        response.throttle_time_ms = 0;
        response.session_id = i32::from(response.session_id != 0);
        for endpoint in &mut response.node_endpoints {
            endpoint.port = 0;
            endpoint.host = text("");
        }
        for topic in &mut response.responses {
            flag(&mut topic.topic_id);
            for partition in &mut topic.partitions {
                // Null and an empty list are equivalent.
                partition.records = partition.records.take().or_else(|| Some(Bytes::new()));
            }
        }
        response
    });
    peer.record(step, tidied);
}

#[test]
fn fetches_are_answered_as_by_kafka() {
    let topic = rig::fresh("conf-fetch");
    compare(|peer| {
        let id = make(peer, &topic, 4);
        fill(peer, &topic);
        for version in versions(key::FETCH) {
            let all = |offset| vec![partition(0, offset)];
            let sized = |bytes| vec![partition(0, 0).with_partition_max_bytes(bytes), partition(1, 0)];
            let known = |epoch| vec![partition(0, 5).with_current_leader_epoch(epoch)];
            let last = |epoch, offset| vec![partition(0, offset).with_last_fetched_epoch(epoch)];
            let mut requests = vec![
                ("everything", request!(version, &topic, id, (0..4).map(|index| partition(index, 0)).collect())),
                (
                    "the other way round",
                    request!(version, &topic, id, (0..4).rev().map(|index| partition(index, 0)).collect()),
                ),
                ("the middle of a batch", request!(version, &topic, id, all(1))),
                ("the last batch", request!(version, &topic, id, all(4))),
                ("the end", request!(version, &topic, id, all(5))),
                ("beyond the end", request!(version, &topic, id, all(6))),
                ("a negative offset", request!(version, &topic, id, all(-1))),
                ("an unknown partition", request!(version, &topic, id, vec![partition(99, 0)])),
                ("one byte", request!(version, &topic, id, sized(1)).with_max_bytes(1)),
                ("one byte of the partition", request!(version, &topic, id, sized(1))),
                ("a hundred bytes", request!(version, &topic, id, sized(100))),
                ("a hundred bytes in all", request!(version, &topic, id, sized(1 << 20)).with_max_bytes(100)),
                ("nothing of the partition", request!(version, &topic, id, sized(0))),
                (
                    "more than there is",
                    request!(version, &topic, id, all(0)).with_min_bytes(1 << 20).with_max_wait_ms(30),
                ),
                ("read committed", request!(version, &topic, id, all(0)).with_isolation_level(1)),
                ("read committed at the end", request!(version, &topic, id, all(5)).with_isolation_level(1)),
                ("no topic", base()),
            ];
            if version >= 9 {
                requests.push(("the leader epoch", request!(version, &topic, id, known(0))));
                requests.push(("a later leader epoch", request!(version, &topic, id, known(5))));
            }
            if version >= 12 {
                requests.push(("the last fetched epoch", request!(version, &topic, id, last(0, 2))));
                requests.push(("a last fetched epoch to come", request!(version, &topic, id, last(3, 2))));
                requests.push(("the last fetched epoch, beyond the end", request!(version, &topic, id, last(0, 9))));
            }
            let mut other = id;
            flag(&mut other);
            requests.push(("an unknown topic", request!(version, &format!("{topic}-none"), other, all(0))));
            for (what, request) in requests {
                let response = peer.send(version, &request);
                record(peer, format!("fetch: {what}: version {version}"), response);
            }
        }
    });
}

#[test]
fn fetch_sessions_behave_as_in_kafka() {
    let topic = rig::fresh("conf-session");
    compare(|peer| {
        let id = make(peer, &topic, 4);
        fill(peer, &topic);
        for version in versions(key::FETCH).filter(|version| *version >= 7) {
            let mut session = 0;
            let mut step = |peer: &mut Peer, what: &str, request: FetchRequest, epoch: i32| {
                let response = peer.send(version, &request.with_session_id(session).with_session_epoch(epoch));
                if let Ok(opened) = &response
                    && epoch == 0
                {
                    session = opened.session_id;
                }
                record(peer, format!("session: {what}: version {version}"), response);
            };
            let some = |offset| request!(version, &topic, id, vec![partition(0, offset), partition(2, 0)]);
            let forgotten = |index| {
                let topic_name = if version < 13 { name(&topic) } else { name("") };
                let mut forgotten = ForgottenTopic::default().with_topic(topic_name).with_partitions(vec![index]);
                if version >= 13 {
                    forgotten.topic_id = id;
                }
                base().with_forgotten_topics_data(vec![forgotten])
            };
            step(peer, "a session that is not", some(0), 1);
            step(peer, "opened", some(0), 0);
            step(peer, "read on", request!(version, &topic, id, vec![partition(0, 5)]), 1);
            step(peer, "nothing new", base(), 2);
            step(peer, "the wrong epoch", base(), 7);
            step(peer, "an old epoch", base(), 2);
            step(peer, "one more partition", request!(version, &topic, id, vec![partition(1, 0)]), 3);
            step(peer, "back to the start", request!(version, &topic, id, vec![partition(0, 0)]), 4);
            step(peer, "out of range", request!(version, &topic, id, vec![partition(0, 77)]), 5);
            step(peer, "out of range still", base(), 6);
            step(peer, "forgotten", forgotten(0), 7);
            step(peer, "an unknown partition", request!(version, &topic, id, vec![partition(99, 0)]), 8);
            step(peer, "an unknown partition still", base(), 9);
            step(peer, "forgotten too", forgotten(99), 10);
            step(peer, "reopened", some(5), 0);
            step(peer, "ended", base(), -1);
            step(peer, "after the end", base(), 1);
            step(peer, "no session requested", some(0), -1);
            step(peer, "a session of nothing", base(), 0);
        }
    });
}
