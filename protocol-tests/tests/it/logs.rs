//! The page of log events lists exactly the events of the sources.
//!
//! `OTTLA_WRITE_DOCS=1` with this test adds rows for new events, removes rows of removed events, and keeps the texts of the others.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::tidy::Source;
use super::tidy::sources;

/// Every target, with the layer that logs to it.
const TARGETS: [(&str, &str); 8] = [
    ("ottla::admin", "The admin's calls."),
    ("ottla::config", "Settings by property names."),
    ("ottla::connection", "Connections to brokers: `net` and `conn`."),
    ("ottla::consumer", "Consumers: positions, fetch sessions, commits."),
    ("ottla::group", "Membership in consumer groups."),
    ("ottla::metadata", "The view of the cluster: brokers, leaders, coordinators."),
    ("ottla::producer", "Producers: batches, retries, identity."),
    ("ottla::queue", "Queues: leases, cursors, stores of offsets."),
];

/// The levels, the most urgent first.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Target, level (as an index of [`LEVELS`]) and message.
type Key = (String, usize, String);

/// The fields of each event; an event that is logged at several places has those of all.
type Events = BTreeMap<Key, BTreeSet<String>>;

/// Reads the macro calls of one file. `constants` are the targets that it and its neighbours name.
fn events(source: &Source, constants: &BTreeMap<String, String>, into: &mut Events) -> Result<(), String> {
    let code: String =
        source.code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (level, word) in LEVELS.iter().enumerate() {
        for (at, call) in code.match_indices(&format!("tracing::{word}!(")) {
            let arguments = arguments(&code[at + call.len()..]);
            let wrong = |what: &str| format!("{}: {what}: {word}!({})", source.path, arguments.join(", "));
            let target = arguments.iter().find_map(|argument| argument.strip_prefix("target:")).map(str::trim);
            let target = target.ok_or_else(|| wrong("an event without a target"))?;
            let target = text(target).or_else(|| constants.get(target).cloned());
            let target = target.ok_or_else(|| wrong("the target is no constant of this folder"))?;
            let message = arguments.last().and_then(|last| text(last));
            let message = message.ok_or_else(|| wrong("the last argument is no text"))?;
            if message.contains(['{', '}']) {
                return Err(wrong("the message is not constant: put what varies into fields"));
            }
            let fields = arguments[..arguments.len() - 1].iter().filter(|argument| !argument.starts_with("target:"));
            let fields = fields
                .map(|field| field.split('=').next().unwrap_or_default().trim_matches([' ', '%', '?']).to_owned());
            into.entry((target, level, message)).or_default().extend(fields);
        }
    }
    Ok(())
}

/// The text of a string literal.
fn text(literal: &str) -> Option<String> {
    Some(literal.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

/// The arguments of a call, up to the parenthesis that closes it.
fn arguments(call: &str) -> Vec<String> {
    let (mut found, mut argument) = (Vec::new(), String::new());
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for c in call.chars() {
        match c {
            '"' if !escaped => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' | ']' | '}' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                found.push(std::mem::take(&mut argument).trim().to_owned());
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        argument.push(c);
    }
    found.push(argument.trim().to_owned());
    // Of a comma at the end.
    found.retain(|argument| !argument.is_empty());
    found
}

/// The constants that are targets, by the folder they are in.
fn constants(sources: &[Source]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources {
        for line in source.code.lines() {
            let Some((head, value)) = line.split_once(": &str = \"ottla::") else { continue };
            let name = head.rsplit(' ').next().unwrap_or_default().to_owned();
            let value = format!("ottla::{}", value.trim_end_matches("\";"));
            found.entry(folder(source)).or_default().insert(name, value);
        }
    }
    found
}

fn folder(source: &Source) -> String {
    source.path.split('/').next().unwrap_or_default().to_owned()
}

fn all_events() -> Result<Events, String> {
    let sources = sources();
    let (constants, none) = (constants(&sources), BTreeMap::new());
    let mut found = Events::new();
    for source in &sources {
        events(source, constants.get(&folder(source)).unwrap_or(&none), &mut found)?;
    }
    Ok(found)
}

/// The page's text about each event: the meaning, and what to do.
fn written(page: &str) -> BTreeMap<Key, (String, String)> {
    let mut found = BTreeMap::new();
    let mut target = "";
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            target = heading.trim_matches('`');
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [level, message, _, meaning, action] = cells[..] else { continue };
        let Some(level) = LEVELS.iter().position(|word| *word == level) else { continue };
        found.insert((target.to_owned(), level, message.to_owned()), (meaning.to_owned(), action.to_owned()));
    }
    found
}

/// The part of the page that lists events.
fn listed(events: &Events, written: &BTreeMap<Key, (String, String)>) -> String {
    let mut page = String::new();
    for (target, about) in TARGETS {
        let of_target: Vec<_> = events.iter().filter(|((named, ..), _)| named == target).collect();
        if of_target.is_empty() {
            continue;
        }
        page += &format!(
            "\n## `{target}`\n\n{about}\n\n| level | message | fields | meaning | what to do |\n|---|---|---|---|---|\n"
        );
        for (key, fields) in of_target {
            let (_, level, message) = key;
            let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
            let (meaning, action) = written.get(key).cloned().unwrap_or_default();
            let (level, fields) = (LEVELS[*level], fields.join(" "));
            page += &format!("| {level} | {message} | {fields} | {meaning} | {action} |\n");
        }
    }
    page
}

#[test]
fn page_of_log_events_lists_exactly_those_of_the_sources() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/LOGS.md");
    let page = fs::read_to_string(&path).expect("the page");
    let events = all_events().unwrap_or_else(|wrong| panic!("{wrong}"));
    let begin = page.find("\n## `").unwrap_or(page.len());
    let about = written(&page);
    let listed = listed(&events, &about);
    if std::env::var("OTTLA_WRITE_DOCS").is_ok_and(|value| value == "1") {
        fs::write(&path, page[..begin].to_owned() + &listed).expect("written");
        return;
    }
    assert!(page[begin..] == listed, "OTTLA_WRITE_DOCS=1 with this test brings docs/LOGS.md up to date");
    for ((target, _, message), (meaning, action)) in about {
        assert!(!meaning.is_empty() && !action.is_empty(), "{target}: {message}: say what it means and what to do");
    }
}

#[test]
fn targets_are_those_of_the_layers() {
    let known: Vec<&str> = TARGETS.iter().map(|(target, _)| *target).collect();
    for ((target, _, message), fields) in all_events().unwrap_or_else(|wrong| panic!("{wrong}")) {
        assert!(known.contains(&&*target), "{target} of {message:?} is none of {known:?}");
        let is_short = message.len() <= 60 && !message.ends_with('.');
        let is_plain = message.chars().all(|c| c.is_ascii_alphanumeric() || " -_':,.".contains(c));
        assert!(is_short && is_plain && !message.starts_with(|c: char| c.is_ascii_uppercase()), "{message:?}");
        let is_name =
            |field: &String| field.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.".contains(c));
        assert!(fields.iter().all(is_name), "{message}: {fields:?}");
    }
}

#[test]
fn events_are_read_from_their_calls() {
    let code = "const T: &str = \"ottla::x\";\nfn f() {\n    tracing::warn!(\n        target: T,\n        %error,\n        at = g(1, \"), \\\"\"),\n        ?list,\n        \"short, and plain\",\n    );\n    // tracing::info!(\"not this one\");\n}";
    let source =
        |code: &str| Source { path: "a/b.rs".into(), module: "a::b".into(), code: code.into(), whole: code.into() };
    let read = |code: &str| {
        let mut found = Events::new();
        let constants = constants(&[source(code)]).remove("a").unwrap_or_default();
        events(&source(code), &constants, &mut found).map(|()| found)
    };
    let key = ("ottla::x".to_owned(), 1, "short, and plain".to_owned());
    let fields = ["at", "error", "list"].map(str::to_owned).into();
    assert_eq!(read(code), Ok(Events::from([(key, fields)])));
    for wrong in
        ["tracing::warn!(\"m\")", "tracing::warn!(target: U, \"m\")", "tracing::warn!(target: \"t\", \"m {x}\")"]
    {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
