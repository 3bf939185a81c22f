//! The file of a store: one line for each offset, a header with the version, and a last line by which a torn file is found.
//!
//! ```text
//! ottla-offsets 1
//! audit⇥events⇥0⇥42⇥-1⇥7⇥1764147600000⇥a%20text
//! end 1 5a3c9e01
//! ```
//!
//! The fields are group, topic, partition, offset, leader epoch (−1: none), version, time in milliseconds since 1970, and metadata.
//! The last line has the number of offsets, and the CRC-32C of everything before it.

use std::fmt::Write;

use super::super::StoredOffset;
use super::super::table::Key;
use super::super::table::Table;
use crate::reading::Position;
use crate::types::LeaderEpoch;
use crate::types::Timestamp;
use crate::types::TopicPartition;

const NAME: &str = "ottla-offsets";
const VERSION: &str = "1";

/// Why the content of a file is not a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It is not a file of offsets at all.
    Foreign,
    /// Another version wrote it.
    Version(String),
    /// It ends too early, or was changed: its last line is missing or wrong.
    Torn,
    /// A line that cannot be read, by its number.
    Line(usize),
}

pub(super) fn write(table: &Table) -> String {
    let mut text = format!("{NAME} {VERSION}\n");
    for ((group, partition), stored) in &table.offsets {
        let epoch = LeaderEpoch::to_wire(stored.position.epoch);
        let (group, topic, metadata) = (escaped(group), escaped(&partition.topic), escaped(&stored.metadata));
        let (number, offset) = (partition.partition, stored.position.offset);
        let (version, at) = (stored.version, stored.stored_at.0);
        let line = format_args!("{group}\t{topic}\t{number}\t{offset}\t{epoch}\t{version}\t{at}\t{metadata}");
        writeln!(text, "{line}").expect("a string takes everything");
    }
    let checksum = crc32c::crc32c(text.as_bytes());
    writeln!(text, "end {} {checksum:08x}", table.offsets.len()).expect("a string takes everything");
    text
}

pub(super) fn read(content: &[u8]) -> Result<Table, Flaw> {
    let head = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let version = head.strip_prefix(NAME.as_bytes()).and_then(|rest| rest.strip_prefix(b" ")).ok_or(Flaw::Foreign)?;
    if version != VERSION.as_bytes() {
        let version: String = String::from_utf8_lossy(version).chars().take(20).collect();
        return Err(Flaw::Version(version));
    }
    let text = std::str::from_utf8(content).map_err(|_| Flaw::Torn)?;
    let body = text.strip_suffix('\n').ok_or(Flaw::Torn)?;
    let last = body.rfind('\n').ok_or(Flaw::Torn)? + 1;
    let (count, checksum) = body[last..].strip_prefix("end ").and_then(|end| end.split_once(' ')).ok_or(Flaw::Torn)?;
    if u32::from_str_radix(checksum, 16) != Ok(crc32c::crc32c(&text.as_bytes()[..last])) {
        return Err(Flaw::Torn);
    }
    let mut table = Table::default();
    for (number, line) in (1..).zip(body[..last].lines()).skip(1) {
        let (key, stored) = offset(line).ok_or(Flaw::Line(number))?;
        table.offsets.insert(key, stored);
    }
    if count.parse() != Ok(table.offsets.len()) {
        return Err(Flaw::Torn);
    }
    Ok(table)
}

fn offset(line: &str) -> Option<(Key, StoredOffset)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let [group, topic, partition, offset, epoch, version, at, metadata] = fields[..] else { return None };
    let offset = offset.parse().ok().filter(|offset| *offset >= 0)?;
    let partition = partition.parse().ok().filter(|partition| *partition >= 0)?;
    let stored = StoredOffset {
        position: Position { offset, epoch: LeaderEpoch::from_wire(epoch.parse().ok()?) },
        metadata: plain(metadata)?,
        stored_at: Timestamp(at.parse().ok()?),
        version: version.parse().ok()?,
    };
    Some(((plain(group)?, TopicPartition::new(plain(topic)?, partition)), stored))
}

/// Writes every byte but those of plain names as `%` and two digits, so that a field has no tab and no line end.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02x}").expect("a string takes everything");
        }
    }
    out
}

fn plain(field: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}
