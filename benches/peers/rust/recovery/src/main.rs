//! How soon records flow where a broker has just begun, or has taken over, to lead partitions.
//!
//! ```text
//! peer-recovery cold  ottla|rdkafka BROKERS TOPIC PARTITIONS RECORDS
//! peer-recovery flow  ottla|rdkafka BROKERS TOPIC SECONDS
//! peer-recovery watch BROKERS TOPIC SECONDS
//! ```
//!
//! `cold` sends records to the partitions by turns and prints how long it took until all were acknowledged. `flow` sends a
//! record to partition 0 every 10 ms and prints the longest time without an acknowledgement, and when it ended. `watch` prints
//! when another broker began to lead partition 0. Times of day are milliseconds since 1970. `run` beside this crate starts the
//! brokers and kills them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use common::Outcome;
use ottla::Client;
use ottla::Record;
use ottla::producer::Producer;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::FutureProducer;
use rdkafka::producer::FutureRecord;
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::mpsc;

/// Acknowledges, or says why not.
type Delivery = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// The pause between two records, where records flow.
const PACE: Duration = Duration::from_millis(10);
/// Values are of this size.
const SIZE: usize = 100;

/// Either client, each with its own defaults but for the promise: acks = all, idempotent.
enum Peer {
    Ottla(Producer),
    Rdkafka(FutureProducer),
}

impl Peer {
    async fn connect(name: &str, brokers: &str) -> Outcome<Self> {
        match name {
            "ottla" => Ok(Self::Ottla(Client::connect([brokers]).await?.producer().build()?)),
            "rdkafka" => {
                let mut config = ClientConfig::new();
                config.set("bootstrap.servers", brokers).set("acks", "all").set("enable.idempotence", "true");
                config.set("queue.buffering.max.messages", "600000");
                Ok(Self::Rdkafka(config.create()?))
            }
            other => Err(format!("ottla or rdkafka, not {other}").into()),
        }
    }

    async fn send(&self, topic: &str, partition: i32, value: &[u8]) -> Outcome<Delivery> {
        match self {
            Self::Ottla(producer) => {
                let delivery = producer.enqueue(Record::to(topic).partition(partition).value(value)).await?;
                Ok(Box::pin(async move { delivery.await.map(drop).map_err(Into::into) }))
            }
            Self::Rdkafka(producer) => loop {
                let record = FutureRecord::<(), [u8]>::to(topic).partition(partition).payload(value);
                match producer.send_result(record) {
                    Ok(delivery) => {
                        return Ok(Box::pin(async move {
                            delivery.await?.map(drop).map_err(|(error, _)| error.into())
                        }));
                    }
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    Err((error, _)) => return Err(error.into()),
                }
            },
        }
    }
}

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    common::block_on(async {
        match words[..] {
            ["cold", name, brokers, topic, partitions, records] => {
                cold(name, brokers, topic, partitions.parse()?, records.parse()?).await
            }
            ["flow", name, brokers, topic, seconds] => flow(name, brokers, topic, seconds.parse()?).await,
            ["watch", brokers, topic, seconds] => watch(brokers, topic, seconds.parse()?).await,
            _ => Err("peer-recovery cold|flow|watch …".into()),
        }
    })
}

async fn cold(name: &str, brokers: &str, topic: &str, partitions: i32, records: usize) -> Outcome {
    let begun = Instant::now();
    let peer = Peer::connect(name, brokers).await?;
    let value = [b'v'; SIZE];
    let mut deliveries = Vec::with_capacity(records);
    for partition in (0..partitions).cycle().take(records) {
        deliveries.push(peer.send(topic, partition, &value).await?);
    }
    for delivery in deliveries {
        delivery.await?;
    }
    println!("{{\"client\":\"{name}\",\"records\":{records},\"acknowledged_s\":{:.3}}}", begun.elapsed().as_secs_f64());
    Ok(())
}

async fn flow(name: &str, brokers: &str, topic: &str, seconds: u64) -> Outcome {
    let peer = Peer::connect(name, brokers).await?;
    let value = [b'v'; SIZE];
    let (acknowledged, times) = mpsc::unbounded_channel();
    let acknowledged = Arc::new(acknowledged);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut pace = tokio::time::interval(PACE);
    while Instant::now() < end {
        pace.tick().await;
        let delivery = peer.send(topic, 0, &value).await?;
        let acknowledged = Arc::clone(&acknowledged);
        tokio::spawn(async move {
            if delivery.await.is_ok() {
                let _ = acknowledged.send((Instant::now(), unix_ms()));
            }
        });
    }
    drop(acknowledged);
    longest_gap(name, times).await
}

async fn longest_gap(name: &str, mut times: mpsc::UnboundedReceiver<(Instant, u128)>) -> Outcome {
    let (mut longest, mut ended, mut last) = (Duration::ZERO, 0, None::<Instant>);
    let mut count = 0_u64;
    while let Some((at, unix_ms)) = times.recv().await {
        let gap = last.map_or(Duration::ZERO, |last| at.saturating_duration_since(last));
        if gap > longest {
            (longest, ended) = (gap, unix_ms);
        }
        last = Some(at);
        count += 1;
    }
    println!(
        "{{\"client\":\"{name}\",\"acknowledged\":{count},\"gap_s\":{:.3},\"gap_ended_ms\":{ended}}}",
        longest.as_secs_f64()
    );
    Ok(())
}

async fn watch(brokers: &str, topic: &str, seconds: u64) -> Outcome {
    let client = Client::connect([brokers]).await?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut before = None;
    while Instant::now() < end {
        if let Ok(described) = client.admin().describe_topics([topic]).await {
            let leader = described.first().and_then(|topic| topic.partitions.first()).and_then(|first| first.leader);
            if leader.is_some() && leader != before {
                println!("{{\"leader\":{},\"since_ms\":{}}}", leader.unwrap_or(-1), unix_ms());
                before = leader;
            }
        }
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

fn unix_ms() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis())
}
