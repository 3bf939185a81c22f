//! Tests the judge of histories: good ones have no anomaly, and each planted fault is named.

mod model;
mod plant;

use std::collections::BTreeSet;
use std::time::Duration;

use protocol_tests::history::History;
use protocol_tests::history::Rule;
use protocol_tests::history::Summary;
use protocol_tests::history::check;

const GOOD: u64 = 200;
const PLANTED: u64 = 20;

/// Where a fault changes what a member returned, its ownership may look wrong, too.
const OF_MEMBERS: [Rule; 3] = [Rule::OwnerAhead, Rule::OwnerBehind, Rule::ReadUnowned];

#[test]
fn good_histories_have_no_anomaly() {
    let mut total = Summary::default();
    for seed in 0..GOOD {
        let history = model::history(seed);
        let anomalies = check(&history, Duration::ZERO);
        assert!(anomalies.is_empty(), "seed {seed}: {}", anomalies[0]);
        let summary = Summary::of(history.events().iter());
        total.acknowledged += summary.acknowledged;
        total.not_written += summary.not_written;
        total.in_doubt += summary.in_doubt;
        total.in_doubt_read += summary.in_doubt_read;
        total.commits += summary.commits;
        total.rebalances += summary.rebalances;
    }
    // A model without faults would prove nothing.
    assert!(total.acknowledged > 20_000 && total.not_written > 500 && total.commits > 500, "{total}");
    assert!(total.rebalances > 2_000, "{total}");
    assert!(total.in_doubt_read > 200 && total.in_doubt > total.in_doubt_read + 200, "{total}");
}

#[test]
fn each_planted_fault_is_named() {
    let mut named = BTreeSet::new();
    for plant in plant::ALL {
        for seed in 0..PLANTED {
            let mut history = model::history(seed);
            assert!((plant.sow)(&mut history), "{}: seed {seed} has no place for it", plant.rule.name());
            history.renumber();
            let anomalies = check(&history, Duration::ZERO);
            let found: BTreeSet<Rule> = anomalies.iter().map(|anomaly| anomaly.rule).collect();
            assert!(found.contains(&plant.rule), "{}: seed {seed}: found {found:?}", plant.rule.name());
            let is_expected =
                |rule: &&Rule| **rule == plant.rule || plant.also.contains(rule) || OF_MEMBERS.contains(rule);
            let also: Vec<_> = found.iter().filter(|rule| !is_expected(rule)).collect();
            assert!(also.is_empty(), "{}: seed {seed}: found {also:?} too: {anomalies:?}", plant.rule.name());
            for anomaly in &anomalies {
                assert!(!anomaly.events.is_empty(), "{anomaly} proves nothing");
            }
        }
        named.insert(plant.rule);
    }
    assert_eq!(named, BTreeSet::from(Rule::ALL), "every rule has a plant");
}

#[test]
fn an_anomaly_points_at_the_events_that_prove_it() {
    let mut history = model::history(7);
    let plant = plant::ALL.iter().find(|plant| plant.rule == Rule::ReadOfFailed).expect("it is there");
    assert!((plant.sow)(&mut history));
    history.renumber();
    let anomalies = check(&history, Duration::ZERO);
    let anomaly = anomalies.iter().find(|anomaly| anomaly.rule == Rule::ReadOfFailed).expect("it is named");
    let kinds: Vec<String> = anomaly
        .events
        .iter()
        .map(|index| history.events()[usize::try_from(*index).expect("small")].to_json())
        .map(|json| format!("{}-{}", json["f"].as_str().expect("text"), json["type"].as_str().expect("text")))
        .collect();
    assert_eq!(kinds, ["send-invoke", "send-fail", "poll-ok"]);
}

#[test]
fn a_history_survives_being_written_and_read() {
    let history = model::history(3);
    let mut text = Vec::new();
    history.write(&mut text).expect("a string takes any text");
    assert_eq!(String::from_utf8_lossy(&text).lines().count(), history.events().len());
    assert_eq!(History::read(&text[..]).expect("it was written here"), history);
    let broken = b"{\"i\":0,\"t\":0,\"p\":0,\"f\":\"send\",\"type\":\"ok\"}\n";
    assert!(History::read(&broken[..]).expect_err("no value").to_string().contains("line 1"));
}
