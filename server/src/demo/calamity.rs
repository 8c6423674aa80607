//! A calamity: a user empties a part of an account in one go. The guard of mass deletes holds that back, and the answer is no.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use syncline_client::Steering;

use super::{
    DemoError, collect,
    players::{Member, Players},
    scenario::{ACCOUNTS, SYNC},
};

/// Contacts that vanish besides a sixth of all: more than the scenario's guard lets pass of few.
const BASE: usize = 8;
/// Time between two looks at what is held.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Contacts that vanished from an account at once.
#[derive(Debug)]
pub(super) struct Calamity {
    place: usize,
    vanished: Vec<Member>,
}

/// What became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// The objects that vanished, each in the account at this place.
    pub(super) objects: BTreeSet<(usize, String)>,
    /// Their records.
    pub(super) records: BTreeSet<String>,
    /// How many of the deletes were held back until they were refused.
    pub(super) held: u64,
}

impl Calamity {
    /// A user of an account deletes contacts that nobody else has to do with.
    pub(super) async fn strike(players: &Players<'_>, seed: u64, people: u64) -> Result<Self, DemoError> {
        let place = usize::from(seed % 2 == 1);
        let size = usize::try_from(people / 6).unwrap_or(usize::MAX).saturating_add(BASE);
        let mut vanished = Vec::new();
        for member in players.bystanders.iter().take(size) {
            if players.user_deletes(place, member).await? {
                vanished.push(member.clone());
            }
        }
        Ok(Self { place, vanished })
    }

    /// Refuses the deletes that are held back, once every one has been noticed.
    pub(super) async fn refuse(self, players: &Players<'_>, patience: Duration) -> Result<Refused, DemoError> {
        let held = self.noticed(players, patience).await?;
        players.api.steer_sync(SYNC, None, Steering::Reject).await?;
        let records = self.records();
        let gone = |member: Member| Some((self.place, member.objects.into_iter().nth(self.place)?));
        Ok(Refused { objects: self.vanished.into_iter().filter_map(gone).collect(), records, held })
    }

    fn records(&self) -> BTreeSet<String> {
        self.vanished.iter().map(|member| member.record.to_string()).collect()
    }

    /// Waits until every delete was either carried out or held back; how many are held back.
    pub(super) async fn noticed(&self, players: &Players<'_>, patience: Duration) -> Result<u64, DemoError> {
        let records = self.records();
        let begun = Instant::now();
        loop {
            let sync = players.api.sync(SYNC).await?;
            let of_account = sync
                .held_deletes
                .iter()
                .filter(|held| held.connection.as_deref() == Some(ACCOUNTS[self.place].connection));
            let held: u64 = of_account.map(|held| held.waiting).sum();
            let passed = deleted_of(players, &records).await?;
            if held + passed >= records.len() as u64 {
                return Ok(held);
            }
            if begun.elapsed() > patience {
                return Err(DemoError::Unnoticed { patience, vanished: records.len() as u64, held, passed });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// How many of the records are deleted.
async fn deleted_of(players: &Players<'_>, records: &BTreeSet<String>) -> Result<u64, DemoError> {
    let all = collect::records(players.api).await?;
    let deleted = all.iter().filter(|record| record.meta.deleted_at.is_some());
    Ok(deleted.filter(|record| records.contains(&record.meta.id.to_string())).count() as u64)
}
