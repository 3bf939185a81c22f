//! Spans by the names of OpenTelemetry's messaging conventions, through [`tracing`](https://docs.rs/tracing) (feature `opentelemetry`).
//!
//! The crate opens no span by itself: a span for each record would be dearer than the record. A program asks for one where it wants it. With
//! `tracing-opentelemetry` as a layer, `otel.kind`, `otel.name` and `otel.status_code` become the span's kind, name and status, and the
//! other fields its attributes; [`names`] lists all of them. Target of all spans is `ottla::spans`, their level is info.
//!
//! Keys and values of records are not recorded: they are the program's data.
//!
//! ```no_run
//! # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
//! use ottla::Record;
//! use ottla::consumer::Start;
//! use ottla::spans;
//!
//! let producer = client.producer().build()?;
//! producer.send_in_span(Record::to("events").value("clicked")).await?;
//!
//! let mut consumer = client.consumer().group("audit").assign(["events"]).start(Start::Earliest).until_end().build()?;
//! while let Some(records) = consumer.poll().await? {
//!     for record in &records {
//!         let span = spans::process(&record, Some("audit"));
//!         span.in_scope(|| println!("{}", record.offset));
//!     }
//! }
//! # Ok(()) }
//! ```

use tracing::Instrument;
use tracing::Span;
use tracing::field::Empty;

use crate::consumer::ConsumedRecord;
use crate::consumer::Records;
use crate::error::Error;
use crate::producer::Producer;
use crate::producer::Receipt;
use crate::producer::Record;

/// The names of fields: OpenTelemetry's semantic conventions for messaging, whose status is Development, as of August 2026, and those that
/// `tracing-opentelemetry` takes out.
pub mod names {
    /// Records that one operation covers.
    pub const BATCH_MESSAGE_COUNT: &str = "messaging.batch.message_count";
    /// The group of a consumer.
    pub const CONSUMER_GROUP: &str = "messaging.consumer.group.name";
    /// The topic.
    pub const DESTINATION: &str = "messaging.destination.name";
    /// The partition.
    pub const DESTINATION_PARTITION: &str = "messaging.destination.partition.id";
    /// Kafka's error code, or else the kind of the error.
    pub const ERROR_TYPE: &str = "error.type";
    /// The offset of the record.
    pub const OFFSET: &str = "messaging.kafka.offset";
    /// `send`, `poll` or `process`.
    pub const OPERATION_NAME: &str = "messaging.operation.name";
    /// `send`, `receive` or `process`.
    pub const OPERATION_TYPE: &str = "messaging.operation.type";
    /// The kind of the span: taken out by `tracing-opentelemetry`.
    pub const OTEL_KIND: &str = "otel.kind";
    /// The name of the span: taken out by `tracing-opentelemetry`.
    pub const OTEL_NAME: &str = "otel.name";
    /// The status of the span: taken out by `tracing-opentelemetry`.
    pub const OTEL_STATUS: &str = "otel.status_code";
    /// Always `kafka`.
    pub const SYSTEM: &str = "messaging.system";
    /// Whether the value is null.
    pub const TOMBSTONE: &str = "messaging.kafka.message.tombstone";
}

/// A span for sending a record, of kind producer. End it by [`sent`].
pub fn send(record: &Record<'_>) -> Span {
    let span = tracing::info_span!(
        target: "ottla::spans",
        "send",
        { names::OTEL_KIND } = "producer",
        { names::OTEL_NAME } = format_args!("send {}", record.topic()),
        { names::SYSTEM } = "kafka",
        { names::OPERATION_NAME } = "send",
        { names::OPERATION_TYPE } = "send",
        { names::DESTINATION } = record.topic(),
        { names::DESTINATION_PARTITION } = Empty,
        { names::OFFSET } = Empty,
        { names::TOMBSTONE } = Empty,
        { names::ERROR_TYPE } = Empty,
        { names::OTEL_STATUS } = Empty,
    );
    if let Some(partition) = record.explicit_partition() {
        span.record(names::DESTINATION_PARTITION, partition);
    }
    if record.value_bytes().is_none() {
        span.record(names::TOMBSTONE, true);
    }
    span
}

/// Records the outcome of a record in its span: partition and offset, or the type of the error.
pub fn sent(span: &Span, outcome: &Result<Receipt, Error>) {
    match outcome {
        Ok(receipt) => {
            span.record(names::DESTINATION_PARTITION, receipt.partition);
            if let Some(offset) = receipt.offset {
                span.record(names::OFFSET, offset);
            }
        }
        Err(error) => failed(span, error),
    }
}

/// Records an error in a span of this module: its type, and the status.
pub fn failed(span: &Span, error: &Error) {
    let kind = error.code().map_or_else(|| format!("{:?}", error.kind()), |code| code.to_string());
    span.record(names::ERROR_TYPE, kind.as_str());
    span.record(names::OTEL_STATUS, "ERROR");
}

/// A span for the records of a poll, of kind client, with their number. It may cover several topics, so it names none.
pub fn receive(records: &Records, group: Option<&str>) -> Span {
    let span = tracing::info_span!(
        target: "ottla::spans",
        "poll",
        { names::OTEL_KIND } = "client",
        { names::OTEL_NAME } = "poll",
        { names::SYSTEM } = "kafka",
        { names::OPERATION_NAME } = "poll",
        { names::OPERATION_TYPE } = "receive",
        { names::BATCH_MESSAGE_COUNT } = records.count(),
        { names::CONSUMER_GROUP } = Empty,
        { names::ERROR_TYPE } = Empty,
        { names::OTEL_STATUS } = Empty,
    );
    if let Some(group) = group {
        span.record(names::CONSUMER_GROUP, group);
    }
    span
}

/// A span for processing a record, of kind consumer. An error is recorded by [`failed`].
pub fn process(record: &ConsumedRecord<'_>, group: Option<&str>) -> Span {
    let span = tracing::info_span!(
        target: "ottla::spans",
        "process",
        { names::OTEL_KIND } = "consumer",
        { names::OTEL_NAME } = format_args!("process {}", record.topic),
        { names::SYSTEM } = "kafka",
        { names::OPERATION_NAME } = "process",
        { names::OPERATION_TYPE } = "process",
        { names::DESTINATION } = &**record.topic,
        { names::DESTINATION_PARTITION } = record.partition,
        { names::OFFSET } = record.offset,
        { names::CONSUMER_GROUP } = Empty,
        { names::TOMBSTONE } = Empty,
        { names::ERROR_TYPE } = Empty,
        { names::OTEL_STATUS } = Empty,
    );
    if let Some(group) = group {
        span.record(names::CONSUMER_GROUP, group);
    }
    if record.value.is_none() {
        span.record(names::TOMBSTONE, true);
    }
    span
}

impl Producer {
    /// Writes a record and waits until it is acknowledged, within a span by OpenTelemetry's conventions: see [`spans`](crate::spans).
    ///
    /// Errors and cancel safety: as [`Producer::send`].
    pub async fn send_in_span(&self, record: Record<'_>) -> Result<Receipt, Error> {
        let span = send(&record);
        let outcome = self.send(record).instrument(span.clone()).await;
        sent(&span, &outcome);
        outcome
    }
}
