//! Publishing of single values: each is acknowledged or fails within the time of its target.

use std::sync::Arc;
use std::time::Duration;

use super::Target;
use crate::client::ClientBuilder;
use crate::error::Error;
use crate::error::Kind;
use crate::net::side_by_side::all;
use crate::producer::Receipt;
use crate::producer::Record;

mod pool;
#[cfg(all(test, feature = "mock"))]
mod tests;

use self::pool::Pool;

/// Publishes values to [targets](Target). Cheap to clone; a program has one.
///
/// It was `KafKaClient`, which made a producer for each alert and counted an outage as a success. Here targets with equal settings share
/// one producer, whatever their topics. It connects when the first value is published, and is closed when none was published
/// for a minute ([`Publisher::idle_max`]), or with the last clone of the publisher.
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// use ottla::queue::Publisher;
/// use ottla::queue::Target;
///
/// let publisher = Publisher::new();
/// // Or Target::parse("kafka://localhost:9092/events?message.timeout.ms=8000").
/// let target = Target::from_properties([
///     ("bootstrap.servers", "localhost:9092"),
///     ("topic", "events"),
///     ("message.timeout.ms", "8000"),
/// ])?;
/// let receipt = publisher.publish(&target, "disk full").await?;
/// println!("partition {}, offset {:?}", receipt.partition, receipt.offset);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Publisher {
    pool: Arc<Pool>,
}

impl Publisher {
    /// A publisher that has not connected to anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// A publisher that changes the settings of each client before it connects: its [`Connector`](crate::client::Connector), its runtime.
    ///
    /// ```no_run
    /// use ottla::queue::Publisher;
    ///
    /// let runtime = tokio::runtime::Runtime::new()?;
    /// let handle = runtime.handle().clone();
    /// let publisher = Publisher::with(move |client| client.runtime(handle.clone()));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn with(adapt: impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static) -> Self {
        Self { pool: Arc::new(Pool::new(Some(Box::new(adapt)))) }
    }

    /// The time without a value after which a producer is closed. The default is 1 minute, and the time of its targets the least. It counts for producers that are used from
    /// now on, of all clones.
    pub fn idle_max(self, idle: Duration) -> Self {
        self.pool.set_idle_max(idle);
        self
    }

    /// Publishes a value without a key. `Ok` says that the brokers have acknowledged it: all in-sync replicas, or with `acks=1` the leader.
    ///
    /// It takes no longer than [`Target::timeout`], connecting included. By default a value that is acknowledged is in the log once; with
    /// `enable.idempotence=false`, for clusters that refuse idempotent producers, a retry may write it twice.
    ///
    /// # Errors
    ///
    /// [`Error::is_written`] says whether the value may be in the log: `Written::No` is safe to publish again. The cause is the error of
    /// the last attempt ([`Kind::Connect`], for example), and `{:#}` prints it.
    /// - [`Kind::Timeout`]: the time of the target has passed.
    /// - [`Kind::UnknownTopic`]: the topic does not exist. It is not created.
    /// - [`Kind::RecordTooLarge`]: it is larger than `max.request.size`, or than the topic allows.
    /// - [`Kind::Config`]: settings contradict each other, or the first call of a target is made outside a tokio runtime.
    ///
    /// Cancel safety: dropping the future withdraws the value unless it was sent already, as
    /// [`Producer::send`](crate::producer::Producer::send) does.
    pub async fn publish(&self, target: &Target, value: impl AsRef<[u8]>) -> Result<Receipt, Error> {
        self.send(target, Record::to(target.topic()).value(&value)).await
    }

    /// As [`Self::publish`], with a key: values of one key are in one partition, in order.
    pub async fn publish_keyed(
        &self,
        target: &Target,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
    ) -> Result<Receipt, Error> {
        self.send(target, Record::to(target.topic()).key(&key).value(&value)).await
    }

    /// Publishes a value to several targets at the same time. Each has a result of its own, in the order of the call; one that fails
    /// stops no other. A target that could not be made fails with its own error.
    ///
    /// It takes no longer than the longest [`Target::timeout`]. Cancel safety: as of [`Self::publish`], for each target.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), ottla::Error> {
    /// use ottla::queue::Publisher;
    /// use ottla::queue::Target;
    /// use ottla::queue::Targets;
    ///
    /// let everybody = Target::from_properties([("bootstrap.servers", "localhost:9092"), ("topic", "events")]);
    /// let targets: Targets = [("0", everybody), ("2", Target::parse("kafka://wrong"))].into_iter().collect();
    /// let publisher = Publisher::new();
    /// for (name, outcome) in publisher.fan_out(targets.of("2"), "disk full").await {
    ///     match outcome {
    ///         Ok(receipt) => println!("{name}: partition {}", receipt.partition),
    ///         Err(error) => eprintln!("{name}: {error:#}"),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn fan_out<'t, N>(
        &self,
        targets: impl IntoIterator<Item = (N, Result<&'t Target, &'t Error>)>,
        value: impl AsRef<[u8]>,
    ) -> Vec<(N, Result<Receipt, Error>)> {
        let value = value.as_ref();
        let one = |target: Result<&'t Target, &'t Error>| async move {
            self.publish(target.map_err(Error::clone)?, value).await
        };
        let (names, publishing): (Vec<N>, Vec<_>) =
            targets.into_iter().map(|(name, target)| (name, Box::pin(one(target)))).unzip();
        names.into_iter().zip(all(publishing).await).collect()
    }

    /// The number of producers that are open.
    pub fn producers(&self) -> usize {
        self.pool.len()
    }

    async fn send(&self, target: &Target, record: Record<'_>) -> Result<Receipt, Error> {
        let lease = self.pool.lease(target.shared_properties())?;
        let outcome = lease.producer().send(record.deadline(target.timeout())).await;
        if outcome.as_ref().is_err_and(|error| error.kind() == Kind::Closed) {
            // The runtime of the producer has ended.
            lease.discard();
        }
        outcome
    }
}
