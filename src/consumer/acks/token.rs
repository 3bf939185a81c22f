//! Tokens: each stands for records that were handed out, until it is acknowledged or dropped.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use super::shared::Acks;
use crate::consumer::core::acks::Ledger;
use crate::consumer::core::acks::Refusal;
use crate::consumer::core::acks::SpanId;
use crate::consumer::owned::OwnedRecords;
use crate::reading::OwnedRecord;
use crate::reading::Position;
use crate::types::TopicPartition;

/// Stands for records that were handed out. [Acknowledging](Self::ack) it says that they are processed.
///
/// A token that is dropped is a negative acknowledgement: its records stay open, so nothing after them is committed, and the next
/// [`AckConsumer::poll`](super::AckConsumer::poll) returns an error of kind
/// [`Unacknowledged`](crate::error::Kind::Unacknowledged). A worker that panics is noticed that way.
#[derive(Debug)]
#[must_use = "a token that is dropped blocks all later commits of its partition"]
pub struct AckToken {
    acks: Arc<Acks>,
    partition: TopicPartition,
    span: SpanId,
    is_open: bool,
}

impl AckToken {
    pub(super) fn new(acks: Arc<Acks>, partition: TopicPartition, span: SpanId) -> Self {
        Self { acks, partition, span, is_open: true }
    }

    /// The partition of the records.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Acknowledges the records. Their offsets are committed once everything before them in their partition is acknowledged too.
    /// It waits for nothing.
    ///
    /// # Errors
    ///
    /// The partition was given up, or its position was moved, since the records were handed out. They are read again, by this consumer
    /// or another: the acknowledgement counts for nothing, now and later. A worker may ignore it.
    pub fn ack(mut self) -> Result<(), AckRefused> {
        self.is_open = false;
        let result = self.acks.change(|ledger| ledger.acknowledge(self.span));
        let refused = |reason| AckRefused { partition: self.partition.clone(), offset: self.span.from(), reason };
        result.map_err(refused)
    }

    /// Gives up the token without a report: its records were not returned to the application.
    pub(in crate::consumer) fn withdraw(mut self) {
        self.is_open = false;
        self.acks.change(|ledger| ledger.drop_token(self.span, false));
    }

    /// Leaves the first `records` records to this token, and returns one for the others, which begin at offset `rest`. `next` is the
    /// position after the first ones. The ledger is that of its consumer.
    pub(super) fn divide(&self, ledger: &mut Ledger, records: usize, next: Position, rest: i64) -> Self {
        let span = ledger.divide(self.span, records, next, rest);
        Self::new(Arc::clone(&self.acks), self.partition.clone(), span)
    }

    /// Gives each record a token of its own.
    fn split(mut self, records: &[(i64, Position)]) -> Vec<Self> {
        self.is_open = false;
        let spans = self.acks.change(|ledger| ledger.split(self.span, records));
        let token = |span| Self::new(Arc::clone(&self.acks), self.partition.clone(), span);
        spans.into_iter().map(token).collect()
    }
}

impl Drop for AckToken {
    fn drop(&mut self) {
        if self.is_open {
            self.acks.drop_token(self.span);
        }
    }
}

/// The reason why an acknowledgement counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckRefused {
    partition: TopicPartition,
    offset: i64,
    reason: Refusal,
}

impl AckRefused {
    /// The partition of the records.
    pub fn partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// The reason.
    pub fn reason(&self) -> Refusal {
        self.reason
    }
}

impl fmt::Display for AckRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, offset, reason } = self;
        write!(f, "{partition}: the acknowledgement of records from offset {offset} on was refused: {reason}")
    }
}

impl std::error::Error for AckRefused {}

/// Records with the token that acknowledges them. Dropping it drops the token.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// let mut consumer = client.consumer().group("audit").subscribe(["events"]).build_acked()?;
/// if let Some(records) = consumer.poll().await? {
///     for work in records.into_records() {
///         // Fields and methods of the record are there directly.
///         println!("{}: {:?}", work.offset, work.value);
///         if let Err(refused) = work.ack() {
///             eprintln!("{refused}");
///         }
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Unacked<T> {
    value: T,
    token: AckToken,
}

impl<T> Unacked<T> {
    pub(super) fn new(value: T, token: AckToken) -> Self {
        Self { value, token }
    }

    /// Acknowledges the records: see [`AckToken::ack`].
    pub fn ack(self) -> Result<(), AckRefused> {
        self.token.ack()
    }

    /// The records and the token.
    pub fn into_parts(self) -> (T, AckToken) {
        (self.value, self.token)
    }
}

impl Unacked<OwnedRecords> {
    /// Copies of the records, each with a token of its own.
    pub fn into_records(self) -> Vec<Unacked<OwnedRecord>> {
        let records = self.value.to_records();
        let spans: Vec<_> = records.iter().map(|record| (record.offset, record.next_position())).collect();
        let tokens = self.token.split(&spans);
        records.into_iter().zip(tokens).map(|(record, token)| Unacked::new(record, token)).collect()
    }
}

impl<T> Deref for Unacked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}
