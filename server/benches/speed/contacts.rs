//! The contacts that everything is measured with: 20 fields of usual length, every value a function of the contact's
//! number.

use serde_json::json;
use syncline_core::{
    ids::ExternalId,
    remote::{Raw, RemoteObject, RemoteVersion},
    time::Millis,
};

const SYLLABLES: [&str; 16] =
    ["an", "bel", "cor", "da", "el", "fen", "gor", "hal", "in", "jo", "kar", "lem", "mo", "nor", "ul", "va"];
const CITIES: [&str; 8] = ["Bremen", "Lyon", "Porto", "Gdańsk", "Turku", "Ghent", "Graz", "Málaga"];
const SOURCES: [&str; 5] = ["Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"];
const TIERS: [&str; 4] = ["bronze", "silver", "gold", "platinum"];
/// When the first contact was last changed in its account.
const FIRST_STAMP: i64 = 1_700_000_000_000;

/// A contact as Salesforce shows it; its title is `title`, or the usual one.
pub(crate) fn in_salesforce(number: u64, title: Option<&str>) -> RemoteObject {
    let values = json!({
        "Email": email(number), "FirstName": name(number), "LastName": name(mixed(number)),
        "Phone": phone(number), "MobilePhone": phone(mixed(number)),
        "Title": title.map_or_else(|| usual_title(number), str::to_owned), "Department": department(number),
        "MailingStreet": street(number), "MailingCity": city(number), "MailingState": state(number),
        "MailingPostalCode": postal_code(number), "MailingCountry": "Germany", "Website__c": website(number),
        "Birthdate": birthdate(number), "LeadSource": source(number), "Tier__c": tier(number),
        "Interests__c": "billing;mobile", "Score__c": score(number), "DoNotCall": number.is_multiple_of(9),
        "Description": notes(number),
    });
    object(format!("003{number:015}"), values, stamp(number, title.is_some()), 1_000)
}

/// The same contact as HubSpot shows it.
pub(crate) fn in_hubspot(number: u64) -> RemoteObject {
    let values = json!({
        "email": email(number), "firstname": name(number), "lastname": name(mixed(number)),
        "phone": phone(number), "mobilephone": phone(mixed(number)),
        "jobtitle": usual_title(number), "department": department(number),
        "address": street(number), "city": city(number), "state": state(number),
        "zip": postal_code(number), "country": "Germany", "website": website(number),
        "birthdate": birthdate(number), "lead_source": source(number), "tier": tier(number),
        "interests": "billing;mobile", "score": score(number).to_string(),
        "do_not_call": number.is_multiple_of(9).to_string(), "notes": notes(number),
    });
    object((5_000_000_000 + number).to_string(), values, stamp(number, false), 1)
}

fn object(id: String, values: serde_json::Value, stamp: Millis, precision_ms: u32) -> RemoteObject {
    let fields = match values {
        serde_json::Value::Object(fields) => fields,
        _ => Raw::new(),
    };
    let version = Some(RemoteVersion { stamp, precision_ms });
    let (aliases, history) = Default::default();
    RemoteObject { id: ExternalId::from(id), aliases, deleted: false, version, author: None, fields, history }
}

/// A changed contact is an hour newer.
fn stamp(number: u64, changed: bool) -> Millis {
    let hours = i64::from(changed);
    Millis(FIRST_STAMP + 1_000 * number as i64 + 3_600_000 * hours)
}

/// Another number of the same size, so that neighbours differ in more than their last digit.
fn mixed(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24
}

fn name(number: u64) -> String {
    let mut rest = mixed(number);
    let mut name = String::new();
    for _ in 0..3 {
        name.push_str(SYLLABLES[(rest % 16) as usize]);
        rest /= 16;
    }
    name[..1].to_uppercase() + &name[1..]
}

fn email(number: u64) -> String {
    format!("{}.{number}@example.com", name(number).to_lowercase())
}

fn phone(number: u64) -> String {
    format!("+49421{:07}", number % 10_000_000)
}

fn usual_title(number: u64) -> String {
    format!("Head of {}", department(number))
}

fn department(number: u64) -> String {
    format!("{} Services", name(number / 7))
}

fn street(number: u64) -> String {
    format!("{}straße {}", name(number / 3), number % 180 + 1)
}

fn city(number: u64) -> &'static str {
    CITIES[(number % 8) as usize]
}

fn state(number: u64) -> String {
    format!("Region {}", number % 23)
}

fn postal_code(number: u64) -> String {
    format!("{:05}", mixed(number) % 100_000)
}

fn website(number: u64) -> String {
    format!("https://{}.example.com/team/{number}", name(number / 5).to_lowercase())
}

fn birthdate(number: u64) -> String {
    format!("{}-{:02}-{:02}", 1950 + number % 50, number % 12 + 1, number % 28 + 1)
}

fn source(number: u64) -> &'static str {
    SOURCES[(number % 5) as usize]
}

fn tier(number: u64) -> &'static str {
    TIERS[(number % 4) as usize]
}

fn score(number: u64) -> f64 {
    (mixed(number) % 10_000) as f64 / 100.0
}

fn notes(number: u64) -> String {
    let words: Vec<String> = (0..24).map(|word| name(number * 31 + word).to_lowercase()).collect();
    format!("Met in {}.\n{}.", city(number), words.join(" "))
}
