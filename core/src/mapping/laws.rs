//! The mapping's laws, held against samples: what `check` runs on real rows and the property tests on made ones.

use std::{collections::BTreeSet, fmt};

use super::{Mapping, Reading};
use crate::{
    ids::FieldName,
    model::{Field, FieldType, Model},
    remote::Raw,
    value::{Fields, Value},
};

/// A law of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Reading what was written gives the projection.
    PutGet,
    /// Writing what was read changes nothing that can be seen.
    GetPut,
    /// Projecting twice is projecting once.
    Stability,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PutGet => "a value that is written must be read back as it was",
            Self::GetPut => "writing what was read must change nothing",
            Self::Stability => "a value that was read back must be read back unchanged ever after",
        })
    }
}

/// A law that does not hold for a sample. Until it does the field would be written again and again.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}`: {law}, but {before} became {after}: check the field's `canonical` steps, `values` and `type`")]
pub struct LawBroken {
    /// The field.
    pub field: FieldName,
    /// The law.
    pub law: Law,
    /// What went in, as JSON.
    pub before: String,
    /// What came out, as JSON.
    pub after: String,
}

impl Mapping {
    /// Holds the laws against a provider's objects and against values that commonly break mappings. Values that the mapping
    /// refuses break no law: a fault is an honest answer.
    pub fn check_laws(&self, model: &Model, samples: &[Raw]) -> Vec<LawBroken> {
        let mut broken = Vec::new();
        for raw in samples {
            let seen = self.read(raw).fields;
            self.check_get_put(&seen, &mut broken);
        }
        for (name, &(relation, _)) in &self.places {
            let Some(field) = model.field(name) else { continue };
            let siblings = self.relations[relation].members.iter().map(|member| &member.name);
            let blank: Fields = siblings.map(|sibling| (sibling.clone(), Value::Null)).collect();
            for example in examples(field) {
                let mut values = blank.clone();
                values.insert(name.clone(), example);
                self.check_put_get(&values, &mut broken);
            }
        }
        broken
    }

    /// *GetPut* for what was read.
    fn check_get_put(&self, seen: &Fields, broken: &mut Vec<LawBroken>) {
        for name in seen.keys().filter(|name| self.writable(name)) {
            if let Some(again) = self.round_trip(name, seen)
                && again.get(name) != seen.get(name)
            {
                broken.push(law_broken(Law::GetPut, name, seen.get(name), again.get(name)));
            }
        }
    }

    /// *PutGet* and stability for values that are to be written.
    fn check_put_get(&self, values: &Fields, broken: &mut Vec<LawBroken>) {
        for (name, value) in values {
            let Ok(projected) = self.project(name, value) else { continue };
            match self.project(name, &projected) {
                Ok(again) if again == projected => {}
                again => broken.push(law_broken(Law::Stability, name, Some(&projected), again.ok().as_ref())),
            }
            if self.direction(name) == Some(super::Direction::Both)
                && let Some(read) = self.round_trip(name, values)
                && read.get(name) != Some(&projected)
            {
                broken.push(law_broken(Law::PutGet, name, Some(&projected), read.get(name)));
            }
        }
    }

    /// What is read back of a written field and of those that are written with it; `None` where the mapping refuses.
    fn round_trip(&self, name: &FieldName, values: &Fields) -> Option<Fields> {
        let raw = self.write(&BTreeSet::from([name.clone()]), values, false).ok()?;
        let Reading { fields, .. } = self.read(&raw);
        Some(fields)
    }
}

fn law_broken(law: Law, field: &FieldName, before: Option<&Value>, after: Option<&Value>) -> LawBroken {
    let json = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), |value| value.to_json().to_string());
    LawBroken { field: field.clone(), law, before: json(before), after: json(after) }
}

/// Values of a field that commonly break mappings: blanks, ends of ranges, spellings that folding changes.
fn examples(field: &Field) -> Vec<Value> {
    let texts = ["", " Ann  Lee ", "ANN@Example.com", "+1 (888) 482-7768", "a\r\nb", "J\u{30c}", "x;y, z", "0"];
    let mut values: Vec<Value> = match &field.ty {
        FieldType::Text { .. } => texts.into_iter().map(Value::text).collect(),
        FieldType::Bool => vec![Value::Bool(true), Value::Bool(false)],
        FieldType::Int => [0, -1, i64::MAX, i64::MIN].map(Value::Int).into(),
        FieldType::Decimal { scale } => {
            let smallest = rust_decimal::Decimal::new(1, *scale);
            vec![Value::Decimal(smallest), Value::Decimal(-smallest), Value::Decimal(rust_decimal::Decimal::MAX)]
        }
        FieldType::Date => [1, 20_000, -20_000].map(|days| Value::Date(day(days))).into(),
        FieldType::DateTime => [0, -1, 1_778_000_000_123].map(|ms| Value::DateTime(crate::time::Millis(ms))).into(),
        FieldType::Enum { values } => values.iter().map(Value::text).collect(),
        FieldType::Set { values } => {
            let all =
                if values.is_empty() { BTreeSet::from(["a".to_owned(), "B c".to_owned()]) } else { values.clone() };
            vec![Value::Set(all), Value::Set(BTreeSet::new())]
        }
    };
    values.push(Value::Null);
    values
}

fn day(days_since_1970: i32) -> jiff::civil::Date {
    jiff::civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(days_since_1970))
}
