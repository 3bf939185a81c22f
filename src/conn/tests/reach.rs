//! Reachability, by scripts: the outcome of attempts, and then the state and the reports.

use std::fmt::Write;
use std::time::Duration;
use std::time::Instant;

use super::Endpoint;
use super::Reach;
use super::Report;
use super::State;
use crate::config::HostPort;
use crate::error::Error;
use crate::error::Kind;

fn at(host: &str) -> HostPort {
    HostPort { host: host.to_owned(), port: 9092 }
}

/// `b0` is a bootstrap address, `1` a broker, `1@new` a broker at another address than `h1`.
fn endpoint(word: &str) -> (Endpoint, HostPort) {
    if let Some(index) = word.strip_prefix('b') {
        return (Endpoint::Bootstrap(index.parse().expect("an index")), at(word));
    }
    let (id, host) = word.split_once('@').map_or((word, format!("h{word}")), |(id, host)| (id, host.to_owned()));
    (Endpoint::Broker(id.parse().expect("an id")), at(&host))
}

fn name(endpoint: Endpoint, address: &HostPort) -> String {
    match endpoint {
        Endpoint::Bootstrap(index) => format!("b{index}"),
        Endpoint::Broker(id) => format!("{id}@{}", address.host),
    }
}

/// A client of two bootstrap addresses follows a script: `fail 1`, `ok 1`, `brokers 1 2`, `wait SECONDS`. Returns a line for each
/// change of the state and each report.
fn run(script: &str) -> String {
    #[allow(clippy::disallowed_methods)]
    let begun = Instant::now();
    let mut now = begun;
    let mut reach = Reach::new(vec![at("b0"), at("b1")]);
    let (mut log, mut state) = (String::new(), String::from("connecting"));
    for command in script.split('|').map(str::trim) {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[0] {
            "brokers" => {
                let brokers = words[1..].iter().map(|word| endpoint(word));
                let brokers = brokers.filter_map(|(endpoint, address)| Some((endpoint.broker()?, address)));
                reach.handle_brokers(now, brokers);
            }
            "fail" => {
                let (endpoint, address) = endpoint(words[1]);
                let error = Error::new(Kind::Connect, format!("refused by {}", words[1]));
                reach.handle_failed(now, endpoint, &address, &error);
            }
            "ok" => {
                let (endpoint, address) = endpoint(words[1]);
                reach.handle_connected(now, endpoint, &address);
            }
            "wait" => now += Duration::from_secs(words[1].parse().expect("seconds")),
            word => panic!("there is no command {word}"),
        }
        let after = match reach.state() {
            State::Connecting => "connecting".to_owned(),
            State::Connected => "connected".to_owned(),
            State::Degraded { brokers } => format!("degraded {brokers:?}"),
            State::Unreachable { since, error } => format!("unreachable since {}: {error}", (since - begun).as_secs()),
        };
        if after != state {
            writeln!(log, "{after}").expect("memory");
            state = after;
        }
        while let Some(report) = reach.poll_report() {
            let line = match report {
                Report::Unreachable { endpoint, address, error } => format!("{}: {error}", name(endpoint, &address)),
                Report::Reachable { endpoint, address, outage } => {
                    format!("{} after {}", name(endpoint, &address), outage.as_secs())
                }
                Report::ClusterUnreachable { error } => format!("cluster: {error}"),
                Report::ClusterReachable { outage } => format!("cluster after {}", outage.as_secs()),
            };
            writeln!(log, "  ! {} s, {line}", (now - begun).as_secs()).expect("memory");
        }
    }
    log
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).collect();
    let log = run(script);
    let found: Vec<&str> = log.lines().map(str::trim).collect();
    assert_eq!(found, expected, "{script}\n{log}");
}

#[test]
fn broker_is_unreachable_from_a_failed_attempt_until_one_succeeds() {
    check(
        "ok b0 | brokers 1 2 3 | fail 2 | wait 5 | fail 2 | fail 3 | ok 2 | ok 3",
        "connected
         degraded [2]
         ! 0 s, 2@h2: refused by 2
         degraded [2, 3]
         ! 5 s, 3@h3: refused by 3
         degraded [3]
         ! 5 s, 2@h2 after 5
         connected
         ! 5 s, 3@h3 after 0",
    );
}

#[test]
fn cluster_is_unreachable_while_no_broker_connects_and_keeps_the_last_error() {
    check(
        "brokers 1 2 | fail 1 | wait 3 | fail 2 | wait 4 | fail 1 | ok 2",
        "connected
         degraded [1]
         ! 0 s, 1@h1: refused by 1
         unreachable since 3: refused by 2
         ! 3 s, cluster: refused by 2
         unreachable since 3: refused by 1
         connected
         ! 7 s, cluster after 4",
    );
}

#[test]
fn brokers_count_as_reachable_after_the_outage_of_the_cluster_until_they_fail() {
    check(
        "brokers 1 2 3 | fail 1 | fail 2 | fail 3 | wait 100 | ok 2 | fail 3 | ok 3",
        "connected
         degraded [1]
         ! 0 s, 1@h1: refused by 1
         degraded [1, 2]
         ! 0 s, 2@h2: refused by 2
         unreachable since 0: refused by 3
         ! 0 s, cluster: refused by 3
         connected
         ! 100 s, cluster after 100
         degraded [3]
         ! 100 s, 3@h3: refused by 3
         connected
         ! 100 s, 3@h3 after 0",
    );
}

#[test]
fn bootstrap_addresses_count_until_brokers_are_known() {
    check(
        "fail b1 | fail b0 | wait 7 | fail b0 | ok b1 | brokers 1 2 | fail b0 | fail b1",
        "! 0 s, b1: refused by b1
         unreachable since 0: refused by b0
         ! 0 s, cluster: refused by b0
         connecting
         ! 7 s, cluster after 7
         connected",
    );
}

#[test]
fn broker_that_moved_or_left_is_forgotten() {
    check(
        "brokers 1 2 3 | fail 1 | fail 2 | brokers 2 3 | brokers 2@new 3 | fail 2 | ok 2 | fail 2@new",
        "connected
         degraded [1]
         ! 0 s, 1@h1: refused by 1
         degraded [1, 2]
         ! 0 s, 2@h2: refused by 2
         degraded [2]
         connected
         degraded [2]
         ! 0 s, 2@new: refused by 2@new",
    );
}

#[test]
fn brokers_that_metadata_brings_end_the_outage_of_those_before() {
    check(
        "brokers 1 | fail 1 | wait 9 | brokers 4 5",
        "connected
         unreachable since 0: refused by 1
         ! 0 s, cluster: refused by 1
         connected
         ! 9 s, cluster after 9",
    );
    // The same brokers say nothing new: they may be named by a broker that they cannot be reached from.
    check(
        "brokers 1 2 | fail 1 | fail 2 | ok b0 | brokers 1 2",
        "connected
         degraded [1]
         ! 0 s, 1@h1: refused by 1
         unreachable since 0: refused by 2
         ! 0 s, cluster: refused by 2",
    );
}

#[test]
fn flapping_broker_is_reported_once_a_minute() {
    check(
        "brokers 1 2 | fail 1 | ok 1 | wait 1 | fail 1 | ok 1 | wait 50 | fail 1 | wait 20 | fail 1 | fail 1 | ok 1",
        "connected
         degraded [1]
         ! 0 s, 1@h1: refused by 1
         connected
         ! 0 s, 1@h1 after 0
         degraded [1]
         connected
         degraded [1]
         ! 71 s, 1@h1: refused by 1
         connected
         ! 71 s, 1@h1 after 20",
    );
}

#[test]
fn flapping_cluster_is_reported_once_a_minute() {
    check(
        "brokers 1 | fail 1 | ok 1 | wait 30 | fail 1 | wait 29 | fail 1 | wait 2 | fail 1 | ok 1",
        "connected
         unreachable since 0: refused by 1
         ! 0 s, cluster: refused by 1
         connected
         ! 0 s, cluster after 0
         unreachable since 30: refused by 1
         ! 61 s, cluster: refused by 1
         connected
         ! 61 s, cluster after 31",
    );
}
