//! DescribeProducers, DescribeTransactions, ListTransactions and WriteTxnMarkers.

use kafka_protocol::messages::DescribeProducersRequest;
use kafka_protocol::messages::DescribeTransactionsRequest;
use kafka_protocol::messages::InitProducerIdRequest;
use kafka_protocol::messages::ListTransactionsRequest;
use kafka_protocol::messages::ProducerId;
use kafka_protocol::messages::TransactionalId;
use kafka_protocol::messages::WriteTxnMarkersRequest;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarkerTopic;
use ottla::mock::key;
use protocol_tests::rig;

use super::compare;
use super::make;
use super::name;
use super::peer::Draft;
use super::peer::Peer;
use super::peer::wall_ms;
use super::produce::append;
use super::text;
use super::versions;
use super::wording;

#[test]
fn producers_are_described_and_marked_as_by_kafka() {
    let topic = rig::fresh("conf-producers");
    compare(|peer| {
        let _: Vec<u8> = make(peer, &topic, 1);
        describe(peer, "nobody", &topic, &[0]);
        append(peer, &topic, &Draft::of(wall_ms(), &["a", "b"]).by(4_711, 3, 0));
        append(peer, &topic, &Draft::of(wall_ms(), &["c"]).by(4_711, 3, 2));
        append(peer, &topic, &Draft::of(wall_ms(), &["d"]).by(4_712, 0, 0));
        append(peer, &topic, &Draft::of(wall_ms(), &["without"]));
        describe(peer, "two producers", &topic, &[0]);
        describe(peer, "an unknown partition", &topic, &[0, 9]);
        describe(peer, "an unknown topic", "conf-none", &[0]);
        describe(peer, "an invalid topic", "a/b", &[0]);
        for version in versions(key::WRITE_TXN_MARKERS) {
            let cases = [
                ("committed", &*topic, 4_711, 3, 5, true),
                ("by an older coordinator", &*topic, 4_711, 3, 4, true),
                ("of an older epoch", &*topic, 4_711, 2, 5, true),
                ("of a newer epoch", &*topic, 4_712, 1, 0, false),
                ("of an unknown producer", &*topic, 4_713, 0, 0, false),
                ("in an unknown topic", "conf-none", 4_711, 3, 5, true),
            ];
            for (what, topic, producer_id, epoch, coordinator_epoch, commit) in cases {
                let topic = WritableTxnMarkerTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
                let marker = WritableTxnMarker::default()
                    .with_producer_id(ProducerId(producer_id))
                    .with_producer_epoch(epoch)
                    .with_coordinator_epoch(coordinator_epoch)
                    .with_transaction_result(commit)
                    .with_topics(vec![topic]);
                let response = peer.send(version, &WriteTxnMarkersRequest::default().with_markers(vec![marker]));
                peer.record(format!("write markers: {what}: version {version}"), response);
            }
            describe(peer, "after markers", &topic, &[0]);
        }
    });
}

fn describe(peer: &mut Peer, what: &str, topic: &str, indexes: &[i32]) {
    let asked = TopicRequest::default().with_name(name(topic)).with_partition_indexes(indexes.to_vec());
    let response = peer.send(0, &DescribeProducersRequest::default().with_topics(vec![asked])).map(|mut response| {
        response.throttle_time_ms = 0;
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            wording(&mut partition.error_message);
            partition.active_producers.sort_by_key(|producer| producer.producer_id.0);
            for producer in &mut partition.active_producers {
                producer.last_timestamp = producer.last_timestamp.signum();
            }
        }
        response
    });
    peer.record(format!("describe producers: {what}"), response);
}

#[test]
fn transactions_are_described_and_listed_as_by_kafka() {
    let id = rig::fresh("conf-txn");
    compare(|peer| {
        // The coordinator may have to load its state first.
        let init = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text(&id))))
            .with_transaction_timeout_ms(60_000);
        let (producer, epoch) = loop {
            let response = peer.send(4, &init).expect("a response");
            match response.error_code {
                0 => break (response.producer_id, response.producer_epoch),
                14..=16 => std::thread::yield_now(),
                code => panic!("error {code}"),
            }
        };
        for (what, asked) in [("known", &*id), ("unknown", "conf-none"), ("empty", "")] {
            let request =
                DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(text(asked))]);
            let response = peer.send(0, &request).map(|mut response| {
                response.throttle_time_ms = 0;
                for state in &mut response.transaction_states {
                    let is_same = state.producer_id == producer && state.producer_epoch == epoch;
                    (state.producer_id, state.producer_epoch) = (ProducerId(i64::from(is_same)), 0);
                }
                response
            });
            peer.record(format!("describe transactions: {what}"), response);
        }
        for version in versions(key::LIST_TRANSACTIONS) {
            let all = ListTransactionsRequest::default();
            let mut requests = vec![
                ("all", all.clone()),
                ("of a producer", all.clone().with_producer_id_filters(vec![producer])),
                ("of another producer", all.clone().with_producer_id_filters(vec![ProducerId(1 << 60)])),
                ("of a state", all.clone().with_state_filters(vec![text("Empty")])),
                ("of another state", all.clone().with_state_filters(vec![text("Ongoing")])),
                ("of unknown states", all.clone().with_state_filters(vec![text("empty"), text("Nowhere")])),
                (
                    "of a known and an unknown state",
                    all.clone().with_state_filters(vec![text("Empty"), text("Nowhere")]),
                ),
            ];
            if version >= 1 {
                requests.push(("that take longer than a second", all.clone().with_duration_filter(1_000)));
                requests.push(("that take very long", all.clone().with_duration_filter(i64::MAX)));
            }
            if version >= 2 {
                let by = |pattern: &str| all.clone().with_transactional_id_pattern(Some(text(pattern)));
                requests.push(("by a pattern", by("conf-txn.*")));
                requests.push(("by a part", by("conf-txn")));
                requests.push(("by an invalid pattern", by("(conf")));
                requests.push(("by an empty pattern", by("")));
            }
            for (what, request) in requests {
                let response = peer.send(version, &request).map(|mut response| {
                    response.throttle_time_ms = 0;
                    response.transaction_states.retain(|state| *state.transactional_id.0 == *id);
                    for state in &mut response.transaction_states {
                        state.producer_id = ProducerId(i64::from(state.producer_id == producer));
                    }
                    response
                });
                peer.record(format!("list transactions: {what}: version {version}"), response);
            }
        }
    });
}
