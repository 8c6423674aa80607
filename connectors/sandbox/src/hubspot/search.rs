//! Search: filters, one sort, pages by offset, and the cap of 10,000 rows.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body;
use super::caller::Caller;
use super::errors::ApiError;
use super::filter::{Filter, Key, Operands, Operator, contains_token, key};
use super::path::ObjectPath;
use super::portal::HubSpotState;
use super::record::{RecordId, View};
use super::render::{Shape, object};
use super::schema::{Derived, PropertyId, Schema, Storage};
use super::switches;
use super::table::Table;

/// Rows of a page where nothing is asked for, and at most.
const PAGE_DEFAULT: usize = 10;
const PAGE_MAX: usize = 200;
/// The last row that a search reaches.
const ROWS_MAX: usize = 10_000;
/// Bounds of a query.
const GROUPS_MAX: usize = 5;
const FILTERS_PER_GROUP_MAX: usize = 10;
const FILTERS_MAX: usize = 25;
const BODY_CHARACTERS_MAX: usize = 3_000;
/// A range of change times is looked up rather than scanned where it holds at most this share of
/// the records.
const LOOKED_UP_SHARE: usize = 8;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterBody {
    property_name: String,
    operator: String,
    value: Option<Value>,
    high_value: Option<Value>,
    #[serde(default)]
    values: Vec<Value>,
}

#[derive(Deserialize)]
struct GroupBody {
    #[serde(default)]
    filters: Vec<FilterBody>,
}

/// A sort is an object, or a name with an optional `-` in front.
#[derive(Deserialize)]
#[serde(untagged)]
enum SortBody {
    #[serde(rename_all = "camelCase")]
    Full {
        property_name: String,
        #[serde(default)]
        direction: Option<String>,
    },
    Short(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchBody {
    #[serde(default)]
    filter_groups: Vec<GroupBody>,
    /// Filters outside of a group count as one group.
    #[serde(default)]
    filters: Vec<FilterBody>,
    #[serde(default)]
    sorts: Vec<SortBody>,
    #[serde(default)]
    properties: Vec<String>,
    query: Option<String>,
    limit: Option<usize>,
    after: Option<Value>,
}

/// A search bound to a schema.
struct Search {
    /// A record passes if it passes every filter of one group; no groups let everything pass.
    groups: Vec<Vec<Filter>>,
    query: Option<String>,
    sort: Option<(PropertyId, Direction)>,
    offset: usize,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Ascending,
    Descending,
}

/// `POST …/{type}/search`
pub(crate) async fn search(
    State(portal): State<Arc<HubSpotState>>,
    path: ObjectPath,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Result<Json<Value>, ApiError> {
    if String::from_utf8_lossy(&bytes).chars().count() > BODY_CHARACTERS_MAX {
        return Err(ApiError::validation(format!("The body of a search has at most {BODY_CHARACTERS_MAX} characters")));
    }
    let body: SearchBody = body::parse(&bytes)?;
    let mut tables = portal.tables();
    let table = tables.of(path.kind);
    let search = Search::bind(&body, table.schema())?;
    if search.offset + search.limit > ROWS_MAX && portal.parts.faults.is_on(switches::SEARCH_CAP) {
        portal.parts.faults.count(switches::SEARCH_CAP);
        return Err(ApiError::validation(format!(
            "A search reaches at most {ROWS_MAX} results; after={} with limit={} lies beyond them",
            search.offset, search.limit
        )));
    }
    table.advance_index(portal.parts.clock.now().millis());
    let table = &*table;
    let (total, page) = search.run(table);
    let shape = Shape::of_read(path.kind, table.schema(), &body.properties, &[]);
    let results: Vec<Value> = page
        .iter()
        .map(|view| {
            portal.shown(path.kind, view, &caller);
            object(path.kind, table.schema(), view, &shape).into()
        })
        .collect();
    let mut answer = json!({"total": total, "results": results});
    let end = search.offset + page.len();
    if end < total && !page.is_empty() {
        answer["paging"] = json!({"next": {"after": end.to_string()}});
    }
    Ok(Json(answer))
}

impl Search {
    fn bind(body: &SearchBody, schema: &Schema) -> Result<Self, ApiError> {
        let loose = (!body.filters.is_empty()).then_some(&body.filters);
        let groups: Vec<&Vec<FilterBody>> =
            body.filter_groups.iter().map(|group| &group.filters).chain(loose).collect();
        check_counts(&groups)?;
        let groups: Result<_, _> =
            groups.into_iter().map(|group| group.iter().map(|filter| bind_filter(filter, schema)).collect()).collect();
        let limit = body.limit.unwrap_or(PAGE_DEFAULT);
        if limit > PAGE_MAX {
            return Err(ApiError::validation(format!(
                "The limit {limit} is too high: a search page has at most {PAGE_MAX} rows"
            )));
        }
        Ok(Self {
            groups: groups?,
            query: body.query.as_ref().map(|query| query.trim().to_lowercase()).filter(|query| !query.is_empty()),
            sort: bind_sort(&body.sorts, schema)?,
            offset: offset(body.after.as_ref())?,
            limit,
        })
    }

    /// All matches counted, and those of the page in order.
    fn run<'t>(&self, table: &'t Table) -> (usize, Vec<View<'t>>) {
        let schema = table.schema();
        match self.sort {
            None => self.page_of(self.matches(table)),
            Some((property, direction)) if is_id(schema, property) => match direction {
                Direction::Ascending => self.page_of(self.matches(table)),
                Direction::Descending => {
                    let mut matches: Vec<View<'t>> = self.matches(table).collect();
                    matches.reverse();
                    self.page_of(matches.into_iter())
                }
            },
            Some((property, direction)) => {
                let mut matches: Vec<(Option<Key<'t>>, View<'t>)> =
                    self.matches(table).map(|view| (key(&view, schema, property), view)).collect();
                matches.sort_by(|(left, _), (right, _)| order(left.as_ref(), right.as_ref(), direction));
                self.page_of(matches.into_iter().map(|(_, view)| view))
            }
        }
    }

    fn page_of<'t>(&self, matches: impl Iterator<Item = View<'t>>) -> (usize, Vec<View<'t>>) {
        let mut page = Vec::with_capacity(self.limit);
        let mut total = 0;
        for view in matches {
            if total >= self.offset && page.len() < self.limit {
                page.push(view);
            }
            total += 1;
        }
        (total, page)
    }

    /// The matching views in the order of the ids.
    fn matches<'s, 't: 's>(&'s self, table: &'t Table) -> Box<dyn Iterator<Item = View<'t>> + 's> {
        let (low_id, high_id) = self.bounds(table.schema(), Derived::ObjectId);
        let (low_ms, high_ms) = self.bounds(table.schema(), Derived::Modified);
        let looked_up = if (low_ms, high_ms) == (i64::MIN, i64::MAX) {
            None
        } else {
            table.index().modified_between(low_ms, high_ms, table.live_count() / LOOKED_UP_SHARE)
        };
        let first = RecordId::try_from(low_id).unwrap_or(0);
        let last = RecordId::try_from(high_id).unwrap_or(0);
        let candidates: Box<dyn Iterator<Item = _> + 's> = match looked_up {
            Some(ids) => Box::new(ids.into_iter().filter_map(|id| table.live(id))),
            None => Box::new(table.from(first)),
        };
        Box::new(
            candidates
                .skip_while(move |(id, _)| *id < first)
                .take_while(move |(id, _)| *id <= last)
                .filter(|(_, record)| record.archived_ms.is_none())
                .filter_map(|(id, record)| table.index().view(id, record))
                .filter(|view| self.passes(view, table)),
        )
    }

    /// The range of a computed integer that can pass, where a single group bounds it.
    fn bounds(&self, schema: &Schema, derived: Derived) -> (i64, i64) {
        let [group] = self.groups.as_slice() else { return (i64::MIN, i64::MAX) };
        let property = schema.iter().find(|(_, property)| property.storage == Storage::Derived(derived));
        let Some((property, _)) = property else { return (i64::MIN, i64::MAX) };
        group
            .iter()
            .filter_map(|filter| filter.bounds(property))
            .fold((i64::MIN, i64::MAX), |(low, high), (least, greatest)| (low.max(least), high.min(greatest)))
    }

    fn passes(&self, view: &View<'_>, table: &Table) -> bool {
        let schema = table.schema();
        let grouped = self.groups.is_empty()
            || self.groups.iter().any(|group| group.iter().all(|filter| filter.matches(view, schema)));
        grouped && self.query.as_ref().is_none_or(|query| answers_query(view, table, query))
    }
}

/// Whether every word of a free-text query begins a word of a searchable property.
fn answers_query(view: &View<'_>, table: &Table, query: &str) -> bool {
    let names = table.kind().searchable_properties();
    let texts: Vec<String> = names
        .iter()
        .filter_map(|name| table.schema().find(name))
        .filter_map(|id| view.values.get(id))
        .map(str::to_lowercase)
        .collect();
    query.split_whitespace().all(|word| {
        let pattern = format!("{word}*");
        texts.iter().any(|text| contains_token(text, &pattern))
    })
}

fn is_id(schema: &Schema, property: PropertyId) -> bool {
    schema.get(property).storage == Storage::Derived(Derived::ObjectId)
}

/// Records without the value come last in either direction.
fn order(left: Option<&Key<'_>>, right: Option<&Key<'_>>, direction: Direction) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) if direction == Direction::Ascending => left.order(right),
        (Some(left), Some(right)) => right.order(left),
        (left, right) => left.is_none().cmp(&right.is_none()),
    }
}

fn check_counts(groups: &[&Vec<FilterBody>]) -> Result<(), ApiError> {
    let total: usize = groups.iter().map(|group| group.len()).sum();
    if groups.len() > GROUPS_MAX {
        return Err(ApiError::validation(format!("A search has at most {GROUPS_MAX} filter groups")));
    }
    if total > FILTERS_MAX || groups.iter().any(|group| group.len() > FILTERS_PER_GROUP_MAX) {
        return Err(ApiError::validation(format!(
            "A search has at most {FILTERS_PER_GROUP_MAX} filters per group and {FILTERS_MAX} in all"
        )));
    }
    Ok(())
}

fn bind_filter(filter: &FilterBody, schema: &Schema) -> Result<Filter, ApiError> {
    let property = find(schema, &filter.property_name)?;
    let operator = Operator::parse(&filter.operator).ok_or_else(|| {
        let names: Vec<&str> = Operator::ALL.iter().map(|(name, _)| *name).collect();
        ApiError::json(format!("{} is not one of the operators {}", filter.operator, names.join(", ")))
    })?;
    let text = |value: &Option<Value>| value.as_ref().and_then(operand);
    let (value, high) = (text(&filter.value), text(&filter.high_value));
    let values: Vec<String> = filter.values.iter().filter_map(operand).collect();
    let operands = Operands { value: value.as_deref(), high: high.as_deref(), values: &values };
    Filter::bind(schema, property, operator, &operands).map_err(problem)
}

fn bind_sort(sorts: &[SortBody], schema: &Schema) -> Result<Option<(PropertyId, Direction)>, ApiError> {
    let [sort] = sorts else {
        return if sorts.is_empty() { Ok(None) } else { Err(ApiError::validation("A search has at most one sort")) };
    };
    let (name, direction) = match sort {
        SortBody::Full { property_name, direction } => {
            let direction = match direction.as_deref() {
                None | Some("ASCENDING") => Direction::Ascending,
                Some("DESCENDING") => Direction::Descending,
                Some(other) => {
                    return Err(ApiError::json(format!("{other} is not one of the directions ASCENDING, DESCENDING")));
                }
            };
            (property_name.as_str(), direction)
        }
        SortBody::Short(name) => match name.strip_prefix('-') {
            Some(name) => (name, Direction::Descending),
            None => (name.as_str(), Direction::Ascending),
        },
    };
    Ok(Some((find(schema, name)?, direction)))
}

fn find(schema: &Schema, name: &str) -> Result<PropertyId, ApiError> {
    schema.find(name).ok_or_else(|| problem(format!("Property {name} does not exist")))
}

fn problem(reason: String) -> ApiError {
    let mut error = ApiError::validation(format!("There was a problem with the request. {reason}"));
    error.errors = vec![json!({"message": reason, "code": "INVALID_FILTER"})];
    error
}

/// A filter's operand as text; numbers and booleans are taken as theirs.
fn operand(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The offset of the page, given as text or as a number.
fn offset(after: Option<&Value>) -> Result<usize, ApiError> {
    let Some(text) = after.and_then(operand).filter(|text| !text.is_empty()) else { return Ok(0) };
    text.parse().map_err(|_| ApiError::validation(format!("The value {text} of after must be an integer")))
}
