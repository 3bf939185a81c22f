//! The publisher against mock clusters in virtual time.

use std::time::Instant;

use super::*;
use crate::error::Code;
use crate::error::Written;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::Server;
use crate::mock::key;
use crate::net::clock;
use crate::queue::Targets;

/// A mock cluster, and a publisher whose clients reach it under any name.
fn stage(mock: Mock) -> (Server, Publisher) {
    let server = Server::in_memory(mock);
    let connector = server.connector();
    (server, Publisher::with(move |client| client.connector(connector.clone())))
}

fn one_broker() -> (Server, Publisher) {
    stage(Mock::builder().brokers(1).topic("alerts", 2).topic("other", 1).build())
}

fn target(server: &Server, rest: &str) -> Target {
    let dsn = format!("kafka://{}/{rest}", server.bootstrap());
    Target::parse(&dsn).expect("a DSN")
}

/// The values of a topic, in any order.
fn values(server: &Server, topic: &str, partitions: i32) -> Vec<String> {
    let of = |partition| server.with(|cluster| cluster.log(topic, partition));
    let text = |value: Option<bytes::Bytes>| String::from_utf8_lossy(&value.expect("a value")).into_owned();
    let mut values: Vec<String> = (0..partitions).flat_map(of).map(|record| text(record.value)).collect();
    values.sort();
    values
}

async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let begun: Instant = clock::now();
    let output = future.await;
    (output, clock::now() - begun)
}

#[tokio::test(start_paused = true)]
async fn value_is_published_once_it_is_acknowledged() {
    let (server, publisher) = one_broker();
    let target = target(&server, "alerts");
    let receipt = publisher.publish(&target, "disk full").await.expect("acknowledged");
    assert!(receipt.offset.is_some());
    publisher.publish_keyed(&target, "host-1", "disk empty").await.expect("acknowledged");
    assert_eq!(values(&server, "alerts", 2), ["disk empty", "disk full"]);
}

#[tokio::test(start_paused = true)]
async fn outage_is_an_error_at_the_timeout_and_never_a_success() {
    let (server, publisher) = one_broker();
    let target = target(&server, "alerts");
    server.with(|cluster| cluster.set_down(1));
    let (outcome, took) = timed(publisher.publish(&target, "lost")).await;
    let error = outcome.expect_err("nobody listens");
    assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::No)));
    assert!(took >= target.timeout() && took < target.timeout() + Duration::from_millis(100), "{took:?}");
    assert!(format!("{error:#}").contains("connection refused"), "{error:#}");
    server.with(|cluster| cluster.set_up(1));
    publisher.publish(&target, "found").await.expect("the broker is back");
    assert_eq!(values(&server, "alerts", 2), ["found"]);
}

#[tokio::test(start_paused = true)]
async fn value_without_acknowledgement_fails_within_its_timeout() {
    let (server, publisher) = one_broker();
    let target = target(&server, "alerts?message.timeout.ms=1500");
    publisher.publish(&target, "first").await.expect("acknowledged");
    server.with(|cluster| cluster.inject(key::PRODUCE, Fault::Lost, 100));
    let (outcome, took) = timed(publisher.publish(&target, "second")).await;
    let error = outcome.expect_err("no acknowledgement");
    assert_eq!((error.kind(), error.is_written()), (Kind::Timeout, Some(Written::Maybe)));
    assert!(took >= target.timeout() && took < target.timeout() + Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn targets_with_equal_settings_share_one_producer() {
    let (server, publisher) = one_broker();
    let (alerts, other) = (target(&server, "alerts"), target(&server, "other?delivery.timeout.ms=3000.0"));
    for number in 0..20 {
        publisher.publish(&alerts, number.to_string()).await.expect("acknowledged");
        publisher.clone().publish(&other, number.to_string()).await.expect("acknowledged");
    }
    assert_eq!(publisher.producers(), 1);
    assert_eq!(server.with(|cluster| cluster.requests_count(key::INIT_PRODUCER_ID)), 1);
    publisher.publish(&target(&server, "alerts?linger.ms=1"), "x").await.expect("acknowledged");
    assert_eq!(publisher.producers(), 2);
}

#[tokio::test(start_paused = true)]
async fn unused_producer_is_closed_and_started_again_when_needed() {
    let (server, publisher) = one_broker();
    let publisher = publisher.idle_max(Duration::from_secs(30));
    let target = target(&server, "alerts");
    publisher.publish(&target, "1").await.expect("acknowledged");
    tokio::time::sleep(Duration::from_secs(20)).await;
    publisher.publish(&target, "2").await.expect("acknowledged");
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(publisher.producers(), 1, "it was used 20 seconds ago");
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(publisher.producers(), 0);
    publisher.publish(&target, "3").await.expect("acknowledged");
    assert_eq!(values(&server, "alerts", 2), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn producer_in_use_is_not_closed_as_idle() {
    let (server, publisher) = one_broker();
    let publisher = publisher.idle_max(Duration::from_millis(100));
    let target = target(&server, "alerts?message.timeout.ms=60000");
    server.with(|cluster| cluster.set_down(1));
    let (waiting, publishing) = (publisher.clone(), target.clone());
    let waiting = tokio::spawn(async move { waiting.publish(&publishing, "late").await });
    tokio::time::sleep(Duration::from_secs(5)).await;
    server.with(|cluster| cluster.set_up(1));
    waiting.await.expect("no panic").expect("acknowledged");
}

#[tokio::test(start_paused = true)]
async fn no_task_is_left_after_the_last_publisher() {
    let (server, publisher) = one_broker();
    let metrics = tokio::runtime::Handle::current().metrics();
    publisher.publish(&target(&server, "alerts"), "1").await.expect("acknowledged");
    drop(publisher);
    drop(server);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(metrics.num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn fan_out_has_a_result_for_each_target_and_a_dead_one_stops_none() {
    let (server, publisher) = one_broker();
    let port = server.bootstrap().rsplit(':').next().expect("a port").parse::<u16>().expect("a port");
    let dead = Target::parse(&format!("kafka://nobody:{}/alerts", port.wrapping_add(7).max(1))).expect("a DSN");
    let targets: Targets = [
        ("0", Ok(target(&server, "alerts"))),
        ("2", Ok(dead)),
        ("3", Target::parse("kafka://h:None/alerts")),
        ("4", Ok(target(&server, "other"))),
    ]
    .into_iter()
    .collect();
    let outcomes = publisher.fan_out(targets.of("4"), "both").await;
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "{outcomes:?}");
    assert_eq!(outcomes.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["0", "4"]);
    let (outcomes, took) = timed(publisher.fan_out(targets.of("2"), "one")).await;
    assert!(outcomes[0].1.is_ok() && outcomes[1].1.as_ref().is_err_and(Error::is_timeout), "{outcomes:?}");
    assert!(took < Duration::from_millis(3_100), "the targets do not wait for each other: {took:?}");
    let outcomes = publisher.fan_out(targets.of("3"), "one").await;
    let error = outcomes[1].1.as_ref().expect_err("it was never valid");
    assert!(outcomes[0].1.is_ok() && error.to_string().contains("the port is `None`"), "{error}");
    assert_eq!(values(&server, "alerts", 2), ["both", "one", "one"]);
    assert_eq!(values(&server, "other", 1), ["both"]);
    assert_eq!(publisher.fan_out(targets.of("0"), "x").await.len(), 1, "everybody's target counts once");
}

#[tokio::test(start_paused = true)]
async fn all_acks_works_where_producers_may_not_be_idempotent() {
    let (server, publisher) = one_broker();
    let refused = Fault::Error(Code::ClusterAuthorizationFailed);
    server.with(|cluster| cluster.inject(key::INIT_PRODUCER_ID, refused, 1_000));
    let plain = target(&server, "alerts?acks=all&enable.idempotence=false");
    publisher.publish(&plain, "1").await.expect("acknowledged by all");
    let error = publisher.publish(&target(&server, "alerts"), "2").await.expect_err("not allowed");
    assert!(error.to_string().contains("enable.idempotence=false"), "{error}");
    assert_eq!(values(&server, "alerts", 2), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn missing_topic_is_an_error_and_is_not_created() {
    let (server, publisher) = stage(Mock::builder().brokers(1).auto_create(true).build());
    let target = target(&server, "absent?message.timeout.ms=10000");
    let error = publisher.publish(&target, "1").await.expect_err("no such topic");
    assert_eq!((error.kind(), error.is_written()), (Kind::UnknownTopic, Some(Written::No)));
    assert!(server.with(|cluster| cluster.topic_id("absent")).is_none());
}

#[test]
fn publisher_starts_again_when_its_runtime_has_ended() {
    let mock = || Mock::builder().brokers(1).topic("alerts", 1).build();
    let servers = Arc::new(std::sync::Mutex::new(None));
    let current = Arc::clone(&servers);
    let publisher = Publisher::with(move |client| {
        let server = current.lock().expect("no panic");
        let server: &Server = server.as_ref().expect("a server");
        client.connector(server.connector())
    });
    let target = Target::parse("kafka://h:9092/alerts").expect("a DSN");
    for round in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(async {
            let server = Server::in_memory(mock());
            *servers.lock().expect("no panic") = Some(server);
            let first = publisher.publish(&target, "1").await;
            let second = publisher.publish(&target, "2").await;
            assert!(first.is_ok() || round == 1, "{first:?}");
            second.expect("acknowledged");
        });
        *servers.lock().expect("no panic") = None;
    }
}
