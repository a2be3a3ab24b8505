//! The webhooks of each tenant in memory, ready to be matched and called.
//!
//! A tenant is loaded when it is first needed, so that tenants nobody
//! publishes to cost nothing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use callboard_domain::clock::{Clock, Timestamp};
use callboard_domain::event::Event;
use callboard_domain::filter::LazyBody;
use callboard_domain::id::{TenantId, TenantKey, WebhookKey};
use callboard_domain::matching::{Index, Reach};
use callboard_domain::store::{Result, Store, StoreError};
use callboard_domain::webhook::Webhook;
use parking_lot::{Mutex, RwLock};
use tokio::sync::OnceCell;

use crate::target::Target;

/// The webhooks of one tenant.
#[derive(Debug)]
struct Tenant {
    id: TenantId,
    index: Index<WebhookKey>,
    targets: HashMap<WebhookKey, Arc<Target>, foldhash::fast::RandomState>,
}

impl Tenant {
    fn put(&mut self, target: Arc<Target>) {
        self.take(target.key());
        if target.hears() {
            self.index.insert(target.key(), &target.webhook.settings);
        }
        self.targets.insert(target.key(), target);
    }

    fn take(&mut self, key: WebhookKey) {
        if let Some(old) = self.targets.remove(&key) {
            self.index.remove(key, &old.webhook.settings);
        }
    }
}

type Cell = Arc<OnceCell<RwLock<Tenant>>>;

/// The webhooks of all tenants that were needed so far.
pub struct Registry {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    public_url: String,
    tenants: Mutex<HashMap<TenantKey, Cell, foldhash::fast::RandomState>>,
    /// Held while a webhook is read and put in, so that two refreshes of it
    /// can't leave the older reading behind.
    refreshing: tokio::sync::Mutex<()>,
}

impl Registry {
    /// An empty registry. Links in deliveries will lead to `public_url`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, public_url: String) -> Self {
        let refreshing = tokio::sync::Mutex::new(());
        Self { store, clock, public_url, tenants: Mutex::default(), refreshing }
    }

    /// The tenant's webhooks that hear each of `events`.
    ///
    /// # Errors
    /// When the tenant was not loaded yet and can't be.
    pub async fn matches(
        &self,
        tenant: TenantKey,
        events: &[Event],
    ) -> Result<Vec<Vec<(Arc<Target>, Reach)>>> {
        let cell = self.cell(tenant);
        let tenant = self.loaded(&cell, tenant).await?.read();
        let targets = |event: &Event| {
            let found = tenant.index.matches(event).into_iter();
            let found = found.filter_map(|(key, reach)| Some((tenant.targets.get(&key)?, reach)));
            let body = LazyBody::new(&event.body);
            let passes = |target: &Target| {
                target.webhook.settings.filter.as_ref().is_none_or(|filter| filter.accepts(&body))
            };
            found
                .filter(|(target, _)| passes(target))
                .map(|(target, reach)| (Arc::clone(target), reach))
                .collect()
        };
        Ok(events.iter().map(targets).collect())
    }

    /// Whether any of the tenant's webhooks asks for events of this type.
    ///
    /// # Errors
    /// When the tenant was not loaded yet and can't be.
    pub async fn asks_for(&self, tenant: TenantKey, type_name: &str) -> Result<bool> {
        let cell = self.cell(tenant);
        Ok(self.loaded(&cell, tenant).await?.read().index.asks_for(type_name))
    }

    /// One webhook, whatever its status; `None` when it is deleted.
    ///
    /// # Errors
    /// When it has to be loaded and can't be.
    pub async fn target(&self, key: WebhookKey) -> Result<Option<Arc<Target>>> {
        let Some(webhook) = self.store.webhook_by_key(key).await? else { return Ok(None) };
        let cell = self.cell(webhook.tenant);
        let tenant = self.loaded(&cell, webhook.tenant).await?;
        Ok(tenant.read().targets.get(&key).cloned())
    }

    /// Reads one webhook again, after it was made, changed or deleted.
    ///
    /// # Errors
    /// When it can't be read; the registry then still holds the old one.
    pub async fn refresh(&self, tenant: TenantKey, key: WebhookKey) -> Result<Option<Arc<Target>>> {
        let _one_at_a_time = self.refreshing.lock().await;
        let cell = self.cell(tenant);
        let loaded = self.loaded(&cell, tenant).await?;
        let webhook = self.store.webhook_by_key(key).await?;
        let mut tenant = loaded.write();
        let target = webhook.map(|webhook| self.make(webhook, &tenant.id));
        match &target {
            Some(target) => tenant.put(Arc::clone(target)),
            None => tenant.take(key),
        }
        Ok(target)
    }

    /// The tenants whose webhooks are in memory.
    pub fn loaded_tenants(&self) -> Vec<TenantKey> {
        let tenants = self.tenants.lock();
        tenants.iter().filter(|(_, cell)| cell.initialized()).map(|(key, _)| *key).collect()
    }

    /// The webhooks of a tenant that are not in memory as the store has them.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn differing(&self, tenant: TenantKey) -> Result<Vec<WebhookKey>> {
        let stored = self.store.webhooks_of(tenant).await?;
        let cell = self.cell(tenant);
        let known = self.loaded(&cell, tenant).await?.read();
        let mut gone: HashSet<WebhookKey> = known.targets.keys().copied().collect();
        let mut differing = Vec::new();
        for webhook in stored {
            gone.remove(&webhook.key);
            if known.targets.get(&webhook.key).is_none_or(|target| target.webhook != webhook) {
                differing.push(webhook.key);
            }
        }
        differing.extend(gone);
        Ok(differing)
    }

    /// Makes a webhook ready that is not in the store.
    ///
    /// # Errors
    /// When its tenant was not loaded yet and can't be.
    pub(crate) async fn make_unstored(&self, webhook: Webhook) -> Result<Arc<Target>> {
        let cell = self.cell(webhook.tenant);
        let id = self.loaded(&cell, webhook.tenant).await?.read().id.clone();
        Ok(self.make(webhook, &id))
    }

    fn make(&self, webhook: Webhook, tenant: &TenantId) -> Arc<Target> {
        Arc::new(Target::new(webhook, tenant, &self.public_url, self.now()))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn cell(&self, tenant: TenantKey) -> Cell {
        Arc::clone(self.tenants.lock().entry(tenant).or_default())
    }

    async fn loaded<'a>(&self, cell: &'a Cell, tenant: TenantKey) -> Result<&'a RwLock<Tenant>> {
        cell.get_or_try_init(|| async {
            let owner = self.store.tenant_by_key(tenant).await?;
            let id = owner.ok_or_else(|| StoreError::Corrupt(format!("{tenant:?} is no tenant")))?.id;
            let mut loaded = Tenant { id, index: Index::default(), targets: HashMap::default() };
            for webhook in self.store.webhooks_of(tenant).await? {
                let target = self.make(webhook, &loaded.id);
                loaded.put(target);
            }
            Ok(RwLock::new(loaded))
        })
        .await
    }
}
