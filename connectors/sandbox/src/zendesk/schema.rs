//! What an object may hold: the attributes that every account has, and the custom fields of this one.

use serde_json::{Value, json};

use super::kind::{Id, Kind};
use super::time::iso;
use crate::clock::Micros;

/// The longest text of a line, in characters.
const LINE_MAX: usize = 255;
/// The longest text of a block, in characters.
const BLOCK_MAX: usize = 65_536;

/// What becomes of a value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Text of at most so many characters, kept as it is.
    Text(usize),
    /// A name: trimmed, and never blank.
    Name,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// True or false.
    Flag,
    /// The id of an object that must exist.
    Reference(Kind),
    /// An id of something that this emulator does not have.
    Number,
    /// A list of ids.
    Numbers,
    /// A moment.
    Moment,
    /// A set of tags.
    Tags,
    /// An id in another system; blank is none.
    ExternalId,
    /// An e-mail address.
    Email,
    /// A list of internet domains.
    Domains,
}

/// An attribute that every account has.
pub(crate) type Attribute = (&'static str, Rule);

/// The states of a ticket.
pub(crate) const STATUSES: &[&str] = &["new", "open", "pending", "hold", "solved", "closed"];

const TICKET: &[Attribute] = &[
    ("subject", Rule::Text(BLOCK_MAX)),
    ("type", Rule::Choice(&["problem", "incident", "question", "task"])),
    ("priority", Rule::Choice(&["low", "normal", "high", "urgent"])),
    ("status", Rule::Choice(STATUSES)),
    ("external_id", Rule::ExternalId),
    ("recipient", Rule::Text(LINE_MAX)),
    ("requester_id", Rule::Reference(Kind::Users)),
    ("submitter_id", Rule::Reference(Kind::Users)),
    ("assignee_id", Rule::Reference(Kind::Users)),
    ("organization_id", Rule::Reference(Kind::Organizations)),
    ("problem_id", Rule::Reference(Kind::Tickets)),
    ("group_id", Rule::Number),
    ("brand_id", Rule::Number),
    ("ticket_form_id", Rule::Number),
    ("collaborator_ids", Rule::Numbers),
    ("follower_ids", Rule::Numbers),
    ("due_at", Rule::Moment),
    ("tags", Rule::Tags),
];

const USER: &[Attribute] = &[
    ("name", Rule::Name),
    ("email", Rule::Email),
    ("phone", Rule::Text(LINE_MAX)),
    ("role", Rule::Choice(&["end-user", "agent", "admin"])),
    ("external_id", Rule::ExternalId),
    ("organization_id", Rule::Reference(Kind::Organizations)),
    ("alias", Rule::Text(LINE_MAX)),
    ("details", Rule::Text(BLOCK_MAX)),
    ("notes", Rule::Text(BLOCK_MAX)),
    ("signature", Rule::Text(BLOCK_MAX)),
    ("time_zone", Rule::Text(LINE_MAX)),
    ("locale", Rule::Text(LINE_MAX)),
    ("suspended", Rule::Flag),
    ("verified", Rule::Flag),
    ("tags", Rule::Tags),
];

const ORGANIZATION: &[Attribute] = &[
    ("name", Rule::Name),
    ("external_id", Rule::ExternalId),
    ("details", Rule::Text(BLOCK_MAX)),
    ("notes", Rule::Text(BLOCK_MAX)),
    ("group_id", Rule::Number),
    ("shared_tickets", Rule::Flag),
    ("shared_comments", Rule::Flag),
    ("domain_names", Rule::Domains),
    ("tags", Rule::Tags),
];

impl Kind {
    /// The attributes that every account has.
    pub(crate) const fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::Tickets => TICKET,
            Self::Users => USER,
            Self::Organizations => ORGANIZATION,
        }
    }
}

/// The type of a custom field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldType {
    Text,
    Textarea,
    Checkbox,
    Date,
    Integer,
    Decimal,
    Regexp,
    CardNumber,
    Multiselect,
    Tagger,
}

impl FieldType {
    const ALL: [(Self, &'static str); 10] = [
        (Self::Text, "text"),
        (Self::Textarea, "textarea"),
        (Self::Checkbox, "checkbox"),
        (Self::Date, "date"),
        (Self::Integer, "integer"),
        (Self::Decimal, "decimal"),
        (Self::Regexp, "regexp"),
        (Self::CardNumber, "partialcreditcard"),
        (Self::Multiselect, "multiselect"),
        (Self::Tagger, "tagger"),
    ];

    /// The word on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("text", |(_, word)| word)
    }

    /// Reads the word on the wire. Users and organisations call a tagger `dropdown`.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let word = if word == "dropdown" { "tagger" } else { word };
        Self::ALL.iter().find(|(_, known)| *known == word).map(|(ty, _)| *ty)
    }
}

/// One choice of a drop-down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its id.
    pub(crate) id: Id,
    /// What agents see.
    pub(crate) name: String,
    /// The tag, which is what the wire carries.
    pub(crate) value: String,
}

/// A custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CustomField {
    /// By this number tickets address it.
    pub(crate) id: Id,
    /// By this key users and organisations address it; empty for a ticket's.
    pub(crate) key: String,
    /// What agents see.
    pub(crate) title: String,
    /// What it holds.
    pub(crate) ty: FieldType,
    /// The choices of a drop-down.
    pub(crate) choices: Vec<Choice>,
    /// The tag of a checkbox, where it has one.
    pub(crate) tag: Option<String>,
    /// Whether objects show it and accept it.
    pub(crate) active: bool,
    /// When it was made.
    pub(crate) created: Micros,
}

/// The attributes and custom fields of one object type.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    kind: Kind,
    fields: Vec<CustomField>,
}

impl Schema {
    /// No custom fields yet.
    pub(crate) const fn new(kind: Kind) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// The rule of an attribute that every account has.
    pub(crate) fn rule(&self, name: &str) -> Option<Rule> {
        self.kind.attributes().iter().find(|(known, _)| *known == name).map(|(_, rule)| *rule)
    }

    /// The custom fields, the inactive ones included.
    pub(crate) fn fields(&self) -> &[CustomField] {
        &self.fields
    }

    /// The custom fields that objects show.
    pub(crate) fn active(&self) -> impl Iterator<Item = &CustomField> {
        self.fields.iter().filter(|field| field.active)
    }

    /// Finds a custom field by id or key, or by the name under which its values are kept.
    pub(crate) fn find(&self, name: &str) -> Option<&CustomField> {
        let name = self.bare(name);
        self.fields.iter().find(|field| field.id.to_string() == name || (!field.key.is_empty() && field.key == name))
    }

    /// As [`Schema::find`], to change it.
    pub(crate) fn find_mut(&mut self, name: &str) -> Option<&mut CustomField> {
        let id = self.find(name)?.id;
        self.fields.iter_mut().find(|field| field.id == id)
    }

    fn bare<'n>(&self, name: &'n str) -> &'n str {
        name.strip_prefix(self.kind.custom_member()).and_then(|rest| rest.strip_prefix('.')).unwrap_or(name)
    }

    /// Adds a custom field.
    pub(crate) fn add(&mut self, field: CustomField) {
        self.fields.push(field);
    }

    /// The name under which values of a custom field are kept.
    pub(crate) fn slot(&self, field: &CustomField) -> String {
        let member = self.kind.custom_member();
        if field.key.is_empty() { format!("{member}.{}", field.id) } else { format!("{member}.{}", field.key) }
    }

    /// A custom field on the wire.
    pub(crate) fn render(&self, field: &CustomField, base_url: &str) -> Value {
        let ticket = self.kind == Kind::Tickets;
        let ty = if !ticket && field.ty == FieldType::Tagger { "dropdown" } else { field.ty.as_str() };
        let mut shown = json!({
            "url": format!("{base_url}/api/v2/{}_fields/{}.json", self.kind.singular(), field.id),
            "id": field.id, "type": ty, "title": field.title, "raw_title": field.title, "description": "",
            "raw_description": "", "position": 9_999, "active": field.active, "system": false,
            "created_at": iso(field.created), "updated_at": iso(field.created), "regexp_for_validation": null,
            "tag": field.tag,
        });
        if !ticket {
            shown["key"] = field.key.as_str().into();
        } else {
            shown["required"] = false.into();
            shown["removable"] = true.into();
        }
        if matches!(field.ty, FieldType::Tagger | FieldType::Multiselect) {
            let choices = field.choices.iter();
            shown["custom_field_options"] = choices
                .map(|choice| {
                    json!({"id": choice.id, "name": choice.name, "raw_name": choice.name, "value": choice.value,
                           "default": false})
                })
                .collect();
        }
        shown
    }
}
