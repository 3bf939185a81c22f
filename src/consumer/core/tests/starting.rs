//! Where reading starts, by what brokers say of their logs and of what was committed.

use super::*;

/// What is asked, and where the first fetch is from, of one partition of which brokers say this.
fn start(start: Start, answers: &str) -> String {
    let mut bench = bench::Bench::new(Config { start, group: Some("g".into()), ..Config::default() });
    bench.run(&format!("meta t0=1e5 | assign t0 | {answers}"));
    bench.log().trim_end().replace('\n', ", ")
}

#[test]
fn so_many_records_before_the_end_or_with_the_oldest() {
    let from_end = |answers| start(Start::FromEnd(3), answers);
    assert_eq!(from_end("list t0=10e5 | list t0=0e0"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@7");
    assert_eq!(from_end("list t0=10e5 | list t0=8e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@8");
    assert_eq!(from_end("list t0=4e5 | list t0=0e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@1");
    assert_eq!(from_end("list t0=3e5 | list t0=1e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@1");
    assert_eq!(from_end("list t0=2e5 | list t0=0e5"), "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@0");
}

#[test]
fn what_the_log_begins_with_is_known_with_its_epoch() {
    // So a new leader is asked whether it has it, and only then.
    let moved = |answers: &str| start(Start::FromEnd(3), &format!("{answers} | meta t0=2e6"));
    let asked = "list n1 t0=-1, list n1 t0=-2, fetch n1 s0/0 t0@7";
    assert_eq!(moved("list t0=10e5 | list t0=7e4"), format!("{asked}, epoch n2 t0@e4"));
    assert_eq!(moved("list t0=10e5 | list t0=6e4"), format!("{asked}, fetch n2 s0/0 t0@7"));
}

#[test]
fn a_time_after_all_records_means_the_end() {
    let at = |answers| start(Start::Timestamp(99), answers);
    assert_eq!(at("list t0=0e5"), "list n1 t0=99, fetch n1 s0/0 t0@0");
    assert_eq!(at("list t0=4e5"), "list n1 t0=99, fetch n1 s0/0 t0@4");
    assert_eq!(at("list t0=-1 | list t0=9e5"), "list n1 t0=99, list n1 t0=-1, fetch n1 s0/0 t0@9");
}

#[test]
fn an_offset_below_zero_is_no_end_and_no_beginning() {
    for target in [Start::Earliest, Start::Latest, Start::FromEnd(3)] {
        let log = start(target.clone(), "list t0=-1 | wait 2000 | list t0=5e5");
        assert!(log.matches("list n1").count() >= 2, "{target:?}: {log}");
        assert!(!log.contains("t0@-1"), "{target:?}: {log}");
    }
}

#[test]
fn what_was_committed_is_gone_on_from_and_held_against_its_epoch() {
    let stored = |answers| start(Start::Stored { otherwise: Box::new(Start::Latest) }, answers);
    assert_eq!(stored("stored t0=0"), "stored t0, fetch n1 s0/0 t0@0");
    assert_eq!(stored("stored t0=6"), "stored t0, fetch n1 s0/0 t0@6");
    assert_eq!(stored("stored t0=6e4 | epoch t0=9e4"), "stored t0, epoch n1 t0@e4, fetch n1 s0/0 t0@6");
    assert_eq!(stored("stored t0=-1 | list t0=9e5"), "stored t0, list n1 t0=-1, fetch n1 s0/0 t0@9");
}

#[test]
fn an_end_of_an_epoch_that_is_half_known_is_not_known() {
    for half in ["-1e4", "3"] {
        let log =
            start(Start::Stored { otherwise: Box::new(Start::Latest) }, &format!("stored t0=6e4 | epoch t0={half}"));
        assert_eq!(log, "stored t0, epoch n1 t0@e4, list n1 t0=-2", "{half}");
    }
}

#[test]
fn a_log_that_no_offset_fits_is_asked_about_ever_more_rarely() {
    check(
        &format!("{BEGIN} | fetched n1 s7 t0:!1 | list t0=7e5 | fetched n1 s7 t0:!1 | wait 10 | wait 2000"),
        "fetch n1 s0/0 t0@5
         list n1 t0=-2
         fetch n1 s7/1 t0@7
         list n1 t0=-2",
    );
    let log = {
        let mut bench = bench::Bench::new(Config { start: Start::Offset(5), ..Config::default() });
        bench.run(&format!("{BEGIN} | fetched n1 s7 t0:!1 | list t0=7e5 | fetched n1 s7 t0:!1"));
        bench.log().to_owned()
    };
    assert!(log.ends_with("fetch n1 s7/1 t0@7\n"), "it is not asked at once again: {log}");
}

#[test]
fn a_partition_is_assigned_once() {
    let mut bench = bench::Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    bench.run("meta t0=1e5 t1=1e5 | assign t0 | fetched n1 s7 t0:5+1;hw=6 | take | assign t0 t1 | assign t | assign t0 | position t0");
    assert!(bench.log().ends_with("position Some(6)\n"), "it goes on where it was: {}", bench.log());
    let assigned: Vec<i32> = bench.core().assignment().map(|key| key.partition).collect();
    assert_eq!(assigned, [0, 1]);
}

#[test]
fn a_bounded_read_of_a_topic_that_is_not_found_yet_is_not_over() {
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
fn trouble_is_told_before_the_bound_is_known() {
    check_with(
        Config { start: Start::Offset(5), until_end: true, ..Config::default() },
        "meta t0=1e5 | assign t0 | fetched n1 s7 t0:!2 | take",
        "list n1 t0=-1
         fetch n1 s0/0 t0@5
         error t0 Broker @Some(5)",
    );
}
