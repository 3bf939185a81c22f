//! Responses that no script had: each test here fails with a bug that had survived.

use super::bench::Bench;
use super::bench::check_with;
use super::*;
use crate::reading::Scan;

#[test]
fn fetch_names_a_topic_once_with_all_its_partitions() {
    let mut bench = Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    bench.run("meta t0=1e5 t1=1e6 | assign t0 t1");
    let fetches = bench.fetches();
    let topics = &fetches[0].topics;
    assert_eq!(topics.len(), 1, "{topics:?}");
    let epochs: Vec<i32> = topics[0].partitions.iter().map(|p| LeaderEpoch::to_wire(p.current_leader_epoch)).collect();
    assert_eq!(epochs, [5, 6]);
    assert!(topics[0].partitions.iter().all(|p| p.log_start_offset == -1), "only followers have a log");
}

#[test]
fn dropping_paused_records_leaves_others_alone() {
    check_with(
        Config { start: Start::Offset(5), prefetch_bytes: 240, ..Config::default() },
        "meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:5+9;hw=99 t1:5+1;hw=99 | pause t0 | take | position t1",
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t1@6 -t0
         t1 5
         position Some(6)",
    );
}

#[test]
fn dropping_paused_records_keeps_queued_errors() {
    check_with(
        Config { start: Start::Offset(5), prefetch_bytes: 240, ..Config::default() },
        "meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:5+9;hw=99 t1:!2 | pause t1 | pause t0 | resume t1 | take",
        "fetch n1 s0/0 t0@5 t1@5
         error t1 Broker @Some(5)",
    );
}

#[test]
fn dropped_paused_records_are_fetched_again_after_resume() {
    check_with(
        Config { start: Start::Offset(5), prefetch_bytes: 240, ..Config::default() },
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+1;hw=99 | take | fetched n1 s7 t0:6+9;hw=99 | pause t0 | resume t0 | take",
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@6
         t0 5
         fetch n1 s7/2",
    );
}

#[test]
fn broker_that_waited_before_an_empty_response_is_asked_at_once() {
    check(
        &format!(
            "{BEGIN} | wait 500 | fetched n1 s7 t0:-;hw=9 | wait 500 | fetched n1 s7 | wait 500 | fetched n1 s7 | wait 500
             fetched n1 s7"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s7/2
         fetch n1 s7/3
         fetch n1 s7/4",
    );
}

#[test]
fn broker_that_answers_empty_without_waiting_is_slowed_down() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=9 | fetched n1 s7 | fetched n1 s7 | finished | wait 50"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1
         fetch n1 s7/2
         finished false
         fetch n1 s7/3",
    );
}

#[test]
fn final_fetch_refusal_is_reported_at_once() {
    // INVALID_REQUEST, and INVALID_FETCH_SESSION_EPOCH.
    let first = "fetch n1 s0/0 t0@5\nfetch n1 s7/1";
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:-;hw=9 | refuse n1 42 | take"),
        &format!("{first}\nerror - Broker @None"),
    );
    check(&format!("{BEGIN} | fetched n1 s7 t0:-;hw=9 | refuse n1 71 | take"), first);
}

#[test]
fn log_that_its_broker_cannot_read_is_reported_at_once() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:!2 | take | position t0"),
        "fetch n1 s0/0 t0@5
         error t0 Broker @Some(5)
         position Some(5)",
    );
}

#[test]
fn batches_before_the_position_never_move_it_back() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:3+1;hw=9 | take | position t0"),
        "fetch n1 s0/0 t0@5
         error t0 Protocol @Some(5)
         position Some(5)",
    );
}

#[test]
fn bytes_that_are_no_batch_are_reported_as_corrupt() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+1!;hw=9 | take | position t0"),
        "fetch n1 s0/0 t0@5
         t0 then Corrupt @Some(5)
         position Some(5)",
    );
}

#[test]
fn batch_larger_than_any_fetch_is_reported_at_once() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3~2000000000;hw=9 | take"),
        "fetch n1 s0/0 t0@5
         error t0 RecordTooLarge @Some(5)",
    );
    // With the twelve bytes before what the length counts it is 1 GiB.
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3~1073741812;hw=9 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@5 max=1073741824",
    );
}

#[test]
fn corrupt_batch_ends_before_the_batch_that_follows() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:5+3_20?,8+2;hw=10 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@10
         t0 then Corrupt @Some(7)",
    );
}

#[test]
fn impossible_offsets_are_no_batch() {
    let with = |base: i64, delta: i32| {
        let mut bytes = batch("5+1");
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes[23..27].copy_from_slice(&delta.to_be_bytes());
        let scan = Scan::new(&bytes);
        (scan.last.map(|(last, _)| last), scan.is_broken)
    };
    assert_eq!(with(5, 2), (Some(7), false));
    assert_eq!(with(i64::MAX - 1, 0), (Some(i64::MAX - 1), false));
    for (base, delta) in [(-1, 0), (-1, 5), (5, -1), (i64::MAX, 0), (i64::MAX - 1, 1)] {
        assert_eq!(with(base, delta), (None, true), "{base} {delta}");
    }
}

#[test]
fn message_of_the_old_formats_ends_where_it_begins() {
    for magic in [0, 1] {
        let mut bytes = vec![0; 26];
        bytes[7] = 9;
        bytes[11] = 14;
        bytes[16] = magic;
        assert_eq!(Scan::new(&bytes), Scan { last: Some((9, None)), cut: None, is_broken: false });
    }
}

#[test]
fn other_events_do_not_hasten_the_next_metadata_request() {
    check(
        "meta t0=1e5 t1=2e5 | assign t0 t1 | fail n1 | pause t0 | fail n2 | position t0",
        "fetch n1 s0/0 t0@5
         fetch n2 s0/0 t1@5
         refresh t
         position Some(5)",
    );
}

#[test]
fn unauthorized_topic_is_reported_and_an_electing_one_awaited() {
    // LEADER_NOT_AVAILABLE, and TOPIC_AUTHORIZATION_FAILED.
    check("meta error=5 | assign t | take", "refresh t");
    check("meta error=29 | assign t | take | wait 400 | meta error=29 | take", "refresh t\nerror - Broker @None");
}

#[test]
fn empty_full_response_is_no_fault_of_a_throttling_broker() {
    let expected = "fetch n1 s0/0 t0@5\nfinished false\nfetch n1 s0/0 t0@5";
    check(&format!("{BEGIN} | fetched n1 throttle=500 | wait 499 | finished | wait 1"), expected);
    check(&format!("{BEGIN} | fetched n1 | finished | wait 200"), expected);
}

/// Bytes that are counted against the budget.
fn held(bench: &Bench) -> usize {
    usize::try_from(bench.core().metrics().buffered_bytes).expect("a small number")
}

#[test]
fn rest_of_a_chunk_is_counted_until_it_is_returned() {
    let mut bench = Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    bench.run("meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+1,6+1;hw=99 | fetched n1 s7 t0:7+9;hw=99");
    let (first, second) = (batch("5+1").len() + batch("6+1").len(), batch("7+9").len());
    assert_eq!(held(&bench), first + second);
    bench.run("part");
    assert_eq!(held(&bench), first + second, "a part of the first is left");
    bench.run("part | part");
    assert_eq!(held(&bench), second, "nothing of the first is left");
    bench.run("take");
    assert_eq!(held(&bench), 0);
    assert!(bench.log().ends_with("1 of t0\n1 of t0\n0 of t0\nt0 7 8 9 10 11 12 13 14 15\n"), "{}", bench.log());
}

#[test]
fn records_dropped_after_a_reset_are_not_counted() {
    let mut bench = Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    bench.run("meta t0=1e5 | assign t0 | fetched n1 s7 t0:5+3;hw=8 | take | meta id=8 t0=1e0 | list t0=0e0");
    bench.run("fetched n1b id=8 s8 t0:0+4;hw=4");
    assert_eq!(held(&bench), batch("0+4").len());
    bench.run("meta id=8 t0=2e1 | epoch t0=2e0");
    assert_eq!(held(&bench), 0);
}

#[test]
fn partitions_take_turns_in_poll() {
    check(
        "meta t0=1e5 t1=1e5 | assign t0 t1 | fetched n1 s7 t0:-;hw=9 t1:-;hw=9 | take | fetched n1 s7 t0:5+1;hw=9
         fetched n1 s7 t0:6+1;hw=9 t1:5+1;hw=9 | take",
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1
         fetch n1 s7/2 t0@6
         fetch n1 s7/3 t0@7 t1@6
         t0 5
         t1 5
         t0 6",
    );
}

#[test]
fn bound_is_listed_again_without_other_requests_in_flight() {
    // While the start offset is still being listed.
    check_with(
        Config { start: Start::Latest, until_end: true, ..Config::default() },
        "meta t0=1e5 | assign t0 | list t0=!6 | wait 2000",
        "list n1 t0=-1
         list n1 t0=-1
         refresh t
         list n1 t0=-1",
    );
    // While the position is still being validated.
    check_with(
        Config { start: Start::Offset(5), until_end: true, ..Config::default() },
        "meta t0=1e5 | assign t0 | list t0=9e5 | fetched n1 s7 t0:5+3;hw=9 | take | meta t0=2e6 | list t0=!6 | wait 2000",
        "list n1 t0=-1
         fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7
         list n2 t0=-1
         epoch n2 t0@e5
         refresh t
         list n2 t0=-1",
    );
}

#[test]
fn fetch_names_the_isolation_and_has_next_tells_of_records() {
    for (isolation, wire) in [(Isolation::ReadUncommitted, 0), (Isolation::ReadCommitted, 1)] {
        let mut bench = Bench::new(Config { start: Start::Offset(5), isolation, ..Config::default() });
        bench.run("assign t");
        assert_eq!(bench.core().topics(), ["t".into()].into());
        assert!(!bench.core().has_next());
        bench.run("meta t0=1e5");
        assert_eq!(bench.fetches()[0].isolation, wire);
        bench.run("fetched n1 s7 t0:5+1;hw=6;lso=6");
        assert!(bench.core().has_next(), "records");
        bench.run("take | refuse n1 42");
        assert!(bench.core().has_next(), "an error");
        bench.run("take");
        assert!(!bench.core().has_next());
    }
}

#[test]
fn unknown_high_watermark_is_no_end() {
    for hw in ["-1", "-7"] {
        check(
            &format!("{BEGIN} | fetched n1 s7 t0:5+3;hw={hw} | take | fetched n1 s7 t0:-;hw={hw} | take | position t0"),
            "fetch n1 s0/0 t0@5
             fetch n1 s7/1 t0@8
             t0 5 6 7
             fetch n1 s7/2
             position Some(8)",
        );
    }
}
