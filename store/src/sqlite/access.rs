//! Tenants, clients, and what the deployment keeps to itself.

use callboard_domain::access::{Client, Scopes, Tenant};
use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{ClientId, TenantId, TenantKey};
use callboard_domain::store::{Listed, NewClient, Page};
use rusqlite::{Connection, Row};

use super::failure::Failure;
use super::ledger::Write;
use super::{audit, retention, sql};
use crate::rows::{before, listed, micros, parsed, timestamp, timestamp_option, wanted};
use crate::sealing::{KeyRing, Place};

macro_rules! select_tenants {
    ($rest:literal) => {
        concat!("SELECT key, id, name, retention_seconds, created_at FROM tenants ", $rest)
    };
}

fn read_tenant(row: &Row<'_>) -> Result<Tenant, Failure> {
    Ok(Tenant {
        key: TenantKey(row.get(0)?),
        id: parsed(&row.get::<_, String>(1)?, "tenant id")?,
        name: row.get(2)?,
        retention_seconds: row.get(3)?,
        created_at: timestamp(row.get(4)?)?,
    })
}

/// Makes a tenant; `None` when the id is taken.
pub(super) fn create_tenant(
    write: &mut Write<'_>,
    id: &TenantId,
    name: &str,
    retention_seconds: Option<u32>,
    by: &By,
) -> Result<Option<Tenant>, Failure> {
    let made = sql::run(
        write.conn,
        "INSERT INTO tenants (id, name, retention_seconds, created_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO NOTHING",
        (id.as_str(), name, retention_seconds, micros(by.at)),
    )?;
    if made == 0 {
        return Ok(None);
    }
    let made = tenant(write.conn, id)?;
    if let Some(made) = &made {
        audit::write(write.conn, None, by, &Change::tenant_created(made))?;
    }
    Ok(made)
}

/// Changes a tenant's name and retention.
pub(super) fn update_tenant(
    write: &mut Write<'_>,
    id: &TenantId,
    name: &str,
    retention_seconds: Option<u32>,
    by: &By,
) -> Result<Option<Tenant>, Failure> {
    let Some(before) = tenant(write.conn, id)? else { return Ok(None) };
    let sql = "UPDATE tenants SET name = ?2, retention_seconds = ?3 WHERE key = ?1";
    sql::run(write.conn, sql, (before.key.0, name, retention_seconds))?;
    if before.retention_seconds != retention_seconds {
        retention::start_over(write.conn)?;
    }
    let after = tenant(write.conn, id)?;
    if let Some(change) = after.as_ref().and_then(|after| Change::tenant_updated(&before, after)) {
        audit::write(write.conn, None, by, &change)?;
    }
    Ok(after)
}

/// One tenant by its public id.
pub(super) fn tenant(conn: &Connection, id: &TenantId) -> Result<Option<Tenant>, Failure> {
    sql::one(conn, select_tenants!("WHERE id = ?1"), [id.as_str()], read_tenant)
}

/// One tenant by its row.
pub(super) fn tenant_by_key(conn: &Connection, key: TenantKey) -> Result<Option<Tenant>, Failure> {
    sql::one(conn, select_tenants!("WHERE key = ?1"), [key.0], read_tenant)
}

/// All tenants, newest first.
pub(super) fn list_tenants(conn: &Connection, page: Page) -> Result<Listed<Tenant>, Failure> {
    let sql = select_tenants!("WHERE key < ?1 ORDER BY key DESC LIMIT ?2");
    let rows =
        sql::many(conn, sql, (before(page), wanted(page)), |row| Ok((row.get(0)?, read_tenant(row)?)))?;
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

fn read_client(row: &Row<'_>) -> Result<Client, Failure> {
    Ok(Client {
        id: parsed(&row.get::<_, String>(1)?, "client id")?,
        tenant: TenantKey(row.get(2)?),
        name: row.get(3)?,
        secret_digest: row.get(4)?,
        scopes: parsed::<Scopes>(&row.get::<_, String>(5)?, "set of scopes")?,
        enabled: row.get(6)?,
        created_at: timestamp(row.get(7)?)?,
        last_used_at: timestamp_option(row.get(8)?)?,
    })
}

/// Makes a client.
pub(super) fn create_client(
    write: &mut Write<'_>,
    tenant: TenantKey,
    new: &NewClient,
    by: &By,
) -> Result<Client, Failure> {
    sql::run(
        write.conn,
        "INSERT INTO clients (id, tenant, name, secret_digest, scopes, enabled, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, TRUE, ?6)",
        (new.id.as_str(), tenant.0, &new.name, new.secret_digest, new.scopes.to_string(), micros(by.at)),
    )?;
    let made = client(write.conn, &new.id)?;
    let made = made.ok_or_else(|| Failure::Corrupt(format!("client {} is gone", new.id)))?;
    audit::write(write.conn, Some(tenant), by, &Change::client_created(&made))?;
    Ok(made)
}

/// One client, of whatever tenant.
pub(super) fn client(conn: &Connection, id: &ClientId) -> Result<Option<Client>, Failure> {
    sql::one(conn, select_clients!("WHERE id = ?1"), [id.as_str()], read_client)
}

/// The tenant's clients, newest first.
pub(super) fn list_clients(
    conn: &Connection,
    tenant: TenantKey,
    page: Page,
) -> Result<Listed<Client>, Failure> {
    let sql = select_clients!("WHERE tenant = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3");
    let rows = sql::many(conn, sql, (tenant.0, before(page), wanted(page)), |row| {
        Ok((row.get(0)?, read_client(row)?))
    })?;
    Ok(listed(rows, page))
}

/// Enables or disables a client.
pub(super) fn set_client_enabled(
    write: &mut Write<'_>,
    tenant: TenantKey,
    id: &ClientId,
    enabled: bool,
    by: &By,
) -> Result<Option<Client>, Failure> {
    let before = client(write.conn, id)?.filter(|client| client.tenant == tenant);
    let Some(before) = before else { return Ok(None) };
    let sql = "UPDATE clients SET enabled = ?2 WHERE id = ?1";
    sql::run(write.conn, sql, (id.as_str(), enabled))?;
    let after = Client { enabled, ..before.clone() };
    if let Some(change) = Change::client_switched(&before, &after) {
        audit::write(write.conn, Some(tenant), by, &change)?;
    }
    Ok(Some(after))
}

/// Deletes a client; false when there was none.
pub(super) fn delete_client(
    write: &mut Write<'_>,
    tenant: TenantKey,
    id: &ClientId,
    by: &By,
) -> Result<bool, Failure> {
    let gone = client(write.conn, id)?.filter(|client| client.tenant == tenant);
    let Some(gone) = gone else { return Ok(false) };
    sql::run(write.conn, "DELETE FROM clients WHERE id = ?1", [id.as_str()])?;
    audit::write(write.conn, Some(tenant), by, &Change::client_deleted(&gone))?;
    Ok(true)
}

/// Notes that a client got a token, unless it did later already.
pub(super) fn touch_client(write: &mut Write<'_>, id: &ClientId, at: Timestamp) -> Result<(), Failure> {
    let sql = "UPDATE clients SET last_used_at = ?2
        WHERE id = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)";
    sql::run(write.conn, sql, (id.as_str(), micros(at))).map(drop)
}

/// The stored value of this name, or `value`, which is stored then.
pub(super) fn deployment_value(
    write: &mut Write<'_>,
    ring: &KeyRing,
    name: &str,
    value: &[u8],
) -> Result<(Vec<u8>, bool), Failure> {
    let place = Place::Deployment { name };
    let sealed = ring.seal(place, value)?;
    let sql =
        "INSERT INTO deployment (name, value, sealed) VALUES (?1, x'', ?2) ON CONFLICT (name) DO NOTHING";
    let stored = sql::run(write.conn, sql, (name, sealed))? > 0;
    let kept = "SELECT value, sealed FROM deployment WHERE name = ?1";
    let kept = sql::one(write.conn, kept, [name], |row| match row.get::<_, Option<Vec<u8>>>(1)? {
        Some(sealed) => Ok(ring.open(place, &sealed)?),
        None => Ok(row.get(0)?),
    })?;
    Ok((kept.unwrap_or_else(|| value.to_vec()), stored))
}
