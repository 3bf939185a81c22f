//! Formats a consumed record: by kcat's letters, or as a JSON object.

use std::io;
use std::io::Write;

use ottla::consumer::ConsumedRecord;
use ottla::consumer::OwnedRecord;
use serde_json::Map;
use serde_json::Value;

use crate::Failure;
use crate::args::Common;
use crate::args::Consume;
use crate::base64;
use crate::escape;

/// The output for each record, as the options of `ottla consume` say.
pub(crate) enum Printer {
    Format(Format),
    /// A JSON object, then a delimiter.
    Json(Vec<u8>),
}

impl Printer {
    pub(crate) fn new(common: &Common, options: &Consume) -> Result<Self, Failure> {
        let Consume { format, key_delimiter, delimiter, nulls, .. } = options;
        if format.is_some() && (key_delimiter.is_some() || delimiter.is_some()) {
            return Err(Failure::Usage("-f has all delimiters itself: leave out -K and -D".to_owned()));
        }
        let delimiter = escape::delimiter("-D", delimiter.as_deref().unwrap_or(r"\n"))?;
        if !common.json {
            let pieces = match format {
                Some(format) => parse(format)?,
                None => delimited(key_delimiter.as_deref(), delimiter)?,
            };
            return Ok(Self::Format(Format { pieces, null: if *nulls { b"NULL" } else { b"" } }));
        }
        let given = [("-f", format.is_some()), ("-K", key_delimiter.is_some()), ("-Z", *nulls)];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((option, _)) => Err(Failure::Usage(format!("{option} and --json exclude each other"))),
            None => Ok(Self::Json(delimiter)),
        }
    }

    /// Values in lines, or the records in this format; JSON if it is asked for.
    pub(crate) fn of(common: &Common, format: Option<&str>) -> Result<Self, Failure> {
        match format {
            Some(_) if common.json => Err(Failure::Usage("-f and --json exclude each other".to_owned())),
            Some(format) => Ok(Self::Format(Format { pieces: parse(format)?, null: b"" })),
            None if common.json => Ok(Self::Json(b"\n".to_vec())),
            None => Ok(Self::Format(Format { pieces: delimited(None, b"\n".to_vec())?, null: b"" })),
        }
    }

    pub(crate) fn print(&self, record: &impl Shown, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Format(format) => format.write(record, out),
            Self::Json(delimiter) => {
                write_json(record, out)?;
                out.write_all(delimiter)
            }
        }
    }
}

/// A record that can be printed: one that was just consumed, or a copy of it.
pub(crate) trait Shown {
    fn topic(&self) -> &str;
    fn partition(&self) -> i32;
    fn offset(&self) -> i64;
    fn timestamp(&self) -> i64;
    fn key(&self) -> Option<&[u8]>;
    fn value(&self) -> Option<&[u8]>;
    fn headers(&self) -> Vec<(&[u8], Option<&[u8]>)>;
}

impl Shown for ConsumedRecord<'_> {
    fn topic(&self) -> &str {
        self.topic
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn timestamp(&self) -> i64 {
        self.timestamp
    }

    fn key(&self) -> Option<&[u8]> {
        self.key
    }

    fn value(&self) -> Option<&[u8]> {
        self.value
    }

    fn headers(&self) -> Vec<(&[u8], Option<&[u8]>)> {
        self.headers().map(|header| (header.key, header.value)).collect()
    }
}

impl Shown for OwnedRecord {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn partition(&self) -> i32 {
        self.partition
    }

    fn offset(&self) -> i64 {
        self.offset
    }

    fn timestamp(&self) -> i64 {
        self.timestamp
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn headers(&self) -> Vec<(&[u8], Option<&[u8]>)> {
        self.headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect()
    }
}

/// A compiled `-f` string.
pub(crate) struct Format {
    pieces: Vec<Piece>,
    /// The text of a null key or value.
    null: &'static [u8],
}

enum Piece {
    Headers,
    Key,
    KeyLength,
    Literal(Vec<u8>),
    Offset,
    Partition,
    Timestamp,
    Topic,
    Value,
    ValueLength,
    ValueLengthBinary,
}

impl Format {
    fn write(&self, record: &impl Shown, out: &mut impl Write) -> io::Result<()> {
        for piece in &self.pieces {
            match piece {
                Piece::Headers => write_headers(record, out)?,
                Piece::Key => out.write_all(record.key().unwrap_or(self.null))?,
                Piece::KeyLength => write_length(record.key(), out)?,
                Piece::Literal(bytes) => out.write_all(bytes)?,
                Piece::Offset => write!(out, "{}", record.offset())?,
                Piece::Partition => write!(out, "{}", record.partition())?,
                Piece::Timestamp => write!(out, "{}", record.timestamp())?,
                Piece::Topic => out.write_all(record.topic().as_bytes())?,
                Piece::Value => out.write_all(record.value().unwrap_or(self.null))?,
                Piece::ValueLength => write_length(record.value(), out)?,
                Piece::ValueLengthBinary => {
                    let length = record.value().map_or(Ok(-1), |value| i32::try_from(value.len()));
                    out.write_all(&length.unwrap_or(i32::MAX).to_be_bytes())?;
                }
            }
        }
        Ok(())
    }
}

/// The key and its delimiter if there is one, the value, and the delimiter of records.
fn delimited(key_delimiter: Option<&str>, delimiter: Vec<u8>) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    if let Some(text) = key_delimiter {
        pieces.extend([Piece::Key, Piece::Literal(escape::delimiter("-K", text)?)]);
    }
    pieces.extend([Piece::Value, Piece::Literal(delimiter)]);
    Ok(pieces)
}

/// Reads a `-f` string.
fn parse(text: &str) -> Result<Vec<Piece>, Failure> {
    let mut pieces = Vec::new();
    let mut literal = Vec::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '%' => {
                let name = letters.next();
                if name == Some('%') {
                    literal.push(b'%');
                    continue;
                }
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(piece(name)?);
            }
            '\\' => literal.push(escape::byte("-f", &mut letters)?),
            other => escape::push(other, &mut literal),
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn piece(letter: Option<char>) -> Result<Piece, Failure> {
    Ok(match letter {
        Some('h') => Piece::Headers,
        Some('k') => Piece::Key,
        Some('K') => Piece::KeyLength,
        Some('o') => Piece::Offset,
        Some('p') => Piece::Partition,
        Some('s') => Piece::Value,
        Some('R') => Piece::ValueLengthBinary,
        Some('S') => Piece::ValueLength,
        Some('t') => Piece::Topic,
        Some('T') => Piece::Timestamp,
        Some(other) => {
            return Err(Failure::Usage(format!("-f: no %{other}; there are %t %p %o %k %s %S %R %K %T %h and %%")));
        }
        None => return Err(Failure::Usage("-f: a % at the end; write %% for a percent sign".to_owned())),
    })
}

/// A null has length −1, as in kcat.
fn write_length(bytes: Option<&[u8]>, out: &mut impl Write) -> io::Result<()> {
    match bytes {
        Some(bytes) => write!(out, "{}", bytes.len()),
        None => out.write_all(b"-1"),
    }
}

fn write_headers(record: &impl Shown, out: &mut impl Write) -> io::Result<()> {
    for (index, (key, value)) in record.headers().into_iter().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(key)?;
        out.write_all(b"=")?;
        out.write_all(value.unwrap_or(b"NULL"))?;
    }
    Ok(())
}

/// Writes one JSON object for a record. Nothing is lost: bytes that are not UTF-8 are in base64 under another name, and null is
/// not the empty string.
fn write_json(record: &impl Shown, out: &mut impl Write) -> io::Result<()> {
    let mut object = Map::new();
    object.insert("topic".to_owned(), record.topic().into());
    object.insert("partition".to_owned(), record.partition().into());
    object.insert("offset".to_owned(), record.offset().into());
    object.insert("timestamp".to_owned(), record.timestamp().into());
    insert("key", record.key(), &mut object);
    insert("value", record.value(), &mut object);
    let headers = record.headers().into_iter().map(|(key, value)| {
        let mut object = Map::new();
        insert("key", Some(key), &mut object);
        insert("value", value, &mut object);
        Value::Object(object)
    });
    object.insert("headers".to_owned(), headers.collect());
    write!(out, "{}", Value::Object(object))
}

/// Inserts bytes as text, null, or base64 under `NAME_base64`.
fn insert(name: &str, bytes: Option<&[u8]>, object: &mut Map<String, Value>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), text.into()),
        Some(Err(bytes)) => object.insert(format!("{name}_base64"), base64::encode(bytes).into()),
    };
}
