//! `docs/benchmarks.md` and its plots, from the kept results.

use super::{
    plot::Chart,
    results::{Measure, Results},
};

const HEAD: &str = "\
# Benchmarks

Written by `cargo xtask bench`; do not edit. Numbers are compared with floors that are measured in the same run and on
the same disk, because absolute times say more about a machine than about a program. `docs/benchmarks/floors.json` keeps
the floors' absolute times: a run whose floor is more than 25 % slower than there is reported as a broken measurement
and changes nothing here.

Contacts have 20 fields; every commit uses `synchronous=FULL`.
";

const METHOD: &str = "\
## How it is measured

* **Backfill**: parsed rows of a first account, 500 in a transaction, until they are durably committed: matching,
  document, journal, replicas, links, match keys and the feed. The floor makes an Automerge document of the same fields
  by one batch initialisation, saves it and inserts its bytes into a table of one index, 128 rows in a statement, 500 in a
  transaction. Both take turns; the ratio is the median of ten rounds. *Linking* is the second account of the same
  contacts, each found by its e-mail address.
* **Growth**: the time of 10 times the records, in a store of its own, against the median of three small runs.
* **One change**: a parsed reading with one changed field of a record that both accounts have, until it is durably
  committed. Nothing of the record is in memory. The floor reads the document from its table, loads it, puts the value
  and inserts what `save_after` gives, in a transaction. Medians of 1,800 changes that take turns.
* **History**: one record of 20 fields, edited 100,000 times by a client of the API, 160 edits in a transaction; after each it is loaded
  from the store and decoded. It begins anew whenever it has more than 1,000 changes.
* **Live**: from sending an edit to `/v1/records` until its frame is read at each WebSocket; the commit is in between.
* **Clients' changes**: from a client's sending a change over `/v1/repo` until the others who have the document open have read it; vetting, merging and the
  commit are in between, and everybody acknowledges. The bare fan-out is a process that hands frames on and does nothing else.
  Sockets and editor share one process, the server is another, and both share the machine's processors.
* **Webhooks**: 32 callers push signed deliveries of 10 events each, 4,000 in all, each caller the next when its last was answered;
  meanwhile the server looks at what they speak of. The floor is the median of one row committed by itself.
* **Memory**: what the system says that the server process holds while it backfills over HTTP from the sandbox, which is
  a process of its own.
";

/// The rows of the table: what is said of which measure.
const ROWS: [(&str, &str); 46] = [
    ("intake/ratio", "Backfill of a new record, against Automerge and SQLite alone"),
    ("intake/time", "Backfill of a new record"),
    ("intake/link", "Linking a record of the second account"),
    ("growth/time", "Time of 10 times the records"),
    ("change/ratio", "One changed field, cold, against Automerge and SQLite alone"),
    ("change/time", "One changed field, cold"),
    ("change/late", "One changed field, cold, the slowest of a hundred"),
    ("history/bytes", "A record edited 100,000 times: its longest saved document"),
    ("history/load", "The same: a load, cold, decoded"),
    ("history/late load", "The same: the slowest load of a hundred"),
    ("history/edit", "The same: an edit, 160 in a commit"),
    ("live/1/p50", "Edit to 1 subscriber, median"),
    ("live/1/p99", "Edit to 1 subscriber, p99"),
    ("live/100/p50", "Edit to each of 100 subscribers, median"),
    ("live/100/p99", "Edit to each of 100 subscribers, p99"),
    ("live/100/processor", "Server's processor per delivery, 100 subscribers"),
    ("live/1000/p50", "Edit to each of 1,000 subscribers, median"),
    ("live/1000/p99", "Edit to each of 1,000 subscribers, p99"),
    ("live/1000/processor", "Server's processor per delivery, 1,000 subscribers"),
    ("repo/1/p50", "A client's change to the 1 other client, median"),
    ("repo/1/p99", "A client's change to the 1 other client, p99"),
    ("repo/10/p50", "A client's change to each of 10 clients, median"),
    ("repo/10/p99", "A client's change to each of 10 clients, p99"),
    ("repo/100/p50", "A client's change to each of 100 clients, median"),
    ("repo/100/p99", "A client's change to each of 100 clients, p99"),
    ("repo/100/bare p99", "A bare fan-out to 100 sockets, p99"),
    ("repo/100/ratio", "The same p99 against a bare fan-out"),
    ("repo/100/processor", "Server's processor per delivery, 100 clients"),
    ("repo/1000/p50", "A client's change to each of 1,000 clients, median"),
    ("repo/1000/p99", "A client's change to each of 1,000 clients, p99"),
    ("repo/1000/bare p99", "A bare fan-out to 1,000 sockets, p99"),
    ("repo/1000/ratio", "The same p99 against a bare fan-out"),
    ("repo/1000/processor", "Server's processor per delivery, 1,000 clients"),
    ("repo/10000/p50", "A client's change to each of 10,000 clients, median"),
    ("repo/10000/p99", "A client's change to each of 10,000 clients, p99"),
    ("repo/10000/ratio", "The same p99 against a bare fan-out"),
    ("repo/10000/processor", "Server's processor per delivery, 10,000 clients"),
    ("repo/return of 1000/processor", "A client with 1,000 documents comes back, in sync: server's processor"),
    ("repo/10000 idle/memory", "Memory of an idle connection, of 10,000"),
    ("webhooks/p50", "A webhook of 10 events until it is answered, 32 at once, median"),
    ("webhooks/p99", "The same, p99"),
    ("webhooks/ratio", "The same p99 against a bare commit"),
    ("webhooks/rate", "Webhooks taken in"),
    ("memory/contacts", "Contacts backfilled while memory was watched"),
    ("memory/peak", "Most memory of the server during that backfill"),
    ("memory/growth", "Memory later in that backfill"),
];

/// The page.
pub(crate) fn page(results: &Results) -> String {
    let mut page = format!("{HEAD}\nMachine: {}.", results.machine);
    if let Some(load) = results.load {
        page.push_str(&format!(
            " Its load average when the last run began was {load}; where that is more than it has processors, other work \
             took part of them, and times, above all the late ones, are longer than the service's own."
        ));
    }
    page.push_str("\n\n");
    page.push_str("| what | measured | target | date |\n|---|---|---|---|\n");
    for (name, what) in ROWS {
        if let Some(measure) = results.measures.get(name) {
            page.push_str(&row(what, measure));
        }
    }
    for (name, us) in &results.floors {
        page.push_str(&format!("| Floor of `{name}` | {us:.1} µs | | |\n"));
    }
    page.push('\n');
    for (file, title, _) in plots(results) {
        page.push_str(&format!("![{title}](benchmarks/{file})\n\n"));
    }
    page.push_str(METHOD);
    page
}

fn row(what: &str, measure: &Measure) -> String {
    let target = match (measure.at_most, measure.kept()) {
        (None, _) => String::new(),
        (Some(bound), true) => format!("≤ {bound}"),
        (Some(bound), false) => format!("≤ {bound}, **missed**"),
    };
    format!("| {what} | {} {} | {target} | {} |\n", measure.shown(), measure.unit, measure.date)
}

/// The plots of the curves that have been measured: file name, title, SVG.
pub(crate) fn plots(results: &Results) -> Vec<(&'static str, &'static str, String)> {
    let curves = [
        ("growth.svg", "intake/growth", "microseconds per record of a backfill", "records in the store", None),
        (
            "memory.svg",
            "memory/resident",
            "megabytes that the server holds during a backfill (dashed: target)",
            "contacts read",
            Some(300.0),
        ),
    ];
    let plot = |(file, name, title, across, bound)| {
        let points: &[(f64, f64)] = results.series.get(name)?;
        Some((file, title, Chart { title, across, points, bound }.svg()))
    };
    curves.into_iter().filter_map(plot).collect()
}
