//! What the org itself does to a write, and what it refuses, beyond the type of each value.

use std::sync::Arc;

use super::cell::Cell;
use super::errors::ApiError;
use super::id::RecordId;
use super::normalise::{self, Assignment};
use super::schema::{Field, FieldType};
use super::store::ObjectNo;
use super::transaction::Transaction;
use serde_json::Value;

impl Transaction<'_> {
    pub(super) fn fill_defaults(&self, object: ObjectNo, assignments: &mut Vec<Assignment>) -> Result<(), ApiError> {
        let schema = &self.store.table(object).schema;
        let mut missing = Vec::new();
        for field in schema.fields() {
            if assignments.iter().any(|assigned| assigned.field.name == field.name) {
                continue;
            }
            match field.default {
                Some(value) => assignments.push(own(field, Cell::text(value))),
                None if field.name == "OwnerId" => {
                    assignments.push(own(field, Cell::text(user_id(self.caller.user))));
                }
                None if field.required => missing.push(field.name.as_str()),
                None => {}
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(normalise::required(&missing)) }
    }

    /// What the org's automation does to a write before it is stored.
    pub(super) fn apply_rules(&self, object: ObjectNo, assignments: &mut [Assignment]) {
        if let Some(title) = assignments.iter_mut().find(|assigned| assigned.field.name == "Title")
            && let Some(text) = title.cell.as_text()
            && self.faults.roll("flow_rewrite")
        {
            title.cell = Cell::text(capitalise_words(text));
        }
        let is_lead = self.store.table(object).schema.name == "Lead";
        if is_lead
            && self.caller.auto_assigns
            && let Some(owner) = assignments.iter_mut().find(|assigned| assigned.field.name == "OwnerId")
            && self.faults.roll("assignment_rule")
        {
            owner.cell = Cell::text(user_id(super::seed::ADMINISTRATOR));
        }
    }

    /// Checks what cannot be checked field by field: links lead somewhere, and unique values stay unique.
    pub(super) fn check(
        &mut self,
        object: ObjectNo,
        me: Option<u32>,
        assignments: &[Assignment],
    ) -> Result<(), ApiError> {
        let now = self.now;
        if assignments.iter().any(|assigned| assigned.field.key.is_unique()) {
            self.store.settle_object(object, now, self.ledger);
        }
        for Assignment { field, cell, .. } in assignments {
            if let (FieldType::Reference { to, .. }, Some(text)) = (&field.kind, cell.as_text()) {
                self.check_reference(field, to, text)?;
            }
            if field.key.is_unique() {
                let table = self.store.table(object);
                let holder = table.holders(field, cell).iter().find(|holder| Some(**holder) != me);
                if let Some(holder) = holder {
                    let (name, id) = (&field.name, table.id(*holder));
                    let message = format!("duplicate value found: {name} duplicates value on record with id: {id}");
                    return Err(ApiError::row("DUPLICATE_VALUE", message, &[]));
                }
            }
        }
        Ok(())
    }

    fn check_reference(&self, field: &Field, to: &str, text: &str) -> Result<(), ApiError> {
        let target = self.store.object(to).map(|object| self.store.table(object));
        let id = RecordId::parse(text);
        match (target, id) {
            (Some(table), Some(id)) if id.prefix == table.schema.prefix => {
                let exists = table.live(id.number).is_some();
                let refused = || ApiError::row("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", &[]);
                exists.then_some(()).ok_or_else(refused)
            }
            _ => Err(normalise::malformed_id(&field.label, text, &field.name)),
        }
    }

    pub(super) fn check_duplicates(&self, object: ObjectNo, assignments: &[Assignment]) -> Result<(), ApiError> {
        if self.caller.allows_duplicates {
            return Ok(());
        }
        let email = assignments.iter().find(|assigned| assigned.field.kind == FieldType::Email);
        let Some(email) = email.and_then(|assigned| assigned.cell.as_text()) else { return Ok(()) };
        let known = self.store.table(object).maybe_by_email(email).next().is_some();
        if known && self.faults.roll("duplicate_rule") {
            return Err(ApiError::row("DUPLICATES_DETECTED", "Use one of these records?", &[]));
        }
        Ok(())
    }

    pub(super) fn lock_fault(&self, ids: &[RecordId]) -> Result<(), ApiError> {
        if !self.caller.is_integration() || !self.faults.roll("lock_row") {
            return Ok(());
        }
        let ids: Vec<_> = ids.iter().map(RecordId::to_string).collect();
        let message = format!("unable to obtain exclusive access to this record or 1 records: {}", ids.join(","));
        Err(ApiError::row("UNABLE_TO_LOCK_ROW", message, &[]))
    }
}

/// A value that the platform sets by itself.
fn own(field: &Arc<Field>, cell: Cell) -> Assignment {
    Assignment { field: field.clone(), cell, sent: Value::Null }
}

fn user_id(number: u32) -> String {
    RecordId::new(super::table::USER_PREFIX, number).to_string()
}

fn capitalise_words(text: &str) -> String {
    let mut start = true;
    text.chars()
        .flat_map(|letter| {
            let upper = start && letter.is_alphabetic();
            start = letter.is_whitespace();
            let mapped: Vec<char> = if upper { letter.to_uppercase().collect() } else { vec![letter] };
            mapped
        })
        .collect()
}
