//! Relations: the smallest units of a mapping that are read and written as a whole. Each is a lens between some model
//! fields and some provider fields.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{
    FieldFault, Reading,
    form::Form,
    parts::Parts,
    remote::{NotAnObject, RemoteField},
    spec::Direction,
    wire::{is_blank, scalar_text},
};
use crate::{
    ids::FieldName,
    model::Field,
    remote::Raw,
    value::{Fields, Value},
};

/// Some model fields and the provider fields that hold them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Relation {
    /// The model's side.
    pub(super) members: Vec<Member>,
    /// The provider's side.
    pub(super) remotes: Vec<RemoteField>,
    /// Which way values go.
    pub(super) direction: Direction,
    /// How the two sides belong together.
    pub(super) shape: Shape,
}

/// A model field in a relation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    /// Its name.
    pub(super) name: FieldName,
    /// Its rules, with this provider's folding steps before the model's own.
    pub(super) field: Field,
}

/// How the sides of a relation belong together.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// One model field, one provider field.
    One(Form),
    /// One model field, several provider fields that are its parts.
    Join(Parts),
    /// Several model fields that are the parts of one provider field.
    Split(Parts),
}

impl Relation {
    /// The provider's names, for messages.
    pub(super) fn remote_name(&self) -> String {
        self.remotes.iter().map(RemoteField::to_string).collect::<Vec<_>>().join("+")
    }

    fn fault(&self, member: &Member, message: String) -> FieldFault {
        FieldFault { field: member.name.clone(), remote: self.remote_name(), message }
    }

    /// Reads the relation's model fields out of the provider's object. Where the object does not show all of the provider's
    /// side, nothing is read: half a whole is no value.
    pub(super) fn read(&self, raw: &Raw, reading: &mut Reading) {
        match &self.shape {
            Shape::One(form) => {
                if let Some(json) = self.shown(0, raw, reading) {
                    self.take(reading, 0, form.decode(&self.members[0].field, json));
                }
            }
            Shape::Join(parts) => {
                let shown: Option<Vec<&Json>> =
                    (0..self.remotes.len()).map(|index| self.shown(index, raw, reading)).collect();
                if let Some(shown) = shown {
                    self.take(reading, 0, self.read_join(parts, &shown));
                }
            }
            Shape::Split(parts) => {
                if let Some(json) = self.shown(0, raw, reading) {
                    self.read_split(parts, json, reading);
                }
            }
        }
    }

    /// What the object shows for one of the provider's fields.
    fn shown<'a>(&self, index: usize, raw: &'a Raw, reading: &mut Reading) -> Option<&'a Json> {
        let remote = &self.remotes[index];
        remote.get(raw).unwrap_or_else(|NotAnObject| {
            let message = format!("`{}` is no object there: correct the `path`", remote.top());
            reading.faults.extend(self.members.iter().map(|member| self.fault(member, message.clone())));
            None
        })
    }

    fn take(&self, reading: &mut Reading, index: usize, value: Result<Value, String>) {
        let member = &self.members[index];
        match value {
            Ok(value) => {
                reading.fields.insert(member.name.clone(), value);
            }
            Err(message) => reading.faults.push(self.fault(member, message)),
        }
    }

    fn read_join(&self, parts: &Parts, shown: &[&Json]) -> Result<Value, String> {
        let texts = shown.iter().map(|json| part_text(json)).collect::<Result<Vec<_>, _>>()?;
        let whole = parts.compose(texts.iter().map(String::as_str));
        normal_value(&self.members[0].field, parts, &whole)
    }

    fn read_split(&self, parts: &Parts, shown: &Json, reading: &mut Reading) {
        match part_text(shown) {
            Ok(whole) => {
                for (index, text) in parts.deal(&whole).into_iter().enumerate() {
                    self.take(reading, index, normal_value(&self.members[index].field, parts, &text));
                }
            }
            Err(message) => {
                reading.faults.extend(self.members.iter().map(|member| self.fault(member, message.clone())));
            }
        }
    }

    /// Writes the relation into `body` if one of its fields changed. A part of a whole needs its siblings too: one that the
    /// record does not hold is blank in a new object, and a fault otherwise, because a blank would wipe what stands there.
    pub(super) fn write(
        &self,
        changed: &BTreeSet<FieldName>,
        values: &Fields,
        creating: bool,
        body: &mut Raw,
    ) -> Result<(), FieldFault> {
        let Some(first) =
            self.members.iter().find(|member| changed.contains(&member.name) && values.contains_key(&member.name))
        else {
            return Ok(());
        };
        let fault = |message| self.fault(first, message);
        match &self.shape {
            Shape::One(form) => {
                let (json, _) = spelled(form, &first.field, &values[&first.name]).map_err(fault)?;
                self.remotes[0].put(body, json);
            }
            Shape::Join(parts) => {
                let whole = whole_text(parts, &first.field, &values[&first.name]).map_err(fault)?;
                for (remote, part) in self.remotes.iter().zip(parts.deal(&whole)) {
                    remote.put(body, text_or_null(part));
                }
            }
            Shape::Split(parts) => self.remotes[0].put(body, self.write_split(parts, first, values, creating)?),
        }
        Ok(())
    }

    fn write_split(&self, parts: &Parts, first: &Member, values: &Fields, creating: bool) -> Result<Json, FieldFault> {
        let mut texts = Vec::with_capacity(self.members.len());
        for (index, member) in self.members.iter().enumerate() {
            if !creating && !values.contains_key(&member.name) {
                let message = format!(
                    "it is written together with `{}`, which the record does not hold: set that field too",
                    member.name
                );
                return Err(self.fault(first, message));
            }
            let value = values.get(&member.name).unwrap_or(&Value::Null);
            let text = self.project_part(parts, index, value).and_then(text_of);
            texts.push(text.map_err(|message| self.fault(member, message))?);
        }
        let whole = parts.compose(texts.iter().map(String::as_str));
        if parts.deal(&whole) != texts {
            let message = format!(
                "`{whole}` could not be split into its parts again, because a blank part stands beside a filled one: fill it"
            );
            return Err(self.fault(first, message));
        }
        Ok(text_or_null(whole))
    }

    /// The canonical value that the provider would show for a value that it took: what `read` makes of what `write` sends.
    pub(super) fn project(&self, index: usize, value: &Value) -> Result<Value, FieldFault> {
        let member = &self.members[index];
        let projected = match &self.shape {
            Shape::One(form) if form.is_natural(&member.field) => member.field.admit(value.clone()),
            Shape::One(form) => spelled(form, &member.field, value).map(|(_, projected)| projected),
            Shape::Join(parts) => {
                whole_text(parts, &member.field, value).and_then(|whole| normal_value(&member.field, parts, &whole))
            }
            Shape::Split(parts) => self.project_part(parts, index, value),
        };
        projected.map_err(|message| self.fault(member, message))
    }

    fn project_part(&self, parts: &Parts, index: usize, value: &Value) -> Result<Value, String> {
        let field = &self.members[index].field;
        let text = text_of(field.admit(value.clone())?)?;
        if parts.is_single(index) && parts.separator.pieces(&text).len() > 1 {
            return Err(format!(
                "`{text}` holds the separator at which `{}` is split, and would be read back as two parts: write it without, or change `split` or `rest`",
                self.remote_name()
            ));
        }
        normal_value(field, parts, &text)
    }
}

/// The provider's spelling of a value, and what will be read back of it: a spelling that could not be read is never sent.
fn spelled(form: &Form, field: &Field, value: &Value) -> Result<(Json, Value), String> {
    let json = form.encode(&field.admit(value.clone())?)?;
    let projected = form.decode(field, &json)?;
    Ok((json, projected))
}

/// The text of a whole that can be read back after it was dealt out.
fn whole_text(parts: &Parts, field: &Field, value: &Value) -> Result<String, String> {
    let whole = text_of(field.admit(value.clone())?)?;
    text_of(normal_value(field, parts, &whole)?)
}

/// The canonical value of a whole, or of a part, in normal form. It is folded first, so that folding makes no new separators.
fn normal_value(field: &Field, parts: &Parts, text: &str) -> Result<Value, String> {
    field.admit(Value::Text(parts.separator.normal(&field.fold(text.to_owned()))))
}

/// The text of one of the provider's parts.
fn part_text(json: &Json) -> Result<String, String> {
    match json {
        json if is_blank(json) => Ok(String::new()),
        Json::String(_) | Json::Number(_) => Ok(scalar_text(json)),
        other => Err(format!("{other} is no text, and a part of a text is wanted")),
    }
}

fn text_of(value: Value) -> Result<String, String> {
    match value {
        Value::Null => Ok(String::new()),
        Value::Text(text) => Ok(text),
        other => Err(format!("{} is no text", other.to_json())),
    }
}

fn text_or_null(text: String) -> Json {
    if text.is_empty() { Json::Null } else { Json::String(text) }
}
