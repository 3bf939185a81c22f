//! Patterns that the coordinator matches.

use super::*;
use crate::group::modern::Settings;

#[test]
fn topics_of_a_pattern_are_found_by_their_ids_and_followed() {
    check(
        "match a.*
         beaten 1 a0 b0
         wait 1000
         meta a=1
         done
         meta b=1
         done
         beaten 2 a0
         done
         done",
        "follow
         beat e0 full topics  regex \"a.*\" owned - at 0
         find ab at 0
         find ab at 1000
         follow a
         assign a0 added a0
         beat e1 owned a0 b0 at 1000
         follow a,b
         assign a0 b0 added b0
         follow a
         revoke b0
         assign a0 added
         beat e2 owned a0 at 1000",
    );
}

#[test]
fn pattern_is_taken_back_by_an_empty_one_also_after_an_error() {
    check(
        "match a.*
         beaten 1 nothing
         done
         beaten 1
         subscribe a
         beat lost
         wait 200
         beaten 2 nothing
         match b
         beaten 2",
        "follow
         beat e0 full topics  regex \"a.*\" owned - at 0
         assign added
         beat e1 owned - at 0
         follow a
         beat e1 topics a regex \"\" at 0
         beat e1 full topics a regex \"\" owned - at 89
         follow
         beat e2 topics  regex \"b\" at 200",
    );
}

#[test]
fn pattern_that_does_not_compile_is_an_error_until_the_next_subscription() {
    let mut bench = bench::Bench::new(settings());
    for line in ["match (", "beat refused 128"] {
        bench.run(line);
    }
    let error = bench.member.standing_mut().poll_error().expect("an error");
    assert_eq!(error.code(), Some(crate::error::Code::InvalidRegularExpression));
    assert!(error.to_string().contains("RE2/J"), "{error}");
    check(
        "match (\nbeat refused 128\nwait 60000\nmatch a",
        "follow
         beat e0 full topics  regex \"(\" owned - at 0
         follow
         beat e0 full topics  regex \"a\" owned - at 60000",
    );
}

#[test]
fn member_that_stays_tells_nobody_unless_it_is_static() {
    let stable = "meta a=1\nsubscribe a\nbeaten 1 a0\ndone\nbeaten 1\nstay\nwait 60000";
    let joined = "follow a
                  beat e0 full topics a owned - at 0
                  assign a0 added a0
                  beat e1 owned a0 at 0
                  ";
    check(stable, joined);
    let of_static = Settings { instance: Some("i".into()), ..settings() };
    check_with(of_static, stable, &format!("{joined}leave e-2"));
}
