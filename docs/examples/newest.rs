//! The newest records of a topic: `cargo run --example newest --features queue -- localhost:9092 TOPIC 10`.
//!
//! It was the five Kafka tails. No group is used and nothing is committed; values are printed as text, and kept as bytes.

use std::error::Error;
use std::time::Duration;

use ottla::Client;
use ottla::queue::Tail;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, topic, count] = &arguments[..] else { return Err("usage: newest SERVERS TOPIC COUNT".into()) };
    let client = Client::connect(servers.split(',')).await?;
    let newest = Tail::new(&client, topic.as_str()).deadline(Duration::from_secs(5)).latest(count.parse()?).await?;
    for record in &newest.records {
        let value = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default());
        println!("{}[{}]@{}: {value}", record.topic, record.partition, record.offset);
    }
    newest.errors.iter().for_each(|error| eprintln!("{error:#}"));
    Ok(())
}
