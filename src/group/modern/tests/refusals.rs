//! Fencing, and errors.

use super::bench::Bench;
use super::*;
use crate::error::Code;
use crate::error::Kind;
use crate::group::tests::check_rejection;
use crate::wire::message::ConsumerGroupHeartbeatResponse;

const STABLE: &str = "meta a=1
                      subscribe a
                      beaten 7 a0
                      done
                      beaten 7
                      wait 5000
                      ";
const JOINED: &str = "follow a
                      beat e0 full topics a owned - at 0
                      assign a0 added a0
                      beat e7 owned a0 at 0
                      beat e7 at 5000
                      ";

#[test]
fn member_whose_connection_is_refused_fails_in_the_brokers_words() {
    for script in ["subscribe a\nbeat rejected".to_owned(), format!("{STABLE}beat rejected\ndone")] {
        let mut bench = Bench::new(settings());
        script.lines().for_each(|line| bench.run(line.trim()));
        check_rejection(bench.member.standing_mut().poll_error().as_ref());
    }
}

#[test]
fn fenced_member_loses_everything_and_joins_again_at_once() {
    for code in [25, 110] {
        check(
            &format!("{STABLE}beat refused {code}\ndone\nbeaten 9 a0\ndone"),
            &format!(
                "{JOINED}lost a0
                 beat e0 full topics a owned - at 5000
                 assign a0 added a0
                 beat e9 owned a0 at 5000"
            ),
        );
    }
}

#[test]
fn heartbeat_whose_response_cannot_be_read_is_sent_again() {
    check(&format!("{STABLE}beat garbled\nwait 100"), &format!("{JOINED}beat e7 full topics a owned a0 at 5089"));
    // A member that joins reports it.
    check(
        "subscribe a\nbeat garbled\nwait 100",
        "follow a\nbeat e0 full topics a owned - at 0\nerror Protocol\nbeat e0 full topics a owned - at 89",
    );
}

#[test]
fn fenced_member_keeps_its_id() {
    let mut bench = Bench::new(settings());
    for line in ["meta a=1", "subscribe a", "beaten 1 nothing", "done", "beat refused 25"] {
        bench.run(line);
    }
    let ids: Vec<&str> = bench.requests.iter().map(|request| request.member.as_str()).collect();
    assert_eq!(ids, [ids[0]; 3]);
}

#[test]
fn member_that_has_nothing_joins_again_without_a_step() {
    check(
        "subscribe a\nbeaten 1 nothing\ndone\nbeat refused 25",
        "follow a
         beat e0 full topics a owned - at 0
         assign added
         beat e1 owned - at 0
         beat e0 full topics a owned - at 0",
    );
}

/// A coordinator that refuses every member does not get requests without a pause.
#[test]
fn join_that_is_fenced_is_sent_again_after_a_pause() {
    check(
        "subscribe a\nbeat refused 25\nwait 50\nwait 50",
        "follow a
         beat e0 full topics a owned - at 0
         beat e0 full topics a owned - at 89",
    );
}

#[test]
fn reconciliation_that_ends_after_the_epoch_was_lost_is_discarded() {
    // During the revocation.
    check(
        &format!("meta a=2\n{STABLE}beaten 8 a1\nwait 5000\nbeat refused 110\ndone\nbeaten 9 a1"),
        &format!(
            "{JOINED}revoke a0
             beat e8 at 10000
             beat e0 full topics a owned - at 10000
             assign a1 added a1"
        ),
    );
    // While the assignment is taken.
    check(
        "meta a=1\nsubscribe a\nbeaten 1 a0\nwait 5000\nbeat refused 110\ndone\ndone\nbeaten 3 a0",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 added a0
         beat e1 at 5000
         lost a0
         beat e0 full topics a owned - at 5000
         assign a0 added a0",
    );
}

#[test]
fn fatal_refusals_end_the_membership_until_the_next_subscription() {
    for code in [24, 30, 35, 42, 69, 81, 82, 111, 112, 128] {
        check(
            &format!("{STABLE}beat refused {code}\nwait 600000\npoll\ndone\nsubscribe a\ndone"),
            &format!(
                "{JOINED}lost a0
                 follow a
                 beat e0 full topics a owned - at 605000"
            ),
        );
    }
}

#[test]
fn fatal_errors_say_what_to_do() {
    let remedies = [
        (Code::UnreleasedInstanceId, "group_instance_id"),
        (Code::FencedInstanceId, "group_instance_id"),
        (Code::UnsupportedAssignor, "uniform and range"),
        (Code::GroupMaxSizeReached, "group.consumer.max.size"),
        (Code::GroupAuthorizationFailed, "Read on the group"),
        (Code::GroupIdNotFound, "group.protocol=classic"),
        (Code::UnsupportedVersion, "group.protocol=classic"),
        (Code::InvalidRequest, "the coordinator says: why"),
    ];
    for (code, remedy) in remedies {
        let mut bench = Bench::new(settings());
        bench.run("subscribe a");
        let (error, error_message) = (Some(code), Some("why".to_owned()));
        bench.answer("beat", Ok(ConsumerGroupHeartbeatResponse { error, error_message, ..Default::default() }));
        let error = bench.member.standing_mut().poll_error().expect("an error");
        assert!(error.to_string().contains(remedy) && error.code() == Some(code), "{error}");
        assert!(bench.member.standing_mut().poll_error().is_some(), "it is returned again");
    }
    let mut bench = Bench::new(settings());
    bench.run("subscribe a");
    bench.run("beat unsupported");
    let error = bench.member.standing_mut().poll_error().expect("an error");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("group.protocol=classic"), "{error}");
}

#[test]
fn topic_that_may_not_be_seen_is_reported_and_the_member_stays() {
    check(
        &format!("{STABLE}beat refused 29\nwait 100\nbeaten 7\nwait 5000"),
        &format!(
            "{JOINED}error Broker
             beat e7 full topics a owned a0 at 5089
             beat e7 at 10089"
        ),
    );
}

#[test]
fn late_response_to_an_older_heartbeat_changes_nothing() {
    check(
        &format!("{STABLE}beat refused 25\nbeaten 9 a0\nbeat refused 110\ndone"),
        &format!("{JOINED}lost a0\nbeat e0 full topics a owned - at 5000"),
    );
}
