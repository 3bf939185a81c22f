//! Takes the programs out of the README, the guides and the library's documentation, so that `tests/it/programs.rs` can run them
//! against the mock cluster: rustdoc only compiles those that need a broker.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// The values for a program's arguments, by their types.
const VALUES: [(&str, &str); 12] = [
    ("Client", "world.client()"),
    ("&Client", "&world.client()"),
    ("blocking::Client", "world.blocking()"),
    ("blocking::Producer", "world.blocking().producer().expect(\"the defaults are fine\")"),
    ("Admin", "world.client().admin()"),
    ("Producer", "world.producer()"),
    ("&Producer", "&world.producer()"),
    ("Consumer", "world.consumer()"),
    ("&Consumer", "&world.consumer()"),
    ("&mut Consumer", "&mut world.consumer()"),
    ("&Records", "&world.records().await"),
    ("&TopicPartition", "&TopicPartition::new(\"events\", 0)"),
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = vec![root.join("README.md")];
    gather(&root.join("docs"), "md", &mut files);
    gather(&root.join("src"), "rs", &mut files);
    files.sort();
    let (mut functions, mut table) = (String::new(), String::new());
    for file in files {
        println!("cargo::rerun-if-changed={}", file.display());
        let text = fs::read_to_string(&file).expect("a readable file");
        let name = file.strip_prefix(&root).expect("it is in there").display().to_string();
        for block in blocks(&text, file.extension().is_some_and(|ending| ending == "md")) {
            let Some(call) = call(&block) else { continue };
            let number = functions.matches("fn program_").count();
            let code = block.code.replace("\"localhost:9092\"", "crate::programs::servers()");
            writeln!(
                functions,
                "fn program_{number}(world: &World) -> Running<'_> {{\n{code}\nBox::pin(async move {{ {call}.0 }})\n}}"
            )
            .expect("a string takes everything");
            writeln!(table, "(\"{name}:{}\", program_{number}),", block.line).expect("a string takes everything");
        }
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("programs.rs");
    fs::write(out, format!("{functions}\npub(super) const ALL: &[(&str, Program)] = &[\n{table}];\n"))
        .expect("a writable folder");
}

/// All files below a folder whose names end so.
fn gather(folder: &Path, ending: &str, files: &mut Vec<PathBuf>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            gather(&path, ending, files);
        } else if path.extension().is_some_and(|other| other == ending) {
            files.push(path);
        }
    }
}

struct Block {
    line: usize,
    /// Rustdoc compiles it and does not run it.
    no_run: bool,
    code: String,
}

/// The blocks of Rust code in a page, or in the documentation comments of a source file.
fn blocks(text: &str, is_page: bool) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    let mut skipping = false;
    for (line, text) in (1..).zip(text.lines()) {
        let comment = text.trim_start().strip_prefix("///").or_else(|| text.trim_start().strip_prefix("//!"));
        let Some(text) =
            (if is_page { Some(text) } else { comment.map(|text| text.strip_prefix(' ').unwrap_or(text)) })
        else {
            (open, skipping) = (None, false);
            continue;
        };
        match (text.strip_prefix("```"), &mut open) {
            (Some(_), None) if skipping => skipping = false,
            (Some(info), None) => {
                let is_rust = info.starts_with("rust") || !is_page && (info.is_empty() || info.starts_with("no_run"));
                skipping = !is_rust;
                open = is_rust.then(|| Block { line, no_run: info.contains("no_run"), code: String::new() });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                let shown = text.strip_prefix("# ").or_else(|| text.strip_prefix('#').filter(|rest| rest.is_empty()));
                let shown = shown.unwrap_or(text);
                if !shown.starts_with("#[tokio::main") {
                    block.code.push_str(shown);
                    block.code.push('\n');
                }
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The call of a program's function, for a program that rustdoc does not run: it says so, or nothing calls the function.
fn call(block: &Block) -> Option<String> {
    let line = block.code.lines().find(|line| line.starts_with("fn ") || line.starts_with("async fn "))?;
    let is_called = !block.no_run && !line.starts_with("async fn run(");
    if is_called {
        return None;
    }
    let (name, rest) = line.split_once("fn ")?.1.split_once('(')?;
    let arguments = rest.split_once(") ")?.0;
    let values: Option<Vec<&str>> = arguments.split(", ").filter(|argument| !argument.is_empty()).map(value).collect();
    let values =
        values.unwrap_or_else(|| panic!("no value for an argument of {line}: see VALUES in protocol-tests/build.rs"));
    let call = format!("{name}({})", values.join(", "));
    Some(match line.starts_with("async") {
        true => format!("Outcome::from({call}.await)"),
        // It may block, or have a runtime of its own.
        false if values.is_empty() => format!("apart(|| Outcome::from({call})).await"),
        false if values.len() == 1 && values[0].starts_with("world.blocking()") => {
            format!("{{ let value = {}; apart(move || Outcome::from({name}(value))).await }}", values[0])
        }
        false => format!("Outcome::from({call})"),
    })
}

/// The value for an argument, declared as `name: path::Type`.
fn value(argument: &str) -> Option<&'static str> {
    let (_, declared) = argument.split_once(": ")?;
    let reference =
        if declared.starts_with("&mut ") { "&mut " } else { &declared[..usize::from(declared.starts_with('&'))] };
    let module = if declared.contains("blocking::") { "blocking::" } else { "" };
    let wanted = format!("{reference}{module}{}", declared.rsplit("::").next()?.trim_start_matches(reference));
    VALUES.iter().find(|(known, _)| *known == wanted).map(|(_, value)| *value)
}
