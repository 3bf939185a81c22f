//! Taking what the coordinator assigns.

use super::*;

const STABLE: &str = "meta a=3
                      subscribe a
                      beaten 1 a0 a1
                      done
                      beaten 1
                      wait 5000
                      ";
const JOINED: &str = "follow a
                      beat e0 full topics a owned - at 0
                      assign a0 a1 added a0 a1
                      beat e1 owned a0 a1 at 0
                      beat e1 at 5000
                      ";

#[test]
fn partitions_that_move_are_given_up_before_new_ones_are_taken_and_then_acknowledged() {
    check(
        &format!("{STABLE}beaten 2 a1 a2\ndone\ndone\nbeaten 3\nwait 5000"),
        &format!(
            "{JOINED}revoke a0
             assign a1 a2 added a2
             beat e2 owned a1 a2 at 5000
             beat e3 at 10000"
        ),
    );
}

#[test]
fn same_assignment_changes_nothing() {
    check(&format!("{STABLE}beaten 1 a0 a1\nwait 5000"), &format!("{JOINED}beat e1 at 10000"));
}

#[test]
fn member_that_gets_nothing_acknowledges_it() {
    check(
        "subscribe a\nbeaten 1 nothing\ndone\nbeaten 1\nwait 5000",
        "follow a
         beat e0 full topics a owned - at 0
         assign added
         beat e1 owned - at 0
         beat e1 at 5000",
    );
}

#[test]
fn member_that_joins_without_an_assignment_has_nothing() {
    check("subscribe a\nbeaten 1", "follow a\nbeat e0 full topics a owned - at 0\nassign added");
}

#[test]
fn topics_that_the_metadata_does_not_know_are_taken_later() {
    check(
        "meta a=1
         subscribe a b
         beaten 1 a0 b0
         done
         beaten 1
         wait 1000
         meta b=1
         done
         beaten 1
         wait 5000",
        "follow a,b
         beat e0 full topics a,b owned - at 0
         refresh a,b at 0
         assign a0 added a0
         beat e1 owned a0 b0 at 0
         refresh a,b at 1000
         assign a0 b0 added b0
         beat e1 owned a0 b0 at 1000
         beat e1 at 6000",
    );
}

#[test]
fn member_waits_where_it_knows_none_of_its_topics() {
    check(
        "subscribe b
         beaten 1 b0
         wait 2500
         meta b=1",
        "follow b
         beat e0 full topics b owned - at 0
         refresh b at 0
         refresh b at 1000
         refresh b at 2000
         assign b0 added b0",
    );
}

#[test]
fn partitions_that_move_away_are_given_up_although_the_new_ones_are_not_known() {
    check(
        &format!("{STABLE}beaten 2 z0\ndone\ndone"),
        &format!(
            "{JOINED}refresh a at 5000
             revoke a0 a1
             assign added
             beat e2 owned z0 at 5000"
        ),
    );
}

/// The metadata may drop a topic before its partitions are given up.
#[test]
fn topic_that_was_resolved_once_keeps_its_name() {
    check(
        &format!("{STABLE}forget a\nbeaten 2 a0\ndone\ndone"),
        &format!(
            "{JOINED}revoke a1
             assign a0 added
             beat e2 owned a0 at 5000"
        ),
    );
}

#[test]
fn target_that_changes_during_a_step_is_taken_after_it() {
    check(
        &format!("{STABLE}beaten 2 a1\nwait 5000\nbeaten 2 a2\ndone\ndone\ndone"),
        &format!(
            "{JOINED}revoke a0
             beat e2 at 10000
             revoke a1
             assign a2 added a2
             beat e2 owned a2 at 10000"
        ),
    );
    // The application takes one assignment while the next one comes: both are acknowledged.
    check(
        &format!("{STABLE}beaten 2 a0 a1 a2\nwait 5000\nbeaten 3 a1\ndone\nbeaten 3\ndone\ndone"),
        &format!(
            "{JOINED}assign a0 a1 a2 added a2
             beat e2 at 10000
             beat e3 owned a0 a1 a2 at 10000
             revoke a0 a2
             assign a1 added
             beat e3 owned a1 at 10000"
        ),
    );
}

/// The partitions that were given up for the first target are not there any more.
#[test]
fn target_that_changes_back_is_taken_again() {
    check(
        &format!("{STABLE}beaten 2 a1\nwait 5000\nbeaten 2 a0 a1\ndone\ndone"),
        &format!(
            "{JOINED}revoke a0
             beat e2 at 10000
             assign a0 a1 added a0
             beat e2 owned a0 a1 at 10000"
        ),
    );
}

/// Each assignment is acknowledged, even one that leaves nothing to do.
#[test]
fn target_that_changed_and_is_held_already_is_acknowledged_without_a_step() {
    check(
        "meta a=1
         subscribe a b
         beaten 1 a0 b0
         done
         beaten 1
         wait 5000
         beaten 2 a0",
        "follow a,b
         beat e0 full topics a,b owned - at 0
         refresh a,b at 0
         assign a0 added a0
         beat e1 owned a0 b0 at 0
         refresh a,b at 1000
         refresh a,b at 2000
         refresh a,b at 3000
         refresh a,b at 4000
         refresh a,b at 5000
         beat e1 at 5000
         beat e2 owned a0 at 5000",
    );
}

#[test]
fn assignment_that_is_nonsense_ends_the_membership() {
    check("meta a=1\nsubscribe a\nbeaten 1 a-1\nwait 60000", "follow a\nbeat e0 full topics a owned - at 0");
    check("meta a=1\nsubscribe a\nbeaten 0 a0\nwait 60000", "follow a\nbeat e0 full topics a owned - at 0");
}
