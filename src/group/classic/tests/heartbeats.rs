//! Heartbeats, and polls that come too late.

use std::time::Duration;

use super::bench::settings;
use super::*;
use crate::group::classic::Settings;

#[test]
fn heartbeats_go_on_while_the_application_works_on_a_step() {
    check(
        "subscribe a
         joined 1 m1
         synced a0
         wait 3000
         beaten
         wait 3000",
        &format!("{JOINED}beat g1 m1 at 3000\nbeat g1 m1 at 6000"),
    );
}

#[test]
fn next_heartbeat_waits_for_the_answer_to_the_last() {
    check(&format!("{STABLE}wait 9000"), &format!("{JOINED}beat g1 m1 at 3000"));
}

/// Only a coordinator can say that the session has ended: reading goes on without one.
#[test]
fn heartbeat_that_is_lost_is_sent_again_soon_and_nothing_is_given_up() {
    check(
        &format!("{STABLE}wait 3000\nbeat lost\nwait 100\nbeat refused 16\nwait 100\nbeaten\nwait 3000"),
        &format!(
            "{JOINED}beat g1 m1 at 3000\nbeat g1 m1 at 3100\nforget coordinator\nbeat g1 m1 at 3200\nbeat g1 m1 at 6200"
        ),
    );
}

#[test]
fn no_heartbeat_is_sent_while_the_coordinator_holds_the_join() {
    check(
        &format!("{STABLE}wait 3000\nbeat refused 27\ndone\nwait 9000\njoined 2 m1\nsynced\ndone\nwait 3000"),
        &format!(
            "{JOINED}beat g1 m1 at 3000
             revoke a0
             join m1 a (the group is rebalancing)
             follow a
             sync g2 m1
             assign g2 added
             beat g2 m1 at 15000"
        ),
    );
}

#[test]
fn member_that_does_not_poll_leaves_and_joins_again_at_the_next_poll() {
    let settings = || Settings { poll_interval_max: Duration::from_secs(2), ..settings() };
    let script = format!("{STABLE}wait 1000\npoll\nwait 1500\nwait 1000\nwait 60000\npoll\ndone\n");
    let late = "leave m1 (the application did not poll in time)
                error Timeout
                lost a0
                join - a (the application polls again)";
    check_with(settings(), &script, &format!("{JOINED}{late}"));
    // A static member stays until its session ends.
    let late = late.split_once('\n').expect("lines").1;
    check_with(Settings { instance: Some("i".into()), ..settings() }, &script, &format!("{JOINED}{late}"));
}

#[test]
fn assignment_that_is_taken_too_late_is_lost() {
    let settings = Settings { poll_interval_max: Duration::from_secs(2), ..settings() };
    check_with(
        settings,
        "subscribe a
         joined 1 m1
         synced a0
         wait 2000
         done
         poll
         done",
        &format!(
            "{JOINED}leave m1 (the application did not poll in time)
             error Timeout
             lost a0
             join - a (the application polls again)"
        ),
    );
}
