//! Identity: which object is which record, and the way back.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use syncline_core::ids::RecordId;

use crate::{
    api::Api,
    error::Error,
    page::{At, Page},
};

/// A record's link in one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordLink {
    /// The connection.
    pub connection: String,
    /// The provider's kind of object.
    pub object: String,
    /// The provider's id; `None` while there is no object.
    pub external_id: Option<String>,
    /// `pending`, `linked`, `gone` or `detached`.
    pub state: String,
}

/// What became of a change of identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityChanged {
    /// The operation, which can be undone; `None` where it was so already.
    pub operation: Option<IdentityOperation>,
    /// The record's links as they are now.
    pub links: Vec<RecordLink>,
}

/// An operation on identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityOperation {
    /// The operation; later ones have larger ids.
    pub id: u64,
    /// `link`, `unlink`, `merge` or `split`.
    pub verb: String,
    /// The model.
    pub model: String,
    /// The record that it was asked of: of a merge the one that stays, of a split the one that is left.
    pub record: RecordId,
    /// Of a merge: the record that went into it. Of a split: the record that was made.
    pub other: Option<RecordId>,
    /// The objects that were linked, let go of, or moved.
    pub objects: Vec<IdentityObject>,
    /// The fields whose values it changed.
    pub changed: Vec<String>,
    /// Who asked for it.
    pub by: String,
    /// When.
    pub at: String,
    /// Who took it back; `None` while it stands.
    pub undone: Option<IdentityUndone>,
}

/// An object that an operation concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityObject {
    /// The connection.
    pub connection: String,
    /// The provider's id.
    pub external_id: String,
    /// `linked`, `detached`, `parted` or `duplicate`.
    pub fate: String,
}

/// The end of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityUndone {
    /// Who took it back.
    pub by: String,
    /// When.
    pub at: String,
}

/// The links of a record.
#[derive(Deserialize)]
struct Links {
    items: Vec<RecordLink>,
}

impl Api {
    /// A record's links, one for each connection that takes part.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn record_links(&self, model: &str, id: RecordId) -> Result<Vec<RecordLink>, Error> {
        let links: Links = self.get(&["v1", "records", model, &id.to_string(), "links"]).read().await?;
        Ok(links.items)
    }

    /// Links a record to an object.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn link_record(
        &self,
        model: &str,
        id: RecordId,
        connection: &str,
        external_id: &str,
    ) -> Result<IdentityChanged, Error> {
        let path = ["v1", "records", model, &id.to_string(), "links", connection];
        self.call(Method::PUT, &path).json(&serde_json::json!({ "external_id": external_id })).repeatable().read().await
    }

    /// Lets go of a record's object.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn unlink_record(&self, model: &str, id: RecordId, connection: &str) -> Result<IdentityChanged, Error> {
        let path = ["v1", "records", model, &id.to_string(), "links", connection];
        self.call(Method::DELETE, &path).repeatable().read().await
    }

    /// Merges the record `other` into the record `id`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn merge_records(&self, model: &str, id: RecordId, other: RecordId) -> Result<IdentityChanged, Error> {
        let path = ["v1", "records", model, &id.to_string(), "merge"];
        self.post(&path).json(&serde_json::json!({ "record": other })).repeatable().read().await
    }

    /// Makes a record's object a record of its own.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn split_record(&self, model: &str, id: RecordId, connection: &str) -> Result<IdentityChanged, Error> {
        let path = ["v1", "records", model, &id.to_string(), "split"];
        self.post(&path).json(&serde_json::json!({ "connection": connection })).read().await
    }

    /// A page of operations on identity, newest first; those of one record where one is named.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn identity_operations(
        &self,
        record: Option<RecordId>,
        at: &At,
    ) -> Result<Page<IdentityOperation>, Error> {
        self.get(&["v1", "identity", "operations"]).query(&[("record", record)]).query(at).read().await
    }

    /// Takes an operation on identity back.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn undo_identity_operation(&self, id: u64) -> Result<IdentityOperation, Error> {
        self.post(&["v1", "identity", "operations", &id.to_string(), "undo"]).repeatable().read().await
    }
}
