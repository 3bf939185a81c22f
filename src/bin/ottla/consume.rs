//! `ottla consume`: prints records to standard output.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::io::Write;
use std::pin::pin;

use indicatif::ProgressBar;
use ottla::config::Properties;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::PartitionRecords;
use ottla::consumer::Position;
use ottla::consumer::Records;
use ottla::consumer::Start;
use ottla::consumer::TopicPattern;
use ottla::error::Kind;
use ottla::types::TopicPartition;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Consume;
use crate::connect;
use crate::describe;
use crate::format::Printer;
use crate::outage;
use crate::partitions;
use crate::range::Range;
use crate::signals;
use crate::terminal;

/// The properties of `-X`, and those of the command's own options.
pub(crate) fn properties(common: &Common, options: &Consume) -> Result<Properties, Failure> {
    let mut properties = connect::properties(common)?;
    if let Some(isolation) = &options.isolation {
        properties.set("isolation.level", isolation)?;
    }
    if let Some(group) = &options.group {
        properties.set("group.id", group)?;
    }
    Ok(properties)
}

pub(crate) async fn run(common: &Common, options: Consume) -> Outcome {
    let properties = properties(common, &options)?;
    let printer = Printer::new(common, &options)?;
    let Range { start, until } = Range::parse(&options.offset)?;
    let client = connect::client(&properties).await?;
    partitions::check(&client, &options.topic, "-p", &options.partitions).await?;
    let builder = client.consumer().properties(&properties)?;
    let builder = match start {
        // The default of a group: the reset policy says where to start without a committed offset.
        Some(Start::StoredOnly) if options.group.is_some() => builder,
        Some(start) => builder.start(start),
        None => builder,
    };
    let mut reading = Reading {
        consumer: assign(builder, &options)?.build()?,
        printer,
        out: io::BufWriter::with_capacity(1 << 16, io::stdout()),
        left: BTreeSet::new(),
        failed: BTreeSet::new(),
        read: 0,
        until,
        options,
    };
    outage::report(&client, ProgressBar::hidden());
    let outcome = reading.run().await;
    if outcome.is_ok() {
        reading.consumer.close().await?;
    }
    outcome
}

impl Consume {
    /// Whether the group decides what is read: nothing else does.
    fn joins(&self) -> bool {
        self.group.is_some() && self.partitions.is_empty() && self.offset.is_empty() && !self.exit
    }
}

fn assign(builder: ConsumerBuilder, options: &Consume) -> Result<ConsumerBuilder, Failure> {
    let topics = options.topic.iter().map(String::as_str);
    // Printed records are committed below.
    let builder = builder.auto_commit(None);
    let pattern = options.topic.iter().find(|topic| topic.starts_with('^'));
    if options.joins() {
        return Ok(match pattern {
            Some(_) => builder.subscribe_pattern(pattern_of(&options.topic)?),
            None => builder.subscribe(topics),
        });
    }
    if let Some(pattern) = pattern {
        let text =
            format!("-t {pattern}: topics are matched for a member of a group: name it by -g, without -p, -o and -e");
        return Err(Failure::Usage(text));
    }
    let builder = if options.partitions.is_empty() {
        builder.assign(topics)
    } else {
        builder.assign_partitions(
            topics.flat_map(|topic| options.partitions.iter().map(move |partition| (topic, *partition))),
        )
    };
    Ok(if options.exit { builder.until_end() } else { builder })
}

/// As in kcat, a topic that begins with `^` is a regular expression.
fn pattern_of(topics: &[String]) -> Result<TopicPattern, Failure> {
    let (patterns, names): (Vec<&String>, Vec<&String>) = topics.iter().partition(|topic| topic.starts_with('^'));
    let patterns = patterns.into_iter().map(|text| TopicPattern::regex(text)).collect::<Result<Vec<_>, _>>()?;
    let names: BTreeSet<String> = names.into_iter().cloned().collect();
    let matches = move |topic: &str| names.contains(topic) || patterns.iter().any(|pattern| pattern.matches(topic));
    Ok(TopicPattern::filter(matches))
}

struct Reading {
    consumer: Consumer,
    printer: Printer,
    out: io::BufWriter<io::Stdout>,
    options: Consume,
    /// The timestamp at which a partition is left.
    until: Option<i64>,
    /// Partitions that are no longer read, because they reached that timestamp or failed.
    left: BTreeSet<TopicPartition>,
    failed: BTreeSet<TopicPartition>,
    read: u64,
}

impl Reading {
    async fn run(&mut self) -> Outcome {
        let mut interrupted = pin!(signals::interrupted());
        while self.read < self.limit() && !self.is_over() {
            // Printed records are committed before the next poll, so that an interruption loses nothing.
            let polled = tokio::select! {
                polled = self.consumer.poll() => polled,
                _ = &mut interrupted => {
                    terminal::note(format_args!("interrupted after {} records", self.read));
                    break;
                }
            };
            match polled {
                Ok(Some(records)) => self.take(&records).await?,
                Ok(None) => break,
                Err(error) => self.report(error)?,
            }
        }
        if self.failed.is_empty() {
            return Ok(());
        }
        let failed: Vec<String> = self.failed.iter().map(ToString::to_string).collect();
        Err(Failure::Failed(format!("not all was read, because of errors of {}", failed.join(", "))))
    }

    fn limit(&self) -> u64 {
        self.options.count.unwrap_or(u64::MAX)
    }

    /// Whether every partition was left.
    fn is_over(&self) -> bool {
        let has_left = |topic: &String| self.left.iter().any(|left| *left.topic == **topic);
        // The partitions of a topic are missing in the assignment until the metadata has them.
        !self.left.is_empty() && self.options.topic.iter().all(has_left) && self.consumer.assignment().is_empty()
    }

    /// Prints the records of a poll, commits their positions, and reports resets.
    async fn take(&mut self, records: &Records) -> Outcome {
        let mut printed = BTreeMap::new();
        let mut reached = Vec::new();
        for of_partition in records.by_partition() {
            let partition = TopicPartition::new(of_partition.topic().clone(), of_partition.partition());
            if self.left.contains(&partition) || reached.contains(&partition) {
                continue;
            }
            let (position, is_at_end) = self.print(of_partition)?;
            if let Some(position) = position.filter(|_| self.commits()) {
                printed.insert(partition.clone(), position);
            }
            if is_at_end {
                reached.push(partition);
            }
        }
        self.out.flush()?;
        if !printed.is_empty() {
            self.commit(printed).await?;
        }
        for reset in records.resets() {
            let (topic, partition, from, to) = (&reset.topic, reset.partition, reset.from, reset.to);
            let reason = reset.reason;
            terminal::warn(format_args!("position of {topic}[{partition}] reset from {from} to {to}: {reason}"));
        }
        for partition in reached {
            self.leave(partition);
        }
        Ok(())
    }

    fn commits(&self) -> bool {
        self.options.group.is_some() && !self.options.no_commit
    }

    async fn commit(&mut self, printed: BTreeMap<TopicPartition, Position>) -> Outcome {
        match self.consumer.commit_positions(printed).await {
            // Partitions moved away before they were committed: their new owner prints the records again.
            Err(error) if self.options.joins() && error.kind() == Kind::Broker => terminal::warn(describe(&error)),
            result => result?,
        }
        Ok(())
    }

    /// Prints records of one partition. Returns the position after the last one, and whether the timestamp to stop at was reached.
    fn print(&mut self, records: PartitionRecords<'_>) -> io::Result<(Option<Position>, bool)> {
        let mut position = None;
        for record in records {
            if self.read == self.limit() {
                break;
            }
            if self.until.is_some_and(|until| record.timestamp >= until) {
                return Ok((position, true));
            }
            self.printer.print(&record, &mut self.out)?;
            self.read += 1;
            position = Some(record.next_position());
        }
        Ok((position, false))
    }

    /// Prints an error of one partition and goes on with the others. The library goes on by itself after an error that may pass;
    /// otherwise the partition is left.
    fn report(&mut self, error: ottla::Error) -> Outcome {
        if self.options.joins() && error.kind() == Kind::Timeout {
            // The group was left because printing took too long, and is joined again.
            terminal::warn(describe(&error));
            return Ok(());
        }
        let place = error.topic().zip(error.partition());
        let Some(place) = place.map(|(topic, partition)| TopicPartition::new(topic, partition)) else {
            return Err(error.into());
        };
        terminal::warn(describe(&error));
        if !error.is_retriable() {
            self.failed.insert(place.clone());
            self.leave(place);
        }
        Ok(())
    }

    fn leave(&mut self, partition: TopicPartition) {
        if self.options.joins() {
            let _ = self.consumer.pause([&partition]);
        } else {
            self.consumer.unassign_partitions([&partition]);
        }
        self.left.insert(partition);
    }
}
