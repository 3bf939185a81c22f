//! Responses with errors.

use super::*;
use crate::error::Kind;
use crate::group::tests::check_rejection;
use crate::wire::message as m;

#[test]
fn unknown_member_loses_its_partitions_and_joins_as_a_new_one() {
    check(
        &format!("{STABLE}wait 3000\nbeat refused 25\ndone"),
        &format!("{JOINED}beat g1 m1 at 3000\nlost a0\njoin - a (the coordinator answered UNKNOWN_MEMBER_ID)"),
    );
}

#[test]
fn illegal_generation_keeps_the_member_id() {
    check(
        &format!("{STABLE}wait 3000\nbeat refused 22\ndone"),
        &format!("{JOINED}beat g1 m1 at 3000\nlost a0\njoin m1 a (the coordinator answered ILLEGAL_GENERATION)"),
    );
}

/// librdkafka #4059: the assignment was lost when a commit of the old generation was refused during a rebalance.
#[test]
fn refused_commit_during_a_rebalance_does_not_disturb_it() {
    check(
        &format!(
            "{STABLE}wait 3000\nbeat refused 27\ncommit refused 22\ncommit refused 27\ndone\ncommit refused 22\njoined 2 m1\nsynced a0"
        ),
        &format!(
            "{JOINED}beat g1 m1 at 3000
             revoke a0
             join m1 a (the group is rebalancing)
             follow a
             sync g2 m1
             assign g2 a0 added a0"
        ),
    );
}

#[test]
fn refused_commit_of_a_stable_member_lets_it_join_again() {
    check(&format!("{STABLE}commit refused 27"), &format!("{JOINED}revoke a0"));
    check(&format!("{STABLE}commit refused 25"), &format!("{JOINED}lost a0"));
}

#[test]
fn join_is_retried_after_errors_that_pass() {
    check(
        "subscribe a
         join refused 15
         wait 200
         join refused 14
         wait 400
         join lost
         wait 1000
         joined 1 m1",
        "follow a
         join - a
         forget coordinator
         join - a
         join - a
         join - a
         follow a
         sync g1 m1",
    );
}

/// A swallowed request ends its connection. Seeds g5 and g18 of the simulator: it ended the membership, too.
/// The application is to know while it has no membership yet.
#[test]
fn response_that_was_not_due_is_retried_on_another_connection() {
    check(
        "subscribe a
         join garbled
         wait 200
         joined 1 m1
         sync garbled
         wait 400",
        "follow a
         join - a
         error Protocol
         join - a
         follow a
         sync g1 m1
         join m1 a",
    );
}

#[test]
fn rebalance_that_begins_before_the_sync_is_joined() {
    check(
        "subscribe a
         joined 1 m1
         sync refused 27
         wait 200
         joined 2 m1
         sync lost
         wait 400
         joined 3 m1",
        "follow a
         join - a
         follow a
         sync g1 m1
         join m1 a (the group is rebalancing)
         follow a
         sync g2 m1
         join m1 a
         follow a
         sync g3 m1",
    );
}

/// A generation that was lost after SyncGroup is not applied.
#[test]
fn assignment_of_a_generation_that_was_lost_meanwhile_is_given_up_at_once() {
    check(
        "subscribe a
         joined 1 m1
         synced a0
         wait 3000
         beat refused 25
         done
         done",
        &format!("{JOINED}beat g1 m1 at 3000\nlost a0\njoin - a (the coordinator answered UNKNOWN_MEMBER_ID)"),
    );
}

#[test]
fn fatal_refusals_end_the_membership_until_the_next_subscription() {
    for code in [23, 24, 26, 30, 81, 82] {
        check(
            &format!("subscribe a\njoin refused {code}\nwait 60000\npoll\nsubscribe a"),
            "follow a
             join - a
             follow a
             join - a",
        );
    }
}

#[test]
fn member_that_failed_for_good_loses_its_partitions() {
    check(
        &format!("{STABLE}wait 3000\nbeat refused 82\ndone\nwait 60000\npoll"),
        &format!("{JOINED}beat g1 m1 at 3000\nlost a0"),
    );
    // It fails while the application works on a step, which gives up the same.
    check(
        &format!("{STABLE}wait 3000\nbeat refused 27\nwait 3000\nbeat refused 82\ndone\ndone"),
        &format!("{JOINED}beat g1 m1 at 3000\nrevoke a0\nbeat g1 m1 at 6000"),
    );
}

#[test]
fn late_response_to_an_older_request_changes_nothing() {
    check(
        &format!("{STABLE}wait 3000\njoined 9 m9\nsynced a7\nbeat refused 27\nbeat refused 25"),
        &format!("{JOINED}beat g1 m1 at 3000\nrevoke a0"),
    );
}

#[test]
fn member_whose_connection_is_refused_fails_in_the_brokers_words() {
    for script in ["subscribe a\njoin rejected".to_owned(), format!("{STABLE}wait 3000\nbeat rejected\ndone")] {
        let mut bench = bench::Bench::new(bench::settings());
        script.lines().for_each(|line| bench.run(line.trim()));
        check_rejection(bench.member.standing_mut().poll_error().as_ref());
    }
}

#[test]
fn fatal_refusals_say_what_to_do() {
    let remedies = [
        (23, "partition.assignment.strategy"),
        (24, "group.id"),
        (26, "group.max.session.timeout.ms"),
        (30, "Read on the group"),
        (81, "group.max.size"),
        (82, "group.instance.id"),
    ];
    for (code, remedy) in remedies {
        let mut bench = bench::Bench::new(bench::settings());
        bench.run("subscribe a");
        bench.run(&format!("join refused {code}"));
        let error = bench.member.standing_mut().poll_error().expect("an error");
        assert!(error.to_string().contains("group g") && error.to_string().contains(remedy), "{error}");
        assert!(error.code().is_some());
    }
}

/// The response to JoinGroup with a change.
fn joined(change: impl FnOnce(&mut m::JoinGroupResponse)) -> m::JoinGroupResponse {
    let mut response = m::JoinGroupResponse {
        generation: 1,
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        leader: "other".into(),
        member: "m1".into(),
        ..m::JoinGroupResponse::default()
    };
    change(&mut response);
    response
}

#[test]
fn group_of_another_kind_and_protocols_that_were_not_offered_are_refused() {
    let rows = [
        (joined(|response| response.protocol_type = Some("connect".into())), Kind::Config, "choose another group.id"),
        (joined(|response| response.protocol = Some("sticky".into())), Kind::Protocol, "was not offered"),
    ];
    for (response, kind, expected) in rows {
        let mut bench = bench::Bench::new(bench::settings());
        bench.run("subscribe a");
        let (tag, now) = bench.sent("join");
        bench.member.handle_joined(now, tag, Ok(response));
        let error = bench.member.standing_mut().poll_error().expect("an error");
        assert!(error.kind() == kind && error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn assignment_that_cannot_be_read_names_the_leader_as_the_cause() {
    for bytes in [&[][..], &[0], &[0, 1, 0, 0, 0, 9], &[0, 1, 0x7f, 0xff, 0xff, 0xff]] {
        let mut bench = bench::Bench::new(bench::settings());
        bench.run("subscribe a");
        bench.run("joined 1 m1");
        let (tag, now) = bench.sent("sync");
        let assignment = bytes::Bytes::copy_from_slice(bytes);
        bench.member.handle_synced(
            now,
            tag,
            Ok(m::SyncGroupResponse { assignment, ..m::SyncGroupResponse::default() }),
        );
        match bench.member.standing_mut().poll_error() {
            Some(error) => assert!(error.kind() == Kind::Protocol && error.to_string().contains("leader"), "{error}"),
            // A member that gets nothing gets no bytes, as in Java.
            None => assert!(bytes.is_empty(), "{bytes:?}"),
        }
    }
}
