//! Mappings: the declared, bidirectional relation between a model's fields and a provider object's fields.
//!
//! A mapping is checked when it is loaded ([`Mapping::new`]) and total afterwards: a value either goes through or becomes a
//! [`FieldFault`] that says why. Its laws, which make it safe to compare what a system shows with what it should show:
//!
//! * *PutGet*: reading what was written gives the projection of the value: `read(write(v)) == project(v)`.
//! * *GetPut*: writing what was read changes nothing that can be seen: `read(write(read(o))) == read(o)`.
//! * *Stability*: projecting twice is projecting once.
//!
//! # Layout
//!
//! * `spec`: what configuration says; `build`: the spec held against the model; `error`: what can be wrong.
//! * `relation`: the lenses; `form`, `wire`, `value_map`, `parts`, `remote`: what they are made of.
//! * `observe`: a provider's object as an observation; `laws`: the laws held against samples.

mod build;
mod error;
mod form;
mod laws;
mod observe;
mod parts;
mod relation;
mod remote;
mod spec;
mod value_map;
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

pub use self::{
    error::{FieldFault, MappingError, MappingProblem},
    laws::{Law, LawBroken},
    spec::{Direction, FieldSpec, MappingSpec, Rest},
    wire::Wire,
};
use self::{relation::Relation, remote::RemoteField};
use crate::{
    ids::FieldName,
    model::Model,
    remote::Raw,
    value::{Fields, Value},
};

/// A checked relation between a model's fields and one provider object's fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    relations: Vec<Relation>,
    /// Where each mapped model field stands: its relation, and its place among the relation's members.
    places: BTreeMap<FieldName, (usize, usize)>,
    /// What every new object is given.
    constants: Vec<(RemoteField, Json)>,
}

/// What a provider's object says through a mapping.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The canonical values of the mapped fields that the object shows.
    pub fields: Fields,
    /// The fields whose values could not be taken.
    pub faults: Vec<FieldFault>,
}

impl Mapping {
    /// Holds a spec against its model.
    ///
    /// # Errors
    ///
    /// Every problem, in the order of the spec's keys.
    pub fn new(model: &Model, spec: &MappingSpec) -> Result<Self, Vec<MappingError>> {
        build::build(model, spec)
    }

    /// Reads a provider's object. A field that the object does not show is absent from the reading; null and blank text are
    /// blanks (an empty set for a set).
    pub fn read(&self, raw: &Raw) -> Reading {
        let mut reading = Reading::default();
        for relation in self.relations.iter().filter(|relation| relation.direction.reads()) {
            relation.read(raw, &mut reading);
        }
        reading
    }

    /// The provider's fields that bring the changed model fields over. `values` holds the record's whole projection, since a
    /// part of a whole is written with its siblings; a changed field that `values` does not hold is not managed and not
    /// written. A cleared field is JSON null. A new object (`creating`) is also given the constants.
    ///
    /// # Errors
    ///
    /// Every value that cannot go through; nothing is to be sent then.
    pub fn write(
        &self,
        changed: &BTreeSet<FieldName>,
        values: &Fields,
        creating: bool,
    ) -> Result<Raw, Vec<FieldFault>> {
        let mut body = Raw::new();
        let mut faults = Vec::new();
        for relation in self.relations.iter().filter(|relation| relation.direction.writes()) {
            if let Err(fault) = relation.write(changed, values, creating, &mut body) {
                faults.push(fault);
            }
        }
        if creating {
            self.constants.iter().for_each(|(remote, json)| remote.put(&mut body, json.clone()));
        }
        if faults.is_empty() { Ok(body) } else { Err(faults) }
    }

    /// The canonical value that this system would show after it took `value`, so that what a system should show and what it
    /// shows compare.
    ///
    /// # Errors
    ///
    /// The value cannot go through, or the field is not mapped.
    pub fn project(&self, field: &FieldName, value: &Value) -> Result<Value, FieldFault> {
        match self.places.get(field) {
            Some(&(relation, member)) => self.relations[relation].project(member, value),
            None => Err(FieldFault {
                field: field.clone(),
                remote: String::new(),
                message: "the field is not mapped here: add it to the mapping".to_owned(),
            }),
        }
    }

    /// Whether edits of the field come from this system.
    pub fn readable(&self, field: &FieldName) -> bool {
        self.direction(field).is_some_and(Direction::reads)
    }

    /// Whether the field is written to this system.
    pub fn writable(&self, field: &FieldName) -> bool {
        self.direction(field).is_some_and(Direction::writes)
    }

    /// Which way the field goes; `None` where it is not mapped.
    pub fn direction(&self, field: &FieldName) -> Option<Direction> {
        self.places.get(field).map(|&(relation, _)| self.relations[relation].direction)
    }

    /// The mapped model fields, in the order of their names.
    pub fn fields(&self) -> impl Iterator<Item = &FieldName> {
        self.places.keys()
    }

    /// The provider's fields to ask for, each once, in the order of their names; of a nested field the outermost.
    pub fn remote_fields(&self) -> Vec<String> {
        let read = self.relations.iter().filter(|relation| relation.direction.reads());
        let tops: BTreeSet<&str> = read.flat_map(|relation| &relation.remotes).map(RemoteField::top).collect();
        tops.into_iter().map(str::to_owned).collect()
    }

    /// The model fields that a provider's field holds, to turn its refusal of that field back.
    pub fn fields_of_remote(&self, remote: &str) -> Vec<FieldName> {
        let named = |field: &RemoteField| field.top() == remote || field.to_string() == remote;
        let holding = self.relations.iter().filter(|relation| relation.remotes.iter().any(named));
        holding.flat_map(|relation| &relation.members).map(|member| member.name.clone()).collect()
    }
}
