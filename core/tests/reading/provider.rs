//! A simulated provider with everything that makes reading hard: coarse stamps, rows that appear late with an earlier
//! stamp, rows that move while they are walked, caps, short and empty pages, tokens that expire, malformed rows.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use syncline_core::{
    ids::ExternalId,
    remote::{
        CursorFacts, MalformedRow, Page, PageRequest, Position, ProviderError, Raw, Remedy, RemoteObject,
        RemoteVersion, Walk,
    },
    time::Millis,
};

/// What the provider does, apart from what it declares in its [`CursorFacts`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quirks {
    /// The longest time between a stamp and the moment at which the row shows it.
    pub(crate) hidden_ms_max: u64,
    /// Per cent of tokens that are refused.
    pub(crate) expired_percent: u32,
    /// Per cent of pages that are cut short, at times to nothing.
    pub(crate) short_percent: u32,
    /// Per cent of rows that cannot be read, apart from their id.
    pub(crate) malformed_percent: u32,
    /// Whether the tokens of a window count its rows as they are by then.
    pub(crate) tokens_shift: bool,
}

/// One version of a row.
#[derive(Clone, Copy, Debug)]
struct Version {
    value: u64,
    stamp: Millis,
    shown_from: Millis,
    malformed: bool,
}

/// The provider.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) now: Millis,
    facts: CursorFacts,
    quirks: Quirks,
    rng: ChaCha8Rng,
    rows: BTreeMap<u32, Vec<Version>>,
    values: u64,
    snapshots: BTreeMap<u64, Vec<(u32, Version)>>,
    pub(crate) calls: u64,
    pub(crate) expired: u64,
    pub(crate) late: u64,
}

impl Provider {
    pub(crate) fn new(facts: CursorFacts, quirks: Quirks, now: Millis, rng: ChaCha8Rng) -> Self {
        let (rows, snapshots) = (BTreeMap::new(), BTreeMap::new());
        Self { now, facts, quirks, rng, rows, values: 0, snapshots, calls: 0, expired: 0, late: 0 }
    }

    /// A user creates or edits a row; `hidden` says whether it may take its time to show.
    pub(crate) fn edit(&mut self, id: u32, hidden: bool) {
        let precision = i64::from(self.facts.precision_ms);
        let hidden_ms = if hidden { self.rng.random_range(0..=self.quirks.hidden_ms_max) } else { 0 };
        self.values += 1;
        self.late += u64::from(hidden_ms > self.facts.lag_ms);
        let version = Version {
            value: self.values,
            stamp: Millis(self.now.0.div_euclid(precision) * precision),
            shown_from: self.now.plus(hidden_ms as i64),
            malformed: self.percent(self.quirks.malformed_percent),
        };
        self.rows.entry(id).or_default().push(version);
    }

    pub(crate) fn delete(&mut self, id: u32) {
        self.rows.remove(&id);
    }

    /// The newest value of every row, shown yet or not.
    pub(crate) fn truth(&self) -> BTreeMap<u32, u64> {
        self.rows.iter().filter_map(|(id, versions)| Some((*id, versions.last()?.value))).collect()
    }

    /// Answers a request as the declared walk demands.
    pub(crate) fn answer(&mut self, request: &PageRequest) -> Result<Page, ProviderError> {
        self.calls += 1;
        if request.token.is_some() && self.percent(self.quirks.expired_percent) {
            self.expired += 1;
            return Err(failure(Remedy::Restart, "the query locator has expired"));
        }
        match (self.facts.walk, &request.window) {
            (_, Some(_)) if self.quirks.tokens_shift => self.answer_by_offset(request),
            (Walk::IdWithinWindow, None) => self.answer_by_id(request),
            _ => self.answer_by_snapshot(request),
        }
    }

    /// A query: further pages come from the result as it was when the query was first asked.
    fn answer_by_snapshot(&mut self, request: &PageRequest) -> Result<Page, ProviderError> {
        let (snapshot, from) = match &request.token {
            Some(token) => parse(token),
            None => {
                let number = self.calls;
                let result = self.result(request);
                self.snapshots.insert(number, result);
                (number, 0)
            }
        };
        let rows = self.snapshots.get(&snapshot).cloned().unwrap_or_default();
        Ok(self.page(request, &rows, from, |until| format!("{snapshot}/{until}")))
    }

    /// A search: further pages count rows of the result as it is by then, up to a cap.
    fn answer_by_offset(&mut self, request: &PageRequest) -> Result<Page, ProviderError> {
        let from = request.token.as_deref().map_or(0, |token| parse(token).1);
        if self.facts.rows_max.is_some_and(|max| from + self.size(request) > max as usize) {
            return Err(failure(Remedy::Configure, "reading beyond the cap"));
        }
        let rows = self.result(request);
        Ok(self.page(request, &rows, from, |until| format!("0/{until}")))
    }

    /// A list by id: the token is the last id.
    fn answer_by_id(&mut self, request: &PageRequest) -> Result<Page, ProviderError> {
        let last = match (&request.token, &request.after) {
            (Some(token), _) => parse(token).1 as u32,
            (None, Some(after)) => number(&after.id),
            (None, None) => 0,
        };
        let rows: Vec<_> = self.result(request).into_iter().filter(|(id, _)| *id > last).collect();
        Ok(self.page(request, &rows, 0, |until| format!("0/{}", until.checked_sub(1).map_or(last, |row| rows[row].0))))
    }

    /// The rows that match now, in the walk's order.
    fn result(&self, request: &PageRequest) -> Vec<(u32, Version)> {
        let shown = |versions: &Vec<Version>| versions.iter().rev().find(|row| row.shown_from <= self.now).copied();
        let all = self.rows.iter().filter_map(|(id, versions)| Some((*id, shown(versions)?)));
        let inside = |row: &Version| request.window.is_none_or(|w| w.from <= row.stamp && row.stamp < w.until);
        let mut rows: Vec<_> = all.filter(|(id, row)| inside(row) && self.is_after(&request.after, *id, row)).collect();
        if self.facts.walk == Walk::StampThenId {
            rows.sort_by_key(|(id, row)| (row.stamp, *id));
        }
        rows
    }

    fn is_after(&self, after: &Option<Position>, id: u32, row: &Version) -> bool {
        match (after, self.facts.walk) {
            (None, _) => true,
            (Some(after), Walk::StampThenId) => (row.stamp, id) > (after.stamp, number(&after.id)),
            (Some(after), Walk::IdWithinWindow) => id > number(&after.id),
        }
    }

    fn page(
        &mut self,
        request: &PageRequest,
        rows: &[(u32, Version)],
        from: usize,
        token: impl Fn(usize) -> String,
    ) -> Page {
        let size = self.size(request);
        let size = if self.percent(self.quirks.short_percent) { self.rng.random_range(0..=size) } else { size };
        let until = (from + size).min(rows.len());
        let mut page = Page { next: (until < rows.len()).then(|| token(until)), ..Page::default() };
        for (id, row) in &rows[from.min(until)..until] {
            match row.malformed {
                true => page.malformed.push(malformed(*id, row)),
                false => page.objects.push(self.object(*id, row)),
            }
        }
        page
    }

    fn size(&self, request: &PageRequest) -> usize {
        request.limit.min(self.facts.page_max) as usize
    }

    fn object(&self, id: u32, row: &Version) -> RemoteObject {
        RemoteObject {
            id: ExternalId::from(id.to_string()),
            aliases: Vec::new(),
            deleted: false,
            version: Some(RemoteVersion { stamp: row.stamp, precision_ms: self.facts.precision_ms }),
            author: None,
            fields: Raw::from_iter([("value".to_owned(), row.value.into())]),
            history: BTreeMap::new(),
        }
    }

    fn percent(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }
}

/// The id and value of everything that a page shows, malformed rows included.
pub(crate) fn shown(page: &Page) -> Vec<(u32, u64)> {
    let value = |json: &serde_json::Value| json.as_u64().expect("the simulated provider's values are numbers");
    let objects = page.objects.iter().map(|row| (number(&row.id), value(&row.fields["value"])));
    let malformed = page.malformed.iter().map(|row| (number(row.id.as_ref().expect("named")), value(&row.raw)));
    objects.chain(malformed).collect()
}

pub(crate) fn failure(remedy: Remedy, message: &str) -> ProviderError {
    ProviderError { remedy, message: message.to_owned() }
}

fn malformed(id: u32, row: &Version) -> MalformedRow {
    MalformedRow {
        id: Some(ExternalId::from(id.to_string())),
        reason: "not an object".to_owned(),
        raw: row.value.into(),
    }
}

fn number(id: &ExternalId) -> u32 {
    id.as_str().parse().expect("the simulated provider's ids are numbers")
}

fn parse(token: &str) -> (u64, usize) {
    let (snapshot, from) = token.split_once('/').expect("a token of this provider");
    (snapshot.parse().expect("a number"), from.parse().expect("a number"))
}
