//! `syncline records`: list, show and change records.

use std::io;

use clap::{Args, Subcommand};
use serde_json::Value as Json;
use syncline_client::{Api, At, HistoryEntry, Page, RebuiltRecord, Record, RecordId, RecordQuery};

use super::{
    erasures,
    failure::Failure,
    fields, identity,
    output::{Item, Output, Tone, plain},
    paging::Paging,
    target::Target,
    watch::Watch,
};

/// The most field columns of a list; a single record shows all of its fields.
const COLUMNS_MAX: usize = 6;

/// The arguments of `records`.
#[derive(Args)]
pub(crate) struct Records {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// List a model's records, in the order of their last change.
    List(List),
    /// Print changes as they come, with who wrote what.
    Watch(Watch),
    /// Show a record with who wrote each field.
    Get(Named),
    /// Create a record.
    Create {
        /// The model, such as `contact`.
        model: String,
        /// The fields, as name=value; the value is JSON or plain text.
        #[arg(required = true, value_name = "FIELD=VALUE", value_parser = fields::assignment)]
        fields: Vec<(String, Json)>,
        /// A key of your choice, unique for the record: a repeated call then makes no second one.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// Set fields of a record; null clears one.
    Set {
        #[command(flatten)]
        named: Named,
        /// The fields, as name=value; the value is JSON or plain text.
        #[arg(required = true, value_name = "FIELD=VALUE", value_parser = fields::assignment)]
        fields: Vec<(String, Json)>,
        /// Only if the record still has this version.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
    /// Delete a record.
    Delete {
        #[command(flatten)]
        named: Named,
        /// Only if the record still has this version.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<u64>,
    },
    /// Bring a deleted record back.
    Undelete(Named),
    /// Remove a person's data for good, with history, conflicts, documents and feed, and show what proves it. Backups keep theirs.
    Erase {
        #[command(flatten)]
        named: Named,
        /// Delete the objects in the connected systems first; the record is erased once they are gone.
        #[arg(long)]
        everywhere: bool,
        /// It cannot be taken back: say so.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// List receipts of erasures, newest first, or show one.
    Erasures {
        /// The erasure.
        erasure: Option<i64>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Let come back what an erasure keeps out.
    Readmit {
        /// The erasure.
        erasure: i64,
    },
    /// Show who wrote what and when, newest first.
    History {
        #[command(flatten)]
        named: Named,
        /// Only changes that wrote this field.
        #[arg(long, value_name = "FIELD")]
        field: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Make a record's damaged document again, as it was committed where that can be proved.
    Rebuild {
        #[command(flatten)]
        named: Named,
        /// Where it cannot be proved: begin a new history with the values that stand. Edits that were not merged yet are lost.
        #[arg(long)]
        from_values: bool,
    },
    /// Set a field to the value that an earlier change wrote.
    Restore {
        #[command(flatten)]
        named: Named,
        /// The field.
        field: String,
        /// The change, from the record's history.
        change: String,
    },
    #[command(flatten)]
    Identity(identity::Verb),
}

#[derive(Args)]
struct List {
    /// The model, such as `contact`.
    model: String,
    /// Only records whose field has this value; may be repeated.
    #[arg(long = "where", value_name = "FIELD=VALUE", value_parser = fields::equality)]
    filter: Vec<(String, String)>,
    /// Only records that changed at or after this time, such as 2026-05-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Also deleted records.
    #[arg(long)]
    deleted: bool,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Args)]
pub(super) struct Named {
    /// The model, such as `contact`.
    pub(super) model: String,
    /// The record's id.
    pub(super) id: RecordId,
}

impl Records {
    /// Does what the verb says.
    pub(crate) async fn run(self, output: Output) -> Result<(), Failure> {
        let api = self.target.connect()?;
        match self.verb {
            Verb::List(args) => args.run(&api, output).await,
            Verb::Watch(args) => args.run(&api, output).await,
            Verb::Get(named) => named.show(&api, output).await,
            Verb::Create { model, fields, idempotency_key } => {
                let fields = fields::collect(fields);
                let id = api.create_record(&model, &fields, idempotency_key.as_deref()).await?.meta.id;
                Named { model, id }.show(&api, output).await
            }
            Verb::Set { named, fields, if_version } => {
                api.update_record(&named.model, named.id, &fields::collect(fields), if_version).await?;
                named.show(&api, output).await
            }
            Verb::Delete { named, if_version } => {
                api.delete_record(&named.model, named.id, if_version).await?;
                named.show(&api, output).await
            }
            Verb::Identity(verb) => verb.run(&api, output).await,
            Verb::Undelete(named) => {
                api.undelete_record(&named.model, named.id).await?;
                named.show(&api, output).await
            }
            Verb::Erase { named, everywhere, yes: _ } => {
                let erasure = api.erase_record(&named.model, named.id, everywhere).await?;
                Ok(output.show(&erasure, erasures::receipt)?)
            }
            Verb::Erasures { erasure: Some(id), .. } => Ok(output.show(&api.erasure(id).await?, erasures::receipt)?),
            Verb::Erasures { erasure: None, paging } => {
                let page = paging.collect(async |at: At| api.erasures(&at).await).await?;
                Ok(output.show(&page, erasures::page)?)
            }
            Verb::Readmit { erasure } => Ok(output.show(&api.readmit_erased(erasure).await?, erasures::receipt)?),
            Verb::History { named: Named { model, id }, field, paging } => {
                let page =
                    paging.collect(async |at: At| api.record_history(&model, id, field.as_deref(), &at).await).await?;
                Ok(output.show(&page, history_table)?)
            }
            Verb::Rebuild { named: Named { model, id }, from_values } => {
                let rebuilt = api.rebuild_record(&model, id, from_values).await?;
                Ok(output.show(&rebuilt, |output, rebuilt| output.line(rebuilt_words(rebuilt)))?)
            }
            Verb::Restore { named, field, change } => {
                api.restore_field(&named.model, named.id, &field, &change).await?;
                named.show(&api, output).await
            }
        }
    }
}

impl Named {
    /// Shows the record as it is now.
    async fn show(&self, api: &Api, output: Output) -> Result<(), Failure> {
        Ok(output.show(&api.record(&self.model, self.id).await?, record)?)
    }
}

impl List {
    async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let query = RecordQuery {
            modified_since: self.since,
            include_deleted: self.deleted,
            origins: false,
            filter: self.filter.into_iter().collect(),
        };
        let page = self.paging.collect(async |at: At| api.list_records(&self.model, &query, &at).await).await?;
        Ok(output.show(&page, list_table)?)
    }
}

fn rebuilt_words(rebuilt: &RebuiltRecord) -> String {
    let record = rebuilt.record;
    match rebuilt.how.as_str() {
        "sound" => format!("the document of record {record} is sound"),
        "proved" => format!("the document of record {record} is what was committed again, to the last change"),
        _ => format!("the document of record {record} begins a new history with the values that stood"),
    }
}

fn list_table(output: Output, page: &Page<Record>) -> io::Result<()> {
    let mut columns: Vec<&str> = Vec::new();
    for name in page.items.iter().flat_map(|record| record.fields.keys()) {
        if columns.len() < COLUMNS_MAX && !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let head: Vec<&str> = ["id", "version", "changed"].into_iter().chain(columns.iter().copied()).collect();
    let rows = page.items.iter().map(|record| {
        let tone = if record.meta.deleted_at.is_some() { Tone::Dim } else { Tone::Plain };
        let mut row = vec![
            Item::text(record.meta.id).tone(tone),
            Item::number(record.meta.version).tone(tone),
            Item::text(&record.meta.last_modified_at).tone(Tone::Dim),
        ];
        row.extend(columns.iter().map(|name| Item::maybe(record.fields.get(*name).map(plain)).tone(tone)));
        row
    });
    output.table(&head, rows.collect(), "no records match")?;
    more(output, page.next_cursor.as_deref())
}

/// Says how to see the rest of a list.
pub(crate) fn more(output: Output, next: Option<&str>) -> io::Result<()> {
    match next {
        Some(cursor) => {
            output.line(Tone::Dim.paint(&format!("there are more: --cursor {cursor}, or --limit 0 for all")))
        }
        None => Ok(()),
    }
}

fn record(output: Output, record: &Record) -> io::Result<()> {
    let meta = &record.meta;
    let state = if meta.deleted_at.is_some() { Tone::Bad.paint("  deleted") } else { String::new() };
    output.line(format!("{} {}{state}", meta.model, meta.id))?;
    output.line(Tone::Dim.paint(&format!("version {}, changed {}", meta.version, meta.last_modified_at)))?;
    let origins = meta.origins.as_ref();
    let rows = record.fields.iter().map(|(name, value)| {
        let origin = origins.and_then(|origins| origins.get(name)).map(ToString::to_string);
        vec![Item::text(name).tone(Tone::Dim), Item::text(plain(value)), Item::maybe(origin).tone(Tone::Dim)]
    });
    output.table(&["field", "value", "written by"], rows.collect(), "the record has no fields")?;
    let rows = meta.external_ids.iter().map(|(connection, copy)| {
        let tone = if copy.state == "linked" { Tone::Good } else { Tone::Warn };
        let (object, id) = (Item::text(&copy.object), Item::maybe(copy.id.as_ref()));
        vec![Item::text(connection), object, id, Item::text(&copy.state).tone(tone)]
    });
    output.table(&["connection", "object", "id", "state"], rows.collect(), "it has no copies in connected systems")
}

fn history_table(output: Output, page: &Page<HistoryEntry>) -> io::Result<()> {
    let mut rows = Vec::new();
    for entry in &page.items {
        let head = || [Item::text(&entry.at).tone(Tone::Dim), Item::text(&entry.origin), Item::text(&entry.action)];
        if entry.fields.is_empty() {
            rows.push(
                head()
                    .into_iter()
                    .chain([
                        Item::maybe(None::<&str>),
                        Item::maybe(None::<&str>),
                        Item::text(&entry.change).tone(Tone::Dim),
                    ])
                    .collect(),
            );
        }
        for (name, written) in &entry.fields {
            let tail = [Item::text(name), Item::text(plain(&written.value)), Item::text(&entry.change).tone(Tone::Dim)];
            rows.push(head().into_iter().chain(tail).collect());
        }
    }
    output.table(&["at", "by", "action", "field", "value", "change"], rows, "nothing was written")?;
    more(output, page.next_cursor.as_deref())
}
