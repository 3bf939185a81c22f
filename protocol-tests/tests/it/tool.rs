//! The command-line tool as its users run it: its output, its errors about bad input, and its exit status.
//!
//! Data goes to standard output, everything else to standard error; status 0 only when all of it worked, 1 for failure, 2 for
//! usage. An error is one line that names the thing and the remedy.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

mod brokers;
mod consume;
mod delimiters;
mod groups;
mod inputs;
mod java;
mod live;
mod operating;
mod options;
mod peers;
mod tail;

/// The tool, built from this tree.
fn tool() -> &'static PathBuf {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--package", "ottla", "--features", "cli", "--message-format", "json"])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
            .stderr(Stdio::inherit())
            .output()
            .expect("cargo");
        assert!(built.status.success(), "the tool does not build");
        let messages = built.stdout.lines().map(|line| line.expect("text"));
        let executable =
            |line: String| serde_json::from_str::<Value>(&line).ok()?["executable"].as_str().map(PathBuf::from);
        messages.filter_map(executable).find(|path| path.ends_with("ottla")).expect("an executable")
    })
}

/// The mock cluster, served by the tool itself.
struct Mock {
    child: Child,
    brokers: String,
}

impl Mock {
    fn serve(arguments: &[&str]) -> Self {
        let mut child = Command::new(tool())
            .args(["mock", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool");
        let mut line = String::new();
        BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut line).expect("a line");
        let brokers = line.strip_prefix("serving on ").and_then(|rest| rest.split(';').next()).expect("where");
        Self { brokers: brokers.to_owned(), child }
    }

    fn run(&self, arguments: &[&str], input: impl AsRef<[u8]>) -> Done {
        run(&[&["-b", &self.brokers], arguments].concat(), input)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug)]
struct Done {
    status: Option<i32>,
    out: String,
    err: String,
    took: Duration,
}

impl Done {
    /// Asserts that it failed with `status` and one line that has all `parts`, without any standard output.
    #[track_caller]
    fn failed(&self, status: i32, parts: &[&str]) {
        assert_eq!((self.status, &*self.out), (Some(status), ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("ottla: ") && !self.err.contains("panicked"), "{self:?}");
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in {:?}", self.err);
        }
    }

    /// Asserts that it showed its plan, and carried nothing out because it could not ask.
    #[track_caller]
    fn refused_with_a_plan(&self, row: &str) {
        assert!(self.status == Some(2) && self.out.contains(row), "{self:?}");
        assert!(self.err.contains("nothing was changed: add --yes"), "{self:?}");
    }

    #[track_caller]
    fn lines(&self) -> Vec<&str> {
        assert_eq!(self.status, Some(0), "{self:?}");
        self.out.lines().collect()
    }
}

/// The longest that any call here may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn spawn(arguments: &[&str]) -> Child {
    start(Command::new(tool()).args(arguments).env_remove("KAFKA_BROKERS"))
}

fn start(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the tool")
}

fn run(arguments: &[&str], input: impl AsRef<[u8]>) -> Done {
    feed(spawn(arguments), input)
}

/// Runs it with variables of the environment.
fn run_with(variables: &[(&str, &str)], arguments: &[&str]) -> Done {
    feed(start(Command::new(tool()).args(arguments).envs(variables.iter().copied())), "")
}

fn feed(mut child: Child, input: impl AsRef<[u8]>) -> Done {
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.as_ref().to_owned();
    // A command that fails at once does not read its input.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    end(child)
}

/// Waits for the end, for as long as it is allowed to take.
#[expect(clippy::disallowed_methods, reason = "a process takes real time")]
fn end(mut child: Child) -> Done {
    let begun = Instant::now();
    let (mut stdout, mut stderr) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let text = |pipe: &mut dyn Read| {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("text");
        text
    };
    let out = std::thread::spawn(move || text(&mut stdout));
    let err = std::thread::spawn(move || text(&mut stderr));
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if begun.elapsed() > PATIENCE => {
                child.kill().expect("a child");
                panic!("it did not end: {:?}", err.join());
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let took = begun.elapsed();
    Done { status: status.code(), out: out.join().expect("text"), err: err.join().expect("text"), took }
}

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
}

/// Responds to each connection with these bytes after reading something; with no bytes, stays silent.
fn speaking(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let _ = stream.read(&mut [0; 512]);
            if !answer.is_empty() {
                let _ = stream.write_all(answer);
            }
            open.push(stream);
        }
    });
    address
}

/// Set-up timeouts short enough for a test.
const SOON: [&str; 4] =
    ["-X", "socket.connection.setup.timeout.ms=800", "-X", "socket.connection.setup.timeout.max.ms=800"];

#[test]
fn unreachable_brokers_are_named_with_the_remedy() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("bound").to_string()
    };
    let http = speaking(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    let tls = speaking(&[0x15, 3, 1, 0, 2, 2, 0x46]);
    let (ssh, silent) = (speaking(b"SSH-2.0-OpenSSH_9.2\r\n"), speaking(b""));
    let noise = speaking(&[0xff; 64]);
    let cases: [(&str, &[&str]); 7] = [
        ("nosuch.invalid:9092", &["nosuch.invalid:9092", "could not find the host", "check its name"]),
        (&refused, &[&refused, "nothing listens there", "check host and port"]),
        (&http, &[&http, "HTTP", "give the port of a Kafka listener"]),
        (&tls, &[&tls, "TLS", "security.protocol to ssl"]),
        (&ssh, &[&ssh, "SSH", "give the port of a Kafka listener"]),
        (&silent, &[&silent, "no Kafka broker responded", "check that the port is a Kafka listener"]),
        (&noise, &[&noise]),
    ];
    for (brokers, parts) in cases {
        for command in [&["topics", "list"][..], &["consume", "-t", "t", "-e"], &["produce", "-t", "t"], &["cluster"]] {
            let done = run(&[&["-b", brokers], &SOON[..], command].concat(), "a\n");
            done.failed(1, parts);
            assert!(!done.err.contains("not written"), "{}", done.err);
            assert!(done.took < Duration::from_secs(20), "{brokers} {command:?}: {:?}", done.took);
        }
    }
}

#[test]
fn malformed_arguments_are_usage_errors() {
    let cases: [(&[&str], &[&str]); 17] = [
        (&["topics", "list"], &["no brokers", "-b HOST:PORT"]),
        (&["-b", "localhost:abc", "cluster"], &["broker 1", "localhost", "the port", "HOST:PORT"]),
        (&["-b", "http://a:1", "cluster"], &["http", "HOST:PORT"]),
        (&["-b", "a", "-X", "lingre.ms=5", "cluster"], &["lingre.ms", "did you mean linger.ms"]),
        (&["-b", "a", "-X", "linger.ms", "cluster"], &["linger.ms", "KEY=VALUE"]),
        (&["-b", "a", "-X", "linger.ms=soon", "cluster"], &["linger.ms", "soon", "milliseconds"]),
        (&["-b", "a", "-X", "sasl.password=hunter2", "cluster"], &["sasl.password", "sasl.mechanism"]),
        (&["-b", "a", "-X", "sasl.password:hunter2", "cluster"], &["sasl.password", "KEY=VALUE"]),
        (&["-b", "user:hunter2@a", "cluster"], &["no user", "HOST:PORT"]),
        (&["-b", "a", "consume", "-t", "t", "-o", "xyz"], &["-o xyz", "beginning, end"]),
        (&["-b", "a", "consume", "-t", "t", "-f", "%x"], &["%x", "%t %p"]),
        (&["-b", "a", "consume", "-t", "t", "-f", "%s", "--json"], &["-f", "--json"]),
        (&["-b", "a", "consume", "-t", "t", "--isolation", "total"], &["total", "read_committed"]),
        (&["-b", "a", "produce", "-t", "t", "-z", "lzma"], &["lzma", "zstd"]),
        (&["-b", "a", "produce", "-t", "t", "--acks", "2"], &["acks", "2", "all"]),
        (&["-b", "a", "produce", "-t", "t", "-K", ""], &["-K", "empty"]),
        (&["mock", "--listen", "here"], &["--listen here", "an address and a port"]),
    ];
    for (arguments, parts) in cases {
        let done = run(arguments, "");
        done.failed(2, parts);
        assert!(!done.err.contains("hunter2"), "{}", done.err);
    }
    assert_eq!(run(&["frobnicate"], "").status, Some(2));
    assert_eq!(run(&["produce"], "").status, Some(2), "without a topic");
}

#[test]
fn missing_topics_and_partitions_are_named() {
    let mock = Mock::serve(&["--topic", "t:3"]);
    let consume: &[&str] = &["consume", "-t", "nosuch", "-e"];
    for (command, remedy) in
        [(consume, "check its name, or create it"), (&["topics", "describe", "nosuch"], "ottla topics list")]
    {
        let done = mock.run(command, "");
        done.failed(1, &["nosuch", "UNKNOWN_TOPIC_OR_PARTITION", remedy]);
        assert!(done.took < Duration::from_secs(20), "{:?}", done.took);
    }
    mock.run(&["topics", "create", "t"], "").failed(1, &["topic t", "TOPIC_ALREADY_EXISTS"]);
    mock.run(&["topics", "delete", "nosuch", "--yes"], "").failed(1, &["topic nosuch"]);
    mock.run(&["topics", "create", "a b"], "").failed(2, &["a b", "not a valid topic name"]);
    mock.run(&["consume", "-t", "t", "-p", "1,9", "-e"], "").failed(1, &["-p 9", "topic t has 3 partitions"]);
    assert_eq!(mock.run(&["topics", "list"], "").lines(), ["t"], "reading created nothing");
}

#[test]
fn partition_of_a_missing_topic_fails_in_time_whatever_its_number() {
    let mock = Mock::serve(&["--topic", "t:3"]);
    for partition in ["0", "2147483647"] {
        for ending in [&["-e"][..], &[]] {
            let done = mock.run(&[&["consume", "-t", "missing", "-p", partition], ending].concat(), "");
            done.failed(1, &["missing", "UNKNOWN_TOPIC_OR_PARTITION"]);
            assert!(done.took < Duration::from_secs(20), "{:?}", done.took);
        }
    }
}

#[test]
fn numbers_out_of_range_are_usage_errors() {
    let most = "9223372036854775807";
    let beyond = "18446744073709551615";
    let produce = ["produce", "-t", "t"];
    let consume = ["consume", "-t", "t"];
    let perf = ["perf", "produce", "-t", "t"];
    let mut cases: Vec<(Vec<&str>, Vec<&str>)> = vec![
        ([&consume[..], &["-o", "-9223372036854775808"]].concat(), vec!["-o -9223372036854775808"]),
        ([&consume[..], &["-o", "9223372036854775808"]].concat(), vec!["-o 9223372036854775808"]),
        ([&consume[..], &["-o", "s@9223372036854775808"]].concat(), vec!["-o s@9223372036854775808"]),
        ([&perf[..], &["--linger-ms", beyond]].concat(), vec!["linger.ms", beyond, "milliseconds"]),
        ([&perf[..], &["--batch-bytes", beyond]].concat(), vec!["batch.size", beyond, "bytes"]),
        ([&perf[..], &["--size", beyond]].concat(), vec!["--size", beyond, "at most"]),
        (["demo", "--size", most].to_vec(), vec!["--size", most, "at most"]),
        (["mock", "--topic", "t:2147483647"].to_vec(), vec!["t:2147483647", "1 to 100000"]),
        (["mock", "--topic", "t:0"].to_vec(), vec!["t:0", "1 to 100000"]),
        (["mock", "--topic", "a b"].to_vec(), vec!["a b", "not a valid topic name"]),
        (["mock", "--brokers", "0"].to_vec(), vec!["--brokers 0", "1 to 100"]),
    ];
    let settings = ["linger.ms", "delivery.timeout.ms", "request.timeout.ms", "batch.size", "fetch.max.bytes"];
    let settings: Vec<String> = settings.iter().map(|name| format!("{name}={most}")).collect();
    for setting in &settings {
        let name = setting.split('=').next().expect("a name");
        cases.push(([&["-X", setting.as_str()], &produce[..]].concat(), vec![name, most, "4294967295"]));
    }
    for (arguments, parts) in cases {
        let named = ["mock", "demo"].contains(&arguments[0]);
        let brokers: &[&str] = if named { &[] } else { &["-b", "127.0.0.1:1"] };
        run(&[brokers, &arguments].concat(), "").failed(2, &parts);
    }
}

#[test]
fn volume_looks_for_the_tool_where_cargo_builds() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/volume");
    let volume = || {
        let mut command = Command::new(script);
        let command = command.arg("4.3.1").env("CARGO_TARGET_DIR", folder.path()).env("OTTLA_VOLUME_MB", "1");
        let done = command.env_remove("OTTLA_BIN").output().expect("bash");
        String::from_utf8_lossy(&done.stderr).into_owned()
    };
    let missing = format!("there is no {}/release/ottla", folder.path().display());
    assert!(volume().contains(&missing), "{}", volume());
    let release = folder.path().join("release");
    std::fs::create_dir(&release).expect("a folder");
    // Running the tool needs brokers; the script only has to find it here.
    std::fs::copy(tool(), release.join("ottla")).expect("copied");
    let said = volume();
    assert!(!said.contains("there is no /") && !said.contains("build it"), "{said}");
}

#[test]
fn every_unacknowledged_record_is_reported() {
    let mock = Mock::serve(&["--topic", "t:3"]);
    let done = mock.run(&["produce", "-t", "nosuch"], "a\nb\n");
    assert_eq!(done.status, Some(1), "{done:?}");
    for part in ["standard input, line 1: ", "standard input, line 2: ", "topic nosuch", "2 of 2 records were not"] {
        assert!(done.err.contains(part), "{done:?}");
    }
    let done = mock.run(&["produce", "-t", "t", "-p", "9"], "a\n");
    done.failed(1, &["-p 9", "topic t has 3 partitions, numbered from 0"]);

    // Between two that fit, one larger than a request, and one larger than the topic takes.
    let large = "x".repeat(2_000_000);
    let input = format!("a\n{large}\nb\n");
    for raised in [&[][..], &["-X", "max.request.size=3000000"]] {
        let done = mock.run(&[raised, &["produce", "-t", "t", "-p", "0", "--report"]].concat(), &input);
        assert_eq!(done.status, Some(1), "{done:?}");
        assert!(done.err.contains("line 2: ") && done.err.contains("1 of 3 records were not acknowledged"), "{done:?}");
        let remedy = if raised.is_empty() { "max.request.size" } else { "raise `max.message.bytes` of the topic" };
        assert!(done.err.contains(remedy), "{done:?}");
        let report: Vec<Value> = done.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let by_line = |number: u64| report.iter().find(|line| line["line"] == number).expect("each line is reported");
        assert_eq!(report.len(), 3);
        assert!(by_line(1)["offset"].is_u64() && by_line(3)["offset"].is_u64());
        assert!(by_line(2)["error"].as_str().is_some_and(|error| error.contains("not written")), "{report:?}");
    }
}

#[test]
fn unreadable_file_fails_before_anything_is_sent() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let good = folder.path().join("good");
    std::fs::write(&good, "a\nb").expect("written");
    let good = good.to_str().expect("text");
    mock.run(&["produce", "-t", "t", good, "/nosuch/file"], "").failed(1, &["/nosuch/file", "No such file"]);
    let path = folder.path().to_str().expect("text");
    mock.run(&["produce", "-t", "t", good, path], "").failed(1, &[path, "directory", "name files"]);
    assert!(mock.run(&["consume", "-t", "t", "-e"], "").lines().is_empty(), "nothing was sent");
    let done = mock.run(&["produce", "-t", "t", "--report", good, good], "");
    let report: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(
        report.iter().map(|line| line["line"].as_u64()).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(1), Some(2)]
    );
    assert_eq!(mock.run(&["consume", "-t", "t", "-e"], "").lines(), ["a", "b", "a", "b"]);
}

#[test]
fn produced_records_are_consumed_under_every_option() {
    let mock = Mock::serve(&["--topic", "t:2"]);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let produce = ["produce", "-t", "t", "-p", "1", "-K", ":", "-H", "h=1", "-H", "h=2", "-z", codec];
        mock.run(&produce, "k:v\nno key\n").lines();
    }
    for acks in ["all", "1", "0"] {
        mock.run(&["produce", "-t", "t", "-p", "0", "--acks", acks, "--tombstones", "-K", ":"], "gone:\n").lines();
    }
    let read = |arguments: &[&str]| {
        let done = mock.run(&[&["consume", "-t", "t", "-e"], arguments].concat(), "");
        done.lines().iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(read(&["-p", "1", "-c", "2"]), ["v", "no key"]);
    let format = ["-p", "1", "-c", "2", "-f", "%t %p %o %k %s %S %K %h %%\\n"];
    assert_eq!(read(&format), ["t 1 0 k v 1 1 h=1,h=2 %", "t 1 1  no key 6 -1 h=1,h=2 %"]);
    assert_eq!(read(&["-p", "0", "-c", "1", "-f", "%k %S\\n"]), ["gone -1"]);
    assert_eq!(read(&["-p", "1", "-o", "8"]), ["v", "no key"]);
    assert_eq!(read(&["-p", "1", "-o", "-1"]), ["no key"]);
    assert!(read(&["-o", "end"]).is_empty());
    assert_eq!(read(&["-o", "beginning"]).len(), 13);
    assert_eq!(read(&["-o", "s@0", "--isolation", "read_committed"]).len(), 13);
    assert!(read(&["-o", "s@99999999999999"]).is_empty());
    let object: Value = serde_json::from_str(&read(&["-p", "1", "-c", "1", "--json"])[0]).expect("JSON");
    assert_eq!((&object["key"], &object["value"], &object["offset"]), (&"k".into(), &"v".into(), &0.into()));
    let headers = serde_json::json!([{ "key": "h", "value": "1" }, { "key": "h", "value": "2" }]);
    assert_eq!(object["headers"], headers);
    assert_eq!(read(&["-g", "g", "-c", "5"]).len(), 5, "a group reads on where it stopped");
    assert_eq!(read(&["-g", "g"]).len(), 8);
    assert!(read(&["-g", "g"]).is_empty());
}

#[test]
fn topics_and_brokers_print_as_text_and_as_json() {
    let mock = Mock::serve(&["--brokers", "3"]);
    let created = mock.run(&["topics", "create", "a", "b", "-p", "2", "-r", "3", "-c", "retention.ms=1"], "");
    assert!(created.lines().is_empty() && created.err.contains("created a\ncreated b"), "{created:?}");
    assert_eq!(mock.run(&["topics", "list"], "").lines(), ["a", "b"]);
    let described = mock.run(&["topics", "describe", "a"], "");
    assert!(described.lines().len() == 3 && described.out.starts_with("TOPIC  PARTITION  LEADER"), "{described:?}");
    let done = mock.run(&["--json", "topics", "describe"], "");
    let described: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(described.len(), 4);
    assert!(described.iter().all(|one| one["replicas"].as_array().is_some_and(|replicas| replicas.len() == 3)));
    mock.run(&["topics", "delete", "a"], "").refused_with_a_plan("a               2");
    mock.run(&["topics", "delete", "a", "--yes"], "").lines();
    assert_eq!(mock.run(&["--json", "topics", "list"], "").lines(), [r#"{"topic":"b"}"#]);
    assert_eq!(mock.run(&["cluster"], "").lines().len(), 5, "the cluster, a heading, three brokers");
    let done = mock.run(&["cluster", "--json"], "");
    let brokers: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(brokers.iter().filter(|broker| broker["controller"] == true).count(), 1);
}

#[test]
fn topics_grow_and_settings_change_from_the_command_line() {
    let mock = Mock::serve(&["--topic", "t:2"]);
    mock.run(&["topics", "alter", "t", "-p", "5"], "").lines();
    assert_eq!(mock.run(&["--json", "topics", "describe", "t"], "").lines().len(), 5);
    mock.run(&["topics", "alter", "t", "-p", "3"], "").failed(1, &["topic t", "INVALID_PARTITIONS"]);
    let set = ["--set", "retention.ms=5000", "--append", "cleanup.policy=compact"];
    mock.run(&[&["configs", "alter", "topic", "t", "--dry-run"][..], &set].concat(), "").lines();
    assert!(mock.run(&["--json", "configs", "describe", "topic", "t"], "").lines().is_empty());
    mock.run(&[&["configs", "alter", "topic", "t"][..], &set].concat(), "").lines();
    let done = mock.run(&["--json", "configs", "describe", "topic", "t"], "");
    let entries: Vec<Value> = done.lines().iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let has = |name: &str, value: &str| entries.iter().any(|one| one["setting"] == name && one["value"] == value);
    assert!(entries.len() == 2 && has("retention.ms", "5000") && has("cleanup.policy", "compact"), "{entries:?}");
    mock.run(&["configs", "alter", "topic", "t"], "").failed(2, &["--set"]);
    mock.run(&["configs", "alter", "topic", "t", "--set", "no.such=1"], "").failed(1, &["INVALID_CONFIG"]);
    mock.run(&["configs", "describe", "broker", "x"], "").failed(2, &["broker x", "id"]);
    mock.run(&["records", "delete", "t:0:x"], "").failed(2, &["t:0:x", "TOPIC:PARTITION:OFFSET"]);
    mock.run(&["records", "delete", "t"], "").refused_with_a_plan("DELETED AT MOST");
}

#[test]
fn perf_ends_with_one_line_of_json() {
    let mock = Mock::serve(&["--topic", "t:2"]);
    let keys = [
        "records",
        "size",
        "wall_s",
        "records_per_s",
        "mb_per_s",
        "user_s",
        "sys_s",
        "cpu_s_per_million",
        "max_rss_mb",
        "acked",
        "p50_ms",
        "p99_ms",
        "p999_ms",
    ];
    for (what, arguments) in [
        ("produce", &["--batch-bytes", "32768", "--linger-ms", "1", "-z", "lz4", "--rate", "20000"][..]),
        ("consume", &[]),
        ("latency", &["--rate", "2000"]),
    ] {
        let done = mock
            .run(&[&["perf", what, "-t", "t", "--records", "2000", "--size", "50", "--json"], arguments].concat(), "");
        let line: Value = serde_json::from_str(done.lines().last().expect("a line")).expect("JSON");
        let found: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(found, keys, "{what}");
        assert_eq!(line["p99_ms"].is_number(), what == "latency");
        if what == "produce" {
            assert!(line["wall_s"].as_f64().is_some_and(|wall| wall >= 0.09), "2,000 at 20,000 a second: {line}");
        }
    }
    let done = mock.run(&["perf", "consume", "-t", "t", "--records", "1000000"], "");
    done.failed(1, &["has only", "records", "1000000"]);
}

#[test]
fn closed_standard_output_ends_the_tool_quietly() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let lines: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    mock.run(&["produce", "-t", "t"], &lines).lines();
    for command in [
        &["consume", "-t", "t", "-e"][..],
        &["consume", "-t", "t", "--json"],
        &["produce", "-t", "t", "--report"],
        &["topics", "list"],
    ] {
        let mut child = spawn(&[&["-b", &mock.brokers], command].concat());
        // The reader of the pipe has closed it before anything is written.
        drop(child.stdout.replace(tempfile_pipe()));
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = if command[0] == "produce" { "a\n".repeat(50_000) } else { String::new() };
        std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let done = end(child);
        assert_eq!(done.status, Some(0), "{command:?}: {done:?}");
        assert!(!done.err.contains("panicked") && !done.err.contains("ottla: "), "{command:?}: {done:?}");
    }
}

/// A standard output that has ended.
fn tempfile_pipe() -> std::process::ChildStdout {
    let mut done = Command::new("true").stdout(Stdio::piped()).spawn().expect("a child");
    let pipe = done.stdout.take().expect("a pipe");
    done.wait().expect("an end");
    pipe
}

fn say(stdin: &mut ChildStdin, text: &str) {
    stdin.write_all(text.as_bytes()).expect("it reads");
    stdin.flush().expect("it reads");
}

#[test]
fn interrupted_consume_commits_what_it_printed() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    mock.run(&["produce", "-t", "t"], "a\nb\n").lines();
    let mut child = spawn(&["-b", &mock.brokers, "consume", "-t", "t", "-g", "g"]);
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    out.read_line(&mut line).expect("a record");
    out.read_line(&mut line).expect("a record");
    assert_eq!(line, "a\nb\n");
    // The commit follows the output; the signal may arrive in the middle of it.
    interrupt(&child);
    child.stdout = Some(tempfile_pipe());
    let done = end(child);
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(done.err.contains("interrupted after 2 records"), "{done:?}");
    assert!(mock.run(&["consume", "-t", "t", "-g", "g", "-e"], "").lines().is_empty(), "both were committed");
}

#[test]
fn interrupted_produce_reports_acknowledged_records() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let mut child = spawn(&["-b", &mock.brokers, "produce", "-t", "t", "--report"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    say(&mut stdin, "a\nb\n");
    let mut line = String::new();
    out.read_line(&mut line).expect("a report");
    out.read_line(&mut line).expect("a report");
    assert_eq!(line.matches("\"offset\"").count(), 2, "reported at once, not when there is more to read: {line}");
    interrupt(&child);
    child.stdout = Some(tempfile_pipe());
    let done = end(child);
    drop(stdin);
    assert_eq!(done.status, Some(1), "{done:?}");
    assert!(done.err.contains("interrupted; 2 records were acknowledged, all that were read"), "{done:?}");
    assert_eq!(mock.run(&["consume", "-t", "t", "-e"], "").lines(), ["a", "b"]);
}

#[test]
fn termination_is_an_interruption() {
    let mock = Mock::serve(&["--topic", "t:1"]);
    let mut child = spawn(&["-b", &mock.brokers, "produce", "-t", "t", "--report"]);
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    say(&mut stdin, "a\n");
    out.read_line(&mut String::new()).expect("a report");
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(sent.success());
    child.stdout = Some(tempfile_pipe());
    let done = end(child);
    drop(stdin);
    assert_eq!(done.status, Some(1), "{done:?}");
    assert!(done.err.contains("interrupted; 1 records were acknowledged, all that were read"), "{done:?}");
}

#[test]
fn closed_standard_error_is_no_panic() {
    let mut child = spawn(&["-b", "a", "-X", "linger.ms=soon", "cluster"]);
    // The reader of the pipe has closed it before anything is written.
    drop(child.stderr.take());
    let status = child.wait().expect("an end");
    assert_eq!(status.code(), Some(2), "a panic has status 101");
}

#[test]
fn taken_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound").to_string();
    run(&["mock", "--listen", &address], "").failed(1, &[&address, "--listen"]);
}
