//! Which record an arrival belongs to: by object id, by our key in the object, by match keys, or none yet.

use std::collections::{BTreeMap, BTreeSet};

use syncline_core::{
    ids::{ConnectionId, ExternalId, RecordId},
    matching::{self, Candidate, Claim, Evidence, Match, MatchKey, Seat},
    plan::SyncPlan,
    record::RecordState,
    replica::{Observation, Replica, Source},
    time::Millis,
};

use super::intake::Arrival;
use crate::store::TenantStore;

/// Objects and match keys of a batch with the records that they lead to, those that the batch itself makes included.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_id: BTreeMap<(ConnectionId, ExternalId), RecordId>,
    by_match: BTreeMap<MatchKey, BTreeSet<RecordId>>,
}

impl Routes {
    /// Looks up everything that the arrivals name and returns the records to load.
    pub(super) fn look_up(plan: &SyncPlan, store: &TenantStore, arrivals: &[Arrival]) -> (Self, BTreeSet<RecordId>) {
        let mut routes = Self::default();
        let mut records = BTreeSet::new();
        for arrival in arrivals {
            match arrival {
                Arrival::Known { record, .. } | Arrival::Created { record, .. } | Arrival::Received { record, .. } => {
                    records.insert(*record);
                }
                Arrival::Observed { connection, observation } => {
                    routes.look_up_object(plan, store, connection, observation, &mut records);
                }
            }
        }
        (routes, records)
    }

    fn look_up_object(
        &mut self,
        plan: &SyncPlan,
        store: &TenantStore,
        connection: &ConnectionId,
        observation: &Observation,
        records: &mut BTreeSet<RecordId>,
    ) {
        for id in observation.aliases.iter().chain([&observation.id]) {
            let key = (connection.clone(), id.clone());
            if let Some(record) = store.links.get(&key) {
                self.by_id.insert(key, *record);
                records.insert(*record);
            }
        }
        if self.by_id.contains_key(&(connection.clone(), observation.id.clone())) {
            return;
        }
        records.extend(observation.key);
        if let Some(side) = plan.sides.get(connection) {
            records.insert(RecordId::first_seen(&plan.tenant, connection, &side.object, &observation.id));
        }
        for key in MatchKey::all(&plan.model, &observation.fields) {
            let found = store.keys.get(&key).cloned().unwrap_or_default();
            records.extend(found.iter().copied());
            self.by_match.insert(key, found);
        }
    }

    /// The record that knows this object.
    pub(super) fn known(&self, connection: &ConnectionId, id: &ExternalId) -> Option<RecordId> {
        self.by_id.get(&(connection.clone(), id.clone())).copied()
    }

    /// Notes that the object belongs to the record from now on.
    pub(super) fn linked(&mut self, connection: &ConnectionId, id: &ExternalId, record: RecordId) {
        self.by_id.insert((connection.clone(), id.clone()), record);
    }

    /// Notes a record that the batch has made.
    pub(super) fn made(&mut self, plan: &SyncPlan, state: &RecordState) {
        for key in MatchKey::all(&plan.model, &state.fields) {
            self.by_match.entry(key).or_default().insert(state.id);
        }
    }

    /// Decides which record a reading belongs to.
    pub(super) fn decide<'a>(
        &self,
        plan: &SyncPlan,
        connection: &ConnectionId,
        observation: &Observation,
        state_of: impl Fn(&RecordId) -> Option<&'a RecordState>,
        now: Millis,
    ) -> Match {
        let seat = |state: &RecordState| Seat::of(state.replicas.get(connection), observation, now);
        let keys = MatchKey::all(&plan.model, &observation.fields);
        let sharing: BTreeSet<RecordId> =
            keys.iter().filter_map(|key| self.by_match.get(key)).flatten().copied().collect();
        let candidates = sharing
            .iter()
            .filter_map(&state_of)
            .filter(|state| state.deleted.is_none() || state.replicas.get(connection).is_some_and(Replica::is_creating))
            .map(|state| Candidate {
                record: state.id,
                keys: MatchKey::all(&plan.model, &state.fields),
                seat: seat(state),
            })
            .collect();
        let claim = observation.key.and_then(|record| state_of(&record));
        let of_old = observation.aliases.iter().filter_map(|alias| self.known(connection, alias));
        let by_alias =
            of_old.map(|record| Claim { record, seat: state_of(&record).map_or(Seat::Taken, seat) }).collect();
        matching::decide(&Evidence {
            by_id: self.known(connection, &observation.id),
            by_alias,
            by_key: claim.map(|state| Claim { record: state.id, seat: seat(state) }),
            keys,
            candidates,
            by_read: observation.source == Source::ById,
        })
    }
}
