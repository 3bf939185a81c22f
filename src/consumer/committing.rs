//! The public part of commits: what is committed, by whom it is awaited, and what a group has committed.

use std::time::Duration;

use super::Consumer;
use super::commits::PendingCommit;
use super::core::OffsetToCommit;
use super::offsets;
use crate::error::Error;
use crate::net::clock;
use crate::reading::Position;
use crate::types::TopicPartition;
use crate::types::bounded;

/// An offset that a group has committed. Made by [`Consumer::committed_of`].
///
/// Its age is not here, because the protocol does not have it: OffsetFetch returns offset, leader epoch and metadata. A time that is
/// put into the [metadata](OffsetToCommit::with_metadata) comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The offset of the next record to read, and the leader epoch of the record before it, if it was committed with one.
    pub position: Position,
    /// The text that was committed with it.
    pub metadata: String,
}

impl Consumer {
    /// Commits the positions after all records that [`Consumer::poll`] has returned, for the group.
    ///
    /// Commits of one consumer reach the coordinator in the order of the calls, so an older offset never overwrites a newer one.
    /// Errors that may pass are retried, for the partitions they concern, until [`timeout`](super::ConsumerBuilder::timeout)
    /// (`default.api.timeout.ms`, 60 s) has passed. A program that ends has less time: see [`Consumer::commit_within`].
    ///
    /// Cancel safety: a commit that is dropped before it is ready continues in the background. It may or may not take place.
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.commit_within(self.limits.timeout).await
    }

    /// As [`Consumer::commit`], until `timeout` has passed instead of the consumer's own.
    ///
    /// The error at the deadline is of kind [`Kind::Timeout`](crate::error::Kind::Timeout). Its cause is the last failure, if there was
    /// one. The offsets may or may not be committed.
    ///
    /// ```no_run
    /// # async fn run(mut consumer: ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    ///
    /// // The last commit of a program that has three seconds left.
    /// if let Err(error) = consumer.commit_within(Duration::from_secs(3)).await {
    ///     eprintln!("some records will be read again: {error}");
    /// }
    /// consumer.close().await?;
    /// # Ok(()) }
    /// ```
    pub async fn commit_within(&mut self, timeout: Duration) -> Result<(), Error> {
        let positions = self.shared.lock().core.positions();
        self.handle.commit_by(positions, clock::now() + bounded(timeout)).await
    }

    /// Begins to commit what [`Consumer::commit`] commits, and does not wait (Java's `commitAsync`). The future that is returned has the
    /// result; the commit continues without it. It reaches the coordinator in the order of the calls, as every commit does.
    ///
    /// ```no_run
    /// # async fn run(consumer: &mut ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// while let Some(records) = consumer.poll().await? {
    ///     println!("{} records", records.count());
    ///     let committed = consumer.begin_commit();
    ///     tokio::spawn(async move {
    ///         if let Err(error) = committed.await {
    ///             eprintln!("{error:#}");
    ///         }
    ///     });
    /// }
    /// # Ok(()) }
    /// ```
    pub fn begin_commit(&mut self) -> PendingCommit {
        let positions = self.shared.lock().core.positions();
        self.handle.begin_commit_positions(positions)
    }

    /// Begins to commit what [`Consumer::commit_positions`] commits, and does not wait: see [`Consumer::begin_commit`].
    pub fn begin_commit_positions(&mut self, offsets: impl IntoIterator<Item: Into<OffsetToCommit>>) -> PendingCommit {
        self.handle.begin_commit_positions(offsets)
    }

    /// Commits offsets for the group: up to a record or to the records of a partition, or any position, also with a text
    /// ([`OffsetToCommit`]). Each is the position of the next record to read, as [`ConsumedRecord::next_position`](super::ConsumedRecord::next_position) returns it. This is for
    /// callers who stop in the middle of the records of a poll. Of several offsets of a partition the last one counts.
    ///
    /// ```no_run
    /// # async fn run(consumer: &mut ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// use ottla::consumer::OffsetToCommit;
    ///
    /// let Some(records) = consumer.poll().await? else { return Ok(()) };
    /// let Some(last) = records.iter().take(10).last() else { return Ok(()) };
    /// consumer.commit_positions([last]).await?;
    /// // The same by numbers, with a text that is stored with the offset.
    /// let offset = OffsetToCommit::from((last.topic_partition(), last.next_position()));
    /// consumer.commit_positions([offset.with_metadata("by hand")]).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Commits of one consumer reach the coordinator in the order of the calls, so an older offset never overwrites a newer one.
    /// Errors that may pass are retried, for the partitions they concern, until [`timeout`](super::ConsumerBuilder::timeout)
    /// (`default.api.timeout.ms`, 60 s) has passed.
    ///
    /// Cancel safety: a commit that is dropped before it is ready continues in the background. It may or may not take place.
    pub async fn commit_positions(
        &mut self,
        offsets: impl IntoIterator<Item: Into<OffsetToCommit>>,
    ) -> Result<(), Error> {
        self.commit_positions_within(offsets, self.limits.timeout).await
    }

    /// As [`Consumer::commit_positions`], until `timeout` has passed instead of the consumer's own. Errors are those of
    /// [`Consumer::commit_within`].
    pub async fn commit_positions_within(
        &mut self,
        offsets: impl IntoIterator<Item: Into<OffsetToCommit>>,
        timeout: Duration,
    ) -> Result<(), Error> {
        self.handle.commit_by(offsets, clock::now() + bounded(timeout)).await
    }

    /// The position that the group has committed for each assigned partition, `None` if it has committed none. Waits until the
    /// metadata has all assigned topics, like [`Consumer::end_offsets`].
    pub async fn committed(&self) -> Result<Vec<(TopicPartition, Option<Position>)>, Error> {
        let deadline = clock::now() + self.limits.timeout;
        let partitions = self.assigned(deadline).await?;
        let committed = offsets::committed(&self.cluster, self.handle.grouped()?, &partitions, deadline).await?;
        Ok(committed.into_iter().map(|(key, committed)| (key, committed.map(|committed| committed.position))).collect())
    }

    /// The offsets that the group has committed for any partitions, with their metadata; `None` where it has committed none, or where
    /// the broker has deleted an old one (`offsets.retention.minutes`). The order is that of `partitions`.
    ///
    /// Errors that may pass are retried until [`timeout`](super::ConsumerBuilder::timeout) has passed.
    ///
    /// ```no_run
    /// # async fn run(consumer: &ottla::consumer::Consumer) -> Result<(), ottla::Error> {
    /// use ottla::types::TopicPartition;
    ///
    /// for (partition, committed) in consumer.committed_of([TopicPartition::new("events", 0)]).await? {
    ///     println!("{partition}: {committed:?}");
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn committed_of(
        &self,
        partitions: impl IntoIterator<Item = TopicPartition>,
    ) -> Result<Vec<(TopicPartition, Option<Committed>)>, Error> {
        let deadline = clock::now() + self.limits.timeout;
        let partitions: Vec<TopicPartition> = partitions.into_iter().collect();
        offsets::committed(&self.cluster, self.handle.grouped()?, &partitions, deadline).await
    }
}
