//! Numbers of issues, for metrics: a walk along the partial indices of what is wrong, not of what there is.

use std::collections::BTreeMap;

use syncline_core::ids::ConnectionId;

use super::{
    IssueKind, Scope,
    list::{IssueQuery, held_deletes, list},
};
use crate::store::{StoreError, TenantStore, issues::Marks};

/// Sides and fields of one connection that are counted one by one; there are never more than a configuration has.
const WHOLE_MAX: usize = 10_000;

/// How many issues of each kind a connection has. A replica with several refused fields counts once for the kind.
///
/// # Errors
/// The store's.
pub async fn of_connection(
    store: &dyn TenantStore,
    scope: Scope<'_>,
    connection: &ConnectionId,
) -> Result<BTreeMap<IssueKind, u64>, StoreError> {
    let mut counts: BTreeMap<IssueKind, u64> =
        IssueKind::ALL.into_iter().filter(|kind| *kind != IssueKind::DocumentDamaged).map(|kind| (kind, 0)).collect();
    let mut add = |kind, number| *counts.entry(kind).or_default() += number;
    for (marks, number) in store.count_marked(connection).await? {
        let kinds = IssueKind::ALL.into_iter().filter(|kind| kind.marks() != Marks::default());
        kinds.filter(|kind| kind.marks().meets(marks)).for_each(|kind| add(kind, number));
    }
    for (cause, number) in store.count_causes(connection).await? {
        add(IssueKind::of_cause(cause), number);
    }
    let whole = [
        IssueKind::AuthorizationRevoked,
        IssueKind::SyncPaused,
        IssueKind::SyncWaitingApproval,
        IssueKind::SyncDegraded,
        IssueKind::RemoteFieldMissing,
        IssueKind::DeletesHeld,
    ];
    let query = IssueQuery { kinds: whole.into(), connection: Some(connection.clone()), after: None, limit: WHOLE_MAX };
    for (_, issue) in list(store, scope, &query).await? {
        add(issue.kind, 1);
    }
    Ok(counts)
}

/// How many issues of each kind a tenant has that are no connection's.
///
/// # Errors
/// The store's.
pub async fn of_tenant(store: &dyn TenantStore, scope: Scope<'_>) -> Result<BTreeMap<IssueKind, u64>, StoreError> {
    let held = held_deletes(store, scope, None).await?;
    Ok(BTreeMap::from([
        (IssueKind::DeletesHeld, held.len() as u64),
        (IssueKind::DocumentDamaged, store.count_damaged().await?),
    ]))
}
