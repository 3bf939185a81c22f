//! The blocking facade in programs without a runtime, and its refusals inside of one.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use ottla::Error;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::blocking::Client;
use ottla::blocking::Producer;
use ottla::consumer::ConsumerHandle;
use ottla::consumer::HookFuture;
use ottla::consumer::Position;
use ottla::consumer::RebalanceListener;
use ottla::consumer::Start;
use ottla::error::Kind;
use ottla::error::Written;
use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::types::TopicPartition;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

const SECOND: Duration = Duration::from_secs(1);
/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(60);

/// A mock cluster on a runtime of its own.
struct Mock {
    server: Server,
    _runtime: Runtime,
}

impl Deref for Mock {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

fn cluster() -> (Mock, Client) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let entered = runtime.enter();
    let server = Server::in_memory(Cluster::builder().topic("t", 2).build());
    drop(entered);
    let builder = ottla::Client::builder([server.bootstrap()]).expect("its address is well-formed");
    let client = Client::from_builder(builder.connector(server.connector())).expect("the mock responds");
    (Mock { server, _runtime: runtime }, client)
}

fn read(client: &Client) -> usize {
    let settings = client.as_async().consumer().assign(["t"]).start(Start::Earliest).until_end();
    let mut consumer = client.consumer_from(settings).expect("the settings are fine");
    let mut read = 0;
    while let Some(records) = consumer.poll(LONG).expect("the leaders respond") {
        read += records.count();
    }
    read
}

#[test]
fn threads_without_a_runtime_share_one_producer() {
    let (_server, client) = cluster();
    let producer = client.producer().expect("the defaults are fine");
    thread::scope(|scope| {
        for thread in 0..4 {
            let producer = producer.clone();
            scope.spawn(move || {
                let value = format!("from thread {thread}");
                let accept = |_| producer.enqueue(Record::to("t").value(&value)).expect("there is capacity");
                let deliveries: Vec<_> = (0..100).map(accept).collect();
                for delivery in deliveries {
                    delivery.wait().expect("acknowledged");
                }
                producer.send(Record::to("t").value(&value)).expect("acknowledged");
            });
        }
    });
    producer.flush(LONG).expect("nothing is open");
    producer.close(LONG).expect("nothing is open");
    assert_eq!(read(&client), 404);
}

#[test]
fn poll_without_records_is_empty_after_its_patience() {
    let (_server, client) = cluster();
    let mut consumer = client.consumer_from(client.as_async().consumer().assign(["t"])).expect("the settings are fine");
    for patience in [Duration::ZERO, Duration::from_millis(20)] {
        let records = consumer.poll(patience).expect("all is well").expect("the read has no end");
        assert_eq!((records.count(), records.is_empty()), (0, true));
    }
    consumer.close().expect("it has no group");
    assert!(consumer.poll(Duration::MAX).expect("all is well").is_none());
}

#[test]
fn group_is_joined_committed_and_left() {
    let (server, client) = cluster();
    client.producer().expect("the defaults are fine").send(Record::to("t").partition(0).value("v")).expect("written");
    let settings = client.as_async().consumer().group("g").subscribe(["t"]).auto_commit(None);
    let mut consumer = client.consumer_from(settings).expect("the settings are fine");
    assert_eq!(consumer.wait_for_assignment(LONG).expect("the mock assigns them").len(), 2);
    let mut read = 0;
    while read == 0 {
        read += consumer.poll(SECOND).expect("the leaders respond").expect("the read has no end").count();
    }
    consumer.commit().expect("the coordinator takes it");
    let committed = consumer.committed().expect("the coordinator responds");
    assert_eq!(committed[0].1.expect("it was committed").offset, 1);
    let first = Position { offset: 0, epoch: None };
    consumer.commit_positions([(TopicPartition::new("t", 0), first)]).expect("the coordinator takes it");
    consumer.unsubscribe().expect("it leaves");
    consumer.close().expect("it has left");
    assert_eq!(server.with(|mock| mock.committed("g", "t", 0)), Some(0));
}

#[test]
fn any_call_of_the_admin_can_be_waited_for() {
    let (_server, client) = cluster();
    let admin = client.as_async().admin();
    let created = client.block(admin.create_topics([NewTopic::new("new").partitions(3)])).expect("no runtime here");
    assert!(created.expect("the controller responds").iter().all(|(_, outcome)| outcome.is_ok()));
    let topics = client.block(admin.list_topics()).expect("no runtime here").expect("the broker responds");
    assert!(topics.iter().any(|topic| &**topic == "new"), "{topics:?}");
}

fn refused<T: std::fmt::Debug>(result: Result<T, Error>) -> Option<Written> {
    let error = result.expect_err("it is inside a runtime");
    assert_eq!(error.kind(), Kind::Config, "{error}");
    assert!(error.to_string().contains("std::thread"), "it names the remedy: {error}");
    error.is_written()
}

#[test]
fn blocking_call_inside_a_runtime_is_refused() {
    let (server, client) = cluster();
    let producer = client.producer().expect("the defaults are fine");
    let delivery = producer.enqueue(Record::to("t").value("v")).expect("there is capacity");
    let mut consumer = client.consumer_from(client.as_async().consumer().assign(["t"])).expect("the settings are fine");
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        refused(Client::connect([server.bootstrap()]));
        assert_eq!(refused(producer.send(Record::to("t").value("v"))), Some(Written::No));
        assert_eq!(refused(producer.enqueue(Record::to("t").value("v"))), Some(Written::No));
        assert_eq!(refused(delivery.wait()), Some(Written::Maybe));
        refused(producer.flush(SECOND));
        refused(producer.close(SECOND));
        refused(consumer.poll(SECOND));
        refused(consumer.commit());
        refused(consumer.close());
        refused(client.block(std::future::ready(())));
        // Neither waits.
        drop((producer, consumer, client));
    });
}

/// Writes a record when partitions are assigned, from the thread that the write would wait for.
struct Careless {
    producer: Producer,
    refused: Arc<Mutex<Option<Error>>>,
}

impl RebalanceListener for Careless {
    fn assigned(&self, _consumer: ConsumerHandle, _partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        let sent = self.producer.send(Record::to("t").value("v"));
        *self.refused.lock().expect("nobody panicked") = sent.err();
        Box::pin(async { Ok(()) })
    }
}

#[test]
fn blocking_call_in_a_rebalance_listener_is_refused_and_no_deadlock() {
    let (_server, client) = cluster();
    let refused = Arc::new(Mutex::new(None));
    let listener =
        Careless { producer: client.producer().expect("the defaults are fine"), refused: Arc::clone(&refused) };
    let settings = client.as_async().consumer().group("g").subscribe(["t"]).listener(listener);
    let mut consumer = client.consumer_from(settings).expect("the settings are fine");
    assert_eq!(consumer.wait_for_assignment(LONG).expect("the mock assigns them").len(), 2);
    let error = refused.lock().expect("nobody panicked").take().expect("the listener was called, and refused");
    assert_eq!((error.kind(), error.is_written()), (Kind::Config, Some(Written::No)));
}

#[test]
fn dropping_all_handles_decides_open_deliveries_without_waiting() {
    let (server, client) = cluster();
    let producer = client.producer().expect("the defaults are fine");
    producer.send(Record::to("t").value("v")).expect("acknowledged");
    server.with(|mock| (1..=3).for_each(|broker| mock.set_down(broker)));
    let mut delivery = producer.enqueue(Record::to("t").value("v")).expect("there is capacity");
    assert!(delivery.wait_for(Duration::from_millis(20)).expect("not decided").is_none());
    drop((producer, client));
    let error = delivery.wait().expect_err("the producer is gone");
    assert!(error.is_written().is_some(), "{error}");
}
