//! What the handles and the driver of a producer share: the core behind its lock, and the budget.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::sync::oneshot;

use super::core::Key;
use super::core::ProducerCore;
use super::core::Settings;
use super::delivery::Delivery;
use super::delivery::Ticket;
use super::record::Record;
use crate::client::Cluster;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::net::clock;
use crate::net::clock::Clock;
use crate::partitioner::PartitionerFactory;
use crate::record::RecordRef;
use crate::types::TopicName;

#[derive(Debug)]
pub(super) struct Shared {
    cluster: Cluster,
    state: Mutex<State>,
    /// Wakes the driver.
    pub(super) work: Notify,
    /// Told when batches are decided.
    pub(super) decided: Notify,
    request_bytes_max: usize,
    delivery_timeout: Duration,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) core: ProducerCore<Arc<Ticket>>,
    clock: Clock,
    budget: Budget,
    /// The topic of the last record, which is most often that of the next.
    last_topic: Option<(TopicName, u32)>,
    pub(super) stopped: bool,
}

/// What became of a record at the door.
pub(super) enum Admission {
    Accepted(Delivery),
    Full,
    UnknownTopic,
}

/// Bytes that may be undecided, and who waits for them, first come first served.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: usize,
    waiting: VecDeque<(usize, oneshot::Sender<()>)>,
}

impl Budget {
    /// Whether there is room for one who has not waited: not while others do.
    fn fits(&self, bytes: usize) -> bool {
        self.used + bytes <= self.limit && self.waiting.is_empty()
    }

    /// Takes bytes back and gives room, in turn, to those for whom there is some then. It is theirs from that moment.
    pub(super) fn release(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "no more comes back than was taken");
        self.used = self.used.saturating_sub(bytes);
        while let Some((bytes, sender)) = self.waiting.front() {
            if !sender.is_closed() && self.used + bytes > self.limit {
                return;
            }
            let Some((bytes, sender)) = self.waiting.pop_front() else { return };
            // One who gave up waiting takes nothing.
            if sender.send(()).is_ok() {
                self.used += bytes;
            }
        }
    }
}

/// Room that one who waited was given. What is not used comes back when this is dropped.
pub(super) struct Room<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.shared.lock().release(self.bytes);
        }
    }
}

/// A place in the queue for room. Whoever leaves it gives back what was given meanwhile, and lets those behind pass.
struct Place<'a> {
    shared: &'a Shared,
    bytes: usize,
    given: oneshot::Receiver<()>,
}

impl<'a> Place<'a> {
    /// `None` says that the producer is closed.
    async fn wait(mut self) -> Option<Room<'a>> {
        let given = (&mut self.given).await.is_ok();
        given.then(|| Room { shared: self.shared, bytes: self.bytes })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // After it has closed the channel is either empty for good or holds what was given.
        self.given.close();
        let unused = if self.given.try_recv().is_ok() { self.bytes } else { 0 };
        self.shared.lock().release(unused);
    }
}

impl Shared {
    pub(super) fn new(
        cluster: Cluster,
        settings: Settings,
        partitioner: Arc<dyn PartitionerFactory>,
        limit: usize,
    ) -> Self {
        let (request_bytes_max, delivery_timeout) = (settings.request_bytes_max, settings.delivery_timeout);
        let mut core = ProducerCore::new(settings, partitioner, clock::seed());
        core.handle_metadata(clock::now(), &cluster.snapshot());
        let budget = Budget { limit, used: 0, waiting: VecDeque::new() };
        let state = State { core, clock: Clock::new(), budget, last_topic: None, stopped: false };
        Self {
            cluster,
            state: Mutex::new(state),
            work: Notify::new(),
            decided: Notify::new(),
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

    pub(super) fn delivery_timeout(&self) -> Duration {
        self.delivery_timeout
    }

    /// Takes a record into its batch if its topic is known and there is room, or was given to it before.
    pub(super) fn admit(&self, record: &Record<'_>, mut room: Option<Room<'_>>) -> Result<Admission, Error> {
        let bytes = record.bytes_max();
        if bytes + crate::record::HEADER_LEN > self.request_bytes_max {
            let text = format!(
                "a record of {bytes} bytes does not fit a request of {}; raise max.request.size",
                self.request_bytes_max
            );
            return Err(self.refused(Kind::RecordTooLarge, text, record));
        }
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.stopped {
            return Err(self.refused(Kind::Closed, "the producer is closed", record));
        }
        if room.is_none() && !state.budget.fits(bytes) {
            return Ok(Admission::Full);
        }
        let Some(topic) = state.topic(record.topic()) else { return Ok(Admission::UnknownTopic) };
        let partition = match record.explicit_partition() {
            None => state.core.choose(topic, record.key_bytes()),
            Some(partition) => partition,
        };
        let count = state.core.partition_count(topic);
        if u32::try_from(partition).map_or(true, |partition| partition >= count) {
            let text = format!("there is no partition {partition}: the topic has {count}");
            return Err(self.refused(Kind::UnknownTopic, text, record));
        }
        let now = state.clock.now();
        let written = RecordRef {
            timestamp: record.explicit_timestamp().unwrap_or(now.unix_ms),
            key: record.key_bytes(),
            value: record.value_bytes(),
            headers: record.header_list(),
        };
        let key = Key { topic, partition };
        let appended = state.core.append(now.instant, key, &written, || Arc::new(Ticket::new(partition)))?;
        state.budget.used += appended.bytes;
        if let Some(room) = &mut room {
            state.release(std::mem::take(&mut room.bytes));
        }
        drop(guard);
        if appended.wake {
            self.work.notify_one();
        }
        Ok(Admission::Accepted(Delivery { ticket: appended.ticket, index: appended.index }))
    }

    fn refused(&self, kind: Kind, text: impl Into<String>, record: &Record<'_>) -> Error {
        Error::new(kind, text).in_topic(&record.topic().into()).written(Written::No)
    }

    /// Waits until the topic is known, and the core knows it.
    pub(super) async fn learn(&self, topic: &TopicName, deadline: Instant) -> Result<(), Error> {
        if let Some(problem) = TopicName::problem(topic) {
            return Err(Error::config(format!("{:?} is no name for a topic: {problem}", &**topic)));
        }
        let snapshot = self.cluster.known(std::slice::from_ref(topic), deadline).await?;
        if snapshot.topic(topic).is_none_or(|topic| topic.partitions.is_empty()) {
            return Err(Error::new(Kind::UnknownTopic, "the topic has no partitions").in_topic(topic));
        }
        self.lock().core.handle_metadata(clock::now(), &snapshot);
        Ok(())
    }

    /// Waits in turn until there is room. `None` says to look again.
    pub(super) async fn room(&self, record: &Record<'_>, deadline: Instant) -> Result<Option<Room<'_>>, Error> {
        let bytes = record.bytes_max();
        let place = {
            let mut state = self.lock();
            if state.stopped || state.budget.fits(bytes) {
                return Ok(None);
            }
            let (sender, given) = oneshot::channel();
            state.budget.waiting.push_back((bytes, sender));
            Place { shared: self, bytes, given }
        };
        self.work.notify_one();
        let given = tokio::time::timeout_at(deadline.into(), place.wait()).await;
        given.map_err(|_| Error::new(Kind::Timeout, "the producer's buffer had no room by the deadline"))
    }

    /// Waits until all that was accepted so far is decided.
    pub(super) async fn flush(&self) {
        let mark = self.lock().core.flush();
        self.work.notify_one();
        loop {
            let mut decided = std::pin::pin!(self.decided.notified());
            decided.as_mut().enable();
            if self.lock().core.flushed(mark) {
                return;
            }
            decided.await;
        }
    }

    /// Tells the driver to end; it answers for everything that is left.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.budget.waiting.clear();
        drop(state);
        self.work.notify_one();
    }
}

impl State {
    fn topic(&mut self, name: &str) -> Option<u32> {
        if let Some((last, number)) = &self.last_topic {
            if **last == *name {
                return Some(*number);
            }
        }
        let number = self.core.topic(name)?;
        self.last_topic = Some((name.into(), number));
        Some(number)
    }

    pub(super) fn release(&mut self, bytes: usize) {
        self.budget.release(bytes);
    }
}
