//! Responses: their meaning, and the batch that each is about. Mutants of the core showed that these scripts were missing.

use super::*;

#[test]
fn partition_missing_from_the_response_is_retried_unchanged() {
    check_on(
        "put t0 | answer r2 | wait 120 | answer r3 t0!46",
        "send r2 n1 t0#1+1e0
         refresh t
         send r3 n1 t0#1+1e0
         done b2 0..1",
    );
}

#[test]
fn response_is_read_by_topic_whatever_its_order() {
    for named in ["", "named |"] {
        check(
            &format!("{named} meta t0=1e5 u0=1e5 | put t0 | put u0 | id 7 | answer r1 u0@7 t0@3"),
            "id?
             send r1 n1 t0#0+1e0 u0#0+1e0
             done b1 0..1 @3
             done b2 0..1 @7",
        );
    }
}

#[test]
fn response_is_read_by_partition_whatever_its_order() {
    check(
        "meta t0=1e5 t1=1e5 t2=1e5 | put t0 | put t1 | put t2 | id 7 | answer r1 t2@9 t0@3 t1@7",
        "id?
         send r1 n1 t0#0+1e0 t1#0+1e0 t2#0+1e0
         done b1 0..1 @3
         done b2 0..1 @7
         done b3 0..1 @9",
    );
}

#[test]
fn freed_request_slot_takes_other_queued_partitions() {
    check_on(
        "put t0 5x900 | put t1 1x900 | answer r2 t0@1",
        "send r2 n1 t0#1+1e0
         send r3 n1 t0#2+1e0
         send r4 n1 t0#3+1e0
         send r5 n1 t0#4+1e0
         send r6 n1 t0#5+1e0
         done b2 0..1 @1
         send r7 n1 t1#0+1e0",
    );
}

#[test]
fn refused_identity_fails_every_record() {
    check(
        "meta t0=1e5 | put t0 | id !31 | put t0",
        "id?
         fail b1 0..1 No CLUSTER_AUTHORIZATION_FAILED
         refused No Broker",
    );
}

#[test]
fn sequence_error_without_sequences_is_a_refusal() {
    let settings = Settings { acks: 1, idempotent: false, ..settings() };
    check_with(
        settings,
        "meta t0=1e5 | put t0 | answer r1 t0!45 | wait 200",
        "send r1 n1 t0+1
         fail b1 0..1 No OUT_OF_ORDER_SEQUENCE_NUMBER",
    );
}

#[test]
fn hint_needs_an_address_only_for_an_unknown_broker() {
    check_on(
        "put t0 | answer r2 t0!6;leads=2e6",
        "send r2 n1 t0#1+1e0
         hint t0 n2 e6
         send r3 n2 t0#1+1e0",
    );
    check_on(
        "put t0 | answer r2 t0!6;leads=9e6;at=9",
        "send r2 n1 t0#1+1e0
         hint t0 n9 e6
         send r3 n9 t0#1+1e0",
    );
}

#[test]
fn log_append_time_is_reported_where_the_broker_gives_one() {
    check_on(
        "put t0 | answer r2 t0@1;time=0",
        "send r2 n1 t0#1+1e0
         done b2 0..1 @1 at 0",
    );
}

#[test]
fn batch_fills_up_to_its_size_to_the_byte() {
    // The header of a batch has 61 bytes, a record of one byte 8.
    let settings = Settings { batch_bytes: 61 + 3 * 8, ..settings() };
    check_with(
        settings,
        "meta t0=1e5 | put t0 4 | id 7 | answer r1 t0@0",
        "id?
         send r1 n1 t0#0+3e0
         done b1 0..3 @0
         send r2 n1 t0#3+1e0",
    );
}

#[test]
fn batch_refused_again_waits_longer() {
    check_on(
        "put t0 | answer r2 t0!19 | wait 70 | held | wait 60 | answer r3 t0!19 | wait 140 | held | wait 110",
        "send r2 n1 t0#1+1e0
         held 8
         send r3 n1 t0#1+1e0
         held 8
         send r4 n1 t0#1+1e0",
    );
}

#[test]
fn identity_refused_again_is_requested_later() {
    check(
        "meta t0=1e5 | put t0 | id !15 | wait 70 | held | wait 60 | id !15 | wait 140 | held | wait 110",
        "id?
         held 8
         id?
         held 8
         id?",
    );
}

#[test]
fn expired_batch_is_not_reported_again_when_it_is_refused() {
    check_on(
        "put t0 | put t0 2 | answer r2 t0@1 | wait 1000 | answer r3 t0!87;bad=1 | held",
        "send r2 n1 t0#1+1e0
         wake
         done b2 0..1 @1
         send r3 n1 t0#2+2e0
         fail b3 0..2 Maybe Timeout
         held 0",
    );
}

#[test]
fn sequences_of_an_expired_queued_batch_start_a_new_epoch() {
    check_on(
        "put t0 | lost r2 maybe | meta t0=- | wait 1000 | put t0 | meta t0=1e6",
        "send r2 n1 t0#1+1e0
         refresh t
         fail b2 0..1 Maybe Timeout
         send r3 n1 t0#0+1e1",
    );
}

#[test]
fn at_most_five_requests_to_a_broker_are_in_flight() {
    let settings = Settings { request_bytes_max: 1_500, ..settings() };
    let each = |step: fn(i32) -> String| (0..7).map(step).collect::<Vec<_>>().join(" ");
    let script = format!(
        "meta {} | {} id 7 | answer r1 t0@0",
        each(|index| format!("t{index}=1e5")),
        each(|index| format!("put t{index} 1x900 |"))
    );
    check_with(
        settings,
        &script,
        "id?
         send r1 n1 t0#0+1e0
         send r2 n1 t1#0+1e0
         send r3 n1 t2#0+1e0
         send r4 n1 t3#0+1e0
         send r5 n1 t4#0+1e0
         done b1 0..1 @0
         send r6 n1 t5#0+1e0",
    );
}

#[test]
fn expired_batch_is_caused_by_its_last_failure_or_the_missing_leader() {
    check_on(
        "explain | put t0 | answer r2 t0!7 | wait 990 | answer r3 t0!14 | wait 20",
        "send r2 n1 t0#1+1e0
         send r3 n1 t0#1+1e0
         fail b2 0..1 Maybe Timeout because the broker refused the batch: COORDINATOR_LOAD_IN_PROGRESS",
    );
    // An acknowledged batch clears the failure before it.
    check_on(
        "explain | put t0 | answer r2 t0!14 | wait 200 | answer r3 t0@1 | meta t0=-1e6 t1=1e5 u0=2e5 | put t0 | wait 1000",
        "send r2 n1 t0#1+1e0
         send r3 n1 t0#1+1e0
         done b2 0..1 @1
         wake
         fail b3 0..1 No Timeout because the partition has no leader: LEADER_NOT_AVAILABLE; start a broker that has an \
         in-sync replica of it",
    );
}
