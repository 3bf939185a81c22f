//! Seeds through the simulator. `OTTLA_SIM_SEEDS` says how many, `OTTLA_SIM_FIRST` from which on.

use protocol_tests::sim::Plant;
use protocol_tests::sim::run;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn what_is_promised_holds_for_every_seed() {
    let first = setting("OTTLA_SIM_FIRST", 0);
    let (mut acknowledged, mut refused, mut doubtful, mut steps) = (0, 0, 0, 0);
    for seed in first..first + setting("OTTLA_SIM_SEEDS", 2_000) {
        let report = run(seed, Plant::Nothing).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        acknowledged += report.acknowledged;
        refused += report.refused;
        doubtful += report.doubtful;
        steps += report.steps;
    }
    println!("{steps} steps: {acknowledged} acknowledged, {refused} not written, {doubtful} in doubt");
    assert!(acknowledged > 0);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..50 {
        let traces = [(); 2].map(|()| run(seed, Plant::Nothing).map(|report| report.trace));
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}

#[test]
fn planted_mistakes_are_found() {
    for plant in [Plant::FreshSequenceOnRetry, Plant::SuccessAfterCut, Plant::CutMeansNotWritten] {
        let found = (0..500).find(|seed| run(*seed, plant).is_err());
        assert!(found.is_some(), "{plant:?} was not found in 500 seeds");
    }
}
