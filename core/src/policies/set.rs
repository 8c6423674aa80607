//! `set`: members added and removed in different systems merge; a member that one system adds while another removes it
//! stays, as Automerge's maps have it.

use super::Merge;

/// Members are the keys of a map.
pub(super) const MERGE: Merge = Merge::Set;
