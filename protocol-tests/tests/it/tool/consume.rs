//! `ottla consume`: ranges, several topics, output by delimiters, resets, and errors of one partition.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::sync::mpsc;

use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::NewBatch;
use ottla::mock::On;
use ottla::mock::Server;
use ottla::mock::key;

use super::Done;
use super::PATIENCE;
use super::run;
use super::spawn;

/// A cluster in this process, so that a test can damage it.
pub(super) async fn served(cluster: Cluster) -> Server {
    Server::start(cluster, ([127, 0, 0, 1], 0).into()).await.expect("a port is free")
}

fn consume(server: &Server, arguments: &[&str]) -> Done {
    run(&[&["-b", server.bootstrap(), "consume"], arguments].concat(), "")
}

/// Appends one record for each value, with the timestamps 1,000, 2,000 …
pub(super) fn append(cluster: &mut Cluster, topic: &str, partition: i32, values: &[&'static str]) {
    for (value, at) in values.iter().zip((1_000..).step_by(1_000)) {
        cluster.append(topic, partition, &NewBatch::of([("k", *value)]).timestamp(at)).expect("the partition exists");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_position_is_reported_on_standard_error() {
    let mut cluster = Cluster::builder().topic("t", 1).build();
    append(&mut cluster, "t", 0, &["a", "b", "c", "d"]);
    cluster.delete_before("t", 0, 2).expect("the partition exists");
    let server = served(cluster).await;
    let done = consume(&server, &["-t", "t", "-o", "1", "-e"]);
    assert_eq!(done.lines(), ["c", "d"]);
    assert!(done.err.starts_with("ottla: position of t[0] reset from 1 to 2: "), "{done:?}");
    assert_eq!(done.err.lines().count(), 1, "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topic_that_begins_with_a_caret_is_a_pattern_in_a_group() {
    let mut cluster = Cluster::builder().topic("logs-1", 1).topic("logs-2", 1).topic("old-logs-3", 1).build();
    for topic in ["logs-1", "logs-2", "old-logs-3"] {
        append(&mut cluster, topic, 0, &[topic]);
    }
    cluster.create_topic("other", 1);
    append(&mut cluster, "other", 0, &["other"]);
    let server = served(cluster).await;
    let done = consume(&server, &["-g", "g", "-t", r"^logs-\d+,other", "-c", "3"]);
    let mut lines = done.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["logs-1", "logs-2", "other"], "{done:?}");
    let done = consume(&server, &["-g", "g", "-t", "^("]);
    assert!(done.status != Some(0) && done.err.contains("is not a regular expression"), "{done:?}");
    let done = consume(&server, &["-t", "^logs-.*", "-e"]);
    assert!(done.status == Some(2) && done.err.contains("name it by -g"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partition_that_fails_is_left_and_others_are_read() {
    for ending in [&["-e"][..], &["-c", "2"], &["-o", "e@3000"]] {
        let mut cluster = Cluster::builder().topic("t", 3).build();
        append(&mut cluster, "t", 0, &["damaged"]);
        append(&mut cluster, "t", 1, &["a", "b", "c"]);
        append(&mut cluster, "t", 2, &["c", "d", "e"]);
        cluster.play(On::api(key::FETCH).partition("t", 0).then(Fault::CorruptRecords).forever());
        let server = served(cluster).await;
        let partitions = if ending[0] == "-c" { "0,1" } else { "0,1,2" };
        let done = consume(&server, &[&["-t", "t", "-p", partitions, "-D", " "], ending].concat());
        // With -c, both may be read before the damage is found.
        if ending[0] == "-c" {
            assert_eq!(done.out, "a b ", "{done:?}");
            continue;
        }
        assert_eq!(done.status, Some(1), "{done:?}");
        let mut read: Vec<&str> = done.out.split_whitespace().collect();
        read.sort_unstable();
        let expected = if ending == ["-e"] { &["a", "b", "c", "c", "d", "e"][..] } else { &["a", "b", "c", "d"] };
        assert_eq!(read, expected, "{done:?}");
        let errors: Vec<&str> = done.err.lines().collect();
        let [error, end] = errors[..] else { panic!("{done:?}") };
        assert!(error.starts_with("ottla: could not read a record batch, topic t[0], offset 0: "), "{error}");
        assert_eq!(end, "ottla: not all was read, because of errors of t[0]");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outage_is_reported_when_it_begins_and_ends() {
    let mut cluster = Cluster::builder().topic("t", 1).build();
    append(&mut cluster, "t", 0, &["a"]);
    let server = served(cluster).await;
    let mut child = spawn(&["-b", server.bootstrap(), "consume", "-t", "t", "-c", "2"]);
    let (sender, lines) = mpsc::channel();
    for pipe in [
        Box::new(child.stdout.take().expect("a pipe")) as Box<dyn Read + Send>,
        Box::new(child.stderr.take().expect("a pipe")),
    ] {
        let sender = sender.clone();
        std::thread::spawn(move || BufReader::new(pipe).lines().try_for_each(|line| sender.send(line.expect("text"))));
    }
    drop(sender);
    let next = || lines.recv_timeout(PATIENCE).expect("a line");
    assert_eq!(next(), "a");
    server.with(|cluster| cluster.set_down(1));
    let begun = next();
    assert!(begun.starts_with("ottla: cannot reach any broker; trying again: "), "{begun}");
    server.with(|cluster| cluster.set_up(1));
    assert_eq!(next(), "ottla: all brokers can be reached again");
    server.with(|cluster| append(cluster, "t", 0, &["b"]));
    assert_eq!(next(), "b");
    assert_eq!(child.wait().expect("an end").code(), Some(0));
    assert_eq!(lines.iter().count(), 0, "nothing else is printed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn range_of_timestamps_ends_before_its_end() {
    let mut cluster = Cluster::builder().topic("a", 1).topic("b", 2).build();
    append(&mut cluster, "a", 0, &["a1", "a2", "a3", "a4"]);
    append(&mut cluster, "b", 1, &["b1", "b2", "b3"]);
    let server = served(cluster).await;
    let read = |arguments: &[&str]| {
        let done = consume(&server, arguments);
        let mut lines: Vec<String> = done.lines().iter().map(|line| (*line).to_owned()).collect();
        lines.sort();
        lines
    };
    assert_eq!(read(&["-t", "a", "-o", "s@2000", "-o", "e@4000"]), ["a2", "a3"], "ends without -e");
    assert_eq!(read(&["-t", "a", "-o", "e@1001", "-o", "beginning"]), ["a1"]);
    assert_eq!(read(&["-t", "a", "-o", "1", "-o", "e@3000"]), ["a2"]);
    assert_eq!(read(&["-t", "a", "-o", "e@9000", "-e"]), ["a1", "a2", "a3", "a4"]);
    assert_eq!(read(&["-t", "a,b", "-o", "e@2000", "-e"]), ["a1", "b1"]);
    assert_eq!(read(&["-t", "a", "-t", "b", "-e"]).len(), 7);
    assert_eq!(read(&["-t", "a,b", "-p", "0", "-e"]).len(), 4);
    for (offsets, parts) in [
        (["e@5", "e@6"], ["-o e@6", "one start and one end"]),
        (["1", "end"], ["-o end", "one start and one end"]),
        (["s@5", "e@5"], ["-o e@5", "not after the start s@5"]),
        (["s@5", "e@-6"], ["-o e@-6", "e@TIMESTAMP_MS"]),
    ] {
        consume(&server, &["-t", "a", "-o", offsets[0], "-o", offsets[1]]).failed(2, &parts);
    }
    consume(&server, &["-t", "a,b", "-p", "0,1"]).failed(1, &["-p 1", "topic a has 1 partition, numbered from 0"]);
    consume(&server, &["-t", "b", "-p", "-1"]).failed(2, &["-p -1", "numbered from 0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_found_by_place_and_time() {
    let mut cluster = Cluster::builder().topic("t", 2).topic("u", 1).build();
    append(&mut cluster, "t", 1, &["a", "b", "c"]);
    cluster.delete_before("t", 1, 1).expect("the partition exists");
    let server = served(cluster).await;
    let offsets = |arguments: &[&str]| run(&[&["-b", server.bootstrap(), "offsets"], arguments].concat(), "");
    for (places, expected) in [
        (&["t"][..], &["t [0] offset 0", "t [1] offset 3"][..]),
        (&["t:1:beginning", "t:1:end", "u"], &["t [1] offset 1", "t [1] offset 3", "u [0] offset 0"]),
        (&["t:1:2500"], &["t [1] offset 2"]),
        (&["t:1:9000"], &["t [1] offset -1"]),
    ] {
        assert_eq!(offsets(places).lines(), expected);
    }
    let late = r#"{"topic":"t","partition":1,"offset":null,"timestamp":null}"#;
    assert_eq!(offsets(&["t:1:9000", "--json"]).lines(), [late]);
    for wrong in ["t:x", "t:-1", ":0", "t:0:soon", "t:0:-5"] {
        offsets(&[wrong]).failed(2, &[wrong, "TOPIC:PARTITION:WHEN", "beginning or end"]);
    }
    offsets(&["nosuch"]).failed(1, &["nosuch", "UNKNOWN_TOPIC_OR_PARTITION", "ottla topics list"]);
    offsets(&["t:7"]).failed(1, &["partition 7: topic t has 2 partitions, numbered from 0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delimiters_and_nulls_print_as_kcat_does() {
    let mut cluster = Cluster::builder().topic("t", 1).build();
    let records = [(Some("k"), Some("v")), (None, Some("")), (Some(""), None)];
    cluster.append("t", 0, &NewBatch::of_nullable(records)).expect("the partition exists");
    let server = served(cluster).await;
    let read = |arguments: &[&str]| {
        let done = consume(&server, &[&["-t", "t", "-e"], arguments].concat());
        assert_eq!(done.status, Some(0), "{done:?}");
        done.out
    };
    assert_eq!(read(&["-K", r"\t"]), "k\tv\n\t\n\t\n");
    assert_eq!(read(&["-K", "", "-D", r"\0\n"]), "kv\0\n\0\n\0\n");
    assert_eq!(read(&["-K", ":", "-Z"]), "k:v\nNULL:\n:NULL\n");
    assert_eq!(read(&["-D", ""]), "v");
    assert_eq!(read(&["-f", "%R%s", "-c", "2"]), "\0\0\0\u{1}v\0\0\0\0");
    assert_eq!(read(&["--json", "-D", "|"]).matches("}|").count(), 3);
    for (arguments, parts) in [
        (["-f", "%s", "-K", ":"], ["-f", "-K and -D"]),
        (["--json", "-f", "%s", "-Z"], ["-f", "--json"]),
        (["--json", "-K", ":", "-Z"], ["-K", "--json"]),
        (["-D", r"\q", "-K", ":"], ["-D", r"\q is not an escape"]),
    ] {
        consume(&server, &[&["-t", "t"], &arguments[..]].concat()).failed(2, &parts);
    }
}
