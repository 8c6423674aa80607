//! Pages of lists and of windows.
//!
//! A row that changes while its list is walked moves to the end of a list by stamps, and every row behind it one place forward. So
//! where pages count rows, each page is a list of its own that begins at the stamp at which the last one ended; only where one
//! stamp fills a page the list's own next page is followed.

use serde_json::Value;
use syncline_core::{
    remote::{CursorFacts, MalformedRow, Page, PageRequest, Position, ProviderError, RemoteObject, Walk, Window},
    time::Millis,
};

use super::{
    Engine, fields,
    place::{Came, Pager, Place, Step},
    rows::{self, Row, Shown},
    session::{Session, retry},
};
use crate::{
    manifest::{
        spec::{Deletes, List, Object, Order, Paging},
        words::Path,
    },
    registry::scaled,
};

/// The facts of an object's walks.
pub(super) fn facts(engine: &Engine, object: Option<&Object>) -> CursorFacts {
    let mut facts = CursorFacts {
        walk: Walk::IdWithinWindow,
        precision_ms: 1,
        lag_ms: 0,
        overlap_ms: 0,
        rows_max: None,
        page_max: 100,
        tokens_shift: false,
    };
    let Some(object) = object else { return facts };
    let changes = windowed(object);
    let by_stamp = object.list.order == Order::Stamp && changes.order == Order::Stamp;
    facts.walk = if by_stamp { Walk::StampThenId } else { Walk::IdWithinWindow };
    let precision = object.version.as_ref().map_or(1, |version| version.precision.ms()).max(1);
    facts.precision_ms = u32::try_from(precision).unwrap_or(u32::MAX);
    facts.lag_ms = scaled(changes.lag.ms(), engine.settings.time_scale);
    facts.overlap_ms = scaled(changes.overlap.ms(), engine.settings.time_scale);
    facts.page_max = object.list.page_max.max(changes.page_max);
    // A walk that begins anew behind its last row needs a call that can be asked so.
    let keyed = |list: &List| list.request.uses("since") || list.request.uses("after_id");
    facts.rows_max =
        [&object.list, changes].into_iter().filter(|list| keyed(list)).filter_map(|list| list.rows_max).min();
    facts
}

/// The list that windows are read from.
fn windowed(object: &Object) -> &List {
    object.changes.as_ref().unwrap_or(&object.list)
}

/// One page of a list or of a window.
pub(super) async fn page(session: &Session<'_>, object: &Object, request: &PageRequest) -> Result<Page, ProviderError> {
    let list = match (&object.deletes, request.deleted, request.window) {
        (Deletes::Archived(list), true, _) => list,
        (Deletes::Changes, true, _) => windowed(object),
        (_, true, _) => return Ok(Page::default()),
        (_, false, Some(_)) => windowed(object),
        (_, false, None) => &object.list,
    };
    let place = begin(list, request)?;
    let keyed = request.after.as_ref().filter(|_| request.token.is_none());
    // Rows of the position's own stamp come again, so that a small page might never get past it.
    let limit = match (keyed, list.order) {
        (Some(_), Order::Stamp) => list.page_max,
        _ => request.limit.clamp(1, list.page_max),
    };
    let asked = Asked { list, window: request.window, limit, fields: &request.fields };
    let fetched = fetch(session, Some(object), &asked, &place).await?;
    let mut page = Page { next: fetched.next.map(|next| next.token()).transpose()?, ..Page::default() };
    for shown in fetched.rows {
        match shown {
            Shown::Row(row) if is_wanted(list, request, &row) => page.objects.push(placed(list, *row, keyed)),
            Shown::Row(_) | Shown::Other => {}
            Shown::Malformed(malformed) => page.malformed.push(*malformed),
        }
    }
    if matches!(object.deletes, Deletes::Archived(_)) && request.deleted {
        page.objects.iter_mut().for_each(|object| object.deleted = true);
    }
    Ok(page)
}

fn begin(list: &List, request: &PageRequest) -> Result<Place, ProviderError> {
    if let Some(token) = &request.token {
        return Place::parse(token);
    }
    let from = request.window.map(|window| window.from);
    let after = request.after.as_ref();
    Ok(match list.order {
        Order::Stamp => Place { since: after.map(|after| after.stamp).max(from), ..Place::default() },
        Order::Id => Place { since: from, after_id: after.map(|after| after.id.to_string()), ..Place::default() },
    })
}

fn is_wanted(list: &List, request: &PageRequest, row: &Row) -> bool {
    let archived = request.deleted && !row.object.deleted && !list.request.uses("since");
    if row.object.deleted != request.deleted && !archived {
        return false;
    }
    let Some(window) = request.window else { return true };
    let Some(place) = rows::place(list, row) else { return true };
    // Where the call says since when, what it brings counts; else the whole list is compared.
    place < window.until && (list.request.uses("since") || place >= window.from)
}

/// A walk that has lost its token begins again at its last row, and meets rows again. One with an earlier stamp may all the same be
/// one that it has not met: it comes without the stamp, which says nothing of its place.
fn placed(list: &List, mut row: Row, keyed: Option<&Position>) -> RemoteObject {
    let stamp = row.object.version.map(|version| version.stamp);
    let passed = |after: &Position| match list.order {
        Order::Stamp => stamp.is_some_and(|at| at < after.stamp || (at == after.stamp && row.object.id == after.id)),
        Order::Id => false,
    };
    if keyed.is_some_and(passed) {
        row.object.version = None;
    }
    row.object
}

/// What is asked of a list.
pub(super) struct Asked<'a> {
    pub(super) list: &'a List,
    pub(super) window: Option<Window>,
    pub(super) limit: u32,
    pub(super) fields: &'a [String],
}

/// A page as it came.
pub(super) struct Fetched {
    pub(super) rows: Vec<Shown>,
    /// The rows as they came, where they are no objects.
    pub(super) raw: Vec<Value>,
    /// The whole body.
    pub(super) body: Value,
    /// Where the next page begins.
    pub(super) next: Option<Place>,
    /// The latest time at which a row of the page took its place.
    pub(super) last: Option<Millis>,
}

/// Fetches a page. Without an object, rows are left as they came.
pub(super) async fn fetch(
    session: &Session<'_>,
    object: Option<&Object>,
    asked: &Asked<'_>,
    place: &Place,
) -> Result<Fetched, ProviderError> {
    let list = asked.list;
    let scope = session
        .engine
        .scope()
        .with("limit", asked.limit)
        .with("fields", object.map_or_else(Vec::new, |object| fields::remote_names(object, asked.fields)));
    let scope = place.scope(scope.with_time("until", asked.window.map(|window| window.until)));
    let call = place.aimed(session.call(&list.request, &scope)?);
    let (answer, body) = session.read(call).await?;
    let raw = entries(&list.rows, &body)?;
    let (count, short) = (raw.len(), list.short_page_ends.then(|| usize::try_from(asked.limit).unwrap_or(usize::MAX)));
    let (rows, raw) = match object {
        Some(object) => (raw.into_iter().map(|raw| rows::row(object, raw, asked.fields)).collect(), Vec::new()),
        None => (Vec::new(), raw),
    };
    let ids: Vec<&str> = rows.iter().filter_map(id_of).collect();
    let last = rows.iter().filter_map(|shown| match shown {
        Shown::Row(row) => rows::place(list, row),
        _ => None,
    });
    let last = last.max();
    let joins = match &place.step {
        Step::Offset(_, Some(sought)) => ids.contains(&sought.as_str()),
        _ => true,
    };
    let came = Came { answer: &answer, body: &body, rows: count, last: ids.last().copied(), joins };
    let pager = Pager { page: &list.page, end: &list.end, total: list.total.as_ref(), short };
    let step = pager.after(session, &place.step, &came)?;
    let next = step.map(|step| next(list, place, step, last, came.last)).transpose()?;
    let over =
        list.order == Order::Stamp && asked.window.is_some_and(|window| last.is_some_and(|last| last >= window.until));
    Ok(Fetched { next: next.filter(|_| !over), rows, raw, body, last })
}

fn id_of(shown: &Shown) -> Option<&str> {
    match shown {
        Shown::Row(row) => Some(row.object.id.as_str()),
        Shown::Malformed(row) => row.id.as_ref().map(|id| id.as_str()),
        Shown::Other => None,
    }
}

/// The place of the next page.
fn next(
    list: &List,
    place: &Place,
    step: Step,
    last: Option<Millis>,
    last_id: Option<&str>,
) -> Result<Place, ProviderError> {
    if list.page == Paging::Keyset {
        let Some(id) = last_id else { return Err(retry("no row of the page has an id by which to go on")) };
        if place.after_id.as_deref() == Some(id) {
            return Err(super::session::configure(
                "the list shows the same last row again although only later ones were asked for: check the manifest's `{after_id}`",
            ));
        }
        return Ok(Place { since: place.since, after_id: Some(id.to_owned()), step: Step::First });
    }
    let moves = list.order == Order::Stamp && !list.stable && list.request.uses("since");
    let advanced = last.filter(|last| place.since.is_none_or(|since| *last > since));
    Ok(match advanced {
        Some(last) if moves => Place { since: Some(last), after_id: None, step: Step::First },
        _ => Place { since: place.since, after_id: place.after_id.clone(), step },
    })
}

/// The rows of an answer.
pub(super) fn entries(path: &Path, body: &Value) -> Result<Vec<Value>, ProviderError> {
    match path.find(body) {
        Some(Value::Array(rows)) => Ok(rows.clone()),
        // Nothing at all, as a 204 says it.
        None | Some(Value::Null) if body.is_null() => Ok(Vec::new()),
        _ => Err(retry(format!("the answer holds no rows at `{path}`"))),
    }
}

/// The malformed rows of a page, for those who cannot go on with any.
pub(super) fn broken(malformed: &MalformedRow) -> ProviderError {
    let id = malformed.id.as_ref().map_or("?", |id| id.as_str());
    retry(format!("the object {id} cannot be read: {}", malformed.reason))
}
