//! What is known of a table: its columns and their types, its keys, and how its changes are caught.

use std::collections::BTreeMap;

use sqlx::{FromRow, postgres::PgPool};
use syncline_core::{
    ids::ObjectName,
    remote::{ProviderError, Remedy},
};

use super::{errors, kind::Kind};

/// The table, found as a statement would find it.
const TABLE: &str = "
SELECT c.oid::int8 AS oid, n.nspname::text AS schema, c.relname::text AS name,
       row_security_active(c.oid) AS hides_rows,
       has_table_privilege(c.oid, 'INSERT') AS may_insert,
       COALESCE((SELECT array_agg(k.attnum ORDER BY k.place)
                 FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                 WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts), '{}') AS key,
       (SELECT count(*) FROM pg_trigger t
        WHERE t.tgrelid = c.oid AND t.tgname LIKE 'syncline\\_note\\_%' AND t.tgenabled IN ('O', 'A')) AS triggers,
       to_regclass('syncline.changes') IS NOT NULL AS has_log,
       EXISTS (SELECT FROM pg_replication_slots s
               WHERE s.slot_name = 'syncline_' || md5(current_database() || '.' || c.oid)
                 AND s.database = current_database()) AS has_slot,
       current_setting('track_commit_timestamp') = 'on' AS has_commit_times,
       'syncline_' || md5(current_database() || '.' || c.oid) AS slot
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p')";

/// Its columns, with the type below any domains.
const COLUMNS: &str = "
WITH RECURSIVE below AS (
    SELECT a.attnum, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT b.attnum, t.typbasetype, CASE WHEN b.modifier = -1 THEN t.typtypmod ELSE b.modifier END
    FROM below b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT a.attnum AS number, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS shown,
       format_type(a.atttypid, -1) AS plain, t.typname::text AS base, t.typcategory::text AS category,
       CASE WHEN t.typname IN ('varchar', 'bpchar') AND b.modifier > 4 THEN b.modifier - 4 END AS chars_max,
       a.attgenerated <> '' AS generated, a.attidentity = 'a' AS numbered,
       has_column_privilege(a.attrelid, a.attnum, 'INSERT, UPDATE') AS permitted,
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS options,
       col_description(a.attrelid, a.attnum) AS comment
FROM below b JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
JOIN pg_attribute a ON a.attrelid = $1::oid AND a.attnum = b.attnum
ORDER BY a.attnum";

/// Its unique indexes that hold for all rows, and the columns that each is about; and columns whose lower-case form is indexed.
const INDEXES: &str = "
SELECT c.relname::text AS name, i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AS is_unique,
       i.indisvalid AND i.indpred IS NULL AS usable,
       ARRAY(SELECT k.attnum FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
             WHERE k.place <= i.indnkeyatts ORDER BY k.place) AS columns,
       CASE WHEN i.indexprs IS NOT NULL THEN pg_get_indexdef(i.indexrelid, 1, true) END AS expression
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::oid";

/// Its other constraints and the columns that each is about.
const CONSTRAINTS: &str = "
SELECT conname::text AS name, COALESCE(conkey, '{}') AS columns FROM pg_constraint WHERE conrelid = $1::oid";

/// How a table's changes are caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// Nothing was installed for it.
    None,
    /// Its triggers note them in a table.
    Triggers,
    /// They are decoded from the database's own log; whether the server keeps the time of each commit.
    Decoding {
        /// Whether it does.
        commit_times: bool,
    },
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// Its number in this database, which it keeps when it is renamed.
    pub(super) oid: i64,
    /// Its name as statements have it.
    pub(super) name: String,
    /// Its columns in their order.
    pub(super) columns: Vec<Column>,
    /// The primary key's columns, by their places in `columns`; at least one.
    key: Vec<usize>,
    /// Columns of each unique index that holds for all rows, by the index's name.
    pub(super) unique: BTreeMap<String, Vec<String>>,
    /// Columns of every constraint and index, by its name.
    pub(super) about: BTreeMap<String, Vec<String>>,
    /// Columns whose lower-case form is indexed.
    pub(super) folded: Vec<String>,
    /// How its changes are caught.
    pub(super) capture: Capture,
    /// Whether rows may be there that our user is not shown.
    pub(super) hides_rows: bool,
    /// The name of its replication slot, where it has one.
    pub(super) slot: String,
}

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name.
    pub(super) name: String,
    /// Its type as people write it, with its bounds.
    pub(super) shown: String,
    /// Its type without bounds: a cast to it changes nothing silently.
    pub(super) plain: String,
    /// How its values are read and written.
    pub(super) kind: Kind,
    /// The longest text in characters.
    pub(super) chars_max: Option<u32>,
    /// Whether the database makes its values.
    pub(super) calculated: bool,
    /// Whether our user may write it.
    pub(super) permitted: bool,
    /// The values of an enum.
    pub(super) options: Vec<String>,
    /// What its owner says of it.
    pub(super) comment: Option<String>,
}

#[derive(FromRow)]
struct TableRow {
    oid: i64,
    schema: String,
    name: String,
    hides_rows: bool,
    may_insert: bool,
    key: Vec<i16>,
    triggers: i64,
    has_log: bool,
    has_slot: bool,
    has_commit_times: bool,
    slot: String,
}

#[derive(FromRow)]
struct ColumnRow {
    number: i16,
    name: String,
    shown: String,
    plain: String,
    base: String,
    category: String,
    chars_max: Option<i32>,
    generated: bool,
    numbered: bool,
    permitted: bool,
    options: Vec<String>,
    comment: Option<String>,
}

#[derive(FromRow)]
struct IndexRow {
    name: String,
    is_unique: bool,
    usable: bool,
    columns: Vec<i16>,
    expression: Option<String>,
}

/// How many triggers note a table's changes: one for each kind of statement.
pub(super) const TRIGGERS: i64 = 4;

impl Table {
    /// Looks a table up.
    pub(super) async fn read(pool: &PgPool, object: &ObjectName) -> Result<Self, ProviderError> {
        let failed = |error: sqlx::Error| errors::classify(&error);
        let row: Option<TableRow> =
            sqlx::query_as(TABLE).bind(spelled(object)).fetch_optional(pool).await.map_err(failed)?;
        let Some(row) = row else {
            return Err(configure(format!(
                "there is no table `{object}`, or it is hidden from our user: name it as `table` or `schema.table`, in its own \
                 letter case"
            )));
        };
        let columns: Vec<ColumnRow> = sqlx::query_as(COLUMNS).bind(row.oid).fetch_all(pool).await.map_err(failed)?;
        let indexes: Vec<IndexRow> = sqlx::query_as(INDEXES).bind(row.oid).fetch_all(pool).await.map_err(failed)?;
        let constraints: Vec<(String, Vec<i16>)> =
            sqlx::query_as(CONSTRAINTS).bind(row.oid).fetch_all(pool).await.map_err(failed)?;
        Self::of(object, row, columns, indexes, constraints)
    }

    fn of(
        object: &ObjectName,
        row: TableRow,
        columns: Vec<ColumnRow>,
        indexes: Vec<IndexRow>,
        constraints: Vec<(String, Vec<i16>)>,
    ) -> Result<Self, ProviderError> {
        let place = |number: &i16| columns.iter().position(|column| column.number == *number);
        let names = |numbers: &[i16]| -> Vec<String> {
            numbers.iter().filter_map(|number| Some(columns[place(number)?].name.clone())).collect()
        };
        let key: Vec<usize> = row.key.iter().filter_map(place).collect();
        if key.is_empty() {
            return Err(configure(format!(
                "table `{object}` has no primary key, by which its rows could be told apart: add one"
            )));
        }
        let unique = indexes.iter().filter(|index| index.is_unique && index.usable);
        let unique = unique.map(|index| (index.name.clone(), names(&index.columns))).collect();
        let mut about: BTreeMap<String, Vec<String>> =
            indexes.iter().map(|index| (index.name.clone(), names(&index.columns))).collect();
        about.extend(constraints.iter().map(|(name, numbers)| (name.clone(), names(numbers))));
        let is_folded = |column: &&ColumnRow| {
            let forms = ["", "::text"].map(|cast| {
                let name = if cast.is_empty() { plainly(&column.name) } else { format!("({})", plainly(&column.name)) };
                format!("lower({name}{cast})")
            });
            indexes.iter().any(|index| index.usable && index.expression.as_ref().is_some_and(|is| forms.contains(is)))
        };
        let folded = columns.iter().filter(is_folded).map(|column| column.name.clone()).collect();
        let capture = if row.has_slot {
            Capture::Decoding { commit_times: row.has_commit_times }
        } else if row.has_log && row.triggers == TRIGGERS {
            Capture::Triggers
        } else {
            Capture::None
        };
        Ok(Self {
            oid: row.oid,
            name: format!("{}.{}", quoted(&row.schema), quoted(&row.name)),
            columns: columns.into_iter().map(|column| Column::of(column, row.may_insert)).collect(),
            key,
            unique,
            about,
            folded,
            capture,
            hides_rows: row.hides_rows,
            slot: row.slot,
        })
    }

    /// The primary key's columns.
    pub(super) fn key(&self) -> impl ExactSizeIterator<Item = &Column> {
        self.key.iter().map(|place| &self.columns[*place])
    }

    /// Whether a column is part of the primary key.
    pub(super) fn is_key(&self, name: &str) -> bool {
        self.key().any(|column| column.name == name)
    }

    /// A column by its name. One that is gone is an error that says so, and never a blank.
    pub(super) fn column(&self, name: &str) -> Result<&Column, ProviderError> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            configure(format!("table {} has no column `{name}`: bring it back, or change the mapping", self.name))
        })
    }

    /// Whether a column alone tells rows apart.
    pub(super) fn is_unique(&self, name: &str) -> bool {
        self.unique.values().any(|columns| columns.len() == 1 && columns[0] == name)
    }
}

impl Column {
    fn of(row: ColumnRow, may_insert: bool) -> Self {
        let calculated = row.generated || row.numbered;
        Self {
            kind: Kind::of(&row.base, &row.category),
            chars_max: row.chars_max.and_then(|chars| u32::try_from(chars).ok()),
            calculated,
            permitted: row.permitted && may_insert,
            name: row.name,
            shown: row.shown,
            plain: row.plain,
            options: row.options,
            comment: row.comment,
        }
    }

    /// Whether values can be written to it at all.
    pub(super) fn is_writable(&self) -> bool {
        self.permitted && !self.calculated && self.kind != Kind::Bytes
    }
}

/// The object's name as a statement has it.
fn spelled(object: &ObjectName) -> String {
    object.as_str().splitn(2, '.').map(quoted).collect::<Vec<_>>().join(".")
}

/// A name in quotes, whatever it holds.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A name as the server itself prints it: in quotes only where it must be.
fn plainly(name: &str) -> String {
    let plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.chars().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == '_');
    if plain { name.to_owned() } else { quoted(name) }
}

fn configure(message: String) -> ProviderError {
    ProviderError { remedy: Remedy::Configure, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_quotes() {
        for (object, expected) in [
            ("contacts", r#""contacts""#),
            ("crm.Contacts", r#""crm"."Contacts""#),
            (r#"a"; DROP TABLE b; --"#, r#""a""; DROP TABLE b; --""#),
        ] {
            assert_eq!(spelled(&object.into()), expected);
        }
        assert_eq!((plainly("email"), plainly("Email")), ("email".to_owned(), "\"Email\"".to_owned()));
    }
}
