//! A handle to a consumer for other tasks, and for the hooks of a rebalance.

use std::sync::Arc;
use std::time::Instant;

use super::config;
use super::core::ConsumerCore;
use super::core::Start;
use super::driver::Shared;
use super::driver::State;
use crate::error::Error;
use crate::error::Kind;
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
    pub async fn commit_positions(
        &self,
        positions: impl IntoIterator<Item = (TopicPartition, Position)>,
    ) -> Result<(), Error> {
        self.commit_by(positions.into_iter().collect(), clock::now() + self.timeout).await
    }

    /// The positions after the records that polls have returned, of all partitions that are read.
    pub fn positions(&self) -> Vec<(TopicPartition, Position)> {
        self.shared.lock().core.positions()
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
        self.each([partition], |core, key| core.seek(clock::now(), key, &start))
    }

    /// The membership of a consumer that has [subscribed](super::ConsumerBuilder::subscribe).
    pub fn group_metadata(&self) -> Option<GroupMetadata> {
        self.shared.lock().member.as_ref().map(|member| member.identity().clone())
    }

    pub(super) async fn commit_by(
        &self,
        positions: Vec<(TopicPartition, Position)>,
        deadline: Instant,
    ) -> Result<(), Error> {
        let group = self.grouped()?;
        let ended =
            || Error::new(Kind::Closed, format!("the consumer has ended: no offset was committed for group {group}"));
        let pending = {
            let mut state = self.shared.lock();
            let State { commits, stopped, .. } = &mut *state;
            match commits {
                Some(commits) if !*stopped => commits.begin(positions, deadline),
                _ => return Err(ended()),
            }
        };
        self.shared.work.notify_one();
        pending.await.unwrap_or_else(|_| Err(ended()))
    }

    pub(super) fn grouped(&self) -> Result<&str, Error> {
        self.group
            .as_deref()
            .ok_or_else(|| Error::config("offsets are committed for a group: name one by `group` / `group.id`"))
    }

    fn each<'p>(
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
