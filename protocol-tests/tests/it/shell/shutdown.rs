//! Ending: by the deadline whatever the brokers do, without a task left, in any order, inside a runtime or not.

use std::sync::Arc;
use std::time::Duration;

use ottla::Record;
use ottla::codec::Codec;
use ottla::codec::CodecError;
use ottla::codec::Codecs;
use ottla::codec::Compression;
use ottla::error::Kind;
use ottla::error::Written;
use ottla::producer::Delivery;
use ottla::producer::Guarantee;
use tokio::time::Instant;

use super::hops;
use super::net::Door;
use super::net::Ear;
use super::net::Net;
use super::run;
use super::world::BUFFER;
use super::world::PARTITIONS;
use super::world::TOPIC;
use super::world::World;
use super::world::cluster;
use super::world::soon;

/// How brokers treat a client that is about to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    /// They read and never answer.
    Deaf,
    /// They do not even read.
    Paused,
    /// They closed every connection and refuse others.
    Refusing,
    /// They are down, and dialling them gets no response.
    Gone,
    /// They close every connection after they executed the first request on it.
    HangingUp,
}

impl Mood {
    pub(super) const ALL: [Self; 6] =
        [Self::Well, Self::Deaf, Self::Paused, Self::Refusing, Self::Gone, Self::HangingUp];
    pub(super) const BAD: [Self; 5] = [Self::Deaf, Self::Paused, Self::Refusing, Self::Gone, Self::HangingUp];

    pub(super) fn impose(self, net: &Net) {
        match self {
            Self::Well => {}
            Self::Deaf => net.set_all(|switches| switches.ear = Ear::Deaf),
            Self::Paused => net.set_all(|switches| switches.ear = Ear::Paused),
            Self::Refusing => net.set_all(|switches| switches.door = Door::Refusing),
            Self::Gone => net.set_all(|switches| switches.door = Door::Silent),
            Self::HangingUp => net.with(|cluster| {
                for api in 0..80 {
                    cluster.inject(api, ottla::mock::Fault::CloseAfter, u32::MAX);
                }
            }),
        }
        if matches!(self, Self::Refusing | Self::Gone) {
            net.cut_all();
        }
    }
}

/// Whether connections exist when the mood of the brokers changes.
const BEFORE: [&str; 2] = ["never used", "in use"];

async fn world(before: &str) -> World {
    let mut world = World::new(Net::new(cluster())).await;
    if before == "in use" {
        world.check().await;
    }
    world
}

fn records(world: &World) -> Vec<Delivery> {
    let record = |partition| Record::to(TOPIC).partition(partition).value("7");
    let metadata = "the client knows no topic before it needs it";
    (0..PARTITIONS).map(|partition| world.producer.try_enqueue(record(partition)).expect(metadata)).collect()
}

async fn nothing_is_left(net: &Net, what: &str) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(net.tasks_of_client(), 0, "{what}: a task is left");
}

#[test]
fn producer_closes_by_its_deadline_under_any_broker_failure() {
    for (mood, before) in Mood::ALL.into_iter().flat_map(|mood| BEFORE.map(|before| (mood, before))) {
        run(async {
            let what = format!("{mood:?}, {before}");
            let mut world = world(before).await;
            world.background(1).await;
            soon("flush", world.producer.flush()).await;
            mood.impose(&world.net);
            let deliveries = records(&world);
            let asked = Instant::now();
            let patience = Duration::from_secs(3);
            let closed = world.producer.close(patience).await;
            assert!(asked.elapsed() <= patience + Duration::from_millis(1), "{what}: {:?}", asked.elapsed());
            assert_eq!(closed.is_ok(), mood == Mood::Well, "{what}: {closed:?}");
            for delivery in deliveries {
                match soon(&what, delivery).await {
                    Ok(_) => assert!(matches!(mood, Mood::Well | Mood::HangingUp), "{what}"),
                    // A batch that waits for a connection counts as in flight.
                    Err(error) => assert!(mood != Mood::Well && error.is_written().is_some(), "{what}: {error}"),
                }
            }
            let refused = world.producer.send(Record::to(TOPIC).value("7")).await.expect_err("it is closed");
            assert_eq!(refused.kind(), Kind::Closed, "{what}");
            let net = world.net.clone();
            drop(world);
            nothing_is_left(&net, &what).await;
        });
    }
}

#[test]
fn consumer_closes_within_seconds_under_any_broker_failure() {
    for (mood, before) in Mood::ALL.into_iter().flat_map(|mood| BEFORE.map(|before| (mood, before))) {
        run(async {
            let what = format!("{mood:?}, {before}");
            let mut world = world(before).await;
            mood.impose(&world.net);
            hops(5).await;
            let asked = Instant::now();
            world.consumer.close().await.expect("it can be closed");
            assert!(asked.elapsed() <= Duration::from_millis(5_001), "{what}: {:?}", asked.elapsed());
            assert!(soon("poll", world.consumer.poll()).await.expect("no error").is_none(), "{what}");
            let net = world.net.clone();
            drop(world);
            nothing_is_left(&net, &what).await;
        });
    }
}

#[test]
fn last_commit_takes_no_longer_than_its_caller_allows() {
    for (mood, before) in Mood::ALL.into_iter().flat_map(|mood| BEFORE.map(|before| (mood, before))) {
        run(async {
            let what = format!("{mood:?}, {before}");
            let mut world = world(before).await;
            world.background(1).await;
            soon("flush", world.producer.flush()).await;
            world.read_all().await;
            mood.impose(&world.net);
            let limit = Duration::from_secs(3);
            // An earlier commit that nobody awaits any more does not make it longer.
            drop(tokio::time::timeout(Duration::from_millis(100), world.consumer.commit()).await);
            for _ in 0..2 {
                let asked = Instant::now();
                let committed = world.consumer.commit_within(limit).await;
                assert!(asked.elapsed() <= limit + Duration::from_millis(50), "{what}: {:?}", asked.elapsed());
                match committed {
                    Ok(()) => assert!(matches!(mood, Mood::Well | Mood::HangingUp), "{what}"),
                    Err(error) => assert!(mood != Mood::Well && error.is_timeout(), "{what}: {error}"),
                }
            }
        });
    }
}

#[test]
fn handles_dropped_in_any_order_leave_no_task_and_no_open_record() {
    let moments = [0, 1, 30, 300, 2_000, 11_000].map(Duration::from_millis);
    for (mood, before) in Mood::ALL.into_iter().flat_map(|mood| BEFORE.map(|before| (mood, before))) {
        for (turn, moment) in moments.into_iter().enumerate() {
            run(async {
                let what = format!("{mood:?}, {before}, dropped after {moment:?}");
                let world = world(before).await;
                let known = before == "in use";
                mood.impose(&world.net);
                let deliveries = if known { records(&world) } else { Vec::new() };
                world.client.admin();
                tokio::time::sleep(moment).await;
                let World { net, client, producer, consumer, .. } = world;
                let mut handles: Vec<Box<dyn Send>> = vec![Box::new(client), Box::new(producer), Box::new(consumer)];
                handles.rotate_left(turn % 3);
                if turn >= 3 {
                    handles.reverse();
                }
                for handle in handles {
                    drop(handle);
                    hops(turn).await;
                }
                nothing_is_left(&net, &what).await;
                for delivery in deliveries {
                    // It was decided already: this takes no time.
                    let answer = tokio::time::timeout(Duration::ZERO, delivery).await;
                    assert!(answer.is_ok(), "{what}: a record is undecided");
                }
            });
        }
    }
}

#[test]
fn dropped_call_leaves_no_task_once_the_handles_are_gone() {
    for mood in Mood::BAD {
        run(async {
            let world = world("in use").await;
            mood.impose(&world.net);
            let (client, mut consumer) = (world.client.clone(), world.consumer);
            let calls = tokio::time::timeout(Duration::from_millis(700), async {
                let (one, other) = (client.admin(), client.admin());
                let connecting = world.net.client();
                tokio::join!(
                    async { drop(one.list_topics().await) },
                    async { drop(other.delete_topics(["none"]).await) },
                    async { drop(connecting.connect().await) },
                    async { drop(consumer.commit().await) },
                );
            });
            drop(calls.await);
            drop((client, consumer, world.client, world.producer));
            nothing_is_left(&world.net, &format!("{mood:?}")).await;
        });
    }
}

#[test]
fn close_fails_sends_that_wait_for_capacity_and_for_a_topic() {
    run(async {
        let world = world("in use").await;
        Mood::Deaf.impose(&world.net);
        let large = vec![b'0'; BUFFER - 200];
        let delivery =
            world.producer.try_enqueue(Record::to(TOPIC).partition(0).value(&large)).expect("there is capacity");
        let waiting = ["t", "another"].map(|topic| {
            let producer = world.producer.clone();
            tokio::spawn(async move { producer.send(Record::to(topic).value(&[b'0'; 500])).await })
        });
        let flushing = tokio::spawn({
            let producer = world.producer.clone();
            async move { producer.flush().await }
        });
        hops(10).await;
        world.producer.close(Duration::from_secs(1)).await.expect_err("nothing was acknowledged");
        for waits in waiting {
            let answer = soon("a send that waits", waits).await.expect("it does not panic");
            assert_eq!(answer.expect_err("the producer is closed").kind(), Kind::Closed);
        }
        soon("flush", flushing).await.expect("it does not panic");
        soon("delivery", delivery).await.expect_err("it was not acknowledged");
    });
}

#[test]
fn close_fails_sends_that_wait_for_a_topic() {
    run(async {
        let world = world("never used").await;
        Mood::Deaf.impose(&world.net);
        let producer = world.producer.clone();
        let waiting = tokio::spawn(async move { producer.send(Record::to("another").value("1")).await });
        hops(10).await;
        world.producer.close(Duration::from_secs(1)).await.expect("nothing was accepted");
        let answer = soon("a send that waits", waiting).await.expect("it does not panic");
        assert_eq!(answer.expect_err("the producer is closed").kind(), Kind::Closed);
    });
}

#[test]
fn unacknowledged_records_are_written_before_close_returns() {
    run(async {
        let net = Net::with_pipes(cluster(), 64);
        let client = soon("connect", net.client().connect()).await.expect("they answer");
        let builder = client.producer().guarantee(Guarantee::FireAndForget);
        let producer = builder.build().expect("the settings are fine");
        for _ in 0..50 {
            let record = Record::to(TOPIC).partition(0).value(&[b'0'; 300]);
            drop(soon("enqueue", producer.enqueue(record)).await.expect("there is capacity"));
        }
        producer.close(Duration::from_secs(3)).await.expect("all of it was passed to the connection");
        drop((client, producer));
        nothing_is_left(&net, "without acknowledgements").await;
        assert_eq!(net.with(|cluster| cluster.log(TOPIC, 0).len()), 50);
    });
}

/// A codec of a user.
#[derive(Debug)]
struct Panicking;

impl Codec for Panicking {
    fn compression(&self) -> Compression {
        Compression::Gzip
    }

    fn compress(&self, _input: &[u8], _output: &mut Vec<u8>) -> Result<(), CodecError> {
        panic!("a codec from elsewhere");
    }

    fn decompress(&self, _input: &[u8], _limit: usize, _output: &mut Vec<u8>) -> Result<(), CodecError> {
        panic!("a codec from elsewhere");
    }
}

#[test]
fn panicking_codec_leaves_no_record_undecided() {
    for bytes in [10, 100_000] {
        run(async {
            let net = Net::new(cluster());
            let client = soon("connect", net.client().connect()).await.expect("they answer");
            let mut codecs = Codecs::default();
            codecs.register(Arc::new(Panicking));
            let builder = client.producer().codecs(codecs).compression(Compression::Gzip);
            let producer = builder.build().expect("the settings are fine");
            let value = vec![b'0'; bytes];
            for round in 0..2 {
                let sent = soon("send", producer.send(Record::to(TOPIC).partition(0).value(&value))).await;
                let error = sent.expect_err("it cannot be compressed");
                assert_eq!(error.is_written(), Some(Written::No), "{bytes} bytes, round {round}: {error}");
            }
            drop((client, producer));
            nothing_is_left(&net, "a codec that panics").await;
        });
    }
}

#[test]
fn handles_that_outlive_their_runtime_fail_calls() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let first = runtime();
    let (mut world, deliveries) = first.block_on(async {
        let world = world("in use").await;
        Mood::Deaf.impose(&world.net);
        let deliveries = records(&world);
        hops(5).await;
        (world, deliveries)
    });
    drop(first);
    runtime().block_on(async {
        for delivery in deliveries {
            soon("a delivery", delivery).await.expect_err("no broker can acknowledge it any more");
        }
        let refused = soon("send", world.producer.send(Record::to(TOPIC).value("7"))).await;
        assert_eq!(refused.expect_err("the producer sends no more").kind(), Kind::Closed);
        soon("flush", world.producer.flush()).await;
        assert!(soon("poll", world.consumer.poll()).await.map_or(true, |polled| polled.is_none()));
        soon("list", world.client.admin().list_topics()).await.expect_err("the client sends no more");
        soon("commit", world.consumer.commit()).await.expect_err("the client sends no more");
    });
    drop(world);
}
