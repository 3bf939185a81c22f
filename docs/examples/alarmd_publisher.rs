//! Publishes alarm items, one a line as `KEY<tab>ITEM`, in envelopes: `cargo run --example alarmd_publisher -- localhost:9092 TOPIC`.
//!
//! It was the publisher of alarmd. Items of one key share an envelope of bounded size, so that they stay in order in one partition. The
//! clusters are old: all replicas acknowledge, and no identity is asked for.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::producer::Delivery;
use ottla::producer::Guarantee;
use ottla::producer::Producer;

const ENVELOPE_BYTES: usize = 512 * 1024;
const ENVELOPE_ITEMS: usize = 500;

/// Items of one key that wait to be sent.
#[derive(Default)]
struct Envelope {
    items: usize,
    text: String,
}

/// An envelope that was sent, and its number of items.
type Sent = (usize, Delivery);

impl Envelope {
    async fn send(self, producer: &Producer, topic: &str, key: &str) -> Result<Sent, ottla::Error> {
        let value = format!("[{}]", self.text);
        Ok((self.items, producer.enqueue(Record::to(topic).key(key).value(&value)).await?))
    }

    fn has_space_for(&self, item: &str) -> bool {
        self.items < ENVELOPE_ITEMS && self.text.len() + item.len() + ",[]".len() <= ENVELOPE_BYTES
    }

    fn add(&mut self, item: &str) {
        if self.items > 0 {
            self.text.push(',');
        }
        self.text.push_str(item);
        self.items += 1;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [servers, topic] = &arguments[..] else { return Err("usage: alarmd_publisher SERVERS TOPIC".into()) };
    let client = Client::connect(servers.split(',')).await?;
    let producer = client.producer().guarantee(Guarantee::AllAcks).delivery_timeout(Duration::from_secs(3)).build()?;
    let (mut open, mut sent) = (BTreeMap::<String, Envelope>::new(), Vec::new());
    for line in std::io::stdin().lines() {
        let line = line?;
        let (key, item) = line.split_once('\t').ok_or("a line has no tab between key and item")?;
        let envelope = open.entry(key.to_owned()).or_default();
        if !envelope.has_space_for(item) {
            sent.push(std::mem::take(envelope).send(&producer, topic, key).await?);
        }
        envelope.add(item);
    }
    for (key, envelope) in open {
        sent.push(envelope.send(&producer, topic, &key).await?);
    }
    let (mut acknowledged, mut failed) = (0, 0);
    for (items, delivery) in sent {
        match delivery.await {
            Ok(_) => acknowledged += items,
            Err(error) => {
                failed += items;
                eprintln!("{error:#}");
            }
        }
    }
    println!("{acknowledged} items acknowledged, {failed} failed");
    Ok(())
}
