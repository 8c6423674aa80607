//! `syncline quarantine`: provider rows that could not be taken in, and trying them again; records whose documents are damaged.

use std::io;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use syncline_client::{At, Page, QuarantinedRecord, QuarantinedRow};

use super::{
    failure::Failure,
    output::{Item, Output, Tone},
    paging::Paging,
    records::more,
    target::Target,
};

/// The arguments of `quarantine`.
#[derive(Args)]
pub(crate) struct Quarantine {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List rows that could not be taken in, and records whose documents are damaged; `--json` also shows each row as it came.
    List {
        /// Only of this connection.
        #[arg(long, value_name = "CONNECTION")]
        connection: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Try to take a row in again.
    Replay {
        /// The row.
        id: i64,
    },
    /// Make an object that could be any of several records one of its own. To settle it otherwise: `syncline records link`.
    Separate {
        /// The row.
        id: i64,
    },
}

impl Quarantine {
    /// Does what the verb says.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let api = self.target.connect()?;
        match self.verb {
            Verb::List { connection, paging } => {
                let page = paging.collect(async |at: At| api.quarantine(connection.as_deref(), &at).await).await?;
                // The damaged records belong to no connection; they are few, and come with the first page.
                let first = connection.is_none() && paging.begins();
                let records =
                    if first { api.quarantined_records(&At::default().limit(1_000)).await?.items } else { Vec::new() };
                Ok(output.show(&Listed { page, records }, |output, listed| {
                    records_table(output, &listed.records)?;
                    table(output, &listed.page)
                })?)
            }
            Verb::Separate { id } => {
                let record = api.separate_quarantined(id).await?;
                Ok(output.show(&json!({"id": id, "record": record}), |output, _| {
                    output.line(format!("row {id} is record {record} now"))
                })?)
            }
            Verb::Replay { id } => {
                api.replay_quarantined(id).await?;
                Ok(output.show(&json!({"id": id}), |output, _| output.line(format!("row {id} is tried again")))?)
            }
        }
    }
}

/// What is listed.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    page: Page<QuarantinedRow>,
    records: Vec<QuarantinedRecord>,
}

fn records_table(output: Output, records: &[QuarantinedRecord]) -> io::Result<()> {
    if records.is_empty() {
        return Ok(());
    }
    let rows = records.iter().map(|record| {
        let (model, id) = (Item::text(&record.model), Item::text(record.id));
        vec![model, id, Item::text(&record.found_at).tone(Tone::Dim), Item::text(&record.reason).tone(Tone::Bad)]
    });
    output.table(&["model", "damaged record", "found", "why"], rows.collect(), "no record is damaged")
}

fn table(output: Output, page: &Page<QuarantinedRow>) -> io::Result<()> {
    let rows = page.items.iter().map(|row| {
        vec![
            Item::number(row.id),
            Item::text(&row.connection),
            Item::text(&row.object),
            Item::maybe(row.external_id.as_ref()),
            Item::number(row.attempts),
            Item::text(&row.last_at).tone(Tone::Dim),
            Item::text(&row.reason),
        ]
    });
    let head = ["row", "connection", "object", "id", "attempts", "last tried", "why"];
    output.table(&head, rows.collect(), "every row could be taken in")?;
    more(output, page.next_cursor.as_deref())
}
