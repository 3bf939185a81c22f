//! Partitions, replicas and leader epochs that the metadata does not have.

use super::bench::Bench;
use super::*;

fn patient(patience: u64, topic_patience: u64) -> Config {
    Config {
        start: Start::Offset(5),
        patience: Duration::from_millis(patience),
        topic_patience: Duration::from_millis(topic_patience),
        ..Config::default()
    }
}

/// Lets seconds pass in small steps.
fn seconds(bench: &mut Bench, seconds: usize) {
    bench.run(&"wait 100 |".repeat(10 * seconds));
}

#[test]
fn missing_partition_is_reported_once_and_read_when_it_appears() {
    // The number sizes nothing: a table of that many entries would take 32 GiB.
    let mut bench = Bench::new(patient(30_000, 2_000));
    bench.run("meta t0=1e5 | assign t2147483647");
    seconds(&mut bench, 1);
    assert!(!bench.core().has_next(), "it may be about to appear");
    seconds(&mut bench, 2);
    bench.run("take");
    let log = bench.log().to_owned();
    assert!(log.ends_with("error t2147483647 UnknownTopic @None\n"), "{log}");
    seconds(&mut bench, 60);
    assert_eq!(bench.log(), log, "nothing more is asked or reported");
    // One that appears is read.
    let mut bench = Bench::new(patient(30_000, 1));
    bench.run("meta t0=1e5 | assign t1 | wait 200 | take | meta t0=1e5 t1=2e0 | take");
    assert!(bench.log().ends_with("error t1 UnknownTopic @None\nfetch n2 s0/0 t1@5\n"), "{}", bench.log());
}

#[test]
fn error_about_missing_partition_names_it_and_the_remedy() {
    let mut bench = Bench::new(patient(30_000, 1));
    bench.run("meta t0=1e5 t1=1e5 | assign t7 | wait 200");
    assert_eq!(bench.next_error().to_string(), "there is no partition 7: the topic has 2, 0 to 1, topic t[7]");
}

#[test]
fn partition_without_leader_is_reported_after_each_timeout() {
    let mut bench = Bench::new(patient(3_000, 1));
    bench.run("meta t0=- t1=1e5 | assign t0 t1");
    seconds(&mut bench, 2);
    assert!(!bench.core().has_next(), "an election takes a while");
    seconds(&mut bench, 2);
    bench.run("take");
    seconds(&mut bench, 4);
    bench.run("take");
    let log = bench.log();
    assert_eq!(log.matches("error t0 Broker @None").count(), 2, "{log}");
    assert!((5..=14).contains(&log.matches("refresh t").count()), "about one a second: {log}");
    let mut bench = Bench::new(patient(1_000, 1));
    bench.run("meta t0=- | assign t0 | meta t0=1e5");
    assert_eq!(bench.log(), "refresh t\nfetch n1 s0/0 t0@5\n", "it is read at once when a leader is known");
}

#[test]
fn error_about_missing_leader_names_the_partition_and_the_remedy() {
    let mut bench = Bench::new(patient(1, 1));
    bench.run("meta t0=- | assign t0 | wait 200");
    assert_eq!(
        bench.next_error().to_string(),
        "the partition has no leader, topic t[0]: LEADER_NOT_AVAILABLE; start a broker that has an in-sync replica of it"
    );
}

#[test]
fn bounded_read_ends_when_a_recreated_topic_has_fewer_partitions() {
    let config = Config { until_end: true, ..patient(30_000, 1_000) };
    let mut bench = Bench::new(config);
    bench.run("meta t0=1e5 t1=1e5 | assign t | list t0=6e5 t1=9e5 | fetched n1 s7 t0:5+1;hw=6 t1:5+1;hw=9 | take");
    bench.fewer_partitions("meta id=8 t0=1e0");
    bench.run("list t0=1e0 | list t0=0e0 | take | fetched n1b id=8 s8 t0:0+1;hw=1 | take | finished");
    assert!(bench.log().ends_with("finished false\n"), "{}", bench.log());
    seconds(&mut bench, 3);
    bench.run("take | finished");
    assert!(bench.log().ends_with("error t1 UnknownTopic @None\nfinished true\n"), "{}", bench.log());
    let log = bench.log().to_owned();
    seconds(&mut bench, 60);
    assert_eq!(bench.log(), log, "nothing more is asked");
    // It comes back.
    bench.run("meta id=8 t0=1e0 t1=1e0 | finished");
    assert!(bench.log().ends_with("list n1 t1=-1\nlist n1 t1=-2\nfinished false\n"), "{}", bench.log());
}

fn near(script: &str, expected: &str) {
    let config = Config { start: Start::Offset(5), rack: "r".into(), ..Config::default() };
    check_with(config, script, expected);
}

#[test]
fn unknown_preferred_replica_pauses_and_refreshes_metadata() {
    near(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:-;hw=9;pref=4 | wait 10 | meta n4 t0=1e5 | wait 200 | fetched n1 s0 t0:-;hw=9;pref=4"
        ),
        "fetch n1 s0/0 rack=r t0@5
         refresh t
         fetch n1 s7/1 rack=r
         fetch n4 s0/0 rack=r t0@5",
    );
}

#[test]
fn leader_is_asked_without_a_rack_while_the_replica_is_unknown() {
    near(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:-;hw=9;pref=4 | wait 200 | fetched n1 s7 t0:-;hw=9;pref=4 | wait 400
             fetched n1 s7 t0:5+1;hw=9 | take | meta n4 t0=1e5 | fetched n1 s7 t0:6+1;hw=9"
        ),
        "fetch n1 s0/0 rack=r t0@5
         refresh t
         fetch n1 s7/1 rack=r
         refresh t
         fetch n1 s7/2
         fetch n1 s7/3 t0@6
         t0 5
         fetch n1 s7/4 rack=r t0@7",
    );
}

#[test]
fn failing_preferred_replica_is_avoided() {
    near(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:-;hw=9;pref=2 | fail n2 | fetched n1 s7 t0:-;hw=9;pref=2 | wait 200
             fetched n1 s7 t0:-;hw=9;pref=2 | fail n2 | fetched n1 s7 t0:-;hw=9;pref=2 | wait 400 | fetched n1 s7 t0:5+1;hw=9
             take"
        ),
        "fetch n1 s0/0 rack=r t0@5
         fetch n2 s0/0 rack=r t0@5
         fetch n1 s7/1 rack=r
         refresh t
         fetch n1 s7/2 rack=r
         refresh t
         fetch n2 s0/0 rack=r t0@5
         fetch n1 s7/3 rack=r
         fetch n1 s7/4
         refresh t
         fetch n1 s7/5 t0@6
         t0 5",
    );
}

#[test]
fn replica_that_stays_unusable_is_reported() {
    let mut bench = Bench::new(patient(1, 1));
    bench.run("meta t0=1e5 | assign t0 | fetched n1 s7 t0:-;hw=9;pref=4 | wait 200 | fetched n1 s7 t0:-;hw=9;pref=4");
    assert_eq!(
        bench.next_error().to_string(),
        "the leader refers to replica 4, which cannot be reached: check that broker, topic t[0]: REPLICA_NOT_AVAILABLE"
    );
}

fn stored() -> Config {
    let start = Start::Stored { otherwise: Box::new(Start::Latest) };
    Config { start, group: Some("g".into()), patience: Duration::from_secs(2), ..Config::default() }
}

#[test]
fn newer_committed_epoch_is_validated_after_metadata_catches_up() {
    check_with(
        stored(),
        "meta t0=1e5 | assign t0 | stored t0=20e7 | wait 200 | meta t0=3e6 | wait 300 | meta t0=2e7 | epoch t0=30e7
         take | position t0",
        "stored t0
         refresh t
         refresh t
         refresh t
         epoch n2 t0@e7
         fetch n2 s0/0 t0@20
         position Some(20)",
    );
}

#[test]
fn committed_epoch_no_broker_knows_is_validated_after_a_timeout() {
    let mut bench = Bench::new(stored());
    bench.run("meta t0=1e5 | assign t0 | stored t0=20e7");
    seconds(&mut bench, 1);
    assert!(!bench.log().contains("epoch n1"), "{}", bench.log());
    seconds(&mut bench, 3);
    bench.run("epoch t0=-1 | list t0=9e5 | take");
    assert!(
        bench.log().ends_with("epoch n1 t0@e7\nlist n1 t0=-2\nfetch n1 s0/0 t0@9\nreset t0 20->9\n"),
        "{}",
        bench.log()
    );
}

#[test]
fn seek_ends_the_wait_for_the_epoch_of_a_committed_position() {
    check_with(
        stored(),
        "meta t0=1e5 | assign t0 | stored t0=20e7 | seek t0 3 | fetched n1 s7 t0:3+2;hw=9 | meta t0=1e6",
        "stored t0
         refresh t
         fetch n1 s0/0 t0@3
         fetch n1 s7/1 t0@5
         epoch n1 t0@e5",
    );
}

#[test]
fn unreadable_chunk_of_a_recreated_topic_changes_nothing() {
    check(
        &format!(
            "{BEGIN} | fetched n1 s7 t0:5+1,6+3?;hw=9 | hold | meta id=8 t0=1e0 | list t0=0e0 | read | position t0 | take
             position t0"
        ),
        "fetch n1 s0/0 t0@5
         fetch n1 s7/1 t0@9
         list n1 t0=-2
         fetch n1b s0/0 t0@0
         t0 5 overtaken
         position Some(5)
         reset t0 5->0
         position Some(0)",
    );
}
