//! The one public [`Error`], and what each broker error code means.
//!
//! An error knows its kind, its place (broker, API, topic, partition) and its source. `{}` prints one level, so that a reporter
//! that walks `source()` repeats nothing; `{:#}` prints the error and all its causes in one line. [`code`] holds every code
//! that Kafka defines, and [`recovery`], by request and promise, how a client recovers from it.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::types::TopicName;

pub mod code;
pub(crate) mod commit;
pub(crate) mod membership;
pub mod recovery;
mod remedy;

pub use self::code::Code;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: its kind, its place and its cause. Cheap to clone: one error may fail a whole batch of records.
///
/// Print it by `{:#}`, which adds the causes: `{}` says that a record ran out of time, and `{:#}` that nothing listens at the
/// broker's address.
///
/// ```
/// # async fn run(producer: ottla::producer::Producer) {
/// use ottla::Record;
/// use ottla::error::{Kind, Written};
///
/// if let Err(error) = producer.send(Record::to("events").value("hello")).await {
///     match (error.kind(), error.is_written()) {
///         (Kind::Authentication | Kind::Tls, _) => eprintln!("check the credentials and certificates: {error:#}"),
///         (_, Some(Written::No)) => eprintln!("not written, safe to send again: {error:#}"),
///         (_, _) => eprintln!("may be in the log: {error:#}"),
///     }
/// }
/// # }
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    code: Option<Code>,
    message: String,
    place: Place,
    written: Option<Written>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

#[derive(Clone, Debug, Default)]
struct Place {
    broker: Option<String>,
    api: Option<&'static str>,
    topic: Option<TopicName>,
    partition: Option<i32>,
    offset: Option<i64>,
}

/// The kind of an [`Error`].
///
/// ```
/// let error = ottla::Client::builder(["localhost:no-port"]).expect_err("not an address");
/// assert_eq!(error.kind(), ottla::error::Kind::Config);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The broker refused the credentials, or the mechanism that they were offered by. Not retried.
    Authentication,
    /// The broker responded with an error code: see [`Error::code`].
    Broker,
    /// The client, producer or consumer was closed.
    Closed,
    /// A setting or an argument is invalid, or a call came at the wrong time.
    Config,
    /// No connection could be established, or one was lost.
    Connect,
    /// A record batch could not be decoded, or its checksum is wrong. A codec that is not compiled in is [`Kind::Unsupported`].
    Corrupt,
    /// The buffer of the producer is full. Only `try_enqueue` returns it.
    Full,
    /// The group has committed no offset, and no policy says where to start instead
    /// ([`Start::StoredOnly`](crate::consumer::Start::StoredOnly)). The partition is not read until a
    /// [seek](crate::consumer::Consumer::seek).
    NoOffset,
    /// The value of a record cannot be written or read in the format that the program asked for, or a header of it is malformed. The record
    /// itself is whole. See `ottla::json` and `ottla::trace`.
    Payload,
    /// A response could not be decoded, or it was not the one that was due.
    Protocol,
    /// A record, or a batch of them when decompressed, is larger than the configuration, or the topic, allows.
    RecordTooLarge,
    /// An [`OffsetStore`](crate::consumer::store::OffsetStore) could not read or write, or refused a change.
    Storage,
    /// The deadline passed.
    Timeout,
    /// A TLS handshake failed, because of a certificate for example. Not retried.
    Tls,
    /// The log does not have the position of a consumer: it is out of range, the log was truncated below it, or the topic was
    /// deleted and created again. Only [`ResetPolicy::None`](crate::consumer::ResetPolicy::None) reports it. [`Error::offset`] is
    /// the position. The partition is not read until a [seek](crate::consumer::Consumer::seek).
    Truncated,
    /// Records were not acknowledged and never will be: the token of an [`AckConsumer`](crate::consumer::AckConsumer) was dropped.
    Unacknowledged,
    /// The topic or the partition does not exist.
    UnknownTopic,
    /// The broker does not support an API, or a version of it, that the call needs; or this build has no codec for the records:
    /// the error names the cargo feature. Nothing is wrong with the data.
    Unsupported,
}

/// Whether a record that was not acknowledged is in the log. See [`Error::is_written`].
///
/// ```
/// use ottla::error::Written;
///
/// fn may_send_again(error: &ottla::Error) -> bool {
///     error.is_written() == Some(Written::No)
/// }
/// # let _ = may_send_again;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Written {
    /// It is not, and will not be.
    No,
    /// It may be: the outcome of the last attempt is not known.
    Maybe,
}

impl Error {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            code: None,
            message: message.into(),
            place: Place::default(),
            written: None,
            source: None,
        }))
    }

    /// An error code of a broker. `context` names the operation, as in "could not list offsets".
    pub(crate) fn broker(code: Code, context: impl Into<String>) -> Self {
        let kind = match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopicId => Kind::UnknownTopic,
            Code::MessageTooLarge | Code::RecordListTooLarge => Kind::RecordTooLarge,
            Code::UnsupportedVersion => Kind::Unsupported,
            _ => Kind::Broker,
        };
        Self::new(kind, context).edit(|inner| inner.code = Some(code))
    }

    /// A topic that a broker does not have, or that it does not let this client use.
    pub(crate) fn no_topic(code: Code, topic: &TopicName) -> Self {
        let is_unknown = matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopicId);
        let text = if is_unknown { "the topic does not exist" } else { "the topic cannot be used" };
        Self::broker(code, text).in_topic(topic)
    }

    /// A partition that its topic, which has `count`, does not have.
    pub(crate) fn no_partition(topic: &TopicName, partition: i32, count: usize) -> Self {
        let text = match count.checked_sub(1) {
            _ if partition < 0 => format!("there is no partition {partition}: partitions are numbered from 0"),
            None => format!("there is no partition {partition}: the topic has none"),
            Some(0) => format!("there is no partition {partition}: the topic has 1, number 0"),
            Some(last) => format!("there is no partition {partition}: the topic has {count}, 0 to {last}"),
        };
        Self::new(Kind::UnknownTopic, text).in_partition(topic, partition)
    }

    pub(crate) fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::new(Kind::Protocol, message)
    }

    fn edit(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    pub(crate) fn at_broker(self, broker: impl Into<String>) -> Self {
        self.edit(|inner| inner.place.broker = Some(broker.into()))
    }

    /// Adds the error code of a broker to an error of another kind.
    pub(crate) fn with_code(self, code: Code) -> Self {
        self.edit(|inner| inner.code = Some(code))
    }

    pub(crate) fn in_api(self, api: &'static str) -> Self {
        self.edit(|inner| inner.place.api = Some(api))
    }

    pub(crate) fn in_topic(self, topic: &TopicName) -> Self {
        self.edit(|inner| inner.place.topic = Some(topic.clone()))
    }

    pub(crate) fn in_partition(self, topic: &TopicName, partition: i32) -> Self {
        self.edit(|inner| {
            inner.place.topic = Some(topic.clone());
            inner.place.partition = Some(partition);
        })
    }

    pub(crate) fn at_offset(self, offset: i64) -> Self {
        self.edit(|inner| inner.place.offset = Some(offset))
    }

    pub(crate) fn written(self, written: Written) -> Self {
        self.edit(|inner| inner.written = Some(written))
    }

    /// For a read-only request, which cannot have written anything: [`Error::is_written`] is `None`.
    pub(crate) fn of_read_only_request(self) -> Self {
        self.edit(|inner| inner.written = None)
    }

    /// The broker refused the credentials: for a [`Connector`](crate::client::Connector) that authenticates.
    ///
    /// ```
    /// use std::io;
    /// use ottla::error::{Error, Kind};
    ///
    /// let error: io::Error = Error::authentication("the proxy refused the user name").into();
    /// // The client takes it out again: it retries nothing, and its callers see this kind.
    /// assert_eq!(error.downcast::<Error>()?.kind(), Kind::Authentication);
    /// # Ok::<(), io::Error>(())
    /// ```
    pub fn authentication(message: impl Into<String>) -> Self {
        Self::new(Kind::Authentication, message)
    }

    /// A TLS handshake failed, and a retry does not help: for a [`Connector`](crate::client::Connector) that encrypts.
    ///
    /// ```
    /// # let refused = std::io::Error::other("unknown issuer");
    /// let error = ottla::error::Error::tls("the certificate of broker.example is not trusted").caused_by(refused);
    /// assert!(!error.is_retriable());
    /// ```
    pub fn tls(message: impl Into<String>) -> Self {
        Self::new(Kind::Tls, message)
    }

    /// A failure of a store, for an [`OffsetStore`](crate::consumer::store::OffsetStore) outside this crate. The message names the place and
    /// a remedy.
    pub fn storage(message: impl Into<String>) -> Self {
        Self::new(Kind::Storage, message)
    }

    /// Adds the error that caused this one, which `source()` returns.
    pub fn caused_by(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.edit(|inner| inner.source = Some(Arc::new(source)))
    }

    /// The error of a call whose deadline leaves no time for another attempt: the place stays, and `self` is the cause.
    pub(crate) fn out_of_time(self, message: &str) -> Self {
        let (place, written) = (self.0.place.clone(), self.0.written);
        let error = Self::new(Kind::Timeout, message).edit(|inner| (inner.place, inner.written) = (place, written));
        error.caused_by(self)
    }

    /// The kind of error.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The error code of the broker, if it responded with one.
    pub fn code(&self) -> Option<Code> {
        self.0.code
    }

    /// The topic that the error is about, if it is about one.
    pub fn topic(&self) -> Option<&str> {
        self.0.place.topic.as_deref()
    }

    /// The partition that the error is about, if it is about one.
    pub fn partition(&self) -> Option<i32> {
        self.0.place.partition
    }

    /// The offset that the error is about, if it is about one: the last offset of a batch that could not be read, or the position
    /// that the log does not have.
    pub fn offset(&self) -> Option<i64> {
        self.0.place.offset
    }

    /// Whether a record, or another change, that was not acknowledged was made. `None` where nothing was to be written.
    pub fn is_written(&self) -> Option<Written> {
        self.0.written
    }

    /// Whether the deadline passed.
    pub fn is_timeout(&self) -> bool {
        self.0.kind == Kind::Timeout
    }

    /// Whether the same call may succeed later although the caller changes nothing.
    pub fn is_retriable(&self) -> bool {
        match self.0.kind {
            Kind::Broker => self.0.code.is_some_and(Code::is_retriable),
            Kind::Connect | Kind::Full | Kind::Timeout => true,
            Kind::Authentication
            | Kind::Closed
            | Kind::Config
            | Kind::Corrupt
            | Kind::NoOffset
            | Kind::Payload
            | Kind::Protocol
            | Kind::RecordTooLarge
            | Kind::Storage
            | Kind::Tls
            | Kind::Truncated
            | Kind::Unacknowledged
            | Kind::UnknownTopic
            | Kind::Unsupported => false,
        }
    }

    /// Whether the broker and this client do not accept each other, which no retry changes.
    pub(crate) fn is_rejection(&self) -> bool {
        matches!(self.0.kind, Kind::Authentication | Kind::Tls)
    }

    /// The error and its causes in one line, for a log event.
    pub(crate) fn chain(&self) -> impl fmt::Display + '_ {
        struct Chain<'a>(&'a Error);

        impl fmt::Display for Chain<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#}", self.0)
            }
        }

        Chain(self)
    }

    /// Whether another producer with the same identity has taken over.
    pub fn is_fenced(&self) -> bool {
        matches!(self.0.code, Some(Code::ProducerFenced | Code::InvalidProducerEpoch))
    }
}

impl fmt::Display for Error {
    /// Prints the error, and by `{:#}` its causes as well, each after a colon.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { code, message, place, written, .. } = &*self.0;
        f.write_str(message)?;
        if let Some(topic) = &place.topic {
            match place.partition {
                Some(partition) => write!(f, ", topic {topic}[{partition}]")?,
                None => write!(f, ", topic {topic}")?,
            }
        }
        if let Some(offset) = place.offset {
            write!(f, ", offset {offset}")?;
        }
        if let Some(api) = place.api {
            write!(f, ", {api}")?;
        }
        if let Some(broker) = &place.broker {
            write!(f, ", broker {broker}")?;
        }
        if let Some(code) = code {
            write!(f, ": {code}")?;
        }
        match written {
            Some(Written::No) => f.write_str(" (not written)")?,
            Some(Written::Maybe) => f.write_str(" (maybe written)")?,
            None => {}
        }
        // The remedy for a missing topic is none for a missing partition.
        let is_of_topic = *code != Some(Code::UnknownTopicOrPartition) || place.partition.is_none();
        if let Some(remedy) = code.and_then(Code::remedy).filter(|_| is_of_topic) {
            write!(f, "; {remedy}")?;
        }
        let mut cause = self.source().filter(|_| f.alternate());
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.to_string())
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<Error> for io::Error {
    /// For a [`Connector`](crate::client::Connector), whose errors are of this type. The client takes the error out again.
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// A text from elsewhere as an error shows it: in one line, with at most so many characters.
pub(crate) fn one_line(text: &str, chars_max: usize) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(chars_max).map(visible).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_of_causes_prints_in_one_line() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let error = Error::new(Kind::Connect, "could not connect").caused_by(refused);
        let error = Error::new(Kind::Timeout, "the deadline passed").caused_by(error);
        assert_eq!(format!("{error}"), "the deadline passed");
        assert_eq!(format!("{error:#}"), "the deadline passed: could not connect: refused");
        assert_eq!(error.chain().to_string(), format!("{error:#}"));
    }

    #[test]
    fn error_names_its_place_and_prints_one_level() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let error = Error::new(Kind::Connect, "could not connect").at_broker("127.0.0.1:9").caused_by(refused);
        assert_eq!(error.to_string(), "could not connect, broker 127.0.0.1:9");
        assert_eq!(error.source().expect("has one").to_string(), "refused");
        let error = Error::broker(Code::NotLeaderOrFollower, "could not write")
            .in_partition(&"t".into(), 3)
            .written(Written::No);
        assert_eq!(error.to_string(), "could not write, topic t[3]: NOT_LEADER_OR_FOLLOWER (not written)");
    }

    #[test]
    fn code_with_a_known_remedy_says_what_to_do() {
        let error = Error::broker(Code::MessageTooLarge, "the broker refused the record").written(Written::No);
        let text = error.to_string();
        let start = "the broker refused the record: MESSAGE_TOO_LARGE (not written); send smaller records, or raise";
        assert!(text.starts_with(start) && text.contains("`max.message.bytes`"), "{text}");
        let member = Error::broker(Code::UnknownMemberId, "could not commit").to_string();
        assert!(member.contains("`group` / `group.id`"), "{member}");
    }
}
