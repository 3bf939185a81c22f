//! Builds alerts from the partitions that a leader gives to this host: `cargo run --example alert_builder -- localhost:9092 GROUP TOPIC`.
//!
//! It was `AlertHandler`. Standard input has a line for each change, with all partitions of this host, such as `0 2`. What was returned of
//! a partition is committed before the partition is given up, and `released 0` is printed after that. The leader gives a partition to
//! another host when it has read this line, so that no partition has two owners. The group is shared, and no host is a member of it.

use std::collections::BTreeSet;
use std::error::Error;

use ottla::Client;
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, group, topic] = &arguments[..] else { return Err("usage: alert_builder SERVERS GROUP TOPIC".into()) };
    let client = Client::connect(servers.split(',')).await?;
    let (sender, mut shares) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.blocking_send(line))
    });
    let partitions = |line: &str| line.split_whitespace().map(str::parse).collect::<Result<BTreeSet<i32>, _>>();

    let share =
        |partitions: &BTreeSet<i32>| partitions.iter().map(|partition| (topic.clone(), *partition)).collect::<Vec<_>>();
    let mut mine = BTreeSet::new();
    let mut consumer = client.consumer().group(group).assign([topic.as_str()]).build()?;
    consumer.assign_partitions(share(&mine))?;
    loop {
        tokio::select! {
            polled = consumer.poll() => {
                let Some(records) = polled? else { return Ok(()) };
                for record in &records {
                    println!("alert {}", String::from_utf8_lossy(record.value.unwrap_or_default()));
                }
                consumer.commit().await?;
            }
            line = shares.recv() => {
                let Some(line) = line else { return Ok(()) };
                let next = partitions(&line)?;
                // Everything that was returned is committed.
                consumer.assign_partitions(share(&next))?;
                mine.difference(&next).for_each(|partition| println!("released {partition}"));
                mine = next;
            }
        }
    }
}
