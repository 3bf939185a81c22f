//! Options of every command: `-X list`, `-X dump`, `-d`, `-b env:`, and the terminal.

use std::collections::BTreeMap;
use std::process::Command;

use ottla::config::families;
use ottla::config::keys;
use serde_json::Value;

use super::Mock;
use super::run;
use super::run_with;
use super::tool;

#[test]
fn list_of_properties_has_every_name_once() {
    let done = run(&["-X", "list", "--json"], "");
    let rows: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let listed: Vec<&str> = rows.iter().map(|row| row["property"].as_str().expect("a name")).collect();
    let names = keys().flat_map(|key| std::iter::once(&key.name).chain(key.aliases));
    let mut names: Vec<&str> = names.chain(families().flat_map(|family| family.names)).copied().collect();
    names.sort_unstable();
    assert_eq!(listed, names);
    let row = |name: &str| rows.iter().find(|row| row["property"] == name).expect("listed");
    let linger = row("linger.ms");
    assert_eq!((&linger["default"], &linger["takes"], &linger["effect"]), (&"5".into(), &"ms".into(), &"yes".into()));
    assert_eq!(row("queue.buffering.max.ms")["meaning"], "alias of linger.ms");
    assert_eq!(row("batch.size")["default_of_java"], "16384");
    assert_eq!(row("sasl.oauthbearer.config")["effect"], "refused");
    assert_eq!(row("max.poll.records")["effect"], "no effect");

    let text = run(&["consume", "-t", "t", "-X", "list"], "");
    let lines = text.lines();
    assert_eq!(lines.len(), names.len() + 1, "a heading and one line for each");
    let acks = lines.iter().find(|line| line.starts_with("acks ")).expect("listed");
    for part in [" yes ", " all ", "all, -1, 0, 1: The acknowledgements that a producer waits for."] {
        assert!(acks.contains(part), "{part:?} is not in {acks:?}");
    }
}

#[test]
fn dump_has_the_values_in_effect_and_no_secret() {
    let dump = |arguments: &[&str]| {
        let done = run(&[arguments, &["-X", "dump"]].concat(), "");
        let pair = |line: &&str| line.split_once(" = ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        done.lines().iter().filter_map(pair).collect::<BTreeMap<_, _>>()
    };
    let produce = ["-b", "a:1", "-X", "queue.buffering.max.ms=7", "produce", "-t", "t", "-z", "zstd"];
    let values = dump(&produce);
    for (name, value) in
        [("bootstrap.servers", "a:1"), ("linger.ms", "7"), ("compression.type", "zstd"), ("acks", "all")]
    {
        assert_eq!(values[name], value);
    }
    assert!(!values.contains_key("group.id"), "it has no value");
    assert_eq!(dump(&["consume", "-t", "t", "-g", "readers"])["group.id"], "readers");
    assert_eq!(dump(&["perf", "produce", "-t", "t", "--linger-ms", "3"])["linger.ms"], "3");
    assert_eq!(dump(&[])["linger.ms"], "5", "without a command and without brokers");
    let done = run(&["-X", "dump", "--json"], "");
    let unset = done.lines().into_iter().find(|line| line.contains("group.id")).expect("all are there");
    assert_eq!(unset, r#"{"property":"group.id","value":null,"set":false,"origin":null}"#);

    let done = run(&["-X", "sasl.oauthbearer.config=hunter2", "-X", "dump"], "");
    done.failed(2, &["sasl.oauthbearer.config"]);
    assert!(!done.err.contains("hunter2"), "{done:?}");
    assert_eq!(dump(&["-X", "sasl.password=hunter2"])["sasl.password"], "[redacted]");
    assert_eq!(run(&[], "").status, Some(2), "without a command there is nothing to do");
}

#[test]
fn common_options_before_and_after_the_command_add_up() {
    let done = run(
        &["-X", "linger.ms=7", "-b", "a:1", "perf", "-X", "acks=1", "produce", "-t", "t", "-X", "dump", "-b", "b:1"],
        "",
    );
    for line in ["linger.ms = 7", "acks = 1", "bootstrap.servers = b:1"] {
        assert!(done.lines().contains(&line), "{line} is not in {done:?}");
    }
}

/// The lines of a screen.
const SCREEN: usize = 50;

#[test]
fn help_of_each_command_has_examples_that_are_valid() {
    let commands = [
        "",
        "acl",
        "cluster",
        "completions",
        "consume",
        "demo",
        "elect",
        "groups",
        "groups delete",
        "groups describe",
        "groups list",
        "groups reset-offsets",
        "lag",
        "mock",
        "offsets",
        "perf",
        "produce",
        "producers",
        "quorum",
        "quotas",
        "reassign",
        "topics",
        "transactions",
        "users",
    ];
    let mut examples = 0;
    for command in commands {
        let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let done = run(&words, "");
        assert!(done.out.lines().count() <= SCREEN, "{command} does not fit one screen: {done:?}");
        assert!(!done.lines()[0].is_empty() && !done.out.starts_with("Usage"), "{command} is described: {done:?}");
        let (_, text) = done.out.split_once("Examples:\n").unwrap_or_else(|| panic!("{command} has no examples"));
        for example in text.lines().filter_map(|line| line.split_once("ottla ").map(|(_, rest)| rest)) {
            // Dumping the settings reads the whole command line and does nothing else.
            let example = example.split(['|', '>']).next().unwrap_or_default().replace("-X list", "");
            if example.ends_with("--help` has more.") {
                continue;
            }
            let shell = format!("{} {example} -X dump", tool().display());
            let done = Command::new("sh").args(["-c", &shell]).output().expect("sh");
            assert!(done.status.success(), "{shell}: {}", String::from_utf8_lossy(&done.stderr));
            examples += 1;
        }
    }
    assert!(examples > 15, "{examples}");
}

#[test]
fn environment_names_brokers_only_when_asked() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let variables = [("KAFKA_BROKERS", mock.brokers.as_str())];
    assert_eq!(run_with(&variables, &["-b", "env:", "topics", "list"]).lines(), ["t"]);
    run_with(&variables, &["topics", "list"]).failed(2, &["no brokers", "-b HOST:PORT", "-b env:"]);
    run(&["-b", "env:", "topics", "list"], "").failed(2, &["-b env:", "KAFKA_BROKERS is not set"]);
    run_with(&[("KAFKA_BROKERS", " ")], &["-b", "env:", "cluster"]).failed(2, &["KAFKA_BROKERS is not set"]);
    run_with(&[("KAFKA_BROKERS", "http://a")], &["-b", "env:", "cluster"]).failed(2, &["http", "HOST:PORT"]);
}

#[test]
fn logs_are_printed_by_target() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let logged = |debug: &[&str]| {
        let done = mock.run(&[debug, &["topics", "list"]].concat(), "");
        assert_eq!(done.lines(), ["t"], "standard output has only data");
        let target = |line: &str| line.split(" ottla::").nth(1)?.split(':').next().map(str::to_owned);
        let mut targets: Vec<String> = done.err.lines().filter_map(target).collect();
        assert_eq!(targets.len(), done.err.lines().count(), "{done:?}");
        targets.dedup();
        (targets, done.err)
    };
    assert_eq!(logged(&[]).1, "");
    let (targets, text) = logged(&["-d", "connection"]);
    assert_eq!(targets, ["connection"]);
    let line = text.lines().find(|line| line.contains(": connected ")).expect("an event");
    assert!(line[8..9] == *"." && line.contains("Z DEBUG ottla::connection: connected broker="), "{line}");
    assert!(line.contains(" versions="), "{line}");
    assert_eq!(logged(&["-d", "connection=error,metadata=warn"]).1, "");
    assert!(logged(&["-d", "all"]).0.contains(&"connection".to_owned()));
    for wrong in ["broker", "connection=loud", "connection="] {
        run(&["-b", "a", "-d", wrong, "cluster"], "")
            .failed(2, &[wrong, "all, admin, config, connection", "NAME=LEVEL"]);
    }
}

#[test]
fn targets_of_logs_are_those_of_the_page() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/LOGS.md")).expect("the page");
    let targets: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix("## `ottla::")?.strip_suffix('`')).collect();
    let done = run(&["-b", "a", "-d", "?", "cluster"], "");
    assert!(done.err.contains(&format!("give all, {}, or", targets.join(", "))), "{done:?}: {targets:?}");
}

/// The output of a shell command on a terminal of 100 columns.
fn on_terminal(variables: &[(&str, &str)], command: &str) -> String {
    let command = format!("stty cols 100; {command}").replace("ottla ", &format!("{} ", tool().display()));
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    let done = script.envs(variables.iter().copied()).output().expect("script, of util-linux");
    String::from_utf8_lossy(&done.stdout).into_owned()
}

#[test]
fn colours_are_for_terminals_without_no_color() {
    let wrong = "ottla -b a -X linger.ms=soon cluster";
    let red = "\u{1b}[1;31mottla:\u{1b}[0m linger.ms";
    assert!(on_terminal(&[], wrong).contains(red), "{:?}", on_terminal(&[], wrong));
    assert!(on_terminal(&[("NO_COLOR", "")], wrong).contains(red), "an empty value does not count");
    for (variables, command) in [
        ([("NO_COLOR", "1")], wrong.to_owned()),
        ([("NO_COLOR", "1")], "ottla frobnicate".to_owned()),
        ([("NO_COLOR", "1")], "ottla --help".to_owned()),
        ([("TERM", "dumb")], wrong.to_owned()),
        ([("TERM", "xterm")], format!("{wrong} 2>&1 | cat")),
    ] {
        let text = on_terminal(&variables, &command);
        assert!(!text.contains('\u{1b}') && !text.is_empty(), "{command}: {text:?}");
    }
}

#[test]
fn bars_have_rate_and_time_left_on_terminals_only() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lines");
    std::fs::write(&file, "a line of a file\n".repeat(300_000)).expect("written");
    let (brokers, file) = (&mock.brokers, file.display());
    let produce = format!("ottla -b {brokers} produce -t t {file}");
    let text = on_terminal(&[], &produce);
    assert!(text.contains("/4.86 MiB, ") && text.contains("/s, ") && text.contains("s left"), "{text:?}");
    assert!(text.contains("300000 records acknowledged"), "{text:?}");
    for (what, unit) in [("produce", "records, "), ("consume", "records, ")] {
        let text = on_terminal(&[], &format!("ottla -b {brokers} perf {what} -t t --records 300000"));
        assert!(text.contains(unit) && text.contains("/s, ") && text.contains("s left"), "{what}: {text:?}");
    }
    for quiet in
        [format!("{produce} 2>&1 | cat"), format!("cat {file} | {produce} /dev/stdin"), format!("{produce} -d admin")]
    {
        let text = on_terminal(&[], &quiet);
        assert!(!text.contains("left") && text.contains("records acknowledged"), "{quiet}: {text:?}");
    }
}
