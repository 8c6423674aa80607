//! `syncline demo`: the main job in one command, and a verdict on it.

use std::{collections::BTreeMap, io};

use clap::Args;
use serde_json::Value as Json;
use syncline_client::Change;

use super::{
    failure::Failure,
    faults::Faults,
    logging::{self, LogFormat},
    output::{Item, Output, Tone, plain, tidy},
    progress::Progress,
    signals,
};
use crate::demo::{Demo, DemoError, Report, Settings};

/// Merged changes that are shown while the writers are at work; the others are counted.
const SHOWN_MAX: usize = 40;
/// Letters of a value that are shown.
const VALUE_LETTERS_MAX: usize = 28;

/// The arguments of `demo`.
#[derive(Args)]
pub(crate) struct DemoArgs {
    /// Contacts in each account; six of ten are in both.
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u64).range(20..=1_000_000))]
    contacts: u64,
    /// Everything that is drawn follows from it.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// How often things go wrong.
    #[arg(long, value_enum, default_value_t = Faults::Usual)]
    faults: Faults,
    /// End after the verdict, with exit code 0 only where everything holds.
    #[arg(long)]
    once: bool,
}

impl From<DemoError> for Failure {
    fn from(error: DemoError) -> Self {
        Self::said(error.to_string())
    }
}

impl DemoArgs {
    /// Runs the demo, until its verdict with `--once`, else until the process is asked to end.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        if std::env::var_os("SYNCLINE_LOG").is_some() {
            logging::start(LogFormat::Text);
        }
        let settings = Settings { contacts: self.contacts, seed: self.seed, faults: self.faults.into(), flaw: None };
        let demo = Demo::start(settings).await?;
        let asked = signals::ended()?;
        let ended = tokio::select! {
            ended = self.on(&demo, output) => ended,
            () = asked => Ok(()),
        };
        demo.stop().await?;
        ended
    }

    async fn on(&self, demo: &Demo, output: Output) -> Result<(), Failure> {
        let invitation = demo.invitation().await?;
        output.show(&invitation, addresses)?;
        let mut progress = Progress::new(output);
        let linked =
            demo.link(|standing| progress.show("reading both accounts", standing.read, Some(standing.expected))).await;
        progress.finish();
        let linked = linked?;
        let mut stage_light = Light { output, left: if output.is_json() { 0 } else { SHOWN_MAX }, hidden: 0 };
        stage_light.say(&format!("{} records are linked. Now three writers edit at once:", linked.records))?;
        let report = demo.perform(&linked, |change| stage_light.show(change)).await?;
        stage_light
            .say(&format!("… and {} more changes. It is quiet now; all three sides were read:", stage_light.hidden))?;
        if output.is_json() {
            if self.once {
                output.json(&report)?;
            }
        } else {
            summary(output, &report)?;
            addresses(output, &invitation)?;
        }
        if self.once {
            return if report.ok { Ok(()) } else { Err(Failure::Reported) };
        }
        stage_light.say("It runs on until Ctrl-C, and shows what you change.")?;
        stage_light.left = if output.is_json() { 0 } else { usize::MAX };
        demo.stay(|change| stage_light.show(change)).await?;
        Ok(())
    }
}

/// Shows a bounded sample of the merged changes to people.
struct Light {
    output: Output,
    left: usize,
    hidden: usize,
}

impl Light {
    fn say(&self, text: &str) -> io::Result<()> {
        if self.output.is_json() { Ok(()) } else { self.output.line(Tone::Good.paint(text)) }
    }

    fn show(&mut self, change: &Change) {
        if self.left == 0 {
            self.hidden += 1;
            return;
        }
        self.left -= 1;
        // A terminal that is gone is noticed by the next line that matters.
        let _ = self.output.line(line(change));
    }
}

/// A change on one line: who, what happened, and each new value with its origin.
fn line(change: &Change) -> String {
    let event = &change.event;
    let name = |field: &str| event.fields.get(field).and_then(Json::as_str).unwrap_or_default();
    let who = tidy(format!("{} {}", name("first_name"), name("last_name")).trim());
    let mut by_origin: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for changed in &event.changed {
        let value = event.fields.get(changed.field.as_str()).unwrap_or(&Json::Null);
        let shown = format!("{} = {}", changed.field, shortened(&plain(value)));
        by_origin.entry(changed.origin.to_string()).or_default().push(shown);
    }
    let action = plain(&serde_json::to_value(event.action).unwrap_or_default());
    let parts = by_origin.into_iter().map(|(origin, values)| {
        let more = values.len().saturating_sub(3);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(
            "{}{more} {}",
            values.into_iter().take(3).collect::<Vec<_>>().join(", "),
            Tone::Dim.paint(&format!("← {origin}"))
        )
    });
    format!("{:>6} {action:8} {who:24} {}", change.cursor.0, parts.collect::<Vec<_>>().join("; "))
}

fn shortened(text: &str) -> String {
    let text = tidy(text);
    match text.char_indices().nth(VALUE_LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn addresses(output: Output, facts: &Json) -> io::Result<()> {
    let facts = facts.as_object().into_iter().flatten();
    let rows = facts.map(|(name, value)| vec![Item::text(name).tone(Tone::Dim), Item::text(plain(value))]);
    output.table(&["what", "address or key"], rows.collect(), "")
}

fn summary(output: Output, report: &Report) -> io::Result<()> {
    let verdict = &report.verdict;
    let must_be =
        |count: u64, wanted: u64| Item::number(count).tone(if count == wanted { Tone::Good } else { Tone::Bad });
    let row = |name: &str, item: Item, note: &str| vec![Item::text(name), item, Item::text(note).tone(Tone::Dim)];
    let mut rows = vec![
        row(
            "records linked",
            must_be(report.linked, report.linked_expected),
            "both accounts, people in both counted once",
        ),
        row("records now", Item::number(report.records), "after creates and deletes"),
        row("merged changes", Item::number(report.merges), "heard by the live subscriber, in order and without a gap"),
        row("conflicts kept", Item::number(report.conflicts), "values that lost; each can be overturned"),
        row("echoes dropped", Item::number(report.echoes), "readings of what is known already"),
        row("writes sent", Item::number(report.writes), ""),
        row(
            "edits made offline",
            Item::number(report.offline),
            "by a client that was cut off, and restarted meanwhile",
        ),
        row(
            "histories begun anew",
            Item::number(report.epochs),
            "a record's old document is sealed, and followed or not",
        ),
        row("edits judged", Item::number(verdict.edits), "by users of both platforms and by the product"),
        row("differences", must_be(verdict.differences, 0), "between the three sides, field for field"),
        row("redundant writes", must_be(verdict.redundant, 0), ""),
        row("duplicates", must_be(verdict.duplicates, 0), ""),
        row("lost edits", must_be(verdict.lost, 0), ""),
    ];
    if report.restarts > 0 {
        rows.push(row("restarts", Item::number(report.restarts), "of the service, in the midst of it all"));
        rows.push(row("deletes at once", Item::number(report.vanished), "by one user of an account"));
        rows.push(row("of them held back", Item::number(report.held), "until a person refused them"));
    }
    for blind in &verdict.blind {
        let item = if blind.avoidable { must_be(blind.edits, 0) } else { Item::number(blind.edits) };
        rows.push(row(&format!("blind in {}", blind.account), item, &blind.reason));
    }
    output.table(&["what", "count", ""], rows, "")?;
    let faults = report.faults.iter().map(|struck| {
        let item = Item::number(struck.fired).tone(if struck.fired == 0 { Tone::Bad } else { Tone::Plain });
        vec![Item::text(&struck.fault), item, Item::text(&struck.provider).tone(Tone::Dim)]
    });
    output.table(&["fault", "struck", "in"], faults.collect(), "no faults were on")?;
    for complaint in report.complaints() {
        output.line(format!("{} {}", Tone::Bad.paint("✗"), tidy(&complaint)))?;
    }
    let seconds = format!("{:.1} s, linked after {:.1} s", report.seconds, report.linked_after_s);
    let verdict =
        if report.ok { Tone::Good.paint("Everything holds") } else { Tone::Bad.paint("Not everything holds") };
    output.line(format!("{verdict} ({seconds})."))
}
