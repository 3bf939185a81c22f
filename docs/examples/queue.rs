//! A queue without a group of Kafka: puts the lines of its standard input into a topic, or takes values out of it.
//! `cargo run --example queue --features queue -- localhost:9092 TOPIC put` and `… TOPIC take 100 OFFSETS_FILE`.
//!
//! It was `KafkaQueue` and `KafkaOffsetManager`. The offsets are in a file; with the feature `redis`, a `RedisStore` shares them with workers
//! of other machines.

use std::error::Error;
use std::time::Duration;

use ottla::Client;
use ottla::consumer::store::FileStore;
use ottla::consumer::store::MemoryStore;
use ottla::queue::Queue;
use ottla::queue::StartAt;

const TIMEOUT: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ([servers, topic, "put"] | [servers, topic, "take", _, _]) = words[..] else {
        return Err("usage: queue SERVERS TOPIC (put | take COUNT OFFSETS_FILE)".into());
    };
    let client = Client::connect(servers.split(',')).await?;
    let queue = Queue::builder(&client, topic).group("queue-example").start(StartAt::LastOfAll(3));
    if let [_, _, _, count, file] = words[..] {
        let mut queue = queue.store(FileStore::open(file).await?).build()?;
        let batch = queue.take(count.parse()?, TIMEOUT).await?;
        for record in &batch {
            println!("{}", String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()));
        }
        batch.notices().iter().for_each(|(partition, notice)| eprintln!("{partition}: {notice:?}"));
        batch.ack(TIMEOUT).await?;
    } else {
        let queue = queue.store(MemoryStore::new()).build()?;
        let values: Vec<String> = std::io::stdin().lines().collect::<Result<_, _>>()?;
        let receipts = queue.put(&values, TIMEOUT).await?;
        println!("{} acknowledged", receipts.len());
    }
    Ok(())
}
