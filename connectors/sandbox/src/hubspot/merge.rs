//! Merging two records into one.

use serde_json::Value;

use super::packed::Packed;
use super::record::{Record, RecordId};
use super::schema::PropertyId;
use super::table::{Change, FieldChange, Refusal, Table, Write};

impl Table {
    /// Merges one live record into another. The primary's values win, and its gaps are filled. With
    /// `fresh_id`, the result is a new record and both old ids lead to it; the change then tells all
    /// of its values, and otherwise only those that it gained.
    pub(crate) fn merge(
        &mut self,
        primary: RecordId,
        other: RecordId,
        fresh_id: bool,
        write: &Write,
    ) -> Result<Change, Refusal> {
        let (primary, kept) = self.live(primary).ok_or(Refusal::NotFound)?;
        let (other, lost) = self.live(other).ok_or(Refusal::NotFound)?;
        if primary == other {
            return Err(Refusal::NotFound);
        }
        let stamp_before = kept.modified_ms;
        let filled = self.fill(kept, lost);
        let before = kept.values.clone();
        let mut absorbed: Vec<RecordId> = lost.merged_ids().to_vec();
        absorbed.push(other);
        self.take_out(other);
        let id = if fresh_id { self.move_to_fresh_id(primary, &mut absorbed) } else { primary };
        if let Some(record) = self.records.get_mut(&id) {
            record.absorb(absorbed.iter().copied());
        }
        self.aliases.extend(absorbed.iter().map(|old| (*old, id)));
        let changes: Vec<(PropertyId, Option<&str>)> =
            filled.iter().map(|(property, text)| (*property, Some(text.as_str()))).collect();
        let stamp_after = self.change(id, &changes, write);
        let after = before.with(&changes);
        let mut fields = self.moves(&before, &after);
        if !fresh_id {
            fields.retain(FieldChange::is_change);
        }
        Ok(Change { id, fields, stamp_before: Some(stamp_before), stamp_after })
    }

    /// What the primary gains from the record that is merged into it.
    fn fill(&self, kept: &Record, lost: &Record) -> Vec<(PropertyId, String)> {
        let mut filled: Vec<(PropertyId, String)> = lost
            .values
            .iter()
            .filter(|(property, _)| kept.values.get(*property).is_none())
            .map(|(property, text)| (property, text.to_owned()))
            .collect();
        let find = |name: &str| self.schema.find(name);
        if let (Some(email), Some(additional)) = (find("email"), find("hs_additional_emails"))
            && kept.values.get(email).is_some()
        {
            let emails: Vec<&str> = [kept.values.get(additional), lost.values.get(email), lost.values.get(additional)]
                .into_iter()
                .flatten()
                .collect();
            filled.retain(|(property, _)| *property != additional);
            if !emails.is_empty() {
                filled.push((additional, emails.join(";")));
            }
        }
        filled
    }

    fn move_to_fresh_id(&mut self, primary: RecordId, absorbed: &mut Vec<RecordId>) -> RecordId {
        match self.take_out(primary) {
            Some(record) => {
                absorbed.insert(0, primary);
                self.insert(record, None)
            }
            None => primary,
        }
    }

    /// Every value of the result, with what the primary had.
    fn moves(&self, before: &Packed, after: &Packed) -> Vec<FieldChange> {
        after
            .iter()
            .map(|(property, text)| FieldChange {
                name: self.schema.get(property).name.clone(),
                before: before.get(property).map(str::to_owned),
                sent: Value::Null,
                after: Some(text.to_owned()),
            })
            .collect()
    }
}
