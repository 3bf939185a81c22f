//! A full disk: writes fail with an error that says whether they happened, and succeed again when space is freed.

use std::process::Command;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::consumer::Start;
use ottla::producer::Producer;
use ottla::types::TopicPartition;
use protocol_tests::history::Body;
use protocol_tests::history::Recorder;
use protocol_tests::history::Role;
use protocol_tests::history::Summary;
use protocol_tests::history::Value;
use protocol_tests::history::check;
use protocol_tests::rig;

use super::load::value_of;

const DELIVERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A file that fills the disk, and is removed again.
struct Ballast;

impl Ballast {
    const FILE: &str = "/tmp/kafka/ballast";

    fn fill() -> Self {
        // It ends with an error when the disk is full, as intended.
        exec(&format!("dd if=/dev/zero of={} bs=4k; true", Self::FILE));
        Self
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        exec(&format!("rm -f {}", Self::FILE));
    }
}

fn exec(script: &str) {
    rig::output(Command::new("docker").args(["exec", "ottla_full_1", "sh", "-c", script]));
}

struct Writer {
    recorder: Recorder,
    producer: Producer,
    process: u32,
    topic: String,
    sent: u32,
}

impl Writer {
    /// Sends a record of 10 kB and returns whether it was acknowledged. A failure must say whether it was written.
    async fn write(&mut self) -> bool {
        let value: Value = format!("{}-{}", self.topic, self.sent).into();
        self.sent += 1;
        let text = format!("{value} {}", "x".repeat(10_000));
        let deadline = self.recorder.now() + DELIVERY_TIMEOUT;
        let topic = self.topic.as_str().into();
        self.recorder.push(self.process, Body::Invoked { topic, partition: None, value: value.clone(), deadline });
        let outcome = self.producer.send(Record::to(&self.topic).value(&text)).await;
        if let Err(error) = &outcome {
            assert!(error.is_written().is_some(), "{error}: does not say whether it was written");
            assert!(error.is_retriable(), "{error}: may succeed when space is freed");
        }
        self.recorder.decided(self.process, value, &outcome);
        outcome.is_ok()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_fails_writes_until_space_is_freed() {
    let container = Command::new("docker").args(["inspect", "ottla_full_1"]).output();
    if !container.is_ok_and(|done| done.status.success()) {
        assert!(std::env::var("OTTLA_REQUIRE_REAL").is_err(), "there is no container with a small disk: rig up full");
        eprintln!("NOT RUN: there is no container with a small disk; protocol-tests/rig up full starts one");
        return;
    }
    let port = rig::SMALL_DISK;
    assert!(rig::is_up(port), "the container is there and the broker is not");
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    let topic = rig::fresh("disk");
    let made = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(1)]).await;
    made.expect("a controller").remove(0).1.expect("a topic");
    let recorder = Recorder::new();
    let process = recorder.open(Role::Producer { idempotent: true });
    let producer = client.producer().delivery_timeout(DELIVERY_TIMEOUT).build().expect("a producer");
    let mut writer = Writer { recorder: recorder.clone(), producer, process, topic: topic.clone(), sent: 0 };
    for _ in 0..20 {
        assert!(writer.write().await, "there is space");
    }
    let ballast = Ballast::fill();
    let mut attempts = 0;
    while writer.write().await {
        attempts += 1;
        assert!(attempts < 100, "the disk is full and still takes records");
    }
    assert!(!writer.write().await, "it is still full");
    drop(ballast);
    let again = async { while !writer.write().await {} };
    tokio::time::timeout(Duration::from_secs(60), again).await.expect("it continues when space is freed");
    for _ in 0..20 {
        assert!(writer.write().await, "there is space again");
    }
    read_all(&recorder, &client, &topic).await;
    let history = recorder.take();
    let anomalies = check(&history, super::SLACK);
    println!("disk: {}", Summary::of(history.events().iter()));
    assert!(anomalies.is_empty(), "{anomalies:?}");
    client.admin().delete_topics([topic.as_str()]).await.expect("a controller");
}

async fn read_all(recorder: &Recorder, client: &Client, topic: &str) {
    let process = recorder.open(Role::Consumer { group: None });
    let builder = client.consumer().assign([topic]).start(Start::Earliest).until_end();
    let mut consumer = builder.build().expect("a consumer");
    while let Some(records) = consumer.poll().await.expect("records") {
        // The padding differs from that of the other test: only the name matters.
        let name = |bytes: &[u8]| value_of(bytes).split(' ').next().unwrap_or_default().into();
        recorder.polled(process, &records, name);
    }
    let partition = TopicPartition::new(topic, 0);
    let to = consumer.position(&partition).expect("it was read").offset;
    recorder.push(process, Body::ReadToEnd { partition, from: 0, to });
}
