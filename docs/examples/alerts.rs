//! Pushes alerts, one a line, and reports the outcome of each:
//! `cargo run --example alerts -- localhost:9092 alerts < alerts.jsonl`.
//!
//! The producer is built once and kept; it finds its brokers again by itself. `enqueue` waits only for capacity, so that alerts
//! travel in batches; deliveries are awaited in the order of their alerts.

use std::collections::VecDeque;
use std::error::Error;
use std::io::BufRead;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::error::Written;
use ottla::producer::Delivery;

/// Deliveries that are not looked at yet. More than a batch holds, so that looking does not slow the sending.
const AWAITED_MAX: usize = 10_000;

#[derive(Default)]
struct Tally {
    acknowledged: u64,
    lost: u64,
    doubtful: u64,
}

impl Tally {
    async fn note(&mut self, line: u64, delivery: Delivery) {
        match delivery.await {
            Ok(_) => self.acknowledged += 1,
            Err(error) if error.is_written() == Some(Written::No) => {
                self.lost += 1;
                eprintln!("line {line} was not written: {error}");
            }
            Err(error) => {
                self.doubtful += 1;
                eprintln!("line {line} may have been written: {error}");
            }
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(servers), Some(topic)) = (arguments.next(), arguments.next()) else {
        return Err("usage: alerts SERVERS TOPIC".into());
    };
    let client = Client::connect(servers.split(',')).await?;
    let producer = client.producer().delivery_timeout(Duration::from_secs(10)).build()?;

    let mut tally = Tally::default();
    let mut awaited = VecDeque::new();
    for (line, alert) in (1..).zip(std::io::stdin().lock().lines()) {
        let alert = alert?;
        awaited.push_back((line, producer.enqueue(Record::to(&topic).value(&alert)).await?));
        if awaited.len() > AWAITED_MAX {
            let (line, delivery) = awaited.pop_front().expect("there are some");
            tally.note(line, delivery).await;
        }
    }
    for (line, delivery) in awaited {
        tally.note(line, delivery).await;
    }
    producer.close(Duration::from_secs(10)).await?;
    println!("{} acknowledged, {} not written, {} in doubt", tally.acknowledged, tally.lost, tally.doubtful);
    Ok(())
}
