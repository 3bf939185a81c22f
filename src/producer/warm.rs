//! Prepares a producer: metadata, connections to leaders and the identity, before the first record needs them.

use std::pin::pin;
use std::time::Duration;
use std::time::Instant;

use super::Producer;
use super::shared::Shared;
use crate::error::Error;
use crate::error::Kind;
use crate::net::clock;
use crate::types::TopicName;
use crate::types::bounded;

impl Producer {
    /// Prepares for records of these topics, so that the first one does not wait: fetches their metadata, connects to the leaders of
    /// all their partitions, and acquires the producer id that an idempotent producer needs.
    ///
    /// It is not necessary: the first record does all this where it was not done. Connections that stay unused are closed after
    /// [`ClientBuilder::idle_max`](crate::client::ClientBuilder::idle_max). Topics that do not exist are created only if
    /// [`allow_auto_create_topics`](crate::producer::ProducerBuilder::allow_auto_create_topics) is on.
    ///
    /// # Errors
    ///
    /// Failures that may pass are retried until `patience` is over.
    /// - [`Kind::Timeout`]: something was missing by then. The error names it: a topic without metadata, a partition without a leader
    ///   ([`Error::topic`], [`Error::partition`]), a leader that could not be reached, or the producer id. Its cause is the last
    ///   failure.
    /// - [`Kind::UnknownTopic`]: a topic does not exist.
    /// - Errors that a retry cannot help: [`Kind::Authentication`], [`Kind::Tls`], a missing permission.
    ///
    /// Cancel safety: dropping the future stops waiting. Connections that were begun are established all the same.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use std::time::Duration;
    ///
    /// let producer = client.producer().build()?;
    /// producer.warm(["orders", "payments"], Duration::from_secs(10)).await?;
    /// // Report to be ready from here on.
    /// # Ok(()) }
    /// ```
    pub async fn warm<T: Into<TopicName>>(
        &self,
        topics: impl IntoIterator<Item = T>,
        patience: Duration,
    ) -> Result<(), Error> {
        let deadline = clock::now() + bounded(patience);
        let topics: Vec<TopicName> = topics.into_iter().map(Into::into).collect();
        self.shared().warm(&topics, deadline).await
    }
}

impl Shared {
    async fn warm(&self, topics: &[TopicName], deadline: Instant) -> Result<(), Error> {
        // The id is on its way while the rest is prepared.
        self.request_identity()?;
        let grace = self.cluster().settings().propagation;
        self.cluster().known_or_created(topics, self.auto_create(), grace, deadline).await?;
        self.cluster().connect_leaders(topics, deadline).await?;
        self.await_identity(deadline).await?;
        self.catch_up();
        Ok(())
    }

    /// Waits until the core has its identity, if it needs one.
    async fn await_identity(&self, deadline: Instant) -> Result<(), Error> {
        loop {
            let mut news = pin!(self.news.notified());
            news.as_mut().enable();
            if self.request_identity()? {
                return Ok(());
            }
            if self.cluster().runtime().timeout_at(deadline, news).await.is_err() {
                let error = Error::new(Kind::Timeout, "no producer id was acquired by the deadline");
                let error = error.in_api("InitProducerId");
                return Err(match self.lock().core.identity_problem() {
                    Some(problem) => error.caused_by(problem),
                    None => error,
                });
            }
        }
    }

    /// Lets the core request its identity. Returns whether it needs none, or has it.
    fn request_identity(&self) -> Result<bool, Error> {
        let mut state = self.lock();
        if state.stopped {
            return Err(Error::new(Kind::Closed, "the producer is closed"));
        }
        let is_ready = state.core.warm();
        drop(state);
        self.work.notify_one();
        is_ready
    }
}
