//! Queues of a group against the mock cluster, on a paused clock.

use super::*;
use crate::consumer::ConsumerBuilder;
use crate::consumer::Refusal;
use crate::error::Code;
use crate::group::GroupProtocol;
use crate::group::assignor::CooperativeSticky;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::Server;
use crate::mock::key;

const SECOND: Duration = Duration::from_secs(1);
/// Enough for any join, as the mock's clock goes.
const SOON: Duration = Duration::from_secs(60);

struct Bench {
    server: Server,
    client: Client,
}

impl Bench {
    async fn new(partitions: i32) -> Self {
        let mut mock = Mock::builder().brokers(2).topic("t", partitions).auto_create(true).build();
        mock.move_coordinator(0, "g", 1);
        let server = Server::in_memory(mock);
        let client = Client::builder([server.bootstrap()]).expect("an address").connector(server.connector());
        Self { client: client.connect().await.expect("the mock cluster responds"), server }
    }

    /// With so many records in each partition.
    async fn with_records(partitions: i32, records: usize) -> Self {
        let bench = Self::new(partitions).await;
        for partition in 0..partitions {
            bench.write(partition, records).await;
        }
        bench
    }

    async fn write(&self, partition: i32, records: usize) {
        let producer = self.client.producer().build().expect("settings are fine");
        for _ in 0..records {
            let record = crate::Record::to("t").partition(partition).value("x");
            drop(producer.enqueue(record).await.expect("there is capacity"));
        }
        producer.close(SECOND * 10).await.expect("written");
    }

    fn builder(&self) -> GroupQueueBuilder {
        GroupQueue::builder(&self.client, "t", "g").consumer(|consumer| consumer.heartbeat_interval(SECOND / 5))
    }

    fn queue(&self) -> GroupQueue {
        self.builder().build().expect("settings are fine")
    }

    fn queue_with(&self, change: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder) -> GroupQueue {
        self.builder().consumer(change).build().expect("settings are fine")
    }

    /// A queue that has its partitions.
    async fn joined(&self) -> GroupQueue {
        let mut queue = self.queue();
        queue.wait_for_assignment(SOON).await.expect("assigned");
        queue
    }

    fn committed(&self) -> i64 {
        self.server.with(|mock| (0..8).filter_map(|partition| mock.committed("g", "t", partition)).sum())
    }

    fn inject(&self, api: i16, fault: Fault, times: u32) {
        self.server.with(|mock| mock.inject(api, fault, times));
    }
}

fn places(batch: &GroupBatch) -> Vec<(i32, i64)> {
    batch.iter().map(|record| (record.partition, record.offset)).collect()
}

async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let begun = clock::now();
    let result = future.await;
    (result, clock::now().saturating_duration_since(begun))
}

/// Takes from both in turn, and acknowledges, until both have partitions. Returns the records of each.
async fn share(first: &mut GroupQueue, second: &mut GroupQueue) -> [Vec<(i32, i64)>; 2] {
    let mut taken = [Vec::new(), Vec::new()];
    let shared = async {
        while first.assignment().len() != second.assignment().len() || first.assignment().is_empty() {
            for (queue, taken) in [&mut *first, &mut *second].into_iter().zip(&mut taken) {
                if let Ok(batch) = queue.take(1, SECOND / 10).await {
                    taken.extend(places(&batch));
                    batch.ack().expect("its partition is assigned");
                }
            }
        }
    };
    tokio::time::timeout(SOON, shared).await.expect("both have partitions");
    taken
}

#[tokio::test(start_paused = true)]
async fn takes_return_as_many_as_asked_once_and_in_order() {
    let bench = Bench::with_records(1, 50).await;
    let mut queue = bench.queue();
    let mut next = 0;
    for count in [7, 1, 20, 2, 100] {
        let batch = queue.take(count, SOON).await.expect("taken");
        let expected: Vec<(i32, i64)> = (next..50).take(count).map(|offset| (0, offset)).collect();
        assert_eq!(places(&batch), expected);
        next += i64::try_from(batch.len()).expect("few");
        batch.ack().expect("its partition is assigned");
        queue.commit(SECOND).await.expect("committed");
        assert_eq!(bench.committed(), next, "what was read and not taken is not committed");
    }
    let (batch, took) = timed(queue.take(1, SECOND)).await;
    assert!(batch.expect("there is no error").is_empty());
    assert_eq!(took, SECOND);
}

#[tokio::test(start_paused = true)]
async fn batches_are_acknowledged_in_any_order_and_nothing_open_is_committed() {
    let bench = Bench::with_records(1, 30).await;
    let mut queue = bench.queue();
    let first = queue.take(10, SOON).await.expect("taken");
    let second = queue.take(10, SECOND).await.expect("taken");
    second.ack().expect("its partition is assigned");
    let third = queue.take(100, SECOND * 20).await.expect("taken");
    assert_eq!((third.len(), bench.committed()), (10, 0));
    first.ack().expect("its partition is assigned");
    assert!(queue.take(1, SECOND * 20).await.expect("no error").is_empty());
    assert_eq!(bench.committed(), 20, "it commits by itself");
    third.ack().expect("its partition is assigned");
}

#[tokio::test(start_paused = true)]
async fn deadline_covers_joining() {
    let bench = Bench::with_records(1, 5).await;
    bench.inject(key::JOIN_GROUP, Fault::Swallowed, 1);
    let mut queue = bench.queue();
    for timeout in [Duration::ZERO, SECOND / 10, SECOND * 3] {
        let (taken, took) = timed(queue.take(1, timeout)).await;
        let error = taken.expect_err("nothing is assigned");
        assert_eq!((error.kind(), took), (Kind::Timeout, timeout), "{error}");
        assert!(error.is_retriable() && error.to_string().contains("\"g\" assigned no partitions"), "{error}");
    }
    let error = queue.wait_for_assignment(SECOND).await.expect_err("nothing is assigned");
    assert_eq!(error.kind(), Kind::Timeout);
    // The join was lost, and is sent again once its response is overdue.
    assert_eq!(queue.take(5, SECOND * 600).await.expect("taken").len(), 5);
}

#[tokio::test(start_paused = true)]
async fn deadline_covers_committing() {
    let bench = Bench::with_records(2, 20).await;
    let mut queue = bench.joined().await;
    queue.take(10, SECOND).await.expect("taken").ack().expect("its partition is assigned");
    bench.inject(key::OFFSET_COMMIT, Fault::Delay(SOON), 100);
    let (committed, took) = timed(queue.commit(SECOND)).await;
    assert_eq!((committed.expect_err("no response").kind(), took), (Kind::Timeout, SECOND));
    // It commits before it gives a partition up.
    let mut other = bench.queue();
    let mut seen = 10;
    for _ in 0..20 {
        for queue in [&mut queue, &mut other] {
            let (taken, took) = timed(queue.take(1, SECOND / 2)).await;
            assert!(took <= SECOND / 2, "{took:?}");
            if let Ok(batch) = taken {
                seen += batch.len();
                // It may be revoked by now.
                let _ = batch.ack();
            }
        }
    }
    assert!(seen > 10, "both take meanwhile");
    let (closed, took) = timed(queue.close(SECOND * 2)).await;
    assert!(closed.is_err() && took <= SECOND * 2, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn deadline_holds_while_brokers_are_down_and_the_queue_goes_on_after() {
    let bench = Bench::with_records(2, 10).await;
    bench.server.with(|mock| mock.brokers().into_iter().for_each(|broker| mock.crash(broker)));
    let mut queue = bench.queue();
    for timeout in [Duration::ZERO, SECOND, SECOND * 40] {
        let (taken, took) = timed(queue.take(10, timeout)).await;
        assert!(taken.is_err() && took <= timeout, "{took:?} of {timeout:?}");
    }
    bench.server.with(|mock| (1..=2).for_each(|broker| mock.set_up(broker)));
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let Ok(batch) = queue.take(20, SOON).await else { continue };
        seen.extend(places(&batch));
        batch.ack().expect("its partition is assigned");
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..20).map(|at| (at / 10, i64::from(at % 10))).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn unacknowledged_records_of_a_dead_member_come_to_another() {
    let bench = Bench::with_records(2, 10).await;
    let mut dead = bench.joined().await;
    let done = dead.take(4, SECOND).await.expect("taken");
    let mut seen = places(&done);
    done.ack().expect("its partition is assigned");
    let lost = dead.take(7, SECOND).await.expect("taken");
    dead.commit(SECOND).await.expect("committed");
    // It dies with seven records in its hands, and others that it has read.
    let member = dead.as_consumer().group_metadata().expect("a member").member;
    drop(dead);
    bench.server.with(|mock| mock.expire_member("g", &member));
    assert_eq!(lost.ack().expect_err("refused").reason(), Refusal::Closed);
    let mut heir = bench.joined().await;
    let batch = heir.take(20, SECOND).await.expect("taken");
    seen.extend(places(&batch));
    seen.sort_unstable();
    assert_eq!(seen, (0..20).map(|at| (at / 10, i64::from(at % 10))).collect::<Vec<_>>(), "each once");
    batch.ack().expect("its partition is assigned");
}

/// Both protocols of rebalances: all partitions are given up, or only those that move.
#[tokio::test(start_paused = true)]
async fn rebalance_does_not_wait_for_records_that_were_not_taken() {
    for eager in [true, false] {
        let bench = Bench::with_records(2, 100).await;
        let build = || {
            bench.queue_with(|consumer| {
                let consumer = consumer.ack_wait(SECOND * 100);
                if eager { consumer } else { consumer.assignors([Arc::new(CooperativeSticky) as Arc<_>]) }
            })
        };
        let mut first = build();
        let batch = first.take(1, SOON).await.expect("taken");
        let mut seen = places(&batch);
        batch.ack().expect("its partition is assigned");
        assert!(first.as_consumer().position(&TopicPartition::new("t", 0)).is_some_and(|read| read.offset > 1));
        let mut second = build();
        let (taken, took) = timed(share(&mut first, &mut second)).await;
        assert!(took < SECOND * 10, "it waited for records that nobody has: {took:?}");
        seen.extend(taken.into_iter().flatten());
        for queue in [&mut first, &mut second] {
            let batch = queue.take(200, SECOND).await.expect("taken");
            seen.extend(places(&batch));
            batch.ack().expect("its partition is assigned");
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..200).map(|at| (at / 100, i64::from(at % 100))).collect::<Vec<_>>(), "each once");
    }
}

#[tokio::test(start_paused = true)]
async fn reset_moves_the_assigned_partitions_and_refuses_older_batches() {
    let bench = Bench::with_records(2, 10).await;
    let mut queue = bench.joined().await;
    let old = queue.take(5, SECOND).await.expect("taken");
    queue.reset(Start::FromEnd(2)).expect("moved");
    let refused = old.ack().expect_err("refused");
    assert_eq!(refused.reason(), Refusal::Moved);
    let batch = queue.take(100, SECOND).await.expect("taken");
    let mut taken = places(&batch);
    taken.sort_unstable();
    assert_eq!(taken, [(0, 8), (0, 9), (1, 8), (1, 9)], "also instead of records that were read before");
    batch.ack().expect("its partition is assigned");
    queue.reset(Start::Earliest).expect("moved");
    assert_eq!(queue.take(100, SECOND).await.expect("taken").len(), 20);
    queue.reset(Start::Latest).expect("moved");
    assert!(queue.take(100, SECOND).await.expect("no error").is_empty());
    queue.commit(SECOND).await.expect("committed");
    assert_eq!(bench.committed(), 20);
}

#[tokio::test(start_paused = true)]
async fn reset_before_an_assignment_ends_with_the_join() {
    let bench = Bench::with_records(1, 10).await;
    // With it, those who have partitions keep them.
    let build = || bench.queue_with(|consumer| consumer.assignors([Arc::new(CooperativeSticky) as Arc<_>]));
    let mut first = build();
    first.reset(Start::Earliest).expect("it waits");
    first.reset(Start::Offset(6)).expect("it waits");
    assert!(first.assignment().is_empty());
    let batch = first.take(100, SECOND * 5).await.expect("taken");
    assert_eq!(places(&batch), [(0, 6), (0, 7), (0, 8), (0, 9)]);
    batch.ack().expect("its partition is assigned");
    first.commit(SECOND).await.expect("committed");
    // Its join brings it nothing.
    let mut second = build();
    second.reset(Start::Earliest).expect("it waits");
    let waiting = async {
        while second.wait_for_assignment(SECOND / 10).await.is_err() {
            first.take(1, SECOND / 10).await.expect("no error").ack().expect("nothing to refuse");
        }
    };
    tokio::time::timeout(SOON, waiting).await.expect("it joins");
    assert!(second.assignment().is_empty());
    first.close(SECOND).await.expect("closed");
    while second.assignment().is_empty() {
        assert!(second.take(1, SECOND).await.expect("no error").is_empty(), "all was processed");
    }
    bench.write(0, 1).await;
    assert_eq!(places(&second.take(9, SECOND).await.expect("taken")), [(0, 10)]);
}

#[tokio::test(start_paused = true)]
async fn change_of_the_assignment_is_one_comparison() {
    let bench = Bench::new(2).await;
    let mut first = bench.queue();
    assert!((first.generation(), first.has_reassigned()) == (0, false), "the first call");
    assert!(!first.has_reassigned());
    first.wait_for_assignment(SOON).await.expect("assigned");
    let generation = first.generation();
    assert!(generation > 0 && first.has_reassigned() && !first.has_reassigned());
    assert_eq!(first.assignment(), [TopicPartition::new("t", 0), TopicPartition::new("t", 1)]);
    drop(first.take(1, SECOND).await.expect("no error"));
    assert_eq!(first.generation(), generation, "nothing has changed");
    let mut second = bench.queue();
    share(&mut first, &mut second).await;
    assert!(first.generation() > generation && first.has_reassigned());
    assert_eq!((first.assignment().len(), second.assignment().len()), (1, 1));
    assert_eq!(first.assignment(), first.as_consumer().assignment());
    // It is taken for dead: it has nothing until it joins again.
    let generation = first.generation();
    let member = first.as_consumer().group_metadata().expect("a member").member;
    bench.server.with(|mock| mock.expire_member("g", &member));
    while first.generation() < generation + 2 {
        // The loss may be reported.
        let _ = first.take(1, SECOND / 10).await;
        let _ = second.take(1, SECOND / 10).await;
    }
    assert!(first.has_reassigned());
}

#[tokio::test(start_paused = true)]
async fn dropped_takes_lose_nothing_and_repeat_nothing() {
    let bench = Bench::with_records(2, 60).await;
    let mut queue = bench.queue();
    let mut seen = Vec::new();
    for steps in 0..60 {
        let taking = queue.take(9, SECOND);
        let mut taking = std::pin::pin!(taking);
        for _ in 0..steps {
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(taking.as_mut().poll(cx))).await;
            if let std::task::Poll::Ready(taken) = polled {
                if let Ok(batch) = taken {
                    seen.extend(places(&batch));
                    batch.ack().expect("its partition is assigned");
                }
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    while seen.len() < 120 {
        let batch = queue.take(9, SOON).await.expect("taken");
        seen.extend(places(&batch));
        batch.ack().expect("its partition is assigned");
    }
    assert!(queue.take(9, SECOND).await.expect("no error").is_empty());
    for partition in 0..2 {
        let of: Vec<i64> = seen.iter().filter(|(of, _)| *of == partition).map(|(_, offset)| *offset).collect();
        assert_eq!(of, (0..60).collect::<Vec<_>>(), "each once and in order");
    }
    queue.close(SECOND).await.expect("closed");
    assert_eq!(bench.committed(), 120);
}

#[tokio::test(start_paused = true)]
async fn dropped_batch_is_an_error_and_rewind_brings_it_again() {
    let bench = Bench::with_records(1, 10).await;
    let mut queue = bench.joined().await;
    queue.take(2, SECOND).await.expect("taken").ack().expect("its partition is assigned");
    drop(queue.take(3, SECOND).await.expect("taken"));
    let error = queue.take(3, SECOND).await.expect("records that were read come first");
    assert_eq!(places(&error), [(0, 5), (0, 6), (0, 7)]);
    let error = queue.take(3, SECOND).await.expect_err("a batch was dropped");
    assert_eq!((error.kind(), error.partition(), error.offset()), (Kind::Unacknowledged, Some(0), Some(2)), "{error}");
    queue.rewind(&TopicPartition::new("t", 0)).expect("assigned");
    let batch = queue.take(100, SECOND).await.expect("taken");
    assert_eq!(places(&batch), (2..10).map(|offset| (0, offset)).collect::<Vec<_>>());
    batch.ack().expect("its partition is assigned");
    assert_eq!(queue.rewind(&TopicPartition::new("t", 9)).expect_err("not assigned").kind(), Kind::Config);
}

#[tokio::test(start_paused = true)]
async fn take_returns_early_with_as_many_as_may_be_open_and_waits_for_earlier_ones() {
    let bench = Bench::with_records(2, 40).await;
    let mut queue = bench.queue_with(|consumer| consumer.ack_open_max(10).poll_bytes_max(1));
    let (batch, took) = timed(queue.take(usize::MAX, Duration::MAX)).await;
    let batch = batch.expect("taken");
    assert!(batch.len() >= 10 && took < SOON, "{} in {took:?}", batch.len());
    let (none, took) = timed(queue.take(1, SECOND)).await;
    assert!(none.expect("no error").is_empty() && took == SECOND, "as many as may be are open");
    let mut seen = batch.len();
    batch.ack().expect("its partition is assigned");
    let mut small = bench.builder().take_bytes_max(1).build().expect("settings are fine");
    queue.close(SECOND).await.expect("closed");
    while seen < 80 {
        let batch = small.take(usize::MAX, Duration::MAX).await.expect("taken");
        seen += batch.len();
        batch.ack().expect("its partition is assigned");
    }
    assert_eq!(seen, 80);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_open_batches_commits_and_leaves_in_time() {
    let bench = Bench::with_records(1, 20).await;
    let mut queue = bench.joined().await;
    let batch = queue.take(5, SECOND).await.expect("taken");
    let worker = tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        batch.ack()
    });
    let (closed, took) = timed(queue.close(SECOND * 10)).await;
    closed.expect("closed");
    assert!(took < SECOND * 2, "it waits for the batch, and not for what was read: {took:?}");
    worker.await.expect("no panic").expect("its partition was still assigned");
    assert_eq!(bench.committed(), 5);
    assert!(bench.server.with(|mock| mock.describe_group("g")).is_none_or(|group| group.members.is_empty()));
    let mut queue = bench.joined().await;
    let stuck = queue.take(5, SECOND).await.expect("taken");
    let (closed, took) = timed(queue.close(SECOND * 2)).await;
    closed.expect("closed");
    assert!(took <= SECOND * 2, "{took:?}");
    assert_eq!(stuck.ack().expect_err("refused").reason(), Refusal::Revoked);
    assert_eq!(bench.committed(), 5);
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_work_are_refused_by_name() {
    let bench = Bench::new(1).await;
    let refused = |builder: GroupQueueBuilder| {
        let error = builder.build().expect_err("refused");
        assert_eq!(error.kind(), Kind::Config);
        error.to_string()
    };
    assert!(refused(GroupQueue::builder(&bench.client, "a/b", "g")).contains("topic"));
    assert!(refused(GroupQueue::builder(&bench.client, "t", "")).contains("group"));
    assert!(refused(bench.builder().consumer(|consumer| consumer.assign(["t"]))).contains("subscribes and assigns"));
    assert!(refused(bench.builder().consumer(|consumer| consumer.ack_open_max(0))).contains("ack_open_max"));
    let mut queue = bench.joined().await;
    let error = queue.take(0, SECOND).await.expect_err("refused");
    assert_eq!((error.kind(), error.topic()), (Kind::Config, Some("t")));
    assert!(error.to_string().contains("take 1 or more"), "{error}");
    assert_eq!(queue.reset(Start::Offset(-1)).expect_err("refused").kind(), Kind::Config);
    assert_eq!(queue.reset(Start::FromEnd(-1)).expect_err("refused").kind(), Kind::Config);
    assert!(GroupQueue::original(&bench.client, "t", "g").build().is_ok());
}

#[tokio::test(start_paused = true)]
async fn topic_that_is_missing_or_forbidden_is_an_error_in_time_and_is_not_created() {
    let bench = Bench::new(1).await;
    let mut queue = GroupQueue::builder(&bench.client, "missing", "g").build().expect("settings are fine");
    for timeout in [SECOND / 2, SECOND * 20] {
        let (taken, took) = timed(queue.take(1, timeout)).await;
        let error = taken.expect_err("there is none");
        assert_eq!((error.kind(), error.topic()), (Kind::UnknownTopic, Some("missing")), "{error}");
        assert!(took <= timeout.min(SECOND * 10), "{took:?}");
    }
    assert_eq!(bench.server.with(|mock| mock.topic_id("missing")), None);
    bench.inject(key::METADATA, Fault::Error(Code::TopicAuthorizationFailed), 1_000);
    let mut queue = GroupQueue::builder(&bench.client, "secret", "h").build().expect("settings are fine");
    let error = queue.take(1, SECOND * 20).await.expect_err("forbidden");
    assert_eq!((error.code(), error.topic()), (Some(Code::TopicAuthorizationFailed), Some("secret")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn group_that_refuses_the_member_is_an_error_that_names_it() {
    let bench = Bench::with_records(1, 5).await;
    bench.inject(key::JOIN_GROUP, Fault::Error(Code::GroupAuthorizationFailed), 1_000);
    let error = bench.queue().take(1, SECOND * 20).await.expect_err("forbidden");
    assert_eq!(error.code(), Some(Code::GroupAuthorizationFailed));
    assert!(error.to_string().contains('g'), "{error}");
    let bench = Bench::with_records(1, 5).await;
    let mut member = bench.client.consumer().group("g").subscribe(["t"]).group_protocol(GroupProtocol::Consumer);
    member = member.auto_commit(None);
    let mut member = member.build().expect("settings are fine");
    member.wait_for_assignment(SOON).await.expect("assigned");
    let error = bench.queue().take(1, SECOND * 20).await.expect_err("a member of the other protocol has it");
    println!("{error:#}");
    assert_eq!(error.code(), Some(Code::InconsistentGroupProtocol), "{error}");
}
