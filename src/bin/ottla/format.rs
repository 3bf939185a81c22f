//! Formats a consumed record: by kcat's letters, or as a JSON object.

use std::io;
use std::io::Write;

use ottla::consumer::ConsumedRecord;
use serde_json::Map;
use serde_json::Value;

use crate::Failure;
use crate::base64;
use crate::escape;

/// A compiled `-f` string.
pub(crate) struct Format(Vec<Piece>);

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
}

impl Format {
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
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
        Ok(Self(pieces))
    }

    pub(crate) fn write(&self, record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
        for piece in &self.0 {
            match piece {
                Piece::Headers => write_headers(record, out)?,
                Piece::Key => out.write_all(record.key.unwrap_or_default())?,
                Piece::KeyLength => write_length(record.key, out)?,
                Piece::Literal(bytes) => out.write_all(bytes)?,
                Piece::Offset => write!(out, "{}", record.offset)?,
                Piece::Partition => write!(out, "{}", record.partition)?,
                Piece::Timestamp => write!(out, "{}", record.timestamp)?,
                Piece::Topic => out.write_all(record.topic.as_bytes())?,
                Piece::Value => out.write_all(record.value.unwrap_or_default())?,
                Piece::ValueLength => write_length(record.value, out)?,
            }
        }
        Ok(())
    }
}

fn piece(letter: Option<char>) -> Result<Piece, Failure> {
    Ok(match letter {
        Some('h') => Piece::Headers,
        Some('k') => Piece::Key,
        Some('K') => Piece::KeyLength,
        Some('o') => Piece::Offset,
        Some('p') => Piece::Partition,
        Some('s') => Piece::Value,
        Some('S') => Piece::ValueLength,
        Some('t') => Piece::Topic,
        Some('T') => Piece::Timestamp,
        Some(other) => {
            return Err(Failure::Usage(format!("-f: no %{other}; there are %t %p %o %k %s %S %K %T %h and %%")));
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

fn write_headers(record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
    for (index, header) in record.headers().enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(header.key)?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or(b"NULL"))?;
    }
    Ok(())
}

/// Writes one JSON object for a record. Nothing is lost: bytes that are not UTF-8 are in base64 under another name, and null is
/// not the empty string.
pub(crate) fn write_json(record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
    let mut object = Map::new();
    object.insert("topic".to_owned(), (&**record.topic).into());
    object.insert("partition".to_owned(), record.partition.into());
    object.insert("offset".to_owned(), record.offset.into());
    object.insert("timestamp".to_owned(), record.timestamp.into());
    insert("key", record.key, &mut object);
    insert("value", record.value, &mut object);
    let headers = record.headers().map(|header| {
        let mut object = Map::new();
        insert("key", Some(header.key), &mut object);
        insert("value", header.value, &mut object);
        Value::Object(object)
    });
    object.insert("headers".to_owned(), headers.collect());
    writeln!(out, "{}", Value::Object(object))
}

/// Inserts bytes as text, null, or base64 under `NAME_base64`.
fn insert(name: &str, bytes: Option<&[u8]>, object: &mut Map<String, Value>) {
    match bytes.map(|bytes| std::str::from_utf8(bytes).map_err(|_| bytes)) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), text.into()),
        Some(Err(bytes)) => object.insert(format!("{name}_base64"), base64::encode(bytes).into()),
    };
}
