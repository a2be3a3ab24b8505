//! What is failed now at the webhooks of a tenant: counted by reason, and listed.

use std::collections::HashMap;

use async_trait::async_trait;
use callboard_domain::delivery::{DeliverySummary, Reason, State};
use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::store::{FailedCount, FailedFilter, FailedGroups, FailedStore, Listed, Page, Result};

use super::PostgresStore;
use super::deliveries::summaries;
use super::failure::Failure;
use super::jobs::columns;
use super::sql::{self, Connection, get};
use super::transaction::reading;
use crate::rows::failed::{COUNTED, Counting, Merge, Part};
use crate::rows::{before, count, natural};

/// A tenant's webhooks, or one of them.
pub(super) const WEBHOOKS: &str = "SELECT key FROM webhooks
    WHERE tenant = $1 AND deleted_at IS NULL AND ($2::bigint IS NULL OR key = $2)";

async fn webhooks(
    conn: &Connection,
    tenant: TenantKey,
    webhook: Option<WebhookKey>,
) -> Result<Vec<i64>, Failure> {
    let webhook = webhook.map(|webhook| webhook.0);
    sql::many(conn, WEBHOOKS, &[&tenant.0, &webhook], |row| get(row, 0)).await
}

/// The newest of each webhook that are failed now, by reason.
pub(super) const COUNT: &str = "SELECT asked.webhook, failed.cause, failed.status, count(*),
        min(failed.started_at), max(failed.started_at), min(failed.delivery)
    FROM unnest($1::bigint[], $2::bigint[]) AS asked (webhook, before)
    CROSS JOIN LATERAL (
        SELECT delivery, cause, status, started_at FROM attempts
        WHERE attempts.webhook = asked.webhook AND state = 3 AND delivery < asked.before
        ORDER BY delivery DESC LIMIT $3
    ) AS failed
    GROUP BY asked.webhook, failed.cause, failed.status";

async fn groups(conn: &Connection, tenant: TenantKey) -> Result<FailedGroups, Failure> {
    let mut counting = Counting::new(webhooks(conn, tenant, None).await?, COUNTED);
    while let Some((open, share)) = counting.turn() {
        let (webhooks, before): (Vec<i64>, Vec<i64>) = open.into_iter().unzip();
        let parts = sql::many(conn, COUNT, &[&webhooks, &before, &share], |row| {
            Ok(Part {
                webhook: get(row, 0)?,
                cause: get(row, 1)?,
                status: get::<Option<i32>>(row, 2)?.and_then(|status| u16::try_from(status).ok()),
                count: get(row, 3)?,
                oldest: get(row, 4)?,
                newest: get(row, 5)?,
                lowest: get(row, 6)?,
            })
        })
        .await?;
        counting.take(share, parts);
    }
    Ok(counting.finish()?)
}

/// The newest of a webhook that are failed now, with these columns of them.
macro_rules! newest_of {
    ($columns:literal) => {
        concat!(
            "(SELECT ",
            $columns,
            " FROM attempts
              WHERE webhook = $1 AND state = 3
                  AND EXISTS (SELECT FROM webhooks WHERE key = $1 AND tenant = $2 AND deleted_at IS NULL)
              ORDER BY delivery DESC LIMIT $3) AS newest"
        )
    };
}

/// How many of them were looked at, told by the index alone.
pub(super) const ALL: &str = concat!("SELECT count(*), count(*) FROM ", newest_of!(""));

/// How many of them were looked at, and how many failed so.
pub(super) const ALIKE: &str = concat!(
    "SELECT count(*), count(*) FILTER (
         WHERE ($4::text IS NULL OR cause = $4) AND ($5::integer IS NULL OR status = $5)
     ) FROM ",
    newest_of!("cause, status")
);

async fn alike(
    conn: &Connection,
    (tenant, webhook): (TenantKey, WebhookKey),
    reason: Option<Reason>,
    most: u64,
) -> Result<FailedCount, Failure> {
    let (cause, status) = columns(reason);
    let limit = most.cast_signed();
    let values: sql::Values<'_> = &[&webhook.0, &tenant.0, &limit, &cause, &status];
    let (sql, values) = if reason.is_none() { (ALL, &values[..3]) } else { (ALIKE, values) };
    let counted = sql::one(conn, sql, values, |row| {
        Ok(FailedCount { count: natural(get(row, 1)?)?, capped: natural(get(row, 0)?)? >= most })
    });
    Ok(counted.await?.unwrap_or_default())
}

/// The newest of each webhook that is failed now.
pub(super) const NEWEST: &str = "SELECT asked.webhook, failed.delivery
    FROM unnest($1::bigint[]) AS asked (webhook)
    CROSS JOIN LATERAL (
        SELECT delivery FROM attempts
        WHERE attempts.webhook = asked.webhook AND state = 3 AND delivery < $2
        ORDER BY delivery DESC LIMIT 1
    ) AS failed";

/// What of each webhook is failed now, the newest first, with whether it failed so.
pub(super) const ROWS: &str = "SELECT asked.webhook, failed.delivery,
        ($4::text IS NULL OR failed.cause = $4) AND ($5::integer IS NULL OR failed.status = $5)
    FROM unnest($1::bigint[]) AS asked (webhook)
    CROSS JOIN LATERAL (
        SELECT delivery, cause, status FROM attempts
        WHERE attempts.webhook = asked.webhook AND state = 3 AND delivery < $2
        ORDER BY delivery DESC LIMIT $3
    ) AS failed";

async fn list(
    conn: &Connection,
    tenant: TenantKey,
    filter: &FailedFilter,
    page: Page,
) -> Result<Listed<DeliverySummary>, Failure> {
    let below = before(page);
    let all = webhooks(conn, tenant, filter.webhook).await?;
    let newest = sql::many(conn, NEWEST, &[&all, &below], |row| Ok((get(row, 0)?, get(row, 1)?))).await?;
    let (mut merge, webhooks) = Merge::of(newest, filter.reason.is_none(), page);
    let (cause, status) = columns(filter.reason);
    let values: sql::Values<'_> = &[&webhooks, &below, &count(merge.share), &cause, &status];
    let rows = sql::many(conn, ROWS, values, |row| {
        let fits: Option<bool> = get(row, 2)?;
        Ok((get::<i64>(row, 0)?, (get::<i64>(row, 1)?, fits == Some(true))))
    })
    .await?;
    let mut of_webhooks: HashMap<i64, Vec<(i64, bool)>> = HashMap::new();
    for (webhook, row) in rows {
        of_webhooks.entry(webhook).or_default().push(row);
    }
    for rows in of_webhooks.values() {
        merge.take(rows);
    }
    let (keys, next) = merge.cut();
    let mut items = summaries(conn, &keys).await?;
    items.retain(|item| item.state == State::Failed);
    Ok(Listed { items, next })
}

#[async_trait]
impl FailedStore for PostgresStore {
    async fn failed_groups(&self, tenant: TenantKey) -> Result<FailedGroups> {
        reading!(&self.pool, |conn| groups(conn, tenant))
    }

    async fn count_failed(
        &self,
        tenant: TenantKey,
        webhook: WebhookKey,
        reason: Option<Reason>,
        most: u64,
    ) -> Result<FailedCount> {
        reading!(&self.pool, |conn| alike(conn, (tenant, webhook), reason, most))
    }

    async fn list_failed(
        &self,
        tenant: TenantKey,
        filter: FailedFilter,
        page: Page,
    ) -> Result<Listed<DeliverySummary>> {
        reading!(&self.pool, |conn| list(conn, tenant, &filter, page))
    }
}
