//! Settings of a queue.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::OnAhead;
use super::OnExpired;
use super::Promise;
use super::Queue;
use super::StartAt;
use super::core::Rules;
use super::cursors::Cursors;
use super::ranges::Ranges;
use super::reader::Reader;
use super::reader::Settings;
use super::source::Source;
use crate::client::Client;
use crate::codec::Codecs;
use crate::consumer::Isolation;
use crate::consumer::store::OffsetStore;
use crate::error::Error;
use crate::net::clock;
use crate::producer::ProducerBuilder;
use crate::types::TopicName;
use crate::types::bounded;

/// Settings of a [`Queue`]. Made by [`Queue::builder`].
#[derive(Debug)]
pub struct QueueBuilder {
    client: Client,
    topic: TopicName,
    producer: ProducerBuilder,
    group: Option<String>,
    store: Option<Arc<dyn OffsetStore>>,
    store_timeout: Duration,
    isolation: Isolation,
    codecs: Codecs,
    settings: Settings,
}

impl QueueBuilder {
    pub(super) fn new(client: &Client, topic: TopicName) -> Self {
        Self {
            producer: client.producer(),
            client: client.clone(),
            topic,
            group: None,
            store: None,
            store_timeout: Duration::from_secs(5),
            isolation: Isolation::default(),
            codecs: Codecs::default(),
            settings: Settings {
                promise: Promise::default(),
                start: StartAt::default(),
                rules: Rules { on_ahead: OnAhead::default(), on_expired: OnExpired::default() },
                lease: Duration::from_secs(30),
                bytes_max: 64 << 20,
            },
        }
    }

    /// The group whose workers share the records: each has its own offsets in the store. Needed to take.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// The store that keeps the offsets and leases of the group. Needed to take. Workers of several processes need one store that all of
    /// them reach.
    pub fn store(self, store: impl OffsetStore) -> Self {
        self.shared_store(Arc::new(store))
    }

    /// As [`Self::store`], with a store that others use too.
    pub fn shared_store(mut self, store: Arc<dyn OffsetStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// The longest time of one call to the store. The default is 5 s.
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = bounded(timeout);
        self
    }

    /// The fate of the records of a worker that dies. The default is [`Promise::AtLeastOnce`].
    pub fn promise(mut self, promise: Promise) -> Self {
        self.settings.promise = promise;
        self
    }

    /// Where a partition begins that has no stored offset. The default is [`StartAt::Earliest`], which skips nothing. The original had
    /// `StartAt::LastOfEach(3)`.
    pub fn start(mut self, start: StartAt) -> Self {
        self.settings.start = start;
        self
    }

    /// How long others respect the lease on records that were taken, from when they see it. The default is 30 s; from 10 ms on. Records
    /// that take longer to process are handed out again, unless [`Batch::renew`](super::Batch::renew) is called.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = bounded(lease);
        self
    }

    /// The reaction to a stored offset beyond the end of the log. The default is [`OnAhead::Refuse`].
    pub fn on_ahead(mut self, on_ahead: OnAhead) -> Self {
        self.settings.rules.on_ahead = on_ahead;
        self
    }

    /// The reaction to a stored offset that is too old. The default is [`OnExpired::Resume`].
    pub fn on_expired(mut self, on_expired: OnExpired) -> Self {
        self.settings.rules.on_expired = on_expired;
        self
    }

    /// The bytes of keys and values after which a take returns what it has. The default is 64 MiB. It is checked window by window, so more
    /// may be returned.
    pub fn take_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.bytes_max = bytes.max(1);
        self
    }

    /// The records of transactions that are taken. The default is [`Isolation::ReadUncommitted`].
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// The codecs by which batches are decompressed. The default is those that are compiled in.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// Changes the settings of the producer that puts values.
    ///
    /// ```no_run
    /// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
    /// use ottla::producer::Guarantee;
    /// use ottla::queue::Queue;
    ///
    /// let queue = Queue::builder(&client, "events").producer(|producer| producer.guarantee(Guarantee::LeaderAck)).build()?;
    /// # Ok(()) }
    /// ```
    pub fn producer(mut self, change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Self {
        self.producer = change(self.producer);
        self
    }

    /// Makes the queue. It sends no request.
    ///
    /// # Errors
    ///
    /// [`Kind::Config`](crate::error::Kind::Config): the name of the topic or of the group is no name, a group has no store or a store no
    /// group, the lease is shorter than 10 ms, or a setting of the producer is wrong.
    pub fn build(self) -> Result<Queue, Error> {
        if let Some(problem) = TopicName::problem(&self.topic) {
            return Err(
                Error::config(format!("the name of the queue's topic cannot be used: {problem}")).in_topic(&self.topic)
            );
        }
        if self.settings.lease < Duration::from_millis(10) {
            return Err(Error::config(
                "`QueueBuilder::lease` is shorter than 10 ms: choose a time that processing a batch takes",
            ));
        }
        let both = match (self.group, self.store) {
            (Some(group), _) if group.is_empty() => {
                return Err(Error::config("`QueueBuilder::group` is empty: name a group"));
            }
            (Some(group), Some(store)) => Some((group, store)),
            (None, None) => None,
            (Some(_), None) => {
                return Err(Error::config(
                    "the queue has a group and no store for its offsets: call `QueueBuilder::store`",
                ));
            }
            (None, Some(_)) => {
                return Err(Error::config(
                    "the queue has a store and no group whose offsets it keeps: call `QueueBuilder::group`",
                ));
            }
        };
        let cluster = self.client.cluster();
        let reader = both.map(|(group, store)| Reader {
            cursors: Cursors {
                store,
                group,
                topic: self.topic.clone(),
                timeout: self.store_timeout,
                runtime: cluster.runtime().clone(),
            },
            ranges: Ranges::new(cluster.clone(), self.topic.clone(), self.isolation),
            source: Source::new(self.client.clone(), self.topic.clone(), self.isolation, self.codecs),
            cluster,
            topic: self.topic.clone(),
            settings: self.settings,
            worker: clock::seed(),
            leases: 0,
            // Workers begin with different partitions.
            turn: usize::try_from(clock::seed() % 1_000_000).unwrap_or(0),
            watches: BTreeMap::new(),
            entries: BTreeMap::new(),
            left_out: BTreeMap::new(),
            reported: BTreeMap::new(),
            error: None,
        });
        Ok(Queue { topic: self.topic, producer: self.producer.build()?, reader })
    }
}
