//! The contacts and accounts that an org holds at the start.

use std::fmt;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::cell::Cell;
use super::id::RecordId;
use super::schema::{Origin, Schema};
use super::table::{Cells, Row};
use crate::clock::Micros;
use crate::people::{People, Person, Side, companies};

/// The key prefix of accounts.
pub(crate) const ACCOUNT_PREFIX: [u8; 3] = *b"001";
/// The key prefix of contacts.
pub(crate) const CONTACT_PREFIX: [u8; 3] = *b"003";
/// The user number of the administrator who loaded the org's first records.
pub(crate) const ADMINISTRATOR: u32 = 0;

/// When the org's accounts were loaded: 2023-12-01.
const ACCOUNTS_LOADED: Micros = Micros(1_701_388_800_000_000);

/// How to make the rows of a seeded table, one at a time and in any order.
pub(crate) struct SeedPlan {
    rows: Rows,
    /// By stored place: where the value comes from.
    columns: Vec<Column>,
    len: u32,
}

enum Rows {
    Contacts(People),
    Accounts,
}

#[derive(Clone, Copy)]
enum Column {
    Contact(fn(&Person) -> Cell),
    Account(fn(u32) -> Cell),
    Default(Option<&'static str>, bool),
}

impl fmt::Debug for SeedPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedPlan").field("len", &self.len).finish_non_exhaustive()
    }
}

impl SeedPlan {
    /// This platform's side of a population.
    pub(crate) fn contacts(schema: &Schema, people: People) -> Self {
        let len = u32::try_from(people.per_system()).unwrap_or(u32::MAX);
        Self { rows: Rows::Contacts(people), columns: columns(schema, contact_column), len }
    }

    /// One account for each employer in the population's word list, if there are people at all.
    pub(crate) fn accounts(schema: &Schema, people: &People) -> Self {
        let len = if people.per_system() == 0 { 0 } else { companies().len() };
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        Self { rows: Rows::Accounts, columns: columns(schema, account_column), len }
    }

    /// How many rows there are.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// The row's audit values. Three fifths of the contacts were touched by one mass update within one second, as
    /// happens in every real org, so that equal stamps are the rule.
    pub(crate) fn row(&self, number: u32) -> Row {
        let (created, stamp) = match &self.rows {
            Rows::Accounts => (ACCOUNTS_LOADED, ACCOUNTS_LOADED),
            Rows::Contacts(_) => {
                let created = People::created(u64::from(number));
                let touched = number % 5 >= 2;
                (created, if touched { People::created(u64::from(self.len)) } else { created })
            }
        };
        Row {
            created,
            created_by: ADMINISTRATOR,
            modified: stamp,
            modified_by: ADMINISTRATOR,
            stamp,
            deleted: None,
            master: None,
            cells: Cells::Seeded,
        }
    }

    /// The row's stored values.
    pub(crate) fn cells(&self, number: u32) -> Box<[Cell]> {
        match &self.rows {
            Rows::Contacts(people) => {
                let person = people.on_side(Side::Salesforce, u64::from(number));
                self.columns.iter().map(|column| column.cell(Some(&person), number)).collect()
            }
            Rows::Accounts => self.columns.iter().map(|column| column.cell(None, number)).collect(),
        }
    }

    /// The row's e-mail address, without making the rest.
    pub(crate) fn email(&self, number: u32) -> Option<String> {
        match &self.rows {
            Rows::Contacts(people) => people.email_on_side(Side::Salesforce, u64::from(number)),
            Rows::Accounts => None,
        }
    }
}

impl Column {
    fn cell(self, person: Option<&Person>, number: u32) -> Cell {
        match (self, person) {
            (Self::Contact(make), Some(person)) => make(person),
            (Self::Account(make), _) => make(number),
            (Self::Default(_, true), _) => Cell::Bool(false),
            (Self::Default(Some(text), false), _) => Cell::text(text),
            (Self::Contact(_) | Self::Default(None, false), _) => Cell::Null,
        }
    }
}

fn columns(schema: &Schema, choose: fn(&str) -> Option<Column>) -> Vec<Column> {
    let stored = schema.fields().iter().filter(|field| matches!(field.origin, Origin::Stored(_)));
    stored
        .map(|field| {
            let is_flag = field.kind == super::schema::FieldType::Boolean;
            choose(&field.name).unwrap_or(Column::Default(field.default, is_flag))
        })
        .collect()
}

fn contact_column(name: &str) -> Option<Column> {
    Some(Column::Contact(match name {
        "AccountId" => |person| account_of(person),
        "OwnerId" => |_| owner(),
        "FirstName" => |person| typed(&person.first_name),
        "LastName" => |person| typed(&Some(person.last_name.clone())),
        "Email" => |person| lower(&person.email),
        "Phone" => |person| typed(&person.phone),
        "MobilePhone" => |person| typed(&person.mobile),
        "Title" => |person| typed(&person.title),
        "Department" => |person| typed(&person.department),
        "MailingStreet" => |person| typed(&person.street),
        "MailingCity" => |person| typed(&person.city),
        "MailingState" => |person| typed(&person.state),
        "MailingPostalCode" => |person| typed(&person.postal_code),
        "MailingCountry" => |person| typed(&person.country),
        "Description" => |person| typed(&person.notes),
        "Birthdate" => |person| day(&person.birthdate),
        "LeadSource" => |person| typed(&person.lead_source),
        "DoNotCall" => |person| Cell::Bool(person.do_not_call),
        "Tier__c" => |person| typed(&person.tier),
        "Interests__c" => |person| words(&person.interests),
        "Score__c" => |person| hundredths(person.score_hundredths),
        "Website__c" => |person| typed(&person.website),
        _ => return None,
    }))
}

fn account_column(name: &str) -> Option<Column> {
    Some(Column::Account(match name {
        "Name" => |number| companies().get(number as usize).map_or(Cell::Null, |name| Cell::text(*name)),
        "OwnerId" => |_| owner(),
        _ => return None,
    }))
}

fn owner() -> Cell {
    Cell::text(RecordId::new(super::table::USER_PREFIX, ADMINISTRATOR).to_string())
}

/// Text as the platform keeps it: without ASCII white space at its edges, and never empty.
fn typed(text: &Option<String>) -> Cell {
    let text = text.as_deref().unwrap_or_default().trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() { Cell::Null } else { Cell::text(text) }
}

fn lower(text: &Option<String>) -> Cell {
    typed(&text.as_ref().map(|text| text.to_lowercase()))
}

fn day(text: &Option<String>) -> Cell {
    text.as_ref().and_then(|text| text.parse::<Date>().ok()).map_or(Cell::Null, Cell::Date)
}

fn words(words: &[&str]) -> Cell {
    if words.is_empty() { Cell::Null } else { Cell::text(words.join(";")) }
}

fn hundredths(number: Option<i64>) -> Cell {
    number.map_or(Cell::Null, |number| Cell::Number(Decimal::new(number, 2)))
}

fn account_of(person: &Person) -> Cell {
    let Some(employer) = &person.company else { return Cell::Null };
    let same = |name: &&str| name.split_whitespace().eq(employer.split_whitespace());
    let number = companies().iter().position(same).and_then(|place| u32::try_from(place).ok());
    number.map_or(Cell::Null, |number| Cell::text(RecordId::new(ACCOUNT_PREFIX, number).to_string()))
}
