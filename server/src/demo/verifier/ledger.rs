//! A platform's own log, as its side door shows it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value as Json;

/// One line.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::demo) struct Entry {
    /// Its place in the order of everything that the platform did.
    pub(in crate::demo) seq: u64,
    /// When, in microseconds since 1970.
    pub(in crate::demo) at_us: i64,
    /// Who.
    pub(in crate::demo) actor: Actor,
    /// What: `create`, `update`, `delete`, `restore`, `merge` or `read`.
    pub(in crate::demo) op: String,
    /// The object.
    pub(in crate::demo) id: String,
    /// The fields of a write.
    #[serde(default)]
    pub(in crate::demo) fields: BTreeMap<String, Written>,
    /// The object's stamp before a write.
    pub(in crate::demo) stamp_before: Option<String>,
    /// The object's stamp after a write, or as a read showed it.
    pub(in crate::demo) stamp_after: Option<String>,
    /// The platform's own opinion that nothing changed.
    #[serde(default)]
    pub(in crate::demo) redundant: bool,
}

/// Who acted.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::demo) struct Actor {
    /// `user`, `integration` or `system`.
    pub(in crate::demo) kind: String,
}

/// One field of a write.
#[derive(Clone, Debug, Default, Deserialize)]
pub(in crate::demo) struct Written {
    /// What was stored before.
    #[serde(default)]
    pub(in crate::demo) before: Json,
    /// What was sent.
    #[serde(default)]
    pub(in crate::demo) sent: Json,
    /// What is stored now.
    #[serde(default)]
    pub(in crate::demo) after: Json,
}

impl Entry {
    /// Whether one of the platform's users did it.
    pub(in crate::demo) fn by_user(&self) -> bool {
        self.actor.kind == "user"
    }

    /// Whether the service did it.
    pub(in crate::demo) fn by_us(&self) -> bool {
        self.actor.kind == "integration"
    }

    /// Whether fields were written.
    pub(in crate::demo) fn writes(&self) -> bool {
        matches!(self.op.as_str(), "create" | "update")
    }

    /// Whether it is an update of ours that left the object as it was.
    pub(in crate::demo) fn is_redundant(&self) -> bool {
        let same = !self.fields.is_empty() && self.fields.values().all(|written| written.before == written.after);
        self.by_us() && self.op == "update" && (self.redundant || same)
    }
}
