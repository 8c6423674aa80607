//! The fields that every account has, by each platform's name for them, and how a platform spells a value. Written
//! down a second time, on purpose: the judge must not believe the configuration that is being judged.

use serde_json::{Value as Json, json};

/// What a field holds.
#[derive(Clone, Copy, Debug)]
pub(in crate::demo) enum Kind {
    /// An address, in which case does not matter.
    Email,
    /// A number, in which punctuation does not matter.
    Phone,
    /// Text, in which white space at the edges and Unicode's ways to write a letter do not matter.
    Text,
    /// A day.
    Date,
    /// One of some words, each with the platforms' word for it.
    Choice(&'static [(&'static str, &'static str)]),
    /// Some of some words.
    Members(&'static [&'static str]),
    /// A number with two decimals.
    Number,
    /// Yes or no, where a blank is no.
    Flag,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(in crate::demo) struct Field {
    /// The product's name.
    pub(in crate::demo) name: &'static str,
    /// Each account's name, in the order of the accounts.
    pub(in crate::demo) remote: [&'static str; 2],
    /// What it holds.
    pub(in crate::demo) kind: Kind,
}

const fn field(name: &'static str, first: &'static str, second: &'static str, kind: Kind) -> Field {
    Field { name, remote: [first, second], kind }
}

const SOURCES: &[(&str, &str)] = &[
    ("web", "Web"),
    ("phone", "Phone Inquiry"),
    ("partner", "Partner Referral"),
    ("list", "Purchased List"),
    ("other", "Other"),
];
/// From the lowest to the highest.
pub(in crate::demo) const TIERS: &[(&str, &str)] =
    &[("bronze", "bronze"), ("silver", "silver"), ("gold", "gold"), ("platinum", "platinum")];
/// What people may be interested in.
pub(in crate::demo) const INTERESTS: &[&str] = &["analytics", "billing", "integrations", "mobile", "security"];

/// The fields, in the order of the configuration.
pub(in crate::demo) static FIELDS: &[Field] = &[
    field("email", "Email", "email", Kind::Email),
    field("first_name", "FirstName", "firstname", Kind::Text),
    field("last_name", "LastName", "lastname", Kind::Text),
    field("phone", "Phone", "phone", Kind::Phone),
    field("mobile", "MobilePhone", "mobilephone", Kind::Phone),
    field("title", "Title", "jobtitle", Kind::Text),
    field("department", "Department", "department", Kind::Text),
    field("street", "MailingStreet", "address", Kind::Text),
    field("city", "MailingCity", "city", Kind::Text),
    field("state", "MailingState", "state", Kind::Text),
    field("postal_code", "MailingPostalCode", "zip", Kind::Text),
    field("country", "MailingCountry", "country", Kind::Text),
    field("website", "Website__c", "website", Kind::Text),
    field("birthdate", "Birthdate", "birthdate", Kind::Date),
    field("source", "LeadSource", "lead_source", Kind::Choice(SOURCES)),
    field("tier", "Tier__c", "tier", Kind::Choice(TIERS)),
    field("interests", "Interests__c", "interests", Kind::Members(INTERESTS)),
    field("score", "Score__c", "score", Kind::Number),
    field("do_not_call", "DoNotCall", "do_not_call", Kind::Flag),
    field("notes", "Description", "notes", Kind::Text),
];

impl Field {
    /// The field of this name in the product.
    pub(in crate::demo) fn named(name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.name == name)
    }

    /// The field of this name in an account.
    pub(in crate::demo) fn of_account(account: usize, name: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|field| field.remote.get(account) == Some(&name))
    }

    /// The product's value as a user types it into an account.
    pub(in crate::demo) fn typed(&self, account: usize, value: &Json) -> Json {
        match (self.kind, value) {
            (Kind::Choice(words), Json::String(word)) => {
                words.iter().find(|(ours, _)| ours == word).map_or_else(|| value.clone(), |(_, theirs)| json!(theirs))
            }
            (Kind::Members(_), Json::Array(members)) => {
                json!(members.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(";"))
            }
            // The second platform keeps every value as text.
            (_, Json::Bool(_) | Json::Number(_)) if account == 1 => json!(value.to_string()),
            (_, Json::Null) if account == 1 => json!(""),
            // The first one wants a number where the product, which never rounds, uses text.
            (Kind::Number, Json::String(text)) if account == 0 => {
                text.parse::<f64>().map_or(Json::Null, |number| json!(number))
            }
            _ => value.clone(),
        }
    }
}
