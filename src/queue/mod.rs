//! Queues on top of [`producer`](crate::producer), [`consumer`](crate::consumer) and [`admin`](crate::admin) (feature `queue`).
//!
//! A queue puts values into a topic and takes them out again, with one deadline for each call. Nothing here sends a request of its
//! own: everything is done through the three clients, and a program can always use these directly on the same
//! [`Client`].
//!
//! | type | is for |
//! |---|---|
//! | [`Queue`] | values of a topic for workers of several processes, with offsets outside Kafka |
//! | [`GroupQueue`] | values of a topic for the members of a group, with offsets in Kafka |
//! | [`Target`], [`Targets`], [`Publisher`] | single values that must arrive: each is acknowledged or fails in time |
//! | [`LagMonitor`] | groups that fall behind, in any number of clusters |
//! | [`Tail`] | the newest records of a topic |
//!
//! # Without a group of Kafka
//!
//! [`Queue`] takes from all partitions of a topic. Its workers need not agree on who has which partition: each leases a window of offsets
//! in an [`OffsetStore`](crate::consumer::store::OffsetStore), reads it, and acknowledges it there. So there may be more workers than
//! partitions, and none of them waits for a rebalance.
//!
//! ```no_run
//! # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
//! use std::time::Duration;
//!
//! use ottla::consumer::store::MemoryStore;
//! use ottla::queue::Queue;
//! use ottla::queue::StartAt;
//!
//! let queue = Queue::builder(&client, "events").group("audit").store(MemoryStore::new());
//! let mut queue = queue.start(StartAt::LastOfEach(3)).build()?;
//! if let Err(error) = queue.put(["a", "b", "c"], Duration::from_secs(6)).await {
//!     eprintln!("{error}: {:?}", error.first());
//! }
//! let batch = queue.take(100, Duration::from_secs(1)).await?;
//! for record in &batch {
//!     println!("{:?}", record.value);
//! }
//! batch.ack(Duration::from_secs(5)).await
//! # }
//! ```

use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::producer::Producer;
use crate::producer::Receipt;
use crate::types::TopicName;

mod batch;
mod builder;
pub(crate) mod core;
mod cursors;
mod group;
mod lag;
mod publisher;
mod put;
mod ranges;
mod reader;
mod reset;
mod source;
mod tail;
mod target;
#[cfg(all(test, feature = "mock"))]
mod tests;

pub use self::batch::Batch;
pub use self::builder::QueueBuilder;
pub use self::core::Notice;
pub use self::core::OnAhead;
pub use self::core::OnExpired;
pub use self::group::GroupBatch;
pub use self::group::GroupQueue;
pub use self::group::GroupQueueBuilder;
pub use self::lag::ClusterLag;
pub use self::lag::LagEvent;
pub use self::lag::LagMonitor;
pub use self::lag::LagReport;
pub use self::lag::LagState;
pub use self::lag::LagSubject;
pub use self::lag::LagWatch;
pub use self::publisher::Publisher;
pub use self::put::BatchError;
pub use self::reset::Reset;
pub use self::reset::ResetOutcomes;
pub use self::tail::Latest;
pub use self::tail::Tail;
pub use self::target::Setting;
pub use self::target::Target;
pub use self::target::Targets;
pub use crate::config::BootstrapServers;

use self::reader::Reader;

/// The fate of the records of a worker that dies while it has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Promise {
    /// None is lost: they are handed out again once its leases have expired. Records count as processed by
    /// [`Batch::ack`], so those that it had processed and not acknowledged are repeated.
    #[default]
    AtLeastOnce,
    /// None is repeated: they count as processed before they are handed out, so those that it had not processed are lost.
    AtMostOnce,
}

/// Where a partition begins that has no stored offset. Never before the first record of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAt {
    /// With the oldest record.
    #[default]
    Earliest,
    /// With the first record written from now on.
    Latest,
    /// With so many records of all partitions together, in equal shares as far as they have them.
    LastOfAll(u64),
    /// With so many records of each partition.
    LastOfEach(u64),
}

/// A topic as a queue, whose offsets are in a store of the program's choice. The founding document's `KafkaQueue` and
/// `KafkaOffsetManager`.
///
/// - [`put`](Self::put) takes any number of values. They are split into batches by bytes and count, and each has its own outcome.
/// - [`take`](Self::take) takes from all partitions, and leases what it takes, so that workers of several processes never have the same
///   records at the same time.
/// - [`reset`](Self::reset) moves all workers of a group.
///
/// No call creates a topic. See the [module](self) for a program.
#[derive(Debug)]
pub struct Queue {
    topic: TopicName,
    producer: Producer,
    reader: Option<Reader>,
}

impl Queue {
    /// Settings of a queue for a topic.
    pub fn builder(client: &Client, topic: impl Into<TopicName>) -> QueueBuilder {
        QueueBuilder::new(client, topic.into())
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Puts values, and waits until each is decided, for `timeout` at most. Where they go is up to the partitioner: see
    /// [`ProducerBuilder::partitioner`](crate::producer::ProducerBuilder::partitioner). Keys and headers are a matter of
    /// [`Producer::send`].
    ///
    /// Values that do not fit into the producer's buffer wait for capacity. No retry writes a value twice, by default.
    ///
    /// # Errors
    ///
    /// [`BatchError`] if a value was not acknowledged. It has the outcome of each, and counts.
    ///
    /// Cancel safety: values that were accepted into the buffer before the future is dropped are still sent.
    pub async fn put<V: AsRef<[u8]>>(
        &self,
        values: impl IntoIterator<Item = V>,
        timeout: Duration,
    ) -> Result<Vec<Receipt>, BatchError> {
        self.put_all(values, timeout).await
    }

    /// Takes records until there are `count`, or `timeout` has passed: then there may be fewer, or none. What it returns is leased: see
    /// [`Batch`].
    ///
    /// `timeout` covers everything, whatever the state of brokers and store. With 0 records nothing is done. A take that has records waits
    /// no longer than half of their [lease](QueueBuilder::lease) for more. Partitions take turns; one whose leader is down is left out
    /// meanwhile. While there is nothing, it looks at the store and at the ends of the logs after pauses that grow from 5 ms to 250 ms.
    ///
    /// # Errors
    ///
    /// None ends the queue. One about a partition is returned once every 30 s while it lasts, and the other partitions are taken meanwhile:
    /// - [`Kind::Storage`](crate::error::Kind::Storage): the store could not be reached in time, or has something that cannot be read.
    /// - [`Kind::Truncated`](crate::error::Kind::Truncated): the stored offset is beyond the end of the log ([`OnAhead::Refuse`]).
    /// - [`Kind::NoOffset`](crate::error::Kind::NoOffset): the stored offset has expired ([`OnExpired::Refuse`]).
    /// - [`Kind::UnknownTopic`](crate::error::Kind::UnknownTopic): there is no such topic. It is not created.
    /// - [`Kind::Config`](crate::error::Kind::Config): the queue was built without group and store.
    /// - Those of [`Consumer::poll`](crate::consumer::Consumer::poll).
    ///
    /// Cancel safety: if the future is dropped before it is ready, what it had leased is handed out when the leases expire.
    pub async fn take(&mut self, count: usize, timeout: Duration) -> Result<Batch, Error> {
        self.reader()?.take(count, timeout).await
    }

    /// Moves the stored offsets of all partitions. All leases end, so every worker of the group goes on there, with its next take. Batches
    /// that were taken before can no longer be acknowledged.
    ///
    /// Returns for each partition where reading goes on. A partition whose leader or whose place in the store does not answer in time has
    /// an error, and was not moved.
    ///
    /// # Errors
    ///
    /// The store could not be reached, or there is no such topic: nothing was moved.
    ///
    /// Cancel safety: dropped before it is ready, it may have moved some partitions.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    ///
    /// use ottla::consumer::store::MemoryStore;
    /// use ottla::queue::Queue;
    /// use ottla::queue::Reset;
    ///
    /// let mut queue = Queue::builder(&client, "events").group("audit").store(MemoryStore::new()).build()?;
    /// for (partition, moved) in queue.reset(Reset::LastButNotBeforeStored(5), Duration::from_secs(5)).await? {
    ///     println!("{partition} goes on at {}", moved?);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn reset(&mut self, to: Reset, timeout: Duration) -> Result<ResetOutcomes, Error> {
        self.reader()?.reset(to, timeout).await
    }

    /// Stores an offset for each partition that has none: to take over the place of another system, whose offset was one number for the
    /// whole topic. Partitions that have an offset keep it. Outcomes and errors are those of [`Self::reset`].
    pub async fn adopt(&mut self, offset: u64, timeout: Duration) -> Result<ResetOutcomes, Error> {
        self.reader()?.adopt(offset, timeout).await
    }

    fn reader(&mut self) -> Result<&mut Reader, Error> {
        let none = || {
            let text = "the queue has no store for its offsets: call `QueueBuilder::group` and `QueueBuilder::store` to take from it";
            Error::config(text).in_topic(&self.topic)
        };
        self.reader.as_mut().ok_or_else(none)
    }
}
