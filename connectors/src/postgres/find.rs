//! Rows by the values of their columns.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use syncline_core::{
    ids::ObjectName,
    remote::{Key, ProviderError, RemoteObject},
};

use super::{
    database::Database,
    errors,
    rows::{self, Shape},
    table::{Column, Table},
};

/// The most rows that one search brings.
const ROWS_MAX: u32 = 1_000;

/// Searches by their columns, so that those of the same columns share a statement.
type Groups<'a> = BTreeMap<Vec<&'a str>, Vec<Vec<&'a str>>>;

/// Rows that match any of the searches. Where a column's lower-case form is indexed, letter case is nothing, as its owner
/// means it to be.
pub(super) async fn find(
    database: &Database,
    table: &Table,
    object: &ObjectName,
    searches: &[Vec<Key>],
    fields: &[String],
) -> Result<Vec<RemoteObject>, ProviderError> {
    let shape = Shape::new(table, fields)?;
    let mut groups: Groups<'_> = BTreeMap::new();
    for search in searches.iter().filter(|search| !search.is_empty()) {
        let mut keys: Vec<&Key> = search.iter().collect();
        keys.sort_unstable_by(|a, b| a.field.cmp(&b.field));
        let columns = keys.iter().map(|key| key.field.as_str()).collect();
        groups.entry(columns).or_default().push(keys.iter().map(|key| key.value.as_str()).collect());
    }
    let mut found = BTreeMap::new();
    for (names, values) in groups {
        let columns = names.iter().map(|name| table.column(name)).collect::<Result<Vec<_>, _>>()?;
        match ask(database, &shape, &columns, &values).await {
            Ok(objects) => found.extend(objects.into_iter().map(|object| (object.id.clone(), object))),
            // A value that is none of the column's type stands in no row.
            Err(error) if errors::code(&error).starts_with("22") => {
                for value in values {
                    match ask(database, &shape, &columns, &[value]).await {
                        Ok(objects) => found.extend(objects.into_iter().map(|object| (object.id.clone(), object))),
                        Err(error) if errors::code(&error).starts_with("22") => {}
                        Err(error) => return Err(database.failed(object, &error)),
                    }
                }
            }
            Err(error) => return Err(database.failed(object, &error)),
        }
    }
    Ok(found.into_values().collect())
}

async fn ask(
    database: &Database,
    shape: &Shape<'_>,
    columns: &[&Column],
    values: &[Vec<&str>],
) -> Result<Vec<RemoteObject>, sqlx::Error> {
    let parameters: Vec<String> = (1..=columns.len()).map(|place| format!("${place}::text[]")).collect();
    let names: Vec<String> = (1..=columns.len()).map(|place| format!("f{place}")).collect();
    let equal = |(column, name): (&&Column, &String)| {
        let own = rows::of_row(&column.name);
        if shape.table.folded.contains(&column.name) {
            format!("lower({own}) = lower(f.{name})")
        } else {
            format!("{own} = f.{name}::{}", column.plain)
        }
    };
    let condition = columns.iter().zip(&names).map(equal).collect::<Vec<_>>().join(" AND ");
    let statement = format!(
        "{} WHERE EXISTS (SELECT FROM unnest({}) AS f({}) WHERE {condition}) LIMIT {ROWS_MAX}",
        shape.select(),
        parameters.join(", "),
        names.join(", "),
    );
    let mut query = sqlx::query(AssertSqlSafe(statement));
    for place in 0..columns.len() {
        query = query.bind(values.iter().map(|row| row[place]).collect::<Vec<_>>());
    }
    let found = query.fetch_all(&database.pool).await?;
    // A row that cannot be read is told where it is listed.
    Ok(found.iter().map(|row| shape.read(row)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}
