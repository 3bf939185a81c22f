//! Leaders that move unheard, tails that are lost, followers that are read, logs that are cut, compacted or hold transactions.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchResponse;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::messages::ListOffsetsRequest;
use kafka_protocol::messages::MetadataRequest;
use kafka_protocol::messages::OffsetForLeaderEpochRequest;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_request::ListOffsetsTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderTopic;
use kafka_protocol::protocol::StrBytes;

use super::Draft;
use super::Rig;
use super::decode;
use super::fetch;
use super::name;
use super::produce;
use crate::codec::Compression;
use crate::mock::Cluster;
use crate::mock::NewBatch;
use crate::mock::Outcome;
use crate::mock::check::HEAD_LEN;
use crate::mock::check::Head;

fn three() -> Rig {
    Rig::new(Cluster::builder().brokers(3).topic("t", 1))
}

fn only(response: FetchResponse) -> PartitionData {
    response.responses[0].partitions[0].clone()
}

/// The leader of t[0], as a broker reports it.
fn reported_leader(rig: &mut Rig, broker: i32) -> (i32, i32) {
    let response = rig.ask(broker, 12, &MetadataRequest::default().with_topics(None));
    let partition = &response.topics[0].partitions[0];
    (partition.leader_id.0, partition.leader_epoch)
}

#[test]
fn stale_broker_reports_old_metadata() {
    let mut rig = three();
    let find = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("g"));
    let before = rig.ask(3, 3, &find).node_id.0;
    let other = before % 3 + 1;
    rig.cluster.set_stale(3, true);
    rig.cluster.move_leader("t", 0, 2);
    rig.cluster.move_coordinator(0, "g", other);
    rig.cluster.create_topic("u", 1);
    assert_eq!((reported_leader(&mut rig, 1), reported_leader(&mut rig, 3)), ((2, 1), (1, 0)));
    assert_eq!((rig.ask(1, 3, &find).node_id.0, rig.ask(3, 3, &find).node_id.0), (other, before));
    let all = MetadataRequest::default().with_topics(None);
    assert_eq!((rig.ask(1, 12, &all).topics.len(), rig.ask(3, 12, &all).topics.len()), (2, 1));
    let wrong = rig.ask(3, 10, &produce::request("t", 1, 0, Draft::of(&["a"]).bytes()));
    let partition = &wrong.responses[0].partition_responses[0];
    assert_eq!((partition.error_code, partition.current_leader.leader_id.0), (6, -1), "it cannot point to the leader");
    rig.cluster.set_stale(3, false);
    assert_eq!(reported_leader(&mut rig, 3), (2, 1));
}

#[test]
fn crash_loses_unreplicated_tail_and_epochs_show_it() {
    let mut rig = three();
    let batch = |value| Draft::of(value).by(7, 0, 0);
    rig.ask(1, 9, &produce::request("t", 1, 0, batch(&["a", "b"]).bytes()));
    rig.cluster.hold_replication("t", 0, true);
    let tail = Draft::of(&["c"]).by(7, 0, 2).bytes();
    rig.ask(1, 9, &produce::request("t", 1, 0, tail.clone()));
    assert_eq!((rig.cluster.offsets("t", 0), rig.cluster.high_watermark("t", 0)), (Some((0, 3)), Some(2)));
    let seen = only(rig.ask(1, 12, &fetch::request(&[(0, 0)])));
    assert_eq!(
        (seen.high_watermark, seen.records.map(|records| records.len())),
        (2, Some(batch(&["a", "b"]).bytes().len()))
    );
    rig.cluster.crash(1);
    assert_eq!((rig.cluster.leader("t", 0), rig.cluster.offsets("t", 0)), (Some((2, 1)), Some((0, 2))));
    let partition = OffsetForLeaderPartition::default().with_leader_epoch(0).with_current_leader_epoch(1);
    let topic = OffsetForLeaderTopic::default().with_topic(name("t")).with_partitions(vec![partition]);
    let ended = rig.ask(2, 4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic]));
    let ended = &ended.topics[0].partitions[0];
    assert_eq!((ended.error_code, ended.leader_epoch, ended.end_offset), (0, 0, 2));
    rig.cluster.hold_replication("t", 0, false);
    let again = rig.ask(2, 9, &produce::request("t", -1, 0, tail));
    let again = &again.responses[0].partition_responses[0];
    assert_eq!((again.error_code, again.base_offset), (0, 2), "what was lost is not known as a duplicate");
}

#[test]
fn an_orderly_shutdown_loses_nothing() {
    let mut rig = three();
    rig.cluster.hold_replication("t", 0, true);
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]));
    rig.cluster.set_down(1);
    assert_eq!((rig.cluster.leader("t", 0), rig.cluster.log("t", 0).len()), (Some((2, 1)), 1));
}

#[test]
fn acks_all_waits_for_followers_until_its_timeout() {
    let mut rig = three();
    rig.cluster.hold_replication("t", 0, true);
    let ask = produce::request("t", -1, 0, Draft::of(&["a"]).bytes());
    let code = |frame| decode::<ProduceRequest>(9, frame).responses[0].partition_responses[0].error_code;
    assert_eq!(rig.send_on(5, 1, 9, &ask), Outcome::Wait);
    assert_eq!(rig.cluster.poll(rig.now), None);
    rig.cluster.replicate("t", 0);
    let Some((5, Outcome::Reply(done))) = rig.cluster.poll(rig.now) else { panic!("it is replicated") };
    assert_eq!(code(done), 0);

    assert_eq!(rig.send_on(5, 1, 9, &ask), Outcome::Wait);
    assert_eq!(rig.cluster.poll_timeout(), Some(rig.now + Duration::from_secs(1)));
    rig.pass(1_000);
    let Some((5, Outcome::Reply(late))) = rig.cluster.poll(rig.now) else { panic!("its time is over") };
    assert_eq!(code(late), ResponseError::RequestTimedOut.code());
    assert_eq!(rig.cluster.offsets("t", 0), Some((0, 2)), "it is in the log all the same");

    assert_eq!(rig.send_on(5, 1, 9, &ask), Outcome::Wait);
    rig.cluster.move_leader("t", 0, 2);
    let Some((5, Outcome::Reply(moved))) = rig.cluster.poll(rig.now) else { panic!("there is nothing to wait for") };
    assert_eq!(code(moved), ResponseError::NotLeaderOrFollower.code());
}

#[test]
fn acks_all_is_refused_below_min_insync_replicas() {
    let mut rig = Rig::new(Cluster::builder().brokers(2).topic("t", 1).min_insync_replicas(2));
    rig.cluster.set_down(2);
    let mut code = |acks| {
        let response = rig.ask(1, 9, &produce::request("t", acks, 0, Draft::of(&["a"]).bytes()));
        response.responses[0].partition_responses[0].error_code
    };
    assert_eq!((code(-1), code(1)), (ResponseError::NotEnoughReplicas.code(), 0));
}

#[test]
fn a_client_is_sent_to_the_replica_in_its_rack() {
    let mut rig = Rig::new(Cluster::builder().brokers(3).topic("t", 1).follower_reads());
    rig.cluster.append("t", 0, &NewBatch::of([("k", "a")]));
    rig.cluster.append("t", 0, &NewBatch::of([("k", "b")]));
    let ask = |offset, rack| fetch::request(&[(0, offset)]).with_rack_id(StrBytes::from_static_str(rack));
    let sent = only(rig.ask(1, 11, &ask(0, "rack-3")));
    assert_eq!((sent.error_code, sent.preferred_read_replica.0, sent.records), (0, 3, Some(Bytes::new())));
    for (version, rack) in [(11, "rack-1"), (11, "elsewhere"), (11, ""), (10, "rack-3")] {
        let served = only(rig.ask(1, version, &ask(0, rack)));
        assert_eq!(served.preferred_read_replica.0, -1);
        assert!(served.records.is_some_and(|records| !records.is_empty()), "{version} {rack}");
    }
    let follower = only(rig.ask(3, 11, &ask(0, "rack-3")));
    assert_eq!((follower.error_code, follower.high_watermark), (0, 2));
    assert!(follower.records.is_some_and(|records| records.len() > HEAD_LEN));
    rig.cluster.set_follower_end("t", 0, 3, Some(1));
    assert_eq!(only(rig.ask(3, 11, &ask(0, "rack-3"))).high_watermark, 1);
    let beyond = only(rig.ask(3, 11, &ask(2, "rack-3"))).error_code;
    assert_eq!(beyond, ResponseError::OffsetOutOfRange.code(), "the follower is behind");
    assert_eq!(rig.send(1, 11, &ask(2, "rack-3")), Outcome::Wait, "the leader does not send anyone where it is not");
}

#[test]
fn an_unclean_election_cuts_whole_batches() {
    let mut rig = three();
    for values in [&["a", "b"][..], &["c", "d"], &["e"]] {
        rig.cluster.append("t", 0, &NewBatch::of(values.iter().map(|value| ("k", *value))));
    }
    assert_eq!(rig.cluster.truncate("t", 0, 3), Some(2));
    assert_eq!((rig.cluster.offsets("t", 0), rig.cluster.leader("t", 0)), (Some((0, 2)), Some((1, 1))));
    assert_eq!(only(rig.ask(1, 12, &fetch::request(&[(0, 5)]))).error_code, ResponseError::OffsetOutOfRange.code());
}

#[test]
fn compaction_keeps_offsets_batch_ends_and_last_batches() {
    let mut rig = three();
    let mut append = |batch: NewBatch| rig.cluster.append("t", 0, &batch).expect("a partition");
    append(NewBatch::of([("a", "1"), ("b", "1")]).compressed(Compression::Gzip));
    append(NewBatch::of([("a", "2")]));
    append(NewBatch::of([("a", "3"), ("c", "1")]).by(7, 0, 0));
    append(NewBatch::of_nullable([(Some("c"), None), (Some("a"), Some("4"))]));
    append(NewBatch::of([("b", "2")]));
    // The first batch goes, since b is there again; so does the second; the third is empty, but its producer's last.
    assert_eq!(rig.cluster.compact("t", 0, 7), Some(5));
    let left: Vec<_> =
        rig.cluster.log("t", 0).into_iter().map(|record| (record.offset, record.key.expect("a key"))).collect();
    assert_eq!(left, [(5, Bytes::from("c")), (6, Bytes::from("a")), (7, Bytes::from("b"))]);
    let heads: Vec<_> =
        rig.cluster.batches("t", 0).iter().map(|b| Head::read(b.first_chunk().expect("a head"))).collect();
    let shape: Vec<_> = heads.iter().map(|head| (head.base_offset, head.last_offset_delta, head.count)).collect();
    assert_eq!(shape, [(3, 1, 0), (5, 1, 2), (7, 0, 1)]);
    assert_eq!(heads[1].attributes & 0x40, 0x40, "the tombstone has a horizon");
    assert_eq!(heads[1].base_timestamp, 86_400_000);
    let all = only(rig.ask(1, 12, &fetch::request(&[(0, 0)]))).records.expect("records");
    assert_eq!(all, rig.cluster.batches("t", 0).concat());
    let next = rig.ask(1, 9, &produce::request("t", 1, 0, Draft::of(&["x"]).by(7, 0, 2).bytes()));
    assert_eq!(next.responses[0].partition_responses[0].error_code, 0, "the producer is still known");
}

#[test]
fn read_committed_stops_at_open_transaction_and_lists_aborted() {
    let mut rig = three();
    let txn = |value, id, sequence| NewBatch::of([("k", value)]).by(id, 0, sequence).transactional();
    rig.cluster.append("t", 0, &NewBatch::of([("k", "plain")]));
    rig.cluster.append("t", 0, &txn("gone", 7, 0));
    rig.cluster.append("t", 0, &txn("open", 8, 0));
    assert_eq!(rig.cluster.last_stable_offset("t", 0), Some(1));
    assert_eq!(rig.cluster.end_transaction("t", 0, 7, false), Some(3));
    assert_eq!(rig.cluster.last_stable_offset("t", 0), Some(2));
    let committed = |offset| fetch::request(&[(0, offset)]).with_isolation_level(1);
    let response = only(rig.ask(1, 12, &committed(0)));
    assert_eq!((response.last_stable_offset, response.high_watermark), (2, 4));
    let aborted = response.aborted_transactions.expect("asked for");
    assert_eq!(aborted.iter().map(|a| (a.producer_id.0, a.first_offset)).collect::<Vec<_>>(), [(7, 1)]);
    assert_eq!(rig.send_on(9, 1, 12, &committed(2)), Outcome::Wait, "there is nothing stable there");
    assert_eq!(rig.cluster.end_transaction("t", 0, 8, true), Some(4));
    assert!(matches!(rig.cluster.poll(rig.now), Some((9, Outcome::Reply(_)))));
    let values: Vec<_> = rig.cluster.log_committed("t", 0).into_iter().filter_map(|record| record.value).collect();
    assert_eq!(values, ["plain", "open"]);
    let uncommitted = only(rig.ask(1, 12, &fetch::request(&[(0, 0)])));
    assert_eq!((uncommitted.aborted_transactions, rig.cluster.log("t", 0).len()), (None, 3));
    let marker = rig.cluster.batches("t", 0)[3].clone();
    let head = Head::read(marker.first_chunk().expect("a head"));
    assert_eq!((head.attributes, head.base_sequence, head.count), (0x30, -1, 1));
    // A record's length, attributes, two deltas, the key: version 0, type 0 for abort.
    assert_eq!(marker[HEAD_LEN + 4..HEAD_LEN + 9], [8, 0, 0, 0, 0]);
    assert_eq!(rig.cluster.end_transaction("t", 0, 99, true), None, "nobody knows this producer");
}

#[test]
fn the_latest_offset_depends_on_the_isolation() {
    let mut rig = three();
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]).timestamp(5));
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]).timestamp(9).by(7, 0, 0).transactional());
    let mut find = |isolation, timestamp| {
        let partition = ListOffsetsPartition::default().with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default().with_name(name("t")).with_partitions(vec![partition]);
        let ask = ListOffsetsRequest::default().with_isolation_level(isolation).with_topics(vec![topic]);
        rig.ask(1, 7, &ask).topics[0].partitions[0].offset
    };
    assert_eq!((find(0, -1), find(1, -1), find(0, 9), find(1, 9)), (2, 1, 1, -1));
}

#[test]
fn plain_batch_inside_open_transaction_is_refused() {
    let mut rig = three();
    rig.cluster.append("t", 0, &NewBatch::of([("k", "v")]).by(7, 0, 0).transactional());
    let response = rig.ask(1, 9, &produce::request("t", -1, 0, Draft::of(&["a"]).by(7, 0, 1).bytes()));
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ResponseError::InvalidTxnState.code());
}
