//! The package as the crate registry and docs.rs show it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of the package.
fn packaged() -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let listed = Command::new(cargo)
        .args(["package", "--list", "--quiet", "--offline", "--allow-dirty", "--package", "ottla"])
        .current_dir(root())
        .output()
        .expect("cargo");
    assert!(listed.status.success(), "{listed:?}");
    String::from_utf8(listed.stdout).expect("text").lines().map(str::to_owned).collect()
}

/// The targets of the links in a page, without their anchors.
fn links(page: &str) -> impl Iterator<Item = &str> {
    let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.split('#').next().unwrap_or_default()).filter(|target| !target.is_empty())
}

#[test]
fn links_of_packaged_pages_lead_to_packaged_files() {
    let packaged = packaged();
    let pages: Vec<&String> =
        packaged.iter().filter(|file| Path::new(file).extension().is_some_and(|ending| ending == "md")).collect();
    assert!(pages.len() > 8, "{pages:?}");
    let mut dead = Vec::new();
    for page in pages {
        let folder = Path::new(page).parent().expect("it is a file");
        let text = fs::read_to_string(root().join(page)).expect("a readable file");
        for target in links(&text).filter(|target| !target.starts_with("https://")) {
            if !packaged.contains(&folder.join(target).display().to_string()) {
                dead.push(format!("{page}: {target}"));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn examples_are_packaged_and_docs_have_every_feature() {
    let packaged = packaged();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("a readable file");
    let examples: Vec<&str> = manifest.split("[[example]]").skip(1).filter_map(|rest| rest.split('"').nth(3)).collect();
    assert!(examples.len() > 3, "{examples:?}");
    for example in examples {
        assert!(packaged.contains(example), "{example} is not packaged");
    }
    let section = |name: &str| {
        let (_, rest) = manifest.split_once(&format!("[{name}]\n")).expect("the section");
        rest.split("\n[").next().expect("its lines").to_owned()
    };
    let docs = section("package.metadata.docs.rs");
    // Those that need a C compiler, the tool, and the inside.
    let left_out = ["cli", "default", "tls-aws-lc", "tls-ring", "unstable-internals", "zstd-c"];
    let features = section("features");
    let features: Vec<&str> =
        features.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert!(features.len() > 15, "{features:?}");
    let is_default = |name: &str| ["gzip", "lz4", "snappy", "zstd"].contains(&name);
    let deny = fs::read_to_string(root().join("deny.toml")).expect("a readable file");
    for feature in features.into_iter().filter(|name| !left_out.contains(name)) {
        assert!(
            is_default(feature) || docs.contains(&format!("\"{feature}\"")),
            "docs.rs does not show the feature {feature}"
        );
        assert!(deny.contains(&format!("\"ottla/{feature}\"")), "deny.toml does not look at the feature {feature}");
    }
    assert!(deny.contains("\"ottla/cli\""), "the tool has most dependencies");
}

/// `deny.toml` is for `cargo deny`, which is not everywhere: its licences are held here, too.
#[test]
fn deny_toml_accepts_the_licence_of_every_dependency() {
    let deny = fs::read_to_string(root().join("deny.toml")).expect("a readable file");
    let (_, rest) = deny.split_once("[licenses]\nallow = [").expect("the list");
    let accepted: BTreeSet<&str> = rest.split(']').next().unwrap_or_default().split('"').skip(1).step_by(2).collect();
    assert!(accepted.contains("MIT") && accepted.len() > 5, "{accepted:?}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = ["tree", "-p", "ottla", "-e", "normal,build", "--target", "all", "--prefix", "none", "--offline"];
    let features = ["--features", "redis-1,cli,tls,webpki-roots,json,metrics", "--format", "{p} | {l}"];
    let listed = Command::new(cargo).args(tree).args(features).current_dir(root()).output().expect("cargo");
    assert!(listed.status.success(), "{listed:?}");
    let listed = String::from_utf8(listed.stdout).expect("text");
    let is_accepted = |licence: &str| {
        let licence = licence.replace(['(', ')'], "").replace('/', " OR ");
        licence.split(" OR ").any(|choice| choice.split(" AND ").all(|part| accepted.contains(part.trim())))
    };
    let lines: BTreeSet<&str> = listed.lines().filter(|line| !line.trim().is_empty()).collect();
    assert!(lines.len() > 100, "the tree was listed: {listed}");
    let refused: Vec<&&str> = lines
        .iter()
        .filter(|line| {
            !line.split_once(" | ").is_some_and(|(_, licence)| is_accepted(licence.trim_end_matches(" (*)")))
        })
        .collect();
    assert!(refused.is_empty(), "{refused:#?}");
}
