//! Pages of lists.

use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end of the list.
    pub next_cursor: Option<String>,
}

/// Which page of a list; the default is the first, of the server's usual size.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct At {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// The most items in the page, from 1 to 1000.
    pub limit: Option<u32>,
}

impl At {
    /// The page that begins at a page's `next_cursor`.
    pub fn after(cursor: impl Into<String>) -> Self {
        Self { cursor: Some(cursor.into()), limit: None }
    }

    /// The same page, with at most so many items.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit: Some(limit), ..self }
    }
}
