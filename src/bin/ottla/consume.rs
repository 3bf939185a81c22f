//! `ottla consume`: records to standard output.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;

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
    let unsaid = if options.group.is_some() { "stored" } else { "beginning" };
    let start = start(options.offset.as_deref().unwrap_or(unsaid))?;
    let client = connect::client(&properties).await?;
    let builder = client.consumer().properties(&properties)?.start(start);
    let mut consumer = assign(builder, &options).build()?;
    let mut out = io::BufWriter::with_capacity(1 << 16, io::stdout());
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(records) = consumer.poll().await? else { break };
        let mut printed = BTreeMap::new();
        for record in records.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            if let Err(error) = printer.print(&record, &mut out) {
                return closed_pipe(error);
            }
            left -= 1;
            if options.group.is_some() {
                printed.insert(record.partition, record.next_position());
            }
        }
        if let Err(error) = out.flush() {
            return closed_pipe(error);
        }
        if !printed.is_empty() {
            let place = |partition| TopicPartition::new(options.topic.as_str(), partition);
            consumer.commit_positions(printed.into_iter().map(|(partition, next)| (place(partition), next))).await?;
        }
    }
    consumer.close().await?;
    Ok(())
}

/// A reader that went away (`| head`) is no failure of ours.
fn closed_pipe(error: io::Error) -> Outcome {
    if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error.into()) }
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
        "stored" => Ok(Start::Stored { otherwise: Box::new(Start::Earliest) }),
        _ => {
            if let Some(timestamp) = text.strip_prefix("s@") {
                return timestamp.parse().map(Start::Timestamp).map_err(|_| wrong());
            }
            let number: i64 = text.parse().map_err(|_| wrong())?;
            Ok(if text.starts_with('-') { Start::FromEnd(-number) } else { Start::Offset(number) })
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
