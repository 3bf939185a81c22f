//! `docs/PROMISES.md` names for each promise the tests that hold it: they must be there.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

const PROMISES: usize = 28;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All Rust sources of the library and its tests, one after the other.
fn sources() -> String {
    fn gather(folder: &Path, text: &mut String) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                gather(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&fs::read_to_string(&path).expect("a readable file"));
            }
        }
    }
    let mut text = String::new();
    for folder in ["src", "protocol-tests/src", "protocol-tests/tests"] {
        gather(&root().join(folder), &mut text);
    }
    text
}

/// Whether a function of this name stands below a line that makes it a test.
fn is_test(sources: &str, name: &str) -> bool {
    let found = |start: &str| {
        sources.match_indices(&format!("{start} {name}(")).any(|(at, _)| {
            let before = sources[..at].rsplit("\n\n").next().unwrap_or_default();
            before.contains("#[test]") || before.contains("#[tokio::test") || before.contains("proptest!")
        })
    };
    found("fn")
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let page = fs::read_to_string(root().join("docs/PROMISES.md")).expect("the page");
    let sources = sources();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| P"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    let expected: Vec<String> = (1..=PROMISES).map(|number| format!("P{number}")).collect();
    assert_eq!(numbers, expected);
    for row in rows {
        let [number, _, holders] = row[..] else { panic!("not three columns: {row:?}") };
        let names: Vec<&str> = holders.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty() || holders.starts_with("not yet"), "{number} is held by nothing");
        for name in names {
            assert!(is_test(&sources, name), "{number}: there is no test {name}");
        }
    }
}
