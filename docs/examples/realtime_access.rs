//! Processes records behind a bounded queue, at least once: `cargo run --example realtime_access -- localhost:9092 GROUP`.
//!
//! It was the real-time access of the monitoring system. Standard input has a line with all topics for each change of the strategies, and its end
//! stops the program. At most 5,000 records are open; then `poll` waits, and takes part in the group meanwhile. A record is committed after a worker
//! has acknowledged it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ottla::Client;
use ottla::consumer::OwnedRecords;
use ottla::consumer::Unacked;
use tokio::sync::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const OPEN_MAX: usize = 5_000;
const WORKERS: usize = 4;

type Work = Unacked<OwnedRecords>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, group] = &arguments[..] else { return Err("usage: realtime_access SERVERS GROUP".into()) };
    let client = Client::connect(servers.split(',')).await?;
    let (sender, mut changes) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.blocking_send(line))
    });
    let topics = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<String>>();

    let Some(first) = changes.recv().await else { return Ok(()) };
    let builder = client.consumer().group(group).subscribe(topics(&first)).ack_open_max(OPEN_MAX);
    let mut consumer = builder.build_acked()?;
    // The limit of open records is that of the queue, too.
    let (queue, work) = mpsc::unbounded_channel();
    let work = Arc::new(Mutex::new(work));
    let mut workers: JoinSet<()> = (0..WORKERS).map(|_| process(Arc::clone(&work))).collect();
    loop {
        tokio::select! {
            polled = consumer.poll() => match polled {
                Ok(Some(records)) => records.into_partitions().into_iter().try_for_each(|work| queue.send(work))?,
                Ok(None) => break,
                Err(error) => eprintln!("{error:#}"),
            },
            line = changes.recv() => match line {
                Some(line) => consumer.subscribe(topics(&line))?,
                None => break,
            },
        }
    }
    // The workers finish what is open, and then it is committed.
    drop(queue);
    while workers.join_next().await.is_some() {}
    consumer.close_within(Duration::from_secs(10)).await?;
    Ok(())
}

/// A worker: takes records of one partition at a time.
async fn process(work: Arc<Mutex<mpsc::UnboundedReceiver<Work>>>) {
    loop {
        let next = work.lock().await.recv().await;
        let Some(records) = next else { return };
        for record in records.iter() {
            println!("{} {}", record.topic, String::from_utf8_lossy(record.value.unwrap_or_default()));
        }
        // A partition that moved away meanwhile is read again by its next owner.
        if let Err(refused) = records.ack() {
            eprintln!("{refused}");
        }
    }
}
