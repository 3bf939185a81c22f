//! The monitor against mock clusters in virtual time.

use super::*;
use crate::mock::Cluster as Mock;
use crate::mock::NewBatch;
use crate::mock::Server;
use crate::mock::key;
use crate::types::TopicPartition;

async fn stage() -> (Server, Client) {
    let server = Server::in_memory(Mock::builder().brokers(2).auto_create(true).topic("t", 2).build());
    let client = client(&server);
    for partition in 0..2 {
        append(&server, partition, 10);
        commit(&client, "a", partition, 10).await;
    }
    (server, client)
}

fn client(server: &Server) -> Client {
    let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
    builder.connect_lazy().expect("a runtime")
}

fn append(server: &Server, partition: i32, records: usize) {
    let batch = NewBatch::of((0..records).map(|_| ("k", "v")));
    server.with(|cluster| cluster.append("t", partition, &batch)).expect("the partition exists");
}

async fn commit(client: &Client, group: &str, partition: i32, offset: i64) {
    let offsets = [(TopicPartition::new("t", partition), offset)];
    client.admin().alter_group_offsets(group, offsets).await.remove(0).1.expect("the group has no members");
}

fn lines(events: Vec<LagEvent>) -> Vec<String> {
    events.iter().map(ToString::to_string).collect()
}

/// The changes of one more check.
async fn changes(monitor: &LagMonitor, judge: &mut Judge) -> Vec<String> {
    lines(judge.handle_report(&monitor.check().await))
}

#[tokio::test(start_paused = true)]
async fn congestion_is_reported_once_and_so_is_its_end() {
    let (server, client) = stage().await;
    let monitor = LagMonitor::new().cluster("main", &client, ["a"]).partition_threshold(5).topic_threshold("t", 8);
    let mut judge = Judge::default();
    assert!(changes(&monitor, &mut judge).await.is_empty());
    append(&server, 1, 5);
    assert!(changes(&monitor, &mut judge).await.is_empty(), "as many as the threshold allows");
    append(&server, 1, 1);
    assert_eq!(changes(&monitor, &mut judge).await, ["main: group a in t[1] is congested: 6 records left"]);
    append(&server, 0, 3);
    assert_eq!(changes(&monitor, &mut judge).await, ["main: group a in t is congested: 9 records left"]);
    assert!(changes(&monitor, &mut judge).await.is_empty(), "a state that stays is no event");
    commit(&client, "a", 1, 16).await;
    let ends = ["main: group a in t[1] has recovered", "main: group a in t has recovered"];
    assert_eq!(changes(&monitor, &mut judge).await, ends);
    commit(&client, "a", 0, 99).await;
    assert_eq!(changes(&monitor, &mut judge).await, ["main: group a in t[0] has committed past the end"]);
}

#[tokio::test(start_paused = true)]
async fn cluster_that_is_down_is_unknown_and_stops_no_other() {
    let ((down, dead), (_server, live)) = (stage().await, stage().await);
    append(&down, 0, 9);
    let monitor = LagMonitor::new().partition_threshold(5).deadline(Duration::from_secs(2));
    let monitor = monitor.cluster("dead", &dead, ["a"]).cluster("live", &live, ["a"]);
    let mut judge = Judge::default();
    assert_eq!(changes(&monitor, &mut judge).await, ["dead: group a in t[0] is congested: 9 records left"]);
    down.with(|cluster| [1, 2].into_iter().for_each(|broker| cluster.set_down(broker)));
    let begun = clock::now();
    let report = monitor.check().await;
    assert!(clock::now() - begun < Duration::from_millis(2_100), "it ends by its deadline");
    let known = |cluster: &ClusterLag| cluster.groups.iter().all(|(_, lag)| lag.is_ok());
    assert_eq!(report.clusters().iter().map(known).collect::<Vec<_>>(), [false, true]);
    let events = judge.handle_report(&report);
    assert!(events.len() == 1 && matches!(events[0].state, LagState::Unknown(_)), "{events:?}");
    assert_eq!(events[0].subject.cluster, "dead");
    down.with(|cluster| [1, 2].into_iter().for_each(|broker| cluster.set_up(broker)));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(changes(&monitor, &mut judge).await, ["dead: group a has recovered"], "it stayed congested");
    commit(&dead, "a", 0, 19).await;
    assert_eq!(changes(&monitor, &mut judge).await, ["dead: group a in t[0] has recovered"]);
}

#[tokio::test(start_paused = true)]
async fn watch_waits_for_changes_and_a_dropped_wait_loses_none() {
    let (server, client) = stage().await;
    let monitor = LagMonitor::new().cluster("main", &client, ["a"]).partition_threshold(5);
    let mut watch = monitor.watch(Duration::from_secs(15));
    for _ in 0..50 {
        assert!(tokio::time::timeout(Duration::from_secs(1), watch.next()).await.is_err(), "nothing changes");
    }
    append(&server, 0, 6);
    append(&server, 1, 7);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let Ok(event) = tokio::time::timeout(Duration::from_secs(1), watch.next()).await {
            seen.push(event.to_string());
        }
    }
    let expected =
        ["main: group a in t[0] is congested: 6 records left", "main: group a in t[1] is congested: 7 records left"];
    assert_eq!(seen, expected);
}

#[tokio::test(start_paused = true)]
async fn monitor_joins_no_group_and_creates_no_topic() {
    let (server, client) = stage().await;
    let query = LagQuery::new("nobody").topic("absent").topic("t");
    let monitor = LagMonitor::new().cluster("main", &client, [query.starts_at_end()]).partition_threshold(5);
    let report = monitor.check().await;
    let lag = report.clusters()[0].groups[0].1.as_ref().expect("an unknown group has committed nothing");
    assert!(lag.partitions[0].lag.is_err() && lag.partitions[1].to_read() == Some(0), "{lag:?}");
    assert_eq!(lines(report.events()).len(), 1, "only the topic that is absent");
    server.with(|cluster| {
        assert!(cluster.topic_id("absent").is_none());
        let joined = [key::JOIN_GROUP, key::HEARTBEAT, key::OFFSET_COMMIT].map(|api| cluster.requests_count(api));
        assert_eq!(joined, [0, 0, 2], "two commits were the stage's");
    });
}
