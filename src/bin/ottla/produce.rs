//! `ottla produce`: one record a line, every one of them answered for.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ottla::producer::Delivery;
use ottla::producer::Producer;
use ottla::producer::Receipt;
use ottla::producer::Record;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Produce;
use crate::connect;

/// Deliveries not yet looked at; past it the oldest is awaited before another line is read.
const PENDING_MAX: usize = 100_000;

/// Each failure is told on its own line up to this many; the rest is counted.
const FAILURES_TOLD: u64 = 20;

pub(crate) async fn run(common: &Common, options: Produce) -> Outcome {
    let mut properties = connect::properties(common)?;
    if let Some(codec) = &options.compression {
        properties.set("compression.type", codec)?;
    }
    if let Some(acks) = &options.acks {
        properties.set("acks", acks)?;
    }
    let inputs = open(&options.files)?;
    let client = connect::client(&properties).await?;
    let producer = client.producer().properties(&properties)?.build()?;
    let mut run = Run::new(&producer, &options)?;
    for (name, input) in inputs {
        run.lines(&name, input).await?;
    }
    run.finish().await?;
    producer.close(Duration::from_secs(30)).await?;
    run.outcome()
}

type Input = (String, Box<dyn BufRead + Send>);

/// Opens every file before the first record is sent.
fn open(files: &[impl AsRef<Path>]) -> Result<Vec<Input>, Failure> {
    if files.is_empty() {
        return Ok(vec![("standard input".to_owned(), Box::new(BufReader::new(io::stdin())))]);
    }
    let open = |path: &Path| -> Result<Input, Failure> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| Failure::Failed(format!("could not open {name}: {error}")))?;
        Ok((name, Box::new(BufReader::with_capacity(1 << 16, file))))
    };
    files.iter().map(|path| open(path.as_ref())).collect()
}

struct Run<'a> {
    producer: &'a Producer,
    options: &'a Produce,
    headers: Vec<(&'a str, &'a str)>,
    /// Deliveries in the order of their lines, with the line's number.
    pending: VecDeque<(u64, Delivery)>,
    line: u64,
    acknowledged: u64,
    failed: u64,
    report: io::BufWriter<io::Stdout>,
}

impl<'a> Run<'a> {
    fn new(producer: &'a Producer, options: &'a Produce) -> Result<Self, Failure> {
        let headers =
            options.headers.iter().map(|header| connect::pair("-H", header)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            producer,
            options,
            headers,
            pending: VecDeque::new(),
            line: 0,
            acknowledged: 0,
            failed: 0,
            report: io::BufWriter::new(io::stdout()),
        })
    }

    async fn lines(&mut self, name: &str, mut input: Box<dyn BufRead + Send>) -> Outcome {
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = input
                .read_until(b'\n', &mut line)
                .map_err(|error| Failure::Failed(format!("could not read {name} after line {}: {error}", self.line)))?;
            if read == 0 {
                return Ok(());
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            self.line += 1;
            self.send(&line).await?;
        }
    }

    async fn send(&mut self, line: &[u8]) -> Outcome {
        let (key, value) = self.split(line);
        let mut record = Record::to(&self.options.topic);
        if let Some(key) = key {
            record = record.key(key);
        }
        if !(value.is_empty() && self.options.tombstones) {
            record = record.value(value);
        }
        for (name, value) in &self.headers {
            record = record.header(name, value);
        }
        if let Some(partition) = self.options.partition {
            record = record.partition(partition);
        }
        match self.producer.enqueue(record).await {
            Ok(delivery) => self.pending.push_back((self.line, delivery)),
            Err(error) => self.decided(self.line, Err(error))?,
        }
        while self.pending.len() >= PENDING_MAX {
            self.await_oldest().await?;
        }
        Ok(())
    }

    fn split<'l>(&self, line: &'l [u8]) -> (Option<&'l [u8]>, &'l [u8]) {
        let Some(delimiter) = self.options.key_delimiter.as_deref().map(str::as_bytes) else {
            return (None, line);
        };
        match line.windows(delimiter.len().max(1)).position(|window| window == delimiter) {
            Some(at) => (Some(&line[..at]), &line[at + delimiter.len()..]),
            None => (None, line),
        }
    }

    async fn await_oldest(&mut self) -> Outcome {
        if let Some((line, delivery)) = self.pending.pop_front() {
            let outcome = delivery.await;
            self.decided(line, outcome)?;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Outcome {
        while !self.pending.is_empty() {
            self.await_oldest().await?;
        }
        self.report.flush()?;
        Ok(())
    }

    fn decided(&mut self, line: u64, outcome: Result<Receipt, ottla::Error>) -> Outcome {
        match outcome {
            Ok(receipt) => {
                self.acknowledged += 1;
                if self.options.report {
                    let object = json!({ "line": line, "partition": receipt.partition, "offset": receipt.offset });
                    writeln!(self.report, "{object}")?;
                }
            }
            Err(error) => {
                self.failed += 1;
                if self.options.report {
                    writeln!(self.report, "{}", json!({ "line": line, "error": error.to_string() }))?;
                }
                if self.failed <= FAILURES_TOLD {
                    eprintln!("ottla: line {line}: {error}");
                }
            }
        }
        Ok(())
    }

    fn outcome(&self) -> Outcome {
        let Self { line, acknowledged, failed, .. } = self;
        if *failed > 0 {
            return Err(Failure::Failed(format!("{failed} of {line} records were not acknowledged")));
        }
        eprintln!("{acknowledged} records acknowledged");
        Ok(())
    }
}
