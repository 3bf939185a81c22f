//! Groups of KIP-848 on the mock, in virtual time: members that share, leave, are fenced and expire, and a coordinator that fails
//! them at every heartbeat.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla::Record;
use ottla::consumer::Consumer;
use ottla::consumer::GroupProtocol;
use ottla::error::Code;
use ottla::mock::Fault;
use ottla::mock::GroupState;
use ottla::mock::On;
use ottla::mock::key;

use super::mock::Events;
use super::mock::FAULTS;
use super::mock::LONG;
use super::mock::PARTITIONS;
use super::mock::Stage;
use super::mock::drive;
use super::mock::in_time;
use super::mock::is_shared;
use super::mock::owned;
use super::mock::settle;

fn id_of(member: &Consumer) -> String {
    member.group_metadata().expect("a member").member
}

#[tokio::test(start_paused = true)]
async fn members_share_and_take_over_from_an_expired_one() {
    for assignor in ["uniform", "range"] {
        let stage = Stage::modern().await;
        let build = || stage.builder().group_remote_assignor(assignor).build().expect("a consumer");
        let mut members = vec![build(), build()];
        assert!(settle(&stage, &mut members).await.is_empty());
        let second = id_of(&members[1]);
        assert!(stage.with(|cluster| cluster.expire_member("g", &second)));
        let mut heir = vec![members.remove(0)];
        drive(&mut heir, |members| owned(&members[0]).len() == PARTITIONS).await;
        // The one that expired learns it when it polls again, and joins with the id that it had.
        members.append(&mut heir);
        settle(&stage, &mut members).await;
        assert_eq!(id_of(&members[0]), second);
    }
}

/// Plays the life of two members while the n-th heartbeat of the group fails.
async fn live_with_fault(fault: Fault, nth: u32) {
    let stage = Stage::modern().await;
    stage.produce(12).await;
    stage.with(|cluster| cluster.play(On::api(key::CONSUMER_GROUP_HEARTBEAT).name("g").pass(nth).then(fault)));
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

#[tokio::test(start_paused = true)]
async fn every_lost_heartbeat_is_survived() {
    for fault in FAULTS {
        for nth in 0..9 {
            let life = Box::pin(live_with_fault(fault, nth));
            assert!(tokio::time::timeout(LONG * 4, life).await.is_ok(), "{fault:?} of heartbeat {nth}");
        }
    }
}

/// Three heartbeats in a row are lost, wherever they begin, and no record is repeated or skipped.
#[tokio::test(start_paused = true)]
async fn records_are_returned_once_whichever_heartbeats_are_lost() {
    for fault in [Fault::CloseBefore, Fault::CloseAfter] {
        for nth in 0..10 {
            let stage = Stage::modern().await;
            let script = On::api(key::CONSUMER_GROUP_HEARTBEAT).name("g").pass(nth).then(fault).times(3);
            stage.with(|cluster| cluster.play(script));
            let mut members = vec![stage.member()];
            let mut returned = BTreeSet::new();
            for round in 0..4 {
                let values: BTreeSet<String> = (0..30).map(|record| format!("{round}-{record}")).collect();
                let producer = stage.client.producer().build().expect("a producer");
                for value in &values {
                    producer.send(Record::to("t").value(value.as_str())).await.expect("written");
                }
                if round < 3 {
                    members.push(stage.member());
                } else {
                    members.remove(0).close_within(Duration::from_secs(60)).await.expect("closed");
                }
                collect(&stage, &mut members, &mut returned, (round + 1) * 30, &format!("{fault:?} from {nth}")).await;
            }
        }
    }
}

/// Polls until this many records were returned and the group has settled.
async fn collect(stage: &Stage, members: &mut [Consumer], returned: &mut BTreeSet<String>, count: usize, label: &str) {
    let all = async {
        while returned.len() < count || stage.group() != (GroupState::Stable, members.len()) {
            for member in &mut *members {
                let polled = tokio::time::timeout(Duration::from_millis(100), member.poll()).await;
                let Ok(polled) = polled else { continue };
                for record in &polled.expect("no error").expect("no end") {
                    let value = String::from_utf8(record.value.unwrap_or_default().to_vec()).expect("text");
                    assert!(returned.insert(value.clone()), "{label}: {value} was returned twice");
                }
            }
        }
    };
    let in_time = tokio::time::timeout(LONG, all).await.is_ok();
    assert!(in_time, "{label}: {} of {count} were returned", returned.len());
}

#[tokio::test(start_paused = true)]
async fn fenced_member_loses_its_partitions_and_joins_again() {
    let stage = Stage::modern().await;
    let events = Events::default();
    let mut members = vec![stage.builder().listener(events.clone()).build().expect("a consumer"), stage.member()];
    settle(&stage, &mut members).await;
    let before = events.take();
    let id = id_of(&members[0]);
    assert!(stage.with(|cluster| cluster.fence_member("g", &id)));
    drive(&mut members, |_| events.peek() >= 2).await;
    settle(&stage, &mut members).await;
    assert_eq!(events.take(), ["lost 3", "assigned 3"], "after {before:?}");
    assert_eq!(id_of(&members[0]), id);
}

#[tokio::test(start_paused = true)]
async fn only_partitions_that_move_are_revoked() {
    let stage = Stage::modern().await;
    let events = Events::default();
    let mut members = vec![stage.builder().listener(events.clone()).build().expect("a consumer")];
    settle(&stage, &mut members).await;
    members.push(stage.member());
    settle(&stage, &mut members).await;
    members.pop().expect("two members").close().await.expect("closed");
    settle(&stage, &mut members).await;
    members[0].close().await.expect("closed");
    assert_eq!(events.take(), ["assigned 6", "revoked 3", "assigned 3", "revoked 6"]);
}

/// The member that has to give up partitions is stuck in its application for longer than its rebalance timeout.
#[tokio::test(start_paused = true)]
async fn member_that_gives_nothing_up_is_removed_and_loses_them() {
    let stage = Stage::modern().await;
    let events = Events::default();
    let stuck = stage.builder().listener(events.clone()).poll_interval_max(Duration::from_secs(30));
    let mut members = vec![stuck.build().expect("a consumer")];
    settle(&stage, &mut members).await;
    let mut stuck = members.remove(0);
    let mut other = vec![stage.member()];
    drive(&mut other, |members| owned(&members[0]).len() == PARTITIONS).await;
    assert!(stuck.poll().await.is_err(), "it polled too late");
    other.push(stuck);
    settle(&stage, &mut other).await;
    assert_eq!(events.take(), ["assigned 6", "lost 6", "assigned 3"]);
}

#[tokio::test(start_paused = true)]
async fn static_member_returns_to_its_partitions_and_its_twin_is_refused() {
    let stage = Stage::modern().await;
    let named = || stage.builder().group_instance_id("i").build().expect("a consumer");
    let mut members = vec![named(), stage.member()];
    settle(&stage, &mut members).await;
    let error = in_time(named().poll()).await.expect_err("the name is taken");
    assert_eq!(error.code(), Some(Code::UnreleasedInstanceId), "{error}");
    let (before, other) = (owned(&members[0]), owned(&members[1]));
    let first = id_of(&members[0]);
    members.remove(0).close().await.expect("closed");
    drive(&mut members, |_| stage.group().1 == 2).await;
    assert_eq!(owned(&members[0]), other, "its partitions are kept for it");
    members.insert(0, named());
    settle(&stage, &mut members).await;
    assert_eq!((owned(&members[0]), owned(&members[1])), (before, other));
    assert_ne!(id_of(&members[0]), first);
    // One that does not return loses its place when its session ends.
    members.remove(0).close().await.expect("closed");
    drive(&mut members, is_shared).await;
    assert_eq!(stage.group().1, 1);
}

/// The coordinator refuses the commit of a member that expired, which the client could not know.
#[tokio::test(start_paused = true)]
async fn commit_of_a_member_that_expired_is_refused() {
    let stage = Stage::modern().await;
    stage.produce(12).await;
    let mut members = vec![stage.builder().auto_commit(None).build().expect("a consumer")];
    settle(&stage, &mut members).await;
    let id = id_of(&members[0]);
    stage.with(|cluster| cluster.expire_member("g", &id));
    let positions = members[0].handle().positions();
    let error = members[0].commit_positions(positions).await.expect_err("it was removed");
    assert_eq!(error.code(), Some(Code::UnknownMemberId), "{error}");
    assert_eq!(stage.committed(), 0);
    settle(&stage, &mut members).await;
}

/// A group of the other protocol that has members is refused, and one without members is taken over with its offsets.
#[tokio::test(start_paused = true)]
async fn offsets_survive_a_change_of_the_protocol() {
    let stage = Stage::modern().await;
    stage.produce(12).await;
    let mut members = vec![stage.member()];
    settle(&stage, &mut members).await;
    let classic = || stage.builder().group_protocol(GroupProtocol::Classic).build().expect("a consumer");
    let error = in_time(classic().poll()).await.expect_err("the group is of the other protocol");
    assert_eq!(error.code(), Some(Code::InconsistentGroupProtocol), "{error}");
    members[0].close().await.expect("closed");
    let committed = stage.committed();
    let mut members = vec![classic()];
    settle(&stage, &mut members).await;
    let error = in_time(stage.member().poll()).await.expect_err("the group is of the other protocol");
    assert_eq!(error.code(), Some(Code::GroupIdNotFound), "{error}");
    members[0].close().await.expect("closed");
    assert_eq!(stage.committed().max(committed), 12);
}
