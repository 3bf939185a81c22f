//! Queues against the mock cluster, on a paused clock.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::consumer::Isolation;
use crate::consumer::Position;
use crate::consumer::store::Change;
use crate::consumer::store::Expected;
use crate::consumer::store::FileStore;
use crate::consumer::store::Lookup;
use crate::consumer::store::MemoryStore;
use crate::consumer::store::OffsetStore;
use crate::consumer::store::Outcome;
use crate::consumer::store::StoreFuture;
use crate::error::Kind;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::NewBatch;
use crate::mock::Server;
use crate::net::clock;
use crate::types::TopicPartition;

const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const SECOND: Duration = Duration::from_secs(1);

struct Bench {
    server: Server,
    client: Client,
    store: Arc<dyn OffsetStore>,
}

impl Bench {
    async fn new(partitions: i32) -> Self {
        Self::with(Mock::builder().brokers(3).topic("t", partitions).auto_create(true).build()).await
    }

    async fn with(mock: Mock) -> Self {
        let server = Server::in_memory(mock);
        let client = Client::builder([server.bootstrap()]).expect("an address").connector(server.connector());
        let client = client.connect().await.expect("the mock cluster responds");
        Self { server, client, store: Arc::new(MemoryStore::new()) }
    }

    fn builder(&self) -> QueueBuilder {
        Queue::builder(&self.client, "t").group("g").shared_store(Arc::clone(&self.store))
    }

    fn queue(&self) -> Queue {
        self.builder().build().expect("settings are fine")
    }

    /// Writes so many records to a partition, numbered from `from`.
    async fn write(&self, partition: i32, from: usize, count: usize) {
        let producer = self.client.producer().build().expect("settings are fine");
        for number in from..from + count {
            let value = number.to_string();
            let record = crate::Record::to("t").partition(partition).value(&value);
            drop(producer.enqueue(record).await.expect("there is capacity"));
        }
        producer.close(SECOND * 10).await.expect("written");
    }

    async fn stored(&self, partition: i32) -> Option<i64> {
        let found =
            self.store.load("g", vec![TopicPartition::new("t", partition)]).await.expect("memory does not fail");
        match &found[0] {
            Lookup::Found(stored) | Lookup::Expired(stored) => Some(stored.position.offset),
            Lookup::Missing => None,
        }
    }

    async fn store_offset(&self, partition: i32, offset: i64, metadata: &str) {
        let change = Change {
            partition: TopicPartition::new("t", partition),
            position: Position::from(offset),
            metadata: metadata.to_owned(),
            expected: Expected::Any,
        };
        self.store.compare_and_set("g", vec![change]).await.expect("memory does not fail");
    }
}

fn numbers(batch: &Batch) -> Vec<usize> {
    let number = |value: &[u8]| std::str::from_utf8(value).expect("text").parse().expect("a number");
    let mut numbers: Vec<usize> =
        batch.iter().map(|record| number(record.value.as_deref().expect("a value"))).collect();
    numbers.sort_unstable();
    numbers
}

async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let begun = clock::now();
    let result = future.await;
    (result, clock::now().saturating_duration_since(begun))
}

#[tokio::test(start_paused = true)]
async fn values_put_are_taken_once_by_each_group() {
    let bench = Bench::new(4).await;
    let mut queue = bench.queue();
    let receipts = queue.put((0..1_000).map(|number| number.to_string()), SECOND * 5).await.expect("acknowledged");
    assert_eq!(receipts.len(), 1_000);
    let batch = queue.take(1_000, SECOND * 5).await.expect("taken");
    assert_eq!(numbers(&batch), (0..1_000).collect::<Vec<_>>());
    batch.ack(SECOND).await.expect("acknowledged");
    assert!(bench.queue().take(10, SECOND).await.expect("there is no error").is_empty());
    let mut other = bench.builder().group("other").build().expect("settings are fine");
    assert_eq!(other.take(1_000, SECOND * 5).await.expect("taken").len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn small_takes_return_each_record_once_and_in_order() {
    let bench = Bench::new(1).await;
    bench.write(0, 0, 50).await;
    let mut queue = bench.queue();
    for round in 0..10 {
        let batch = queue.take(5, SECOND).await.expect("taken");
        let offsets: Vec<i64> = batch.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (round * 5..round * 5 + 5).collect::<Vec<_>>());
        batch.ack(SECOND).await.expect("acknowledged");
    }
    assert_eq!(bench.stored(0).await, Some(50));
}

#[tokio::test(start_paused = true)]
async fn take_of_zero_does_nothing_and_of_everything_waits_no_longer_than_half_a_lease() {
    let bench = Bench::new(1).await;
    let mut queue = bench.queue();
    let before = bench.server.with(|mock| mock.requests().len());
    let (batch, took) = timed(queue.take(0, Duration::MAX)).await;
    assert!(batch.expect("nothing").is_empty() && took.is_zero());
    assert_eq!(bench.server.with(|mock| mock.requests().len()), before);
    bench.write(0, 0, 7).await;
    let (batch, took) = timed(queue.take(usize::MAX, Duration::MAX)).await;
    assert_eq!(numbers(&batch.expect("taken")), [0, 1, 2, 3, 4, 5, 6]);
    assert!(took <= SECOND * 16, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn workers_take_disjoint_windows_and_the_records_of_a_dead_one_are_taken_over() {
    let bench = Bench::new(2).await;
    bench.write(0, 0, 100).await;
    bench.write(1, 100, 100).await;
    let (mut dead, mut alive) = (bench.queue(), bench.queue());
    let lost = dead.take(60, SECOND).await.expect("taken");
    let batch = alive.take(200, SECOND).await.expect("taken");
    assert!(numbers(&batch).iter().all(|number| !numbers(&lost).contains(number)));
    assert_eq!(lost.len() + batch.len(), 200);
    batch.ack(SECOND).await.expect("acknowledged");
    drop(dead);
    assert!(alive.take(200, SECOND * 5).await.expect("no error").is_empty(), "the lease is respected");
    let batch = alive.take(200, SECOND * 60).await.expect("taken");
    assert_eq!(numbers(&batch), numbers(&lost));
    assert!(matches!(batch.notices()[0].1, Notice::TakenOver { .. }), "{:?}", batch.notices());
    batch.ack(SECOND).await.expect("acknowledged");
    // The dead one comes back: it is all processed by now, so there is nothing to refuse.
    lost.ack(SECOND).await.expect("done by the other");
    assert_eq!((bench.stored(0).await, bench.stored(1).await), (Some(100), Some(100)));
}

#[tokio::test(start_paused = true)]
async fn stale_holder_is_refused_while_another_has_its_records() {
    let bench = Bench::new(1).await;
    bench.write(0, 0, 10).await;
    let (mut slow, mut other) = (bench.queue(), bench.queue());
    let stale = slow.take(10, SECOND).await.expect("taken");
    assert!(other.take(10, SECOND).await.expect("no error").is_empty());
    let batch = other.take(10, SECOND * 60).await.expect("taken");
    assert_eq!(batch.len(), 10);
    let error = stale.ack(SECOND).await.expect_err("refused");
    assert_eq!((error.kind(), error.partition()), (Kind::Unacknowledged, Some(0)), "{error}");
    assert_eq!(bench.stored(0).await, Some(0), "it waits for the new holder");
    batch.ack(SECOND).await.expect("acknowledged");
}

#[tokio::test(start_paused = true)]
async fn renewed_lease_is_kept_and_a_released_one_is_free_at_once() {
    let bench = Bench::new(1).await;
    bench.write(0, 0, 10).await;
    let (mut first, mut second) = (bench.queue(), bench.queue());
    let mut batch = first.take(10, SECOND).await.expect("taken");
    for _ in 0..4 {
        assert!(second.take(10, SECOND * 20).await.expect("no error").is_empty());
        batch.renew(SECOND).await.expect("renewed");
        assert_eq!(batch.remaining(), Some(SECOND * 30));
    }
    batch.release(SECOND).await.expect("released");
    assert_eq!(second.take(10, SECOND).await.expect("taken").len(), 10);
}

#[tokio::test(start_paused = true)]
async fn at_most_once_hands_nothing_out_twice() {
    let bench = Bench::new(2).await;
    bench.write(0, 0, 30).await;
    bench.write(1, 30, 30).await;
    let mut queue = bench.builder().promise(Promise::AtMostOnce).build().expect("settings are fine");
    let first = queue.take(40, SECOND).await.expect("taken");
    assert_eq!((first.len(), first.remaining()), (40, None));
    let seen = numbers(&first);
    // It dies with them.
    drop((first, queue));
    let mut queue = bench.builder().promise(Promise::AtMostOnce).build().expect("settings are fine");
    let second = queue.take(60, SECOND * 100).await.expect("taken");
    assert_eq!(second.len(), 20);
    assert!(numbers(&second).iter().all(|number| !seen.contains(number)));
}

#[tokio::test(start_paused = true)]
async fn first_start_counts_from_the_end_and_stays_in_the_log() {
    let bench = Bench::new(3).await;
    bench.write(0, 0, 100).await;
    bench.write(1, 100, 1).await;
    for (start, expected) in [
        (StartAt::LastOfEach(3), vec![97, 98, 99, 100]),
        (StartAt::LastOfAll(5), vec![96, 97, 98, 99, 100]),
        (StartAt::LastOfAll(u64::MAX), (0..=100).collect()),
        (StartAt::LastOfEach(u64::MAX), (0..=100).collect()),
        (StartAt::Latest, vec![]),
    ] {
        let group = format!("{start:?}");
        let mut queue = bench.builder().group(group).start(start).build().expect("settings are fine");
        assert_eq!(numbers(&queue.take(1_000, SECOND * 3).await.expect("taken")), expected, "{start:?}");
    }
    // The end was stored: what comes later is read, also by another worker.
    bench.write(2, 200, 2).await;
    let mut queue = bench.builder().group("Latest").start(StartAt::Latest).build().expect("settings are fine");
    assert_eq!(numbers(&queue.take(1_000, SECOND * 3).await.expect("taken")), [200, 201]);
}

#[tokio::test(start_paused = true)]
async fn offset_beyond_the_end_is_reported_and_the_others_are_taken() {
    let bench = Bench::new(2).await;
    bench.write(0, 0, 10).await;
    bench.write(1, 10, 10).await;
    bench.store_offset(0, 1_000, "").await;
    let mut queue = bench.queue();
    let batch = queue.take(100, SECOND).await.expect("records first");
    assert_eq!(numbers(&batch), (10..20).collect::<Vec<_>>());
    batch.ack(SECOND).await.expect("acknowledged");
    let error = queue.take(100, SECOND).await.expect_err("then the error");
    assert_eq!((error.kind(), error.partition(), error.offset()), (Kind::Truncated, Some(0), Some(1_000)), "{error}");
    assert_eq!(bench.stored(0).await, Some(1_000));
    assert!(queue.take(100, SECOND).await.expect("reported once").is_empty());
    assert!(queue.take(100, SECOND * 60).await.is_err(), "and again after a while");
    for (_, moved) in queue.reset(Reset::Earliest, SECOND).await.expect("reset") {
        assert_eq!(moved.expect("moved"), 0);
    }
    assert_eq!(queue.take(20, SECOND).await.expect("taken").len(), 20);
    bench.store_offset(0, 1_000, "").await;
    let mut queue = bench.builder().on_ahead(OnAhead::Latest).build().expect("settings are fine");
    let batch = queue.take(100, SECOND).await.expect("taken");
    assert!(batch.notices().contains(&(TopicPartition::new("t", 0), Notice::Ahead { stored: 1_000, end: 10, at: 10 })));
}

#[tokio::test(start_paused = true)]
async fn expired_offset_is_reported_and_resumed() {
    let mut bench = Bench::new(1).await;
    let store = Arc::new(Moody::default());
    bench.store = Arc::clone(&store) as Arc<dyn OffsetStore>;
    bench.write(0, 0, 10).await;
    let batch = bench.queue().take(4, SECOND).await.expect("taken");
    batch.ack(SECOND).await.expect("acknowledged");
    store.set(Mood::Old);
    let mut refusing = bench.builder().on_expired(OnExpired::Refuse).build().expect("settings are fine");
    assert_eq!(refusing.take(10, SECOND).await.expect_err("refused").kind(), Kind::NoOffset);
    let batch = bench.queue().take(10, SECOND).await.expect("taken");
    assert_eq!(numbers(&batch), (4..10).collect::<Vec<_>>());
    assert_eq!(batch.notices()[0].1, Notice::Expired { stored: 4, at: 4 });
}

#[tokio::test(start_paused = true)]
async fn take_that_ends_while_it_looks_again_is_empty_and_no_error() {
    let mut bench = Bench::new(1).await;
    let store = Arc::new(Moody::default());
    bench.store = Arc::clone(&store) as Arc<dyn OffsetStore>;
    store.set(Mood::Slow);
    let mut queue = bench.queue();
    for millis in (1_000..1_200).step_by(10) {
        let batch = queue.take(1, Duration::from_millis(millis)).await;
        assert!(batch.expect("the store answers").is_empty(), "{millis}");
    }
    assert_eq!(queue.take(1, SECOND / 20).await.expect_err("it never answered in time").kind(), Kind::Storage);
}

#[tokio::test(start_paused = true)]
async fn reset_reaches_every_worker_and_zero_is_an_offset() {
    let bench = Bench::new(2).await;
    bench.write(0, 0, 20).await;
    bench.write(1, 20, 20).await;
    let (mut first, mut second) = (bench.queue(), bench.queue());
    first.take(40, SECOND).await.expect("taken").ack(SECOND).await.expect("acknowledged");
    bench.write(0, 40, 5).await;
    let held = second.take(5, SECOND).await.expect("taken");
    assert_eq!(held.len(), 5);
    let moved = first.reset(Reset::Offset(0), SECOND).await.expect("reset");
    assert!(moved.iter().all(|(_, at)| at.as_ref().is_ok_and(|at| *at == 0)), "{moved:?}");
    assert_eq!(held.ack(SECOND).await.expect_err("its lease ended").kind(), Kind::Unacknowledged);
    let batch = second.take(45, SECOND).await.expect("taken");
    assert_eq!(numbers(&batch), (0..45).collect::<Vec<_>>());
    batch.ack(SECOND).await.expect("acknowledged");
    let at = |moved: ResetOutcomes| moved.into_iter().map(|(_, at)| at.expect("moved")).collect::<Vec<_>>();
    assert_eq!(at(first.reset(Reset::LastButNotBeforeStored(5), SECOND).await.expect("reset")), [25, 20]);
    assert_eq!(at(first.reset(Reset::LastOfEach(5), SECOND).await.expect("reset")), [20, 15]);
    assert_eq!(at(first.reset(Reset::LastButNotBeforeStored(500), SECOND).await.expect("reset")), [20, 15]);
    assert_eq!(at(first.reset(Reset::LastOfAll(3), SECOND).await.expect("reset")), [23, 19]);
    assert_eq!(at(first.reset(Reset::Offset(u64::MAX), SECOND).await.expect("reset")), [25, 20]);
    assert_eq!(at(first.adopt(3, SECOND).await.expect("nothing to do")), [25, 20]);
    assert_eq!(at(bench.builder().group("new").build().unwrap().adopt(22, SECOND).await.expect("stored")), [22, 20]);
}

#[tokio::test(start_paused = true)]
async fn offsets_without_records_are_passed_and_acknowledged() {
    let bench = Bench::new(1).await;
    bench.write(0, 0, 40).await;
    bench.server.with(|mock| {
        let keyed = NewBatch::of((0..10).map(|number| ("k", number.to_string())));
        mock.append("t", 0, &keyed).expect("appended");
        mock.append("t", 0, &NewBatch::of([("k", "9")])).expect("appended");
        assert_eq!(mock.compact("t", 0, 50), Some(50));
        let batch = NewBatch::of([("k", "10")]).by(7, 0, 0).transactional();
        mock.append("t", 0, &batch).expect("appended");
        mock.end_transaction("t", 0, 7, false).expect("aborted");
    });
    let end = bench.server.with(|mock| mock.offsets("t", 0)).expect("it exists").1;
    assert_eq!(end, 53);
    let mut queue = bench.builder().isolation(Isolation::ReadCommitted).build().expect("settings are fine");
    let batch = queue.take(10, SECOND * 5).await.expect("taken");
    assert_eq!(batch.iter().map(|record| record.offset).collect::<Vec<_>>(), [50]);
    batch.ack(SECOND).await.expect("acknowledged");
    assert_eq!(bench.stored(0).await, Some(end));
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_brokers_are_down_and_the_queue_goes_on_after() {
    let bench = Bench::new(3).await;
    for partition in 0..3 {
        bench.write(partition, 10 * usize::try_from(partition).unwrap(), 10).await;
    }
    let mut queue = bench.queue();
    bench.server.with(|mock| mock.brokers().into_iter().for_each(|broker| mock.crash(broker)));
    for timeout in [Duration::ZERO, SECOND / 10, SECOND * 3] {
        let (batch, took) = timed(queue.take(10, timeout)).await;
        assert!(batch.is_err() || batch.is_ok_and(|batch| batch.is_empty()));
        assert!(took <= timeout, "{took:?} of {timeout:?}");
    }
    bench.server.with(|mock| (1..=3).for_each(|broker| mock.set_up(broker)));
    let mut seen = Vec::new();
    for _ in 0..30 {
        if let Ok(batch) = queue.take(30, SECOND).await {
            seen.extend(numbers(&batch));
            batch.ack(SECOND).await.expect("acknowledged");
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..30).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn partition_without_its_broker_does_not_keep_the_others_back() {
    let bench = Bench::new(3).await;
    for partition in 0..3 {
        bench.write(partition, 10 * usize::try_from(partition).unwrap(), 10).await;
    }
    let mut queue = bench.queue();
    queue.take(3, SECOND).await.expect("all leaders are known").ack(SECOND).await.expect("acknowledged");
    let silent = bench.server.with(|mock| mock.leader("t", 0)).expect("it has one").0;
    bench.server.with(|mock| {
        mock.inject_at(silent, FETCH, Fault::Swallowed, 1_000);
        mock.inject_at(silent, LIST_OFFSETS, Fault::Swallowed, 1_000);
    });
    let mut seen = 0;
    for _ in 0..20 {
        let (batch, took) = timed(queue.take(30, SECOND * 5)).await;
        assert!(took <= SECOND * 5, "{took:?}");
        if let Ok(batch) = batch {
            seen += batch.iter().filter(|record| record.partition != 0).count();
            batch.ack(SECOND).await.expect("acknowledged");
        }
    }
    assert!(seen >= 18, "{seen}");
}

#[tokio::test(start_paused = true)]
async fn taking_from_an_unknown_topic_creates_none() {
    let bench = Bench::new(1).await;
    let mut queue = Queue::builder(&bench.client, "missing").group("g").store(MemoryStore::new()).build().unwrap();
    for timeout in [SECOND / 2, SECOND * 10] {
        let error = queue.take(1, timeout).await.expect_err("there is none");
        assert_eq!((error.kind(), error.topic()), (Kind::UnknownTopic, Some("missing")), "{timeout:?}");
    }
    assert!(queue.reset(Reset::Earliest, SECOND * 10).await.is_err());
    assert_eq!(bench.server.with(|mock| mock.topic_id("missing")), None);
}

/// A store that can be made to fail or to be silent.
#[derive(Debug, Default)]
struct Moody {
    inner: MemoryStore,
    mood: Mutex<Mood>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mood {
    #[default]
    Fine,
    Down,
    Silent,
    /// It changes what it is asked to, and the answer is lost.
    Forgetful,
    /// All that it has is too old.
    Old,
    /// It answers after 100 ms.
    Slow,
}

impl Moody {
    fn set(&self, mood: Mood) {
        *self.mood.lock().expect("no panic holds it") = mood;
    }

    async fn pass(&self) -> Result<Mood, Error> {
        let mood = *self.mood.lock().expect("no panic holds it");
        match mood {
            Mood::Fine | Mood::Forgetful | Mood::Old => Ok(mood),
            Mood::Slow => {
                tokio::time::sleep(SECOND / 10).await;
                Ok(mood)
            }
            Mood::Down => Err(Error::storage("the store is down")),
            Mood::Silent => std::future::pending().await,
        }
    }
}

impl OffsetStore for Moody {
    fn load<'a>(&'a self, group: &'a str, partitions: Vec<TopicPartition>) -> StoreFuture<'a, Vec<Lookup>> {
        Box::pin(async move {
            let mood = self.pass().await?;
            let age = |lookup| match lookup {
                Lookup::Found(stored) if mood == Mood::Old => Lookup::Expired(stored),
                lookup => lookup,
            };
            Ok(self.inner.load(group, partitions).await?.into_iter().map(age).collect())
        })
    }

    fn compare_and_set<'a>(&'a self, group: &'a str, changes: Vec<Change>) -> StoreFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mood = self.pass().await?;
            let outcomes = self.inner.compare_and_set(group, changes).await?;
            if mood == Mood::Forgetful { Err(Error::storage("the answer was lost")) } else { Ok(outcomes) }
        })
    }
}

#[tokio::test(start_paused = true)]
async fn store_that_is_down_or_silent_gives_an_error_in_time_and_nothing_is_lost() {
    let mut bench = Bench::new(1).await;
    let store = Arc::new(Moody::default());
    bench.store = Arc::clone(&store) as Arc<dyn OffsetStore>;
    bench.write(0, 0, 10).await;
    let mut queue = bench.queue();
    for mood in [Mood::Down, Mood::Silent, Mood::Forgetful] {
        store.set(mood);
        let (batch, took) = timed(queue.take(10, SECOND * 3)).await;
        let error = batch.expect_err("the store is not there");
        assert_eq!(error.kind(), Kind::Storage, "{mood:?}: {error}");
        assert!(took <= SECOND * 3, "{mood:?}: {took:?}");
    }
    store.set(Mood::Fine);
    let batch = queue.take(10, SECOND * 90).await.expect("taken");
    assert_eq!(batch.len(), 10);
    store.set(Mood::Silent);
    let (acked, took) = timed(batch.ack(SECOND * 2)).await;
    assert_eq!(acked.expect_err("silent").kind(), Kind::Storage);
    assert!(took <= SECOND * 2);
    store.set(Mood::Fine);
    assert_eq!(queue.take(10, SECOND * 90).await.expect("again").len(), 10);
}

#[tokio::test(start_paused = true)]
async fn at_most_once_hands_out_nothing_that_the_store_may_not_have() {
    let mut bench = Bench::new(1).await;
    let store = Arc::new(Moody::default());
    bench.store = Arc::clone(&store) as Arc<dyn OffsetStore>;
    bench.write(0, 0, 10).await;
    let mut queue = bench.builder().promise(Promise::AtMostOnce).build().unwrap();
    queue.take(2, SECOND).await.expect("taken").ack(SECOND).await.expect("nothing to do");
    store.set(Mood::Forgetful);
    assert!(queue.take(4, SECOND).await.is_err());
    store.set(Mood::Fine);
    let rest = queue.take(10, SECOND * 90).await.expect("taken");
    assert!(rest.iter().all(|record| record.offset >= 2));
    assert_eq!(queue.take(10, SECOND * 90).await.expect("taken").len(), 0, "none twice");
}

#[tokio::test(start_paused = true)]
async fn rubbish_in_the_store_is_an_error_that_names_the_partition() {
    let bench = Bench::new(2).await;
    bench.write(1, 0, 5).await;
    bench.store_offset(0, 3, "ottla-leases 1 rubbish").await;
    let mut queue = bench.queue();
    assert_eq!(queue.take(5, SECOND).await.expect("the other").len(), 5);
    let error = queue.take(5, SECOND).await.expect_err("reported");
    assert_eq!((error.kind(), error.topic(), error.partition()), (Kind::Storage, Some("t"), Some(0)), "{error}");
}

#[tokio::test]
async fn two_queues_with_one_file_share_its_offsets() {
    let mut bench = Bench::new(2).await;
    let folder = std::env::temp_dir().join(format!("ottla-queue-{}-{}", std::process::id(), clock::seed()));
    std::fs::create_dir(&folder).expect("a folder");
    bench.store = Arc::new(FileStore::open(folder.join("offsets")).await.expect("opened"));
    bench.write(0, 0, 20).await;
    let (mut first, mut second) = (bench.queue(), bench.queue());
    let (a, b) = (first.take(10, SECOND).await.expect("taken"), second.take(10, SECOND).await.expect("taken"));
    let mut all = [numbers(&a), numbers(&b)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..20).collect::<Vec<_>>());
    drop((a, b, first, second, bench));
    std::fs::remove_dir_all(folder).expect("removed");
}

#[tokio::test(start_paused = true)]
async fn values_that_fail_have_their_own_outcomes_and_the_rest_is_written() {
    let bench = Bench::new(1).await;
    let queue = bench.builder().build().unwrap();
    assert_eq!(queue.put(Vec::<&str>::new(), SECOND).await.expect("nothing to do").len(), 0);
    let large = "x".repeat(4 << 20);
    let error = queue.put(["a", &large, "b"], SECOND * 10).await.expect_err("one is too large");
    assert_eq!((error.acknowledged(), error.not_written(), error.maybe_written()), (2, 1, 0), "{error}");
    assert_eq!(error.outcomes()[1].as_ref().expect_err("too large").kind(), Kind::RecordTooLarge);
    bench.server.with(|mock| mock.brokers().into_iter().for_each(|broker| mock.crash(broker)));
    let (put, took) = timed(queue.put((0..100).map(|number| number.to_string()), SECOND * 6)).await;
    let error = put.expect_err("nobody is there");
    assert_eq!(error.acknowledged(), 0);
    assert_eq!(error.not_written() + error.maybe_written(), 100);
    assert!(took <= SECOND * 7, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn dropped_take_delays_its_records_and_loses_none() {
    let bench = Bench::new(1).await;
    bench.write(0, 0, 10).await;
    let mut queue = bench.queue();
    for steps in 1..20 {
        let taking = queue.take(10, SECOND * 5);
        tokio::pin!(taking);
        for _ in 0..steps {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(taking.as_mut().poll(cx).is_ready())).await;
            if polled {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    let begun: Instant = clock::now();
    let mut seen = 0;
    while seen < 10 && clock::now() < begun + SECOND * 600 {
        let batch = queue.take(10, SECOND * 60).await.expect("taken");
        seen += batch.len();
        batch.ack(SECOND).await.expect("acknowledged");
    }
    assert_eq!((seen, bench.stored(0).await), (10, Some(10)));
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_work_are_refused_by_name() {
    let bench = Bench::new(1).await;
    let refused = |builder: QueueBuilder| {
        let error = builder.build().expect_err("refused");
        assert_eq!(error.kind(), Kind::Config);
        error.to_string()
    };
    assert!(refused(Queue::builder(&bench.client, "a/b").group("g").store(MemoryStore::new())).contains("topic"));
    assert!(refused(Queue::builder(&bench.client, "t").group("g")).contains("store"));
    assert!(refused(Queue::builder(&bench.client, "t").store(MemoryStore::new())).contains("group"));
    assert!(refused(bench.builder().group("")).contains("group"));
    assert!(refused(bench.builder().lease(Duration::ZERO)).contains("lease"));
    let mut queue = Queue::builder(&bench.client, "t").build().expect("it can put");
    assert_eq!(queue.take(1, SECOND).await.expect_err("no store").kind(), Kind::Config);
    assert!(bench.builder().lease(Duration::MAX).store_timeout(Duration::MAX).build().is_ok());
}
