//! A queue without a group, on a real broker.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ottla::admin::DeleteBefore;
use ottla::consumer::OwnedRecord;
use ottla::consumer::store::MemoryStore;
use ottla::consumer::store::OffsetStore;
use ottla::error::Kind;
use ottla::queue::Notice;
use ottla::queue::Queue;
use ottla::queue::QueueBuilder;
use ottla::queue::Reset;
use ottla::queue::StartAt;
use ottla::types::TopicPartition;

use super::SOON;
use super::numbers;
use super::put;
use super::topic;

const COUNT: usize = 3_000;
const SECOND: Duration = Duration::from_secs(1);

/// Takes until there are this many records, and acknowledges them.
async fn drain(queue: &mut Queue, count: usize) -> Vec<OwnedRecord> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let mut batch = queue.take(count - taken.len(), SOON).await.expect("taken");
        taken.extend(batch.take_records());
        batch.ack(SOON).await.expect("acknowledged");
    }
    taken
}

/// Takes until the workers together have all records.
async fn share(mut queue: Queue, count: Arc<AtomicUsize>) -> Vec<OwnedRecord> {
    let mut taken = Vec::new();
    while count.load(Ordering::Relaxed) < COUNT {
        let mut batch = queue.take(100, SECOND / 2).await.expect("taken");
        count.fetch_add(batch.len(), Ordering::Relaxed);
        taken.extend(batch.take_records());
        batch.ack(SOON).await.expect("acknowledged");
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_without_a_group_share_reset_and_survive_deleted_records() {
    let Some((client, topic)) = topic("leases", 4).await else { return };
    let store: Arc<dyn OffsetStore> = Arc::new(MemoryStore::new());
    let builder = |group: &str| -> QueueBuilder {
        Queue::builder(&client, topic.as_str()).group(group).shared_store(Arc::clone(&store))
    };
    let queue = builder("g").build().expect("settings are fine");
    let receipts = queue.put((0..COUNT / 2).map(|number| number.to_string()), SOON).await;
    assert_eq!(receipts.expect("acknowledged").len(), COUNT / 2);
    put(&client, &topic, 4, COUNT / 2).await;
    let count = Arc::new(AtomicUsize::new(0));
    let worker = || tokio::spawn(share(builder("g").build().expect("settings are fine"), Arc::clone(&count)));
    let both = async { tokio::join!(worker(), worker()) };
    let (first, second) = tokio::time::timeout(SOON, both).await.expect("in time");
    let (first, second) = (first.expect("no panic"), second.expect("no panic"));
    assert!(!first.is_empty() && !second.is_empty(), "{} and {}", first.len(), second.len());
    let each_once = (0..COUNT).map(|number| number / 2).eq(numbers(first.iter().chain(&second)));
    assert!(each_once, "{} and {}", first.len(), second.len());

    // Both go on where one resets to.
    let (mut one, mut other) = (builder("g").build().expect("fine"), builder("g").build().expect("fine"));
    for (_, at) in one.reset(Reset::LastOfEach(5), SOON).await.expect("reset") {
        assert!(at.expect("moved") > 0);
    }
    assert_eq!(drain(&mut other, 20).await.len(), 20);
    assert!(one.take(1, SECOND / 10).await.expect("no error").is_empty());
    let mut tail = builder("tail").start(StartAt::LastOfAll(8)).build().expect("settings are fine");
    assert_eq!(drain(&mut tail, 8).await.len(), 8);
    assert!(tail.take(1, SECOND / 10).await.expect("no error").is_empty());

    // Retention deletes what nobody has taken.
    one.reset(Reset::Earliest, SOON).await.expect("reset");
    let key = |partition| TopicPartition::new(topic.as_str(), partition);
    let deletes = (0..4).map(|partition| (key(partition), DeleteBefore::Offset(100)));
    for (_, start) in client.admin().delete_records(deletes).await {
        assert_eq!(start.expect("deleted"), 100);
    }
    let mut notices = Vec::new();
    let mut taken = Vec::new();
    while taken.len() < COUNT - 400 {
        let mut batch = other.take(COUNT, SECOND).await.expect("taken");
        notices.extend_from_slice(batch.notices());
        taken.extend(batch.take_records());
        batch.ack(SOON).await.expect("acknowledged");
    }
    assert!(taken.iter().all(|record| record.offset >= 100));
    for partition in 0..4 {
        assert!(notices.contains(&(key(partition), Notice::Deleted { from: 0, to: 100 })), "{notices:?}");
    }
    // The topic is gone, and is not created.
    client.admin().delete_topics([topic.as_str()]).await.expect("a controller");
    let error = async {
        loop {
            if let Err(error) = other.take(1, SECOND).await
                && error.kind() == Kind::UnknownTopic
            {
                return error;
            }
        }
    };
    let error = tokio::time::timeout(SOON, error).await.expect("it is reported");
    assert_eq!(error.topic(), Some(topic.as_str()));
}
