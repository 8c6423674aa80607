//! What a provider's own users do. Nobody tells us.

use serde_json::Value as Json;
use syncline_core::{ids::ExternalId, remote::Raw, time::Millis};

use super::{KEY_FIELD, Provider, UNMAPPED, object::Object};

impl Provider {
    /// Somebody makes an object.
    pub(crate) fn user_creates(&mut self, values: Raw, lag_ms: u32, now: Millis) -> ExternalId {
        let id = self.make(now);
        self.set(&id, values, false, now);
        self.changed(&id, now, lag_ms);
        id
    }

    /// Somebody edits fields.
    pub(crate) fn user_sets(&mut self, id: &ExternalId, values: Raw, lag_ms: u32, now: Millis) {
        self.set(id, values, false, now);
        self.changed(id, now, lag_ms);
    }

    /// Somebody edits what no model maps.
    pub(crate) fn user_touches(&mut self, id: &ExternalId, lag_ms: u32, now: Millis) {
        self.user_sets(id, Raw::from_iter([(UNMAPPED.to_owned(), Json::from(now.0))]), lag_ms, now);
    }

    /// Somebody deletes an object.
    pub(crate) fn user_deletes(&mut self, id: &ExternalId, lag_ms: u32, now: Millis) {
        self.end(id, lag_ms, now);
    }

    /// Somebody brings a deleted object back.
    pub(crate) fn user_restores(&mut self, id: &ExternalId, lag_ms: u32, now: Millis) {
        if let Some(object) = self.objects.get_mut(id) {
            object.deleted = None;
        }
        self.changed(id, now, lag_ms);
    }

    /// Somebody merges an object into another, whose blanks are filled from it. Returns what was filled in.
    pub(crate) fn user_merges(&mut self, from: &ExternalId, into: &ExternalId, lag_ms: u32, now: Millis) -> Raw {
        let (Some(lost), Some(kept)) = (self.objects.get(from), self.objects.get(into)) else { return Raw::new() };
        let is_blank = |value: &Json| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let fills = |object: &Object, name: &str| is_blank(&object.value(name));
        let filled: Raw = lost
            .raw()
            .into_iter()
            .filter(|(name, value)| name != KEY_FIELD && !is_blank(value) && fills(kept, name))
            .collect();
        if let Some(object) = self.objects.get_mut(from) {
            object.merged_into = Some(into.clone());
        }
        self.changed(from, now, lag_ms);
        self.set(into, filled.clone(), false, now);
        self.changed(into, now, lag_ms);
        filled
    }
}
