//! What is failed now at the webhooks of a tenant: counted by reason, and listed.

use async_trait::async_trait;
use callboard_domain::delivery::{DeliverySummary, Reason, State};
use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::store::{FailedCount, FailedFilter, FailedGroups, FailedStore, Listed, Page, Result};
use rusqlite::Connection;

use super::attempts::{NUMBERS, first_key};
use super::deliveries::{Wanted, standing, summary};
use super::failure::Failure;
use super::{SqliteStore, sql};
use crate::rows::failed::{COUNTED, Counting, Merge, Part};
use crate::rows::{before, cause_text, count, natural};

/// A tenant's webhooks, or one of them.
pub(super) const WEBHOOKS: &str =
    "SELECT key FROM webhooks WHERE tenant = ?1 AND deleted_at IS NULL AND (?2 IS NULL OR key = ?2)";

fn webhooks(conn: &Connection, tenant: TenantKey, webhook: Option<WebhookKey>) -> Result<Vec<i64>, Failure> {
    sql::many(conn, WEBHOOKS, (tenant.0, webhook.map(|webhook| webhook.0)), |row| Ok(row.get(0)?))
}

/// The newest of a webhook that are failed now, by reason.
pub(super) const COUNT: &str =
    "SELECT cause, status, count(*), min(started_at), max(started_at), min(key) FROM (
         SELECT key, cause, status, started_at FROM attempts
         WHERE webhook = ?1 AND state = 3 AND key < ?2 ORDER BY key DESC LIMIT ?3
     ) GROUP BY cause, status";

fn groups(conn: &Connection, tenant: TenantKey) -> Result<FailedGroups, Failure> {
    let mut counting = Counting::new(webhooks(conn, tenant, None)?, COUNTED);
    while let Some((open, share)) = counting.turn() {
        let mut parts = Vec::new();
        for (webhook, before) in open {
            parts.extend(sql::many(conn, COUNT, (webhook, before, share), |row| {
                let (cause, status, count) = (row.get(0)?, row.get(1)?, row.get(2)?);
                let (oldest, newest, lowest) = (row.get(3)?, row.get(4)?, row.get(5)?);
                Ok(Part { webhook, cause, status, count, oldest, newest, lowest })
            })?);
        }
        counting.take(share, parts);
    }
    Ok(counting.finish()?)
}

/// How many were looked at of the newest of a webhook that are failed now, and how many
/// of them failed so.
pub(super) const ALIKE: &str = "SELECT count(*),
        count(*) FILTER (WHERE (?4 IS NULL OR cause IS ?4) AND (?5 IS NULL OR status IS ?5)) FROM (
     SELECT cause, status FROM attempts
     WHERE webhook = ?1 AND state = 3
         AND EXISTS (SELECT 1 FROM webhooks WHERE key = ?1 AND tenant = ?2 AND deleted_at IS NULL)
     ORDER BY key DESC LIMIT ?3)";

fn alike(
    conn: &Connection,
    (tenant, webhook): (TenantKey, WebhookKey),
    reason: Option<Reason>,
    most: u64,
) -> Result<FailedCount, Failure> {
    let Reason { cause, status } = reason.unwrap_or_default();
    let values = (webhook.0, tenant.0, most.cast_signed(), cause.and_then(cause_text), status);
    let counted = sql::one(conn, ALIKE, values, |row| {
        Ok(FailedCount { count: natural(row.get(1)?)?, capped: natural(row.get(0)?)? >= most })
    })?;
    Ok(counted.unwrap_or_default())
}

/// The newest of a webhook that is failed now.
pub(super) const NEWEST: &str =
    "SELECT key FROM attempts WHERE webhook = ?1 AND state = 3 AND key < ?2 ORDER BY key DESC LIMIT 1";

/// What of a webhook is failed now, the newest first, with whether it failed so.
pub(super) const ROWS: &str =
    "SELECT key, (?4 IS NULL OR cause IS ?4) AND (?5 IS NULL OR status IS ?5) FROM attempts
     WHERE webhook = ?1 AND state = 3 AND key < ?2 ORDER BY key DESC LIMIT ?3";

fn list(
    conn: &Connection,
    tenant: TenantKey,
    filter: &FailedFilter,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let below = first_key(before(page));
    let mut newest = Vec::new();
    for webhook in webhooks(conn, tenant, filter.webhook)? {
        let key = sql::value::<i64>(conn, NEWEST, (webhook, below))?;
        newest.extend(key.map(|key| (webhook, key / NUMBERS)));
    }
    let (mut merge, webhooks) = Merge::of(newest, filter.reason.is_none(), page);
    let reason = filter.reason.unwrap_or_default();
    let cause = reason.cause.and_then(cause_text);
    for webhook in webhooks {
        let values = (webhook, below, count(merge.share), &cause, reason.status);
        merge.take(&sql::many(conn, ROWS, values, |row| Ok((row.get::<_, i64>(0)? / NUMBERS, row.get(1)?)))?);
    }
    let (keys, next) = merge.cut();
    let wanted = Wanted { tenant: Some(tenant), ..Wanted::default() };
    let mut items = Vec::with_capacity(keys.len());
    for delivery in keys {
        let standing = standing(conn, delivery)?.filter(|standing| standing.state == State::Failed);
        if let Some(standing) = standing {
            items.extend(summary(conn, standing, &wanted)?);
        }
    }
    Ok(Listed { items, next })
}

#[async_trait]
impl FailedStore for SqliteStore {
    async fn failed_groups(&self, tenant: TenantKey) -> Result<FailedGroups> {
        self.readers.run(move |conn| groups(conn, tenant)).await
    }

    async fn count_failed(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        most: u64,
    ) -> Result<FailedCount> {
        self.readers.run(move |conn| alike(conn, (tenant, webhook), reason, most)).await
    }

    async fn list_failed(
        &self,
        tenant: TenantKey,
        filter: FailedFilter,
        page: Page,
    ) -> Result<Listed<DeliverySummary>> {
        self.readers.run(move |conn| list(conn, tenant, &filter, page)).await
    }
}
