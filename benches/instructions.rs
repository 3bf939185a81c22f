//! Counts the instructions of every case: `cargo bench -p benches --bench instructions [-- FILTER] [--check | --record]`.
//!
//! The program runs itself under valgrind, once with few runs of a case and once with more; what the second takes beyond
//! the first is the case's own, whatever starting up and making the input cost. Counts do not drift with the load of the
//! machine, as times do. They differ between compilers and kinds of processor: record and check on the same ones.
//!
//! `--record` writes `instructions.tsv`, with the compiler and the processor it was recorded on; `--check` fails if a case takes
//! over [`TOLERANCE_PERCENT`] more than recorded there, or is not there. With another compiler, or another kind of processor,
//! than the recorded one it says so, prints the counts and holds nothing.
//! Without `--bench`, as `cargo test` starts it, each case runs once and nothing is counted.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::process::Child;
use std::process::Command;
use std::process::ExitCode;
use std::process::Stdio;

use benches::Case;
use benches::cases;

const TOLERANCE_PERCENT: f64 = 3.0;
/// Runs before those that count: buffers have grown by then.
const RUNS_BEFORE: u64 = 2;
const RUNS: u64 = 4;
/// The variable by which the program knows that it runs under valgrind.
const CHILD: &str = "--run";
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.tsv");

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    if let [first, name, runs] = &args[..]
        && first == CHILD
    {
        run(name, runs.parse().expect("the parent passes a number"));
        return ExitCode::SUCCESS;
    }
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if !has("--bench") {
        for case in cases() {
            case.prepare().run();
        }
        return ExitCode::SUCCESS;
    }
    if cfg!(debug_assertions) && (has("--check") || has("--record")) {
        eprintln!("not counted: an unoptimized build says nothing about a recorded one");
        return ExitCode::FAILURE;
    }
    let filter = args.iter().find(|arg| !arg.starts_with('-')).map_or("", String::as_str);
    let (before, here) = (Recorded::read(), conditions());
    let alike = before.conditions == here;
    if !alike && !has("--record") {
        println!("NOT HELD against {RECORDED}:\n  recorded on {}\n  this is     {here}", before.conditions);
    }
    match compare(filter, has("--record"), before, &here) {
        Ok(worse) if worse.is_empty() || !has("--check") || !alike => ExitCode::SUCCESS,
        Ok(worse) => {
            eprintln!("more instructions than recorded, or never recorded: {}", worse.join(", "));
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("not counted: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one case; nothing else may happen here, since all of it is counted.
fn run(name: &str, runs: u64) {
    let cases = cases();
    let case = cases.iter().find(|case| case.name == name).expect("the parent passes a case's name");
    let mut prepared = case.prepare();
    for _ in 0..runs {
        prepared.run();
    }
}

/// Counts the cases that `filter` is part of, prints them beside what is recorded, and answers which got worse or are not there.
fn compare(filter: &str, record: bool, mut recorded: Recorded, here: &str) -> Result<Vec<String>, String> {
    let mut worse = Vec::new();
    println!("{:<28} {:>14} {:>12} {:>9}", "case", "instructions", "per byte", "change");
    for case in cases().iter().filter(|case| case.name.contains(filter)) {
        let counted = count(case)?;
        let change = recorded.counts.get(&case.name).map(|before| percent_more(counted, *before));
        let shown = change.map_or("new".to_owned(), |change| format!("{change:+.2} %"));
        println!("{:<28} {counted:>14} {:>12.3} {shown:>9}", case.name, ratio(counted, case.prepare().bytes as u64));
        if change.is_none_or(|change| change > TOLERANCE_PERCENT) {
            worse.push(format!("{} ({shown})", case.name));
        }
        recorded.counts.insert(case.name.clone(), counted);
    }
    if record {
        if !filter.is_empty() && recorded.conditions != here {
            return Err(format!("the others were recorded on {}: record all of them", recorded.conditions));
        }
        let counts = recorded.counts.iter().map(|(name, counted)| format!("{name}\t{counted}\n"));
        let lines = format!("# {here}\n") + &counts.collect::<String>();
        fs::write(RECORDED, lines).map_err(|error| format!("could not write {RECORDED}: {error}"))?;
    }
    Ok(worse)
}

/// The recorded counts; none if there is no record yet.
#[derive(Default)]
struct Recorded {
    conditions: String,
    counts: BTreeMap<String, u64>,
}

impl Recorded {
    fn read() -> Self {
        let mut recorded = Self::default();
        for line in fs::read_to_string(RECORDED).unwrap_or_default().lines() {
            if let Some(conditions) = line.strip_prefix("# ") {
                conditions.clone_into(&mut recorded.conditions);
            } else if let Some((name, counted)) = line.split_once('\t') {
                recorded.counts.extend(counted.parse().ok().map(|counted| (name.to_owned(), counted)));
            }
        }
        recorded
    }
}

/// The conditions that the counts depend on beside the source: the compiler, and the processor's instructions that libraries select at
/// start. Valgrind offers a part of those that the processor has.
fn conditions() -> String {
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc =
        rustc.map_or("an unknown rustc".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    format!("{rustc}; {}; {}", env::consts::ARCH, offered().join(" "))
}

#[cfg(target_arch = "x86_64")]
fn offered() -> Vec<&'static str> {
    // Valgrind has nothing beyond AVX2.
    let known = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("pclmulqdq", is_x86_feature_detected!("pclmulqdq")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("bmi2", is_x86_feature_detected!("bmi2")),
    ];
    known.into_iter().filter(|(_, offered)| *offered).map(|(name, _)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn offered() -> Vec<&'static str> {
    Vec::new()
}

/// Instructions of one run of a case. Both processes run at once.
fn count(case: &Case) -> Result<u64, String> {
    let few = start(case, RUNS_BEFORE)?;
    let more = start(case, RUNS_BEFORE + RUNS)?;
    let few = total(case, few)?;
    Ok(total(case, more)?.saturating_sub(few) / RUNS)
}

/// Starts a process that runs a case.
fn start(case: &Case, runs: u64) -> Result<Child, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    Command::new("valgrind")
        .args(["--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"])
        .arg(own)
        .args([CHILD, &case.name, &runs.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("could not start valgrind: {error}"))
}

/// Instructions of the whole process.
fn total(case: &Case, process: Child) -> Result<u64, String> {
    let output = process.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stderr);
    let refs = text.lines().find(|line| line.contains("refs:"));
    let digits: Option<String> =
        refs.and_then(|line| line.split_once("refs:")).map(|(_, n)| n.chars().filter(char::is_ascii_digit).collect());
    digits.filter(|_| output.status.success()).and_then(|digits| digits.parse().ok()).ok_or_else(|| {
        format!("valgrind could not run {}: {}", case.name, text.lines().last().unwrap_or("it said nothing"))
    })
}

#[allow(clippy::cast_precision_loss)] // Only for people to read, and counts are far below 2^53.
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}

fn percent_more(counted: u64, before: u64) -> f64 {
    (ratio(counted, before) - 1.0) * 100.0
}
