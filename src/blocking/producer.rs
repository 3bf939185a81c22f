//! A producer whose calls block.

use std::sync::Arc;
use std::time::Duration;

use super::background::Background;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::producer;
use crate::producer::Receipt;
use crate::producer::Record;

/// Writes records. Cheap to clone, for any number of threads; all clones share one buffer and one identity.
///
/// Dropping the last clone does not wait, and gives up the records that are not acknowledged: call [`Producer::close`] first.
#[derive(Clone, Debug)]
pub struct Producer {
    producer: producer::Producer,
    background: Arc<Background>,
}

impl Producer {
    pub(super) fn new(producer: producer::Producer, background: Arc<Background>) -> Self {
        Self { producer, background }
    }

    /// Writes a record and waits until it is acknowledged: for the
    /// [delivery timeout](crate::producer::ProducerBuilder::delivery_timeout) at most, 2 minutes by default, or the record's own
    /// [deadline](Record::deadline).
    ///
    /// One thread that sends record by record pays a round trip for each. To send many, [enqueue](Self::enqueue) them first and wait for the
    /// deliveries then.
    ///
    /// # Errors
    ///
    /// As [`send`](crate::producer::Producer::send) of the async producer: [`Error::is_written`] says whether the record may be in the log.
    pub fn send(&self, record: Record<'_>) -> Result<Receipt, Error> {
        self.background.block(self.producer.send(record)).map_err(|error| error.written(Written::No))?
    }

    /// Accepts a record into the buffer, and returns its delivery. It waits only where the buffer is full or the topic is not known yet, for
    /// the delivery timeout at most.
    ///
    /// # Errors
    ///
    /// As [`enqueue`](crate::producer::Producer::enqueue) of the async producer. The record was not accepted.
    ///
    /// ```no_run
    /// # fn run(producer: ottla::blocking::Producer) -> Result<(), ottla::Error> {
    /// use ottla::Record;
    ///
    /// let mut deliveries = Vec::new();
    /// for value in ["one", "two", "three"] {
    ///     deliveries.push(producer.enqueue(Record::to("events").value(value))?);
    /// }
    /// for delivery in deliveries {
    ///     delivery.wait()?;
    /// }
    /// # Ok(()) }
    /// ```
    pub fn enqueue(&self, record: Record<'_>) -> Result<Delivery, Error> {
        let accepted = self.background.block(self.producer.enqueue(record));
        let delivery = accepted.map_err(|error| error.written(Written::No))??;
        Ok(Delivery { delivery, background: Arc::clone(&self.background) })
    }

    /// Waits until every record that was accepted before is decided, for `patience` at most.
    ///
    /// # Errors
    ///
    /// [`Kind::Timeout`]: some are not decided. They are still sent.
    pub fn flush(&self, patience: Duration) -> Result<(), Error> {
        let flushed = self.background.block_for(patience, self.producer.flush())?;
        flushed.ok_or_else(|| {
            Error::new(Kind::Timeout, format!("some records were not decided within {patience:?}; they are still sent"))
        })
    }

    /// Writes the buffered records, for at most `patience`, then stops.
    ///
    /// # Errors
    ///
    /// As [`close`](crate::producer::Producer::close) of the async producer: some records were not decided by then.
    pub fn close(&self, patience: Duration) -> Result<(), Error> {
        self.background.block(self.producer.close(patience))?
    }

    /// The async producer, for calls by [`Client::block`](super::Client::block).
    pub fn as_async(&self) -> &producer::Producer {
        &self.producer
    }
}

/// The outcome of a record, to be waited for. Dropping it changes nothing: the record is sent.
#[derive(Debug)]
#[must_use = "a delivery resolves to whether the record was written"]
pub struct Delivery {
    delivery: producer::Delivery,
    background: Arc<Background>,
}

impl Delivery {
    /// The partition of the record.
    pub fn partition(&self) -> i32 {
        self.delivery.partition()
    }

    /// Waits until the record is decided: for the delivery timeout at most, counted from when it was accepted.
    ///
    /// # Errors
    ///
    /// The record was not acknowledged: [`Error::is_written`] says whether it may be in the log.
    pub fn wait(self) -> Result<Receipt, Error> {
        self.background.block(self.delivery).map_err(|error| error.written(Written::Maybe))?
    }

    /// Waits for `patience` at most. `None` if the record is not decided by then.
    ///
    /// # Errors
    ///
    /// As [`Delivery::wait`].
    pub fn wait_for(&mut self, patience: Duration) -> Result<Option<Receipt>, Error> {
        let decided = self.background.block_for(patience, &mut self.delivery);
        decided.map_err(|error| error.written(Written::Maybe))?.transpose()
    }
}
