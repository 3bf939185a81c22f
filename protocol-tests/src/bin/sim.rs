//! Runs the simulator: `--seed N [--trace]` runs one seed, or the smaller setting that a failure printed; `--seeds A..B` many. With
//! `--groups`, every seed has a group; with `--auth`, brokers demand authentication in every seed; with `--complete`, every fault must
//! have struck and every way to recover been taken.
//!
//! Exit status 0 when every promise held, 1 when one was broken, 2 for usage.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use protocol_tests::sim::Report;
use protocol_tests::sim::Setting;
use protocol_tests::sim::never_happened;
use protocol_tests::sim::run;
use protocol_tests::sim::shrink;

const USAGE: &str = "usage: sim --seed N [--records R --writers W --readers R --members M --logins L --session MS --faults LIST --odds LIST]
           [--groups] [--auth] [--trace]
       sim --seeds A..B [--threads N] [--groups] [--auth] [--complete] [--keep-going]";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let mut flag = |name: &str| {
        let before = words.len();
        words.retain(|word| word != name);
        words.len() != before
    };
    let (loud, keep_going, groups, complete) =
        (flag("--trace"), flag("--keep-going"), flag("--groups"), flag("--complete"));
    let draw = match (groups, flag("--auth")) {
        (false, false) => Setting::draw,
        (true, false) => Setting::draw_with_group,
        (false, true) => |seed| Setting::draw(seed).with_logins(),
        (true, true) => |seed| Setting::draw_with_group(seed).with_logins(),
    };
    let done = match words.first().map(String::as_str) {
        Some("--seed") => parse(&words, draw).map(|setting| one(&setting, loud)),
        Some("--seeds") => {
            many(&words, draw, keep_going, |counts| if complete { never_happened(counts, groups) } else { Vec::new() })
        }
        _ => Err(USAGE.to_owned()),
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

/// The setting that a seed stands for, changed by the other words.
fn parse(words: &[String], draw: fn(u64) -> Setting) -> Result<Setting, String> {
    let seed = words.get(1).and_then(|seed| seed.parse().ok()).ok_or(USAGE)?;
    let drawn = draw(seed).to_string();
    let words: Vec<String> = drawn.split(' ').map(str::to_owned).chain(words.iter().skip(2).cloned()).collect();
    Setting::parse(&words)
}

fn one(setting: &Setting, loud: bool) -> ExitCode {
    match run(setting, loud) {
        Ok(report) => {
            let [acknowledged, not, maybe] = report.decided;
            println!(
                "{} steps, {:?}: {acknowledged} acknowledged, {not} not written, {maybe} in doubt; trace {:016x}",
                report.steps, report.passed, report.trace
            );
            ExitCode::SUCCESS
        }
        Err(broken) => {
            println!("BROKEN {broken}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Sum {
    steps: u64,
    decided: [u64; 3],
    counts: BTreeMap<&'static str, u64>,
    failed: Vec<u64>,
}

impl Sum {
    fn add(&mut self, report: Report) {
        self.steps += report.steps;
        for (all, one) in self.decided.iter_mut().zip(report.decided) {
            *all += one;
        }
        for (what, count) in report.counts {
            *self.counts.entry(what).or_default() += count;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn print(&self, seeds: u64, took: Duration) {
        for (what, count) in &self.counts {
            println!("{count:>10} {what}");
        }
        let [acknowledged, not, maybe] = self.decided;
        println!("{acknowledged} acknowledged, {not} not written, {maybe} in doubt");
        let seconds = took.as_secs_f64();
        println!(
            "{seeds} seeds in {seconds:.1} s ({:.0} a minute), {} steps, {} failed",
            seeds as f64 / seconds * 60.0,
            self.steps,
            self.failed.len()
        );
    }
}

#[expect(clippy::disallowed_methods, reason = "a run takes its real time")]
fn many(
    words: &[String],
    draw: fn(u64) -> Setting,
    keep_going: bool,
    missing: impl Fn(&BTreeMap<&'static str, u64>) -> Vec<&'static str>,
) -> Result<ExitCode, String> {
    let range = words.get(1).and_then(|range| range.split_once("..")).ok_or(USAGE)?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| USAGE.to_owned());
    let (first, end) = (number(range.0)?, number(range.1)?);
    let threads = match words.get(2..4) {
        Some([name, count]) if name == "--threads" => number(count)?,
        _ => 2,
    };
    let (next, sum, begun) = (AtomicU64::new(first), Mutex::new(Sum::default()), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let setting = draw(seed);
                    let ran = run(&setting, false);
                    let mut sum = sum.lock().expect("no thread panics with it");
                    match ran {
                        Ok(report) => sum.add(report),
                        Err(broken) => {
                            sum.failed.push(seed);
                            println!("seed {seed} BROKEN {broken}");
                            if !keep_going {
                                next.store(end, Ordering::Relaxed);
                            }
                        }
                    }
                }
            });
        }
    });
    let sum = sum.into_inner().expect("no thread panicked");
    sum.print(end - first, begun.elapsed());
    let Some(seed) = sum.failed.first() else {
        let missing = missing(&sum.counts);
        for what in &missing {
            println!("never happened: {what}");
        }
        return Ok(if missing.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    };
    if let Some((smallest, broken)) = shrink(&draw(*seed)) {
        println!("smallest: sim {smallest}\n  {broken}");
    }
    Ok(ExitCode::FAILURE)
}
