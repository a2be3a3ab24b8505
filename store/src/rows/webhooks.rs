//! Rows of webhooks and their secrets.

use callboard_domain::id::{TenantKey, WebhookId, WebhookKey};
use callboard_domain::signing::Secret;
use callboard_domain::webhook::{StoredSecret, Webhook};

use super::{Corrupt, settings, status, timestamp, timestamp_option};

/// Most webhooks ever: the keys are told as 32-bit numbers in one dialect.
const MOST: i64 = i32::MAX as i64;

/// The key of a new webhook, if it is one that can be told.
pub(crate) fn new_key(key: i64) -> Result<WebhookKey, Corrupt> {
    if key > MOST {
        return Err(Corrupt("there are no numbers left for webhooks".to_owned()));
    }
    Ok(WebhookKey(key))
}

/// The columns of a webhook, as they are read.
pub(crate) struct Columns {
    pub(crate) key: i64,
    pub(crate) id: [u8; 16],
    pub(crate) tenant: i64,
    pub(crate) revision: i64,
    pub(crate) settings: String,
    pub(crate) status: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) failing_since: Option<i64>,
    pub(crate) nonce: Option<String>,
    pub(crate) deleted_at: Option<i64>,
}

/// The webhook that a row tells of, with its secrets.
pub(crate) fn webhook(columns: Columns, secrets: Vec<StoredSecret>) -> Result<Webhook, Corrupt> {
    Ok(Webhook {
        key: WebhookKey(columns.key),
        id: WebhookId::from_bytes(columns.id),
        tenant: TenantKey(columns.tenant),
        revision: columns.revision,
        settings: settings(&columns.settings, columns.key)?,
        status: status(&columns.status)?,
        secrets,
        created_at: timestamp(columns.created_at)?,
        updated_at: timestamp(columns.updated_at)?,
        disabled_reason: columns.disabled_reason,
        failing_since: timestamp_option(columns.failing_since)?,
        nonce: columns.nonce,
        deleted_at: timestamp_option(columns.deleted_at)?,
    })
}

/// The secret that a row tells of.
pub(crate) fn secret(
    webhook: i64,
    text: &str,
    created_at: i64,
    expires_at: Option<i64>,
) -> Result<StoredSecret, Corrupt> {
    let secret = Secret::from_text(text).map_err(|_| Corrupt(format!("a secret of webhook {webhook}")))?;
    let created_at = timestamp(created_at)?;
    Ok(StoredSecret { secret, created_at, expires_at: timestamp_option(expires_at)? })
}
