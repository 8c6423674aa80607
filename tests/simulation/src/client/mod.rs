//! The simulated clients of the service.
//!
//! * [`api`]: a program that calls `/v1`.
//! * [`holder`]: programs that hold documents, edit them without asking, and are away at times.
//! * [`subscriber`]: those who follow the feed.

pub(crate) mod api;
pub(crate) mod holder;
pub(crate) mod subscriber;

use automerge::{Change, ChangeHash};
use rand::RngExt;
use syncline_core::{ids::RecordId, repo::DocumentId, value::Fields};

use crate::{
    fault::Fault,
    world::{Item, World},
};

/// What a client asks of the service.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: u64,
    pub(crate) tenant: usize,
    pub(crate) what: Wish,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    Create {
        record: RecordId,
        fields: Fields,
        writes: Vec<usize>,
    },
    Edit {
        record: RecordId,
        fields: Fields,
        if_version: Option<u64>,
        write: usize,
        settles: bool,
    },
    Delete {
        record: RecordId,
        delete: bool,
    },
    /// A client's changes of a document, and what it has of it.
    Sync {
        holder: usize,
        document: DocumentId,
        changes: Vec<Change>,
        have: Vec<ChangeHash>,
        /// The client's edits in these changes, by their place in the ledger.
        writes: Vec<usize>,
    },
}

/// What the service answers.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) id: u64,
    pub(crate) tenant: usize,
    pub(crate) what: Told,
}

/// What is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// It is durable: these edits, in this version of the record.
    Done { record: RecordId, version: u64, writes: Vec<usize> },
    /// It was refused, and nothing was changed.
    Refused,
    /// What became of a client's changes.
    Synced {
        holder: usize,
        document: DocumentId,
        /// The client's edits that are durable now.
        writes: Vec<usize>,
        accepted: Vec<ChangeHash>,
        refused: bool,
        /// What the client lacks.
        news: Vec<Change>,
        /// Where the document's content went.
        moved_to: Option<DocumentId>,
    },
}

impl World {
    /// A client sends a request.
    pub(crate) fn send_request(&mut self, tenant: usize, what: Wish) {
        self.requests_made += 1;
        let request = Request { id: self.requests_made, tenant, what };
        if self.strikes_somewhere(Fault::ClientCut).is_some() {
            return;
        }
        let at = self.now.plus(self.rng.random_range(2..80));
        if self.strikes_somewhere(Fault::ClientTwice).is_some() {
            let again = at.plus(self.rng.random_range(1..3_000));
            self.at(again, Item::Request(request.clone()));
        }
        self.at(at, Item::Request(request));
    }

    pub(crate) fn request_arrives(&mut self, request: Request) {
        if self.process.is_some() {
            crate::engine::desk::serve(self, request);
        }
    }

    /// The service answers; the answer may be lost on its way.
    pub(crate) fn respond(&mut self, id: u64, tenant: usize, what: Told) {
        if self.strikes_somewhere(Fault::ClientCut).is_some() {
            return;
        }
        let at = self.now.plus(self.rng.random_range(2..80));
        self.at(at, Item::Response(Response { id, tenant, what }));
    }

    pub(crate) fn response_arrives(&mut self, response: Response) {
        let Response { id: _, tenant, what } = response;
        match what {
            Told::Done { record, version, writes } => {
                writes.into_iter().for_each(|write| self.ledger.acknowledge(write));
                let seen = self.api[tenant].seen.entry(record).or_default();
                *seen = (*seen).max(version);
            }
            Told::Refused => {}
            synced @ Told::Synced { .. } => self.synced(synced),
        }
    }
}
