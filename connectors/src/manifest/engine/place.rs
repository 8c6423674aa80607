//! Where a page begins, and where the next one does. A place is what the read machines keep as their token, so that it holds
//! everything that the next call needs.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use syncline_core::{
    remote::{ProviderError, Remedy},
    time::Millis,
};

use super::session::{Session, configure};
use crate::{
    manifest::{
        spec::{Check, Paging},
        words::{Path, Scope},
    },
    rest::{Answer, Call},
};

/// A token that is longer could not be kept.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// Where a page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The time from which rows are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<Millis>,
    /// The row after which rows are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) after_id: Option<String>,
    /// Which page of what is there then.
    #[serde(default)]
    pub(super) step: Step,
}

/// Which page of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    #[default]
    First,
    Cursor(String),
    /// Behind so many rows, the last of which was this one.
    Offset(u64, Option<String>),
    /// The page of this number; so many rows were there in all.
    Page(u64, Option<u64>),
    /// The path and query of the provider's own address.
    Target(String),
}

impl Place {
    /// The place that a token names.
    pub(super) fn parse(token: &str) -> Result<Self, ProviderError> {
        serde_json::from_str(token).map_err(|_| ProviderError {
            remedy: Remedy::Restart,
            message: "the page's token is none of this version's".to_owned(),
        })
    }

    /// The token that names the place.
    pub(super) fn token(&self) -> Result<String, ProviderError> {
        let token = serde_json::to_string(self).map_err(|error| configure(error.to_string()))?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(configure(format!("the provider's page token is longer than {TOKEN_BYTES_MAX} bytes")));
        }
        Ok(token)
    }

    /// What a call may look up of it.
    pub(super) fn scope(&self, scope: Scope) -> Scope {
        let scope = scope.with_time("since", self.since).with_some("after_id", self.after_id.clone());
        match &self.step {
            Step::First => scope.with("offset", 0).with("page", 1),
            Step::Cursor(cursor) => scope.with("cursor", cursor.as_str()),
            Step::Offset(at, _) => scope.with("offset", *at),
            Step::Page(number, _) => scope.with("page", *number),
            Step::Target(_) => scope,
        }
    }

    /// The call as it goes to this place.
    pub(super) fn aimed(&self, mut call: Call) -> Call {
        if let Step::Target(target) = &self.step {
            call.path.clone_from(target);
            call.query.clear();
        }
        call
    }
}

/// How a list is paged, as far as the next page is concerned.
pub(super) struct Pager<'a> {
    pub(super) page: &'a Paging,
    pub(super) end: &'a [Check],
    pub(super) total: Option<&'a Path>,
    /// A page of fewer rows is the last, where the provider says so.
    pub(super) short: Option<usize>,
}

/// What came of a page.
pub(super) struct Came<'a> {
    pub(super) answer: &'a Answer,
    pub(super) body: &'a Value,
    pub(super) rows: usize,
    pub(super) last: Option<&'a str>,
    /// Whether the last row of the page before is among the rows.
    pub(super) joins: bool,
}

impl Pager<'_> {
    /// The next page's step; `None` where this was the last.
    pub(super) fn after(
        &self,
        session: &Session<'_>,
        step: &Step,
        came: &Came<'_>,
    ) -> Result<Option<Step>, ProviderError> {
        if self.end.iter().any(|check| check.holds(came.body)) {
            return Ok(None);
        }
        let is_short = self.short.is_some_and(|limit| came.rows < limit);
        let total = self.total.and_then(|path| path.find(came.body)).and_then(Value::as_u64);
        Ok(match self.page {
            Paging::None => None,
            Paging::Keyset => (came.rows > 0 && !is_short).then_some(Step::First),
            Paging::Offset => self.offset(step, came, is_short, total),
            Paging::Page => page(step, came, is_short, total, self.total.is_some()),
            Paging::Token(token) => {
                let found = match (&token.path, &token.header) {
                    (Some(path), _) => path.find(came.body).and_then(as_text),
                    (None, Some(header)) => came.answer.header(header).map(str::to_owned),
                    (None, None) => None,
                };
                let found = found.filter(|cursor| !cursor.is_empty());
                match found {
                    Some(cursor) if *step == Step::Cursor(cursor.clone()) && came.rows == 0 => None,
                    Some(cursor) => Some(Step::Cursor(cursor)),
                    // Where an end is declared and has not come, there must be more.
                    None if !self.end.is_empty() => return Err(lost()),
                    None => None,
                }
            }
            Paging::Link => link(session, came.answer).map(|target| target_of(session, &target)).transpose()?,
            Paging::NextUrl(path) => {
                let target = path.find(came.body).and_then(Value::as_str).filter(|target| !target.is_empty());
                target.map(|target| target_of(session, target)).transpose()?
            }
        })
    }

    /// A page by offset begins with the last row of the one before. Where it does not hold it, rows before it have gone, and
    /// those behind have moved into pages that were read: the walk steps back.
    fn offset(&self, step: &Step, came: &Came<'_>, is_short: bool, total: Option<u64>) -> Option<Step> {
        let (at, sought) = match step {
            Step::Offset(at, last) => (*at, last.is_some()),
            _ => (0, false),
        };
        if sought && !came.joins && at > 0 {
            let back = u64::try_from(came.rows.max(1)).unwrap_or(u64::MAX).saturating_mul(2);
            let Step::Offset(_, last) = step else { return None };
            return Some(Step::Offset(at.saturating_sub(back), last.clone()));
        }
        let next = at.saturating_add(u64::try_from(came.rows).unwrap_or(u64::MAX));
        let ended = came.rows <= usize::from(sought) || is_short || total.is_some_and(|total| next >= total);
        // One row comes twice, to see that nothing has moved.
        (!ended).then(|| match came.last {
            Some(last) if came.rows > 1 => Step::Offset(next.saturating_sub(1), Some(last.to_owned())),
            _ => Step::Offset(next, None),
        })
    }
}

fn page(step: &Step, came: &Came<'_>, is_short: bool, total: Option<u64>, knows_total: bool) -> Option<Step> {
    let (number, before) = match step {
        Step::Page(number, before) => (*number, *before),
        _ => (1, None),
    };
    // Rows have gone meanwhile, and those behind them moved into a page that was read.
    if let (Some(before), Some(total)) = (before, total)
        && total < before
    {
        return Some(Step::Page(number.saturating_sub(1).max(1), Some(total)));
    }
    (came.rows > 0 && !is_short).then(|| Step::Page(number + 1, total.filter(|_| knows_total)))
}

fn lost() -> ProviderError {
    ProviderError {
        remedy: Remedy::Restart,
        message: "there are more rows, but the answer does not say where".to_owned(),
    }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn link(session: &Session<'_>, answer: &Answer) -> Option<String> {
    let header = answer.header(http::header::LINK.as_str())?;
    let links = http_link::parse_link_header(header, session.base.url()).ok()?;
    let next = links.into_iter().find(|link| link.rel.split_ascii_whitespace().any(|rel| rel == "next"))?;
    Some(next.target.into())
}

/// The path and query of an address at the connection's own host.
fn target_of(session: &Session<'_>, target: &str) -> Result<Step, ProviderError> {
    let elsewhere = || configure(format!("the provider's next page is not at {}", session.base.host()));
    let url = session.base.url().join(target).map_err(|_| elsewhere())?;
    if url.host() != session.base.url().host() {
        return Err(elsewhere());
    }
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(Step::Target(format!("{}{query}", url.path())))
}
