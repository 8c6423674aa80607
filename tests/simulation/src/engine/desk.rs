//! What comes from outside: requests of clients, and webhooks.

use automerge::ReadDoc;
use syncline_core::{
    document::Document,
    ids::RecordId,
    outbox::Delivery,
    reconcile::{ClientEdit, Input},
    remote::RemoteObject,
    replica::{Replica, Source},
    value::Fields,
};

use super::{
    documents,
    intake::{self, Arrival, Batch, Taken},
};
use crate::{
    client::{Request, Told, Wish},
    executor::{Handle, Signal},
    mutant::Mutant,
    store::{Hint, Moved},
    world::World,
};

/// Serves a client's request.
pub(crate) fn serve(world: &mut World, request: Request) {
    let Some(handle) = world.handle.clone() else { return };
    world.spawn(Box::pin(async move {
        let Request { id, tenant, what } = request;
        let told = match what {
            Wish::Sync { .. } => sync(&handle, tenant, what).await,
            wish => edit(&handle, id, tenant, wish).await,
        };
        if let Some(told) = told {
            handle.with(|world| world.respond(id, tenant, told));
        }
    }));
}

/// A request to create, edit, delete or restore a record; the answer, unless it was given before.
async fn edit(handle: &Handle, id: u64, tenant: usize, wish: Wish) -> Option<Told> {
    let principal = || "app".to_owned();
    let known = |record, edit: ClientEdit, write| {
        let input = Box::new(Input::Edited(edit));
        Arrival::Known { record, input, write }
    };
    let deleted = |record: RecordId| {
        handle.with(|world| world.store.tenants[tenant].records.get(&record).map(|state| state.deleted.is_some()))
    };
    let (record, batch, writes) = match wish {
        Wish::Create { record, fields, writes } => {
            (record, Batch::of(vec![Arrival::Created { record, principal: principal(), fields }]), writes)
        }
        Wish::Edit { record, fields, if_version, write, settles } => {
            if deleted(record) != Some(false) {
                return Some(Told::Refused);
            }
            let edit = ClientEdit { principal: principal(), fields, delete: None, settles };
            let only_at = if_version.map(|version| (record, version));
            let batch = Batch { only_at, ..Batch::of(vec![known(record, edit, Some(write))]) };
            (record, batch, vec![write])
        }
        Wish::Delete { record, delete } => {
            if deleted(record) != Some(!delete) {
                return Some(Told::Refused);
            }
            let edit =
                ClientEdit { principal: principal(), fields: Fields::new(), delete: Some(delete), settles: false };
            (record, Batch::of(vec![known(record, edit, None)]), Vec::new())
        }
        Wish::Sync { .. } => return None,
    };
    let early = handle.with(|world| world.mutant == Some(Mutant::AckBeforeCommit));
    let done = |world: &World| {
        let version = world.store.tenants[tenant].records.get(&record).map_or(0, |state| state.version);
        Told::Done { record, version, writes: writes.clone() }
    };
    if early {
        handle.with(|world| {
            let told = done(world);
            world.respond(id, tenant, told);
        });
    }
    match take(handle, tenant, batch).await {
        Some(_) if early => None,
        Some(_) => Some(handle.with(|world| done(world))),
        None => Some(Told::Refused),
    }
}

async fn take(handle: &Handle, tenant: usize, batch: Batch) -> Option<Taken> {
    let taken = intake::take(handle, tenant, batch).await.ok()?;
    handle.with(|world| {
        world.follow(&taken);
        if taken.changed {
            world.stir_writers(tenant);
        }
    });
    Some(taken)
}

/// A client that holds a document exchanges changes.
async fn sync(handle: &Handle, tenant: usize, wish: Wish) -> Option<Told> {
    let Wish::Sync { holder, document, changes, have, writes } = wish else { return None };
    let principal = handle.with(|world| world.holders[holder].name.clone());
    let records = |world: &mut World| {
        let mut states = world.store.tenants[tenant].records.values();
        states.find(|state| state.document_id() == document).map(|state| state.id)
    };
    let Some(record) = handle.with(records) else {
        return replay(handle, tenant, Wish::Sync { holder, document, changes, have, writes }, principal).await;
    };
    let arrival = Arrival::Received { record, principal, changes, have };
    let heard = take(handle, tenant, Batch::of(vec![arrival])).await?.heard?;
    let writes = if heard.refused { Vec::new() } else { writes };
    Some(Told::Synced {
        holder,
        document,
        writes,
        accepted: heard.accepted,
        refused: heard.refused,
        news: heard.news,
        moved_to: None,
    })
}

/// What a client wrote into a document that has moved becomes an edit of the record that it moved into.
async fn replay(handle: &Handle, tenant: usize, wish: Wish, principal: String) -> Option<Told> {
    let Wish::Sync { holder, document, changes, have, writes } = wish else { return None };
    let judged = handle.with(|world| {
        let store = &mut world.store.tenants[tenant];
        let mut moved = store.moved.get(&document)?.clone();
        let model = &world.plans[tenant].model;
        let judged = documents::judge(model, &principal, &changes, &store.actors, &mut moved.document).ok()?;
        Some((moved, judged))
    });
    let (Moved { record, document: mut left }, judged) = judged?;
    if !judged.accepted.is_empty() {
        let mut doc = left.into_automerge();
        // What was vetted and tried out a moment ago applies.
        doc.apply_changes(judged.accepted.clone()).ok()?;
        let model = handle.with(|world| world.plans[tenant].model.clone());
        let replayed = documents::difference(&doc, &judged.accepted, &model, &principal).ok()?;
        let dropped = handle.with(|world| world.mutant == Some(Mutant::RebaseDropped));
        if !replayed.fields.is_empty() && !dropped {
            handle.with(|world| world.counts.thing("late edits"));
            let input = Box::new(Input::Replayed(replayed));
            take(handle, tenant, Batch::of(vec![Arrival::Known { record, input, write: None }])).await?;
        }
        left = Document::of(doc);
        let moved = vec![(document, Moved { record, document: left.clone() })];
        let batch = Batch { moved, actors: judged.claims, ..Batch::default() };
        intake::take(handle, tenant, batch).await.ok()?;
    }
    let moved_to = handle.with(|world| Some(world.store.tenants[tenant].records.get(&record)?.document_id()));
    let refused = judged.refused;
    let writes = if refused { Vec::new() } else { writes };
    let doc = left.automerge().ok()?;
    let accepted = changes.iter().map(automerge::Change::hash);
    let accepted = accepted.filter(|hash| doc.get_change_by_hash(hash).is_some()).collect();
    let known: Vec<_> = have.iter().filter(|hash| doc.get_change_by_hash(hash).is_some()).copied().collect();
    let news = doc.get_changes(&known);
    Some(Told::Synced { holder, document, writes, accepted, refused, news, moved_to })
}

impl World {
    /// A webhook arrives: it is stored, and looked into later.
    pub(crate) fn hint_arrives(&mut self, system: usize, hint: Hint, payload: RemoteObject) {
        if self.process.is_none() {
            // Nobody answers; polling will find what this was about.
            return;
        }
        let tenant = self.accounts[system].tenant;
        if self.mutant == Some(Mutant::HintAsValue) {
            return self.take_payload(system, payload);
        }
        if self.store.tenants[tenant].put_hint(hint) {
            self.signal(Signal::Look, system);
        } else {
            self.counts.thing("hints known already");
        }
    }

    /// A person has everything tried again that was parked.
    pub(crate) fn replay_parked(&mut self) {
        let Some(handle) = self.handle.clone() else { return };
        for tenant in 0..self.plans.len() {
            let mut arrivals = Vec::new();
            for state in self.store.tenants[tenant].records.values() {
                let parked = |replica: &Replica| {
                    !replica.parked.is_empty() || matches!(replica.delivery, Delivery::Parked { .. })
                };
                for (connection, _) in state.replicas.iter().filter(|(_, replica)| parked(replica)) {
                    let input = Box::new(Input::Replay { connection: connection.clone() });
                    arrivals.push(Arrival::Known { record: state.id, input, write: None });
                }
            }
            let handle = handle.clone();
            self.spawn(Box::pin(async move {
                take(&handle, tenant, Batch::of(arrivals)).await;
            }));
        }
    }

    /// Takes the values of a webhook for a reading.
    fn take_payload(&mut self, system: usize, payload: RemoteObject) {
        let begun = self.store.tick();
        let Some(handle) = self.handle.clone() else { return };
        let tenant = self.accounts[system].tenant;
        let arrivals = self.arrivals(system, vec![payload], Source::ById, begun);
        self.spawn(Box::pin(async move {
            take(&handle, tenant, Batch::of(arrivals)).await;
        }));
    }
}
