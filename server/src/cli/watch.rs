//! `syncline records watch`: changes as they come, with who wrote what.

use std::{collections::BTreeMap, io};

use clap::Args;
use syncline_client::{Action, Api, Change, ChangedField, Cursor, Event, Filter, Subscribe};

use super::{
    failure::Failure,
    fields,
    output::{Output, Tone, plain, tidy},
    signals,
};

/// The arguments of `records watch`.
#[derive(Args)]
pub(crate) struct Watch {
    /// The models; all where none is named.
    models: Vec<String>,
    /// Only records whose field has this value, before or after; may be repeated.
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = fields::assignment)]
    filter: Vec<(String, serde_json::Value)>,
    /// Begin after this place of the feed instead of now; 0 is before the first change.
    #[arg(long, value_name = "CURSOR")]
    after: Option<u64>,
}

impl Watch {
    /// Prints changes until the process is asked to end.
    pub(crate) async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let filter: BTreeMap<_, _> = self.filter.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let subscribe = Subscribe {
            models: self.models.into_iter().map(Into::into).collect(),
            filter: Filter(filter),
            cursor: self.after.map(Cursor),
            snapshot: false,
        };
        let mut live = api.live(subscribe).await?;
        let asked = signals::ended()?;
        tokio::pin!(asked);
        loop {
            let event = tokio::select! {
                event = live.next() => event?,
                () = &mut asked => return Ok(()),
            };
            show(output, &event)?;
        }
    }
}

fn show(output: Output, event: &Event) -> io::Result<()> {
    match event {
        Event::Change(change) => output.show(change, line),
        Event::Lost(reason) => note(&format!("the connection was lost and is made anew: {reason}")),
        Event::Resync(cursor) => {
            note(&format!("changes were left out before {}: list the records to see them", cursor.0))
        }
        Event::Subscribed(_) | Event::Snapshot(_) | Event::SnapshotEnd(_) => Ok(()),
    }
}

/// A remark beside the results, which go to standard output alone.
fn note(text: &str) -> io::Result<()> {
    anstream::eprintln!("{}", Tone::Warn.paint(&tidy(text)));
    Ok(())
}

fn line(output: Output, change: &Change) -> io::Result<()> {
    let event = &change.event;
    let (verb, tone) = match event.action {
        Action::Created => ("created", Tone::Good),
        Action::Updated => ("updated", Tone::Plain),
        Action::Deleted => ("deleted", Tone::Bad),
        Action::Restored => ("restored", Tone::Good),
        Action::Erased => ("erased", Tone::Bad),
    };
    let fields: Vec<String> = event.changed.iter().map(|changed| field(changed, change)).collect();
    output.line(format!(
        "{} {} {} {}  {}",
        Tone::Dim.paint(&format!("{:>6} {}", change.cursor.0, event.at.to_rfc3339())),
        event.model,
        event.record,
        tone.paint(verb),
        fields.join("  "),
    ))
}

fn field(changed: &ChangedField, change: &Change) -> String {
    let name = changed.field.as_str();
    let value = change.event.fields.get(name).map_or_else(|| plain(&serde_json::Value::Null), plain);
    let before = if changed.before.is_null() { String::new() } else { format!(", was {}", plain(&changed.before)) };
    let origin = Tone::Dim.paint(&tidy(&format!("({}{before})", changed.origin)));
    format!("{name}={} {origin}", tidy(&value))
}
