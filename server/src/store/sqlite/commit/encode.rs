//! A record's commit as rows. Done before the writer is taken, so that others commit meanwhile.

use std::sync::Arc;

use syncline_core::{
    conflict::Conflict,
    document::Seal,
    ids::{RecordId, TenantId},
    journal::{ChangeEntry, Ops},
    live::FeedEvent,
    matching::MatchKey,
    record::RecordState,
    replica::Replica,
    repo::DocumentId,
    value::Fields,
};

use crate::store::{
    Announcement, ExternalRef, RecordCommit, StoreError,
    issues::Marks,
    sqlite::{
        codec::{self, KEY_HASH_LEN, delivery_columns, encode, encode_heads, key_hash, signed},
        names::TenantNames,
        replicas::encode_replica,
        values::encode_fields,
    },
};

/// The rows of one record.
pub(super) struct RecordRows {
    pub(super) id: RecordId,
    /// The record's row number: given by the commit to a new record, found by compare-and-swap for the others.
    pub(super) pk: i64,
    /// The revision that the stored record must have; 0 for a new record.
    pub(super) expected: i64,
    /// Its announcement's number among those of the batch, from 1.
    pub(super) announced: Option<i64>,
    /// The place in the feed of its announcement, given by the commit; without one, the place before the batch's.
    pub(super) changed: i64,
    pub(super) model: Arc<str>,
    /// What is written of the record's own row; `None` where only its revision moves.
    pub(super) body: Option<Body>,
    /// Hashes of its match keys, sorted, where they may have changed.
    pub(super) match_keys: Option<Vec<[u8; KEY_HASH_LEN]>>,
    /// The hashes that were stored before, found by compare-and-swap.
    pub(super) match_keys_before: Vec<u8>,
    pub(super) replicas: Vec<ReplicaRow>,
    pub(super) claims: Vec<LinkRow>,
    pub(super) given_up: Vec<LinkRow>,
    pub(super) not_same: Vec<LinkRow>,
    pub(super) maybe_same: Vec<LinkRow>,
    pub(super) journal: Vec<String>,
    /// What the log of the document's changes is to hold besides.
    pub(super) chunk: Option<Vec<u8>>,
    /// The document was made again, or begun anew: whatever was wrong with it is past.
    pub(super) mended: bool,
    /// Where the record begins a new epoch.
    pub(super) epoch: Option<EpochRow>,
    pub(super) conflicts: Vec<ConflictRow>,
    pub(super) event: Option<EventRow>,
}

impl RecordRows {
    pub(super) const fn is_new(&self) -> bool {
        self.expected == 0
    }
}

/// The columns of a record's own row that change with its document.
pub(super) struct Body {
    pub(super) version: i64,
    pub(super) first_seen_at: i64,
    pub(super) last_modified_at: i64,
    pub(super) deleted_at: Option<i64>,
    pub(super) merged_into: Option<Vec<u8>>,
    /// All origins of a new record; otherwise a patch of those stored, `None` where nothing visible changed.
    pub(super) origins: Option<String>,
    pub(super) fields: Arc<str>,
    pub(super) genesis: Option<String>,
    pub(super) heads: Vec<u8>,
    pub(super) document: Vec<u8>,
    pub(super) seal: Option<Seal>,
    pub(super) logged: bool,
    /// Its epoch and the id of its document, of a new record that does not begin at the first.
    pub(super) epoch: i64,
    pub(super) document_id: Option<Vec<u8>>,
}

pub(super) struct ReplicaRow {
    pub(super) connection: i64,
    pub(super) delivery: i64,
    pub(super) due: Option<i64>,
    pub(super) marks: i64,
    pub(super) replica: String,
    pub(super) baseline: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct LinkRow {
    pub(super) connection: i64,
    pub(super) object: String,
    pub(super) external_id: String,
}

pub(super) struct ConflictRow {
    pub(super) field: String,
    pub(super) loser: Vec<u8>,
    pub(super) winner: Vec<u8>,
    pub(super) conflict: String,
}

pub(super) struct EventRow {
    pub(super) action: &'static str,
    pub(super) version: i64,
    pub(super) at: i64,
    pub(super) fields: Arc<str>,
    pub(super) changed: String,
    pub(super) merged_into: Option<Vec<u8>>,
    /// The event for the caller, taken when its place is known.
    pub(super) change: Option<FeedEvent>,
}

/// The epoch that a record begins.
pub(super) struct EpochRow {
    pub(super) epoch: i64,
    pub(super) document: DocumentId,
    pub(super) genesis: Option<String>,
}

/// Turns a record's commit into rows.
pub(super) fn encode_record(
    tenant: &TenantId,
    names: &TenantNames,
    commit: RecordCommit,
) -> Result<RecordRows, StoreError> {
    let rewritten = commit.writes_document();
    let RecordCommit {
        mut state,
        mut entries,
        conflicts,
        touched,
        aliases,
        given_up,
        not_same,
        maybe_same,
        announcement,
        match_keys,
        renewed,
        rebuilt,
    } = commit;
    if state.tenant != *tenant {
        return Err(StoreError::Value(format!("record {} belongs to another tenant", state.id)));
    }
    let is_new = state.revision == 0;
    let genesis = if is_new { take_genesis(&mut entries)? } else { None };
    let given_up = links(names, given_up)?;
    let mut claims = links(names, aliases)?;
    let mut replicas = Vec::with_capacity(state.replicas.len());
    for (connection, replica) in std::mem::take(&mut state.replicas) {
        if !rewritten && !touched.contains(&connection) {
            continue;
        }
        let connection = names.known(&connection)?;
        claims.extend(claim(connection, &replica));
        replicas.push(encode_replica_row(connection, replica, &state.fields)?);
    }
    claims.retain(|claim| !given_up.contains(claim));
    let body = if rewritten { Some(encode_body(&mut state, is_new, genesis, announcement.as_ref())?) } else { None };
    let chunk = state.document.logged().filter(|_| rewritten).map(<[u8]>::to_vec);
    let event = match (announcement, &body) {
        (Some(announcement), Some(body)) => Some(encode_event(&mut state, announcement, body)?),
        _ => None,
    };
    let epoch = renewed
        .map(|renewed| {
            let genesis = renewed.genesis.as_ref().map(encode).transpose()?;
            Ok::<_, StoreError>(EpochRow { epoch: state.epoch.into(), document: state.document_id(), genesis })
        })
        .transpose()?;
    Ok(RecordRows {
        id: state.id,
        pk: 0,
        expected: signed(state.revision)?,
        announced: None,
        changed: 0,
        model: state.model.as_str().into(),
        body,
        match_keys: match_keys.map(|keys| hashes(tenant, &state, &keys)),
        match_keys_before: Vec::new(),
        replicas,
        claims,
        given_up,
        not_same: links(names, not_same)?,
        maybe_same: links(names, maybe_same)?,
        journal: entries.iter().map(encode).collect::<Result<_, _>>()?,
        chunk,
        mended: rebuilt || epoch.is_some(),
        epoch,
        conflicts: conflicts.iter().map(encode_conflict).collect::<Result<_, _>>()?,
        event,
    })
}

fn encode_replica_row(connection: i64, replica: Replica, fields: &Fields) -> Result<ReplicaRow, StoreError> {
    let (delivery, due) = delivery_columns(&replica.delivery);
    let marks = Marks::of(&replica).0.into();
    let (replica, baseline) = encode_replica(replica, fields)?;
    Ok(ReplicaRow { connection, delivery, due, marks, replica, baseline })
}

/// The object that a linked replica makes its record's own.
fn claim(connection: i64, replica: &Replica) -> Option<LinkRow> {
    replica.link.linked().map(|id| LinkRow {
        connection,
        object: replica.object.as_str().to_owned(),
        external_id: id.as_str().to_owned(),
    })
}

/// The entry that created the document stands in the record's own row: a new record then costs no journal row.
fn take_genesis(entries: &mut Vec<ChangeEntry>) -> Result<Option<String>, StoreError> {
    match entries.first() {
        Some(ChangeEntry { ops: Ops::Genesis { .. }, .. }) => Ok(Some(encode(&entries.remove(0))?)),
        _ => Ok(None),
    }
}

fn encode_body(
    state: &mut RecordState,
    is_new: bool,
    genesis: Option<String>,
    announcement: Option<&Announcement>,
) -> Result<Body, StoreError> {
    let changed = announcement.map(|announcement| announcement.changed.as_slice());
    let origins = match (is_new, changed) {
        (true, changed) => Some(codec::first_origins(changed.unwrap_or_default())?),
        (false, Some(changed)) if !changed.is_empty() => Some(codec::origins_patch(changed)?),
        _ => None,
    };
    Ok(Body {
        version: signed(state.version)?,
        first_seen_at: state.first_seen_at.0,
        last_modified_at: state.last_modified_at.0,
        deleted_at: state.deleted.map(|at| at.0),
        merged_into: state.merged_into.map(codec::id_bytes),
        origins,
        fields: encode_fields(&state.fields)?.into(),
        genesis,
        heads: encode_heads(state.document.heads()),
        document: saved(state)?,
        seal: state.document.seal(),
        logged: state.document.is_logged(),
        epoch: state.epoch.into(),
        document_id: (state.epoch > 0).then(|| state.document_id().as_bytes().to_vec()),
    })
}

fn saved(state: &mut RecordState) -> Result<Vec<u8>, StoreError> {
    match state.document.save() {
        [] => Err(StoreError::Value(format!("the document of record {} was left out and cannot be written", state.id))),
        saved => Ok(saved.to_vec()),
    }
}

fn encode_event(state: &mut RecordState, announcement: Announcement, body: &Body) -> Result<EventRow, StoreError> {
    let Announcement { action, mut changed } = announcement;
    changed.sort_by(|a, b| a.field.cmp(&b.field));
    let fields: Fields = std::mem::take(&mut state.fields);
    let stored = codec::encode_changed(&changed, &fields)?;
    let change = FeedEvent {
        record: state.id,
        model: state.model.clone(),
        action,
        version: state.version,
        fields: codec::plain_fields(&fields),
        changed,
        merged_into: state.merged_into,
        at: state.last_modified_at,
    };
    Ok(EventRow {
        action: codec::action_word(action),
        version: body.version,
        at: body.last_modified_at,
        fields: body.fields.clone(),
        changed: stored,
        merged_into: state.merged_into.map(codec::id_bytes),
        change: Some(change),
    })
}

fn encode_conflict(conflict: &Conflict) -> Result<ConflictRow, StoreError> {
    Ok(ConflictRow {
        field: conflict.field.as_str().to_owned(),
        loser: conflict.loser.op.0.to_vec(),
        winner: conflict.winner.op.0.to_vec(),
        conflict: encode(conflict)?,
    })
}

fn links(names: &TenantNames, objects: Vec<ExternalRef>) -> Result<Vec<LinkRow>, StoreError> {
    objects
        .into_iter()
        .map(|object| {
            Ok(LinkRow {
                connection: names.known(&object.connection)?,
                object: object.object.as_str().to_owned(),
                external_id: object.id.as_str().to_owned(),
            })
        })
        .collect()
}

fn hashes(tenant: &TenantId, state: &RecordState, keys: &[MatchKey]) -> Vec<[u8; KEY_HASH_LEN]> {
    let mut hashes: Vec<_> = keys.iter().map(|key| key_hash(tenant, &state.model, key)).collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}
