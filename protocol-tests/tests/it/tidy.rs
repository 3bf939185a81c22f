//! Rules of the house that a compiler does not hold: layers, clocks, sizes, module heads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module → layer. A module may use modules of lower layers, and itself. The longest matching prefix counts.
const LAYERS: &[(&str, u32)] = &[
    ("types", 0),
    ("error", 1),
    ("metrics", 1),
    ("partitioner", 1),
    ("codec", 2),
    ("wire", 2),
    ("config", 3),
    ("record", 3),
    ("metadata", 4),
    ("conn", 4),
    ("reading", 4),
    ("reading::batches", 7),
    ("reading::buffers", 7),
    ("producer::core", 5),
    ("consumer::core", 6),
    ("net", 7),
    ("client", 8),
    ("producer", 9),
    ("consumer", 9),
    ("admin", 9),
];

/// The layers below which nothing knows of tokio, sockets, locks between tasks or clocks.
const FIRST_ASYNC: u32 = 7;

const LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;

struct Source {
    path: String,
    module: String,
    /// The file without its tests.
    code: String,
    whole: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let files = files_below(&root);
    // A module's tests in a file of their own may use whatever shows the module at work.
    let is_tests =
        |file: &PathBuf| file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests");
    files.into_iter().filter(|file| !is_tests(file)).map(|file| source(&root, &file)).collect()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    walk(folder, &mut files);
    files.sort();
    files
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
}

fn source(root: &Path, file: &Path) -> Source {
    let whole = fs::read_to_string(file).expect("a readable file");
    let path = file.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
    let module = path.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
    let code = whole.split("#[cfg(test)]\nmod ").next().unwrap_or_default().to_owned();
    Source { path, module, code, whole }
}

fn layer(module: &str) -> Option<u32> {
    let within = |name: &str| module == name || module.starts_with(&format!("{name}::"));
    LAYERS.iter().filter(|(name, _)| within(name)).max_by_key(|(name, _)| name.len()).map(|(_, layer)| *layer)
}

/// The modules of this crate that a line of code names, tests and comments aside.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for rest in line.split("crate::").skip(1) {
            let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(rest.len());
            found.push(rest[..end].to_owned());
        }
    }
    found
}

#[test]
fn a_module_uses_only_lower_layers() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = layer(&source.module) else { continue };
        for used in uses(&source.code) {
            let same = source.module.split("::").next() == used.split("::").next();
            if let Some(other) = layer(&used).filter(|other| *other >= own && !same) {
                wrong.push(format!("{} (layer {own}) uses {used} (layer {other})", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_pure_core_does_not_use_the_shell_beside_it() {
    let shells = ["crate::producer::", "crate::consumer::"];
    for source in sources().iter().filter(|source| source.module.contains("::core")) {
        for used in uses(&source.code).iter().map(|used| format!("crate::{used}")) {
            let core = used.contains("::core");
            assert!(core || !shells.iter().any(|shell| used.starts_with(shell)), "{} uses {used}", source.path);
        }
    }
}

#[test]
fn below_net_there_is_no_runtime_lock_or_clock() {
    let banned = ["tokio", "std::net", "Mutex", "mpsc", "oneshot", "Waker", "thread::"];
    for source in sources() {
        // A codec keeps its contexts between batches; the lock is never held across anything but the codec's own work.
        let pure =
            layer(&source.module).is_some_and(|layer| layer < FIRST_ASYNC) && !source.module.starts_with("codec");
        for word in banned.iter().filter(|_| pure) {
            let named = source.code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(!named, "{} names {word}", source.path);
        }
    }
}

#[test]
fn only_the_clock_reads_the_clock() {
    for source in sources().iter().filter(|source| source.path != "net/clock.rs" && !source.path.starts_with("bin/")) {
        for call in ["Instant::now()", "SystemTime::now()", "thread::sleep"] {
            let called = source.code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(call));
            assert!(!called, "{} calls {call}", source.path);
        }
    }
}

#[test]
fn only_wire_and_mock_know_the_message_crate() {
    for source in sources() {
        let door = source.module.starts_with("wire") || source.module.starts_with("mock");
        for word in ["kafka_protocol", "anyhow"].iter().filter(|_| !door) {
            assert!(!source.code.contains(word), "{} names {word}", source.path);
        }
    }
}

#[test]
fn the_mock_shares_nothing_with_what_it_judges() {
    for source in sources().iter().filter(|source| source.module.starts_with("mock")) {
        for used in uses(&source.code) {
            let first = used.split("::").next().unwrap_or_default().to_owned();
            let served = source.module == "mock::serve" && used.starts_with("net::clock");
            assert!(served || ["types", "codec", "mock"].contains(&first.as_str()), "{} uses {used}", source.path);
        }
    }
}

#[test]
fn files_and_functions_stay_readable() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = |folder: &str| files_below(&tests.join(folder)).into_iter().map(|file| source(tests, &file));
    let of_tests = below("src").chain(below("tests")).map(|source| {
        let path = format!("protocol-tests/{}", source.path);
        // Tests are what these files are for.
        Source { path, code: source.whole.clone(), ..source }
    });
    let mut wrong = Vec::new();
    for source in sources().into_iter().chain(of_tests) {
        let lines = source.whole.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{}: {lines} lines", source.path));
        }
        for (name, length) in functions(&source.code) {
            if length > FUNCTION_LINES_MAX {
                wrong.push(format!("{}: {name} has {length} lines", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each function with its length, from `fn` to the brace that closes it at the same indent.
fn functions(code: &str) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let lines: Vec<&str> = code.lines().collect();
    for (start, line) in lines.iter().enumerate() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let head = text.split('(').next().unwrap_or_default();
        if !head.split(' ').any(|word| word == "fn") || text.starts_with("//") {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        if let Some(end) = lines[start..].iter().position(|line| *line == close) {
            found.insert(format!("{head} at line {}", start + 1), end + 1);
        }
    }
    found
}

#[test]
fn every_file_says_what_it_is_for_and_leaves_nothing_open() {
    for source in sources() {
        assert!(source.whole.starts_with("//!"), "{} has no head", source.path);
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!("] {
            assert!(!source.whole.contains(word), "{} has a {word}", source.path);
        }
        let unwraps = |line: &str| !line.trim_start().starts_with("//") && line.contains(".unwrap()");
        assert!(!source.code.lines().any(unwraps), "{} unwraps outside tests", source.path);
    }
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(
        uses("use crate::wire::message::Node;\n// crate::net\nlet x = crate::net::clock();"),
        ["wire::message::Node", "net::clock"]
    );
    assert_eq!(layer("producer::core::queue"), Some(5));
    assert_eq!(layer("producer::driver"), Some(9));
    let lengths: Vec<usize> = functions("fn a() {\n    b();\n}\n").into_values().collect();
    assert_eq!(lengths, [3]);
}
