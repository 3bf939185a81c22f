//! Formats a consumed record: by kcat's letters, or as a JSON object.

use std::io;
use std::io::Write;

use ottla::consumer::ConsumedRecord;

use crate::Failure;

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
                '\\' => literal.extend_from_slice(escape(letters.next())?),
                other => literal.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
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

fn escape(letter: Option<char>) -> Result<&'static [u8], Failure> {
    match letter {
        Some('n') => Ok(b"\n"),
        Some('t') => Ok(b"\t"),
        Some('r') => Ok(b"\r"),
        Some('0') => Ok(b"\0"),
        Some('\\') => Ok(b"\\"),
        _ => Err(Failure::Usage("-f: a \\ needs n, t, r, 0 or \\ after it".to_owned())),
    }
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

/// Writes one JSON object for a record. Invalid UTF-8 is replaced.
pub(crate) fn write_json(record: &ConsumedRecord<'_>, out: &mut impl Write) -> io::Result<()> {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let headers: Vec<_> = record
        .headers()
        .map(|header| serde_json::json!([String::from_utf8_lossy(header.key), text(header.value)]))
        .collect();
    let object = serde_json::json!({
        "topic": &**record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": text(record.key),
        "value": text(record.value),
        "headers": headers,
    });
    writeln!(out, "{object}")
}
