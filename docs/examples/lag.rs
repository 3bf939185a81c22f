//! How far a group is behind, partition by partition: `cargo run --example lag -- localhost:9092 GROUP TOPIC…`.
//!
//! Asking has no side effects: no topic is made, no group joined, nothing fetched, moved or committed.

use std::error::Error;

use ottla::Client;
use ottla::consumer::Start;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(servers), Some(group)) = (arguments.next(), arguments.next()) else {
        return Err("usage: lag SERVERS GROUP TOPIC…".into());
    };
    let client = Client::connect(servers.split(',')).await?;
    for topic in client.admin().describe_topics(arguments).await? {
        let name = topic.name.clone();
        let partitions = topic.partitions.iter().map(|partition| (name.clone(), partition.index));
        // It is asked about offsets and never polled.
        let consumer = client.consumer().group(&group).assign_partitions(partitions).start(Start::Latest).build()?;
        let committed = consumer.committed().await?;
        let ends = consumer.end_offsets().await?;
        let starts = consumer.beginning_offsets().await?;
        for (partition, end) in &ends {
            let of = |(other, _): &&(_, _)| other == partition;
            let start = starts.iter().find(|(other, _)| other == partition).map_or(0, |(_, start)| *start);
            match committed.iter().find(of).and_then(|(_, position)| position.as_ref()) {
                Some(position) => println!("{partition} {}", end - position.offset.max(start)),
                None => println!("{partition} nothing committed, {} in the log", end - start),
            }
        }
    }
    Ok(())
}
