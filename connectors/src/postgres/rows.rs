//! Rows as every read shows them: the statement that asks for them, and the object that comes of each.

use serde_json::Value;
use sqlx::{PgExecutor, Row as _, postgres::PgRow};
use syncline_core::{
    ids::ExternalId,
    remote::{MalformedRow, ProviderError, Raw, Remedy, RemoteObject, RemoteVersion},
    time::Millis,
};

use super::{
    kind::Kind,
    table::{Capture, Column, Table, quoted},
};

/// Columns of an answer before those that were asked for: id, version, author.
const LEADING: usize = 3;

/// A table and the columns that are asked for.
pub(super) struct Shape<'a> {
    pub(super) table: &'a Table,
    columns: Vec<&'a Column>,
}

/// A row, or what is left of one that cannot be read.
pub(super) type Read = Result<RemoteObject, MalformedRow>;

impl<'a> Shape<'a> {
    /// The shape of a table with these columns.
    pub(super) fn new(table: &'a Table, fields: &[String]) -> Result<Self, ProviderError> {
        let columns = fields.iter().map(|field| table.column(field)).collect::<Result<Vec<_>, _>>()?;
        if let Some(bytes) = columns.iter().find(|column| column.kind == Kind::Bytes) {
            return Err(ProviderError {
                remedy: Remedy::Configure,
                message: format!(
                    "column `{}` holds bytes, which are not synced: take it out of the mapping",
                    bytes.name
                ),
            });
        }
        Ok(Self { table, columns })
    }

    /// What a statement selects, and from where; the table is `t`.
    pub(super) fn select(&self) -> String {
        let columns: String =
            self.columns.iter().map(|column| format!(", {}", column.kind.shown(&of_row(&column.name)))).collect();
        let (version, author, from) = version(self.table);
        let id = id(self.table);
        let name = &self.table.name;
        format!("SELECT {id}, {version}, {author}{columns} FROM {name} AS t {from}")
    }

    /// The object of a row.
    pub(super) fn read(&self, row: &PgRow) -> Result<Read, sqlx::Error> {
        let id = ExternalId::from(row.try_get::<String, _>(0)?);
        let version = row.try_get::<Option<i64>, _>(1)?.map(|ms| at(Millis(ms)));
        let mut fields = Raw::new();
        for (place, column) in self.columns.iter().enumerate() {
            let text: Option<&str> = row.try_get(place + LEADING)?;
            let value = text.map_or(Ok(Value::Null), |text| column.kind.read(text));
            match value {
                Ok(value) => drop(fields.insert(column.name.clone(), value)),
                Err(reason) => {
                    let reason = format!("column `{}`: {reason}", column.name);
                    return Ok(Err(MalformedRow { id: Some(id), reason, raw: Value::from(text) }));
                }
            }
        }
        let author = row.try_get(2)?;
        Ok(Ok(RemoteObject { author, ..object(id, false, version, fields) }))
    }
}

/// The rows with these keys, each a list of its columns' texts.
pub(super) async fn by_keys<'c>(
    executor: impl PgExecutor<'c>,
    shape: &Shape<'_>,
    keys: &[Vec<String>],
) -> Result<Vec<Read>, sqlx::Error> {
    let (from, condition) = keyed(shape.table);
    let statement = format!("{} JOIN {from} ON {condition}", shape.select());
    let mut query = sqlx::query(sqlx::AssertSqlSafe(statement));
    for place in 0..shape.table.key().len() {
        query = query.bind(keys.iter().map(|key| key[place].clone()).collect::<Vec<_>>());
    }
    query.fetch_all(executor).await?.iter().map(|row| shape.read(row)).collect()
}

/// A list of keys as a part of a statement, of which each column's values are a parameter, and how it meets the table.
pub(super) fn keyed(table: &Table) -> (String, String) {
    let parameters: Vec<String> = (1..=table.key().len()).map(|place| format!("${place}::text[]")).collect();
    let names: Vec<String> = (1..=table.key().len()).map(|place| format!("k{place}")).collect();
    let equal = |(column, name): (&Column, &String)| format!("{} = k.{name}::{}", of_row(&column.name), column.plain);
    let condition = table.key().zip(&names).map(equal).collect::<Vec<_>>().join(" AND ");
    (format!("unnest({}) AS k({})", parameters.join(", "), names.join(", ")), condition)
}

/// The columns' texts of an id; `None` where it is none of this table's.
pub(super) fn key_of(table: &Table, id: &ExternalId) -> Option<Vec<String>> {
    let texts = match table.key().len() {
        1 => vec![id.as_str().to_owned()],
        _ => serde_json::from_str(id.as_str()).ok()?,
    };
    let fits = |(column, text): (&Column, &String)| column.kind != Kind::Int || text.parse::<i64>().is_ok();
    (texts.len() == table.key().len() && table.key().zip(&texts).all(fits)).then_some(texts)
}

/// The expression of a row's id: the key's text, or a JSON array of the texts of several columns. Triggers note the same.
pub(super) fn id(table: &Table) -> String {
    let texts: Vec<String> = table.key().map(|column| format!("{}::text", of_row(&column.name))).collect();
    match texts.as_slice() {
        [only] => only.clone(),
        texts => format!("json_build_array({})::text", texts.join(", ")),
    }
}

/// The expressions of a row's version in milliseconds and of its author, and what they are taken from.
fn version(table: &Table) -> (String, &'static str, String) {
    match table.capture {
        Capture::None | Capture::Decoding { commit_times: false } => {
            ("NULL::int8".to_owned(), "NULL::text", String::new())
        }
        Capture::Decoding { commit_times: true } => {
            // The first three numbers of transactions are no transactions.
            let time = "CASE WHEN t.xmin::text::int8 > 2 THEN pg_xact_commit_timestamp(t.xmin) END";
            (milliseconds(time), "NULL::text", String::new())
        }
        Capture::Triggers => {
            let (oid, id) = (table.oid, id(table));
            let from = format!(
                "LEFT JOIN LATERAL (SELECT c.at, c.author FROM syncline.changes c \
                 WHERE c.object = {oid} AND c.id = {id} ORDER BY c.at DESC LIMIT 1) AS v ON true \
                 LEFT JOIN syncline.kept AS s ON s.object = {oid}"
            );
            (milliseconds("COALESCE(v.at, s.since)"), "v.author", from)
        }
    }
}

/// The expression of a time in whole milliseconds since 1970.
pub(super) fn milliseconds(time: &str) -> String {
    format!("floor(extract(epoch FROM {time}) * 1000)::int8")
}

/// The expression of a column of the table.
pub(super) fn of_row(column: &str) -> String {
    format!("t.{}", quoted(column))
}

/// A version of that time. No two states of a row have one: triggers see to it.
pub(super) const fn at(stamp: Millis) -> RemoteVersion {
    RemoteVersion { stamp, precision_ms: 1 }
}

/// An object with nothing but these parts.
pub(super) fn object(id: ExternalId, deleted: bool, version: Option<RemoteVersion>, fields: Raw) -> RemoteObject {
    RemoteObject { id, aliases: Vec::new(), deleted, version, author: None, fields, history: Default::default() }
}
