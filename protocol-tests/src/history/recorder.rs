//! Records the history of live producers and consumers, from any task.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use ottla::Error;
use ottla::consumer::Records;
use ottla::error::Written;
use ottla::producer::Receipt;
use ottla::types::TopicPartition;

use super::Body;
use super::History;
use super::Outcome;
use super::Role;
use super::Seen;
use super::Value;

/// A history that is being recorded. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    start: Instant,
    history: Arc<Mutex<History>>,
    processes: Arc<AtomicU32>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Begins a history; its times start here.
    #[allow(clippy::disallowed_methods)]
    pub fn new() -> Self {
        Self { start: Instant::now(), history: Arc::default(), processes: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time since the beginning.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Begins a process; returns its number.
    pub fn open(&self, role: Role) -> u32 {
        let process = self.processes.fetch_add(1, Ordering::Relaxed);
        self.push(process, Body::Opened(role));
        process
    }

    /// Records an event.
    pub fn push(&self, process: u32, body: Body) {
        let mut history = self.lock();
        // Read under the lock, so that times and indexes are in one order.
        let at = self.start.elapsed();
        history.push(at, process, body);
    }

    /// Records the outcome of a send.
    pub fn decided(&self, process: u32, value: Value, outcome: &Result<Receipt, Error>) {
        self.push(process, Body::Decided { value, outcome: outcome_of(outcome) });
    }

    /// Records a poll; `value` returns the value of a record.
    pub fn polled(&self, process: u32, records: &Records, value: impl Fn(&[u8]) -> Value) {
        let seen = |record: ottla::consumer::ConsumedRecord<'_>| Seen {
            partition: TopicPartition::new(record.topic.clone(), record.partition),
            offset: record.offset,
            value: value(record.value.unwrap_or_default()),
        };
        let moved = |reset: &ottla::consumer::Reset| TopicPartition::new(reset.topic.clone(), reset.partition);
        let body = Body::Polled {
            records: records.iter().map(seen).collect(),
            moved: records.resets().iter().map(moved).collect(),
            error: None,
        };
        self.push(process, body);
    }

    /// Takes the events so far, which are many after a long run, without a copy.
    pub fn take(&self) -> History {
        std::mem::take(&mut self.lock())
    }
}

/// The outcome of a send in a history. An error that does not say whether the record was written leaves it in doubt.
fn outcome_of(outcome: &Result<Receipt, Error>) -> Outcome {
    match outcome {
        Ok(receipt) => Outcome::Acknowledged { partition: receipt.partition, offset: receipt.offset },
        Err(error) if error.is_written() == Some(Written::No) => Outcome::NotWritten(error.to_string()),
        Err(error) => Outcome::InDoubt(error.to_string()),
    }
}
