//! Who holds documents, and what they may do with them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use syncline_core::{ids::ModelName, repo::DocumentId};
use utoipa::ToSchema;

use crate::{engine::commands::Principal, store::documents::DocumentKind};

/// Someone who holds documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who, and in which tenant.
    pub principal: Principal,
    /// What it may do.
    pub access: Access,
}

/// What a holder may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The models whose records it may reach; `None` for all.
    pub models: Option<BTreeSet<ModelName>>,
    /// The rights.
    pub rights: BTreeSet<Right>,
}

/// One thing that a holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// Open documents.
    Read,
    /// Change them.
    Write,
    /// Begin new ones.
    Create,
}

impl Access {
    /// Everything that an API key may do.
    pub fn all() -> Self {
        Self { models: None, rights: BTreeSet::from([Right::Read, Right::Write, Right::Create]) }
    }

    /// Whether it may do this.
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }

    /// Whether it may reach records of this model.
    pub fn reaches(&self, model: &ModelName) -> bool {
        self.models.as_ref().is_none_or(|models| models.contains(model))
    }

    /// Whether it may open a document of this kind.
    pub fn opens(&self, kind: &DocumentKind) -> bool {
        self.may(Right::Read)
            && match kind {
                DocumentKind::Record { model, .. } | DocumentKind::Moved { model, .. } => self.reaches(model),
                DocumentKind::Free | DocumentKind::Draft => true,
            }
    }
}

/// Changes that a holder made of one document.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The document; unknown ones begin with this.
    pub document: DocumentId,
    /// The changes, decoded within bounds: those that waited for others before, and those that have just come.
    pub changes: Vec<automerge::Change>,
}

/// What became of an [`Offer`].
#[derive(Clone, Debug, Default)]
pub struct Reception {
    /// The document's heads now; empty where there is none.
    pub heads: Vec<automerge::ChangeHash>,
    /// The changes that are durable now.
    pub accepted: Vec<automerge::ChangeHash>,
    /// Changes that wait for others.
    pub waiting: Vec<automerge::Change>,
    /// The changes that they wait for.
    pub missing: Vec<automerge::ChangeHash>,
    /// Why a change was refused, and with it all that follows it; for the one who made it.
    pub refusal: Option<String>,
    /// Why the document is no record yet, though it names a model; for the one who makes it.
    pub draft: Option<String>,
}

#[cfg(test)]
mod tests {
    use syncline_core::ids::RecordId;

    use super::*;

    #[test]
    fn who_may_reach_one_model_opens_no_document_of_another_moved_or_not() {
        let record = RecordId(uuid::Uuid::nil());
        let access = Access { models: Some(BTreeSet::from(["company".into()])), ..Access::all() };
        for (model, opens) in [("company", true), ("contact", false)] {
            let model = ModelName::from(model);
            for kind in [DocumentKind::Record { record, model: model.clone() }, DocumentKind::Moved { record, model }] {
                assert_eq!(access.opens(&kind), opens, "{kind:?}");
            }
        }
        assert!(access.opens(&DocumentKind::Free) && !Access::default().opens(&DocumentKind::Free));
    }
}
