//! Runtimes: the work of a client goes on where it was spawned, whatever the caller's thread does.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Wake;
use std::task::Waker;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use ottla::Client;
use ottla::Record;
use ottla::client::ClientBuilder;
use ottla::consumer::Start;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::Server;
use tokio::runtime::Builder;
use tokio::runtime::Runtime;

const PRODUCE: i16 = 0;
const RECORDS: usize = 1_000;

/// A runtime with threads of its own, and a cluster that it serves.
fn background() -> (Runtime, Server, ClientBuilder) {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be had");
    let cluster = Cluster::builder().brokers(2).topic("t", 4).build();
    let server = runtime.block_on(Server::start(cluster, ([127, 0, 0, 1], 0).into())).expect("a port is free");
    let builder = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
    let builder = builder.runtime(runtime.handle().clone());
    (runtime, server, builder)
}

fn written(server: &Server) -> usize {
    (0..4).map(|partition| server.with(|cluster| cluster.log("t", partition).len())).sum()
}

/// Holds this thread until something has happened elsewhere.
fn hold_until(what: &str, happened: impl Fn() -> bool) {
    let begun = now();
    while !happened() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}: the work stands still");
        std::thread::yield_now();
    }
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

#[test]
fn deliveries_go_on_while_the_callers_only_thread_is_held() {
    let (_runtime, server, builder) = background();
    let program = Builder::new_current_thread().enable_all().build().expect("a runtime can be had");
    program.block_on(async {
        let client = builder.connect().await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        let records = (0..RECORDS).map(|_| Record::to("t").value("v"));
        let deliveries = producer.enqueue_all(records).await.expect("there is capacity");
        // Nothing of this runtime runs from here on.
        hold_until("records", || written(&server) == RECORDS);
        for delivery in deliveries {
            delivery.await.expect("it is acknowledged");
        }
    });
}

#[test]
fn reconnection_and_retries_go_on_while_the_callers_only_thread_is_held() {
    let (_runtime, server, builder) = background();
    let program = Builder::new_current_thread().build().expect("a runtime can be had");
    program.block_on(async {
        let client = builder.connect().await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        producer.send(Record::to("t").value("v")).await.expect("it is acknowledged");
        server.with(|cluster| cluster.inject(PRODUCE, ottla::mock::Fault::CloseBefore, 3));
        let delivery = producer.enqueue(Record::to("t").value("v")).await.expect("there is capacity");
        hold_until("the record", || written(&server) == 2);
        delivery.await.expect("it is acknowledged");
    });
}

#[test]
fn calls_may_be_awaited_outside_tokio() {
    let (runtime, server, builder) = background();
    let client = block_on(builder.connect()).expect("they answer");
    let producer = client.producer().build().expect("the settings are fine");
    let receipt = block_on(producer.send(Record::to("t").partition(1).value("v"))).expect("it is acknowledged");
    assert_eq!((receipt.partition, receipt.offset), (1, Some(0)));
    // A topic that is missing is waited for, by a timer.
    let error = block_on(producer.send(Record::to("nosuch").value("v"))).err();
    assert!(error.is_none_or(|error| error.kind() == Kind::UnknownTopic));
    let consumer = client.consumer().group("g").assign(["t"]).start(Start::Earliest).until_end();
    let mut consumer = consumer.build().expect("the settings are fine");
    let records = block_on(consumer.poll()).expect("nothing is wrong").expect("there is a record");
    assert!(records.count() <= 1);
    block_on(consumer.commit()).expect("the coordinator takes it");
    assert_eq!(block_on(consumer.end_offsets()).expect("they answer").len(), 4);
    block_on(client.admin().list_topics()).expect("they answer");
    block_on(consumer.close()).expect("it can be closed");
    block_on(producer.close(Duration::from_secs(10))).expect("all is written");
    assert_eq!(written(&server), 1);
    drop(server);
    runtime.shutdown_background();
}

#[test]
fn client_without_a_runtime_is_refused_and_does_not_panic() {
    let builder = || Client::builder(["localhost:9092"]).expect("a well-formed address");
    let error = block_on(builder().connect()).expect_err("there is no runtime");
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("ClientBuilder::runtime"), "{error}");
    assert_eq!(builder().connect_lazy().expect_err("there is no runtime").kind(), Kind::Config);
}

#[test]
fn everything_fails_in_order_once_the_runtime_has_ended() {
    let (runtime, server, builder) = background();
    let client = block_on(builder.connect()).expect("they answer");
    let producer = client.producer().build().expect("the settings are fine");
    block_on(producer.send(Record::to("t").value("v"))).expect("it is acknowledged");
    drop(server);
    runtime.shutdown_timeout(Duration::from_secs(10));
    let later = client.producer().build().expect("the settings are fine");
    for producer in [producer, later] {
        let error = block_on(producer.send(Record::to("t").value("v"))).expect_err("nothing runs");
        assert_eq!(error.kind(), Kind::Closed);
    }
    let mut consumer = client.consumer().assign(["t"]).build().expect("the settings are fine");
    assert_eq!(block_on(consumer.poll()).expect_err("nothing runs").kind(), Kind::Closed);
}

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The simplest executor: one future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}
