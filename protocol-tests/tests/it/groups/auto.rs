//! `GroupProtocol::Auto`: the protocol that is chosen, on the mock and on real brokers.

use std::time::Duration;

use ottla::Client;
use ottla::admin::GroupType;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::GroupProtocol;
use ottla::consumer::TopicPattern;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::Release;
use ottla::mock::Server;
use ottla::mock::key;
use protocol_tests::rig;

use super::membership::topic;

const SOON: Duration = Duration::from_secs(60);

async fn mock(release: Release) -> (Server, Client) {
    let cluster = Cluster::builder().release(release).topic("t", 4).build();
    let server = Server::in_memory(cluster);
    let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
    let client = builder.connect().await.expect("a cluster");
    (server, client)
}

fn auto(client: &Client, group: &str, topic: &str) -> ConsumerBuilder {
    client.consumer().group(group).group_protocol(GroupProtocol::Auto).subscribe([topic])
}

async fn joined(builder: ConsumerBuilder) -> Consumer {
    let mut consumer = builder.build().expect("a consumer");
    consumer.wait_for_assignment(SOON).await.expect("it has joined");
    consumer
}

/// The numbers of requests by which members of either protocol join: classic, and consumer.
fn joins(server: &Server) -> (u64, u64) {
    server.with(|cluster| {
        (cluster.requests_count(key::JOIN_GROUP), cluster.requests_count(key::CONSUMER_GROUP_HEARTBEAT))
    })
}

#[tokio::test(start_paused = true)]
async fn new_protocol_is_chosen_where_brokers_have_it() {
    let (server, client) = mock(Release::V4_3).await;
    let first = joined(auto(&client, "g", "t")).await;
    let mut second = auto(&client, "g", "t").build().expect("a consumer");
    second.wait_for_assignment(SOON).await.expect("the group uses it already");
    let (classic, consumer) = joins(&server);
    assert!(classic == 0 && consumer >= 2, "{classic} {consumer}");
    drop((first, second));
    for release in [Release::V2_1, Release::V3_9] {
        let (server, client) = mock(release).await;
        let consumer = joined(auto(&client, "g", "t")).await;
        assert_eq!(consumer.assignment().len(), 4);
        assert_eq!(joins(&server).1, 0, "{release:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn group_with_classic_members_is_not_converted_until_they_leave() {
    let (server, client) = mock(Release::V4_3).await;
    let builder = client.consumer().group("g").subscribe(["t"]);
    let mut classic = joined(builder).await;
    let mut second = auto(&client, "g", "t").build().expect("a consumer");
    let settled = async {
        while classic.assignment().len() != 2 || second.assignment().len() != 2 {
            for member in [&mut classic, &mut second] {
                let _ = tokio::time::timeout(Duration::from_millis(50), member.poll()).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(600), settled).await.expect("they share the partitions");
    assert_eq!(joins(&server).1, 0);
    classic.close().await.expect("it leaves");
    second.close().await.expect("it leaves");
    let third = joined(auto(&client, "g", "t")).await;
    assert_eq!(third.assignment().len(), 4);
    assert_ne!(joins(&server).1, 0, "the group has no members any more");
}

#[tokio::test(start_paused = true)]
async fn classic_settings_and_classic_brokers_decide_what_a_consumer_can_do() {
    let (server, client) = mock(Release::V4_3).await;
    drop(joined(auto(&client, "g", "t").session_timeout(Duration::from_secs(10))).await);
    assert_eq!(joins(&server).1, 0, "only the classic protocol has that setting");
    let error = auto(&client, "g", "t").session_timeout(SOON).group_remote_assignor("uniform").build();
    assert_eq!(error.expect_err("no protocol has both").kind(), Kind::Config);
    let (_server, client) = mock(Release::V3_9).await;
    let builder = client.consumer().group("g").group_protocol(GroupProtocol::Auto);
    let mut consumer = builder.subscribe_pattern(TopicPattern::server("t")).build().expect("a consumer");
    let error =
        tokio::time::timeout(SOON, consumer.poll()).await.expect("in time").expect_err("it has no such patterns");
    assert!(error.kind() == Kind::Config && error.to_string().contains("TopicPattern::regex"), "{error}");
    consumer.subscribe(["t"]).expect("a member");
    consumer.wait_for_assignment(SOON).await.expect("it has joined");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_brokers_choose_the_protocol_and_keep_a_classic_group() {
    for (port, expected) in [(29_431, GroupType::Consumer), (29_391, GroupType::Classic)] {
        if !rig::is_up(port) {
            continue;
        }
        let client = Client::connect([rig::address(port)]).await.expect("a broker");
        let (topic, group) = (topic(&client, 2).await, rig::fresh("auto"));
        let kind = async || {
            let described = client.admin().describe_groups([group.as_str()]).await;
            described.into_iter().next().expect("one").1.expect("it exists").kind
        };
        let mut classic = joined(client.consumer().group(group.as_str()).subscribe([topic.as_str()])).await;
        let mut consumer = auto(&client, &group, &topic).build().expect("a consumer");
        let shared = async {
            while classic.assignment().len() != 1 || consumer.assignment().len() != 1 {
                for member in [&mut classic, &mut consumer] {
                    let _ = tokio::time::timeout(Duration::from_millis(50), member.poll()).await;
                }
            }
        };
        tokio::time::timeout(SOON, shared).await.expect("they share the partitions");
        assert_eq!(kind().await, GroupType::Classic, "nobody converts a group that has members");
        classic.close().await.expect("it leaves");
        consumer.close().await.expect("it leaves");
        let mut consumer = joined(auto(&client, &group, &topic)).await;
        assert_eq!(kind().await, expected);
        consumer.close().await.expect("it leaves");
    }
}
