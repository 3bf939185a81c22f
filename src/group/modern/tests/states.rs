//! The answers of a member to others: whether it is stable, whether anything has changed, what its refusals say.

use super::bench::Bench;
use super::bench::settings;
use crate::error::Code;

const STABLE: &str = "meta a=1\nsubscribe a\nbeaten 7 a0\ndone\nbeaten 7";

fn run(bench: &mut Bench, script: &str) {
    script.lines().for_each(|line| bench.run(line));
}

#[test]
fn member_is_stable_from_its_assignment_to_the_next_change() {
    let mut bench = Bench::new(settings());
    for (line, stable) in [
        ("meta a=2", false),
        ("subscribe a", false),
        ("beaten 7 a0", false),
        ("done", true),
        ("beaten 7", true),
        ("wait 5000", true),
        ("beaten 8 a0 a1", false),
        ("done", true),
        ("beat refused 25", false),
    ] {
        bench.run(line);
        assert_eq!(bench.member.is_stable(), stable, "after {line}");
    }
}

#[test]
fn assignment_and_its_end_change_the_version() {
    let mut bench = Bench::new(settings());
    run(&mut bench, "meta a=1\nsubscribe a");
    let mut seen = bench.member.standing().version();
    for line in ["beaten 7 a0", "done", "beat refused 25", "done"] {
        bench.run(line);
        let version = bench.member.standing().version();
        assert!(version > seen, "after {line}: {version} follows {seen}");
        seen = version;
    }
}

#[test]
fn refused_commit_of_another_epoch_wants_no_heartbeat() {
    let mut bench = Bench::new(settings());
    run(&mut bench, STABLE);
    let beats = bench.requests.len();
    let mut identity = bench.member.standing().identity().clone();
    identity.generation -= 1;
    bench.member.handle_refusal(crate::net::clock::now(), Code::StaleMemberEpoch, &identity);
    assert!(!bench.member.has_actions(), "the commit was of an epoch that is over");
    bench.run("commit refused 113");
    assert_eq!(bench.requests.len(), beats + 1, "the coordinator is asked at once");
}

#[test]
fn losses_and_rebalances_are_counted() {
    let mut bench = Bench::new(settings());
    run(&mut bench, STABLE);
    assert_eq!((bench.member.standing().counters().rebalances, bench.member.standing().counters().losses), (1, 0));
    run(&mut bench, "wait 5000\nbeat refused 25\ndone\nbeaten 9 a0\ndone");
    assert_eq!((bench.member.standing().counters().rebalances, bench.member.standing().counters().losses), (2, 1));
}

#[test]
fn refusal_of_a_member_says_what_is_wrong() {
    for (code, part) in
        [(82, "another member's"), (81, "the group is full"), (30, "may not read in the group"), (112, "no assignor")]
    {
        let mut bench = Bench::new(settings());
        run(&mut bench, "meta a=1\nsubscribe a");
        let before = bench.member.standing().has_error();
        bench.run(&format!("beat refused {code}"));
        assert!(!before && bench.member.standing().has_error(), "{code}");
        let error = bench.member.standing_mut().poll_error().expect("it failed").to_string();
        assert!(error.contains(part), "{code}: {error}");
    }
}
