//! Rows with more columns than an address holds. A query is part of the address, which ends at 16,384 bytes with the
//! headers; such rows are listed by their system columns and then filled through the collections API, whose list of
//! columns travels in the body. Each filled row carries its own stamp, so it is as consistent as a queried one.

use serde_json::{Value, json};
use syncline_core::{
    ids::{ExternalId, ObjectName},
    remote::ProviderError,
};

use super::{query, session::Session, settings::Settings};
use crate::rest::Call;

/// Columns longer than this (encoded) leave too little of the address for conditions, ids and headers.
const COLUMNS_LEN_MAX: usize = 6_000;

/// The most rows of one retrieval.
const ROWS_MAX: usize = 2_000;

/// The columns of a read, in an address where they fit.
pub(super) struct Columns<'a> {
    /// The fields that the caller asked for.
    pub(super) asked: &'a [String],
    all: Vec<String>,
    /// The columns to query where not all of them fit.
    narrow: Option<Vec<String>>,
}

impl<'a> Columns<'a> {
    pub(super) fn new(object: &ObjectName, asked: &'a [String]) -> Result<Self, ProviderError> {
        let all = query::columns(object, asked)?;
        let is_wide = query::columns_len(&all) > COLUMNS_LEN_MAX;
        let narrow = is_wide.then(|| query::columns(object, &[])).transpose()?;
        Ok(Self { asked, all, narrow })
    }

    /// The columns that the query names.
    pub(super) fn queried(&self) -> &[String] {
        self.narrow.as_deref().unwrap_or(&self.all)
    }

    /// Fills queried rows with the columns that the query could not name.
    pub(super) async fn fill(
        &self,
        session: &Session<'_>,
        object: &ObjectName,
        rows: &mut [Value],
    ) -> Result<(), ProviderError> {
        if self.narrow.is_none() { Ok(()) } else { fill(session, object, &self.all, rows).await }
    }
}

/// The retrieval of whole rows by id.
fn request(settings: &Settings, object: &ObjectName, ids: &[ExternalId], columns: &[String]) -> Call {
    Call::post(settings.path(&format!("/composite/sobjects/{object}")), json!({ "ids": ids, "fields": columns }))
}

/// Fills live rows with their columns, in place. A row that the retrieval no longer shows keeps its system columns:
/// the delete log or a read by id tells its fate.
async fn fill(
    session: &Session<'_>,
    object: &ObjectName,
    columns: &[String],
    rows: &mut [Value],
) -> Result<(), ProviderError> {
    let live: Vec<(usize, ExternalId)> = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row.get("IsDeleted") != Some(&Value::Bool(true)))
        .filter_map(|(at, row)| Some((at, ExternalId::from(row.get("Id")?.as_str()?))))
        .collect();
    for chunk in live.chunks(ROWS_MAX) {
        let ids: Vec<ExternalId> = chunk.iter().map(|(_, id)| id.clone()).collect();
        let filled: Vec<Value> = session.read(request(session.settings, object, &ids, columns)).await?;
        place(chunk, filled, rows);
    }
    Ok(())
}

/// Puts each retrieved row in its place; answers stand in the order of the request, with null for rows that are gone.
fn place(chunk: &[(usize, ExternalId)], filled: Vec<Value>, rows: &mut [Value]) {
    for ((at, id), row) in chunk.iter().zip(filled) {
        if row.get("Id").and_then(Value::as_str) == Some(id.as_str()) {
            rows[*at] = row;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_travel_in_the_body() {
        let call = request(&Settings::default(), &"Contact".into(), &["003A".into()], &["Id".into(), "Email".into()]);
        let expected = Call::post(
            "/services/data/v62.0/composite/sobjects/Contact",
            json!({"ids": ["003A"], "fields": ["Id", "Email"]}),
        );
        assert_eq!(call, expected);
    }

    #[test]
    fn only_long_lists_are_wide() {
        let asked = |n: usize| (0..n).map(|n| format!("Custom_Field_Number_{n:04}__c")).collect::<Vec<_>>();
        for (count, expected) in [(0, 5), (100, 105), (300, 5)] {
            let asked = asked(count);
            let columns = Columns::new(&"Contact".into(), &asked).expect("columns");
            assert_eq!(columns.queried().len(), expected, "{count}");
        }
    }

    #[test]
    fn a_row_that_vanished_keeps_what_the_query_showed() {
        let mut rows = vec![json!({"Id": "a"}), json!({"Id": "b"})];
        let chunk = [(0, "a".into()), (1, "b".into())];
        place(&chunk, vec![Value::Null, json!({"Id": "b", "Email": "x"})], &mut rows);
        assert_eq!(rows, [json!({"Id": "a"}), json!({"Id": "b", "Email": "x"})]);
    }
}
