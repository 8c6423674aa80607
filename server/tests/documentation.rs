//! What the documentation shows must be true: its configurations are accepted, and its excerpts come from them.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use syncline_server::config::{Config, Environment};

/// An environment that has every secret: one text that is good as a key, a token and a password.
struct Generous;

const ANYTHING: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl Environment for Generous {
    fn variable(&self, _name: &str) -> Option<String> {
        Some(ANYTHING.to_owned())
    }

    fn file(&self, _path: &Path, _bytes_max: usize) -> io::Result<String> {
        Ok(ANYTHING.to_owned())
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The YAML blocks of a page.
fn blocks(page: &str) -> Vec<String> {
    page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

fn is_whole(text: &str) -> bool {
    text.lines().any(|line| line == "version: 1")
}

#[track_caller]
fn assert_accepted(text: &str, name: &str) {
    if let Err(problems) = Config::parse(text, Path::new(name), &Generous) {
        panic!("{problems}");
    }
}

#[test]
fn every_configuration_in_the_documentation_is_accepted() {
    let mut found = 0;
    for page in ["README.md", "docs/configuration.md"] {
        for text in blocks(&read(page)).iter().filter(|text| is_whole(text)) {
            assert_accepted(text, page);
            found += 1;
        }
    }
    for entry in fs::read_dir(root().join("docs/examples")).expect("the examples' folder") {
        let path = entry.expect("an entry of the folder").path();
        assert_accepted(&fs::read_to_string(&path).expect("a readable example"), &path.display().to_string());
        found += 1;
    }
    assert_eq!(found, 4, "one in each page, and two examples");
}

#[test]
fn every_excerpt_in_the_readme_is_of_an_example() {
    let examples = read("docs/examples/custom.yaml") + &read("docs/examples/two-accounts.yaml");
    let examples: BTreeSet<&str> = examples.lines().collect();
    let readme = read("README.md");
    let strange: Vec<String> = blocks(&readme)
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| !examples.contains(line))
        .map(str::to_owned)
        .collect();
    assert!(strange.is_empty(), "no example has these lines:\n{}", strange.join("\n"));
}

#[test]
fn a_configuration_with_a_mistake_is_not_accepted() {
    let text = blocks(&read("README.md")).remove(0).replace("mapping:", "maping:");
    assert!(Config::parse(&text, Path::new("README.md"), &Generous).is_err());
}
