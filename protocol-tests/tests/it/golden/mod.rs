//! Bytes that the Java client wrote, row by row.
//!
//! The rows are in every `*.tsv` of the folder in `OTTLA_GOLDEN`, by default `protocol-tests/golden`. The first line is a file's
//! heading.

use std::fs;
use std::path::PathBuf;

mod control;
mod hashes;
mod messages;
mod records;

/// The rows, as columns, of every file whose first line is `heading`.
pub(super) fn rows(heading: &str) -> Vec<Vec<String>> {
    let folder = std::env::var_os("OTTLA_GOLDEN")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden"), PathBuf::from);
    let mut rows = Vec::new();
    for entry in fs::read_dir(&folder).expect("the golden folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "tsv") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable file");
        let mut lines = text.lines();
        if lines.next() == Some(heading) {
            rows.extend(lines.map(|line| line.split('\t').map(str::to_owned).collect()));
        }
    }
    rows
}

pub(super) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "an odd number of digits");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
