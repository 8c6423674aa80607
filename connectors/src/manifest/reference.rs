//! The published schema and reference are those of the types: both are made here and compared with what is committed.

use std::{fmt::Write as _, fs, path::Path};

use serde_json::{Value, json};

use super::{Manifest, built_in, json_schema, words::VARIABLES};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/manifest.schema.json");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/manifests.md");
const HOW: &str = "the vocabulary has changed: run `UPDATE_MANIFESTS=1 cargo test -p syncline-connectors --lib manifest::reference` and review the difference";

fn updates() -> bool {
    std::env::var_os("UPDATE_MANIFESTS").is_some()
}

/// Compares a file with what it must be, or writes it.
fn kept(path: &str, made: &str) {
    if updates() {
        fs::write(path, made).expect("the file is written");
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert!(kept == made, "{HOW}");
}

#[test]
fn the_schema_is_published() {
    let mut schema = json_schema().clone();
    schema["title"] = json!("A manifest of Syncline");
    let mut text = serde_json::to_string_pretty(&schema).expect("JSON");
    text.push('\n');
    kept(SCHEMA, &text);
}

#[test]
fn the_reference_is_published() {
    let page = fs::read_to_string(PAGE).expect("the page");
    let page = between(&page, "<!-- generated: names -->\n", &names());
    kept(PAGE, &between(&page, "<!-- generated: reference -->\n", &reference(json_schema())));
}

/// The page with other text between a mark and the end of the piece.
fn between(page: &str, mark: &str, text: &str) -> String {
    let (before, after) = page.split_once(mark).expect("the mark stands on the page");
    let (_, after) = after.split_once("<!-- end -->").expect("the piece ends");
    format!("{before}{mark}{text}<!-- end -->{after}")
}

fn names() -> String {
    let mut text = String::from("| name | what it stands for |\n|---|---|\n");
    for variable in VARIABLES {
        writeln!(text, "| `{}` | {} |", variable.name, variable.about).expect("text grows");
    }
    text
}

/// A table for each type that has keys or words, the whole first.
fn reference(schema: &Value) -> String {
    let mut text = String::new();
    section(&mut text, "Manifest", schema);
    for (name, schema) in schema["$defs"].as_object().into_iter().flatten() {
        section(&mut text, name, schema);
    }
    text
}

fn section(text: &mut String, name: &str, schema: &Value) {
    let rows: Vec<(String, String, String)> = match (schema["properties"].as_object(), schema["oneOf"].as_array()) {
        (Some(properties), _) => {
            let needed =
                |key: &str| schema["required"].as_array().is_some_and(|keys| keys.iter().any(|own| own == key));
            let row = |(key, value): (&String, &Value)| {
                let what = if needed(key) { format!("{}, needed", ty(value)) } else { ty(value) };
                (key.clone(), what, about(value))
            };
            properties.iter().map(row).collect()
        }
        (None, Some(choices)) => choices.iter().flat_map(choice).collect(),
        (None, None) => schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| Some((word.as_str()?.to_owned(), "word".to_owned(), String::new())))
            .collect(),
    };
    if rows.is_empty() {
        return;
    }
    writeln!(text, "### {name}\n\n{}\n\n| key | what | meaning |\n|---|---|---|", about(schema)).expect("text grows");
    for (key, what, about) in rows {
        writeln!(text, "| `{key}` | {what} | {about} |").expect("text grows");
    }
    text.push('\n');
}

fn choice(choice: &Value) -> Vec<(String, String, String)> {
    if let Some(word) = choice["const"].as_str() {
        return vec![(word.to_owned(), "word".to_owned(), about(choice))];
    }
    let properties = choice["properties"].as_object().into_iter().flatten();
    properties.map(|(key, value)| (key.clone(), ty(value), about(choice))).collect()
}

/// The text of documentation, on one line and within a table.
fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace("<!--", "&lt;!--")
}

fn ty(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return match name {
            "Path" | "Span" | "Template" => name.to_lowercase(),
            "Format" => "times".to_owned(),
            "Tree" => "any value of templates".to_owned(),
            _ if json_schema()["$defs"][name]["anyOf"].is_array() => ty(&json_schema()["$defs"][name]),
            _ => format!("[{name}](#{})", name.to_lowercase()),
        };
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let choices: Vec<String> = choices.iter().filter(|choice| choice["type"] != "null").map(ty).collect();
        return choices.join(" or ");
    }
    let own = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).find(|ty| *ty != "null").unwrap_or_default(),
        Value::String(own) => own,
        _ => "any value",
    };
    match own {
        "array" if schema["items"].is_object() => format!("list of {}", ty(&schema["items"])),
        "array" => "list".to_owned(),
        "object" => format!("map of {}", ty(&schema["additionalProperties"])),
        "string" => "text".to_owned(),
        "integer" => "number".to_owned(),
        other => other.to_owned(),
    }
}

/// The YAML blocks of the page that are manifests.
fn examples(page: &str) -> Vec<&str> {
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.filter(|text| text.starts_with("manifest: 1")).collect()
}

#[test]
fn the_example_on_the_page_is_read() {
    let page = fs::read_to_string(PAGE).expect("the page");
    let examples = examples(&page);
    assert_eq!(examples.len(), 1);
    for text in examples {
        Manifest::parse(text, Path::new("docs/manifests.md")).unwrap_or_else(|problems| panic!("{problems}"));
    }
    for name in built_in().keys() {
        assert!(page.contains(&format!("`{name}`")), "docs/manifests.md does not name `{name}`");
    }
}

/// The filters and outcomes are told in the page's own words.
#[test]
fn every_filter_and_outcome_stands_on_the_page() {
    let page = fs::read_to_string(PAGE).expect("the page");
    let guide = page.split("## Reference").next().unwrap_or_default();
    for (name, argument) in super::words::FILTERS {
        let written = if argument.is_empty() { format!("`{name}`") } else { format!("`{name}:") };
        assert!(guide.contains(&written), "docs/manifests.md does not tell of the filter `{name}`");
    }
    for outcome in json_schema()["$defs"]["Outcome"]["oneOf"].as_array().expect("choices") {
        let word = outcome["const"].as_str().expect("a word");
        assert!(guide.contains(&format!("`{word}`")), "docs/manifests.md does not tell of `{word}`");
    }
}
