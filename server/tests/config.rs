//! Reading configurations: what is accepted, and what is said about everything else.

use std::{collections::BTreeMap, path::Path, time::Duration};

use syncline_core::{
    guard::DeleteGuard,
    ids::{ConnectionId, FieldName, ModelName},
    model::{Canonical, DeleteEffect, DeleteRace, FieldType},
    policies::Policy,
};
use syncline_server::config::{
    Approval, Config, FixedEnvironment, MassDelete, Problem, Problems, ProcessEnvironment, Retention,
};

/// A whole configuration; the cases below change single places of it.
const WHOLE: &str = r#"version: 1
server:
  secrets_key: {env: SECRETS_KEY}
models:
  contact:
    fields:
      email: {type: text, max: 80, canonical: [trim, lower]}
      last_name: {type: text, required: true}
      stage: {type: enum, values: [lead, mql], policy: {forward_only: [lead, mql]}}
      tags: {type: set}
    match: [[email], [last_name]]
    deletes: {effect: detach, race: delete_wins}
integrations:
  salesforce: {provider: salesforce, client_id: {env: SF_ID}, client_secret: {env: SF_SECRET}}
  hubspot: {provider: hubspot}
connections:
  acme-salesforce: {tenant: acme, integration: salesforce, credentials: {refresh_token: {env: SF_REFRESH}, base_url: "https://acme.my.salesforce.com"}}
  acme-hubspot: {tenant: acme, integration: hubspot, credentials: {access_token: {env: HS_TOKEN}}}
  other-hubspot: {tenant: other, integration: hubspot, credentials: {access_token: {env: HS_TOKEN}}}
syncs:
  contacts:
    tenant: acme
    model: contact
    approve: auto
    sides:
      acme-salesforce:
        object: Contact
        key: Syncline_Id__c
        poll: 5s
        mapping:
          email: Email
          last_name: LastName
          stage: {field: Status__c, values: {lead: Open, mql: Working}}
      acme-hubspot:
        object: contacts
        direction: read
        sweep: 7d
        mapping:
          email: email
          tags: {field: tags, list: ";"}
api_keys:
  - {name: backend, tenant: acme, key: {env: ACME_KEY}}
"#;

const HOUR: Duration = Duration::from_secs(3_600);
const SECRET: &str = "sw0rdfish-sw0rdfish-sw0rdfish";

fn environment() -> FixedEnvironment {
    let mut variables: BTreeMap<&str, String> = ["SF_ID", "SF_SECRET", "SF_REFRESH", "HS_TOKEN", "ACME_KEY"]
        .map(|name| (name, format!("{SECRET}-{name}")))
        .into();
    variables.insert("SECRETS_KEY", "0123456789abcdef".repeat(4));
    variables.insert("SHORT", "short".to_owned());
    variables.insert("EMPTY", " ".to_owned());
    FixedEnvironment::new(variables)
}

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, Path::new("conf/syncline.yaml"), &environment())
}

fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(_) => panic!("this was accepted:\n{text}"),
        Err(problems) => problems.list,
    }
}

#[test]
fn a_whole_configuration_becomes_plain_data() {
    let config = parse(WHOLE).unwrap_or_else(|problems| panic!("{problems}"));

    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.database, Path::new("conf/syncline.db"));
    let model = &config.models[&ModelName::from("contact")];
    let email = &model.fields[&FieldName::from("email")];
    assert_eq!(email.ty, FieldType::Text { max_len: 80 });
    assert_eq!(email.canonical, [Canonical::Trim, Canonical::Lower]);
    assert_eq!(model.fields[&FieldName::from("tags")].policy, Policy::Set);
    assert!(model.fields[&FieldName::from("last_name")].required);
    assert_eq!((model.deletes.effect, model.deletes.race), (DeleteEffect::Detach, DeleteRace::DeleteWins));
    assert_eq!(model.match_keys.len(), 2);

    let sync = &config.syncs["contacts"];
    assert_eq!(sync.approval, Approval::Auto);
    let usual =
        MassDelete { limits: DeleteGuard { missing_min: 5, missing_max: 1_000, share_percent_max: 5 }, window: HOUR };
    assert_eq!(sync.mass_delete, usual);
    assert_eq!(config.retention, Retention::default());
    let kept = "retention: {changes: 5000, changes_age: 30d, hints: 7d, history: 90d, conflicts: forever}\nmodels:";
    let config = parse(&WHOLE.replace("models:", kept)).unwrap_or_else(|problems| panic!("{problems}"));
    let days = |days: u32| Some(24 * days * HOUR);
    let kept = Retention {
        changes: 5_000,
        changes_age: days(30),
        hints: 7 * 24 * HOUR,
        history: days(90),
        conflicts: None,
        ..Retention::default()
    };
    assert_eq!(config.retention, kept);
    let told = "approve: auto\n    mass_delete: {share: 30%, count: 50, min: 2, window: 24h}";
    let config = parse(&WHOLE.replace(AUTO, told)).unwrap_or_else(|problems| panic!("{problems}"));
    let limits = DeleteGuard { missing_min: 2, missing_max: 50, share_percent_max: 30 };
    assert_eq!(config.syncs["contacts"].mass_delete, MassDelete { limits, window: 24 * HOUR });
    let [salesforce, hubspot] = ["acme-salesforce", "acme-hubspot"].map(ConnectionId::from);
    let side = &sync.plan.sides[&salesforce];
    assert_eq!((side.rank, side.writes, side.creates, side.history), (1, true, true, false));
    assert_eq!(side.key_field.as_deref(), Some("Syncline_Id__c"));
    let side = &sync.plan.sides[&hubspot];
    assert_eq!((side.rank, side.writes, side.creates, side.history), (2, false, false, true));
    assert!(!side.mapping.writable(&FieldName::from("email")), "a side that is only read writes no field");
    assert_eq!(sync.schedules[&salesforce].poll, Duration::from_secs(5));
    assert_eq!(sync.schedules[&hubspot].sweep, Duration::from_secs(7 * 86_400));

    let tenants: Vec<&str> = config.tenants().into_iter().map(|tenant| tenant.as_str()).collect();
    assert_eq!(tenants, ["acme", "other"]);
    assert_eq!(config.integration_of(&salesforce).map(|integration| integration.provider.as_str()), Some("salesforce"));
    assert!(!format!("{config:?}").contains(SECRET), "secrets are shown by nothing");
}

/// A connection's own secrets, else its integration's, else the OAuth client's; without any, no webhook can be verified.
#[test]
fn webhooks_are_verified_with_the_nearest_secrets() {
    let own = WHOLE
        .replace("integration: salesforce, cred", "integration: salesforce, webhook_secrets: [{env: HS_TOKEN}], cred")
        .replace("{provider: hubspot}", "{provider: hubspot, webhook_secrets: [{env: SF_ID}, {env: HS_TOKEN}]}");
    for (text, connection, secrets) in [
        (WHOLE, "acme-salesforce", vec!["SF_SECRET"]),
        (WHOLE, "acme-hubspot", vec![]),
        (&own, "acme-salesforce", vec!["HS_TOKEN"]),
        (&own, "acme-hubspot", vec!["SF_ID", "HS_TOKEN"]),
        (&own, "nobody", vec![]),
    ] {
        let config = parse(text).unwrap_or_else(|problems| panic!("{problems}"));
        let found = config.webhook_secrets_of(&ConnectionId::from(connection));
        let found: Vec<&str> = found.iter().map(|secret| secret.expose()).collect();
        let expected: Vec<String> = secrets.iter().map(|name| format!("{SECRET}-{name}")).collect();
        assert_eq!(found, expected, "{connection}");
    }
}

/// A database's address names its user, and is kept as it is.
#[test]
fn an_account_may_have_an_address_in_its_own_scheme() {
    let config = parse(&WHOLE.replace("https://acme.my.salesforce.com", "postgres://app@db.acme.com/shop"));
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    let connection = &config.connections[&ConnectionId::from("acme-salesforce")];
    let address = connection.credentials.base_url.as_ref().map(|url| url.as_str());
    assert_eq!(address, Some("postgres://app@db.acme.com/shop"));
}

/// A place in the sync.
const AUTO: &str = "approve: auto";

/// The address of an account.
const SITE: &str = "\"https://acme.my.salesforce.com\"";

/// One place changed, and the first problem that must be reported: line, column, part of the message, part of the remedy.
struct Case(&'static str, &'static str, usize, usize, &'static str, &'static str);

#[test]
fn each_mistake_is_named_with_its_place_and_remedy() {
    let mut wrong = Vec::new();
    for Case(from, to, line, column, message, remedy) in [
        Case("models:", "retention: {hints: 1h}\nmodels:", 4, 20, "too short", "86400000ms"),
        Case("models:", "retention: {changes: 999}\nmodels:", 4, 22, "from 1000 to", ""),
        Case("models:", "retention: {quarantine: never}\nmodels:", 4, 25, "a span of time", ""),
        Case(AUTO, "approve: auto\n    mass_delete: {share: 5}", 25, 26, "a share from 0% to 100%", "percent sign"),
        Case(AUTO, "approve: auto\n    mass_delete: {share: 101%}", 25, 26, "found `101%`", ""),
        Case(AUTO, "approve: auto\n    mass_delete: {count: 0}", 25, 26, "from 1 to", ""),
        Case(AUTO, "approve: auto\n    mass_delete: {count: 3}", 25, 18, "`min` is more than `count`", "smaller"),
        Case(
            AUTO,
            "approve: auto\n    mass_delete: {count: 3, min: 4}",
            25,
            34,
            "`min` is more than `count`",
            "smaller",
        ),
        Case(AUTO, "approve: auto\n    mass_delete: {window: 1s}", 25, 27, "too short", "60000ms"),
        Case(AUTO, "approve: auto\n    mass_delete: {shares: 5%}", 25, 19, "shares", "share"),
        Case("version: 1", "version: 2", 1, 10, "from 1 to 1", ""),
        Case("version: 1\n", "\n", 2, 1, "`version` is missing", "version: 1"),
        Case("api_keys:", "apikeys:", 41, 1, "unknown key `apikeys`", "did you mean `api_keys`?"),
        Case("server:\n", "server:\n  listen: localhost\n", 3, 11, "not an address", "127.0.0.1:8080"),
        Case("server:\n", "server:\n  public_url: sync.example.com\n", 3, 15, "not a URL", "https://"),
        Case("server:\n", "server:\n  public_url: https://a:b@c\n", 3, 15, "credentials", "remove"),
        Case(SITE, "mailto:acme", 17, 118, "not an http or https URL", "https://"),
        Case(SITE, "postgres://a:b@c/d", 17, 118, "holds a password", "access_token"),
        Case("{env: SECRETS_KEY}", "{env: SHORT}", 3, 16, "must be 32 random bytes", ""),
        Case("{env: SECRETS_KEY}", "0123456789abcdef", 3, 16, "a secret stands in the file itself", "{env: NAME}"),
        Case("{env: SECRETS_KEY}", "{env: NOT_SET}", 3, 22, "`NOT_SET` is not set", "export NOT_SET"),
        Case("{env: SECRETS_KEY}", "{env: EMPTY}", 3, 22, "`EMPTY` is empty", "set `EMPTY`"),
        Case("{env: SECRETS_KEY}", "{file: nowhere}", 3, 23, "conf/nowhere cannot be read", "check the path"),
        Case("{env: SECRETS_KEY}", "{env: A, file: b}", 3, 16, "both given", "keep one"),
        Case("{env: SECRETS_KEY}", "{}", 3, 16, "no source", "{env: NAME}"),
        Case(
            "  secrets_key: {env: SECRETS_KEY}",
            "  database: a.db",
            3,
            3,
            "`server.secrets_key` is missing",
            "openssl",
        ),
        Case(
            "      email: {type: text, max: 80",
            "      email: {type: txt, max: 80",
            7,
            21,
            "`txt` is not known here",
            "`text`",
        ),
        Case("max: 80", "max: none", 7, 32, "a whole number", "without quotes"),
        Case("max: 80", "scale: 2", 7, 34, "a text field has no `scale`", "remove"),
        Case("[trim, lower]", "[trim, upper]", 7, 54, "`upper` is not known here", "trim, lower"),
        Case("{type: set}", "{type: set, policy: prefer}", 10, 33, "needs a list", "{prefer: [first, second]}"),
        Case("{forward_only: [lead, mql]}", "{forward_only: [lead, sql]}", 9, 56, "`sql` is no value", ""),
        Case("      tags:", "      Tags:", 10, 7, "the name of a field", "first_name"),
        Case(
            "      tags: {type: set}",
            "      tags: {type: set}\n      tags: {type: set}",
            11,
            7,
            "repeated",
            "keep one",
        ),
        Case("[last_name]]", "[lastname]]", 11, 23, "no field `lastname`", "`last_name`"),
        Case("race: delete_wins", "race: nobody", 12, 37, "`nobody`", "edit_wins, delete_wins"),
        Case("{provider: hubspot}", "{provider: zoho}", 15, 23, "no provider `zoho`", "salesforce, hubspot"),
        Case(
            "{provider: hubspot}",
            "{provider: hubspot, settings: {ap_id: \"1\"}}",
            15,
            42,
            "unknown field `ap_id`",
            "",
        ),
        Case(
            "integration: salesforce",
            "integration: salesfroce",
            17,
            48,
            "no integration `salesfroce`",
            "`salesforce`",
        ),
        Case(
            "credentials: {access_token: {env: HS_TOKEN}}}\n  other",
            "credentials: {}}\n  other",
            18,
            67,
            "there is no token",
            "refresh_token",
        ),
        Case(
            "credentials: {access_token: {env: HS_TOKEN}}}\n  other",
            "credentials: {access_token: abc}}\n  other",
            18,
            82,
            "a secret stands in the file",
            "{env: NAME}",
        ),
        Case("{provider: hubspot}", "{provider: hubspot, webhook_secrets: []}", 15, 49, "0 secrets", "at most 4"),
        Case(
            "{provider: hubspot}",
            "{provider: hubspot, webhook_secrets: [{env: SF_ID}, {env: SF_ID}]}",
            15,
            64,
            "the same secret twice",
            "remove one",
        ),
        Case(
            "{provider: hubspot}",
            "{provider: hubspot, webhook_secrets: [hush]}",
            15,
            50,
            "a secret stands in the file",
            "{env: NAME}",
        ),
        Case("model: contact", "model: person", 23, 12, "no model `person`", "contact"),
        Case("approve: auto", "approve: yes", 24, 14, "`yes` is not known here", "manual, auto"),
        Case("      acme-hubspot:\n", "      acme-hubspt:\n", 34, 7, "no such connection", "`acme-hubspot`"),
        Case("      acme-hubspot:\n", "      other-hubspot:\n", 34, 7, "belongs to `other`", "same tenant"),
        Case("poll: 5s", "poll: 5", 29, 15, "a span of time", "15s"),
        Case("poll: 5s", "poll: 5ms", 29, 15, "too short", "at least 100ms"),
        Case("direction: read", "direction: read\n        creates: true", 37, 18, "creates nothing", "remove"),
        Case("          email: Email\n", "          emial: Email\n", 31, 18, "no such field", ""),
        Case("mql: Working", "mql: Open", 33, 18, "not one to one", ""),
        Case("{lead: Open, mql: Working}", "{lead: Open}", 33, 18, "lacks", ""),
        Case("values: {lead", "valeus: {lead", 33, 37, "unknown key `valeus`", "`values`"),
        Case("list: \";\"", "list: 3", 40, 37, "a separator", "double quotes"),
        Case("tags: {field: tags", "tags: {direction: write, field: tags", 40, 17, "never move", "direction"),
        Case("server:\n", "server:\n  metrics_token: {env: SHORT}\n", 3, 18, "not fit for use", "openssl rand"),
        Case("{env: ACME_KEY}", "{env: SHORT}", 42, 40, "not fit for use", "openssl rand"),
        Case(
            "api_keys:\n",
            "api_keys:\n  - {name: backend, key: {env: SF_ID}}\n",
            43,
            5,
            "used by another API key",
            "name of its own",
        ),
        Case("tenant: acme, key", "tenant: Acme, key", 42, 29, "the name of a tenant", "lower-case"),
    ] {
        assert!(WHOLE.contains(from), "the case changes nothing: {from}");
        let text = WHOLE.replacen(from, to, 1);
        let list = match parse(&text) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.list,
        };
        let found = list.iter().any(|problem| {
            (problem.at.line, problem.at.column) == (line, column)
                && problem.message.contains(message)
                && problem.remedy.contains(remedy)
        });
        if !found || list.len() != 1 {
            wrong.push(format!("{to}\n  expected {line}:{column} `{message}` / `{remedy}`\n  found {list:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "each mistake is exactly one problem:\n{}", wrong.concat());
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let text = WHOLE
        .replace("{env: SECRETS_KEY}", "{env: SHORT}")
        .replace("max: 80", "max: 0")
        .replace("provider: hubspot", "provider: hubspt")
        .replace("poll: 5s", "poll: soon")
        .replace("tags: {field", "tagz: {field")
        .replace("{env: ACME_KEY}", "{env: NOT_SET}");
    let lines: Vec<usize> = problems(&text).iter().map(|problem| problem.at.line).collect();
    assert_eq!(lines, [3, 7, 15, 29, 42], "a broken model hides only the mappings that are held against it");
}

#[test]
fn two_syncs_do_not_share_a_model_or_an_object() {
    let again = "  again:\n    tenant: acme\n    model: contact\n    sides:\n      acme-hubspot: {object: contacts, mapping: {email: email}}\napi_keys:";
    let list = problems(&WHOLE.replace("api_keys:", again));
    assert_eq!(list.len(), 1, "{list:#?}");
    assert!(list[0].message.contains("`contacts` already syncs `contact`"), "{list:#?}");

    let person = "models:\n  person: {fields: {email: {type: text}}}\n";
    let text =
        WHOLE.replace("models:\n", person).replace("api_keys:", &again.replace("model: contact", "model: person"));
    let list = problems(&text);
    assert_eq!(list.len(), 1, "{list:#?}");
    assert!(list[0].message.contains("already syncs `contacts` of `acme-hubspot`"), "{list:#?}");
}

#[test]
fn a_problem_in_a_shared_value_is_reported_once_where_it_stands() {
    let text = WHOLE
        .replace(
            "acme-hubspot: {tenant: acme, integration: hubspot, credentials: {access_token: {env: HS_TOKEN}}}",
            "acme-hubspot: {tenant: acme, integration: hubspot, credentials: &c {access_token: {env: NOT_SET}}}",
        )
        .replace(
            "other-hubspot: {tenant: other, integration: hubspot, credentials: {access_token: {env: HS_TOKEN}}}",
            "other-hubspot: {tenant: other, integration: hubspot, credentials: *c}",
        );
    let list = problems(&text);
    assert_eq!(list.iter().map(|problem| problem.at.line).collect::<Vec<_>>(), [18], "{list:#?}");
}

#[test]
fn secrets_are_never_repeated_in_messages() {
    for (from, to) in [
        ("{env: SECRETS_KEY}", "{env: HS_TOKEN}"),
        ("{access_token: {env: HS_TOKEN}}", "{access_token: sw0rdfish-sw0rdfish-sw0rdfish}"),
        ("{env: ACME_KEY}", "sw0rdfish-sw0rdfish-sw0rdfish"),
        ("{env: ACME_KEY}", "[sw0rdfish-sw0rdfish-sw0rdfish]"),
    ] {
        let text = WHOLE.replacen(from, to, 1);
        let shown = parse(&text).err().map(|problems| problems.to_string()).unwrap_or_default();
        assert!(!shown.is_empty() && !shown.contains("sw0rdfish"), "{to}: {shown}");
    }
}

#[test]
fn the_report_shows_file_line_column_and_remedy() {
    let shown =
        parse(&WHOLE.replace("models:", "modles:")).err().map(|problems| problems.to_string()).unwrap_or_default();
    let expected = "conf/syncline.yaml:4:1: unknown key `modles`\n    to mend: did you mean `models`?";
    assert!(shown.contains(expected), "{shown}");
}

#[test]
fn files_that_are_not_there_or_not_yaml_are_said_so() {
    let missing =
        Config::load(Path::new("does/not/exist.yaml")).err().map(|problems| problems.to_string()).unwrap_or_default();
    assert!(missing.contains("cannot be read") && missing.contains("--config"), "{missing}");
    let list = problems("version: [1\n");
    assert_eq!(list.len(), 1);
    assert!(list[0].message.contains("not valid YAML"), "{list:#?}");
}

#[test]
fn secrets_come_from_files_beside_the_configuration() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("key"), format!("{SECRET}\n")).expect("a written file");
    let text = "version: 1\napi_keys:\n  - {name: backend, key: {file: key}}\n";
    let config = Config::parse(text, &folder.path().join("syncline.yaml"), &ProcessEnvironment);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.api_keys[0].key.expose(), SECRET);
}

/// A manifest that a user has written.
const THINGS: &str = r#"manifest: 1
provider: acme-things
title: Acme's things
connection: {example: https://things.example.com}
probe: {request: {get: /me}}
objects:
  things:
    list: {request: {get: /things}}
    by_id: {one: {request: {get: "/things/{id}"}}}
"#;

#[test]
fn manifests_of_a_directory_are_providers() {
    let directory = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).expect("a file is written");
    let text = "version: 1\nmanifests: .\nintegrations:\n  things: {provider: acme-things}\n";
    let read = || Config::parse(text, &directory.path().join("syncline.yaml"), &ProcessEnvironment);
    write("things.yaml", THINGS);
    write("notes.txt", "no manifest");
    let config = read().expect("a configuration");
    assert_eq!(config.integrations["things"].provider, "acme-things");
    assert!(config.manifests.names().contains(&"acme-things"));

    write("broken.yml", &THINGS.replace("title", "titel").replace("acme-things", "other"));
    let problems = read().expect_err("a manifest is broken").to_string();
    for part in ["broken.yml:3:1: unknown key `titel`", "did you mean `title`?", "`title` is missing"] {
        assert!(problems.contains(part), "{problems}");
    }
    let nowhere = text.replace("manifests: .", "manifests: ./nowhere");
    let problems = Config::parse(&nowhere, &directory.path().join("syncline.yaml"), &ProcessEnvironment);
    assert!(problems.expect_err("no directory").to_string().contains("nowhere cannot be read"));
}
