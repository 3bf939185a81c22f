//! Putting values: each has its own outcome.

use std::fmt;
use std::time::Duration;

use super::Queue;
use crate::error::Error;
use crate::error::Written;
use crate::net::clock;
use crate::producer::Delivery;
use crate::producer::Receipt;
use crate::producer::Record;
use crate::types::bounded;

/// Some values of a [`put`](Queue::put) were not acknowledged.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// use ottla::error::Written;
/// use ottla::queue::Queue;
///
/// let queue = Queue::builder(&client, "events").build()?;
/// let values = ["a", "b"];
/// if let Err(error) = queue.put(values, Duration::from_secs(6)).await {
///     eprintln!("{error}");
///     for (value, outcome) in values.iter().zip(error.outcomes()) {
///         if matches!(outcome, Err(error) if error.is_written() == Some(Written::No)) {
///             println!("{value} may be put again");
///         }
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct BatchError {
    outcomes: Vec<Result<Receipt, Error>>,
}

impl BatchError {
    /// The outcome of each value, in their order.
    pub fn outcomes(&self) -> &[Result<Receipt, Error>] {
        &self.outcomes
    }

    /// The number of values that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.is_ok()).count()
    }

    /// The number of values that are in no log, and will not be.
    pub fn not_written(&self) -> usize {
        self.errors().filter(|error| error.is_written() != Some(Written::Maybe)).count()
    }

    /// The number of values that may be in the log.
    pub fn maybe_written(&self) -> usize {
        self.errors().filter(|error| error.is_written() == Some(Written::Maybe)).count()
    }

    /// The first error.
    pub fn first(&self) -> Option<&Error> {
        self.errors().next()
    }

    fn errors(&self) -> impl Iterator<Item = &Error> {
        self.outcomes.iter().filter_map(|outcome| outcome.as_ref().err())
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, acknowledged) = (self.outcomes.len(), self.acknowledged());
        let (no, maybe) = (self.not_written(), self.maybe_written());
        write!(
            f,
            "of {all} values {acknowledged} were acknowledged, {no} not written, {maybe} may be written; the first error"
        )
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.first().map(|error| error as &(dyn std::error::Error + 'static))
    }
}

impl Queue {
    pub(super) async fn put_all<V: AsRef<[u8]>>(
        &self,
        values: impl IntoIterator<Item = V>,
        timeout: Duration,
    ) -> Result<Vec<Receipt>, BatchError> {
        let deadline = clock::now() + bounded(timeout);
        let mut accepted: Vec<Result<Delivery, Error>> = Vec::new();
        for value in values {
            let left = deadline.saturating_duration_since(clock::now());
            accepted.push(self.producer.enqueue(Record::to(&self.topic).value(value.as_ref()).deadline(left)).await);
        }
        let mut outcomes = Vec::with_capacity(accepted.len());
        for delivery in accepted {
            outcomes.push(match delivery {
                Ok(delivery) => delivery.await,
                Err(error) => Err(error),
            });
        }
        if outcomes.iter().all(Result::is_ok) {
            return Ok(outcomes.into_iter().flatten().collect());
        }
        let error = BatchError { outcomes };
        tracing::debug!(
            target: "ottla::queue", topic = %self.topic, acknowledged = error.acknowledged(), not_written = error.not_written(),
            maybe_written = error.maybe_written(), "values not acknowledged"
        );
        Err(error)
    }
}
