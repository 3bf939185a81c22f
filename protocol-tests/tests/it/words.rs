//! Plain words: the old dialect does not come back.
//!
//! `old_words.txt` counts what is left of it by file. A count may only go down; a file that is not listed has none.
//! `OTTLA_WRITE_DOCS=1` with this test lowers the counts to those of today.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Words and phrases with a plain one to use instead.
const OLD: [(&str, &str); 7] = [
    ("anew", "again, or recreated"),
    ("another question", "unexpected response type"),
    ("inflate", "decompress"),
    ("inflated", "decompressed"),
    ("room", "capacity, or space"),
    ("told", "notified, reported, or returned"),
    ("trouble", "retry state, or failure"),
];

/// Comments that begin with these have their subject last.
const BEGINNINGS: [&str; 2] = ["What ", "Those who "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of the library, its tests, its fuzz targets, its benchmarks and its pages, by its path from the root.
fn files() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["src", "protocol-tests/src", "protocol-tests/tests", "fuzz", "benches", "docs"] {
        walk(&root().join(folder), &mut found);
    }
    // The list itself, and this file, name the words on purpose.
    found.retain(|(path, _)| !path.ends_with("tests/it/words.rs"));
    found
}

fn walk(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if path.ends_with("target") {
                continue;
            }
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs" || ending == "md") {
            let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
            found.push((name, fs::read_to_string(&path).expect("a readable file")));
        }
    }
}

/// The old words of a text. A name such as `headroom` or `make_room` is a word of its own.
fn old_words(text: &str) -> usize {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let count = |phrase: &str| {
        let found = text
            .match_indices(phrase)
            .filter(|(at, _)| !text[..*at].ends_with(is_of_word) && !text[at + phrase.len()..].starts_with(is_of_word));
        found.count()
    };
    let words: usize = OLD.iter().map(|(old, _)| count(old)).sum();
    let comments = text.lines().filter_map(|line| line.trim_start().strip_prefix("//"));
    let comments = comments.map(|comment| comment.trim_start_matches(['/', '!', ' ']));
    words + comments.filter(|comment| BEGINNINGS.iter().any(|beginning| comment.starts_with(beginning))).count()
}

#[test]
fn old_words_only_become_fewer() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("old_words.txt");
    let list = fs::read_to_string(&path).expect("the list");
    let allowed = list.lines().filter_map(|line| line.split_once('\t'));
    let allowed: BTreeMap<&str, usize> =
        allowed.filter_map(|(path, count)| Some((path, count.parse().ok()?))).collect();
    let found: BTreeMap<String, usize> = files().into_iter().map(|(path, text)| (path, old_words(&text))).collect();
    let left = |path: &str, count: usize| count.min(allowed.get(path).copied().unwrap_or(0));
    if std::env::var("OTTLA_WRITE_DOCS").is_ok_and(|value| value == "1") {
        let lines = found.iter().map(|(path, count)| (path, left(path, *count))).filter(|(_, count)| *count > 0);
        fs::write(&path, lines.map(|(path, count)| format!("{path}\t{count}\n")).collect::<String>()).expect("written");
    }
    let wrong = found.iter().filter(|(path, count)| left(path, **count) < **count);
    let wrong: Vec<String> =
        wrong.map(|(path, count)| format!("{path}: {count}, allowed {}", left(path, *count))).collect();
    let plain: Vec<String> = OLD.iter().map(|(old, plain)| format!("{old}: {plain}")).collect();
    let plain = plain.join("\n");
    assert!(
        wrong.is_empty(),
        "old words:\n{}\n\nplain ones:\n{plain}\nno comment begins with {BEGINNINGS:?}",
        wrong.join("\n")
    );
}

#[test]
fn old_words_are_found_in_any_text() {
    assert_eq!(old_words("/// What is told.\nfn f() {}\n// no room, made anew"), 4);
    assert_eq!(old_words("let headroom = make_room(); // Whatever is untold\n"), 0);
}
