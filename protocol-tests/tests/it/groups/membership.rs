//! One group: its members share partitions as they join, leave and die, and processed records are committed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::NewTopic;
use ottla::consumer::Consumer;
use ottla::group::assignor;
use ottla::group::assignor::Assignor;
use ottla::types::TopicPartition;
use protocol_tests::rig;

pub(super) const ASSIGNORS: [&str; 4] = ["range", "roundrobin", "sticky", "cooperative-sticky"];
const SOON: Duration = Duration::from_secs(60);

pub(super) fn assignors(name: &str) -> [Arc<dyn Assignor>; 1] {
    [assignor::by_name(name).expect("a built-in assignor")]
}

pub(super) async fn topic(client: &Client, partitions: i32) -> String {
    let topic = rig::fresh("group");
    let made = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(partitions)]).await;
    for (_, outcome) in made.expect("a controller") {
        outcome.expect("a topic");
    }
    topic
}

fn member(client: &Client, group: &str, topic: &str, assignor: &str) -> Consumer {
    let builder = client.consumer().group(group).subscribe([topic]).assignors(assignors(assignor));
    builder.heartbeat_interval(Duration::from_millis(200)).build().expect("a consumer")
}

/// Polls both members until each has as many partitions as expected, and they share none.
pub(super) async fn settle(members: &mut [Consumer], topic: &str, partitions: usize) {
    let settled = async {
        loop {
            for member in &mut *members {
                let _ = tokio::time::timeout(Duration::from_millis(50), member.poll()).await.map(|polled| {
                    polled.expect("no error");
                });
            }
            let owned: Vec<BTreeSet<TopicPartition>> =
                members.iter().map(|member| member.assignment().into_iter().collect()).collect();
            let all: BTreeSet<&TopicPartition> = owned.iter().flatten().collect();
            let fewest = owned.iter().map(BTreeSet::len).min().unwrap_or_default();
            let most = owned.iter().map(BTreeSet::len).max().unwrap_or_default();
            let count: usize = owned.iter().map(BTreeSet::len).sum();
            if all.len() == partitions && count == partitions && most - fewest <= 1 {
                break;
            }
        }
    };
    let owned = |members: &[Consumer]| members.iter().map(Consumer::assignment).collect::<Vec<_>>();
    assert!(tokio::time::timeout(SOON, settled).await.is_ok(), "{topic} is not shared: {:?}", owned(members));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_partitions_as_they_join_and_leave() {
    for (release, port) in rig::RELEASES {
        if !rig::is_up(port) {
            continue;
        }
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        for assignor in ASSIGNORS {
            let topic = topic(&client, 7).await;
            let group = rig::fresh("share");
            let mut members = vec![member(&client, &group, &topic, assignor)];
            settle(&mut members, &topic, 7).await;
            members.push(member(&client, &group, &topic, assignor));
            settle(&mut members, &topic, 7).await;
            members.push(member(&client, &group, &topic, assignor));
            settle(&mut members, &topic, 7).await;
            members.remove(0).close().await.expect("closed");
            settle(&mut members, &topic, 7).await;
            for mut member in members {
                assert!(member.group_metadata().is_some_and(|member| member.generation >= 4), "{release} {assignor}");
                member.close().await.expect("closed");
            }
        }
    }
}

/// Each poll commits what the polls before it returned, and closing commits the rest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_member_continues_after_what_was_returned() {
    for (release, port) in rig::RELEASES {
        if !rig::is_up(port) {
            continue;
        }
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        let topic = topic(&client, 3).await;
        let group = rig::fresh("continue");
        let producer = client.producer().build().expect("a producer");
        let mut values = BTreeSet::new();
        for round in 0..3 {
            for record in 0..1_000 {
                let value = format!("{round}-{record}");
                drop(producer.enqueue(Record::to(topic.as_str()).value(&*value)).await.expect("there is capacity"));
                values.insert(value);
            }
            producer.flush().await;
            let mut member = client.consumer().group(&group).subscribe([topic.as_str()]).build().expect("a consumer");
            for _ in 0..1_000 {
                let polled = tokio::time::timeout(SOON, member.poll()).await.expect("records");
                for record in &polled.expect("no error").expect("no end") {
                    let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
                    assert!(values.remove(&value), "{release}: {value} was returned twice");
                }
                if values.is_empty() {
                    break;
                }
            }
            assert!(values.is_empty(), "{release}: {} were not returned", values.len());
            member.close().await.expect("closed");
        }
    }
}
