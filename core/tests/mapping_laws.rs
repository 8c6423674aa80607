//! The laws of mappings over generated models, mappings, values and provider objects. What the mapping refuses breaks no
//! law, so each law also proves that most samples went through.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, RngSeed, TestRunner},
};
use rust_decimal::Decimal;
use serde_json::{Value as Json, json};
use syncline_core::{
    ids::FieldName,
    mapping::{Direction, FieldSpec, Mapping, MappingSpec, Rest, Wire},
    model::{Canonical, DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model},
    remote::Raw,
    time::Millis,
    value::{Fields, Value},
};

const CASES: u32 = 600;
const ENUM: [&str; 3] = ["lead", "mql", "customer"];

/// A generated field: its model side and its mapping. A split is several of them.
type Entry = (String, Field, FieldSpec);

fn steps() -> impl Strategy<Value = Vec<Canonical>> {
    use Canonical::{Lower, Newlines, Nfc, Phone, Trim};
    prop::collection::vec(select(vec![Trim, Lower, Nfc, Newlines, Phone]), 0..4)
}

fn text_field() -> impl Strategy<Value = Field> {
    (1..40_u32, steps()).prop_map(|(max_len, canonical)| Field { canonical, ..Field::of(FieldType::Text { max_len }) })
}

fn separator() -> impl Strategy<Value = String> {
    select(vec![" ", ";", ", ", " - ", "\n", "|"]).prop_map(str::to_owned)
}

fn rest() -> impl Strategy<Value = Option<Rest>> {
    select(vec![None, Some(Rest::First), Some(Rest::Last)])
}

/// A field of any plain type with each of its wire types, at times nested.
fn plain(key: usize) -> impl Strategy<Value = Vec<Entry>> {
    let listed = || ENUM.map(str::to_owned);
    let ty = prop_oneof![
        (1..40_u32).prop_map(|max_len| FieldType::Text { max_len }),
        Just(FieldType::Bool),
        Just(FieldType::Int),
        (0..6_u32).prop_map(|scale| FieldType::Decimal { scale }),
        Just(FieldType::Date),
        Just(FieldType::DateTime),
        Just(FieldType::Enum { values: listed().to_vec() }),
        Just(FieldType::Set { values: BTreeSet::new() }),
        Just(FieldType::Set { values: listed().into() }),
    ];
    (ty, any::<Index>(), any::<bool>(), steps(), steps(), any::<bool>()).prop_map(
        move |(ty, wire, nested, own, theirs, whole_seconds)| {
            let textual = matches!(ty, FieldType::Text { .. }) || ty == FieldType::Set { values: BTreeSet::new() };
            let wires: &[Wire] = if matches!(ty, FieldType::Enum { .. }) { &[Wire::Text] } else { Wire::usable(&ty) };
            let mut field = Field::of(ty);
            if textual {
                field.canonical = own;
            } else if field.ty == FieldType::DateTime && whole_seconds {
                field.canonical = vec![Canonical::WholeSeconds];
            }
            let name = if nested { format!("Outer{}.inner{key}", key % 2) } else { format!("Remote{key}") };
            let wire = (!wires.is_empty()).then(|| *wire.get(wires));
            let canonical = if textual { theirs } else { Vec::new() };
            let spec = FieldSpec { wire, canonical, ..FieldSpec::default() };
            let spec =
                if nested { FieldSpec { path: Some(name), ..spec } } else { FieldSpec { field: Some(name), ..spec } };
            vec![(format!("field{key}"), field, spec)]
        },
    )
}

/// A field with the provider's own words, alone or as the members of a set.
fn mapped(key: usize) -> impl Strategy<Value = Vec<Entry>> {
    let words = select(vec![
        [json!("Open"), json!("Working"), json!("Closed")],
        [json!(1), json!(2.5), json!(-3)],
        [json!(true), json!(false), json!("n/a")],
    ]);
    let ty = select(vec![
        FieldType::Enum { values: ENUM.map(str::to_owned).to_vec() },
        FieldType::Set { values: ENUM.map(str::to_owned).into() },
        FieldType::Text { max_len: 20 },
    ]);
    (ty, words, prop::option::of(separator()), select(vec![vec![], vec![Canonical::Lower, Canonical::Trim]])).prop_map(
        move |(ty, words, list, canonical)| {
            let is_set = matches!(ty, FieldType::Set { .. });
            let values = ENUM.map(str::to_owned).into_iter().zip(words).collect();
            let list = list.filter(|_| is_set);
            let spec =
                FieldSpec { field: Some(format!("Remote{key}")), values, list, canonical, ..FieldSpec::default() };
            vec![(format!("field{key}"), Field::of(ty), spec)]
        },
    )
}

/// A set as a list.
fn list(key: usize) -> impl Strategy<Value = Vec<Entry>> {
    (separator(), steps()).prop_map(move |(separator, canonical)| {
        let field = Field { canonical, ..Field::of(FieldType::Set { values: BTreeSet::new() }) };
        let spec = FieldSpec { field: Some(format!("Remote{key}")), list: Some(separator), ..FieldSpec::default() };
        vec![(format!("field{key}"), field, spec)]
    })
}

/// One model field of several provider fields.
fn join(key: usize) -> impl Strategy<Value = Vec<Entry>> {
    (text_field(), 2..4_usize, separator(), rest(), steps()).prop_map(move |(field, count, with, rest, canonical)| {
        let join = (0..count).map(|part| format!("Remote{key}_{part}")).collect();
        let spec = FieldSpec { join, with: Some(with), rest, canonical, ..FieldSpec::default() };
        vec![(format!("field{key}"), field, spec)]
    })
}

/// Several model fields of one provider field.
fn split(key: usize) -> impl Strategy<Value = Vec<Entry>> {
    (prop::collection::vec(text_field(), 2..4), separator(), rest()).prop_map(move |(fields, split, rest)| {
        let entry = |(index, field): (usize, Field)| {
            let (remote, split) = (Some(format!("Remote{key}")), Some(split.clone()));
            let spec = FieldSpec { field: remote, split, part: Some(index + 1), rest, ..FieldSpec::default() };
            (format!("field{key}_{index}"), field, spec)
        };
        fields.into_iter().enumerate().map(entry).collect()
    })
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let entry = |key| prop_oneof![4 => plain(key), 1 => mapped(key), 1 => list(key), 1 => join(key), 1 => split(key)];
    (1..6_usize)
        .prop_flat_map(move |count| (0..count).map(entry).collect::<Vec<_>>())
        .prop_map(|entries| entries.concat())
}

/// Characters that break mappings: separators, white space of many kinds, accents that compose, letters whose case or
/// normal form is something else, and a question mark whose normal form is a semicolon.
fn text() -> impl Strategy<Value = String> {
    let nasty = vec![
        'a',
        'B',
        'J',
        '1',
        '0',
        ' ',
        '\u{a0}',
        '\n',
        '\r',
        '\t',
        ';',
        ',',
        '-',
        '|',
        '+',
        '(',
        'e',
        '\u{301}',
        '\u{30c}',
        '\u{130}',
        '\u{3a3}',
        '\u{37e}',
        '\u{212a}',
        '\u{2000}',
        '\u{1f600}',
        '\u{0}',
        '\u{df}',
        '.',
    ];
    let nasty = prop::collection::vec(select(nasty), 0..12).prop_map(|chars| chars.into_iter().collect());
    let numeric = any::<i32>().prop_map(|number| number.to_string());
    prop_oneof![4 => nasty, 2 => "[a-z]{1,6}( [a-z]{1,6}){0,3}", 1 => any::<String>(), 1 => numeric]
}

fn value(ty: &FieldType) -> BoxedStrategy<Value> {
    let listed = |values: Vec<String>| select(values).prop_map(Value::Text).boxed();
    let telling = match ty {
        FieldType::Text { .. } => {
            prop_oneof![3 => text(), 1 => select(&ENUM[..]).prop_map(str::to_owned)].prop_map(Value::Text).boxed()
        }
        FieldType::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        FieldType::Int => any::<i64>().prop_map(Value::Int).boxed(),
        FieldType::Decimal { .. } => {
            (any::<i64>(), 0..20_u32).prop_map(|(digits, scale)| Value::Decimal(Decimal::new(digits, scale))).boxed()
        }
        FieldType::Date => (-9_998..9_999_i16, 1..13_i8, 1..29_i8)
            .prop_map(|(year, month, day)| Value::Date(jiff::civil::date(year, month, day)))
            .boxed(),
        FieldType::DateTime => prop_oneof![4 => -377_000_000_000_000..253_000_000_000_000_i64, 1 => any::<i64>()]
            .prop_map(|ms| Value::DateTime(Millis(ms)))
            .boxed(),
        FieldType::Enum { values } => listed(values.clone()),
        FieldType::Set { values } if values.is_empty() => {
            prop::collection::btree_set(text(), 0..4).prop_map(Value::Set).boxed()
        }
        FieldType::Set { values } => {
            let values: Vec<String> = values.iter().cloned().collect();
            prop::sample::subsequence(values, 0..=3)
                .prop_map(|members| Value::Set(members.into_iter().collect()))
                .boxed()
        }
    };
    prop_oneof![8 => telling, 1 => Just(Value::Null)].boxed()
}

/// What a provider may show in any field: fitting, blank, or of a wrong type.
fn shown(entry: &Entry) -> BoxedStrategy<Json> {
    let words: Vec<Json> = entry.2.values.values().cloned().collect();
    let word = if words.is_empty() { Just(json!("Open")).boxed() } else { select(words).boxed() };
    let fitting = value(&entry.1.ty).prop_map(|value| value.to_json());
    let junk = prop_oneof![
        Just(Json::Null),
        Just(json!("")),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        text().prop_map(Json::from),
        prop::collection::vec(text(), 0..3).prop_map(Json::from),
        select(vec!["2024-02-29", "2024-02-29T00:00:00Z", "2024-02-29T10:00:00.123+0200", "1e3", "10.00", "TRUE"])
            .prop_map(Json::from),
    ];
    prop_oneof![3 => fitting, 2 => word, 2 => text().prop_map(Json::from), 3 => junk].boxed()
}

fn model(entries: &[Entry]) -> Model {
    Model {
        name: "contact".into(),
        fields: entries.iter().map(|(key, field, _)| (FieldName::new(key), field.clone())).collect(),
        match_keys: Vec::new(),
        deletes: DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins },
    }
}

/// The mapping of the entries, without those that it refuses to load, such as listed members that hold the separator.
fn mapping(entries: &[Entry]) -> Mapping {
    let model = model(entries);
    let mut specs: BTreeMap<String, FieldSpec> =
        entries.iter().map(|(key, _, spec)| (key.clone(), spec.clone())).collect();
    loop {
        match Mapping::new(&model, &MappingSpec(specs.clone())) {
            Ok(mapping) => return mapping,
            Err(errors) => {
                let before = specs.len();
                specs.retain(|key, _| errors.iter().all(|error| error.key != *key));
                assert!(specs.len() < before, "a refused mapping names the entries at fault: {errors:?}");
            }
        }
    }
}

fn some_values(entries: &[Entry]) -> BoxedStrategy<Fields> {
    let pairs: Vec<_> = entries.iter().map(|(key, field, _)| (Just(FieldName::new(key)), value(&field.ty))).collect();
    pairs.prop_map(|pairs| pairs.into_iter().collect()).boxed()
}

/// A provider's object that shows everything the entries name.
fn some_object(entries: &[Entry]) -> BoxedStrategy<Raw> {
    let fields: Vec<_> = entries
        .iter()
        .flat_map(|entry| {
            let FieldSpec { field, path, join, .. } = &entry.2;
            field.iter().chain(path).chain(join).map(|name| (Just(name.clone()), shown(entry)))
        })
        .collect();
    fields.prop_map(|fields| fields.into_iter().fold(Raw::new(), place)).boxed()
}

/// Puts a value at a name or a path of two steps.
fn place(mut object: Raw, (name, json): (String, Json)) -> Raw {
    match name.split_once('.') {
        Some((outer, inner)) => object.entry(outer).or_insert_with(|| json!({}))[inner] = json,
        None => drop(object.insert(name, json)),
    }
    object
}

/// How many samples went through the mapping, so that a law cannot hold only because everything was refused.
#[derive(Default)]
struct Through {
    tried: Cell<u32>,
    taken: Cell<u32>,
}

impl Through {
    fn count(&self, taken: bool) -> bool {
        self.tried.set(self.tried.get() + 1);
        self.taken.set(self.taken.get() + u32::from(taken));
        taken
    }

    fn check_share(&self, law: &str, percent_min: u32) {
        let share = self.taken.get() * 100 / self.tried.get().max(1);
        println!("{law}: {} of {} samples went through ({share} %)", self.taken.get(), self.tried.get());
        assert!(share >= percent_min, "{law}: only {share} % of the samples went through");
    }
}

/// Runs a law over generated samples: always the same ones, unless `PROPTEST_RNG_SEED` or `PROPTEST_CASES` say otherwise.
fn run<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_260_505);
    }
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    TestRunner::new(config).run(&strategy, test).unwrap_or_else(|failure| panic!("{failure}"));
}

/// Whether the field is a part of a split, and so at the mercy of its siblings.
fn is_part(entries: &[Entry], name: &FieldName) -> bool {
    entries.iter().any(|(key, _, spec)| key == name.as_str() && spec.split.is_some())
}

fn one(name: &FieldName) -> BTreeSet<FieldName> {
    BTreeSet::from([name.clone()])
}

#[test]
fn put_get_reading_what_was_written_gives_the_projection() {
    let through = Through::default();
    run(entries().prop_flat_map(|entries| (some_values(&entries), Just(entries))), |(values, entries)| {
        let mapping = mapping(&entries);
        for name in mapping.fields() {
            let written = mapping.write(&one(name), &values, false);
            let projected = mapping.project(name, &values[name]);
            if !through.count(written.is_ok()) {
                continue;
            }
            let raw = written.unwrap();
            let reading = mapping.read(&raw);
            prop_assert_eq!(&reading.faults, &vec![], "written as {:?}", raw);
            prop_assert_eq!(reading.fields.get(name), projected.as_ref().ok(), "{} written as {:?}", name, raw);
        }
        Ok(())
    });
    through.check_share("PutGet", 60);
}

#[test]
fn get_put_writing_what_was_read_changes_nothing() {
    let through = Through::default();
    run(entries().prop_flat_map(|entries| (some_object(&entries), Just(entries))), |(object, entries)| {
        let mapping = mapping(&entries);
        let seen = mapping.read(&object);
        for name in seen.fields.keys() {
            let Ok(raw) = mapping.write(&one(name), &seen.fields, false) else {
                through.count(false);
                continue;
            };
            through.count(true);
            for (sibling, again) in &mapping.read(&raw).fields {
                prop_assert_eq!(
                    seen.fields.get(sibling),
                    Some(again),
                    "{} of {:?} written as {:?}",
                    sibling,
                    object,
                    raw
                );
            }
            let shown = seen.fields[name].clone();
            prop_assert_eq!(mapping.project(name, &shown), Ok(shown), "{}", name);
        }
        Ok(())
    });
    through.check_share("GetPut", 60);
}

#[test]
fn projecting_twice_is_projecting_once() {
    let through = Through::default();
    run(entries().prop_flat_map(|entries| (some_values(&entries), Just(entries))), |(values, entries)| {
        let mapping = mapping(&entries);
        for name in mapping.fields() {
            let projected = mapping.project(name, &values[name]);
            if !is_part(&entries, name) {
                let written = mapping.write(&one(name), &values, false);
                prop_assert_eq!(
                    projected.is_ok(),
                    written.is_ok(),
                    "{} has a projection if and only if it can be sent",
                    name
                );
            }
            if through.count(projected.is_ok()) {
                let projected = projected.unwrap();
                prop_assert_eq!(mapping.project(name, &projected), Ok(projected), "{}", name);
            }
        }
        Ok(())
    });
    through.check_share("Stability", 60);
}

#[test]
fn canonical_form_is_stable_and_parsing_gives_it() {
    let typed = entries().prop_flat_map(|entries| (some_object(&entries), some_values(&entries), Just(entries)));
    run(typed, |(object, values, entries)| {
        for (key, field, _) in &entries {
            let once = field.canonicalise(values[&FieldName::new(key)].clone());
            prop_assert_eq!(field.canonicalise(once.clone()), once, "{}", key);
            for json in object.values() {
                if let Ok(parsed) = field.parse_json(json) {
                    prop_assert_eq!(field.canonicalise(parsed.clone()), parsed.clone(), "{} of {}", key, json);
                    prop_assert_eq!(field.parse_json(&parsed.to_json()), Ok(parsed), "{} of {}", key, json);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn reading_never_panics_and_accounts_for_every_field() {
    run(entries().prop_flat_map(|entries| (some_object(&entries), Just(entries))), |(object, entries)| {
        let mapping = mapping(&entries);
        let reading = mapping.read(&object);
        for name in mapping.fields() {
            let faulted = reading.faults.iter().any(|fault| fault.field == *name);
            prop_assert!(reading.fields.contains_key(name) != faulted, "{} is either read or at fault", name);
        }
        prop_assert_eq!(mapping.read(&Raw::new()), Default::default(), "an object that shows nothing says nothing");
        Ok(())
    });
}

#[test]
fn the_check_of_users_mappings_finds_no_fault_with_lawful_ones() {
    run(entries().prop_flat_map(|entries| (some_object(&entries), Just(entries))), |(object, entries)| {
        let broken = mapping(&entries).check_laws(&model(&entries), &[object]);
        prop_assert_eq!(broken, vec![]);
        Ok(())
    });
}

#[test]
fn one_way_fields_go_one_way() {
    let field = |direction| FieldSpec { field: Some("Remote".to_owned()), direction, ..FieldSpec::default() };
    let text = Field::of(FieldType::Text { max_len: 9 });
    for (direction, read, written) in [(Direction::Both, 1, 1), (Direction::Read, 1, 0), (Direction::Write, 0, 1)] {
        let mapping = mapping(&[("name".to_owned(), text.clone(), field(direction))]);
        let name = FieldName::new("name");
        let values = Fields::from([(name.clone(), Value::text("Ann"))]);
        let object = Raw::from_iter([("Remote".to_owned(), json!("Ann"))]);
        assert_eq!(mapping.read(&object).fields.len(), read, "{direction:?}");
        assert_eq!(mapping.write(&one(&name), &values, false).unwrap().len(), written, "{direction:?}");
        assert_eq!((mapping.readable(&name), mapping.writable(&name)), (read == 1, written == 1), "{direction:?}");
        assert_eq!(mapping.remote_fields().len(), read, "{direction:?}");
    }
}
