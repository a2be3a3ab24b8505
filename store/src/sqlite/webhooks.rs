//! Webhooks and their signing secrets.

use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::store::{Edited, Listed, NewWebhook, Page, WebhookEdit, WebhookSlice};
use callboard_domain::webhook::{Status, StoredSecret, Webhook};
use rusqlite::{Connection, Row};

use super::failure::Failure;
use super::ledger::Write;
use super::{audit, sql};
use crate::rows::webhooks::{
    Columns, SecretColumns, StoredSettings, new_key, sealed_secret, secret, webhook,
};
use crate::rows::{before, listed, micros, natural, timestamp_option, wanted};
use crate::sealing::KeyRing;

/// Makes a webhook.
pub(super) fn create(
    write: &mut Write<'_>,
    ring: &KeyRing,
    tenant: TenantKey,
    new: &NewWebhook,
    stored: &StoredSettings,
    by: &By,
) -> Result<Webhook, Failure> {
    let now = micros(by.at);
    sql::run(
        write.conn,
        "INSERT INTO webhooks (id, tenant, revision, settings, status, created_at, updated_at, dialect, nonce, sealed)
         VALUES (?1, ?2, 1, ?3, ?4, ?5, ?5, ?6, ?7, ?8)",
        rusqlite::params![
            new.id.as_bytes(),
            tenant.0,
            stored.settings,
            new.status.as_str(),
            now,
            new.settings.subscription.dialect().as_str(),
            new.nonce,
            stored.sealed,
        ],
    )?;
    let key = new_key(write.conn.last_insert_rowid())?;
    add_secret(write.conn, ring, (key.0, new.id), &new.secret, now)?;
    let made = written(write.conn, ring, key.0)?;
    audit::write(write.conn, Some(tenant), by, &Change::webhook_created(&made))?;
    Ok(made)
}

/// The key of the row is sealed with the secret, so there has to be a row first.
fn add_secret(
    conn: &Connection,
    ring: &KeyRing,
    (webhook, id): (i64, WebhookId),
    secret: &Secret,
    now: i64,
) -> Result<(), Failure> {
    let add = "INSERT INTO secrets (webhook, value, created_at) VALUES (?1, '', ?2)";
    sql::run(conn, add, (webhook, now))?;
    let key = conn.last_insert_rowid();
    let sealed = sealed_secret(&secret.to_text(), id.as_bytes(), key, ring)?;
    sql::run(conn, "UPDATE secrets SET sealed = ?2 WHERE key = ?1", (key, sealed)).map(drop)
}

fn written(conn: &Connection, ring: &KeyRing, key: i64) -> Result<Webhook, Failure> {
    by_key(conn, ring, WebhookKey(key))?.ok_or_else(|| Failure::Corrupt(format!("webhook {key} is gone")))
}

/// Edits a webhook that is still at `revision`. With another status it starts afresh: what it failed before no longer counts.
pub(super) fn update(
    write: &mut Write<'_>,
    ring: &KeyRing,
    (tenant, id): (TenantKey, WebhookId),
    revision: i64,
    (edit, stored): (&WebhookEdit, &StoredSettings),
    by: &By,
) -> Result<Option<Edited>, Failure> {
    let Some(before) = by_id(write.conn, ring, tenant, id)? else { return Ok(None) };
    let key = before.key.0;
    let updated = sql::run(
        write.conn,
        "UPDATE webhooks SET revision = revision + 1, settings = ?3, status = ?4, updated_at = ?5, sealed = ?6,
             disabled_reason = iif(status = ?4, disabled_reason, NULL),
             failing_since = iif(status = ?4, failing_since, NULL)
         WHERE key = ?1 AND revision = ?2",
        (key, revision, &stored.settings, edit.status.as_str(), micros(by.at), &stored.sealed),
    )?;
    if updated == 0 {
        return Ok(Some(Edited::Stale));
    }
    if let Some(secret) = &edit.secret {
        replace_secrets(write.conn, ring, (key, id), secret, (by.at, by.at))?;
    }
    let after = written(write.conn, ring, key)?;
    if let Some(change) = Change::webhook_edited(&before, &after, edit.secret.is_some()) {
        audit::write(write.conn, Some(tenant), by, &change)?;
    }
    Ok(Some(Edited::Done(Box::new(after))))
}

/// Disables a webhook, unless it is disabled already: many attempts may find
/// out at the same time, and only one of them has done it. That is an edit:
/// one that knows nothing of it would enable the webhook again.
pub(super) fn disable(
    write: &mut Write<'_>,
    ring: &KeyRing,
    key: WebhookKey,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Webhook>, Failure> {
    let Some(before) = by_key(write.conn, ring, key)? else { return Ok(None) };
    let updated = sql::run(
        write.conn,
        "UPDATE webhooks SET revision = revision + 1, status = ?2, disabled_reason = ?3, updated_at = ?4
         WHERE key = ?1 AND deleted_at IS NULL AND status <> ?2",
        (key.0, Status::Disabled.as_str(), reason, micros(now)),
    )?;
    if updated == 0 {
        return Ok(None);
    }
    let after = written(write.conn, ring, key.0)?;
    if let Some(change) = Change::webhook_edited(&before, &after, false) {
        audit::write(write.conn, Some(after.tenant), &By::system(now), &change)?;
    }
    Ok(Some(after))
}

/// Notes since when a webhook fails.
pub(super) fn set_failing_since(
    write: &mut Write<'_>,
    key: WebhookKey,
    since: Option<Timestamp>,
) -> Result<Option<Timestamp>, Failure> {
    let sql = "UPDATE webhooks SET failing_since = iif(?2 IS NULL, NULL, ifnull(failing_since, ?2))
               WHERE key = ?1 RETURNING failing_since";
    let noted = sql::value::<Option<i64>>(write.conn, sql, (key.0, since.map(micros)))?;
    Ok(timestamp_option(noted.flatten())?)
}

fn key_of(conn: &Connection, tenant: TenantKey, id: WebhookId) -> Result<Option<i64>, Failure> {
    let sql = "SELECT key FROM webhooks WHERE id = ?1 AND tenant = ?2 AND deleted_at IS NULL";
    sql::value(conn, sql, (id.as_bytes(), tenant.0))
}

/// The public id of a webhook, deleted or not.
pub(super) fn id_of(conn: &Connection, key: WebhookKey) -> Result<Option<WebhookId>, Failure> {
    let id = sql::value(conn, "SELECT id FROM webhooks WHERE key = ?1", [key.0])?;
    Ok(id.map(WebhookId::from_bytes))
}

/// Deletes a webhook. Its row stays, so that its key is not used again; its
/// secrets have nothing left to sign.
pub(super) fn delete(
    write: &mut Write<'_>,
    ring: &KeyRing,
    tenant: TenantKey,
    id: WebhookId,
    by: &By,
) -> Result<Option<WebhookKey>, Failure> {
    let Some(gone) = by_id(write.conn, ring, tenant, id)? else { return Ok(None) };
    let key = gone.key.0;
    sql::run(write.conn, "UPDATE webhooks SET deleted_at = ?2 WHERE key = ?1", (key, micros(by.at)))?;
    sql::run(write.conn, "DELETE FROM secrets WHERE webhook = ?1", [key])?;
    audit::write(write.conn, Some(tenant), by, &Change::webhook_deleted(&gone))?;
    Ok(Some(WebhookKey(key)))
}

/// Puts a new secret before the others.
pub(super) fn rotate(
    write: &mut Write<'_>,
    ring: &KeyRing,
    (tenant, id): (TenantKey, WebhookId),
    secret: &Secret,
    overlap_until: Timestamp,
    by: &By,
) -> Result<Option<Webhook>, Failure> {
    let Some(key) = key_of(write.conn, tenant, id)? else { return Ok(None) };
    replace_secrets(write.conn, ring, (key, id), secret, (by.at, overlap_until))?;
    audit::write(write.conn, Some(tenant), by, &Change::secret_rotated(id, overlap_until))?;
    written(write.conn, ring, key).map(Some)
}

fn replace_secrets(
    conn: &Connection,
    ring: &KeyRing,
    (webhook, id): (i64, WebhookId),
    secret: &Secret,
    (now, overlap_until): (Timestamp, Timestamp),
) -> Result<(), Failure> {
    let (now, until) = (micros(now), micros(overlap_until));
    let sql = "UPDATE secrets SET expires_at = min(ifnull(expires_at, ?2), ?2) WHERE webhook = ?1";
    sql::run(conn, sql, (webhook, until))?;
    sql::run(conn, "DELETE FROM secrets WHERE webhook = ?1 AND expires_at <= ?2", (webhook, now))?;
    add_secret(conn, ring, (webhook, id), secret, now)
}

macro_rules! select_or_deleted {
    ($($rest:literal),+) => {
        concat!(
            "SELECT key, id, tenant, revision, settings, status, created_at, updated_at,
                 disabled_reason, failing_since, nonce, deleted_at, sealed
             FROM webhooks WHERE ",
            $($rest),+
        )
    };
}

macro_rules! select {
    ($rest:literal) => {
        select_or_deleted!("deleted_at IS NULL AND ", $rest)
    };
}

fn read(conn: &Connection, ring: &KeyRing, row: &Row<'_>) -> Result<Webhook, Failure> {
    let columns = Columns {
        key: row.get(0)?,
        id: row.get(1)?,
        tenant: row.get(2)?,
        revision: row.get(3)?,
        settings: row.get(4)?,
        status: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        disabled_reason: row.get(8)?,
        failing_since: row.get(9)?,
        nonce: row.get(10)?,
        deleted_at: row.get(11)?,
        sealed: row.get(12)?,
    };
    let secrets = secrets(conn, ring, &columns)?;
    Ok(webhook(columns, secrets, ring)?)
}

fn secrets(conn: &Connection, ring: &KeyRing, webhook: &Columns) -> Result<Vec<StoredSecret>, Failure> {
    let sql =
        "SELECT key, value, sealed, created_at, expires_at FROM secrets WHERE webhook = ?1 ORDER BY key DESC";
    sql::many(conn, sql, [webhook.key], |row| {
        let columns = SecretColumns {
            key: row.get(0)?,
            value: row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?,
            sealed: row.get_ref(2)?.as_blob_or_null().map_err(rusqlite::Error::from)?,
            created_at: row.get(3)?,
            expires_at: row.get(4)?,
        };
        Ok(secret(&webhook.id, &columns, ring)?)
    })
}

/// One webhook.
pub(super) fn by_id(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    id: WebhookId,
) -> Result<Option<Webhook>, Failure> {
    let sql = select!("id = ?1 AND tenant = ?2");
    sql::one(conn, sql, (id.as_bytes(), tenant.0), |row| read(conn, ring, row))
}

/// One webhook, also when it is deleted.
pub(super) fn by_id_or_deleted(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    id: WebhookId,
) -> Result<Option<Webhook>, Failure> {
    let sql = select_or_deleted!("id = ?1 AND tenant = ?2");
    sql::one(conn, sql, (id.as_bytes(), tenant.0), |row| read(conn, ring, row))
}

/// One webhook by its row.
pub(super) fn by_key(conn: &Connection, ring: &KeyRing, key: WebhookKey) -> Result<Option<Webhook>, Failure> {
    sql::one(conn, select!("key = ?1"), [key.0], |row| read(conn, ring, row))
}

/// The tenant's webhooks, newest first.
pub(super) fn list(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    page: Page,
) -> Result<Listed<Webhook>, Failure> {
    let sql = select!("tenant = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3");
    let rows = sql::many(conn, sql, (tenant.0, before(page), wanted(page)), |row| {
        Ok((row.get(0)?, read(conn, ring, row)?))
    })?;
    Ok(listed(rows, page))
}

/// Counts the webhooks of one dialect.
pub(super) const COUNT_IN: &str =
    "SELECT count(*) FROM webhooks WHERE deleted_at IS NULL AND tenant = ?1 AND dialect = ?2";

/// The webhooks of one dialect, the oldest first.
pub(super) const OLDEST_IN: &str = select!("tenant = ?1 AND dialect = ?2 ORDER BY key LIMIT ?3 OFFSET ?4");

/// The webhooks of one dialect, the newest first.
pub(super) const NEWEST_IN: &str =
    select!("tenant = ?1 AND dialect = ?2 ORDER BY key DESC LIMIT ?3 OFFSET ?4");

/// The tenant's webhooks of one dialect, and how many there are in all.
pub(super) fn list_in(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    slice: WebhookSlice,
) -> Result<(Vec<Webhook>, u64), Failure> {
    let dialect = slice.dialect.as_str();
    let total =
        sql::one(conn, COUNT_IN, (tenant.0, dialect), |row| Ok(natural(row.get(0)?)?))?.unwrap_or_default();
    let sql = if slice.newest_first { NEWEST_IN } else { OLDEST_IN };
    let column = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let parameters = (tenant.0, dialect, column(slice.limit), column(slice.offset));
    Ok((sql::many(conn, sql, parameters, |row| read(conn, ring, row))?, total))
}

/// All webhooks of a tenant.
pub(super) fn all(conn: &Connection, ring: &KeyRing, tenant: TenantKey) -> Result<Vec<Webhook>, Failure> {
    sql::many(conn, select!("tenant = ?1 ORDER BY key"), [tenant.0], |row| read(conn, ring, row))
}
