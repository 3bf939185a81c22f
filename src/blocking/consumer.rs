//! A consumer whose calls block.

use std::sync::Arc;
use std::time::Duration;

use super::background::Background;
use crate::consumer;
use crate::consumer::CloseOptions;
use crate::consumer::OffsetToCommit;
use crate::consumer::Position;
use crate::consumer::Records;
use crate::error::Error;
use crate::types::TopicPartition;

/// Reads records. Made by [`Client::consumer_from`](super::Client::consumer_from).
///
/// A member of a group must poll at least once in `max.poll.interval.ms`, 5 minutes by default. Heartbeats are sent by the client's thread.
/// Calls that do not wait, such as [`seek`](crate::consumer::Consumer::seek), [`pause`](crate::consumer::Consumer::pause) and
/// [`subscribe`](crate::consumer::Consumer::subscribe), are made on [`Consumer::as_async_mut`].
///
/// Dropping it does not wait: a member of a group is missed when its session ends. Call [`Consumer::close`] to leave at once.
///
/// ```no_run
/// # fn run(client: ottla::blocking::Client) -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// let settings = client.as_async().consumer().group("readers").assign(["events"]).until_end();
/// let mut consumer = client.consumer_from(settings)?;
/// while let Some(records) = consumer.poll(Duration::from_millis(500))? {
///     for record in &records {
///         println!("{}[{}] {}: {:?}", record.topic, record.partition, record.offset, record.value);
///     }
///     consumer.commit()?;
/// }
/// consumer.close()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Consumer {
    consumer: consumer::Consumer,
    background: Arc<Background>,
}

impl Consumer {
    pub(super) fn new(consumer: consumer::Consumer, background: Arc<Background>) -> Self {
        Self { consumer, background }
    }

    /// Waits for records, for `patience` at most; zero returns those that are there. Empty [`Records`] if there are none by then. `None` if
    /// a bounded read is over, or the consumer was closed.
    ///
    /// A rebalance that is under way, with its hook, goes on in later polls.
    ///
    /// # Errors
    ///
    /// As [`poll`](crate::consumer::Consumer::poll) of the async consumer, where a table says what to do about each: most of them need nothing
    /// but the next poll.
    pub fn poll(&mut self, patience: Duration) -> Result<Option<Records>, Error> {
        self.background.block_for(patience, self.consumer.poll())?.unwrap_or_else(|| Ok(Some(Records::none())))
    }

    /// Waits until the group has assigned partitions, for `patience` at most. See
    /// [`wait_for_assignment`](crate::consumer::Consumer::wait_for_assignment).
    pub fn wait_for_assignment(&mut self, patience: Duration) -> Result<Vec<TopicPartition>, Error> {
        self.background.block(self.consumer.wait_for_assignment(patience))?
    }

    /// Commits the positions after the records that polls have returned, within the consumer's
    /// [timeout](crate::consumer::ConsumerBuilder::timeout), 60 s by default. See [`commit`](crate::consumer::Consumer::commit).
    pub fn commit(&mut self) -> Result<(), Error> {
        self.background.block(self.consumer.commit())?
    }

    /// As [`Consumer::commit`], within `timeout`.
    pub fn commit_within(&mut self, timeout: Duration) -> Result<(), Error> {
        self.background.block(self.consumer.commit_within(timeout))?
    }

    /// Commits these positions. See [`commit_positions`](crate::consumer::Consumer::commit_positions).
    pub fn commit_positions(&mut self, offsets: impl IntoIterator<Item: Into<OffsetToCommit>>) -> Result<(), Error> {
        self.background.block(self.consumer.commit_positions(offsets))?
    }

    /// The position that the group has committed for each assigned partition. See [`committed`](crate::consumer::Consumer::committed).
    pub fn committed(&self) -> Result<Vec<(TopicPartition, Option<Position>)>, Error> {
        self.background.block(self.consumer.committed())?
    }

    /// Gives up all partitions and leaves the group. See [`unsubscribe`](crate::consumer::Consumer::unsubscribe).
    pub fn unsubscribe(&mut self) -> Result<(), Error> {
        self.background.block(self.consumer.unsubscribe())?
    }

    /// Stops reading and leaves the group, within 5 s. See [`close_with`](crate::consumer::Consumer::close_with).
    pub fn close(&mut self) -> Result<(), Error> {
        self.close_with(CloseOptions::new())
    }

    /// Stops reading as the options say. See [`close_with`](crate::consumer::Consumer::close_with).
    pub fn close_with(&mut self, options: CloseOptions) -> Result<(), Error> {
        self.background.block(self.consumer.close_with(options))?
    }

    /// The async consumer, for calls that do not wait: its assignment, positions, lag and handle.
    pub fn as_async(&self) -> &consumer::Consumer {
        &self.consumer
    }

    /// The async consumer, for calls that do not wait and change it: to seek, pause, assign or subscribe.
    pub fn as_async_mut(&mut self) -> &mut consumer::Consumer {
        &mut self.consumer
    }
}
