//! `ottla consume`: prints records to standard output.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;

use ottla::client::Client;
use ottla::consumer::ConsumedRecord;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::Start;
use ottla::types::TopicPartition;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Consume;
use crate::connect;
use crate::format;
use crate::format::Format;

pub(crate) async fn run(common: &Common, options: Consume) -> Outcome {
    let mut properties = connect::properties(common)?;
    if let Some(isolation) = &options.isolation {
        properties.set("isolation.level", isolation)?;
    }
    if let Some(group) = &options.group {
        properties.set("group.id", group)?;
    }
    let printer = printer(common, &options)?;
    let start = options.offset.as_deref().map(start).transpose()?;
    let client = connect::client(&properties).await?;
    check_partitions(&client, &options).await?;
    let builder = client.consumer().properties(&properties)?;
    let builder = match start {
        // The default of a group: the reset policy says where to start without a committed offset.
        Some(Start::StoredOnly) if options.group.is_some() => builder,
        Some(start) => builder.start(start),
        None => builder,
    };
    let mut consumer = assign(builder, &options).build()?;
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout());
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let limit = options.count.unwrap_or(u64::MAX);
    let mut read = 0;
    while read < limit {
        // Printed records are committed before the next poll, so that an interruption loses nothing.
        let records = tokio::select! {
            records = consumer.poll() => records?,
            _ = &mut interrupted => {
                eprintln!("interrupted after {read} records");
                break;
            }
        };
        let Some(records) = records else { break };
        let mut printed = BTreeMap::new();
        for record in records.iter().take(usize::try_from(limit - read).unwrap_or(usize::MAX)) {
            printer.print(&record, &mut out)?;
            read += 1;
            if options.group.is_some() {
                printed.insert(record.partition, record.next_position());
            }
        }
        out.flush()?;
        if !printed.is_empty() {
            let place = |partition| TopicPartition::new(options.topic.as_str(), partition);
            consumer.commit_positions(printed.into_iter().map(|(partition, next)| (place(partition), next))).await?;
        }
    }
    consumer.close().await?;
    Ok(())
}

/// Fails for a partition that does not exist, at once and with the number that exist.
async fn check_partitions(client: &Client, options: &Consume) -> Outcome {
    if options.partitions.is_empty() {
        return Ok(());
    }
    let described = client.admin().describe_topics([options.topic.as_str()]).await?;
    // Reading reports a topic that could not be described.
    let Some(topic) = described.first().filter(|topic| topic.error.is_none()) else { return Ok(()) };
    let there = |wanted: &&i32| !topic.partitions.iter().any(|partition| partition.index == **wanted);
    match options.partitions.iter().find(there) {
        Some(missing) => {
            let count = topic.partitions.len();
            Err(Failure::Failed(format!("-p {missing}: topic {} has {count} partitions, from 0 on", options.topic)))
        }
        None => Ok(()),
    }
}

fn assign(builder: ConsumerBuilder, options: &Consume) -> ConsumerBuilder {
    let builder = if options.partitions.is_empty() {
        builder.assign([options.topic.as_str()])
    } else {
        builder.assign_partitions(options.partitions.iter().map(|partition| (options.topic.as_str(), *partition)))
    };
    if options.exit { builder.until_end() } else { builder }
}

/// Reads `-o`: beginning, end, OFFSET, -N, s@TIMESTAMP_MS or stored.
fn start(text: &str) -> Result<Start, Failure> {
    let wrong = || Failure::Usage(format!("-o {text}: give beginning, end, an offset, -N, s@TIMESTAMP_MS or stored"));
    match text {
        "beginning" => Ok(Start::Earliest),
        "end" => Ok(Start::Latest),
        "stored" => Ok(Start::StoredOnly),
        _ => {
            if let Some(timestamp) = text.strip_prefix("s@") {
                return timestamp.parse().map(Start::Timestamp).map_err(|_| wrong());
            }
            let number: i64 = text.parse().map_err(|_| wrong())?;
            Ok(if text.starts_with('-') {
                Start::FromEnd(number.checked_neg().ok_or_else(wrong)?)
            } else {
                Start::Offset(number)
            })
        }
    }
}

enum Printer {
    Format(Format),
    Json,
}

impl Printer {
    fn print(&self, record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Format(format) => format.write(record, out),
            Self::Json => format::write_json(record, out),
        }
    }
}

fn printer(common: &Common, options: &Consume) -> Result<Printer, Failure> {
    match (&options.format, common.json) {
        (Some(_), true) => Err(Failure::Usage("-f and --json exclude each other".to_owned())),
        (Some(format), false) => Format::parse(format).map(Printer::Format),
        (None, true) => Ok(Printer::Json),
        (None, false) => Format::parse("%s\\n").map(Printer::Format),
    }
}
