//! The docs of [`Consumer::poll`] and [`Consumer::seek`] as tests: positions outside the log, errors, and commits of owned records.
//! In memory and on a paused clock.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::OwnedRecord;
use ottla::consumer::Position;
use ottla::consumer::Records;
use ottla::consumer::ResetPolicy;
use ottla::consumer::Start;
use ottla::error::Code;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::On;
use ottla::mock::Server;
use ottla::mock::key;
use ottla::types::TopicPartition;
use tokio::time::Instant;

/// The log of partition 0: three records were deleted, seven are left.
const LOG: std::ops::Range<i64> = 3..10;

async fn cluster() -> (Server, Client) {
    let server = Server::in_memory(Cluster::builder().brokers(1).topic("t", 2).build());
    let builder = Client::builder([server.bootstrap()]).expect("well-formed").connector(server.connector());
    let client = builder.connect().await.expect("the broker responds");
    write(&client, 0, LOG.end).await;
    server.with(|cluster| cluster.delete_before("t", 0, LOG.start));
    (server, client)
}

async fn write(client: &Client, partition: i32, count: i64) {
    let producer = client.producer().build().expect("the defaults are fine");
    for _ in 0..count {
        producer.send(Record::to("t").partition(partition).value("v")).await.expect("the leader appends it");
    }
}

fn reader(client: &Client) -> ConsumerBuilder {
    client.consumer().group("g").assign_partitions([("t", 0)]).start(Start::Earliest)
}

fn zero() -> TopicPartition {
    TopicPartition::new("t", 0)
}

/// The next poll that has records or resets, or fails.
async fn next(consumer: &mut Consumer) -> Result<Records, Error> {
    loop {
        let records = consumer.poll().await?.expect("the read has no end");
        if !records.is_empty() || !records.resets().is_empty() {
            return Ok(records);
        }
    }
}

fn offsets(records: &Records) -> Vec<i64> {
    records.iter().map(|record| record.offset).collect()
}

async fn reads_nothing(consumer: &mut Consumer) -> bool {
    tokio::time::timeout(Duration::from_secs(600), next(consumer)).await.is_err()
}

/// Reads everything, then seeks. Returns the move that polls report, and the offsets of the records after it up to `until`.
async fn seek(client: &Client, policy: ResetPolicy, to: i64, until: i64) -> Result<((i64, i64), Vec<i64>), Error> {
    let mut consumer = reader(client).reset(policy).build().expect("the settings are fine");
    assert_eq!(offsets(&next(&mut consumer).await.expect("all of it")), LOG.collect::<Vec<_>>());
    consumer.seek(&zero(), Start::Offset(to)).expect("it is assigned");
    assert_eq!(consumer.position(&zero()), Some(Position::from(to)), "it moves at once");
    let mut records = next(&mut consumer).await?;
    let reset = &records.resets()[0];
    assert_eq!((&*reset.topic, reset.partition, reset.reason), ("t", 0, "the position is out of the log's range"));
    let moved = (reset.from, reset.to);
    let mut read = offsets(&records);
    write(client, 0, until - LOG.end).await;
    while consumer.position(&zero()).is_some_and(|position| position.offset < until) {
        records = next(&mut consumer).await?;
        read.extend(offsets(&records));
    }
    Ok((moved, read))
}

#[tokio::test(start_paused = true)]
async fn seek_outside_the_log_starts_over_with_the_oldest_record() {
    for to in [LOG.start - 1, LOG.end + 1, 1_000_000] {
        let (_server, client) = cluster().await;
        let moved = seek(&client, ResetPolicy::default(), to, LOG.end).await.expect("it is reported");
        assert_eq!(moved, ((to, LOG.start), LOG.collect()));
    }
}

#[tokio::test(start_paused = true)]
async fn seek_outside_the_log_continues_at_the_end_with_latest() {
    for to in [LOG.start - 1, LOG.end + 1] {
        let (_server, client) = cluster().await;
        let moved = seek(&client, ResetPolicy::Latest, to, LOG.end + 1).await.expect("it is reported");
        assert_eq!(moved, ((to, LOG.end), vec![LOG.end]));
    }
}

#[tokio::test(start_paused = true)]
async fn seek_outside_the_log_without_a_policy_waits_for_a_seek() {
    for to in [LOG.start - 1, LOG.end + 1] {
        let (_server, client) = cluster().await;
        let mut consumer = reader(&client).reset(ResetPolicy::None).build().expect("the settings are fine");
        next(&mut consumer).await.expect("all of it");
        consumer.seek(&zero(), Start::Offset(to)).expect("it is assigned");
        let error = next(&mut consumer).await.expect_err("no policy moves it");
        let place = (error.kind(), error.topic(), error.partition(), error.offset());
        assert_eq!(place, (Kind::Truncated, Some("t"), Some(0), Some(to)));
        assert!(error.to_string().contains("3 to 10"), "{error}");
        assert!(reads_nothing(&mut consumer).await, "it is reported once");
        consumer.seek(&zero(), Start::Offset(LOG.end - 1)).expect("it is assigned");
        assert_eq!(offsets(&next(&mut consumer).await.expect("the last record")), [LOG.end - 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn seek_to_the_end_waits_for_the_next_record() {
    let (_server, client) = cluster().await;
    let mut consumer = reader(&client).reset(ResetPolicy::None).build().expect("the settings are fine");
    consumer.seek(&zero(), Start::Offset(LOG.end)).expect("it is assigned");
    assert!(reads_nothing(&mut consumer).await, "the end is in range");
    write(&client, 0, 1).await;
    assert_eq!(offsets(&next(&mut consumer).await.expect("a new record")), [LOG.end]);
}

#[tokio::test(start_paused = true)]
async fn seek_past_the_end_of_a_bounded_read_ends_it() {
    for to in [LOG.end, LOG.end + 1] {
        let (_server, client) = cluster().await;
        let mut consumer = reader(&client).until_end().build().expect("the settings are fine");
        assert_eq!(offsets(&next(&mut consumer).await.expect("all of it")), LOG.collect::<Vec<_>>());
        consumer.seek(&zero(), Start::Offset(to)).expect("it is assigned");
        assert!(consumer.poll().await.expect("no error").is_none());
    }
}

/// Commits the positions, and returns the offset that the group has then.
async fn commit(consumer: &mut Consumer) -> Option<i64> {
    consumer.commit().await.expect("the coordinator responds");
    let stored = consumer.committed().await.expect("the coordinator responds");
    stored[0].1.map(|position| position.offset)
}

#[tokio::test(start_paused = true)]
async fn position_is_committed_as_sought_until_the_reset_is_returned() {
    let (_server, client) = cluster().await;
    let mut consumer = reader(&client).build().expect("the settings are fine");
    next(&mut consumer).await.expect("all of it");
    consumer.seek(&zero(), Start::Offset(500)).expect("it is assigned");
    assert_eq!(commit(&mut consumer).await, Some(500));
    let records = next(&mut consumer).await.expect("the reset");
    assert_eq!(records.resets().len(), 1);
    assert_eq!(commit(&mut consumer).await, Some(LOG.start + i64::try_from(records.count()).expect("there are few")));
}

#[tokio::test(start_paused = true)]
async fn owned_records_are_committed_by_their_next_position() {
    let (_server, client) = cluster().await;
    let mut consumer = reader(&client).build().expect("the settings are fine");
    let records = next(&mut consumer).await.expect("all of it");
    let owned: Vec<OwnedRecord> = records.iter().take(4).map(|record| record.to_owned()).collect();
    let last = records.iter().nth(3).expect("there are seven");
    assert!(last.leader_epoch.is_some());
    assert_eq!(owned[3].next_position(), last.next_position());
    let positions = owned
        .iter()
        .map(|record| (TopicPartition::new(record.topic.clone(), record.partition), record.next_position()));
    consumer.commit_positions(positions).await.expect("the coordinator responds");
    let mut next_reader = client.consumer().group("g").assign_partitions([("t", 0)]).build().expect("the settings");
    assert_eq!(offsets(&next(&mut next_reader).await.expect("the rest")), [7, 8, 9]);
}

/// The errors that polls return within a time.
async fn errors_for(consumer: &mut Consumer, time: Duration) -> Vec<Error> {
    let mut errors = Vec::new();
    let end = Instant::now() + time;
    while let Ok(polled) = tokio::time::timeout_at(end, next(consumer)).await {
        errors.extend(polled.err());
    }
    errors
}

#[tokio::test(start_paused = true)]
async fn corrupt_batch_is_reported_again_until_a_seek_past_it() {
    let (server, client) = cluster().await;
    let on = On::api(key::FETCH).partition("t", 0);
    let script = server.with(|cluster| cluster.play(on.then(Fault::CorruptRecords).forever()));
    let mut consumer = reader(&client).build().expect("the settings are fine");
    let first = next(&mut consumer).await.expect_err("its checksum is wrong");
    assert_eq!((first.kind(), first.offset()), (Kind::Corrupt, Some(LOG.start)));
    let again = next(&mut consumer).await.expect_err("it is still wrong");
    assert_eq!((again.kind(), again.offset()), (Kind::Corrupt, Some(LOG.start)));
    assert_eq!(consumer.position(&zero()).map(|position| position.offset), Some(LOG.start));
    server.with(|cluster| cluster.stop(script));
    consumer.seek(&zero(), Start::Offset(LOG.start + 1)).expect("it is assigned");
    assert_eq!(offsets(&next(&mut consumer).await.expect("the rest")), (LOG.start + 1..LOG.end).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn refused_partition_is_reported_and_read_once_it_is_allowed() {
    let (server, client) = cluster().await;
    write(&client, 1, 2).await;
    let on = On::api(key::FETCH).partition("t", 0);
    let refused = Fault::Error(Code::TopicAuthorizationFailed);
    let script = server.with(|cluster| cluster.play(on.then(refused).forever()));
    let mut consumer = client.consumer().assign(["t"]).build().expect("the settings are fine");
    let mut errors = errors_for(&mut consumer, Duration::from_secs(10)).await;
    assert!(errors.len() > 5, "{errors:?}");
    let error = errors.remove(0);
    assert_eq!((error.code(), error.partition()), (Some(Code::TopicAuthorizationFailed), Some(0)));
    assert_eq!(consumer.position(&TopicPartition::new("t", 1)).map(|position| position.offset), Some(2));
    server.with(|cluster| cluster.stop(script));
    let records = loop {
        if let Ok(records) = next(&mut consumer).await {
            break records;
        }
    };
    assert_eq!(offsets(&records), LOG.collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn failure_that_may_pass_is_reported_every_thirty_seconds() {
    let (server, client) = cluster().await;
    let mut consumer = reader(&client).build().expect("the settings are fine");
    next(&mut consumer).await.expect("all of it");
    server.with(|cluster| cluster.set_down(1));
    let errors = errors_for(&mut consumer, Duration::from_secs(100)).await;
    assert_eq!(errors.iter().map(Error::kind).collect::<Vec<_>>(), [Kind::Connect; 3], "{errors:?}");
    server.with(|cluster| cluster.set_up(1));
    write(&client, 0, 1).await;
    let records = loop {
        if let Ok(records) = next(&mut consumer).await {
            break records;
        }
    };
    assert_eq!(offsets(&records), [LOG.end]);
}

#[tokio::test(start_paused = true)]
async fn missing_partition_is_reported_once_and_missing_topic_again() {
    let (server, client) = cluster().await;
    let time = Duration::from_secs(60);
    let mut consumer = client.consumer().assign_partitions([("t", 2)]).build().expect("the settings are fine");
    let errors = errors_for(&mut consumer, time).await;
    assert_eq!(errors.iter().map(Error::kind).collect::<Vec<_>>(), [Kind::UnknownTopic]);
    assert_eq!(errors[0].partition(), Some(2));
    server.with(|cluster| cluster.add_partitions("t", 3));
    write(&client, 2, 1).await;
    assert_eq!(offsets(&next(&mut consumer).await.expect("it exists")), [0]);

    let mut consumer = client.consumer().assign(["nosuch"]).build().expect("the settings are fine");
    let errors = errors_for(&mut consumer, time).await;
    assert!((8..=12).contains(&errors.len()), "{errors:?}");
    assert!(errors.iter().all(|error| error.kind() == Kind::UnknownTopic), "{errors:?}");
}
