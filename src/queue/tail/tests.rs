//! The newest records of topics on mock clusters, in virtual time.

use super::*;
use crate::error::Code;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::NewBatch;
use crate::mock::On;
use crate::mock::Server;
use crate::mock::key;

fn stage(partitions: i32) -> (Server, Client) {
    let server = Server::in_memory(Mock::builder().brokers(3).auto_create(true).topic("t", partitions).build());
    let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
    let client = builder.connect_lazy().expect("a runtime");
    (server, client)
}

/// Appends one record, whose value is its timestamp.
fn append(server: &Server, partition: i32, timestamp: i64) {
    let batch = NewBatch::of([("k", timestamp.to_string())]).timestamp(timestamp);
    server.with(|cluster| cluster.append("t", partition, &batch)).expect("the partition exists");
}

fn places(latest: &Latest) -> Vec<(i64, i32, i64)> {
    latest.records.iter().map(|record| (record.timestamp, record.partition, record.offset)).collect()
}

#[tokio::test(start_paused = true)]
async fn newest_records_are_those_of_all_partitions_by_time() {
    let (server, client) = stage(4);
    // The ends of the original's example: 2, 2, 2 and 3.
    for (partition, timestamps) in (0..).zip([vec![1, 2], vec![3, 9], vec![4, 7], vec![5, 6, 8]]) {
        for timestamp in timestamps {
            append(&server, partition, timestamp);
        }
    }
    let latest = Tail::new(&client, "t").latest(5).await.expect("the topic exists");
    assert_eq!(places(&latest), [(5, 3, 0), (6, 3, 1), (7, 2, 1), (8, 3, 2), (9, 1, 1)]);
    assert!(latest.errors.is_empty());
    let each = Tail::new(&client, "t").tail_per_partition(1).await.expect("the topic exists");
    assert_eq!(places(&each), [(2, 0, 1), (9, 1, 1), (7, 2, 1), (8, 3, 2)]);
    for (count, found) in [(0, 0), (1, 1), (9, 9), (usize::MAX, 9)] {
        let latest = Tail::new(&client, "t").latest(count).await.expect("the topic exists");
        assert_eq!(latest.records.len(), found, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn equal_timestamps_are_ordered_by_partition_and_offset() {
    let (server, client) = stage(2);
    for partition in [1, 0, 1, 0] {
        append(&server, partition, 7);
    }
    let latest = Tail::new(&client, "t").latest(3).await.expect("the topic exists");
    assert_eq!(places(&latest), [(7, 0, 1), (7, 1, 0), (7, 1, 1)]);
}

#[tokio::test(start_paused = true)]
async fn compacted_offsets_do_not_hide_older_records() {
    let (server, client) = stage(1);
    let oldest = NewBatch::of([("other", "5")]).timestamp(5);
    server.with(|cluster| cluster.append("t", 0, &oldest)).expect("the partition exists");
    (10..110).for_each(|timestamp| append(&server, 0, timestamp));
    // These records have one key: compaction leaves the last.
    server.with(|cluster| cluster.compact("t", 0, 101)).expect("the partition exists");
    append(&server, 0, 2_000);
    let latest = Tail::new(&client, "t").latest(3).await.expect("the topic exists");
    assert_eq!(places(&latest), [(5, 0, 0), (109, 0, 100), (2_000, 0, 101)]);
    let all = Tail::new(&client, "t").latest(4).await.expect("the topic exists");
    assert_eq!(places(&all), places(&latest), "the log has no more, and reading ends");
}

#[tokio::test(start_paused = true)]
async fn partition_that_cannot_be_read_has_an_error_and_hides_no_other() {
    let (server, client) = stage(3);
    (0..3).for_each(|partition| append(&server, partition, i64::from(partition)));
    let denied = Fault::Error(Code::TopicAuthorizationFailed);
    server.with(|cluster| cluster.play(On::api(key::LIST_OFFSETS).partition("t", 1).then(denied).forever()));
    let latest = Tail::new(&client, "t").latest(10).await.expect("the topic exists");
    assert_eq!(places(&latest), [(0, 0, 0), (2, 2, 0)]);
    assert_eq!(latest.errors.iter().map(Error::partition).collect::<Vec<_>>(), [Some(1)]);
}

#[tokio::test(start_paused = true)]
async fn silent_leader_costs_only_its_partitions_and_the_deadline() {
    let (server, client) = stage(3);
    (0..3).for_each(|partition| append(&server, partition, i64::from(partition)));
    let silent = server.with(|cluster| cluster.leader("t", 2)).expect("it has one").0;
    server.with(|cluster| cluster.play(On::api(key::FETCH).broker(silent).then(Fault::Lost).forever()));
    let begun = clock::now();
    let latest = Tail::new(&client, "t").deadline(Duration::from_secs(4)).latest(10).await.expect("the topic exists");
    assert!(clock::now() - begun <= Duration::from_millis(4_100));
    assert_eq!(places(&latest), [(0, 0, 0), (1, 1, 0)]);
    let error = &latest.errors[0];
    assert_eq!((error.kind(), error.partition(), latest.errors.len()), (Kind::Timeout, Some(2), 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_committed_joined_or_created() {
    let (server, client) = stage(2);
    append(&server, 0, 1);
    Tail::new(&client, "t").latest(10).await.expect("the topic exists");
    let error = Tail::new(&client, "absent").latest(10).await.expect_err("no such topic");
    assert_eq!(error.kind(), Kind::UnknownTopic);
    server.with(|cluster| {
        let apis = [key::OFFSET_COMMIT, key::JOIN_GROUP, key::FIND_COORDINATOR, key::CREATE_TOPICS];
        assert_eq!(apis.map(|api| cluster.requests_count(api)), [0; 4]);
        assert!(cluster.topic_id("absent").is_none());
    });
}

#[tokio::test(start_paused = true)]
async fn undecodable_bytes_are_returned_as_they_are() {
    let (server, client) = stage(1);
    let bytes: &[u8] = &[0xff, 0x00, 0xfe];
    server.with(|cluster| cluster.append("t", 0, &NewBatch::of([(bytes, bytes)]))).expect("the partition exists");
    let latest = Tail::new(&client, "t").latest(1).await.expect("the topic exists");
    assert_eq!(latest.records[0].value.as_deref(), Some(bytes));
}

#[tokio::test(start_paused = true)]
async fn follow_continues_where_the_newest_records_ended() {
    let (server, client) = stage(2);
    append(&server, 0, 1);
    let tail = Tail::new(&client, "t");
    let latest = tail.latest(10).await.expect("the topic exists");
    append(&server, 0, 2);
    append(&server, 1, 3);
    let mut consumer = tail.follow(&latest).await.expect("the topic exists");
    append(&server, 0, 4);
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let records = consumer.poll().await.expect("the leaders respond").expect("it has no end");
        seen.extend(records.iter().map(|record| record.timestamp));
    }
    seen.sort_unstable();
    assert_eq!(seen, [2, 3, 4]);
}
