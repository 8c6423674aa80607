//! The present records, page by page, before a subscriber hears of changes.

use std::collections::VecDeque;

use syncline_core::{
    ids::ModelName,
    live::{Cursor, JsonFields, ServerMessage, SnapshotRow},
    value::Fields,
};

use super::{limits, subscription::Interest};
use crate::store::{
    StoreError, TenantStore,
    records::{RecordPlace, RecordQuery, RecordRow},
};

/// A snapshot that is being sent.
///
/// The feed's end is taken before the first page. A list is ordered by each record's last change, so pages end where that
/// place is passed: later changes come through the feed anyway, and a snapshot ends however fast records change.
#[derive(Debug)]
pub(super) struct Snapshot {
    head: Cursor,
    models: VecDeque<ModelName>,
    after: Option<RecordPlace>,
}

impl Snapshot {
    /// A snapshot of everything that the interest matches, as of `head` or later.
    pub(super) fn new(interest: &Interest, head: Cursor) -> Self {
        Self { head, models: interest.models().into(), after: None }
    }

    /// The next messages; `None` at the end.
    pub(super) async fn next(
        &mut self,
        store: &dyn TenantStore,
        interest: &Interest,
    ) -> Result<Option<Vec<ServerMessage>>, StoreError> {
        let Some(model) = self.models.front() else { return Ok(None) };
        let query = RecordQuery {
            after: self.after,
            equals: interest.equals(model),
            limit: limits::SNAPSHOT_PAGE_ROWS,
            ..RecordQuery::of(model.clone())
        };
        let page = store.list_records(&query).await?;
        let read = page.rows.len();
        let rows: Vec<_> = page.rows.into_iter().take_while(|row| row.cursor <= self.head).collect();
        self.after = page.next.filter(|_| rows.len() == read);
        if self.after.is_none() {
            self.models.pop_front();
        }
        Ok(Some(messages(rows)))
    }
}

/// Rows as messages of bounded size.
fn messages(rows: Vec<RecordRow>) -> Vec<ServerMessage> {
    let mut messages = Vec::new();
    let (mut page, mut bytes) = (Vec::new(), 0);
    for row in rows.into_iter().map(shown) {
        bytes += size(&row.fields);
        page.push(row);
        if bytes >= limits::SNAPSHOT_MESSAGE_BYTES {
            messages.push(ServerMessage::Snapshot { rows: std::mem::take(&mut page) });
            bytes = 0;
        }
    }
    if !page.is_empty() {
        messages.push(ServerMessage::Snapshot { rows: page });
    }
    messages
}

fn shown(row: RecordRow) -> SnapshotRow {
    SnapshotRow {
        record: row.id,
        model: row.model,
        version: row.version,
        fields: json(&row.fields),
        at: row.last_modified_at,
    }
}

fn json(fields: &Fields) -> JsonFields {
    fields.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect()
}

/// About how long the fields are as JSON; only texts can be long.
fn size(fields: &JsonFields) -> usize {
    const SHORT_VALUE: usize = 24;
    fields.iter().map(|(name, value)| name.len() + value.as_str().map_or(SHORT_VALUE, str::len)).sum()
}
