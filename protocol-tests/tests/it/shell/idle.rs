//! Who has nothing to do does nothing, and what keeps failing is tried at a bounded rate.

use std::time::Duration;

use ottla::Record;
use ottla::admin::NewTopic;
use ottla::mock::Fault;
use tokio::runtime::Handle;

use super::net::Net;
use super::run;
use super::shutdown::Mood;
use super::world::GROUP;
use super::world::PARTITIONS;
use super::world::TOPIC;
use super::world::World;
use super::world::cluster;
use super::world::soon;

const MINUTES: u64 = 10;

fn parks() -> u64 {
    Handle::current().metrics().worker_park_count(0)
}

#[test]
fn an_idle_producer_asks_only_for_metadata_that_grew_old() {
    run(async {
        let net = Net::new(cluster());
        let client = net.client().connect().await.expect("they answer");
        let producer = client.producer().build().expect("the settings are fine");
        for partition in 0..PARTITIONS {
            soon("send", producer.send(Record::to(TOPIC).partition(partition).value("1"))).await.expect("they take it");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (requests, woken) = (net.requests(), parks());
        tokio::time::sleep(Duration::from_secs(MINUTES * 60)).await;
        let (requests, woken) = (net.requests() - requests, parks() - woken);
        // Twice the metadata, each perhaps on a connection of its own that has to agree on versions first.
        assert!(requests <= 4, "{requests} requests in {MINUTES} minutes");
        // And each of six connections is closed once because it was idle.
        assert!(woken <= 60, "woke up {woken} times in {MINUTES} minutes");
    });
}

#[test]
fn an_idle_consumer_only_waits_for_records() {
    run(async {
        let mut world = World::new(Net::new(cluster())).await;
        world.check().await;
        let (requests, woken) = (world.net.requests(), parks());
        let polled = tokio::time::timeout(Duration::from_secs(MINUTES * 60), world.consumer.poll()).await;
        assert!(polled.is_err(), "there is nothing: {polled:?}");
        let (requests, woken) = (world.net.requests() - requests, parks() - woken);
        // Each broker answers a fetch after half a second.
        let fetches = MINUTES * 60 * 2 * 3;
        assert!(requests <= fetches + 10, "{requests} requests, {fetches} of them fetches");
        assert!(woken <= fetches * 4 + 100, "woke up {woken} times for {fetches} fetches");
        world.check().await;
    });
}

/// How long a broker keeps failing.
const FAILING: Duration = Duration::from_secs(60);

/// So long that the fetches that are to be hardly count.
const FETCH_WAIT: Duration = Duration::from_secs(20);

/// Requests of one kind in a minute that keeps failing. Two consumers, or three partitions of one producer, and one who asks for
/// offsets try each of three brokers about once a second in the end, and more often in the beginning.
const REQUESTS: u64 = 300;

/// Errors that are told in a minute that keeps failing: of three partitions about one a second.
const TOLD: u64 = 250;

/// Dials in a minute: three brokers, for writing, for reading and for the rest, each about once a second in the end.
const DIALS: u64 = 9 * 75;

#[test]
fn brokers_that_keep_breaking_connections_are_dialled_at_a_bounded_rate() {
    for mood in Mood::BAD {
        run(async {
            let mut world = World::new(Net::new(cluster())).await;
            world.check().await;
            mood.impose(&world.net);
            let (dials, requests, woken) = (world.net.dials(), world.net.requests(), parks());
            let _ = tokio::time::timeout(FAILING, async {
                for number in 0.. {
                    let record = Record::to(TOPIC).partition(number % PARTITIONS).value("1");
                    // Whatever becomes of it.
                    drop(world.producer.try_enqueue(record));
                    drop(tokio::time::timeout(Duration::from_secs(1), world.consumer.poll()).await);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            })
            .await;
            let (dials, requests) = (world.net.dials() - dials, world.net.requests() - requests);
            let woken = parks() - woken;
            if std::env::var_os("OTTLA_SHOW").is_some() {
                println!("{mood:?}: {dials} dials, {requests} requests, {woken} wake-ups");
            }
            assert!(dials <= DIALS, "{mood:?}: dialled {dials} times in a minute");
            // Each connection begins by agreeing on versions, and is asked one thing.
            assert!(requests <= 2 * DIALS, "{mood:?}: {requests} requests in a minute");
            assert!(woken <= 20 * DIALS, "{mood:?}: woke up {woken} times in a minute");
        });
    }
}

/// The most requests of one API, and errors told, in a minute of one error.
async fn fail(api: i16, fault: Fault) -> (u64, u64) {
    let net = Net::new(cluster());
    let client = soon("connect", net.client().connect()).await.expect("they answer");
    let producer = client.producer().build().expect("the settings are fine");
    let consumer = || client.consumer().group(GROUP).assign([TOPIC]).fetch_wait_max(FETCH_WAIT).build();
    let mut reader = consumer().expect("the settings are fine");
    let mut other = consumer().expect("the settings are fine");
    for partition in 0..PARTITIONS {
        soon("send", producer.send(Record::to(TOPIC).partition(partition).value("1"))).await.expect("they take it");
        soon("poll", reader.poll()).await.expect("nothing is wrong");
    }
    let counts = |net: &Net| net.with(|cluster| (0..80).map(|api| cluster.requests_count(api)).collect::<Vec<_>>());
    let before = counts(&net);
    net.with(|cluster| cluster.inject(api, fault, u32::MAX));
    let reading = tokio::spawn(async move {
        let mut told = 0_u64;
        let _ = tokio::time::timeout(FAILING, async {
            // A user who goes on whatever a poll says.
            while reader.poll().await.map_or_else(|_| true, |polled| polled.is_some()) {
                told += 1;
            }
        })
        .await;
        told
    });
    let writing = tokio::spawn(async move {
        let _ = tokio::time::timeout(FAILING, async {
            for number in 0..60 {
                let record = Record::to(TOPIC).partition(number % PARTITIONS).value("1");
                // Whatever becomes of it.
                drop(producer.try_enqueue(record));
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
        .await;
    });
    let asking = tokio::spawn(async move {
        let _ = tokio::time::timeout(FAILING, async {
            let admin = client.admin();
            drop(other.poll().await);
            drop(other.commit().await);
            drop(other.committed().await);
            drop(other.end_offsets().await);
            drop(admin.list_topics().await);
            drop(admin.create_topics([NewTopic::new("n")]).await);
            drop(admin.delete_topics(["n"]).await);
        })
        .await;
    });
    let told = reading.await.expect("it does not panic");
    writing.await.expect("it does not panic");
    asking.await.expect("it does not panic");
    let most = counts(&net).iter().zip(&before).map(|(after, before)| after - before).max();
    (most.unwrap_or_default(), told)
}

fn bounded(api: i16, fault: Fault) {
    let (requests, told) = run(fail(api, fault));
    if std::env::var_os("OTTLA_SHOW").is_some() {
        println!("api {api} {fault:?}: {requests} requests, {told} polls");
    }
    assert!(requests <= REQUESTS, "api {api}, {fault:?}: {requests} requests of one kind in a minute");
    assert!(told <= TOLD, "api {api}, {fault:?}: polls answered {told} times in a minute");
}

/// Every error code there is, and every way of not answering.
fn whatever_is_answered(api: i16) {
    for code in (-1..=130).filter(|code| *code != 0) {
        bounded(api, Fault::Error(code));
    }
    for fault in [Fault::CloseBefore, Fault::CloseAfter, Fault::Lost, Fault::Swallowed] {
        bounded(api, fault);
    }
}

#[test]
fn no_answer_to_produce_makes_a_storm() {
    whatever_is_answered(0);
}

#[test]
fn no_answer_to_fetch_makes_a_storm() {
    whatever_is_answered(1);
}

#[test]
fn no_answer_to_list_offsets_makes_a_storm() {
    whatever_is_answered(2);
}

#[test]
fn no_answer_to_metadata_makes_a_storm() {
    whatever_is_answered(3);
}

#[test]
fn no_answer_to_offset_commit_makes_a_storm() {
    whatever_is_answered(8);
}

#[test]
fn no_answer_to_offset_fetch_makes_a_storm() {
    whatever_is_answered(9);
}

#[test]
fn no_answer_to_find_coordinator_makes_a_storm() {
    whatever_is_answered(10);
}

#[test]
fn no_answer_to_api_versions_makes_a_storm() {
    whatever_is_answered(18);
}

#[test]
fn no_answer_to_create_topics_makes_a_storm() {
    whatever_is_answered(19);
}

#[test]
fn no_answer_to_delete_topics_makes_a_storm() {
    whatever_is_answered(20);
}

#[test]
fn no_answer_to_init_producer_id_makes_a_storm() {
    whatever_is_answered(22);
}

#[test]
fn no_answer_to_offset_for_leader_epoch_makes_a_storm() {
    whatever_is_answered(23);
}
