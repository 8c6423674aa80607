//! What was said on a ticket, and what was done to it.

use serde_json::{Value, json};

use super::caller::{Caller, shown_id};
use super::errors::Flaw;
use super::kind::Id;
use super::markup;
use super::normalise::number;
use super::time::iso;
use crate::clock::Micros;

/// The most comments of a ticket; the platform's own limit.
pub(crate) const COMMENTS_MAX: usize = 5_000;
/// The audits that are kept of a ticket; beyond it the oldest go.
const AUDITS_MAX: usize = 1_000;

/// A comment before it is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// The text.
    pub(crate) body: String,
    html: String,
    /// Whether the requester may read it.
    pub(crate) public: bool,
    author: Option<Id>,
}

impl Draft {
    /// Reads the `comment` member of a ticket, which is an object or a plain text. HTML counts before text.
    pub(crate) fn read(raw: &Value) -> Result<Self, Flaw> {
        let text = |name: &str| raw[name].as_str().filter(|text| !text.trim().is_empty());
        let (body, html) = match (text("html_body"), raw.as_str().or(text("body")).or(text("value"))) {
            (Some(html), _) => (markup::text_of(html), markup::cleaned(html)),
            (None, Some(body)) => (body.to_owned(), markup::html_of(body)),
            (None, None) => return Err(Flaw::base("BlankValue", "Comment: cannot be blank")),
        };
        let public = raw["public"].as_bool().unwrap_or(true);
        Ok(Self { body, html, public, author: number(&raw["author_id"]) })
    }

    /// Reads the text of a new ticket's `description`.
    pub(crate) fn of_text(text: &str) -> Self {
        Self { body: text.to_owned(), html: markup::html_of(text), public: true, author: None }
    }
}

/// A comment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Comment {
    /// Its id.
    pub(crate) id: Id,
    author: Id,
    /// The text.
    pub(crate) body: String,
    html: String,
    /// Whether the requester may read it.
    pub(crate) public: bool,
    /// When it was said.
    pub(crate) created: Micros,
    audit: Id,
    channel: &'static str,
}

impl Comment {
    /// On the wire.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id, "type": "Comment", "author_id": shown_id(self.author), "body": self.body,
            "html_body": self.html, "plain_body": self.body, "public": self.public, "attachments": [],
            "audit_id": self.audit, "via": via(self.channel), "created_at": iso(self.created),
            "metadata": {"system": {}, "custom": {}},
        })
    }
}

/// One thing that was done to a ticket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Audit {
    /// Its id.
    pub(crate) id: Id,
    /// The ticket.
    pub(crate) ticket: Id,
    author: Id,
    /// When.
    pub(crate) at: Micros,
    channel: &'static str,
    custom: Value,
    events: Vec<Value>,
}

impl Audit {
    /// On the wire.
    pub(crate) fn render(&self) -> Value {
        json!({
            "id": self.id, "ticket_id": self.ticket, "author_id": shown_id(self.author),
            "created_at": iso(self.at), "metadata": {"system": {}, "custom": self.custom},
            "events": self.events, "via": via(self.channel),
        })
    }

    /// As the export of ticket events shows it.
    pub(crate) fn render_event(&self, with_comments: bool) -> Value {
        let children = self.events.iter().map(|event| {
            let is_comment = event["type"] == "Comment";
            if is_comment && !with_comments {
                return json!({"id": event["id"], "event_type": "Comment", "via": "Web service"});
            }
            let mut child = event.clone();
            child["event_type"] = event["type"].clone();
            child
        });
        json!({
            "id": self.id, "ticket_id": self.ticket, "timestamp": self.at.0.div_euclid(1_000_000),
            "created_at": iso(self.at), "updater_id": shown_id(self.author), "via": "Web service",
            "child_events": children.collect::<Vec<_>>(), "event_type": "Audit",
        })
    }
}

/// How something came into the account.
pub(crate) fn via(channel: &str) -> Value {
    json!({"channel": channel, "source": {"from": {}, "to": {}, "rel": null}})
}

/// One change of an attribute, for an audit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Moved {
    /// The attribute; a custom field by its id.
    pub(crate) name: String,
    /// What it held.
    pub(crate) before: Value,
    /// What it holds.
    pub(crate) after: Value,
}

/// One write of a ticket, before it is noted.
#[derive(Debug)]
pub(crate) struct Note<'n> {
    /// Whose.
    pub(crate) caller: &'n Caller,
    /// When.
    pub(crate) at: Micros,
    /// Whether it made the ticket.
    pub(crate) created: bool,
    /// What it changed.
    pub(crate) moved: Vec<Moved>,
    /// What it said.
    pub(crate) draft: Option<Draft>,
    /// `metadata.custom`, which only audits show.
    pub(crate) custom: Value,
}

/// Comments and audits of one ticket.
#[derive(Debug, Clone, Default)]
pub(crate) struct Thread {
    comments: Vec<Comment>,
    audits: Vec<Audit>,
}

impl Thread {
    /// What was said, oldest first.
    pub(crate) fn comments(&self) -> &[Comment] {
        &self.comments
    }

    /// What was done, oldest first.
    pub(crate) fn audits(&self) -> &[Audit] {
        &self.audits
    }

    /// Forgets what was said and done.
    pub(crate) fn scrub(&mut self) {
        for comment in &mut self.comments {
            comment.body = "SCRUBBED".to_owned();
            comment.html = markup::html_of("SCRUBBED");
        }
        self.audits.clear();
    }

    /// Notes one write: an audit with its events and, where something was said, the comment. `ids` gives fresh ids. A
    /// write that did nothing has an audit without events, which is not kept.
    pub(crate) fn note(&mut self, ticket: Id, note: Note<'_>, mut ids: impl FnMut() -> Id) -> (Audit, Option<Comment>) {
        let Note { caller, at, created, moved, draft, custom } = note;
        let audit_id = ids();
        let mut events: Vec<Value> = moved
            .into_iter()
            .map(|change| {
                let name = change.name.strip_prefix("custom_fields.").unwrap_or(&change.name);
                let ty = if created { "Create" } else { "Change" };
                let mut event = json!({"id": ids(), "type": ty, "field_name": name, "value": change.after});
                if !created {
                    event["previous_value"] = change.before;
                }
                event
            })
            .collect();
        let comment = draft.map(|draft| Comment {
            id: ids(),
            author: draft.author.unwrap_or(caller.user),
            body: draft.body,
            html: draft.html,
            public: draft.public,
            created: at,
            audit: audit_id,
            channel: caller.channel,
        });
        events.extend(comment.as_ref().map(Comment::render));
        let audit = Audit { id: audit_id, ticket, author: caller.user, at, channel: caller.channel, custom, events };
        self.comments.extend(comment.clone());
        if !audit.events.is_empty() {
            self.audits.push(audit.clone());
        }
        if self.audits.len() > AUDITS_MAX {
            self.audits.remove(0);
        }
        (audit, comment)
    }
}
