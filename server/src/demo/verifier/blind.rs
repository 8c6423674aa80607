//! Edits that no client could have seen: a platform's own log places them between the last time it showed us the object
//! and our write, with the stamp that guards our write being the same before and after.

use super::{
    edits::Edit,
    evidence::{Evidence, written},
};

/// Whether an edit of an account fell into a blind window.
pub(in crate::demo) fn is_blind(evidence: &Evidence, account: usize, edit: &Edit) -> bool {
    let Some(side) = evidence.accounts.get(account) else { return false };
    let of_object = || side.log.iter().filter(|entry| entry.id == edit.object);
    let overwrite = of_object().find(|entry| {
        entry.by_us()
            && entry.writes()
            && entry.seq > edit.seq
            && written(account, entry).any(|(slot, ..)| slot == edit.slot)
    });
    let Some(overwrite) = overwrite else { return false };
    let last_read = of_object().rfind(|entry| entry.by_us() && entry.op == "read" && entry.seq < overwrite.seq);
    last_read.is_some_and(|read| {
        read.seq < edit.seq && read.stamp_after.is_some() && read.stamp_after == overwrite.stamp_before
    })
}
