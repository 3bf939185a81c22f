//! The producer: a handle, and a driver that pumps its core.
//!
//! A record is copied once, by the caller, into the open batch of its partition; the caller gets a [`Delivery`], which tells
//! in the end what became of it. One lock guards the core; it is held for the copy, never while a batch is compressed,
//! hashed or encoded.

use std::any::Any;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::client::AutoCreate;
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
use crate::types::LONGEST;
use crate::types::bounded;

mod budget;
pub(crate) mod core;
mod delivery;
mod driver;
mod placing;
mod record;
mod shared;
#[cfg(all(test, feature = "mock"))]
mod tests;
mod times;
mod unknown;

pub use self::delivery::Delivery;
pub use self::delivery::Receipt;
use self::placing::Placing;
pub use self::record::Record;
use self::shared::Admission;
use self::shared::Routing;
use self::shared::Shared;
use self::unknown::Missing;

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
    /// Retried until all in-sync replicas have it; may be written twice. For clusters where a producer may not be idempotent: it
    /// asks for no identity. One batch of each partition is in flight at a time, so that order is kept.
    AllAcks,
    /// Written exactly once per partition, in order, on all in-sync replicas. The default.
    #[default]
    Idempotent,
}

#[derive(Debug)]
enum Partitioning {
    Builtin(Builtin),
    Own(Arc<dyn PartitionerFactory>),
}

/// Settings of a [`Producer`]. Made by [`Client::producer`](crate::Client::producer).
#[derive(Debug)]
pub struct ProducerBuilder {
    cluster: Cluster,
    guarantee: Guarantee,
    compression: Compression,
    level: Option<i32>,
    codecs: Codecs,
    placing: Partitioning,
    batch_bytes: usize,
    request_bytes_max: usize,
    buffer_bytes: usize,
    linger: Duration,
    delivery_timeout: Duration,
    auto_create: AutoCreate,
}

impl ProducerBuilder {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self {
            cluster,
            guarantee: Guarantee::default(),
            compression: Compression::None,
            level: None,
            codecs: Codecs::default(),
            placing: Partitioning::Builtin(Builtin::default()),
            batch_bytes: 256 * 1024,
            request_bytes_max: 1024 * 1024,
            buffer_bytes: 32 << 20,
            linger: Duration::from_millis(5),
            delivery_timeout: Duration::from_secs(120),
            auto_create: AutoCreate::Forbid,
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
    /// A partitioner of your own runs in the task that sends, one record of a topic at a time, without any other lock of the
    /// producer. It does not learn how many batches wait for each partition. It is asked again for a record where the topic's number
    /// of partitions changed before the record was accepted.
    pub fn partitioner(mut self, partitioner: impl PartitionerFactory + 'static) -> Self {
        let any: &dyn Any = &partitioner;
        self.placing = match any.downcast_ref::<Builtin>() {
            Some(builtin) => Partitioning::Builtin(*builtin),
            None => Partitioning::Own(Arc::new(partitioner)),
        };
        self
    }

    /// Largest batch, in bytes as it is sent. The default is 256 KiB. How well a topic's records compress is estimated from
    /// the batches before; before compression a batch has at most a sixteenth of `buffer_bytes`, or this if that is more.
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

    /// How long a record waits for others while its broker is busy. The default is 5 ms. A broker with nothing to do is sent
    /// what there is at once, and a batch that waited takes records until its broker can take another request.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// By when every record is decided, from when its batch was opened. The default is 120 s. There is always a limit: ten years
    /// are the longest, for `Duration::MAX` and for librdkafka's `message.timeout.ms = 0` as well.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = timeout;
        self
    }

    /// Whether a broker may create topics that records are sent to and that do not exist (`allow.auto.create.topics`). The default is
    /// that it may not. Where it may, `auto.create.topics.enable` of the broker decides.
    pub fn allow_auto_create_topics(mut self, allow: bool) -> Self {
        self.auto_create = AutoCreate::from(allow);
        self
    }

    /// Takes what properties say about producing. `delivery.timeout.ms = 0`, which is librdkafka's `message.timeout.ms = 0`, sets
    /// the longest delivery timeout there is.
    pub fn properties(mut self, properties: &Properties) -> Result<Self, Error> {
        let idempotence = properties.get("enable.idempotence").map(|word| word == "true");
        self.guarantee = match (properties.get("acks"), idempotence) {
            (None, None) => self.guarantee,
            (None | Some("all" | "-1"), None | Some(true)) => Guarantee::Idempotent,
            (None | Some("all" | "-1"), Some(false)) => Guarantee::AllAcks,
            (Some("1"), None | Some(false)) => Guarantee::LeaderAck,
            (Some("0"), None | Some(false)) => Guarantee::FireAndForget,
            (Some(acks), Some(true)) => {
                return Err(Error::config(format!("acks = {acks} cannot be idempotent: set acks to all")));
            }
            (Some(acks), _) => return Err(Error::config(format!("acks = {acks} is unknown: set acks to all, 1 or 0"))),
        };
        if let Some(allow) = properties.get("allow.auto.create.topics") {
            self.auto_create = AutoCreate::from(allow == "true");
        }
        if let Some(name) = properties.get("compression.type") {
            self.compression = name.parse().map_err(|error: codec::CodecError| Error::config(error.to_string()))?;
            self.level =
                properties.number(&format!("compression.{name}.level")).and_then(|level| level.try_into().ok());
        }
        if let Some(name) = properties.get("partitioner") {
            self.placing = Partitioning::Builtin(match name {
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
        if properties.millis("delivery.timeout.ms").is_some_and(|timeout| timeout.is_zero()) {
            self.delivery_timeout = LONGEST;
        }
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
            compression => {
                let codec = if self.level.is_some() {
                    codec::builtin(compression, self.level)
                } else {
                    self.codecs.get(compression).cloned().ok_or(codec::CodecError::Missing(compression))
                };
                Some(codec.map_err(|error| Error::config(error.to_string()))?)
            }
        };
        let settings = core::Settings {
            acks: match self.guarantee {
                Guarantee::FireAndForget => 0,
                Guarantee::LeaderAck => 1,
                Guarantee::AllAcks | Guarantee::Idempotent => -1,
            },
            idempotent: self.guarantee == Guarantee::Idempotent,
            compressed: codec.is_some(),
            batch_bytes: self.batch_bytes.min(self.request_bytes_max),
            request_bytes_max: self.request_bytes_max,
            linger: bounded(self.linger),
            delivery_timeout: bounded(self.delivery_timeout),
            retry_backoff: self.cluster.settings().retry_backoff,
            retry_backoff_max: self.cluster.settings().retry_backoff_max,
            pool_bytes_max: self.buffer_bytes / 2,
        };
        // What comes with the crate runs in the core, under its lock; what users wrote does not.
        let (core, placing): (Arc<dyn PartitionerFactory>, _) = match self.placing {
            Partitioning::Builtin(builtin) => (Arc::new(builtin), None),
            Partitioning::Own(own) => (Arc::new(Builtin::default()), Some(Placing::new(own, settings.batch_bytes))),
        };
        let shared = Arc::new(Shared::new(self.cluster, self.auto_create, settings, core, placing, self.buffer_bytes));
        let weak = Arc::downgrade(&shared);
        shared.cluster().register(weak);
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
    /// It waits for the topic to be known and for room no longer than the delivery timeout; an error says that the record was
    /// not accepted.
    ///
    /// Cancel safety: dropping the future before it is ready withdraws the record. Dropping the [`Delivery`] does not.
    pub async fn enqueue(&self, record: Record<'_>) -> Result<Delivery, Error> {
        let routing = self.shared().route(&record);
        match self.shared().admit(&record, routing)? {
            Admission::Accepted(delivery) => Ok(delivery),
            Admission::Full | Admission::Outdated | Admission::Unknown(_) => self.enqueue_slowly(record, routing).await,
        }
    }

    #[cold]
    async fn enqueue_slowly(&self, record: Record<'_>, mut routing: Routing) -> Result<Delivery, Error> {
        let shared = self.shared();
        let deadline = clock::now() + shared.delivery_timeout();
        let mut room = None;
        loop {
            let admitted = match &mut room {
                Some(room) => shared.admit_into(room, &record, routing)?,
                None => shared.admit(&record, routing)?,
            };
            let waited: Result<(), Error> = match admitted {
                Admission::Accepted(delivery) => return Ok(delivery),
                Admission::Full => room.insert(shared.room(&record)).granted(deadline).await,
                Admission::Outdated => {
                    shared.catch_up();
                    routing = shared.route(&record);
                    Ok(())
                }
                Admission::Unknown(missing) => {
                    // Others may use the room while this one asks.
                    room = None;
                    let learned = shared.learn(record.topic(), missing, deadline).await;
                    routing = shared.route(&record);
                    learned
                }
            };
            waited.map_err(|error| error.written(Written::No))?;
        }
    }

    /// Accepts a record if that takes no waiting. An error of kind [`Kind::Full`] says that there is no capacity now, or that the
    /// topic or the partition is not known yet: metadata is requested, and a later call may succeed. Once metadata says that it does
    /// not exist, the error is of kind [`Kind::UnknownTopic`].
    #[expect(clippy::needless_pass_by_value, reason = "as `enqueue` takes it")]
    pub fn try_enqueue(&self, record: Record<'_>) -> Result<Delivery, Error> {
        let shared = self.shared();
        let mut routing = shared.route(&record);
        let mut missing = None;
        // Once more with the newest metadata, which the core may not have.
        for _ in 0..2 {
            match shared.admit(&record, routing)? {
                Admission::Accepted(delivery) => return Ok(delivery),
                Admission::Full => {
                    return Err(Error::new(Kind::Full, "the producer's buffer is full").written(Written::No));
                }
                Admission::Outdated => missing = None,
                Admission::Unknown(what) => missing = Some(what),
            }
            shared.catch_up();
            routing = shared.route(&record);
        }
        Err(shared.not_known(record.topic(), missing.unwrap_or(Missing::Topic)))
    }

    /// Accepts records in order, waiting for room as often as needed. It costs less than one call for each: records are taken
    /// by the hundred. On an error, those before it are accepted and go their way, though their deliveries are dropped.
    ///
    /// Cancel safety: dropping the future before it is ready withdraws the records that are not accepted yet.
    pub async fn enqueue_all<'r>(&self, records: impl IntoIterator<Item = Record<'r>>) -> Result<Vec<Delivery>, Error> {
        let mut records = records.into_iter();
        let mut deliveries = Vec::with_capacity(records.size_hint().0);
        let mut chunk = Vec::with_capacity(CHUNK.min(records.size_hint().1.unwrap_or(CHUNK)));
        loop {
            chunk.clear();
            // Iterators and partitioners are the caller's code: they run before the lock is taken.
            for record in records.by_ref().take(CHUNK) {
                let routing = self.shared().route(&record);
                chunk.push((record, routing));
            }
            if chunk.is_empty() {
                return Ok(deliveries);
            }
            let before = deliveries.len();
            self.shared().admit_all(&chunk, &mut deliveries)?;
            let taken = deliveries.len() - before;
            for (record, routing) in chunk.drain(..).skip(taken) {
                let delivery = match self.shared().admit(&record, routing)? {
                    Admission::Accepted(delivery) => delivery,
                    Admission::Full | Admission::Outdated | Admission::Unknown(_) => {
                        self.enqueue_slowly(record, routing).await?
                    }
                };
                deliveries.push(delivery);
            }
        }
    }

    /// Waits until every record that was accepted before this call is decided, whatever the outcome. That is the case by the
    /// delivery timeout of the last of them.
    ///
    /// Cancel safety: dropping the future changes nothing; what was accepted goes out without waiting for its linger.
    pub fn flush(&self) -> impl Future<Output = ()> + Send + '_ {
        self.shared().flush()
    }

    /// Writes what is buffered, for at most `patience`, then stops. An error says that something was still not decided then;
    /// it was told so by its deliveries, which say whether it may have been written.
    ///
    /// Cancel safety: until `patience` is over, dropping the future leaves the producer open.
    pub async fn close(&self, patience: Duration) -> Result<(), Error> {
        let flushed = tokio::time::timeout(patience, self.flush()).await;
        self.shared().stop();
        self.shared().ended().await;
        flushed.map_err(|_| Error::new(Kind::Timeout, "the producer was closed with records not acknowledged"))
    }
}

/// Records taken under one lock.
const CHUNK: usize = 128;
