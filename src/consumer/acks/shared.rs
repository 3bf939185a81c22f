//! The acknowledgements of a consumer, shared by its tokens, its polls and its rebalances.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;

#[cfg(feature = "queue")]
use super::rest::Portion;
use super::rest::Rest;
use super::token::AckToken;
#[cfg(feature = "queue")]
use crate::consumer::core::Reset;
use crate::consumer::core::acks::Dropped;
use crate::consumer::core::acks::Ledger;
use crate::consumer::core::acks::Refusal;
use crate::consumer::core::acks::SpanId;
use crate::consumer::streams::Queue;
use crate::error::Error;
use crate::error::Kind;
use crate::net::runtime::Runtime;
#[cfg(feature = "queue")]
use crate::reading::OwnedRecord;
use crate::reading::Position;
use crate::types::TopicPartition;
use crate::types::inserted;

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
    /// The limit of open records is one of each partition.
    limits_each: bool,
    /// The queues of partitions that are read as streams.
    queues: BTreeMap<TopicPartition, Arc<Queue>>,
    /// Those that are paused because they have too many open records.
    paused: BTreeSet<TopicPartition>,
    /// Records that were read and not handed out.
    rest: Rest,
}

impl State {
    /// Whether a paused partition may be resumed.
    fn may_resume(&self, key: &TopicPartition, open_max: usize) -> bool {
        self.ledger.open_of(key) <= open_max / 2
    }

    /// Ends the streams of partitions. Returns the tokens of the records that waited to be handed out.
    fn cut(&mut self, partitions: &[TopicPartition]) -> Vec<AckToken> {
        let mut waiting = Vec::new();
        for key in partitions {
            self.paused.remove(key);
            waiting.extend(self.rest.cut(key));
            waiting.extend(self.queues.remove(key).into_iter().flat_map(|queue| queue.cut()));
        }
        waiting
    }
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
        let resumes = state.paused.iter().any(|key| state.may_resume(key, self.settings.open_max));
        let awaited = std::mem::take(&mut state.awaited) || resumes;
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
        if state.limits_each {
            return usize::MAX;
        }
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
        if live > 0 || open < self.settings.open_max || state.limits_each {
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
        self.cut(partitions);
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
        self.cut(partitions);
        let mut state = self.lock();
        state.ledger.fence(partitions, refusal);
        state.ledger.live_of(partitions)
    }
}

/// Streams, and the end of partitions.
impl Acks {
    /// Limits the open records of each partition from now on, instead of all of them.
    pub(super) fn limit_each(&self) {
        self.lock().limits_each = true;
    }

    /// The queue of a partition, and whether it is new: it had none, or nobody reads the one that it had.
    pub(in crate::consumer) fn queue_of(&self, key: &TopicPartition) -> (Arc<Queue>, bool) {
        let mut state = self.lock();
        if let Some(queue) = state.queues.get(key).filter(|queue| queue.is_read()) {
            return (Arc::clone(queue), false);
        }
        let queue = Arc::new(Queue::default());
        state.queues.insert(key.clone(), Arc::clone(&queue));
        (queue, true)
    }

    /// Whether a partition has too many open records, and is to be paused for that.
    pub(in crate::consumer) fn is_full(&self, key: &TopicPartition) -> bool {
        let mut state = self.lock();
        state.ledger.open_of(key) >= self.settings.open_max && state.paused.insert(key.clone())
    }

    /// Takes the partitions that were paused and have capacity again.
    pub(super) fn take_resumable(&self) -> Vec<TopicPartition> {
        let mut state = self.lock();
        let may = |key: &&TopicPartition| state.may_resume(key, self.settings.open_max);
        let resumable: Vec<TopicPartition> = state.paused.iter().filter(may).cloned().collect();
        for key in &resumable {
            state.paused.remove(key);
        }
        resumable
    }

    /// Ends all streams behind the records that wait in them.
    pub(in crate::consumer) fn finish_queues(&self) {
        let state = self.lock();
        state.queues.values().for_each(|queue| queue.finish());
    }

    /// Ends the streams of partitions. The records that wait in them are left to the next owner.
    fn cut(&self, partitions: &BTreeSet<TopicPartition>) {
        let partitions: Vec<TopicPartition> = partitions.iter().cloned().collect();
        let waiting = self.lock().cut(&partitions);
        waiting.into_iter().for_each(AckToken::withdraw);
    }

    /// Forgets partitions that are given up, and refuses their tokens.
    pub(in crate::consumer) fn end(&self, partitions: &BTreeSet<TopicPartition>, refusal: Refusal) {
        self.cut(partitions);
        self.change(|ledger| ledger.end(partitions, refusal));
    }

    /// Forgets all partitions but these.
    pub(in crate::consumer) fn retain(&self, partitions: &BTreeSet<TopicPartition>) {
        let gone = {
            let state = self.lock();
            let known = state.ledger.partitions().chain(state.queues.keys());
            inserted(known.filter(|key| !partitions.contains(key)).cloned())
        };
        self.end(&gone, Refusal::Revoked);
    }

    /// The position of a partition was moved: its tokens are refused, records that wait are dropped, and its stream goes on from the new position. Returns whether it
    /// is to be resumed.
    pub(in crate::consumer) fn moved(&self, key: &TopicPartition) -> bool {
        let (waiting, was_paused) = {
            let mut state = self.lock();
            state.ledger.end([key], Refusal::Moved);
            let waiting = (state.rest.cut(key), state.queues.get(key).map(|queue| queue.take_waiting()));
            (waiting, state.paused.remove(key))
        };
        drop(waiting);
        was_paused
    }

    /// Refuses everything from now on: the consumer ends.
    pub(in crate::consumer) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.ledger.close();
            let partitions: Vec<TopicPartition> = state.queues.keys().cloned().collect();
            (state.cut(&partitions), state.rest.clear())
        };
        drop(waiting);
    }
}

/// Records that were read and not handed out.
#[cfg(feature = "queue")]
impl Acks {
    pub(super) fn keep(&self, records: Vec<OwnedRecord>, token: AckToken) {
        self.lock().rest.push(records, token);
    }

    pub(super) fn keep_resets(&self, resets: Vec<Reset>) {
        self.lock().rest.push_resets(resets);
    }

    /// The number of records that wait, and their bytes.
    pub(super) fn kept(&self) -> (usize, usize) {
        let state = self.lock();
        (state.rest.records(), state.rest.bytes())
    }

    /// Takes the first `count` records that wait, or all of them.
    pub(super) fn take_kept(&self, count: usize) -> Portion {
        let mut state = self.lock();
        let State { ledger, rest, .. } = &mut *state;
        rest.take(count, ledger)
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
