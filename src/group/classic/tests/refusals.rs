//! Responses with errors.

use super::*;

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
