//! `syncline records link`, `unlink`, `merge`, `split` and `undo`: which object is which record.

use std::io;

use clap::Subcommand;
use syncline_client::{Api, At, IdentityChanged, IdentityOperation, Page, RecordId, RecordLink};

use super::{
    failure::Failure,
    output::{Item, Output, Tone},
    paging::Paging,
    records::{Named, more},
};

/// The verbs of `records` that are about identity.
#[derive(Subcommand)]
pub(super) enum Verb {
    /// Show which objects a record is linked to.
    Links(Named),
    /// Link a record to an object; where they differ, the fields' policies choose, and what loses is kept.
    Link {
        #[command(flatten)]
        named: Named,
        /// The connection.
        connection: String,
        /// The provider's id of the object.
        object: String,
    },
    /// Let go of a record's object, which lives on by itself.
    Unlink {
        #[command(flatten)]
        named: Named,
        /// The connection.
        connection: String,
    },
    /// Merge another record into this one.
    Merge {
        #[command(flatten)]
        named: Named,
        /// The record that is the same, and is no more afterwards.
        other: RecordId,
    },
    /// Make a record's object a record of its own.
    Split {
        #[command(flatten)]
        named: Named,
        /// The connection whose object it is.
        connection: String,
    },
    /// List what was linked, unlinked, merged and split, newest first.
    Operations {
        /// Only what concerns this record.
        #[arg(long, value_name = "ID")]
        record: Option<RecordId>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Take a link, unlink, merge or split back; what was edited since stays.
    Undo {
        /// The operation, from `operations`.
        operation: u64,
    },
}

impl Verb {
    /// Does what the verb says.
    pub(super) async fn run(self, api: &Api, output: Output) -> Result<(), Failure> {
        let changed = match self {
            Self::Links(Named { model, id }) => {
                let links = api.record_links(&model, id).await?;
                return Ok(output.show(&links, |output, links| link_table(output, links))?);
            }
            Self::Operations { record, paging } => {
                let page = paging.collect(async |at: At| api.identity_operations(record, &at).await).await?;
                return Ok(output.show(&page, operation_table)?);
            }
            Self::Undo { operation } => {
                let undone = api.undo_identity_operation(operation).await?;
                let line = format!("operation {} ({}) is taken back", undone.id, undone.verb);
                return Ok(output.show(&undone, |output, _| output.line(line))?);
            }
            Self::Link { named: Named { model, id }, connection, object } => {
                api.link_record(&model, id, &connection, &object).await?
            }
            Self::Unlink { named: Named { model, id }, connection } => {
                api.unlink_record(&model, id, &connection).await?
            }
            Self::Merge { named: Named { model, id }, other } => api.merge_records(&model, id, other).await?,
            Self::Split { named: Named { model, id }, connection } => api.split_record(&model, id, &connection).await?,
        };
        Ok(output.show(&changed, changes)?)
    }
}

fn changes(output: Output, changed: &IdentityChanged) -> io::Result<()> {
    match &changed.operation {
        None => output.line("it was so already")?,
        Some(operation) => {
            let id = operation.id;
            output.line(format!("{}: `syncline records undo {id}` takes it back", sentence(operation)))?;
            for object in operation.objects.iter().filter(|object| object.fate == "duplicate") {
                let (id, connection) = (&object.external_id, &object.connection);
                output.line(format!("object {id} of {connection} is a second one of the same: merge the two there"))?;
            }
        }
    }
    link_table(output, &changed.links)
}

fn sentence(operation: &IdentityOperation) -> String {
    let record = operation.record;
    let object = operation.objects.first().map(|object| format!("{} of {}", object.external_id, object.connection));
    let (object, other) = (object.unwrap_or_default(), operation.other.map(|id| id.to_string()).unwrap_or_default());
    match operation.verb.as_str() {
        "link" => format!("record {record} is linked to object {object}"),
        "unlink" => format!("record {record} has let go of object {object}"),
        "merge" => format!("record {other} went into record {record}"),
        "split" => format!("object {object} left record {record} and is record {other}"),
        verb => format!("{verb} of record {record}"),
    }
}

fn link_table(output: Output, links: &[RecordLink]) -> io::Result<()> {
    let rows = links.iter().map(|link| {
        vec![
            Item::text(&link.connection),
            Item::text(&link.object),
            Item::maybe(link.external_id.as_ref()),
            Item::text(&link.state),
        ]
    });
    output.table(&["connection", "object", "id", "state"], rows.collect(), "no connection takes part")
}

fn operation_table(output: Output, page: &Page<IdentityOperation>) -> io::Result<()> {
    let rows = page.items.iter().map(|operation| {
        vec![
            Item::number(operation.id),
            Item::text(&operation.at).tone(Tone::Dim),
            Item::text(&operation.by),
            Item::text(sentence(operation)),
            Item::maybe(operation.undone.as_ref().map(|undone| format!("{} at {}", undone.by, undone.at))),
        ]
    });
    output.table(&["operation", "at", "by", "what", "undone by"], rows.collect(), "nothing was decided by hand")?;
    more(output, page.next_cursor.as_deref())
}
