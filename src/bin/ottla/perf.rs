//! `ottla perf`: measures CPU seconds per million records, throughput, and the latency of acknowledgements.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::disallowed_methods,
    reason = "the figures are approximate, and a tool may read the clock"
)]

use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use std::time::Instant;

use indicatif::ProgressBar;
use ottla::config::Properties;
use ottla::consumer::Consumer;
use ottla::consumer::Start;
use ottla::producer::Delivery;
use ottla::producer::Producer;
use ottla::producer::Record;
use serde_json::json;

use crate::Failure;
use crate::Outcome;
use crate::args::Common;
use crate::args::Perf;
use crate::args::PerfConsume;
use crate::args::PerfOptions;
use crate::args::PerfWhat;
use crate::connect;
use crate::say;
use crate::terminal;
use crate::usage::Usage;

/// Deliveries that may be pending.
const WINDOW: usize = 100_000;
/// Records enqueued between two looks at the deliveries.
const CHUNK: usize = 1_000;
/// The time in which a member of a group gets partitions.
const ASSIGNED_WITHIN: Duration = Duration::from_secs(60);
/// The time without a record after which a member of a group stops waiting for more.
const SILENCE: Duration = Duration::from_secs(10);
/// Records sent and acknowledged before the measurement.
const WARM_UP: u64 = 20_000;

pub(crate) async fn run(common: &Common, perf: Perf) -> Outcome {
    let properties = properties(common, &perf)?;
    let summary = match &perf.what {
        PerfWhat::Produce(options) => produce(&properties, options).await?,
        PerfWhat::Consume(PerfConsume { options, group: None }) => consume(&properties, options).await?,
        PerfWhat::Consume(PerfConsume { options, group: Some(_) }) => consume_in_group(&properties, options).await?,
        PerfWhat::Latency(options) => latency(&properties, options).await?,
    };
    Ok(summary.print(common.json)?)
}

/// The properties of `-X`, and those of the command's own options.
pub(crate) fn properties(common: &Common, perf: &Perf) -> Result<Properties, Failure> {
    let mut properties = connect::properties(common)?;
    let options = match &perf.what {
        PerfWhat::Produce(options) | PerfWhat::Latency(options) => options,
        PerfWhat::Consume(PerfConsume { options, group }) => {
            if let Some(group) = group {
                properties.set("group.id", group)?;
            }
            options
        }
    };
    check_size(options.size)?;
    if let Some(bytes) = options.batch_bytes {
        properties.set("batch.size", &bytes.to_string())?;
    }
    if let Some(linger) = options.linger_ms {
        properties.set("linger.ms", &linger.to_string())?;
    }
    if let Some(codec) = &options.compression {
        properties.set("compression.type", codec)?;
    }
    Ok(properties)
}

/// Checks `--size`. No record is larger than a request, and no request larger than this.
pub(crate) fn check_size(size: usize) -> Outcome {
    const SIZE_MAX: usize = 100_000_000;
    if size <= SIZE_MAX {
        return Ok(());
    }
    Err(Failure::Usage(format!("--size {size}: give at most {SIZE_MAX} bytes, and raise max.request.size to match")))
}

/// JSON-like values that differ, at most 16 MB of them, so that repetition does not help the codecs.
pub(crate) fn values(size: usize, seed: u64) -> Vec<Vec<u8>> {
    let count = (16_000_000 / size.max(1)).clamp(1, 65_536);
    let mut random = fastrand_like(seed);
    let value = |_| {
        let mut text = String::with_capacity(size + 80);
        while text.len() < size {
            let (a, b, c) = (random() % 10_000, random() % 1_000, random() % 100_000);
            text.push_str(&format!("{{\"host\":\"node-{b}\",\"metric\":\"cpu.load\",\"value\":{a}.{c},\"ok\":true}}"));
        }
        text.truncate(size);
        text.into_bytes()
    };
    (0..count).map(value).collect()
}

/// A small deterministic generator (xorshift), enough for payloads.
fn fastrand_like(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

async fn produce(properties: &Properties, options: &PerfOptions) -> Result<Summary, Failure> {
    let client = connect::client(properties).await?;
    let producer = client.producer().properties(properties)?.build()?;
    let values = values(options.size, 7);
    send_all(&producer, options, &values, WARM_UP.min(options.records), &ProgressBar::hidden()).await?;
    let bar = terminal::records_bar(options.records);
    let (started, before) = (Instant::now(), Usage::now());
    let acked = send_all(&producer, options, &values, options.records, &bar).await?;
    let summary = Summary::measured(options, acked, started, before);
    bar.finish_and_clear();
    producer.close(Duration::from_secs(30)).await?;
    Ok(summary)
}

/// Sends `count` records and awaits the delivery of each.
async fn send_all(
    producer: &Producer,
    options: &PerfOptions,
    values: &[Vec<u8>],
    count: u64,
    bar: &ProgressBar,
) -> Result<u64, Failure> {
    let mut pending: VecDeque<Delivery> = VecDeque::with_capacity(WINDOW + CHUNK);
    let mut chosen = values.iter().cycle();
    let (mut sent, mut acked) = (0, 0);
    let started = Instant::now();
    while sent < count {
        let chunk = (count - sent).min(CHUNK as u64);
        for _ in 0..chunk {
            let value = chosen.next().map_or(&[][..], Vec::as_slice);
            pending.push_back(producer.enqueue(Record::to(&options.topic).value(value)).await?);
        }
        sent += chunk;
        while pending.len() > WINDOW {
            acked += await_oldest(&mut pending).await?;
        }
        bar.set_position(acked);
        if let Some(rate) = options.rate {
            let due = started + Duration::from_nanos(sent.saturating_mul(1_000_000_000) / rate.max(1));
            tokio::time::sleep_until(due.into()).await;
        }
    }
    while !pending.is_empty() {
        acked += await_oldest(&mut pending).await?;
    }
    Ok(acked)
}

async fn await_oldest(pending: &mut VecDeque<Delivery>) -> Result<u64, Failure> {
    let Some(delivery) = pending.pop_front() else { return Ok(0) };
    delivery.await?;
    Ok(1)
}

async fn consume(properties: &Properties, options: &PerfOptions) -> Result<Summary, Failure> {
    let bar = terminal::records_bar(options.records);
    let (started, before) = (Instant::now(), Usage::now());
    let client = connect::client(properties).await?;
    let mut consumer = client
        .consumer()
        .properties(properties)?
        .assign([options.topic.as_str()])
        .start(Start::Earliest)
        .until_end()
        .build()?;
    let (read, bytes) = read(&mut consumer, options.records, &bar, Duration::MAX).await?;
    let mut summary = Summary::measured(options, read, started, before);
    bar.finish_and_clear();
    summary.bytes = bytes as f64;
    consumer.close().await?;
    if read < options.records {
        return Err(Failure::Failed(format!(
            "the topic has only {read} records; --records requested {}",
            options.records
        )));
    }
    Ok(summary)
}

/// Reads so many records, or fewer if the read ends, or if none comes for as long as `silence`. Returns their number, and the bytes of
/// their values.
async fn read(
    consumer: &mut Consumer,
    wanted: u64,
    bar: &ProgressBar,
    silence: Duration,
) -> Result<(u64, usize), Failure> {
    let (mut read, mut bytes) = (0_u64, 0_usize);
    while read < wanted {
        let Ok(polled) = tokio::time::timeout(silence, consumer.poll()).await else { break };
        let Some(records) = polled? else { break };
        for record in &records {
            bytes += record.value.map_or(0, <[u8]>::len);
            read += 1;
        }
        bar.set_position(read);
    }
    Ok((read, bytes))
}

/// As [`consume`], as a member of the group in `properties`. Measures from the first assignment on: a new group waits for members
/// before it assigns (`group.initial.rebalance.delay.ms`).
async fn consume_in_group(properties: &Properties, options: &PerfOptions) -> Result<Summary, Failure> {
    let bar = terminal::records_bar(options.records);
    let client = connect::client(properties).await?;
    let builder = client.consumer().properties(properties)?.subscribe([options.topic.as_str()]);
    let mut consumer = builder.build()?;
    consumer.wait_for_assignment(ASSIGNED_WITHIN).await?;
    let (started, before) = (Instant::now(), Usage::now());
    let (read, bytes) = read(&mut consumer, options.records, &bar, SILENCE).await?;
    let mut summary = Summary::measured(options, read, started, before);
    bar.finish_and_clear();
    summary.bytes = bytes as f64;
    // It commits the positions after these records, and leaves the group.
    consumer.close().await?;
    if read < options.records {
        let (seconds, wanted) = (SILENCE.as_secs(), options.records);
        let text =
            format!("no more than {read} records arrived, and none for {seconds} s; --records requested {wanted}");
        return Err(Failure::Failed(text));
    }
    Ok(summary)
}

/// Measures from the intended time of each send, so that a stall counts for every record it delays.
async fn latency(properties: &Properties, options: &PerfOptions) -> Result<Summary, Failure> {
    let client = connect::client(properties).await?;
    let producer = client.producer().properties(properties)?.build()?;
    let values = values(options.size, 7);
    send_all(&producer, &PerfOptions { rate: None, ..options.clone() }, &values, 1_000, &ProgressBar::hidden()).await?;
    let gap = Duration::from_nanos(1_000_000_000 / options.rate.unwrap_or(1_000).max(1));
    let (started, before) = (Instant::now(), Usage::now());
    let mut awaiting = tokio::task::JoinSet::new();
    for (index, value) in (0..options.records).zip(values.iter().cycle()) {
        let intended = started + gap.mul_f64(index as f64);
        tokio::time::sleep_until(intended.into()).await;
        let delivery = producer.enqueue(Record::to(&options.topic).value(value)).await?;
        awaiting.spawn(async move { delivery.await.map(|_| intended.elapsed()) });
    }
    let mut taken = Vec::with_capacity(usize::try_from(options.records).unwrap_or_default());
    while let Some(outcome) = awaiting.join_next().await {
        taken.push(outcome.map_err(|error| Failure::Failed(error.to_string()))??);
    }
    taken.sort_unstable();
    let mut summary = Summary::measured(options, taken.len() as u64, started, before);
    summary.percentiles = Some([0.5, 0.99, 0.999].map(|share| percentile(&taken, share)));
    producer.close(Duration::from_secs(30)).await?;
    Ok(summary)
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).map_or(0.0, |taken| taken.as_secs_f64() * 1_000.0)
}

struct Summary {
    records: u64,
    size: usize,
    bytes: f64,
    wall_s: f64,
    usage: Usage,
    acked: u64,
    percentiles: Option<[f64; 3]>,
}

impl Summary {
    fn measured(options: &PerfOptions, acked: u64, started: Instant, before: Usage) -> Self {
        Self {
            records: options.records,
            size: options.size,
            bytes: options.size as f64 * acked as f64,
            wall_s: started.elapsed().as_secs_f64(),
            usage: Usage::now().since(before),
            acked,
            percentiles: None,
        }
    }

    fn print(&self, as_json: bool) -> io::Result<()> {
        let round = |value: f64| (value * 1_000.0).round() / 1_000.0;
        let per_second = self.acked as f64 / self.wall_s;
        let per_million = self.usage.cpu_s() * 1_000_000.0 / self.acked.max(1) as f64;
        let [p50, p99, p999] = self.percentiles.map_or([None; 3], |all| all.map(|value| Some(round(value))));
        if as_json {
            let object = json!({
                "records": self.records, "size": self.size, "wall_s": round(self.wall_s),
                "records_per_s": per_second.round(), "mb_per_s": round(self.bytes / self.wall_s / 1e6),
                "user_s": round(self.usage.user_s), "sys_s": round(self.usage.sys_s),
                "cpu_s_per_million": round(per_million), "max_rss_mb": round(self.usage.max_rss_mb),
                "acked": self.acked, "p50_ms": p50, "p99_ms": p99, "p999_ms": p999,
            });
            return say(object);
        }
        say(format_args!(
            "{} records in {:.2} s: {per_second:.0}/s, {:.1} MB/s, {per_million:.3} CPU s per million, {:.0} MB resident",
            self.acked,
            self.wall_s,
            self.bytes / self.wall_s / 1e6,
            self.usage.max_rss_mb
        ))?;
        if let (Some(p50), Some(p99), Some(p999)) = (p50, p99, p999) {
            say(format_args!("p50 {p50} ms, p99 {p99} ms, p99.9 {p999} ms"))?;
        }
        Ok(())
    }
}
