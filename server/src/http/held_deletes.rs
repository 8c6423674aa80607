//! Deletes that wait for a person, as a sync shows them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::store::{
    StoreError, TenantStore,
    held::{DeleteSource, GuardPut, HeldRow, Standing},
};

/// How many of the deletes are shown.
const SAMPLE: u32 = 10;

/// Deletes of one source that wait for a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldDeletes)]
pub(super) struct HeldDeletesView {
    /// The connection whose objects are gone; null where the product's own clients deleted the records.
    pub(super) connection: Option<String>,
    /// Since when a person is asked.
    #[schema(format = DateTime)]
    since: String,
    /// What showed them: `reading` (objects read by id), `named` (the provider's list of what was deleted), `missing` (a complete
    /// listing without them) or `clients` (of the product).
    signal: String,
    /// How many wait.
    waiting: u64,
    /// Of how many objects, or records, when the question was asked.
    known: u64,
    /// The share of them that waits, in percent.
    share_percent: u64,
    /// A few of them.
    sample: Vec<HeldDeleteView>,
    /// What to do.
    remedy: String,
}

/// A delete that waits for a person.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = HeldDelete)]
struct HeldDeleteView {
    /// The record.
    record: String,
    /// The object that is gone; null where a client deleted the record.
    object: Option<String>,
}

impl HeldDeletesView {
    /// What waits and why, for people.
    pub(super) fn in_words(&self) -> String {
        let Self { waiting, known, .. } = self;
        format!("{waiting} of {known} objects are gone at once; nothing was deleted elsewhere: {}", self.remedy)
    }
}

/// Every source of a sync whose deletes wait.
pub(super) async fn views(store: &dyn TenantStore, sync: &str) -> Result<Vec<HeldDeletesView>, StoreError> {
    let guards = store.delete_guards().await?;
    let of_sync: Vec<GuardPut> =
        guards.into_iter().filter(|guard| guard.sync == sync && guard.state.question().is_some()).collect();
    if of_sync.is_empty() {
        return Ok(Vec::new());
    }
    let counts = store.count_held(sync).await?;
    let mut views = Vec::new();
    for guard in of_sync {
        let Some(question) = guard.state.question() else { continue };
        let waiting = counts.get(&(guard.source.clone(), Standing::Waits)).copied().unwrap_or_default();
        let sample = store.list_held(sync, &guard.source, Standing::Waits, None, SAMPLE).await?;
        let (connection, remedy) = match &guard.source {
            DeleteSource::Clients => (
                None,
                format!(
                    "`syncline syncs approve {sync}` deletes them in the connected systems as well, `syncline syncs reject {sync}` brings \
                     the records back"
                ),
            ),
            DeleteSource::Connection(connection) => (
                Some(connection.to_string()),
                format!(
                    "look at the account, then `syncline syncs approve {sync} --connection {connection}` carries the deletes out, and \
                     `syncline syncs reject {sync} --connection {connection}` creates the objects again there"
                ),
            ),
        };
        views.push(HeldDeletesView {
            connection,
            since: question.since.to_rfc3339(),
            signal: question.signal.as_str().to_owned(),
            waiting,
            known: question.known,
            share_percent: share_percent(waiting, question.known),
            sample: sample.into_iter().map(HeldDeleteView::from).collect(),
            remedy,
        });
    }
    Ok(views)
}

/// Rounded to the nearest, and never more than all.
fn share_percent(waiting: u64, known: u64) -> u64 {
    let known = u128::from(known.max(1));
    let share = (u128::from(waiting) * 100 + known / 2) / known;
    u64::try_from(share.min(100)).unwrap_or(100)
}

impl From<HeldRow> for HeldDeleteView {
    fn from(row: HeldRow) -> Self {
        Self { record: row.record.to_string(), object: row.object.map(|id| id.to_string()) }
    }
}
