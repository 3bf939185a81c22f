//! An idle client does nothing, and requests that keep failing are retried at a bounded rate.

use std::time::Duration;

use ottla::Record;
use ottla::admin::NewTopic;
use ottla::error::Code;
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
fn idle_producer_requests_only_metadata_that_expired() {
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
        // Metadata twice, each perhaps on a new connection that agrees on versions first.
        assert!(requests <= 4, "{requests} requests in {MINUTES} minutes");
        // Each of six connections is closed once because it was idle.
        assert!(woken <= 60, "woke up {woken} times in {MINUTES} minutes");
    });
}

#[test]
fn idle_consumer_sends_only_long_polls() {
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

/// So long that regular fetches hardly count.
const FETCH_WAIT: Duration = Duration::from_secs(20);

/// Requests of one API in a minute of failures. Two consumers, or three partitions of one producer, and one caller that asks for
/// offsets try each of three brokers about once a second in the end, and more often in the beginning.
const REQUESTS: u64 = 300;

/// Errors that `poll` returns in a minute of failures: about one a second of three partitions.
const REPORTED: u64 = 250;

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
                    // It may fail.
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
            // Each connection begins by agreeing on versions, and gets one request.
            assert!(requests <= 2 * DIALS, "{mood:?}: {requests} requests in a minute");
            assert!(woken <= 20 * DIALS, "{mood:?}: woke up {woken} times in a minute");
        });
    }
}

/// The most requests of one API, and the polls that returned, in a minute of one error.
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
        let mut reported = 0_u64;
        let _ = tokio::time::timeout(FAILING, async {
            // A user who continues after every error.
            while reader.poll().await.map_or_else(|_| true, |polled| polled.is_some()) {
                reported += 1;
            }
        })
        .await;
        reported
    });
    let writing = tokio::spawn(async move {
        let _ = tokio::time::timeout(FAILING, async {
            for number in 0..60 {
                let record = Record::to(TOPIC).partition(number % PARTITIONS).value("1");
                // It may fail.
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
    let reported = reading.await.expect("it does not panic");
    writing.await.expect("it does not panic");
    asking.await.expect("it does not panic");
    let most = counts(&net).iter().zip(&before).map(|(after, before)| after - before).max();
    (most.unwrap_or_default(), reported)
}

fn bounded(api: i16, fault: Fault) {
    let (requests, reported) = run(fail(api, fault));
    if std::env::var_os("OTTLA_SHOW").is_some() {
        println!("api {api} {fault:?}: {requests} requests, {reported} polls");
    }
    assert!(requests <= REQUESTS, "api {api}, {fault:?}: {requests} requests of one kind in a minute");
    assert!(reported <= REPORTED, "api {api}, {fault:?}: polls returned {reported} times in a minute");
}

/// Every error code, and every way of not answering.
fn every_failure(api: i16) {
    for code in (-1..=130).filter_map(Code::from_wire) {
        bounded(api, Fault::Error(code));
    }
    for fault in [Fault::CloseBefore, Fault::CloseAfter, Fault::Lost, Fault::Swallowed] {
        bounded(api, fault);
    }
}

#[test]
fn no_produce_failure_causes_a_storm() {
    every_failure(0);
}

#[test]
fn no_fetch_failure_causes_a_storm() {
    every_failure(1);
}

#[test]
fn no_list_offsets_failure_causes_a_storm() {
    every_failure(2);
}

#[test]
fn no_metadata_failure_causes_a_storm() {
    every_failure(3);
}

#[test]
fn no_offset_commit_failure_causes_a_storm() {
    every_failure(8);
}

#[test]
fn no_offset_fetch_failure_causes_a_storm() {
    every_failure(9);
}

#[test]
fn no_find_coordinator_failure_causes_a_storm() {
    every_failure(10);
}

#[test]
fn no_api_versions_failure_causes_a_storm() {
    every_failure(18);
}

#[test]
fn no_create_topics_failure_causes_a_storm() {
    every_failure(19);
}

#[test]
fn no_delete_topics_failure_causes_a_storm() {
    every_failure(20);
}

#[test]
fn no_init_producer_id_failure_causes_a_storm() {
    every_failure(22);
}

#[test]
fn no_offset_for_leader_epoch_failure_causes_a_storm() {
    every_failure(23);
}
