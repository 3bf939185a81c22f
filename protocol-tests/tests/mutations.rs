//! Bugs that are planted in a copy of the real source one at a time; the simulator must find each within 500 seeds:
//! `cargo test -p protocol-tests --test mutations -- --ignored --nocapture`, some minutes.
//!
//! Each file in `mutations` has a line that describes the bug (where it begins with `With groups:`, every
//! seed has a group; with `With authentication:`, all brokers demand it), the file, the lines to replace and their replacement. One that no
//! longer fits the source fails both tests, also the quick one. `OTTLA_PLANT=NAME` plants one.
//! Beside the first builds, many seeds run without a bug.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;

const SEEDS: &str = "0..500";
/// The seeds of the simulator without a bug.
const SOUND: [(&str, &[&str]); 3] =
    [("0..2000", &["--complete"]), ("0..500", &[GROUPS, "--complete"]), ("0..500", &[AUTH])];
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

/// Copies the sources of the simulator, and nothing that was built among them.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a readable folder") {
        let entry = entry.expect("an entry").path();
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() {
            if !entry.ends_with("target") {
                copy(&entry, &target);
            }
        } else {
            fs::copy(&entry, &target).expect("a file to copy");
        }
    }
}

/// A copy of the sources, with a target folder that outlives it.
struct Garden {
    folder: tempfile::TempDir,
    target: PathBuf,
}

impl Garden {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for part in ["src", "protocol-tests", "benches", "docs"] {
            copy(&root().join(part), &folder.path().join(part));
        }
        for file in ["Cargo.toml", "Cargo.lock", "README.md"] {
            fs::copy(root().join(file), folder.path().join(file)).expect("a file to copy");
        }
        Self { folder, target: root().join("target/mutations") }
    }

    /// Builds the simulator. Returns a copy of it, which stays while the next one is built.
    fn build(&self, name: &str) -> PathBuf {
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--quiet", "-p", "protocol-tests", "--no-default-features", "--bin", "sim"]);
        // Seeds then take a quarter of the time, and a build that differs by a line takes no longer.
        for package in ["ottla", "protocol-tests"] {
            command.args(["--config", &format!("profile.dev.package.{package}.opt-level=1")]);
        }
        // Optimizing across the parts of a crate would make each build a whole one.
        command.args(["--config", "profile.dev.lto=\"off\""]);
        command.current_dir(self.folder.path()).env("CARGO_TARGET_DIR", &self.target);
        command.env("CARGO_INCREMENTAL", "1").env("CARGO_PROFILE_DEV_DEBUG", "0");
        let built = command.output().expect("cargo runs");
        assert!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
        let binary = self.folder.path().join(name).with_extension(std::env::consts::EXE_EXTENSION);
        fs::copy(self.target.join("debug/sim").with_extension(std::env::consts::EXE_EXTENSION), &binary)
            .expect("it was built");
        binary
    }

    /// Builds the simulator with a bug.
    fn plant(&self, mutation: &Mutation) -> PathBuf {
        let files = mutation.planted(self.folder.path());
        for (path, _, changed) in &files {
            fs::write(path, changed).expect("a file to write");
        }
        let binary = self.build(&mutation.name);
        for (path, source, _) in &files {
            fs::write(path, source).expect("a file to write");
        }
        binary
    }
}

/// Runs a simulator; returns whether all seeds kept the promises, and the last line that it printed.
fn simulate(simulator: &Path, seeds: &str, flags: &[&str]) -> (bool, String) {
    let ran = Command::new(simulator).args(["--seeds", seeds, "--threads", "1"]).args(flags).output().expect("it runs");
    // 1 for a broken promise, 101 for a panic: whatever else ends it has found nothing.
    let ended = ran.status.code();
    assert!(
        matches!(ended, Some(0 | 1 | 101)),
        "{}: {ended:?} {}",
        simulator.display(),
        String::from_utf8_lossy(&ran.stderr)
    );
    let said = String::from_utf8_lossy(&ran.stdout);
    let last = said.lines().rev().find(|line| !line.is_empty()).unwrap_or_default();
    (ran.status.success(), last.to_owned())
}

#[test]
#[ignore = "builds the simulator for each planted bug"]
fn every_planted_bug_is_found() {
    let only = std::env::var("OTTLA_PLANT").ok();
    let mut mutations = mutations();
    // A build compiles again what changed in it and in the one before.
    mutations.sort_by(|one, other| one.changes[0].path.cmp(&other.changes[0].path));
    mutations.retain(|mutation| only.as_ref().is_none_or(|name| *name == mutation.name));
    let garden = Garden::new();
    let sound = garden.build("sound");
    let mut missed = Vec::new();
    // A build that differs by a line uses one core, and so do the seeds of the one before it.
    std::thread::scope(|scope| {
        // As many wait while the seeds without a bug run.
        let (sender, built) = mpsc::sync_channel(8);
        let (garden, mutations) = (&garden, &mutations);
        scope.spawn(move || {
            for mutation in mutations {
                if sender.send((mutation, garden.plant(mutation))).is_err() {
                    return;
                }
            }
        });
        for (seeds, flags) in SOUND.into_iter().filter(|_| only.is_none()) {
            let (clean, last) = simulate(&sound, seeds, flags);
            assert!(clean, "{flags:?} without a planted bug: {last}");
        }
        for (Mutation { name, what, flag, .. }, simulator) in built {
            let (clean, last) = simulate(&simulator, SEEDS, flag.as_slice());
            println!("{name}: {} {last}", if clean { "MISSED" } else { "found:" });
            if clean {
                missed.push(format!("{name}: {what}"));
            }
            fs::remove_file(simulator).expect("it is there");
        }
    });
    assert!(missed.is_empty(), "{missed:#?}");
}
