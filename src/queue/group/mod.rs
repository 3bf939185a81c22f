//! Taking records as a member of a group of Kafka.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

mod batch;
mod builder;
mod following;
#[cfg(all(test, feature = "mock"))]
mod tests;

pub use self::batch::GroupBatch;
pub use self::builder::GroupQueueBuilder;

use self::following::Following;
use crate::client::AutoCreate;
use crate::client::Client;
use crate::client::Cluster;
use crate::consumer::AckConsumer;
use crate::consumer::Consumer;
use crate::consumer::Start;
use crate::consumer::Wanted;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::net::side_by_side;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::bounded;

/// A topic as a queue for the members of a group of Kafka, which assigns each of them partitions. The founding document's `KafkaQueueV2`.
///
/// - [`take`](Self::take) has one deadline for everything: joining the group, rebalances, commits and reading.
/// - **Records are acknowledged after they are processed**, by [`GroupBatch::ack`], and only what is acknowledged is committed: every 5 s
///   while something is taken ([`ConsumerBuilder::auto_commit`](crate::consumer::ConsumerBuilder::auto_commit)), before partitions are
///   given up, by [`commit`](Self::commit) and by [`close`](Self::close). The records of a member that dies come again to another.
/// - **Records that were read and not taken** delay no rebalance: they are left to the next owner of their partition.
///
/// Take at least every 5 min ([`ConsumerBuilder::poll_interval_max`](crate::consumer::ConsumerBuilder::poll_interval_max)), since taking
/// is how a member takes part in its group. No call creates a topic. [`Queue`](super::Queue) needs no group.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// use ottla::queue::GroupQueue;
///
/// let mut queue = GroupQueue::builder(&client, "events", "audit").build()?;
/// for _ in 0..3 {
///     match queue.take(100, Duration::from_secs(5)).await {
///         Ok(batch) => {
///             for record in &batch {
///                 println!("{:?}", record.value);
///             }
///             if let Err(refused) = batch.ack() {
///                 eprintln!("{refused}: they come again");
///             }
///         }
///         Err(error) => eprintln!("{error:#}"),
///     }
///     if queue.has_reassigned() {
///         println!("now {:?}", queue.assignment());
///     }
/// }
/// queue.close(Duration::from_secs(5)).await
/// # }
/// ```
#[derive(Debug)]
pub struct GroupQueue {
    cluster: Cluster,
    topic: TopicName,
    group: String,
    consumer: AckConsumer,
    following: Arc<Following>,
    bytes_max: usize,
    /// The group has assigned partitions, or none, at least once.
    joined: bool,
    /// The generation as of the last [`Self::has_reassigned`].
    seen: Option<u64>,
    /// Returned by the next take.
    error: Option<Error>,
}

impl GroupQueue {
    /// Settings of a queue for a topic and a group: those of a [`ConsumerBuilder`](crate::consumer::ConsumerBuilder), with their defaults.
    pub fn builder(client: &Client, topic: impl Into<TopicName>, group: impl Into<String>) -> GroupQueueBuilder {
        GroupQueueBuilder::new(client, topic.into(), group.into())
    }

    /// As [`Self::builder`], with the settings of the founding document's queue: 5 MiB of each partition in a fetch, a session of 30 s,
    /// the assignor [`RoundRobin`](crate::group::assignor::RoundRobin), and reading from the end where the group has committed nothing.
    pub fn original(client: &Client, topic: impl Into<TopicName>, group: impl Into<String>) -> GroupQueueBuilder {
        GroupQueueBuilder::new(client, topic.into(), group.into()).original()
    }

    /// The topic.
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Takes records until there are `count`, or `timeout` has passed: then there may be fewer, or none. Each record comes once, in order
    /// within its partition, for as long as the partition is assigned to this member.
    ///
    /// It returns earlier with as many records as may be open: 10,000
    /// ([`ConsumerBuilder::ack_open_max`](crate::consumer::ConsumerBuilder::ack_open_max)), or 64 MiB
    /// ([`GroupQueueBuilder::take_bytes_max`]). While earlier batches that were not acknowledged are as many, it waits for them.
    ///
    /// `timeout` covers everything, whatever the state of the brokers: joining, rebalances, commits. What is not done by then goes on with
    /// the next call.
    ///
    /// # Errors
    ///
    /// None ends the queue but [`Kind::Closed`]. Records before an error are returned first, and the error by the next take.
    /// - [`Kind::Config`]: `count` is 0.
    /// - [`Kind::UnknownTopic`]: there is no such topic. It is not created, and read once it exists.
    /// - [`Kind::Timeout`]: the group has assigned no partitions so far. Take again: the member goes on joining meanwhile.
    /// - [`Kind::Unacknowledged`]: a batch was dropped without an acknowledgement, so nothing after it is committed.
    ///   [`Self::rewind`] reads it again.
    /// - Those of [`Consumer::poll`]: the member may not join, the group is of another kind, a partition cannot be read.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it is ready, nothing is lost and nothing is repeated: what it had read is returned by the next take.
    pub async fn take(&mut self, count: usize, timeout: Duration) -> Result<GroupBatch, Error> {
        if count == 0 {
            let text = "0 records cannot be taken: take 1 or more, or only join the group by `GroupQueue::wait_for_assignment`";
            return Err(Error::config(text).in_topic(&self.topic));
        }
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let filled = self.fill(count, bounded(timeout)).await;
        self.after_call();
        let batch = GroupBatch::from(self.consumer.take_read(count));
        match filled {
            Ok(()) => Ok(batch),
            Err(error) if batch.is_empty() && batch.resets().is_empty() => Err(error),
            Err(error) => {
                self.error = Some(error);
                Ok(batch)
            }
        }
    }

    async fn fill(&mut self, count: usize, timeout: Duration) -> Result<(), Error> {
        let deadline = clock::now() + timeout;
        let (cluster, topic) = (self.cluster.clone(), self.topic.clone());
        let has_none = self.following.assignment().is_empty();
        let missing = async {
            if has_none && let Some(error) = missing(&cluster, &topic, timeout / 2, deadline).await {
                return error;
            }
            std::future::pending().await
        };
        let filling = self.consumer.fill(Wanted { records: count, bytes: self.bytes_max });
        let filling = side_by_side::first(filling, async { Err(missing.await) });
        match cluster.runtime().timeout_at(deadline, filling).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(self.closed()),
            Ok(Err(error)) => Err(error),
            Err(_) if self.joined || self.consumer.is_settled() => Ok(()),
            Err(_) => Err(self.not_joined(timeout).await),
        }
    }

    /// Waits until the group has assigned partitions, and returns them. They may be none, where other members have all of them.
    ///
    /// # Errors
    ///
    /// [`Kind::Timeout`]: nothing was assigned within `timeout`. Otherwise as [`Self::take`].
    ///
    /// Cancel safety: dropping the future before it is ready loses nothing.
    pub async fn wait_for_assignment(&mut self, timeout: Duration) -> Result<Vec<TopicPartition>, Error> {
        let deadline = clock::now() + bounded(timeout);
        let cluster = self.cluster.clone();
        let waited = cluster.runtime().timeout_at(deadline, self.consumer.wait_for_assignment(timeout)).await;
        self.after_call();
        match waited {
            Ok(Ok(_)) => Ok(self.assignment()),
            // A member that polled too late is reported so, too.
            Ok(Err(error)) if error.kind() != Kind::Timeout || clock::now() < deadline => Err(error),
            Ok(Err(_)) | Err(_) => Err(self.not_joined(timeout).await),
        }
    }

    /// Commits what is acknowledged now, and waits for it, for `timeout` at most.
    ///
    /// # Errors
    ///
    /// As [`Consumer::commit_within`]: the member is not in its group any more, or the coordinator did not respond in time.
    ///
    /// Cancel safety: a commit that is dropped before it is ready continues in the background.
    pub async fn commit(&mut self, timeout: Duration) -> Result<(), Error> {
        self.consumer.commit_within(timeout).await
    }

    /// The partitions that this member takes from. They change while a call waits, or after one was dropped that had begun a change.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.following.assignment()
    }

    /// How often the assignment has changed: 0 before the first one. It never goes back.
    ///
    /// It also grows where this member gives partitions up and gets the same ones back: in between they were nobody's, or somebody else's.
    /// The generation that the coordinator counts is in [`Consumer::group_metadata`].
    pub fn generation(&self) -> u64 {
        self.following.generation()
    }

    /// Whether the assignment has changed since the last call of this method. The first call returns `false`.
    pub fn has_reassigned(&mut self) -> bool {
        let now = self.generation();
        self.seen.replace(now).is_some_and(|seen| seen != now)
    }

    /// Moves this member: all partitions that it has go on at `to`. Batches that were taken of them before are refused when they are
    /// acknowledged. It sends no request; the next commit commits the new positions.
    ///
    /// It may be called before the group has assigned partitions, and in a rebalance: then the partitions that are assigned next begin
    /// there. Those that come by a later rebalance go on where the group has committed. To move a whole group, close its members and alter
    /// its offsets: see [`Admin::alter_group_offsets`](crate::admin::Admin::alter_group_offsets).
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the offset or timestamp is negative.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use ottla::consumer::Start;
    /// use ottla::queue::GroupQueue;
    ///
    /// let mut queue = GroupQueue::original(&client, "events", "audit").build()?;
    /// queue.reset(Start::FromEnd(5))?;
    /// # Ok(()) }
    /// ```
    pub fn reset(&mut self, to: Start) -> Result<(), Error> {
        self.consumer.seek_all(&to)?;
        self.following.set_start((!self.consumer.is_settled()).then_some(to));
        Ok(())
    }

    /// Reads a partition again from its first record that is not acknowledged: after a batch was dropped. Records after it that were
    /// acknowledged come again too, and batches that were taken of it before are refused.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`]: the partition is not assigned.
    pub fn rewind(&mut self, partition: &TopicPartition) -> Result<(), Error> {
        self.consumer.rewind(partition)
    }

    /// The consumer, for everything that changes nothing: positions, lag, committed offsets, the membership.
    pub fn as_consumer(&self) -> &Consumer {
        self.consumer.as_consumer()
    }

    /// Waits for records that are not acknowledged, for half of `timeout` and 5 s at most
    /// ([`ConsumerBuilder::ack_wait`](crate::consumer::ConsumerBuilder::ack_wait)), commits, and leaves the group, all within `timeout`. Dropping the
    /// queue instead commits nothing.
    ///
    /// # Errors
    ///
    /// The error of the last commit. The queue is closed all the same.
    pub async fn close(mut self, timeout: Duration) -> Result<(), Error> {
        self.consumer.close_within(timeout).await
    }

    /// A start that was set for partitions of a join, or of a rebalance, does not outlive it.
    fn after_call(&mut self) {
        if self.consumer.is_settled() {
            self.joined = true;
            self.following.set_start(None);
        }
    }

    fn closed(&self) -> Error {
        Error::new(Kind::Closed, "the consumer of the queue was closed: build another queue").in_topic(&self.topic)
    }

    /// The reason why nothing was assigned: brokers that cannot be reached, or the group.
    async fn not_joined(&self, timeout: Duration) -> Error {
        // The deadline has passed, so this only looks.
        if let Err(error) = self.cluster.known(std::slice::from_ref(&self.topic), clock::now()).await {
            return error;
        }
        let text = format!(
            "the group {:?} assigned no partitions within {timeout:?}: take again with more time; if it lasts, check that its coordinator \
             can be reached, and that its other members still poll",
            self.group
        );
        Error::new(Kind::Timeout, text).in_topic(&self.topic)
    }
}

/// Waits until it is known whether there is a topic. Returns the error if brokers refuse it; nothing if it cannot be known by `deadline`.
async fn missing(cluster: &Cluster, topic: &TopicName, grace: Duration, deadline: Instant) -> Option<Error> {
    let grace = grace.min(cluster.settings().propagation);
    let known = cluster.known_or_created(std::slice::from_ref(topic), AutoCreate::Forbid, grace, deadline).await;
    known.err().filter(|error| error.kind() == Kind::UnknownTopic || error.code().is_some())
}
