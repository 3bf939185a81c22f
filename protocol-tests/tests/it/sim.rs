//! Seeds through the simulator. `OTTLA_SIM_SEEDS` says how many, `OTTLA_SIM_FIRST` from which on; `OTTLA_SIM_GROUPS` how many of them with
//! a group.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use protocol_tests::sim;
use protocol_tests::sim::Fault;
use protocol_tests::sim::Odd;
use protocol_tests::sim::Setting;
use protocol_tests::sim::run;

const NOTHING: [&str; 0] = [];

/// Every seed that ever failed, and its cause.
const KEPT: &str = include_str!("../../seeds.txt");

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Runs seeds on two threads; returns what happened, and how often.
fn run_all(count: u64, draw: fn(u64) -> Setting, flag: &str) -> BTreeMap<&'static str, u64> {
    let first = setting("OTTLA_SIM_FIRST", 0);
    let (next, end) = (AtomicU64::new(first), first + count);
    let counts: Mutex<BTreeMap<&'static str, u64>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let report = run(&draw(seed), false).unwrap_or_else(|broken| {
                        panic!(
                            "cargo run --release -p protocol-tests --bin sim -- --seed {seed} {flag} --trace: {broken}"
                        )
                    });
                    let mut counts = counts.lock().expect("no thread panics with it");
                    for (what, count) in report.counts {
                        *counts.entry(what).or_default() += count;
                    }
                }
            });
        }
    });
    counts.into_inner().expect("no thread panicked")
}

#[test]
fn every_seed_keeps_the_promises() {
    let count = setting("OTTLA_SIM_SEEDS", 2_000);
    let counts = run_all(count, Setting::draw, "");
    if count >= 2_000 {
        assert_eq!(sim::never_happened(&counts, false), NOTHING);
    }
}

#[test]
fn every_seed_with_a_group_keeps_the_promises() {
    let count = setting("OTTLA_SIM_GROUPS", 500);
    let counts = run_all(count, Setting::draw_with_group, "--groups");
    if count >= 500 {
        assert_eq!(sim::never_happened(&counts, true), NOTHING);
    }
}

#[test]
fn seeds_that_failed_once_pass() {
    for line in KEPT.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (seed, _) = line.split_once(' ').expect("a seed, and what it taught");
        let mut settings: Vec<Setting> = if let Some(seed) = seed.strip_prefix('g') {
            let setting = Setting::draw_with_group(seed.parse().expect("a seed"));
            vec![setting.without_logins(), setting]
        } else {
            let setting = Setting::draw(seed.parse().expect("a seed"));
            setting.as_before().into_iter().chain([setting]).collect()
        };
        settings.dedup();
        for setting in settings {
            if let Err(broken) = run(&setting, false) {
                panic!("sim {setting}: {broken}");
            }
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..50 {
        let setting = if seed % 2 == 0 { Setting::draw(seed) } else { Setting::draw_with_group(seed).with_logins() };
        let traces = [(); 2].map(|()| run(&setting, false).map(|report| report.trace));
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}

#[test]
fn every_fault_and_oddity_is_drawn() {
    let settings: Vec<Setting> = (0..200).map(Setting::draw).collect();
    assert!(Fault::ALL.iter().all(|fault| settings.iter().any(|setting| setting.has(*fault))));
    assert!(Odd::ALL.iter().all(|odd| settings.iter().any(|setting| setting.has_odd(*odd))));
}
