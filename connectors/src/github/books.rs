//! Which markers are in a repository. Only a list can tell, and a repository has many pages of issues; so what was seen once is
//! kept in a book, and later questions read on from there.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use lru::LruCache;
use serde_json::Value;
use syncline_core::{
    ids::ExternalId,
    remote::{ProviderError, Remedy},
    time::Millis,
};

use super::{
    link, marker,
    rows::{Kind, Row, Shape, Shown},
    session::Session,
    walk,
};
use crate::rest::Call;

/// So many repositories have a book; beyond it, the one that was not asked for longest goes.
const BOOKS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// So many markers stand in a book; with more it is begun anew.
const MARKERS_MAX: usize = 50_000;

/// So many objects are remembered that were made by this process; lists may lag behind them.
const MADE_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

/// What was created less long ago may still appear behind what is seen already.
const SETTLED_MS: i64 = 60_000;

/// Before a create so many pages are read: what another try of it has made is among the newest.
const RECENT_PAGES: usize = 3;

/// How far a question goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// To what was created lately, or is in the book. Before a create, which must not take long.
    Recent,
    /// To the beginning of the repository: after a create whose answer was lost.
    Beginning,
}

/// The books of all repositories that an integration's connections are about.
pub(super) struct Books {
    seen: Mutex<LruCache<(String, Kind), Book>>,
    /// What this process has made, by repository and key.
    made: Mutex<LruCache<(String, Kind, String), ExternalId>>,
}

/// What was seen of one repository: everything that was created in a span of time.
#[derive(Clone, Debug, Default, PartialEq)]
struct Book {
    /// The span's beginning; `None` where it is the repository's.
    from: Option<Millis>,
    /// The span's end.
    until: Millis,
    markers: HashMap<String, ExternalId>,
}

impl Default for Books {
    fn default() -> Self {
        Self { seen: Mutex::new(LruCache::new(BOOKS_MAX)), made: Mutex::new(LruCache::new(MADE_MAX)) }
    }
}

impl Books {
    fn read(&self, name: &(String, Kind)) -> Option<Book> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// An object was made that bears the key.
    pub(super) fn made(&self, repository: &str, kind: Kind, key: &str, id: ExternalId) {
        let name = (repository.to_owned(), kind, key.to_owned());
        self.made.lock().unwrap_or_else(PoisonError::into_inner).put(name, id);
    }

    /// The object that this process has made with the key.
    pub(super) fn made_before(&self, repository: &str, kind: Kind, key: &str) -> Option<ExternalId> {
        let name = (repository.to_owned(), kind, key.to_owned());
        self.made.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }

    fn write(&self, name: (String, Kind), book: Book) {
        let mut books = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if book.markers.len() > MARKERS_MAX {
            books.pop(&name);
        } else {
            books.put(name, book);
        }
    }
}

/// The objects that bear these keys, as far as lists show: whoever acts on one reads it first.
///
/// # Errors
/// Beside GitHub's: an object bears one of the keys, and the list does not say which it is.
pub(super) async fn find(
    session: &Session<'_>,
    kind: Kind,
    keys: &BTreeSet<&str>,
    reach: Reach,
) -> Result<BTreeMap<String, ExternalId>, ProviderError> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let name = (session.repository.clone(), kind);
    let mut walked = Walked::new(session.books.read(&name));
    let fields = [marker::FIELD.to_owned()];
    let shape = Shape { kind, fields: &fields };
    let mut call = newest_first(session, kind);
    loop {
        let answer = session.get(call).await?;
        let next = link::next(session, &answer)?;
        walked.page(walk::rows(&answer, shape)?, answer.date(), next.is_none());
        match next {
            Some(path) if !walked.is_enough(reach) => call = Call::get(path),
            _ => break,
        }
    }
    walked.refuse_nameless(keys)?;
    let complete = walked.nameless.is_empty();
    let book = walked.close();
    let found = keys.iter().filter_map(|key| Some(((*key).to_owned(), book.markers.get(*key)?.clone()))).collect();
    // A span with a row that could not be named is not known.
    if complete {
        session.books.write(name, book);
    }
    Ok(found)
}

/// The list of everything in the order of creation, the newest first. Edits do not move its rows.
pub(super) fn newest_first(session: &Session<'_>, kind: Kind) -> Call {
    walk::listing(session, kind)
        .query("sort", "created")
        .query("direction", "desc")
        .query("per_page", walk::ROWS_MAX.to_string())
}

/// The key that a row bears, and the object that it is, where the row says so.
fn bearer(shown: Shown) -> Option<(String, Option<ExternalId>)> {
    match shown {
        Shown::Object(object) => match object.fields.get(marker::FIELD) {
            Some(Value::String(key)) => Some((key.clone(), Some(object.id))),
            _ => None,
        },
        Shown::Malformed(row) => Some((marker::read(row.raw.get("body")?.as_str()?).key?, row.id)),
        Shown::PullRequest => None,
    }
}

/// A walk from the newest backwards, and the book that it adds to.
struct Walked {
    old: Option<Book>,
    pages: usize,
    /// The time of the first page's answer.
    begun: Option<Millis>,
    /// The oldest creation seen.
    oldest: Option<Millis>,
    /// The walk has come to the end of the list.
    ended: bool,
    markers: HashMap<String, ExternalId>,
    /// Keys of rows that do not say whose they are.
    nameless: BTreeSet<String>,
}

impl Walked {
    fn new(old: Option<Book>) -> Self {
        Self {
            old,
            pages: 0,
            begun: None,
            oldest: None,
            ended: false,
            markers: HashMap::new(),
            nameless: BTreeSet::new(),
        }
    }

    fn page(&mut self, rows: Vec<Row>, date: Option<Millis>, last: bool) {
        if self.pages == 0 {
            self.begun = date;
        }
        self.pages += 1;
        self.ended = last;
        let oldest = rows.iter().filter_map(|row| row.created).min();
        self.oldest = self.oldest.into_iter().chain(oldest).min();
        for row in rows {
            let Some((key, id)) = bearer(row.shown) else { continue };
            match id {
                // Of two that bear one key, the older one was first: it comes later.
                Some(id) => drop(self.markers.insert(key, id)),
                None => drop(self.nameless.insert(key)),
            }
        }
    }

    /// Taken for absent, an object whose row cannot be read would be made again.
    fn refuse_nameless(&self, keys: &BTreeSet<&str>) -> Result<(), ProviderError> {
        let is_hidden = |key: &&str| self.nameless.contains(*key) && !self.markers.contains_key(*key);
        if !keys.iter().any(is_hidden) {
            return Ok(());
        }
        Err(ProviderError {
            remedy: Remedy::Retry,
            message: "a row of the list bears the record's marker, and does not say which object it is".to_owned(),
        })
    }

    /// Whether the walk has come to what the book holds. Creations in the same second as the book's end are seen again.
    fn meets(&self) -> bool {
        let until = self.old.as_ref().map(|book| book.until);
        until.is_some_and(|until| self.oldest.is_some_and(|oldest| oldest < until))
    }

    fn is_enough(&self, reach: Reach) -> bool {
        let from_beginning = self.old.as_ref().is_some_and(|book| book.from.is_none());
        match reach {
            Reach::Recent => self.meets() || self.pages >= RECENT_PAGES,
            Reach::Beginning => self.meets() && from_beginning,
        }
    }

    /// The book with what was seen. A walk that has not come to what the old one holds begins it anew.
    fn close(self) -> Book {
        let met = self.meets();
        let old = self.old.filter(|_| met || self.ended);
        let seen_from = if self.ended { None } else { self.oldest };
        let from = match &old {
            Some(old) => seen_from.and_then(|seen| old.from.map(|from| from.min(seen))),
            None => seen_from,
        };
        // Without a clock, or without rows, nothing is known to be settled.
        let settled = self.begun.map(|begun| begun.plus(-SETTLED_MS)).unwrap_or_default();
        let until = old.as_ref().map_or(settled, |old| old.until.max(settled));
        let mut markers = old.map(|old| old.markers).unwrap_or_default();
        markers.extend(self.markers);
        Book { from, until, markers }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A page of issues, each as its number, the second of its creation, and its key.
    fn rows(issues: &[(u64, i64, &str)]) -> Vec<Row> {
        let fields = [marker::FIELD.to_owned()];
        let shape = Shape { kind: Kind::Issues, fields: &fields };
        let row = |(number, second, key): &(u64, i64, &str)| {
            let at = jiff::Timestamp::from_second(*second).expect("a time").to_string();
            let body = marker::write(&marker::Parts { key: Some((*key).to_owned()), ..marker::Parts::default() });
            shape.row(json!({"number": number, "created_at": at, "updated_at": at, "body": body}))
        };
        issues.iter().map(row).collect()
    }

    fn now(second: i64) -> Option<Millis> {
        Some(Millis(second * 1_000))
    }

    fn shown(book: &Book) -> (Option<i64>, i64, Vec<String>) {
        let markers: BTreeSet<String> = book.markers.iter().map(|(key, id)| format!("{key}={id}")).collect();
        (book.from.map(|from| from.0 / 1_000), book.until.0 / 1_000, markers.into_iter().collect())
    }

    #[test]
    fn a_walk_goes_on_until_it_meets_the_book() {
        let mut first = Walked::new(None);
        first.page(rows(&[(9, 900, "i"), (8, 800, "h")]), now(1_000), false);
        assert!(!first.is_enough(Reach::Recent));
        first.page(rows(&[(7, 700, "g")]), now(1_001), false);
        let book = first.close();
        assert_eq!(shown(&book), (Some(700), 940, vec!["g=7".into(), "h=8".into(), "i=9".into()]));

        let mut second = Walked::new(Some(book.clone()));
        second.page(rows(&[(11, 1_100, "k"), (10, 950, "j")]), now(1_200), false);
        assert!(!second.is_enough(Reach::Recent), "what was created since the book's end is not all seen");
        second.page(rows(&[(9, 900, "i")]), now(1_200), false);
        assert!(second.is_enough(Reach::Recent) && !second.is_enough(Reach::Beginning));
        let (from, until, markers) = shown(&second.close());
        assert_eq!((from, until, markers.len()), (Some(700), 1_140, 5));

        let mut third = Walked::new(Some(book));
        third.page(rows(&[(9, 900, "i"), (7, 700, "g"), (1, 100, "a")]), now(1_300), true);
        let book = third.close();
        assert_eq!(shown(&book).0, None, "the list's end is the repository's beginning");
        let mut fourth = Walked::new(Some(book));
        fourth.page(rows(&[(12, 1_310, "l"), (9, 900, "i")]), now(1_400), false);
        assert!(fourth.is_enough(Reach::Beginning));
        assert_eq!(shown(&fourth.close()).0, None);
    }

    #[test]
    fn a_gap_begins_the_book_anew() {
        let old = Book { from: None, until: Millis(500_000), markers: HashMap::from([("a".into(), "1".into())]) };
        let mut walked = Walked::new(Some(old));
        for (number, second) in [(9, 900), (8, 800), (7, 700)] {
            walked.page(rows(&[(number, second, "x")]), now(1_000), false);
        }
        assert!(walked.is_enough(Reach::Recent), "a create does not wait for more");
        assert_eq!(shown(&walked.close()), (Some(700), 940, vec!["x=7".into()]));
    }

    #[test]
    fn of_two_that_bear_a_key_the_older_counts() {
        let mut walked = Walked::new(None);
        walked.page(rows(&[(9, 900, "x"), (3, 300, "x")]), now(1_000), true);
        assert_eq!(shown(&walked.close()).2, ["x=3"]);
    }

    #[test]
    fn a_row_that_cannot_be_read_hides_no_key() {
        let shape = Shape { kind: Kind::Issues, fields: &[] };
        let at = "2026-05-05T10:00:00Z";
        let named =
            json!({"number": 7, "labels": "bug", "created_at": at, "updated_at": at, "body": "<!-- syncline:k -->"});
        let nameless = json!({"created_at": at, "updated_at": at, "body": "<!-- syncline:j -->"});
        let mut walked = Walked::new(None);
        walked.page(vec![shape.row(named), shape.row(nameless)], now(1_778_000_000), true);
        assert_eq!(walked.refuse_nameless(&["k", "i"].into()), Ok(()));
        let refused = walked.refuse_nameless(&["k", "j"].into());
        assert_eq!(refused.map_err(|error| error.remedy), Err(Remedy::Retry));
        assert_eq!(shown(&walked.close()).2, ["k=7"]);
    }

    #[test]
    fn an_empty_repository_is_known_from_its_beginning() {
        let mut walked = Walked::new(None);
        walked.page(Vec::new(), now(1_000), true);
        assert_eq!(shown(&walked.close()), (None, 940, Vec::new()));
    }
}
