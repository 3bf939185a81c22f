//! The producer: a handle, and a driver that pumps its core.
//!
//! A record is copied once, by the caller, into the open batch of its partition; the caller gets a [`Delivery`], which tells
//! in the end what became of it. One lock guards the core; it is held for the copy, never while a batch is compressed,
//! hashed or encoded.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::client::Cluster;
use crate::codec;
use crate::codec::Codecs;
use crate::codec::Compression;
use crate::config::Properties;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::net::clock;
use crate::partitioner::Builtin;
use crate::partitioner::PartitionerFactory;
use crate::types::TopicName;

internal! { core }
mod delivery;
mod driver;
mod record;
mod shared;

pub use self::delivery::Delivery;
pub use self::delivery::Receipt;
pub use self::record::Record;
use self::shared::Admission;
use self::shared::Shared;

impl Client {
    /// Starts to build a producer.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.cluster())
    }
}

/// What a producer waits for before it calls a record acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guarantee {
    /// Sent once and forgotten: acknowledged when handed to the connection.
    FireAndForget,
    /// Retried until the leader has it; may be written twice.
    LeaderAck,
    /// Written exactly once per partition, in order, on all in-sync replicas. The default.
    #[default]
    Idempotent,
}

/// Settings of a [`Producer`]. Made by [`Client::producer`](crate::Client::producer).
#[derive(Debug)]
pub struct ProducerBuilder {
    cluster: Cluster,
    guarantee: Guarantee,
    compression: Compression,
    level: Option<i32>,
    codecs: Codecs,
    partitioner: Arc<dyn PartitionerFactory>,
    batch_bytes: usize,
    request_bytes_max: usize,
    buffer_bytes: usize,
    linger: Duration,
    delivery_timeout: Duration,
}

impl ProducerBuilder {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            guarantee: Guarantee::default(),
            compression: Compression::None,
            level: None,
            codecs: Codecs::default(),
            partitioner: Arc::new(Builtin::default()),
            batch_bytes: 256 * 1024,
            request_bytes_max: 1024 * 1024,
            buffer_bytes: 32 << 20,
            linger: Duration::from_millis(5),
            delivery_timeout: Duration::from_secs(120),
        }
    }

    /// What is promised about each record.
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// How batches are compressed. The default is not at all.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The codec's level (KIP-390). The default is the codec's own.
    pub fn compression_level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Codecs other than the built-in ones.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// How records are placed. The default is [`Builtin::Murmur2`].
    ///
    /// A partitioner runs under the producer's lock: it must be quick and must not call the producer.
    pub fn partitioner(mut self, partitioner: impl PartitionerFactory + 'static) -> Self {
        self.partitioner = Arc::new(partitioner);
        self
    }

    /// Largest batch, in bytes before compression. The default is 256 KiB.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Largest request, and so the largest record, in bytes. The default is 1 MiB.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.request_bytes_max = bytes;
        self
    }

    /// Bytes of records that are not decided yet, at most. The default is 32 MiB. `enqueue` waits for room.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// How long a record waits for others while its broker is busy. The default is 5 ms; an idle broker is sent what
    /// there is at once.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// By when every record is decided, from when its batch was opened. The default is 120 s.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = timeout;
        self
    }

    /// Takes what properties say about producing.
    pub fn properties(mut self, properties: &Properties) -> Result<Self, Error> {
        let idempotence = properties.get("enable.idempotence").map(|word| word == "true");
        self.guarantee = match (properties.get("acks"), idempotence) {
            (None | Some("all" | "-1"), None | Some(true)) => self.guarantee,
            (Some("1"), None | Some(false)) => Guarantee::LeaderAck,
            (Some("0"), None | Some(false)) => Guarantee::FireAndForget,
            (Some(acks), Some(true)) => {
                return Err(Error::config(format!("acks = {acks} cannot be idempotent: set acks to all")));
            }
            (acks, _) => {
                let acks = acks.unwrap_or("all");
                return Err(Error::config(format!("acks = {acks} is idempotent here: for less, set acks to 1 or 0")));
            }
        };
        if let Some(name) = properties.get("compression.type") {
            self.compression = name.parse().map_err(|error: codec::CodecError| Error::config(error.to_string()))?;
            self.level =
                properties.number(&format!("compression.{name}.level")).and_then(|level| level.try_into().ok());
        }
        if let Some(name) = properties.get("partitioner") {
            self.partitioner = Arc::new(match name {
                "round_robin" => Builtin::RoundRobin,
                "consistent_random" => Builtin::ConsistentRandom,
                "fnv1a_random" => Builtin::Fnv1aRandom,
                _ => Builtin::Murmur2,
            });
        }
        let bytes = |name, slot: &mut usize| *slot = properties.bytes(name).unwrap_or(*slot);
        bytes("batch.size", &mut self.batch_bytes);
        bytes("max.request.size", &mut self.request_bytes_max);
        bytes("buffer.memory", &mut self.buffer_bytes);
        let millis = |name, slot: &mut Duration| *slot = properties.millis(name).unwrap_or(*slot);
        millis("linger.ms", &mut self.linger);
        millis("delivery.timeout.ms", &mut self.delivery_timeout);
        Ok(self)
    }

    /// Starts the producer. Must be called within a tokio runtime.
    pub fn build(self) -> Result<Producer, Error> {
        if self.buffer_bytes < self.request_bytes_max {
            return Err(Error::config("buffer.memory is less than max.request.size: a record might never find room"));
        }
        if self.batch_bytes == 0 || self.delivery_timeout.is_zero() {
            return Err(Error::config("batch.size and delivery.timeout.ms must be more than zero"));
        }
        let codec = match self.compression {
            Compression::None => None,
            compression => match self.level {
                Some(level) => {
                    Some(codec::builtin(compression, Some(level)).map_err(|e| Error::config(e.to_string()))?)
                }
                None => {
                    let codec = self.codecs.get(compression).cloned();
                    let missing = || Error::config(codec::CodecError::Missing(compression).to_string());
                    Some(codec.ok_or_else(missing)?)
                }
            },
        };
        let settings = core::Settings {
            acks: match self.guarantee {
                Guarantee::FireAndForget => 0,
                Guarantee::LeaderAck => 1,
                Guarantee::Idempotent => -1,
            },
            idempotent: self.guarantee == Guarantee::Idempotent,
            compressed: codec.is_some(),
            batch_bytes: self.batch_bytes.min(self.request_bytes_max),
            request_bytes_max: self.request_bytes_max,
            linger: self.linger,
            delivery_timeout: self.delivery_timeout,
            retry_backoff: self.cluster.settings().retry_backoff,
            retry_backoff_max: self.cluster.settings().retry_backoff_max,
            pool_bytes_max: self.buffer_bytes / 2,
        };
        let shared = Arc::new(Shared::new(self.cluster, settings, self.partitioner, self.buffer_bytes));
        tokio::spawn(driver::Driver::new(Arc::clone(&shared), codec, self.codecs).run());
        Ok(Producer { inner: Arc::new(Handle { shared }) })
    }
}

/// Writes records. Cheap to clone; all clones share one buffer and one identity.
///
/// Dropping the last clone gives up what is not acknowledged: its deliveries say so. To write everything first, call
/// [`Producer::close`].
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::Record;
///
/// let producer = client.producer().build()?;
/// let receipt = producer.send(Record::to("events").key("user-7").value("clicked")).await?;
/// println!("partition {}, offset {:?}", receipt.partition, receipt.offset);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    inner: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Producer {
    fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// Writes a record and waits until it is acknowledged.
    ///
    /// Cancel safety: dropping the future before it is ready either withdraws the record (while there was no room) or
    /// leaves it on its way, as [`Producer::enqueue`] does.
    pub async fn send(&self, record: Record<'_>) -> Result<Receipt, Error> {
        self.enqueue(record).await?.await
    }

    /// Accepts a record into the buffer, waiting in turn for room, and answers with its delivery to come.
    ///
    /// Cancel safety: dropping the future before it is ready withdraws the record. Dropping the [`Delivery`] does not.
    pub async fn enqueue(&self, record: Record<'_>) -> Result<Delivery, Error> {
        if let Some(delivery) = self.admit(&record)? {
            return Ok(delivery);
        }
        self.enqueue_slowly(record).await
    }

    fn admit(&self, record: &Record<'_>) -> Result<Option<Delivery>, Error> {
        match self.shared().admit(record, None)? {
            Admission::Accepted(delivery) => Ok(Some(delivery)),
            Admission::Full | Admission::UnknownTopic => Ok(None),
        }
    }

    #[cold]
    async fn enqueue_slowly(&self, record: Record<'_>) -> Result<Delivery, Error> {
        let deadline = clock::now() + self.shared().delivery_timeout();
        let mut room = None;
        loop {
            let waited = match self.shared().admit(&record, room)? {
                Admission::Accepted(delivery) => return Ok(delivery),
                Admission::Full => self.shared().room(&record, deadline).await,
                Admission::UnknownTopic => {
                    self.shared().learn(&TopicName::from(record.topic()), deadline).await.map(|()| None)
                }
            };
            room = waited.map_err(|error| error.written(Written::No))?;
        }
    }

    /// Accepts a record if there is room now; an error of kind [`Kind::Full`] says that there is none.
    pub fn try_enqueue(&self, record: Record<'_>) -> Result<Delivery, Error> {
        match self.shared().admit(&record, None)? {
            Admission::Accepted(delivery) => Ok(delivery),
            Admission::Full => Err(Error::new(Kind::Full, "the producer's buffer is full").written(Written::No)),
            Admission::UnknownTopic => {
                let topic = TopicName::from(record.topic());
                self.shared().cluster().want(std::slice::from_ref(&topic));
                Err(Error::new(Kind::Full, "the topic is not known yet").in_topic(&topic).written(Written::No))
            }
        }
    }

    /// Accepts records in order, waiting for room as often as needed. On an error, those before it are accepted.
    pub async fn enqueue_all<'r>(&self, records: impl IntoIterator<Item = Record<'r>>) -> Result<Vec<Delivery>, Error> {
        let records = records.into_iter();
        let mut deliveries = Vec::with_capacity(records.size_hint().0);
        for record in records {
            deliveries.push(self.enqueue(record).await?);
        }
        Ok(deliveries)
    }

    /// Waits until every record that was accepted before this call is decided, whatever the outcome.
    pub fn flush(&self) -> impl Future<Output = ()> + Send + '_ {
        self.shared().flush()
    }

    /// Writes what is buffered, for at most `patience`, then stops. An error says that something was not acknowledged.
    pub async fn close(&self, patience: Duration) -> Result<(), Error> {
        let flushed = tokio::time::timeout(patience, self.flush()).await;
        self.shared().stop();
        flushed.map_err(|_| Error::new(Kind::Timeout, "the producer was closed with records not acknowledged"))
    }
}
