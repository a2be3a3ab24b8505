//! Webhooks and their signing secrets.

use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::store::{Edited, Listed, NewWebhook, Page, WebhookEdit, WebhookSlice};
use callboard_domain::webhook::{Status, StoredSecret, Webhook};
use tokio_postgres::Row;

use super::audit;
use super::failure::Failure;
use super::signals::webhook_changed;
use super::sql::{self, Connection, get};
use crate::rows::webhooks::{
    Columns, SecretColumns, StoredSettings, new_key, sealed_secret, secret, webhook,
};
use crate::rows::{before, listed, micros, natural, timestamp_option, wanted};
use crate::sealing::KeyRing;

/// Makes a webhook.
pub(super) async fn create(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    new: &NewWebhook,
    stored: &StoredSettings,
    by: &By,
) -> Result<Webhook, Failure> {
    let now = micros(by.at);
    let key = sql::value::<i64>(
        conn,
        "INSERT INTO webhooks (id, tenant, revision, settings, status, created_at, updated_at, dialect, nonce, sealed)
         VALUES ($1, $2, 1, $3, $4, $5, $5, $6, $7, $8) RETURNING key",
        &[
            &new.id.as_bytes().as_slice(),
            &tenant.0,
            &stored.settings,
            &new.status.as_str(),
            &now,
            &new.settings.subscription.dialect().as_str(),
            &new.nonce,
            &stored.sealed,
        ],
    )
    .await?;
    let key = new_key(key.unwrap_or_default())?;
    add_secret(conn, ring, (key.0, new.id), &new.secret, now).await?;
    webhook_changed(conn, tenant, key).await?;
    let made = written(conn, ring, key.0).await?;
    audit::write(conn, Some(tenant), by, &Change::webhook_created(&made)).await?;
    Ok(made)
}

/// The key of the row is sealed with the secret, so there has to be a row first.
async fn add_secret(
    conn: &Connection,
    ring: &KeyRing,
    (webhook, id): (i64, WebhookId),
    secret: &Secret,
    now: i64,
) -> Result<(), Failure> {
    let add = "INSERT INTO secrets (webhook, value, created_at) VALUES ($1, '', $2) RETURNING key";
    let key = sql::value::<i64>(conn, add, &[&webhook, &now]).await?.unwrap_or_default();
    let sealed = sealed_secret(&secret.to_text(), id.as_bytes(), key, ring)?;
    sql::run(conn, "UPDATE secrets SET sealed = $2 WHERE key = $1", &[&key, &sealed]).await.map(drop)
}

async fn written(conn: &Connection, ring: &KeyRing, key: i64) -> Result<Webhook, Failure> {
    let written = by_key(conn, ring, WebhookKey(key)).await?;
    written.ok_or_else(|| Failure::Corrupt(format!("webhook {key} is gone")))
}

/// Edits a webhook that is still at `revision`. With another status it starts afresh: what it failed before no longer counts.
pub(super) async fn update(
    conn: &Connection,
    ring: &KeyRing,
    (tenant, id): (TenantKey, WebhookId),
    revision: i64,
    (edit, stored): (&WebhookEdit, &StoredSettings),
    by: &By,
) -> Result<Option<Edited>, Failure> {
    let Some(key) = held(conn, tenant, id).await? else { return Ok(None) };
    let before = written(conn, ring, key).await?;
    let updated = sql::run(
        conn,
        "UPDATE webhooks SET revision = revision + 1, settings = $3, status = $4, updated_at = $5, sealed = $6,
             disabled_reason = CASE WHEN status = $4 THEN disabled_reason END,
             failing_since = CASE WHEN status = $4 THEN failing_since END
         WHERE key = $1 AND revision = $2",
        &[&key, &revision, &stored.settings, &edit.status.as_str(), &micros(by.at), &stored.sealed],
    )
    .await?;
    if updated == 0 {
        return Ok(Some(Edited::Stale));
    }
    if let Some(secret) = &edit.secret {
        replace_secrets(conn, ring, (key, id), secret, (by.at, by.at)).await?;
    }
    webhook_changed(conn, tenant, WebhookKey(key)).await?;
    let after = written(conn, ring, key).await?;
    if let Some(change) = Change::webhook_edited(&before, &after, edit.secret.is_some()) {
        audit::write(conn, Some(tenant), by, &change).await?;
    }
    Ok(Some(Edited::Done(Box::new(after))))
}

/// Disables a webhook, unless it is disabled already: many attempts may find
/// out at the same time, and only one of them has done it. That is an edit:
/// one that knows nothing of it would enable the webhook again.
pub(super) async fn disable(
    conn: &Connection,
    ring: &KeyRing,
    key: WebhookKey,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Webhook>, Failure> {
    // Held, so that what stood before is what this changes.
    let held = "SELECT key FROM webhooks WHERE key = $1 AND deleted_at IS NULL FOR NO KEY UPDATE";
    if sql::value::<i64>(conn, held, &[&key.0]).await?.is_none() {
        return Ok(None);
    }
    let before = written(conn, ring, key.0).await?;
    let tenant = sql::value::<i64>(
        conn,
        "UPDATE webhooks SET revision = revision + 1, status = $2, disabled_reason = $3, updated_at = $4
         WHERE key = $1 AND deleted_at IS NULL AND status <> $2 RETURNING tenant",
        &[&key.0, &Status::Disabled.as_str(), &reason, &micros(now)],
    )
    .await?;
    let Some(tenant) = tenant else { return Ok(None) };
    webhook_changed(conn, TenantKey(tenant), key).await?;
    let after = written(conn, ring, key.0).await?;
    if let Some(change) = Change::webhook_edited(&before, &after, false) {
        audit::write(conn, Some(after.tenant), &By::system(now), &change).await?;
    }
    Ok(Some(after))
}

/// Notes since when a webhook fails.
pub(super) async fn set_failing_since(
    conn: &Connection,
    key: WebhookKey,
    since: Option<Timestamp>,
) -> Result<Option<Timestamp>, Failure> {
    let noted = sql::one(
        conn,
        "UPDATE webhooks SET failing_since = CASE WHEN $2::bigint IS NOT NULL THEN coalesce(failing_since, $2) END
         WHERE key = $1 RETURNING failing_since, tenant",
        &[&key.0, &since.map(micros)],
        |row| Ok((get::<Option<i64>>(row, 0)?, TenantKey(get(row, 1)?))),
    )
    .await?;
    let Some((noted, tenant)) = noted else { return Ok(None) };
    webhook_changed(conn, tenant, key).await?;
    Ok(timestamp_option(noted)?)
}

/// Finds a webhook and keeps others from editing or deleting it meanwhile.
async fn held(conn: &Connection, tenant: TenantKey, id: WebhookId) -> Result<Option<i64>, Failure> {
    let sql = "SELECT key FROM webhooks WHERE id = $1 AND tenant = $2 AND deleted_at IS NULL
        FOR NO KEY UPDATE";
    sql::value(conn, sql, &[&id.as_bytes().as_slice(), &tenant.0]).await
}

/// The public id of a webhook, deleted or not.
pub(super) async fn id_of(conn: &Connection, key: WebhookKey) -> Result<Option<WebhookId>, Failure> {
    let id = sql::value::<Vec<u8>>(conn, "SELECT id FROM webhooks WHERE key = $1", &[&key.0]).await?;
    Ok(id.and_then(|id| id.try_into().ok()).map(WebhookId::from_bytes))
}

/// Deletes a webhook. Its row stays, so that its log can be read; its secrets
/// have nothing left to sign.
pub(super) async fn delete(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    id: WebhookId,
    by: &By,
) -> Result<Option<WebhookKey>, Failure> {
    let Some(key) = held(conn, tenant, id).await? else { return Ok(None) };
    let gone = written(conn, ring, key).await?;
    sql::run(conn, "UPDATE webhooks SET deleted_at = $2 WHERE key = $1", &[&key, &micros(by.at)]).await?;
    sql::run(conn, "DELETE FROM secrets WHERE webhook = $1", &[&key]).await?;
    webhook_changed(conn, tenant, WebhookKey(key)).await?;
    audit::write(conn, Some(tenant), by, &Change::webhook_deleted(&gone)).await?;
    Ok(Some(WebhookKey(key)))
}

/// Puts a new secret before the others.
pub(super) async fn rotate(
    conn: &Connection,
    ring: &KeyRing,
    (tenant, id): (TenantKey, WebhookId),
    secret: &Secret,
    overlap_until: Timestamp,
    by: &By,
) -> Result<Option<Webhook>, Failure> {
    let Some(key) = held(conn, tenant, id).await? else { return Ok(None) };
    replace_secrets(conn, ring, (key, id), secret, (by.at, overlap_until)).await?;
    audit::write(conn, Some(tenant), by, &Change::secret_rotated(id, overlap_until)).await?;
    webhook_changed(conn, tenant, WebhookKey(key)).await?;
    written(conn, ring, key).await.map(Some)
}

async fn replace_secrets(
    conn: &Connection,
    ring: &KeyRing,
    (webhook, id): (i64, WebhookId),
    secret: &Secret,
    (now, overlap_until): (Timestamp, Timestamp),
) -> Result<(), Failure> {
    let (now, until) = (micros(now), micros(overlap_until));
    let sql = "UPDATE secrets SET expires_at = least(expires_at, $2) WHERE webhook = $1";
    sql::run(conn, sql, &[&webhook, &until]).await?;
    sql::run(conn, "DELETE FROM secrets WHERE webhook = $1 AND expires_at <= $2", &[&webhook, &now]).await?;
    add_secret(conn, ring, (webhook, id), secret, now).await
}

macro_rules! columns {
    () => {
        "key, id, tenant, revision, settings, status, created_at, updated_at,
             disabled_reason, failing_since, nonce, deleted_at, sealed,
             ARRAY(SELECT key FROM secrets WHERE webhook = webhooks.key ORDER BY key DESC),
             ARRAY(SELECT value FROM secrets WHERE webhook = webhooks.key ORDER BY key DESC),
             ARRAY(SELECT sealed FROM secrets WHERE webhook = webhooks.key ORDER BY key DESC),
             ARRAY(SELECT created_at FROM secrets WHERE webhook = webhooks.key ORDER BY key DESC),
             ARRAY(SELECT expires_at FROM secrets WHERE webhook = webhooks.key ORDER BY key DESC)"
    };
}

macro_rules! select_or_deleted {
    ($($rest:literal),+) => {
        concat!("SELECT ", columns!(), " FROM webhooks WHERE ", $($rest),+)
    };
}

macro_rules! select {
    ($rest:literal) => {
        select_or_deleted!("deleted_at IS NULL AND ", $rest)
    };
}

fn read(row: &Row, ring: &KeyRing) -> Result<Webhook, Failure> {
    let id: &[u8] = row.try_get(1)?;
    let columns = Columns {
        key: get(row, 0)?,
        id: id.try_into().map_err(|_| Failure::Corrupt("the id of a webhook".to_owned()))?,
        tenant: get(row, 2)?,
        revision: get(row, 3)?,
        settings: get(row, 4)?,
        status: get(row, 5)?,
        created_at: get(row, 6)?,
        updated_at: get(row, 7)?,
        disabled_reason: get(row, 8)?,
        failing_since: get(row, 9)?,
        nonce: get(row, 10)?,
        deleted_at: get(row, 11)?,
        sealed: get(row, 12)?,
    };
    let secrets = secrets(row, &columns.id, ring)?;
    Ok(webhook(columns, secrets, ring)?)
}

fn secrets(row: &Row, webhook: &[u8; 16], ring: &KeyRing) -> Result<Vec<StoredSecret>, Failure> {
    let keys: Vec<i64> = row.try_get(13)?;
    let values: Vec<&str> = row.try_get(14)?;
    let sealed: Vec<Option<&[u8]>> = row.try_get(15)?;
    let created: Vec<i64> = row.try_get(16)?;
    let ends: Vec<Option<i64>> = row.try_get(17)?;
    let rows = keys.into_iter().zip(values).zip(sealed).zip(created.into_iter().zip(ends));
    rows.map(|(((key, value), sealed), (created_at, expires_at))| {
        Ok(secret(webhook, &SecretColumns { key, value, sealed, created_at, expires_at }, ring)?)
    })
    .collect()
}

/// One webhook.
pub(super) async fn by_id(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    id: WebhookId,
) -> Result<Option<Webhook>, Failure> {
    let sql = select!("id = $1 AND tenant = $2");
    sql::one(conn, sql, &[&id.as_bytes().as_slice(), &tenant.0], |row| read(row, ring)).await
}

/// One webhook, also when it is deleted.
pub(super) async fn by_id_or_deleted(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    id: WebhookId,
) -> Result<Option<Webhook>, Failure> {
    let sql = select_or_deleted!("id = $1 AND tenant = $2");
    sql::one(conn, sql, &[&id.as_bytes().as_slice(), &tenant.0], |row| read(row, ring)).await
}

/// One webhook by its row.
pub(super) async fn by_key(
    conn: &Connection,
    ring: &KeyRing,
    key: WebhookKey,
) -> Result<Option<Webhook>, Failure> {
    sql::one(conn, select!("key = $1"), &[&key.0], |row| read(row, ring)).await
}

/// Webhooks by their rows.
pub(super) const OF_KEYS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM unnest($1::bigint[]) AS wanted (webhook) CROSS JOIN LATERAL (
         SELECT * FROM webhooks WHERE webhooks.key = wanted.webhook AND deleted_at IS NULL LIMIT 1
     ) AS webhooks"
);

/// Webhooks by their rows, the newest first.
pub(super) async fn of_keys(
    conn: &Connection,
    ring: &KeyRing,
    keys: &[i64],
) -> Result<Vec<Webhook>, Failure> {
    let mut webhooks = sql::many(conn, OF_KEYS, &[&keys], |row| read(row, ring)).await?;
    webhooks.sort_unstable_by_key(|webhook| std::cmp::Reverse(webhook.key));
    Ok(webhooks)
}

/// The tenant's webhooks, newest first.
pub(super) async fn list(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    page: Page,
) -> Result<Listed<Webhook>, Failure> {
    let sql = select!("tenant = $1 AND key < $2 ORDER BY key DESC LIMIT $3");
    let values = (before(page), wanted(page));
    let rows =
        sql::many(conn, sql, &[&tenant.0, &values.0, &values.1], |row| Ok((get(row, 0)?, read(row, ring)?)))
            .await?;
    Ok(listed(rows, page))
}

/// Counts the webhooks of one dialect.
pub(super) const COUNT_IN: &str =
    "SELECT count(*) FROM webhooks WHERE deleted_at IS NULL AND tenant = $1 AND dialect = $2";

/// The webhooks of one dialect, the oldest first.
pub(super) const OLDEST_IN: &str = select!("tenant = $1 AND dialect = $2 ORDER BY key LIMIT $3 OFFSET $4");

/// The webhooks of one dialect, the newest first.
pub(super) const NEWEST_IN: &str =
    select!("tenant = $1 AND dialect = $2 ORDER BY key DESC LIMIT $3 OFFSET $4");

/// The tenant's webhooks of one dialect, and how many there are in all.
pub(super) async fn list_in(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    slice: WebhookSlice,
) -> Result<(Vec<Webhook>, u64), Failure> {
    let dialect = slice.dialect.as_str();
    let total = sql::value(conn, COUNT_IN, &[&tenant.0, &dialect]).await?.unwrap_or_default();
    let sql = if slice.newest_first { NEWEST_IN } else { OLDEST_IN };
    let column = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let (limit, offset) = (column(slice.limit), column(slice.offset));
    let webhooks =
        sql::many(conn, sql, &[&tenant.0, &dialect, &limit, &offset], |row| read(row, ring)).await?;
    Ok((webhooks, natural(total)?))
}

/// All webhooks of a tenant.
pub(super) async fn all(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
) -> Result<Vec<Webhook>, Failure> {
    sql::many(conn, select!("tenant = $1 ORDER BY key"), &[&tenant.0], |row| read(row, ring)).await
}
