//! The public consumer against the mock cluster over TCP.

use std::time::Duration;

use super::*;
use crate::client::Client;
use crate::codec::Compression;
use crate::config::Properties;
use crate::error::Code;
use crate::group::assignor;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::Server;
use crate::producer::Record;

const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;

async fn cluster(partitions: i32) -> (Server, Client) {
    let mock = Mock::builder().brokers(3).topic("t", partitions).build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let client = Client::connect([server.bootstrap()]).await.expect("the mock cluster responds");
    (server, client)
}

async fn write(client: &Client, compression: Compression, from: u32, count: u32) {
    let producer = client.producer().compression(compression).build().expect("settings are fine");
    let mut deliveries = Vec::new();
    for index in from..from + count {
        let value = index.to_string();
        let key = format!("key {index}");
        deliveries
            .push(producer.enqueue(Record::to("t").key(&key).value(&value)).await.expect("the buffer has capacity"));
    }
    for delivery in deliveries {
        delivery.await.expect("the mock cluster appends it");
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it is ready within 10 seconds")
}

/// Everything up to the end, as numbers, sorted; offsets must be contiguous in each partition.
async fn read_all(consumer: &mut Consumer) -> Vec<u32> {
    let mut values = Vec::new();
    let mut next = std::collections::HashMap::new();
    while let Some(records) = within(consumer.poll()).await.expect("there is no error") {
        for record in &records {
            let expected = next.entry(record.partition).or_insert(record.offset);
            assert_eq!(*expected, record.offset, "partition {}", record.partition);
            *expected += 1;
            let value = std::str::from_utf8(record.value.expect("each has one")).expect("written as text");
            assert_eq!(record.key, Some(format!("key {value}").as_bytes()));
            values.push(value.parse().expect("written as a number"));
        }
    }
    values.sort_unstable();
    values
}

#[tokio::test]
async fn bounded_read_returns_every_record_once_with_each_codec() {
    let (_server, client) = cluster(4).await;
    for (at, compression) in (0..).zip(Compression::ALL) {
        write(&client, compression, at * 5_000, 5_000).await;
    }
    let mut consumer = client.consumer().assign(["t"]).until_end().poll_bytes_max(10_000).build().unwrap();
    assert_eq!(read_all(&mut consumer).await, (0..25_000).collect::<Vec<_>>());
    assert!(within(consumer.poll()).await.unwrap().is_none());
    within(consumer.close()).await.unwrap();
}

#[tokio::test]
async fn next_consumer_starts_at_the_committed_offset() {
    let (server, client) = cluster(2).await;
    write(&client, Compression::None, 0, 100).await;
    let mut first = client.consumer().group("g").assign(["t"]).until_end().build().unwrap();
    assert_eq!(read_all(&mut first).await.len(), 100);
    server.with(|mock| mock.inject(OFFSET_COMMIT, Fault::Error(Code::NotCoordinator), 1));
    within(first.commit()).await.unwrap();
    let committed = within(first.committed()).await.unwrap();
    assert_eq!(committed.len(), 2);
    for (key, position) in committed {
        assert_eq!(position.unwrap().offset, server.with(|mock| mock.offsets("t", key.partition)).unwrap().1);
    }
    write(&client, Compression::None, 100, 10).await;
    let mut second = client.consumer().group("g").assign(["t"]).until_end().build().unwrap();
    assert_eq!(read_all(&mut second).await, (100..110).collect::<Vec<_>>());
}

#[tokio::test]
async fn waiting_poll_returns_new_records_across_leader_moves() {
    let (server, client) = cluster(1).await;
    let mut consumer = client.consumer().assign(["t"]).build().unwrap();
    let records = within(consumer.poll()).await.unwrap().unwrap();
    assert!(records.is_empty());
    assert_eq!(records.ends(), [(TopicPartition::new("t", 0), 0)]);
    for round in 0..6 {
        write(&client, Compression::Lz4, round, 1).await;
        let records = within(consumer.poll()).await.unwrap().unwrap();
        assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [i64::from(round)]);
        let leader = server.with(|mock| mock.leader("t", 0)).unwrap().0;
        server.with(|mock| {
            let other = mock.brokers().into_iter().find(|broker| *broker != leader).unwrap();
            mock.move_leader("t", 0, other)
        });
    }
}

#[tokio::test]
async fn each_start_and_seek_reads_from_its_offset() {
    let (_server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 50).await;
    for (start, expected) in [
        (Start::Earliest, 50),
        (Start::FromEnd(7), 7),
        (Start::FromEnd(1_000), 50),
        (Start::Latest, 0),
        (Start::Offset(45), 5),
        (Start::Timestamp(0), 50),
        (Start::Timestamp(i64::MAX - 1), 0),
    ] {
        let mut consumer = client.consumer().assign_partitions([("t", 0)]).start(start.clone()).until_end().build();
        let read = read_all(consumer.as_mut().unwrap()).await;
        assert_eq!(read.len(), expected, "{start:?}");
    }
    let key = TopicPartition::new("t", 0);
    let mut consumer = client.consumer().assign_partitions([("t", 0)]).build().unwrap();
    assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 50);
    assert_eq!(consumer.position(&key).unwrap().offset, 50);
    consumer.seek(&key, Start::Offset(48)).unwrap();
    let records = within(consumer.poll()).await.unwrap().unwrap();
    let owned: Vec<OwnedRecord> = records.iter().map(|record| record.to_owned()).collect();
    assert_eq!(owned.iter().map(|record| record.offset).collect::<Vec<_>>(), [48, 49]);
    assert_eq!(owned[1].value.as_deref(), Some(&b"49"[..]));
    assert_eq!(within(consumer.end_offsets()).await.unwrap(), [(key.clone(), 50)]);
    assert!(consumer.seek(&TopicPartition::new("t", 9), Start::Latest).is_err());
}

#[tokio::test]
async fn missing_topic_is_an_error_and_closed_consumer_returns_none() {
    let (_server, client) = cluster(1).await;
    let mut consumer = client.consumer().assign(["missing"]).until_end().build().unwrap();
    let error = within(consumer.poll()).await.unwrap_err();
    assert_eq!((error.kind(), error.topic()), (Kind::UnknownTopic, Some("missing")));
    within(consumer.close()).await.unwrap();
    assert!(within(consumer.poll()).await.unwrap().is_none());
    assert!(client.consumer().build().is_err());
}

#[tokio::test]
async fn commit_of_positions_covers_only_processed_records() {
    let (_server, client) = cluster(2).await;
    write(&client, Compression::None, 0, 20).await;
    write(&client, Compression::None, 20, 20).await;
    let reader = || client.consumer().group("g").assign(["t"]).until_end().build().unwrap();
    let mut consumer = reader();
    let records = within(consumer.poll()).await.unwrap().unwrap();
    let dealt_with = records.iter().take(7);
    let last = dealt_with.map(|record| (TopicPartition::new("t", record.partition), record.next_position()));
    within(consumer.commit_positions(last)).await.unwrap();
    assert_eq!(read_all(&mut reader()).await.len(), 33);
}

#[tokio::test]
async fn seek_does_not_wait_for_an_idle_fetch() {
    let (_server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 5).await;
    let key = TopicPartition::new("t", 0);
    // The response to a fetch that waits for data comes long after `within` has given up.
    let wait = Duration::from_secs(25);
    let mut consumer = client.consumer().assign(["t"]).fetch_wait_max(wait).build().unwrap();
    assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 5);
    for offset in [3, 1] {
        consumer.seek(&key, Start::Offset(offset)).unwrap();
        let records = within(consumer.poll()).await.unwrap().unwrap();
        assert_eq!(records.iter().next().map(|record| record.offset), Some(offset));
        drop(records);
        consumer.pause([&key]).unwrap();
        consumer.resume([&key]).unwrap();
        write(&client, Compression::None, 0, 1).await;
        assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 1);
    }
}

#[tokio::test]
async fn consumer_does_not_wait_for_another_of_its_client() {
    let (_server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 1).await;
    let reader = || client.consumer().assign(["t"]).fetch_wait_max(Duration::from_secs(25)).build().unwrap();
    let mut first = reader();
    assert_eq!(within(first.poll()).await.unwrap().unwrap().count(), 1);
    // The first consumer waits at the end, and its response is far off.
    let mut second = reader();
    assert_eq!(within(second.poll()).await.unwrap().unwrap().count(), 1);
    write(&client, Compression::None, 1, 1).await;
    assert_eq!(within(first.poll()).await.unwrap().unwrap().count(), 1);
    assert_eq!(within(second.poll()).await.unwrap().unwrap().count(), 1);
}

#[tokio::test]
async fn offsets_are_returned_for_every_partition_before_reading() {
    let (_server, client) = cluster(4).await;
    let consumer = client.consumer().group("g").assign(["t"]).build().unwrap();
    let ends = within(consumer.end_offsets()).await.unwrap();
    assert_eq!(
        ends.iter().map(|(key, end)| (key.partition, *end)).collect::<Vec<_>>(),
        [(0, 0), (1, 0), (2, 0), (3, 0)]
    );
    let fresh = client.consumer().group("g").assign(["t"]).build().unwrap();
    assert_eq!(within(fresh.committed()).await.unwrap().len(), 4);
    let nowhere = client.consumer().group("g").assign(["nowhere"]).build().unwrap();
    let error = within(nowhere.end_offsets()).await.expect_err("there is no such topic");
    assert_eq!((error.kind(), error.topic()), (Kind::UnknownTopic, Some("nowhere")));
}

#[tokio::test]
async fn policy_of_none_without_a_committed_offset_is_an_error_until_a_seek() {
    let (_server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 7).await;
    let mut properties = Properties::new();
    properties.set("group.id", "g").unwrap();
    properties.set("auto.offset.reset", "none").unwrap();
    let built = client.consumer().assign(["t"]).properties(&properties);
    let mut consumer = built.unwrap().build().unwrap();
    let error = within(consumer.poll()).await.expect_err("nothing is committed");
    assert_eq!((error.kind(), error.topic(), error.partition()), (Kind::NoOffset, Some("t"), Some(0)));
    assert!(error.to_string().contains("0 to 7"), "{error}");
    // Nothing is read meanwhile, and nothing is committed.
    assert!(tokio::time::timeout(Duration::from_millis(200), consumer.poll()).await.is_err());
    let key = TopicPartition::new("t", 0);
    assert_eq!(consumer.position(&key), None);
    consumer.seek(&key, Start::Offset(5)).unwrap();
    assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 2);
    within(consumer.commit()).await.unwrap();
    // From now on there is an offset to start from.
    write(&client, Compression::None, 7, 1).await;
    let mut next = client.consumer().group("g").start(Start::StoredOnly).assign(["t"]).build().unwrap();
    assert_eq!(within(next.poll()).await.unwrap().unwrap().count(), 1);
}

#[tokio::test]
async fn unknown_group_has_committed_nothing() {
    let (server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 3).await;
    for times in [1, 2] {
        server.with(|mock| mock.inject(OFFSET_FETCH, Fault::Error(Code::GroupIdNotFound), times));
        let mut consumer = client.consumer().group("nobody").assign(["t"]).build().unwrap();
        assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 3);
    }
    let consumer = client.consumer().group("nobody").assign(["t"]).build().unwrap();
    server.with(|mock| mock.inject(OFFSET_FETCH, Fault::Error(Code::GroupIdNotFound), 2));
    assert_eq!(within(consumer.committed()).await.unwrap(), [(TopicPartition::new("t", 0), None)]);
}

#[tokio::test]
async fn unknown_group_has_committed_nothing_in_version_1() {
    let mock = Mock::builder().topic("t", 1).versions(OFFSET_FETCH, 1, 1).unknown_groups().build();
    let server = Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let client = Client::connect([server.bootstrap()]).await.expect("the mock cluster responds");
    write(&client, Compression::None, 0, 3).await;
    let mut consumer = client.consumer().group("nobody").assign(["t"]).build().unwrap();
    assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 3);
    assert_eq!(within(consumer.committed()).await.unwrap(), [(TopicPartition::new("t", 0), None)]);
}

#[tokio::test]
async fn extreme_limits_are_accepted_or_refused_with_the_remedy() {
    let (_server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 3).await;
    write(&client, Compression::Lz4, 3, 3).await;
    let builder = || client.consumer().group("g").assign(["t"]).until_end();
    let accepted: [(&str, ConsumerBuilder); 14] = [
        ("fetch_wait_max", builder().fetch_wait_max(Duration::MAX)),
        ("fetch_wait_max 0", builder().fetch_wait_max(Duration::ZERO)),
        ("timeout", builder().timeout(Duration::MAX)),
        ("poll_bytes_max 0", builder().poll_bytes_max(0)),
        ("poll_bytes_max", builder().poll_bytes_max(usize::MAX)),
        ("batch_bytes_max", builder().batch_bytes_max(usize::MAX)),
        ("fetch_bytes_max 1", builder().fetch_bytes_max(1)),
        ("fetch_bytes_max", builder().fetch_bytes_max(usize::MAX)),
        ("fetch_bytes_min 0", builder().fetch_bytes_min(0)),
        ("partition_fetch_bytes_max 1", builder().partition_fetch_bytes_max(1)),
        ("partition_fetch_bytes_max", builder().partition_fetch_bytes_max(usize::MAX)),
        ("prefetch_bytes 1", builder().prefetch_bytes(1)),
        ("prefetch_bytes", builder().prefetch_bytes(usize::MAX)),
        ("all", builder().fetch_wait_max(Duration::MAX).timeout(Duration::MAX).fetch_bytes_max(0x7fff_ffff)),
    ];
    for (name, builder) in accepted {
        let mut consumer = builder.build().unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read_all(&mut consumer).await.len(), 6, "{name}");
        within(consumer.commit()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        within(consumer.committed()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        within(consumer.end_offsets()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        for partition in consumer.assignment() {
            consumer.seek(&partition, Start::Earliest).unwrap();
        }
        within(consumer.poll()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        within(consumer.commit_positions([(TopicPartition::new("t", 0), Position::from(0))])).await.unwrap();
    }
    let refused: [(&str, ConsumerBuilder); 4] = [
        ("fetch.max.bytes", builder().fetch_bytes_max(0)),
        ("max.partition.fetch.bytes", builder().partition_fetch_bytes_max(0)),
        ("queued.max.messages.kbytes", builder().prefetch_bytes(0)),
        ("batch_bytes_max", builder().batch_bytes_max(0)),
    ];
    for (name, builder) in refused {
        let error = builder.build().expect_err(name);
        assert!(error.kind() == Kind::Config && error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn settings_of_the_other_group_protocol_are_refused_by_both_names() {
    let (_server, client) = cluster(1).await;
    let builder = |settings: &[(&str, &str)]| {
        let mut properties = Properties::new();
        for (name, value) in settings {
            properties.set(name, value).unwrap();
        }
        client.consumer().group("g").subscribe(["t"]).properties(&properties).unwrap()
    };
    let consumer = ("group.protocol", "consumer");
    let refused = [
        (
            builder(&[consumer]).assignors([assignor::by_name("range").unwrap()]),
            ["`assignors`", "group.remote.assignor"],
        ),
        (builder(&[consumer, ("partition.assignment.strategy", "range")]), ["`assignors`", "group.remote.assignor"]),
        (builder(&[consumer, ("session.timeout.ms", "1000")]), ["`session_timeout`", "group.protocol"]),
        (builder(&[consumer, ("heartbeat.interval.ms", "100")]), ["`heartbeat_interval`", "group.protocol"]),
        (builder(&[("group.remote.assignor", "uniform")]), ["`group_remote_assignor`", "group.protocol"]),
    ];
    for (builder, names) in refused {
        let error = builder.build().expect_err(names[0]);
        let text = error.to_string();
        assert!(error.kind() == Kind::Config && names.iter().all(|name| text.contains(name)), "{text}");
    }
    builder(&[("group.protocol", "Consumer"), ("group.remote.assignor", "uniform")])
        .build()
        .expect("it is the new protocol's");
    builder(&[("group.protocol", "classic"), ("session.timeout.ms", "6000")])
        .build()
        .expect("it is the classic protocol's");
}

#[tokio::test]
async fn zero_bytes_a_poll_is_one_batch_a_poll() {
    let (_server, client) = cluster(1).await;
    for from in 0..4 {
        write(&client, Compression::None, from, 1).await;
    }
    let mut consumer = client.consumer().assign(["t"]).until_end().poll_bytes_max(0).build().unwrap();
    for _ in 0..4 {
        assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 1);
    }
}

#[tokio::test]
async fn poll_reports_a_driver_that_ended_by_itself() {
    let (_server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 3).await;
    let mut consumer = client.consumer().assign(["t"]).build().unwrap();
    assert_eq!(within(consumer.poll()).await.unwrap().unwrap().count(), 3);
    consumer.driver.as_ref().expect("it runs").abort();
    for _ in 0..3 {
        assert_eq!(within(consumer.poll()).await.expect_err("nobody closed it").kind(), Kind::Closed);
    }
    within(consumer.close()).await.unwrap();

    // One that was closed, or has read all that it was to read, has no error to report.
    let mut closed = client.consumer().assign(["t"]).build().unwrap();
    within(closed.close()).await.unwrap();
    assert!(within(closed.poll()).await.unwrap().is_none());
    let mut bounded = client.consumer().assign(["t"]).until_end().build().unwrap();
    assert_eq!(read_all(&mut bounded).await.len(), 3);
    bounded.driver.as_ref().expect("it runs").abort();
    tokio::task::yield_now().await;
    assert!(within(bounded.poll()).await.unwrap().is_none());
}

#[tokio::test]
async fn dropped_commit_never_overwrites_a_later_one() {
    let (server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 9).await;
    let key = TopicPartition::new("t", 0);
    let mut consumer = client.consumer().group("g").assign(["t"]).build().unwrap();
    for (dropped, kept) in [(8, 3), (2, 7)] {
        // The first is refused and waits to be retried when its caller gives up.
        server.with(|mock| mock.inject(OFFSET_COMMIT, Fault::Error(Code::CoordinatorLoadInProgress), 1));
        let first = consumer.commit_positions([(key.clone(), Position::from(dropped))]);
        assert!(tokio::time::timeout(Duration::from_millis(50), first).await.is_err());
        within(consumer.commit_positions([(key.clone(), Position::from(kept))])).await.unwrap();
        let stored = within(consumer.committed()).await.unwrap();
        assert_eq!(stored, [(key.clone(), Some(Position::from(kept)))]);
        // Nothing is left that would be sent later.
        assert_eq!(consumer.shared.lock().commits.as_ref().expect("it has a group").poll_timeout(), None);
    }
    let metrics = client.metrics().consumers.remove(0);
    assert_eq!((metrics.commits, metrics.commit_failures), (4, 0));
}

#[tokio::test]
async fn commit_without_a_group_or_after_the_end_is_an_error() {
    let (_server, client) = cluster(1).await;
    let mut loner = client.consumer().assign(["t"]).build().unwrap();
    assert_eq!(within(loner.commit()).await.expect_err("no group").kind(), Kind::Config);
    let mut closed = client.consumer().group("g").assign(["t"]).build().unwrap();
    within(closed.close()).await.unwrap();
    let positions = [(TopicPartition::new("t", 0), Position::from(1))];
    assert_eq!(within(closed.commit_positions(positions)).await.expect_err("it is closed").kind(), Kind::Closed);
}

#[tokio::test]
async fn assignment_is_replaced_while_the_consumer_reads() {
    let (_server, client) = cluster(3).await;
    let producer = client.producer().build().unwrap();
    for partition in 0..3 {
        within(producer.send(Record::to("t").partition(partition).value("1"))).await.unwrap();
    }
    let mut consumer = client.consumer().assign_partitions([("t", 0)]).build().unwrap();
    let records = within(consumer.poll()).await.unwrap().unwrap();
    assert_eq!(records.iter().map(|record| record.partition).collect::<Vec<_>>(), [0]);
    drop(records);
    consumer.assign_partitions([("t", 1), ("t", 0)]).unwrap();
    let read = read_partitions(&mut consumer, 1).await;
    assert_eq!(read, [1], "partition 0 goes on after its record");
    consumer.unassign_partitions([&TopicPartition::new("t", 0)]);
    assert_eq!(consumer.assignment(), [TopicPartition::new("t", 1)]);
    assert_eq!(consumer.position(&TopicPartition::new("t", 0)), None);
    consumer.assign_partitions([("t", 0), ("t", 2)]).unwrap();
    let mut read = read_partitions(&mut consumer, 2).await;
    read.sort_unstable();
    assert_eq!(read, [0, 2], "partition 0 starts over");
    let metrics = client.metrics().consumers.remove(0);
    assert_eq!((metrics.records, metrics.batches, metrics.assigned_partitions), (4, 4, 2));
    let error = consumer.assign_partitions([("t", -1)]).expect_err("there is none");
    assert_eq!((error.kind(), consumer.assignment().len()), (Kind::Config, 2));
}

/// The partitions of the next `count` records.
async fn read_partitions(consumer: &mut Consumer, count: usize) -> Vec<i32> {
    let mut partitions = Vec::new();
    while partitions.len() < count {
        let records = within(consumer.poll()).await.expect("there is no error").expect("the read has no end");
        partitions.extend(records.iter().map(|record| record.partition));
    }
    partitions
}

#[tokio::test]
async fn lookup_of_committed_offsets_follows_the_coordinator() {
    let (server, client) = cluster(1).await;
    write(&client, Compression::None, 0, 5).await;
    let key = TopicPartition::new("t", 0);
    let mut consumer = client.consumer().group("g").assign(["t"]).build().unwrap();
    within(consumer.commit_positions([(key.clone(), Position::from(3))])).await.unwrap();
    for code in [Code::NotCoordinator, Code::CoordinatorLoadInProgress] {
        server.with(|mock| mock.inject(OFFSET_FETCH, Fault::Error(code), 2));
        assert_eq!(within(consumer.committed()).await.unwrap(), [(key.clone(), Some(Position::from(3)))]);
        server.with(|mock| mock.inject(OFFSET_FETCH, Fault::Error(code), 2));
        let mut next = client.consumer().group("g").assign(["t"]).build().unwrap();
        assert_eq!(within(next.poll()).await.unwrap().unwrap().count(), 2, "it starts where the group stopped");
    }
    server.with(|mock| mock.inject(OFFSET_FETCH, Fault::Error(Code::GroupAuthorizationFailed), 1));
    let error = within(consumer.committed()).await.expect_err("it is final");
    assert_eq!(error.code(), Some(Code::GroupAuthorizationFailed));
}
