//! The tool and kcat side by side, on a real broker.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use protocol_tests::rig;
use serde_json::Value;
use serde_json::json;

use super::tool;

/// The output of a program that must succeed.
fn output(program: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    // A consumer does not read it.
    std::thread::spawn(move || drop(stdin.write_all(&input)));
    let done = child.wait_with_output().expect("an end");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{} {arguments:?}: {errors}", program.display());
    done.stdout
}

struct Peers {
    brokers: String,
}

impl Peers {
    fn kcat(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        output(Path::new("kcat"), &[&["-b", &self.brokers, "-q"], arguments].concat(), input)
    }

    fn ottla(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        output(tool(), &[&["-b", &self.brokers], arguments].concat(), input)
    }

    /// Every record of a topic of one partition, as each of both reads it.
    fn content(&self, topic: &str) -> Vec<u8> {
        let format = r"%o %K %S %k|%s|%h\x1e";
        let by_kcat = self.kcat(&["-C", "-t", topic, "-e", "-f", format], b"");
        let by_ottla = self.ottla(&["consume", "-t", topic, "-e", "-f", format], b"");
        assert_eq!(by_kcat.escape_ascii().to_string(), by_ottla.escape_ascii().to_string(), "of {topic}");
        by_kcat
    }
}

async fn topic(client: &Client, name: &str, partitions: i32) -> String {
    let topic = rig::fresh(name);
    let made = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(partitions)]).await;
    for (_, outcome) in made.expect("a controller") {
        outcome.expect("a topic");
    }
    topic
}

/// A task of producing: the options of kcat and of ottla, and the input.
type Writing<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [u8]);

async fn same_records_are_written(client: &Client, peers: &Peers, file: &str) {
    let binary: &[u8] = b"\xff\xfe\n\x01\0\x1eline\nline\0\x1e\x80\x1e";
    let writings: [Writing<'_>; 5] = [
        ("lines", &[], &[], b"a\n b \nlast"),
        ("keys", &["-K", r"\t", "-Z"], &["-K", r"\t", "-Z"], b"k\tv\nk\t\n\tv\nk\tv\tw\nno key\n"),
        ("headers", &["-H", "a=1", "-H", "b=", "-k", "k"], &["-H", "a=1", "-H", "b=", "-k", "k"], b"v\n"),
        ("binary", &["-D", r"\x1e"], &["-D", r"\x1e"], binary),
        ("file", &["-k", "name", file], &["-k", "name", "--whole", file], b""),
    ];
    for (task, of_kcat, of_ottla, input) in writings {
        let topics = [topic(client, task, 1).await, topic(client, task, 1).await];
        peers.kcat(&[&["-P", "-t", &topics[0]], of_kcat].concat(), input);
        peers.ottla(&[&["produce", "-t", &topics[1]], of_ottla].concat(), input);
        let [by_kcat, by_ottla] = topics.map(|topic| peers.content(&topic).escape_ascii().to_string());
        assert!(!by_kcat.is_empty(), "{task}");
        assert_eq!(by_kcat, by_ottla, "{task}");
    }
}

/// Writes six records, one a second, of which some have nulls and headers. Returns the time of the first.
async fn write(client: &Client, topic: &str) -> i64 {
    #[expect(clippy::disallowed_methods, reason = "a real broker deletes records that are too old")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let first = i64::try_from(now.as_millis()).expect("a time") - 60_000;
    let producer = client.producer().build().expect("a producer");
    let records = [
        Record::to(topic).key("a").value("one"),
        Record::to(topic).value("two").header("h", "1").header("h", "2"),
        Record::to(topic).key("c"),
        Record::to(topic).key("").value(""),
        Record::to(topic).key("ü").value("\"five\"\t").header("e", ""),
        Record::to(topic).key("f").value("six"),
    ];
    for (record, at) in records.into_iter().zip((first..).step_by(1_000)) {
        producer.send(record.partition(0).timestamp(at)).await.expect("acknowledged");
    }
    first
}

fn same_records_are_read(peers: &Peers, topic: &str, first: i64) {
    let (start, end) = (format!("s@{}", first + 1_000), format!("e@{}", first + 4_000));
    let format = r"%t %p %o %T %K %S %k|%s|%h %%\x7C\t\r\n";
    let readings: [(&str, &[&str]); 9] = [
        ("all", &[]),
        ("keys", &["-K", r"\t"]),
        ("nulls", &["-K", r"\x3a", "-D", r"\x1e", "-c", "3"]),
        ("offset", &["-o", "3"]),
        ("last", &["-o", "-2"]),
        ("beginning", &["-o", "beginning", "-c", "2"]),
        ("end", &["-o", "end"]),
        ("times", &["-o", &start, "-o", &end]),
        ("format", &["-f", format]),
    ];
    for (task, options) in readings {
        let by_kcat = peers.kcat(&[&["-C", "-t", topic, "-p", "0", "-e"], options].concat(), b"");
        let by_ottla = peers.ottla(&[&["consume", "-t", topic, "-p", "0", "-e"], options].concat(), b"");
        assert_eq!(by_kcat.is_empty(), task == "end", "{task}");
        assert_eq!(by_kcat.escape_ascii().to_string(), by_ottla.escape_ascii().to_string(), "{task}");
    }
}

fn objects(lines: &[u8]) -> Vec<Value> {
    lines.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).expect("JSON")).collect()
}

/// kcat's JSON has other names, and no null key or value that it does not have in the log.
fn same_json_is_read(peers: &Peers, topic: &str) {
    let by_kcat = objects(&peers.kcat(&["-C", "-t", topic, "-p", "0", "-e", "-J"], b""));
    let by_ottla = objects(&peers.ottla(&["consume", "-t", topic, "-p", "0", "-e", "-J"], b""));
    let renamed = |record: &Value| {
        let pairs = record["headers"].as_array().cloned().unwrap_or_default();
        let headers: Vec<Value> = pairs.chunks(2).map(|pair| json!({ "key": pair[0], "value": pair[1] })).collect();
        json!({
            "topic": record["topic"], "partition": record["partition"], "offset": record["offset"],
            "timestamp": record["ts"], "key": record["key"], "value": record["payload"], "headers": headers,
        })
    };
    assert_eq!(by_kcat.iter().map(renamed).collect::<Vec<_>>(), by_ottla);
    assert_eq!(by_ottla.len(), 6);
}

fn same_metadata_is_listed(peers: &Peers, topic: &str) {
    let [by_kcat] = &objects(&peers.kcat(&["-L", "-t", topic, "-J"], b""))[..] else { panic!("one object") };
    let brokers = objects(&peers.ottla(&["cluster", "--json"], b""));
    let listed = by_kcat["brokers"].as_array().expect("brokers");
    let address = |broker: &Value| format!("{}:{}", broker["host"].as_str().expect("a host"), broker["port"]);
    assert_eq!(listed.iter().map(|broker| &broker["id"]).collect::<Vec<_>>(), [&brokers[0]["broker"]]);
    assert_eq!(listed[0]["name"], address(&brokers[0]));
    assert_eq!(by_kcat["controllerid"] == brokers[0]["broker"], brokers[0]["controller"] == true);

    let described = objects(&peers.ottla(&["topics", "describe", topic, "--json"], b""));
    let ids = |list: &Value| list.as_array().expect("a list").iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    let renamed = |partition: &Value| {
        json!({
            "partition": partition["partition"], "leader": partition["leader"], "replicas": ids(&partition["replicas"]),
            "isr": ids(&partition["isrs"]),
        })
    };
    let by_kcat = by_kcat["topics"][0]["partitions"].as_array().expect("partitions").iter().map(renamed);
    let kept = ["partition", "leader", "replicas", "isr"];
    let kept = |partition: &Value| Value::from_iter(kept.map(|name| (name.to_owned(), partition[name].clone())));
    assert_eq!(by_kcat.collect::<Vec<_>>(), described.iter().map(kept).collect::<Vec<_>>());
}

fn same_offsets_are_found(peers: &Peers, topic: &str, first: i64) {
    for timestamp in [0, first + 1, first + 2_000, first + 60_000 * 60] {
        let place = format!("{topic}:0:{timestamp}");
        let by_kcat = peers.kcat(&["-Q", "-t", &place], b"");
        let by_ottla = peers.ottla(&["offsets", &place], b"");
        assert_eq!(String::from_utf8_lossy(&by_kcat), String::from_utf8_lossy(&by_ottla), "{timestamp}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_output_as_kcat_on_thirteen_tasks() {
    let (_, port) = rig::RELEASES[0];
    if !rig::is_up(port) {
        return;
    }
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    let peers = Peers { brokers: rig::address(port) };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("file");
    std::fs::write(&file, b"two lines\nand \xff\0 bytes\n").expect("written");
    same_records_are_written(&client, &peers, file.to_str().expect("text")).await;

    let topic = topic(&client, "read", 2).await;
    let first = write(&client, &topic).await;
    same_records_are_read(&peers, &topic, first);
    same_json_is_read(&peers, &topic);
    same_metadata_is_listed(&peers, &topic);
    same_offsets_are_found(&peers, &topic, first);
}
