//! Options of verbs that list things.

use clap::Args;
use syncline_client::{At, Error, Page};

/// The most items of one page.
const PAGE_MAX: u32 = 1_000;

/// How much of a list to show.
#[derive(Args, Clone, Debug)]
pub(crate) struct Paging {
    /// The most items to show; 0 shows all.
    #[arg(long, default_value_t = 50, value_name = "N")]
    limit: u64,
    /// Go on after a `next_cursor` of an earlier answer.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

impl Paging {
    /// Whether the list is shown from its beginning.
    pub(crate) fn begins(&self) -> bool {
        self.cursor.is_none()
    }

    /// Fetches as many pages as are needed. The result's cursor says where the list goes on, if it does.
    pub(crate) async fn collect<T>(&self, fetch: impl AsyncFn(At) -> Result<Page<T>, Error>) -> Result<Page<T>, Error> {
        let wanted = if self.limit == 0 { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) };
        let mut whole = Page { items: Vec::new(), next_cursor: self.cursor.clone() };
        loop {
            let missing = u32::try_from(wanted - whole.items.len()).unwrap_or(PAGE_MAX).min(PAGE_MAX);
            let page = fetch(At { cursor: whole.next_cursor.take(), limit: Some(missing) }).await?;
            whole.items.extend(page.items);
            whole.next_cursor = page.next_cursor;
            if whole.next_cursor.is_none() || whole.items.len() >= wanted {
                return Ok(whole);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list of `length` numbers in pages of at most 3.
    async fn numbers(length: u32, at: At) -> Result<Page<u32>, Error> {
        let begin: u32 = at.cursor.map_or(0, |cursor| cursor.parse().unwrap());
        let end = length.min(begin + at.limit.unwrap().min(3));
        Ok(Page { items: (begin..end).collect(), next_cursor: (end < length).then(|| end.to_string()) })
    }

    #[tokio::test]
    async fn pages_are_fetched_until_enough_is_there() {
        for (limit, length, expected, next) in
            [(4, 10, 4, Some("4")), (0, 10, 10, None), (20, 10, 10, None), (3, 3, 3, None), (5, 0, 0, None)]
        {
            let paging = Paging { limit, cursor: None };
            let page = paging.collect(async |at| numbers(length, at).await).await.unwrap();
            assert_eq!(page.items, (0..expected).collect::<Vec<_>>(), "{limit} of {length}");
            assert_eq!(page.next_cursor.as_deref(), next, "{limit} of {length}");
        }
    }
}
