//! Prints what a topic holds now, and ends: `cargo run --example drain -- localhost:9092 GROUP TOPIC`.
//!
//! It was the backup of influxdb-proxy: consume until caught up, then stop. The next run continues after the last commit.

use std::error::Error;

use ottla::Client;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, group, topic] = &arguments[..] else { return Err("usage: drain SERVERS GROUP TOPIC".into()) };
    let client = Client::connect(servers.split(',')).await?;
    let mut consumer = client.consumer().group(group).assign([topic.as_str()]).until_end().build()?;
    while let Some(records) = consumer.poll().await? {
        for record in &records {
            println!("{}", String::from_utf8_lossy(record.value.unwrap_or_default()));
        }
        consumer.commit().await?;
    }
    Ok(())
}
