//! The contacts that an account holds at the start.

use super::author::Author;
use super::normalise::{Rules, Stored, normalise};
use super::packed::Packed;
use super::record::Record;
use super::schema::{Property, PropertyId, PropertyType, Rule, Storage};
use super::standard::visible;
use super::table::Table;
use crate::people::{People, Person, Side};

const TIERS: &[&str] = &["bronze", "silver", "gold", "platinum"];
const INTERESTS: &[&str] = &["analytics", "billing", "integrations", "mobile", "security"];
const LEAD_SOURCES: &[&str] = &["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];

/// The account's own properties: name, label, type, form control and choices.
type Custom = (&'static str, &'static str, PropertyType, &'static str, &'static [&'static str]);

const CUSTOM: &[Custom] = &[
    ("department", "Department", PropertyType::String, "text", &[]),
    ("notes", "Notes", PropertyType::String, "textarea", &[]),
    ("birthdate", "Birthdate", PropertyType::Date, "date", &[]),
    ("lead_source", "Lead source", PropertyType::Enumeration, "select", LEAD_SOURCES),
    ("tier", "Tier", PropertyType::Enumeration, "radio", TIERS),
    ("interests", "Interests", PropertyType::Enumeration, "checkbox", INTERESTS),
    ("score", "Score", PropertyType::Number, "number", &[]),
    ("do_not_call", "Do not call", PropertyType::Bool, "booleancheckbox", &[]),
];

/// Adds the account's own contact properties.
pub(crate) fn add_custom_properties(contacts: &mut Table) {
    for (name, label, kind, field_type, choices) in CUSTOM {
        let added = contacts.schema_mut().add(Property {
            name: (*name).to_owned(),
            label: (*label).to_owned(),
            description: String::new(),
            group: "contactinformation".to_owned(),
            kind: *kind,
            field_type: (*field_type).to_owned(),
            choices: choices.iter().map(|value| visible(value, value)).collect(),
            unique: false,
            rule: Rule::Plain,
            storage: Storage::Writable,
            hubspot_defined: false,
            created_ms: Some(0),
        });
        debug_assert!(added.is_ok(), "{name} is a standard property");
    }
}

/// Imports everybody who stands on this side of the population. A value that today's rules would
/// refuse stays as it was typed, as in an account that is older than its rules.
pub(crate) fn import(contacts: &mut Table, people: &People, rules: Rules) {
    for row in 0..people.per_system() {
        let person = people.on_side(Side::HubSpot, row);
        let created_ms = person.created.millis();
        let values = stored_values(contacts, person, rules);
        let packed = Packed::new(values.iter().map(|(id, text)| (*id, text.as_str())));
        contacts.insert(Record::new(packed, created_ms, Author::Import), None);
    }
}

fn stored_values(contacts: &Table, person: Person, rules: Rules) -> Vec<(PropertyId, String)> {
    typed_values(person)
        .into_iter()
        .filter_map(|(name, typed)| {
            let id = contacts.schema().find(name)?;
            let property = contacts.schema().get(id);
            match normalise(property, &typed, None, rules) {
                Ok(Stored::Text(text)) if property.unique && contacts.holder(id, &text).is_some() => None,
                Ok(Stored::Text(text)) => Some((id, text)),
                Ok(Stored::Cleared | Stored::Kept) => None,
                Err(_) => Some((id, typed)),
            }
        })
        .collect()
}

/// A person's values under HubSpot's names.
fn typed_values(person: Person) -> Vec<(&'static str, String)> {
    let optional = [
        ("firstname", person.first_name),
        ("email", person.email),
        ("phone", person.phone),
        ("mobilephone", person.mobile),
        ("jobtitle", person.title),
        ("company", person.company),
        ("department", person.department),
        ("address", person.street),
        ("city", person.city),
        ("state", person.state),
        ("zip", person.postal_code),
        ("country", person.country),
        ("website", person.website),
        ("notes", person.notes),
        ("birthdate", person.birthdate),
        ("lead_source", person.lead_source),
        ("tier", person.tier),
    ];
    let mut values: Vec<(&'static str, String)> =
        optional.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect();
    values.push(("lastname", person.last_name));
    values.push(("lifecyclestage", "lead".to_owned()));
    values.push(("do_not_call", person.do_not_call.to_string()));
    values.push(("interests", person.interests.join(";")));
    values.extend(person.score_hundredths.map(|score| ("score", format!("{}.{:02}", score / 100, score % 100))));
    values
}

#[cfg(test)]
mod tests {
    use super::super::schema::ObjectKind;
    use super::*;
    use crate::people::Population;

    const RULES: Rules = Rules { phone_validation: true, lifecycle_forward_only: true };

    fn imported(population: &Population) -> Table {
        let mut contacts = Table::new(ObjectKind::Contacts);
        add_custom_properties(&mut contacts);
        import(&mut contacts, &People::new(1, population), RULES);
        contacts
    }

    #[test]
    fn every_value_of_the_population_has_a_property_that_accepts_it() {
        let contacts = imported(&Population::demo());
        let people = People::new(1, &Population::demo());
        for row in 0..people.per_system() {
            for (name, typed) in typed_values(people.on_side(Side::HubSpot, row)) {
                let id = contacts.schema().find(name).unwrap_or_else(|| panic!("no property {name}"));
                let stored = normalise(contacts.schema().get(id), &typed, None, RULES);
                assert!(stored.is_ok(), "{name} {typed}: {stored:?}");
            }
        }
        assert_eq!(contacts.live_count(), 1_000);
    }
}
