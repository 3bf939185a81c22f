//! Groups of the protocol `consumer` (KIP-848) on a real broker that has it.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::GroupProtocol;
use ottla::error::Kind;
use ottla::types::TopicPartition;
use protocol_tests::proxy::Direction;
use protocol_tests::proxy::Fault;
use protocol_tests::proxy::Proxy;
use protocol_tests::proxy::Through;
use protocol_tests::rig;
use tokio::time::Instant;

use super::membership::settle;
use super::membership::topic;

/// The newest release, which has the protocol.
const PORT: u16 = 29_431;
const CONSUMER_GROUP_HEARTBEAT: i16 = 68;
const SOON: Duration = Duration::from_secs(60);

async fn client() -> Option<Client> {
    if !rig::is_up(PORT) {
        return None;
    }
    Some(Client::connect([rig::address(PORT)]).await.expect("a broker"))
}

fn builder(client: &Client, group: &str, topic: &str) -> ConsumerBuilder {
    client.consumer().group(group).subscribe([topic]).group_protocol(GroupProtocol::Consumer)
}

fn member(client: &Client, group: &str, topic: &str) -> Consumer {
    builder(client, group, topic).build().expect("a consumer")
}

async fn produce(client: &Client, topic: &str, round: i32) -> BTreeSet<String> {
    let producer = client.producer().build().expect("a producer");
    let values: Vec<String> = (0..1_000).map(|record| format!("{round}-{record}")).collect();
    for value in &values {
        drop(producer.enqueue(Record::to(topic).value(value.as_str())).await.expect("there is capacity"));
    }
    producer.flush().await;
    values.into_iter().collect()
}

/// Polls until all of these values were returned, each once.
async fn consume(member: &mut Consumer, values: &mut BTreeSet<String>) {
    while !values.is_empty() {
        let polled = tokio::time::timeout(SOON, member.poll()).await;
        let polled = polled.unwrap_or_else(|_| panic!("{} were not returned", values.len()));
        for record in &polled.expect("no error").expect("no end") {
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
            assert!(values.remove(&value), "{value} was returned twice");
        }
    }
}

/// Polls members in turn until all of these values were returned, each once.
async fn drain(members: &mut [Consumer], values: &mut BTreeSet<String>) {
    let begun = Instant::now();
    while !values.is_empty() {
        assert!(begun.elapsed() < SOON, "{} were not returned", values.len());
        for member in &mut *members {
            let Ok(polled) = tokio::time::timeout(Duration::from_millis(50), member.poll()).await else { continue };
            for record in &polled.expect("no error").expect("no end") {
                let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
                assert!(values.remove(&value), "{value} was returned twice");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_share_partitions_as_they_join_and_leave() {
    let Some(client) = client().await else { return };
    let topic = topic(&client, 7).await;
    let group = rig::fresh("modern-share");
    let member = || builder(&client, &group, &topic).group_remote_assignor("range").build().expect("a consumer");
    let mut members = vec![member()];
    settle(&mut members, &topic, 7).await;
    members.push(member());
    settle(&mut members, &topic, 7).await;
    members.push(member());
    settle(&mut members, &topic, 7).await;
    members.remove(0).close().await.expect("closed");
    settle(&mut members, &topic, 7).await;
    for mut member in members {
        let metadata = member.group_metadata().expect("a member");
        assert!(metadata.generation >= 3 && !metadata.member.is_empty(), "{metadata:?}");
        member.close().await.expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn next_member_continues_after_what_was_returned() {
    let Some(client) = client().await else { return };
    let topic = topic(&client, 3).await;
    let group = rig::fresh("modern-continue");
    for round in 0..3 {
        let mut values = produce(&client, &topic, round).await;
        let mut member = member(&client, &group, &topic);
        consume(&mut member, &mut values).await;
        member.close().await.expect("closed");
    }
}

/// Partitions that stay are read on with the position that they had, and commits are taken although the epoch grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_repeat_and_miss_nothing_while_others_come_and_go() {
    let Some(client) = client().await else { return };
    let topic = topic(&client, 6).await;
    let group = rig::fresh("modern-flow");
    let member = || builder(&client, &group, &topic).group_remote_assignor("uniform").build().expect("a consumer");
    let mut members = vec![member()];
    let mut values = BTreeSet::new();
    for round in 0..4 {
        values.extend(produce(&client, &topic, round).await);
        match round {
            1 => members.push(member()),
            3 => members.remove(0).close().await.expect("closed"),
            _ => {}
        }
        drain(&mut members, &mut values).await;
    }
    for mut member in members {
        member.close().await.expect("closed");
    }
}

/// Heartbeats are lost as a member joins, as it gives up partitions for another, and as it gets them back: once before the coordinator
/// takes them, and once afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_that_are_lost_lose_and_repeat_no_record() {
    let Some(client) = client().await else { return };
    for direction in [Direction::Request, Direction::Response] {
        let proxy = Proxy::start(rig::address(PORT).parse().expect("an address")).await.expect("a port");
        let builder = Client::builder([rig::address(PORT)]).expect("an address");
        let unlucky = builder.connector(Through::proxies([&proxy])).connect().await.expect("a broker");
        let lose = |times| proxy.inject(direction, Some(CONSUMER_GROUP_HEARTBEAT), Fault::Cut, times);
        let topic = topic(&client, 4).await;
        let group = rig::fresh("modern-lost");
        lose(2);
        let mut members = vec![member(&unlucky, &group, &topic)];
        settle(&mut members, &topic, 4).await;
        let mut values = produce(&client, &topic, 0).await;
        lose(3);
        members.push(member(&client, &group, &topic));
        drain(&mut members, &mut values).await;
        settle(&mut members, &topic, 4).await;
        let mut values = produce(&client, &topic, 1).await;
        drain(&mut members, &mut values).await;
        lose(3);
        members.remove(1).close().await.expect("closed");
        settle(&mut members, &topic, 4).await;
        let mut values = produce(&client, &topic, 2).await;
        drain(&mut members, &mut values).await;
        let lost = proxy.frames().iter().filter(|frame| frame.fault.is_some()).count();
        assert_eq!(lost, 8, "{direction:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_member_that_returns_has_its_partitions_again() {
    let Some(client) = client().await else { return };
    let topic = topic(&client, 4).await;
    let group = rig::fresh("modern-static");
    let named = |name: &str| builder(&client, &group, &topic).group_instance_id(name).build().expect("a consumer");
    let mut members = vec![named("one"), named("two")];
    settle(&mut members, &topic, 4).await;
    let before: BTreeSet<TopicPartition> = members[1].assignment().into_iter().collect();
    let kept: Vec<TopicPartition> = members[0].assignment();
    members.remove(1).close().await.expect("closed");
    members.push(named("two"));
    settle(&mut members, &topic, 4).await;
    let after: BTreeSet<TopicPartition> = members[1].assignment().into_iter().collect();
    assert_eq!((before, kept), (after, members[0].assignment()));
    // A second member of the name is refused while the first is there.
    let mut twin = named("two");
    let refused = tokio::time::timeout(SOON, twin.poll()).await.expect("an answer").expect_err("the name is taken");
    assert_eq!(refused.code(), Some(ottla::error::Code::UnreleasedInstanceId), "{refused}");
    assert!(refused.to_string().contains("group_instance_id"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscription_that_changes_is_assigned_without_leaving() {
    let Some(client) = client().await else { return };
    let (one, two) = (topic(&client, 2).await, topic(&client, 3).await);
    let group = rig::fresh("modern-subscribe");
    let mut member = member(&client, &group, &one);
    assert_eq!(member.wait_for_assignment(SOON).await.expect("an assignment").len(), 2);
    let id = member.group_metadata().expect("a member").member;
    member.subscribe([one.as_str(), two.as_str()]).expect("topics");
    let mut members = [member];
    settle(&mut members, &two, 5).await;
    members[0].subscribe([two.as_str()]).expect("topics");
    settle(&mut members, &two, 3).await;
    assert_eq!(members[0].group_metadata().expect("a member").member, id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_server_assignor_is_an_error_that_names_the_known_ones() {
    let Some(client) = client().await else { return };
    let topic = topic(&client, 1).await;
    let group = rig::fresh("modern-assignor");
    let mut member = builder(&client, &group, &topic).group_remote_assignor("fair").build().expect("a consumer");
    let error = tokio::time::timeout(SOON, member.poll()).await.expect("an answer").expect_err("no such assignor");
    assert!(error.to_string().contains("\"fair\"") && error.to_string().contains("uniform"), "{error}");
}

/// 2.8.2 has no such request; 3.9.1 has it only where an operator turned it on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_without_the_protocol_are_an_error_that_says_what_to_do() {
    for (release, port) in rig::RELEASES {
        if port == PORT || !rig::is_up(port) {
            continue;
        }
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        let topic = topic(&client, 1).await;
        let mut member = member(&client, &rig::fresh("modern-old"), &topic);
        let error = tokio::time::timeout(SOON, member.poll()).await.expect("an answer").expect_err(release);
        assert_eq!(error.kind(), Kind::Unsupported, "{release}: {error}");
        assert!(error.to_string().contains("group.protocol=classic"), "{release}: {error}");
    }
}

/// A group changes from the classic protocol to `consumer` and back, member by member, and nobody misses or repeats a record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn living_group_changes_its_protocol_and_changes_back() {
    let Some(client) = client().await else { return };
    let topic = topic(&client, 4).await;
    let group = rig::fresh("modern-migration");
    let member = |protocol| {
        let builder = client.consumer().group(&group).subscribe([topic.as_str()]).group_protocol(protocol);
        builder.build().expect("a consumer")
    };
    let (classic, modern) = (GroupProtocol::Classic, GroupProtocol::Consumer);
    let mut members = vec![member(classic)];
    settle(&mut members, &topic, 4).await;
    let mut values = produce(&client, &topic, 0).await;
    consume(&mut members[0], &mut values).await;
    for (round, protocol) in [(1, modern), (2, classic)] {
        members.push(member(protocol));
        settle(&mut members, &topic, 4).await;
        members.remove(0).close().await.expect("closed");
        settle(&mut members, &topic, 4).await;
        let mut values = produce(&client, &topic, round).await;
        consume(&mut members[0], &mut values).await;
    }
}
