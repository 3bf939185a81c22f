//! Reading records, without group membership: a handle for the caller, and a driver that runs the core.
//!
//! A background task fetches partitions ahead, within a memory limit. [`Consumer::poll`] takes fetched batches and verifies,
//! decompresses and checks them in the caller's task, so that iterating over [`Records`] cannot fail.
//!
//! ```no_run
//! # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
//! let mut consumer = client.consumer().group("audit").assign(["events"]).build()?;
//! while let Some(records) = consumer.poll().await? {
//!     for record in &records {
//!         println!("{}[{}]@{}", record.topic, record.partition, record.offset);
//!     }
//!     consumer.commit().await?;
//! }
//! # Ok(()) }
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::client::AutoCreate;
use crate::client::Cluster;
use crate::client::Interest;
use crate::codec::Codecs;
use crate::error::Error;
use crate::error::Kind;
use crate::group::member::Member;
use crate::net::clock;
use crate::reading::PartitionBatch;
use crate::reading::buffers::Buffers;
use crate::types::TopicName;
use crate::types::TopicPartition;

mod acks;
mod commits;
mod committing;
mod config;
pub(crate) mod core;
mod driver;
mod group;
mod handle;
pub(crate) mod last;
mod listener;
mod membership;
pub(crate) mod offsets;
mod owned;
mod rebalance;
mod records;
pub mod store;
mod streams;
#[cfg(all(test, feature = "mock"))]
mod tests;

pub use self::acks::AckConsumer;
pub use self::acks::AckRefused;
pub use self::acks::AckToken;
#[cfg(feature = "queue")]
pub(crate) use self::acks::Portion;
pub use self::acks::Unacked;
pub use self::acks::UnackedRecords;
#[cfg(feature = "queue")]
pub(crate) use self::acks::Wanted;
pub use self::commits::PendingCommit;
pub use self::committing::Committed;
pub use self::config::ConsumerBuilder;
pub use self::core::OffsetToCommit;
pub use self::core::Reset;
pub use self::core::ResetPolicy;
pub use self::core::Start;
pub use self::core::acks::Refusal;
pub use self::group::CloseOptions;
pub use self::handle::ConsumerHandle;
pub use self::listener::HookFuture;
pub use self::listener::RebalanceListener;
pub use self::owned::OwnedRecords;
pub use self::records::Records;
pub use self::streams::AutoAckStream;
pub use self::streams::ConsumerStream;
pub use self::streams::PartitionStream;
pub use self::streams::PartitionStreams;
pub use crate::group::GroupMetadata;
pub use crate::group::GroupProtocol;
pub use crate::group::pattern::TopicPattern;
pub use crate::reading::ConsumedRecord;
pub use crate::reading::Isolation;
pub use crate::reading::Iter;
pub use crate::reading::OwnedRecord;
pub use crate::reading::PartitionRecords;
pub use crate::reading::Position;
pub use crate::record::Header;
pub use crate::record::Headers;
pub use crate::record::TimestampType;

use self::commits::Commits;
use self::config::Limits;
use self::core::ConsumerCore;
use self::core::Next;
use self::core::Returned;
use self::core::Taken;
use self::driver::Driver;
use self::driver::Shared;
use self::driver::State;
use self::offsets::OffsetSpec;
use self::rebalance::Rebalancing;

/// The longest time that closing takes. Brokers end fetch sessions by themselves later.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads records. Made by [`Client::consumer`](crate::client::Client::consumer).
///
/// Dropping it stops its background task without waiting. Offsets are committed by [`Consumer::commit`],
/// [`Consumer::commit_positions`] and their variants, and by the consumer itself where
/// [`auto_commit`](ConsumerBuilder::auto_commit) is on.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::consumer::Start;
///
/// let mut consumer = client.consumer().assign_partitions([("events", 0)]).start(Start::FromEnd(100)).build()?;
/// let records = consumer.poll().await?.expect("the read has no end");
/// for partition in consumer.assignment() {
///     println!("{partition}: at {:?}, {:?} behind", consumer.position(&partition), consumer.lag(&partition));
/// }
/// drop(records);
/// consumer.close().await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    cluster: Cluster,
    handle: ConsumerHandle,
    /// The application's part of a group: rebalances, and commits that it does not make itself.
    rebalancing: Option<Rebalancing>,
    isolation: Isolation,
    codecs: Codecs,
    limits: Limits,
    buffers: Buffers,
    /// An error to return after the records that come before it.
    error: Option<Error>,
    /// The last poll returned without waiting. The next one yields first, so that other tasks of the runtime run.
    busy: bool,
    /// Keeps the metadata of the assigned topics fresh.
    interest: Interest,
    auto_create: AutoCreate,
    driver: Option<JoinHandle<()>>,
}

/// The capacity that a poll has left.
#[derive(Clone, Copy, Debug)]
struct Capacity {
    bytes: usize,
    /// `usize::MAX`: records are not counted.
    records: usize,
}

impl Capacity {
    fn is_used_up(self) -> bool {
        self.bytes == 0 || self.records == 0
    }

    fn take(&mut self, batch: &core::Visible) {
        self.bytes = self.bytes.saturating_sub(batch.decoded.size().max(1));
        if self.records != usize::MAX {
            self.records = self.records.saturating_sub(batch.record_count());
        }
    }
}

/// Whether a poll that has nothing to return can wait for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    GoesOn,
    /// A bounded read has returned everything, or the consumer was closed.
    Over,
    /// The driver ended although the consumer was not closed.
    Died,
}

impl Consumer {
    fn start(
        cluster: Cluster,
        (core, settings, codecs): (ConsumerCore, core::Config, Codecs),
        limits: Limits,
        auto_create: AutoCreate,
        (rebalancing, member): (Option<rebalance::Settings>, Option<Member>),
        acks: Option<acks::Settings>,
    ) -> Self {
        let topics: Vec<TopicName> = core.topics().into_iter().collect();
        let interest = cluster.hold(&topics, auto_create);
        let commits = settings.group.as_ref().map(|group| Commits::new(group, &cluster));
        let rebalancing = rebalancing.map(Rebalancing::new);
        let shared = Arc::new(Shared::new(core, commits, member, acks));
        let handle = ConsumerHandle {
            shared: Arc::clone(&shared),
            group: settings.group.clone(),
            timeout: limits.timeout,
            runtime: cluster.runtime().clone(),
        };
        let weak = Arc::downgrade(&shared);
        cluster.register(weak);
        let driver = Driver::new(Arc::clone(&shared), cluster.clone(), &settings, auto_create);
        let task = cluster.runtime().spawn(driver.run());
        Self {
            shared,
            cluster,
            handle,
            rebalancing,
            isolation: settings.isolation,
            codecs,
            limits,
            buffers: Buffers::default(),
            error: None,
            busy: false,
            interest,
            auto_create,
            driver: Some(task),
        }
    }

    /// Waits for records or for another event of a partition, without a limit of time.
    ///
    /// The [`Records`] have records, [ends](Records::ends) of partitions that were reached and [resets](Records::resets) of
    /// positions; there may be no record among them. Records before an error are returned first, and the error by the next poll.
    ///
    /// Returns `None` when a bounded read ([`ConsumerBuilder::until_end`]) has returned everything, or when the consumer was
    /// closed.
    ///
    /// Cancel safety: dropping the future before it is ready loses nothing.
    ///
    /// # Errors
    ///
    /// No error but [`Kind::Closed`] ends the consumer, and none moves a position: log it and poll again. It is about the
    /// partition, topic or broker that it names. All others are read meanwhile.
    ///
    /// | [kind](crate::error::Error::kind) | its partitions | what to do |
    /// |---|---|---|
    /// | [`Truncated`](Kind::Truncated), [`NoOffset`](Kind::NoOffset) | are not read, because they have no position. Reported once | [seek](Self::seek) |
    /// | [`Corrupt`](Kind::Corrupt) | stay before the batch. It is fetched again after a pause, and reported again | to skip the batch, seek to the offset after [`Error::offset`], which is the last one of the batch |
    /// | [`UnknownTopic`](Kind::UnknownTopic) | are read when they exist. A missing partition is reported once, after 5 s, a missing topic every 5 s | check the name |
    /// | [`Authentication`](Kind::Authentication), [`Tls`](Kind::Tls), [`Unsupported`](Kind::Unsupported) | are not read. Tried again after a pause, and reported again | stop, and change the settings or the features. Data without a codec is good: do not skip it |
    /// | [`RecordTooLarge`](Kind::RecordTooLarge) | stay before the batch, which is fetched again after a pause | raise [`ConsumerBuilder::batch_bytes_max`] |
    /// | [`Broker`](Kind::Broker), [`Connect`](Kind::Connect), [`Timeout`](Kind::Timeout) and the others | are tried again after a pause of at most 1 s (`retry.backoff.max.ms`). A failure that may pass is reported when it has lasted for 30 s (`request.timeout.ms`), and every 30 s | nothing, unless it lasts |
    /// | [`Closed`](Kind::Closed) | are not read: the background task ended by a panic or with its runtime | build a new consumer |
    ///
    /// # Example
    ///
    /// Each record is processed at least once: its offset is committed afterwards.
    ///
    /// ```no_run
    /// # async fn run(mut consumer: ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// use ottla::consumer::Start;
    /// use ottla::error::Kind;
    /// use ottla::types::TopicPartition;
    ///
    /// loop {
    ///     match consumer.poll().await {
    ///         Ok(Some(records)) => {
    ///             for reset in records.resets() {
    ///                 eprintln!("{}[{}]: {}, read from {}", reset.topic, reset.partition, reset.reason, reset.to);
    ///             }
    ///             for record in &records {
    ///                 println!("{}[{}] {}: {:?}", record.topic, record.partition, record.offset, record.value);
    ///             }
    ///             // It was retried for a minute. The next commit covers these records too.
    ///             if let Err(error) = consumer.commit().await {
    ///                 eprintln!("{error:#}");
    ///             }
    ///         }
    ///         // The consumer was closed, or a bounded read is over.
    ///         Ok(None) => break,
    ///         Err(error) => {
    ///             eprintln!("{error:#}");
    ///             match (error.kind(), error.topic(), error.partition(), error.offset()) {
    ///                 (Kind::Closed | Kind::Authentication | Kind::Tls, ..) => return Err(error),
    ///                 // This program prefers the records after the corrupt batch to waiting for its repair.
    ///                 (Kind::Corrupt, Some(topic), Some(partition), Some(last)) => {
    ///                     consumer.seek(&TopicPartition::new(topic, partition), Start::Offset(last + 1))?;
    ///                 }
    ///                 _ => {}
    ///             }
    ///         }
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn poll(&mut self) -> Result<Option<Records>, Error> {
        if std::mem::take(&mut self.busy) {
            tokio::task::yield_now().await;
        }
        loop {
            self.take_part().await?;
            if let Some(polled) = self.poll_now(usize::MAX) {
                self.busy = true;
                return polled;
            }
            self.wait_for_news(None).await;
        }
    }

    /// Polls without waiting, until there are this many records. Returns `None` if there is nothing to return yet.
    fn poll_now(&mut self, records_max: usize) -> Option<Result<Option<Records>, Error>> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let mut records = Records::new(self.buffers.clone());
        let mut capacity = Capacity { bytes: self.limits.poll_bytes, records: records_max };
        while !capacity.is_used_up() {
            let next = self.shared.lock().core.next();
            match next {
                None => break,
                Some(Next::Chunk(taken)) => self.read(taken, &mut records, &mut capacity),
                Some(Next::End(partition, offset)) => records.push_end(partition, offset),
                Some(Next::Error(error)) => self.error = Some(error),
                Some(Next::Reset(reset)) => records.push_reset(reset),
            }
            if self.error.is_some() {
                break;
            }
        }
        let progress = self.progress(&records);
        if !records.is_bare() {
            return Some(Ok(Some(records)));
        }
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        match progress {
            Progress::GoesOn => None,
            Progress::Over => Some(Ok(None)),
            Progress::Died => Some(Err(Error::new(
                Kind::Closed,
                "the consumer's background task ended, by a panic or with its runtime: build a new consumer",
            ))),
        }
    }

    /// Lets the core fetch more, and returns whether there can be more.
    fn progress(&self, returned: &Records) -> Progress {
        let mut state = self.shared.lock();
        let State { core, records, batches, stopped, died, .. } = &mut *state;
        *batches += count(returned.batch_count());
        *records += count(returned.record_count());
        core.handle_capacity(clock::now());
        let progress = if !core.has_next() && core.is_finished() || *stopped && !*died {
            Progress::Over
        } else if *died {
            Progress::Died
        } else {
            Progress::GoesOn
        };
        let has_actions = core.has_actions();
        drop(state);
        if has_actions {
            self.shared.work.notify_one();
        }
        progress
    }

    /// Reads batches of a chunk until it is finished or the capacity of the poll is used up.
    fn read(&mut self, mut taken: Taken, records: &mut Records, capacity: &mut Capacity) {
        let mark = records.batch_count();
        while !capacity.is_used_up() {
            match taken.chunk.read(&self.codecs, self.limits.batch_bytes, || self.buffers.take()) {
                Ok(None) => break,
                Ok(Some(visible)) => {
                    capacity.take(&visible);
                    records.push(PartitionBatch::new(taken.topic.clone(), taken.partition, visible));
                }
                Err(unreadable) => {
                    self.error = self.shared.lock().core.unreadable(clock::now(), taken, unreadable);
                    if self.error.is_none() {
                        records.drop_from(mark);
                    }
                    return;
                }
            }
        }
        let returned = self.shared.lock().core.give_back(taken);
        match returned {
            Returned::Delivered { end: Some((partition, offset)) } => records.push_end(partition, offset),
            Returned::Delivered { end: None } => {}
            Returned::Overtaken => records.drop_from(mark),
        }
    }

    /// Reads these partitions and no others, from now on. Partitions that stay assigned are not disturbed; the others start where
    /// the consumer was built to [start](ConsumerBuilder::start).
    ///
    /// Records of a partition that is no longer assigned are not returned any more, also if they were fetched before, and
    /// [`Consumer::commit`] does not commit its position: commit before.
    ///
    /// ```no_run
    /// # async fn run(consumer: &mut ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// consumer.commit().await?;
    /// consumer.assign_partitions([("events", 0), ("events", 4)])?;
    /// # Ok(()) }
    /// ```
    pub fn assign_partitions<T: Into<TopicName>>(
        &mut self,
        partitions: impl IntoIterator<Item = (T, i32)>,
    ) -> Result<(), Error> {
        let partitions = partitions.into_iter().map(|(topic, partition)| TopicPartition::new(topic, partition));
        let partitions: BTreeSet<TopicPartition> = partitions.collect();
        config::check_partitions(&partitions)?;
        self.check_assignable()?;
        self.reassign(|core| core.replace_assignment(clock::now(), &partitions));
        Ok(())
    }

    /// Stops reading these partitions, and continues with the others. A topic that was assigned whole is read in the partitions that
    /// it has now: those that are added later are not read.
    ///
    /// The partitions of a consumer that [subscribes](ConsumerBuilder::subscribe) are the group's to assign: they stay.
    /// [Pause](Self::pause) them instead.
    ///
    /// ```no_run
    /// # fn run(consumer: &mut ottla::consumer::Consumer) {
    /// use ottla::types::TopicPartition;
    ///
    /// consumer.unassign_partitions([&TopicPartition::new("events", 4)]);
    /// # }
    /// ```
    pub fn unassign_partitions<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>) {
        if self.check_assignable().is_ok() {
            self.reassign(|core| core.revoke(clock::now(), partitions));
        }
    }

    fn reassign(&mut self, change: impl FnOnce(&mut ConsumerCore)) {
        let mut state = self.shared.lock();
        change(&mut state.core);
        if let Some(acks) = &self.shared.acks {
            let assigned = state.core.assignment().cloned().collect();
            acks.retain(&assigned);
        }
        let topics: Vec<TopicName> = state.core.topics().into_iter().collect();
        drop(state);
        self.interest = self.cluster.hold(&topics, self.auto_create);
        self.shared.work.notify_one();
    }

    /// Stops returning records of these partitions. Their fetched records are kept, within limits.
    ///
    /// ```no_run
    /// # fn run(consumer: &mut ottla::consumer::Consumer, slow: &ottla::types::TopicPartition) -> Result<(), ottla::Error> {
    /// consumer.pause([slow])?;
    /// // The other partitions are read meanwhile.
    /// consumer.resume([slow])?;
    /// # Ok(()) }
    /// ```
    pub fn pause<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> Result<(), Error> {
        self.handle.pause(partitions)
    }

    /// Returns records of these partitions again.
    pub fn resume<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> Result<(), Error> {
        self.handle.resume(partitions)
    }

    /// Moves the position of a partition. Records that were fetched from the old position are dropped.
    ///
    /// It sends no request itself: with [`Start::Offset`] the new [position](Self::position) is known at once, otherwise when the
    /// group's coordinator or the leader has responded.
    ///
    /// # An offset that the log does not have
    ///
    /// - The end is in range: the next record that is written will be read. Nothing is reset.
    /// - An offset past the end, or before the first record, is refused by the leader. Then the
    ///   [reset policy](ConsumerBuilder::reset) decides. By default reading **starts over with the oldest record**, with
    ///   [`ResetPolicy::Latest`] it continues at the end, and [`Records::resets`] of the next poll says so. With
    ///   [`ResetPolicy::None`] the next poll returns an error of kind [`Truncated`](Kind::Truncated), which names the range of the
    ///   log, and the partition waits for another seek.
    /// - Until that poll the position is the offset that was sought, and [`Consumer::commit`] commits it.
    /// - In a bounded read ([`ConsumerBuilder::until_end`]) an offset at its end or past it ends the read of the partition, and
    ///   nothing is reset.
    ///
    /// [`Consumer::beginning_offsets`] and [`Consumer::end_offsets`] return the range.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`] if the partition is not assigned, the offset or timestamp is negative, or [`Start::Stored`] is given
    /// without a group.
    ///
    /// ```no_run
    /// # fn run(consumer: &mut ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// use ottla::consumer::Start;
    /// use ottla::types::TopicPartition;
    ///
    /// consumer.seek(&TopicPartition::new("events", 3), Start::Offset(1_000))?;
    /// # Ok(()) }
    /// ```
    pub fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<(), Error> {
        self.handle.seek(partition, start)
    }

    /// The partitions that are read. Those of topics that are read whole are missing until the metadata has them.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.lock().core.assignment().cloned().collect()
    }

    /// The position after the last record of a partition that was returned, once it is known.
    pub fn position(&self, partition: &TopicPartition) -> Option<Position> {
        self.shared.lock().core.position(partition)
    }

    /// The distance from the position of a partition to its end, as of the last fetch.
    pub fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        self.shared.lock().core.lag(partition)
    }

    /// Requests the end offset of each assigned partition from its leader. With [`Isolation::ReadCommitted`] it is the last stable
    /// offset.
    ///
    /// Waits until the metadata has all assigned topics. A topic that does not exist is an error of kind [`Kind::UnknownTopic`].
    /// Errors that may pass are retried until `default.api.timeout.ms` have passed.
    pub async fn end_offsets(&self) -> Result<Vec<(TopicPartition, i64)>, Error> {
        self.list_offsets(OffsetSpec::Latest).await
    }

    /// Requests the first offset of each assigned partition, like [`Consumer::end_offsets`].
    pub async fn beginning_offsets(&self) -> Result<Vec<(TopicPartition, i64)>, Error> {
        self.list_offsets(OffsetSpec::Earliest).await
    }

    async fn list_offsets(&self, spec: OffsetSpec) -> Result<Vec<(TopicPartition, i64)>, Error> {
        let deadline = clock::now() + self.limits.timeout;
        let partitions = self.assigned(deadline).await?;
        offsets::list_offsets(&self.cluster, &partitions, spec, self.isolation, deadline).await
    }

    /// All partitions that are read, once the metadata has every topic.
    async fn assigned(&self, deadline: Instant) -> Result<Vec<TopicPartition>, Error> {
        let topics: Vec<TopicName> = self.shared.lock().core.topics().into_iter().collect();
        self.cluster.known(&topics, deadline).await?;
        let mut state = self.shared.lock();
        // The driver may not have passed on the newest metadata yet.
        state.core.handle_metadata(clock::now(), self.cluster.snapshot());
        let partitions = state.core.assignment().cloned().collect();
        drop(state);
        self.shared.work.notify_one();
        Ok(partitions)
    }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
