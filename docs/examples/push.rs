//! Pushes one alert to everybody's queue and to that of its business:
//! `cargo run --example push --features queue -- BUSINESS "disk full" 0=kafka://localhost:9092/all 2=kafka://localhost:9092/two`.
//!
//! It was `KafKaClient` with the map `MESSAGE_QUEUE_DSN`. Each target has an outcome of its own: acknowledged, or an error in time.

use std::error::Error;

use ottla::queue::Publisher;
use ottla::queue::Target;
use ottla::queue::Targets;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(business), Some(alert)) = (arguments.next(), arguments.next()) else {
        return Err("usage: push BUSINESS ALERT NAME=DSN…".into());
    };
    let target = |pair: String| pair.split_once('=').map(|(name, dsn)| (name.to_owned(), Target::parse(dsn)));
    let targets: Targets = arguments.filter_map(target).collect();
    let mut failed = 0;
    for (name, outcome) in Publisher::new().fan_out(targets.of(&business), alert).await {
        match outcome {
            Ok(receipt) => println!("{name}: acknowledged in partition {}", receipt.partition),
            Err(error) => {
                failed += 1;
                println!("{name}: {error:#}");
            }
        }
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} targets failed").into()) }
}
