//! What can be wrong.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::{issues::Marks, quarantine::QuarantineCause};

/// What is wrong; one variant per remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssueKind {
    /// The provider refuses the connection's credentials until a person authorises it again.
    AuthorizationRevoked,
    /// A person has stopped a side of a sync.
    SyncPaused,
    /// A side of a sync waits for a person to allow its first write.
    SyncWaitingApproval,
    /// A side of a sync fails, and is tried on.
    SyncDegraded,
    /// A mapped field of the provider's object was removed or has another type.
    RemoteFieldMissing,
    /// A delivery was given up.
    DeliveryParked,
    /// Nobody knows whether a write took effect.
    DeliveryUncertain,
    /// A delivery fails again and again, and is tried on.
    DeliveryFailing,
    /// A field's value was refused by the provider, or cannot be held there.
    FieldRefused,
    /// A field is turned to and fro by our own writes.
    FieldFlapping,
    /// A field waits for a person to choose between concurrent values.
    FieldUndecided,
    /// A field's value waits for its field at the provider.
    FieldWaiting,
    /// An object could not be taken in.
    ObjectQuarantined,
    /// An object could be several records, or belongs to another one.
    ObjectAmbiguous,
    /// More deletes came at once than may pass without a person.
    DeletesHeld,
    /// A record's document is damaged, and nothing proves what it was.
    DocumentDamaged,
}

impl IssueKind {
    /// Every kind, in the order of this list.
    pub const ALL: [Self; 16] = [
        Self::AuthorizationRevoked,
        Self::SyncPaused,
        Self::SyncWaitingApproval,
        Self::SyncDegraded,
        Self::RemoteFieldMissing,
        Self::DeliveryParked,
        Self::DeliveryUncertain,
        Self::DeliveryFailing,
        Self::FieldRefused,
        Self::FieldFlapping,
        Self::FieldUndecided,
        Self::FieldWaiting,
        Self::ObjectQuarantined,
        Self::ObjectAmbiguous,
        Self::DeletesHeld,
        Self::DocumentDamaged,
    ];

    /// The kind in one word, as the API and metrics show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationRevoked => "authorization_revoked",
            Self::SyncPaused => "sync_paused",
            Self::SyncWaitingApproval => "sync_waiting_approval",
            Self::SyncDegraded => "sync_degraded",
            Self::RemoteFieldMissing => "remote_field_missing",
            Self::DeliveryParked => "delivery_parked",
            Self::DeliveryUncertain => "delivery_uncertain",
            Self::DeliveryFailing => "delivery_failing",
            Self::FieldRefused => "field_refused",
            Self::FieldFlapping => "field_flapping",
            Self::FieldUndecided => "field_undecided",
            Self::FieldWaiting => "field_waiting",
            Self::ObjectQuarantined => "object_quarantined",
            Self::ObjectAmbiguous => "object_ambiguous",
            Self::DeletesHeld => "deletes_held",
            Self::DocumentDamaged => "document_damaged",
        }
    }

    /// The kind named by the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// Whether trying again can help, and harms nothing.
    pub const fn can_replay(self) -> bool {
        match self {
            // An uncertain write settles itself once its request can no longer land, and a try before that could write twice;
            // the others are questions to a person, and another try answers none.
            Self::SyncWaitingApproval | Self::DeliveryUncertain | Self::FieldUndecided | Self::DeletesHeld => false,
            _ => true,
        }
    }

    /// The marks of the replicas that have such an issue.
    pub const fn marks(self) -> Marks {
        match self {
            Self::DeliveryParked => Marks::PARKED,
            Self::DeliveryUncertain => Marks::UNCERTAIN,
            Self::DeliveryFailing => Marks::FAILING,
            Self::FieldRefused => Marks::REFUSED,
            Self::FieldFlapping => Marks::FLAPPING,
            Self::FieldUndecided => Marks::UNDECIDED,
            Self::FieldWaiting => Marks::MISSING,
            _ => Marks(0),
        }
    }

    /// The kind of issue that a quarantined row is.
    pub const fn of_cause(cause: QuarantineCause) -> Self {
        match cause {
            QuarantineCause::Ambiguous | QuarantineCause::Taken => Self::ObjectAmbiguous,
            QuarantineCause::Invalid
            | QuarantineCause::Unreadable
            | QuarantineCause::Hidden
            | QuarantineCause::Failed => Self::ObjectQuarantined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for kind in IssueKind::ALL {
            assert_eq!(IssueKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(IssueKind::parse("trouble"), None);
    }
}
