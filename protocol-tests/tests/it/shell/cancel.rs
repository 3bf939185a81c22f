//! Any future may be dropped at any point: nothing else is lost, repeated or reordered, and no capacity leaks.
//!
//! Each operation is run again and again, dropped after its n-th poll, n from 0 until it completes; once right there, once
//! when it was woken again but before it could look. Then the world must be in order ([`World::check`]).

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;
use std::time::Duration;

use ottla::Record;
use ottla::admin::NewTopic;
use ottla::error::Code;
use ottla::mock::Fault;
use ottla::types::TopicPartition;

use super::moves::move_leaders;
use super::net::Net;
use super::run;
use super::world::BUFFER;
use super::world::OTHER;
use super::world::TOPIC;
use super::world::World;
use super::world::cluster;
use super::world::soon;

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// An operation that is dropped. Its future notes its result when it completes.
struct Operation {
    name: &'static str,
    /// Prepares the world.
    before: fn(&mut World) -> Boxed<'_>,
    /// Returns the future that is dropped.
    start: fn(&mut World) -> Boxed<'_>,
    /// Checks the world afterwards, besides what is always checked.
    after: fn(&mut World) -> Boxed<'_>,
}

/// When a future is dropped that was polled often enough.
#[derive(Clone, Copy, Debug)]
enum Moment {
    AtOnce,
    OnceWoken,
}

/// Notes whether it was woken, and passes it on.
struct Alarm {
    woken: AtomicBool,
    outer: Waker,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.outer.wake_by_ref();
    }
}

/// Polls a future `polls` times, whenever it is woken, then drops it. Returns whether it completed.
async fn dropped(future: Boxed<'_>, polls: usize, moment: Moment) -> bool {
    let mut future = Some(future);
    let mut left = polls;
    let mut alarm: Option<Arc<Alarm>> = None;
    poll_fn(move |cx| {
        if alarm.as_ref().is_some_and(|alarm| !alarm.woken.load(Ordering::Relaxed)) {
            return Poll::Pending;
        }
        if left == 0 {
            future = None;
            return Poll::Ready(false);
        }
        left -= 1;
        let set = Arc::new(Alarm { woken: AtomicBool::new(false), outer: cx.waker().clone() });
        let waker = Waker::from(Arc::clone(&set));
        let polled = future.as_mut().expect("dropped only at the end").as_mut().poll(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            return Poll::Ready(true);
        }
        if left == 0 && matches!(moment, Moment::AtOnce) {
            future = None;
            return Poll::Ready(false);
        }
        alarm = Some(set);
        Poll::Pending
    })
    .await
}

/// Whether the operation completed within so many polls.
async fn attempt(operation: &Operation, polls: usize, moment: Moment, delay: Duration) -> bool {
    let net = Net::new(cluster());
    let mut world = World::new(net.clone()).await;
    (operation.before)(&mut world).await;
    net.set_all(|switches| switches.delay = delay);
    let done = soon("the operation", dropped((operation.start)(&mut world), polls, moment)).await;
    net.set_all(|switches| switches.delay = Duration::ZERO);
    (operation.after)(&mut world).await;
    world.check().await;
    drop(world);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(net.tasks_of_client(), 0, "a task is left");
    done
}

const OFFSET_COMMIT: i16 = 8;
const OFFSET_FETCH: i16 = 9;
const NOT_COORDINATOR: Fault = Fault::Error(Code::NotCoordinator);

/// More polls than any operation takes.
const POLLS_MAX: usize = 200;

/// Prints the place where a test failed.
struct Place(String);

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("\ndropped {}", self.0);
        }
    }
}

fn sweep(operation: &Operation) {
    for moment in [Moment::AtOnce, Moment::OnceWoken] {
        for delay in [0, 3].map(Duration::from_millis) {
            let completes = (0..POLLS_MAX).find(|polls| {
                let place =
                    Place(format!("{}, after {polls} polls, {moment:?}, replies take {delay:?}", operation.name));
                let done = run(attempt(operation, *polls, moment, delay));
                drop(place);
                done
            });
            assert!(completes.is_some(), "{} never completes", operation.name);
        }
    }
}

fn nothing(_world: &mut World) -> Boxed<'_> {
    Box::pin(async {})
}

fn some_records(world: &mut World) -> Boxed<'_> {
    Box::pin(world.background(3))
}

fn read_records(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        world.background(3).await;
        soon("flush", world.producer.flush()).await;
        world.read_all().await;
    })
}

/// Everything that the client knows is out of date: leaders and coordinators have moved.
fn moved(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        read_records(world).await;
        soon("commit", world.consumer.commit()).await.expect("the coordinator takes it");
        world.net.with(|cluster| {
            move_leaders(cluster);
            cluster.inject(OFFSET_COMMIT, NOT_COORDINATOR, 1);
            cluster.inject(OFFSET_FETCH, NOT_COORDINATOR, 1);
        });
    })
}

/// A full buffer, and sends of others that wait for capacity before and behind the operation.
fn full_buffer(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        world.background(1).await;
        soon("flush", world.producer.flush()).await;
        world.net.set_all(|switches| switches.delay = Duration::from_millis(20));
        large(world, 0, 4);
        for partition in [1, 2] {
            let value = world.sure(partition);
            let producer = world.producer.clone();
            world.others.push(tokio::spawn(async move {
                let value = format!("{value:0>2000}");
                producer.send(Record::to(TOPIC).partition(partition).value(&value)).await.expect("it has its turn");
            }));
        }
        super::hops(2).await;
    })
}

/// A full buffer, and soon another send behind the operation that waits for nearly all of it.
fn full_buffer_and_one_behind(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        world.background(1).await;
        soon("flush", world.producer.flush()).await;
        world.net.set_all(|switches| switches.delay = Duration::from_millis(20));
        large(world, 0, 4);
        let (value, producer) = (world.sure(1), world.producer.clone());
        world.others.push(tokio::spawn(async move {
            super::hops(4).await;
            let value = format!("{value:0>width$}", width = BUFFER - 500);
            producer.send(Record::to(TOPIC).partition(1).value(&value)).await.expect("it has its turn");
        }));
    })
}

/// Records that leave less capacity than any waiting send needs, and fit one batch.
fn large(world: &mut World, partition: i32, count: usize) {
    for _ in 0..count {
        let value = world.sure(partition);
        let value = format!("{value:0>width$}", width = BUFFER * 2 / 9);
        let record = Record::to(TOPIC).partition(partition).value(&value);
        drop(world.producer.try_enqueue(record).expect("there is capacity"));
    }
}

/// A send waits for capacity behind the operation that was dropped. It must have its turn.
fn capacity_for_others(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        let value = world.sure(2);
        let value = format!("{value:0>4000}");
        let sent = world.producer.send(Record::to(TOPIC).partition(2).value(&value));
        soon("a record that waits behind", sent).await.expect("it has its turn");
    })
}

fn send(world: &mut World) -> Boxed<'_> {
    let (value, producer) = (world.maybe(0), world.producer.clone());
    Box::pin(async move {
        producer.send(Record::to(TOPIC).partition(0).value(&value)).await.expect("it is acknowledged");
    })
}

fn send_elsewhere(world: &mut World) -> Boxed<'_> {
    let producer = world.producer.clone();
    Box::pin(async move {
        producer.send(Record::to(OTHER).value("1")).await.expect("it is acknowledged");
    })
}

/// The record is in the log at most once, and the topic can be written to.
fn once_elsewhere(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        let sent = world.producer.send(Record::to(OTHER).value("2"));
        soon("a record for the other topic", sent).await.expect("it is acknowledged");
        let log = world.net.with(|cluster| cluster.log(OTHER, 0));
        let values: Vec<_> = log.iter().map(|record| record.value.as_deref()).collect();
        assert!(values == [Some(&b"2"[..])] || values == [Some(&b"1"[..]), Some(b"2")], "{values:?}");
    })
}

fn enqueue(world: &mut World) -> Boxed<'_> {
    let (value, producer) = (world.maybe(0), world.producer.clone());
    Box::pin(async move {
        let value = format!("{value:0>3000}");
        drop(producer.enqueue(Record::to(TOPIC).partition(0).value(&value)).await.expect("there is capacity"));
    })
}

/// A record that does not fit beside the first of two batches.
fn enqueue_large(world: &mut World) -> Boxed<'_> {
    let (value, producer) = (world.maybe(0), world.producer.clone());
    Box::pin(async move {
        let value = format!("{value:0>width$}", width = BUFFER / 2);
        drop(producer.enqueue(Record::to(TOPIC).partition(0).value(&value)).await.expect("there is capacity"));
    })
}

fn enqueue_all(world: &mut World) -> Boxed<'_> {
    let (values, producer) = ([0; 8].map(|partition| world.maybe(partition)), world.producer.clone());
    Box::pin(async move {
        let values = values.map(|value| format!("{value:0>3000}"));
        let records = values.iter().map(|value| Record::to(TOPIC).partition(0).value(value));
        drop(producer.enqueue_all(records).await.expect("there is capacity in the end"));
    })
}

fn delivery(world: &mut World) -> Boxed<'_> {
    let value = world.sure(1);
    let delivery = world.producer.try_enqueue(Record::to(TOPIC).partition(1).value(&value));
    let delivery = delivery.expect("there is capacity");
    Box::pin(async move { assert_eq!(delivery.await.expect("it is acknowledged").partition, 1) })
}

fn flush(world: &mut World) -> Boxed<'_> {
    Box::pin(world.producer.flush())
}

fn background_and_flush(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        world.background(1).await;
        world.producer.flush().await;
    })
}

fn moved_and_records(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        moved(world).await;
        world.background(1).await;
    })
}

fn poll(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        let polled = world.consumer.poll().await.expect("nothing is wrong");
        world.note(&polled.expect("the consumer is open"));
    })
}

fn commit(world: &mut World) -> Boxed<'_> {
    Box::pin(async { world.consumer.commit().await.expect("the coordinator takes it") })
}

fn commit_positions(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        let partitions = world.consumer.assignment();
        let position = |key| Some((TopicPartition::clone(key), world.consumer.position(key)?));
        let positions: Vec<_> = partitions.iter().filter_map(position).collect();
        assert_eq!(positions.len(), partitions.len());
        world.consumer.commit_positions(positions).await.expect("the coordinator takes them");
    })
}

fn committed(world: &mut World) -> Boxed<'_> {
    Box::pin(async { drop(world.consumer.committed().await.expect("the coordinator knows")) })
}

fn end_offsets(world: &mut World) -> Boxed<'_> {
    Box::pin(async { drop(world.consumer.end_offsets().await.expect("the leaders know")) })
}

fn beginning_offsets(world: &mut World) -> Boxed<'_> {
    Box::pin(async { drop(world.consumer.beginning_offsets().await.expect("the leaders know")) })
}

fn connect(world: &mut World) -> Boxed<'_> {
    let builder = world.net.client();
    Box::pin(async { drop(builder.connect().await.expect("the brokers answer")) })
}

fn list_topics(world: &mut World) -> Boxed<'_> {
    Box::pin(async { drop(world.client.admin().list_topics().await.expect("a broker answers")) })
}

fn describe_topics(world: &mut World) -> Boxed<'_> {
    Box::pin(async { drop(world.client.admin().describe_topics([TOPIC]).await.expect("a broker answers")) })
}

fn create_topics(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        let made = world.client.admin().create_topics([NewTopic::new("made").partitions(2)]).await;
        assert!(made.expect("the controller answers").iter().all(|(_, outcome)| outcome.is_ok()));
    })
}

/// Topics can still be created and deleted.
fn another_topic(world: &mut World) -> Boxed<'_> {
    Box::pin(async {
        let admin = world.client.admin();
        for made in soon("create", admin.create_topics([NewTopic::new("another")])).await.expect("a response") {
            made.1.expect("it was not created before");
        }
        for gone in soon("delete", admin.delete_topics(["another"])).await.expect("a response") {
            gone.1.expect("it was just made");
        }
    })
}

fn delete_topics(world: &mut World) -> Boxed<'_> {
    Box::pin(async { drop(world.client.admin().delete_topics(["none"]).await.expect("the controller answers")) })
}

fn close_producer(world: &mut World) -> Boxed<'_> {
    let (values, client) = ([0; 3].map(|partition| world.maybe(partition)), world.client.clone());
    Box::pin(async move {
        let producer = client.producer().build().expect("the settings are fine");
        for value in values {
            drop(producer.enqueue(Record::to(TOPIC).partition(0).value(&value)).await.expect("there is capacity"));
        }
        producer.close(Duration::from_secs(3)).await.expect("everything is acknowledged");
    })
}

fn close_consumer(world: &mut World) -> Boxed<'_> {
    let mut consumer = world.client.consumer().assign([TOPIC]).build().expect("the settings are fine");
    Box::pin(async move {
        drop(consumer.poll().await.expect("nothing is wrong"));
        consumer.close().await.expect("it can be closed");
    })
}

#[test]
fn dropped_connect_leaves_nothing() {
    sweep(&Operation { name: "connect", before: nothing, start: connect, after: nothing });
}

#[test]
fn dropped_send_drops_only_its_own_record() {
    sweep(&Operation { name: "send", before: some_records, start: send, after: nothing });
}

#[test]
fn dropped_send_that_waits_for_capacity_passes_its_turn_on() {
    sweep(&Operation { name: "send", before: full_buffer, start: send, after: capacity_for_others });
}

#[test]
fn dropped_enqueue_drops_only_its_own_record() {
    sweep(&Operation { name: "enqueue", before: some_records, start: enqueue, after: nothing });
}

#[test]
fn dropped_enqueue_that_waits_for_capacity_passes_its_turn_on() {
    sweep(&Operation { name: "enqueue", before: full_buffer, start: enqueue, after: capacity_for_others });
}

#[test]
fn dropped_enqueue_returns_the_capacity_it_was_granted() {
    sweep(&Operation {
        name: "enqueue_large",
        before: full_buffer_and_one_behind,
        start: enqueue_large,
        after: nothing,
    });
}

#[test]
fn dropped_enqueue_all_leaves_a_prefix() {
    sweep(&Operation { name: "enqueue_all", before: full_buffer, start: enqueue_all, after: capacity_for_others });
}

#[test]
fn dropped_delivery_leaves_its_record_in_the_producer() {
    sweep(&Operation { name: "delivery", before: some_records, start: delivery, after: nothing });
}

#[test]
fn dropped_flush_loses_nothing() {
    sweep(&Operation { name: "flush", before: some_records, start: flush, after: nothing });
}

#[test]
fn dropped_poll_loses_no_record() {
    sweep(&Operation { name: "poll", before: some_records, start: poll, after: nothing });
}

#[test]
fn commit_after_a_dropped_commit_is_right() {
    sweep(&Operation { name: "commit", before: read_records, start: commit, after: some_records });
}

#[test]
fn commit_after_a_dropped_commit_of_positions_is_right() {
    sweep(&Operation { name: "commit_positions", before: read_records, start: commit_positions, after: some_records });
}

#[test]
fn dropped_committed_is_harmless() {
    sweep(&Operation { name: "committed", before: read_records, start: committed, after: nothing });
}

#[test]
fn dropped_end_offsets_is_harmless() {
    sweep(&Operation { name: "end_offsets", before: read_records, start: end_offsets, after: nothing });
}

#[test]
fn dropped_beginning_offsets_is_harmless() {
    sweep(&Operation { name: "beginning_offsets", before: read_records, start: beginning_offsets, after: nothing });
}

#[test]
fn dropped_list_topics_is_harmless() {
    sweep(&Operation { name: "list_topics", before: nothing, start: list_topics, after: another_topic });
}

#[test]
fn dropped_describe_topics_is_harmless() {
    sweep(&Operation { name: "describe_topics", before: nothing, start: describe_topics, after: another_topic });
}

#[test]
fn dropped_create_topics_is_harmless() {
    sweep(&Operation { name: "create_topics", before: nothing, start: create_topics, after: another_topic });
}

#[test]
fn dropped_delete_topics_is_harmless() {
    sweep(&Operation { name: "delete_topics", before: nothing, start: delete_topics, after: another_topic });
}

#[test]
fn dropped_close_of_a_producer_harms_no_other() {
    sweep(&Operation { name: "close_producer", before: read_records, start: close_producer, after: nothing });
}

#[test]
fn dropped_close_of_a_consumer_ends_it() {
    sweep(&Operation { name: "close_consumer", before: some_records, start: close_consumer, after: nothing });
}

#[test]
fn dropped_send_to_an_unknown_topic_is_sent_at_most_once() {
    sweep(&Operation { name: "send to another topic", before: nothing, start: send_elsewhere, after: once_elsewhere });
}

#[test]
fn dropped_send_to_a_moved_leader_drops_only_its_own_record() {
    sweep(&Operation { name: "send to a leader that moved", before: moved, start: send, after: nothing });
}

#[test]
fn dropped_flush_while_leaders_move_loses_nothing() {
    sweep(&Operation { name: "flush while leaders move", before: moved, start: background_and_flush, after: nothing });
}

#[test]
fn dropped_poll_while_leaders_move_loses_no_record() {
    sweep(&Operation { name: "poll while leaders move", before: moved_and_records, start: poll, after: nothing });
}

#[test]
fn commit_after_a_dropped_one_to_a_moved_coordinator_is_right() {
    sweep(&Operation { name: "commit to one that moved", before: moved, start: commit, after: some_records });
}

#[test]
fn dropped_committed_of_a_moved_coordinator_is_harmless() {
    sweep(&Operation { name: "committed by one that moved", before: moved, start: committed, after: nothing });
}

#[test]
fn dropped_end_offsets_of_moved_leaders_is_harmless() {
    sweep(&Operation { name: "end_offsets of leaders that moved", before: moved, start: end_offsets, after: nothing });
}

#[test]
fn polls_dropped_repeatedly_lose_no_record() {
    for patience in [0, 1, 3].map(Duration::from_millis) {
        run(async {
            let net = Net::new(cluster());
            net.set_all(|switches| switches.delay = Duration::from_millis(2));
            let mut world = World::new(net).await;
            for _ in 0..30 {
                world.background(1).await;
                if let Ok(polled) = tokio::time::timeout(patience, world.consumer.poll()).await {
                    world.note(&polled.expect("nothing is wrong").expect("the consumer is open"));
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            world.check().await;
        });
    }
}

#[test]
fn dropped_read_only_requests_cost_no_connection() {
    run(async {
        let mut world = World::new(Net::new(cluster())).await;
        world.check().await;
        let admin = world.client.admin();
        for _ in 0..6 {
            soon("list", admin.list_topics()).await.expect("a broker answers");
        }
        let dials = world.net.dials();
        world.net.set_all(|switches| switches.delay = Duration::from_millis(5));
        for _ in 0..50 {
            let asked = tokio::time::timeout(Duration::from_millis(2), admin.list_topics()).await;
            asked.expect_err("the response takes longer");
        }
        // The responses to dropped calls come first.
        soon("list", admin.list_topics()).await.expect("a broker answers");
        world.check().await;
        assert_eq!(world.net.dials(), dials, "connections were dialled again");
    });
}

#[test]
fn call_dropped_before_the_connection_is_up_sends_nothing() {
    run(async {
        let mut world = World::new(Net::new(cluster())).await;
        world.check().await;
        world.net.set_all(|switches| switches.delay = Duration::from_secs(3));
        world.net.cut_all();
        let admin = world.client.admin();
        let late = admin.create_topics([NewTopic::new("late")]);
        let made = tokio::time::timeout(Duration::from_millis(500), late).await;
        made.expect_err("it takes three seconds to connect");
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(world.net.with(|cluster| cluster.topic_id("late")), None);
        world.net.set_all(|switches| switches.delay = Duration::ZERO);
        world.check().await;
    });
}
