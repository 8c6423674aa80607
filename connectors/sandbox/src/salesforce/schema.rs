//! What an object type is made of.

use std::collections::HashMap;
use std::sync::Arc;

/// The type of a field, with what its type needs to know.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FieldType {
    /// The record's own id.
    Id,
    /// A link to a record of another type, with the name under which a query follows it.
    Reference { to: &'static str, relationship: &'static str },
    /// One line of text.
    Text { length: usize },
    /// Several lines of text.
    TextArea { length: usize },
    /// A telephone number, kept as typed.
    Phone,
    /// An e-mail address.
    Email,
    /// A web address.
    Url,
    /// One of a list of values; only a restricted list refuses others.
    Picklist { values: Vec<String>, restricted: bool },
    /// Any of a list of values.
    Multipicklist { values: Vec<String> },
    /// A checkbox, never null.
    Boolean,
    /// A whole number.
    Int { digits: u32 },
    /// A decimal number of `precision` digits, `scale` of them after the point.
    Number { kind: NumberKind, precision: u32, scale: u32 },
    /// A day.
    Date,
    /// A point in time, kept to the second.
    DateTime,
    /// An address made of other fields; read-only.
    Address { prefix: &'static str },
}

/// How a decimal number is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberKind {
    /// A plain number.
    Double,
    /// An amount of money.
    Currency,
    /// Hundredths of something.
    Percent,
}

impl FieldType {
    /// The type's name in describe answers.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Reference { .. } => "reference",
            Self::Text { .. } => "string",
            Self::TextArea { .. } => "textarea",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Url => "url",
            Self::Picklist { .. } => "picklist",
            Self::Multipicklist { .. } => "multipicklist",
            Self::Boolean => "boolean",
            Self::Int { .. } => "int",
            Self::Number { kind: NumberKind::Double, .. } => "double",
            Self::Number { kind: NumberKind::Currency, .. } => "currency",
            Self::Number { kind: NumberKind::Percent, .. } => "percent",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Address { .. } => "address",
        }
    }

    /// The most characters a value may have; 0 for types that are not text.
    pub(crate) fn length(&self) -> usize {
        match self {
            Self::Id | Self::Reference { .. } => 18,
            Self::Text { length } | Self::TextArea { length } => *length,
            Self::Phone => 40,
            Self::Email => 80,
            Self::Url | Self::Picklist { .. } => 255,
            Self::Multipicklist { .. } => 4_099,
            _ => 0,
        }
    }

    /// Whether a query may compare it: long texts and compounds cannot be.
    pub(crate) fn is_filterable(&self) -> bool {
        match self {
            Self::TextArea { length } => *length <= 255,
            Self::Address { .. } => false,
            _ => true,
        }
    }

    /// Whether a query may sort by it.
    pub(crate) fn is_sortable(&self) -> bool {
        self.is_filterable() && !matches!(self, Self::Multipicklist { .. })
    }
}

/// Where a field's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Stored in the row, at this place.
    Stored(usize),
    /// Kept by the platform for every record.
    System(SystemField),
    /// First and last name put together.
    FullName,
    /// The compound of five stored fields.
    Compound,
}

/// The fields that every record has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SystemField {
    /// The record's id.
    Id,
    /// Whether it lies in the recycle bin.
    IsDeleted,
    /// The record into which it was merged.
    MasterRecordId,
    /// When it was created.
    CreatedDate,
    /// By whom.
    CreatedById,
    /// When somebody last changed it.
    LastModifiedDate,
    /// Who.
    LastModifiedById,
    /// When anybody or anything last changed it.
    SystemModstamp,
}

/// What a caller may do with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read only.
    Read,
    /// Read, and set on creation and later.
    Write,
}

/// Whether a field is a key that outside systems may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// No key.
    None,
    /// Addressable by value, though several records may share one.
    External,
    /// Addressable by value, which no two records share.
    UniqueExternal { case_sensitive: bool },
    /// Not addressable, but no two records share a value.
    Unique { case_sensitive: bool },
}

impl Key {
    /// Whether records can be addressed by it.
    pub(crate) fn is_external(self) -> bool {
        matches!(self, Self::External | Self::UniqueExternal { .. })
    }

    /// Whether no two records may share a value.
    pub(crate) fn is_unique(self) -> bool {
        matches!(self, Self::UniqueExternal { .. } | Self::Unique { .. })
    }

    /// Whether `A1` and `a1` are different values.
    pub(crate) fn is_case_sensitive(self) -> bool {
        matches!(self, Self::UniqueExternal { case_sensitive: true } | Self::Unique { case_sensitive: true })
    }
}

/// One field of an object type.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// The name in the API.
    pub(crate) name: String,
    /// The name on the screen.
    pub(crate) label: String,
    /// Its type.
    pub(crate) kind: FieldType,
    /// Where its value comes from.
    pub(crate) origin: Origin,
    /// What a caller may do with it.
    pub(crate) access: Access,
    /// Whether a record cannot be without it.
    pub(crate) required: bool,
    /// Whether it is a key.
    pub(crate) key: Key,
    /// The compound it is part of.
    pub(crate) compound: Option<&'static str>,
    /// The value that a new record gets.
    pub(crate) default: Option<&'static str>,
    /// The id of its definition, for fields made by the customer.
    pub(crate) definition: Option<String>,
}

impl Field {
    /// Whether the customer made it.
    pub(crate) fn is_custom(&self) -> bool {
        self.name.ends_with("__c")
    }

    /// Whether its value follows from other fields.
    pub(crate) fn is_calculated(&self) -> bool {
        matches!(self.origin, Origin::FullName | Origin::Compound)
    }
}

/// An object type.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    /// The name in the API.
    pub(crate) name: &'static str,
    /// The name on the screen, for one.
    pub(crate) label: &'static str,
    /// The name on the screen, for many.
    pub(crate) label_plural: &'static str,
    /// The first three characters of its records' ids.
    pub(crate) prefix: [u8; 3],
    /// Whether callers may create and change records.
    pub(crate) writable: bool,
    fields: Vec<Arc<Field>>,
    /// Fields that an administrator keeps from everybody.
    hidden: Vec<Arc<Field>>,
    by_name: HashMap<String, usize>,
    stored_len: usize,
}

impl Schema {
    /// An object type with no fields yet.
    pub(crate) fn new(
        name: &'static str,
        label: &'static str,
        label_plural: &'static str,
        prefix: [u8; 3],
        writable: bool,
    ) -> Self {
        Self {
            name,
            label,
            label_plural,
            prefix,
            writable,
            fields: Vec::new(),
            hidden: Vec::new(),
            by_name: HashMap::new(),
            stored_len: 0,
        }
    }

    /// Adds a field; one with a stored origin gets the next place in the row.
    pub(crate) fn add(&mut self, mut field: Field) -> Arc<Field> {
        if matches!(field.origin, Origin::Stored(_)) {
            field.origin = Origin::Stored(self.stored_len);
            self.stored_len += 1;
        }
        let field = Arc::new(field);
        self.by_name.insert(field.name.to_ascii_lowercase(), self.fields.len());
        self.fields.push(field.clone());
        field
    }

    /// Takes a custom field away by the id of its definition. Its stored values stay where they are, unreachable.
    pub(crate) fn remove(&mut self, definition: &str) -> bool {
        let before = self.fields.len();
        self.fields.retain(|field| field.definition.as_deref() != Some(definition));
        self.index();
        self.fields.len() < before
    }

    /// Hides a field, or shows one that was hidden. Returns whether there is one to do it to.
    pub(crate) fn set_visible(&mut self, name: &str, visible: bool) -> bool {
        let (from, to) =
            if visible { (&mut self.hidden, &mut self.fields) } else { (&mut self.fields, &mut self.hidden) };
        let Some(place) = from.iter().position(|field| field.name.eq_ignore_ascii_case(name)) else { return false };
        to.push(from.remove(place));
        self.index();
        true
    }

    fn index(&mut self) {
        let places = self.fields.iter().enumerate();
        self.by_name = places.map(|(place, field)| (field.name.to_ascii_lowercase(), place)).collect();
    }

    /// A field by name, without regard to case as everywhere in this API.
    pub(crate) fn field(&self, name: &str) -> Option<&Arc<Field>> {
        self.by_name.get(&name.to_ascii_lowercase()).map(|place| &self.fields[*place])
    }

    /// All fields in the order of describe.
    pub(crate) fn fields(&self) -> &[Arc<Field>] {
        &self.fields
    }

    /// The length of a complete row.
    pub(crate) fn stored_len(&self) -> usize {
        self.stored_len
    }

    /// The reference field that a query follows under `relationship`.
    pub(crate) fn relationship(&self, relationship: &str) -> Option<(&Arc<Field>, &'static str)> {
        self.fields.iter().find_map(|field| match &field.kind {
            FieldType::Reference { to, relationship: name } if name.eq_ignore_ascii_case(relationship) => {
                Some((field, *to))
            }
            _ => None,
        })
    }
}
