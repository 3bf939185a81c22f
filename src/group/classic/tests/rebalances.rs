//! Joining, taking an assignment, joining again.

use super::bench::cooperative;
use super::bench::settings;
use super::*;
use crate::group::classic::Settings;

#[test]
fn member_joins_in_two_steps_and_takes_its_assignment() {
    check(
        "subscribe a
         join refused 79 m1
         joined 1 m1
         synced a0 a1
         done",
        "follow a
         join - a
         join m1 a
         follow a
         sync g1 m1
         assign g1 a0 a1 added a0 a1",
    );
}

#[test]
fn eager_member_gives_everything_up_before_it_joins_again() {
    check(
        "subscribe a
         joined 1 m1
         synced a0 a1
         done
         wait 3000
         beat refused 27
         done
         joined 2 m1
         synced a1
         done",
        "follow a
         join - a
         follow a
         sync g1 m1
         assign g1 a0 a1 added a0 a1
         beat g1 m1 at 3000
         revoke a0 a1
         join m1 a (the group is rebalancing)
         follow a
         sync g2 m1
         assign g2 a1 added a1",
    );
}

#[test]
fn cooperative_member_keeps_partitions_and_joins_again_after_it_gave_some_up() {
    check_with(
        cooperative(),
        "subscribe a
         joined 1 m1
         synced a0 a1 a2
         done
         wait 3000
         beat refused 27
         joined 2 m1
         synced a0 a1
         done
         done
         joined 3 m1
         synced a0 a1
         done
         wait 3000",
        "follow a
         join - a
         follow a
         sync g1 m1
         assign g1 a0 a1 a2 added a0 a1 a2
         beat g1 m1 at 3000
         join m1 a a0 a1 a2 (the group is rebalancing)
         follow a
         sync g2 m1
         revoke a2
         assign g2 a0 a1 added
         join m1 a a0 a1 (partitions were revoked)
         follow a
         sync g3 m1
         assign g3 a0 a1 added
         beat g3 m1 at 6000",
    );
}

#[test]
fn cooperative_member_gives_up_only_topics_that_it_left() {
    check_with(
        cooperative(),
        "subscribe a b
         joined 1 m1
         synced a0 b0
         done
         subscribe b
         done",
        "follow a,b
         join - a,b
         follow a,b
         sync g1 m1
         assign g1 a0 b0 added a0 b0
         follow b
         revoke a0
         join m1 b b0 (the subscription changed)",
    );
}

/// Simulator, group seed 37966.
#[test]
fn topic_that_is_subscribed_to_again_in_time_is_not_given_up() {
    check_with(
        cooperative(),
        "subscribe a b
         joined 1 m1
         synced a0 b0
         done
         away
         subscribe b
         subscribe a b
         back
         joined 2 m1
         synced a0 b0
         done
         away
         subscribe b
         subscribe c
         back
         done",
        "follow a,b
         join - a,b
         follow a,b
         sync g1 m1
         assign g1 a0 b0 added a0 b0
         follow b
         follow a,b
         join m1 a,b a0 b0 (the subscription changed)
         follow a,b
         sync g2 m1
         assign g2 a0 b0 added
         follow b
         follow c
         revoke a0 b0
         join m1 c (the subscription changed)",
    );
}

#[test]
fn generation_that_is_lost_during_a_step_loses_the_other_partitions_too() {
    check_with(
        cooperative(),
        "subscribe a b
         joined 1 m1
         synced a0 b0
         done
         subscribe b
         wait 3000
         beat refused 25
         done
         done",
        "follow a,b
         join - a,b
         follow a,b
         sync g1 m1
         assign g1 a0 b0 added a0 b0
         follow b
         revoke a0
         beat g1 m1 at 3000
         lost b0
         join - b (the subscription changed)",
    );
}

#[test]
fn subscription_that_changes_while_joining_is_joined_with_again() {
    check(
        "subscribe a
         subscribe a b
         joined 1 m1
         synced a0
         done
         done",
        "follow a
         join - a
         follow a,b
         follow a,b
         sync g1 m1
         assign g1 a0 added a0
         revoke a0
         join m1 a,b (the subscription changed)",
    );
}

/// The leader decided by the subscription of an earlier generation.
#[test]
fn assignment_of_a_foreign_topic_is_not_taken() {
    check(
        "subscribe a
         joined 1 m1
         synced a0 z0
         wait 200",
        "follow a
         join - a
         follow a
         sync g1 m1
         join m1 a (z was assigned, which is not subscribed to)",
    );
}

#[test]
fn static_member_does_not_leave_and_dynamic_one_does() {
    let script = "subscribe a
                  joined 1 m1
                  synced a0
                  done
                  leave";
    let joined = "follow a
                  join - a
                  follow a
                  sync g1 m1
                  assign g1 a0 added a0";
    check(script, &format!("{joined}\nleave m1 (closed)\nfollow"));
    check_with(Settings { instance: Some("i".into()), ..settings() }, script, &format!("{joined}\nfollow"));
}
