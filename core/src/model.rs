//! Models: the record types of the product, their fields and each field's rules.

mod canonical;
mod nearest;
mod parse;
mod validate;

pub use nearest::nearest;
pub(crate) use parse::number_text;
pub use validate::{ModelError, ModelProblem};

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    ids::{FieldName, ModelName},
    policies::Policy,
};

/// A record type of the product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// The name used in the API and in configuration.
    pub name: ModelName,
    /// The fields by name.
    pub fields: BTreeMap<FieldName, Field>,
    /// Match keys, best first: each is a set of fields that together identify an entity, such as `[email]` or
    /// `[last_name, phone]`. A key with a blank member does not match.
    pub match_keys: Vec<Vec<FieldName>>,
    /// What a delete does, and who wins where a delete meets an edit.
    pub deletes: DeleteRule,
}

/// One field of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// The field's type.
    pub ty: FieldType,
    /// How concurrent values of this field are settled.
    pub policy: Policy,
    /// A blank never replaces a value that says something.
    pub blank_never_wins: bool,
    /// Only the service computes this field; edits of it are refused everywhere.
    pub computed: bool,
    /// A record without this field is refused by the API.
    pub required: bool,
    /// How values are folded into canonical form, in order.
    pub canonical: Vec<Canonical>,
}

/// The type of a field's canonical value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Text of at most `max_len` characters.
    Text {
        /// The longest text, in Unicode scalar values.
        max_len: u32,
    },
    /// True or false.
    Bool,
    /// A whole number that fits 64 bits.
    Int,
    /// A decimal number with at most `scale` digits after the point.
    Decimal {
        /// Digits after the point.
        scale: u32,
    },
    /// A calendar day.
    Date,
    /// An instant.
    DateTime,
    /// One of the listed values.
    Enum {
        /// The allowed values, in order.
        values: Vec<String>,
    },
    /// A set of texts; `values` empty means any member.
    Set {
        /// The allowed members.
        values: BTreeSet<String>,
    },
}

/// One named folding step that makes spellings of the same value equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Canonical {
    /// Strip white space (Unicode, so NBSP too) at both ends.
    Trim,
    /// Lower case.
    Lower,
    /// Unicode normal form C.
    Nfc,
    /// `\r\n` and `\r` become `\n`.
    Newlines,
    /// A phone number keeps its leading `+` and digits only.
    Phone,
    /// Instants are floored to whole seconds.
    WholeSeconds,
}

/// What happens on the other sides when a record is deleted on one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteRule {
    /// What a delete does elsewhere.
    pub effect: DeleteEffect,
    /// Who wins where a delete meets an edit that the deleter had not seen.
    pub race: DeleteRace,
}

/// What a delete in one system does elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteEffect {
    /// The record is deleted everywhere.
    Propagate,
    /// Only that system's replica is unlinked; the record lives on elsewhere.
    Detach,
    /// Nothing happens; the object is created again where it was deleted.
    Ignore,
}

/// Who wins where a delete meets a concurrent edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeleteRace {
    /// The record comes back.
    EditWins,
    /// The record stays deleted; the lost edits are kept as conflicts.
    DeleteWins,
}

impl Field {
    /// A field of this type with the default rules: policy `latest`, blanks may win, nothing folded.
    pub const fn of(ty: FieldType) -> Self {
        Self {
            ty,
            policy: Policy::Latest,
            blank_never_wins: false,
            computed: false,
            required: false,
            canonical: Vec::new(),
        }
    }
}

impl FieldType {
    /// The type's name in configuration and messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Decimal { .. } => "decimal",
            Self::Date => "date",
            Self::DateTime => "date_time",
            Self::Enum { .. } => "enum",
            Self::Set { .. } => "set",
        }
    }
}

impl Canonical {
    /// The step's name in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trim => "trim",
            Self::Lower => "lower",
            Self::Nfc => "nfc",
            Self::Newlines => "newlines",
            Self::Phone => "phone",
            Self::WholeSeconds => "whole_seconds",
        }
    }
}

impl Model {
    /// The field, or `None` where the model has no such field.
    pub fn field(&self, name: &FieldName) -> Option<&Field> {
        self.fields.get(name)
    }
}
