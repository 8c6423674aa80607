//! What was deleted inside a window, where the provider tells.

use std::collections::BTreeSet;

use syncline_core::{
    remote::{ProviderError, Remedy, Window},
    time::Millis,
};

use super::{
    place::Place,
    rows::{self, Shown},
    session::{Session, configure},
    walk::{self, Asked},
};
use crate::{
    connector::Deleted,
    manifest::spec::{Deletes, Feed, List, Object, Order},
    registry::scaled,
};

/// How many pages one question reads: what lies behind them is the next question's.
const PAGES_MAX: u32 = 20;

/// The objects that were deleted inside a window; `None` where nothing tells but a sweep or a list of its own.
pub(super) async fn deleted(
    session: &Session<'_>,
    object: &Object,
    window: Window,
) -> Result<Option<Deleted>, ProviderError> {
    match &object.deletes {
        Deletes::Probe | Deletes::Archived(_) => Ok(None),
        Deletes::Changes => {
            let list = object.changes.as_ref().unwrap_or(&object.list);
            among_changes(session, object, list, window).await.map(Some)
        }
        Deletes::Feed(feed) => in_feed(session, object, feed, window).await.map(Some),
    }
}

/// The time up to which a list is complete.
fn settled(session: &Session<'_>, list: &List, precision: i64, until: Millis) -> Millis {
    let lag = i64::try_from(scaled(list.lag.ms(), session.engine.settings.time_scale)).unwrap_or(i64::MAX);
    let at = until.plus(lag.saturating_neg());
    Millis(at.0.div_euclid(precision).saturating_mul(precision))
}

fn covered(window: Window, until: Millis) -> Millis {
    until.max(window.from).min(window.until)
}

async fn among_changes(
    session: &Session<'_>,
    object: &Object,
    list: &List,
    window: Window,
) -> Result<Deleted, ProviderError> {
    let precision =
        object.version.as_ref().map_or(1, |version| i64::try_from(version.precision.ms()).unwrap_or(1)).max(1);
    let settled = settled(session, list, precision, window.until);
    let from = window.from.min(settled);
    let mut place = Place { since: Some(from), ..Place::default() };
    let asked = Asked { list, window: Some(Window { from, until: window.until }), limit: list.page_max, fields: &[] };
    let mut ids = BTreeSet::new();
    let mut until = settled;
    for pages in 1.. {
        let fetched = walk::fetch(session, Some(object), &asked, &place).await?;
        let deleted = fetched.rows.into_iter().filter_map(|shown| match shown {
            Shown::Row(row) if row.object.deleted => Some(row.object.id),
            _ => None,
        });
        ids.extend(deleted);
        let Some(next) = fetched.next.filter(|_| fetched.last.is_none_or(|last| last < settled)) else { break };
        if pages >= PAGES_MAX {
            until = partial(list, fetched.last, settled)?;
            break;
        }
        place = next;
    }
    Ok(Deleted { ids: ids.into_iter().collect(), covered_until: covered(window, until) })
}

/// How far an answer is complete that was broken off.
fn partial(list: &List, last: Option<Millis>, settled: Millis) -> Result<Millis, ProviderError> {
    match (list.order, last) {
        (Order::Stamp, Some(last)) => Ok(last.min(settled)),
        _ => Err(configure(format!(
            "more than {PAGES_MAX} pages tell of deletes, in no order of time: give the list `order: stamp`, or let a sweep find them"
        ))),
    }
}

async fn in_feed(
    session: &Session<'_>,
    object: &Object,
    feed: &Feed,
    window: Window,
) -> Result<Deleted, ProviderError> {
    let list = &feed.list;
    if let Some(remembers) = feed.remembers {
        let reach = i64::try_from(remembers.ms()).unwrap_or(i64::MAX);
        if window.until.0.saturating_sub(window.from.0) > reach {
            return Err(ProviderError {
                remedy: Remedy::Resync,
                message: "the window reaches further back than the provider remembers deletes".to_owned(),
            });
        }
    }
    let overlap = i64::try_from(scaled(list.overlap.ms(), session.engine.settings.time_scale)).unwrap_or(0);
    let settled = settled(session, list, 1, window.until);
    let since = window.from.min(settled).plus(overlap.saturating_neg());
    let mut place = Place { since: Some(since), ..Place::default() };
    let asked = Asked { list, window: Some(window), limit: list.page_max, fields: &[] };
    let mut ids = BTreeSet::new();
    let mut until = settled;
    let mut last = None;
    for pages in 1.. {
        let fetched = walk::fetch(session, None, &asked, &place).await?;
        for entry in &fetched.raw {
            let at = feed.at.find(entry).and_then(|value| feed.format.read(value));
            last = last.max(at);
            let meant = feed.when.iter().all(|check| check.holds(entry)) && at.is_none_or(|at| at >= since);
            ids.extend(feed.id.find(entry).filter(|_| meant).and_then(|value| rows::id_of(object.id.ty, value)));
        }
        if let Some(told) = feed.covered.as_ref().and_then(|path| path.find(&fetched.body)) {
            until = feed.format.read(told).map_or(until, |told| told.min(settled));
        }
        let Some(next) = fetched.next else { break };
        if pages >= PAGES_MAX {
            until = partial(list, last, settled)?;
            break;
        }
        place = next;
    }
    Ok(Deleted { ids: ids.into_iter().collect(), covered_until: covered(window, until) })
}
