//! The one table of metrics: names, kinds, units, labels, and where each number comes from.

use self::Measure::Bytes;
use self::Measure::Count;
use self::Read::Connections;
use self::Read::Consumers;
use self::Read::Metadata;
use self::Read::Producers;
use crate::metrics::ConnectionCounters;
use crate::metrics::ConsumerMetrics;
use crate::metrics::MetadataMetrics;
use crate::metrics::ProducerMetrics;
use crate::metrics::Purpose;

/// One metric that an [`Exporter`](super::Exporter) publishes.
///
/// ```
/// use ottla::export::instruments;
///
/// for instrument in instruments() {
///     println!("{} ({}): {}", instrument.name, instrument.kind.name(), instrument.description);
/// }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Instrument {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: InstrumentKind,
    /// The unit of its values.
    pub unit: Measure,
    /// The keys of its labels whose values vary, besides those of [`Exporter::label`](super::Exporter::label).
    pub labels: &'static [&'static str],
    /// Labels that always have the same value.
    pub constant: &'static [(&'static str, &'static str)],
    /// Its meaning.
    pub description: &'static str,
    pub(super) read: Read,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InstrumentKind {
    /// It only grows.
    Counter,
    /// It is a present value.
    Gauge,
    /// It is a distribution of durations, each the end of a power of two: at most twice the exact one.
    Histogram,
}

impl InstrumentKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Measure {
    /// Bytes.
    Bytes,
    /// Things that are counted.
    Count,
    /// Seconds.
    Seconds,
}

impl Measure {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Seconds => "seconds",
        }
    }
}

/// Where a metric is read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read {
    Connections(fn(&ConnectionCounters) -> u64),
    Consumers(fn(&ConsumerMetrics) -> u64),
    /// Of the connections of one purpose, or of each by its label.
    Latency(Option<Purpose>),
    Metadata(fn(&MetadataMetrics) -> u64),
    Producers(fn(&ProducerMetrics) -> u64),
}

/// All metrics of this build.
pub fn instruments() -> impl Iterator<Item = &'static Instrument> {
    let conventions: &[Instrument] = if cfg!(feature = "opentelemetry") { CONVENTIONS } else { &[] };
    TABLE.iter().chain(conventions)
}

const fn row(
    name: &'static str,
    kind: InstrumentKind,
    unit: Measure,
    read: Read,
    description: &'static str,
) -> Instrument {
    let labels: &[&str] = match read {
        Connections(_) | Read::Latency(None) => &["purpose"],
        _ => &[],
    };
    Instrument { name, kind, unit, labels, constant: &[], description, read }
}

const fn counter(name: &'static str, read: Read, description: &'static str) -> Instrument {
    row(name, InstrumentKind::Counter, Count, read, description)
}

const fn bytes(name: &'static str, read: Read, description: &'static str) -> Instrument {
    row(name, InstrumentKind::Counter, Bytes, read, description)
}

const fn gauge(name: &'static str, unit: Measure, read: Read, description: &'static str) -> Instrument {
    row(name, InstrumentKind::Gauge, unit, read, description)
}

const TABLE: &[Instrument] = &[
    counter("ottla_connection_requests_total", Connections(|c| c.requests), "Requests passed to a socket"),
    counter("ottla_connection_responses_total", Connections(|c| c.responses), "Responses received and decoded"),
    bytes("ottla_connection_sent_bytes_total", Connections(|c| c.sent_bytes), "Bytes written to sockets"),
    bytes("ottla_connection_received_bytes_total", Connections(|c| c.received_bytes), "Bytes read from sockets"),
    counter("ottla_connection_connects_total", Connections(|c| c.connects), "Connections that were set up"),
    counter("ottla_connection_failures_total", Connections(|c| c.connect_failures), "Attempts to connect that failed"),
    counter(
        "ottla_connection_reauthentications_total",
        Connections(|c| c.reauthentications),
        "Authentications of connections in use",
    ),
    counter(
        "ottla_connection_disconnects_total",
        Connections(|c| c.disconnects),
        "Connections that were set up and lost",
    ),
    counter("ottla_connection_timeouts_total", Connections(|c| c.timeouts), "Requests whose deadline passed"),
    counter("ottla_connection_throttles_total", Connections(|c| c.throttles), "Responses that throttled the client"),
    counter(
        "ottla_connection_throttled_milliseconds_total",
        Connections(|c| c.throttled_ms),
        "The sum of their throttle times in milliseconds",
    ),
    gauge("ottla_connection_in_flight", Count, Connections(|c| c.in_flight), "Requests without a response yet"),
    row(
        "ottla_connection_request_duration_seconds",
        InstrumentKind::Histogram,
        Measure::Seconds,
        Read::Latency(None),
        "Time from writing a request to its response",
    ),
    counter("ottla_metadata_refreshes_total", Metadata(|m| m.refreshes), "Metadata responses that were taken"),
    counter("ottla_metadata_failures_total", Metadata(|m| m.failures), "Metadata requests without a usable response"),
    counter(
        "ottla_metadata_leader_changes_total",
        Metadata(|m| m.leader_changes),
        "Partitions that got another leader",
    ),
    gauge("ottla_metadata_topics", Count, Metadata(|m| m.topics), "Topics that are known"),
    gauge("ottla_metadata_brokers", Count, Metadata(|m| m.brokers), "Brokers that are known"),
    counter("ottla_producer_records_total", Producers(|p| p.records), "Records that were accepted"),
    bytes("ottla_producer_record_bytes_total", Producers(|p| p.record_bytes), "Their bytes before compression"),
    counter("ottla_producer_batches_total", Producers(|p| p.batches), "Batches that were sealed"),
    bytes("ottla_producer_batch_bytes_total", Producers(|p| p.batch_bytes), "Their bytes after compression"),
    counter("ottla_producer_requests_total", Producers(|p| p.requests), "Produce requests that were sent"),
    counter("ottla_producer_retries_total", Producers(|p| p.retries), "Batches that were sent again"),
    counter("ottla_producer_splits_total", Producers(|p| p.splits), "Batches that were split for being too large"),
    counter("ottla_producer_expired_total", Producers(|p| p.expired), "Records not decided by their delivery timeout"),
    counter("ottla_producer_acknowledged_total", Producers(|p| p.acknowledged), "Records that were acknowledged"),
    counter("ottla_producer_not_written_total", Producers(|p| p.not_written), "Records that failed and are in no log"),
    counter(
        "ottla_producer_maybe_written_total",
        Producers(|p| p.maybe_written),
        "Records that failed and may be in the log",
    ),
    counter("ottla_producer_epoch_bumps_total", Producers(|p| p.epoch_bumps), "New producer epochs or ids"),
    gauge("ottla_producer_queued_records", Count, Producers(|p| p.queued_records), "Records that are not decided"),
    gauge("ottla_producer_queued_bytes", Bytes, Producers(|p| p.queued_bytes), "Bytes of the buffer in use"),
    gauge(
        "ottla_producer_queued_batches",
        Count,
        Producers(|p| p.queued_batches),
        "Batches that are open, waiting or in flight",
    ),
    counter("ottla_consumer_records_total", Consumers(|c| c.records), "Records that polls returned"),
    counter("ottla_consumer_batches_total", Consumers(|c| c.batches), "Batches that were read for them"),
    bytes("ottla_consumer_fetched_bytes_total", Consumers(|c| c.fetched_bytes), "Bytes of batches that were fetched"),
    counter("ottla_consumer_fetch_requests_total", Consumers(|c| c.fetch_requests), "Fetch requests that were sent"),
    counter(
        "ottla_consumer_fetch_responses_total",
        Consumers(|c| c.fetch_responses),
        "Fetch responses that were received",
    ),
    counter("ottla_consumer_full_fetches_total", Consumers(|c| c.full_fetches), "Fetch requests outside a session"),
    counter(
        "ottla_consumer_incremental_fetches_total",
        Consumers(|c| c.incremental_fetches),
        "Fetch requests within a session",
    ),
    counter(
        "ottla_consumer_sessions_lost_total",
        Consumers(|c| c.sessions_lost),
        "Fetch sessions that brokers lost or refused",
    ),
    counter("ottla_consumer_resets_total", Consumers(|c| c.resets), "Positions that were reset"),
    counter("ottla_consumer_corrupt_total", Consumers(|c| c.corrupt), "Batches that could not be read"),
    counter("ottla_consumer_commits_total", Consumers(|c| c.commits), "Commits that the coordinator took"),
    counter("ottla_consumer_commit_failures_total", Consumers(|c| c.commit_failures), "Commits that failed"),
    counter("ottla_consumer_rebalances_total", Consumers(|c| c.rebalances), "Assignments that a group gave"),
    counter("ottla_consumer_heartbeats_total", Consumers(|c| c.heartbeats), "Heartbeats that were answered"),
    counter(
        "ottla_consumer_memberships_lost_total",
        Consumers(|c| c.memberships_lost),
        "Times that a group took a member for dead",
    ),
    gauge(
        "ottla_consumer_assigned_partitions",
        Count,
        Consumers(|c| c.assigned_partitions),
        "Partitions that are assigned",
    ),
    gauge(
        "ottla_consumer_buffered_bytes",
        Bytes,
        Consumers(|c| c.buffered_bytes),
        "Bytes fetched and not yet returned",
    ),
    gauge(
        "ottla_consumer_lag_records",
        Count,
        Consumers(|c| c.lag),
        "Offsets between positions and ends, as of the last fetches",
    ),
];

/// OpenTelemetry's messaging conventions, status Development, as of August 2026. `messaging.process.duration` is the program's to measure.
const CONVENTIONS: &[Instrument] = &[
    Instrument {
        constant: &[("messaging.system", "kafka"), ("messaging.operation.name", "send")],
        ..row(
            "messaging.client.operation.duration",
            InstrumentKind::Histogram,
            Measure::Seconds,
            Read::Latency(Some(Purpose::Produce)),
            "Duration of Produce requests",
        )
    },
    Instrument {
        constant: &[("messaging.system", "kafka"), ("messaging.operation.name", "poll")],
        ..row(
            "messaging.client.operation.duration",
            InstrumentKind::Histogram,
            Measure::Seconds,
            Read::Latency(Some(Purpose::Fetch)),
            "Duration of Fetch requests, with their wait for records",
        )
    },
    Instrument {
        constant: &[("messaging.system", "kafka"), ("messaging.operation.name", "send")],
        ..counter("messaging.client.sent.messages", Producers(|p| p.acknowledged), "Records that were acknowledged")
    },
    Instrument {
        constant: &[("messaging.system", "kafka"), ("messaging.operation.name", "send"), ("error.type", "_OTHER")],
        ..counter(
            "messaging.client.sent.messages",
            Producers(|p| p.not_written + p.maybe_written),
            "Records that failed",
        )
    },
    Instrument {
        constant: &[("messaging.system", "kafka"), ("messaging.operation.name", "poll")],
        ..counter("messaging.client.consumed.messages", Consumers(|c| c.records), "Records that polls returned")
    },
];
