//! Schemas: the fields that the manifest lists, and those that an account has added.

use serde_json::Value;
use syncline_core::remote::{ObjectSchema, ProviderError, RemoteField};

use super::{
    place::{Came, Pager, Place},
    session::Session,
    walk,
};
use crate::manifest::{
    spec::{Access, Discover, Field, FieldType, Object},
    words::Scope,
};

/// The most pages of fields.
const PAGES_MAX: u32 = 50;

/// Reads an object's schema.
pub(super) async fn read(session: &Session<'_>, object: &Object) -> Result<ObjectSchema, ProviderError> {
    let mut schema = ObjectSchema::default();
    if let Some(discover) = &object.discover {
        discovered(session, discover, &mut schema).await?;
    }
    let key = object.key.as_ref().and_then(|key| key.field.as_deref());
    for (name, field) in &object.fields.known {
        schema.fields.insert(name.clone(), listed(name, field, key));
    }
    if let Some(key) = key {
        let known = schema.fields.entry(key.to_owned());
        let field = known.or_insert_with(|| RemoteField {
            label: key.to_owned(),
            ty: "text".to_owned(),
            ..RemoteField::default()
        });
        (field.unique, field.writable) = (true, true);
    }
    Ok(schema)
}

fn listed(name: &str, field: &Field, key: Option<&str>) -> RemoteField {
    let ty = match field.ty {
        FieldType::Any => "any",
        FieldType::Text => "text",
        FieldType::Number => "number",
        FieldType::Boolean => "boolean",
        FieldType::Date => "date",
        FieldType::Datetime => "datetime",
        FieldType::Set => "set",
        FieldType::Reference => "reference",
    };
    RemoteField {
        label: name.to_owned(),
        ty: ty.to_owned(),
        writable: field.access != Access::Read,
        unique: field.unique || key == Some(name),
        calculated: field.access == Access::Read,
        max_len: field.max_len,
        options: field.options.clone(),
    }
}

async fn discovered(
    session: &Session<'_>,
    discover: &Discover,
    schema: &mut ObjectSchema,
) -> Result<(), ProviderError> {
    let list = &discover.list;
    let mut place = Place::default();
    for _ in 0..PAGES_MAX {
        let scope = place.scope(session.engine.scope().with("limit", 100));
        let (answer, body) = session.read(place.aimed(session.call(&list.request, &scope)?)).await?;
        let rows = walk::entries(&list.rows, &body)?;
        let count = rows.len();
        schema.fields.extend(rows.into_iter().filter_map(|row| described(discover, row)));
        let came = Came { answer: &answer, body: &body, rows: count, last: None, joins: true };
        let pager = Pager { page: &list.page, end: &list.end, total: None, short: None };
        match pager.after(session, &place.step, &came)? {
            Some(step) => place.step = step,
            None => break,
        }
    }
    Ok(())
}

fn described(discover: &Discover, row: Value) -> Option<(String, RemoteField)> {
    if !discover.when.iter().all(|check| check.holds(&row)) {
        return None;
    }
    let text = |path: &Option<crate::manifest::words::Path>| {
        path.as_ref().and_then(|path| path.find(&row)).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let options = discover.options.as_ref().map(|path| path.all(&row)).unwrap_or_default();
    let options =
        options.into_iter().flat_map(|value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]));
    let field = RemoteField {
        label: text(&discover.label),
        ty: text(&discover.ty),
        writable: discover.writable.iter().all(|check| check.holds(&row)),
        unique: !discover.unique.is_empty() && discover.unique.iter().all(|check| check.holds(&row)),
        calculated: false,
        max_len: None,
        options: options.filter_map(|value| value.as_str().map(str::to_owned)).collect(),
    };
    let name = discover.name.text(&Scope::default().with("row", row.clone()))?;
    Some((name, field))
}
