//! Bugs that are planted in the real source one at a time, in two copies side by side; the simulator must find each within 500 seeds:
//! `cargo test -p protocol-tests --test mutations -- --ignored --nocapture`, some minutes.
//!
//! Each file in `mutations` has a line that describes the bug (where it begins with `With groups:`, every
//! seed has a group; with `With authentication:`, all brokers demand it), the file, the lines to replace and their replacement. One that no
//! longer fits the source fails both tests, also the quick one. `OTTLA_PLANT=NAME` plants one.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

const SEEDS: &str = "0..500";
const GROUPS: &str = "--groups";
const AUTH: &str = "--auth";

struct Mutation {
    name: String,
    what: String,
    /// The flag of the simulator for seeds that all have a group, or authentication.
    flag: Option<&'static str>,
    changes: Vec<Change>,
}

/// A replacement in a file.
struct Change {
    path: String,
    before: String,
    after: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn mutations() -> Vec<Mutation> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutations");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file").path()).collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Mutation {
    let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
    let text = fs::read_to_string(file).expect("a readable file");
    let (what, rest) = text.split_once('\n').expect("what is wrong");
    let blocks = rest.split(">>>>>>>\n").filter(|block| !block.is_empty());
    let flags = [("With groups:", GROUPS), ("With authentication:", AUTH)];
    let flag = flags.into_iter().find(|(begin, _)| what.starts_with(begin)).map(|(_, flag)| flag);
    Mutation { what: what.to_owned(), flag, changes: blocks.map(|block| change(&name, block)).collect(), name }
}

fn change(name: &str, block: &str) -> Change {
    let cut = |text: &str, at: &str| {
        let (one, other) = text.split_once(at).unwrap_or_else(|| panic!("{name}: no {at:?}"));
        // Without the end of the last line, so that a change can be part of a line.
        (one.trim_end_matches('\n').to_owned(), other.trim_end_matches('\n').to_owned())
    };
    let (path, rest) = cut(block, "<<<<<<<\n");
    let (before, after) = cut(&rest, "=======\n");
    Change { path, before, after }
}

impl Mutation {
    /// The files that it changes, before and after all of its changes.
    fn planted(&self, root: &Path) -> Vec<(PathBuf, String, String)> {
        let mut files: Vec<(PathBuf, String, String)> = Vec::new();
        for change in &self.changes {
            let path = root.join(&change.path);
            let at = files.iter().position(|(known, ..)| *known == path).unwrap_or_else(|| {
                let source = fs::read_to_string(&path).expect("the source");
                files.push((path, source.clone(), source));
                files.len() - 1
            });
            let changed = &mut files[at].2;
            assert_eq!(changed.matches(&change.before).count(), 1, "{} no longer fits {}", self.name, change.path);
            *changed = changed.replacen(&change.before, &change.after, 1);
        }
        files
    }
}

#[test]
fn every_planted_bug_fits_the_source() {
    let mutations = mutations();
    assert!(mutations.len() >= 30, "the folder was found");
    for mutation in mutations {
        for (path, source, changed) in mutation.planted(&root()) {
            assert_ne!(source, changed, "{} changes nothing in {}", mutation.name, path.display());
        }
    }
}

/// Copies the sources of the simulator.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("an entry").path();
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(&entry, &target).expect("a file to copy");
        }
    }
}

/// A copy of the sources with a target folder of its own, so that bugs can be planted side by side.
struct Garden {
    folder: tempfile::TempDir,
    target: PathBuf,
}

impl Garden {
    fn new(number: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for part in ["src", "protocol-tests", "benches", "docs"] {
            copy(&root().join(part), &folder.path().join(part));
        }
        for file in ["Cargo.toml", "Cargo.lock", "README.md"] {
            fs::copy(root().join(file), folder.path().join(file)).expect("a file to copy");
        }
        Self { folder, target: root().join(format!("target/mutations-{number}")) }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO"));
        command.current_dir(self.folder.path()).env("CARGO_TARGET_DIR", &self.target).args(arguments);
        // Most of the time goes into builds that differ by a line.
        command.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        command.output().expect("cargo runs")
    }

    /// Builds the simulator and runs it; returns whether all seeds kept the promises, and its output.
    fn simulate(&self, flag: Option<&str>) -> (bool, String) {
        let simulator = ["--quiet", "-p", "protocol-tests", "--no-default-features", "--bin", "sim"];
        let built = self.run(&[&["build"], &simulator[..]].concat());
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let seeds: Vec<&str> = ["--", "--seeds", SEEDS].into_iter().chain(flag).collect();
        let ran = self.run(&[&["run"], &simulator[..], &seeds].concat());
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        (ran.status.success(), said)
    }

    /// Plants a bug and takes it out again; returns whether the simulator found it.
    fn finds(&self, mutation: &Mutation) -> bool {
        let files = mutation.planted(self.folder.path());
        for (path, _, changed) in &files {
            fs::write(path, changed).expect("a file to write");
        }
        let (clean, said) = self.simulate(mutation.flag);
        for (path, source, _) in &files {
            fs::write(path, source).expect("a file to write");
        }
        let last = said.lines().rev().find(|line| !line.is_empty()).unwrap_or_default();
        println!("{}: {} {last}", mutation.name, if clean { "MISSED" } else { "found:" });
        !clean
    }
}

#[test]
#[ignore = "builds the simulator for each planted bug"]
fn every_planted_bug_is_found() {
    let only = std::env::var("OTTLA_PLANT").ok();
    let mut mutations = mutations();
    mutations.retain(|mutation| only.as_ref().is_none_or(|name| *name == mutation.name));
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let work = |number: usize, flags: &[Option<&str>]| {
        let garden = Garden::new(number);
        for flag in flags {
            let (clean, said) = garden.simulate(*flag);
            assert!(clean, "without a planted bug: {said}");
        }
        while let Some(mutation) = mutations.get(next.fetch_add(1, SeqCst)) {
            if !garden.finds(mutation) {
                missed.lock().expect("nobody panicked").push(format!("{}: {}", mutation.name, mutation.what));
            }
        }
    };
    // A build that differs by a line uses one core.
    std::thread::scope(|scope| {
        scope.spawn(|| work(0, &[None, Some(AUTH)]));
        scope.spawn(|| work(1, &[Some(GROUPS)]));
    });
    let missed = missed.into_inner().expect("nobody panicked");
    assert!(missed.is_empty(), "{missed:#?}");
}
