//! What a handler takes from a request. Each extractor refuses with a [`Problem`](super::problem::Problem) that names
//! the place, so that no handler sees a half-read request.

mod body;
mod params;
mod precondition;
mod segments;

pub(crate) use body::{Body, unread};
pub(crate) use params::{Filtered, Instant, PageSize, Params, Wait};
pub(crate) use precondition::{IdempotencyKey, IfMatch};
pub(crate) use segments::Segments;
