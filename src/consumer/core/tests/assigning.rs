//! The assignment is replaced while requests are in flight and chunks are read.

use super::bench::Bench;
use super::*;

const TWO: &str = "meta t0=1e5 t1=1e5 t2=1e5 | assign t0 t1";

#[test]
fn session_forgets_a_revoked_partition_and_the_other_is_not_disturbed() {
    check(
        &format!("{TWO} | fetched n1 s7 t0:5+2;hw=9 t1:5+1;hw=9 | revoke t0 | take | fetched n1 s7 t1:6+1;hw=7 | take"),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@7 t1@6
         t1 5
         fetch n1 s7/2 t1@7 -t0
         t1 6 end @7",
    );
}

#[test]
fn fetch_response_about_a_revoked_partition_is_dropped() {
    check(
        &format!(
            "{TWO} | revoke t0 | fetched n1 s7 t0:5+2;hw=9 t1:5+1;hw=9 | take | assign t0 | fetched n1b s8 t0:5+1;hw=6 | take"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t1@6 -t0
         t1 5
         fetch n1b s0/0 t0@5
         fetch n1b s8/1 t0@6
         t0 5 end @6",
    );
}

#[test]
fn partition_assigned_again_gets_nothing_of_its_earlier_assignment() {
    // The response is to the request before the revocation, and the slot is the same.
    check(
        &format!(
            "{TWO} | revoke t0 | assign t0 | fetched n1 s7 t0:5+2;hw=9 t1:5+1;hw=9 | take | fetched n1b s8 t0:5+1;hw=9 | take"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1b s0/0 t0@5
         fetch n1 s7/1 t1@6 -t0
         t1 5
         fetch n1b s8/1 t0@6
         t0 5",
    );
}

#[test]
fn reused_slot_gets_nothing_of_the_partition_before() {
    check(
        &format!(
            "{TWO} | fetched n1 s7 t0:5+2;hw=9 t1:5+1;hw=9 | revoke t0 | assign t2 | fetched n1b s8 t2:5+1;hw=9 | take
             fetched n1 s7 t0:7+1;hw=9 | take | position t2"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@7 t1@6
         fetch n1b s0/0 t2@5
         fetch n1b s8/1 t2@6
         t2 5
         t1 5
         fetch n1 s7/2 -t0
         position Some(6)",
    );
}

#[test]
fn partition_assigned_again_is_named_and_not_forgotten() {
    // Brokers add the named partitions first, then forget.
    check(
        &format!(
            "{TWO} | fetched n1 s7 t0:-;hw=5 t1:5+1;hw=6 | fetched n1 s7 | revoke t0 | take | fetched n1 s7 t1:6+1;hw=7 | revoke t1 | fetched n1 s7 | assign t0 t1"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t1@6
         fetch n1 s7/2
         t1 5 end @6
         fetch n1 s7/3 t1@7 -t0
         fetch n1 s7/4 t1@5 t0@5",
    );
}

#[test]
fn chunk_of_a_revoked_partition_is_not_returned() {
    let fetched = format!("{TWO} | fetched n1 s7 t0:5+2;hw=9 t1:-;hw=5");
    let log = "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@7";
    check(
        &format!("{fetched} | hold | revoke t0 | read | position t0"),
        &format!("{log}\nt0 5 6 overtaken\nposition None"),
    );
    check(
        &format!("{fetched} | hold | revoke t0 | assign t0 | read | position t0"),
        &format!("{log}\nfetch n1b s0/0 t0@5\nt0 5 6 overtaken\nposition Some(5)"),
    );
}

#[test]
fn offsets_listed_for_an_earlier_assignment_do_not_count() {
    let config = Config { start: Start::Latest, until_end: true, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 | assign t0 | revoke t0 | assign t0 | list t0=7e5 | list t0=7e5 | position t0 | list t0=9e5 | list t0=9e5
         position t0 | finished",
        "list n1 t0=-1
         list n1 t0=-1
         list n1 t0=-1
         list n1 t0=-1
         position None
         position Some(9)
         finished true",
    );
}

#[test]
fn committed_offset_read_for_an_earlier_assignment_does_not_count() {
    let start = Start::Stored { otherwise: Box::new(Start::Latest) };
    check_with(
        Config { start, group: Some("g".into()), ..Config::default() },
        "meta t0=1e5 | assign t0 | revoke t0 | assign t0 | stored t0=4 | position t0 | stored t0=8 | position t0",
        "stored t0
         stored t0
         position None
         fetch n1 s0/0 t0@8
         position Some(8)",
    );
}

#[test]
fn replaced_assignment_keeps_records_of_partitions_that_stay() {
    check(
        &format!(
            "{TWO} | fetched n1 s7 t0:5+2;hw=9 t1:5+1;hw=9 | replace t1 t2 | take | fetched n1b s8 t2:5+1;hw=9 | take"
        ),
        "fetch n1 s0/0 t0@5 t1@5
         fetch n1 s7/1 t0@7 t1@6
         fetch n1b s0/0 t2@5
         t1 5
         fetch n1b s8/1 t2@6
         t2 5",
    );
}

#[test]
fn replacing_a_whole_topic_leaves_only_the_named_partitions() {
    let mut bench = Bench::new(Config { start: Start::Offset(5), ..Config::default() });
    bench.run("meta t0=1e5 t1=1e5 | assign t | replace t1 | meta t0=1e5 t1=1e5 t2=1e5");
    let assigned: Vec<i32> = bench.core().assignment().map(|key| key.partition).collect();
    assert_eq!(assigned, [1]);
    bench.run("replace");
    assert_eq!((bench.core().assignment().count(), bench.core().topics().len()), (0, 0));
    assert_eq!(bench.core().metrics().assigned_partitions, 0);
}

#[test]
fn late_partition_that_a_bounded_read_left_out_can_be_assigned() {
    let mut bench = Bench::new(Config { start: Start::Offset(5), until_end: true, ..Config::default() });
    bench.run("meta t0=1e5 | assign t | meta t0=1e5 t1=1e5");
    assert_eq!(bench.core().assignment().map(|key| key.partition).collect::<Vec<_>>(), [0]);
    bench.run("revoke t0 | assign t1");
    assert_eq!(bench.core().assignment().map(|key| key.partition).collect::<Vec<_>>(), [1]);
}

#[test]
fn memory_of_revoked_partitions_is_released() {
    let mut bench = Bench::new(Config { start: Start::Offset(5), prefetch_bytes: 240, ..Config::default() });
    bench.run(&format!("{TWO} | fetched n1 s7 t0:5+9;hw=99 t1:5+9;hw=99 | revoke t0"));
    let held = bench.core().metrics().buffered_bytes;
    bench.run("revoke t1 | assign t2");
    assert!(held > 0 && bench.core().metrics().buffered_bytes == 0);
    assert!(bench.log().ends_with("fetch n1 s7/1 t2@5 -t0 -t1\n"), "there is capacity again: {}", bench.log());
}
