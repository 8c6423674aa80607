//! The fields of issues and comments. GitHub describes no schema over its API: this is what its documentation says.

use syncline_core::{
    ids::ObjectName,
    remote::{ObjectSchema, ProviderError, Remedy, RemoteField},
};

use super::{
    marker::{self, BODY_CHARS_MAX, MARKER_CHARS_MAX},
    rows::Kind,
};

/// The longest title, by the words of GitHub's own refusal.
const TITLE_CHARS_MAX: u32 = 256;

/// Who may set a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Whoever writes.
    Us,
    /// GitHub alone.
    GitHub,
}

type Facet = (&'static str, &'static str, &'static str, By);

const ISSUE: &[Facet] = &[
    ("number", "Number", "integer", By::GitHub),
    ("title", "Title", "string", By::Us),
    ("body", "Text", "markdown", By::Us),
    ("state", "State", "choice", By::Us),
    ("state_reason", "Reason of the state", "choice", By::Us),
    ("labels", "Labels", "list", By::Us),
    ("assignees", "Assignees, by login", "list", By::Us),
    ("milestone", "Milestone, by title", "string", By::Us),
    ("type", "Type, by name", "string", By::Us),
    (marker::FIELD, "Marker of the record", "marker", By::Us),
    ("id", "Id", "integer", By::GitHub),
    ("node_id", "Node id", "string", By::GitHub),
    ("html_url", "Page", "url", By::GitHub),
    ("user", "Author", "object", By::GitHub),
    ("locked", "Locked", "boolean", By::GitHub),
    ("comments", "Number of comments", "integer", By::GitHub),
    ("author_association", "Author's role", "string", By::GitHub),
    ("created_at", "Created", "datetime", By::GitHub),
    ("updated_at", "Updated", "datetime", By::GitHub),
    ("closed_at", "Closed", "datetime", By::GitHub),
];

const COMMENT: &[Facet] = &[
    ("id", "Id", "integer", By::GitHub),
    ("issue", "Number of its issue", "integer", By::Us),
    ("body", "Text", "markdown", By::Us),
    (marker::FIELD, "Marker of the record", "marker", By::Us),
    ("node_id", "Node id", "string", By::GitHub),
    ("html_url", "Page", "url", By::GitHub),
    ("user", "Author", "object", By::GitHub),
    ("author_association", "Author's role", "string", By::GitHub),
    ("created_at", "Created", "datetime", By::GitHub),
    ("updated_at", "Updated", "datetime", By::GitHub),
];

/// The schema of an object.
pub(super) fn schema(object: &ObjectName) -> Result<ObjectSchema, ProviderError> {
    let facets = match Kind::of(object)? {
        Kind::Issues => ISSUE,
        Kind::Comments => COMMENT,
    };
    Ok(ObjectSchema { fields: facets.iter().map(|facet| (facet.0.to_owned(), field(facet))).collect() })
}

fn field((name, label, ty, by): &Facet) -> RemoteField {
    let options: &[&str] = match *name {
        "state" => &["open", "closed"],
        "state_reason" => &["completed", "not_planned", "duplicate"],
        _ => &[],
    };
    RemoteField {
        label: (*label).to_owned(),
        ty: (*ty).to_owned(),
        writable: *by == By::Us,
        unique: *name == marker::FIELD,
        calculated: *by == By::GitHub,
        max_len: match *name {
            "title" => Some(TITLE_CHARS_MAX),
            "body" => Some(BODY_CHARS_MAX - MARKER_CHARS_MAX),
            _ => None,
        },
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    }
}

/// Whether a field can hold our record's id.
pub(super) fn check_key(name: &str) -> Result<(), ProviderError> {
    if name == marker::FIELD {
        return Ok(());
    }
    Err(ProviderError {
        remedy: Remedy::Configure,
        message: format!("GitHub has no field `{name}` to hold a record's id: write `key: {}`", marker::FIELD),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_says_what_can_be_written() {
        let issue = schema(&"issues".into()).expect("a schema");
        assert!(issue.fields["title"].writable && !issue.fields["number"].writable);
        assert_eq!(issue.fields["state"].options, ["open", "closed"]);
        let key = &issue.fields[marker::FIELD];
        assert!(key.unique && key.writable && !key.calculated);
        assert!(schema(&"comments".into()).expect("a schema").fields["issue"].writable);
        assert_eq!(schema(&"pulls".into()).map_err(|error| error.remedy), Err(Remedy::Configure));
    }

    #[test]
    fn only_the_marker_is_a_key() {
        assert_eq!(check_key("syncline_id"), Ok(()));
        assert_eq!(check_key("title").map_err(|error| error.remedy), Err(Remedy::Configure));
    }
}
