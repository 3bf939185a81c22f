//! Topics that are recreated, with other numbers of partitions among them.

use super::*;
use crate::metadata::Partition;
use crate::metadata::Topic as Known;
use crate::partitioner::Builtin;
use crate::partitioner::PartitionerFactory;
use crate::producer::core::topic::Topic;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use std::sync::Arc;

#[test]
fn partitions_that_a_recreated_topic_lacks_are_given_up_at_once() {
    // One batch of t1 is in flight, one is closed, one is open. The response decides the batch in flight.
    let script = "put t1 | answer r2 t1@0 | put t1 | put t1 1x900 | put t1 | recreate | meta t0=1e0 u0=2e0";
    let begun = "send r2 n1 t1#0+1e0
         done b2 0..1 @0
         send r3 n1 t1#1+1e0
         send r4 n1 t1#2+1e0
         wake
         fail b5 0..1 No UnknownTopic\n";
    let outcomes = [
        ("answer r3 t1!100", "fail b3 0..1 No UnknownTopic"),
        ("answer r3 t1!3", "fail b3 0..1 Maybe UnknownTopic"),
        ("lost r3 maybe", "refresh t\nfail b3 0..1 Maybe UnknownTopic"),
        ("answer r3 t1@1", "done b3 0..1 @1"),
    ];
    for (answer, outcome) in outcomes {
        let refresh = if answer.contains('!') { "refresh t\n" } else { "" };
        check_on(&format!("{script} | {answer} | held"), &format!("{begun}{refresh}{outcome}\nheld 909"));
    }
}

#[test]
fn records_in_doubt_of_a_partition_that_was_removed_are_maybe_written() {
    check_on(
        "put t1 | answer r2 t1@0 | put t1 | lost r3 maybe | recreate | meta t0=1e0 u0=2e0 | held",
        "send r2 n1 t1#0+1e0
         done b2 0..1 @0
         send r3 n1 t1#1+1e0
         refresh t
         fail b3 0..1 Maybe UnknownTopic
         held 0",
    );
}

#[test]
fn partition_that_comes_back_starts_a_new_epoch() {
    check_on(
        "put t1 | answer r2 t1@0 | put t1 | lost r3 maybe | recreate | meta t0=1e0 u0=2e0 | recreate | meta t0=1e0 t1=1e0 u0=2e0
         put t1 | answer r4 t1@0 | put t0 | answer r5 t0@0",
        "send r2 n1 t1#0+1e0
         done b2 0..1 @0
         send r3 n1 t1#1+1e0
         refresh t
         fail b3 0..1 Maybe UnknownTopic
         send r4 n1 t1#0+1e1
         done b4 0..1 @0
         send r5 n1 t0#0+1e1
         done b5 0..1 @0",
    );
}

#[test]
fn batch_refused_by_old_topic_id_is_retried_at_once() {
    // The leader and its epoch may be the same as those of the old topic.
    check_on(
        "put t0 | recreate | meta t0=1e5 t1=1e5 u0=2e5 | answer r2 t0!100 | answer r3 t0@0",
        "send r2 n1 t0#1+1e0
         refresh t
         send r3 n1 t0#1+1e0
         done b2 0..1 @0",
    );
}

#[test]
fn batch_refused_as_too_large_by_old_topic_id_is_split() {
    // It was refused before the append, so that its parts may have its sequences, in the new log too.
    check_on(
        "put t0 | put t0 2 | answer r2 t0@1 | recreate | meta t0=1e5 t1=1e5 u0=2e5 | answer r3 t0!10 | answer r4 t0@0
         answer r5 t0@1",
        "send r2 n1 t0#1+1e0
         wake
         done b2 0..1 @1
         send r3 n1 t0#2+2e0
         split 2
         send r4 n1 t0#2+1e0
         done b3 0..1 @0
         send r5 n1 t0#3+1e0
         done b3 1..2 @1",
    );
}

fn known(id: u8, epochs: &[i32]) -> Arc<Known> {
    let partition = |epoch: &i32| Partition { leader: Some(1), epoch: LeaderEpoch::from_wire(*epoch) };
    let partitions = epochs.iter().map(partition).collect();
    Arc::new(Known { name: "t".into(), id: TopicId([id; 16]), partitions, ..Known::default() })
}

#[test]
fn recreated_topic_is_known_by_id_epochs_or_partitions() {
    let first = known(0, &[3, 3]);
    for (later, is_another) in [
        (known(0, &[3, 4]), false),
        (known(0, &[3, 3, 0]), false),
        (known(0, &[-1, 3]), false),
        (known(0, &[3, 2]), true),
        (known(0, &[3]), true),
        (known(1, &[3, 3]), true),
    ] {
        let mut topic = Topic::new(&first, Builtin::RoundRobin.make(1_000));
        assert!(topic.learn(&later), "{later:?}");
        assert_eq!(topic.incarnation > 0, is_another, "{later:?}");
        assert_eq!(topic.count as usize, later.partitions.len());
    }
    let mut topic = Topic::new(&first, Builtin::RoundRobin.make(1_000));
    assert!(!topic.learn(&known(0, &[3, 3])), "nothing changed");
    assert!(topic.learn(&known(0, &[])));
    assert_eq!((topic.count, topic.leader(0)), (2, None), "a broker that lags behind removes nothing");
}
