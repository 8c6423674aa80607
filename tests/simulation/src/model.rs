//! What is synced: the fields of the generated records, how their users edit them, and what must become of an edit.

use std::collections::BTreeSet;

use rand::{Rng, RngExt};
use syncline_core::{
    ids::FieldName,
    model::{DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    policies::Policy,
    value::Value,
};

/// The field by which objects of different systems are known to be one entity.
pub const EMAIL: &str = "email";

/// How many stages there are.
const STAGES: usize = 8;

/// Which fields a run's records have, beside [`EMAIL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Registers: `latest`, `prefer`, and one in which blanks never win.
    Registers,
    /// Policies with an order.
    Ordered,
    /// Policies that merge contributions.
    Merging,
}

/// How the values of a field are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// What identifies the entity.
    Key,
    /// A text that nobody else writes, sometimes a blank.
    Text,
    /// One of the stages.
    Stage,
    /// A number that nobody else writes.
    Number,
    /// A set to which a member is added, or from which one is removed.
    Members,
    /// A text to which a word is added.
    Prose,
    /// A number that is raised.
    Count,
}

impl Cast {
    /// Every cast.
    pub const ALL: [Self; 3] = [Self::Registers, Self::Ordered, Self::Merging];

    /// The fields beside the key.
    fn fields(self) -> Vec<(&'static str, Field)> {
        let text = || Field::of(FieldType::Text { max_len: 2_000 });
        let with = |policy, field: Field| Field { policy, ..field };
        match self {
            Self::Registers => {
                let prefer = Policy::Prefer(vec!["sys1".into(), "client".into(), "sys0".into()]);
                let kept = Field { blank_never_wins: true, ..text() };
                vec![("a", text()), ("b", with(prefer, text())), ("kept", kept)]
            }
            Self::Ordered => {
                let stages = (0..STAGES).map(|stage| format!("s{stage}")).collect();
                vec![
                    ("a", text()),
                    ("high", with(Policy::Max, Field::of(FieldType::Int))),
                    ("stage", with(Policy::ForwardOnly(stages), text())),
                ]
            }
            Self::Merging => {
                let set = Field::of(FieldType::Set { values: BTreeSet::new() });
                vec![
                    ("notes", with(Policy::Text, text())),
                    ("score", with(Policy::Counter, Field::of(FieldType::Int))),
                    ("tags", with(Policy::Set, set)),
                ]
            }
        }
    }

    /// The model with these fields.
    pub fn model(self, race: DeleteRace) -> Model {
        let mut fields: Vec<(&str, Field)> = self.fields();
        fields.push((EMAIL, Field::of(FieldType::Text { max_len: 200 })));
        Model {
            name: "contact".into(),
            fields: fields.into_iter().map(|(name, field)| (FieldName::new(name), field)).collect(),
            match_keys: vec![vec![EMAIL.into()]],
            deletes: DeleteRule { effect: DeleteEffect::Propagate, race },
        }
    }
}

impl Shape {
    /// How the values of this field are made.
    pub fn of(name: &FieldName) -> Self {
        match name.as_str() {
            EMAIL => Self::Key,
            "stage" => Self::Stage,
            "high" => Self::Number,
            "tags" => Self::Members,
            "notes" => Self::Prose,
            "score" => Self::Count,
            _ => Self::Text,
        }
    }

    /// What somebody who sees `current` makes of it. `word` was never used before.
    pub fn edited(self, current: &Value, word: &str, rng: &mut impl Rng) -> Value {
        match self {
            Self::Text if !current.is_blank() && rng.random_bool(0.1) => Value::Null,
            // Some providers fold the case, some cut the blanks at the ends.
            Self::Text if rng.random_bool(0.2) => Value::text(format!(" {word} ")),
            Self::Text => Value::text(word),
            Self::Key => Value::text(format!("{}@x", word.to_lowercase())),
            Self::Stage => Value::text(format!("s{}", rng.random_range(0..STAGES))),
            // Scattered, so that the later number is not always the larger one.
            Self::Number => {
                let number: i64 = word.bytes().fold(0, |sum, byte| (sum * 31 + i64::from(byte)) % 1_000_000_007);
                Value::Int(number)
            }
            Self::Count => Value::Int(whole(current) + rng.random_range(1..10)),
            Self::Prose => match current {
                Value::Text(text) => Value::text(format!("{text} {word}")),
                _ => Value::text(word),
            },
            Self::Members => {
                let mut members = members(current);
                match members.iter().nth(rng.random_range(0..4)).cloned() {
                    Some(member) => members.remove(&member),
                    None => members.insert(word.to_owned()),
                };
                Value::Set(members)
            }
        }
    }

    /// What an edit contributed, in parts that can be looked for one by one.
    pub fn contributed(self, saw: &Value, value: &Value) -> BTreeSet<String> {
        let (before, after) = (self.parts(saw), self.parts(value));
        after.difference(&before).cloned().collect()
    }

    /// The parts of a value: the members of a set, the words of a text that merges, else the value as a whole.
    pub fn parts(self, value: &Value) -> BTreeSet<String> {
        match self {
            Self::Count => BTreeSet::new(),
            _ if value.is_blank() => BTreeSet::new(),
            Self::Members => members(value).into_iter().map(|member| Value::text(member).loose_fold()).collect(),
            Self::Prose => value.loose_fold().split(' ').map(str::to_owned).collect(),
            Self::Key | Self::Text | Self::Stage | Self::Number => BTreeSet::from([value.loose_fold()]),
        }
    }

    /// Whether a value holds this part. A word may have been written into: two texts that grew apart merge by characters.
    pub fn holds(self, value: &Value, part: &str) -> bool {
        self.parts(value).contains(part) || self == Self::Prose && is_split(&value.loose_fold(), part)
    }

    /// Whether each value is written once in a run at most, so that it names its writer.
    pub fn is_unique(self) -> bool {
        matches!(self, Self::Text | Self::Number | Self::Members)
    }
}

/// Whether the policy itself says that `value` gives way to `standing` without a trace.
pub fn outdone(policy: &Policy, value: &Value, standing: &Value) -> bool {
    match policy {
        Policy::ForwardOnly(_) => standing.loose_fold() >= value.loose_fold(),
        Policy::Max => whole(standing) >= whole(value),
        Policy::Min => whole(standing) <= whole(value),
        _ => false,
    }
}

/// Whether the text holds the word in two pieces, one after the other.
fn is_split(text: &str, word: &str) -> bool {
    word.char_indices().skip(1).any(|(middle, _)| {
        let (head, tail) = word.split_at(middle);
        text.split_once(head).is_some_and(|(_, rest)| rest.contains(tail))
    })
}

fn whole(value: &Value) -> i64 {
    if let Value::Int(number) = value { *number } else { 0 }
}

fn members(value: &Value) -> BTreeSet<String> {
    if let Value::Set(members) = value { members.clone() } else { BTreeSet::new() }
}
