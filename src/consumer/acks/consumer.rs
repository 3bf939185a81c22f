//! The consumer whose records are acknowledged one by one, or partition by partition.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::shared::Acks;
use super::token::AckToken;
use super::token::Unacked;
use crate::consumer::CloseOptions;
use crate::consumer::Consumer;
use crate::consumer::Records;
use crate::consumer::core::Reset;
use crate::consumer::core::Start;
use crate::consumer::handle::ConsumerHandle;
use crate::consumer::owned::OwnedRecords;
use crate::consumer::streams::PartitionStreams;
use crate::error::Error;
use crate::group::pattern::TopicPattern;
use crate::net::clock;
use crate::reading::OwnedRecord;
use crate::reading::Position;
use crate::types::TopicName;
use crate::types::TopicPartition;
use crate::types::bounded;
use crate::types::inserted;

/// A consumer for workers that finish out of order. Made by [`build_acked`](super::super::ConsumerBuilder::build_acked).
///
/// Each record, or all records of a partition that one poll returns, come with an [`AckToken`]. The offset that is committed is the
/// end of the contiguous acknowledged prefix of each partition: never ahead of an open record, whatever finishes after it. Offsets
/// without a record (compaction, markers of transactions) do not stop it.
///
/// - **It commits by itself** every 5 s while it polls ([`auto_commit`](super::super::ConsumerBuilder::auto_commit), also where
///   partitions are assigned), before partitions are given up, and when it is closed. Positions of the reader are never committed.
/// - **Back-pressure**: with [`ack_open_max`](super::super::ConsumerBuilder::ack_open_max) records open, [`poll`](Self::poll) waits.
/// - **Rebalances**: before partitions are given up, the consumer waits for their open records, no longer than
///   [`ack_wait`](super::super::ConsumerBuilder::ack_wait), and commits. Then their tokens are refused with a
///   [reason](super::AckRefused): the next owner reads these records again.
/// - **A token that is dropped** is a negative acknowledgement: nothing after its records is committed, and `poll` returns an error of
///   kind [`Unacknowledged`](crate::error::Kind::Unacknowledged) that names partition and offset. [`rewind`](Self::rewind) reads
///   them again; [`seek`](Self::seek) past them gives them up.
///
/// The task that polls must go on polling while others work: it takes part in the group.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::error::Kind;
/// use ottla::types::TopicPartition;
///
/// let mut consumer = client.consumer().group("audit").subscribe(["events"]).build_acked()?;
/// loop {
///     match consumer.poll().await {
///         Ok(Some(records)) => {
///             for work in records.into_records() {
///                 tokio::spawn(async move {
///                     println!("{:?}", work.value);
///                     // The partition may have moved meanwhile: then its next owner does this again.
///                     let _ = work.ack();
///                 });
///             }
///         }
///         Ok(None) => break,
///         // A worker panicked, or gave up: read from its record on again.
///         Err(error) if error.kind() == Kind::Unacknowledged => {
///             eprintln!("{error}");
///             if let (Some(topic), Some(partition)) = (error.topic(), error.partition()) {
///                 consumer.rewind(&TopicPartition::new(topic, partition))?;
///             }
///         }
///         Err(error) => eprintln!("{error:#}"),
///     }
/// }
/// consumer.close().await
/// # }
/// ```
#[derive(Debug)]
pub struct AckConsumer {
    pub(super) consumer: Consumer,
    pub(super) acks: Arc<Acks>,
}

impl AckConsumer {
    pub(in crate::consumer) fn new(consumer: Consumer, acks: Arc<Acks>) -> Self {
        Self { consumer, acks }
    }

    /// Waits for records, or for another event of a partition, without a limit of time. While as many records are open as may be, it
    /// waits for acknowledgements. It returns at least one batch, so it may exceed the limit by one batch.
    ///
    /// Returns `None` when a bounded read has returned everything, or when the consumer was closed.
    ///
    /// Cancel safety: dropping the future before it is ready loses nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Consumer::poll`], and [`Unacknowledged`](crate::error::Kind::Unacknowledged): once for each partition of which tokens
    /// were dropped, and every 30 s while nothing can be read because the tokens of all open records were dropped. The consumer goes on.
    pub async fn poll(&mut self) -> Result<Option<UnackedRecords>, Error> {
        if std::mem::take(&mut self.consumer.busy) {
            tokio::task::yield_now().await;
        }
        loop {
            self.take_part().await?;
            self.resume();
            let capacity = self.acks.capacity();
            if let Some(polled) = self.consumer.poll_now(capacity) {
                self.consumer.busy = true;
                return Ok(polled?.map(|records| self.hand_out(records)));
            }
            self.consumer.wait_for_news(self.acks.report_at()).await;
        }
    }

    /// Takes part in the group, and reports records that never will be acknowledged.
    pub(super) async fn take_part(&mut self) -> Result<(), Error> {
        self.consumer.take_part().await?;
        self.acks.poll_error(clock::now()).map_or(Ok(()), Err)
    }

    /// Resumes partitions whose stream has capacity again.
    fn resume(&self) {
        for key in self.acks.take_resumable() {
            // A partition that is not assigned any more needs nothing.
            let _ = self.consumer.handle.resume([&key]);
        }
    }

    /// Gives the records of each partition a token. Nothing is awaited between reading them and this: the positions that are
    /// committed never run ahead of the tokens.
    pub(super) fn hand_out(&self, records: Records) -> UnackedRecords {
        let (batches, ends, resets) = records.into_parts();
        let mut partitions = Vec::new();
        for records in OwnedRecords::split(batches) {
            let (key, count) = (records.topic_partition(), records.len());
            if count > 0 {
                let (from, next) = (records.as_partition().first_offset(), records.next_position());
                let span = self.acks.change(|ledger| ledger.hand_out(&key, from, next, count));
                partitions.push(Unacked::new(records, AckToken::new(Arc::clone(&self.acks), key, span)));
            }
        }
        UnackedRecords { partitions, ends, resets }
    }

    /// Commits what is acknowledged now, and waits for it. Otherwise as [`Consumer::commit`].
    pub async fn commit(&mut self) -> Result<(), Error> {
        self.commit_within(self.consumer.limits.timeout).await
    }

    /// As [`Self::commit`], until `timeout` has passed: see [`Consumer::commit_within`].
    pub async fn commit_within(&mut self, timeout: Duration) -> Result<(), Error> {
        let positions = self.acknowledged();
        self.consumer.handle.commit_by(positions, clock::now() + bounded(timeout)).await
    }

    /// The end of the acknowledged prefix of each partition: the positions that a commit would commit now.
    pub fn acknowledged(&mut self) -> Vec<(TopicPartition, Position)> {
        let positions = self.consumer.shared.lock().core.positions();
        self.acks.acknowledged(positions)
    }

    /// The number of records that were handed out and not acknowledged.
    pub fn open_records(&self) -> usize {
        self.acks.change(|ledger| ledger.open())
    }

    /// Reads a partition again from its first record that is not acknowledged. Records after it that were acknowledged are returned
    /// again too. All tokens of the partition from before are refused.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the partition is not assigned.
    pub fn rewind(&mut self, partition: &TopicPartition) -> Result<(), Error> {
        self.consumer.handle.rewind(partition)
    }

    /// Makes a stream of streams of this consumer, one for each partition: see [`PartitionStreams`]. From then on
    /// [`ack_open_max`](super::super::ConsumerBuilder::ack_open_max) is the limit of each partition instead of all.
    pub fn into_streams(self) -> PartitionStreams {
        let acks = Arc::clone(&self.acks);
        acks.limit_each();
        PartitionStreams::new(self, acks)
    }

    /// Moves the position of a partition, as [`Consumer::seek`] does. Its tokens from before are refused, and the next commit
    /// commits the new position.
    pub fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<(), Error> {
        self.consumer.seek(partition, start)
    }

    /// The consumer, for everything that changes nothing: its assignment, positions, lag, offsets.
    pub fn as_consumer(&self) -> &Consumer {
        &self.consumer
    }

    /// A handle for other tasks. Its [`positions`](ConsumerHandle::positions) are those that are acknowledged.
    pub fn handle(&self) -> ConsumerHandle {
        self.consumer.handle()
    }

    /// As [`Consumer::assign_partitions`]. Tokens of partitions that are not assigned any more are refused: commit before.
    pub fn assign_partitions<T: Into<TopicName>>(
        &mut self,
        partitions: impl IntoIterator<Item = (T, i32)>,
    ) -> Result<(), Error> {
        self.consumer.assign_partitions(partitions)
    }

    /// As [`Consumer::unassign_partitions`]. Their tokens are refused: commit before.
    pub fn unassign_partitions<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>) {
        self.consumer.unassign_partitions(partitions);
    }

    /// As [`Consumer::subscribe`].
    pub fn subscribe<T: Into<TopicName>>(&mut self, topics: impl IntoIterator<Item = T>) -> Result<(), Error> {
        self.consumer.subscribe(topics)
    }

    /// As [`Consumer::subscribe_pattern`].
    pub fn subscribe_pattern(&mut self, pattern: TopicPattern) -> Result<(), Error> {
        self.consumer.subscribe_pattern(pattern)
    }

    /// As [`Consumer::unsubscribe`], which waits for open records first, as before every partition that is given up.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config) if the consumer assigns its partitions: nothing is given up, and no token is refused.
    pub async fn unsubscribe(&mut self) -> Result<(), Error> {
        if self.consumer.check_assignable().is_ok() {
            return Err(Error::config("the consumer has partitions of its own: unassign them, or close it"));
        }
        self.consumer.unsubscribe().await
    }

    /// As [`Consumer::wait_for_assignment`].
    pub async fn wait_for_assignment(&mut self, timeout: Duration) -> Result<Vec<TopicPartition>, Error> {
        self.consumer.wait_for_assignment(timeout).await
    }

    /// Waits for open records, commits, and closes, within 5 s: see [`Self::close_with`].
    pub async fn close(&mut self) -> Result<(), Error> {
        self.close_with(CloseOptions::new()).await
    }

    /// As [`Self::close`], within `timeout`.
    pub async fn close_within(&mut self, timeout: Duration) -> Result<(), Error> {
        self.close_with(CloseOptions::new().timeout(timeout)).await
    }

    /// Waits for open records, for half of the time at most and no longer than [`ack_wait`](super::super::ConsumerBuilder::ack_wait).
    /// Then it commits what is acknowledged, unless [`auto_commit`](super::super::ConsumerBuilder::auto_commit) is off, and closes as
    /// [`Consumer::close_with`] does. Tokens are refused from then on.
    pub async fn close_with(&mut self, options: CloseOptions) -> Result<(), Error> {
        self.consumer.close_with(options).await
    }
}

/// The result of a poll: records with their tokens, ends of partitions, and positions that were reset.
///
/// Dropping it drops the tokens that were not taken out: see [`AckToken`].
#[derive(Debug)]
pub struct UnackedRecords {
    partitions: Vec<Unacked<OwnedRecords>>,
    ends: Vec<(TopicPartition, i64)>,
    resets: Vec<Reset>,
}

impl UnackedRecords {
    /// The records of each partition, with one token for all of them. Nothing is copied. A partition may occur more than once.
    pub fn into_partitions(self) -> Vec<Unacked<OwnedRecords>> {
        self.partitions
    }

    /// Copies of the records, each with a token of its own, in order within each partition.
    pub fn into_records(self) -> impl Iterator<Item = Unacked<OwnedRecord>> {
        self.partitions.into_iter().flat_map(Unacked::into_records)
    }

    /// Copies of the records of each partition with their token, and the positions that were reset.
    #[cfg(feature = "queue")]
    pub(super) fn into_waiting(self) -> (Vec<(Vec<OwnedRecord>, AckToken)>, Vec<Reset>) {
        let copied = |records: Unacked<OwnedRecords>| {
            let (records, token) = records.into_parts();
            (records.to_records(), token)
        };
        (self.partitions.into_iter().map(copied).collect(), self.resets)
    }

    /// The number of records.
    pub fn count(&self) -> usize {
        self.partitions.iter().map(|records| records.len()).sum()
    }

    /// The ends that were reached: see [`Records::ends`].
    pub fn ends(&self) -> &[(TopicPartition, i64)] {
        &self.ends
    }

    /// The positions that the reset policy has moved: see [`Records::resets`].
    pub fn resets(&self) -> &[Reset] {
        &self.resets
    }

    /// The partitions that have records.
    pub fn partitions(&self) -> BTreeSet<TopicPartition> {
        inserted(self.partitions.iter().map(|records| records.topic_partition()))
    }
}
