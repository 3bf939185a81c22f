//! `ottla demo`: produces, consumes and verifies records on a mock cluster in this process, or on real brokers with `-b`.
#![allow(
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "the figures are approximate, and a tool may read the clock"
)]

use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

use ottla::admin::NewTopic;
use ottla::client::Client;
use ottla::consumer::Consumer;
use ottla::mock::Cluster;
use ottla::mock::Server;
use ottla::producer::Delivery;
use ottla::producer::Receipt;
use ottla::producer::Record;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Demo;
use crate::connect;
use crate::perf::check_size;
use crate::perf::values;
use crate::say;
use crate::terminal;

const PARTITIONS: i32 = 4;
const WINDOW: usize = 100_000;
/// The longest time without a record, or without partitions.
const WAIT: Duration = Duration::from_secs(60);

pub(crate) async fn run(common: &Common, options: Demo) -> Outcome {
    let mut properties = connect::properties(common)?;
    check_size(options.size)?;
    // Kept until the end: dropping it stops the mock cluster.
    let mut server = None;
    if properties.get("bootstrap.servers").is_none() {
        let started = Server::start(Cluster::builder().brokers(3).build(), ([127, 0, 0, 1], 0).into()).await?;
        terminal::note(format_args!("mock cluster of 3 brokers on {}", started.bootstrap()));
        properties.set("bootstrap.servers", started.bootstrap())?;
        server = Some(started);
    }
    let client = connect::client(&properties).await?;
    let topic = format!("ottla-demo-{}", std::process::id());
    let admin = client.admin();
    for (_, outcome) in admin.create_topics([NewTopic::new(topic.as_str()).partitions(PARTITIONS)]).await? {
        outcome?;
    }
    let outcome = round_trip(&client, &topic, &options).await;
    // The group has the name of the topic.
    for (_, deleted) in admin.delete_groups([topic.as_str()]).await {
        if outcome.is_ok() {
            deleted?;
        }
    }
    for (_, deleted) in admin.delete_topics([topic.as_str()]).await? {
        deleted?;
    }
    drop(server);
    outcome
}

async fn round_trip(client: &Client, topic: &str, options: &Demo) -> Outcome {
    let values = values(options.size.max(24), 11);
    let started = Instant::now();
    let sent = produce(client, topic, options, &values).await?;
    let produced = started.elapsed();
    let mut consumer = client.consumer().group(topic).subscribe([topic]).build()?;
    // A new group waits for members before it assigns.
    consumer.wait_for_assignment(WAIT).await?;
    let started = Instant::now();
    let verified = verify(consumer, options, &values, &sent).await?;
    let consumed = started.elapsed();
    let rate = |taken: Duration| options.records as f64 / taken.as_secs_f64();
    say(format_args!(
        "produced  {} records in {:.2} s, {:.0}/s, each acknowledged",
        options.records,
        produced.as_secs_f64(),
        rate(produced)
    ))?;
    let seconds = consumed.as_secs_f64();
    say(format_args!("consumed  {verified} records in {seconds:.2} s, {:.0}/s, each verified", rate(consumed)))?;
    Ok(say(format_args!("committed the offsets of {PARTITIONS} partitions as a member of group {topic}"))?)
}

/// The value of record `index`: its number, then filler.
fn fill(index: u64, filler: &[u8], value: &mut Vec<u8>) {
    value.clear();
    value.extend_from_slice(format!("{index:020} ").as_bytes());
    value.extend_from_slice(&filler[value.len().min(filler.len())..]);
}

/// Partition and offset of each record, by its number.
type Sent = Vec<(i32, i64)>;

async fn produce(client: &Client, topic: &str, options: &Demo, values: &[Vec<u8>]) -> Result<Sent, Failure> {
    let producer = client.producer().build()?;
    let bar = terminal::records_bar(options.records);
    let mut pending: VecDeque<Delivery> = VecDeque::with_capacity(WINDOW);
    let mut sent = Sent::new();
    let mut value = Vec::new();
    for (index, filler) in (0..options.records).zip(values.iter().cycle()) {
        fill(index, filler, &mut value);
        pending.push_back(producer.enqueue(Record::to(topic).value(&value)).await?);
        if pending.len() >= WINDOW {
            settle(&mut pending, &mut sent, WINDOW / 2).await?;
            bar.set_position(index);
        }
    }
    settle(&mut pending, &mut sent, 0).await?;
    bar.finish_and_clear();
    producer.close(Duration::from_secs(10)).await?;
    Ok(sent)
}

/// Awaits the oldest deliveries until `left` remain.
async fn settle(pending: &mut VecDeque<Delivery>, sent: &mut Sent, left: usize) -> Outcome {
    while pending.len() > left {
        let Some(delivery) = pending.pop_front() else { break };
        let Receipt { partition, offset, .. } = delivery.await?;
        sent.push((partition, offset.unwrap_or(-1)));
    }
    Ok(())
}

/// Reads the records as a member of a group, and verifies each.
async fn verify(mut consumer: Consumer, options: &Demo, values: &[Vec<u8>], sent: &Sent) -> Result<u64, Failure> {
    let bar = terminal::records_bar(options.records);
    let mut expected = Vec::new();
    let mut last: HashMap<i32, u64> = HashMap::new();
    let mut verified = 0;
    while verified < options.records {
        let missing = || Failure::Failed(format!("{} records were sent and {verified} were read", options.records));
        let polled = tokio::time::timeout(WAIT, consumer.poll()).await.map_err(|_| missing())?;
        let Some(records) = polled? else { return Err(missing()) };
        for record in &records {
            let value = record.value.unwrap_or_default();
            let wrong = |what: &str| {
                Failure::Failed(format!("partition {} offset {}: {what}", record.partition, record.offset))
            };
            let number = value.get(..20).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u64>().ok());
            let index = number.ok_or_else(|| wrong("not a record of this demo"))?;
            let slot = usize::try_from(index).map_err(|_| wrong("a number that was not sent"))?;
            fill(index, &values[slot % values.len()], &mut expected);
            if value != expected.as_slice() {
                return Err(wrong("the value differs from the one that was sent"));
            }
            if sent.get(slot) != Some(&(record.partition, record.offset)) {
                return Err(wrong("the receipt named another partition or offset"));
            }
            if last.insert(record.partition, index).is_some_and(|before| before >= index) {
                return Err(wrong("out of order"));
            }
            verified += 1;
        }
        bar.set_position(verified);
        consumer.commit().await?;
    }
    bar.finish_and_clear();
    consumer.close().await?;
    Ok(verified)
}
