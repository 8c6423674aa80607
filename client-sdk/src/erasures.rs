//! Erasures: a person's data removed on request, and the receipts that prove it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use syncline_core::ids::RecordId;

use crate::{
    api::Api,
    error::Error,
    page::{At, Page},
};

/// What is kept of an erasure: no personal data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Its id.
    pub id: i64,
    /// `waiting` for connected systems, `ended` because the record came back before, `erased` or `readmitted`.
    pub state: String,
    /// The record's model.
    pub model: String,
    /// When it was asked for.
    pub asked_at: String,
    /// Who asked.
    pub asked_by: String,
    /// Whether the objects in connected systems are deleted first.
    pub everywhere: bool,
    /// When the record was erased.
    pub erased_at: Option<String>,
    /// Rows removed, or emptied, by table.
    pub rows: BTreeMap<String, u64>,
    /// What a search of the database's files showed afterwards.
    pub proof: Option<ErasureProof>,
    /// When a person let come back what was erased.
    pub readmitted_at: Option<String>,
    /// Who let it come back.
    pub readmitted_by: Option<String>,
}

/// What a search of the database's files for the record's own texts showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureProof {
    /// How many texts were searched for.
    pub texts: u64,
    /// Shorter ones, which are found everywhere by chance.
    pub too_short: u64,
    /// Files searched.
    pub files: u64,
    /// Bytes searched.
    pub bytes: u64,
    /// Texts that are in the files though no row holds them: 0, or the erasure is not complete.
    pub left: u64,
    /// Texts that rows of others hold as well, by table.
    pub shared: BTreeMap<String, u64>,
    /// Whether the file had to be written anew.
    pub rewritten: bool,
}

impl Api {
    /// Removes a record with everything that is kept of it; with `everywhere`, once its objects are deleted in connected systems.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn erase_record(&self, model: &str, id: RecordId, everywhere: bool) -> Result<Erasure, Error> {
        let call = self.post(&["v1", "records", model, &id.to_string(), "erase"]);
        call.query(&[("everywhere", everywhere)]).read().await
    }

    /// A page of receipts, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn erasures(&self, at: &At) -> Result<Page<Erasure>, Error> {
        self.get(&["v1", "erasures"]).query(at).read().await
    }

    /// The receipt of an erasure.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn erasure(&self, id: i64) -> Result<Erasure, Error> {
        self.get(&["v1", "erasures", &id.to_string()]).read().await
    }

    /// Lets come back what an erasure keeps out.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn readmit_erased(&self, id: i64) -> Result<Erasure, Error> {
        self.post(&["v1", "erasures", &id.to_string(), "readmit"]).read().await
    }
}
