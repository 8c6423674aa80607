//! Every delete that a platform accepted from its users or the API acknowledged, and whether it was lost.

use super::{
    edits::{Edit, Edits},
    evidence::{Evidence, shown_in},
    form::Place,
};

/// Each lost delete, in words: the record lives although nobody wrote anything that the deleter had not seen.
pub(in crate::demo) fn lost(evidence: &Evidence, edits: &Edits) -> Vec<String> {
    let mut lost = Vec::new();
    for (account, side) in evidence.accounts.iter().enumerate() {
        for entry in side.log.iter().filter(|entry| entry.by_user() && entry.op == "delete") {
            let Some(record) = evidence.record_of(account, &entry.id) else { continue };
            let seen = |edit: &Edit| match edit.place {
                Place::Account(place) if place == account => edit.seq < entry.seq,
                _ => evidence.was_brought(edit, account, entry.seq),
            };
            let restored = side
                .log
                .iter()
                .any(|later| later.seq > entry.seq && later.id == entry.id && later.op == "restore" && later.by_user());
            let refused = evidence.refused.contains(&(account, entry.id.clone()));
            if !restored && !refused && !is_justified(evidence, edits, record, seen) {
                lost.push(format!("{} {} was deleted, but record {record} lives", side.title, entry.id));
            }
        }
    }
    for noted in evidence.acknowledged.iter().filter(|noted| noted.deleted) {
        let seen = |edit: &Edit| match edit.place {
            Place::Product => edit.at_us < noted.at_us,
            Place::Account(_) => shown_in(&noted.seen, &edit.slot) == edit.value,
        };
        if !is_justified(evidence, edits, &noted.record, seen) {
            lost.push(format!("the product deleted record {}, but it lives", noted.record));
        }
    }
    lost
}

/// Whether the record is deleted, or somebody wrote something that the deleter had not seen.
fn is_justified(evidence: &Evidence, edits: &Edits, record: &str, seen: impl Fn(&Edit) -> bool) -> bool {
    let gone = evidence.records.get(record).is_none_or(|record| record.deleted);
    gone || edits.get(record).into_iter().flatten().any(|edit| !seen(edit))
}
