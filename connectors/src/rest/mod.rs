//! The one REST driver. A provider describes a [`Call`] and reads an [`Answer`]; everything between is here.
//!
//! # Layout
//!
//! * [`BaseUrl`], [`Call`]: where a request goes and what it is, as data.
//! * [`Rest`]: sends it with the bearer token; [`Answer`]: what came back; [`Dialect`]: what that means.
//! * [`mod@batches`], [`Outcomes`]: rows of a batch write in, exactly one outcome a row out.
//! * [`Stamp`](stamp), [`fields`]: dates and fields as providers spell them.

mod answer;
mod base;
mod batches;
mod call;
mod driver;
pub mod fields;
mod outcomes;
pub mod stamp;

pub use self::{
    answer::Answer,
    base::{BaseUrl, BaseUrlError},
    batches::{batches, waves},
    call::{Body, Call, segment},
    driver::{Dialect, Rest},
    outcomes::Outcomes,
};
