//! Names and identifiers: one newtype each, so that a tenant can never be passed where a connection is meant.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! string_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Wraps the text as it is; callers validate at the edge (configuration, HTTP).
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }

            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::new(text)
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

string_id!(
    /// One customer of the product; the unit of isolation.
    TenantId
);
string_id!(
    /// One tenant's authorised account of an integration.
    ConnectionId
);
string_id!(
    /// A record type of the product, such as `contact`.
    ModelName
);
string_id!(
    /// A field of a model, such as `email`.
    FieldName
);
string_id!(
    /// The provider's own id of one object.
    ExternalId
);
string_id!(
    /// The provider's own name of a kind of object, such as `Contact` or `contacts`.
    ObjectName
);

/// The stable id of a record: a UUID, chosen once by the transaction that creates the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub uuid::Uuid);

impl RecordId {
    /// The id of a record first seen as `external_id` in `connection`: derived, so that a repeated first sight after a
    /// crash yields the same id instead of a twin.
    pub fn first_seen(
        tenant: &TenantId,
        connection: &ConnectionId,
        object: &ObjectName,
        external_id: &ExternalId,
    ) -> Self {
        Self::derive(&["seen", tenant.as_str(), connection.as_str(), object.as_str(), external_id.as_str()])
    }

    /// The id of a record created through the API with a caller-chosen, unique `nonce`.
    pub fn created(tenant: &TenantId, model: &ModelName, nonce: &str) -> Self {
        Self::derive(&["created", tenant.as_str(), model.as_str(), nonce])
    }

    fn derive(parts: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for RecordId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
