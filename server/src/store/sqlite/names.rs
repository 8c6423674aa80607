//! Tenants and connections by the small numbers under which rows refer to them. This process is the only writer, so
//! that the table in memory is complete and look-ups never reach the database.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use sqlx::{Row, SqliteConnection};
use syncline_core::ids::{ConnectionId, TenantId};

use super::writer::Writer;
use crate::store::StoreError;

/// All tenants that have ever stored anything.
#[derive(Debug, Default)]
pub(super) struct Names {
    tenants: RwLock<HashMap<TenantId, Arc<TenantNames>>>,
}

/// One tenant and its connections.
#[derive(Clone, Debug)]
pub(super) struct TenantNames {
    /// The tenant's number.
    pub(super) pk: i64,
    connections: HashMap<ConnectionId, i64>,
    by_pk: HashMap<i64, ConnectionId>,
}

impl TenantNames {
    fn new(pk: i64) -> Self {
        Self { pk, connections: HashMap::new(), by_pk: HashMap::new() }
    }

    fn insert(&mut self, pk: i64, connection: ConnectionId) {
        self.connections.insert(connection.clone(), pk);
        self.by_pk.insert(pk, connection);
    }

    /// The connection's number; `None` where the tenant has stored nothing of it.
    pub(super) fn number(&self, connection: &ConnectionId) -> Option<i64> {
        self.connections.get(connection).copied()
    }

    /// The number of a connection that was made known before.
    pub(super) fn known(&self, connection: &ConnectionId) -> Result<i64, StoreError> {
        self.number(connection).ok_or_else(|| {
            StoreError::Value(format!("connection `{connection}` was not made known before it was written"))
        })
    }

    /// The connection with this number.
    pub(super) fn connection(&self, pk: i64) -> Result<&ConnectionId, StoreError> {
        self.by_pk
            .get(&pk)
            .ok_or_else(|| StoreError::Corrupt(format!("a row refers to connection {pk}, which does not exist")))
    }
}

impl Names {
    /// Reads all names.
    pub(super) async fn load(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let rows = sqlx::query(
            "SELECT t.pk, t.name, c.pk, c.name FROM tenants t LEFT JOIN connections c ON c.tenant = t.pk ORDER BY t.pk",
        )
        .fetch_all(connection)
        .await?;
        let mut tenants = HashMap::new();
        for row in rows {
            let pk: i64 = row.try_get(0)?;
            let names: &mut TenantNames =
                tenants.entry(TenantId::from(row.try_get::<String, _>(1)?)).or_insert_with(|| TenantNames::new(pk));
            if let Some(connection) = row.try_get::<Option<i64>, _>(2)? {
                names.insert(connection, row.try_get::<String, _>(3)?.into());
            }
        }
        let tenants = tenants.into_iter().map(|(tenant, names)| (tenant, Arc::new(names))).collect();
        Ok(Self { tenants: RwLock::new(tenants) })
    }

    /// The tenant's names; `None` where it has stored nothing.
    pub(super) fn get(&self, tenant: &TenantId) -> Option<Arc<TenantNames>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(tenant).cloned()
    }

    /// The tenant's names, after those that were missing have been stored.
    pub(super) async fn ensure<'a>(
        &self,
        writer: &Writer,
        tenant: &TenantId,
        connections: impl IntoIterator<Item = &'a ConnectionId>,
    ) -> Result<Arc<TenantNames>, StoreError> {
        let known = self.get(tenant);
        let missing: BTreeSet<&ConnectionId> = connections
            .into_iter()
            .filter(|connection| known.as_ref().is_none_or(|names| names.number(connection).is_none()))
            .collect();
        match known {
            Some(names) if missing.is_empty() => Ok(names),
            _ => self.store(writer, tenant, missing).await,
        }
    }

    async fn store(
        &self,
        writer: &Writer,
        tenant: &TenantId,
        missing: BTreeSet<&ConnectionId>,
    ) -> Result<Arc<TenantNames>, StoreError> {
        let mut tx = writer.begin().await?;
        // Another caller may have stored them while this one waited for the writer.
        let mut names = match self.get(tenant) {
            Some(names) => TenantNames::clone(&names),
            None => TenantNames::new(
                sqlx::query_scalar("INSERT INTO tenants (name) VALUES (?) RETURNING pk")
                    .bind(tenant.as_str())
                    .fetch_one(tx.connection())
                    .await?,
            ),
        };
        for connection in missing {
            if names.number(connection).is_none() {
                let pk = sqlx::query_scalar("INSERT INTO connections (tenant, name) VALUES (?, ?) RETURNING pk")
                    .bind(names.pk)
                    .bind(connection.as_str())
                    .fetch_one(tx.connection())
                    .await?;
                names.insert(pk, connection.clone());
            }
        }
        let names = Arc::new(names);
        tx.commit_then(|| {
            let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
            tenants.insert(tenant.clone(), names.clone());
        })
        .await?;
        Ok(names)
    }
}
