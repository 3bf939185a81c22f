//! `ottla tail`.

use std::io::BufRead;
use std::io::BufReader;

use ottla::mock::Cluster;
use ottla::mock::NewBatch;
use ottla::mock::Server;

use super::consume::served;
use super::interrupt;
use super::run;
use super::spawn;

/// A topic of three partitions, whose records have these timestamps as values.
async fn stage() -> Server {
    let server = served(Cluster::builder().brokers(2).topic("t", 3).build()).await;
    for (partition, timestamps) in [(0, [1, 5]), (1, [2, 3]), (2, [4, 6])] {
        for timestamp in timestamps {
            append(&server, partition, timestamp);
        }
    }
    server
}

fn append(server: &Server, partition: i32, timestamp: i64) {
    let batch = NewBatch::of([("k", timestamp.to_string())]).timestamp(timestamp);
    server.with(|cluster| cluster.append("t", partition, &batch)).expect("the partition exists");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_records_are_printed_and_then_those_that_follow() {
    let server = stage().await;
    let on =
        |arguments: &[&'static str]| run(&[&["-b", server.bootstrap(), "tail", "-t", "t"], arguments].concat(), "");
    assert_eq!(on(&["-n", "3"]).out, "4\n5\n6\n");
    assert_eq!(on(&["-n", "1", "--per-partition", "-f", "%p@%o %s\\n"]).out, "0@1 5\n1@1 3\n2@1 6\n");
    assert!(on(&["-n", "1", "--json"]).out.contains(r#""timestamp":6"#));
    let missing = run(&["-b", server.bootstrap(), "tail", "-t", "absent"], "");
    assert!(missing.status == Some(1) && missing.err.contains("absent"), "{missing:?}");
    assert!(server.with(|cluster| cluster.topic_id("absent")).is_none());

    let mut child = spawn(&["-b", server.bootstrap(), "tail", "-t", "t", "-n", "1", "--follow"]);
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "6");
    append(&server, 1, 9);
    assert_eq!(next(), "9");
    interrupt(&child);
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}
