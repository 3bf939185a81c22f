//! Scripts for the core. [`bench`] explains the notation.

use std::time::Duration;

use bytes::Bytes;

use self::bench::batch;
use self::bench::check;
use self::bench::check_with;
use super::*;
use crate::error::Code;
use crate::types::LeaderEpoch;
use crate::types::TopicId;
use crate::types::TopicPartition;
use crate::wire::message::FetchRequest;
use crate::wire::message::Leader;

mod absent;
mod acks;
mod asking;
mod assigning;
mod bench;
mod committing;
mod epochs;
mod fetching;
mod starting;
mod survivors;
mod transactions;

const BEGIN: &str = "meta t0=1e5 | assign t0";

#[test]
fn next_fetch_is_sent_while_records_are_unread() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=10 | fetched n1 s7 t0:8+2;hw=10 | take | position t0"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         fetch n1 s7/2 t0@10
         t0 5 6 7
         t0 8 9 end @10
         position Some(10)",
    );
}

#[test]
fn records_fetched_before_a_seek_are_dropped() {
    check(
        &format!("{BEGIN} | seek t0 50 | fetched n1 s7 t0:5+3;hw=99 | take | fetched n1b s8 t0:50+1;hw=99 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1b s0/0 t0@50
         fetch n1 s7/1 t0@51
         t0 50",
    );
}

#[test]
fn seek_to_the_fetch_position_uses_the_request_in_flight() {
    check(
        &format!("{BEGIN} | seek t0 5 | fetched n1 s7 t0:5+3;hw=8 | take | fetched n1 s7 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7 end @8
         fetch n1 s7/2",
    );
}

#[test]
fn records_before_the_position_are_skipped() {
    check(
        &format!("{BEGIN} | fetched n1 s0 t0:0+3,3+4;hw=99 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s0/0 t0@7
         t0 5 6",
    );
}

#[test]
fn session_sends_changes_and_forgets_paused_partitions() {
    check(
        "meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:5+1;hw=9 t1:-;hw=5 | pause t1 | fetched n1 s7 | resume t1
         fetched n1 s7",
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@6
         fetch n1 s7/2 -t1
         fetch n1b s0/0 t1@5
         fetch n1 s7/3",
    );
}

#[test]
fn forgotten_session_restarts_at_once_a_broken_one_is_closed() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=5 | refuse n1 70 | fetched n1 s8 t0:-;hw=5 | fail n1 | wait 200"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s0/0 t0@5
         fetch n1 s8/1
         refresh t
         fetch n1 s8/0 t0@5",
    );
}

#[test]
fn full_response_that_omits_a_partition_opens_no_session() {
    check(
        "meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:5+1;hw=9 | take | wait 200",
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s0/0 t1@5 t0@5",
    );
}

#[test]
fn broker_that_forgets_unopened_sessions_is_asked_less_often() {
    check(
        &format!("{BEGIN} | refuse n1 70 | wait 50 | wait 100"),
        "fetch n1 s0/0 t0@5
         fetch n1 s0/0 t0@5",
    );
}

#[test]
fn out_of_range_follows_the_policy_after_queued_records() {
    for (reset, to, epoch) in [(ResetPolicy::Earliest, 20, 3), (ResetPolicy::Latest, 90, 4)] {
        let config = Config { start: Start::Offset(5), reset, ..Config::default() };
        let script = format!(
            "{BEGIN} | fetched n1 s7 t0:5+2;hw=9 | fetched n1 s7 t0:!1 | list t0=20e3 | list t0=90e4 | take | position t0 | meta t0=2e6"
        );
        let expected = format!(
            "fetch n1 s0/0 t0@5
             fetch n1 s7/1 t0@7
             list n1 t0=-2
             list n1 t0=-1
             fetch n1 s7/2 t0@{to}
             t0 5 6
             reset t0 7->{to}
             position Some({to})
             epoch n2 t0@e{epoch}"
        );
        check_with(config, &script, &expected);
    }
}

#[test]
fn out_of_range_without_a_policy_is_reported_once_with_the_range() {
    let config = Config { start: Start::Offset(5), reset: ResetPolicy::None, ..Config::default() };
    check_with(
        config,
        &format!(
            "{BEGIN} | fetched n1 s7 t0:!1 | list t0=20e5 | list t0=90e5 | take | wait 5000 | take | position t0
             seek t0 3"
        ),
        "fetch n1 s0/0 t0@5
         list n1 t0=-2
         list n1 t0=-1
         error t0 Truncated @Some(5) 20 to 90
         position Some(5)
         fetch n1 s7/1 t0@3",
    );
}

#[test]
fn lost_connection_never_moves_the_position() {
    check(
        &format!("{BEGIN} | fail n1 | wait 200 | fail n1 | wait 400 | take | position t0"),
        "fetch n1 s0/0 t0@5
         refresh t
         fetch n1 s0/0 t0@5
         refresh t
         fetch n1 s0/0 t0@5
         position Some(5)",
    );
}

#[test]
fn connection_that_stays_lost_is_reported() {
    let config = Config { start: Start::Offset(5), patience: Duration::from_millis(300), ..Config::default() };
    check_with(
        config,
        &format!("{BEGIN} | fail n1 | take | wait 400 | fail n1 | take"),
        "fetch n1 s0/0 t0@5
         refresh t
         fetch n1 s0/0 t0@5
         refresh t
         error - Connect @None",
    );
}

#[test]
fn paused_partition_keeps_its_records_and_others_go_on() {
    check(
        "meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:5+1;hw=9 t1:5+1;hw=9 | pause t0 | take | resume t0 | take",
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@6 t1@6
         t1 5
         t0 5",
    );
}

#[test]
fn preferred_replica_is_read_until_it_fails() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=9;pref=2 | fetched n2 s8 t0:!1 | fetched n1 s7 t0:5+1;hw=9 | take"),
        "fetch n1 s0/0 t0@5
         fetch n2 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s7/2 t0@6
         t0 5",
    );
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=9;pref=2 | fail n2"),
        "fetch n1 s0/0 t0@5
         fetch n2 s0/0 t0@5
         fetch n1 s7/1
         refresh t",
    );
}

#[test]
fn leader_hint_is_passed_on_and_followed() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:!6;leads=2e6 | meta t0=2e6"),
        "fetch n1 s0/0 t0@5
         hint t0 n2 e6
         refresh t
         fetch n2 s0/0 t0@5",
    );
}

#[test]
fn new_leader_with_all_records_is_fetched_without_dropping_any() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=9 | meta t0=2e6 | epoch t0=8e5 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         epoch n2 t0@e5
         fetch n2 s0/0 t0@8
         t0 5 6 7",
    );
}

#[test]
fn truncation_of_unread_records_drops_only_those() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=9 | meta t0=2e6 | epoch t0=6e5 | take | position t0"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         epoch n2 t0@e5
         fetch n2 s0/0 t0@5
         position Some(5)",
    );
}

#[test]
fn truncation_below_returned_records_is_reported() {
    let script =
        format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=9 | take | meta t0=2e6 | epoch t0=6e5 | take | position t0");
    check(
        &script,
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7
         epoch n2 t0@e5
         fetch n2 s0/0 t0@6
         reset t0 8->6
         position Some(6)",
    );
    let config = Config { start: Start::Offset(5), reset: ResetPolicy::None, ..Config::default() };
    check_with(
        config,
        &script,
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7
         epoch n2 t0@e5
         error t0 Truncated @Some(8)
         position Some(8)",
    );
}

#[test]
fn aborted_transactions_and_markers_are_not_returned() {
    let isolation = Isolation::ReadCommitted;
    let config = Config { start: Start::Offset(5), isolation, ..Config::default() };
    let batches = "t0:5+2x7,7+2x8,9+1,10A7,11+1x7,12C8,13C7;abort=7@5;hw=14;lso=14";
    check_with(
        config,
        &format!("{BEGIN} | fetched n1 s7 {batches} | take | position t0"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@14
         t0 7 8 9 11 end @14
         position Some(14)",
    );
    check(
        &format!("{BEGIN} | fetched n1 s7 {batches} | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@14
         t0 5 6 7 8 9 11 end @14",
    );
}

#[test]
fn corrupt_batch_is_reported_after_good_ones_until_a_seek() {
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+1,6+3?,9+1;hw=10 | take | position t0 | seek t0 9
             fetched n1b s8 t0:9+1;hw=10 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@10
         t0 5 then Corrupt @Some(8)
         position Some(6)
         fetch n1b s0/0 t0@9
         t0 9 end @10",
    );
}

#[test]
fn batch_that_does_not_fit_is_fetched_with_a_larger_limit() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+1~;hw=9 | fetched n1 s7 t0:5+1;hw=9 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@5 max=2097152
         fetch n1 s7/2 t0@6 max=2097152
         t0 5",
    );
}

#[test]
fn end_is_reported_once() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=5 | take | wait 500 | fetched n1 s7 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         end t0 @5
         fetch n1 s7/2",
    );
}

#[test]
fn broker_that_does_not_wait_is_not_polled_in_a_loop() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=5 | fetched n1 s7 | fetched n1 s7 | fetched n1 s7 | wait 60"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s7/2
         fetch n1 s7/3
         fetch n1 s7/4",
    );
}

#[test]
fn bounded_read_stops_within_a_batch_and_is_finished() {
    let config = Config { start: Start::Earliest, until_end: true, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 t1=1e5 | assign t | list t0=4e5 t1=0e5 | list t0=0e5 t1=0e5 | finished
         fetched n1 s7 t0:0+9;hw=9 | take | finished | position t0",
        "list n1 t0=-1 t1=-1
         list n1 t0=-2 t1=-2
         fetch n1 s0/0 t0@0
         finished false
         t0 0 1 2 3
         finished true
         position Some(4)",
    );
}

#[test]
fn records_beyond_a_late_bound_move_no_position() {
    // Simulator, seed 3817: a commit would have skipped records that were never returned.
    let config = Config { start: Start::Offset(5), until_end: true, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+2;hw=9 | fetched n1 s7 t0:7+2;hw=9 | list t0=6e5 | take | finished
         position t0",
        "list n1 t0=-1
         fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@7
         fetch n1 s7/2 t0@9
         t0 5
         finished true
         position Some(6)",
    );
    // The same where the log has no records beyond the bound.
    let config = Config { start: Start::Offset(5), until_end: true, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+2;hw=9 | fetched n1 s7 t0:!1 | list t0=6e5 | list t0=0e5
         list t0=6e5 | list t0=6e5 | take | finished | position t0",
        "list n1 t0=-1
         fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@7
         list n1 t0=-2
         list n1 t0=-1
         list n1 t0=-1
         fetch n1 s7/2 t0@0
         t0 5
         finished true
         position Some(6)",
    );
}

#[test]
fn committed_offset_is_validated_and_a_missing_one_falls_back() {
    let start = Start::Stored { otherwise: Box::new(Start::FromEnd(3)) };
    let config = Config { start, group: Some("g".into()), ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 t1=2e5 | assign t0 t1 | stored t0=4e3 t1=-1 | list t1=10e5 | list t1=8e5 | epoch t0=9e3",
        "stored t0 t1
         list n2 t1=-1
         epoch n1 t0@e3
         list n2 t1=-2
         fetch n2 s0/0 t1@8
         fetch n1 s0/0 t0@4",
    );
}

#[test]
fn partitions_added_later_are_read_from_their_beginning() {
    let config = Config { start: Start::Latest, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 | assign t | list t0=7e5 | meta t0=1e5 t1=2e0",
        "list n1 t0=-1
         fetch n1 s0/0 t0@7
         list n2 t1=-2",
    );
}

#[test]
fn unknown_topic_is_requested_and_then_reported() {
    check(
        "assign t | meta error=3 | wait 200 | wait 5000 | take",
        "refresh t
         refresh t
         refresh t
         error - UnknownTopic @None",
    );
}

#[test]
fn topic_that_no_broker_has_described_is_not_reported_as_missing() {
    check(
        "assign t | wait 200 | wait 60000 | take | meta t0=1e5 | take",
        "refresh t
         refresh t
         fetch n1 s0/0 t0@5",
    );
}

#[test]
fn closing_ends_the_sessions_and_returns_nothing_more() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+1;hw=9 | close | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@6
         fetch n1 s7/-1",
    );
}

#[test]
fn topic_recreated_twice_is_reset_from_the_returned_position() {
    // Simulator, seed 116.
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+3;hw=8 | take | meta id=8 t0=1e0 | list t0=0e0 | meta id=7 t0=1e0
             list t0=2e0 | take | position t0"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7 end @8
         list n1 t0=-2
         fetch n1b s0/0 t0@0
         list n1 t0=-2
         reset t0 8->2
         position Some(2)",
    );
}

/// Simulator, group seeds 2556 and 2918: it would be committed for the new topic.
#[test]
fn position_of_a_recreated_topic_is_not_committed() {
    let mut bench = bench::Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    let committable =
        |bench: &bench::Bench| -> Vec<i64> { bench.core().positions().iter().map(|(_, at)| at.offset).collect() };
    bench.run(&format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=8 | take"));
    assert_eq!(committable(&bench), [8]);
    bench.run("meta id=8 t0=1e0 | list t0=2e0");
    assert_eq!(committable(&bench), [0_i64; 0], "until the reset is returned");
    bench.run("take");
    assert_eq!(committable(&bench), [2]);
}

#[test]
fn unreported_error_does_not_hide_the_start_position() {
    // Simulator, seed 613.
    let config = Config { start: Start::Earliest, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 | assign t0 | list t0=!29 | wait 200 | list t0=5e5 | position t0 | take",
        "list n1 t0=-2
         list n1 t0=-2
         fetch n1 s0/0 t0@5
         position Some(5)
         error t0 Broker @Some(0)",
    );
}

#[test]
fn unknown_leader_epoch_refreshes_metadata() {
    // Simulator, seed 1503: the topic had been recreated.
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:!75 | wait 200"),
        "fetch n1 s0/0 t0@5
         refresh t
         fetch n1 s7/1",
    );
}

#[test]
fn halted_position_is_reported_over_an_earlier_error() {
    // Simulator, seed 21791.
    let config = Config { start: Start::Offset(5), reset: ResetPolicy::None, ..Config::default() };
    check_with(
        config,
        &format!(
            "{BEGIN} | fetched n1 s7 t0:!29 | wait 200 | fetched n1 s7 | fetched n1 s7 t0:!1 | wait 2000 | list t0=20e5
             list t0=90e5 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s7/2
         list n1 t0=-2
         list n1 t0=-1
         error t0 Truncated @Some(5) 20 to 90",
    );
}

#[test]
fn chunk_of_a_recreated_topic_is_not_returned() {
    // Simulator, seed 2914.
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=8 | hold | meta id=8 t0=1e0 | read | list t0=0e0 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         list n1 t0=-2
         t0 5 6 7 overtaken
         fetch n1b s0/0 t0@0
         reset t0 5->0",
    );
}

#[test]
fn scan_finds_the_end_of_the_last_whole_batch() {
    let payload = Bytes::from([batch("5+3"), batch("8+1"), batch("9+1~")].concat());
    let scan = crate::reading::Scan::new(&payload);
    assert_eq!(scan.last, Some((8, LeaderEpoch::from_wire(5))));
    assert!(scan.cut.is_some() && !scan.is_broken);
    for length in 0..payload.len() {
        crate::reading::Scan::new(&payload[..length]);
    }
    assert!(crate::reading::Scan::new(&[0xff; 80]).is_broken);
}
