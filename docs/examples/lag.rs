//! How far a group is behind, partition by partition: `cargo run --example lag -- localhost:9092 GROUP TOPIC…`.
//!
//! It was `RealTimeTopicStatus` and its siblings. Asking has no side effects: no topic is made, no group joined, nothing committed.

use std::error::Error;
use std::time::Duration;

use ottla::Client;
use ottla::admin::Lag;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(servers), Some(group)) = (arguments.next(), arguments.next()) else {
        return Err("usage: lag SERVERS GROUP TOPIC…".into());
    };
    let admin = Client::connect(servers.split(',')).await?.admin();
    for (_, lag) in admin.group_lag([group]).topics(arguments).deadline(Duration::from_secs(3)).await {
        for one in lag?.partitions {
            let (partition, left) = (&one.partition, one.to_read().unwrap_or(0));
            match one.lag {
                Ok(Lag::Behind(_)) => println!("{partition} {left}"),
                Ok(Lag::NoCommit { .. }) => println!("{partition} nothing committed, {left} in the log"),
                Ok(Lag::Expired) => println!("{partition} missed records that were deleted, {left} are left"),
                Ok(Lag::Ahead) => println!("{partition} committed past the end"),
                Err(error) => println!("{partition} unknown: {error:#}"),
            }
        }
    }
    Ok(())
}
