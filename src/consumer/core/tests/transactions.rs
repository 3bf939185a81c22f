//! Records of transactions: those returned follow from the aborted transactions of a response.

use super::*;

/// Reads what one response has, committed records only.
#[track_caller]
fn committed(answer: &str, next: i64, taken: &str) {
    let config = Config { start: Start::Offset(5), isolation: Isolation::ReadCommitted, ..Config::default() };
    check_with(
        config,
        &format!("{BEGIN} | fetched n1 s7 t0:{answer} | take | position t0"),
        &format!("fetch n1 s0/0 t0@5\nfetch n1 s7/1 t0@{next}\n{taken}\nposition Some({next})"),
    );
}

#[test]
fn aborted_transactions_may_be_listed_in_any_order() {
    let batches = "5+1x7,6+1x8,7+1x9,8A8,9A7,10C9";
    for listed in ["abort=7@5;abort=8@6", "abort=8@6;abort=7@5"] {
        committed(&format!("{batches};hw=11;lso=11;{listed}"), 11, "t0 7 end @11");
    }
}

#[test]
fn committed_transaction_between_aborted_ones_is_returned() {
    // librdkafka #3369: the list names a producer twice, and its second entry does not apply to earlier batches.
    let batches = "5+1x7,6A7,7+1x7,8C7,9+1x7,10A7";
    for listed in ["abort=7@5;abort=7@9", "abort=7@9;abort=7@5"] {
        committed(&format!("{batches};hw=11;lso=11;{listed}"), 11, "t0 7 end @11");
    }
}

#[test]
fn marker_without_an_entry_and_a_second_one_change_nothing() {
    // An abort of a transaction that wrote nothing here, and markers that a coordinator wrote twice.
    committed("5A7,6+1x7,7C7;hw=8;lso=8", 8, "t0 6 end @8");
    committed("5+1x7,6A7,7A7,8+1x7,9C7;hw=10;lso=10;abort=7@5", 10, "t0 8 end @10");
}

#[test]
fn records_outside_transactions_are_always_returned() {
    committed("5+1x7,6+2,8+1x7,9A7;hw=10;lso=10;abort=7@5", 10, "t0 6 7 end @10");
}

#[test]
fn transaction_that_began_earlier_is_skipped_from_the_first_batch() {
    committed("5+2x7,7A7,8+1x7,9C7;hw=10;lso=10;abort=7@1", 10, "t0 8 end @10");
}

#[test]
fn position_moves_past_aborted_records() {
    committed("5+3x7,8A7;hw=9;lso=9;abort=7@5", 9, "t0 end @9");
}

#[test]
fn forged_marker_makes_no_aborted_record_visible() {
    let config = Config { start: Start::Offset(5), isolation: Isolation::ReadCommitted, ..Config::default() };
    check_with(
        config,
        &format!("{BEGIN} | fetched n1 s7 t0:5+1x7,6A7?,7+1x7;hw=9;lso=9;abort=7@5 | take | position t0"),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@8
         t0 then Corrupt @Some(6)
         position Some(6)",
    );
}

#[test]
fn bounded_read_ends_when_only_aborted_records_are_left() {
    let config =
        Config { start: Start::Earliest, until_end: true, isolation: Isolation::ReadCommitted, ..Config::default() };
    check_with(
        config,
        "meta t0=1e5 | assign t0 | list t0=6e5 | list t0=0e5 | fetched n1 s7 t0:0+5x7,5A7;hw=6;lso=6;abort=7@0
         finished | take | finished | position t0",
        "list n1 t0=-1
         list n1 t0=-2
         fetch n1 s0/0 t0@0
         finished false
         t0 end @6
         finished true
         position Some(6)",
    );
}

#[test]
fn read_committed_ends_at_the_last_stable_offset() {
    committed("5+1;hw=99;lso=6", 6, "t0 5 end @6");
}
