//! The `mapping` of one side of a sync: each model field's relation to the provider's object, read strictly and then
//! held against the model by the core.

use std::collections::BTreeMap;

use syncline_core::{
    mapping::{Direction, FieldSpec, Mapping, MappingSpec, Rest, Wire},
    model::Model,
};

use super::{
    model::STEPS,
    spot::{Spot, Table},
};

/// The keys of one field's relation in its long form.
pub(super) const KEYS: &[&str] = &[
    "field",
    "path",
    "join",
    "with",
    "split",
    "part",
    "rest",
    "values",
    "list",
    "constant",
    "type",
    "direction",
    "canonical",
];
/// The words of directions.
pub(super) const DIRECTIONS: &[(&str, Direction)] =
    &[("both", Direction::Both), ("read", Direction::Read), ("write", Direction::Write)];
/// The words of provider types.
const WIRES: &[(&str, Wire)] = &[
    ("text", Wire::Text),
    ("number", Wire::Number),
    ("bool", Wire::Bool),
    ("date", Wire::Date),
    ("date_time", Wire::DateTime),
    ("epoch_ms", Wire::EpochMs),
    ("epoch_s", Wire::EpochS),
];
/// The words of which part takes what is left.
const RESTS: &[(&str, Rest)] = &[("first", Rest::First), ("last", Rest::Last)];
/// The most parts of a split; more is a mistake.
const PARTS_MAX: u32 = 16;

/// Reads a mapping and checks it against the model; `side` is the direction of the whole side, which narrows that of
/// each field.
pub(super) fn read(spot: &Spot<'_>, model: &Model, side: Direction) -> Option<Mapping> {
    let entries = spot.named()?;
    if entries.is_empty() {
        spot.problem("nothing is mapped", "map at least one field, such as `email: Email`");
        return None;
    }
    let specs: BTreeMap<String, FieldSpec> = entries
        .iter()
        .filter_map(|(name, spot)| Some((name.text.clone(), narrowed(spot, field(spot)?, side))))
        .collect();
    let whole = specs.len() == entries.len();
    match Mapping::new(model, &MappingSpec(specs)) {
        Ok(mapping) => whole.then_some(mapping),
        Err(errors) => {
            for error in errors {
                spot.follow([error.key.as_str()]).problem(error.problem.to_string(), "");
            }
            None
        }
    }
}

/// A field of a side that is only read or only written goes no other way than its side does.
fn narrowed(spot: &Spot<'_>, mut spec: FieldSpec, side: Direction) -> FieldSpec {
    match (side, spec.direction) {
        (Direction::Both, _) => {}
        // A constant is never read, so it stays as it is.
        (Direction::Read, Direction::Write) | (Direction::Write, Direction::Read) => spot.problem(
            "the field goes one way only and its side the other, so it would never move",
            "remove it, or change the `direction` of the field or of the side",
        ),
        (side, _) if spec.constant.is_none() => spec.direction = side,
        _ => {}
    }
    spec
}

fn field(spot: &Spot<'_>) -> Option<FieldSpec> {
    if !spot.is_map() {
        return spot.text().map(|field| FieldSpec::from(field.as_str()));
    }
    let table = spot.table(KEYS)?;
    let mut whole = true;
    let spec = FieldSpec {
        field: get(&table, "field", &mut whole, Spot::text),
        path: get(&table, "path", &mut whole, Spot::text),
        join: get(&table, "join", &mut whole, Spot::texts).unwrap_or_default(),
        with: get(&table, "with", &mut whole, Spot::separator),
        split: get(&table, "split", &mut whole, Spot::separator),
        part: get(&table, "part", &mut whole, |spot| spot.whole(1..=PARTS_MAX)).map(|part| part as usize),
        rest: get(&table, "rest", &mut whole, |spot| spot.word(RESTS)),
        values: get(&table, "values", &mut whole, values).unwrap_or_default(),
        list: get(&table, "list", &mut whole, Spot::separator),
        constant: table.get("constant").map(|spot| spot.json()),
        wire: get(&table, "type", &mut whole, |spot| spot.word(WIRES)),
        direction: get(&table, "direction", &mut whole, |spot| spot.word(DIRECTIONS)).unwrap_or_default(),
        canonical: get(&table, "canonical", &mut whole, |spot| spot.words(STEPS)).unwrap_or_default(),
    };
    whole.then_some(spec)
}

/// An optional value; one that is there but cannot be read makes the entry incomplete.
fn get<'a, T>(table: &Table<'a>, key: &str, whole: &mut bool, read: impl Fn(&Spot<'a>) -> Option<T>) -> Option<T> {
    let spot = table.get(key)?;
    let value = read(&spot);
    *whole &= value.is_some();
    value
}

fn values(spot: &Spot<'_>) -> Option<BTreeMap<String, serde_json::Value>> {
    Some(spot.named()?.into_iter().map(|(name, spot)| (name.text, spot.json())).collect())
}
