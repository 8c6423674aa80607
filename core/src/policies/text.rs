//! `text`: long text that several people write at once merges character by character.

use super::Merge;

/// Characters are the elements of a text object.
pub(super) const MERGE: Merge = Merge::Text;
