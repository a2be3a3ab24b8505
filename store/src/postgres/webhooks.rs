//! Webhooks and their signing secrets.

use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::store::{Edited, Listed, NewWebhook, Page, WebhookEdit, WebhookSlice};
use callboard_domain::webhook::Webhook;

use super::failure::Failure;
use super::sql::Connection;

/// Makes a webhook.
pub(super) async fn create(
    conn: &Connection,
    tenant: TenantKey,
    new: &NewWebhook,
    settings: &str,
) -> Result<Webhook, Failure> {
    let _ = (conn, tenant, new, settings);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Edits a webhook that is still at `revision`. With another status it starts afresh: what it failed before no longer counts.
pub(super) async fn update(
    conn: &Connection,
    tenant: TenantKey,
    id: WebhookId,
    revision: i64,
    pair4: (&WebhookEdit, &str),
    now: Timestamp,
) -> Result<Option<Edited>, Failure> {
    let _ = (conn, tenant, id, revision, pair4, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Disables a webhook, unless it is disabled already: many attempts may find
/// out at the same time, and only one of them has done it. That is an edit:
/// one that knows nothing of it would enable the webhook again.
pub(super) async fn disable(
    conn: &Connection,
    key: WebhookKey,
    reason: &str,
    now: Timestamp,
) -> Result<Option<Webhook>, Failure> {
    let _ = (conn, key, reason, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Notes since when a webhook fails.
pub(super) async fn set_failing_since(
    conn: &Connection,
    key: WebhookKey,
    since: Option<Timestamp>,
) -> Result<Option<Timestamp>, Failure> {
    let _ = (conn, key, since);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Deletes a webhook. Its row stays, so that its key is not used again; its
/// secrets have nothing left to sign.
pub(super) async fn delete(
    conn: &Connection,
    tenant: TenantKey,
    id: WebhookId,
    now: Timestamp,
) -> Result<Option<WebhookKey>, Failure> {
    let _ = (conn, tenant, id, now);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// Puts a new secret before the others.
pub(super) async fn rotate(
    conn: &Connection,
    tenant: TenantKey,
    id: WebhookId,
    secret: &Secret,
    now: Timestamp,
    overlap_until: Timestamp,
) -> Result<Option<Webhook>, Failure> {
    let _ = (conn, tenant, id, secret, now, overlap_until);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// One webhook.
pub(super) async fn by_id(
    conn: &Connection,
    tenant: TenantKey,
    id: WebhookId,
) -> Result<Option<Webhook>, Failure> {
    let _ = (conn, tenant, id);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// One webhook, also when it is deleted.
pub(super) async fn by_id_or_deleted(
    conn: &Connection,
    tenant: TenantKey,
    id: WebhookId,
) -> Result<Option<Webhook>, Failure> {
    let _ = (conn, tenant, id);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// One webhook by its row.
pub(super) async fn by_key(conn: &Connection, key: WebhookKey) -> Result<Option<Webhook>, Failure> {
    let _ = (conn, key);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// The tenant's webhooks, newest first.
pub(super) async fn list(
    conn: &Connection,
    tenant: TenantKey,
    page: Page,
) -> Result<Listed<Webhook>, Failure> {
    let _ = (conn, tenant, page);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// The tenant's webhooks of one dialect, and how many there are in all.
pub(super) async fn list_in(
    conn: &Connection,
    tenant: TenantKey,
    slice: WebhookSlice,
) -> Result<(Vec<Webhook>, u64), Failure> {
    let _ = (conn, tenant, slice);
    Err(Failure::Unavailable("not written yet".to_owned()))
}

/// All webhooks of a tenant.
pub(super) async fn all(conn: &Connection, tenant: TenantKey) -> Result<Vec<Webhook>, Failure> {
    let _ = (conn, tenant);
    Err(Failure::Unavailable("not written yet".to_owned()))
}
