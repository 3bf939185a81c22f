//! `ottla produce`: sends one record for each line and accounts for every one of them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ottla::producer::Delivery;
use ottla::producer::Producer;
use ottla::producer::Receipt;
use ottla::producer::Record;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Produce;
use crate::connect;
use crate::escape;

/// Pending deliveries. With more, the oldest is awaited before another line is read.
const PENDING_MAX: usize = 100_000;

/// Bytes of lines that are sent at once.
const CHUNK: usize = 1 << 16;

/// Failures that are printed one by one; the rest is only counted.
const FAILURES_SHOWN: u64 = 20;

pub(crate) async fn run(common: &Common, options: Produce) -> Outcome {
    let mut properties = connect::properties(common)?;
    if let Some(codec) = &options.compression {
        properties.set("compression.type", codec)?;
    }
    if let Some(acks) = &options.acks {
        properties.set("acks", acks)?;
    }
    let key_delimiter = options.key_delimiter.as_deref().map(key_delimiter).transpose()?;
    if let Some(partition) = options.partition.filter(|partition| *partition < 0) {
        return Err(Failure::Usage(format!("-p {partition}: partitions are numbered from 0")));
    }
    let inputs = open(&options.files)?;
    let client = connect::client(&properties).await?;
    let producer = client.producer().properties(&properties)?.build()?;
    let mut run = Run::new(&producer, &options, key_delimiter)?;
    // However reading ends, every line that was read is accounted for.
    let ended = run.inputs(inputs).await;
    run.finish().await?;
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

struct Input {
    name: Arc<str>,
    reader: BufReader<Box<dyn Read + Send>>,
}

/// Opens every file before the first record is sent.
fn open(files: &[impl AsRef<Path>]) -> Result<Vec<Input>, Failure> {
    let input = |name: &str, reader| Input { name: name.into(), reader: BufReader::with_capacity(CHUNK, reader) };
    if files.is_empty() {
        return Ok(vec![input("standard input", Box::new(io::stdin()))]);
    }
    let open = |path: &Path| -> Result<Input, Failure> {
        let name = path.display().to_string();
        let failed = |why: String| Failure::Failed(format!("could not open {name}: {why}"));
        let file = File::open(path).map_err(|error| failed(error.to_string()))?;
        if file.metadata().is_ok_and(|about| about.is_dir()) {
            return Err(failed("it is a directory; name files".to_owned()));
        }
        Ok(input(&name, Box::new(file)))
    };
    files.iter().map(|path| open(path.as_ref())).collect()
}

/// Reads an input on its own thread, because reading a terminal or a pipe blocks. Each chunk has whole lines, as many as are there at
/// once.
fn chunks(mut input: BufReader<Box<dyn Read + Send>>) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel(2);
    std::thread::spawn(move || {
        loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = loop {
                match input.read_until(b'\n', &mut chunk) {
                    Ok(0) => break Ok(()),
                    Ok(_) if chunk.len() < CHUNK && input.buffer().contains(&b'\n') => {}
                    Ok(_) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            let is_end = chunk.is_empty() || read.is_err();
            let sent = chunk.is_empty() || sender.blocking_send(Ok(chunk)).is_ok();
            if let Err(error) = read {
                // The receiver may be gone.
                let _ = sender.blocking_send(Err(error));
            }
            if is_end || !sent {
                return;
            }
        }
    });
    receiver
}

struct Run<'a> {
    producer: &'a Producer,
    options: &'a Produce,
    key_delimiter: Option<Vec<u8>>,
    headers: Vec<(&'a str, &'a str)>,
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
    fn new(producer: &'a Producer, options: &'a Produce, key_delimiter: Option<Vec<u8>>) -> Result<Self, Failure> {
        let headers =
            options.headers.iter().map(|header| connect::pair("-H", header)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            producer,
            options,
            key_delimiter,
            headers,
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
    async fn inputs(&mut self, inputs: Vec<Input>) -> Outcome {
        let mut interrupted = pin!(tokio::signal::ctrl_c());
        for Input { name, reader } in inputs {
            (self.name, self.line) = (name, 0);
            let mut chunks = chunks(reader);
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

    async fn send_all(&mut self, chunk: &[u8]) {
        for line in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.line += 1;
            self.lines += 1;
            self.send(line.strip_suffix(b"\n").unwrap_or(line)).await;
        }
    }

    async fn send(&mut self, line: &[u8]) {
        let origin = Line { name: Arc::clone(&self.name), number: self.line };
        let (key, value) = match self.split(line) {
            Some((key, value)) => (Some(key), value),
            None if self.options.strict => {
                let delimiter = self.options.key_delimiter.as_deref().unwrap_or_default();
                return self.fail(&origin, format!("no key delimiter '{delimiter}'; not sent (--strict)"));
            }
            None => (None, line),
        };
        if key.is_none() && self.key_delimiter.is_some() {
            self.keyless += 1;
            self.first_keyless.get_or_insert_with(|| origin.clone());
        }
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
        let at = line.windows(delimiter.len()).position(|window| window == delimiter)?;
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
        let mut interrupted = pin!(tokio::signal::ctrl_c());
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
                let (Failure::Failed(text) | Failure::Usage(text)) = Failure::from(error) else { return };
                self.fail(origin, text);
            }
        }
    }

    /// Counts and reports a record that was not acknowledged.
    fn fail(&mut self, origin: &Line, text: String) {
        let Line { name, number } = origin;
        self.failed += 1;
        if self.failed <= FAILURES_SHOWN {
            eprintln!("ottla: {name}, line {number}: {text}");
        }
        self.write_report(&json!({ "file": &**name, "line": number, "error": text }));
    }

    /// Reports the lines that had no key delimiter, once for all of them.
    fn report_keyless(&self) {
        let Some(Line { name, number }) = &self.first_keyless else { return };
        let delimiter = self.options.key_delimiter.as_deref().unwrap_or_default();
        let count = self.keyless;
        eprintln!(
            "ottla: lines without the key delimiter '{delimiter}', sent without a key: {count}, the first is {name}, line {number}; \
             --strict refuses them"
        );
    }

    fn outcome(&self, ended: Outcome) -> Outcome {
        let Self { lines, acknowledged, failed, .. } = self;
        let unacknowledged = (*failed > 0).then(|| format!("{failed} of {lines} records were not acknowledged"));
        match (ended, unacknowledged) {
            (Ok(()), None) => {
                eprintln!("{acknowledged} records acknowledged");
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
