//! The binary from outside: exit codes, messages and JSON of its verbs, alone and against a sandbox.

mod harness;

use harness::{Outcome, Stage, run};
use serde_json::{Value, json};

/// Arguments, exit code, and a part of what is said on standard error.
struct Case(&'static [&'static str], i32, &'static str);

#[test]
fn mistakes_on_the_command_line_are_explained() {
    for Case(arguments, code, said) in [
        Case(&[], 2, "Usage"),
        Case(&["sirve"], 2, "serve"),
        Case(&["serve", "--config", "does/not/exist.yaml"], 1, "does/not/exist.yaml:1:1: the file cannot be read"),
        Case(&["check", "--config", "does/not/exist.yaml"], 1, "name an existing file with `--config`"),
        Case(&["records", "list", "contact"], 1, "no API key is given: set SYNCLINE_KEY"),
        Case(
            &["records", "list", "contact", "--key", "k", "--api", "localhost"],
            1,
            "write it like http://127.0.0.1:8080",
        ),
        Case(&["records", "list", "contact", "--key", "k", "--api", "http://127.0.0.1:1"], 1, "does not answer"),
        Case(&["records", "create", "contact", "--key", "k"], 2, "FIELD=VALUE"),
        Case(&["records", "get", "contact", "12", "--key", "k"], 2, "12"),
        Case(&["conflicts", "resolve", "1", "--key", "k"], 2, "--winner|--loser|--value"),
        Case(&["conflicts", "resolve", "1", "--winner", "--loser", "--key", "k"], 2, "cannot be used with"),
        Case(&["sandbox", "--time-scale=-1"], 2, "time-scale"),
    ] {
        let Outcome { status, stderr, .. } = run(arguments, &[]);
        assert_eq!(status, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_bad_configuration_is_reported_for_people_and_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("syncline.yaml");
    std::fs::write(&file, "version: 1\nmodles: {}\nserver: {listen: nowhere}\n").unwrap();
    let file = file.to_str().unwrap();

    let people = run(&["check", "--config", file], &[]);
    assert_eq!(people.status, Some(1));
    for line in
        ["syncline.yaml has 2 problems", ":2:1: unknown key `modles`", "to mend: did you mean `models`?", ":3:18:"]
    {
        assert!(people.stderr.contains(line), "{line} is not in:\n{}", people.stderr);
    }
    let programs = run(&["check", "--json", "--config", file], &[]);
    let report: Value = serde_json::from_str(&programs.stdout).unwrap();
    assert_eq!(report["problems"].as_array().map(Vec::len), Some(2), "{report}");
    assert_eq!(report["problems"][0]["line"], 2, "{report}");
    assert!(programs.stderr.is_empty(), "what programs read is on standard output only: {}", programs.stderr);
}

#[test]
fn the_help_names_every_verb() {
    let help = run(&["--help"], &[]);
    assert_eq!(help.status, Some(0));
    for verb in ["serve", "plan", "check", "sandbox", "records", "conflicts", "deliveries", "quarantine", "syncs"] {
        assert!(help.stdout.contains(&format!("  {verb} ")), "{verb} is not in the help:\n{}", help.stdout);
    }
}

/// The way of a new user: check, plan, approve, serve, look.
#[test]
fn two_accounts_are_planned_approved_and_synced() {
    let stage = Stage::set(20);

    let checked = stage.run(&["check"]);
    assert_eq!(checked.status, Some(1));
    assert!(checked.stdout.contains("`Contact` has no field `Syncline_Id__c`"), "{}", checked.stdout);

    let planned = stage.json(&["plan"], 1);
    let sides = &planned["syncs"]["contacts"]["sides"];
    assert_eq!(planned["syncs"]["contacts"]["records"], 28, "{planned}");
    assert_eq!(planned["syncs"]["contacts"]["linked"], 12, "{planned}");
    for connection in ["acme-salesforce", "acme-hubspot"] {
        assert_eq!(sides[connection]["read"], 20, "{planned}");
        assert_eq!(sides[connection]["create"], 8, "{planned}");
        assert_eq!(sides[connection]["delete"], 0, "{planned}");
    }
    assert_eq!(stage.writes(), 0, "a plan writes nothing");
    let refused = stage.json(&["plan", "--approve"], 1);
    assert_eq!(refused["approved"], false, "a missing key field keeps the plan from being approved: {refused}");

    let approved = stage.json(&["plan", "--create-fields", "--approve"], 0);
    assert_eq!(approved["approved"], true, "{approved}");
    assert_eq!(stage.writes(), 0, "an approval writes nothing");
    assert_eq!(stage.run(&["check"]).status, Some(0));

    let server = stage.serve();
    server.settled();
    let records = server.json(&["records", "list", "contact", "--limit", "0"], 0);
    let records = records["items"].as_array().unwrap();
    assert_eq!(records.len(), 28);
    for record in records {
        let copies = record["_meta"]["external_ids"].as_object().unwrap();
        assert!(copies.len() == 2 && copies.values().all(|copy| copy["state"] == "linked"), "{record}");
    }
    let in_use = stage.run(&["plan"]);
    assert!(
        in_use.status == Some(1) && in_use.stderr.contains("a server is running on the database"),
        "{}",
        in_use.stderr
    );
    let server_is_asked = stage.run(&["check"]);
    assert!(
        server_is_asked.status == Some(0) && server_is_asked.stdout.contains("a server is running"),
        "{}",
        server_is_asked.stdout
    );
    server.end();
}

#[test]
fn records_are_made_changed_and_brought_back_from_the_command_line() {
    let stage = Stage::set(0);
    let server = stage.serve();

    let second = stage.run(&["serve"]);
    assert!(second.status == Some(1) && second.stderr.contains("another program listens there"), "{}", second.stderr);

    let made = server.json(
        &["records", "create", "contact", "last_name=Noether", "email=Emmy@X.example", "--idempotency-key", "a"],
        0,
    );
    let again = server.json(&["records", "create", "contact", "last_name=Noether", "--idempotency-key", "a"], 0);
    assert_eq!(made["_meta"]["id"], again["_meta"]["id"], "the same key makes the same record");
    assert_eq!(made["email"], "emmy@x.example");
    let id = made["_meta"]["id"].as_str().unwrap().to_owned();
    let change = server.first_change();
    assert_eq!((&change["record"], &change["action"]), (&json!(id), &json!("created")), "{change}");

    let changed = server.json(&["records", "set", "contact", &id, "first_name=Emmy", "email=null"], 0);
    assert_eq!((&changed["first_name"], &changed["email"]), (&json!("Emmy"), &Value::Null));
    let stale = server.run(&["records", "set", "contact", &id, "first_name=E.", "--if-version", "1"]);
    assert!(stale.status == Some(1) && stale.stderr.contains("read it again"), "{}", stale.stderr);
    let wrong = server.run(&["records", "set", "contact", &id, "colour=red"]);
    assert!(wrong.status == Some(1) && wrong.stderr.contains("colour"), "{}", wrong.stderr);

    let history = server.json(&["records", "history", "contact", &id, "--field", "email"], 0);
    let first = history["items"].as_array().and_then(|items| items.last()).unwrap();
    let change = first["change"].as_str().unwrap();
    let restored = server.json(&["records", "restore", "contact", &id, "email", change], 0);
    assert_eq!(restored["email"], "emmy@x.example");

    let deleted = server.json(&["records", "delete", "contact", &id], 0);
    assert!(deleted["_meta"]["deleted_at"].is_string(), "{deleted}");
    let none = server.json(&["records", "list", "contact"], 0);
    assert_eq!(none["items"], json!([]));
    let back = server.json(&["records", "undelete", "contact", &id], 0);
    assert!(back["_meta"]["deleted_at"].is_null(), "{back}");

    let shown = server.run(&["records", "get", "contact", &id]);
    assert!(shown.stdout.contains("client:backend") && !shown.stdout.contains('\u{1b}'), "{}", shown.stdout);
    let paused = server.json(&["syncs", "pause", "contacts"], 0);
    assert_eq!(paused["phase"], "paused", "{paused}");
    server.end();
}

#[test]
fn a_connection_that_is_authorised_again_uses_its_new_token() {
    let mut stage = Stage::set(0);
    let created = stage.run(&["plan", "--create-fields"]);
    assert_eq!(created.status, Some(0), "{}", created.stderr);

    let good = stage.set_variable("SF_REFRESH", "revoked");
    let refused = stage.run(&["check"]);
    assert_eq!(
        refused.status,
        Some(1),
        "the configured token is used, not what an earlier one had brought: {}",
        refused.stdout
    );
    assert!(refused.stdout.contains("authorise the connection again"), "{}", refused.stdout);

    stage.set_variable("SF_REFRESH", &good);
    assert_eq!(stage.run(&["check"]).status, Some(0));
}
