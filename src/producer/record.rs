//! A record to be sent, borrowed from the caller.

use std::time::Duration;

use crate::record::Header;
use crate::types::Timestamp;
use crate::types::bounded;

/// A record for a topic. It borrows; the bytes are copied once, into the batch.
///
/// ```
/// use ottla::Record;
///
/// let record = Record::to("events").key("user-7").value("clicked").header("trace", "abc");
/// ```
#[derive(Clone, Debug)]
pub struct Record<'a> {
    topic: &'a str,
    partition: Option<i32>,
    timestamp: Option<i64>,
    deadline: Option<Duration>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<Header<'a>>,
}

impl<'a> Record<'a> {
    /// A record for `topic`, without key, with a null value.
    pub fn to(topic: &'a str) -> Self {
        Self { topic, partition: None, timestamp: None, deadline: None, key: None, value: None, headers: Vec::new() }
    }

    /// Its key, by which the partitioner places it.
    pub fn key<B: AsRef<[u8]> + ?Sized>(mut self, key: &'a B) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// Its value.
    pub fn value<B: AsRef<[u8]> + ?Sized>(mut self, value: &'a B) -> Self {
        self.value = Some(value.as_ref());
        self
    }

    /// Adds a header. Keys may repeat.
    pub fn header<B: AsRef<[u8]> + ?Sized>(mut self, key: &'a str, value: &'a B) -> Self {
        self.headers.push(Header { key: key.as_bytes(), value: Some(value.as_ref()) });
        self
    }

    /// The partition, instead of the partitioner's choice.
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// Its timestamp, as a `SystemTime` or in milliseconds since 1970. The default is the time at which the record is accepted. One before
    /// 1970 is refused when the record is sent. A topic with `message.timestamp.type=LogAppendTime` keeps the broker's time instead.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use ottla::Record;
    ///
    /// let now = Record::to("events").value("clicked").timestamp(SystemTime::now());
    /// let then = Record::to("events").value("clicked").timestamp(1_700_000_000_000);
    /// ```
    pub fn timestamp(mut self, timestamp: impl Into<Timestamp>) -> Self {
        self.timestamp = Some(timestamp.into().0);
        self
    }

    /// The time within which this record is decided, from the call that sends it; in `enqueue_all`, from its turn. The
    /// default is none of its own: [`delivery_timeout`](crate::producer::ProducerBuilder::delivery_timeout) bounds every record, and a
    /// later deadline than that has no effect.
    ///
    /// A record that is not acknowledged by then fails with [`Kind::Timeout`](crate::error::Kind::Timeout), and its error says whether it
    /// may be in the log:
    /// - It is *not written* if its batch was never sent, or came back and is surely in no log. It is taken out of the batch, and is
    ///   never sent.
    /// - It is *maybe written* if its batch is on its way, or an attempt is in doubt.
    ///
    /// The other records of its batch keep their own deadlines, and records without one cost nothing more.
    ///
    /// `tokio::time::timeout(deadline, producer.send(record))` is no substitute: it only stops waiting. The record stays in its batch, is
    /// sent and retried until the delivery timeout, and can be written long after the caller has given up, without a verdict.
    ///
    /// ```no_run
    /// # async fn run(producer: ottla::producer::Producer) {
    /// use std::time::Duration;
    ///
    /// use ottla::Record;
    /// use ottla::error::Written;
    ///
    /// let price = Record::to("prices").key("ACME").value("17").deadline(Duration::from_millis(300));
    /// match producer.send(price).await {
    ///     Ok(_) => {}
    ///     Err(error) if error.is_written() == Some(Written::No) => println!("not written, and will not be: {error:#}"),
    ///     Err(error) => println!("may be in the log: {error:#}"),
    /// }
    /// # }
    /// ```
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(bounded(deadline));
        self
    }

    pub(super) fn own_deadline(&self) -> Option<Duration> {
        self.deadline
    }

    pub(crate) fn topic(&self) -> &'a str {
        self.topic
    }

    pub(crate) fn explicit_partition(&self) -> Option<i32> {
        self.partition
    }

    pub(super) fn explicit_timestamp(&self) -> Option<i64> {
        self.timestamp
    }

    pub(super) fn key_bytes(&self) -> Option<&'a [u8]> {
        self.key
    }

    pub(crate) fn value_bytes(&self) -> Option<&'a [u8]> {
        self.value
    }

    pub(super) fn header_list(&self) -> &[Header<'a>] {
        &self.headers
    }

    /// The most bytes that it takes in a batch: its content and its lengths.
    pub(super) fn bytes_max(&self) -> usize {
        let field = |bytes: Option<&[u8]>| bytes.map_or(1, |bytes| bytes.len() + 5);
        let headers: usize = self.headers.iter().map(|header| field(Some(header.key)) + field(header.value)).sum();
        Self::BYTES_LEAST - 2 + field(self.key) + field(self.value) + headers
    }

    /// As [`Self::bytes_max`], of a record without key, value and headers.
    pub(super) const BYTES_LEAST: usize = 34;
}
