//! Groups of our members with Java's and librdkafka's, whoever leads.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::consumer::Consumer;
use ottla::consumer::GroupProtocol;
use protocol_tests::rig;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::membership::assignors;
use super::membership::topic;

const PARTITIONS: i32 = 6;
/// Instead of an assignor: the protocol whose coordinator assigns.
const CONSUMER: &str = "consumer";
const SOON: Duration = Duration::from_secs(60);
/// A group that is settled has no rebalance for this long.
const CALM: Duration = Duration::from_secs(8);

/// A member of another client, and the lines that it printed.
struct Foreign {
    process: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Foreign {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("the other client");
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                into.lock().expect("no panic").push(line);
            }
        });
        Self { process, lines }
    }

    fn kcat(port: u16, group: &str, topic: &str, assignor: &str) -> Self {
        let mut command = Command::new("kcat");
        let strategy = format!("partition.assignment.strategy={assignor}");
        command.args(["-b", &rig::address(port), "-q", "-u", "-X", &strategy, "-X", "auto.offset.reset=earliest"]);
        command.args(["-f", "%p %s\n", "-G", group, topic]);
        Self::start(&mut command)
    }

    /// A member of the classic protocol, whatever ours is.
    fn classic_kcat(port: u16, group: &str, topic: &str, _: &str) -> Self {
        Self::kcat(port, group, topic, "range")
    }

    fn java(port: u16, group: &str, topic: &str, assignor: &str) -> Self {
        let class = match assignor {
            "range" => "RangeAssignor",
            "roundrobin" => "RoundRobinAssignor",
            "sticky" => "StickyAssignor",
            _ => "CooperativeStickyAssignor",
        };
        let mut command = rig::java("org.apache.kafka.tools.consumer.ConsoleConsumer");
        let strategy = match assignor {
            CONSUMER => format!("group.protocol={CONSUMER}"),
            _ => format!("partition.assignment.strategy=org.apache.kafka.clients.consumer.{class}"),
        };
        command.args(["--bootstrap-server", &rig::address(port), "--group", group, "--topic", topic]);
        command.args(["--consumer-property", &strategy, "--consumer-property", "auto.offset.reset=earliest"]);
        command.args(["--property", "print.partition=true"]);
        Self::start(&mut command)
    }

    /// The values that it read. Other lines are warnings of the program.
    fn values(&self) -> Vec<String> {
        let last = |line: &String| line.split_whitespace().last().unwrap_or_default().to_owned();
        let is_value = |word: &String| word == "first" || word.parse::<u32>().is_ok();
        self.lines.lock().expect("no panic").iter().map(last).filter(is_value).collect()
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn ours(client: &Client, group: &str, topic: &str, assignor: &str) -> Consumer {
    let builder = client.consumer().group(group).subscribe([topic]);
    if assignor == CONSUMER {
        return builder.group_protocol(GroupProtocol::Consumer).build().expect("a consumer");
    }
    let builder = builder.assignors(assignors(assignor));
    builder.heartbeat_interval(Duration::from_millis(500)).build().expect("a consumer")
}

/// Polls until `done`, and returns the values that came.
async fn poll_until(member: &mut Consumer, mut done: impl FnMut(&Consumer, &[String]) -> bool) -> Vec<String> {
    let begun = Instant::now();
    let mut values = Vec::new();
    while !done(member, &values) {
        assert!(begun.elapsed() < SOON, "{:?}: {} values", member.assignment(), values.len());
        let Ok(polled) = tokio::time::timeout(Duration::from_millis(200), member.poll()).await else { continue };
        for record in &polled.expect("no error").expect("no end") {
            values.push(String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text"));
        }
    }
    values
}

fn generation(member: &Consumer) -> i32 {
    member.group_metadata().map_or(-1, |member| member.generation)
}

/// Both have half of the partitions, and then nothing rebalances.
async fn settle(member: &mut Consumer) -> Vec<String> {
    let mut calm_since = (Instant::now(), -1);
    poll_until(member, |member, _| {
        let is_shared = member.assignment().len() == 3;
        if !is_shared || generation(member) != calm_since.1 {
            calm_since = (Instant::now(), generation(member));
        }
        is_shared && calm_since.0.elapsed() > CALM
    })
    .await
}

/// The other client, by the port, the group, the topic and the assignor.
type Start = fn(u16, &str, &str, &str) -> Foreign;

async fn share(client: Client, port: u16, start: Start, assignor: &'static str, we_lead: bool) {
    let (topic, group) = (topic(&client, PARTITIONS).await, rig::fresh("mixed"));
    let producer = client.producer().build().expect("a producer");
    producer.send(Record::to(topic.as_str()).value("first")).await.expect("written");
    let mut values = Vec::new();
    // The first member to join leads.
    let (foreign, mut member) = if we_lead {
        let mut member = ours(&client, &group, &topic, assignor);
        values.extend(poll_until(&mut member, |_, values| !values.is_empty()).await);
        (start(port, &group, &topic, assignor), member)
    } else {
        let foreign = start(port, &group, &topic, assignor);
        let begun = Instant::now();
        while foreign.values().is_empty() {
            assert!(begun.elapsed() < SOON, "the other client reads nothing");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        (foreign, ours(&client, &group, &topic, assignor))
    };
    values.extend(settle(&mut member).await);
    let mut expected = Vec::new();
    for number in 0..600 {
        let value = number.to_string();
        let record = Record::to(topic.as_str()).partition(number % PARTITIONS).value(&value);
        producer.send(record).await.expect("written");
        expected.push(value);
    }
    // The first record may be read twice: the other client may not have committed it before the group rebalanced.
    let others = |values: &[String]| values.iter().filter(|value| *value != "first").count();
    let so_far = others(&values);
    let is_all = |_: &Consumer, ours: &[String]| so_far + others(ours) + others(&foreign.values()) >= expected.len();
    values.extend(poll_until(&mut member, is_all).await);
    let mut all: Vec<String> = values.into_iter().chain(foreign.values()).filter(|value| value != "first").collect();
    all.sort();
    expected.sort();
    assert!(all == expected, "{assignor}, we lead: {we_lead}: {} values of {}", all.len(), expected.len());
    member.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn librdkafka_and_ottla_share_partitions_whoever_leads() {
    let port = rig::RELEASES[0].1;
    if !rig::is_up(port) {
        return;
    }
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    let mut runs = JoinSet::new();
    for assignor in ["range", "roundrobin", "cooperative-sticky"] {
        for we_lead in [true, false] {
            runs.spawn(share(client.clone(), port, Foreign::kcat, assignor, we_lead));
        }
    }
    runs.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn java_and_ottla_share_partitions_whoever_leads() {
    let port = rig::RELEASES[0].1;
    if !rig::is_up(port) {
        return;
    }
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    let mut runs = JoinSet::new();
    for (index, assignor) in super::membership::ASSIGNORS.into_iter().enumerate() {
        runs.spawn(share(client.clone(), port, Foreign::java, assignor, index % 2 == 0));
    }
    runs.join_all().await;
}

/// KIP-848: the coordinator assigns, and lets members of the classic protocol take part.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_clients_share_by_the_consumer_protocol() {
    let port = rig::RELEASES[0].1;
    if !rig::is_up(port) {
        return;
    }
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    let mut runs = JoinSet::new();
    for (start, we_are_first) in [
        (Foreign::java as Start, true),
        (Foreign::java as Start, false),
        (Foreign::classic_kcat as Start, true),
        (Foreign::classic_kcat as Start, false),
    ] {
        runs.spawn(share(client.clone(), port, start, CONSUMER, we_are_first));
    }
    runs.join_all().await;
}
