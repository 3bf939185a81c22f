//! The time of retries, and the outcome of batches whose retries fail.

use std::fmt::Write;

use super::*;

/// Codes that a broker answers when it may have appended the batch.
const AFTER_THE_APPEND: [i16; 9] = [-1, 3, 5, 6, 7, 13, 20, 56, 74];

#[test]
fn batch_refused_after_the_append_and_expired_is_maybe_written() {
    for code in AFTER_THE_APPEND {
        let log = run(settings(), &format!("{BEGIN} | put t0 | answer r2 t0!{code} | meta t0=- | wait 1000"));
        assert!(log.contains("fail b2 0..1 Maybe Timeout"), "{code}\n{log}");
    }
    let log = run(settings(), &format!("{BEGIN} | put t0 | answer r2 t0!19 | meta t0=- | wait 1000"));
    assert!(log.contains("fail b2 0..1 No Timeout"), "{log}");
}

#[test]
fn batch_refused_after_the_append_and_then_for_good_is_maybe_written() {
    for code in AFTER_THE_APPEND {
        let log = run(settings(), &format!("{BEGIN} | put t0 | answer r2 t0!{code} | wait 200 | answer r3 t0!29"));
        assert!(log.contains("fail b2 0..1 Maybe TOPIC_AUTHORIZATION_FAILED"), "{code}\n{log}");
    }
    let log = run(settings(), &format!("{BEGIN} | put t0 | answer r2 t0!19 | wait 200 | answer r3 t0!29"));
    assert!(log.contains("fail b2 0..1 No TOPIC_AUTHORIZATION_FAILED"), "{log}");
}

#[test]
fn batch_refused_after_the_append_is_not_split_when_it_is_too_large() {
    for code in AFTER_THE_APPEND {
        let log = run(
            settings(),
            &format!("{BEGIN} | put t0 | put t0 2 | answer r2 t0@1 | answer r3 t0!{code} | wait 200 | answer r4 t0!10"),
        );
        assert!(log.contains("fail b3 0..2 Maybe MESSAGE_TOO_LARGE"), "{code}\n{log}");
    }
}

#[test]
fn partitions_of_a_broker_that_is_not_ready_are_tried_again_together() {
    let settings = Settings { delivery_timeout: std::time::Duration::from_secs(60), ..settings() };
    let each = |step: fn(i32) -> String| (0..40).fold(String::new(), |all, index| all + &step(index));
    let mut script =
        format!("meta {} u0=2e5 | put u0 | id 7 | answer r1 u0@0 |", each(|index| format!(" t{index}=1e0")));
    write!(script, "{}", each(|index| format!("put t{index} |"))).expect("a string takes all");
    script += " wait 5";
    let before = run(settings.clone(), &script).lines().filter(|line| line.starts_with("send")).count();
    // The broker leads none of them yet, and metadata has nothing else to say.
    let refused = |request: usize, partitions: &[i32]| {
        let each: Vec<String> = partitions.iter().map(|index| format!("t{index}!6")).collect();
        format!(" | answer r{request} {}", each.join(" "))
    };
    let sent = |script: &str| -> Vec<(usize, Vec<i32>)> {
        let log = run(settings.clone(), script);
        let sends = log.lines().filter(|line| line.starts_with("send"));
        let partition = |word: &str| word.strip_prefix('t').and_then(|word| word.split('#').next()?.parse().ok());
        sends
            .map(|line| line.split(' ').filter_map(partition).collect())
            .enumerate()
            .map(|(at, sent)| (at + 1, sent))
            .collect()
    };
    for (request, partitions) in sent(&script).into_iter().skip(1) {
        script += &refused(request, &partitions);
    }
    // All of them are tried again in one request after one pause, not in forty after forty.
    let log = run(settings.clone(), &format!("{script} | wait 79 {}", " | wait 1".repeat(42)));
    let after = log.lines().filter(|line| line.starts_with("send")).count();
    assert_eq!(after, before + 1, "{log}");
}

#[test]
fn ready_leader_is_noticed_within_a_quarter_of_its_outage() {
    // Refused for four seconds under one leader and epoch: the next attempt is at most 1.2 s away, and before that they are closer.
    let settings = Settings {
        delivery_timeout: std::time::Duration::from_secs(60),
        retry_backoff_max: std::time::Duration::from_secs(1),
        ..settings()
    };
    let mut script = format!("{BEGIN} | put t0");
    for millis in (0..4_000).step_by(10) {
        let log = run(settings.clone(), &script);
        let sent = log.lines().filter(|line| line.starts_with("send")).count();
        let answered = script.matches("!6").count() + 1;
        if sent > answered {
            write!(script, " | answer r{sent} t0!6").expect("a string takes all");
            assert!(millis < 500 || answered >= 3, "{log}");
        }
        script += " | wait 10";
    }
    let attempts = script.matches("!6").count();
    assert!((10..20).contains(&attempts), "{attempts} attempts in four seconds");
}

#[test]
fn failures_under_another_leader_do_not_lengthen_the_pause() {
    // Refused three times by n1; the new leader n2 refuses once and is tried again after the first back-off.
    check_on(
        "put t0 | answer r2 t0!19 | wait 120 | answer r3 t0!19 | wait 240 | answer r4 t0!19 | meta t0=2e6 t1=1e5 u0=2e5
         answer r5 t0!19 | wait 120",
        "send r2 n1 t0#1+1e0
         send r3 n1 t0#1+1e0
         send r4 n1 t0#1+1e0
         send r5 n2 t0#1+1e0
         send r6 n2 t0#1+1e0",
    );
}

#[test]
fn partitions_without_a_leader_ask_for_metadata_together() {
    let each = |step: fn(i32) -> String| (0..20).fold(String::new(), |all, index| all + &step(index));
    let script =
        format!("meta{} | {} wait 5", each(|index| format!(" t{index}=-")), each(|index| format!("put t{index} |")));
    // Each step of a millisecond lets those ask whose time has come.
    let log = run(settings(), &format!("{script} | wait 79 {}", " | wait 1".repeat(42)));
    let asked = log.lines().filter(|line| line.starts_with("refresh")).count();
    assert_eq!(asked, 2, "{log}");
}

#[test]
fn counters_tell_what_became_of_every_record() {
    check_on(
        "put t0 | put t0 3 | answer r2 t0!19 | wait 120 | answer r3 t0@1 | answer r4 t0!29 | put t0 2 | metrics
         lost r5 maybe | wait 1000 | metrics",
        "send r2 n1 t0#1+1e0
         wake
         send r3 n1 t0#1+1e0
         done b2 0..1 @1
         send r4 n1 t0#2+3e0
         fail b3 0..3 No TOPIC_AUTHORIZATION_FAILED
         send r5 n1 t0#0+1e1
         wake
         counted 7 records of 56 bytes, 4 batches of 292
         sent 5 requests, 1 retries, 0 splits, 1 epochs
         acknowledged 2, not written 3, maybe written 0
         expired 0, queued 2 in 2 batches
         refresh t
         fail b4 0..1 Maybe Timeout
         fail b5 0..1 No Timeout
         counted 7 records of 56 bytes, 5 batches of 361
         sent 5 requests, 1 retries, 0 splits, 1 epochs
         acknowledged 2, not written 4, maybe written 1
         expired 2, queued 0 in 0 batches",
    );
}

#[test]
fn identity_is_requested_before_a_batch_needs_it_and_again_after_failures() {
    check(
        "warm | warm | id !14 | warm | wait 200 | id 7 | warm | meta t0=1e5 | put t0",
        "warm Ok(false)
         id?
         warm Ok(false)
         warm Ok(false)
         id?
         warm Ok(true)
         send r1 n1 t0#0+1e0",
    );
    check("warm | id !31 | warm", "warm Ok(false)\nid?\nwarm Err(Broker)");
    check_with(Settings { idempotent: false, ..settings() }, "warm", "warm Ok(true)");
}
