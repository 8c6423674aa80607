//! Where the next page of a list is: the `Link` header, whose addresses are followed as they are. Large lists are paged by
//! cursors that only it names, and refuse page numbers.

use syncline_core::remote::ProviderError;

use super::session::{Session, astray};
use crate::rest::Answer;

/// The path of the next page; `None` on the last.
///
/// # Errors
/// The header leads to another host, or cannot be read: taken for the last page, it would hide rows.
pub(super) fn next(session: &Session<'_>, answer: &Answer) -> Result<Option<String>, ProviderError> {
    let Some(text) = answer.header("link") else { return Ok(None) };
    let links = http_link::parse_link_header(text, session.site.base.url())
        .map_err(|error| astray(&format!("the `Link` header of a list cannot be read ({error})")))?;
    let Some(link) = links.into_iter().find(|link| link.rel == "next") else { return Ok(None) };
    session.local(link.target.as_str()).map(Some).ok_or_else(|| astray("the next page is at another host"))
}
