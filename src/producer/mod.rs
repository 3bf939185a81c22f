//! The producer: a handle, and a driver that runs its core.
//!
//! The caller copies a record once, into the open batch of its partition, and gets a [`Delivery`], which resolves to the
//! outcome. One lock guards the core; it is held for the copy, never while a batch is compressed, hashed or encoded.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::net::clock;
use crate::types::LONGEST;
use crate::types::bounded;

mod budget;
mod builder;
pub(crate) mod core;
mod custom;
mod delivery;
mod driver;
mod record;
mod shared;
#[cfg(all(test, feature = "mock"))]
mod tests;
mod times;
mod unknown;
mod warm;

pub use self::builder::Guarantee;
pub use self::builder::ProducerBuilder;
pub use self::delivery::Delivery;
pub use self::delivery::Receipt;
pub use self::record::Record;
use self::shared::Admission;
use self::shared::Routing;
use self::shared::Shared;
use self::unknown::Missing;

impl Client {
    /// Settings of a new producer of this client.
    pub fn producer(&self) -> ProducerBuilder {
        ProducerBuilder::new(self.cluster())
    }
}

/// Writes records. Cheap to clone; all clones share one buffer and one identity.
///
/// Dropping the last clone gives up the records that are not acknowledged, and their deliveries resolve to errors. To write
/// everything first, call [`Producer::close`].
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
    /// To bound the time of one record, give it a [deadline](Record::deadline). `tokio::time::timeout` only stops waiting: the record
    /// stays in its batch, and may be written later.
    ///
    /// # A topic that does not exist
    ///
    /// The first record for a topic that is not known waits for its metadata. A topic that no broker has heard of within
    /// `topic.metadata.propagation.max.ms` (3 s) does not exist: the record fails with [`Kind::UnknownTopic`] and was not written.
    /// Others for the same topic then fail at once with the same error, until `retry.backoff.max.ms` (1 s) is over. The next one
    /// requests metadata again, which takes about a round trip; so a topic that is created meanwhile is found about a second later, and at
    /// once if this client's [admin](crate::admin::Admin::create_topics) created it. The same holds for a partition that a topic does
    /// not have, and for a topic that the client may not use.
    ///
    /// No topic is created for a record, unless
    /// [`allow_auto_create_topics`](crate::producer::ProducerBuilder::allow_auto_create_topics) is on and the brokers allow it, too;
    /// then each record waits for its topic.
    ///
    /// Cancel safety: dropping the future before it is ready withdraws the record while it waits for capacity. A record that was
    /// accepted is still sent, as by [`Producer::enqueue`].
    pub async fn send(&self, record: Record<'_>) -> Result<Receipt, Error> {
        self.enqueue(record).await?.await
    }

    /// Accepts a record into the buffer, waiting in turn for capacity, and returns its delivery.
    ///
    /// It waits no longer than the delivery timeout, or the record's [deadline](Record::deadline): for capacity, and for metadata of a topic or partition that is not known. An
    /// error says that the record was not accepted.
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
    async fn enqueue_slowly(&self, mut record: Record<'_>, mut routing: Routing) -> Result<Delivery, Error> {
        let shared = self.shared();
        let begun = clock::now();
        let own = record.own_deadline().map(|own| begun + own);
        let deadline = (begun + shared.delivery_timeout()).min(own.unwrap_or(begun + LONGEST));
        let mut reservation = None;
        loop {
            if let Some(own) = own {
                // The wait counts.
                record = record.deadline(own.saturating_duration_since(clock::now()));
            }
            let admitted = match &mut reservation {
                Some(reservation) => shared.admit_into(reservation, &record, routing)?,
                None => shared.admit(&record, routing)?,
            };
            let waited: Result<(), Error> = match admitted {
                Admission::Accepted(delivery) => return Ok(delivery),
                Admission::Full => reservation.insert(shared.reserve(&record)).granted(deadline).await,
                Admission::Outdated => {
                    shared.catch_up();
                    routing = shared.route(&record);
                    Ok(())
                }
                Admission::Unknown(missing) => {
                    // Others may use the capacity while this record waits for metadata.
                    reservation = None;
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

    /// Accepts records in order, waiting for capacity as often as needed. It costs less than one call for each, since one lock
    /// serves a hundred records. On an error the records before it are accepted and sent, though their deliveries are dropped.
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

    /// Waits until every record that was accepted before this call is decided, whatever the outcome: at the latest when the
    /// delivery timeout of the last one has passed.
    ///
    /// Cancel safety: dropping the future changes nothing; accepted records are still sent without waiting for their linger.
    pub fn flush(&self) -> impl Future<Output = ()> + Send + '_ {
        self.shared().flush()
    }

    /// Writes the buffered records, for at most `patience`, then stops. An error says that some were not decided by then; their
    /// deliveries say whether they may have been written.
    ///
    /// Cancel safety: until `patience` is over, dropping the future leaves the producer open.
    pub async fn close(&self, patience: Duration) -> Result<(), Error> {
        let deadline = clock::now() + bounded(patience);
        let flushed = self.shared().cluster().runtime().timeout_at(deadline, self.flush()).await;
        self.shared().stop();
        self.shared().ended().await;
        flushed.map_err(|_| {
            let text = format!("the producer was closed after {patience:?} with records that were not acknowledged");
            Error::new(Kind::Timeout, text + ": each delivery says whether its record may be in the log")
        })
    }
}

/// Records taken under one lock.
const CHUNK: usize = 128;
