//! A handle to a consumer for other tasks, and for the hooks of a rebalance.

use std::sync::Arc;
use std::time::Instant;

use super::commits;
use super::commits::PendingCommit;
use super::config;
use super::core::ConsumerCore;
use super::core::OffsetToCommit;
use super::core::Start;
use super::driver::Shared;
use super::driver::State;
use crate::error::Error;
use crate::group::GroupMetadata;
use crate::net::clock;
use crate::net::runtime::Runtime;
use crate::reading::Position;
use crate::types::TopicPartition;

/// Controls a [`Consumer`](super::Consumer) from other tasks: commits, pauses, moves. Cloning it is cheap. Made by
/// [`Consumer::handle`](super::Consumer::handle).
///
/// ```no_run
/// # async fn run(consumer: &ottla::consumer::Consumer) -> Result<(), ottla::Error> {
/// let handle = consumer.handle();
/// tokio::spawn(async move {
///     let positions = handle.positions();
///     handle.commit_positions(positions).await
/// });
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct ConsumerHandle {
    pub(super) shared: Arc<Shared>,
    pub(super) group: Option<String>,
    pub(super) timeout: std::time::Duration,
    pub(super) runtime: Runtime,
}

impl ConsumerHandle {
    /// Commits positions for the group, as [`Consumer::commit_positions`](super::Consumer::commit_positions) does.
    ///
    /// Cancel safety: a commit that is dropped before it is ready continues in the background. It may or may not take place.
    pub async fn commit_positions(&self, offsets: impl IntoIterator<Item: Into<OffsetToCommit>>) -> Result<(), Error> {
        self.begin_commit_positions(offsets).await
    }

    /// Begins to commit offsets for the group, and does not wait: see [`Consumer::begin_commit`](super::Consumer::begin_commit).
    pub fn begin_commit_positions(&self, offsets: impl IntoIterator<Item: Into<OffsetToCommit>>) -> PendingCommit {
        self.commit_by(offsets, clock::now() + self.timeout)
    }

    /// The positions after the records that polls have returned, of all partitions that are read. Those of an
    /// [`AckConsumer`](super::AckConsumer) are the ends of what is acknowledged.
    pub fn positions(&self) -> Vec<(TopicPartition, Position)> {
        match &self.shared.acks {
            Some(acks) => acks.prefixes(),
            None => self.shared.lock().core.positions(),
        }
    }

    /// The position after the last record of a partition that was returned, once it is known.
    pub fn position(&self, partition: &TopicPartition) -> Option<Position> {
        self.shared.lock().core.position(partition)
    }

    /// Stops returning records of these partitions. Their fetched records are kept, within limits.
    pub fn pause<'p>(&self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> Result<(), Error> {
        self.each(partitions, |core, key| core.pause(clock::now(), key))
    }

    /// Returns records of these partitions again.
    pub fn resume<'p>(&self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> Result<(), Error> {
        self.each(partitions, |core, key| core.resume(clock::now(), key))
    }

    /// Moves the position of a partition, as [`Consumer::seek`](super::Consumer::seek) does.
    pub fn seek(&self, partition: &TopicPartition, start: Start) -> Result<(), Error> {
        config::check_start(&start, self.group.is_some())?;
        self.each([partition], |core, key| {
            let is_assigned = core.seek(clock::now(), key, &start);
            // Under the lock of the core, so that no record of the new position has a token already.
            if let Some(acks) = self.shared.acks.as_ref().filter(|_| is_assigned)
                && acks.moved(key)
            {
                core.resume(clock::now(), key);
            }
            is_assigned
        })
    }

    /// Reads a partition of an [`AckConsumer`](super::AckConsumer) again from its first record that is not acknowledged: see
    /// [`AckConsumer::rewind`](super::AckConsumer::rewind).
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the partition is not assigned, or records have no tokens.
    pub fn rewind(&self, partition: &TopicPartition) -> Result<(), Error> {
        let acks = self.shared.acks.as_ref();
        let acks =
            acks.ok_or_else(|| Error::config("records are not acknowledged: seek instead, or use `build_acked`"))?;
        match acks.prefixes().into_iter().find(|(key, _)| key == partition) {
            Some((key, position)) => self.seek(&key, Start::Offset(position.offset)),
            // Nothing was handed out since it was assigned.
            None => self.each([partition], |core, key| core.assignment().any(|assigned| assigned == key)),
        }
    }

    /// The membership of a consumer that has [subscribed](super::ConsumerBuilder::subscribe).
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.shared.lock().member.as_ref().map(|member| member.identity().clone())
    }

    pub(super) fn commit_by(
        &self,
        offsets: impl IntoIterator<Item: Into<OffsetToCommit>>,
        deadline: Instant,
    ) -> PendingCommit {
        let begun = self.grouped().and_then(|group| {
            let offsets: Vec<OffsetToCommit> = offsets.into_iter().map(Into::into).collect();
            commits::check(&offsets)?;
            let mut state = self.shared.lock();
            let State { commits, stopped, .. } = &mut *state;
            match commits {
                Some(commits) if !*stopped => Ok((commits.begin(offsets, deadline), group)),
                _ => Err(commits::ended(group)),
            }
        });
        self.shared.work.notify_one();
        PendingCommit::new(begun)
    }

    pub(super) fn grouped(&self) -> Result<&str, Error> {
        self.group
            .as_deref()
            .ok_or_else(|| Error::config("offsets are committed for a group: name one by `group` / `group.id`"))
    }

    pub(super) fn each<'p>(
        &self,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
        mut change: impl FnMut(&mut ConsumerCore, &TopicPartition) -> bool,
    ) -> Result<(), Error> {
        let mut state = self.shared.lock();
        let mut unknown = None;
        for key in partitions {
            if !change(&mut state.core, key) {
                unknown = Some(
                    Error::config("the partition is not assigned: see `Consumer::assignment`")
                        .in_partition(&key.topic, key.partition),
                );
            }
        }
        drop(state);
        self.shared.work.notify_one();
        unknown.map_or(Ok(()), Err)
    }
}
