//! The contents of heartbeats, and when they are sent.

use super::bench::Bench;
use super::*;
use crate::group::modern::Settings;
use crate::wire::message::ConsumerGroupHeartbeatResponse;

#[test]
fn member_joins_with_everything_and_then_says_only_what_changed() {
    check(
        "meta a=2 b=1
         subscribe a
         beaten 1 a0 a1
         done
         beaten 1
         wait 5000
         beaten 1
         subscribe a b
         beaten 2
         wait 5000",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 a1 added a0 a1
         beat e1 owned a0 a1 at 0
         beat e1 at 5000
         follow a,b
         beat e1 topics a,b at 5000
         beat e2 at 10000",
    );
}

#[test]
fn heartbeat_after_an_error_says_everything_again() {
    for (failure, forget) in [("beat lost", ""), ("beat refused 14", ""), ("beat refused 16", "forget coordinator\n")] {
        check(
            &format!("meta a=1\nsubscribe a\nbeaten 1 a0\ndone\nbeaten 1\nwait 5000\n{failure}\nwait 101\nwait 5000"),
            &format!(
                "follow a
                 beat e0 full topics a owned - at 0
                 assign a0 added a0
                 beat e1 owned a0 at 0
                 beat e1 at 5000
                 {forget}beat e1 full topics a owned a0 at 5089"
            ),
        );
    }
}

/// I-44: the coordinator gives partitions to nobody else before it has the acknowledgement.
#[test]
fn acknowledgement_that_is_lost_is_sent_again_with_the_partitions() {
    check(
        "meta a=2
         subscribe a
         beaten 1 a0 a1
         done
         beaten 1
         wait 5000
         beaten 2 a0
         done
         done
         beat lost
         wait 200
         beaten 2",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 a1 added a0 a1
         beat e1 owned a0 a1 at 0
         beat e1 at 5000
         revoke a1
         assign a0 added
         beat e2 owned a0 at 5000
         beat e2 full topics a owned a0 at 5089",
    );
}

/// A coordinator gives what a member does not own to another at once. One that takes a partition meanwhile would have it too, and might
/// commit in it.
#[test]
fn partitions_that_are_about_to_be_taken_are_claimed() {
    check(
        "meta a=1
         subscribe a
         beaten 1 nothing
         wait 5000
         beaten 2 a0
         done
         beaten 2 nothing
         done
         beaten 2
         done
         done
         beaten 3",
        "follow a
         beat e0 full topics a owned - at 0
         assign added
         beat e1 at 5000
         beat e2 owned a0 at 5000
         assign a0 added a0
         beat e2 owned a0 at 5000
         revoke a0
         assign added
         beat e2 owned - at 5000",
    );
}

#[test]
fn partitions_that_are_being_taken_are_named_where_everything_is_said() {
    check(
        "meta a=1
         subscribe a
         beaten 7 a0
         wait 5000
         beat lost
         wait 100
         beaten 7
         wait 5000
         done",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 added a0
         beat e7 at 5000
         beat e7 full topics a owned a0 at 5089
         beat e7 at 10089",
    );
}

#[test]
fn heartbeats_go_on_while_the_application_works_on_a_step() {
    check(
        "meta a=1
         subscribe a
         beaten 1 a0
         wait 5000
         beaten 1
         wait 5000",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 added a0
         beat e1 at 5000
         beat e1 at 10000",
    );
}

#[test]
fn next_heartbeat_waits_for_the_answer_to_the_last() {
    check("subscribe a\nwait 60000", "follow a\nbeat e0 full topics a owned - at 0");
}

/// I-46: only a coordinator can say that the member is out.
#[test]
fn nothing_is_given_up_while_the_coordinator_does_not_answer() {
    let mut bench = Bench::new(settings());
    for line in ["meta a=1", "subscribe a", "beaten 1 a0", "done", "beaten 1", "wait 5000"] {
        bench.run(line);
    }
    for _ in 0..100 {
        bench.run("beat lost");
        bench.run("poll");
        bench.run("wait 2000");
        assert!(!bench.member.has_step() && bench.member.standing().owned().len() == 1);
        assert_eq!(bench.member.standing().identity().generation, 1);
    }
}

#[test]
fn member_id_is_made_here_and_replaced_where_the_coordinator_names_another() {
    let mut bench = Bench::new(Settings { rack: "r".into(), assignor: Some("range".into()), ..settings() });
    bench.run("meta a=1");
    bench.run("subscribe a");
    let made = bench.requests[0].clone();
    assert_eq!((made.member.len(), made.rack.as_deref(), made.assignor.as_deref()), (22, Some("r"), Some("range")));
    assert_eq!(made.rebalance_timeout_ms, 300_000);
    assert!(bench.member.standing().identity().member.is_empty(), "it is not in the group yet");
    let given = ConsumerGroupHeartbeatResponse {
        member: Some("given".into()),
        epoch: 1,
        heartbeat_interval_ms: 2_000,
        ..ConsumerGroupHeartbeatResponse::default()
    };
    bench.answer("beat", Ok(given));
    assert_eq!(bench.member.standing().identity().member, "given");
    for line in ["done", "beaten 1", "wait 2000"] {
        bench.run(line);
    }
    let next = bench.requests.last().expect("a request");
    assert_eq!((next.member.as_str(), next.rack.as_deref(), next.assignor.as_deref()), ("given", None, None));
}

#[test]
fn refused_commit_makes_the_member_ask_for_its_epoch() {
    check(
        "meta a=1
         subscribe a
         beaten 1 a0
         done
         beaten 1
         wait 1000
         commit refused 113
         commit refused 113
         beaten 2",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 added a0
         beat e1 owned a0 at 0
         beat e1 at 1000
         beat e2 at 1000",
    );
}

#[test]
fn interval_of_nothing_does_not_make_the_member_send_without_a_pause() {
    for heartbeat_interval_ms in [0, -1, i32::MIN] {
        let mut bench = Bench::new(settings());
        bench.run("subscribe a");
        let answer = |bench: &mut Bench| {
            let response = ConsumerGroupHeartbeatResponse { epoch: 1, heartbeat_interval_ms, ..Default::default() };
            bench.answer("beat", Ok(response));
        };
        for _ in ["join", "acknowledgement"] {
            answer(&mut bench);
            bench.run("poll");
            bench.run("done");
        }
        assert_eq!(bench.requests.len(), 2, "{heartbeat_interval_ms}");
        bench.run("wait 9");
        assert_eq!(bench.requests.len(), 2, "{heartbeat_interval_ms}");
        bench.run("wait 1");
        assert_eq!(bench.requests.len(), 3, "{heartbeat_interval_ms}");
    }
}
