//! A table's columns as fields.

use syncline_core::remote::{ObjectSchema, RemoteField};

use super::table::Table;

/// The schema of a table.
pub(super) fn schema(table: &Table) -> ObjectSchema {
    let field = |column: &super::table::Column| RemoteField {
        label: column.comment.clone().unwrap_or_else(|| column.name.clone()),
        ty: column.shown.clone(),
        writable: column.is_writable(),
        unique: table.is_unique(&column.name),
        calculated: column.calculated,
        max_len: column.chars_max,
        options: column.options.clone(),
    };
    ObjectSchema { fields: table.columns.iter().map(|column| (column.name.clone(), field(column))).collect() }
}
