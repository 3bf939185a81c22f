//! Copies records from one topic to another until standard input ends, and then stops within ten seconds:
//! `cargo run --example shutdown -- localhost:9092 FROM TO`.
//!
//! Every step of the end has a bound, so that a supervisor such as systemd or Kubernetes never has to kill the program: nothing that
//! is committed was lost, and records that are not committed are copied again after the next start.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::consumer::Consumer;
use ottla::consumer::Position;
use ottla::producer::Delivery;
use ottla::producer::Producer;
use ottla::types::TopicPartition;
use tokio::time::Instant;

/// The time for everything between the signal to stop and the end of the program.
const GRACE: Duration = Duration::from_secs(10);
/// The part of it that is kept for the last commit.
const FOR_THE_COMMIT: Duration = Duration::from_secs(3);

/// The records that were sent on and are not committed.
#[derive(Default)]
struct Sent {
    /// With their positions, in the order of their partitions.
    waiting: Vec<(TopicPartition, Position, Delivery)>,
    /// The positions behind those that were acknowledged.
    done: BTreeMap<TopicPartition, Position>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, from, to] = &arguments[..] else { return Err("usage: shutdown SERVERS FROM TO".into()) };
    let client = Client::connect(servers.split(',')).await?;
    let producer = client.producer().build()?;
    let mut consumer = client.consumer().group("shutdown-example").assign([from.as_str()]).build()?;

    let stop = tokio::task::spawn_blocking(|| io::copy(&mut io::stdin(), &mut io::sink()));
    let mut sent = Sent::default();
    let outcome = tokio::select! {
        outcome = copy(&mut consumer, &producer, to, &mut sent) => outcome,
        _ = stop => Ok(()),
    };
    // Also after an error: everything that was acknowledged is committed.
    end(consumer, &producer, sent, Instant::now() + GRACE).await?;
    outcome.map_err(Into::into)
}

/// Copies until an error. It may be dropped at any `await`: `sent` has all that was accepted and is not committed.
async fn copy(consumer: &mut Consumer, producer: &Producer, to: &str, sent: &mut Sent) -> Result<(), ottla::Error> {
    while let Some(records) = consumer.poll().await? {
        for record in &records {
            let mut copied = Record::to(to);
            if let Some(key) = record.key {
                copied = copied.key(key);
            }
            if let Some(value) = record.value {
                copied = copied.value(value);
            }
            let delivery = producer.enqueue(copied).await?;
            let from = TopicPartition { topic: record.topic.clone(), partition: record.partition };
            sent.waiting.push((from, record.next_position(), delivery));
        }
        acknowledged(sent).await?;
        consumer.commit_positions(sent.done.clone()).await?;
        sent.done.clear();
    }
    Ok(())
}

/// Awaits the deliveries in order. Stops at the first error.
async fn acknowledged(sent: &mut Sent) -> Result<(), ottla::Error> {
    for (partition, position, delivery) in &mut sent.waiting {
        delivery.await?;
        sent.done.insert(partition.clone(), *position);
    }
    sent.waiting.clear();
    Ok(())
}

/// Ends everything by `deadline`.
async fn end(mut consumer: Consumer, producer: &Producer, sent: Sent, deadline: Instant) -> Result<(), ottla::Error> {
    let left = || deadline.saturating_duration_since(Instant::now());
    // Afterwards every delivery is decided.
    if let Err(error) = producer.close(left().saturating_sub(FOR_THE_COMMIT)).await {
        eprintln!("{error}");
    }
    let Sent { waiting, mut done } = sent;
    for (partition, position, delivery) in waiting {
        if delivery.await.is_err() {
            break;
        }
        done.insert(partition, position);
    }
    let committed = consumer.commit_positions_within(done, left()).await;
    // It takes no time.
    drop(consumer);
    committed
}
