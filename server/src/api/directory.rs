//! Tenants and clients, remembered for a moment: each request needs one of
//! them, and the database should not be asked each time.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use callboard_domain::access::{Client, Tenant};
use callboard_domain::audit::By;
use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::id::{ClientId, TenantId, TenantKey};
use callboard_domain::store::{Result, Store};
use parking_lot::RwLock;

/// How long something is remembered: a client that is disabled is obeyed no
/// longer than this.
const REMEMBERED: Duration = Duration::from_millis(500);

/// How long it is not written down again that a client got a token.
const NOTED: Duration = Duration::from_mins(1);

/// More than this are never remembered.
const MOST: usize = 10_000;

/// Tenants and clients.
pub(crate) struct Directory {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    tenants: Memory<TenantId, Tenant>,
    tenant_keys: Memory<TenantKey, Tenant>,
    clients: Memory<ClientId, Client>,
    /// Clients that have shown their secret since the start.
    proven: RwLock<HashSet<ClientId>>,
    /// When it was last written down of a client that it got a token.
    noted: RwLock<HashMap<ClientId, Duration>>,
}

type Memory<K, V> = RwLock<HashMap<K, (Arc<V>, Duration)>>;

impl Directory {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            tenants: RwLock::default(),
            tenant_keys: RwLock::default(),
            clients: RwLock::default(),
            proven: RwLock::default(),
            noted: RwLock::default(),
        }
    }

    /// The time of day.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A tenant, made by whoever asks if there is none.
    pub(crate) async fn tenant_or_make(&self, id: TenantId, by: By) -> Result<Arc<Tenant>> {
        if let Some(tenant) = self.remembered(&self.tenants, &id) {
            return Ok(tenant);
        }
        let mut found = self.store.tenant(&id).await?;
        if found.is_none() {
            let made = self.store.create_tenant(id.clone(), id.to_string(), None, by).await?;
            // Another request may have made it first.
            found = if made.is_some() { made } else { self.store.tenant(&id).await? };
        }
        found.map(|tenant| self.remember(&self.tenants, id.clone(), tenant)).ok_or_else(|| {
            callboard_domain::store::StoreError::Corrupt(format!(
                "tenant {id} is neither there nor can be made"
            ))
        })
    }

    /// A tenant, if there is one.
    pub(crate) async fn tenant(&self, id: &TenantId) -> Result<Option<Arc<Tenant>>> {
        if let Some(tenant) = self.remembered(&self.tenants, id) {
            return Ok(Some(tenant));
        }
        Ok(self.store.tenant(id).await?.map(|tenant| self.remember(&self.tenants, id.clone(), tenant)))
    }

    /// A tenant by its row.
    pub(crate) async fn tenant_by_key(&self, key: TenantKey) -> Result<Option<Arc<Tenant>>> {
        if let Some(tenant) = self.remembered(&self.tenant_keys, &key) {
            return Ok(Some(tenant));
        }
        Ok(self.store.tenant_by_key(key).await?.map(|tenant| self.remember(&self.tenant_keys, key, tenant)))
    }

    /// A client.
    pub(crate) async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>> {
        if let Some(client) = self.remembered(&self.clients, id) {
            return Ok(Some(client));
        }
        Ok(self.store.client(id).await?.map(|client| self.remember(&self.clients, id.clone(), client)))
    }

    /// Remembers that a client has shown its secret.
    pub(crate) fn prove(&self, id: &ClientId) {
        if self.proven.read().contains(id) {
            return;
        }
        let mut proven = self.proven.write();
        if proven.len() >= MOST {
            proven.clear();
        }
        proven.insert(id.clone());
    }

    /// Whether a client has shown its secret since the start.
    pub(crate) fn is_proven(&self, id: &ClientId) -> bool {
        self.proven.read().contains(id)
    }

    /// Writes down that a client got a token, unless that was done a moment ago. What
    /// can't be written does not matter: the next time it is tried again.
    pub(super) async fn note_use(&self, id: &ClientId) {
        if !self.is_to_be_noted(id) {
            return;
        }
        if let Err(error) = self.store.touch_client(id, self.clock.now()).await {
            tracing::debug!(%error, client = %id, "when a client was used is not written down");
            self.noted.write().remove(id);
        }
    }

    /// Whether a minute has passed. Whoever hears so is the one to do it.
    fn is_to_be_noted(&self, id: &ClientId) -> bool {
        let now = self.clock.elapsed();
        let is_recent = |at: &Duration| now.saturating_sub(*at) < NOTED;
        if self.noted.read().get(id).is_some_and(is_recent) {
            return false;
        }
        let mut noted = self.noted.write();
        if noted.get(id).is_some_and(is_recent) {
            return false;
        }
        if noted.len() >= MOST {
            noted.clear();
        }
        noted.insert(id.clone(), now);
        true
    }

    /// Forgets a client that was changed.
    pub(crate) fn forget_client(&self, id: &ClientId) {
        self.clients.write().remove(id);
    }

    fn remembered<K: Eq + std::hash::Hash, V>(&self, memory: &Memory<K, V>, key: &K) -> Option<Arc<V>> {
        let now = self.clock.elapsed();
        let memory = memory.read();
        let (value, at) = memory.get(key)?;
        (now.saturating_sub(*at) < REMEMBERED).then(|| Arc::clone(value))
    }

    fn remember<K: Eq + std::hash::Hash, V>(&self, memory: &Memory<K, V>, key: K, value: V) -> Arc<V> {
        let value = Arc::new(value);
        let mut memory = memory.write();
        if memory.len() >= MOST {
            memory.clear();
        }
        memory.insert(key, (Arc::clone(&value), self.clock.elapsed()));
        value
    }
}
