//! Queues on real brokers: workers without a group, members of one, and processes that are killed while Redis has their leases.

use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use protocol_tests::rig;

mod group;
mod leases;
mod redis;

const PORT: u16 = 29_431;
/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(60);

/// A topic, and a client of a broker; nothing where there is no broker.
async fn topic(name: &str, partitions: i32) -> Option<(Client, String)> {
    if !rig::is_up(PORT) {
        return None;
    }
    let client = Client::connect([rig::address(PORT)]).await.expect("a broker");
    let topic = rig::fresh(name);
    let made = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(partitions)]).await;
    for (_, outcome) in made.expect("a controller") {
        outcome.expect("a topic");
    }
    Some((client, topic))
}

/// Writes so many numbers to a topic, to its partitions in turn.
async fn put(client: &Client, topic: &str, partitions: i32, count: usize) {
    let producer = client.producer().build().expect("settings are fine");
    for (number, partition) in (0..count).zip((0..partitions).cycle()) {
        let value = number.to_string();
        drop(producer.enqueue(Record::to(topic).partition(partition).value(&value)).await.expect("there is capacity"));
    }
    producer.close(SOON).await.expect("written");
}

/// The numbers of records, in order.
fn numbers<'r>(records: impl IntoIterator<Item = &'r ottla::consumer::OwnedRecord>) -> Vec<usize> {
    let number = |record: &ottla::consumer::OwnedRecord| {
        let value = record.value.as_deref().expect("a value");
        std::str::from_utf8(value).expect("text").parse().expect("a number")
    };
    let mut numbers: Vec<usize> = records.into_iter().map(number).collect();
    numbers.sort_unstable();
    numbers
}
