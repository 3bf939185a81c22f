//! The settings of a producer: by methods, by properties, and the checks before it starts.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::Handle;
use super::Producer;
use super::core::Settings;
use super::custom::CustomPartitioner;
use super::driver::Driver;
use super::shared::Shared;
use crate::client::AutoCreate;
use crate::client::Cluster;
use crate::codec;
use crate::codec::Codecs;
use crate::codec::Compression;
use crate::config::Properties;
use crate::error::Error;
use crate::partitioner::Builtin;
use crate::partitioner::PartitionerFactory;
use crate::types::LONGEST;
use crate::types::bounded;

/// The acknowledgement that a producer waits for before it reports a record as written.
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use ottla::producer::Guarantee;
///
/// let producer = client.producer().guarantee(Guarantee::AllAcks).build()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Guarantee {
    /// Sent once and not acknowledged: reported when the socket has taken it.
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
    Custom(Arc<dyn PartitionerFactory>),
}

/// Settings of a [`Producer`]. Made by [`Client::producer`](crate::Client::producer).
///
/// ```no_run
/// # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
/// use std::time::Duration;
///
/// use ottla::codec::Compression;
///
/// let producer = client
///     .producer()
///     .compression(Compression::Lz4)
///     .linger(Duration::from_millis(20))
///     .delivery_timeout(Duration::from_secs(30))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct ProducerBuilder {
    cluster: Cluster,
    pub(super) guarantee: Guarantee,
    compression: Compression,
    level: Option<i32>,
    codecs: Codecs,
    partitioning: Partitioning,
    batch_bytes: usize,
    request_bytes_max: usize,
    buffer_bytes: usize,
    linger: Duration,
    pub(super) delivery_timeout: Duration,
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
            partitioning: Partitioning::Builtin(Builtin::default()),
            batch_bytes: 256 * 1024,
            request_bytes_max: 1024 * 1024,
            buffer_bytes: 32 << 20,
            linger: Duration::from_millis(5),
            delivery_timeout: Duration::from_secs(120),
            auto_create: AutoCreate::Forbid,
        }
    }

    /// The promise about each record. The default is [`Guarantee::Idempotent`].
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// The codec of batches. The default is none.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The codec's level (KIP-390). The default is the codec's own.
    pub fn compression_level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Replaces the built-in codecs.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// The choice of partitions. The default is [`Builtin::Murmur2`].
    ///
    /// A custom partitioner runs in the task that sends, one record of a topic at a time, without any other lock of the producer. It
    /// does not learn how many batches wait for each partition. It is called again for a record if the topic's number of partitions
    /// changed before the record was accepted.
    pub fn partitioner(mut self, partitioner: impl PartitionerFactory + 'static) -> Self {
        let any: &dyn Any = &partitioner;
        self.partitioning = match any.downcast_ref::<Builtin>() {
            Some(builtin) => Partitioning::Builtin(*builtin),
            None => Partitioning::Custom(Arc::new(partitioner)),
        };
        self
    }

    /// Largest batch, in bytes as it is sent. The default is 256 KiB. The compression ratio of a topic is estimated from its earlier
    /// batches; before compression a batch has at most a sixteenth of `buffer_bytes`, or this if that is more.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Largest request, and so the largest record, in bytes. The default is 1 MiB.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.request_bytes_max = bytes;
        self
    }

    /// The most bytes of records that are not decided yet. The default is 32 MiB. `enqueue` waits for capacity.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// How long a record waits for others while its broker is busy. The default is 5 ms. A broker without a request in flight gets
    /// a batch at once, and a batch that has waited takes more records until its broker can take another request.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// The time within which every record is decided, from the opening of its batch. The default is 120 s. There is always a limit: ten years
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

    /// Takes the properties that concern producers. `delivery.timeout.ms = 0`, which is librdkafka's `message.timeout.ms = 0`, sets
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
            self.partitioning = Partitioning::Builtin(match name {
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

    /// Starts the producer. Its task runs on the runtime of the client, and this may be called on any thread.
    pub fn build(self) -> Result<Producer, Error> {
        if self.buffer_bytes < self.request_bytes_max {
            return Err(Error::config(
                "buffer.memory is less than max.request.size: the largest record would never fit the buffer",
            ));
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
        let settings = Settings {
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
        // Built-in partitioners run in the core, under its lock; custom ones do not.
        let (core, custom): (Arc<dyn PartitionerFactory>, _) = match self.partitioning {
            Partitioning::Builtin(builtin) => (Arc::new(builtin), None),
            Partitioning::Custom(custom) => {
                (Arc::new(Builtin::default()), Some(CustomPartitioner::new(custom, settings.batch_bytes)))
            }
        };
        let shared = Arc::new(Shared::new(self.cluster, self.auto_create, settings, core, custom, self.buffer_bytes));
        let weak = Arc::downgrade(&shared);
        shared.cluster().register(weak);
        let driver = Driver::new(Arc::clone(&shared), codec, self.codecs);
        drop(shared.cluster().runtime().spawn(driver.run()));
        Ok(Producer { inner: Arc::new(Handle { shared }) })
    }
}
