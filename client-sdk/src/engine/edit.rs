//! What the application does.

use rand::Rng;
use syncline_core::{
    ids::{ModelName, RecordId},
    repo::{DocumentId, Message, message::Ephemeral},
    time::Millis,
};

use super::{ATTENDED_MAX, Doc, Engine, EngineError, Source, draw};
use crate::{
    fields::{FieldEdit, FieldValues},
    store::{Row, Write},
};

impl Engine {
    /// Makes a record with a document of its own. The record's id is the document's.
    pub(super) fn create(
        &mut self,
        model: ModelName,
        record: RecordId,
        fields: &FieldValues,
        now: Millis,
        rng: &mut dyn Rng,
    ) -> Result<(), EngineError> {
        let id = DocumentId::from(record);
        let mut doc = Doc::create(id, draw(rng), model.as_str(), fields, now)?;
        let shown = doc.show(&self.sets(&model))?;
        self.store([doc.store_whole()]);
        self.cache.put(id, doc);
        let row = Row {
            record,
            model,
            document: id,
            fields: shown.fields(),
            deleted: None,
            version: 0,
            held: true,
            stale: true,
            pending: 1,
            refused: None,
            moving_to: None,
            listed: self.listing,
        };
        self.rows.put(row);
        self.hurry(id, now);
        Ok(())
    }

    /// Edits a record, deletes it or restores it.
    pub(super) fn edit(
        &mut self,
        record: RecordId,
        edits: &[FieldEdit],
        deleted: Option<bool>,
        now: Millis,
    ) -> Result<(), EngineError> {
        let row = self.rows.get(record).ok_or(EngineError::Unknown(record))?;
        let (id, is_held) = (row.document, row.held);
        let doc = self.cache.get(id).filter(|_| is_held).ok_or(EngineError::NotHeld(record))?;
        let writes = doc.edit(edits, deleted, now)?;
        if writes.is_empty() {
            return Ok(());
        }
        self.store(writes);
        for edit in edits {
            self.rows.wrote(record, &edit.name, Source::Here);
        }
        self.refresh(record, false)?;
        self.hurry(id, now);
        Ok(())
    }

    /// Keeps a record's document in sync for as long as somebody attends to it.
    pub(super) fn attend(&mut self, record: RecordId, on: bool) -> Result<(), EngineError> {
        let row = self.rows.get(record);
        if !on {
            if let Some(count) = self.attended.get_mut(&record) {
                *count -= 1;
                if *count == 0 {
                    self.attended.remove(&record);
                }
            }
            return Ok(());
        }
        let (id, is_refused) =
            row.map(|row| (row.document, row.refused.is_some())).ok_or(EngineError::Unknown(record))?;
        if self.attended.len() >= ATTENDED_MAX && !self.attended.contains_key(&record) {
            return Err(EngineError::TooMany);
        }
        *self.attended.entry(record).or_default() += 1;
        self.visit(id, is_refused);
        Ok(())
    }

    /// Lets a document have its turn first, unless its conversation has begun in this connection.
    pub(super) fn visit(&mut self, id: DocumentId, is_refused: bool) {
        if let Some(session) = self.session.as_mut().filter(|session| !is_refused && !session.opened.contains(&id)) {
            session.wait(id, true);
        }
    }

    /// Says something to whoever has the record open.
    pub(super) fn say(&mut self, record: RecordId, data: Vec<u8>) -> Result<(), EngineError> {
        let document = self.rows.get(record).ok_or(EngineError::Unknown(record))?.document;
        let server = self.session.as_ref().and_then(|session| session.server.clone()).ok_or(EngineError::Offline)?;
        self.said += 1;
        self.effects.messages.push(Message::Ephemeral(Ephemeral {
            sender: self.me.peer.clone(),
            target: server,
            document,
            session: self.me.session.clone(),
            count: self.said,
            data: data.into(),
        }));
        Ok(())
    }

    /// Sends refused edits once more.
    pub(super) fn retry(&mut self, record: RecordId) -> Result<(), EngineError> {
        let mut row = self.rows.get(record).ok_or(EngineError::Unknown(record))?.clone();
        row.refused = None;
        let id = row.document;
        self.rows.put(row);
        self.begin_anew(id);
        Ok(())
    }

    /// Takes back the local edits that the server has not acknowledged. A record that only ever existed here goes.
    pub(super) fn discard(&mut self, record: RecordId, rng: &mut dyn Rng) -> Result<(), EngineError> {
        let mut row = self.rows.get(record).ok_or(EngineError::Unknown(record))?.clone();
        let id = row.document;
        row.refused = None;
        let kept = match self.cache.get(id).filter(|doc| doc.is_acked_at_all()) {
            Some(doc) => Some(doc.rewound(draw(rng))?),
            None if row.version == 0 => {
                self.drop_record(&row);
                return Ok(());
            }
            None => None,
        };
        self.cache.remove(id);
        match kept {
            Some(mut doc) => {
                self.store([doc.store_whole()]);
                self.cache.put(id, doc);
            }
            None => {
                self.store([Write::DropDocument(id)]);
                (row.held, row.pending) = (false, 0);
            }
        }
        row.stale = true;
        self.rows.put(row);
        self.refresh(record, false)?;
        self.begin_anew(id);
        Ok(())
    }
}
