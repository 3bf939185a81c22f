//! The counters of a client for a metrics system, through the facade crate [`metrics`](https://docs.rs/metrics) (feature `metrics`).
//!
//! An [`Exporter`] reads [`Client::metrics`](crate::Client::metrics) at an interval and publishes what has changed to the recorder that the
//! program has installed, such as `metrics-exporter-prometheus`. Nothing is published where records are written and read, so they cost the same
//! with and without it. [`instruments`] lists the names, units and labels, and the repository's `docs/METRICS.md` shows them as a table.
//!
//! With the feature `opentelemetry` the names of OpenTelemetry's
//! [messaging conventions](https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics/) are published, too.
//!
//! ```no_run
//! # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
//! use std::time::Duration;
//!
//! use ottla::export::Exporter;
//!
//! // After a recorder was installed.
//! let exporter = Exporter::new(&client).label("cluster", "orders");
//! let publishing = tokio::spawn(exporter.run(Duration::from_secs(10)));
//! // At the end of the program.
//! publishing.abort();
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use ::metrics::Key;
use ::metrics::KeyName;
use ::metrics::Label;
use ::metrics::Level;
use ::metrics::Metadata;
use ::metrics::Recorder;
use ::metrics::Unit;

use crate::client::Client;
use crate::metrics::ConnectionCounters;
use crate::metrics::Latency;
use crate::metrics::Metrics;
use crate::metrics::Purpose;
use crate::net::clock;
use crate::types::bounded;

mod table;

pub use self::table::Instrument;
pub use self::table::InstrumentKind;
pub use self::table::Measure;
use self::table::Read;
pub use self::table::instruments;

/// The shortest interval of [`Exporter::run`].
const INTERVAL_LEAST: Duration = Duration::from_millis(100);

/// Publishes the counters of one client. See the [module](self).
///
/// A counter of a producer or a consumer is published as the sum over all of the client, because the number of those that a program builds has
/// no bound, and a metrics system keeps each label forever. What a producer or a consumer counted after the last publishing is lost when it is
/// dropped: a program that builds many short ones calls [`Exporter::publish`] before.
#[derive(Debug)]
pub struct Exporter {
    client: Client,
    labels: Vec<Label>,
    last: Metrics,
}

impl Exporter {
    /// An exporter of this client, which it keeps alive. The first publishing has everything that was counted before.
    pub fn new(client: &Client) -> Self {
        Self { client: client.clone(), labels: Vec::new(), last: Metrics::default() }
    }

    /// Adds a label to every metric, to tell the clients of one process from each other. The default is none: counters of several clients add
    /// up, and gauges overwrite each other.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push(Label::new(key.into(), value.into()));
        self
    }

    /// Describes all metrics to the recorder, and publishes at once and then every `interval`, without end: spawn it, and abort its task or
    /// drop it to stop. An interval below 100 ms counts as 100 ms.
    ///
    /// The timer runs on the client's runtime.
    ///
    /// Cancel safety: dropping the future stops publishing. What was counted since the last time is not published.
    pub async fn run(mut self, interval: Duration) {
        let interval = bounded(interval).max(INTERVAL_LEAST);
        self.describe();
        loop {
            self.publish();
            self.client.cluster().runtime().sleep_until(clock::now() + interval).await;
        }
    }

    /// Describes all metrics to the recorder that is installed: their units and meanings.
    pub fn describe(&self) {
        ::metrics::with_recorder(|recorder| {
            for instrument in instruments() {
                let (name, text) = (KeyName::from_const_str(instrument.name), instrument.description.into());
                let unit = Some(match instrument.unit {
                    Measure::Bytes => Unit::Bytes,
                    Measure::Count => Unit::Count,
                    Measure::Seconds => Unit::Seconds,
                });
                match instrument.kind {
                    InstrumentKind::Counter => recorder.describe_counter(name, unit, text),
                    InstrumentKind::Gauge => recorder.describe_gauge(name, unit, text),
                    InstrumentKind::Histogram => recorder.describe_histogram(name, unit, text),
                }
            }
        });
    }

    /// Reads all counters and publishes what was counted since the last call, to the recorder that is installed. It never waits for a broker.
    ///
    /// Without a recorder, the numbers are dropped: install it first.
    pub fn publish(&mut self) {
        let now = self.client.metrics();
        let changes = Changes::between(&self.last, &now);
        ::metrics::with_recorder(|recorder| {
            for instrument in instruments() {
                self.publish_to(recorder, instrument, &changes);
            }
        });
        drop(changes);
        self.last = now;
    }

    fn publish_to(&self, recorder: &dyn Recorder, instrument: &Instrument, changes: &Changes<'_>) {
        let publish = |labels: &[(&'static str, &'static str)], value: u64| {
            let key = self.key(instrument, labels);
            let metadata = Metadata::new("ottla", Level::INFO, None);
            match instrument.kind {
                InstrumentKind::Gauge => recorder.register_gauge(&key, &metadata).set(float(value)),
                InstrumentKind::Counter | InstrumentKind::Histogram => {
                    recorder.register_counter(&key, &metadata).increment(value);
                }
            }
        };
        let is_gauge = instrument.kind == InstrumentKind::Gauge;
        match instrument.read {
            Read::Connections(read) => {
                for (purpose, (before, now)) in &changes.connections {
                    publish(&[("purpose", name_of(*purpose))], change(is_gauge, read(before), read(now)));
                }
            }
            Read::Consumers(read) => {
                let all = changes.consumers.iter();
                publish(&[], all.map(|(before, now)| change(is_gauge, read(before), read(now))).sum());
            }
            Read::Metadata(read) => {
                publish(&[], change(is_gauge, read(changes.metadata.0), read(changes.metadata.1)));
            }
            Read::Producers(read) => {
                let all = changes.producers.iter();
                publish(&[], all.map(|(before, now)| change(is_gauge, read(before), read(now))).sum());
            }
            Read::Latency(of) => {
                for (purpose, (before, now)) in
                    changes.connections.iter().filter(|(purpose, _)| of.is_none_or(|of| of == **purpose))
                {
                    let labels = [("purpose", name_of(*purpose))];
                    let key = self.key(instrument, if of.is_none() { &labels } else { &[] });
                    let histogram = recorder.register_histogram(&key, &Metadata::new("ottla", Level::INFO, None));
                    for (seconds, count) in measurements(&before.latency, &now.latency) {
                        histogram.record_many(seconds, usize::try_from(count).unwrap_or(usize::MAX));
                    }
                }
            }
        }
    }

    fn key(&self, instrument: &Instrument, labels: &[(&'static str, &'static str)]) -> Key {
        let own = instrument.constant.iter().chain(labels).map(|(key, value)| Label::from_static_parts(key, value));
        Key::from_parts(instrument.name, own.chain(self.labels.iter().cloned()).collect::<Vec<_>>())
    }
}

/// The readings of the last publishing beside those of this one.
struct Changes<'m> {
    connections: BTreeMap<Purpose, (ConnectionCounters, ConnectionCounters)>,
    consumers: Vec<(crate::metrics::ConsumerMetrics, &'m crate::metrics::ConsumerMetrics)>,
    metadata: (&'m crate::metrics::MetadataMetrics, &'m crate::metrics::MetadataMetrics),
    producers: Vec<(crate::metrics::ProducerMetrics, &'m crate::metrics::ProducerMetrics)>,
}

impl<'m> Changes<'m> {
    fn between(before: &'m Metrics, now: &'m Metrics) -> Self {
        let mut old = by_purpose(before);
        let connections = by_purpose(now)
            .into_iter()
            .map(|(purpose, now)| (purpose, (old.remove(&purpose).unwrap_or_default(), now)));
        let consumer = |id: u64| before.consumers.iter().find(|one| one.id == id).cloned().unwrap_or_default();
        let producer = |id: u64| before.producers.iter().find(|one| one.id == id).cloned().unwrap_or_default();
        Self {
            connections: connections.collect(),
            consumers: now.consumers.iter().map(|one| (consumer(one.id), one)).collect(),
            metadata: (&before.metadata, &now.metadata),
            producers: now.producers.iter().map(|one| (producer(one.id), one)).collect(),
        }
    }
}

/// The counters of all connections of a purpose, those that ended included. They never shrink.
fn by_purpose(metrics: &Metrics) -> BTreeMap<Purpose, ConnectionCounters> {
    let mut sums = metrics.retired_by_purpose.clone();
    for connection in &metrics.connections {
        sums.entry(connection.purpose).or_default().add(&connection.counters);
    }
    sums
}

/// A gauge's value, or how much a counter has grown.
fn change(is_gauge: bool, before: u64, now: u64) -> u64 {
    if is_gauge { now } else { now.saturating_sub(before) }
}

/// New measurements by their buckets, each as the end of its bucket in seconds: at most twice the exact value.
fn measurements(before: &Latency, now: &Latency) -> impl Iterator<Item = (f64, u64)> {
    let longest = now.max_us;
    let counts = now.buckets.iter().zip(before.buckets).map(|(now, before)| now.saturating_sub(before));
    let new = counts.enumerate().filter(|(_, count)| *count > 0);
    new.collect::<Vec<_>>().into_iter().map(move |(bucket, count)| {
        let end = if bucket + 1 < Latency::BUCKETS { 1 << bucket } else { u64::MAX };
        (float(longest.min(end)) / 1e6, count)
    })
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 53 bits")]
fn float(value: u64) -> f64 {
    value as f64
}

fn name_of(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Admin => "admin",
        Purpose::Control => "control",
        Purpose::Fetch => "fetch",
        Purpose::Produce => "produce",
    }
}
