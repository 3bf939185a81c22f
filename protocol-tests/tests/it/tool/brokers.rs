//! The admin of groups on real brokers of three releases.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla::Client;
use ottla::Record;
use ottla::admin::CommittedOffset;
use ottla::admin::GroupFilter;
use ottla::admin::GroupOffsetsQuery;
use ottla::admin::GroupState;
use ottla::admin::GroupType;
use ottla::admin::Lag;
use ottla::admin::LagQuery;
use ottla::admin::NewTopic;
use ottla::consumer::Consumer;
use ottla::consumer::GroupProtocol;
use ottla::error::Code;
use ottla::types::TopicPartition;
use protocol_tests::rig;

/// A topic of two partitions, with so many records in the first.
pub(super) async fn topic(client: &Client, records: usize) -> String {
    let topic = rig::fresh("groups");
    let made = client.admin().create_topics([NewTopic::new(topic.as_str()).partitions(2)]).await;
    for (_, outcome) in made.expect("a controller") {
        outcome.expect("a topic");
    }
    let producer = client.producer().build().expect("a producer");
    for number in 0..records {
        let value = number.to_string();
        producer.send(Record::to(topic.as_str()).value(&value).partition(0)).await.expect("acknowledged");
    }
    topic
}

/// A member of a group that has its partitions, and commits nothing by itself.
pub(super) async fn member(client: &Client, group: &str, topic: &str, protocol: GroupProtocol) -> Consumer {
    let builder = client.consumer().group(group).subscribe([topic]).auto_commit(None).group_protocol(protocol);
    let mut member = builder.build().expect("a consumer");
    member.wait_for_assignment(Duration::from_secs(60)).await.expect("it gets its share");
    member
}

async fn groups_are_managed(port: u16, protocol: GroupProtocol) {
    let client = Client::connect([rig::address(port)]).await.expect("a broker");
    let (admin, topic, group) = (client.admin(), topic(&client, 10).await, rig::fresh("managed"));
    let at = |partition| TopicPartition::new(topic.as_str(), partition);
    let mut member = member(&client, &group, &topic, protocol).await;
    let is_modern = protocol == GroupProtocol::Consumer;

    let listing = admin.list_groups(GroupFilter::all().state(GroupState::Stable)).await.expect("brokers");
    assert!(listing.failed.is_empty(), "{listing:?}");
    let listed = listing.groups.iter().find(|listed| listed.group == group).expect("it is listed");
    assert_eq!((&listed.state, &*listed.protocol_type), (&Some(GroupState::Stable), "consumer"));
    let kind = if is_modern { GroupType::Consumer } else { GroupType::Classic };
    assert!(listed.kind.as_ref().is_none_or(|listed| *listed == kind), "{listed:?}");
    let others = if is_modern { GroupType::Classic } else { GroupType::Consumer };
    let listing = admin.list_groups(GroupFilter::all().kind(others)).await.expect("brokers");
    assert!(listing.groups.iter().all(|listed| listed.group != group), "filtered by type");

    let described = admin.describe_groups([group.as_str(), "no-such-group"]).await;
    assert_eq!(described[1].1.as_ref().expect_err("there is none").code(), Some(Code::GroupIdNotFound));
    let described = described[0].1.as_ref().expect("it is described");
    assert_eq!((&described.kind, &described.state), (&kind, &GroupState::Stable));
    assert_eq!(described.members[0].partitions(), [at(0), at(1)]);
    assert_eq!(described.members[0].topics.as_deref(), Some(&[topic.as_str().into()][..]));
    assert_eq!(described.members[0].host, "127.0.0.1");

    let altered = admin.alter_group_offsets(group.as_str(), [(at(0), 3)]).await;
    let error = altered[0].1.as_ref().expect_err("it has a member");
    assert_eq!(error.code(), Some(Code::NonEmptyGroup), "{error}");
    let deleted = admin.delete_groups([group.as_str()]).await;
    assert_eq!(deleted[0].1.as_ref().expect_err("it has a member").code(), Some(Code::NonEmptyGroup));
    let deleted = admin.delete_group_offsets(group.as_str(), [at(0)]).await;
    assert_eq!(deleted[0].1.as_ref().expect_err("it is read").code(), Some(Code::GroupSubscribedToTopic));
    member.close().await.expect("it leaves");

    let altered =
        admin.alter_group_offsets(group.as_str(), [(at(0), CommittedOffset::new(3).metadata("by hand"))]).await;
    assert!(altered[0].1.is_ok(), "{altered:?}");
    let query = GroupOffsetsQuery::new(group.as_str()).partitions([at(0), at(1)]);
    let offsets = admin.group_offsets([query]).await.remove(0).1.expect("it is found");
    assert_eq!(offsets[&at(0)].as_ref().expect("read"), &Some(CommittedOffset::new(3).metadata("by hand")));
    assert_eq!(offsets[&at(1)].as_ref().expect("read"), &None);
    let lag = admin.group_lag([LagQuery::new(group.as_str()).topic(topic.as_str())]).await.remove(0).1.expect("found");
    let lags: Vec<Lag> = lag.partitions.iter().map(|one| one.lag.clone().expect("known")).collect();
    assert_eq!(lags, [Lag::Behind(7), Lag::NoCommit { would_start_at: 0 }]);
    assert_eq!((lag.records(), lag.partitions[0].start, lag.partitions[0].end), (7, Some(0), Some(10)));

    assert!(admin.delete_group_offsets(group.as_str(), [at(0)]).await[0].1.is_ok());
    let offsets = admin.group_offsets([group.as_str(), "no-such-group"]).await;
    assert!(offsets.iter().all(|(_, offsets)| offsets.as_ref().is_ok_and(BTreeMap::is_empty)), "{offsets:?}");
    // A classic group of old brokers ends with its last offset.
    let deleted = admin.delete_groups([group.as_str()]).await.remove(0).1;
    assert!(deleted.as_ref().is_ok() || deleted.is_err_and(|error| error.code() == Some(Code::GroupIdNotFound)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classic_groups_are_managed_on_every_release() {
    for (release, port) in rig::RELEASES {
        if rig::is_up(port) {
            eprintln!("{release}");
            groups_are_managed(port, GroupProtocol::Classic).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_of_kip_848_are_managed_on_the_newest_release() {
    let (_, port) = rig::RELEASES[0];
    if rig::is_up(port) {
        groups_are_managed(port, GroupProtocol::Consumer).await;
    }
}
