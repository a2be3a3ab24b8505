//! Tenants, clients, and what the deployment keeps to itself.

use callboard_domain::access::{Client, Scopes, Tenant};
use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{ClientId, TenantId, TenantKey};
use callboard_domain::store::{Listed, NewClient, Page};
use tokio_postgres::Row;

use super::failure::Failure;
use super::sql::{self, Connection, get};
use super::{audit, retention};
use crate::rows::{Corrupt, before, listed, micros, parsed, timestamp, timestamp_option, wanted};
use crate::sealing::{KeyRing, Place};

macro_rules! select_tenants {
    ($rest:literal) => {
        concat!("SELECT key, id, name, retention_seconds, created_at FROM tenants ", $rest)
    };
}

fn read_tenant(row: &Row) -> Result<Tenant, Failure> {
    let retention = get::<Option<i64>>(row, 3)?.map(u32::try_from).transpose();
    Ok(Tenant {
        key: TenantKey(get(row, 0)?),
        id: parsed(row.try_get(1)?, "tenant id")?,
        name: get(row, 2)?,
        retention_seconds: retention.map_err(|_| Corrupt("the retention of a tenant".to_owned()))?,
        created_at: timestamp(get(row, 4)?)?,
    })
}

/// Makes a tenant; `None` when the id is taken.
pub(super) async fn create_tenant(
    conn: &Connection,
    id: &TenantId,
    name: &str,
    retention_seconds: Option<u32>,
    by: &By,
) -> Result<Option<Tenant>, Failure> {
    let made = sql::run(
        conn,
        "INSERT INTO tenants (id, name, retention_seconds, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO NOTHING",
        &[&id.as_str(), &name, &retention_seconds.map(i64::from), &micros(by.at)],
    )
    .await?;
    if made == 0 {
        return Ok(None);
    }
    let made = tenant(conn, id).await?;
    if let Some(made) = &made {
        audit::write(conn, None, by, &Change::tenant_created(made)).await?;
    }
    Ok(made)
}

/// Changes a tenant's name and retention.
pub(super) async fn update_tenant(
    conn: &Connection,
    id: &TenantId,
    name: &str,
    retention_seconds: Option<u32>,
    by: &By,
) -> Result<Option<Tenant>, Failure> {
    let held = select_tenants!("WHERE id = $1 FOR NO KEY UPDATE");
    let Some(before) = sql::one(conn, held, &[&id.as_str()], read_tenant).await? else { return Ok(None) };
    let sql = "UPDATE tenants SET name = $2, retention_seconds = $3 WHERE key = $1";
    sql::run(conn, sql, &[&before.key.0, &name, &retention_seconds.map(i64::from)]).await?;
    if before.retention_seconds != retention_seconds {
        retention::start_over(conn).await?;
    }
    let after = tenant(conn, id).await?;
    if let Some(change) = after.as_ref().and_then(|after| Change::tenant_updated(&before, after)) {
        audit::write(conn, None, by, &change).await?;
    }
    Ok(after)
}

/// One tenant by its public id.
pub(super) async fn tenant(conn: &Connection, id: &TenantId) -> Result<Option<Tenant>, Failure> {
    sql::one(conn, select_tenants!("WHERE id = $1"), &[&id.as_str()], read_tenant).await
}

/// One tenant by its row.
pub(super) async fn tenant_by_key(conn: &Connection, key: TenantKey) -> Result<Option<Tenant>, Failure> {
    sql::one(conn, select_tenants!("WHERE key = $1"), &[&key.0], read_tenant).await
}

/// All tenants, newest first.
pub(super) async fn list_tenants(conn: &Connection, page: Page) -> Result<Listed<Tenant>, Failure> {
    let sql = select_tenants!("WHERE key < $1 ORDER BY key DESC LIMIT $2");
    let rows =
        sql::many(conn, sql, &[&before(page), &wanted(page)], |row| Ok((get(row, 0)?, read_tenant(row)?)))
            .await?;
    Ok(listed(rows, page))
}

macro_rules! select_clients {
    ($rest:literal) => {
        concat!(
            "SELECT key, id, tenant, name, secret_digest, scopes, enabled, created_at, last_used_at FROM clients ",
            $rest
        )
    };
}

fn read_client(row: &Row) -> Result<Client, Failure> {
    let digest: &[u8] = row.try_get(4)?;
    Ok(Client {
        id: parsed(row.try_get(1)?, "client id")?,
        tenant: TenantKey(get(row, 2)?),
        name: get(row, 3)?,
        secret_digest: digest.try_into().map_err(|_| Corrupt("the digest of a secret".to_owned()))?,
        scopes: parsed::<Scopes>(row.try_get(5)?, "set of scopes")?,
        enabled: get(row, 6)?,
        created_at: timestamp(get(row, 7)?)?,
        last_used_at: timestamp_option(get(row, 8)?)?,
    })
}

/// Makes a client.
pub(super) async fn create_client(
    conn: &Connection,
    tenant: TenantKey,
    new: &NewClient,
    by: &By,
) -> Result<Client, Failure> {
    sql::run(
        conn,
        "INSERT INTO clients (id, tenant, name, secret_digest, scopes, enabled, created_at)
         VALUES ($1, $2, $3, $4, $5, TRUE, $6)",
        &[
            &new.id.as_str(),
            &tenant.0,
            &new.name,
            &new.secret_digest.as_slice(),
            &new.scopes.to_string(),
            &micros(by.at),
        ],
    )
    .await?;
    let made = client(conn, &new.id).await?;
    let made = made.ok_or_else(|| Failure::Corrupt(format!("client {} is gone", new.id)))?;
    audit::write(conn, Some(tenant), by, &Change::client_created(&made)).await?;
    Ok(made)
}

/// One client, of whatever tenant.
pub(super) async fn client(conn: &Connection, id: &ClientId) -> Result<Option<Client>, Failure> {
    sql::one(conn, select_clients!("WHERE id = $1"), &[&id.as_str()], read_client).await
}

/// Finds a client and keeps others from changing it meanwhile.
async fn held_client(conn: &Connection, tenant: TenantKey, id: &ClientId) -> Result<Option<Client>, Failure> {
    let sql = select_clients!("WHERE id = $1 AND tenant = $2 FOR UPDATE");
    sql::one(conn, sql, &[&id.as_str(), &tenant.0], read_client).await
}

/// The tenant's clients, newest first.
pub(super) async fn list_clients(
    conn: &Connection,
    tenant: TenantKey,
    page: Page,
) -> Result<Listed<Client>, Failure> {
    let sql = select_clients!("WHERE tenant = $1 AND key < $2 ORDER BY key DESC LIMIT $3");
    let rows = sql::many(conn, sql, &[&tenant.0, &before(page), &wanted(page)], |row| {
        Ok((get(row, 0)?, read_client(row)?))
    })
    .await?;
    Ok(listed(rows, page))
}

/// Enables or disables a client.
pub(super) async fn set_client_enabled(
    conn: &Connection,
    tenant: TenantKey,
    id: &ClientId,
    enabled: bool,
    by: &By,
) -> Result<Option<Client>, Failure> {
    let Some(before) = held_client(conn, tenant, id).await? else { return Ok(None) };
    let sql = "UPDATE clients SET enabled = $2 WHERE id = $1";
    sql::run(conn, sql, &[&id.as_str(), &enabled]).await?;
    let after = Client { enabled, ..before.clone() };
    if let Some(change) = Change::client_switched(&before, &after) {
        audit::write(conn, Some(tenant), by, &change).await?;
    }
    Ok(Some(after))
}

/// Deletes a client; false when there was none.
pub(super) async fn delete_client(
    conn: &Connection,
    tenant: TenantKey,
    id: &ClientId,
    by: &By,
) -> Result<bool, Failure> {
    let Some(gone) = held_client(conn, tenant, id).await? else { return Ok(false) };
    sql::run(conn, "DELETE FROM clients WHERE id = $1", &[&id.as_str()]).await?;
    audit::write(conn, Some(tenant), by, &Change::client_deleted(&gone)).await?;
    Ok(true)
}

/// Notes that a client got a token, unless it did later already.
pub(super) async fn touch_client(conn: &Connection, id: &ClientId, at: Timestamp) -> Result<(), Failure> {
    let sql = "UPDATE clients SET last_used_at = $2
        WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)";
    sql::run(conn, sql, &[&id.as_str(), &micros(at)]).await.map(drop)
}

/// The stored value of this name, or `value`, which is stored then.
pub(super) async fn deployment_value(
    conn: &Connection,
    ring: &KeyRing,
    name: &str,
    value: &[u8],
) -> Result<(Vec<u8>, bool), Failure> {
    let place = Place::Deployment { name };
    let sealed = ring.seal(place, value)?;
    let sql =
        "INSERT INTO deployment (name, value, sealed) VALUES ($1, '', $2) ON CONFLICT (name) DO NOTHING";
    let stored = sql::run(conn, sql, &[&name, &sealed]).await? > 0;
    // Another node may have stored one just now, and this statement sees it.
    let kept = "SELECT value, sealed FROM deployment WHERE name = $1";
    let kept = sql::one(conn, kept, &[&name], |row| match get::<Option<Vec<u8>>>(row, 1)? {
        Some(sealed) => Ok(ring.open(place, &sealed)?),
        None => get(row, 0),
    })
    .await?;
    Ok((kept.unwrap_or_else(|| value.to_vec()), stored))
}
