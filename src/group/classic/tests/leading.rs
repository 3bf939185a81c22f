//! The leader's part.

use super::*;

#[test]
fn leader_assigns_the_partitions_of_all_subscriptions() {
    check(
        "meta a=3 b=1
         subscribe a
         joined 1 m1 leads m1:a m2:a,b
         synced a0 a1",
        "follow a
         join - a
         follow a,b
         sync g1 m1 m1: a0 a1 m2: a2 b0
         assign g1 a0 a1 added a0 a1",
    );
}

#[test]
fn leader_waits_for_the_metadata_of_every_topic() {
    check(
        "meta a=2
         subscribe a
         joined 1 m1 leads m1:a m2:b
         meta a=3
         wait 3000
         meta b=0
         synced a0",
        "follow a
         join - a
         follow a,b
         beat g1 m1 at 3000
         sync g1 m1 m1: a0 a1 a2 m2:
         assign g1 a0 added a0",
    );
}

#[test]
fn leader_assigns_without_a_topic_whose_metadata_does_not_come() {
    check(
        "meta a=1
         subscribe a
         joined 1 m1 leads m1:a m2:b
         wait 3000
         beaten
         wait 27000",
        "follow a
         join - a
         follow a,b
         beat g1 m1 at 3000
         beat g1 m1 at 6000
         sync g1 m1 m1: a0 m2:",
    );
}

#[test]
fn leader_joins_again_when_a_topic_of_the_group_grows_or_appears() {
    let stable = "meta a=1 b=0
                  subscribe a
                  joined 1 m1 leads m1:a m2:b
                  synced a0
                  done
                  ";
    let joined = "follow a
                  join - a
                  follow a,b
                  sync g1 m1 m1: a0 m2:
                  assign g1 a0 added a0
                  ";
    check(&format!("{stable}meta a=1"), joined);
    // An error that passes, such as LEADER_NOT_AVAILABLE, says nothing about the partitions.
    check(&format!("{stable}meta a=-5"), joined);
    for change in ["a=2", "b=3"] {
        check(&format!("{stable}meta {change}"), &format!("{joined}revoke a0"));
    }
}

/// KIP-814: the coordinator kept the assignment of a static member that returned, and only wants the topics watched.
#[test]
fn leader_that_is_to_skip_the_assignment_only_watches() {
    check(
        "meta a=1
         subscribe a
         joined 1 m1 skips m1:a
         synced a0
         done
         meta a=2",
        "follow a
         join - a
         follow a
         sync g1 m1
         assign g1 a0 added a0
         revoke a0",
    );
}

#[test]
fn member_whose_subscription_cannot_be_read_gets_nothing() {
    check(
        "meta a=2
         subscribe a
         joined 1 m1 leads m1:a m2:?
         ",
        "follow a
         join - a
         follow a
         sync g1 m1 m1: a0 a1 m2:",
    );
}

/// KIP-881: a member gets partitions with a replica in its rack.
#[test]
fn leader_assigns_by_the_racks_of_replicas_and_joins_again_when_they_change() {
    let script = "meta a=3
                  racks 1
                  subscribe a
                  joined 1 m1 leads m1:a m2:a m3:a
                  synced a2
                  done
                  meta a=3
                  racks 2
                  done
                  joined 2 m1 leads m1:a m2:a m3:a";
    let assigned = "follow a
                    join - a
                    follow a
                    sync g1 m1 m1: a2 m2: a0 m3: a1
                    assign g1 a2 added a2
                    ";
    let with_rack = crate::group::classic::Settings { rack: "1".into(), ..bench::settings() };
    check_with(
        with_rack,
        script,
        &format!(
            "{assigned}revoke a2
             join m1 a (the racks of a topic's replicas changed)
             follow a
             sync g2 m1 m1: a1 m2: a2 m3: a0"
        ),
    );
    // As in Java, a leader without a rack assigns by racks, and does not follow them.
    let script = script.replace("done\n                  joined 2 m1 leads m1:a m2:a m3:a", "");
    check(&script, assigned);
}
