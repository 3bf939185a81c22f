//! Leaving, and polls that come too late.

use std::time::Duration;

use super::bench::Bench;
use super::*;
use crate::group::modern::Settings;

const STABLE: &str = "meta a=1
                      subscribe a
                      beaten 1 a0
                      done
                      beaten 1
                      ";
const JOINED: &str = "follow a
                      beat e0 full topics a owned - at 0
                      assign a0 added a0
                      beat e1 owned a0 at 0
                      ";

fn of_static() -> Settings {
    Settings { instance: Some("i".into()), ..settings() }
}

/// I-45.
#[test]
fn member_leaves_once() {
    for end in ["left", "leave lost", "leave refused 25"] {
        let script = format!("{STABLE}leave\nleave\nwait 60000\n{end}\nleave\nwait 60000");
        check(&script, &format!("{JOINED}leave e-1"));
    }
    let mut bench = Bench::new(settings());
    for line in STABLE.lines().chain(["leave", "leave"]).map(str::trim).filter(|line| !line.is_empty()) {
        bench.run(line);
    }
    assert!(bench.member.is_leaving(), "the coordinator has not answered");
    bench.run("left");
    assert!(!bench.member.is_leaving());
}

#[test]
fn static_member_says_that_it_returns_unless_it_leaves_for_good() {
    check_with(of_static(), &format!("{STABLE}leave"), &format!("{JOINED}leave e-2"));
    check_with(of_static(), &format!("{STABLE}leave even static"), &format!("{JOINED}leave e-1"));
    let mut bench = Bench::new(of_static());
    for line in STABLE.lines().chain(["leave"]).map(str::trim).filter(|line| !line.is_empty()) {
        bench.run(line);
    }
    assert!(bench.requests.iter().all(|request| request.instance.as_deref() == Some("i")));
}

#[test]
fn member_leaves_while_it_joins_and_while_it_applies() {
    check("subscribe a\nleave\nbeaten 1 nothing", "follow a\nbeat e0 full topics a owned - at 0\nleave e-1");
    check(
        "meta a=1\nsubscribe a\nbeaten 1 a0\nleave\ndone",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 added a0
         leave e-1",
    );
}

#[test]
fn member_that_subscribes_while_it_leaves_joins_afterwards() {
    check(
        &format!("{STABLE}leave\nsubscribe a\nwait 1000\nleft\nbeaten 3 a0"),
        &format!(
            "{JOINED}leave e-1
             follow a
             beat e0 full topics a owned - at 1000
             assign a0 added a0"
        ),
    );
}

#[test]
fn member_that_does_not_poll_leaves_and_joins_again_at_the_next_poll() {
    let settings = |instance| Settings { poll_interval_max: Duration::from_secs(2), ..instance };
    let script = format!("{STABLE}wait 1000\npoll\nwait 1500\nwait 1000\nleft\nwait 60000\npoll\ndone\n");
    let late = |epoch: i32| {
        format!(
            "{JOINED}leave e{epoch}
             error Timeout
             lost a0
             beat e0 full topics a owned - at 63500"
        )
    };
    check_with(settings(self::settings()), &script, &late(-1));
    check_with(settings(of_static()), &script, &late(-2));
}

/// Otherwise the heartbeat that leaves may be taken for one of the new epoch.
#[test]
fn member_joins_again_only_after_it_left() {
    let settings = Settings { poll_interval_max: Duration::from_secs(2), ..settings() };
    check_with(
        settings,
        &format!("{STABLE}wait 2000\npoll\ndone\nwait 1000\nleave lost"),
        &format!(
            "{JOINED}leave e-1
             error Timeout
             lost a0
             beat e0 full topics a owned - at 3000"
        ),
    );
}

#[test]
fn assignment_that_is_taken_too_late_is_lost() {
    let settings = Settings { poll_interval_max: Duration::from_secs(2), ..settings() };
    check_with(
        settings,
        "meta a=1
         subscribe a
         beaten 1 a0
         wait 2000
         left
         done
         poll
         done",
        "follow a
         beat e0 full topics a owned - at 0
         assign a0 added a0
         leave e-1
         error Timeout
         lost a0
         beat e0 full topics a owned - at 2000",
    );
}
