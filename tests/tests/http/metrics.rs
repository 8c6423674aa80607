//! Metrics: shown to the holder of their token alone, in a format that a strict reader takes, with every metric that the
//! documentation lists and no value of any record.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use axum::http::Method;
use syncline_core::{
    ids::ConnectionId,
    remote::{ProviderError, Remedy},
    time::Millis,
};
use syncline_server::store::syncs::{Phase, SyncState};

use crate::{
    harness::{ACME_KEY, Api, METRICS_TOKEN, OPERATOR_KEY},
    issues::{CANARY, furnish, record},
};

/// The page that lists the metrics, from this package's folder.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");

/// One metric as it was told.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    has_help: bool,
    /// Values by the rest of the sample's name and its labels, as they stand.
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

/// Reads the OpenMetrics text format, and takes nothing that its specification does not allow and we need not say.
fn read(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let body = text.strip_suffix("# EOF\n").expect("the text ends with its end mark");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (word, name, rest) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
            let is_new = current != name;
            assert!(!is_new || !families.contains_key(name), "the lines of {name} do not stand together");
            current = name.to_owned();
            let family = families.entry(current.clone()).or_default();
            assert!(family.samples.is_empty(), "a comment behind samples: {line}");
            match word {
                "HELP" => family.has_help = true,
                "TYPE" => family.kind = rest.to_owned(),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let family = families.get_mut(&current).unwrap_or_else(|| panic!("not announced: {line}"));
        let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} among those of {current}"));
        let suffixes: &[&str] = match family.kind.as_str() {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_sum", "_count", "_bucket"],
            other => panic!("{name} is of the type {other}"),
        };
        assert!(suffixes.contains(&suffix), "{line} is no sample of a {}", family.kind);
        let labels = read_labels(labels.strip_suffix('}').unwrap_or_else(|| panic!("open labels: {line}")));
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(family.kind != "counter" || value >= 0.0, "{line}");
        let before = family.samples.insert((suffix.to_owned(), labels), value);
        assert_eq!(before, None, "told twice: {line}");
    }
    families.values().filter(|family| family.kind == "histogram").for_each(check_buckets);
    families
}

fn read_labels(text: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {text}"));
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with("__");
        // No value of ours needs an escape, so the next quote ends it.
        let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("an open value: {text}"));
        assert!(is_name && !value.contains(['\\', '\n']), "{text}");
        assert_eq!(labels.insert(name.to_owned(), value.to_owned()), None, "a label twice: {text}");
        rest = after.strip_prefix(',').unwrap_or(after);
        assert!(after.is_empty() || after.starts_with(','), "{text}");
    }
    labels
}

/// Buckets grow, and the last one has everything.
fn check_buckets(family: &Family) {
    let edge = |labels: &BTreeMap<String, String>| match labels["le"].as_str() {
        "+Inf" => f64::INFINITY,
        text => text.parse().unwrap(),
    };
    let buckets = family.samples.iter().filter(|((suffix, _), _)| suffix == "_bucket");
    let mut buckets: Vec<(f64, f64)> = buckets.map(|((_, labels), number)| (edge(labels), *number)).collect();
    buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
    assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{buckets:?}");
    let all = family.samples[&("_count".to_owned(), BTreeMap::new())];
    assert_eq!(buckets.last(), Some(&(f64::INFINITY, all)));
}

impl Family {
    /// The value of the series that has these labels, and no others.
    fn value(&self, labels: &[(&str, &str)]) -> f64 {
        let labels: BTreeMap<_, _> =
            labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let found = self.samples.iter().find(|((suffix, known), _)| *known == labels && !suffix.ends_with("_sum"));
        *found.unwrap_or_else(|| panic!("no {labels:?} in {self:?}")).1
    }

    fn labels(&self) -> BTreeSet<&str> {
        let names = self.samples.keys().flat_map(|(_, labels)| labels.keys());
        names.map(String::as_str).filter(|name| *name != "le").collect()
    }
}

/// The metrics of the documentation: name, type and labels, as its table has them.
fn documented() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let page = fs::read_to_string(PAGE).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `syncline_") || line.starts_with("| `process_"));
    rows.map(|row| {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let mut cell = || cells.next().unwrap_or_else(|| panic!("{row}"));
        let (name, kind, labels) = (cell(), cell(), cell());
        let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned());
        let name = name.trim_matches('`').trim_end_matches("_total").to_owned();
        (name, (kind.to_owned(), labels.filter(|label| !label.is_empty()).collect()))
    })
    .collect()
}

/// One of everything that metrics tell of.
async fn stir(api: &Api) {
    furnish(api).await;
    let who = Api::acme();
    let store = api.store.tenant(&who.tenant);
    let mut side = SyncState::new("contacts", "acme-crm".into());
    (side.phase, side.last_success_at) = (Phase::Live, Some(Millis(0)));
    store.put_sync_state(&side).await.unwrap();
    let instruments = api.metrics.instruments();
    let crm = ConnectionId::new("acme-crm");
    let wait = Remedy::Wait { after_ms: None, budget: CANARY.into() };
    instruments.called(&crm, None);
    instruments.called(&crm, Some(&ProviderError { remedy: wait, message: CANARY.into() }));
    instruments.waited(&crm, Duration::from_millis(1_500));
    instruments.committed(Duration::from_millis(3));
    // The second brings nothing new, and the third comes for a connection that there is not.
    for (path, body) in [("acme-crm", "[]"), ("acme-crm", ""), (CANARY, "[]")] {
        api.ask(Method::POST, &format!("/v1/webhooks/{path}")).raw("application/json", body).send().await;
    }
}

#[tokio::test]
async fn metrics_are_for_whoever_has_their_token_and_no_api_key() {
    let api = Api::start().await;
    for token in [None, Some(""), Some("metrics-token"), Some(ACME_KEY), Some(OPERATOR_KEY)] {
        let (reply, _) = api.scrape(token).await;
        reply.refused(401, "server.metrics_token");
    }
    let (reply, _) = api.scrape(Some(METRICS_TOKEN)).await;
    assert_eq!((reply.status.as_u16(), &reply.headers["cache-control"]), (200, &"no-store".parse().unwrap()));
    assert_eq!(reply.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    api.get("/v1/issues").await;
    let of_records = api.ask(Method::GET, "/v1/issues").header("authorization", &format!("Bearer {METRICS_TOKEN}"));
    of_records.send().await.refused(401, "API key");

    let closed = Api::without_metrics_token().await;
    for token in [None, Some(""), Some(METRICS_TOKEN), Some(OPERATOR_KEY)] {
        closed.scrape(token).await.0.refused(404, "server.metrics_token");
    }
}

#[tokio::test]
async fn every_documented_metric_is_told_and_no_value_of_a_record() {
    let api = Api::start().await;
    stir(&api).await;
    let (_, text) = api.scrape(Some(METRICS_TOKEN)).await;
    let told = read(&text);
    assert!(!text.contains(CANARY), "{text}");
    for number in 1..8 {
        assert!(!text.contains(&record(number).to_string()), "a record's id is a label");
    }
    let shapes = |name: &String, family: &Family| {
        assert!(family.has_help, "{name} is not explained");
        let labels = family.labels().into_iter().map(str::to_owned).collect();
        (name.clone(), (family.kind.clone(), labels))
    };
    let shown: BTreeMap<_, _> = told.iter().map(|(name, family)| shapes(name, family)).collect();
    assert_eq!(shown, documented(), "docs/operations.md lists other metrics than there are");

    let crm = ("connection", "acme-crm");
    for (name, labels, expected) in [
        ("issues", vec![("kind", "delivery_parked"), crm], 1.0),
        ("issues", vec![("kind", "delivery_parked"), ("connection", "globex-crm")], 0.0),
        ("issues", vec![("kind", "authorization_revoked"), ("connection", "acme-desk")], 1.0),
        ("issues", vec![("kind", "deletes_held"), crm], 1.0),
        ("issues", vec![("kind", "deletes_held"), ("connection", "(none)")], 0.0),
        ("issues", vec![("kind", "document_damaged"), ("connection", "(none)")], 1.0),
        ("deliveries", vec![("standing", "due"), crm], 3.0),
        ("deliveries", vec![("standing", "waiting"), crm], 0.0),
        ("deliveries", vec![("standing", "parked"), crm], 1.0),
        ("quarantined_rows", vec![("cause", "ambiguous"), crm], 1.0),
        ("held_deletes", vec![("sync", "contacts"), ("source", "acme-crm"), ("standing", "waits")], 1.0),
        ("damaged_documents", vec![], 1.0),
        ("conflicts_open", vec![], 0.0),
        ("feed_head", vec![], 7.0),
        ("live_sockets", vec![], 0.0),
        ("document_sockets", vec![], 0.0),
        ("provider_calls", vec![("outcome", "ok"), crm], 1.0),
        ("provider_calls", vec![("outcome", "rate_limited"), crm], 1.0),
        ("budget_wait_seconds", vec![crm], 1.5),
        ("intake_commit_duration_seconds", vec![], 1.0),
        ("webhooks", vec![("outcome", "received"), crm], 1.0),
        ("webhooks", vec![("outcome", "duplicate"), crm], 1.0),
        ("webhooks", vec![("outcome", "received"), ("connection", "(unknown)")], 1.0),
        ("client_changes_refused", vec![], 0.0),
        ("build_info", vec![("version", "1.2.3")], 1.0),
    ] {
        assert_eq!(told[&format!("syncline_{name}")].value(&labels), expected, "{name} {labels:?}");
    }
    for (name, labels) in [
        ("delivery_oldest_due_seconds", vec![crm]),
        ("read_lag_seconds", vec![("sync", "contacts"), crm]),
        ("store_bytes", vec![("part", "database")]),
    ] {
        assert!(told[&format!("syncline_{name}")].value(&labels) > 0.0, "{name}");
    }
}
