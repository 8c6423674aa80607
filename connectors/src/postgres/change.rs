//! The statements that change a row, each with its values as parameters.

use serde_json::{Map, Value};
use sqlx::{
    AssertSqlSafe, PgConnection, Postgres, Row as _,
    postgres::{PgArguments, PgPool},
    query::Query,
};
use syncline_core::{
    ids::ExternalId,
    remote::{Key, Raw, Refusal},
};

use super::{
    kind::Kind,
    rows,
    table::{Column, Table, quoted},
};

/// Columns and their new values.
pub(super) struct Change<'a> {
    sets: Vec<Set<'a>>,
    parameters: Vec<Option<String>>,
}

/// A column and the expression of its value.
struct Set<'a> {
    column: &'a Column,
    expression: String,
}

impl<'a> Change<'a> {
    /// The change that a body asks for. What cannot be written is refused before anything is sent, with its field.
    pub(super) fn new(table: &'a Table, body: &Raw, creates: bool) -> Result<Self, Refusal> {
        let mut change = Self { sets: Vec::new(), parameters: Vec::new() };
        for (field, value) in body {
            let column = table.column(field).map_err(|error| refused("undefined_column", error.message, field))?;
            if !column.is_writable() {
                let why = if column.calculated { "the database makes its values" } else { "our user may not write it" };
                return Err(refused("not_writable", format!("column `{field}` cannot be written: {why}"), field));
            }
            if !creates && table.is_key(field) {
                let message =
                    format!("column `{field}` is part of the key, by which the row is known, and is not changed");
                return Err(refused("primary_key", message, field));
            }
            if let (Some(max), Value::String(text)) = (column.chars_max, value)
                && text.chars().count() > max as usize
            {
                return Err(refused("22001", format!("column `{field}` takes {max} characters"), field));
            }
            let expression = match value {
                // What a mapping puts into an object stands beside what is there.
                Value::Object(parts) if column.kind == Kind::Json && !creates => {
                    let own = format!("{}::jsonb", rows::of_row(field));
                    format!("({})::{}", change.merged(&own, parts), column.plain)
                }
                value => change.made(column.kind, &column.plain, value),
            };
            change.sets.push(Set { column, expression });
        }
        Ok(change)
    }

    /// Whether nothing is to be changed.
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    fn made(&mut self, kind: Kind, plain: &str, value: &Value) -> String {
        self.parameters.push(kind.written(value));
        kind.made(&format!("${}", self.parameters.len()), plain)
    }

    /// An object with these parts put into it, each where it stands.
    fn merged(&mut self, own: &str, parts: &Map<String, Value>) -> String {
        let whole = format!("(CASE WHEN jsonb_typeof({own}) = 'object' THEN {own} ELSE '{{}}'::jsonb END)");
        let mut built = whole;
        for (name, value) in parts {
            self.parameters.push(Some(name.clone()));
            let name = format!("${}::text", self.parameters.len());
            let part = match value {
                Value::Object(below) => self.merged(&format!("({own} -> {name})"), below),
                value => {
                    self.parameters.push(Some(value.to_string()));
                    format!("${}::text::jsonb", self.parameters.len())
                }
            };
            built = format!("{built} || jsonb_build_object({name}, {part})");
        }
        built
    }

    /// Makes a row; its id, or `None` where the table let it vanish.
    pub(super) async fn insert(
        &self,
        connection: &mut PgConnection,
        table: &Table,
    ) -> Result<Option<ExternalId>, sqlx::Error> {
        let (name, id) = (&table.name, rows::id(table));
        let columns: Vec<String> = self.sets.iter().map(|set| quoted(&set.column.name)).collect();
        let values: Vec<&str> = self.sets.iter().map(|set| set.expression.as_str()).collect();
        let statement = if columns.is_empty() {
            format!("INSERT INTO {name} AS t DEFAULT VALUES RETURNING {id}")
        } else {
            let (columns, values) = (columns.join(", "), values.join(", "));
            format!("INSERT INTO {name} AS t ({columns}) VALUES ({values}) RETURNING {id}")
        };
        let row = bound(statement, &self.parameters).fetch_optional(connection).await?;
        row.map(|row| Ok(ExternalId::from(row.try_get::<String, _>(0)?))).transpose()
    }

    /// Changes a row; how many were changed.
    pub(super) async fn update(
        &self,
        connection: &mut PgConnection,
        table: &Table,
        key: &[String],
    ) -> Result<u64, sqlx::Error> {
        let sets: Vec<String> =
            self.sets.iter().map(|set| format!("{} = {}", quoted(&set.column.name), set.expression)).collect();
        let mut parameters = self.parameters.clone();
        let condition = condition(table, key, &mut parameters);
        let statement = format!("UPDATE {} AS t SET {} WHERE {condition}", table.name, sets.join(", "));
        Ok(bound(statement, &parameters).execute(connection).await?.rows_affected())
    }
}

/// Deletes a row; how many were deleted.
pub(super) async fn delete(connection: &mut PgConnection, table: &Table, key: &[String]) -> Result<u64, sqlx::Error> {
    let mut parameters = Vec::new();
    let condition = condition(table, key, &mut parameters);
    let statement = format!("DELETE FROM {} AS t WHERE {condition}", table.name);
    Ok(bound(statement, &parameters).execute(connection).await?.rows_affected())
}

/// Locks a row; whether it is there.
pub(super) async fn lock(connection: &mut PgConnection, table: &Table, key: &[String]) -> Result<bool, sqlx::Error> {
    let mut parameters = Vec::new();
    let condition = condition(table, key, &mut parameters);
    let statement = format!("SELECT 1 FROM {} AS t WHERE {condition} FOR UPDATE OF t", table.name);
    Ok(bound(statement, &parameters).fetch_optional(connection).await?.is_some())
}

/// The row that holds our key, locked.
pub(super) async fn bearer(
    connection: &mut PgConnection,
    table: &Table,
    key: &Key,
) -> Result<Option<ExternalId>, sqlx::Error> {
    let plain = table.column(&key.field).map_or("text", |column| column.plain.as_str());
    let (id, name, own) = (rows::id(table), &table.name, rows::of_row(&key.field));
    let statement = format!("SELECT {id} FROM {name} AS t WHERE {own} = $1::text::{plain} FOR UPDATE OF t");
    let row = bound(statement, &[Some(key.value.clone())]).fetch_optional(connection).await?;
    row.map(|row| Ok(ExternalId::from(row.try_get::<String, _>(0)?))).transpose()
}

/// The row that holds the body's values in these columns.
pub(super) async fn holder(
    pool: &PgPool,
    table: &Table,
    columns: &[String],
    body: &Raw,
) -> Result<Option<ExternalId>, sqlx::Error> {
    let mut parameters = Vec::new();
    let mut conditions = Vec::new();
    for name in columns {
        let (Ok(column), Some(value)) = (table.column(name), body.get(name)) else { return Ok(None) };
        parameters.push(column.kind.written(value));
        let made = column.kind.made(&format!("${}", parameters.len()), &column.plain);
        conditions.push(format!("{} = {made}", rows::of_row(name)));
    }
    if conditions.is_empty() {
        return Ok(None);
    }
    let (id, name) = (rows::id(table), &table.name);
    let statement = format!("SELECT {id} FROM {name} AS t WHERE {} LIMIT 1", conditions.join(" AND "));
    let row = bound(statement, &parameters).fetch_optional(pool).await?;
    row.map(|row| Ok(ExternalId::from(row.try_get::<String, _>(0)?))).transpose()
}

/// Those of a body's columns whose type does not take the value: the server says what is wrong, and not with which.
pub(super) async fn culprits(pool: &PgPool, table: &Table, body: &Raw) -> Vec<String> {
    let mut culprits = Vec::new();
    for (field, value) in body {
        let Ok(column) = table.column(field) else { continue };
        // Bounds of texts were compared before; a cast would cut them off.
        let ty = if column.chars_max.is_some() { &column.plain } else { &column.shown };
        let statement = format!("SELECT ({}) IS NULL", column.kind.made("$1", ty));
        let tried = bound(statement, &[column.kind.written(value)]).fetch_one(pool).await;
        if tried.is_err_and(|error| super::errors::blames_values(&error)) {
            culprits.push(field.clone());
        }
    }
    culprits
}

/// The condition that a row has this key; its values become parameters.
fn condition(table: &Table, key: &[String], parameters: &mut Vec<Option<String>>) -> String {
    let mut equal = Vec::with_capacity(key.len());
    for (column, text) in table.key().zip(key) {
        parameters.push(Some(text.clone()));
        equal.push(format!("{} = ${}::text::{}", rows::of_row(&column.name), parameters.len(), column.plain));
    }
    equal.join(" AND ")
}

fn bound(statement: String, parameters: &[Option<String>]) -> Query<'static, Postgres, PgArguments> {
    let query = sqlx::query(AssertSqlSafe(statement));
    parameters.iter().fold(query, |query, parameter| query.bind(parameter.clone()))
}

fn refused(code: &str, message: String, field: &str) -> Refusal {
    Refusal { code: code.to_owned(), message, fields: vec![field.to_owned()] }
}
