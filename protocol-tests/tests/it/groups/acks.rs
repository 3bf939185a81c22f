//! Acknowledged records, on the mock in virtual time: what is committed, what waits, and what is refused across a rebalance.

use std::time::Duration;

use ottla::Error;
use ottla::Record;
use ottla::consumer::AckConsumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::OffsetToCommit;
use ottla::consumer::OwnedRecord;
use ottla::consumer::Position;
use ottla::consumer::Refusal;
use ottla::consumer::Start;
use ottla::consumer::Unacked;
use ottla::error::Kind;
use ottla::types::TopicPartition;
use tokio::time::Instant;
use tokio::time::timeout;

use super::mock::LONG;
use super::mock::Stage;
use super::mock::in_time;

type Work = Unacked<OwnedRecord>;

fn assigned(stage: &Stage) -> ConsumerBuilder {
    stage.client.consumer().group("g").assign_partitions([("t", 0)])
}

/// Polls until there are `count` records.
async fn take(consumer: &mut AckConsumer, count: usize) -> Vec<Work> {
    let mut work = Vec::new();
    while work.len() < count {
        work.extend(in_time(consumer.poll()).await.expect("no error").expect("no end").into_records());
    }
    work
}

/// Acknowledges records whose partition is assigned.
fn acknowledge(work: impl IntoIterator<Item = Work>) {
    for work in work {
        work.ack().expect("its partition is assigned");
    }
}

/// Polls for a while, and returns the records and errors that came.
async fn drain(consumer: &mut AckConsumer, time: Duration) -> (Vec<Work>, Vec<Error>) {
    let (mut work, mut errors) = (Vec::new(), Vec::new());
    let until = Instant::now() + time;
    while let Ok(polled) = tokio::time::timeout_at(until, consumer.poll()).await {
        match polled {
            Ok(records) => work.extend(records.expect("no end").into_records()),
            Err(error) => errors.push(error),
        }
    }
    (work, errors)
}

/// Ten records in each of the six partitions.
async fn six_partitions() -> Stage {
    let stage = Stage::new().await;
    write_to_all(&stage, 10).await;
    stage
}

/// Writes so many records to each of the six partitions.
async fn write_to_all(stage: &Stage, count: i32) {
    let producer = stage.client.producer().build().expect("a producer");
    for number in 0..6 * count {
        producer.send(Record::to("t").partition(number % 6).value("x")).await.expect("written");
    }
}

async fn one_partition(records: usize) -> Stage {
    let stage = Stage::with_partitions(1).await;
    stage.produce(records).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn only_the_acknowledged_prefix_is_committed_while_polling() {
    let stage = one_partition(10).await;
    let mut consumer = assigned(&stage).build_acked().expect("a consumer");
    let mut work: Vec<Option<Work>> = take(&mut consumer, 10).await.into_iter().map(Some).collect();
    for (index, committed) in [(3, 0), (1, 0), (0, 2), (9, 2), (2, 4)] {
        work[index].take().expect("it is open").ack().expect("its partition is assigned");
        drain(&mut consumer, Duration::from_secs(6)).await;
        assert_eq!(stage.committed(), committed, "after {index}");
    }
    assert_eq!(consumer.open_records(), 5);
    acknowledge(work.into_iter().flatten());
    consumer.commit().await.expect("committed");
    assert_eq!(stage.committed(), 10);
}

#[tokio::test(start_paused = true)]
async fn poll_waits_while_as_many_records_are_open_as_may_be() {
    let stage = one_partition(30).await;
    let builder = stage.builder().poll_interval_max(Duration::from_secs(60)).ack_open_max(10);
    let mut consumer = builder.build_acked().expect("a consumer");
    let mut work = take(&mut consumer, 10).await;
    assert!(work.len() <= 10, "the batches have one record each: {}", work.len());
    let (more, errors) = drain(&mut consumer, LONG).await;
    assert!(more.is_empty() && errors.is_empty(), "it waits, and is not late for its group: {errors:?}");
    for _ in 0..3 {
        work.pop().expect("it is open").ack().expect("its partition is assigned");
    }
    let (more, _) = drain(&mut consumer, Duration::from_secs(5)).await;
    assert_eq!((more.len(), consumer.open_records()), (3, 10));
    acknowledge(work.into_iter().chain(more));
}

#[tokio::test(start_paused = true)]
async fn waiting_poll_goes_on_when_a_worker_acknowledges() {
    let stage = one_partition(5).await;
    let mut consumer = assigned(&stage).ack_open_max(1).build_acked().expect("a consumer");
    let begun = Instant::now();
    for offset in 0..5 {
        let work = take(&mut consumer, 1).await.remove(0);
        assert_eq!(work.offset, offset);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(10)).await;
            work.ack().expect("its partition is assigned");
        });
    }
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn dropped_token_is_an_error_and_rewind_reads_it_again() {
    let stage = one_partition(6).await;
    let mut consumer = assigned(&stage).build_acked().expect("a consumer");
    let mut work = take(&mut consumer, 6).await;
    let late = work.pop().expect("the last");
    drop(work.remove(2));
    acknowledge(work);
    let error = in_time(consumer.poll()).await.expect_err("a token was dropped");
    assert_eq!((error.kind(), error.partition(), error.offset()), (Kind::Unacknowledged, Some(0), Some(2)));
    let (more, errors) = drain(&mut consumer, Duration::from_secs(60)).await;
    assert!(more.is_empty() && errors.is_empty(), "it is reported once: {errors:?}");
    assert_eq!(stage.committed(), 2, "nothing after the dropped record");
    consumer.rewind(&TopicPartition::new("t", 0)).expect("it is assigned");
    let again = take(&mut consumer, 4).await;
    assert_eq!(again.iter().map(|work| work.offset).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(late.ack().expect_err("it is handed out again").reason(), Refusal::Moved);
    acknowledge(again);
    in_time(consumer.close()).await.expect("closed");
    assert_eq!(stage.committed(), 6);
}

#[tokio::test(start_paused = true)]
async fn consumer_that_only_dropped_tokens_says_that_it_reads_nothing() {
    let stage = one_partition(6).await;
    let mut consumer = assigned(&stage).ack_open_max(2).build_acked().expect("a consumer");
    drop(take(&mut consumer, 2).await);
    let (_, errors) = drain(&mut consumer, Duration::from_secs(100)).await;
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors.len(), 5, "of the token, then every 30 s: {texts:?}");
    assert!(texts[1].contains("nothing is read") && texts[1].contains("rewind"), "{texts:?}");
    consumer.seek(&TopicPartition::new("t", 0), Start::Offset(4)).expect("it is assigned");
    let rest = take(&mut consumer, 2).await;
    assert_eq!(rest[0].offset, 4, "the dropped ones are given up");
    acknowledge(rest);
}

/// Two members. The second takes over half of the partitions while records of all are open at the first.
#[tokio::test(start_paused = true)]
async fn revoked_partitions_wait_for_open_records_and_commit_them() {
    for (assignor, acknowledges) in
        [("range", true), ("range", false), ("cooperative-sticky", true), ("cooperative-sticky", false)]
    {
        let stage = six_partitions().await;
        let build = || stage.builder().assignors(super::membership::assignors(assignor));
        let mut first = build().build_acked().expect("a consumer");
        let work = take(&mut first, 60).await;
        let (open, rest): (Vec<Work>, Vec<Work>) = work.into_iter().partition(|work| work.offset % 2 == 1);
        acknowledge(rest);
        let worker = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(if acknowledges { 5 } else { 60 })).await;
            open.into_iter().filter_map(|work| work.ack().ok()).count()
        });
        let mut second = build().build_acked().expect("a consumer");
        let (mut again, mut seen) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(50) {
            again.extend(drain(&mut first, Duration::from_millis(100)).await.0);
            seen.extend(drain(&mut second, Duration::from_millis(100)).await.0);
        }
        assert_eq!(second.as_consumer().assignment().len(), 3, "{assignor}");
        let acknowledged = in_time(worker).await.expect("no panic");
        let repeated = again.len() + seen.len();
        if acknowledges {
            assert_eq!((acknowledged, repeated), (30, 0), "{assignor}: nothing is repeated");
            write_to_all(&stage, 1).await;
            for member in [&mut first, &mut second] {
                let work = take(member, 3).await;
                acknowledge(work);
            }
        } else {
            // An eager assignor revokes all partitions, the cooperative one those that move.
            let revoked = if assignor == "range" { 30 } else { 15 };
            assert_eq!(30 - acknowledged, revoked, "{assignor}: their tokens are refused");
            assert!(repeated > 0 && repeated <= 60, "{assignor}: {repeated}");
            let first_offsets = again.iter().chain(&seen).map(|work| work.offset).min();
            assert_eq!(first_offsets, Some(1), "{assignor}: what was acknowledged before is not repeated");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_workers_and_refuses_later_tokens() {
    let stage = one_partition(6).await;
    let mut consumer = stage.builder().build_acked().expect("a consumer");
    let mut work = take(&mut consumer, 6).await;
    let stuck = work.split_off(4);
    let worker = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        acknowledge(work);
    });
    let begun = Instant::now();
    in_time(consumer.close_within(Duration::from_secs(8))).await.expect("closed");
    worker.await.expect("no panic");
    assert!(begun.elapsed() < Duration::from_secs(8), "half of the time is left for the commit");
    assert_eq!(stage.committed(), 4);
    for work in stuck {
        let refused = work.ack().expect_err("the partition was given up");
        assert!(matches!(refused.reason(), Refusal::Revoked), "{refused}");
    }
    let mut dropped = assigned(&stage).build_acked().expect("a consumer");
    let work = take(&mut dropped, 2).await;
    drop(dropped);
    assert!(work.into_iter().all(|work| work.ack().is_err_and(|refused| refused.reason() == Refusal::Closed)));
}

#[tokio::test(start_paused = true)]
async fn tokens_of_a_member_that_expired_are_refused() {
    let stage = one_partition(6).await;
    let mut consumer = stage.builder().auto_commit(None).build_acked().expect("a consumer");
    let mut work = take(&mut consumer, 6).await;
    work.remove(0).ack().expect("its partition is assigned");
    let id = consumer.as_consumer().group_metadata().expect("a member").member;
    stage.with(|cluster| cluster.expire_member("g", &id));
    let (again, _) = drain(&mut consumer, Duration::from_secs(60)).await;
    assert_eq!(again.len(), 6, "nothing was committed, so all are read again");
    let refused = work.remove(0).ack().expect_err("the partition was lost");
    assert_eq!(refused.reason(), Refusal::Lost, "{refused}");
    assert_eq!(consumer.acknowledged()[0].1.offset, 0);
}

#[tokio::test(start_paused = true)]
async fn partition_that_is_not_assigned_any_more_refuses_its_tokens() {
    let stage = one_partition(4).await;
    let mut consumer = assigned(&stage).build_acked().expect("a consumer");
    let work = take(&mut consumer, 4).await;
    consumer.assign_partitions([("t", 0)]).expect("a partition");
    assert_eq!(consumer.open_records(), 4, "it stays assigned");
    let error = in_time(consumer.unsubscribe()).await.expect_err("there is no subscription");
    assert_eq!((error.kind(), consumer.open_records()), (Kind::Config, 4));
    consumer.unassign_partitions([&TopicPartition::new("t", 0)]);
    assert!(work.into_iter().all(|work| work.ack().is_err_and(|refused| refused.reason() == Refusal::Revoked)));
    assert_eq!(consumer.open_records(), 0);
}

#[tokio::test(start_paused = true)]
async fn batches_are_acknowledged_with_one_token() {
    let stage = six_partitions().await;
    let mut consumer = stage.builder().build_acked().expect("a consumer");
    let mut count = 0;
    while count < 60 {
        let polled = in_time(consumer.poll()).await.expect("no error").expect("no end");
        count += polled.count();
        for records in polled.into_partitions() {
            assert_eq!(records.iter().count(), records.len());
            records.ack().expect("its partition is assigned");
        }
    }
    consumer.commit().await.expect("committed");
    assert_eq!((stage.committed(), consumer.open_records()), (60, 0));
}

#[tokio::test(start_paused = true)]
async fn acknowledging_consumer_needs_a_limit_and_a_group_to_commit() {
    let stage = one_partition(1).await;
    let mut without = stage.client.consumer().assign(["t"]).build_acked().expect("a consumer");
    let work = take(&mut without, 1).await.remove(0);
    let worker = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        work.ack()
    });
    let error = without.commit().await.expect_err("no group");
    assert!(error.to_string().contains("`group.id`"), "{error}");
    assert_eq!(without.acknowledged()[0].1.offset, 0);
    without.close().await.expect("closed");
    worker.await.expect("no panic").expect("closing waits for it");
    let zero = assigned(&stage).ack_open_max(0).build_acked().expect_err("no record may be open");
    assert!(zero.to_string().contains("`ack_open_max`"), "{zero}");
}

#[tokio::test(start_paused = true)]
async fn commits_may_go_on_by_themselves_and_carry_metadata() {
    let stage = one_partition(4).await;
    let mut consumer = assigned(&stage).build().expect("a consumer");
    let key = TopicPartition::new("t", 0);
    let records = in_time(consumer.poll()).await.expect("no error").expect("no end");
    let record = records.iter().next().expect("a record");
    drop(consumer.begin_commit_positions([record]));
    let other = OffsetToCommit::from((key.clone(), Position::from(3))).with_metadata("by hand");
    in_time(consumer.begin_commit_positions([other])).await.expect("committed");
    let committed = in_time(consumer.committed_of([key.clone(), TopicPartition::new("t", 7)])).await.expect("offsets");
    let own = committed[0].1.as_ref().expect("it was committed");
    assert_eq!((own.position.offset, own.metadata.as_str(), &committed[1].1), (3, "by hand", &None));
    in_time(consumer.begin_commit()).await.expect("committed");
    assert_eq!(stage.committed(), i64::try_from(records.count()).expect("few"));
    for (offset, metadata) in [(-1, String::new()), (1, "x".repeat(40_000)), (1, "x".repeat(5_000))] {
        let wrong = OffsetToCommit::from((key.clone(), Position::from(offset))).with_metadata(metadata);
        let error = in_time(consumer.commit_positions([wrong])).await.expect_err("no broker takes it");
        assert_eq!(error.partition(), Some(0), "{error}");
    }
    consumer.close().await.expect("closed");
    let error = timeout(LONG, consumer.begin_commit()).await.expect("at once").expect_err("it is closed");
    assert_eq!(error.kind(), Kind::Closed);
}
