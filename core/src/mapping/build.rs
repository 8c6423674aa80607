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
    model::{Field, FieldType, Model, nearest},
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
    if builder.errors.is_empty() { Ok(builder.mapping) } else { Err(builder.errors) }
}

/// A mapping in the making.
struct Builder<'a> {
    model: &'a Model,
    mapping: Mapping,
    /// The entries that are parts of one provider field, by that field's name.
    splits: BTreeMap<&'a str, Vec<(&'a str, &'a FieldSpec)>>,
    /// Which entry writes which provider field.
    writers: Vec<(&'a str, RemoteField)>,
    errors: Vec<MappingError>,
}

impl<'a> Builder<'a> {
    fn report(&mut self, key: &str, problems: impl IntoIterator<Item = MappingProblem>) {
        self.errors.extend(problems.into_iter().map(|problem| MappingError { key: key.to_owned(), problem }));
    }

    fn entry(&mut self, key: &'a str, spec: &'a FieldSpec) {
        if spec.constant.is_some() {
            return self.constant(key, spec);
        }
        let Some(field) = self.field_of(key, spec) else { return };
        let misplaced = misplaced(spec);
        let whole = misplaced.is_empty();
        self.report(key, misplaced);
        if spec.split.is_some() {
            return self.split_entry(key, spec, &field);
        }
        match self.shape_of(spec, &field) {
            Ok((shape, remotes)) if whole => {
                let member = Member { name: FieldName::new(key), field };
                self.add(Relation { members: vec![member], remotes, direction: spec.direction, shape }, &[key]);
            }
            Ok(_) => {}
            Err(problems) => self.report(key, problems),
        }
    }

    /// The model's field with this side's folding steps in front.
    fn field_of(&mut self, key: &str, spec: &FieldSpec) -> Option<Field> {
        let Some(field) = self.model.field(&FieldName::new(key)) else {
            let known = self.model.fields.keys().map(|name| name.as_str());
            let nearest = nearest(key, known).map(str::to_owned);
            self.report(key, [MappingProblem::UnknownField { model: self.model.name.to_string(), nearest }]);
            return None;
        };
        if field.computed && spec.direction.reads() {
            self.report(key, [MappingProblem::Computed]);
        }
        let canonical = spec.canonical.iter().chain(&field.canonical).copied().collect();
        Some(Field { canonical, ..field.clone() })
    }

    fn constant(&mut self, key: &'a str, spec: &'a FieldSpec) {
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
        match (single_target(spec), &spec.constant) {
            (Ok(remote), Some(json)) if !is_blank(json) => {
                self.writers.push((key, remote.clone()));
                self.mapping.constants.push((remote, json.clone()));
            }
            (Ok(_), _) => self.report(
                key,
                [MappingProblem::ValueNotPlain { key: "constant".to_owned(), given: "a blank".to_owned() }],
            ),
            (Err(problem), _) => self.report(key, [problem]),
        }
    }

    fn split_entry(&mut self, key: &'a str, spec: &'a FieldSpec, field: &Field) {
        if let Some(problem) = not_text(&field.ty) {
            self.report(key, [problem]);
        }
        if let Err(problem) = single_target(spec) {
            return self.report(key, [problem]);
        }
        if let Some(remote) = spec.field.as_deref().or(spec.path.as_deref()) {
            self.splits.entry(remote).or_default().push((key, spec));
        }
    }

    fn shape_of(&self, spec: &FieldSpec, field: &Field) -> Result<(Shape, Vec<RemoteField>), Vec<MappingProblem>> {
        if spec.join.is_empty() {
            let remote = single_target(spec).map_err(|problem| vec![problem]);
            let form = form_of(spec, field);
            return match (remote, form) {
                (Ok(remote), Ok(form)) => Ok((Shape::One(form), vec![remote])),
                (remote, form) => Err(remote.err().into_iter().chain(form.err()).flatten().collect()),
            };
        }
        let mut problems: Vec<MappingProblem> = not_text(&field.ty).into_iter().collect();
        let separator = separator("with", spec.with.as_deref()).map_err(|problem| problems.push(problem)).ok();
        let remotes = join_targets(spec).map_err(|more| problems.extend(more)).ok();
        match (separator, remotes) {
            (Some(separator), Some(remotes)) if problems.is_empty() => {
                let parts = Parts { separator, count: remotes.len(), rest: spec.rest.unwrap_or_default() };
                Ok((Shape::Join(parts), remotes))
            }
            _ => Err(problems),
        }
    }

    /// Turns the collected parts into relations.
    fn splits(&mut self) {
        for (remote, mut entries) in std::mem::take(&mut self.splits) {
            entries.sort_by_key(|(_, spec)| spec.part);
            let problems = split_problems(remote, &entries);
            let (first, spec) = entries[0];
            if !problems.is_empty() {
                self.report(first, problems);
                continue;
            }
            let members: Option<Vec<Member>> = entries.iter().map(|(key, spec)| self.member(key, spec)).collect();
            let separator = separator("split", spec.split.as_deref());
            if let (Some(members), Ok(separator), Ok(target)) = (members, separator, single_target(spec)) {
                let parts = Parts { separator, count: members.len(), rest: spec.rest.unwrap_or_default() };
                let keys: Vec<&'a str> = entries.iter().map(|(key, _)| *key).collect();
                self.add(
                    Relation { members, remotes: vec![target], direction: spec.direction, shape: Shape::Split(parts) },
                    &keys,
                );
            }
        }
    }

    fn member(&self, key: &str, spec: &FieldSpec) -> Option<Member> {
        let field = self.model.field(&FieldName::new(key))?;
        let canonical = spec.canonical.iter().chain(&field.canonical).copied().collect();
        Some(Member { name: FieldName::new(key), field: Field { canonical, ..field.clone() } })
    }

    fn add(&mut self, relation: Relation, keys: &[&'a str]) {
        if relation.direction.writes() {
            self.writers.extend(relation.remotes.iter().map(|remote| (keys[0], remote.clone())));
        }
        let place = self.mapping.relations.len();
        for (index, member) in relation.members.iter().enumerate() {
            self.mapping.places.insert(member.name.clone(), (place, index));
        }
        self.mapping.relations.push(relation);
    }

    /// Reports provider fields that two entries write.
    fn duplicates(&mut self) {
        let mut writers = std::mem::take(&mut self.writers);
        writers.sort();
        for (index, (key, remote)) in writers.iter().enumerate() {
            if let Some((other, _)) =
                writers[..index].iter().find(|(other, earlier)| other != key && earlier.overlaps(remote))
            {
                self.report(
                    key,
                    [MappingProblem::DuplicateTarget { remote: remote.to_string(), other: (*other).to_owned() }],
                );
            }
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
fn split_problems(remote: &str, entries: &[(&str, &FieldSpec)]) -> Vec<MappingProblem> {
    let mut problems = Vec::new();
    let (_, first) = entries[0];
    let in_order = entries.iter().enumerate().all(|(index, (_, spec))| spec.part == Some(index + 1));
    if entries.len() < 2 || !in_order {
        let parts =
            entries.iter().map(|(_, spec)| spec.part.map_or_else(|| "none".to_owned(), |part| part.to_string()));
        let given = parts.collect::<Vec<_>>().join(", ");
        problems.push(MappingProblem::Parts { remote: remote.to_owned(), given });
    }
    let alike = |spec: &FieldSpec| {
        (&spec.split, spec.rest.unwrap_or_default(), spec.direction)
            == (&first.split, first.rest.unwrap_or_default(), first.direction)
    };
    if !entries.iter().all(|(_, spec)| alike(spec)) {
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
