//! The state that a producer's handles and its driver share: the core behind its lock, and the budget.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::oneshot;

use super::budget::Budget;
use super::budget::Granted;
use super::budget::Turn;
use super::core::BatchId;
use super::core::Key;
use super::core::ProducerCore;
use super::core::Settings;
use super::custom::CustomPartitioner;
use super::delivery::Delivery;
use super::delivery::Ticket;
use super::record::Record;
use super::times::Times;
use super::unknown::Doubts;
use super::unknown::Missing;
use crate::client::AutoCreate;
use crate::client::Cluster;
use crate::client::Source;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::metrics::Metrics;
use crate::metrics::ProducerMetrics;
use crate::net::clock;
use crate::net::clock::Now;
use crate::partitioner::PartitionerFactory;
use crate::record::HEADER_LEN;
use crate::record::RecordRef;
use crate::types::TopicName;

#[derive(Debug)]
pub(super) struct Shared {
    cluster: Cluster,
    auto_create: AutoCreate,
    state: Mutex<State>,
    /// Wakes the driver.
    pub(super) work: Notify,
    /// The oldest batch whose outcome is not reported, and the notification when that changes.
    settled: AtomicU64,
    /// Also notified of the response to a request for an identity.
    pub(super) news: Notify,
    /// Topics and partitions that `try_enqueue` was called for and that are not known.
    doubts: Mutex<Doubts>,
    /// The custom partitioner, if there is one.
    custom: Option<CustomPartitioner>,
    request_bytes_max: usize,
    delivery_timeout: Duration,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) core: ProducerCore<Arc<Ticket>>,
    pub(super) times: Times,
    budget: Budget,
    /// Waiters that were admitted when the driver released bytes; it wakes them without the lock.
    granted: Granted,
    /// The topic of the last record, most often the topic of the next.
    last_topic: Option<(TopicName, u32)>,
    pub(super) stopped: bool,
}

/// Whether a record was accepted, and if not, why.
pub(super) enum Admission<T = Delivery> {
    Accepted(T),
    /// The buffer lacks the capacity.
    Full,
    /// The topic has another number of partitions than the one that the custom partitioner chose among.
    Outdated,
    /// Metadata does not have the topic or the partition.
    Unknown(Missing),
}

/// The destination of a record, as far as it is decided without the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Routing {
    /// The built-in partitioner chooses.
    Builtin,
    /// The custom partitioner chose, among so many partitions.
    Custom { partition: i32, count: u32 },
    /// The record names its partition.
    Explicit(i32),
    /// The topic is not known.
    Unknown,
}

/// The work that an accepted record leaves for after the lock.
#[derive(Clone, Copy, Debug)]
struct After {
    wake: bool,
    bytes: usize,
    full: bool,
}

/// A turn in the queue for capacity, or the capacity itself. Dropping it gives up either.
pub(super) struct Reservation<'a> {
    shared: &'a Shared,
    turn: Turn,
    bytes: usize,
    receiver: oneshot::Receiver<()>,
    /// A record took the capacity.
    spent: bool,
}

impl Reservation<'_> {
    /// Waits in turn for the capacity.
    pub(super) async fn granted(&mut self, deadline: Instant) -> Result<(), Error> {
        let receiver = &mut self.receiver;
        match self.shared.cluster.runtime().timeout_at(deadline, receiver).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.shared.still_full()),
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        if !self.spent {
            let granted = self.shared.lock().budget.give_up(self.turn, self.bytes);
            granted.wake();
        }
    }
}

impl Source for Shared {
    fn read(&self, id: u64, into: &mut Metrics) {
        let state = self.lock();
        let queued_bytes = state.budget.used().try_into().unwrap_or(u64::MAX);
        let counted = state.core.metrics();
        drop(state);
        into.producers.push(ProducerMetrics { id, queued_bytes, ..counted });
    }
}

impl Shared {
    pub(super) fn new(
        cluster: Cluster,
        auto_create: AutoCreate,
        settings: Settings,
        partitioner: Arc<dyn PartitionerFactory>,
        custom: Option<CustomPartitioner>,
        limit: usize,
    ) -> Self {
        let (request_bytes_max, delivery_timeout) = (settings.request_bytes_max, settings.delivery_timeout);
        let mut core = ProducerCore::new(settings, partitioner, clock::seed());
        core.handle_metadata(clock::now(), &cluster.snapshot());
        let budget = Budget::new(limit);
        let state =
            State { core, times: Times::new(), budget, granted: Granted::default(), last_topic: None, stopped: false };
        Self {
            cluster,
            auto_create,
            state: Mutex::new(state),
            work: Notify::new(),
            settled: AtomicU64::new(0),
            news: Notify::new(),
            doubts: Mutex::default(),
            custom,
            request_bytes_max,
            delivery_timeout,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub(super) fn auto_create(&self) -> AutoCreate {
        self.auto_create
    }

    pub(super) fn delivery_timeout(&self) -> Duration {
        self.delivery_timeout
    }

    /// Appends a record to its batch, if there is capacity and its topic is known.
    pub(super) fn admit(&self, record: &Record<'_>, routing: Routing) -> Result<Admission, Error> {
        let bytes = self.bytes(record)?;
        let mut state = self.lock();
        let now = state.times.now();
        let admitted = state.admit(record, bytes, routing, now);
        drop(state);
        Ok(self.notify(record, admitted?))
    }

    /// Appends a record to its batch, with the capacity that was reserved.
    pub(super) fn admit_into(
        &self,
        reservation: &mut Reservation<'_>,
        record: &Record<'_>,
        routing: Routing,
    ) -> Result<Admission, Error> {
        let mut state = self.lock();
        let now = state.times.now();
        let topic = match state.find(record, routing)? {
            Ok(topic) => topic,
            Err(refused) => return Ok(refused),
        };
        reservation.spent = true;
        let appended = state.append(topic, record, routing, now);
        // The reservation is the most that the record needs; all of it comes back if the record was refused.
        let kept = appended.as_ref().map_or(0, |(_, after)| after.bytes);
        let granted = state.budget.release(reservation.bytes - kept);
        drop(state);
        granted.wake();
        Ok(self.notify(record, Admission::Accepted(appended?)))
    }

    /// Wakes the driver, if it has something to do, and notifies the custom partitioner of the record.
    fn notify(&self, record: &Record<'_>, admitted: Admission<(Delivery, After)>) -> Admission {
        let (delivery, after) = match admitted {
            Admission::Accepted(accepted) => accepted,
            Admission::Full => return Admission::Full,
            Admission::Outdated => return Admission::Outdated,
            Admission::Unknown(missing) => return Admission::Unknown(missing),
        };
        if after.wake {
            self.work.notify_one();
        }
        // A record that names its partition does not concern the partitioner.
        if let Some(custom) = self.custom.as_ref().filter(|_| record.explicit_partition().is_none()) {
            custom.appended(record.topic(), delivery.partition(), after.bytes, after.full);
        }
        Admission::Accepted(delivery)
    }

    /// Appends records to their batches, under one lock and with one time, as long as there is capacity and topics are known. Adds
    /// a delivery for each; an error is about the first record without one.
    pub(super) fn admit_all(&self, records: &[(Record<'_>, Routing)], into: &mut Vec<Delivery>) -> Result<(), Error> {
        let mut appended = Vec::new();
        let mut wake = false;
        let mut outcome = Ok(());
        let mut state = self.lock();
        let now = state.times.now();
        for (record, routing) in records {
            match self.bytes(record).and_then(|bytes| state.admit(record, bytes, *routing, now)) {
                Ok(Admission::Accepted((delivery, after))) => {
                    if self.custom.is_some() && record.explicit_partition().is_none() {
                        appended.push((record.topic(), delivery.partition(), after));
                    }
                    wake |= after.wake;
                    into.push(delivery);
                }
                Ok(Admission::Full | Admission::Outdated | Admission::Unknown(_)) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        drop(state);
        if wake {
            self.work.notify_one();
        }
        for (custom, (topic, partition, after)) in self.custom.iter().cycle().zip(appended) {
            custom.appended(topic, partition, after.bytes, after.full);
        }
        outcome
    }

    /// The most bytes that a record takes, or an error if no broker can take it.
    fn bytes(&self, record: &Record<'_>) -> Result<usize, Error> {
        let bytes = record.bytes_max();
        let is_before_1970 = record.explicit_timestamp().is_some_and(i64::is_negative);
        if bytes + HEADER_LEN <= self.request_bytes_max && !is_before_1970 {
            return Ok(bytes);
        }
        Err(self.misfit(record, bytes))
    }

    #[cold]
    fn misfit(&self, record: &Record<'_>, bytes: usize) -> Error {
        if let Some(timestamp @ ..0) = record.explicit_timestamp() {
            let text = format!("the timestamp of a record is {timestamp}: give a time after 1970, in milliseconds");
            return refused(Kind::Config, text, record);
        }
        let most = self.request_bytes_max;
        let text = format!(
            "a record of {bytes} bytes does not fit `request_bytes_max` / `max.request.size`, which is {most}: \
             send a smaller record, or raise it"
        );
        refused(Kind::RecordTooLarge, text, record)
    }

    /// The partition of a record, by the record itself or by the custom partitioner.
    pub(super) fn route(&self, record: &Record<'_>) -> Routing {
        match (record.explicit_partition(), &self.custom) {
            (Some(partition), _) => Routing::Explicit(partition),
            (None, None) => Routing::Builtin,
            (None, Some(custom)) => {
                let snapshot = self.cluster.snapshot();
                match snapshot.topic(record.topic()).filter(|topic| !topic.partitions.is_empty()) {
                    Some(topic) => {
                        let partition = custom.choose(topic, record.key_bytes(), clock::seed);
                        Routing::Custom { partition, count: u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX) }
                    }
                    None => Routing::Unknown,
                }
            }
        }
    }

    /// The error of a record that waited for capacity in vain, caused by what keeps the records in the buffer.
    #[cold]
    fn still_full(&self) -> Error {
        let mut state = self.lock();
        let text = format!(
            "the producer's buffer had no capacity by the deadline: {} of {} bytes (`buffer_bytes` / `buffer.memory`) are not \
             acknowledged",
            state.budget.used(),
            state.budget.limit(),
        );
        let error = Error::new(Kind::Timeout, text);
        match state.core.failure() {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }

    /// Gives the core the newest metadata, which the driver may not have done yet.
    pub(super) fn catch_up(&self) {
        let snapshot = self.cluster.snapshot();
        self.lock().core.handle_metadata(clock::now(), &snapshot);
        self.work.notify_one();
    }

    pub(super) fn doubts(&self) -> MutexGuard<'_, Doubts> {
        self.doubts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues for the capacity that a record needs.
    pub(super) fn reserve(&self, record: &Record<'_>) -> Reservation<'_> {
        let bytes = record.bytes_max();
        let mut state = self.lock();
        let (turn, receiver) = state.budget.wait(bytes);
        // Capacity may have been released since `Full`, and no waiter may be ahead.
        let granted = if state.stopped { state.budget.end() } else { state.budget.release(0) };
        drop(state);
        granted.wake();
        Reservation { shared: self, turn, bytes, receiver, spent: false }
    }

    /// Waits until every record accepted so far is decided and reported.
    pub(super) async fn flush(&self) {
        let mark = self.lock().core.flush(clock::now());
        self.work.notify_one();
        self.settled(mark).await;
    }

    /// Waits until the driver has reported every batch before `mark`.
    async fn settled(&self, mark: BatchId) {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            news.as_mut().enable();
            if self.settled.load(Ordering::Acquire) >= mark {
                return;
            }
            news.await;
        }
    }

    /// The driver has reported every batch before `oldest`.
    pub(super) fn settle(&self, oldest: BatchId) {
        if self.settled.swap(oldest, Ordering::AcqRel) != oldest {
            self.news.notify_waiters();
        }
    }

    /// Ends the driver, which resolves every delivery that is left.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.work.notify_one();
    }

    /// Waits until the driver has ended; it does so without waiting for brokers.
    pub(super) async fn ended(&self) {
        self.settled(BatchId::MAX).await;
    }
}

fn refused(kind: Kind, text: impl Into<String>, record: &Record<'_>) -> Error {
    Error::new(kind, text).in_topic(&record.topic().into()).written(Written::No)
}

impl State {
    fn topic(&mut self, name: &str) -> Option<u32> {
        if let Some((last, number)) = &self.last_topic
            && **last == *name
        {
            return Some(*number);
        }
        let number = self.core.topic(name)?;
        self.last_topic = Some((name.into(), number));
        Some(number)
    }

    /// The core's number for the record's topic, if the metadata has its topic and partition.
    fn find<D>(&mut self, record: &Record<'_>, routing: Routing) -> Result<Result<u32, Admission<D>>, Error> {
        if self.stopped {
            return Err(refused(Kind::Closed, "the producer is closed: build a new one", record));
        }
        let Some(topic) = self.topic(record.topic()).filter(|_| routing != Routing::Unknown) else {
            let missing = match routing {
                // No topic has it, so that it is refused without metadata of the topic.
                Routing::Explicit(partition @ ..0) => Missing::Partition(partition),
                _ => Missing::Topic,
            };
            return Ok(Err(Admission::Unknown(missing)));
        };
        let count = self.core.partition_count(topic);
        let partition = match routing {
            Routing::Builtin | Routing::Unknown => return Ok(Ok(topic)),
            Routing::Custom { count: seen, .. } if seen != count => return Ok(Err(Admission::Outdated)),
            Routing::Custom { partition, .. } | Routing::Explicit(partition) => partition,
        };
        let exists = u32::try_from(partition).is_ok_and(|partition| partition < count);
        Ok(if exists { Ok(topic) } else { Err(Admission::Unknown(Missing::Partition(partition))) })
    }

    fn admit(
        &mut self,
        record: &Record<'_>,
        bytes: usize,
        routing: Routing,
        now: Now,
    ) -> Result<Admission<(Delivery, After)>, Error> {
        let topic = match self.find(record, routing)? {
            Ok(topic) => topic,
            Err(refused) => return Ok(refused),
        };
        if !self.budget.fits(bytes) {
            return Ok(Admission::Full);
        }
        let (delivery, after) = self.append(topic, record, routing, now)?;
        self.budget.take(after.bytes);
        Ok(Admission::Accepted((delivery, after)))
    }

    /// Appends a record to its partition, which the topic has.
    fn append(
        &mut self,
        topic: u32,
        record: &Record<'_>,
        routing: Routing,
        now: Now,
    ) -> Result<(Delivery, After), Error> {
        let partition = match routing {
            Routing::Custom { partition, .. } | Routing::Explicit(partition) => partition,
            Routing::Builtin | Routing::Unknown => self.core.choose(topic, record.key_bytes()),
        };
        let written = RecordRef {
            timestamp: record.explicit_timestamp().unwrap_or(now.unix_ms),
            key: record.key_bytes(),
            value: record.value_bytes(),
            headers: record.header_list(),
        };
        let key = Key { topic, partition };
        let appended = self.core.append(now.instant, key, &written, || Arc::new(Ticket::new(partition)))?;
        let mut wake = appended.wake;
        if let Some(deadline) = record.own_deadline() {
            wake |= self.core.expire_at(now.instant, key, appended.index, now.instant + deadline);
        }
        let delivery = Delivery { ticket: appended.ticket, index: appended.index };
        Ok((delivery, After { wake, bytes: appended.bytes, full: appended.full }))
    }

    /// Gives bytes back. The driver wakes the waiters that this admits.
    pub(super) fn release(&mut self, bytes: usize) {
        let granted = self.budget.release(bytes);
        self.granted.add(granted);
    }

    pub(super) fn take_granted(&mut self) -> Granted {
        std::mem::take(&mut self.granted)
    }

    /// Admits every waiter, which then finds that the producer is closed.
    pub(super) fn end(&mut self) -> Granted {
        self.stopped = true;
        self.budget.end()
    }

    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.budget.used()
    }
}
