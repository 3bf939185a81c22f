//! Fetching, buffering and reporting: scripts for the invariants of reading.

use super::bench::Bench;
use super::*;

const TWO: &str = "meta t0=1e5 t1=1e5 | assign t0 t1";

fn small_budget() -> Config {
    // A batch of three records has some hundred bytes: two of them are more than half of it.
    Config { start: Start::Offset(5), prefetch_bytes: 240, ..Config::default() }
}

#[test]
fn resumed_partition_does_not_wait_for_an_idle_fetch() {
    check(
        &format!(
            "{TWO} | fetched n1 s7 t0:-;hw=5 t1:-;hw=5 | pause t1 | fetched n1 s7 | resume t1
             fetched n1b s9 t1:5+2;hw=7 | take | fetched n1b s9 t1:7+1;hw=8 | fetched n1 s7 t0:5+1;hw=6 | take"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1
         fetch n1 s7/2 -t1
         fetch n1b s0/0 t1@5
         fetch n1b s9/1 t1@7
         end t0 @5
         end t1 @5
         t1 5 6 end @7
         fetch n1b s9/2 t1@8
         fetch n1 s7/3 t0@6
         t1 7 end @8
         t0 5 end @6",
    );
}

#[test]
fn second_seek_uses_the_first_free_connection() {
    check(
        &format!(
            "{BEGIN} | seek t0 50 | seek t0 70 | fetched n1 s7 t0:5+3;hw=99 | fetched n1b s8 t0:50+1;hw=99 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1b s0/0 t0@50
         fetch n1 s7/1 t0@70",
    );
}

#[test]
fn each_connection_has_its_own_session_and_both_are_closed() {
    check(
        &format!("{BEGIN} | seek t0 50 | fetched n1 s7 t0:5+3;hw=99 | fetched n1b s8 t0:50+1;hw=99 | close"),
        "fetch n1 s0/0 t0@5
         fetch n1b s0/0 t0@50
         fetch n1 s7/1 t0@51
         fetch n1 s7/-1
         fetch n1b s8/-1",
    );
}

#[test]
fn fetching_stops_at_the_budget_until_records_are_returned() {
    check_with(
        small_budget(),
        &format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=99 | fetched n1 s7 t0:8+3;hw=99 | wait 5000 | position t0 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         position Some(5)
         t0 5 6 7
         t0 8 9 10
         fetch n1 s7/2 t0@11",
    );
}

#[test]
fn records_of_paused_partitions_are_dropped_and_fetched_again() {
    check_with(
        small_budget(),
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+3;hw=99 | fetched n1 s7 t0:8+3;hw=99 | pause t0 | take | resume t0
             fetched n1 s7 t0:5+3;hw=99 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         fetch n1 s7/2 t0@5
         fetch n1 s7/3 t0@8
         t0 5 6 7",
    );
}

#[test]
fn out_of_range_is_found_again_after_earlier_records_are_dropped() {
    // Seeds 402963, 509871 and 553106: without its error, nobody would know that the partition waits for a seek.
    let stops = "fetched n1 s7 t0:5+3;hw=99 t1:-;hw=5 | fetched n1 s7 t0:!1 t1:5+3;hw=99";
    check_with(
        Config { reset: ResetPolicy::None, ..small_budget() },
        &format!(
            "{TWO} | {stops} | list t0=90e5 | list t0=99e5 | pause t0 | pause t1 | resume t0 | fetched n1b s8 t0:!1 | wait 300
             list t0=90e5 | list t0=99e5 | take"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@8
         list n1 t0=-2
         list n1 t0=-1
         fetch n1 s7/2 t1@8 -t0
         fetch n1b s0/0 t0@5
         list n1 t0=-2
         list n1 t0=-1
         error t0 Truncated @Some(5) 90 to 99",
    );
    // With a policy, the reset is reported from the returned position.
    check_with(
        small_budget(),
        &format!(
            "{TWO} | {stops} | pause t0 | pause t1 | resume t0 | list t0=80e5 | fetched n1b s8 t0:!1 | wait 300
             list t0=90e5 | list t0=99e5 | take"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@8
         list n1 t0=-2
         fetch n1 s7/2 t1@8 -t0
         fetch n1b s0/0 t0@5
         list n1 t0=-2
         list n1 t0=-1
         fetch n1b s8/1 t0@90
         reset t0 5->90",
    );
}

#[test]
fn paused_partition_does_not_keep_the_whole_response() {
    let expected = "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@6 t1@6
         t1 5
         pinned false
         t0 5";
    check(
        &format!("{TWO} | fetched n1 s7 t0:5+1;hw=9 t1:5+1;hw=9 | pause t0 | take | pinned | resume t0 | take"),
        expected,
    );
}

#[test]
fn records_for_a_paused_partition_do_not_keep_the_response() {
    check(
        &format!("{TWO} | pause t0 | fetched n1 s7 t0:5+1;hw=9 t1:5+1;hw=9 | take | pinned | resume t0 | take"),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t1@6 -t0
         t1 5
         pinned false
         fetch n1b s0/0 t0@6
         t0 5",
    );
}

#[test]
fn throttling_broker_is_paused_for_its_throttle_time() {
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 throttle=500 t0:5+1;hw=9 | take | seek t0 50 | wait 499 | position t0 | wait 1"
        ),
        "fetch n1 s0/0 t0@5
         t0 5
         position Some(50)
         fetch n1 s7/1 t0@50",
    );
}

#[test]
fn recreated_topic_follows_the_policy_and_returns_nothing_old() {
    for (reset, asked) in [(ResetPolicy::Earliest, -2), (ResetPolicy::Latest, -1)] {
        let config = Config { start: Start::Offset(5), reset, ..Config::default() };
        check_with(
            config,
            &format!(
                "{BEGIN} | fetched n1 s7 t0:5+1;hw=9 | take | meta id=8 t0=1e0 | fetched n1 id=9 s7 t0:6+1;hw=9
                 list t0=3e0 | take | position t0 | fetched n1 id=8 s7 t0:3+1;hw=4 | take"
            ),
            &format!(
                "fetch n1 s0/0 t0@5
                 fetch n1 s7/1 t0@6
                 t0 5
                 list n1 t0={asked}
                 fetch n1 s7/2 t0@3 -t0
                 reset t0 6->3
                 position Some(3)
                 fetch n1 s7/3 t0@4
                 t0 3 end @4"
            ),
        );
    }
}

#[test]
fn broken_session_is_closed_by_a_full_request_after_a_pause() {
    // INVALID_FETCH_SESSION_EPOCH and FETCH_SESSION_TOPIC_ID_ERROR; the second says that the topic ids differ from ours.
    for (code, refresh) in [(71, ""), (106, "refresh t")] {
        check(
            &format!(
                "{BEGIN} | fetched n1 s7 t0:-;hw=5 | refuse n1 {code} | position t0 | wait 200 | fetched n1 s8 t0:-;hw=5"
            ),
            &format!(
                "fetch n1 s0/0 t0@5
                 fetch n1 s7/1
                 {refresh}
                 position Some(5)
                 fetch n1 s7/0 t0@5
                 fetch n1 s8/1"
            ),
        );
    }
}

#[test]
fn response_of_another_session_is_dropped_and_a_full_one_sent() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=5 | fetched n1 s9 t0:5+1;hw=6 | take | wait 200"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         end t0 @5
         fetch n1 s7/0 t0@5",
    );
}

#[test]
fn position_in_range_after_all_is_fetched_without_a_report() {
    let config = Config { start: Start::Offset(5), reset: ResetPolicy::None, ..Config::default() };
    check_with(
        config,
        &format!(
            "{BEGIN} | fetched n1 s7 t0:!1 | list t0=0e5 | list t0=90e5 | take | fetched n1 s7 t0:5+1;hw=90 | take"
        ),
        "fetch n1 s0/0 t0@5
         list n1 t0=-2
         list n1 t0=-1
         fetch n1 s7/1
         fetch n1 s7/2 t0@6
         t0 5",
    );
}

#[test]
fn no_error_but_out_of_range_moves_the_position() {
    // Transient codes, codes that fresh metadata cures, and unknown ones: KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH,
    // OFFSET_NOT_AVAILABLE, UNKNOWN_TOPIC_ID, UNKNOWN_SERVER_ERROR, TOPIC_AUTHORIZATION_FAILED, and a code of the future.
    for code in [56, 74, 75, 78, 100, -1, 29, 9_999] {
        let mut bench = Bench::new(Config { start: Start::Offset(5), ..Config::default() });
        bench.run(&format!("{BEGIN} | fetched n1 s7 t0:!{code} | wait 200 | position t0"));
        let log = bench.log();
        assert!(log.ends_with("fetch n1 s7/1\nposition Some(5)\n") && !log.contains("list"), "{code}: {log}");
    }
}

#[test]
fn offsets_that_cannot_be_listed_are_retried_never_guessed() {
    let config = Config { start: Start::Earliest, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 | assign t0 | list t0=!6 | wait 200 | fail list | wait 400 | list t0=4e5",
        "list n1 t0=-2
         refresh t
         list n1 t0=-2
         refresh t
         list n1 t0=-2
         fetch n1 s0/0 t0@4",
    );
}

#[test]
fn preferred_replica_is_left_when_its_lease_expires() {
    let config = Config { start: Start::Offset(5), replica_lease: Duration::from_secs(1), ..Config::default() };
    check_with(
        config,
        &format!(
            "{BEGIN} | fetched n1 s7 t0:-;hw=9;pref=2 | fetched n2 s8 t0:5+1;hw=9 | wait 1000 | meta t0=1e5
             fetched n1 s7 t0:6+1;hw=9 | fetched n2 s8 t0:6+1;hw=9 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n2 s0/0 t0@5
         fetch n2 s8/1 t0@6
         fetch n1 s7/1 t0@6
         fetch n1 s7/2 t0@7
         t0 5
         t0 6",
    );
}

#[test]
fn end_is_reported_again_after_more_records() {
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+1;hw=6 | take | wait 500 | fetched n1 s7 | wait 500 | fetched n1 s7 t0:6+1;hw=7
             take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@6
         t0 5 end @6
         fetch n1 s7/2
         fetch n1 s7/3 t0@7
         t0 6 end @7",
    );
}

#[test]
fn emptied_batch_moves_the_position_past_it() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+0_9,10+2_14;hw=15 | take | position t0"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@15
         t0 10 11 end @15
         position Some(15)",
    );
}

#[test]
fn failed_validation_is_retried_before_anything_is_fetched() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3;hw=9 | meta t0=2e6 | fail epoch | wait 200 | epoch t0=8e5"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         epoch n2 t0@e5
         refresh t
         epoch n2 t0@e5
         fetch n2 s0/0 t0@8",
    );
}
