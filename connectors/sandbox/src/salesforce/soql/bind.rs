//! Looks up a query's names, and checks that its comparisons make sense, with the platform's own complaints.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::tz::TimeZone;

use super::filter::{Condition, Span};
use super::project::{Aggregated, Column, Path};
use super::syntax::{Comparison, DaySpan, FieldGroup, Filter, Item, Literal, Order, Query, Select};
use super::{Outcome, Prepared, Selection, SortKey};
use crate::clock::Micros;
use crate::salesforce::cell::Cell;
use crate::salesforce::errors::ApiError;
use crate::salesforce::id::RecordId;
use crate::salesforce::schema::{Field, FieldType};
use crate::salesforce::store::{ObjectNo, Store};

/// The most rows that `FIELDS(ALL)` and `FIELDS(CUSTOM)` may return.
const ALL_FIELDS_ROWS_MAX: usize = 200;
const OFFSET_MAX: usize = 2_000;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A query whose names all mean something.
pub(super) fn bind(store: &Store, query: &Query, now: Micros) -> Result<Prepared, ApiError> {
    let object = store.object(&query.from).ok_or_else(|| unknown_object(&query.from))?;
    let binder = Binder { store, object, now };
    if query.offset > OFFSET_MAX {
        let message = format!("Maximum SOQL offset allowed is {OFFSET_MAX}");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, "NUMBER_OUTSIDE_VALID_RANGE", message));
    }
    let outcome = binder.outcome(query)?;
    let condition = query.filter.as_ref().map(|filter| binder.condition(filter)).transpose()?;
    let order = query.order.iter().map(|order| binder.sort_key(order)).collect::<Result<_, _>>()?;
    Ok(Prepared { object, outcome, condition, order, limit: query.limit, offset: query.offset })
}

fn unknown_object(name: &str) -> ApiError {
    let message = format!(
        "sObject type '{name}' is not supported. If you are attempting to use a custom object, be sure to append the \
         '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
    );
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_TYPE", message)
}

struct Binder<'a> {
    store: &'a Store,
    object: ObjectNo,
    now: Micros,
}

impl Binder<'_> {
    fn outcome(&self, query: &Query) -> Result<Outcome, ApiError> {
        match &query.select {
            Select::Count => Ok(Outcome::Count),
            Select::Aggregates(aggregates) => {
                let bound = (0..).zip(aggregates).map(|(place, aggregate)| {
                    let alias = aggregate.alias.clone().unwrap_or_else(|| format!("expr{place}"));
                    Ok(Aggregated { function: aggregate.function, path: self.path(&aggregate.path)?, alias })
                });
                bound.collect::<Result<_, _>>().map(Outcome::Aggregates)
            }
            Select::Items(items) => {
                let columns = self.columns(items, query.limit)?;
                Ok(Outcome::Rows(Arc::new(Selection { object: self.object, columns })))
            }
        }
    }

    fn columns(&self, items: &[Item], limit: Option<usize>) -> Result<Vec<Column>, ApiError> {
        let mut columns: Vec<Column> = Vec::new();
        for item in items {
            match item {
                Item::Path(path) => {
                    let bound = self.path(path)?;
                    if columns.iter().any(|column| column.is(&bound)) {
                        let message = format!("duplicate field selected: {path}");
                        return Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", message));
                    }
                    columns.push(Column::new(bound));
                }
                Item::Group(group) => {
                    if *group != FieldGroup::Standard && limit.is_none_or(|rows| rows > ALL_FIELDS_ROWS_MAX) {
                        let message = "The SOQL FIELDS function must have a LIMIT of at most 200";
                        return Err(ApiError::malformed_query(message));
                    }
                    columns.extend(self.group(*group));
                }
            }
        }
        Ok(columns)
    }

    fn group(&self, group: FieldGroup) -> impl Iterator<Item = Column> + '_ {
        let fields = self.store.table(self.object).schema.fields().iter();
        let wanted = fields.filter(move |field| match group {
            FieldGroup::All => true,
            FieldGroup::Standard => !field.is_custom(),
            FieldGroup::Custom => field.is_custom(),
        });
        wanted.map(|field| Column::new(Path { hops: Vec::new(), field: field.clone() }))
    }

    fn path(&self, written: &str) -> Result<Path, ApiError> {
        let mut object = self.object;
        let mut hops = Vec::new();
        let mut parts = written.split('.').peekable();
        // A path may start with the object's own name.
        if parts.peek().is_some_and(|first| self.store.object(first) == Some(object)) && written.contains('.') {
            let own = self.store.table(object).schema.name;
            let follows_itself = self.store.table(object).schema.relationship(own).is_some();
            if !follows_itself {
                parts.next();
            }
        }
        while let Some(part) = parts.next() {
            let schema = &self.store.table(object).schema;
            if parts.peek().is_none() {
                let field = schema.field(part).ok_or_else(|| ApiError::no_such_column(part, schema.name))?;
                return Ok(Path { hops, field: field.clone() });
            }
            let followed = schema.relationship(part);
            let target = followed.and_then(|(field, to)| Some((field.clone(), self.store.object(to)?)));
            let (field, next) = target.ok_or_else(|| no_such_relationship(part, schema.name))?;
            hops.push((field, next));
            object = next;
        }
        Err(ApiError::no_such_column(written, self.store.table(self.object).schema.name))
    }

    fn condition(&self, filter: &Filter) -> Result<Condition, ApiError> {
        let all = |parts: &[Filter]| parts.iter().map(|part| self.condition(part)).collect::<Result<Vec<_>, _>>();
        match filter {
            Filter::And(parts) => Ok(Condition::And(all(parts)?)),
            Filter::Or(parts) => Ok(Condition::Or(all(parts)?)),
            Filter::Not(inner) => Ok(Condition::Not(Box::new(self.condition(inner)?))),
            Filter::Compare { path, operator, value } => {
                let path = self.filterable(path)?;
                self.comparison(path, *operator, value)
            }
            Filter::In { path, negated, values } => {
                let path = self.filterable(path)?;
                let values = values.iter().map(|value| self.value(&path.field, value)).collect::<Result<_, _>>()?;
                Ok(Condition::In { path, negated: *negated, values })
            }
            Filter::Includes { path, negated, values } => {
                let path = self.filterable(path)?;
                if !matches!(path.field.kind, FieldType::Multipicklist { .. }) {
                    return Err(bad_operator(&path.field, "includes or excludes"));
                }
                Ok(Condition::Includes { path, negated: *negated, values: values.clone() })
            }
        }
    }

    fn comparison(&self, path: Path, operator: Comparison, value: &Literal) -> Result<Condition, ApiError> {
        let ordered = !matches!(operator, Comparison::Equal | Comparison::NotEqual | Comparison::Like);
        match &path.field.kind {
            FieldType::Boolean | FieldType::Multipicklist { .. } if ordered => {
                return Err(bad_operator(&path.field, "this comparison"));
            }
            _ => {}
        }
        if operator == Comparison::Like {
            let is_text = matches!(self.value(&path.field, value)?, Cell::Text(_));
            if !is_text || matches!(path.field.kind, FieldType::Id | FieldType::Reference { .. }) {
                return Err(bad_operator(&path.field, "like"));
            }
        }
        if let Literal::Days(days) = value {
            let span = self.span(&path.field, *days)?;
            return Ok(Condition::Span { path, operator, span });
        }
        let value = self.value(&path.field, value)?;
        if ordered && value.is_null() {
            return Err(bad_operator(&path.field, "a comparison with null"));
        }
        Ok(Condition::Compare { path, operator, value })
    }

    fn filterable(&self, written: &str) -> Result<Path, ApiError> {
        let path = self.path(written)?;
        if path.field.kind.is_filterable() {
            return Ok(path);
        }
        let message = format!("field '{}' can not be filtered in a query call", path.field.name);
        Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", message))
    }

    /// The value to compare with, if it is of the field's type.
    fn value(&self, field: &Field, literal: &Literal) -> Result<Cell, ApiError> {
        match (&field.kind, literal) {
            (_, Literal::Null) => Ok(Cell::Null),
            (FieldType::Boolean, Literal::Bool(flag)) => Ok(Cell::Bool(*flag)),
            (FieldType::Int { .. } | FieldType::Number { .. }, Literal::Number(number)) => Ok(Cell::Number(*number)),
            (FieldType::Date, Literal::Date(date)) => Ok(Cell::Date(*date)),
            (FieldType::DateTime, Literal::DateTime(at)) => Ok(Cell::DateTime(*at)),
            (FieldType::Id | FieldType::Reference { .. }, Literal::Text(text)) => id_value(field, text),
            (kind, Literal::Text(text)) if is_text(kind) => Ok(Cell::text(text.as_str())),
            (kind, _) => Err(wrong_literal(field, kind)),
        }
    }

    fn span(&self, field: &Field, days: DaySpan) -> Result<Span, ApiError> {
        let today = self.now.timestamp().to_zoned(TimeZone::UTC).date();
        let midnight = Micros(self.now.0 - self.now.0.rem_euclid(saturating_micros(DAY)));
        let shifted = |days: i64| Micros(midnight.0.saturating_add(days.saturating_mul(saturating_micros(DAY))));
        match field.kind {
            FieldType::DateTime => {
                Ok(Span { from: Cell::DateTime(shifted(days.from)), until: Cell::DateTime(shifted(days.until)) })
            }
            FieldType::Date => {
                let day = |days| today.saturating_add(jiff::Span::new().days(days));
                Ok(Span { from: Cell::Date(day(days.from)), until: Cell::Date(day(days.until)) })
            }
            _ => Err(wrong_literal(field, &field.kind)),
        }
    }

    fn sort_key(&self, order: &Order) -> Result<SortKey, ApiError> {
        let path = self.path(&order.path)?;
        if !path.field.kind.is_sortable() {
            let message = format!("field '{}' can not be sorted in a query call", path.field.name);
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", message));
        }
        Ok(SortKey { path, descending: order.descending, nulls_last: order.nulls_last })
    }
}

fn saturating_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn is_text(kind: &FieldType) -> bool {
    matches!(
        kind,
        FieldType::Text { .. }
            | FieldType::TextArea { .. }
            | FieldType::Phone
            | FieldType::Email
            | FieldType::Url
            | FieldType::Picklist { .. }
            | FieldType::Multipicklist { .. }
    )
}

/// Ids compare in their long form. A text that is no id matches nothing by equality, but still has a place in the order.
fn id_value(field: &Field, text: &str) -> Result<Cell, ApiError> {
    if let Some(id) = RecordId::parse(text) {
        return Ok(Cell::text(id.to_string()));
    }
    if RecordId::is_well_formed(text) || text.is_empty() {
        return Ok(Cell::text(text));
    }
    let message = format!("invalid ID field: {text} ({})", field.name);
    Err(ApiError::new(StatusCode::BAD_REQUEST, "INVALID_QUERY_FILTER_OPERATOR", message))
}

fn wrong_literal(field: &Field, kind: &FieldType) -> ApiError {
    let name = &field.name;
    let (wanted, quoted) = match kind {
        FieldType::DateTime => ("dateTime", false),
        other => (other.name(), is_text(other) || matches!(other, FieldType::Id | FieldType::Reference { .. })),
    };
    let quotes = if quoted { "should be enclosed in quotes" } else { "should not be enclosed in quotes" };
    let message = format!("value of filter criterion for field '{name}' must be of type {wanted} and {quotes}");
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", message)
}

fn bad_operator(field: &Field, operator: &str) -> ApiError {
    let message = format!("invalid operator on {} field '{}': {operator}", field.kind.name(), field.name);
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", message)
}

fn no_such_relationship(name: &str, object: &str) -> ApiError {
    let message = format!(
        "Didn't understand relationship '{name}' in field path. If you are attempting to use a custom relationship, be \
         sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call \
         for the appropriate names. (on {object})"
    );
    ApiError::new(StatusCode::BAD_REQUEST, "INVALID_FIELD", message)
}
