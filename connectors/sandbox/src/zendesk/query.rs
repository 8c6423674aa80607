//! The words of a search.

use super::account::Books;
use super::kind::{Id, Kind};
use super::normalise::number;
use super::schema::STATUSES;
use super::table::Row;
use super::tags;
use super::time::parse_moment;

/// How a keyword is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Is,
    Below,
    Above,
    AtMost,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    negated: bool,
    keyword: String,
    operator: Operator,
    value: String,
}

/// A search, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The type of objects, where the search names one.
    pub(crate) kind: Option<Kind>,
    terms: Vec<Term>,
}

impl Query {
    /// Reads a search. Every text is one; what is not understood finds nothing.
    pub(crate) fn parse(text: &str) -> Self {
        let mut query = Self { kind: None, terms: Vec::new() };
        for word in words(text) {
            let term = Term::parse(&word);
            match Kind::parse(&term.value).filter(|_| term.keyword == "type" && !term.negated) {
                Some(kind) => query.kind = Some(kind),
                None => query.terms.push(term),
            }
        }
        query
    }

    /// The same search of one type of objects.
    pub(crate) fn of(self, kind: Kind) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// Whether an object is found.
    pub(crate) fn finds(&self, books: &Books, kind: Kind, id: Id, row: &Row) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
            && self.terms.iter().all(|term| {
                term.holds(books, kind, id, row) != term.negated
                    || self.rivals(term).any(|term| term.holds(books, kind, id, row))
            })
    }

    /// Values of one keyword that stand side by side mean any of them.
    fn rivals<'a>(&'a self, term: &'a Term) -> impl Iterator<Item = &'a Term> {
        let same = |other: &&Term| other.keyword == term.keyword && other.is_plain() && term.is_plain();
        self.terms.iter().filter(same)
    }
}

/// Words, with what stands in quotation marks kept together.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            letter if letter.is_whitespace() && !quoted => words.push(std::mem::take(&mut word)),
            letter => word.push(letter),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

impl Term {
    fn parse(word: &str) -> Self {
        let (negated, word) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
        let at = word.find([':', '<', '>']).filter(|at| *at > 0);
        let Some(at) = at else {
            return Self { negated, keyword: String::new(), operator: Operator::Is, value: word.to_lowercase() };
        };
        let (keyword, rest) = word.split_at(at);
        let operators = [
            ("<=", Operator::AtMost),
            (">=", Operator::AtLeast),
            ("<", Operator::Below),
            (">", Operator::Above),
            (":", Operator::Is),
        ];
        let found = operators.into_iter().find_map(|(sign, operator)| Some((operator, rest.strip_prefix(sign)?)));
        let (operator, value) = found.unwrap_or((Operator::Is, rest));
        Self { negated, keyword: keyword.to_lowercase(), operator, value: value.to_lowercase() }
    }

    /// Whether it asks for one value of a keyword.
    fn is_plain(&self) -> bool {
        !self.keyword.is_empty() && !self.negated && self.operator == Operator::Is
    }

    fn holds(&self, books: &Books, kind: Kind, id: Id, row: &Row) -> bool {
        let text = |name: &str| row.text(name).to_lowercase();
        match self.keyword.as_str() {
            "" if number(&self.value.as_str().into()) == Some(id) => true,
            "" => ["subject", "description", "name", "email", "notes", "details"]
                .iter()
                .any(|name| text(name).contains(&self.value)),
            "created" => self.compares_time(row.created),
            "updated" => self.compares_time(row.updated),
            "status" => {
                let rank = |word: &str| STATUSES.iter().position(|known| *known == word);
                rank(row.text("status"))
                    .zip(rank(&self.value))
                    .is_some_and(|(held, wanted)| self.compares(held, wanted))
            }
            "tags" if self.value == "none" => tags::of(&row.values).is_empty(),
            "tags" => self.value.split([',', ' ']).any(|tag| tags::of(&row.values).contains(tag)),
            "subject" | "description" | "notes" | "details" => text(&self.keyword).contains(&self.value),
            "name" => text("name").contains(self.value.trim_end_matches('*')),
            "priority" | "external_id" | "role" | "email" | "phone" => text(&self.keyword) == self.value,
            "ticket_type" => text("type") == self.value,
            "requester" | "assignee" | "submitter" => {
                self.names(books, Kind::Users, row.get(&format!("{}_id", self.keyword)).as_u64())
            }
            "organization" => self.names(books, Kind::Organizations, row.get("organization_id").as_u64()),
            keyword => self.custom(books, kind, keyword, row),
        }
    }

    fn compares<T: PartialOrd>(&self, held: T, wanted: T) -> bool {
        match self.operator {
            Operator::Is => held == wanted,
            Operator::Below => held < wanted,
            Operator::Above => held > wanted,
            Operator::AtMost => held <= wanted,
            Operator::AtLeast => held >= wanted,
        }
    }

    fn compares_time(&self, held: crate::clock::Micros) -> bool {
        let wanted = parse_moment(&self.value.to_uppercase());
        wanted.is_some_and(|wanted| self.compares(held.floor_to_second(), wanted))
    }

    /// Whether the value names the object: by id, address or name, or as nobody.
    fn names(&self, books: &Books, kind: Kind, id: Option<Id>) -> bool {
        let Some(id) = id else { return self.value == "none" };
        let row = books.table(kind).get(id);
        id.to_string() == self.value
            || row.is_some_and(|row| row.text("email") == self.value || row.text("name").to_lowercase() == self.value)
    }

    /// `custom_field_{id}` of a ticket, or the key of another's field.
    fn custom(&self, books: &Books, kind: Kind, keyword: &str, row: &Row) -> bool {
        let schema = books.schema(kind);
        let field = schema.find(keyword.strip_prefix("custom_field_").unwrap_or(keyword));
        let held = field.map_or(&serde_json::Value::Null, |field| row.get(&schema.slot(field)));
        match held {
            serde_json::Value::String(text) => text.to_lowercase() == self.value,
            serde_json::Value::Array(list) => list.iter().any(|entry| entry.as_str() == Some(&self.value)),
            serde_json::Value::Null => false,
            // A truth or a number is compared as it is written.
            other => {
                let written = other.to_string();
                written == self.value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::Micros;

    #[test]
    fn searches_find_by_keyword_and_word() {
        let books = Books::new(1);
        let values = json!({"subject": "Printer is offline", "status": "open", "tags": ["a"], "external_id": "X-1"});
        let row = Row::new(Micros::from_seconds(1_778_000_000), values.as_object().unwrap().clone());
        for (text, found) in [
            ("", true),
            ("type:ticket printer", true),
            ("type:user printer", false),
            ("\"is offline\"", true),
            ("\"offline is\"", false),
            ("status:pending status:open", true),
            ("status:pending status:open tags:b", false),
            ("status:pending -status:open", false),
            ("status<solved", true),
            ("status>=pending", false),
            ("-status:open", false),
            ("tags:a", true),
            ("-tags:b", true),
            ("external_id:x-1", true),
            ("created>2026-05-05", true),
            ("created<2026-05-05T16:53:20Z", false),
            ("assignee:none", true),
            ("unknown:x", false),
            ("7", true),
        ] {
            assert_eq!(Query::parse(text).finds(&books, Kind::Tickets, 7, &row), found, "{text}");
        }
    }
}
