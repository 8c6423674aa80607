//! From spec to mapping: one pure step that reports everything that is wrong at once.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{
    FieldSpec, Mapping, MappingError, MappingProblem, MappingSpec,
    form::Form,
    parts::{Parts, Separator},
    relation::{Member, Relation, Shape},
    remote::RemoteField,
    value_map::ValueMap,
    wire::{Wire, is_blank},
};
use crate::{
    ids::FieldName,
    model::{Canonical, Field, FieldType, Model, nearest},
    value::Value,
};

/// Holds a spec against its model.
pub(super) fn build(model: &Model, spec: &MappingSpec) -> Result<Mapping, Vec<MappingError>> {
    let mut builder = Builder {
        model,
        mapping: Mapping::default(),
        splits: BTreeMap::new(),
        writers: Vec::new(),
        errors: Vec::new(),
    };
    for (key, entry) in &spec.0 {
        builder.entry(key, entry);
    }
    builder.splits();
    builder.duplicates();
    builder.errors.sort_by(|a, b| a.key.cmp(&b.key));
    if builder.errors.is_empty() { Ok(builder.mapping) } else { Err(builder.errors) }
}

/// A mapping in the making.
struct Builder<'a> {
    model: &'a Model,
    mapping: Mapping,
    /// The entries that are parts of one provider field, by that field.
    splits: BTreeMap<RemoteField, Vec<(Member, &'a FieldSpec)>>,
    /// Which entry writes which provider field.
    writers: Vec<(String, RemoteField)>,
    errors: Vec<MappingError>,
}

impl<'a> Builder<'a> {
    fn report(&mut self, key: &str, problems: impl IntoIterator<Item = MappingProblem>) {
        self.errors.extend(problems.into_iter().map(|problem| MappingError { key: key.to_owned(), problem }));
    }

    fn entry(&mut self, key: &str, spec: &'a FieldSpec) {
        if let Some(json) = &spec.constant {
            return self.constant(key, spec, json);
        }
        let Some(member) = self.member(key, spec) else {
            let known = self.model.fields.keys().map(|name| name.as_str());
            let nearest = nearest(key, known).map(str::to_owned);
            return self.report(key, [MappingProblem::UnknownField { model: self.model.name.to_string(), nearest }]);
        };
        if member.field.computed && spec.direction.reads() {
            self.report(key, [MappingProblem::Computed]);
        }
        self.report(key, misplaced(spec));
        if spec.split.is_some() {
            return self.part(key, spec, member);
        }
        match shape_of(spec, &member.field) {
            Ok((shape, remotes)) => {
                self.add(Relation { members: vec![member], remotes, direction: spec.direction, shape });
            }
            Err(problems) => self.report(key, problems),
        }
    }

    /// The model's field as this side sees it: with this side's folding steps in front, except where a value map folds the
    /// provider's words and gives the model's own in return.
    fn member(&self, key: &str, spec: &FieldSpec) -> Option<Member> {
        let name = FieldName::new(key);
        let field = self.model.field(&name)?;
        let steps = if spec.values.is_empty() { spec.canonical.as_slice() } else { &[] };
        let canonical = steps.iter().chain(&field.canonical).copied().collect();
        Some(Member { name, field: Field { canonical, ..field.clone() } })
    }

    fn constant(&mut self, key: &str, spec: &FieldSpec, json: &Json) {
        let bare = FieldSpec {
            field: spec.field.clone(),
            path: spec.path.clone(),
            constant: spec.constant.clone(),
            ..FieldSpec::default()
        };
        if *spec != bare {
            let reason = "a constant takes `field` or `path` and nothing else, since it is written once and never read";
            self.report(key, [MappingProblem::Misplaced { option: "constant", reason }]);
        }
        if is_blank(json) {
            self.report(key, [MappingProblem::BlankConstant]);
        }
        match single_target(spec) {
            Ok(remote) => {
                self.writers.push((key.to_owned(), remote.clone()));
                self.mapping.constants.push((remote, json.clone()));
            }
            Err(problem) => self.report(key, [problem]),
        }
    }

    /// Puts a part of a split aside until all its siblings are known.
    fn part(&mut self, key: &str, spec: &'a FieldSpec, member: Member) {
        self.report(key, not_text(&member.field.ty));
        match single_target(spec) {
            Ok(remote) => self.splits.entry(remote).or_default().push((member, spec)),
            Err(problem) => self.report(key, [problem]),
        }
    }

    /// Turns the parts put aside into relations.
    fn splits(&mut self) {
        for (remote, mut entries) in std::mem::take(&mut self.splits) {
            entries.sort_by_key(|(_, spec)| spec.part);
            let specs: Vec<&FieldSpec> = entries.iter().map(|(_, spec)| *spec).collect();
            let first = specs[0];
            let problems = split_problems(&remote.to_string(), &specs);
            self.report(entries[0].0.name.as_str(), problems);
            if let Ok(separator) = separator("split", first.split.as_deref()) {
                let parts = Parts { separator, count: specs.len(), rest: first.rest.unwrap_or_default() };
                let members = entries.into_iter().map(|(member, _)| member).collect();
                let (direction, shape) = (first.direction, Shape::Split(parts));
                self.add(Relation { members, remotes: vec![remote], direction, shape });
            }
        }
    }

    fn add(&mut self, relation: Relation) {
        let place = self.mapping.relations.len();
        for (index, member) in relation.members.iter().enumerate() {
            self.mapping.places.insert(member.name.clone(), (place, index));
        }
        if relation.direction.writes() {
            let key = relation.members[0].name.as_str();
            self.writers.extend(relation.remotes.iter().map(|remote| (key.to_owned(), remote.clone())));
            self.report(key, relation.unsendable());
        }
        self.mapping.relations.push(relation);
    }

    /// Reports provider fields that two entries write.
    fn duplicates(&mut self) {
        let mut writers = std::mem::take(&mut self.writers);
        writers.sort();
        for (index, (key, remote)) in writers.iter().enumerate() {
            let earlier = writers[..index].iter().find(|(other, earlier)| other != key && earlier.overlaps(remote));
            if let Some((other, _)) = earlier {
                self.report(
                    key,
                    [MappingProblem::DuplicateTarget { remote: remote.to_string(), other: other.clone() }],
                );
            }
        }
    }
}

impl Relation {
    /// The listed values of a closed type that do not come back from this provider as themselves.
    fn unsendable(&self) -> Vec<MappingProblem> {
        let mut problems = Vec::new();
        for (index, member) in self.members.iter().enumerate() {
            for value in listed(&member.field.ty) {
                let reason = match self.project(index, &value) {
                    Ok(projected) if projected == value => continue,
                    Ok(projected) => format!("it would be read back as {}", projected.to_json()),
                    Err(fault) => fault.message,
                };
                problems.push(MappingProblem::Unsendable { value: value.to_json().to_string(), reason });
            }
        }
        problems
    }
}

/// The values that a closed type lists.
fn listed(ty: &FieldType) -> Vec<Value> {
    match ty {
        FieldType::Enum { values } => values.iter().map(Value::text).collect(),
        FieldType::Set { values } => values.iter().map(|member| Value::Set([member.clone()].into())).collect(),
        FieldType::Bool => vec![Value::Bool(true), Value::Bool(false)],
        _ => Vec::new(),
    }
}

/// How an entry's two sides belong together, and the provider's side.
fn shape_of(spec: &FieldSpec, field: &Field) -> Result<(Shape, Vec<RemoteField>), Vec<MappingProblem>> {
    if !spec.join.is_empty() {
        return join_of(spec, field);
    }
    match (single_target(spec), form_of(spec, field)) {
        (Ok(remote), Ok(form)) => Ok((Shape::One(form), vec![remote])),
        (remote, form) => Err(remote.err().into_iter().chain(form.err().into_iter().flatten()).collect()),
    }
}

fn join_of(spec: &FieldSpec, field: &Field) -> Result<(Shape, Vec<RemoteField>), Vec<MappingProblem>> {
    let mut problems: Vec<MappingProblem> = not_text(&field.ty).into_iter().collect();
    match (separator("with", spec.with.as_deref()), join_targets(spec)) {
        (Ok(separator), Ok(remotes)) if problems.is_empty() => {
            let parts = Parts { separator, count: remotes.len(), rest: spec.rest.unwrap_or_default() };
            Ok((Shape::Join(parts), remotes))
        }
        (separator, remotes) => {
            problems.extend(separator.err());
            problems.extend(remotes.err().into_iter().flatten());
            Err(problems)
        }
    }
}

/// Options that mean nothing beside the others.
fn misplaced(spec: &FieldSpec) -> Vec<MappingProblem> {
    let joined = !spec.join.is_empty();
    let whole = joined || spec.split.is_some();
    let rules: [(&'static str, bool, &'static str); 8] = [
        ("with", spec.with.is_some() && !joined, "it stands between the parts of a `join`"),
        ("part", spec.part.is_some() && spec.split.is_none(), "it says which part of a `split` the field is"),
        (
            "part",
            spec.part.is_none() && spec.split.is_some(),
            "say which part of the `split` this field is, such as `part: 1`",
        ),
        ("rest", spec.rest.is_some() && !whole, "it belongs to a `join` or a `split`"),
        ("split", spec.split.is_some() && joined, "a field is either a `join` of several or a part of a `split`"),
        ("values", !spec.values.is_empty() && whole, "the parts of a text have no value map"),
        ("list", spec.list.is_some() && whole, "the parts of a text are no list"),
        (
            "type",
            spec.wire.is_some() && (whole || !spec.values.is_empty()),
            "the parts of a text and mapped values have no type",
        ),
    ];
    rules
        .into_iter()
        .filter(|rule| rule.1)
        .map(|(option, _, reason)| MappingProblem::Misplaced { option, reason })
        .collect()
}

/// The one provider field of an entry.
fn single_target(spec: &FieldSpec) -> Result<RemoteField, MappingProblem> {
    let bad = |name: &str| MappingProblem::BadName { name: name.to_owned() };
    match (&spec.field, &spec.path, spec.join.is_empty()) {
        (Some(name), None, true) => RemoteField::named(name).ok_or_else(|| bad(name)),
        (None, Some(path), true) => RemoteField::nested(path).ok_or_else(|| bad(path)),
        _ => Err(MappingProblem::Target),
    }
}

/// The provider fields of a join.
fn join_targets(spec: &FieldSpec) -> Result<Vec<RemoteField>, Vec<MappingProblem>> {
    let mut problems = Vec::new();
    if spec.field.is_some() || spec.path.is_some() {
        problems.push(MappingProblem::Target);
    }
    if spec.join.len() < 2 {
        problems.push(MappingProblem::JoinTooShort);
    }
    let mut remotes: Vec<RemoteField> = Vec::with_capacity(spec.join.len());
    for name in &spec.join {
        match RemoteField::named(name) {
            Some(remote) if remotes.contains(&remote) => {
                problems.push(MappingProblem::JoinRepeats { remote: name.clone() })
            }
            Some(remote) => remotes.push(remote),
            None => problems.push(MappingProblem::BadName { name: name.clone() }),
        }
    }
    if problems.is_empty() { Ok(remotes) } else { Err(problems) }
}

fn separator(option: &'static str, text: Option<&str>) -> Result<Separator, MappingProblem> {
    text.and_then(Separator::new).ok_or_else(|| MappingProblem::Separator {
        option,
        given: text.map_or_else(|| "nothing".to_owned(), |text| Json::from(text).to_string()),
    })
}

/// Parts of a text are texts.
fn not_text(ty: &FieldType) -> Option<MappingProblem> {
    let usable = "a model field of type text".to_owned();
    (!matches!(ty, FieldType::Text { .. })).then(|| MappingProblem::Type {
        model: ty.name(),
        wire: "a part of a text",
        usable,
    })
}

/// What is wrong with the parts of one provider field, sorted by part.
fn split_problems(remote: &str, specs: &[&FieldSpec]) -> Vec<MappingProblem> {
    let mut problems = Vec::new();
    let first = specs[0];
    let in_order = specs.iter().enumerate().all(|(index, spec)| spec.part == Some(index + 1));
    if specs.len() < 2 || !in_order {
        let parts = specs.iter().map(|spec| spec.part.map_or_else(|| "none".to_owned(), |part| part.to_string()));
        let given = parts.collect::<Vec<_>>().join(", ");
        problems.push(MappingProblem::Parts { remote: remote.to_owned(), given });
    }
    let alike = |spec: &FieldSpec| {
        (&spec.split, spec.rest.unwrap_or_default(), spec.direction)
            == (&first.split, first.rest.unwrap_or_default(), first.direction)
    };
    if !specs.iter().all(|spec| alike(spec)) {
        problems.push(MappingProblem::PartsDiffer { remote: remote.to_owned() });
    }
    problems.extend(separator("split", first.split.as_deref()).err());
    problems
}

/// How one provider field spells one model field.
fn form_of(spec: &FieldSpec, field: &Field) -> Result<Form, Vec<MappingProblem>> {
    let mut problems = Vec::new();
    let is_set = matches!(field.ty, FieldType::Set { .. });
    let values = match value_map(spec, field) {
        Ok(values) => values,
        Err(more) => {
            problems.extend(more);
            None
        }
    };
    let list = match &spec.list {
        Some(text) if is_set => separator("list", Some(text)).map_err(|problem| problems.push(problem)).ok(),
        Some(_) => {
            problems.push(MappingProblem::Misplaced { option: "list", reason: "only a set is kept as a list" });
            None
        }
        None => None,
    };
    let wire = wire_of(spec, field).map_err(|problem| problems.push(problem)).ok().flatten();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(match (list, values, wire) {
        (Some(separator), values, _) => Form::List(separator, values),
        (None, Some(values), _) if !is_set => Form::Values(values),
        (None, None, Some(wire)) => Form::Plain(wire),
        (None, values, _) => Form::Array(values),
    })
}

fn value_map(spec: &FieldSpec, field: &Field) -> Result<Option<ValueMap>, Vec<MappingProblem>> {
    if spec.values.is_empty() {
        return Ok(None);
    }
    if !matches!(
        field.ty,
        FieldType::Text { .. } | FieldType::Enum { .. } | FieldType::Bool | FieldType::Int | FieldType::Set { .. }
    ) {
        let reason = "only fields of type enum, text, bool, int and set have a value map";
        return Err(vec![MappingProblem::Misplaced { option: "values", reason }]);
    }
    ValueMap::new(field, &spec.values, &spec.canonical, spec.direction.writes()).map(Some)
}

/// The plain type in which the provider keeps the field; `None` for sets, which are lists or arrays.
fn wire_of(spec: &FieldSpec, field: &Field) -> Result<Option<Wire>, MappingProblem> {
    let usable = Wire::usable(&field.ty);
    match spec.wire {
        None => Ok(usable.first().copied()),
        Some(Wire::Number) if field.canonical.contains(&Canonical::Phone) => {
            let reason = "a phone number is text: as a number it would lose its `+` and its leading zeros";
            Err(MappingProblem::Misplaced { option: "type", reason })
        }
        Some(wire) if usable.contains(&wire) => Ok(Some(wire)),
        Some(wire) => {
            let names = usable.iter().map(|wire| wire.name()).collect::<Vec<_>>().join(", ");
            let usable = if names.is_empty() {
                "`list` with a separator, or nothing for a JSON array".to_owned()
            } else {
                names
            };
            Err(MappingProblem::Type { model: field.ty.name(), wire: wire.name(), usable })
        }
    }
}
