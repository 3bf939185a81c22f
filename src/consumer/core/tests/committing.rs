//! The committer by scripts of calls and responses. Times are milliseconds.

use std::fmt::Write;

use super::*;
use crate::consumer::core::committer::CommitAction;
use crate::consumer::core::committer::Committer;
use crate::group::GroupMetadata;
use crate::metadata::Cache;
use crate::wire::message as m;

/// A committer, and a log of what it asked for and reported.
struct Bench {
    committer: Committer,
    begun: Instant,
    now: Instant,
    tag: Option<u64>,
    log: String,
}

impl Bench {
    fn new() -> Self {
        let begun = crate::net::clock::now();
        let pauses = (Duration::from_millis(100), Duration::from_secs(1));
        let committer = Committer::new(GroupMetadata::none("g", None), pauses, 1);
        Self { committer, begun, now: begun, tag: None, log: String::new() }
    }

    /// Takes the steps of a script: `commit t0=5 t1=6e2 by=900`, `ok`, `answer t0 t1=16` (`-t1` is left out), `lost`, `refused 30`,
    /// `wait 100`, `member 4`, `topic 8` (its id), `close`.
    fn run(&mut self, script: &str) {
        for step in script.split('|') {
            let words: Vec<&str> = step.split_whitespace().collect();
            match words[0] {
                "commit" => self.commit(&words[1..]),
                "answer" => self.answer(&words[1..]),
                "lost" => self.fail(Error::new(Kind::Connect, "the connection was lost")),
                "refused" => {
                    let code = Code::from_wire(words[1].parse().expect("a code")).expect("an error");
                    self.fail(Error::broker(code, "could not find the coordinator"));
                }
                "wait" => self.wait(words[1].parse().expect("milliseconds")),
                "member" => {
                    let generation = words[1].parse().expect("a generation");
                    let member = "m".into();
                    let identity = GroupMetadata { generation, member, ..GroupMetadata::none("g", Some("i".into())) };
                    let owned = words[2..].iter().map(|key| key_of(key)).collect();
                    self.committer.handle_membership(identity, owned);
                }
                "topic" => self.topic(words[1].parse().expect("a byte")),
                "close" => self.committer.close(),
                other => panic!("there is no step {other}"),
            }
            self.collect();
        }
    }

    fn commit(&mut self, words: &[&str]) {
        let mut positions = Vec::new();
        let mut deadline = self.now + Duration::from_secs(60);
        for word in words {
            let (key, value) = word.split_once('=').expect("partition=offset");
            if key == "by" {
                deadline = self.begun + Duration::from_millis(value.parse().expect("milliseconds"));
                continue;
            }
            let (offset, epoch) = value.split_once('e').map_or((value, None), |(offset, epoch)| (offset, Some(epoch)));
            let epoch = epoch.and_then(|epoch| LeaderEpoch::from_wire(epoch.parse().expect("an epoch")));
            positions.push((key_of(key), Position { offset: offset.parse().expect("an offset"), epoch }));
        }
        let ticket = self.committer.commit(self.now, positions, deadline);
        writeln!(self.log, "commit is #{ticket}").unwrap();
    }

    fn topic(&mut self, id: u8) {
        let topic = m::MetadataTopic { name: "t".into(), id: TopicId([id; 16]), ..m::MetadataTopic::default() };
        let mut cache = Cache::default();
        cache.handle_response(m::MetadataResponse { topics: vec![topic], ..m::MetadataResponse::default() });
        self.committer.handle_metadata(cache.snapshot());
    }

    fn answer(&mut self, words: &[&str]) {
        let topics = words.iter().map(|word| {
            let (key, code) = word.split_once('=').unwrap_or((word, "0"));
            let key = key_of(key);
            let code = Code::from_wire(code.parse().expect("a code"));
            m::CommittedTopic { name: key.topic, id: TopicId::ZERO, partitions: vec![(key.partition, code)] }
        });
        let response = m::OffsetCommitResponse { throttle_time_ms: 0, topics: topics.collect() };
        let tag = self.tag.take().expect("a request is in flight");
        self.committer.handle_response(self.now, tag, Ok(response));
    }

    fn fail(&mut self, error: Error) {
        let tag = self.tag.take().expect("a request is in flight");
        self.committer.handle_response(self.now, tag, Err(error));
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(at) = self.committer.poll_timeout().filter(|at| *at <= until) {
            assert!(at >= self.now, "a timeout in the past would spin");
            self.now = at;
            self.committer.handle_timeout(at);
            self.collect();
            assert!(
                self.committer.poll_timeout().is_none_or(|next| next > at),
                "a timeout that does nothing would spin"
            );
        }
        self.now = until;
    }

    fn collect(&mut self) {
        while let Some((ticket, result)) = self.committer.poll_result() {
            match result {
                Ok(()) => writeln!(self.log, "#{ticket} committed").unwrap(),
                Err(error) => {
                    let cause =
                        std::error::Error::source(&error).map_or(String::new(), |cause| format!(", for {cause}"));
                    let error = error.to_string();
                    // The remedy for the code is not the committer's.
                    let error = error.split(';').next().unwrap_or_default();
                    writeln!(self.log, "#{ticket} failed: {error}{cause}").unwrap();
                }
            }
        }
        while let Some(action) = self.committer.poll_action() {
            match action {
                CommitAction::Commit { tag, deadline, request } => {
                    assert!(self.tag.replace(tag).is_none(), "two requests in flight");
                    let by = (deadline - self.begun).as_millis();
                    write!(self.log, "send g{}{}", request.generation_or_epoch, request.member).unwrap();
                    for topic in request.topics {
                        for partition in topic.partitions {
                            write!(self.log, " {}{}={}", topic.name, partition.index, partition.offset).unwrap();
                            if partition.leader_epoch.is_some() {
                                write!(self.log, "e{}", LeaderEpoch::to_wire(partition.leader_epoch)).unwrap();
                            }
                        }
                    }
                    writeln!(self.log, " by={by}").unwrap();
                }
                CommitAction::ForgetCoordinator => self.log += "forget\n",
                CommitAction::RefreshMetadata { topics } => writeln!(self.log, "refresh {}", topics.len()).unwrap(),
            }
        }
    }
}

fn key_of(text: &str) -> TopicPartition {
    let (topic, partition) = text.split_at(1);
    TopicPartition::new(topic, partition.parse().expect("a partition"))
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let mut bench = Bench::new();
    bench.run(script);
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    let log: Vec<&str> = bench.log.lines().collect();
    assert_eq!(log, expected, "{script}\n{}", bench.log);
}

#[test]
fn positions_are_sent_at_once_with_their_epochs_and_reported_when_all_are_committed() {
    check(
        "commit t0=5e2 t1=6 u0=7 | answer t0 t1 u0",
        "commit is #1
         send g-1 t0=5e2 t1=6 u0=7 by=60000
         #1 committed",
    );
    check("commit by=5", "commit is #1\n#1 committed");
}

#[test]
fn newer_commit_waits_for_the_one_in_flight_and_never_overtakes_it() {
    check(
        "commit t0=5 | commit t0=6 | commit t0=4 t1=1 | lost | wait 200 | answer t0 t1",
        "commit is #1
         send g-1 t0=5 by=60000
         commit is #3
         commit is #4
         send g-1 t0=4 t1=1 by=60000
         #1 committed
         #3 committed
         #4 committed",
    );
    check(
        "commit t0=5 | commit t0=6 | answer t0 | answer t0",
        "commit is #1
         send g-1 t0=5 by=60000
         commit is #3
         #1 committed
         send g-1 t0=6 by=60000
         #3 committed",
    );
}

#[test]
fn refused_partitions_alone_are_retried_after_a_pause() {
    check(
        "commit t0=5 t1=6 t2=7 | answer t0 t1=14 | wait 200 | answer t1 t2",
        "commit is #1
         send g-1 t0=5 t1=6 t2=7 by=60000
         refresh 1
         send g-1 t1=6 t2=7 by=60000
         #1 committed",
    );
}

#[test]
fn coordinator_is_found_again_where_a_code_says_so() {
    for code in [7, 15, 16] {
        check(
            &format!("commit t0=5 t1=6 | answer t0={code} t1={code} | wait 200 | answer t0 t1"),
            "commit is #1
             send g-1 t0=5 t1=6 by=60000
             forget
             send g-1 t0=5 t1=6 by=60000
             #1 committed",
        );
    }
    // The lookup itself may be answered with a code.
    check(
        "commit t0=5 | refused 15 | wait 200 | answer t0",
        "commit is #1
         send g-1 t0=5 by=60000
         send g-1 t0=5 by=60000
         #1 committed",
    );
    check(
        "commit t0=5 t1=6 | refused 30 | wait 9999",
        "commit is #1
         send g-1 t0=5 t1=6 by=60000
         #1 failed: could not find the coordinator: GROUP_AUTHORIZATION_FAILED",
    );
}

#[test]
fn final_refusal_fails_the_commit_and_no_other() {
    check(
        "commit t0=5 t1=6 | commit t1=7 | answer t0=29 t1 | answer t1",
        "commit is #1
         send g-1 t0=5 t1=6 by=60000
         commit is #3
         #1 failed: could not commit an offset, topic t[0]: TOPIC_AUTHORIZATION_FAILED
         send g-1 t1=7 by=60000
         #3 committed",
    );
    // Its other partitions are not retried for nobody.
    check(
        "commit t0=5 t1=6 | answer t0=29 t1=14 | wait 5000",
        "commit is #1
         send g-1 t0=5 t1=6 by=60000
         #1 failed: could not commit an offset, topic t[0]: TOPIC_AUTHORIZATION_FAILED",
    );
}

#[test]
fn commit_ends_by_its_deadline_with_the_last_error_as_cause() {
    check(
        "commit t0=5 by=250 | answer t0=14 | wait 120 | answer t0=14 | wait 1000",
        "commit is #1
         send g-1 t0=5 by=250
         send g-1 t0=5 by=250
         #1 failed: the offsets were not committed by the deadline, for could not commit an offset, topic t[0]: COORDINATOR_LOAD_IN_PROGRESS",
    );
    // The attempt in flight ends by then as well.
    check(
        "commit t0=5 by=250 | commit t0=6 | wait 250 | lost | wait 200 | answer t0",
        "commit is #1
         send g-1 t0=5 by=250
         commit is #3
         #1 failed: the offsets were not committed by the deadline, for the connection was lost
         send g-1 t0=6 by=60000
         #3 committed",
    );
}

#[test]
fn one_partitions_refusals_do_not_delay_the_commit_of_another() {
    check(
        "commit t0=5 | answer t0=3 | commit t1=6 | answer t1 | wait 200 | answer t0",
        "commit is #1
         send g-1 t0=5 by=60000
         refresh 1
         commit is #3
         send g-1 t1=6 by=60000
         #3 committed
         send g-1 t0=5 by=60000
         #1 committed",
    );
}

/// How many requests are sent in 30 s if each is answered so.
fn requests_in_half_a_minute(answer: &str) -> usize {
    let mut bench = Bench::new();
    bench.run("commit t0=5 t1=6");
    for _ in 0..300 {
        if bench.tag.is_some() {
            bench.run(answer);
        }
        bench.run("wait 100");
    }
    bench.log.matches("send").count()
}

#[test]
fn lasting_failures_are_retried_about_once_a_second() {
    for answer in ["answer t0=14 t1=14", "answer t0=16 t1=3", "answer t0", "lost", "refused 15"] {
        let requests = requests_in_half_a_minute(answer);
        assert!((28..=45).contains(&requests), "{answer}: {requests} requests in 30 s");
    }
}

#[test]
fn commits_of_partitions_that_moved_away_fail() {
    let gone =
        "the partition is not this member's any more, so its offset was not committed: commit before it is revoked";
    check(
        "member 4 t0 t1 t2 | commit t0=5 | commit t1=6 t2=6 | commit t2=7 | member 5 t2 | commit t1=8 | answer t0=22 | answer t2",
        &format!(
            "commit is #1
             send g4m t0=5 by=60000
             commit is #3
             commit is #4
             #3 failed: {gone}, topic t[1]: ILLEGAL_GENERATION
             commit is #5
             #5 failed: {gone}, topic t[1]: ILLEGAL_GENERATION
             #1 failed: could not commit an offset, topic t[0]: ILLEGAL_GENERATION
             send g5m t2=7 by=60000
             #4 committed"
        ),
    );
    check(
        "member 4 t0 | commit t0=5 | member 5 | lost",
        &format!(
            "commit is #1
             send g4m t0=5 by=60000
             #1 failed: {gone}, topic t[0]: ILLEGAL_GENERATION"
        ),
    );
}

/// Simulator, group seed 16792: the old offset overwrote that of the member that had the partition meanwhile.
#[test]
fn commit_in_flight_is_not_retried_where_the_partition_came_back() {
    let gone =
        "the partition is not this member's any more, so its offset was not committed: commit before it is revoked";
    for (answer, error) in [("answer t0=22", "could not commit an offset"), ("answer t0=14", gone), ("lost", gone)] {
        check(
            &format!("member 4 t0 | commit t0=5 | member -1 | member 6 t0 | {answer} | wait 5000"),
            &format!(
                "commit is #1
                 send g4m t0=5 by=60000
                 #1 failed: {error}, topic t[0]: ILLEGAL_GENERATION"
            ),
        );
    }
}

/// The partition is this member's in both generations: nobody else has committed it.
#[test]
fn refused_commit_is_retried_under_the_new_generation() {
    check(
        "member 4 t0 | commit t0=5 | member 5 t0 | answer t0=22 | wait 150 | answer t0",
        "commit is #1
         send g4m t0=5 by=60000
         send g5m t0=5 by=60000
         #1 committed",
    );
    check(
        "member 4 t0 | commit t0=5 | answer t0=27 | wait 150 | answer t0",
        "commit is #1
         send g4m t0=5 by=60000
         send g4m t0=5 by=60000
         #1 committed",
    );
}

/// KIP-848: the coordinator has given the member a newer epoch, and its heartbeat has not come back yet.
#[test]
fn commit_under_a_stale_epoch_is_retried_until_the_newer_one_is_known() {
    check(
        "member 4 t0 | commit t0=5 | answer t0=113 | wait 150 | answer t0=113 | member 5 t0 | wait 300 | answer t0",
        "commit is #1
         send g4m t0=5 by=60000
         send g4m t0=5 by=60000
         send g5m t0=5 by=60000
         #1 committed",
    );
}

#[test]
fn commit_that_the_coordinator_refuses_a_member_fails() {
    check(
        "member 4 t0 t1 | commit t0=5 t1=6 | answer t0=22 t1=25",
        "commit is #1
         send g4m t0=5 t1=6 by=60000
         #1 failed: could not commit an offset, topic t[0]: ILLEGAL_GENERATION",
    );
}

#[test]
fn offset_of_a_topic_that_was_recreated_is_not_sent() {
    check(
        "topic 7 | commit t0=5 | commit t0=6 | topic 8 | answer t0=14 | wait 200",
        "commit is #1
         send g-1 t0=5 by=60000
         commit is #3
         #1 failed: the topic was deleted and created again: its old offset was not committed for the new topic, topic t[0]: UNKNOWN_TOPIC_ID
         #3 failed: the topic was deleted and created again: its old offset was not committed for the new topic, topic t[0]: UNKNOWN_TOPIC_ID",
    );
}

#[test]
fn closing_fails_what_is_not_committed_and_sends_nothing_more() {
    check(
        "commit t0=5 | commit t0=6 | close | wait 5000",
        "commit is #1
         send g-1 t0=5 by=60000
         commit is #3
         #1 failed: the consumer is closed
         #3 failed: the consumer is closed",
    );
}

#[test]
fn first_of_two_mentions_of_a_partition_counts_and_others_are_ignored() {
    check(
        "commit t0=5 | answer u7=29 t0 t0=29",
        "commit is #1
         send g-1 t0=5 by=60000
         #1 committed",
    );
}
