//! The fields of the generated record: how their users edit them, and what must become of an edit.

use std::collections::BTreeSet;

use rand::{Rng, RngExt};
use syncline_core::{
    ids::FieldName,
    model::{Field, FieldType},
    policies::Policy,
    value::Value,
};

/// Which fields a history's record has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cast {
    /// Three fields with the default policy.
    Plain,
    /// Registers: `latest`, `prefer`, and one in which blanks never win.
    Registers,
    /// Policies with an order, and `manual`.
    Ordered,
    /// Policies that merge contributions.
    Merging,
}

/// How the values of a field are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
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

/// How many stages there are.
const STAGES: usize = 8;

/// The fields of a cast, with their shapes.
pub(crate) fn fields(cast: Cast) -> Vec<(FieldName, Field, Shape)> {
    let text = FieldType::Text { max_len: 2_000 };
    let field = |name: &str, ty: &FieldType, policy, shape| {
        (FieldName::new(name), Field { policy, ..Field::of(ty.clone()) }, shape)
    };
    match cast {
        Cast::Plain => ["a", "b", "c"].map(|name| field(name, &text, Policy::Latest, Shape::Text)).to_vec(),
        Cast::Registers => {
            let prefer = Policy::Prefer(vec!["sys1".into(), "client".into(), "sys0".into()]);
            let mut kept = field("kept", &text, Policy::Latest, Shape::Text);
            kept.1.blank_never_wins = true;
            vec![field("a", &text, Policy::Latest, Shape::Text), field("b", &text, prefer, Shape::Text), kept]
        }
        Cast::Ordered => {
            let stages: Vec<String> = (0..STAGES).map(|stage| format!("s{stage}")).collect();
            vec![
                field("high", &FieldType::Int, Policy::Max, Shape::Number),
                field("low", &FieldType::Int, Policy::Min, Shape::Number),
                field("owner", &text, Policy::Manual, Shape::Text),
                field("stage", &text, Policy::ForwardOnly(stages), Shape::Stage),
            ]
        }
        Cast::Merging => {
            let set = FieldType::Set { values: BTreeSet::new() };
            vec![
                field("notes", &text, Policy::Text, Shape::Prose),
                field("score", &FieldType::Int, Policy::Counter, Shape::Count),
                field("tags", &set, Policy::Set, Shape::Members),
            ]
        }
    }
}

impl Shape {
    /// What somebody who sees `current` makes of it. `number` was never used before.
    pub(crate) fn edited(self, current: &Value, number: u64, rng: &mut impl Rng) -> Value {
        match self {
            Self::Text if !current.is_blank() && rng.random_bool(0.1) => Value::Null,
            Self::Text => Value::text(format!("Value {number}")),
            Self::Stage => Value::text(format!("s{}", rng.random_range(0..STAGES))),
            // Scattered, so that the later number is not always the larger one.
            Self::Number => Value::Int((number * 7_919 % 1_000 * 1_000 + number) as i64),
            Self::Count => Value::Int(whole(current) + rng.random_range(1..10)),
            Self::Prose => match current {
                Value::Text(text) => Value::text(format!("{text} w{number}")),
                _ => Value::text(format!("w{number}")),
            },
            Self::Members => {
                let mut members = members(current);
                match members.iter().nth(rng.random_range(0..4)).cloned() {
                    Some(member) => members.remove(&member),
                    None => members.insert(format!("m{number}")),
                };
                Value::Set(members)
            }
        }
    }

    /// What an edit contributed, in parts that can be looked for one by one.
    pub(crate) fn contributed(self, saw: &Value, value: &Value) -> BTreeSet<String> {
        let (before, after) = (self.parts(saw), self.parts(value));
        after.difference(&before).cloned().collect()
    }

    /// The parts of a value: the members of a set, the words of a text that merges, else the value as a whole.
    pub(crate) fn parts(self, value: &Value) -> BTreeSet<String> {
        match self {
            Self::Count => BTreeSet::new(),
            _ if value.is_blank() => BTreeSet::new(),
            Self::Members => members(value),
            Self::Prose => value.loose_fold().split(' ').map(str::to_owned).collect(),
            Self::Text | Self::Stage | Self::Number => BTreeSet::from([value.loose_fold()]),
        }
    }
}

/// Whether the policy itself says that `value` gives way to `standing` without a trace.
pub(crate) fn outdone(policy: &Policy, value: &Value, standing: &Value) -> bool {
    match policy {
        Policy::ForwardOnly(_) => standing.loose_fold() >= value.loose_fold(),
        Policy::Max => whole(standing) >= whole(value),
        Policy::Min => whole(standing) <= whole(value),
        _ => false,
    }
}

fn whole(value: &Value) -> i64 {
    if let Value::Int(number) = value { *number } else { 0 }
}

fn members(value: &Value) -> BTreeSet<String> {
    if let Value::Set(members) = value { members.clone() } else { BTreeSet::new() }
}
