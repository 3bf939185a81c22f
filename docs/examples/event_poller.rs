//! Moves events of some topics to a queue, until standard input ends:
//! `cargo run --example event_poller -- localhost:9092 GROUP TOPIC…`.
//!
//! It was `EventPoller`. The queue is standard output here. An event is committed after it was pushed: by the poll after that, every 5 s,
//! or when the consumer is closed. So no event is lost, whenever the program stops.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use ottla::Client;
use ottla::consumer::Records;
use ottla::error::Kind;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(servers), Some(group)) = (arguments.next(), arguments.next()) else {
        return Err("usage: event_poller SERVERS GROUP TOPIC…".into());
    };
    let client = Client::connect(servers.split(',')).await?;
    let mut consumer = client
        .consumer()
        .group(group)
        .subscribe(arguments)
        .session_timeout(Duration::from_secs(30))
        .partition_fetch_bytes_max(5 << 20)
        .build()?;
    let mut stop = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    loop {
        let polled = tokio::select! {
            polled = consumer.poll() => polled,
            _ = &mut stop => break,
        };
        match polled {
            Ok(Some(records)) => push(&records)?,
            Ok(None) => break,
            Err(error) if error.kind() == Kind::Closed => return Err(error.into()),
            Err(error) => eprintln!("{error:#}"),
        }
    }
    // Commits what was pushed, and leaves the group.
    consumer.close_within(Duration::from_secs(10)).await?;
    Ok(())
}

fn push(records: &Records) -> std::io::Result<()> {
    let mut queue = std::io::stdout().lock();
    for record in records {
        writeln!(queue, "{} {}", record.topic, String::from_utf8_lossy(record.value.unwrap_or_default()))?;
    }
    queue.flush()
}
