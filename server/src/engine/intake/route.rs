//! Which record an arrival belongs to: by object id, by our key in the object, by match keys, or none yet.

use std::collections::{BTreeSet, HashMap};

use syncline_core::{
    ids::{ConnectionId, ExternalId, ObjectName, RecordId},
    matching::{self, Candidate, Claim, Evidence, Match, MatchKey, Seat},
    plan::SyncPlan,
    record::RecordState,
    replica::{Observation, Replica, Source},
    time::Millis,
    value::Fields,
};

use super::{Arrival, decided::survivor_among};
use crate::store::{StoreError, TenantStore};

/// Objects and match keys of a batch with the records that they lead to, those that the batch itself makes included.
#[derive(Debug, Default)]
pub(super) struct Routes {
    by_id: HashMap<(ConnectionId, ExternalId), RecordId>,
    /// The records that objects belonged to before the store was restored.
    former: HashMap<(ConnectionId, ExternalId), RecordId>,
    by_match: HashMap<MatchKey, BTreeSet<RecordId>>,
    /// Records that an object may not be linked to but by a person.
    not_same: HashMap<(ConnectionId, ExternalId), BTreeSet<RecordId>>,
}

impl Routes {
    /// Looks up everything that the arrivals name and returns the records to load.
    pub(super) async fn look_up(
        plan: &SyncPlan,
        tenant: &dyn TenantStore,
        arrivals: &[Arrival],
    ) -> Result<(Self, BTreeSet<RecordId>), StoreError> {
        let mut routes = Self::default();
        let mut records = BTreeSet::new();
        for (connection, ids) in ids_by_connection(arrivals) {
            let Some(side) = plan.sides.get(&connection) else { continue };
            for (id, record) in tenant.find_replicas(&connection, &side.object, &ids).await? {
                routes.by_id.insert((connection.clone(), id), record);
                records.insert(record);
            }
        }
        let mut keys = BTreeSet::new();
        let mut unknown: HashMap<ConnectionId, Vec<ExternalId>> = HashMap::new();
        for arrival in arrivals {
            match arrival {
                Arrival::Decided { decision, .. } => records.extend(decision.records()),
                Arrival::Known { record, .. } => drop(records.insert(*record)),
                Arrival::Created { record, .. } | Arrival::Received { record, .. } => drop(records.insert(*record)),
                Arrival::Begun { record, fields, .. } => {
                    records.insert(*record);
                    keys.extend(MatchKey::all(&plan.model, fields));
                }
                Arrival::Observed { connection, observation, .. } => {
                    if routes.by_id.contains_key(&(connection.clone(), observation.id.clone())) {
                        continue;
                    }
                    records.extend(observation.key);
                    unknown.entry(connection.clone()).or_default().push(observation.id.clone());
                    if let Some(side) = plan.sides.get(connection) {
                        records.insert(RecordId::first_seen(&plan.tenant, connection, &side.object, &observation.id));
                    }
                    keys.extend(MatchKey::all(&plan.model, &observation.fields));
                }
            }
        }
        let keys: Vec<MatchKey> = keys.into_iter().collect();
        if !keys.is_empty() {
            for (key, found) in tenant.find_matches(&plan.model.name, &keys).await? {
                records.extend(found.iter().copied());
                routes.by_match.insert(key, found.into_iter().collect());
            }
        }
        for (connection, ids) in &unknown {
            let Some(side) = plan.sides.get(connection) else { continue };
            for (id, record) in tenant.former_records(connection, &side.object, ids).await? {
                routes.former.insert((connection.clone(), id), record);
                records.insert(record);
            }
        }
        routes.look_up_refusals(plan, tenant, arrivals, unknown).await?;
        Ok((routes, records))
    }

    /// Looks up what people have cut off, where anything could be linked at all.
    async fn look_up_refusals(
        &mut self,
        plan: &SyncPlan,
        tenant: &dyn TenantStore,
        arrivals: &[Arrival],
        unknown: HashMap<ConnectionId, Vec<ExternalId>>,
    ) -> Result<(), StoreError> {
        let claims =
            |arrival: &Arrival| matches!(arrival, Arrival::Observed { observation, .. } if observation.key.is_some());
        if self.by_match.is_empty() && self.former.is_empty() && !arrivals.iter().any(claims) {
            return Ok(());
        }
        for (connection, ids) in unknown {
            let Some(side) = plan.sides.get(&connection) else { continue };
            for (id, refused) in tenant.not_same(&connection, &side.object, &ids).await? {
                self.not_same.insert((connection.clone(), id), refused);
            }
        }
        Ok(())
    }

    /// The record that knows this object.
    pub(super) fn known(&self, connection: &ConnectionId, id: &ExternalId) -> Option<RecordId> {
        self.by_id.get(&(connection.clone(), id.clone())).copied()
    }

    /// The id of the record that the object belonged to before the store was restored.
    pub(super) fn former(&self, connection: &ConnectionId, id: &ExternalId) -> Option<RecordId> {
        self.former.get(&(connection.clone(), id.clone())).copied()
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

    /// Decides which record a client's new document belongs to. Every record has room for it.
    pub(super) fn decide_begun<'a>(
        &self,
        plan: &SyncPlan,
        fields: &Fields,
        state_of: impl Fn(&RecordId) -> Option<&'a RecordState>,
    ) -> Match {
        let keys = MatchKey::all(&plan.model, fields);
        let candidates = self.candidates(plan, &keys, state_of, |_| Seat::Free, |_| false);
        matching::decide(&Evidence { keys, candidates, ..Evidence::default() })
    }

    /// The records that share a match key, and are live or may be `awaited`.
    fn candidates<'a>(
        &self,
        plan: &SyncPlan,
        keys: &[MatchKey],
        state_of: impl Fn(&RecordId) -> Option<&'a RecordState>,
        seat: impl Fn(&RecordState) -> Seat,
        awaited: impl Fn(&RecordState) -> bool,
    ) -> Vec<Candidate> {
        keys.iter()
            .filter_map(|key| self.by_match.get(key))
            .flatten()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter_map(state_of)
            .filter(|state| state.deleted.is_none() || awaited(state))
            .map(|state| Candidate {
                record: state.id,
                keys: MatchKey::all(&plan.model, &state.fields),
                seat: seat(state),
            })
            .collect()
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
        let refused = self.not_same.get(&(connection.clone(), observation.id.clone()));
        let may_be = |record: &RecordId| refused.is_none_or(|refused| !refused.contains(record));
        // What a create has made for a record that was deleted meanwhile is that record's, and goes with it.
        let awaited = |state: &RecordState| state.replicas.get(connection).is_some_and(Replica::is_creating);
        let mut candidates = self.candidates(plan, &keys, &state_of, seat, awaited);
        candidates.retain(|candidate| may_be(&candidate.record));
        // What is not known any more is no claim; what the object was before a restore is as good as our key in it.
        let claims = [observation.key, self.former(connection, &observation.id)].into_iter().flatten();
        let claim = claims.map(|record| survivor_among(record, &state_of)).filter(may_be).find_map(|id| state_of(&id));
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

/// The ids that readings and decisions name, aliases included.
fn ids_by_connection(arrivals: &[Arrival]) -> HashMap<ConnectionId, Vec<ExternalId>> {
    let mut ids: HashMap<ConnectionId, Vec<ExternalId>> = HashMap::new();
    for arrival in arrivals {
        if let Arrival::Observed { connection, observation, .. } = arrival {
            let entry = ids.entry(connection.clone()).or_default();
            entry.push(observation.id.clone());
            entry.extend(observation.aliases.iter().cloned());
        }
        if let Arrival::Decided { decision, .. } = arrival
            && let Some((connection, object)) = decision.object()
        {
            ids.entry(connection.clone()).or_default().push(object.clone());
        }
    }
    ids
}

/// The name of an object for people.
pub(super) fn object_name(object: &ObjectName, id: &ExternalId) -> String {
    format!("{object} {id}")
}
