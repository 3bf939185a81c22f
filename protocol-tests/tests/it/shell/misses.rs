//! Topics and partitions that do not exist: the first record waits, the next ones fail at once, and a new topic is found soon.

use std::time::Duration;

use ottla::Error;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::error::Kind;
use ottla::error::Written;
use ottla::producer::Producer;
use tokio::time::Instant;

use super::net::Net;
use super::run;
use super::world::TOPIC;
use super::world::cluster;

const METADATA: i16 = 3;
/// `retry.backoff.max.ms`.
const BACKOFF: Duration = Duration::from_secs(1);

async fn client(net: &Net) -> ottla::Client {
    net.client().connect().await.expect("they answer")
}

fn producer(client: &ottla::Client) -> Producer {
    client.producer().build().expect("the settings are fine")
}

fn metadata_requests(net: &Net) -> u64 {
    net.with(|cluster| cluster.requests_count(METADATA))
}

/// Sends a record that fails. Returns its error, the time that it took, and the metadata requests meanwhile.
async fn fails(net: &Net, producer: &Producer, record: Record<'_>) -> (Error, Duration, u64) {
    let (asked, requests) = (Instant::now(), metadata_requests(net));
    let error = producer.send(record).await.expect_err("it does not exist");
    assert_eq!((error.kind(), error.is_written()), (Kind::UnknownTopic, Some(Written::No)), "{error}");
    (error, asked.elapsed(), metadata_requests(net) - requests)
}

#[test]
fn send_to_a_missing_topic_fails_at_once_within_the_back_off_of_the_first() {
    run(async {
        let net = Net::new(cluster());
        let client = client(&net).await;
        let (one, other) = (producer(&client), producer(&client));
        for record in [Record::to("nosuch"), Record::to(TOPIC).partition(9)] {
            let (first, took, _) = fails(&net, &one, record.clone()).await;
            assert!((3.0..4.0).contains(&took.as_secs_f64()), "{took:?}");
            for producer in [&one, &other, &one] {
                let (error, took, requests) = fails(&net, producer, record.clone()).await;
                assert_eq!((error.to_string(), took, requests), (first.to_string(), Duration::ZERO, 0));
            }
            for _ in 0..3 {
                tokio::time::sleep(BACKOFF).await;
                let (error, took, requests) = fails(&net, &one, record.clone()).await;
                assert_eq!(error.to_string(), first.to_string());
                assert!(took <= BACKOFF && requests > 0, "{took:?}, {requests} requests");
                let (_, took, requests) = fails(&net, &other, record.clone()).await;
                assert_eq!((took, requests), (Duration::ZERO, 0));
            }
        }
    });
}

#[test]
fn topic_that_is_created_elsewhere_is_found_after_the_back_off() {
    run(async {
        let net = Net::new(cluster());
        let client = client(&net).await;
        let producer = producer(&client);
        fails(&net, &producer, Record::to("late")).await;
        net.with(|cluster| cluster.create_topic("late", 1));
        let (_, took, _) = fails(&net, &producer, Record::to("late")).await;
        assert_eq!(took, Duration::ZERO);
        tokio::time::sleep(BACKOFF).await;
        let asked = Instant::now();
        producer.send(Record::to("late").value("1")).await.expect("it exists");
        assert!(asked.elapsed() <= BACKOFF, "{:?}", asked.elapsed());
    });
}

#[test]
fn topic_that_other_metadata_brings_ends_the_back_off() {
    run(async {
        let net = Net::new(cluster());
        let client = client(&net).await;
        let producer = producer(&client);
        fails(&net, &producer, Record::to("late")).await;
        net.with(|cluster| cluster.create_topic("late", 1));
        // A consumer asks for it.
        let consumer = client.consumer().assign(["late"]).build().expect("the settings are fine");
        assert!(consumer.end_offsets().await.is_ok());
        producer.send(Record::to("late").value("1")).await.expect("it is known");
    });
}

#[test]
fn topic_that_the_same_client_creates_is_found_at_once() {
    run(async {
        let net = Net::new(cluster());
        let client = client(&net).await;
        let producer = producer(&client);
        fails(&net, &producer, Record::to("made")).await;
        client.admin().create_topics([NewTopic::new("made").partitions(1)]).await.expect("the controller answers");
        producer.send(Record::to("made").value("1")).await.expect("it exists");
    });
}

#[test]
fn nothing_is_remembered_where_topics_may_be_created() {
    run(async {
        let net = Net::new(cluster());
        let client = client(&net).await;
        let producer = client.producer().allow_auto_create_topics(true).build().expect("the settings are fine");
        for _ in 0..2 {
            // The brokers do not allow it.
            let (_, took, requests) = fails(&net, &producer, Record::to("nosuch")).await;
            assert!(took.as_secs() >= 3 && requests > 0, "{took:?}, {requests} requests");
        }
    });
}
