//! The settings of a producer: by methods, by properties, and the checks before it starts.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::Handle;
use super::Producer;
use super::Record;
use super::core::Settings;
use super::custom::CustomPartitioner;
use super::driver::Driver;
use super::shared::Shared;
use crate::client::AutoCreate;
use crate::client::Cluster;
use crate::codec;
use crate::codec::CodecError;
use crate::codec::Codecs;
use crate::codec::Compression;
use crate::config::Properties;
use crate::error::Error;
use crate::partitioner::Builtin;
use crate::partitioner::PartitionerFactory;
use crate::record::HEADER_LEN;
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

impl Guarantee {
    /// The promise that `acks` and `enable.idempotence` make, if one of them is set.
    pub(crate) fn from_properties(properties: &Properties) -> Result<Option<Self>, Error> {
        let idempotence = properties.get("enable.idempotence").map(|word| word == "true");
        Ok(Some(match (properties.get("acks"), idempotence) {
            (None, None) => return Ok(None),
            (None | Some("all" | "-1"), None | Some(true)) => Self::Idempotent,
            (None | Some("all" | "-1"), Some(false)) => Self::AllAcks,
            (Some("1"), None | Some(false)) => Self::LeaderAck,
            (Some("0"), None | Some(false)) => Self::FireAndForget,
            (Some(acks), Some(true)) => {
                let text = format!(
                    "`acks` = {acks} cannot be idempotent: set `acks` to all, or `enable.idempotence` to false"
                );
                return Err(Error::config(text));
            }
            (Some(acks), _) => {
                return Err(Error::config(format!("`acks` = {acks:?} is unknown: set `acks` to all, 1 or 0")));
            }
        }))
    }
}

/// A request with the smallest record: a batch's header, and the numbers of a record without key and value.
const REQUEST_BYTES_LEAST: usize = HEADER_LEN + Record::BYTES_LEAST;

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

    /// The promise about each record (`acks` and `enable.idempotence`). The default is [`Guarantee::Idempotent`].
    pub fn guarantee(mut self, guarantee: Guarantee) -> Self {
        self.guarantee = guarantee;
        self
    }

    /// The codec of batches (`compression.type`). The default is none. [`Self::build`] refuses a codec that is not compiled in and not
    /// among [`Self::codecs`], by an error of kind [`Kind::Unsupported`](crate::error::Kind::Unsupported).
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The built-in codec's level (`compression.gzip.level`, `compression.lz4.level`, `compression.zstd.level`, KIP-390). The default is
    /// the codec's own: gzip −1, lz4 9, zstd 3. [`level_range`](crate::codec::level_range) has the limits.
    pub fn compression_level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Replaces the built-in codecs. The default is those that are compiled in.
    pub fn codecs(mut self, codecs: Codecs) -> Self {
        self.codecs = codecs;
        self
    }

    /// The choice of partitions (`partitioner`). The default is [`Builtin::Murmur2`].
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

    /// Largest batch, in bytes as it is sent (`batch.size`). The default is 256 KiB, the least is 1 byte, and more than
    /// [`Self::request_bytes_max`] has no effect. A record that is larger than this is a batch of its own. The compression ratio of a
    /// topic is estimated from its earlier batches; before compression a batch has at most a sixteenth of
    /// [`Self::buffer_bytes`], or this if that is more.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Largest request, and so the largest record, in bytes (`max.request.size`). The default is 1 MiB; from 95 bytes to
    /// [`Self::buffer_bytes`]. A topic limits records as well, by `max.message.bytes`.
    pub fn request_bytes_max(mut self, bytes: usize) -> Self {
        self.request_bytes_max = bytes;
        self
    }

    /// The most bytes of records that are not decided yet (`buffer.memory`). The default is 32 MiB, and
    /// [`Self::request_bytes_max`] the least, so that every record fits. `enqueue` waits for capacity.
    pub fn buffer_bytes(mut self, bytes: usize) -> Self {
        self.buffer_bytes = bytes;
        self
    }

    /// How long a record waits for others while its broker is busy (`linger.ms`). The default is 5 ms; it must not be more than
    /// [`Self::delivery_timeout`]. A broker without a request in flight gets
    /// a batch at once, and a batch that has waited takes more records until its broker can take another request.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// The time within which every record is decided, from the opening of its batch (`delivery.timeout.ms`). The default is 120 s. It must
    /// be more than zero and no less than [`Self::linger`]. There is always a limit: ten years are the longest, for `Duration::MAX` and for
    /// librdkafka's `message.timeout.ms = 0` as well.
    ///
    /// It bounds retries: their number has no limit of its own (`retries`).
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = timeout;
        self
    }

    /// Whether a broker may create topics that records are sent to and that do not exist (`allow.auto.create.topics`). The default is
    /// `false`. Where it may, `auto.create.topics.enable` of the broker decides.
    pub fn allow_auto_create_topics(mut self, allow: bool) -> Self {
        self.auto_create = AutoCreate::from(allow);
        self
    }

    /// Takes the properties that concern producers. `delivery.timeout.ms = 0`, which is librdkafka's `message.timeout.ms = 0`, sets
    /// the longest delivery timeout there is.
    pub fn properties(mut self, properties: &Properties) -> Result<Self, Error> {
        self.guarantee = Guarantee::from_properties(properties)?.unwrap_or(self.guarantee);
        if let Some(allow) = properties.get("allow.auto.create.topics") {
            self.auto_create = AutoCreate::from(allow == "true");
        }
        if let Some(name) = properties.get("compression.type") {
            self.compression = name.parse().map_err(|error: CodecError| Error::from(error))?;
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

    /// Refuses settings that contradict each other. Errors name each by its method and by its property.
    fn check(&self) -> Result<(), Error> {
        let Self { batch_bytes, buffer_bytes, delivery_timeout, linger, request_bytes_max, .. } = self;
        let text = if buffer_bytes < request_bytes_max {
            format!(
                "`buffer_bytes` / `buffer.memory` is {buffer_bytes}, and `request_bytes_max` / `max.request.size` is \
                 {request_bytes_max}: the largest record would never fit the buffer; raise the first, or lower the second"
            )
        } else if *request_bytes_max < REQUEST_BYTES_LEAST {
            format!(
                "`request_bytes_max` / `max.request.size` is {request_bytes_max}, and no record fits: \
                 give at least {REQUEST_BYTES_LEAST} bytes"
            )
        } else if *batch_bytes == 0 {
            "`batch_bytes` / `batch.size` is 0: give at least 1 byte, which sends each record in a batch of its own"
                .to_owned()
        } else if delivery_timeout.is_zero() {
            "`delivery_timeout` / `delivery.timeout.ms` is zero, and no record can be acknowledged in time: raise it"
                .to_owned()
        } else if bounded(*linger) > bounded(*delivery_timeout) {
            format!(
                "`linger` / `linger.ms` is {linger:?}, and `delivery_timeout` / `delivery.timeout.ms` is {delivery_timeout:?}: \
                 records would run out of time while they wait for others; lower the first, or raise the second"
            )
        } else {
            return Ok(());
        };
        Err(Error::config(text))
    }

    /// Starts the producer. Its task runs on the runtime of the client, and this may be called on any thread.
    pub fn build(self) -> Result<Producer, Error> {
        self.check()?;
        let codec = match self.compression {
            Compression::None => None,
            compression => {
                let codec = if self.level.is_some() {
                    codec::builtin(compression, self.level)
                } else {
                    self.codecs.get(compression).cloned().ok_or(CodecError::Missing(compression))
                };
                Some(codec?)
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
