//! House rules that the compiler does not check: layers, clocks, sizes, module heads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module → layer. A module may use modules of lower layers, and itself. The longest matching prefix counts.
const LAYERS: &[(&str, u32)] = &[
    ("secret", 0),
    ("types", 0),
    ("error", 1),
    ("metrics", 1),
    ("partitioner", 1),
    ("codec", 2),
    ("wire", 2),
    ("config", 3),
    ("record", 3),
    ("sasl", 3),
    ("sasl::msk", 8),
    ("sasl::msk::sigv4", 3),
    ("sasl::oauth", 8),
    ("sasl::oauth::sources::assertion", 5),
    ("sasl::oauth::sources::grant", 3),
    ("sasl::oauth::sources::jwt", 3),
    ("sasl::oauth::token", 3),
    ("sasl::scram", 7),
    ("sasl::scram::client", 3),
    ("sasl::scram::keys", 3),
    ("metadata", 4),
    ("tls", 4),
    ("conn", 4),
    ("reading", 4),
    ("reading::batches", 7),
    ("reading::buffers", 7),
    ("group", 5),
    ("producer::core", 5),
    ("consumer::core", 6),
    ("net", 7),
    ("client", 8),
    ("producer", 9),
    ("consumer", 9),
    ("admin", 9),
    ("blocking", 10),
    ("export", 10),
    ("json", 10),
    ("spans", 10),
    ("trace", 10),
    ("queue", 10),
    ("queue::core", 5),
];

/// The first layer that may use tokio, sockets, locks between tasks and clocks.
const FIRST_ASYNC: u32 = 7;

const LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;

pub(super) struct Source {
    pub(super) path: String,
    pub(super) module: String,
    /// The file without the items that only tests have; these lines are blank, so that the others keep their numbers.
    pub(super) code: String,
    pub(super) whole: String,
}

pub(super) fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let files = files_below(&root);
    // Test files may use every layer. They are declared for tests only: see `files_of_tests_are_compiled_for_tests_only`.
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
    let code = without_tests(&whole);
    Source { path, module, code, whole }
}

/// Blanks every item that is compiled for tests only, and nothing else. The sources are formatted by rustfmt, so an item ends at
/// the first line that is indented no more than its first line and ends as an item does.
fn without_tests(whole: &str) -> String {
    let lines: Vec<&str> = whole.lines().collect();
    let mut code = vec![""; lines.len()];
    let mut at = 0;
    while at < lines.len() {
        let end = attribute_end(&lines, at);
        if is_for_tests_only(&lines[at..end].concat()) {
            at = item_end(&lines, end);
        } else {
            code[at..end].copy_from_slice(&lines[at..end]);
            at = end;
        }
    }
    code.join("\n")
}

/// The line after an attribute that begins at `start`; the next line if none does.
fn attribute_end(lines: &[&str], start: usize) -> usize {
    if !lines[start].trim_start().starts_with("#[") {
        return start + 1;
    }
    let last = lines[start..].iter().position(|line| line.trim_end().ends_with(']'));
    last.map_or(lines.len(), |last| start + last + 1)
}

/// Whether this is an attribute by which an item is left out unless it is compiled for tests.
fn is_for_tests_only(attribute: &str) -> bool {
    let text: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    let Some(condition) = text.strip_prefix("#[cfg(") else { return false };
    condition == "test)]"
        || condition.strip_prefix("all(").is_some_and(|all| top_level(all).any(|condition| condition == "test"))
}

/// The conditions in a list, up to the parenthesis that closes it.
fn top_level(list: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let end = list.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth < 0
    });
    let mut depth = 0;
    list[..end.unwrap_or(list.len())].split(move |c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
}

/// The line after the item that begins at `start` with attributes and comments, if it has any.
fn item_end(lines: &[&str], start: usize) -> usize {
    let Some(first) = lines.get(start) else { return start };
    let indent = |line: &str| line.len() - line.trim_start().len();
    let ends = |line: &&str| {
        let text = line.trim();
        indent(line) <= indent(first) && !text.starts_with("//") && text.ends_with([';', '}', ','])
    };
    lines[start..].iter().position(ends).map_or(lines.len(), |last| start + last + 1)
}

fn layer(module: &str) -> Option<u32> {
    let within = |name: &str| module == name || module.starts_with(&format!("{name}::"));
    LAYERS.iter().filter(|(name, _)| within(name)).max_by_key(|(name, _)| name.len()).map(|(_, layer)| *layer)
}

/// The modules of this crate that a line of code in `module` names, comments aside.
fn uses(module: &str, code: &str) -> Vec<String> {
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for path in line.split(|c| !is_of_path(c)) {
            if let Some((_, rest)) = path.split_once("crate::") {
                found.push(rest.to_owned());
            } else if path.starts_with("super::") {
                // `super` within an inline module means the file; it is taken for the folder, which has the same layer.
                let ups = path.split("::").take_while(|part| *part == "super").count();
                let parts: Vec<&str> = module.split("::").collect();
                let kept = &parts[..parts.len().saturating_sub(ups)];
                let named = path.split("::").skip(ups).filter(|part| !part.is_empty());
                found.push(kept.iter().copied().chain(named).collect::<Vec<_>>().join("::"));
            }
        }
    }
    found
}

#[test]
fn modules_use_only_lower_layers() {
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = layer(&source.module) else { continue };
        for used in uses(&source.module, &source.code) {
            let same = source.module.split("::").next() == used.split("::").next();
            if let Some(other) = layer(&used).filter(|other| *other >= own && !same) {
                wrong.push(format!("{} (layer {own}) uses {used} (layer {other})", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_module_has_a_layer() {
    for source in sources() {
        let apart = ["lib", "internals", "mock", "bin", "guide"]
            .iter()
            .any(|name| source.module.split("::").next() == Some(name));
        assert!(apart || layer(&source.module).is_some(), "{} is in no layer", source.path);
    }
}

#[test]
fn pure_cores_do_not_use_their_shell() {
    let shells = ["crate::producer::", "crate::consumer::"];
    for source in sources().iter().filter(|source| source.module.contains("::core")) {
        for used in uses(&source.module, &source.code).iter().map(|used| format!("crate::{used}")) {
            let core = used.contains("::core");
            assert!(core || !shells.iter().any(|shell| used.starts_with(shell)), "{} uses {used}", source.path);
        }
    }
}

#[test]
fn modules_below_net_name_no_runtime_lock_or_clock() {
    let banned = ["tokio", "std::net", "Mutex", "mpsc", "oneshot", "Waker", "thread::"];
    for source in sources() {
        // A codec keeps its contexts between batches. Its lock is held only during the codec's own work.
        let pure =
            layer(&source.module).is_some_and(|layer| layer < FIRST_ASYNC) && !source.module.starts_with("codec");
        for word in banned.iter().filter(|_| pure) {
            let named = source.code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word));
            assert!(!named, "{} names {word}", source.path);
        }
    }
}

#[test]
fn only_net_clock_reads_the_clock() {
    for source in sources().iter().filter(|source| source.path != "net/clock.rs" && !source.path.starts_with("bin/")) {
        for call in ["Instant::now()", "SystemTime::now()", "thread::sleep"] {
            let called = source.code.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(call));
            assert!(!called, "{} calls {call}", source.path);
        }
    }
}

/// Where the user asks for it: the keys of AWS. What else runs must not depend on who starts it, and a planted fault must not stay.
#[test]
fn only_credentials_of_aws_read_the_environment() {
    let asked = |source: &&Source| source.path == "sasl/msk/credentials.rs" || source.path.starts_with("bin/");
    for source in sources().iter().filter(|source| !asked(source)) {
        let reads = |line: &&str| !line.trim_start().starts_with("//") && line.contains("env::var");
        let line = source.code.lines().find(reads);
        assert_eq!(line, None, "{} reads the environment", source.path);
    }
}

#[test]
fn only_the_mock_uses_kafka_protocol() {
    for source in sources() {
        let door = source.module.starts_with("mock");
        for word in ["kafka_protocol", "anyhow"].iter().filter(|_| !door) {
            assert!(!source.code.contains(word), "{} names {word}", source.path);
        }
    }
}

#[test]
fn mock_shares_no_code_with_the_client() {
    for source in sources().iter().filter(|source| source.module.starts_with("mock")) {
        for used in uses(&source.module, &source.code) {
            let first = used.split("::").next().unwrap_or_default().to_owned();
            let served = source.module == "mock::serve" && used.starts_with("net::clock");
            // A client's transport, and the numbers of errors: neither reads nor writes anything of the protocol.
            let connects = source.module == "mock::memory" && used.starts_with("client::");
            let shared = ["types", "codec", "mock"].contains(&first.as_str()) || used == "error::Code";
            let encrypts = source.module == "mock::tls" && used == "tls::provider";
            assert!(served || connects || encrypts || shared, "{} uses {used}", source.path);
        }
    }
}

#[test]
fn files_and_functions_stay_short() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let below = |folder: &str| files_below(&tests.join(folder)).into_iter().map(|file| source(tests, &file));
    let of_tests = below("src").chain(below("tests")).map(|source| {
        let path = format!("protocol-tests/{}", source.path);
        // These files have nothing but tests, so all of their code counts.
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
fn every_file_has_a_head_and_no_todo_or_unwrap() {
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
fn files_of_tests_are_compiled_for_tests_only() {
    for source in sources() {
        let declared = source.code.lines().any(|line| line.trim() == "mod tests;");
        assert!(!declared, "{} compiles its tests into the library", source.path);
    }
}

#[test]
fn checks_see_all_code_but_that_of_tests() {
    let whole = [
        "use a;",
        "#[cfg(test)]",
        "mod tests;",
        "#[cfg(all(test, feature = \"mock\"))]",
        "#[path = \"elsewhere.rs\"]",
        "mod more;",
        "#[cfg(all(",
        "    feature = \"mock\",",
        "    test",
        "))]",
        "use b;",
        "#[cfg(not(test))]",
        "fn c() {",
        "    #[cfg(test)]",
        "    d();",
        "    e();",
        "}",
        "impl F {",
        "    #[cfg(test)]",
        "    /// Says so; ends not here;",
        "    fn g()",
        "    where",
        "        T: Clone,",
        "    {",
        "        h();",
        "    }",
        "    #[cfg(any(test, feature = \"mock\"))]",
        "    fn i() {}",
        "    #[cfg(all(not(test), any(unix, test)))]",
        "    fn j() {}",
        "}",
        "#[cfg(test)]",
        "mod tests {",
        "    use k;",
        "    #[test]",
        "    fn l() {",
        "        m();",
        "    }",
        "}",
        "fn n() {}",
    ];
    let code = without_tests(&whole.join("\n"));
    assert_eq!(code.lines().count(), whole.len(), "lines keep their numbers");
    let seen: String = code.lines().flat_map(|line| line.split_whitespace()).collect::<Vec<_>>().join(" ");
    let expected = "use a; #[cfg(not(test))] fn c() { e(); } impl F { \
        #[cfg(any(test, feature = \"mock\"))] fn i() {} #[cfg(all(not(test), any(unix, test)))] fn j() {} } fn n() {}";
    assert_eq!(seen, expected);
}

#[test]
fn violation_deep_in_a_file_is_found() {
    for source in sources() {
        let lines: Vec<&str> = source.whole.lines().collect();
        // The end of the last function that no test has: behind every block of tests that stands before others' code.
        let Some(deep) = source.code.lines().collect::<Vec<_>>().iter().rposition(|line| *line == "}") else {
            continue;
        };
        let planted =
            [&lines[..deep], &["    let _ = crate::planted::here().unwrap();", "}"], &lines[deep + 1..]].concat();
        let code = without_tests(&planted.join("\n"));
        assert!(
            uses(&source.module, &code).contains(&"planted::here".to_owned()),
            "{} is not seen at line {deep}",
            source.path
        );
    }
}

#[test]
fn checks_find_paths_layers_and_functions() {
    let code =
        "use crate::wire::message::Node;\n// crate::net\nlet x = f(crate::net::clock());\nuse super::super::driver::D;";
    assert_eq!(uses("producer::core::sender", code), ["wire::message::Node", "net::clock", "producer::driver::D"]);
    assert_eq!(layer("producer::core::queue"), Some(5));
    assert_eq!(layer("producer::driver"), Some(9));
    let lengths: Vec<usize> = functions("fn a() {\n    b();\n}\n").into_values().collect();
    assert_eq!(lengths, [3]);
}
