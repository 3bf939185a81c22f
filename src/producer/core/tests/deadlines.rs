//! Records with deadlines of their own.

use super::*;

#[test]
fn unsent_record_past_its_deadline_is_taken_out_of_its_batch() {
    check(
        "meta t0=1e5 | put t0 2 | put t0 by=100 | put t0 | wait 100 | id 7 | answer r1 t0@0 | answer r2 t0@2",
        "id?
         wake
         fail b1 2..3 No Timeout
         split 2
         send r1 n1 t0#0+2e0
         done b1 0..2 @0
         send r2 n1 t0#2+1e0
         done b1 3..4 @2",
    );
}

#[test]
fn compressed_batch_is_split_around_the_record_once_it_is_sealed() {
    let settings = Settings { compressed: true, ..settings() };
    check_with(
        settings,
        "meta t0=1e5 | put t0 2x40z | put t0 by=100 | put t0 1x40z | wait 100 | id 7 | seal | seal | answer r1 t0@0",
        "id?
         wake
         fail b1 2..3 No Timeout
         sealed smaller of 149
         split 2
         sealed smaller of 94
         sealed smaller of 47
         send r1 n1 t0#0+2e0 compressed
         done b1 0..2 @0
         send r2 n1 t0#2+1e0 compressed",
    );
}

#[test]
fn batch_of_overdue_records_is_dropped_whole() {
    check(
        "meta t0=1e5 | put t0 3 by=100 | wait 100 | held | id 7 | put t0 | answer r1 t0@0",
        "id?
         fail b1 0..3 No Timeout
         held 0
         send r1 n1 t0#0+1e0
         done b2 0..1 @0",
    );
}

#[test]
fn record_in_flight_past_its_deadline_may_be_written_and_its_batch_goes_on() {
    check_on(
        "put t0 | put t0 | put t0 by=50 | put t0 | wait 5 | wait 45 | answer r2 t0@1 | answer r3 t0@2",
        "send r2 n1 t0#1+1e0
         wake
         send r3 n1 t0#2+3e0
         fail b3 1..2 Maybe Timeout
         done b2 0..1 @1
         done b3 0..1 @2
         done b3 2..3 @4",
    );
}

#[test]
fn refused_batch_is_culled_under_a_new_epoch() {
    check_on(
        "put t0 2x100 | put t0 by=150 | wait 5 | answer r2 t0@1 | lost r3 no | wait 150 | answer r4 t0@3",
        "send r2 n1 t0#1+1e0
         wake
         send r3 n1 t0#2+2e0
         done b2 0..1 @1
         refresh t
         fail b3 1..2 No Timeout
         split 1
         send r4 n1 t0#0+1e1
         done b3 0..1 @3",
    );
}

#[test]
fn doubtful_batch_is_sent_again_whole_for_its_other_records() {
    check_on(
        "put t0 | answer r2 t0@1 | put t0 | put t0 2 by=60 | put t0 | wait 5 | answer r3 t0@2 | lost r4 maybe
         wait 35 | wait 20 | wait 100 | answer r5 t0@3",
        "send r2 n1 t0#1+1e0
         done b2 0..1 @1
         send r3 n1 t0#2+1e0
         wake
         send r4 n1 t0#3+3e0
         done b3 0..1 @2
         refresh t
         fail b4 0..2 Maybe Timeout
         send r5 n1 t0#3+3e0
         done b4 2..3 @5",
    );
}

#[test]
fn doubtful_batch_of_overdue_records_is_dropped_unless_others_follow_it() {
    check_on(
        "put t0 by=60 | lost r2 maybe | wait 60 | wait 80 | put t0",
        "send r2 n1 t0#1+1e0
         refresh t
         fail b2 0..1 Maybe Timeout
         send r3 n1 t0#0+1e1",
    );
    check_on(
        "put t0 1x900 by=60 | put t0 1x900 | lost r2 maybe | lost r3 maybe | wait 60 | wait 80 | answer r4 t0@1 | answer r5 t0@2",
        "send r2 n1 t0#1+1e0
         send r3 n1 t0#2+1e0
         refresh t
         refresh t
         fail b2 0..1 Maybe Timeout
         send r4 n1 t0#1+1e0
         send r5 n1 t0#2+1e0
         done b3 0..1 @2",
    );
}

#[test]
fn deadline_after_the_delivery_timeout_changes_nothing() {
    check(
        "meta t0=1e5 | put t0 2 by=2000 | wait 1000 | wait 2000",
        "id?
         fail b1 0..2 No Timeout",
    );
}

#[test]
fn parts_of_a_split_batch_keep_the_deadlines_of_their_records() {
    // The stamps of the parts are needed as long as one of them is in flight.
    check_on(
        "put t0 | put t0 3x200 | put t0 by=200 | wait 5 | answer r2 t0@1 | answer r3 t0!10 | wait 200 | answer r4 t0@2
         answer r5 t0@4",
        "send r2 n1 t0#1+1e0
         wake
         send r3 n1 t0#2+4e0
         done b2 0..1 @1
         split 2
         send r4 n1 t0#2+2e0
         fail b3 3..4 Maybe Timeout
         done b3 0..2 @2
         send r5 n1 t0#4+2e0
         done b3 2..3 @4",
    );
}

#[test]
fn deadlines_are_forgotten_with_their_batch() {
    check_on(
        "put t0 | put t0 3 by=50 | wait 5 | answer r2 t0@1 | answer r3 t0@2 | wait 100 | wait 1000",
        "send r2 n1 t0#1+1e0
         wake
         send r3 n1 t0#2+3e0
         done b2 0..1 @1
         done b3 0..3 @2",
    );
}

#[test]
fn abandoned_batch_reports_each_record_once() {
    check_on(
        "put t0 | put t0 2 by=50 | put t0 | wait 5 | wait 45 | wait 950 | answer r2 t0@1 | answer r3 t0@2 | held",
        "send r2 n1 t0#1+1e0
         wake
         send r3 n1 t0#2+3e0
         fail b3 0..2 Maybe Timeout
         fail b2 0..1 Maybe Timeout
         fail b3 2..3 Maybe Timeout
         held 0",
    );
}

#[test]
fn refusal_of_single_records_spares_those_that_were_reported() {
    check_on(
        "put t0 | put t0 | put t0 by=50 | put t0 2 | wait 5 | wait 45 | answer r2 t0@1 | answer r3 t0!87;bad=0,1,3 | held",
        "send r2 n1 t0#1+1e0
         wake
         send r3 n1 t0#2+4e0
         fail b3 1..2 Maybe Timeout
         done b2 0..1 @1
         fail b3 0..1 No INVALID_RECORD bad=0
         fail b3 2..3 No INVALID_RECORD
         fail b3 3..4 No INVALID_RECORD bad=3
         held 0",
    );
}
