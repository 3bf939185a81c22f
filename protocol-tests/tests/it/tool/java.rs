//! The tool and Java's `kafka-consumer-groups` side by side, on real brokers.

use std::collections::BTreeMap;

use ottla::Client;
use ottla::consumer::GroupProtocol;
use ottla::consumer::Position;
use ottla::types::TopicPartition;
use protocol_tests::rig;
use serde_json::Value;

use super::brokers::member;
use super::brokers::topic;
use super::tool;

/// The rows of a table of Java's tool: each cell by the name of its column.
fn java(port: u16, group: &str, arguments: &[&str]) -> Vec<BTreeMap<String, String>> {
    let mut command = rig::java("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand");
    command.args(["--bootstrap-server", &rig::address(port), "--group", group]).args(arguments);
    let text = String::from_utf8(rig::output(&mut command)).expect("text");
    let mut lines = text.lines().skip_while(|line| !line.starts_with("GROUP"));
    let heading =
        lines.next().unwrap_or_else(|| panic!("no table: {text}")).replace("COORDINATOR (ID)", "COORDINATOR ID");
    let names: Vec<&str> = heading.split_whitespace().collect();
    let row = |line: &str| {
        names.iter().zip(line.split_whitespace()).map(|(name, cell)| ((*name).to_owned(), cell.to_owned())).collect()
    };
    lines.filter(|line| !line.trim().is_empty()).map(row).collect()
}

fn ottla(port: u16, arguments: &[&str]) -> Vec<Value> {
    let mut command = std::process::Command::new(tool());
    command.args(["-b", &rig::address(port), "--json"]).args(arguments);
    let text = String::from_utf8(rig::output(&mut command)).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A number, or the dash that Java prints where there is none.
fn number(value: &Value) -> String {
    value.as_i64().map_or("-".to_owned(), |number| number.to_string())
}

/// Topic, partition, committed offset, end, lag, member, host.
type Row = [String; 7];

fn same_lag(port: u16, group: &str) -> Vec<Row> {
    let of_java = java(port, group, &["--describe"]);
    let names = ["TOPIC", "PARTITION", "CURRENT-OFFSET", "LOG-END-OFFSET", "LAG", "CONSUMER-ID", "HOST"];
    let mut of_java: Vec<Row> =
        of_java.iter().map(|row| names.map(|name| row[name].trim_start_matches('/').to_owned())).collect();
    of_java.sort();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |row: &Value| -> Row {
        [
            text(&row["topic"]),
            row["partition"].to_string(),
            number(&row["committed"]),
            number(&row["end"]),
            number(&row["lag"]),
            text(&row["member"]),
            text(&row["host"]),
        ]
    };
    let mut ours: Vec<Row> = ottla(port, &["lag", "-g", group]).iter().map(row).collect();
    ours.sort();
    assert_eq!(ours, of_java);
    ours
}

fn same_members(port: u16, group: &str) {
    let [described] = &ottla(port, &["groups", "describe", group])[..] else { panic!("one group") };
    let [state] = &java(port, group, &["--describe", "--state"])[..] else { panic!("one group") };
    assert_eq!(described["state"], state["STATE"].as_str());
    assert_eq!(format!("({})", described["coordinator"]), state["ID"]);
    let members = described["members"].as_array().expect("a list");
    assert_eq!(members.len().to_string(), state["#MEMBERS"]);
    if members.is_empty() {
        return;
    }
    assert_eq!(described["assignor"], state["ASSIGNMENT-STRATEGY"].as_str());
    let of_java: BTreeMap<String, String> = java(port, group, &["--describe", "--members"])
        .iter()
        .map(|row| (row["CONSUMER-ID"].clone(), format!("{} {} {}", row["HOST"], row["CLIENT-ID"], row["#PARTITIONS"])))
        .collect();
    let of_member = |member: &Value| {
        let count = member["partitions"].as_array().map_or(0, Vec::len);
        let text = |name: &str| member[name].as_str().unwrap_or_default().to_owned();
        (text("member"), format!("/{} {} {count}", text("host"), text("client")))
    };
    assert_eq!(members.iter().map(of_member).collect::<BTreeMap<_, _>>(), of_java);
}

fn same_plan(port: u16, group: &str, goal: &[&str]) {
    let of_java = java(port, group, &[&["--reset-offsets", "--all-topics", "--dry-run"], goal].concat());
    let of_java: BTreeMap<String, String> = of_java
        .iter()
        .map(|row| (format!("{} {}", row["TOPIC"], row["PARTITION"]), row["NEW-OFFSET"].clone()))
        .collect();
    let reset = [&["groups", "reset-offsets", "-g", group, "--all-topics", "--dry-run"], goal].concat();
    let ours: BTreeMap<String, String> = ottla(port, &reset)
        .iter()
        .map(|row| (format!("{} {}", row["topic"].as_str().expect("text"), row["partition"]), number(&row["new"])))
        .collect();
    assert_eq!(ours, of_java, "{goal:?}");
}

async fn agree(port: u16, protocol: GroupProtocol) {
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    let (topic, group) = (topic(&client, 12).await, rig::fresh("agreed"));
    let mut first = member(&client, &group, &topic, protocol).await;
    let position = Position { offset: 5, epoch: None };
    first.commit_positions([(TopicPartition::new(topic.as_str(), 0), position)]).await.expect("committed");
    let rows = same_lag(port, &group);
    assert_eq!(rows.iter().map(|row| row[4].as_str()).collect::<Vec<_>>(), ["7", "-"], "{rows:?}");
    same_members(port, &group);
    first.close().await.expect("it leaves");
    let rows = same_lag(port, &group);
    assert_eq!(rows.len(), 1, "only what is committed: {rows:?}");
    same_members(port, &group);
    // Other groups and releases take the same way. Each plan of Java starts a virtual machine.
    let is_thorough = port == rig::RELEASES[0].1 && protocol == GroupProtocol::Classic;
    let goals = if is_thorough { usize::MAX } else { 1 };
    let all = [
        &["--shift-by", "-2"][..],
        &["--to-earliest"],
        &["--to-latest"],
        &["--to-offset", "9"],
        &["--to-offset", "99"],
        &["--shift-by", "-20"],
        &["--by-duration", "PT1H"],
        &["--to-datetime", "2020-01-01T00:00:00.000"],
    ];
    for goal in all.into_iter().take(goals) {
        same_plan(port, &group, goal);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_numbers_as_kafka_consumer_groups_for_classic_groups() {
    for (release, port) in rig::RELEASES {
        if rig::is_up(port) {
            eprintln!("{release}");
            agree(port, GroupProtocol::Classic).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_numbers_as_kafka_consumer_groups_for_kip_848() {
    let (_, port) = rig::RELEASES[0];
    if rig::is_up(port) {
        agree(port, GroupProtocol::Consumer).await;
    }
}

/// The settings that Java's `kafka-configs` prints for a resource, by their names.
fn java_configs(port: u16, arguments: &[&str]) -> BTreeMap<String, String> {
    let mut command = rig::java("kafka.admin.ConfigCommand");
    command.args(["--bootstrap-server", &rig::address(port), "--describe"]).args(arguments);
    let text = String::from_utf8(rig::output(&mut command)).expect("text");
    let settings = text.lines().filter(|line| line.starts_with("  ")).filter_map(|line| line.trim().split_once('='));
    let value = |rest: &str| rest.split(" sensitive=").next().unwrap_or_default().to_owned();
    settings.map(|(name, rest)| (name.to_owned(), value(rest))).collect()
}

fn same_configs(port: u16, kind: &str, name: &str, all: bool) -> usize {
    let all = if all { &["--all"][..] } else { &[] };
    let entity = format!("{kind}s");
    let of_java = java_configs(port, &[&["--entity-type", &*entity, "--entity-name", name], all].concat());
    let rows = ottla(port, &[&["configs", "describe", kind, name], all].concat());
    let value = |row: &Value| row["value"].as_str().unwrap_or("null").to_owned();
    let ours: BTreeMap<String, String> =
        rows.iter().map(|row| (row["setting"].as_str().expect("text").to_owned(), value(row))).collect();
    assert_eq!(ours, of_java, "{kind} {name}");
    ours.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn same_settings_as_kafka_configs() {
    for (release, port) in rig::RELEASES {
        if !rig::is_up(port) {
            continue;
        }
        eprintln!("{release}");
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        let topic = topic(&client, 0).await;
        assert_eq!(same_configs(port, "topic", &topic, false), 0);
        let set = ["--set", "retention.ms=77000", "--set", "cleanup.policy=compact,delete"];
        let alter = [&["configs", "alter", "topic", &topic], &set[..]].concat();
        assert!(ottla(port, &alter).is_empty());
        while ottla(port, &["configs", "describe", "topic", &topic]).len() < 2 {}
        assert_eq!(same_configs(port, "topic", &topic, false), 2);
        assert!(same_configs(port, "topic", &topic, true) > 20);
        assert!(same_configs(port, "broker", "1", true) > 100);
    }
}
