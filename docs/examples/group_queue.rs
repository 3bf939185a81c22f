//! Takes values of a topic as a member of a group, until standard input ends:
//! `cargo run --example group_queue --features queue -- localhost:9092 GROUP TOPIC`.
//!
//! It was `KafkaQueueV2`. A value is acknowledged after it was printed, so none is lost, whenever the program stops. The original's settings
//! are those of `GroupQueue::original`, which begins at the end; here a new group begins with the oldest value.

use std::error::Error;
use std::time::Duration;

use ottla::Client;
use ottla::consumer::ResetPolicy;
use ottla::error::Kind;
use ottla::queue::GroupQueue;

const TIMEOUT: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, group, topic] = &arguments[..] else {
        return Err("usage: group_queue SERVERS GROUP TOPIC".into());
    };
    let client = Client::connect(servers.split(',')).await?;
    let queue = GroupQueue::original(&client, topic.as_str(), group);
    let mut queue = queue.consumer(|consumer| consumer.reset(ResetPolicy::Earliest)).build()?;
    let mut stop = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
    loop {
        // A take that is dropped loses nothing.
        let taken = tokio::select! {
            taken = queue.take(100, Duration::from_millis(500)) => taken,
            _ = &mut stop => break,
        };
        match taken {
            Ok(batch) => {
                for record in &batch {
                    println!("{}", String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()));
                }
                if let Err(refused) = batch.ack() {
                    eprintln!("{refused}: they come again");
                }
            }
            Err(error) if error.kind() == Kind::Closed => return Err(error.into()),
            Err(error) => eprintln!("{error:#}"),
        }
        if queue.has_reassigned() {
            eprintln!("takes from {:?} now", queue.assignment());
        }
    }
    // Commits what was acknowledged, and leaves the group.
    queue.close(TIMEOUT).await?;
    Ok(())
}
