//! Streams of partitions and of the whole consumer, on the mock in virtual time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ottla::Error;
use ottla::Record;
use ottla::consumer::AckConsumer;
use ottla::consumer::PartitionStream;
use ottla::consumer::PartitionStreams;
use ottla::error::Kind;
use ottla::types::TopicPartition;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::membership::assignors;
use super::mock::LONG;
use super::mock::Stage;
use super::mock::in_time;

/// Offsets that tasks have read, by partition, and the streams that have ended.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Reads>>);

/// Offsets by partition, and partitions whose stream has ended.
type Reads = (BTreeMap<i32, Vec<i64>>, Vec<i32>);

impl Seen {
    fn offsets(&self, partition: i32) -> Vec<i64> {
        self.0.lock().expect("no panic").0.get(&partition).cloned().unwrap_or_default()
    }

    fn count(&self) -> usize {
        self.0.lock().expect("no panic").0.values().map(Vec::len).sum()
    }

    fn ended(&self) -> BTreeSet<i32> {
        self.0.lock().expect("no panic").1.iter().copied().collect()
    }

    /// Reads a stream to its end, taking `pause` for each item.
    fn read(&self, stream: PartitionStream, pause: Duration) -> JoinHandle<()> {
        let seen = self.clone();
        let mut stream = stream.auto_ack();
        tokio::spawn(async move {
            let partition = stream.partition().partition;
            while let Some(records) = stream.next().await {
                tokio::time::sleep(pause).await;
                let offsets = records.iter().map(|record| record.offset);
                seen.0.lock().expect("no panic").0.entry(partition).or_default().extend(offsets);
            }
            seen.0.lock().expect("no panic").1.push(partition);
        })
    }
}

async fn write(stage: &Stage, partitions: impl IntoIterator<Item = i32>, count: usize) {
    let producer = stage.client.producer().build().expect("a producer");
    for partition in partitions {
        for _ in 0..count {
            producer.send(Record::to("t").partition(partition).value("x")).await.expect("written");
        }
    }
}

fn member(stage: &Stage) -> AckConsumer {
    let builder = stage.builder().assignors(assignors("cooperative-sticky")).poll_bytes_max(1);
    builder.build_acked().expect("a consumer")
}

/// Drives streams, and has each read with a pause that depends on its partition.
async fn drive(
    streams: &mut PartitionStreams,
    seen: &Seen,
    pause: impl Fn(i32) -> Duration,
    time: Duration,
) -> Vec<Error> {
    let mut errors = Vec::new();
    let until = tokio::time::Instant::now() + time;
    while let Ok(Some(next)) = tokio::time::timeout_at(until, streams.next()).await {
        match next {
            Ok(stream) => {
                let pause = pause(stream.partition().partition);
                drop(seen.read(stream, pause));
            }
            Err(error) => errors.push(error),
        }
    }
    errors
}

#[tokio::test(start_paused = true)]
async fn slow_stream_pauses_only_its_partition() {
    let stage = Stage::new().await;
    write(&stage, 0..6, 40).await;
    let builder = stage.builder().ack_open_max(5).poll_bytes_max(1).poll_interval_max(Duration::from_secs(60));
    let mut streams = builder.build_acked().expect("a consumer").into_streams();
    let seen = Seen::default();
    let pause = |partition| if partition == 2 { LONG * 100 } else { Duration::ZERO };
    let errors = drive(&mut streams, &seen, pause, LONG).await;
    assert!(errors.is_empty(), "nobody is late for the group: {errors:?}");
    for partition in [0, 1, 3, 4, 5] {
        assert_eq!(seen.offsets(partition), (0..40).collect::<Vec<_>>(), "of {partition}");
    }
    assert!(seen.offsets(2).is_empty());
    let positions = streams.handle();
    let read = positions.position(&TopicPartition::new("t", 2)).expect("it is assigned").offset;
    assert!(read <= 6, "{read} records of the slow partition were taken out");
    assert_eq!(stage.committed(), 200, "nothing of the slow one is committed");
}

#[tokio::test(start_paused = true)]
async fn paused_partition_goes_on_when_its_stream_is_read() {
    let stage = Stage::with_partitions(1).await;
    write(&stage, [0], 50).await;
    let builder = stage.builder().ack_open_max(4).poll_bytes_max(1);
    let mut streams = builder.build_acked().expect("a consumer").into_streams();
    let seen = Seen::default();
    let errors = drive(&mut streams, &seen, |_| Duration::from_millis(100), Duration::from_secs(60)).await;
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(seen.offsets(0), (0..50).collect::<Vec<_>>());
    in_time(streams.close()).await.expect("closed");
    assert_eq!((stage.committed(), seen.ended()), (50, BTreeSet::from([0])));
}

/// Records that wait in a stream when its partition is revoked are read by the next owner, and those that were taken out are not.
#[tokio::test(start_paused = true)]
async fn stream_ends_when_its_partition_is_revoked() {
    let stage = Stage::new().await;
    write(&stage, 0..6, 20).await;
    let mut first = member(&stage).into_streams();
    let (of_first, of_second) = (Seen::default(), Seen::default());
    let one_second = |_| Duration::from_secs(1);
    drive(&mut first, &of_first, one_second, Duration::from_millis(2_500)).await;
    assert!(of_first.ended().is_empty() && of_first.count() > 0);
    let mut second = member(&stage).into_streams();
    for _ in 0..600 {
        let turn = Duration::from_millis(100);
        let errors = drive(&mut first, &of_first, one_second, turn).await;
        assert!(errors.is_empty(), "{errors:?}");
        drive(&mut second, &of_second, |_| Duration::ZERO, turn).await;
    }
    assert_eq!(of_first.ended().len(), 3, "those that moved");
    for partition in 0..6 {
        let both = [of_first.offsets(partition), of_second.offsets(partition)].concat();
        assert_eq!(both, (0..20).collect::<Vec<_>>(), "partition {partition}, one owner after the other");
    }
    in_time(first.close()).await.expect("closed");
    in_time(second.close()).await.expect("closed");
    assert_eq!(stage.committed(), 120);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(of_second.ended().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn streams_end_behind_the_last_record_of_a_bounded_read() {
    let stage = Stage::new().await;
    write(&stage, 0..6, 10).await;
    let builder = stage.client.consumer().assign(["t"]).until_end();
    let mut streams = builder.build_acked().expect("a consumer").into_streams();
    let seen = Seen::default();
    let mut readers = Vec::new();
    while let Some(stream) = in_time(streams.next()).await {
        readers.push(seen.read(stream.expect("no error"), Duration::from_millis(10)));
    }
    for reader in readers {
        in_time(reader).await.expect("it ends");
    }
    assert_eq!((seen.count(), seen.ended().len()), (60, 6));
    assert!(in_time(streams.next()).await.is_none(), "it stays at its end");
}

#[tokio::test(start_paused = true)]
async fn dropped_stream_is_an_error_and_its_partition_gets_another() {
    let stage = Stage::with_partitions(1).await;
    write(&stage, [0], 6).await;
    let mut streams = member(&stage).into_streams();
    let mut stream = in_time(streams.next()).await.expect("no end").expect("no error");
    let first = in_time(stream.next()).await.expect("records");
    assert_eq!(first.iter().next().expect("a record").offset, 0);
    drop((first, stream));
    let error = in_time(streams.next()).await.expect("no end").expect_err("a token was dropped");
    assert_eq!((error.kind(), error.offset()), (Kind::Unacknowledged, Some(0)));
    streams.handle().rewind(&TopicPartition::new("t", 0)).expect("it is assigned");
    let seen = Seen::default();
    drive(&mut streams, &seen, |_| Duration::ZERO, Duration::from_secs(10)).await;
    assert_eq!(seen.offsets(0), (0..6).collect::<Vec<_>>());
    assert_eq!(stage.committed(), 6);
    // Without its driver nothing comes any more: the streams end.
    drop(streams);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(seen.ended().len(), 1);
}

/// Records that wait when the position is moved are not returned any more.
#[tokio::test(start_paused = true)]
async fn stream_goes_on_from_a_position_that_was_moved() {
    let stage = Stage::with_partitions(1).await;
    write(&stage, [0], 10).await;
    let builder = stage.builder().ack_open_max(2).poll_bytes_max(1);
    let mut streams = builder.build_acked().expect("a consumer").into_streams();
    let mut stream = in_time(streams.next()).await.expect("no end").expect("no error").auto_ack();
    assert!(timeout(Duration::from_secs(5), streams.next()).await.is_err(), "one partition, one stream");
    let key = TopicPartition::new("t", 0);
    streams.handle().seek(&key, ottla::consumer::Start::Offset(7)).expect("it is assigned");
    let mut offsets = Vec::new();
    for _ in 0..100 {
        let _ = timeout(Duration::from_millis(10), streams.next()).await;
        if let Ok(Some(records)) = timeout(Duration::from_millis(10), stream.next()).await {
            offsets.extend(records.iter().map(|record| record.offset));
        }
    }
    assert_eq!(offsets, [7, 8, 9]);
}

#[tokio::test(start_paused = true)]
async fn consumer_as_a_stream_loses_nothing_when_it_is_taken_back() {
    let stage = Stage::new().await;
    write(&stage, 0..6, 3).await;
    let mut stream = stage.builder().build().expect("a consumer").into_stream();
    let first = in_time(stream.next()).await.expect("no end").expect("no error");
    let taken = first.len();
    let mut consumer = stream.into_consumer();
    in_time(consumer.close()).await.expect("closed");
    let committed = usize::try_from(stage.committed()).expect("not negative");
    assert!(committed <= taken, "{committed} are committed, {taken} were taken out");
    let builder = stage.client.consumer().assign(["t"]).until_end();
    let mut all = builder.build().expect("a consumer").into_stream();
    let mut count = 0;
    while let Some(records) = in_time(all.next()).await {
        count += records.expect("no error").len();
    }
    assert_eq!(count, 18);
}
