//! An API is named where it is declared and where it is used, and in no other place.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ottla::internals::wire::Api;

/// The lines of the library's code, its mock and its tests aside, each with its file.
fn lines() -> Vec<(String, String)> {
    fn gather(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
            if path.is_dir() && name != "mock" && !name.ends_with("tests") {
                gather(root, &path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") && !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).expect("a readable file");
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
                found.extend(lines.map(|line| (name.clone(), line.to_owned())));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut found = Vec::new();
    gather(&root, &root, &mut found);
    // By files, and within one by lines.
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

/// A table of APIs in a second place would be one more edit for each new API.
#[test]
fn only_the_table_lists_apis() {
    let lines = lines();
    let files: BTreeSet<&str> = lines.iter().map(|(file, _)| file.as_str()).collect();
    for file in files.into_iter().filter(|file| *file != "wire/table.rs") {
        let names = |api: &Api| {
            let name = format!("Api::{}", api.name());
            let named = |(_, rest): (&str, &str)| !rest.starts_with(|c: char| c.is_alphanumeric());
            lines.iter().any(|(of, line)| of == file && line.split_once(&name).is_some_and(named))
        };
        let named: Vec<Api> = Api::ALL.into_iter().filter(names).collect();
        assert!(named.len() <= 4, "{file} lists APIs: {named:?}");
    }
}

/// Adding an API takes its declaration, two lines that list it, and its use.
#[test]
fn api_is_named_where_it_is_declared_and_used_and_in_two_more_lines() {
    let spelled = ["DescribeConfigs", "describe_configs"];
    let names = |line: &str| spelled.iter().any(|name| line.contains(name));
    let outside =
        |file: &str| file != "wire/describe_configs.rs" && !file.starts_with("admin/") && !file.starts_with("bin/");
    let lines = lines();
    let named: Vec<(&str, &str)> = lines
        .iter()
        .filter(|(file, line)| names(line) && outside(file))
        .map(|(file, line)| (file.as_str(), line.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            ("wire/mod.rs", "mod describe_configs;"),
            ("wire/table.rs", "describe_configs: DescribeConfigs(DescribeConfigsRequest),")
        ]
    );
    assert!(lines.iter().any(|(file, line)| file.starts_with("admin/") && names(line)), "nothing uses it");
}
