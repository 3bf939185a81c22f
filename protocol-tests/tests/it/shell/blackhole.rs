//! Brokers that accept and never answer, or do not accept: every call ends by its deadline and names broker and API, and the
//! partitions of other brokers do not wait.

use std::error::Error as _;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use ottla::Error;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::consumer::Consumer;
use ottla::error::Written;
use tokio::time::Instant;

use super::net::Ear;
use super::net::Net;
use super::run;
use super::shutdown::Mood;
use super::world::GROUP;
use super::world::TOPIC;
use super::world::World;
use super::world::cluster;
use super::world::soon;

/// Deadlines in seconds: of a request, of the calls of a consumer, of a record.
const REQUEST: u64 = 4;
const CONSUMER: u64 = 9;
const DELIVERY: u64 = 12;
/// Of the admin's calls, and of connecting by three brokers, of which each has five.
const ADMIN: u64 = 60;
const CONNECT: u64 = 15;

struct Caller {
    net: Net,
    client: ottla::Client,
    producer: ottla::producer::Producer,
    consumer: Consumer,
}

impl Caller {
    async fn new() -> Self {
        let net = Net::new(cluster());
        let client = net.client().request_timeout(Duration::from_secs(REQUEST)).connect().await.expect("they answer");
        let delivery_timeout = Duration::from_secs(DELIVERY);
        let producer = client.producer().delivery_timeout(delivery_timeout).build().expect("the settings are fine");
        soon("send", producer.send(Record::to(TOPIC).partition(0).value("1"))).await.expect("it is acknowledged");
        let consumer = client.consumer().group(GROUP).assign([TOPIC]).timeout(Duration::from_secs(CONSUMER)).build();
        let mut consumer = consumer.expect("the settings are fine");
        soon("poll", consumer.poll()).await.expect("there is a record");
        Self { net, client, producer, consumer }
    }
}

type Calling<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + 'a>>;

/// A call, how many seconds it may take, and the APIs of which its error must name one.
type Call = (&'static str, u64, fn(&mut Caller) -> Calling<'_>, &'static [&'static str]);

fn calls() -> [Call; 11] {
    let coordinator = &["OffsetCommit", "FindCoordinator"];
    [
        ("connect", CONNECT, |caller| Box::pin(async { caller.net.client().connect().await.map(drop) }), &["Metadata"]),
        (
            "send",
            DELIVERY,
            |caller| Box::pin(async { caller.producer.send(Record::to(TOPIC).value("1")).await.map(drop) }),
            &["Produce"],
        ),
        (
            "send to an unknown topic",
            DELIVERY,
            |caller| Box::pin(async { caller.producer.send(Record::to("other").value("1")).await.map(drop) }),
            &["Metadata"],
        ),
        ("commit", CONSUMER, |caller| Box::pin(caller.consumer.commit()), coordinator),
        (
            "committed",
            CONSUMER,
            |caller| Box::pin(async { caller.consumer.committed().await.map(drop) }),
            &["OffsetFetch", "FindCoordinator"],
        ),
        (
            "end_offsets",
            CONSUMER,
            |caller| Box::pin(async { caller.consumer.end_offsets().await.map(drop) }),
            &["ListOffsets"],
        ),
        (
            "beginning_offsets",
            CONSUMER,
            |caller| Box::pin(async { caller.consumer.beginning_offsets().await.map(drop) }),
            &["ListOffsets"],
        ),
        (
            "list_topics",
            ADMIN,
            |caller| Box::pin(async { caller.client.admin().list_topics().await.map(drop) }),
            &["Metadata"],
        ),
        (
            "describe_topics",
            ADMIN,
            |caller| Box::pin(async { caller.client.admin().describe_topics([TOPIC]).await.map(drop) }),
            &["DescribeTopicPartitions", "Metadata"],
        ),
        (
            "create_topics",
            ADMIN,
            |caller| Box::pin(async { caller.client.admin().create_topics([NewTopic::new("n")]).await.map(drop) }),
            &["CreateTopics"],
        ),
        (
            "delete_topics",
            ADMIN,
            |caller| Box::pin(async { caller.client.admin().delete_topics([TOPIC]).await.map(drop) }),
            &["DeleteTopics"],
        ),
    ]
}

/// An error with everything that caused it.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn every_call_ends_by_its_deadline_and_names_broker_and_api() {
    let mut wrong = Vec::new();
    for mood in [Mood::Deaf, Mood::Paused, Mood::Refusing, Mood::Gone] {
        for (name, seconds, call, apis) in calls() {
            run(async {
                let mut caller = Caller::new().await;
                mood.impose(&caller.net);
                let asked = Instant::now();
                let answer = tokio::time::timeout(Duration::from_secs(600), call(&mut caller)).await;
                let took = asked.elapsed();
                let Ok(Err(error)) = answer else {
                    wrong.push(format!("{mood:?}, {name}: {answer:?}"));
                    return;
                };
                let text = chain(&error);
                if took > Duration::from_millis(seconds * 1_000 + 100) {
                    wrong.push(format!("{mood:?}, {name}: took {took:?}: {text}"));
                }
                let named =
                    text.contains("broker 127.0.0.1:909") || (1..=3).any(|id| text.contains(&format!("broker {id}")));
                if !(named && apis.iter().any(|api| text.contains(api))) {
                    wrong.push(format!("{mood:?}, {name}: does not name broker and API: {text}"));
                }
            });
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn record_is_decided_by_its_own_deadline() {
    for mood in Mood::BAD {
        run(async {
            let caller = Caller::new().await;
            mood.impose(&caller.net);
            let mut deliveries = Vec::new();
            for _ in 0..6 {
                let record = Record::to(TOPIC).partition(0).value("1");
                deliveries.push((Instant::now(), caller.producer.try_enqueue(record).expect("there is capacity")));
                tokio::time::sleep(Duration::from_millis(1_700)).await;
            }
            for (at, delivery) in deliveries {
                let error = match delivery.await {
                    Ok(_) if mood == Mood::HangingUp => continue,
                    answer => answer.expect_err("no broker acknowledges it"),
                };
                let took = at.elapsed();
                assert!(took <= Duration::from_millis(DELIVERY * 1_000 + 10), "{mood:?}: {took:?}");
                assert!(error.is_written().is_some(), "{mood:?}: {error}");
            }
        });
    }
}

/// Its leader cannot be reached, so that no request was written.
#[test]
fn record_that_had_no_connection_is_not_written() {
    for mood in [Mood::Deaf, Mood::Refusing, Mood::Gone] {
        run(async {
            let caller = Caller::new().await;
            mood.impose(&caller.net);
            caller.net.cut_all();
            let mut deliveries = Vec::new();
            for _ in 0..6 {
                let record = Record::to(TOPIC).partition(0).value("1");
                deliveries.push(caller.producer.try_enqueue(record).expect("there is capacity"));
                tokio::time::sleep(Duration::from_millis(1_700)).await;
            }
            for delivery in deliveries {
                let error = delivery.await.expect_err("no broker acknowledges it");
                assert_eq!(error.is_written(), Some(Written::No), "{mood:?}: {error}");
            }
        });
    }
}

/// A request that any broker can answer goes to a random one, so each test runs several times.
const DRAWS: usize = 6;

#[test]
fn silent_broker_does_not_delay_records_of_the_others() {
    for draw in 0..DRAWS {
        run(async {
            let net = Net::new(cluster());
            let client = net.client().connect().await.expect("they answer");
            net.set(1, |switches| switches.ear = Ear::Deaf);
            let producer = client.producer().build().expect("the settings are fine");
            let lost = tokio::spawn({
                let producer = producer.clone();
                async move { producer.send(Record::to(TOPIC).partition(0).value("1")).await }
            });
            // The first request may go to the deaf broker, and after a while to another broker.
            let first = Instant::now();
            let sent = producer.send(Record::to(TOPIC).partition(1).value("2"));
            let sent = tokio::time::timeout(Duration::from_secs(100), sent).await;
            sent.expect("it is decided").expect("broker 2 is well");
            assert!(first.elapsed() < Duration::from_secs(6), "draw {draw}: the first took {:?}", first.elapsed());
            for partition in [1, 2, 1, 2] {
                let again = Instant::now();
                let sent = producer.send(Record::to(TOPIC).partition(partition).value("3"));
                soon("a record for a broker that is well", sent).await.expect("it is acknowledged");
                assert!(again.elapsed() < Duration::from_millis(200), "draw {draw}: {:?}", again.elapsed());
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            lost.abort();
        });
    }
}

#[test]
fn silent_broker_does_not_delay_reading_from_the_others() {
    for draw in 0..DRAWS {
        run(async {
            let mut world = World::new(Net::new(cluster())).await;
            world.check().await;
            world.net.set(1, |switches| switches.ear = Ear::Deaf);
            for round in 0..4 {
                for partition in [1, 2] {
                    let value = world.sure(partition);
                    let sent = world.producer.send(Record::to(TOPIC).partition(partition).value(&value));
                    soon("send", sent).await.expect("it is acknowledged");
                    let written = Instant::now();
                    let records = soon("poll", world.consumer.poll()).await.expect("nothing is wrong");
                    world.note(&records.expect("the consumer is open"));
                    let took = written.elapsed();
                    assert!(took < Duration::from_millis(200), "draw {draw}, round {round}: {took:?}");
                }
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            // The broker comes back: nothing was lost meanwhile.
            world.net.set(1, |switches| switches.ear = Ear::Listening);
            world.net.cut_all();
            world.check().await;
        });
    }
}
