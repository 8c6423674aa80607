//! The change feed over plain HTTP; [`Live`](crate::Live) is the same over a socket.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use syncline_core::live::{Change, Cursor};

use crate::{api::Api, error::Error};

/// A part of the feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// The changes, oldest first.
    pub items: Vec<Change>,
    /// Go on after this.
    pub cursor: Cursor,
}

/// Which changes to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangesQuery {
    /// Only changes of this model.
    pub model: Option<String>,
    /// The most changes in the answer, from 1 to 1000.
    pub limit: Option<u32>,
    /// How long the server may wait for a change where there is none yet; whole seconds, at most 60.
    pub wait: Duration,
}

impl Api {
    /// The changes after a place in the feed.
    ///
    /// # Errors
    /// See [`Error`]; status 410 means that the feed no longer reaches back so far: read the records again.
    pub async fn changes(&self, after: Cursor, query: &ChangesQuery) -> Result<Changes, Error> {
        let seconds = query.wait.as_secs();
        self.get(&["v1", "changes"])
            .query(&[("after", after.0), ("wait", seconds)])
            .query(&[("limit", query.limit)])
            .query(&[("model", &query.model)])
            .patience(Duration::from_secs(seconds))
            .read()
            .await
    }
}
