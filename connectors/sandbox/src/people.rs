//! A seeded generator of any number of contacts with the mess of the real world.
//!
//! Every person is a pure function of (seed, index), made in constant time from nothing else, so that a platform can
//! hold a million contacts without storing them. The two platforms overlap by a chosen number of people, whose values
//! agree there but may be *written* differently (letter case, telephone format, white space, line ends, Unicode form).

mod forms;
mod names;
mod population;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::clock::Micros;
use forms::{capitalise, local_form, slug};
use names::Name;

pub use population::{Mess, Population};

/// Which platform a person is seen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The Salesforce emulator.
    Salesforce,
    /// The HubSpot emulator.
    HubSpot,
    /// The Zendesk emulator, whose users are the people of the HubSpot side, in the opposite order.
    Zendesk,
}

/// A person as typed into one platform, before that platform's own normalisation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Person {
    /// Which person of the population it is: the same number is the same human.
    pub index: u64,
    /// Given name.
    pub first_name: Option<String>,
    /// Family name; never missing.
    pub last_name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Mobile telephone number.
    pub mobile: Option<String>,
    /// Job title.
    pub title: Option<String>,
    /// Employer.
    pub company: Option<String>,
    /// Department.
    pub department: Option<String>,
    /// Street and number.
    pub street: Option<String>,
    /// City.
    pub city: Option<String>,
    /// State or region.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Country, by its English name.
    pub country: Option<String>,
    /// Web address.
    pub website: Option<String>,
    /// Free text of one or more lines.
    pub notes: Option<String>,
    /// Birthday as `YYYY-MM-DD`.
    pub birthdate: Option<String>,
    /// One of five usual sources.
    pub lead_source: Option<String>,
    /// Custom: `bronze`, `silver`, `gold` or `platinum`.
    pub tier: Option<String>,
    /// Custom: any of five words.
    pub interests: Vec<&'static str>,
    /// Custom: a number with two decimals, in hundredths.
    pub score_hundredths: Option<i64>,
    /// A flag.
    pub do_not_call: bool,
    /// When somebody first typed the person in: long before the sandbox starts, and later for later rows.
    pub created: Micros,
}

/// The employers that people are drawn from.
#[must_use]
pub fn companies() -> &'static [&'static str] {
    names::COMPANIES
}

/// What a draw is for: each attribute has a stream of its own, so that adding one moves no other.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
enum Draw {
    FirstUnicode = 1,
    First,
    LastUnicode,
    Last,
    Company,
    Title,
    Department,
    Place,
    Street,
    Phone,
    Mobile,
    Notes,
    NotesLines,
    Birth,
    LeadSource,
    Tier,
    Interests,
    Score,
    DoNotCall,
    MissingEmail,
    SharedEmail,
    Decomposed,
    Nbsp,
    Spaces,
    Crlf,
    PhoneForm,
    EmailCase,
    Disagree,
    Missing,
}

/// The people of a sandbox.
#[derive(Debug, Clone)]
pub struct People {
    seed: u64,
    population: Population,
}

/// The epoch of the population's oldest contact: 2024-01-01.
const FIRST_CREATED_SECONDS: i64 = 1_704_067_200;

impl People {
    /// The people of `seed`; a `shared` above `per_system` is drawn down to it.
    #[must_use]
    pub fn new(seed: u64, population: &Population) -> Self {
        let population = population.clone().sized(population.per_system, population.shared);
        Self { seed, population }
    }

    /// Contacts on each side.
    #[must_use]
    pub fn per_system(&self) -> u64 {
        self.population.per_system
    }

    /// Which person stands in `row` (from 0, in order of creation) of a side. The HubSpot side holds its people in
    /// another order than the Salesforce side, as two accounts that grew apart do.
    #[must_use]
    pub fn index_of(&self, side: Side, row: u64) -> u64 {
        let Population { per_system, shared, .. } = self.population;
        match side {
            Side::Salesforce => row,
            Side::HubSpot => per_system - shared + permute(row, per_system),
            Side::Zendesk => per_system - shared + (per_system - 1 - row),
        }
    }

    /// The person in `row` of a side, as written there.
    #[must_use]
    pub fn on_side(&self, side: Side, row: u64) -> Person {
        let index = self.index_of(side, row);
        let mut person = self.true_person(index);
        person.created = Self::created(row);
        self.retype(side, &mut person);
        person
    }

    /// When the person in `row` was first typed in, on whichever side: rows are in order of creation.
    #[must_use]
    pub fn created(row: u64) -> Micros {
        Micros::from_seconds(FIRST_CREATED_SECONDS + i64::try_from(row).unwrap_or(0) * 37)
    }

    /// The address of a person on a side, without making the rest of the person.
    #[must_use]
    pub fn email_on_side(&self, side: Side, row: u64) -> Option<String> {
        let index = self.index_of(side, row);
        self.email(side, index, &self.first(index), &self.last(index))
    }

    /// The values that a person has wherever the person is, before anybody's typing habits.
    fn true_person(&self, index: u64) -> Person {
        let (city, state, postal_code, country, _) = self.pick(index, Draw::Place, names::PLACES);
        let (first, last) = (self.first(index), self.last(index));
        let company = self.pick(index, Draw::Company, names::COMPANIES);
        let text = |value: &str| Some(value.to_owned());
        Person {
            index,
            first_name: text(first.0),
            last_name: last.0.to_owned(),
            email: None,
            phone: Some(self.telephone(index, Draw::Phone)),
            mobile: Some(self.telephone(index, Draw::Mobile)),
            title: text(self.pick(index, Draw::Title, names::TITLES)),
            company: text(company),
            department: text(self.pick(index, Draw::Department, names::DEPARTMENTS)),
            street: Some(self.street(index)),
            city: text(city),
            state: text(state),
            postal_code: text(postal_code),
            country: text(country),
            website: Some(format!("https://www.{}.example/", slug(company))),
            notes: Some(self.notes(index)),
            birthdate: Some(self.birthdate(index)),
            lead_source: text(self.pick(index, Draw::LeadSource, names::LEAD_SOURCES)),
            tier: text(self.pick(index, Draw::Tier, names::TIERS)),
            interests: self.interests(index),
            score_hundredths: i64::try_from(self.number(index, Draw::Score) % 10_000).ok(),
            do_not_call: self.number(index, Draw::DoNotCall).is_multiple_of(10),
            created: Micros::default(),
        }
    }

    /// Writes a person as a side has it: some values missing, some in another form.
    fn retype(&self, side: Side, person: &mut Person) {
        let mess = self.population.mess;
        let index = person.index;
        let salt = side as u64;
        person.email = self.email(side, index, &self.first(index), &self.last(index));
        if side == Side::HubSpot && self.chance(index, Draw::Disagree, 0, mess.disagree) {
            person.title = Some("Consultant".to_owned());
        }
        let optional = [
            &mut person.first_name,
            &mut person.phone,
            &mut person.mobile,
            &mut person.title,
            &mut person.company,
            &mut person.department,
            &mut person.street,
            &mut person.website,
            &mut person.notes,
            &mut person.birthdate,
            &mut person.lead_source,
            &mut person.tier,
        ];
        for (field, slot) in (0u64..).zip(optional) {
            if self.chance(index, Draw::Missing, salt * 64 + field, mess.missing) {
                *slot = None;
            }
        }
        if self.chance(index, Draw::Missing, salt * 64 + 32, mess.missing) {
            person.score_hundredths = None;
        }
        for phone in [&mut person.phone, &mut person.mobile].into_iter().flatten() {
            if self.chance(index, Draw::PhoneForm, salt, mess.phone_forms) {
                *phone = local_form(phone, self.number(index, Draw::PhoneForm) % 4);
            }
        }
        self.retype_texts(salt, person);
    }

    fn retype_texts(&self, salt: u64, person: &mut Person) {
        let mess = self.population.mess;
        let index = person.index;
        if self.chance(index, Draw::Decomposed, salt, mess.decomposed) {
            person.last_name = person.last_name.nfd().collect();
            person.first_name = person.first_name.take().map(|name| name.nfd().collect());
        }
        if self.chance(index, Draw::Nbsp, salt, mess.nbsp) {
            person.street = person.street.take().map(|street| street.replace(' ', "\u{a0}"));
            person.city = person.city.take().map(|city| format!("{city}\u{a0}"));
        }
        if self.chance(index, Draw::Spaces, salt, mess.spaces) {
            person.last_name = format!(" {} ", person.last_name);
            person.company = person.company.take().map(|company| company.replace(' ', "  "));
        }
        if self.chance(index, Draw::Crlf, salt, mess.crlf) {
            person.notes = person.notes.take().map(|notes| notes.replace('\n', "\r\n"));
        }
    }

    fn first(&self, index: u64) -> Name {
        self.name(index, Draw::FirstUnicode, Draw::First, names::FIRST_PLAIN, names::FIRST_UNICODE)
    }

    fn last(&self, index: u64) -> Name {
        self.name(index, Draw::LastUnicode, Draw::Last, names::LAST_PLAIN, names::LAST_UNICODE)
    }

    fn name(&self, index: u64, unicode: Draw, which: Draw, plain: &'static [Name], other: &'static [Name]) -> Name {
        let list = if self.chance(index, unicode, 0, self.population.mess.unicode) { other } else { plain };
        self.pick(index, which, list)
    }

    /// Addresses hold the index, so that two people never share one unless the mess says so.
    fn email(&self, side: Side, index: u64, first: &Name, last: &Name) -> Option<String> {
        let mess = self.population.mess;
        if self.chance(index, Draw::MissingEmail, 0, mess.missing_email) {
            return None;
        }
        let shares =
            side == Side::Salesforce && index > 0 && self.chance(index, Draw::SharedEmail, 0, mess.shared_email);
        let email = if shares {
            self.address(index - 1, &self.first(index - 1), &self.last(index - 1))
        } else {
            self.address(index, first, last)
        };
        let shouts = self.chance(index, Draw::EmailCase, side as u64, mess.email_case);
        Some(if shouts { capitalise(&email) } else { email })
    }

    fn address(&self, index: u64, first: &Name, last: &Name) -> String {
        let company = self.pick(index, Draw::Company, names::COMPANIES);
        format!("{}.{}{index}@{}.example", first.1, last.1, slug(company))
    }

    /// A number in international form, such as `+1 555 0123456`.
    fn telephone(&self, index: u64, draw: Draw) -> String {
        let prefix = self.pick(index, Draw::Place, names::PLACES).4;
        let number = self.number(index, draw);
        format!("+{prefix}{:03}{:07}", 200 + number % 700, (number >> 16) % 10_000_000)
    }

    fn street(&self, index: u64) -> String {
        let street = self.pick(index, Draw::Street, names::STREETS);
        format!("{} {street}", 1 + (self.number(index, Draw::Street) >> 20) % 250)
    }

    fn notes(&self, index: u64) -> String {
        let lines = 1 + self.number(index, Draw::NotesLines) % 3;
        let start = self.number(index, Draw::Notes);
        let line = |step| names::NOTES[usize_of(start.wrapping_add(step), names::NOTES.len())];
        (0..lines).map(line).collect::<Vec<_>>().join("\n")
    }

    fn birthdate(&self, index: u64) -> String {
        let draw = self.number(index, Draw::Birth);
        format!("{}-{:02}-{:02}", 1950 + draw % 55, 1 + (draw >> 8) % 12, 1 + (draw >> 16) % 28)
    }

    fn interests(&self, index: u64) -> Vec<&'static str> {
        let bits = self.number(index, Draw::Interests);
        let chosen = |(bit, word): (usize, &&'static str)| (bits >> bit & 1 == 1).then_some(*word);
        names::INTERESTS.iter().enumerate().filter_map(chosen).collect()
    }

    fn pick<T: Copy>(&self, index: u64, draw: Draw, list: &[T]) -> T {
        list[usize_of(self.number(index, draw), list.len())]
    }

    fn number(&self, index: u64, draw: Draw) -> u64 {
        self.salted(index, draw, 0)
    }

    fn chance(&self, index: u64, draw: Draw, salt: u64, probability: f64) -> bool {
        // The top 32 bits as a number from 0 (inclusive) to 1 (exclusive); both conversions are exact.
        let unit = f64::from(u32::try_from(self.salted(index, draw, salt + 1) >> 32).unwrap_or(0)) / 4_294_967_296.0;
        unit < probability
    }

    fn salted(&self, index: u64, draw: Draw, salt: u64) -> u64 {
        mix(mix(mix(self.seed ^ 0x5eed_0f5e_ed0f_5eed).wrapping_add(index)).wrapping_add((draw as u64) << 32 | salt))
    }
}

/// SplitMix64's finaliser: cheap, stateless and well spread, which is all that made-up people need.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn usize_of(number: u64, length: usize) -> usize {
    // The remainder is below `length`, which is a usize.
    (number % length.max(1) as u64) as usize
}

/// A fixed reordering of `0..count` in constant time: multiplication by a number that shares no factor with `count`.
fn permute(row: u64, count: u64) -> u64 {
    if count < 3 {
        return row;
    }
    let mut factor = (count / 2) | 1;
    while gcd(factor, count) != 1 {
        factor += 2;
    }
    let product = u128::from(row) * u128::from(factor) + 1;
    u64::try_from(product % u128::from(count)).unwrap_or(row)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows(people: &People, side: Side) -> Vec<Person> {
        (0..people.per_system()).map(|row| people.on_side(side, row)).collect()
    }

    #[test]
    fn the_overlap_is_exactly_the_chosen_one() {
        for (per_system, shared) in [(1_000, 600), (7, 7), (5, 0), (2, 1), (1, 1), (0, 0)] {
            let people = People::new(1, &Population::demo().sized(per_system, shared));
            let indexes = |side| (0..per_system).map(|row| people.index_of(side, row)).collect::<BTreeSet<_>>();
            let (left, right) = (indexes(Side::Salesforce), indexes(Side::HubSpot));
            assert_eq!(left.len() as u64, per_system);
            assert_eq!(right.len() as u64, per_system);
            assert_eq!(left.intersection(&right).count() as u64, shared);
        }
    }

    #[test]
    fn a_person_repeats_by_seed_and_differs_by_seed() {
        let people = |seed| rows(&People::new(seed, &Population::messy()), Side::Salesforce);
        assert_eq!(people(3), people(3));
        assert_ne!(people(3), people(4));
    }

    #[test]
    fn without_mess_shared_people_are_identical() {
        let population = Population { per_system: 200, shared: 120, mess: Mess::none() };
        let people = People::new(9, &population);
        let left = rows(&people, Side::Salesforce);
        for there in rows(&people, Side::HubSpot) {
            if let Some(here) = left.iter().find(|person| person.index == there.index) {
                assert_eq!(Person { created: there.created, ..here.clone() }, there);
                assert!(there.last_name.is_ascii() && there.phone.is_some());
            }
        }
    }

    #[test]
    fn demo_addresses_are_unique_on_both_sides_and_agree_but_for_case() {
        let people = People::new(5, &Population::demo());
        let mut by_index = std::collections::BTreeMap::new();
        for side in [Side::Salesforce, Side::HubSpot] {
            let emails: BTreeSet<_> =
                rows(&people, side).iter().map(|person| person.email.clone().unwrap().to_lowercase()).collect();
            assert_eq!(emails.len(), 1_000);
            for (row, person) in (0u64..).zip(rows(&people, side)) {
                assert_eq!(people.email_on_side(side, row), person.email);
                let email = person.email.unwrap().to_lowercase();
                assert_eq!(by_index.entry(person.index).or_insert_with(|| email.clone()), &email);
            }
        }
        assert_eq!(by_index.len(), 1_400);
    }

    #[test]
    fn every_kind_of_mess_appears_when_asked_for() {
        let people = People::new(5, &Population::messy());
        let all = rows(&people, Side::Salesforce);
        let some = |test: &dyn Fn(&Person) -> bool| all.iter().filter(|person| test(person)).count();
        let text = |value: &Option<String>, needle: &str| value.as_ref().is_some_and(|v| v.contains(needle));
        assert!(some(&|p| !p.last_name.is_ascii()) > 100);
        assert!(some(&|p| p.last_name != p.last_name.nfc().collect::<String>()) > 0);
        assert!(some(&|p| text(&p.city, "\u{a0}")) > 0);
        assert!(some(&|p| p.last_name.starts_with(' ')) > 0);
        assert!(some(&|p| text(&p.notes, "\r\n")) > 0);
        assert!(some(&|p| text(&p.phone, "(")) > 0);
        assert!(some(&|p| p.email.is_none()) > 0);
        assert!(some(&|p| p.title.is_none()) > 100);
        let emails: BTreeSet<_> = all.iter().filter_map(|p| p.email.as_ref().map(|e| e.to_lowercase())).collect();
        assert!(emails.len() < some(&|p| p.email.is_some()));
    }
}
