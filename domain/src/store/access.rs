//! The storage port of tenants, clients, and what the deployment keeps to itself.

use async_trait::async_trait;

use super::{Listed, Page, Result};
use crate::access::{Client, Scopes, Tenant};
use crate::audit::By;
use crate::clock::Timestamp;
use crate::id::{ClientId, TenantId, TenantKey};

/// A client to be made.
#[derive(Debug, Clone)]
pub struct NewClient {
    /// Its public id.
    pub id: ClientId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of its secret.
    pub secret_digest: [u8; 32],
    /// The most that its tokens may do.
    pub scopes: Scopes,
}

/// Tenants, clients, and what the deployment keeps to itself.
#[async_trait]
pub trait AccessStore: Send + Sync {
    /// Makes a tenant; `None` when the id is taken.
    async fn create_tenant(
        &self,
        id: TenantId,
        name: String,
        retention_seconds: Option<u32>,
        by: By,
    ) -> Result<Option<Tenant>>;

    /// Changes a tenant's name and retention.
    async fn update_tenant(
        &self,
        id: &TenantId,
        name: String,
        retention_seconds: Option<u32>,
        by: By,
    ) -> Result<Option<Tenant>>;

    /// One tenant by its public id.
    async fn tenant(&self, id: &TenantId) -> Result<Option<Tenant>>;

    /// One tenant by its row.
    async fn tenant_by_key(&self, key: TenantKey) -> Result<Option<Tenant>>;

    /// All tenants, newest first.
    async fn list_tenants(&self, page: Page) -> Result<Listed<Tenant>>;

    /// Makes a client.
    async fn create_client(&self, tenant: TenantKey, client: NewClient, by: By) -> Result<Client>;

    /// One client, of whatever tenant.
    async fn client(&self, id: &ClientId) -> Result<Option<Client>>;

    /// The tenant's clients, newest first.
    async fn list_clients(&self, tenant: TenantKey, page: Page) -> Result<Listed<Client>>;

    /// Enables or disables a client.
    async fn set_client_enabled(
        &self,
        tenant: TenantKey,
        id: &ClientId,
        enabled: bool,
        by: By,
    ) -> Result<Option<Client>>;

    /// Deletes a client; false when there was none.
    async fn delete_client(&self, tenant: TenantKey, id: &ClientId, by: By) -> Result<bool>;

    /// Notes that a client got a token at this time, unless it did later already.
    /// Nothing happens when there is no such client.
    async fn touch_client(&self, id: &ClientId, at: Timestamp) -> Result<()>;

    /// The deployment's own value of this name: the stored one, or `value`,
    /// which is stored if there is none. The flag says whether it was stored now.
    async fn deployment_value(&self, name: &str, value: Vec<u8>) -> Result<(Vec<u8>, bool)>;
}
