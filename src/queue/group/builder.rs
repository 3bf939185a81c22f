//! Settings of a group's queue.

use std::sync::Arc;
use std::time::Duration;

use super::GroupQueue;
use super::following::Following;
use super::following::Hooks;
use crate::client::Client;
use crate::client::Cluster;
use crate::consumer::ConsumerBuilder;
use crate::consumer::ResetPolicy;
use crate::error::Error;
use crate::group::assignor::RoundRobin;
use crate::types::TopicName;

/// Settings of a [`GroupQueue`]. Made by [`GroupQueue::builder`] and [`GroupQueue::original`].
#[derive(Debug)]
pub struct GroupQueueBuilder {
    cluster: Cluster,
    topic: TopicName,
    group: String,
    consumer: ConsumerBuilder,
    bytes_max: usize,
}

impl GroupQueueBuilder {
    pub(super) fn new(client: &Client, topic: TopicName, group: String) -> Self {
        Self { cluster: client.cluster(), topic, group, consumer: client.consumer(), bytes_max: 64 << 20 }
    }

    pub(super) fn original(self) -> Self {
        self.consumer(|consumer| {
            consumer
                .partition_fetch_bytes_max(5 << 20)
                .session_timeout(Duration::from_secs(30))
                .assignors([Arc::new(RoundRobin) as Arc<_>])
                .reset(ResetPolicy::Latest)
        })
    }

    /// Changes the settings of the consumer, its [listener](ConsumerBuilder::listener) included. Topic and group are those of the queue.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    ///
    /// use ottla::consumer::ResetPolicy;
    /// use ottla::queue::GroupQueue;
    ///
    /// let queue = GroupQueue::builder(&client, "events", "audit")
    ///     .consumer(|consumer| consumer.reset(ResetPolicy::None).auto_commit(Some(Duration::from_secs(1))).ack_open_max(500))
    ///     .build()?;
    /// # Ok(()) }
    /// ```
    pub fn consumer(mut self, change: impl FnOnce(ConsumerBuilder) -> ConsumerBuilder) -> Self {
        self.consumer = change(self.consumer);
        self
    }

    /// The bytes of keys and values after which a take returns what it has. The default is 64 MiB, and 1 byte the least. It is checked
    /// batch by batch, so more may be returned.
    pub fn take_bytes_max(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes.max(1);
        self
    }

    /// Starts the queue: it begins to join the group.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the name of the topic or of the group is no name, or a setting of the consumer is
    /// wrong.
    pub fn build(self) -> Result<GroupQueue, Error> {
        let following = Arc::new(Following::default());
        let consumer = self
            .consumer
            .group(self.group.clone())
            .subscribe([self.topic.clone()])
            .wrap_listener(|inner| Hooks { following: Arc::clone(&following), inner })
            .build_acked()?;
        Ok(GroupQueue {
            cluster: self.cluster,
            topic: self.topic,
            group: self.group,
            consumer,
            following,
            bytes_max: self.bytes_max,
            joined: false,
            seen: None,
            error: None,
        })
    }
}
