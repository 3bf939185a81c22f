//! The consumer without group membership: a handle, and a driver that pumps its core.
//!
//! Partitions are fetched ahead in the background, under a budget. [`Consumer::poll`] takes what was fetched and, in the
//! caller's task and under no lock, verifies, inflates and walks it, so that iterating over [`Records`] cannot fail.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tokio::task::JoinHandle;

use crate::client::Cluster;
use crate::client::Interest;
use crate::codec::Codecs;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::reading::PartitionBatch;
use crate::reading::buffers::Buffers;
use crate::types::TopicName;
use crate::types::TopicPartition;

mod commits;
mod config;
pub(crate) mod core;
mod driver;
mod offsets;
mod records;
#[cfg(all(test, feature = "mock"))]
mod tests;

pub use self::config::ConsumerBuilder;
pub use self::core::Reset;
pub use self::core::ResetPolicy;
pub use self::core::Start;
pub use self::records::Records;
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
use self::offsets::Edge;

/// How long closing may take: what is sent is a courtesy to the brokers.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads records. Made by [`Client::consumer`](crate::client::Client::consumer).
///
/// Dropping it stops its task without waiting; nothing is committed by itself.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    cluster: Cluster,
    group: Option<String>,
    isolation: Isolation,
    codecs: Codecs,
    limits: Limits,
    buffers: Buffers,
    /// Came up while there were records to return first.
    error: Option<Error>,
    /// The last poll returned without waiting, so others in this runtime may be waiting for a turn.
    busy: bool,
    driver: Option<JoinHandle<()>>,
}

/// Whether a poll that has nothing to return can wait for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    GoesOn,
    /// A bounded read has returned everything, or the consumer was closed.
    Over,
    /// The driver ended although nobody closed the consumer.
    Died,
}

impl Consumer {
    fn start(
        cluster: Cluster,
        interest: Interest,
        core: ConsumerCore,
        settings: core::Config,
        codecs: Codecs,
        limits: Limits,
    ) -> Self {
        let commits = settings.group.as_ref().map(|group| Commits::new(group, &cluster));
        let shared = Arc::new(Shared::new(core, commits));
        let weak = Arc::downgrade(&shared);
        cluster.register(weak);
        let driver = Driver::new(Arc::clone(&shared), cluster.clone(), interest, &settings);
        Self {
            shared,
            cluster,
            group: settings.group,
            isolation: settings.isolation,
            codecs,
            limits,
            buffers: Buffers::default(),
            error: None,
            busy: false,
            driver: Some(tokio::spawn(driver.run())),
        }
    }

    /// Waits for records, or for something else to tell: see [`Records`].
    ///
    /// `None` says that a bounded read ([`ConsumerBuilder::until_end`]) is over, or that the consumer was closed. An error of
    /// kind `Closed` says that the consumer's background task has ended although it was not closed. Every other error
    /// concerns what it names, and nothing else: polling again goes on with the rest. A batch that cannot be read is an
    /// error of kind `Corrupt` that names its last offset, and the position stays before it: it is fetched again, and
    /// seeking to the offset after it leads past it.
    ///
    /// Cancel safety: dropping the future before it is ready loses nothing.
    pub async fn poll(&mut self) -> Result<Option<Records>, Error> {
        if std::mem::take(&mut self.busy) {
            tokio::task::yield_now().await;
        }
        loop {
            if let Some(polled) = self.poll_now() {
                self.busy = true;
                return polled;
            }
            self.shared.news.notified().await;
        }
    }

    /// Takes what there is, if there is anything.
    fn poll_now(&mut self) -> Option<Result<Option<Records>, Error>> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let mut records = Records::new(self.buffers.clone());
        let mut room = self.limits.poll_bytes;
        while room > 0 {
            let next = self.shared.lock().core.next();
            match next {
                None => break,
                Some(Next::Chunk(taken)) => self.read(taken, &mut records, &mut room),
                Some(Next::End(partition, offset)) => records.push_end(partition, offset),
                Some(Next::Error(error)) => self.error = Some(error),
                Some(Next::Reset(reset)) => records.push_reset(reset),
            }
            if self.error.is_some() {
                break;
            }
        }
        let progress = self.make_room();
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

    /// Lets the core fetch more, and says whether there can be more.
    fn make_room(&self) -> Progress {
        let mut state = self.shared.lock();
        let State { core, stopped, died, .. } = &mut *state;
        core.handle_room(clock::now());
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

    /// Reads batches of a chunk until it is finished, or there is no room.
    fn read(&mut self, mut taken: Taken, records: &mut Records, room: &mut usize) {
        let mark = records.mark();
        while *room > 0 {
            match taken.chunk.read(&self.codecs, self.limits.batch_bytes, || self.buffers.take()) {
                Ok(None) => break,
                Ok(Some(visible)) => {
                    *room = room.saturating_sub(visible.decoded.size().max(1));
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
            Returned::Handed { end: Some((partition, offset)) } => records.push_end(partition, offset),
            Returned::Handed { end: None } => {}
            Returned::Overtaken => records.drop_from(mark),
        }
    }

    /// Stops handing out records of partitions. What was fetched of them is kept, within bounds.
    pub fn pause<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> Result<(), Error> {
        self.each(partitions, |core, key| core.pause(clock::now(), key))
    }

    /// Hands out records of partitions again.
    pub fn resume<'p>(&mut self, partitions: impl IntoIterator<Item = &'p TopicPartition>) -> Result<(), Error> {
        self.each(partitions, |core, key| core.resume(clock::now(), key))
    }

    /// Goes on with a partition elsewhere. What was fetched of it is dropped.
    pub fn seek(&mut self, partition: &TopicPartition, start: Start) -> Result<(), Error> {
        config::check_start(&start, self.group.is_some())?;
        self.each([partition], |core, key| core.seek(clock::now(), key, &start))
    }

    fn each<'p>(
        &mut self,
        partitions: impl IntoIterator<Item = &'p TopicPartition>,
        mut change: impl FnMut(&mut ConsumerCore, &TopicPartition) -> bool,
    ) -> Result<(), Error> {
        let mut state = self.shared.lock();
        let mut unknown = None;
        for key in partitions {
            if !change(&mut state.core, key) {
                unknown = Some(Error::config("the partition is not assigned").in_partition(&key.topic, key.partition));
            }
        }
        drop(state);
        self.shared.work.notify_one();
        unknown.map_or(Ok(()), Err)
    }

    /// The partitions that are read, as far as they are known yet.
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.lock().core.assignment().cloned().collect()
    }

    /// The position after what was handed out of a partition, once it is known.
    pub fn position(&self, partition: &TopicPartition) -> Option<Position> {
        self.shared.lock().core.position(partition)
    }

    /// How many offsets the position was behind the end that the last fetch saw.
    pub fn lag(&self, partition: &TopicPartition) -> Option<i64> {
        self.shared.lock().core.lag(partition)
    }

    /// Asks the leaders for the end offset of each assigned partition: the last stable one when reading committed records.
    ///
    /// Waits until all assigned topics are known; [`Kind::UnknownTopic`] where one does not exist. Asks
    /// again, until `default.api.timeout.ms` have passed, where that may help.
    pub async fn end_offsets(&self) -> Result<Vec<(TopicPartition, i64)>, Error> {
        self.edges(Edge::Latest).await
    }

    /// Asks the leaders for the first offset of each assigned partition; as [`Consumer::end_offsets`].
    pub async fn beginning_offsets(&self) -> Result<Vec<(TopicPartition, i64)>, Error> {
        self.edges(Edge::Earliest).await
    }

    async fn edges(&self, edge: Edge) -> Result<Vec<(TopicPartition, i64)>, Error> {
        let deadline = clock::now() + self.limits.timeout;
        let partitions = self.assigned(deadline).await?;
        offsets::edges(&self.cluster, &partitions, edge, self.isolation, deadline).await
    }

    /// Commits the positions after all that was handed out by [`Consumer::poll`], for the group.
    ///
    /// Commits of one consumer reach the coordinator in the order of the calls, so an older offset never overwrites a newer one.
    /// Errors that may pass are retried, for the partitions they concern, until `default.api.timeout.ms` have passed.
    ///
    /// Cancel safety: a commit that is dropped before it is ready goes on in the background. It may or may not take place.
    pub async fn commit(&mut self) -> Result<(), Error> {
        let positions = self.shared.lock().core.positions();
        let deadline = clock::now() + self.limits.timeout;
        self.commit_by(positions, deadline).await
    }

    /// Commits these positions for the group: for each partition that of the next record to be read, as
    /// [`ConsumedRecord::next_position`] tells it. For those who stop in the middle of what a poll brought.
    ///
    /// Commits of one consumer reach the coordinator in the order of the calls, so an older offset never overwrites a newer one.
    /// Errors that may pass are retried, for the partitions they concern, until `default.api.timeout.ms` have passed.
    ///
    /// Cancel safety: a commit that is dropped before it is ready goes on in the background. It may or may not take place.
    pub async fn commit_positions(
        &mut self,
        positions: impl IntoIterator<Item = (TopicPartition, Position)>,
    ) -> Result<(), Error> {
        let deadline = clock::now() + self.limits.timeout;
        self.commit_by(positions.into_iter().collect(), deadline).await
    }

    async fn commit_by(&self, positions: Vec<(TopicPartition, Position)>, deadline: Instant) -> Result<(), Error> {
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

    /// What the group has committed for each assigned partition: nothing where the coordinator says so, an error where it does not
    /// say. Waits until all assigned topics are known, as [`Consumer::end_offsets`] does.
    pub async fn committed(&self) -> Result<Vec<(TopicPartition, Option<Position>)>, Error> {
        let deadline = clock::now() + self.limits.timeout;
        let partitions = self.assigned(deadline).await?;
        offsets::committed(&self.cluster, self.grouped()?, &partitions, deadline).await
    }

    /// The partitions that are read, all of them.
    async fn assigned(&self, deadline: Instant) -> Result<Vec<TopicPartition>, Error> {
        let topics: Vec<TopicName> = self.shared.lock().core.topics().into_iter().collect();
        self.cluster.known(&topics, deadline).await?;
        let mut state = self.shared.lock();
        // The driver may not have heard yet.
        state.core.handle_metadata(clock::now(), self.cluster.snapshot());
        let partitions = state.core.assignment().cloned().collect();
        drop(state);
        self.shared.work.notify_one();
        Ok(partitions)
    }

    fn grouped(&self) -> Result<&str, Error> {
        self.group.as_deref().ok_or_else(|| Error::config("offsets are committed for a group: set one when building"))
    }

    /// Stops reading and ends the fetch sessions. Commits nothing. Afterwards [`Consumer::poll`] answers `None`.
    pub async fn close(&mut self) -> Result<(), Error> {
        self.shared.stop();
        if let Some(driver) = self.driver.take() {
            // Of no consequence here if it takes too long: it was told to stop.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, driver).await;
        }
        Ok(())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
