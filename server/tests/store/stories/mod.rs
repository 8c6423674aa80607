//! The stories, generic over the store.

pub(crate) mod commits;
pub(crate) mod documents;
pub(crate) mod erasures;
pub(crate) mod feeds;
pub(crate) mod held;
pub(crate) mod identity;
pub(crate) mod instance;
pub(crate) mod matches;
pub(crate) mod readers;
pub(crate) mod retention;
pub(crate) mod work;
