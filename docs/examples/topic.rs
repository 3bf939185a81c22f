//! Ensures that a topic is as it should be, and probes its cluster:
//! `cargo run --example topic -- localhost:9092 TOPIC 6 30` (partitions, minutes of retention).
//!
//! It was `KafkaStorage`, `KafkaTopicInfo`, `create_mq`, `modify_kafka_cluster` and `ClusterInfo.health_check`.

use std::error::Error;
use std::time::Duration;

use ottla::Client;
use ottla::admin::TopicSpec;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, topic, partitions, minutes] = &arguments[..] else {
        return Err("usage: topic SERVERS TOPIC PARTITIONS RETENTION_MINUTES".into());
    };
    let client = Client::connect(servers.split(',')).await?;
    let probe = client.probe(Duration::from_secs(5)).await?;
    println!("{} brokers, {} topics, healthy: {}", probe.brokers.len(), probe.topics.len(), probe.is_healthy());
    let retention = Duration::from_secs(60 * minutes.parse::<u64>()?);
    let spec = TopicSpec::new(topic.as_str()).partitions(partitions.parse()?).retention(retention);
    println!("{topic}: {:?}", client.admin().ensure_topic(spec).await?);
    Ok(())
}
