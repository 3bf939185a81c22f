//! JSON values by [`serde`]: produce what is [`Serialize`], read what is [`Deserialize`] (feature `json`).
//!
//! A record whose value is not the expected JSON is an error of kind [`Kind::Payload`], which names its topic, partition and offset. The
//! records after it are read as ever: nothing is skipped unless the program skips it.
//!
//! Errors have the position of the problem and what was expected there. They have nothing of the value itself, because they go to logs.
//!
//! ```no_run
//! # async fn run(client: ottla::Client) -> Result<(), ottla::Error> {
//! use ottla::Record;
//! use ottla::consumer::Start;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Click {
//!     user: u64,
//!     page: String,
//! }
//!
//! let producer = client.producer().build()?;
//! let click = Click { user: 7, page: "/".to_owned() };
//! producer.send_json(Record::to("events").key("7"), &click).await?;
//!
//! let mut consumer = client.consumer().assign(["events"]).start(Start::Earliest).until_end().build()?;
//! while let Some(records) = consumer.poll().await? {
//!     for (record, click) in records.json::<Click>() {
//!         match click {
//!             Ok(click) => println!("{}: user {} saw {}", record.offset, click.user, click.page),
//!             // It names the record. A program keeps such a record apart, or stops here.
//!             Err(error) => eprintln!("{error}"),
//!         }
//!     }
//! }
//! # Ok(()) }
//! ```

use std::marker::PhantomData;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::consumer::ConsumedRecord;
use crate::consumer::Iter;
use crate::consumer::OwnedRecord;
use crate::consumer::Records;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Written;
use crate::producer::Delivery;
use crate::producer::Producer;
use crate::producer::Receipt;
use crate::producer::Record;
use crate::types::TopicName;

/// A value as JSON, for [`Record::value`].
///
/// # Errors
///
/// [`Kind::Payload`]: JSON cannot express the value, as a map whose keys are no text, or its own `Serialize` failed.
///
/// ```
/// use ottla::Record;
///
/// let value = ottla::json::encode(&["a", "b"])?;
/// let record = Record::to("events").value(&value);
/// assert_eq!(value, br#"["a","b"]"#);
/// # let _ = record;
/// # Ok::<(), ottla::Error>(())
/// ```
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(value)
        .map_err(|error| Error::new(Kind::Payload, format!("the value cannot be written as JSON: {error}")))
}

impl Producer {
    /// Writes a record whose value is `value` as JSON, and waits until it is acknowledged. It replaces a value that the record has.
    ///
    /// # Errors
    ///
    /// [`Kind::Payload`]: see [`encode`]; the record is not written. Otherwise as [`Producer::send`].
    ///
    /// Cancel safety: as [`Producer::send`].
    pub async fn send_json<T: Serialize + ?Sized>(&self, record: Record<'_>, value: &T) -> Result<Receipt, Error> {
        self.enqueue_json(record, value).await?.await
    }

    /// Accepts a record whose value is `value` as JSON, and returns its delivery. It replaces a value that the record has.
    ///
    /// # Errors
    ///
    /// [`Kind::Payload`]: see [`encode`]; the record is not accepted. Otherwise as [`Producer::enqueue`].
    ///
    /// Cancel safety: as [`Producer::enqueue`].
    pub async fn enqueue_json<T: Serialize + ?Sized>(&self, record: Record<'_>, value: &T) -> Result<Delivery, Error> {
        let topic = TopicName::from(record.topic());
        let value = encode(value).map_err(|error| error.in_topic(&topic).written(Written::No))?;
        self.enqueue(record.value(&value)).await
    }
}

impl<'a> ConsumedRecord<'a> {
    /// Decodes the value from JSON. A null value counts as JSON's `null`, so that `Option<T>` takes tombstones as `None`.
    ///
    /// # Errors
    ///
    /// [`Kind::Payload`]: the value is not the expected JSON. The error names topic, partition and offset.
    ///
    /// ```no_run
    /// # fn run(records: &ottla::consumer::Records) {
    /// use std::collections::BTreeMap;
    ///
    /// for record in records {
    ///     match record.json::<Option<BTreeMap<&str, f64>>>() {
    ///         Ok(Some(prices)) => println!("{prices:?}"),
    ///         Ok(None) => println!("{:?} was deleted", record.key),
    ///         Err(error) => eprintln!("{error}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn json<T: Deserialize<'a>>(&self) -> Result<T, Error> {
        decode(self.value).map_err(|error| error.in_partition(self.topic, self.partition).at_offset(self.offset))
    }
}

impl OwnedRecord {
    /// Decodes the value from JSON, as [`ConsumedRecord::json`] does.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        let decoded = decode(self.value.as_deref());
        decoded.map_err(|error| error.in_partition(&self.topic, self.partition).at_offset(self.offset))
    }
}

impl Records {
    /// Decodes the value of each record from JSON, in order. A value that is not the expected JSON is an error in its place, and the iterator
    /// goes on. See [`ConsumedRecord::json`].
    pub fn json<T: DeserializeOwned>(&self) -> JsonRecords<'_, T> {
        JsonRecords { records: self.iter(), of: PhantomData }
    }
}

/// Iterates over records with their decoded values. Made by [`Records::json`].
#[derive(Debug)]
pub struct JsonRecords<'a, T> {
    records: Iter<'a>,
    of: PhantomData<fn() -> T>,
}

impl<'a, T: DeserializeOwned> Iterator for JsonRecords<'a, T> {
    type Item = (ConsumedRecord<'a>, Result<T, Error>);

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.records.next()?;
        Some((record, record.json()))
    }
}

fn decode<'a, T: Deserialize<'a>>(value: Option<&'a [u8]>) -> Result<T, Error> {
    serde_json::from_slice(value.unwrap_or(b"null")).map_err(|error| {
        let text = match value {
            None => "the value is null, and JSON was expected: decode an Option to take null values".to_owned(),
            Some(value) => format!("the value of {} bytes is not the expected JSON: {}", value.len(), reason(&error)),
        };
        Error::new(Kind::Payload, text)
    })
}

/// The part of an error's message that has nothing of the value: what was expected, or which field of the type is missing.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text).trim_end();
    let what = match error.classify() {
        // Messages about the grammar, such as "trailing characters", quote nothing.
        serde_json::error::Category::Eof | serde_json::error::Category::Io | serde_json::error::Category::Syntax => {
            text
        }
        serde_json::error::Category::Data if text.starts_with("missing field ") => text,
        serde_json::error::Category::Data => {
            text.rfind("expected ").map_or("the value does not fit the type", |at| &text[at..])
        }
    };
    format!("{what}, {place}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::decode;
    use super::encode;
    use crate::error::Kind;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Login {
        id: u32,
        #[serde(default)]
        level: Level,
    }

    #[derive(Debug, Default, Deserialize, PartialEq)]
    enum Level {
        #[default]
        Low,
        High,
    }

    #[test]
    fn decoding_error_names_what_was_expected_and_nothing_of_the_value() {
        for (value, expected) in [
            (r#"{"id": "hunter2"}"#, "expected u32, at line 1 column 16"),
            (r#"{"id": "a, expected hunter2"}"#, "expected u32, at line 1 column 28"),
            (r#"{"id": 1, "level": "hunter2"}"#, "expected `Low` or `High`, at line 1 column 28"),
            (r#"{"id": 1, "hunter2": 2}"#, "expected `id` or `level`, at line 1 column 19"),
            ("{}", "missing field `id`, at line 1 column 2"),
            (r#"{"id": 1} hunter2"#, "trailing characters, at line 1 column 11"),
            (r#"{"id": hunter2}"#, "expected value, at line 1 column 8"),
            ("", "EOF while parsing a value, at line 1 column 0"),
        ] {
            let error = decode::<Login>(Some(value.as_bytes())).expect_err(value);
            let text = format!("{error:#} {error:?}");
            assert_eq!(error.kind(), Kind::Payload);
            assert!(text.contains(expected), "{value}: {text}");
            assert!(!text.contains("hunter2"), "{value}: {text}");
        }
    }

    #[test]
    fn deep_nesting_is_an_error_and_no_stack_overflow() {
        let deep = "[".repeat(1_000_000);
        let error = decode::<serde_json::Value>(Some(deep.as_bytes())).expect_err("too deep");
        assert!(error.to_string().contains("recursion limit exceeded"), "{error}");
    }

    #[test]
    fn null_value_decodes_as_none_and_otherwise_is_an_error() {
        assert_eq!(decode::<Option<Login>>(None).expect("a tombstone"), None);
        let error = decode::<Login>(None).expect_err("no value");
        assert!(error.to_string().starts_with("the value is null"), "{error}");
    }

    #[test]
    fn value_that_json_cannot_express_is_an_error() {
        let error = encode(&BTreeMap::from([(vec![1], 2)])).expect_err("a key that is no text");
        assert_eq!(error.kind(), Kind::Payload);
    }
}
