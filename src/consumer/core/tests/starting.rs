//! The start of reading, by the offsets of the log and the committed ones.

use super::*;

/// The requests about one partition up to its first fetch, where brokers answer so.
fn start(start: Start, answers: &str) -> String {
    let mut bench = bench::Bench::new(Config { start, group: Some("g".into()), ..Config::default() });
    bench.run(&format!("meta t0=1e5 | assign t0 | {answers}"));
    bench.log().trim_end().replace('\n', ", ")
}

#[test]
fn from_end_starts_before_the_end_or_with_the_oldest() {
    let from_end = |answers| start(Start::FromEnd(3), answers);
    assert_eq!(from_end("list t0=10e5 | list t0=0e0"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@7");
    assert_eq!(from_end("list t0=10e5 | list t0=8e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@8");
    assert_eq!(from_end("list t0=4e5 | list t0=0e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@1");
    assert_eq!(from_end("list t0=3e5 | list t0=1e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@1");
    assert_eq!(from_end("list t0=2e5 | list t0=0e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@0");
}

#[test]
fn first_offset_of_the_log_is_known_with_its_epoch() {
    // So a new leader validates it, and only then.
    let moved = |answers: &str| start(Start::FromEnd(3), &format!("{answers} | meta t0=2e6"));
    let asked = "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@7";
    assert_eq!(moved("list t0=10e5 | list t0=7e4"), format!("{asked}, epoch n2 t0@e4"));
    assert_eq!(moved("list t0=10e5 | list t0=6e4"), format!("{asked}, fetch n2 s0/0 t0@7"));
}

#[test]
fn timestamp_after_all_records_means_the_end() {
    let at = |answers| start(Start::Timestamp(99), answers);
    assert_eq!(at("list t0=0e5"), "list n1 t0=99, fetch n1 s0/0 t0@0");
    assert_eq!(at("list t0=4e5"), "list n1 t0=99, fetch n1 s0/0 t0@4");
    assert_eq!(at("list t0=-1 | list t0=9e5"), "list n1 t0=99, list n1 t0=-1, fetch n1 s0/0 t0@9");
}

/// KIP-1106.
#[test]
fn records_of_an_age_are_found_by_the_wall_clock() {
    let with = |start: Start, reset: ResetPolicy, script: &str| {
        let group = Some("g".into());
        let mut bench = bench::Bench::new(Config { group, start, reset, ..Config::default() });
        bench.set_clock(1_000_000);
        bench.run(script);
        bench.log().trim_end().replace('\n', ", ")
    };
    let age = Duration::from_secs(100);
    let ago = |script: &str| with(Start::Ago(age), ResetPolicy::Earliest, script);
    assert_eq!(ago("meta t0=1e5 | assign t0 | list t0=4e5"), "list n1 t0=900000, fetch n1 s0/0 t0@4");
    assert_eq!(
        ago("wait 5000 | meta t0=1e5 | assign t0 | list t0=-1 | list t0=9e5"),
        "list n1 t0=905000, list n1 t0=-1, fetch n1 s0/0 t0@9",
        "no record is so young"
    );
    let longest = with(Start::Ago(Duration::MAX), ResetPolicy::Earliest, "meta t0=1e5 | assign t0");
    assert_eq!(longest, "list n1 t0=0", "a time below zero would mean something else");
    let reset = with(
        Start::Offset(50),
        ResetPolicy::ByDuration(age),
        "meta t0=1e5 | assign t0 | fetched n1 s1 t0:!1 | list t0=60e5 | list t0=90e5 | list t0=70e5 | take",
    );
    assert_eq!(
        reset,
        "fetch n1 s0/0 t0@50, list n1 t0=-2, list n1 t0=-1, list n1 t0=900000, fetch n1 s1/1 t0@70, reset t0 50->70"
    );
}

/// Records of a new partition are newer than the consumer, so that none is skipped.
#[test]
fn late_partition_starts_with_its_first_record_unless_one_is_committed() {
    let late = |start: Start, script: &str| {
        let mut bench = bench::Bench::new(Config { start, group: Some("g".into()), ..Config::default() });
        bench.run(&format!("meta t0=1e5 t1=1e5 | late t0 t1 | {script}"));
        bench.log().trim_end().replace('\n', ", ")
    };
    let stored = Start::Stored { otherwise: Box::new(Start::Latest) };
    assert_eq!(
        late(stored, "stored t0=-1 t1=5 | list t0=2e5"),
        "stored t0 t1, list n1 t0=-2, fetch n1 s0/0 t1@5, fetch n1b s0/0 t0@2"
    );
    assert_eq!(late(Start::Latest, "list t0=0e5 t1=0e5"), "list n1 t0=-2 t1=-2, fetch n1 s0/0 t0@0 t1@0");
}

#[test]
fn negative_listed_offset_is_retried() {
    for target in [Start::Earliest, Start::Latest, Start::FromEnd(3)] {
        let log = start(target.clone(), "list t0=-1 | wait 2000 | list t0=5e5");
        assert!(log.matches("list n1").count() >= 2, "{target:?}: {log}");
        assert!(!log.contains("t0@-1"), "{target:?}: {log}");
    }
}

#[test]
fn committed_offset_is_continued_from_and_validated() {
    let stored = |answers| start(Start::Stored { otherwise: Box::new(Start::Latest) }, answers);
    assert_eq!(stored("stored t0=0"), "stored t0, fetch n1 s0/0 t0@0");
    assert_eq!(stored("stored t0=6"), "stored t0, fetch n1 s0/0 t0@6");
    assert_eq!(stored("stored t0=6e4 | epoch t0=9e4"), "stored t0, epoch n1 t0@e4, fetch n1 s0/0 t0@6");
    assert_eq!(stored("stored t0=-1 | list t0=9e5"), "stored t0, list n1 t0=-1, fetch n1 s0/0 t0@9");
}

/// KIP-848: the offsets are read as a member, whose epoch may be renewed meanwhile.
#[test]
fn committed_offset_is_asked_for_again_where_the_epoch_of_the_member_is_stale() {
    let stored = |answers: &str| start(Start::StoredOnly, answers);
    for code in [25, 113] {
        let refused = format!("stored !{code} | take | wait 150 | stored t0=6");
        assert_eq!(stored(&refused), "stored t0, refresh t, stored t0, fetch n1 s0/0 t0@6", "{code}");
    }
    let forbidden = stored("stored !30 | take | wait 150");
    assert!(forbidden.contains("error"), "others are reported: {forbidden}");
}

#[test]
fn half_known_epoch_end_is_unknown() {
    for half in ["-1e4", "3"] {
        let log =
            start(Start::Stored { otherwise: Box::new(Start::Latest) }, &format!("stored t0=6e4 | epoch t0={half}"));
        assert_eq!(log, "stored t0, epoch n1 t0@e4, list n1 t0=-2", "{half}");
    }
}

#[test]
fn repeated_out_of_range_backs_off() {
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:!1 | list t0=7e5 | list t0=9e5 | fetched n1 s7 t0:!1 | wait 10 | wait 2000"
        ),
        "fetch n1 s0/0 t0@5
         list n1 t0=-2
         list n1 t0=-1
         fetch n1 s7/1 t0@7
         list n1 t0=-2",
    );
    let log = {
        let mut bench = bench::Bench::new(Config { start: Start::Offset(5), ..Config::default() });
        bench.run(&format!("{BEGIN} | fetched n1 s7 t0:!1 | list t0=7e5 | list t0=9e5 | fetched n1 s7 t0:!1"));
        bench.log().to_owned()
    };
    assert!(log.ends_with("fetch n1 s7/1 t0@7\n"), "it is not asked at once again: {log}");
}

#[test]
fn partition_is_assigned_once() {
    let mut bench = bench::Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    bench.run("meta t0=1e5 t1=1e5 | assign t0 | fetched n1 s7 t0:5+1;hw=6 | take | assign t0 t1 | assign t | assign t0 | position t0");
    assert!(bench.log().ends_with("position Some(6)\n"), "it goes on where it was: {}", bench.log());
    let assigned: Vec<i32> = bench.core().assignment().map(|key| key.partition).collect();
    assert_eq!(assigned, [0, 1]);
}

#[test]
fn bounded_read_of_an_unknown_topic_is_not_over() {
    check_with(
        Config { start: Start::Offset(5), until_end: true, ..Config::default() },
        "assign t | finished | meta t0=1e5 | list t0=5e5 | finished",
        "refresh t
         finished false
         list n1 t0=-1
         fetch n1 s0/0 t0@5
         finished true",
    );
}

#[test]
fn errors_are_reported_before_the_bound_is_known() {
    check_with(
        Config { start: Start::Offset(5), until_end: true, ..Config::default() },
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:!2 | take",
        "list n1 t0=-1
         fetch n1 s0/0 t0@5
         error t0 Broker @Some(5)",
    );
}
