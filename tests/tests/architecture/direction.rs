//! The direction of dependencies, read from Cargo's own view of the workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value as Json;

use crate::{assert_none, root};

/// Which of the workspace's packages each package may be built on. `tests` may see everything, and nothing sees `tests`.
const MAY_USE: [(&str, &[&str]); 9] = [
    ("syncline-core", &[]),
    ("syncline-connectors", &["syncline-core"]),
    ("syncline-sandbox", &[]),
    ("syncline-client", &["syncline-core"]),
    ("syncline-server", &["syncline-core", "syncline-connectors", "syncline-sandbox", "syncline-client"]),
    (
        "syncline-tests",
        &["syncline-core", "syncline-connectors", "syncline-sandbox", "syncline-client", "syncline-server"],
    ),
    ("syncline-models", &["syncline-core"]),
    ("syncline-simulation", &["syncline-core"]),
    ("xtask", &[]),
];

/// Crates that do IO or run tasks: none may be anywhere below the core.
const NOT_BELOW_CORE: [&str; 9] =
    ["tokio", "async-std", "smol", "sqlx", "axum", "hyper", "reqwest", "mio", "tungstenite"];

/// The switches for single rules of the heart, as `cargo tree` prints them.
const SWITCHES: &str = "syncline-core feature \"mutants\"";

/// Dependencies by package: what is built into it, and what only its tests use.
#[derive(Default)]
struct Graph {
    names: BTreeMap<String, String>,
    built_on: BTreeMap<String, BTreeSet<String>>,
    tested_with: BTreeMap<String, BTreeSet<String>>,
    members: BTreeSet<String>,
}

impl Graph {
    fn of_workspace() -> Self {
        let cargo = option_env!("CARGO").unwrap_or("cargo");
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked"])
            .current_dir(root())
            .output()
            .expect("cargo can be run");
        assert!(output.status.success(), "cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
        Self::read(&serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON"))
    }

    fn read(metadata: &Json) -> Self {
        let mut graph = Self::default();
        for package in list(&metadata["packages"]) {
            graph.names.insert(text(&package["id"]), text(&package["name"]));
        }
        graph.members = list(&metadata["workspace_members"]).iter().map(|id| graph.name(id)).collect();
        for node in list(&metadata["resolve"]["nodes"]) {
            let from = graph.name(&node["id"]);
            for dependency in list(&node["deps"]) {
                let to = graph.name(&dependency["pkg"]);
                for kind in list(&dependency["dep_kinds"]) {
                    let dev = kind["kind"] == "dev";
                    let edges = if dev { &mut graph.tested_with } else { &mut graph.built_on };
                    edges.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        graph
    }

    fn name(&self, id: &Json) -> String {
        self.names[id.as_str().expect("a package id is text")].clone()
    }

    /// Every package that is built into `package`.
    fn below(&self, package: &str) -> BTreeSet<String> {
        let mut below = BTreeSet::new();
        let mut open = vec![package.to_owned()];
        while let Some(next) = open.pop() {
            for dependency in self.built_on.get(&next).into_iter().flatten() {
                if below.insert(dependency.clone()) {
                    open.push(dependency.clone());
                }
            }
        }
        below
    }

    fn against_the_direction(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for member in &self.members {
            let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == member) else {
                findings.push(format!("{member} is new: say in MAY_USE what it may be built on"));
                continue;
            };
            for used in self.built_on.get(member).into_iter().flatten() {
                if self.members.contains(used) && !allowed.contains(&used.as_str()) {
                    findings.push(format!("{member} is built on {used}"));
                }
            }
            if self.tested_with.get(member).is_some_and(|used| used.contains("syncline-tests")) {
                findings.push(format!("{member} is tested with syncline-tests"));
            }
        }
        findings
    }

    fn io_below_core(&self) -> Vec<String> {
        let below = self.below("syncline-core");
        NOT_BELOW_CORE.iter().filter(|name| below.contains(**name)).map(|name| (*name).to_owned()).collect()
    }
}

/// Every package of the workspace with the features that each dependency enables.
fn features(edges: &str) -> String {
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo)
        .args(["tree", "--workspace", "--locked", "--edges", edges])
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Json) -> String {
    json.as_str().expect("text").to_owned()
}

#[test]
fn packages_depend_only_in_the_declared_direction() {
    let graph = Graph::of_workspace();
    assert_eq!(graph.members.len(), MAY_USE.len(), "a package of MAY_USE is missing from the workspace");
    assert_none(graph.against_the_direction(), "ARCHITECTURE.md draws the direction of dependencies; against it:");
}

#[test]
fn no_io_crate_lies_below_the_core() {
    let graph = Graph::of_workspace();
    assert!(graph.below("syncline-core").contains("automerge"), "the core's dependencies were not found at all");
    assert_none(graph.io_below_core(), "the core is pure; below it were found:");
}

#[test]
fn only_tests_can_switch_off_a_rule_of_the_heart() {
    assert!(features("features").contains(SWITCHES), "no test enables the switches, so the checker below sees nothing");
    assert!(
        !features("features,no-dev").contains(SWITCHES),
        "a build without tests has the feature `mutants`: enable it in dev-dependencies only; \
         `cargo tree --workspace --edges features,no-dev --invert syncline-core` says who does"
    );
}

#[test]
fn the_checkers_find_what_they_must() {
    let edge = |to: &str, kind: Option<&str>| serde_json::json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
    let names = ["syncline-core", "syncline-client", "syncline-tests", "helper", "tokio", "new"];
    let packages: Vec<Json> = names.map(|id| serde_json::json!({"id": id, "name": id})).into();
    let graph = Graph::read(&serde_json::json!({
        "packages": packages,
        "workspace_members": ["syncline-core", "syncline-client", "syncline-tests", "new"],
        "resolve": {"nodes": [
            {"id": "syncline-core", "deps": [edge("helper", None), edge("syncline-client", None)]},
            {"id": "syncline-client", "deps": [edge("syncline-tests", Some("dev")), edge("syncline-core", None)]},
            {"id": "helper", "deps": [edge("tokio", None)]},
        ]},
    }));
    assert_eq!(graph.io_below_core(), ["tokio"]);
    assert_eq!(
        graph.against_the_direction(),
        [
            "new is new: say in MAY_USE what it may be built on",
            "syncline-client is tested with syncline-tests",
            "syncline-core is built on syncline-client",
        ]
    );
}
