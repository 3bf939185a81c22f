//! The containers of the cluster: kill, start and pause them, and wait until the cluster is healthy.

use std::process::Command;
use std::time::Duration;

use ottla::Client;

use super::site::Site;

/// The nodes of a cluster.
const NODES: usize = 3;

/// Whether the cluster runs in containers. Brokers that were started from jars are neither killed nor paused.
pub(super) fn are_containers(site: &Site) -> bool {
    let there = docker(&["inspect", &site.container(1)]);
    if !there {
        eprintln!("NOT RUN: the cluster of three does not run in containers");
    }
    there
}

fn docker(arguments: &[&str]) -> bool {
    Command::new("docker").args(arguments).output().is_ok_and(|done| done.status.success())
}

/// Runs a docker command on a node without blocking the load.
async fn command(site: &Site, what: &'static [&'static str], node: i32) {
    let container = site.container(node);
    let run = move || {
        let arguments: Vec<&str> = what.iter().copied().chain([container.as_str()]).collect();
        assert!(docker(&arguments), "docker {arguments:?} failed");
    };
    tokio::task::spawn_blocking(run).await.expect("docker runs the command");
}

pub(super) async fn kill(site: &Site, node: i32) {
    command(site, &["kill", "-s", "KILL"], node).await;
}

/// Starts a node and waits until it accepts connections: by then the controller has noticed its absence.
pub(super) async fn start(site: &Site, node: i32) {
    command(site, &["start"], node).await;
    let port = site.port(node);
    let listens = async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), listens).await.expect("a node that was started comes up");
}

pub(super) async fn pause(site: &Site, node: i32) {
    command(site, &["pause"], node).await;
}

pub(super) async fn unpause(site: &Site, node: i32) {
    command(site, &["unpause"], node).await;
}

/// Restores every node when the test ends, however it ends.
pub(super) struct Healed(pub(super) Site);

impl Drop for Healed {
    fn drop(&mut self) {
        for node in 1..=3 {
            // Both fail if the node is healthy.
            docker(&["unpause", &self.0.container(node)]);
            docker(&["start", &self.0.container(node)]);
        }
    }
}

/// The node that leads a partition, if the cluster knows.
pub(super) async fn leader(client: &Client, topic: &str, partition: i32) -> Option<i32> {
    let described = client.admin().describe_topics([topic]).await.ok()?;
    let partitions = &described.first()?.partitions;
    partitions.iter().find(|description| description.index == partition)?.leader
}

/// Waits until every replica of the topic is in sync, for at most `patience`. Returns whether they are.
pub(super) async fn in_sync(client: &Client, topic: &str, patience: Duration) -> bool {
    let all = async {
        loop {
            if let Ok(described) = client.admin().describe_topics([topic]).await {
                let partitions: Vec<_> = described.iter().flat_map(|topic| &topic.partitions).collect();
                let whole = partitions.iter().all(|partition| partition.isr.len() == NODES);
                if whole && !partitions.is_empty() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(patience, all).await.is_ok()
}

/// Waits until the cluster is healthy.
pub(super) async fn settle(client: &Client, topic: &str) {
    assert!(in_sync(client, topic, Duration::from_secs(90)).await, "the cluster did not come back");
}
