//! Real brokers of three releases, with the clients of Java and librdkafka as peers.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::codec::Compression;
use ottla::consumer::Start;
use ottla::types::TopicPartition;
use protocol_tests::rig;

const PARTITIONS: i32 = 3;
const RECORDS: usize = 3_000;

/// JSON lines of uneven length, some of them long.
fn lines() -> Vec<String> {
    let line = |index: usize| {
        format!(
            "{{\"n\":{index},\"name\":\"crate-{}\",\"deps\":\"{}\"}}",
            index * 7919 % 1_000,
            "x".repeat(index % 700)
        )
    };
    (0..RECORDS).map(line).collect()
}

async fn topic(client: &Client, name: &str) -> String {
    let topic = rig::fresh(name);
    let made = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(PARTITIONS)]).await;
    for (_, outcome) in made.expect("a controller") {
        outcome.expect("a topic");
    }
    topic
}

/// The records of each partition, in order.
type Content = BTreeMap<i32, Vec<String>>;

async fn produce(client: &Client, topic: &str, compression: Compression) -> Content {
    let producer = client.producer().compression(compression).batch_bytes(32 * 1024).build().expect("a producer");
    let mut deliveries = Vec::new();
    let lines = lines();
    for line in &lines {
        let record = Record::to(topic).key(&line[..8]).value(line).header("h", "1").header("h", "2");
        deliveries.push(producer.enqueue(record).await.expect("there is capacity"));
    }
    let mut content = Content::new();
    for (line, delivery) in lines.into_iter().zip(deliveries) {
        let receipt = delivery.await.expect("acknowledged");
        let partition = content.entry(receipt.partition).or_default();
        assert_eq!(receipt.offset, i64::try_from(partition.len()).ok(), "offsets are those of the log");
        partition.push(line);
    }
    producer.close(Duration::from_secs(10)).await.expect("nothing is left");
    content
}

async fn consume(client: &Client, topic: &str) -> Content {
    let mut consumer =
        client.consumer().assign([topic]).start(Start::Earliest).until_end().build().expect("a consumer");
    let mut content = Content::new();
    while let Some(records) = consumer.poll().await.expect("records") {
        for record in &records {
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
            content.entry(record.partition).or_default().push(value);
        }
    }
    consumer.close().await.expect("closed");
    content
}

fn by_kcat(port: u16, topic: &str) -> Content {
    let mut content = Content::new();
    for (partition, _, value) in rig::kcat_records(port, topic) {
        content.entry(partition).or_default().push(value);
    }
    content
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_round_trips_on_every_release() {
    for (release, port) in rig::RELEASES {
        if !rig::is_up(port) {
            continue;
        }
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        for compression in Compression::ALL {
            let topic = topic(&client, compression.name()).await;
            let sent = produce(&client, &topic, compression).await;
            assert!(consume(&client, &topic).await == sent, "{release} {compression}: read back by ottla");
            assert!(by_kcat(port, &topic) == sent, "{release} {compression}: read by kcat");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_librdkafka_are_read() {
    for (release, port) in rig::RELEASES {
        if !rig::is_up(port) {
            continue;
        }
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        for compression in Compression::ALL {
            let topic = topic(&client, "kcat").await;
            // Without idempotence librdkafka reorders records that a new leader refuses at first.
            let mut kcat = Command::new("kcat")
                .args(["-b", &rig::address(port), "-P", "-t", &topic, "-p", "1", "-z", compression.name()])
                .args(["-X", "enable.idempotence=true"])
                .stdin(Stdio::piped())
                .spawn()
                .expect("kcat");
            let text = lines().join("\n") + "\n";
            kcat.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
            assert!(kcat.wait().expect("an end").success());
            let read = consume(&client, &topic).await;
            assert!(read == Content::from([(1, lines())]), "{release} {compression}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_reads_our_records_and_we_read_javas() {
    let (_, port) = rig::RELEASES[0];
    if !rig::is_up(port) {
        return;
    }
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    for compression in Compression::ALL {
        let topic = topic(&client, "java").await;
        let mut sent: Vec<String> = produce(&client, &topic, compression).await.into_values().flatten().collect();
        let count = RECORDS.to_string();
        let mut java = rig::java("org.apache.kafka.tools.consumer.ConsoleConsumer");
        java.args(["--bootstrap-server", &rig::address(port), "--topic", &topic, "--from-beginning"]);
        java.args(["--max-messages", &count, "--timeout-ms", "30000"]);
        let text = String::from_utf8(rig::output(&mut java)).expect("text");
        let mut read: Vec<String> = text.lines().map(str::to_owned).collect();
        sent.sort();
        read.sort();
        assert!(read == sent, "{compression}: read by Java");
    }
    let topic = topic(&client, "java-out").await;
    let mut java = rig::java("org.apache.kafka.tools.ConsoleProducer");
    java.args(["--bootstrap-server", &rig::address(port), "--topic", &topic, "--compression-codec", "zstd"]);
    let mut java = java.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("java");
    let text = lines().join("\n") + "\n";
    java.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    assert!(java.wait().expect("an end").success());
    let mut read: Vec<String> = consume(&client, &topic).await.into_values().flatten().collect();
    let mut expected = lines();
    read.sort();
    expected.sort();
    assert!(read == expected, "written by Java");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_are_committed_for_a_group_without_joining_it() {
    for (release, port) in rig::RELEASES {
        if !rig::is_up(port) {
            continue;
        }
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        let topic = topic(&client, "commit").await;
        produce(&client, &topic, Compression::None).await;
        let group = rig::fresh("group");
        let stored = || Start::Stored { otherwise: Box::new(Start::Earliest) };
        let build = || client.consumer().group(&group).assign([topic.as_str()]).start(stored()).until_end().build();
        let mut first = build().expect("a consumer");
        let mut seen = first.poll().await.expect("records").map_or(0, |records| records.count());
        assert!(seen > 0, "{release}");
        first.commit().await.expect("committed");
        first.close().await.expect("closed");
        let mut second = build().expect("a consumer");
        while let Some(records) = second.poll().await.expect("records") {
            seen += records.count();
        }
        assert_eq!(seen, RECORDS, "{release}: the second continues where the first committed");
        second.commit().await.expect("committed");
        let ends: BTreeMap<TopicPartition, i64> = second.end_offsets().await.expect("ends").into_iter().collect();
        for (partition, position) in second.committed().await.expect("offsets") {
            assert_eq!(
                position.map(|position| position.offset),
                ends.get(&partition).copied(),
                "{release} {partition}"
            );
        }
        second.close().await.expect("closed");
    }
}
