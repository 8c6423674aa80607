//! One stored object with the history of what changed in it.

use super::author::Author;
use super::packed::Packed;
use super::schema::{Derived, ObjectKind, PropertyId, Schema, Storage};
use super::time::iso;

/// An object's id; HubSpot's ids are numbers that travel as strings.
pub(crate) type RecordId = u64;

/// One version of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The property.
    pub(crate) property: PropertyId,
    /// When the value was set, in milliseconds since 1970.
    pub(crate) at_ms: i64,
    /// Who set it.
    pub(crate) author: Author,
    /// The value, or nothing where it was cleared.
    pub(crate) value: Option<Box<str>>,
}

/// What only few records have.
#[derive(Debug, Clone, Default)]
struct Past {
    /// All versions, oldest first, of those properties that changed after the creation.
    versions: Vec<Version>,
    /// The ids that were merged into this record.
    merged: Vec<RecordId>,
}

/// A stored object.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// When it was created, in milliseconds since 1970.
    pub(crate) created_ms: i64,
    /// When it last changed.
    pub(crate) modified_ms: i64,
    /// When it was archived, while it is.
    pub(crate) archived_ms: Option<i64>,
    /// The current values.
    pub(crate) values: Packed,
    /// Who created it.
    creator: Author,
    /// Absent until something changes: the versions of an untouched property are derived from its
    /// value and the creation, so that a million imported records cost no history.
    past: Option<Box<Past>>,
}

impl Record {
    /// A new object.
    pub(crate) fn new(values: Packed, created_ms: i64, creator: Author) -> Self {
        Self { created_ms, modified_ms: created_ms, archived_ms: None, values, creator, past: None }
    }

    /// Sets or clears values, and notes the versions. Values equal to the stored ones are left out
    /// by the caller.
    pub(crate) fn apply(
        &mut self,
        kind: ObjectKind,
        changes: &[(PropertyId, Option<&str>)],
        at_ms: i64,
        author: Author,
    ) {
        let (created_ms, creator) = (self.created_ms, self.creator);
        let past = self.past.get_or_insert_default();
        for (property, value) in changes {
            let first_change = past.versions.iter().all(|version| version.property != *property);
            if let (true, Some(original)) = (first_change, self.values.get(*property)) {
                past.versions.push(Version {
                    property: *property,
                    at_ms: created_ms,
                    author: creator,
                    value: Some(original.into()),
                });
            }
            past.versions.push(Version { property: *property, at_ms, author, value: value.map(Into::into) });
            forget_oldest(&mut past.versions, *property, kind.history_versions_max());
        }
        self.values = self.values.with(changes);
        self.modified_ms = self.modified_ms.max(at_ms);
    }

    /// The versions of a stored property, newest first.
    pub(crate) fn versions(&self, property: PropertyId) -> Vec<Version> {
        let mut versions: Vec<Version> = self
            .past
            .iter()
            .flat_map(|past| &past.versions)
            .filter(|version| version.property == property)
            .cloned()
            .collect();
        versions.reverse();
        if versions.is_empty() {
            versions.extend(self.values.get(property).map(|value| Version {
                property,
                at_ms: self.created_ms,
                author: self.creator,
                value: Some(value.into()),
            }));
        }
        versions
    }

    /// Notes that other records live on in this one.
    pub(crate) fn absorb(&mut self, ids: impl IntoIterator<Item = RecordId>) {
        self.past.get_or_insert_default().merged.extend(ids);
    }

    /// The ids that were merged into this record.
    pub(crate) fn merged_ids(&self) -> &[RecordId] {
        self.past.as_ref().map_or(&[], |past| &past.merged)
    }
}

/// Drops the oldest version of a property that has more than the platform keeps.
fn forget_oldest(versions: &mut Vec<Version>, property: PropertyId, max: usize) {
    if versions.iter().filter(|version| version.property == property).count() > max
        && let Some(oldest) = versions.iter().position(|version| version.property == property)
    {
        versions.remove(oldest);
    }
}

/// What one reader sees of a record: the current state, or the state that a lagging index shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'r> {
    /// The id.
    pub(crate) id: RecordId,
    /// The record behind the view.
    pub(crate) record: &'r Record,
    /// The values shown.
    pub(crate) values: &'r Packed,
    /// The time of the last change shown.
    pub(crate) modified_ms: i64,
}

impl<'r> View<'r> {
    /// The current state.
    pub(crate) fn current(id: RecordId, record: &'r Record) -> Self {
        Self { id, record, values: &record.values, modified_ms: record.modified_ms }
    }

    /// The value of any property, stored or derived.
    pub(crate) fn value(&self, schema: &Schema, id: PropertyId) -> Option<String> {
        match schema.get(id).storage {
            Storage::Derived(derived) => self.derived(schema, derived),
            Storage::Writable | Storage::System => self.values.get(id).map(str::to_owned),
        }
    }

    fn derived(&self, schema: &Schema, derived: Derived) -> Option<String> {
        match derived {
            Derived::ObjectId => Some(self.id.to_string()),
            Derived::Created => Some(iso(self.record.created_ms)),
            Derived::Modified => Some(iso(self.modified_ms)),
            Derived::EmailDomain => {
                self.named(schema, "email").and_then(|email| email.split_once('@')).map(|(_, domain)| domain.to_owned())
            }
            Derived::FullNameOrEmail => self.full_name(schema),
            Derived::MergedIds => {
                let ids: Vec<String> = self.record.merged_ids().iter().map(RecordId::to_string).collect();
                (!ids.is_empty()).then(|| ids.join(";"))
            }
        }
    }

    fn named(&self, schema: &Schema, name: &str) -> Option<&'r str> {
        schema.find(name).and_then(|id| self.values.get(id))
    }

    fn full_name(&self, schema: &Schema) -> Option<String> {
        let parts: Vec<&str> = ["firstname", "lastname"].iter().filter_map(|name| self.named(schema, name)).collect();
        if parts.is_empty() { self.named(schema, "email").map(str::to_owned) } else { Some(parts.join(" ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: PropertyId = PropertyId(0);
    const CITY: PropertyId = PropertyId(1);

    fn record() -> Record {
        Record::new(Packed::new([(NAME, "Ann")]), 1_000, Author::Import)
    }

    #[test]
    fn an_untouched_value_has_one_derived_version() {
        let record = record();
        let versions = record.versions(NAME);
        assert_eq!(versions.len(), 1);
        assert_eq!((versions[0].at_ms, versions[0].author), (1_000, Author::Import));
        assert!(record.versions(CITY).is_empty());
        assert!(record.past.is_none(), "an untouched record costs no history");
    }

    #[test]
    fn versions_are_newest_first_and_end_with_the_creation() {
        let mut record = record();
        record.apply(ObjectKind::Contacts, &[(NAME, Some("Anne"))], 2_000, Author::User(7));
        record.apply(ObjectKind::Contacts, &[(NAME, None), (CITY, Some("Bonn"))], 3_000, Author::Integration(9));
        let shown: Vec<_> = record.versions(NAME).into_iter().map(|version| (version.at_ms, version.value)).collect();
        assert_eq!(shown, [(3_000, None), (2_000, Some("Anne".into())), (1_000, Some("Ann".into()))]);
        assert_eq!(record.versions(CITY).len(), 1, "a value that was absent at creation starts with its first write");
        assert_eq!(record.modified_ms, 3_000);
    }

    #[test]
    fn only_the_newest_versions_are_kept() {
        let mut record = record();
        for step in 0..100 {
            let value = step.to_string();
            record.apply(ObjectKind::Companies, &[(NAME, Some(&value))], 2_000 + step, Author::User(1));
        }
        let versions = record.versions(NAME);
        assert_eq!(versions.len(), 20);
        assert_eq!(versions[0].value.as_deref(), Some("99"));
        assert_eq!(versions[19].value.as_deref(), Some("80"));
    }
}
