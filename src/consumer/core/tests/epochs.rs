//! A response from one leader, or about one log, says nothing about the next: scripts that the simulator found.

use super::*;

const BOUNDED: &str = "meta t0=1e5 | assign t0 | list t0=9e5 | fetched n1 s7 t0:5+3;hw=9 | take";
const BOUNDED_SO_FAR: &str = "list n1 t0=-1
     fetch n1 s0/0 t0@5
     fetch n1 s7/1 t0@8
     t0 5 6 7";

fn bounded(script: &str, expected: &str) {
    check_with(
        Config { start: Start::Offset(5), until_end: true, ..Config::default() },
        &format!("{BOUNDED} | {script}"),
        &format!("{BOUNDED_SO_FAR}\n{expected}"),
    );
}

#[test]
fn late_records_of_an_earlier_leader_are_dropped() {
    // Seed 279452: it has records that the new leader never had, and no epoch was known yet to validate.
    check(
        &format!("{BEGIN} | meta t0=1e6 | fetched n1 s7 t0:5+3;hw=8 | take | fetched n1b s8 t0:5+1;hw=6 | take"),
        "fetch n1 s0/0 t0@5
         fetch n1b s0/0 t0@5
         fetch n1 s7/1 t0@6
         t0 5 end @6",
    );
}

#[test]
fn offsets_listed_by_an_earlier_leader_are_listed_again() {
    check_with(
        Config { start: Start::Latest, ..Config::default() },
        "meta t0=1e5 | assign t0 | meta t0=2e6 | list t0=9e5 | position t0 | list t0=7e6 | position t0",
        "list n1 t0=-1
         list n2 t0=-1
         position None
         fetch n2 s0/0 t0@7
         position Some(7)",
    );
}

#[test]
fn epoch_end_from_an_earlier_leader_is_requested_again() {
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+3;hw=8 | take | meta t0=2e6 | meta t0=3e7 | epoch t0=8e5 | epoch t0=6e5 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7 end @8
         epoch n2 t0@e5
         epoch n3 t0@e5
         fetch n3 s0/0 t0@6
         reset t0 8->6",
    );
}

#[test]
fn position_in_range_after_all_is_validated_by_the_new_leader() {
    // Seed 339866: the leader changed while the range was asked for.
    check_with(
        Config { start: Start::Offset(5), reset: ResetPolicy::None, ..Config::default() },
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+3;hw=9 | fetched n1 s7 t0:!1 | take | meta t0=2e6 | list t0=0e5 | epoch t0=6e5 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         list n1 t0=-2
         t0 5 6 7
         epoch n2 t0@e5
         error t0 Truncated @Some(8)",
    );
}

#[test]
fn position_in_range_after_all_is_validated() {
    check_with(
        Config { start: Start::Offset(5), reset: ResetPolicy::None, ..Config::default() },
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+3;hw=9 | fetched n1 s7 t0:!1 | take | list t0=0e5 | list t0=90e5 | epoch t0=90e5"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         list n1 t0=-2
         t0 5 6 7
         list n1 t0=-1
         epoch n1 t0@e5
         fetch n1 s7/2",
    );
}

#[test]
fn out_of_range_of_a_former_leader_moves_nothing() {
    // Seed 38615: it was a follower by then, and behind. Without an epoch the fetch could not be fenced.
    for reset in [ResetPolicy::Earliest, ResetPolicy::Latest, ResetPolicy::None] {
        let mut bench = bench::Bench::new(Config { start: Start::Offset(5), reset, ..Config::default() });
        bench.run(
            "meta t0=1e-1 | assign t0 | fetched n1 s7 t0:!1 | meta t0=2e-1 | fetched n2 s8 t0:5+3;hw=8 | take | position t0",
        );
        assert!(bench.log().contains("\nfetch n2 s0/0 t0@5\n"), "{reset:?}: {}", bench.log());
        assert!(bench.log().ends_with("\nt0 5 6 7 end @8\nposition Some(8)\n"), "{reset:?}: {}", bench.log());
    }
}

#[test]
fn out_of_range_of_a_broker_that_lists_no_offsets_moves_nothing() {
    // Seed 101724: by the time the request is retried, the broker leads again.
    for refused in ["list t0=!6", "fail list"] {
        for reset in [ResetPolicy::Earliest, ResetPolicy::Latest, ResetPolicy::None] {
            let mut bench = bench::Bench::new(Config { start: Start::Offset(5), reset, ..Config::default() });
            bench.run(&format!("meta t0=1e-1 | assign t0 | fetched n1 s7 t0:!1 | {refused} | wait 1000"));
            bench.run("list t0=0e-1 | list t0=90e-1 | fetched n1 s7 t0:5+3;hw=8 | take | position t0");
            assert!(bench.log().ends_with("\nt0 5 6 7 end @8\nposition Some(8)\n"), "{reset:?}: {}", bench.log());
        }
    }
}

#[test]
fn position_that_is_in_range_after_all_is_not_moved() {
    // Seed 54664: the response of a follower was delayed until that broker led again, so it listed its offsets.
    for (reset, start, end) in
        [(ResetPolicy::Earliest, 0, 90), (ResetPolicy::Latest, 0, 90), (ResetPolicy::Latest, 5, 5)]
    {
        check_with(
            Config { start: Start::Offset(5), reset, ..Config::default() },
            &format!(
                "meta t0=1e-1 | assign t0 | fetched n1 s7 t0:!1 | list t0={start}e-1 | list t0={end}e-1
                 fetched n1 s7 t0:5+3;hw=8 | take | position t0"
            ),
            "fetch n1 s0/0 t0@5
             list n1 t0=-2
             list n1 t0=-1
             fetch n1 s7/1
             fetch n1 s7/2 t0@8
             t0 5 6 7 end @8
             position Some(8)",
        );
    }
}

#[test]
fn leader_that_insists_on_out_of_range_is_believed() {
    for (reset, asked, to) in [(ResetPolicy::Earliest, -2, 2), (ResetPolicy::Latest, -1, 90)] {
        check_with(
            Config { start: Start::Offset(5), reset, ..Config::default() },
            &format!(
                "meta t0=1e-1 | assign t0 | fetched n1 s7 t0:!1 | list t0=0e-1 | list t0=80e-1 | fetched n1 s7 t0:!1
                 finished | wait 1000 | list t0={to}e-1 | take"
            ),
            &format!(
                "fetch n1 s0/0 t0@5
                 list n1 t0=-2
                 list n1 t0=-1
                 fetch n1 s7/1
                 finished false
                 list n1 t0={asked}
                 fetch n1 s7/2 t0@{to}
                 reset t0 5->{to}"
            ),
        );
    }
}

#[test]
fn leader_that_confirms_the_epoch_and_insists_is_believed() {
    check_with(
        Config { start: Start::Offset(5), reset: ResetPolicy::None, ..Config::default() },
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+3;hw=9 | take | fetched n1 s7 t0:!1 | list t0=0e5 | list t0=80e5 | epoch t0=80e5
             fetched n1 s7 t0:!1 | finished | wait 1000 | list t0=2e5 | list t0=90e5 | take"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7
         list n1 t0=-2
         list n1 t0=-1
         epoch n1 t0@e5
         fetch n1 s7/2
         finished false
         list n1 t0=-2
         list n1 t0=-1
         error t0 Truncated @Some(8) 2 to 90",
    );
}

#[test]
fn range_is_doubted_anew_after_a_success_a_seek_or_an_election() {
    let list = "list t0=0e-1 | list t0=90e-1";
    for (step, refusal) in [
        ("fetched n1 s7 t0:-;hw=90", "fetched n1 s7 t0:!1"),
        ("seek t0 5", "fetched n1 s7 t0:!1"),
        ("meta t0=2e-1", "fetched n2 s8 t0:!1"),
    ] {
        let mut bench = bench::Bench::new(Config { start: Start::Offset(5), ..Config::default() });
        bench.run(&format!("meta t0=1e-1 | assign t0 | fetched n1 s7 t0:!1 | {list} | {step} | {refusal} | wait 1000"));
        bench.run(&format!("{list} | take | position t0"));
        assert_eq!(bench.log().matches("list").count(), 4, "{step}: {}", bench.log());
        assert!(!bench.log().contains("reset"), "{step}: {}", bench.log());
        assert!(bench.log().ends_with("\nposition Some(5)\n"), "{step}: {}", bench.log());
    }
}

#[test]
fn truncation_does_not_go_back_before_an_unreported_reset() {
    // Seed 93281: the log of the new topic is cut while the move into it is not reported yet.
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+3;hw=8 | take | meta id=8 t0=1e0 | list t0=0e0 | fetched n1b id=8 s8 t0:0+4;hw=4
             meta id=8 t0=2e1 | epoch t0=2e0 | epoch t0=2e0 | take | position t0"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 5 6 7 end @8
         list n1 t0=-2
         fetch n1b s0/0 t0@0
         fetch n1b s8/1 t0@4
         epoch n2 t0@e5
         epoch n2 t0@e0
         fetch n2 s0/0 t0@0
         reset t0 8->0
         position Some(0)",
    );
}

#[test]
fn bounded_read_ends_at_the_end_of_a_truncated_log() {
    bounded(
        "meta t0=2e6 | epoch t0=6e5 | list t0=7e6 | take | fetched n2 s8 t0:6+1;hw=7 | take | finished",
        "list n2 t0=-1
         epoch n2 t0@e5
         fetch n2 s0/0 t0@6
         reset t0 8->6
         t0 6 end @7
         finished true",
    );
}

#[test]
fn bounded_read_does_not_wait_for_records_a_new_leader_lacks() {
    // Seed 7314: all records that were read are still there.
    bounded(
        "meta t0=2e6 | epoch t0=8e5 | finished | list t0=8e6 | finished",
        "list n2 t0=-1
         epoch n2 t0@e5
         fetch n2 s0/0 t0@8
         finished false
         finished true",
    );
}

#[test]
fn bounded_read_is_not_extended_by_a_new_leader() {
    bounded(
        "meta t0=2e6 | list t0=20e6 | epoch t0=20e6 | fetched n2 s8 t0:8+3;hw=20 | take | finished | meta t0=1e7 | finished",
        "list n2 t0=-1
         epoch n2 t0@e5
         fetch n2 s0/0 t0@8
         t0 8
         finished true
         epoch n1 t0@e5
         finished true",
    );
}

#[test]
fn bounded_read_ends_at_the_end_of_a_recreated_topic() {
    bounded(
        "meta id=8 t0=1e0 | list t0=1e0 | list t0=0e0 | take | fetched n1b id=8 s8 t0:0+1;hw=1 | take | finished",
        "list n1 t0=-1
         list n1 t0=-2
         fetch n1b s0/0 t0@0
         reset t0 8->0
         t0 0 end @1
         finished true",
    );
}

#[test]
fn bounded_read_out_of_range_ends_at_the_end_of_the_log() {
    bounded(
        "fetched n1 s7 t0:!1 | list t0=3e5 | list t0=4e5 | list t0=4e5 | fetched n1 s7 t0:3+1;hw=4 | take | finished",
        "list n1 t0=-2
         list n1 t0=-1
         list n1 t0=-1
         fetch n1 s7/2 t0@3
         reset t0 8->3
         t0 3 end @4
         finished true",
    );
}

#[test]
fn position_without_an_epoch_is_not_validated_after_an_unreadable_batch() {
    // Seed 494: the leader answers a request for no epoch as it does for a log that was truncated.
    check(
        "meta t0=1e5 | assign t0 | seek t0 9 | fetched n1 s7 | fetched n1b s8 t0:9+3?;hw=12 | hold | meta t0=2e6 | read | wait 500",
        "fetch n1 s0/0 t0@5
         fetch n1b s0/0 t0@9
         fetch n1 s0/0 t0@12
         epoch n2 t0@e5
         t0 then Corrupt @Some(11)
         fetch n2 s0/0 t0@9",
    );
}
