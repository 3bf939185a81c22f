//! The answers of a member to others: whether it is stable, when it needs attention, whether anything has changed.

use std::time::Duration;

use super::super::Settings;
use super::bench::Bench;
use super::bench::cooperative;
use super::bench::settings;
use super::*;
use crate::wire::message as m;

fn run(bench: &mut Bench, script: &str) {
    script.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| bench.run(line));
}

#[test]
fn member_is_stable_from_its_assignment_to_the_next_rebalance() {
    let mut bench = Bench::new(settings());
    for (line, stable) in [
        ("subscribe a", false),
        ("joined 1 m1", false),
        ("synced a0", false),
        ("done", true),
        ("wait 3000", true),
        ("beat refused 27", false),
        ("done", false),
        ("joined 2 m1", false),
        ("synced a0", false),
        ("done", true),
    ] {
        bench.run(line);
        assert_eq!(bench.member.is_stable(), stable, "after {line}");
        assert!(!bench.member.has_actions(), "the bench takes them all");
    }
}

#[test]
fn assignment_and_its_end_change_the_version() {
    let mut bench = Bench::new(settings());
    run(&mut bench, "subscribe a\njoined 1 m1");
    let mut seen = bench.member.standing().version();
    for line in ["synced a0", "done", "commit refused 25", "done"] {
        bench.run(line);
        let version = bench.member.standing().version();
        assert!(version > seen, "after {line}: {version} follows {seen}");
        seen = version;
    }
}

#[test]
fn late_response_to_an_abandoned_join_is_ignored() {
    let mut bench = Bench::new(settings());
    run(&mut bench, "subscribe a");
    let (old, now) = bench.sent("join");
    run(&mut bench, "join lost\nwait 1000");
    let (tag, _) = bench.sent("join");
    assert_ne!(old, tag, "it joins again");
    let response = m::JoinGroupResponse { generation: 7, member: "m7".into(), ..m::JoinGroupResponse::default() };
    bench.member.handle_joined(now, old, Ok(response));
    assert_eq!(bench.member.standing().identity().member, "");
    assert!(bench.member.poll_action().is_none(), "it waits for the response to the second request");
}

#[test]
fn leader_that_waits_for_metadata_needs_attention_in_time() {
    let mut bench = Bench::new(Settings { heartbeat_interval: Duration::from_secs(200), ..settings() });
    run(&mut bench, "meta a=1\nsubscribe a\njoined 1 m1 leads m1:a m2:b");
    let (_, now) = bench.sent("join");
    assert_eq!(bench.member.poll_timeout(), Some(now + Duration::from_secs(30)));
}

#[test]
fn member_that_joins_later_needs_attention_then() {
    let mut bench = Bench::new(settings());
    run(&mut bench, "subscribe a\njoin lost");
    let (_, now) = bench.sent("join");
    let due = bench.member.poll_timeout().expect("it joins again");
    assert!(due > now && due <= now + Duration::from_secs(1), "after a pause");
}

#[test]
fn member_is_leaving_until_its_response_or_its_loss() {
    for end in ["left", "leave lost"] {
        let mut bench = Bench::new(settings());
        run(&mut bench, STABLE);
        let version = bench.member.standing().version();
        bench.run("leave");
        assert!(bench.member.is_leaving(), "{end}");
        assert!(bench.member.standing().version() > version, "commits of before are refused");
        bench.run(end);
        assert!(!bench.member.is_leaving(), "{end}");
    }
}

#[test]
fn rebalances_and_losses_are_counted() {
    let mut bench = Bench::new(settings());
    run(&mut bench, STABLE);
    assert_eq!((bench.member.standing().counters().rebalances, bench.member.standing().counters().losses), (1, 0));
    run(&mut bench, "wait 3000\nbeaten\nwait 3000\nbeat refused 25\ndone\njoined 1 m2\nsynced a0\ndone");
    let counters = bench.member.standing().counters();
    assert_eq!((counters.rebalances, counters.losses, counters.heartbeats), (2, 1, 1));
    assert!(!bench.member.standing().has_error());
    run(&mut bench, "wait 3000\nbeat refused 30\ndone");
    assert!(bench.member.standing().has_error(), "it may not be in the group any more");
}

/// A membership that fails while the hook of a cooperative rebalance works: what the hook gave up is not given up again.
#[test]
fn failure_during_a_step_gives_each_partition_up_once() {
    check_with(
        cooperative(),
        "subscribe a
         joined 1 m1
         synced a0 a1
         done
         wait 3000
         beat refused 27
         joined 2 m1
         synced a0
         wait 3000
         beat refused 30
         done
         done",
        "follow a
         join - a
         follow a
         sync g1 m1
         assign g1 a0 a1 added a0 a1
         beat g1 m1 at 3000
         join m1 a a0 a1 (the group is rebalancing)
         follow a
         sync g2 m1
         revoke a1
         beat g2 m1 at 6000
         lost a0",
    );
}
