//! Object types, property definitions and the registry that a portal keeps of them.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::time::iso;

/// The CRM object types that the emulator stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ObjectKind {
    /// People, `0-1`.
    Contacts,
    /// Companies, `0-2`.
    Companies,
}

impl ObjectKind {
    /// Every kind, in the order of the type ids.
    pub(crate) const ALL: [Self; 2] = [Self::Contacts, Self::Companies];

    /// Reads the name in a path: the plural, the singular or the type id, as HubSpot does.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "contacts" | "contact" | "0-1" => Some(Self::Contacts),
            "companies" | "company" | "0-2" => Some(Self::Companies),
            _ => None,
        }
    }

    /// The name in paths.
    pub(crate) const fn plural(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Companies => "companies",
        }
    }

    /// The name in webhook subscription types.
    pub(crate) const fn singular(self) -> &'static str {
        match self {
            Self::Contacts => "contact",
            Self::Companies => "company",
        }
    }

    /// The name in error messages, which HubSpot prints in capitals.
    pub(crate) const fn shouted(self) -> &'static str {
        match self {
            Self::Contacts => "CONTACT",
            Self::Companies => "COMPANY",
        }
    }

    /// The generic type id.
    pub(crate) const fn type_id(self) -> &'static str {
        match self {
            Self::Contacts => "0-1",
            Self::Companies => "0-2",
        }
    }

    /// The property that carries the time of the last change: contacts have a name of their own.
    pub(crate) const fn modified_property(self) -> &'static str {
        match self {
            Self::Contacts => "lastmodifieddate",
            Self::Companies => "hs_lastmodifieddate",
        }
    }

    /// What a read returns when it names no properties.
    pub(crate) const fn default_properties(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"],
            Self::Companies => &["createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"],
        }
    }

    /// What a read returns in addition to the properties that it names.
    pub(crate) const fn constant_properties(self) -> [&'static str; 3] {
        ["createdate", "hs_object_id", self.modified_property()]
    }

    /// The properties that free-text search looks at.
    pub(crate) const fn searchable_properties(self) -> &'static [&'static str] {
        match self {
            Self::Contacts => &["firstname", "lastname", "email", "phone", "company", "hs_additional_emails"],
            Self::Companies => &["name", "domain", "website", "phone"],
        }
    }

    /// How many versions of one property the platform keeps.
    pub(crate) const fn history_versions_max(self) -> usize {
        match self {
            Self::Contacts => 45,
            Self::Companies => 20,
        }
    }
}

/// A property's place in its registry; small, because every stored value carries one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PropertyId(pub(crate) u16);

/// The `type` of a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PropertyType {
    /// Text of up to 65,536 characters.
    String,
    /// A decimal number, kept as it was written.
    Number,
    /// `true` or `false`.
    Bool,
    /// A day without a zone.
    Date,
    /// A moment in milliseconds.
    DateTime,
    /// One of, or a set of, declared options.
    Enumeration,
    /// A telephone number.
    PhoneNumber,
}

impl PropertyType {
    /// The name on the wire.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Date => "date",
            Self::DateTime => "datetime",
            Self::Enumeration => "enumeration",
            Self::PhoneNumber => "phone_number",
        }
    }

    /// Reads the name on the wire.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "number" => Self::Number,
            "bool" => Self::Bool,
            "date" => Self::Date,
            "datetime" => Self::DateTime,
            "enumeration" => Self::Enumeration,
            "phone_number" => Self::PhoneNumber,
            _ => return None,
        })
    }

    /// The field types that the platform allows for this type.
    pub(crate) const fn field_types(self) -> &'static [&'static str] {
        match self {
            Self::String => &["text", "textarea", "html", "file", "phonenumber", "calculation_equation"],
            Self::Number => &["number", "calculation_equation"],
            Self::Bool => &["booleancheckbox", "calculation_equation"],
            Self::Date | Self::DateTime => &["date"],
            Self::Enumeration => &["select", "radio", "checkbox", "booleancheckbox"],
            Self::PhoneNumber => &["phonenumber"],
        }
    }
}

/// A rule of one property beyond its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Only the type's rule.
    Plain,
    /// An e-mail address: checked and lower-cased.
    Email,
    /// A telephone number: brought to E.164 where validation is switched on.
    Phone,
    /// A funnel position that only moves forward unless it is cleared first.
    LifecycleStage,
    /// A company domain: lower-cased, without scheme, `www.` and path.
    Domain,
}

/// A value that is computed when it is read and therefore never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Derived {
    /// The record's id.
    ObjectId,
    /// When the record was created.
    Created,
    /// When the record last changed.
    Modified,
    /// The part of the e-mail behind the `@`.
    EmailDomain,
    /// First and last name, or the e-mail where both are missing.
    FullNameOrEmail,
    /// The ids that were merged into the record, separated by `;`.
    MergedIds,
}

/// Where a property's value comes from, and who may set it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Stored, and writable by everybody.
    Writable,
    /// Stored, but set by the platform alone.
    System,
    /// Computed when read.
    Derived(Derived),
}

/// One choice of an enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What the person sees.
    pub(crate) label: String,
    /// What is stored.
    pub(crate) value: String,
    /// Whether forms leave it out.
    pub(crate) hidden: bool,
}

/// A property definition.
#[derive(Debug, Clone)]
pub(crate) struct Property {
    /// The internal name.
    pub(crate) name: String,
    /// What the person sees.
    pub(crate) label: String,
    /// A sentence for the person.
    pub(crate) description: String,
    /// The group in which the person finds it.
    pub(crate) group: String,
    /// The type.
    pub(crate) kind: PropertyType,
    /// The form control; `checkbox` makes an enumeration a set.
    pub(crate) field_type: String,
    /// The choices of an enumeration.
    pub(crate) choices: Vec<Choice>,
    /// Whether no two live records may share a value.
    pub(crate) unique: bool,
    /// The rule beyond the type.
    pub(crate) rule: Rule,
    /// Where the value comes from.
    pub(crate) storage: Storage,
    /// Whether the platform or the account defined it.
    pub(crate) hubspot_defined: bool,
    /// When an account's own property was made, in milliseconds since 1970.
    pub(crate) created_ms: Option<i64>,
}

impl Property {
    /// Whether the value is a set of choices.
    pub(crate) fn is_multiple(&self) -> bool {
        self.kind == PropertyType::Enumeration && self.field_type == "checkbox"
    }

    /// Whether a client may set the value.
    pub(crate) fn is_writable(&self) -> bool {
        self.storage == Storage::Writable
    }

    /// The definition as the properties API shows it.
    pub(crate) fn to_json(&self) -> Value {
        let choices: Vec<Value> = self
            .choices
            .iter()
            .enumerate()
            .map(|(order, choice)| {
                json!({"label": choice.label, "value": choice.value, "displayOrder": order, "hidden": choice.hidden})
            })
            .collect();
        let custom = !self.hubspot_defined;
        let mut shown = json!({
            "name": self.name, "label": self.label, "description": self.description,
            "groupName": self.group, "type": self.kind.as_str(), "fieldType": self.field_type,
            "options": choices, "displayOrder": -1,
            "calculated": matches!(self.storage, Storage::Derived(_)), "externalOptions": false,
            "hasUniqueValue": self.unique, "hidden": false, "hubspotDefined": self.hubspot_defined,
            "archived": false, "formField": self.is_writable(), "dataSensitivity": "non_sensitive",
            "modificationMetadata": {
                "archivable": custom, "readOnlyDefinition": !custom,
                "readOnlyOptions": !custom, "readOnlyValue": !self.is_writable(),
            },
        });
        if let (Some(created), Some(fields)) = (self.created_ms, shown.as_object_mut()) {
            fields.insert("createdAt".into(), iso(created).into());
            fields.insert("updatedAt".into(), iso(created).into());
        }
        shown
    }
}

/// The property definitions of one object type. Definitions are added, never removed, so that ids
/// stay valid for the life of the portal.
#[derive(Debug, Default)]
pub(crate) struct Schema {
    properties: Vec<Property>,
    by_name: HashMap<String, PropertyId>,
    /// Those that an administrator has archived: their values stay, and nothing shows them.
    archived: HashSet<PropertyId>,
}

/// Why a definition was not added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SchemaError {
    /// The name is taken.
    NameTaken,
    /// Ten unique properties exist already.
    TooManyUnique,
    /// No more ids are left.
    Full,
}

/// At most this many account-defined unique properties per object type.
const UNIQUE_PROPERTIES_MAX: usize = 10;

/// At most this many properties per object type.
const PROPERTIES_MAX: usize = 1_000;

impl Schema {
    /// Adds a definition.
    pub(crate) fn add(&mut self, property: Property) -> Result<PropertyId, SchemaError> {
        if self.by_name.contains_key(&property.name) {
            return Err(SchemaError::NameTaken);
        }
        if property.unique && self.custom_unique_count() >= UNIQUE_PROPERTIES_MAX {
            return Err(SchemaError::TooManyUnique);
        }
        if self.properties.len() >= PROPERTIES_MAX {
            return Err(SchemaError::Full);
        }
        let index = u16::try_from(self.properties.len()).map_err(|_| SchemaError::Full)?;
        let id = PropertyId(index);
        self.by_name.insert(property.name.clone(), id);
        self.properties.push(property);
        Ok(id)
    }

    fn custom_unique_count(&self) -> usize {
        self.properties.iter().filter(|property| property.unique && !property.hubspot_defined).count()
    }

    /// Finds a property by name. Names are lower-case on the wire, and HubSpot folds them.
    pub(crate) fn find(&self, name: &str) -> Option<PropertyId> {
        self.find_any(name).filter(|id| !self.archived.contains(id))
    }

    fn find_any(&self, name: &str) -> Option<PropertyId> {
        match self.by_name.get(name) {
            Some(id) => Some(*id),
            None => self.by_name.get(&name.to_ascii_lowercase()).copied(),
        }
    }

    /// Archives a property or brings it back. Returns whether there is one.
    pub(crate) fn set_visible(&mut self, name: &str, visible: bool) -> bool {
        let Some(id) = self.find_any(name) else { return false };
        if visible {
            self.archived.remove(&id)
        } else {
            self.archived.insert(id)
        };
        true
    }

    /// Gives a property another type, with the first form control that goes with it. Stored values stay as they are.
    pub(crate) fn set_type(&mut self, name: &str, kind: PropertyType) -> bool {
        let Some(id) = self.find_any(name) else { return false };
        let property = &mut self.properties[usize::from(id.0)];
        property.kind = kind;
        kind.field_types()[0].clone_into(&mut property.field_type);
        true
    }

    /// The definition of an id that this schema issued.
    pub(crate) fn get(&self, id: PropertyId) -> &Property {
        &self.properties[usize::from(id.0)]
    }

    /// All definitions in the order in which they were made.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PropertyId, &Property)> {
        (0u16..).map(PropertyId).zip(&self.properties).filter(|(id, _)| !self.archived.contains(id))
    }
}
