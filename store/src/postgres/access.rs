//! Tenants, clients, and what the deployment keeps to itself.

use callboard_domain::access::{Client, Tenant};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{ClientId, TenantId, TenantKey};
use callboard_domain::store::{Listed, NewClient, Page};

use super::failure::Failure;
use super::sql::Connection;

/// Makes a tenant; `None` when the id is taken.
pub(super) async fn create_tenant(
    conn: &Connection,
    id: &TenantId,
    name: &str,
    retention_seconds: Option<u32>,
    now: Timestamp,
) -> Result<Option<Tenant>, Failure> {
    let _ = (conn, id, name, retention_seconds, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Changes a tenant's name and retention.
pub(super) async fn update_tenant(
    conn: &Connection,
    id: &TenantId,
    name: &str,
    retention_seconds: Option<u32>,
) -> Result<Option<Tenant>, Failure> {
    let _ = (conn, id, name, retention_seconds);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// One tenant by its public id.
pub(super) async fn tenant(conn: &Connection, id: &TenantId) -> Result<Option<Tenant>, Failure> {
    let _ = (conn, id);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// One tenant by its row.
pub(super) async fn tenant_by_key(conn: &Connection, key: TenantKey) -> Result<Option<Tenant>, Failure> {
    let _ = (conn, key);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// All tenants, newest first.
pub(super) async fn list_tenants(conn: &Connection, page: Page) -> Result<Listed<Tenant>, Failure> {
    let _ = (conn, page);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Makes a client.
pub(super) async fn create_client(
    conn: &Connection,
    tenant: TenantKey,
    new: &NewClient,
) -> Result<Client, Failure> {
    let _ = (conn, tenant, new);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// One client, of whatever tenant.
pub(super) async fn client(conn: &Connection, id: &ClientId) -> Result<Option<Client>, Failure> {
    let _ = (conn, id);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// The tenant's clients, newest first.
pub(super) async fn list_clients(
    conn: &Connection,
    tenant: TenantKey,
    page: Page,
) -> Result<Listed<Client>, Failure> {
    let _ = (conn, tenant, page);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Enables or disables a client.
pub(super) async fn set_client_enabled(
    conn: &Connection,
    tenant: TenantKey,
    id: &ClientId,
    enabled: bool,
) -> Result<Option<Client>, Failure> {
    let _ = (conn, tenant, id, enabled);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Deletes a client; false when there was none.
pub(super) async fn delete_client(
    conn: &Connection,
    tenant: TenantKey,
    id: &ClientId,
) -> Result<bool, Failure> {
    let _ = (conn, tenant, id);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// The stored value of this name, or `value`, which is stored then.
pub(super) async fn deployment_value(
    conn: &Connection,
    name: &str,
    value: &[u8],
) -> Result<(Vec<u8>, bool), Failure> {
    let _ = (conn, name, value);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
