//! Every edit that a platform accepted from its users or the API acknowledged, and whether it was lost.

use std::collections::BTreeMap;

use super::{
    blind,
    evidence::{Evidence, shown_in, written},
    form::{IN, OUT, Place, Slot, slots},
};
use crate::demo::scenario::fields::Field;

/// One edit of one slot.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::demo) struct Edit {
    /// Where it was made.
    pub(in crate::demo) place: Place,
    /// Its place in that platform's log; 0 for the product.
    pub(in crate::demo) seq: u64,
    /// When, in microseconds since 1970.
    pub(in crate::demo) at_us: i64,
    /// When the service can first have known of it, in microseconds since 1970.
    pub(in crate::demo) reached_us: i64,
    /// The object that was edited; the record for the product.
    pub(in crate::demo) object: String,
    /// The record.
    pub(in crate::demo) record: String,
    /// The slot.
    pub(in crate::demo) slot: Slot,
    /// What the author saw there.
    pub(in crate::demo) seen: String,
    /// What the author wrote.
    pub(in crate::demo) value: String,
}

/// Edits by record.
pub(in crate::demo) type Edits = BTreeMap<String, Vec<Edit>>;

/// What came of the edits.
#[derive(Debug, Default)]
pub(in crate::demo) struct Losses {
    /// How many edits were judged.
    pub(in crate::demo) judged: usize,
    /// Each lost edit, in words.
    pub(in crate::demo) lost: Vec<String>,
    /// Each edit that no client could have seen, in words, by the account's place.
    pub(in crate::demo) blind: Vec<(usize, String)>,
}

/// All edits that changed something.
pub(in crate::demo) fn gather(evidence: &Evidence) -> Edits {
    let mut edits = Edits::new();
    let mut add = |edit: Edit| {
        if edit.seen != edit.value {
            edits.entry(edit.record.clone()).or_default().push(edit);
        }
    };
    for (account, side) in evidence.accounts.iter().enumerate() {
        for entry in side.log.iter().filter(|entry| entry.by_user() && entry.writes()) {
            // What came and went before anybody else saw it is nobody's loss.
            let Some(record) = evidence.record_of(account, &entry.id) else { continue };
            let read = side.log.iter().find(|read| read.by_us() && read.id == entry.id && read.seq > entry.seq);
            let reached_us = read.map_or(i64::MAX, |read| read.at_us);
            for (slot, seen, value) in written(account, entry) {
                let (place, seq, at_us) = (Place::Account(account), entry.seq, entry.at_us);
                let (object, record) = (entry.id.clone(), record.to_owned());
                add(Edit { place, seq, at_us, reached_us, object, record, slot, seen, value });
            }
        }
    }
    for noted in &evidence.acknowledged {
        for (name, sent) in &noted.sent {
            let Some(field) = Field::named(name) else { continue };
            for (slot, value) in slots(field, Place::Product, sent) {
                let seen = shown_in(&noted.seen, &slot);
                let (record, object) = (noted.record.clone(), noted.record.clone());
                let (place, at_us, reached_us) = (Place::Product, noted.at_us, noted.reached_us);
                add(Edit { place, seq: 0, at_us, reached_us, object, record, slot, seen, value });
            }
        }
    }
    edits
}

/// Judges every edit.
pub(in crate::demo) fn judge(evidence: &Evidence, edits: &Edits) -> Losses {
    let mut losses = Losses::default();
    for (record, edits) in edits {
        for edit in edits {
            losses.judged += 1;
            if stands(evidence, record, edit)
                || left_with_its_object(evidence, edit)
                || is_followed(edits, edit)
                || is_joined_over(evidence, edits, edit)
                || evidence.keeps(record, &edit.slot, &edit.value)
            {
                continue;
            }
            match edit.place {
                Place::Account(account) if blind::is_blind(evidence, account, edit) => {
                    losses.blind.push((account, edit.told(evidence)));
                }
                _ => losses.lost.push(edit.told(evidence)),
            }
        }
    }
    losses
}

/// Whether the edit is in the final state, or left with a record whose deleter had seen it.
fn stands(evidence: &Evidence, record: &str, edit: &Edit) -> bool {
    match evidence.records.get(record) {
        Some(shown) if !shown.deleted => shown.holds(&edit.slot) == edit.value,
        Some(_) => was_seen_by_deleter(evidence, record, edit),
        None => false,
    }
}

/// Whether a user of the same account, who had it before their eyes, deleted the object later.
fn left_with_its_object(evidence: &Evidence, edit: &Edit) -> bool {
    let Place::Account(account) = edit.place else { return false };
    let log = evidence.accounts.get(account).map(|side| side.log.as_slice()).unwrap_or_default();
    log.iter().any(|entry| entry.by_user() && entry.op == "delete" && entry.id == edit.object && entry.seq > edit.seq)
}

/// Whether somebody who had seen the value went on from it.
fn is_followed(edits: &[Edit], edit: &Edit) -> bool {
    edits.iter().any(|next| {
        let later =
            if next.place == edit.place && edit.seq > 0 { next.seq > edit.seq } else { next.at_us > edit.at_us };
        later && next.slot == edit.slot && next.seen == edit.value
    })
}

/// Whether a member that was taken out was put in by somebody else at the same time: then it stays, as the model says.
fn is_joined_over(evidence: &Evidence, edits: &[Edit], edit: &Edit) -> bool {
    let had_seen = |joined: &Edit| match edit.place {
        Place::Account(account) => joined.place == edit.place || evidence.was_brought(joined, account, edit.seq),
        Place::Product => joined.reached_us <= edit.at_us,
    };
    edit.value == OUT && edits.iter().any(|other| other.slot == edit.slot && other.value == IN && !had_seen(other))
}

fn was_seen_by_deleter(evidence: &Evidence, record: &str, edit: &Edit) -> bool {
    let by_product = evidence.acknowledged.iter().filter(|noted| noted.deleted && noted.record == record);
    if by_product.into_iter().any(|noted| shown_in(&noted.seen, &edit.slot) == edit.value) {
        return true;
    }
    evidence.accounts.iter().enumerate().any(|(account, side)| {
        let deletes = side.log.iter().filter(|entry| entry.by_user() && entry.op == "delete");
        deletes.filter(|entry| evidence.record_of(account, &entry.id) == Some(record)).any(|delete| {
            let at_home = edit.place == Place::Account(account) && edit.seq < delete.seq;
            at_home || evidence.was_brought(edit, account, delete.seq)
        })
    })
}

impl Edit {
    /// The edit in words.
    pub(in crate::demo) fn told(&self, evidence: &Evidence) -> String {
        let Self { slot, seen, value, record, object, .. } = self;
        let now = evidence.records.get(record).map_or_else(
            || "the record is unknown".to_owned(),
            |record| {
                if record.deleted {
                    "the record is deleted".to_owned()
                } else {
                    format!("now `{}`", record.holds(slot))
                }
            },
        );
        let whose = match self.place {
            Place::Product => "the product".to_owned(),
            Place::Account(account) => {
                let title = evidence.accounts.get(account).map_or("an account", |side| side.title.as_str());
                format!("{title} {object} (log {})", self.seq)
            }
        };
        format!("{slot} of record {record}: {whose} wrote `{value}` over `{seen}`; {now}")
    }
}
