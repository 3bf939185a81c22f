//! The admin of groups against the mock cluster, in virtual time.

use std::time::Duration;

use super::*;
use crate::client::Client;
use crate::consumer::Consumer;
use crate::consumer::GroupProtocol;
use crate::mock::Cluster as Mock;
use crate::mock::Fault;
use crate::mock::NewBatch;
use crate::mock::On;
use crate::mock::Release;
use crate::mock::Server;
use crate::mock::key;
use crate::net::clock;
use crate::types::TopicPartition;

/// A mock cluster, and an admin of it.
struct Stage {
    server: Server,
    client: Client,
    admin: Admin,
}

impl Stage {
    async fn new(cluster: Mock) -> Self {
        let server = Server::in_memory(cluster);
        let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
        let client = builder.connect().await.expect("a cluster");
        Self { server, admin: client.admin(), client }
    }

    /// Three brokers of a release, and the topic t with three partitions.
    async fn of(release: Release) -> Self {
        Self::new(Mock::builder().release(release).brokers(3).topic("t", 3).build()).await
    }

    fn with<R>(&self, action: impl FnOnce(&mut Mock) -> R) -> R {
        self.server.with(action)
    }

    /// Gives broker `to` the groups, each with an offset for the first partition.
    async fn commit(&self, groups: &[&str], to: i32, offset: i64) {
        for group in groups {
            self.with(|cluster| cluster.move_coordinator(0, group, to));
            let altered = self.admin.alter_group_offsets(*group, [(at(0), offset)]).await;
            assert!(altered[0].1.is_ok(), "{altered:?}");
        }
    }

    async fn member(&self, group: &str) -> Consumer {
        let builder = self.client.consumer().group(group).subscribe(["t"]);
        let mut consumer = builder.build().expect("a consumer");
        consumer.wait_for_assignment(Duration::from_secs(60)).await.expect("the only member");
        consumer
    }

    fn count(&self, api_key: i16) -> u64 {
        self.with(|cluster| cluster.requests_count(api_key))
    }
}

fn at(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn names(listing: &GroupListing) -> Vec<&str> {
    listing.groups.iter().map(|group| &*group.group).collect()
}

fn code<T>(outcome: &Result<T, Error>) -> Option<Code> {
    outcome.as_ref().err().and_then(Error::code)
}

#[tokio::test(start_paused = true)]
async fn broker_that_fails_hides_no_groups_of_others() {
    let stage = Stage::of(Release::V4_3).await;
    for (group, broker) in [("a", 1), ("b", 2), ("c", 3)] {
        stage.commit(&[group], broker, 1).await;
    }
    let listing = stage.admin.list_groups(GroupFilter::all()).await.expect("brokers are known");
    assert_eq!((names(&listing), listing.failed.len()), (vec!["a", "b", "c"], 0));
    assert_eq!(listing.groups[1].coordinator, 2);
    let denied = Fault::Error(Code::ClusterAuthorizationFailed);
    stage.with(|cluster| cluster.play(On::api(key::LIST_GROUPS).broker(2).then(denied).forever()));
    let listing = stage.admin.list_groups(GroupFilter::all()).await.expect("brokers are known");
    assert_eq!(names(&listing), ["a", "c"]);
    let [(2, error)] = &listing.failed[..] else { panic!("{:?}", listing.failed) };
    assert_eq!(error.code(), Some(Code::ClusterAuthorizationFailed));
    assert!(error.to_string().contains("broker 2"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn groups_are_listed_once_their_coordinator_has_loaded_them() {
    let stage = Stage::of(Release::V4_3).await;
    stage.commit(&["a"], 3, 1).await;
    let loading = Fault::Error(Code::CoordinatorLoadInProgress);
    stage.with(|cluster| cluster.play(On::api(key::LIST_GROUPS).broker(3).then(loading).times(4)));
    let listing = stage.admin.list_groups(GroupFilter::all()).await.expect("brokers are known");
    assert_eq!((names(&listing), listing.failed.len()), (vec!["a"], 0));
}

#[tokio::test(start_paused = true)]
async fn groups_are_filtered_by_state_and_type_on_every_release() {
    for release in [Release::V2_1, Release::V2_8, Release::V3_9, Release::V4_3] {
        let stage = Stage::of(release).await;
        stage.commit(&["empty"], 1, 1).await;
        let _member = stage.member("live").await;
        let list = async |filter| stage.admin.list_groups(filter).await.expect("brokers are known");
        assert_eq!(names(&list(GroupFilter::all()).await), ["empty", "live"], "{release:?}");
        assert_eq!(names(&list(GroupFilter::all().kind(GroupType::Classic)).await), ["empty", "live"]);
        assert_eq!(names(&list(GroupFilter::all().kind(GroupType::Consumer)).await), [""; 0]);
        let stable = list(GroupFilter::all().state(GroupState::Stable)).await;
        if release == Release::V2_1 {
            let kinds: Vec<Kind> = stable.failed.iter().map(|(_, error)| error.kind()).collect();
            assert!(kinds.contains(&Kind::Unsupported) && stable.groups.is_empty(), "{stable:?}");
        } else {
            assert_eq!((names(&stable), stable.failed.len()), (vec!["live"], 0), "{release:?}");
        }
        let both = GroupFilter::all().state(GroupState::Empty).state(GroupState::Dead);
        assert_eq!(names(&list(both).await), if release == Release::V2_1 { vec![] } else { vec!["empty"] });
    }
}

#[tokio::test(start_paused = true)]
async fn group_is_described_with_its_members_and_their_partitions() {
    for release in [Release::V2_1, Release::V2_8, Release::V4_3] {
        let stage = Stage::of(release).await;
        let mut member = stage.member("live").await;
        stage.commit(&["empty"], 2, 1).await;
        let described = stage.admin.describe_groups(["missing", "live", "empty"]).await;
        let order: Vec<&str> = described.iter().map(|(group, _)| &**group).collect();
        assert_eq!(order, ["missing", "live", "empty"]);
        assert_eq!(code(&described[0].1), Some(Code::GroupIdNotFound), "{release:?}");
        let live = described[1].1.as_ref().expect("it is described");
        assert_eq!((&live.kind, &live.state), (&GroupType::Classic, &GroupState::Stable));
        assert_eq!((&*live.protocol_type, &*live.protocol), ("consumer", "range"));
        let [described_member] = &live.members[..] else { panic!("{live:?}") };
        assert_eq!(described_member.partitions(), [at(0), at(1), at(2)]);
        assert_eq!(described_member.topics.as_deref(), Some(&["t".into()][..]));
        assert_eq!((&*described_member.host, &*described_member.client_id), ("127.0.0.1", "ottla"));
        assert_eq!(live.owner(&at(1)).map(|member| &member.id), Some(&described_member.id));
        let empty = described[2].1.as_ref().expect("it is described");
        assert_eq!((&empty.state, empty.coordinator.id), (&GroupState::Empty, 2));
        assert!(empty.members.is_empty() && empty.owner(&at(1)).is_none());
        member.close().await.expect("closed");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_of_one_coordinator_are_in_one_request() {
    let stage = Stage::of(Release::V4_3).await;
    stage.commit(&["a", "b", "c"], 2, 7).await;
    let before = [key::DESCRIBE_GROUPS, key::OFFSET_FETCH, key::DELETE_GROUPS].map(|api_key| stage.count(api_key));
    assert!(stage.admin.describe_groups(["a", "b", "c"]).await.iter().all(|(_, described)| described.is_ok()));
    let offsets = stage.admin.group_offsets(["a", "b", "c"]).await;
    assert!(offsets.iter().all(|(_, offsets)| offsets.as_ref().is_ok_and(|offsets| offsets.len() == 1)));
    assert!(stage.admin.delete_groups(["a", "b", "c"]).await.iter().all(|(_, deleted)| deleted.is_ok()));
    let after = [key::DESCRIBE_GROUPS, key::OFFSET_FETCH, key::DELETE_GROUPS].map(|api_key| stage.count(api_key));
    assert_eq!(after, before.map(|count| count + 1));
}

#[tokio::test(start_paused = true)]
async fn coordinators_of_many_groups_are_found_by_one_request() {
    for (release, requests) in [(Release::V4_3, 1), (Release::V2_8, 20)] {
        let stage = Stage::of(release).await;
        let groups: Vec<String> = (0..20).map(|number| format!("g{number}")).collect();
        let described = stage.admin.describe_groups(groups).await;
        assert!(described.iter().all(|(_, outcome)| code(outcome) == Some(Code::GroupIdNotFound)), "{described:?}");
        assert_eq!(stage.count(key::FIND_COORDINATOR), requests, "{release:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_group_has_a_request_where_brokers_take_one_group() {
    for release in [Release::V2_1, Release::V2_8] {
        let stage = Stage::of(release).await;
        stage.commit(&["a", "b"], 2, 7).await;
        stage.commit(&["c"], 3, 9).await;
        let offsets = stage.admin.group_offsets(["c", "a", "b"]).await;
        let found: Vec<_> = offsets
            .iter()
            .map(|(group, offsets)| (&**group, offsets.as_ref().unwrap()[&at(0)].clone().unwrap().unwrap().offset))
            .collect();
        assert_eq!(found, [("c", 9), ("a", 7), ("b", 7)]);
        assert_eq!(stage.count(key::OFFSET_FETCH), 3, "{release:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn coordinator_that_moved_is_found_again() {
    let stage = Stage::of(Release::V4_3).await;
    stage.commit(&["a", "b"], 1, 7).await;
    // The coordinators are cached, and move.
    stage.with(|cluster| cluster.move_coordinator(0, "a", 3));
    let described = stage.admin.describe_groups(["a", "b"]).await;
    let coordinators: Vec<i32> = described.iter().map(|(_, group)| group.as_ref().unwrap().coordinator.id).collect();
    assert_eq!(coordinators, [3, 1]);
    for api_key in [key::OFFSET_FETCH, key::OFFSET_COMMIT, key::OFFSET_DELETE, key::DELETE_GROUPS] {
        for fault in [Code::NotCoordinator, Code::CoordinatorLoadInProgress, Code::CoordinatorNotAvailable] {
            stage.with(|cluster| cluster.inject(api_key, Fault::Error(fault), 2));
        }
        stage.with(|cluster| cluster.inject(api_key, Fault::CloseBefore, 1));
    }
    let offsets = stage.admin.group_offsets(["a"]).await;
    assert_eq!(offsets[0].1.as_ref().unwrap()[&at(0)].clone().unwrap(), Some(CommittedOffset::new(7)));
    assert!(stage.admin.alter_group_offsets("a", [(at(1), 5)]).await[0].1.is_ok());
    assert!(stage.admin.delete_group_offsets("a", [at(0)]).await[0].1.is_ok());
    assert_eq!(stage.with(|cluster| (cluster.committed("a", "t", 0), cluster.committed("a", "t", 1))), (None, Some(5)));
    assert!(stage.admin.delete_groups(["a"]).await[0].1.is_ok());
    assert_eq!(code(&stage.admin.delete_groups(["a"]).await[0].1), Some(Code::GroupIdNotFound));
}

#[tokio::test(start_paused = true)]
async fn call_about_a_group_ends_by_the_api_timeout() {
    let stage = Stage::of(Release::V4_3).await;
    stage.commit(&["a"], 1, 7).await;
    let moved = Fault::Error(Code::NotCoordinator);
    for api_key in [key::OFFSET_FETCH, key::DESCRIBE_GROUPS, key::DELETE_GROUPS, key::OFFSET_COMMIT] {
        stage.with(|cluster| cluster.inject(api_key, moved, u32::MAX));
    }
    let begun = tokio::time::Instant::now();
    let error = stage.admin.describe_groups(["a"]).await.remove(0).1.expect_err("it never ends");
    assert!(error.is_timeout() && format!("{error:#}").contains("NOT_COORDINATOR"), "{error:#}");
    let limit = Duration::from_secs(60);
    assert!(begun.elapsed() <= limit, "{:?}", begun.elapsed());
    let begun = tokio::time::Instant::now();
    let lag = stage.admin.group_lag([LagQuery::new("a").topic("t")]).await;
    assert!(lag[0].1.as_ref().is_err_and(Error::is_timeout), "{lag:?}");
    assert!(begun.elapsed() <= limit, "{:?}", begun.elapsed());
    let altered = stage.admin.alter_group_offsets("a", [(at(0), 1)]).await;
    assert!(altered[0].1.as_ref().is_err_and(Error::is_timeout), "{altered:?}");
}

#[tokio::test(start_paused = true)]
async fn silent_coordinator_is_named_and_hides_no_other_group() {
    let stage = Stage::of(Release::V4_3).await;
    stage.commit(&["a"], 1, 7).await;
    stage.commit(&["b"], 2, 7).await;
    for api_key in [key::CONSUMER_GROUP_DESCRIBE, key::OFFSET_FETCH] {
        stage.with(|cluster| cluster.play(On::api(api_key).broker(2).then(Fault::Swallowed).forever()));
    }
    let described = stage.admin.describe_groups(["a", "b"]).await;
    assert!(described[0].1.is_ok(), "{described:?}");
    let lag = stage.admin.group_lag(["a", "b"]).await;
    assert!(lag[0].1.as_ref().is_ok_and(|lag| lag.partitions[0].lag.is_ok()), "{lag:?}");
    for (error, api) in
        [(described[1].1.as_ref().err(), "ConsumerGroupDescribe"), (lag[1].1.as_ref().err(), "OffsetFetch")]
    {
        let error = error.expect("broker 2 is silent");
        let text = format!("{error:#}");
        assert!(error.is_timeout() && text.contains(api) && text.contains("broker "), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn group_of_kip_848_is_described_and_listed_by_its_type() {
    let stage = Stage::of(Release::V4_3).await;
    let builder = stage.client.consumer().group("live").subscribe(["t"]).group_protocol(GroupProtocol::Consumer);
    let mut member = builder.build().expect("a consumer");
    member.wait_for_assignment(Duration::from_secs(60)).await.expect("the only member");
    stage.commit(&["classic"], 1, 7).await;
    let described = stage.admin.describe_groups(["classic", "live", "missing"]).await;
    let kinds: Vec<_> =
        described.iter().map(|(_, group)| group.as_ref().ok().map(|group| group.kind.clone())).collect();
    assert_eq!(kinds, [Some(GroupType::Classic), Some(GroupType::Consumer), None]);
    let live = described[1].1.as_ref().expect("it is described");
    assert_eq!((&live.state, &*live.protocol, &*live.protocol_type), (&GroupState::Stable, "uniform", "consumer"));
    let [only] = &live.members[..] else { panic!("{live:?}") };
    assert_eq!(
        (only.partitions(), only.target.as_deref()),
        (&[at(0), at(1), at(2)][..], Some(&[at(0), at(1), at(2)][..]))
    );
    assert!(live.epoch.is_some() && only.epoch == live.epoch && only.pattern.is_none(), "{live:?}");
    assert_eq!(only.topics.as_deref(), Some(&["t".into()][..]));
    let listing = stage.admin.list_groups(GroupFilter::all().kind(GroupType::Consumer)).await.expect("brokers");
    assert_eq!(names(&listing), ["live"]);
    let altered = stage.admin.alter_group_offsets("live", [(at(0), 1)]).await;
    assert_eq!(code(&altered[0].1), Some(Code::NonEmptyGroup));
    member.close().await.expect("it leaves");
    assert!(stage.admin.alter_group_offsets("live", [(at(0), 1)]).await[0].1.is_ok());
}

#[tokio::test(start_paused = true)]
async fn partition_without_a_commit_is_none_and_not_an_error() {
    for release in [Release::V2_1, Release::V3_9, Release::V4_3] {
        let stage = Stage::of(release).await;
        stage.commit(&["a"], 1, 7).await;
        let broken = Fault::Error(Code::TopicAuthorizationFailed);
        stage.with(|cluster| cluster.play(On::api(key::OFFSET_FETCH).partition("t", 2).then(broken).forever()));
        let query = GroupOffsetsQuery::new("a").partitions([at(0), at(1), at(2)]);
        let offsets = stage.admin.group_offsets([query]).await.remove(0).1.expect("the group is found");
        assert_eq!(offsets[&at(0)].as_ref().expect("read"), &Some(CommittedOffset::new(7)));
        assert_eq!(offsets[&at(1)].as_ref().expect("read"), &None);
        assert_eq!(code(&offsets[&at(2)]), Some(Code::TopicAuthorizationFailed));
        stage.with(Mock::clear_faults);
        let all = stage.admin.group_offsets(["a", "unused"]).await;
        assert_eq!(all[0].1.as_ref().expect("found").len(), 1, "only what was committed");
        assert!(all[1].1.as_ref().expect("a group that does not exist has none").is_empty(), "{release:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn query_of_one_group_twice_has_the_partitions_of_both() {
    let stage = Stage::of(Release::V4_3).await;
    stage.commit(&["a"], 1, 7).await;
    let of = |partition| GroupOffsetsQuery::new("a").partitions([at(partition)]);
    let offsets = stage.admin.group_offsets([of(1), of(2)]).await;
    let keys: Vec<_> =
        offsets.iter().map(|(_, offsets)| offsets.as_ref().unwrap().keys().cloned().collect::<Vec<_>>()).collect();
    assert_eq!(keys, [vec![at(1), at(2)], vec![at(1), at(2)]]);
    let offsets = stage.admin.group_offsets([of(1), GroupOffsetsQuery::new("a")]).await;
    assert_eq!(offsets[0].1.as_ref().unwrap().keys().collect::<Vec<_>>(), [&at(0)], "all that has an offset");
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_group_with_members_are_not_changed() {
    let stage = Stage::of(Release::V4_3).await;
    let mut member = stage.member("live").await;
    let altered = stage.admin.alter_group_offsets("live", [(at(0), 5), (at(1), 6)]).await;
    for (partition, outcome) in &altered {
        assert_eq!(code(outcome), Some(Code::NonEmptyGroup), "{partition}");
        let text = outcome.as_ref().unwrap_err().to_string();
        assert!(text.contains("group live") && text.contains("has members: stop them first"), "{text}");
    }
    let deleted = stage.admin.delete_group_offsets("live", [at(0)]).await;
    assert_eq!(code(&deleted[0].1), Some(Code::GroupSubscribedToTopic));
    assert_eq!(code(&stage.admin.delete_groups(["live"]).await[0].1), Some(Code::NonEmptyGroup));
    member.close().await.expect("it leaves");
    let altered = stage.admin.alter_group_offsets("live", [(at(0), 5), (at(1), 6)]).await;
    assert!(altered.iter().all(|(_, outcome)| outcome.is_ok()), "{altered:?}");
    assert_eq!(stage.with(|cluster| cluster.committed("live", "t", 1)), Some(6));
}

#[tokio::test(start_paused = true)]
async fn bad_offsets_and_names_are_refused_before_they_are_sent() {
    let stage = Stage::of(Release::V4_3).await;
    let offsets = [(at(0), 3), (at(1), -1), (TopicPartition::new("a b", 0), 3), (at(9), 3)];
    let altered = stage.admin.alter_group_offsets("a", offsets).await;
    let kinds: Vec<_> = altered.iter().map(|(_, outcome)| outcome.as_ref().err().map(Error::kind)).collect();
    assert_eq!(kinds, [None, Some(Kind::Config), Some(Kind::Config), Some(Kind::UnknownTopic)]);
    let text = altered[1].1.as_ref().unwrap_err().to_string();
    assert!(text.contains("-1 is not an offset") && text.contains("t[1]"), "{text}");
    let before = stage.count(key::FIND_COORDINATOR);
    let long = "g".repeat(40_000);
    for outcome in stage.admin.describe_groups([&*long]).await {
        let error = outcome.1.expect_err("no request can carry it");
        assert!(error.kind() == Kind::Config && error.to_string().len() < 200, "{error}");
    }
    assert!(stage.admin.alter_group_offsets::<i64>("a", []).await.is_empty());
    assert_eq!(stage.count(key::FIND_COORDINATOR), before, "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn lag_tells_no_commit_expired_and_ahead_apart() {
    let mut cluster = Mock::builder().brokers(2).topic("t", 4).topic("u", 1).build();
    for partition in 0..4 {
        let batch = NewBatch::of((0..10).map(|_| ("k", "v")));
        cluster.append("t", partition, &batch).expect("the partition exists");
    }
    cluster.delete_before("t", 1, 6).expect("the partition exists");
    let stage = Stage::new(cluster).await;
    let offsets = [(at(0), 3), (at(1), 2), (at(2), 11)];
    assert!(stage.admin.alter_group_offsets("a", offsets).await.iter().all(|(_, outcome)| outcome.is_ok()));
    stage.with(Mock::take_requests);
    let lag = stage.admin.group_lag([LagQuery::new("a").topic("t")]).await.remove(0).1.expect("it is found");
    let seen: Vec<_> = lag
        .partitions
        .iter()
        .map(|partition| (partition.lag.clone().unwrap(), partition.start, partition.end, partition.records()))
        .collect();
    let expected = [
        (Lag::Behind(7), Some(0), Some(10), Some(7)),
        (Lag::Expired, Some(6), Some(10), Some(4)),
        (Lag::Ahead, Some(0), Some(10), None),
        (Lag::NoCommit { would_start_at: 0 }, Some(0), Some(10), None),
    ];
    assert_eq!(seen, expected);
    assert_eq!(lag.records(), 11);
    let asked = stage.with(|cluster| cluster.requests().filter(|seen| seen.api_key == key::LIST_OFFSETS).count());
    assert_eq!(asked, 4, "each of the two leaders for starts and for ends");
    let committed = stage.admin.group_lag(["a"]).await.remove(0).1.expect("it is found");
    assert_eq!(committed.partitions.len(), 3, "only what is committed");
    let with = LagQuery::new("a").partition(TopicPartition::new("u", 0));
    let more = stage.admin.group_lag([with]).await.remove(0).1.expect("it is found");
    assert_eq!(more.partitions.last().map(|last| last.lag.clone().unwrap()), Some(Lag::NoCommit { would_start_at: 0 }));
}

#[tokio::test(start_paused = true)]
async fn lag_of_one_partition_fails_alone() {
    let stage = Stage::of(Release::V4_3).await;
    let offsets = [(at(0), 0), (at(1), 0)];
    assert!(stage.admin.alter_group_offsets("a", offsets).await.iter().all(|(_, outcome)| outcome.is_ok()));
    let denied = Fault::Error(Code::TopicAuthorizationFailed);
    stage.with(|cluster| cluster.play(On::api(key::LIST_OFFSETS).partition("t", 1).then(denied).forever()));
    let lag = stage.admin.group_lag([LagQuery::new("a").topic("t").topic("missing")]).await.remove(0).1;
    let lag = lag.expect("the group is found");
    let kinds: Vec<_> = lag.partitions.iter().map(|one| one.lag.as_ref().map_err(Error::code).copied()).collect();
    let missing = Err(Some(Code::UnknownTopicOrPartition));
    let denied = Err(Some(Code::TopicAuthorizationFailed));
    assert_eq!(kinds, [missing, Ok(Lag::Behind(0)), denied, Ok(Lag::NoCommit { would_start_at: 0 })]);
    assert_eq!(lag.partitions[2].committed, Some(CommittedOffset::new(0)), "what is known stays");
}

#[tokio::test(start_paused = true)]
async fn lag_of_200_groups_takes_one_round_trip_to_each_broker() {
    let mut cluster = Mock::builder().brokers(3).build();
    for number in 0..200 {
        cluster.create_topic(&format!("t{number}"), 50);
    }
    let stage = Stage::new(cluster).await;
    for number in 0..200 {
        let offsets = (0..50).map(|partition| (TopicPartition::new(format!("t{number}"), partition), 0));
        let altered = stage.admin.alter_group_offsets(format!("g{number}"), offsets).await;
        assert!(altered.iter().all(|(_, outcome)| outcome.is_ok()));
    }
    let builder = Client::builder([stage.server.bootstrap()]).expect("addresses").connector(stage.server.connector());
    let fresh = builder.connect().await.expect("a cluster").admin();
    let before = [key::FIND_COORDINATOR, key::OFFSET_FETCH, key::LIST_OFFSETS].map(|api| stage.count(api));
    let metadata = stage.count(key::METADATA);
    let lag = fresh.group_lag((0..200).map(|number| format!("g{number}"))).deadline(Duration::from_secs(3)).await;
    let known = |lag: &GroupLag| lag.partitions.iter().filter(|one| matches!(one.lag, Ok(Lag::Behind(0)))).count();
    assert_eq!(lag.iter().map(|(_, lag)| lag.as_ref().map_or(0, known)).sum::<usize>(), 10_000);
    let after = [key::FIND_COORDINATOR, key::OFFSET_FETCH, key::LIST_OFFSETS].map(|api| stage.count(api));
    let sent: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
    assert_eq!(sent, [1, 3, 6], "one lookup, one request to each coordinator, starts and ends together to each leader");
    assert_eq!(stage.count(key::METADATA) - metadata, 2, "of 200 topics that the client did not know");
}

#[tokio::test(start_paused = true)]
async fn lag_of_missing_topics_delays_no_other_and_creates_none() {
    let stage = Stage::new(Mock::builder().brokers(2).auto_create(true).topic("t", 1).build()).await;
    stage.commit(&["a"], 1, 0).await;
    let builder = Client::builder([stage.server.bootstrap()]).expect("addresses").connector(stage.server.connector());
    let fresh = builder.connect().await.expect("a cluster").admin();
    let begun = clock::now();
    let query = LagQuery::new("a").partition(TopicPartition::new("gone", 0)).partition(TopicPartition::new("gone", 1));
    let lag = fresh.group_lag([query]).await.remove(0).1.expect("it is found");
    let codes: Vec<_> = lag.partitions.iter().map(|one| one.lag.as_ref().map_err(Error::code).copied()).collect();
    let missing = Err(Some(Code::UnknownTopicOrPartition));
    assert_eq!(codes, [missing, missing, Ok(Lag::Behind(0))]);
    assert!(clock::now() - begun < Duration::from_secs(1), "the missing topic is not waited for");
    assert!(stage.with(|cluster| cluster.topic_id("gone")).is_none());
}
