//! The `models` section: the product's record types, their fields and each field's rules.

use std::collections::BTreeMap;

use syncline_core::{
    ids::{FieldName, ModelName},
    model::{Canonical, DeleteEffect, DeleteRace, DeleteRule, Field, FieldType, Model, ModelError, ModelProblem},
    policies::Policy,
};

use super::{
    name,
    spot::{Named, Spot, Table},
};

/// The keys of a model.
pub(super) const KEYS: &[&str] = &["fields", "match", "deletes"];
/// The keys of a field.
pub(super) const FIELD_KEYS: &[&str] =
    &["type", "max", "scale", "values", "canonical", "policy", "blank_never_wins", "computed", "required"];
/// The keys of a delete rule.
pub(super) const DELETE_KEYS: &[&str] = &["effect", "race"];
/// The keys of a policy that has parameters.
pub(super) const POLICY_KEYS: &[&str] = &["prefer", "forward_only"];
/// The words of policies without parameters.
pub(super) const POLICIES: &[(&str, PolicyWord)] = &[
    ("latest", PolicyWord(|| Policy::Latest)),
    ("set", PolicyWord(|| Policy::Set)),
    ("text", PolicyWord(|| Policy::Text)),
    ("counter", PolicyWord(|| Policy::Counter)),
    ("max", PolicyWord(|| Policy::Max)),
    ("min", PolicyWord(|| Policy::Min)),
    ("manual", PolicyWord(|| Policy::Manual)),
];
/// The words of canonical steps.
pub(super) const STEPS: &[(&str, Canonical)] = &[
    ("trim", Canonical::Trim),
    ("lower", Canonical::Lower),
    ("nfc", Canonical::Nfc),
    ("newlines", Canonical::Newlines),
    ("phone", Canonical::Phone),
    ("whole_seconds", Canonical::WholeSeconds),
];
/// The words of types.
pub(super) const TYPES: &[(&str, TypeWord)] = &[
    ("text", TypeWord::Text),
    ("bool", TypeWord::Bool),
    ("int", TypeWord::Int),
    ("decimal", TypeWord::Decimal),
    ("date", TypeWord::Date),
    ("date_time", TypeWord::DateTime),
    ("enum", TypeWord::Enum),
    ("set", TypeWord::Set),
];

/// The longest text of a field unless told otherwise.
const TEXT_MAX: u32 = 65_535;
/// The longest text that may be configured, in characters.
const TEXT_MAX_MAX: u32 = 1_000_000;
/// Digits after the point unless told otherwise, and at most.
const SCALE: u32 = 2;
const SCALE_MAX: u32 = 18;

/// Makes a policy without parameters.
#[derive(Clone, Copy)]
pub(super) struct PolicyWord(fn() -> Policy);

/// The word of a type, before its parameters are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TypeWord {
    Text,
    Bool,
    Int,
    Decimal,
    Date,
    DateTime,
    Enum,
    Set,
}

/// Reads one model.
pub(super) fn read(name: &Named, spot: &Spot<'_>) -> Option<Model> {
    let id = name::identifier(spot, name, "a model");
    let table = spot.table(KEYS)?;
    let fields_spot = table.need("fields", "list the model's fields, such as `fields: {email: {type: text}}`");
    let named = fields_spot.as_ref().and_then(Spot::named);
    if let (Some(spot), Some([])) = (&fields_spot, named.as_deref()) {
        spot.problem("the model has no fields", "add at least one field, such as `email: {type: text}`");
    }
    let named = named.unwrap_or_default();
    let known: Vec<&str> = named.iter().map(|(name, _)| name.text.as_str()).collect();
    let fields: BTreeMap<FieldName, Field> = named.iter().filter_map(|(name, spot)| field(name, spot)).collect();
    let match_keys = table.get("match").and_then(|spot| match_keys(&spot, &known)).unwrap_or_default();
    let deletes = table.get("deletes").and_then(|spot| delete_rule(&spot)).unwrap_or_else(default_deletes);
    if known.is_empty() || fields.len() != known.len() {
        return None;
    }
    let model = Model { name: ModelName::from(id?), fields, match_keys, deletes };
    let errors = model.validate().err().unwrap_or_default();
    for error in &errors {
        place(spot, error).problem(error.problem.to_string(), "");
    }
    errors.is_empty().then_some(model)
}

/// Where in the file a problem of the model stands.
fn place<'a>(spot: &Spot<'a>, error: &ModelError) -> Spot<'a> {
    let key = match &error.problem {
        ModelProblem::NoRoom => "max",
        ModelProblem::Scale { .. } => "scale",
        ModelProblem::NoValues | ModelProblem::RepeatedValue { .. } | ModelProblem::ValueNotCanonical { .. } => {
            "values"
        }
        ModelProblem::StepForType { .. } => "canonical",
        ModelProblem::PolicyForType { .. } | ModelProblem::Order { .. } | ModelProblem::UnknownStage { .. } => "policy",
        ModelProblem::EmptyKey | ModelProblem::UnknownKeyField { .. } | ModelProblem::RepeatedKeyField { .. } => {
            return spot.follow(["match"]);
        }
        ModelProblem::Name => "type",
    };
    spot.follow(["fields", error.at.as_str(), key])
}

fn field(name: &Named, spot: &Spot<'_>) -> Option<(FieldName, Field)> {
    let id = name::field(spot, name);
    let table = spot.table(FIELD_KEYS)?;
    let word =
        table.need("type", &format!("say what the field holds: {}", words(TYPES))).and_then(|spot| spot.word(TYPES));
    let ty = word.and_then(|word| field_type(word, &table));
    let flag = |key: &str| table.get(key).and_then(|spot| spot.boolean()).unwrap_or(false);
    let policy = match table.get("policy") {
        Some(spot) => policy(&spot),
        None => Some(default_policy(word?)),
    };
    let canonical = match table.get("canonical") {
        Some(spot) => spot.words(STEPS),
        None => Some(default_steps(word?)),
    };
    let field = Field {
        ty: ty?,
        policy: policy?,
        blank_never_wins: flag("blank_never_wins"),
        computed: flag("computed"),
        required: flag("required"),
        canonical: canonical?,
    };
    Some((FieldName::from(id?), field))
}

fn words<T>(list: &[(&str, T)]) -> String {
    list.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

/// Reads the parameters of a type and refuses those of other types.
fn field_type(word: TypeWord, table: &Table<'_>) -> Option<FieldType> {
    let allowed: &[&str] = match word {
        TypeWord::Text => &["max"],
        TypeWord::Decimal => &["scale"],
        TypeWord::Enum | TypeWord::Set => &["values"],
        TypeWord::Bool | TypeWord::Int | TypeWord::Date | TypeWord::DateTime => &[],
    };
    for key in ["max", "scale", "values"].into_iter().filter(|key| !allowed.contains(key)) {
        if let Some(spot) = table.get(key) {
            let word = TYPES.iter().find(|(_, other)| *other == word).map_or("this", |(text, _)| text);
            spot.problem(format!("a {word} field has no `{key}`"), "remove the key, or change the field's `type`");
        }
    }
    let number = |key: &str, default: u32, range| match table.get(key) {
        Some(spot) => spot.whole(range),
        None => Some(default),
    };
    Some(match word {
        TypeWord::Text => FieldType::Text { max_len: number("max", TEXT_MAX, 1..=TEXT_MAX_MAX)? },
        TypeWord::Decimal => FieldType::Decimal { scale: number("scale", SCALE, 0..=SCALE_MAX)? },
        TypeWord::Bool => FieldType::Bool,
        TypeWord::Int => FieldType::Int,
        TypeWord::Date => FieldType::Date,
        TypeWord::DateTime => FieldType::DateTime,
        TypeWord::Enum => {
            let spot = table.need("values", "list the allowed values: `values: [lead, customer]`")?;
            FieldType::Enum { values: spot.texts()? }
        }
        TypeWord::Set => {
            let values = match table.get("values") {
                Some(spot) => spot.texts()?,
                None => Vec::new(),
            };
            FieldType::Set { values: values.into_iter().collect() }
        }
    })
}

fn default_policy(word: TypeWord) -> Policy {
    if word == TypeWord::Set { Policy::Set } else { Policy::Latest }
}

/// Surrounding white space means nothing to a person and most providers strip it, so texts are trimmed unless the field
/// says otherwise.
fn default_steps(word: TypeWord) -> Vec<Canonical> {
    if word == TypeWord::Text { vec![Canonical::Trim] } else { Vec::new() }
}

fn policy(spot: &Spot<'_>) -> Option<Policy> {
    if !spot.is_map() {
        return policy_word(spot);
    }
    let table = spot.table(POLICY_KEYS)?;
    match (table.get("prefer"), table.get("forward_only")) {
        (Some(order), None) => order.texts().map(Policy::Prefer),
        (None, Some(stages)) => stages.texts().map(Policy::ForwardOnly),
        _ => {
            spot.problem(
                "a policy with parameters has exactly one key",
                "write `{prefer: [a, b]}` or `{forward_only: [a, b]}`",
            );
            None
        }
    }
}

fn policy_word(spot: &Spot<'_>) -> Option<Policy> {
    let text = spot.text()?;
    if POLICY_KEYS.contains(&text.as_str()) {
        spot.problem(
            format!("the policy `{text}` needs a list"),
            format!("write `policy: {{{text}: [first, second]}}`"),
        );
        return None;
    }
    spot.word(POLICIES).map(|word| (word.0)())
}

fn match_keys(spot: &Spot<'_>, known: &[&str]) -> Option<Vec<Vec<FieldName>>> {
    let keys = spot.list()?.iter().filter_map(|key| match_key(key, known)).collect();
    Some(keys)
}

fn match_key(spot: &Spot<'_>, known: &[&str]) -> Option<Vec<FieldName>> {
    let members = spot.list()?;
    if members.is_empty() {
        spot.problem("the match key is empty", "name the fields that together identify a record: `[email]`");
    }
    let fields: Vec<FieldName> = members
        .iter()
        .filter_map(|spot| spot.reference("field", "the model's `fields`", known))
        .map(FieldName::from)
        .collect();
    (!fields.is_empty() && fields.len() == members.len()).then_some(fields)
}

/// A delete is meant, and an edit that meets one is work that somebody did: nothing is lost by bringing it back.
fn default_deletes() -> DeleteRule {
    DeleteRule { effect: DeleteEffect::Propagate, race: DeleteRace::EditWins }
}

fn delete_rule(spot: &Spot<'_>) -> Option<DeleteRule> {
    let table = spot.table(DELETE_KEYS)?;
    let default = default_deletes();
    let effect = table.get("effect").map(|spot| {
        spot.word(&[
            ("propagate", DeleteEffect::Propagate),
            ("detach", DeleteEffect::Detach),
            ("ignore", DeleteEffect::Ignore),
        ])
    });
    let race = table
        .get("race")
        .map(|spot| spot.word(&[("edit_wins", DeleteRace::EditWins), ("delete_wins", DeleteRace::DeleteWins)]));
    Some(DeleteRule {
        effect: effect.flatten().unwrap_or(default.effect),
        race: race.flatten().unwrap_or(default.race),
    })
}
