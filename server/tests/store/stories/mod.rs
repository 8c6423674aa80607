//! The stories, generic over the store.

pub(crate) mod commits;
pub(crate) mod documents;
pub(crate) mod feeds;
pub(crate) mod instance;
pub(crate) mod matches;
pub(crate) mod readers;
pub(crate) mod work;
