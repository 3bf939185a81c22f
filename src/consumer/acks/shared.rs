//! The acknowledgements of a consumer, shared by its tokens, its polls and its rebalances.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;

use crate::consumer::core::acks::Dropped;
use crate::consumer::core::acks::Ledger;
use crate::consumer::core::acks::Refusal;
use crate::consumer::core::acks::SpanId;
use crate::error::Error;
use crate::error::Kind;
use crate::net::runtime::Runtime;
use crate::reading::Position;
use crate::types::TopicPartition;

/// How often a consumer that can read nothing because of dropped tokens says so.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// The settings of acknowledgements.
#[derive(Clone, Copy, Debug)]
pub(in crate::consumer) struct Settings {
    /// Records that may be open before nothing more is read.
    pub(in crate::consumer) open_max: usize,
    /// How long partitions that are given up wait for open records.
    pub(in crate::consumer) wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { open_max: 10_000, wait: Duration::from_secs(5) }
    }
}

/// The acknowledgements of a consumer.
///
/// Its lock may be taken while that of the consumer's state is held, and never the other way around.
#[derive(Debug)]
pub(in crate::consumer) struct Acks {
    state: Mutex<State>,
    settings: Settings,
    /// Wakes the task that polls.
    news: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    /// The task that polls waits for acknowledgements.
    awaited: bool,
    /// When it is to say again that nothing can be read.
    report_at: Option<Instant>,
}

impl Acks {
    pub(in crate::consumer) fn new(settings: Settings, news: Arc<Notify>) -> Self {
        Self { state: Mutex::default(), settings, news }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the ledger is complete before the lock is released, so a panic elsewhere leaves it consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the ledger, and wakes the task that polls if it waits for that.
    pub(in crate::consumer) fn change<R>(&self, change: impl FnOnce(&mut Ledger) -> R) -> R {
        let mut state = self.lock();
        let result = change(&mut state.ledger);
        let awaited = std::mem::take(&mut state.awaited);
        drop(state);
        if awaited {
            self.news.notify_one();
        }
        result
    }

    /// A token was dropped without an acknowledgement. The task that polls reports it.
    pub(super) fn drop_token(&self, span: SpanId) {
        self.lock().ledger.drop_token(span, true);
        self.news.notify_one();
    }

    /// The records that may be handed out.
    pub(super) fn capacity(&self) -> usize {
        let mut state = self.lock();
        let capacity = self.settings.open_max.saturating_sub(state.ledger.open());
        state.awaited = capacity == 0;
        capacity
    }

    /// The next thing to report of tokens that were dropped.
    pub(super) fn poll_error(&self, now: Instant) -> Option<Error> {
        let mut state = self.lock();
        if let Some(dropped) = state.ledger.poll_dropped() {
            return Some(report(&dropped));
        }
        let (open, live) = (state.ledger.open(), state.ledger.live());
        if live > 0 || open < self.settings.open_max {
            state.report_at = None;
            return None;
        }
        if state.report_at.is_some_and(|at| now < at) {
            return None;
        }
        state.report_at = Some(now + REPORT_EVERY);
        let text = format!(
            "nothing is read, because the tokens of all {open} open records were dropped without an acknowledgement: \
             read their partitions again by `AckConsumer::rewind`, or raise `ConsumerBuilder::ack_open_max`"
        );
        Some(Error::new(Kind::Unacknowledged, text))
    }

    /// When [`Self::poll_error`] has something again, if nothing else happens first.
    pub(super) fn report_at(&self) -> Option<Instant> {
        self.lock().report_at
    }

    /// The positions to commit of partitions that are read up to these positions.
    pub(in crate::consumer) fn acknowledged(
        &self,
        positions: Vec<(TopicPartition, Position)>,
    ) -> Vec<(TopicPartition, Position)> {
        let mut state = self.lock();
        let each = |(key, position)| {
            let acknowledged = state.ledger.acknowledged_at(&key, position);
            (key, acknowledged)
        };
        positions.into_iter().map(each).collect()
    }

    /// The positions to commit, of partitions that something was handed out of.
    pub(in crate::consumer) fn prefixes(&self) -> Vec<(TopicPartition, Position)> {
        self.lock().ledger.prefixes()
    }

    /// How long partitions that are given up wait for open records.
    pub(in crate::consumer) fn wait(&self) -> Duration {
        self.settings.wait
    }

    /// Waits until no record of these partitions is open that a token exists for, until `deadline` at most.
    ///
    /// Cancel safety: dropping the future changes nothing.
    pub(in crate::consumer) async fn settle(
        &self,
        runtime: &Runtime,
        partitions: &BTreeSet<TopicPartition>,
        deadline: Instant,
    ) {
        while self.await_more(partitions) {
            if runtime.timeout_at(deadline, self.news.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Whether records of these partitions are open that a token exists for. If so, the next acknowledgement is notified.
    fn await_more(&self, partitions: &BTreeSet<TopicPartition>) -> bool {
        let mut state = self.lock();
        state.awaited = state.ledger.live_of(partitions) > 0;
        state.awaited
    }

    /// Refuses acknowledgements of these partitions from now on, and counts the records of which the outcome is unknown.
    pub(in crate::consumer) fn fence(&self, partitions: &BTreeSet<TopicPartition>, refusal: Refusal) -> usize {
        let mut state = self.lock();
        state.ledger.fence(partitions, refusal);
        state.ledger.live_of(partitions)
    }
}

fn report(dropped: &Dropped) -> Error {
    let Dropped { partition, first, records } = dropped;
    let (topic, number) = (&partition.topic, partition.partition);
    tracing::warn!(target: "ottla::consumer", %topic, partition = number, offset = first, records, "records unacknowledged");
    let text = format!(
        "the tokens of {records} records were dropped without an acknowledgement, so nothing after them is committed: read the \
         partition again by `AckConsumer::rewind`, or seek past them"
    );
    Error::new(Kind::Unacknowledged, text).in_partition(topic, number).at_offset(*first)
}
