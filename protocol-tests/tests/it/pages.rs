//! The pages in `docs` agree with the code: the tests that they name, the versions and the defaults that they list.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ottla::client::Client;
use ottla::internals::wire::Api;
use ottla::mock::Cluster;
use ottla::mock::Server;

const PROMISES: usize = 28;
/// Of the founding document.
const PITFALLS: usize = 37;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join("docs").join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All Rust sources of the library and its tests, concatenated.
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

/// Whether a function of this name has an attribute that makes it a test.
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
fn every_promise_names_existing_tests() {
    let page = page("PROMISES.md");
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
        assert!(!names.is_empty() || holders.starts_with("not yet"), "{number} names no test");
        for name in names {
            assert!(is_test(&sources, name), "{number}: there is no test {name}");
        }
    }
}

#[test]
fn each_non_obvious_entry_names_a_test() {
    let page = page("NON_OBVIOUS.md");
    let sources = sources();
    let entries: Vec<&str> = page.split("\n- ").skip(1).collect();
    assert!(!entries.is_empty());
    for entry in entries {
        let name = entry.trim_end().trim_end_matches('.').trim_end_matches('`').rsplit('`').next().unwrap_or_default();
        assert!(is_test(&sources, name), "there is no test {name:?}, named by: {entry}");
    }
}

#[test]
fn each_class_of_malformed_input_has_a_test() {
    let sources = sources();
    for class in 1..=30 {
        assert!(sources.contains(&format!("fn class_{class}_")), "class {class} has no test");
    }
}

#[test]
fn protocol_page_lists_the_apis_of_the_table() {
    let row = |api: Api| {
        let (low, high) = api.versions();
        let kind = if api.is_read_only() { "reads" } else { "writes" };
        format!("| {} | {} | {low}–{high} | {}– | {kind} |", api.name(), api.key(), api.flexible_from())
    };
    let expected: Vec<String> = Api::ALL.into_iter().map(row).collect();
    let page = page("PROTOCOL.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ") && line.contains('–')).collect();
    assert_eq!(rows, expected, "docs/PROTOCOL.md: its rows must be\n{}\n", expected.join("\n"));
}

/// The fields of the builders, as `Debug` shows them, by the property that sets them.
const OF_CLIENT: [(&str, &str); 11] = [
    ("client.id", "client_id"),
    ("connections.max.idle.ms", "idle_max"),
    ("default.api.timeout.ms", "api_timeout"),
    ("metadata.max.age.ms", "metadata_age_max"),
    ("receive.message.max.bytes", "response_bytes_max"),
    ("reconnect.backoff.max.ms", "reconnect_backoff_max"),
    ("reconnect.backoff.ms", "reconnect_backoff"),
    ("request.timeout.ms", "request_timeout"),
    ("socket.connection.setup.timeout.max.ms", "setup_timeout_max"),
    ("socket.connection.setup.timeout.ms", "setup_timeout"),
    ("topic.metadata.propagation.max.ms", "propagation"),
];
const OF_PRODUCER: [(&str, &str); 5] = [
    ("batch.size", "batch_bytes"),
    ("buffer.memory", "buffer_bytes"),
    ("delivery.timeout.ms", "delivery_timeout"),
    ("linger.ms", "linger"),
    ("max.request.size", "request_bytes_max"),
];
const OF_CONSUMER: [(&str, &str); 4] = [
    ("auto.offset.reset", "reset"),
    ("fetch.max.bytes", "fetch_bytes_max"),
    ("isolation.level", "isolation"),
    ("queued.max.messages.kbytes", "prefetch_bytes"),
];

/// A documented default as the field shows it.
fn shown(name: &str, here: &str) -> String {
    let number: Option<u64> = here.parse().ok();
    match (name, number) {
        (name, Some(number)) if name.ends_with("ms") => format!("{:?}", Duration::from_millis(number)),
        (name, Some(number)) if name.ends_with("kbytes") => (number * 1024).to_string(),
        ("client.id", None) => format!("{here:?}"),
        // An enum's variant has its word's letters.
        _ => here.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect(),
    }
}

#[tokio::test]
async fn documented_defaults_are_those_of_the_builders() {
    let page = page("CONFIG.md");
    let (_, table) = page.split_once("| default of |").expect("the table of defaults");
    let server = Server::start(Cluster::builder().build(), ([127, 0, 0, 1], 0).into()).await.expect("a port is free");
    let builder = Client::builder([server.bootstrap()]).expect("its address is well-formed");
    let of_client = format!("{builder:?}");
    let client = builder.connect().await.expect("the mock answers");
    let (of_producer, of_consumer) = (format!("{:?}", client.producer()), format!("{:?}", client.consumer()));
    for (fields, debug) in [(&OF_CLIENT[..], of_client), (&OF_PRODUCER, of_producer), (&OF_CONSUMER, of_consumer)] {
        // The last field of each struct ends as the others do.
        let debug = debug.replace(" }", ",");
        for (name, field) in fields {
            let row = table.split(&format!("| `{name}` | ")).nth(1).expect(name);
            let here = row.split(" |").next().unwrap_or_default();
            let shown = shown(name, here);
            let is_there = [format!(" {field}: {shown},"), format!(" {field}: Some({shown}),")];
            assert!(
                is_there.iter().any(|text| debug.contains(text)),
                "{name} = {here}: no {field}: {shown} in {debug}"
            );
        }
    }
}

/// Bare names in `ARCHITECTURE.md` are files of the consumer's core.
#[test]
fn architecture_names_existing_files() {
    let page = page("ARCHITECTURE.md");
    let is_source = |word: &&str| Path::new(word).extension().is_some_and(|ending| ending == "rs");
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_source).collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let exists = ["src", "src/consumer/core"].iter().any(|folder| root().join(folder).join(name).exists());
        assert!(exists, "there is no {name}");
    }
}

/// Lines of a program without comments and blank ones.
fn code_lines(path: &str) -> usize {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

#[test]
fn every_system_names_an_existing_program_and_its_lines() {
    let page = page("SYSTEMS.md");
    let rows = page.lines().filter(|line| line.contains("| `docs/examples/"));
    let mut programs = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let path = cells[1].trim_matches('`');
        assert_eq!(cells[2], code_lines(path).to_string(), "{path}");
        programs += 1;
    }
    assert!(programs >= 8, "{programs}");
}

#[test]
fn every_pitfall_names_existing_tests() {
    let page = page("SYSTEMS.md");
    let sources = sources();
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| P-"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(numbers, (1..=PITFALLS).map(|number| format!("P-{number}")).collect::<Vec<_>>());
    for row in rows {
        let [number, _, _, holders] = row[..] else { panic!("not four columns: {row:?}") };
        let names: Vec<&str> = holders.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{number} names no test");
        for name in names {
            assert!(is_test(&sources, name), "{number}: there is no test {name}");
        }
    }
}
