//! Every duration and size that a user can set, at its extremes: a record comes through, or a typed error comes in time.
//!
//! Nothing panics, nothing waits forever, and nothing is sized by the number that was given.

use std::future::Future;
use std::time::Duration;

use ottla::client::Client;
use ottla::client::ClientBuilder;
use ottla::config::Properties;
use ottla::consumer::ConsumerBuilder;
use ottla::error::Error;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::producer::ProducerBuilder;
use ottla::producer::Record;

/// Longer than any of these may take; most take milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Small enough that a setting with which nothing works is reported soon.
const BASE: [(&str, &str); 2] = [("delivery.timeout.ms", "2000"), ("default.api.timeout.ms", "2000")];

async fn server() -> Server {
    let mock = Cluster::builder().topic("t", 2).build();
    Server::start(mock, ([127, 0, 0, 1], 0).into()).await.expect("a port is free")
}

/// The part after the last dot of a name.
fn last_word(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}

fn durations() -> impl Iterator<Item = &'static str> {
    ottla::config::keys().map(|key| key.name).filter(|name| last_word(name) == "ms")
}

/// Settings in bytes, and in kilobytes.
fn sizes() -> impl Iterator<Item = &'static str> {
    let is_size = |name: &&str| ["bytes", "kbytes", "memory", "size"].contains(&last_word(name));
    ottla::config::keys().map(|key| key.name).filter(is_size)
}

#[test]
fn properties_beyond_their_range_are_refused_by_name() {
    assert!(durations().count() >= 14 && sizes().count() >= 9, "the names are found by how they end");
    for name in durations().chain(sizes()) {
        for value in ["9223372036854775807", "18446744073709551616", "-2", "1e400", "NaN", "inf", "1s", ""] {
            let error = Properties::new().set(name, value).expect_err(name);
            let text = error.to_string();
            assert_eq!(error.kind(), Kind::Config, "{name} = {value}: {text}");
            assert!(text.contains(name) && text.contains("give a number"), "{name} = {value}: {text}");
        }
    }
}

/// Produces a record, reads it back and closes, by way of one setting.
async fn round_trip(
    client: ClientBuilder,
    producer: impl FnOnce(ProducerBuilder) -> Result<ProducerBuilder, Error>,
    consumer: impl FnOnce(ConsumerBuilder) -> Result<ConsumerBuilder, Error>,
) -> Result<(), Error> {
    let client = client.connect().await?;
    let producer = producer(client.producer())?.build()?;
    let sent = producer.send(Record::to("t").value("v")).await?;
    let consumer = consumer(client.consumer())?.assign_partitions([("t", sent.partition)]).until_end();
    let mut consumer = consumer.build()?;
    let mut count = 0;
    while let Some(records) = consumer.poll().await? {
        count += records.count();
    }
    assert!(count > 0, "the read ended without the record");
    consumer.end_offsets().await?;
    consumer.close().await?;
    producer.close(Duration::MAX).await
}

/// Runs the cases side by side, and says which ones neither worked nor failed in time.
async fn all_end<F: Future<Output = Result<(), Error>> + Send + 'static>(cases: Vec<(String, F)>) {
    let mut running = tokio::task::JoinSet::new();
    for (name, case) in cases {
        running.spawn(async move { (name, tokio::spawn(tokio::time::timeout(PATIENCE, case)).await) });
    }
    let mut wrong = Vec::new();
    while let Some(done) = running.join_next().await {
        match done.expect("it only waits") {
            (name, Ok(Ok(Err(error)))) if error.to_string().is_empty() => wrong.push(format!("{name}: no text")),
            (_, Ok(Ok(_))) => {}
            (name, Ok(Err(_))) => wrong.push(format!("{name}: still waits after {PATIENCE:?}")),
            (name, Err(panic)) => wrong.push(format!("{name}: {panic}")),
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_property_at_either_end_of_its_range_ends_in_time() {
    let server = server().await;
    let mut cases = Vec::new();
    for name in durations().chain(sizes()) {
        for value in ["0", "1", "4294967295", "2097151"] {
            let mut properties = Properties::new();
            for (name, value) in BASE.into_iter().chain([("bootstrap.servers", server.bootstrap())]) {
                properties.set(name, value).expect("it is well-formed");
            }
            // Out of this one's range: `properties_beyond_their_range_are_refused_by_name`.
            let Ok(()) = properties.set(name, value) else { continue };
            let case = async move {
                let builder = Client::builder(properties.get("bootstrap.servers"))?.properties(&properties);
                round_trip(
                    builder,
                    |builder| builder.properties(&properties),
                    |builder| builder.properties(&properties),
                )
                .await
            };
            cases.push((format!("{name} = {value}"), case));
        }
    }
    all_end(cases).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_duration_of_a_builder_at_its_extremes_ends_in_time() {
    let server = server().await;
    let of_client: [(&str, Setter<ClientBuilder, Duration>); 7] = [
        ("request_timeout", ClientBuilder::request_timeout),
        ("api_timeout", ClientBuilder::api_timeout),
        ("metadata_age_max", ClientBuilder::metadata_age_max),
        ("setup_timeout", |builder, value| builder.setup_timeout(value, value)),
        ("reconnect_backoff", |builder, value| builder.reconnect_backoff(value, value)),
        ("retry_backoff", |builder, value| builder.retry_backoff(value, value)),
        ("idle_max", |builder, value| builder.idle_max(value)),
    ];
    let mut cases = Vec::new();
    for value in [Duration::MAX, Duration::ZERO, Duration::from_nanos(1)] {
        for (name, set) in of_client {
            let builder = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
            // The time of all calls, unless that is what is tried.
            let builder = set(builder.api_timeout(Duration::from_secs(2)), value);
            let producer = |builder: ProducerBuilder| Ok(builder.delivery_timeout(Duration::from_secs(2)));
            cases.push((format!("client: {name} {value:?}"), Box::pin(round_trip(builder, producer, Ok)) as Case));
        }
        let of_producer: [(&str, Setter<ProducerBuilder, Duration>); 2] =
            [("linger", ProducerBuilder::linger), ("delivery_timeout", ProducerBuilder::delivery_timeout)];
        for (name, set) in of_producer {
            let builder = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
            let producer = move |builder| Ok(set(builder, value));
            cases.push((format!("producer: {name} {value:?}"), Box::pin(round_trip(builder, producer, Ok)) as Case));
        }
        let of_consumer: [(&str, Setter<ConsumerBuilder, Duration>); 2] =
            [("fetch_wait_max", ConsumerBuilder::fetch_wait_max), ("timeout", ConsumerBuilder::timeout)];
        for (name, set) in of_consumer {
            let builder = Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
            let consumer = move |builder| Ok(set(builder, value));
            cases.push((format!("consumer: {name} {value:?}"), Box::pin(round_trip(builder, Ok, consumer)) as Case));
        }
    }
    all_end(cases).await;
}

/// A builder's method that sets something.
type Setter<B, V> = fn(B, V) -> B;

type Case = std::pin::Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_size_of_a_builder_at_its_extremes_ends_in_time() {
    let server = server().await;
    let of_producer: [(&str, Setter<ProducerBuilder, usize>); 3] = [
        ("batch_bytes", ProducerBuilder::batch_bytes),
        ("request_bytes_max", ProducerBuilder::request_bytes_max),
        ("buffer_bytes", ProducerBuilder::buffer_bytes),
    ];
    let of_consumer: [(&str, Setter<ConsumerBuilder, usize>); 6] = [
        ("fetch_bytes_max", ConsumerBuilder::fetch_bytes_max),
        ("partition_fetch_bytes_max", ConsumerBuilder::partition_fetch_bytes_max),
        ("prefetch_bytes", ConsumerBuilder::prefetch_bytes),
        ("fetch_bytes_min", ConsumerBuilder::fetch_bytes_min),
        ("poll_bytes_max", ConsumerBuilder::poll_bytes_max),
        ("batch_bytes_max", ConsumerBuilder::batch_bytes_max),
    ];
    let mut cases = Vec::new();
    for value in [usize::MAX, 1, 0] {
        let client = || Client::builder([server.bootstrap()]).expect("its addresses are well-formed");
        for (name, set) in of_producer {
            let producer = move |builder| Ok(set(builder, value));
            cases.push((format!("producer: {name} {value}"), Box::pin(round_trip(client(), producer, Ok)) as Case));
        }
        for (name, set) in of_consumer {
            let consumer = move |builder| Ok(set(builder, value));
            cases.push((format!("consumer: {name} {value}"), Box::pin(round_trip(client(), Ok, consumer)) as Case));
        }
        let of_client = client().response_bytes_max(value).api_timeout(Duration::from_secs(2));
        let producer = |builder: ProducerBuilder| Ok(builder.delivery_timeout(Duration::from_secs(2)));
        cases.push((format!("client: response_bytes_max {value}"), Box::pin(round_trip(of_client, producer, Ok))));
    }
    all_end(cases).await;
}
