//! Groups on the mock, in virtual time: members that share, expire, stall and leave, and a coordinator that fails them at every
//! step.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ottla::Client;
use ottla::Error;
use ottla::Record;
use ottla::consumer::Consumer;
use ottla::consumer::ConsumerBuilder;
use ottla::consumer::ConsumerHandle;
use ottla::consumer::GroupProtocol;
use ottla::consumer::HookFuture;
use ottla::consumer::RebalanceListener;
use ottla::error::Code;
use ottla::error::Kind;
use ottla::mock::Cluster;
use ottla::mock::Fault;
use ottla::mock::GroupState;
use ottla::mock::On;
use ottla::mock::Server;
use ottla::mock::key;
use ottla::types::TopicPartition;
use tokio::time::Instant;

use super::membership::assignors;

pub(super) const PARTITIONS: usize = 6;
/// Longer than every session, request timeout and retry together.
pub(super) const LONG: Duration = Duration::from_secs(600);
const BOTH: [GroupProtocol; 2] = [GroupProtocol::Classic, GroupProtocol::Consumer];
const TURN: Duration = Duration::from_millis(100);

/// A mock of two brokers, the first of which coordinates group g, and a client.
pub(super) struct Stage {
    pub(super) server: Server,
    pub(super) client: Client,
    protocol: GroupProtocol,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::of(GroupProtocol::Classic, 6).await
    }

    pub(super) async fn modern() -> Self {
        Self::of(GroupProtocol::Consumer, 6).await
    }

    pub(super) async fn with_partitions(partitions: i32) -> Self {
        Self::of(GroupProtocol::Classic, partitions).await
    }

    async fn of(protocol: GroupProtocol, partitions: i32) -> Self {
        let mut cluster = Cluster::builder().brokers(2).topic("t", partitions).build();
        cluster.move_coordinator(0, "g", 1);
        let server = Server::in_memory(cluster);
        let builder = Client::builder([server.bootstrap()]).expect("addresses").connector(server.connector());
        let client = builder.connect().await.expect("a cluster");
        Self { server, client, protocol }
    }

    pub(super) fn builder(&self) -> ConsumerBuilder {
        self.client.consumer().group("g").subscribe(["t"]).group_protocol(self.protocol)
    }

    /// The API of the heartbeats of its members.
    fn heartbeats(&self) -> i16 {
        if self.protocol == GroupProtocol::Consumer { key::CONSUMER_GROUP_HEARTBEAT } else { key::HEARTBEAT }
    }

    pub(super) fn member(&self) -> Consumer {
        self.builder().build().expect("a consumer")
    }

    pub(super) fn with<R>(&self, action: impl FnOnce(&mut Cluster) -> R) -> R {
        self.server.with(action)
    }

    /// The state and the number of members of the group, as its coordinator sees them.
    pub(super) fn group(&self) -> (GroupState, usize) {
        let group = self.with(|cluster| cluster.describe_group("g")).expect("it exists");
        (group.state, group.members.len())
    }

    pub(super) async fn produce(&self, records: usize) {
        let producer = self.client.producer().build().expect("a producer");
        for number in 0..records {
            let value = number.to_string();
            producer.send(Record::to("t").value(&*value)).await.expect("written");
        }
    }

    pub(super) fn committed(&self) -> i64 {
        self.with(|cluster| (0..6).filter_map(|partition| cluster.committed("g", "t", partition)).sum())
    }
}

/// Polls every member in turn until a condition holds. Errors of polls are collected.
pub(super) async fn drive(members: &mut [Consumer], mut until: impl FnMut(&[Consumer]) -> bool) -> Vec<Error> {
    let mut errors = Vec::new();
    let driven = async {
        while !until(members) {
            for member in &mut *members {
                if let Ok(Err(error)) = tokio::time::timeout(TURN, member.poll()).await {
                    errors.push(error);
                }
            }
        }
    };
    let in_time = tokio::time::timeout(LONG, driven).await.is_ok();
    let owned: Vec<_> = members.iter().map(Consumer::assignment).collect();
    assert!(in_time, "not within {LONG:?}: {owned:?}, {errors:?}");
    errors
}

pub(super) fn owned(member: &Consumer) -> BTreeSet<TopicPartition> {
    member.assignment().into_iter().collect()
}

/// Whether the members share the partitions evenly, none twice.
pub(super) fn is_shared(members: &[Consumer]) -> bool {
    let all: BTreeSet<TopicPartition> = members.iter().flat_map(owned).collect();
    let counts: Vec<usize> = members.iter().map(|member| owned(member).len()).collect();
    all.len() == PARTITIONS && counts.iter().all(|count| *count == PARTITIONS / members.len())
}

/// Polls until the members share the partitions and the coordinator has no others.
pub(super) async fn settle(stage: &Stage, members: &mut [Consumer]) -> Vec<Error> {
    let count = members.len();
    drive(members, |members| is_shared(members) && stage.group() == (GroupState::Stable, count)).await
}

#[tokio::test(start_paused = true)]
async fn members_share_and_take_over_from_an_expired_one() {
    for assignor in ["range", "cooperative-sticky"] {
        let stage = Stage::new().await;
        let build = || stage.builder().assignors(assignors(assignor)).build().expect("a consumer");
        let mut members = vec![build(), build()];
        assert!(settle(&stage, &mut members).await.is_empty());
        let second = members[1].group_metadata().expect("a member").member;
        assert!(stage.with(|cluster| cluster.expire_member("g", &second)));
        let mut heir = members.remove(0);
        drive(std::slice::from_mut(&mut heir), |members| owned(&members[0]).len() == PARTITIONS).await;
        members.insert(0, heir);
        // The one that expired learns it when it polls again, and joins as a new member.
        settle(&stage, &mut members).await;
        assert_ne!(members[1].group_metadata().expect("a member").member, second);
    }
}

/// The faults of a request that a coordinator can make.
pub(super) const FAULTS: [Fault; 6] = [
    Fault::CloseBefore,
    Fault::CloseAfter,
    Fault::Lost,
    Fault::Swallowed,
    Fault::Error(Code::NotCoordinator),
    Fault::ErrorAfter(Code::CoordinatorNotAvailable),
];

/// Plays the life of two members while the n-th request of an API fails.
async fn live_with_fault(api_key: i16, fault: Fault, nth: u32) {
    let stage = Stage::new().await;
    stage.produce(12).await;
    stage.with(|cluster| cluster.play(On::api(api_key).name("g").pass(nth).then(fault)));
    let mut members = vec![stage.member()];
    drive(&mut members, is_shared).await;
    members.push(stage.member());
    settle(&stage, &mut members).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    settle(&stage, &mut members).await;
    let mut first = members.remove(0);
    let _ = first.close_within(Duration::from_secs(60)).await;
    settle(&stage, &mut members).await;
    members[0].close_within(Duration::from_secs(60)).await.expect("the fault is over");
    assert_eq!(stage.committed(), 12, "everything that was returned is committed");
}

async fn each_fault_is_survived(api_key: i16, requests: u32) {
    for fault in FAULTS {
        for nth in 0..requests {
            let life = Box::pin(live_with_fault(api_key, fault, nth));
            let named = async {
                life.await;
            };
            assert!(tokio::time::timeout(LONG * 4, named).await.is_ok(), "{fault:?} of request {nth}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_lost_join_is_survived() {
    each_fault_is_survived(key::JOIN_GROUP, 6).await;
}

#[tokio::test(start_paused = true)]
async fn every_lost_sync_is_survived() {
    each_fault_is_survived(key::SYNC_GROUP, 4).await;
}

#[tokio::test(start_paused = true)]
async fn every_lost_heartbeat_is_survived() {
    each_fault_is_survived(key::HEARTBEAT, 4).await;
}

#[tokio::test(start_paused = true)]
async fn every_lost_leave_is_survived() {
    each_fault_is_survived(key::LEAVE_GROUP, 1).await;
}

#[tokio::test(start_paused = true)]
async fn coordinator_may_move_in_every_phase() {
    for protocol in BOTH {
        for step in 0..30 {
            let stage = Stage::of(protocol, 6).await;
            let mut members = vec![stage.member(), stage.member()];
            let mut turns = 0;
            drive(&mut members, |_| {
                turns += 1;
                turns > step
            })
            .await;
            stage.with(|cluster| cluster.move_coordinator(0, "g", 2));
            settle(&stage, &mut members).await;
            members[1].close().await.expect("closed");
            members.pop();
            stage.with(|cluster| cluster.set_down(2));
            settle(&stage, &mut members).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn session_that_expires_unnoticed_is_lost_and_rejoined() {
    for protocol in BOTH {
        let stage = Stage::of(protocol, 6).await;
        let events = Events::default();
        let mut members = vec![stage.builder().listener(events.clone()).build().expect("a consumer")];
        settle(&stage, &mut members).await;
        // No heartbeat arrives for longer than the session.
        stage.with(|cluster| cluster.play(On::api(stage.heartbeats()).then(Fault::CloseBefore).forever()));
        drive(&mut members, |_| stage.group() == (GroupState::Empty, 0)).await;
        stage.with(Cluster::clear_faults);
        settle(&stage, &mut members).await;
        assert_eq!(events.take(), ["assigned 6", "lost 6", "assigned 6"]);
    }
}

#[tokio::test(start_paused = true)]
async fn member_that_polls_too_late_gets_an_error_and_rejoins() {
    for protocol in BOTH {
        let stage = Stage::of(protocol, 6).await;
        let late = stage.builder().poll_interval_max(Duration::from_secs(30)).build().expect("a consumer");
        let mut members = vec![stage.member(), late];
        settle(&stage, &mut members).await;
        let mut late = members.pop().expect("two members");
        drive(&mut members, is_shared).await;
        assert_eq!(stage.group(), (GroupState::Stable, 1));
        let error = late.poll().await.expect_err("it polled too late");
        assert_eq!(error.kind(), Kind::Timeout, "{error}");
        assert!(error.to_string().contains("max.poll.interval.ms"), "{error}");
        members.push(late);
        assert!(settle(&stage, &mut members).await.is_empty());
    }
}

/// A listener that writes down what happens, and misbehaves once on demand.
#[derive(Clone, Default)]
pub(super) struct Events {
    seen: Arc<Mutex<Vec<String>>>,
    mischief: Arc<Mutex<Option<Mischief>>>,
}

#[derive(Clone, Copy)]
pub(super) enum Mischief {
    Panic,
    Stall,
}

impl Events {
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().expect("no panic"))
    }

    /// The number of events so far.
    pub(super) fn peek(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }

    fn misbehave(&self, mischief: Mischief) {
        *self.mischief.lock().expect("no panic") = Some(mischief);
    }

    fn event(&self, name: &str, partitions: &[TopicPartition]) -> HookFuture<'_> {
        self.seen.lock().expect("no panic").push(format!("{name} {}", partitions.len()));
        let mischief = self.mischief.lock().expect("no panic").take();
        Box::pin(async move {
            match mischief {
                None => Ok(()),
                Some(Mischief::Panic) => panic!("the hook panics, as it should in this test"),
                Some(Mischief::Stall) => std::future::pending().await,
            }
        })
    }
}

impl RebalanceListener for Events {
    fn assigned(&self, _: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        self.event("assigned", &partitions)
    }

    fn revoked(&self, _: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        self.event("revoked", &partitions)
    }

    fn lost(&self, _: ConsumerHandle, partitions: Vec<TopicPartition>) -> HookFuture<'_> {
        self.event("lost", &partitions)
    }
}

#[tokio::test(start_paused = true)]
async fn partitions_are_revoked_before_others_are_assigned() {
    for (assignor, expected) in [
        ("range", &["assigned 6", "revoked 6", "assigned 3", "revoked 3", "assigned 6", "revoked 6"][..]),
        ("cooperative-sticky", &["assigned 6", "revoked 3", "assigned 3", "revoked 6"]),
    ] {
        let stage = Stage::new().await;
        let events = Events::default();
        let first =
            stage.builder().assignors(assignors(assignor)).listener(events.clone()).build().expect("a consumer");
        let mut members = vec![first];
        settle(&stage, &mut members).await;
        members.push(stage.builder().assignors(assignors(assignor)).build().expect("a consumer"));
        settle(&stage, &mut members).await;
        members.pop().expect("two members").close().await.expect("closed");
        settle(&stage, &mut members).await;
        members[0].close().await.expect("closed");
        assert_eq!(events.take(), expected, "{assignor}");
    }
}

#[tokio::test(start_paused = true)]
async fn hook_that_panics_or_stalls_is_an_error_and_the_rebalance_goes_on() {
    for (mischief, kind) in [(Mischief::Panic, Kind::Config), (Mischief::Stall, Kind::Timeout)] {
        let stage = Stage::new().await;
        let events = Events::default();
        let builder = stage.builder().listener(events.clone()).poll_interval_max(Duration::from_secs(60));
        let mut members = vec![builder.build().expect("a consumer")];
        settle(&stage, &mut members).await;
        events.misbehave(mischief);
        members.push(stage.builder().poll_interval_max(Duration::from_secs(60)).build().expect("a consumer"));
        let errors = settle(&stage, &mut members).await;
        assert!(errors.iter().any(|error| error.kind() == kind), "{errors:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn commit_of_a_partition_that_was_revoked_is_refused() {
    let stage = Stage::new().await;
    stage.produce(12).await;
    let mut members = vec![stage.builder().auto_commit(None).build().expect("a consumer")];
    settle(&stage, &mut members).await;
    let positions = members[0].handle().positions();
    assert_eq!(positions.len(), PARTITIONS);
    members.push(stage.member());
    settle(&stage, &mut members).await;
    let foreign: Vec<_> = positions.iter().filter(|(key, _)| !owned(&members[0]).contains(key)).cloned().collect();
    let error = members[0].commit_positions(foreign).await.expect_err("they belong to another member");
    assert!(error.to_string().contains("not this member's any more"), "{error}");
    let own: Vec<_> = positions.iter().filter(|(key, _)| owned(&members[0]).contains(key)).cloned().collect();
    members[0].commit_positions(own).await.expect("its own");
}

/// The coordinator refuses the commit of a member that expired, which the client could not know.
#[tokio::test(start_paused = true)]
async fn commit_of_a_member_that_expired_is_refused() {
    let stage = Stage::new().await;
    stage.produce(12).await;
    let mut members = vec![stage.builder().auto_commit(None).build().expect("a consumer")];
    settle(&stage, &mut members).await;
    let id = members[0].group_metadata().expect("a member").member;
    stage.with(|cluster| cluster.expire_member("g", &id));
    let positions = members[0].handle().positions();
    let error = members[0].commit_positions(positions).await.expect_err("it was removed");
    assert_eq!(error.code(), Some(Code::UnknownMemberId), "{error}");
    assert_eq!(stage.committed(), 0);
    settle(&stage, &mut members).await;
    let metrics = stage.client.metrics();
    let counted = &metrics.consumers[0];
    assert_eq!((counted.rebalances, counted.memberships_lost, counted.commit_failures), (2, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn auto_commit_covers_what_earlier_polls_returned() {
    let stage = Stage::new().await;
    stage.produce(12).await;
    let mut member = stage.builder().poll_bytes_max(1).build().expect("a consumer");
    let mut returned = 0;
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let before = returned;
        let polled = in_time(member.poll()).await.expect("no error").expect("no end");
        returned += i64::try_from(polled.count()).expect("few");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(stage.committed(), before, "of {returned} returned");
    }
    // One that dies commits nothing more.
    drop(member);
    assert!(stage.committed() < returned);
}

pub(super) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("in time")
}

#[tokio::test(start_paused = true)]
async fn closing_commits_and_leaves_at_once() {
    for protocol in BOTH {
        let stage = Stage::of(protocol, 6).await;
        stage.produce(12).await;
        let mut members = [stage.member()];
        let mut count = 0;
        while count < 12 {
            count += in_time(members[0].poll()).await.expect("no error").expect("no end").count();
        }
        let begun = Instant::now();
        members[0].close().await.expect("closed");
        assert!(begun.elapsed() < Duration::from_secs(1), "it waits for the coordinator, and no longer");
        assert_eq!((stage.group(), stage.committed()), ((GroupState::Empty, 0), 12));
    }
}

#[tokio::test(start_paused = true)]
async fn static_member_that_is_closed_keeps_its_place() {
    let stage = Stage::new().await;
    let mut kept = vec![stage.builder().group_instance_id("i").build().expect("a consumer")];
    settle(&stage, &mut kept).await;
    kept[0].close().await.expect("closed");
    assert_eq!(stage.group(), (GroupState::Stable, 1));
}

/// Another member has taken its name.
#[tokio::test(start_paused = true)]
async fn member_that_failed_for_good_has_lost_its_partitions() {
    let stage = Stage::new().await;
    let events = Events::default();
    let named = || stage.builder().group_instance_id("i");
    let mut first = vec![named().listener(events.clone()).build().expect("a consumer")];
    settle(&stage, &mut first).await;
    let mut second = vec![named().build().expect("a consumer")];
    drive(&mut second, |members| owned(&members[0]).len() == PARTITIONS).await;
    let mut codes = Vec::new();
    for _ in 0..200 {
        if let Ok(Err(error)) = tokio::time::timeout(TURN, first[0].poll()).await {
            codes.push(error.code());
        }
    }
    codes.dedup();
    assert_eq!(codes, [Some(Code::FencedInstanceId)]);
    assert_eq!(first[0].assignment(), []);
    assert_eq!(events.take(), ["assigned 6", "lost 6"]);
}

/// Nothing but its next poll wakes a member without partitions: it fetches nothing.
#[tokio::test(start_paused = true)]
async fn idle_member_that_polled_too_late_rejoins_at_its_next_poll() {
    let stage = Stage::with_partitions(1).await;
    let member = || stage.builder().poll_interval_max(Duration::from_secs(30)).build().expect("a consumer");
    let mut members = vec![member(), member()];
    let is_assigned = |members: &[Consumer]| members.iter().map(|member| owned(member).len()).sum::<usize>() == 1;
    drive(&mut members, |members| is_assigned(members) && stage.group() == (GroupState::Stable, 2)).await;
    members.sort_by_key(|member| owned(member).len());
    let mut busy = members.split_off(1);
    drive(&mut busy, |_| stage.group() == (GroupState::Stable, 1)).await;
    assert_eq!(members[0].poll().await.expect_err("it polled too late").kind(), Kind::Timeout);
    members.append(&mut busy);
    let begun = Instant::now();
    drive(&mut members, |members| is_assigned(members) && stage.group() == (GroupState::Stable, 2)).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

/// No records come for longer than the interval between polls: the poll that waits for them is not late.
#[tokio::test(start_paused = true)]
async fn poll_that_waits_for_records_is_not_late() {
    let stage = Stage::new().await;
    let mut member = stage.builder().poll_interval_max(Duration::from_secs(60)).build().expect("a consumer");
    let polls = async {
        loop {
            member.poll().await.expect("it is not late");
        }
    };
    assert!(tokio::time::timeout(LONG, polls).await.is_err(), "it waits on");
    assert_eq!(stage.group(), (GroupState::Stable, 1));
}

/// Heartbeats, fetches that wait, and a refresh of metadata every five minutes.
#[tokio::test(start_paused = true)]
async fn idle_member_sends_only_heartbeats_and_long_polls() {
    let stage = Stage::new().await;
    stage.produce(12).await;
    let mut members = vec![stage.member(), stage.member()];
    settle(&stage, &mut members).await;
    drive(&mut members, |_| stage.committed() == 12).await;
    let count = |cluster: &mut Cluster| (0..100).map(|api| (api, cluster.requests_count(api))).collect();
    let counts = || -> BTreeMap<i16, u64> { stage.with(count) };
    let before = counts();
    let (begun, hour) = (Instant::now(), Duration::from_secs(3_600));
    let mut polls = members.into_iter().map(|mut member| async move {
        while begun.elapsed() < hour {
            let _ = tokio::time::timeout_at(begun + hour, member.poll()).await.map(|polled| polled.expect("no error"));
        }
    });
    tokio::join!(polls.next().expect("one"), polls.next().expect("two"));
    let mut sent = counts();
    sent.retain(|api, count| *count > before[api]);
    let sent: BTreeMap<i16, u64> = sent.into_iter().map(|(api, count)| (api, count - before[&api])).collect();
    assert_eq!(sent.keys().collect::<Vec<_>>(), [&key::FETCH, &key::METADATA, &key::HEARTBEAT]);
    // Two members, a heartbeat every 3 s, a fetch of 500 ms at each of two brokers, a refresh every 5 minutes.
    assert!(
        sent[&key::HEARTBEAT] <= 2 * 1_200 && sent[&key::FETCH] <= 4 * 7_200 && sent[&key::METADATA] <= 13,
        "{sent:?}"
    );
}
