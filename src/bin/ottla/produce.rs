//! `ottla produce`: sends one record for each line and accounts for every one of them.

use std::collections::VecDeque;
use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use ottla::config::Properties;
use ottla::producer::Delivery;
use ottla::producer::Producer;
use ottla::producer::Receipt;
use ottla::producer::Record;
use serde_json::Value;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Produce;
use crate::connect;
use crate::describe;
use crate::escape;
use crate::input;
use crate::input::Input;
use crate::outage;
use crate::partitions;
use crate::signals;
use crate::split;
use crate::split::Chunk;
use crate::split::Piece;
use crate::split::Splitting;
use crate::terminal;

/// Pending deliveries. With more, the oldest is awaited before another line is read.
const PENDING_MAX: usize = 100_000;

/// Failures that are printed one by one; the rest is only counted.
const FAILURES_SHOWN: u64 = 20;

/// The properties of `-X`, and those of the command's own options.
pub(crate) fn properties(common: &Common, options: &Produce) -> Result<Properties, Failure> {
    let mut properties = connect::properties(common)?;
    if let Some(codec) = &options.compression {
        properties.set("compression.type", codec)?;
    }
    if let Some(acks) = &options.acks {
        properties.set("acks", acks)?;
    }
    Ok(properties)
}

pub(crate) async fn run(common: &Common, options: Produce) -> Outcome {
    let properties = properties(common, &options)?;
    let key_delimiter = options.key_delimiter.as_deref().map(key_delimiter).transpose()?;
    let splitting = splitting(&properties, &options)?;
    let inputs = input::open(&options.files)?;
    let client = connect::client(&properties).await?;
    partitions::check(&client, &[&options.topic], "-p", options.partition.as_slice()).await?;
    let producer = client.producer().properties(&properties)?.build()?;
    let bar = bar(&inputs, &options);
    outage::report(&client, bar.clone());
    let mut run = Run::new(&producer, &options, key_delimiter, bar)?;
    // However reading ends, every line that was read is accounted for.
    let ended = run.inputs(inputs, splitting).await;
    let finished = run.finish().await;
    run.bar.finish_and_clear();
    finished?;
    // Every delivery is decided, so closing does not wait.
    drop(producer.close(Duration::from_secs(30)).await);
    run.report_keyless();
    run.outcome(ended)
}

fn key_delimiter(text: &str) -> Result<Vec<u8>, Failure> {
    match escape::delimiter("-K", text)? {
        empty if empty.is_empty() => {
            Err(Failure::Usage("-K: an empty delimiter splits nothing; give one or more characters".to_owned()))
        }
        delimiter => Ok(delimiter),
    }
}

fn splitting(properties: &Properties, options: &Produce) -> Result<Splitting, Failure> {
    let delimiter = escape::delimiter("-D", options.delimiter.as_deref().unwrap_or(r"\n"))?;
    if delimiter.is_empty() {
        let text = "-D: an empty delimiter splits nothing; --whole sends each file as one record";
        return Err(Failure::Usage(text.to_owned()));
    }
    let delimiter = Some(delimiter).filter(|_| !options.whole);
    let record_max = connect::value(properties, "max.request.size").and_then(|bytes| bytes.parse().ok());
    Ok(Splitting { delimiter, record_max: record_max.unwrap_or(usize::MAX) })
}

/// A bar of the bytes of all files, if each has a length, and if no report is printed between.
fn bar(inputs: &[Input], options: &Produce) -> ProgressBar {
    let is_mixed = options.report && io::stdout().is_terminal();
    match inputs.iter().map(|input| input.length).sum::<Option<u64>>() {
        Some(bytes) if !is_mixed => terminal::bytes_bar(bytes),
        _ => ProgressBar::hidden(),
    }
}

struct Run<'a> {
    producer: &'a Producer,
    options: &'a Produce,
    key_delimiter: Option<Vec<u8>>,
    headers: Vec<(&'a str, &'a str)>,
    bar: ProgressBar,
    /// Deliveries in the order of their lines.
    pending: VecDeque<(Line, Delivery)>,
    name: Arc<str>,
    /// The line number in the current input.
    line: u64,
    lines: u64,
    acknowledged: u64,
    failed: u64,
    /// Lines without the key delimiter that were sent.
    keyless: u64,
    first_keyless: Option<Line>,
    report: Option<io::BufWriter<io::Stdout>>,
}

/// The origin of a record.
#[derive(Clone)]
struct Line {
    name: Arc<str>,
    number: u64,
}

impl<'a> Run<'a> {
    fn new(
        producer: &'a Producer,
        options: &'a Produce,
        key_delimiter: Option<Vec<u8>>,
        bar: ProgressBar,
    ) -> Result<Self, Failure> {
        let headers =
            options.headers.iter().map(|header| connect::pair("-H", header)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            producer,
            options,
            key_delimiter,
            headers,
            bar,
            pending: VecDeque::new(),
            name: "".into(),
            line: 0,
            lines: 0,
            acknowledged: 0,
            failed: 0,
            keyless: 0,
            first_keyless: None,
            report: options.report.then(|| io::BufWriter::new(io::stdout())),
        })
    }

    /// Sends every line of every input, until all are read or the user interrupts.
    async fn inputs(&mut self, inputs: Vec<Input>, splitting: Splitting) -> Outcome {
        let mut interrupted = pin!(signals::interrupted());
        for input in inputs {
            (self.name, self.line) = (Arc::clone(&input.name), 0);
            let mut chunks = input.chunks(splitting.clone());
            loop {
                let chunk = tokio::select! {
                    chunk = chunks.recv() => chunk,
                    // Failures are printed when they happen, not when there is more to read.
                    () = self.await_oldest(), if !self.pending.is_empty() => continue,
                    _ = &mut interrupted => return Err(Failure::Failed("interrupted".to_owned())),
                };
                match chunk {
                    None => break,
                    Some(Ok(chunk)) => tokio::select! {
                        () = self.send_all(&chunk) => {}
                        // The record that waits for capacity is withdrawn.
                        _ = &mut interrupted => {
                            let (name, line) = (&self.name, self.line);
                            return Err(Failure::Failed(format!("interrupted at {name}, line {line}")));
                        }
                    },
                    Some(Err(error)) => {
                        let (name, line) = (&self.name, self.line);
                        return Err(Failure::Failed(format!("could not read {name} after line {line}: {error}")));
                    }
                }
            }
        }
        Ok(())
    }

    async fn send_all(&mut self, chunk: &Chunk) {
        for piece in &chunk.pieces {
            self.line += 1;
            self.lines += 1;
            let origin = Line { name: Arc::clone(&self.name), number: self.line };
            match piece {
                Piece::Record(range) => self.send(origin, &chunk.bytes[range.clone()]).await,
                Piece::TooLong => {
                    self.fail(&origin, "it is longer than a request may be: raise max.request.size (not written)");
                }
            }
        }
        self.bar.inc(u64::try_from(chunk.read).unwrap_or(0));
    }

    async fn send(&mut self, origin: Line, line: &[u8]) {
        let is_null = |bytes: &[u8]| bytes.is_empty() && self.options.tombstones;
        let (key, value) = match self.split(line) {
            Some((key, value)) => (Some(key).filter(|key| !is_null(key)), value),
            None if self.options.key.is_some() || self.key_delimiter.is_none() => {
                (self.options.key.as_deref().map(str::as_bytes), line)
            }
            None if self.options.strict => {
                let delimiter = self.options.key_delimiter.as_deref().unwrap_or_default();
                return self.fail(&origin, &format!("no key delimiter '{delimiter}'; not sent (--strict)"));
            }
            None => {
                self.keyless += 1;
                self.first_keyless.get_or_insert_with(|| origin.clone());
                (None, line)
            }
        };
        let mut record = Record::to(&self.options.topic);
        if let Some(key) = key {
            record = record.key(key);
        }
        if !is_null(value) {
            record = record.value(value);
        }
        for (name, value) in &self.headers {
            record = record.header(name, value);
        }
        if let Some(partition) = self.options.partition {
            record = record.partition(partition);
        }
        match self.producer.enqueue(record).await {
            Ok(delivery) => self.pending.push_back((origin, delivery)),
            Err(error) => self.decided(&origin, Err(error)),
        }
        while self.pending.len() >= PENDING_MAX {
            self.await_oldest().await;
        }
    }

    /// Splits a line at its first key delimiter.
    fn split<'l>(&self, line: &'l [u8]) -> Option<(&'l [u8], &'l [u8])> {
        let delimiter = self.key_delimiter.as_deref()?;
        let at = split::find(line, delimiter)?;
        Some((&line[..at], &line[at + delimiter.len()..]))
    }

    /// Cancel safe: a delivery that is still pending stays the oldest.
    async fn await_oldest(&mut self) {
        let Some((_, delivery)) = self.pending.front_mut() else { return };
        let outcome = delivery.await;
        if let Some((origin, _)) = self.pending.pop_front() {
            self.decided(&origin, outcome);
        }
        if self.pending.is_empty() {
            self.flush();
        }
    }

    /// Awaits the pending deliveries, unless the user interrupts once more.
    async fn finish(&mut self) -> Outcome {
        let mut interrupted = pin!(signals::interrupted());
        while !self.pending.is_empty() {
            tokio::select! {
                () = self.await_oldest() => {}
                _ = &mut interrupted => {
                    let left = self.pending.len();
                    return Err(Failure::Failed(format!("interrupted: {left} records may or may not be written")));
                }
            }
        }
        self.flush();
        Ok(())
    }

    fn flush(&mut self) {
        if self.report.as_mut().is_some_and(|report| report.flush().is_err()) {
            // The report's reader has closed its end; sending continues.
            self.report = None;
        }
    }

    fn write_report(&mut self, object: &Value) {
        if self.report.as_mut().is_some_and(|report| writeln!(report, "{object}").is_err()) {
            self.report = None;
        }
    }

    fn decided(&mut self, origin: &Line, outcome: Result<Receipt, ottla::Error>) {
        match outcome {
            Ok(receipt) => {
                self.acknowledged += 1;
                if self.report.is_some() {
                    let (Receipt { partition, offset, .. }, Line { name, number }) = (receipt, origin);
                    self.write_report(
                        &json!({ "file": &**name, "line": number, "partition": partition, "offset": offset }),
                    );
                }
            }
            Err(error) => {
                self.fail(origin, &describe(&error));
            }
        }
    }

    /// Counts and reports a record that was not acknowledged.
    fn fail(&mut self, origin: &Line, text: &str) {
        let Line { name, number } = origin;
        self.failed += 1;
        if self.failed <= FAILURES_SHOWN {
            self.bar.suspend(|| terminal::warn(format_args!("{name}, line {number}: {text}")));
        }
        self.write_report(&json!({ "file": &**name, "line": number, "error": text }));
    }

    /// Reports the lines that had no key delimiter, once for all of them.
    fn report_keyless(&self) {
        let Some(Line { name, number }) = &self.first_keyless else { return };
        let delimiter = self.options.key_delimiter.as_deref().unwrap_or_default();
        let count = self.keyless;
        terminal::warn(format_args!(
            "lines without the key delimiter '{delimiter}', sent without a key: {count}, the first is {name}, line {number}; \
             --strict refuses them"
        ));
    }

    fn outcome(&self, ended: Outcome) -> Outcome {
        let Self { lines, acknowledged, failed, .. } = self;
        let unacknowledged = (*failed > 0).then(|| format!("{failed} of {lines} records were not acknowledged"));
        match (ended, unacknowledged) {
            (Ok(()), None) => {
                terminal::note(format_args!("{acknowledged} records acknowledged"));
                Ok(())
            }
            (Ok(()), Some(text)) => Err(Failure::Failed(text)),
            (Err(Failure::Failed(why)), None) => {
                Err(Failure::Failed(format!("{why}; {acknowledged} records were acknowledged, all that were read")))
            }
            (Err(Failure::Failed(why)), Some(text)) => Err(Failure::Failed(format!("{why}; {text}"))),
            (Err(other), _) => Err(other),
        }
    }
}
