//! What an account holds at the start: its staff, its custom fields, the people who write to it, and their tickets.

use serde_json::{Map, Value, json};

use super::account::Books;
use super::caller::{AGENT_EMAIL, AGENT_ID, Caller, INTEGRATION_EMAIL, INTEGRATION_ID};
use super::kind::{Id, Kind};
use super::normalise::Rules;
use super::schema::{Choice, CustomField, FieldType};
use super::table::Row;
use super::tags;
use super::thread::{Draft, Moved, Note};
use super::wish::Wish;
use crate::clock::Micros;
use crate::people::{People, Person, Side};

const TIERS: &[&str] = &["bronze", "silver", "gold", "platinum"];
const TOPICS: &[&str] = &["analytics", "billing", "integrations", "mobile", "security"];
const SUBJECTS: &[&str] = &[
    "The export never ends",
    "Invoice shows the wrong address",
    "Cannot sign in since this morning",
    "{{dc.product}} is slow on Mondays",
    "How do I add a colleague?",
    "Webhook arrives twice",
    "Größe der Anhänge?",
    "Please delete my old account",
];
const STATUSES: &[&str] = &["new", "open", "pending", "hold", "solved"];
const PRIORITIES: &[&str] = &["low", "normal", "high", "urgent"];

/// The account's own fields: object type, id, key, title, type, choices.
type Own = (Kind, Id, &'static str, &'static str, FieldType, &'static [&'static str]);

const FIELDS: &[Own] = &[
    (Kind::Tickets, 360_000_000_020, "", "Order number", FieldType::Text, &[]),
    (Kind::Tickets, 360_000_000_040, "", "Internal notes", FieldType::Textarea, &[]),
    (Kind::Tickets, 360_000_000_060, "", "VIP", FieldType::Checkbox, &[]),
    (Kind::Tickets, 360_000_000_080, "", "Promised for", FieldType::Date, &[]),
    (Kind::Tickets, 360_000_000_100, "", "Seats", FieldType::Integer, &[]),
    (Kind::Tickets, 360_000_000_120, "", "Refund", FieldType::Decimal, &[]),
    (Kind::Tickets, 360_000_000_140, "", "Card", FieldType::CardNumber, &[]),
    (Kind::Tickets, 360_000_000_160, "", "Topics", FieldType::Multiselect, TOPICS),
    (Kind::Tickets, 360_000_000_180, "", "Tier", FieldType::Tagger, TIERS),
    (Kind::Users, 370_000_000_020, "department", "Department", FieldType::Text, &[]),
    (Kind::Users, 370_000_000_040, "title", "Title", FieldType::Text, &[]),
    (Kind::Users, 370_000_000_060, "mobile", "Mobile", FieldType::Text, &[]),
    (Kind::Users, 370_000_000_080, "birthdate", "Birthdate", FieldType::Date, &[]),
    (Kind::Users, 370_000_000_100, "score", "Score", FieldType::Decimal, &[]),
    (Kind::Users, 370_000_000_120, "do_not_call", "Do not call", FieldType::Checkbox, &[]),
    (Kind::Users, 370_000_000_140, "tier", "Tier", FieldType::Tagger, TIERS),
    (Kind::Organizations, 380_000_000_020, "region", "Region", FieldType::Text, &[]),
    (Kind::Organizations, 380_000_000_040, "seats", "Seats", FieldType::Integer, &[]),
];

/// Adds the account's own fields.
pub(crate) fn fields(books: &mut Books) {
    for (kind, id, key, title, ty, choices) in FIELDS {
        let choice = |(step, word): (u64, &&str)| Choice {
            id: id + step,
            name: (*word).to_owned(),
            value: format!("{}_{word}", title.to_lowercase()),
        };
        books.schema_mut(*kind).add(CustomField {
            id: *id,
            key: (*key).to_owned(),
            title: (*title).to_owned(),
            ty: *ty,
            choices: (1..).zip(*choices).map(choice).collect(),
            tag: (*title == "VIP").then(|| "vip".to_owned()),
            active: true,
            created: Micros(0),
        });
    }
}

/// Adds the integration's administrator and the agent.
pub(crate) fn staff(books: &mut Books, now: Micros) {
    for (id, name, email, role) in
        [(INTEGRATION_ID, "Integration", INTEGRATION_EMAIL, "admin"), (AGENT_ID, "Agent", AGENT_EMAIL, "agent")]
    {
        let values = json!({"name": name, "email": email, "role": role, "verified": true});
        put(books, Kind::Users, id, now.minus(std::time::Duration::from_secs(365 * 86_400)), values);
    }
}

fn put(books: &mut Books, kind: Kind, id: Id, at: Micros, values: Value) {
    let Value::Object(values) = values else { return };
    let row = Row::new(at, values.into_iter().filter(|(_, value)| !value.is_null()).collect());
    books.index.put(kind, id, &row, None);
    books.table_mut(kind).put(id, row);
}

/// Imports everybody who stands on this side of the population, their organisations, and so many of their tickets.
pub(crate) fn import(books: &mut Books, people: &People, tickets: u64, mirror: bool) {
    let mut requesters = Vec::new();
    for row in 0..people.per_system() {
        let person = people.on_side(Side::Zendesk, row);
        let at = person.created;
        let organization = person.company.as_deref().map(|name| organization(books, name, at));
        let mut body = user(person);
        body.insert("organization_id".to_owned(), organization.into());
        let id = books.table_mut(Kind::Users).fresh_id();
        insert(books, Kind::Users, id, at, &body, mirror);
        requesters.push(id);
    }
    if requesters.is_empty() {
        requesters.push(AGENT_ID);
    }
    for number in 0..tickets {
        ticket(books, number, &requesters, mirror);
    }
}

fn insert(books: &mut Books, kind: Kind, id: Id, at: Micros, body: &Map<String, Value>, mirror: bool) {
    let rules = Rules { numbers_as_text: true, tags_split: true };
    let mut values = Wish::read(books.schema(kind), kind, body, None, rules).values;
    let taken = values
        .get("email")
        .and_then(Value::as_str)
        .is_some_and(|email| books.table(Kind::Users).by_email(email).is_some());
    if taken {
        values.remove("email");
    }
    if mirror {
        tags::mirror(books.schema(kind), &Map::new(), &mut values);
    }
    put(books, kind, id, at, values.into());
}

fn organization(books: &mut Books, name: &str, at: Micros) -> Id {
    if let Some(known) = books.table(Kind::Organizations).by_name(name) {
        return known;
    }
    let id = books.table_mut(Kind::Organizations).fresh_id();
    let body = Map::from_iter([("name".to_owned(), Value::from(name))]);
    insert(books, Kind::Organizations, id, at, &body, false);
    id
}

/// A person's values under Zendesk's names: one name, and the rest in fields of the account.
fn user(person: Person) -> Map<String, Value> {
    let name = [person.first_name.as_deref(), Some(person.last_name.trim())];
    let name: Vec<&str> = name.into_iter().flatten().map(str::trim).collect();
    let score = person.score_hundredths.map(|score| format!("{}.{:02}", score / 100, score % 100));
    let body = json!({
        "name": name.join(" "), "role": "end-user", "email": person.email, "phone": person.phone, "notes": person.notes,
        "user_fields": {
            "department": person.department, "title": person.title, "mobile": person.mobile,
            "birthdate": person.birthdate, "score": score, "do_not_call": person.do_not_call,
            "tier": person.tier.map(|tier| format!("tier_{tier}")),
        },
    });
    match body {
        Value::Object(body) => body,
        _ => Map::new(),
    }
}

/// One ticket. Its values follow from its number, so that a seed's account is the same again.
fn ticket(books: &mut Books, number: u64, requesters: &[Id], mirror: bool) {
    let pick = |list: &'static [&'static str], step: u64| {
        list[usize::try_from(number.wrapping_mul(step) % list.len() as u64).unwrap_or(0)]
    };
    let requester = requesters[usize::try_from(number.wrapping_mul(7) % requesters.len() as u64).unwrap_or(0)];
    let status = pick(STATUSES, 3);
    let at = People::created(number);
    let description = format!("{}\n\nThis is request {number}.", pick(SUBJECTS, 1));
    let body = json!({
        "subject": pick(SUBJECTS, 1), "priority": pick(PRIORITIES, 5), "status": status, "type": "question",
        "requester_id": requester, "submitter_id": requester, "tags": [pick(TOPICS, 11)],
        "organization_id": books.table(Kind::Users).live(requester).map(|row| row.get("organization_id").clone()),
        "assignee_id": if status == "new" { Value::Null } else { AGENT_ID.into() },
        "custom_fields": [
            {"id": 360_000_000_020_u64, "value": format!("A-{number:05}")},
            {"id": 360_000_000_180_u64, "value": format!("tier_{}", pick(TIERS, 13))},
        ],
        "description": description,
    });
    let Value::Object(body) = body else { return };
    let id = books.table_mut(Kind::Tickets).fresh_id();
    insert(books, Kind::Tickets, id, at, &body, mirror);
    if let Some(mut row) = books.table(Kind::Tickets).get(id).cloned() {
        row.set("description", description.as_str().into());
        row.set("channel", "email".into());
        row.set("is_public", true.into());
        books.index.put(Kind::Tickets, id, &row, None);
        books.table_mut(Kind::Tickets).put(id, row);
    }
    let caller = Caller { user: requester, ..Caller::platform("import") };
    let moved = vec![Moved { name: "status".to_owned(), before: Value::Null, after: status.into() }];
    let draft = Some(Draft::of_text(&description));
    let note = Note { caller: &caller, at, created: true, moved, draft, custom: Value::Null };
    let mut thread = books.threads.remove(&id).unwrap_or_default();
    thread.note(id, note, || books.fresh_id());
    books.threads.insert(id, thread);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::Population;

    #[test]
    fn every_value_of_the_population_is_accepted() {
        let mut books = Books::new(1);
        fields(&mut books);
        let people = People::new(1, &Population::demo());
        let rules = Rules { numbers_as_text: true, tags_split: true };
        for row in 0..people.per_system() {
            let body = user(people.on_side(Side::Zendesk, row));
            let wish = Wish::read(books.schema(Kind::Users), Kind::Users, &body, None, rules);
            assert!(wish.flaws.is_empty(), "{body:?}: {:?}", wish.flaws);
        }
    }

    #[test]
    fn an_account_holds_people_organisations_and_tickets() {
        let mut books = Books::new(1);
        fields(&mut books);
        import(&mut books, &People::new(1, &Population::demo().sized(50, 20)), 30, true);
        assert_eq!(books.table(Kind::Users).all().count(), 50);
        assert_eq!(books.table(Kind::Tickets).all().count(), 30);
        assert!(books.table(Kind::Organizations).all().count() > 3);
        let (_, row) = books.table(Kind::Tickets).all().next().unwrap();
        let tier = row.text("custom_fields.360000000180").to_owned();
        assert!(tags::of(&row.values).contains(&tier), "{row:?}");
    }
}
