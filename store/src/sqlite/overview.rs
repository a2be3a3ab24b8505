//! Reads over many webhooks at a time.

use std::path::PathBuf;

use async_trait::async_trait;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::stats::{QUEUED_COUNTED, WebhookStats};
use callboard_domain::store::{
    BACKLOG_COUNTED, Backlog, Listed, OverviewStore, Page, Result, Space, StoreError, VITALS_DELIVERIES,
    VITALS_QUEUED, Vitals, WebhookCounts, WebhookFilter,
};
use callboard_domain::webhook::Webhook;
use rusqlite::{Connection, Row};

use super::failure::Failure;
use super::{SqliteStore, attempts, claims, log_index, sql, stats, webhooks};
use crate::rows::counts::bucket;
use crate::rows::looked::{Looked, look};
use crate::rows::overview::{Sought, latest};
use crate::rows::{before, count, micros, natural};
use crate::sealing::KeyRing;

/// The tenant's webhooks, newest first, as far as filters ask about them.
pub(super) const LOOKED_AT: &str = "SELECT key, status, dialect, failing_since, settings FROM webhooks
    WHERE deleted_at IS NULL AND tenant = ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3";

/// A page of the tenant's webhooks. Only those that fit are read whole, because to open
/// what is sealed costs the most.
fn find(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    filter: &WebhookFilter,
    page: Page,
) -> Result<Listed<Webhook>, Failure> {
    let sought = Sought::new(filter);
    let look = look(page, false);
    let mut statement = conn.prepare_cached(LOOKED_AT)?;
    let mut rows = statement.query((tenant.0, before(page), count(look)))?;
    let (mut fitting, mut last, mut looked_at) = (Vec::new(), None, 0);
    while fitting.len() <= page.limit.max(1)
        && let Some(row) = rows.next()?
    {
        looked_at += 1;
        let key = row.get(0)?;
        last = Some(key);
        if fits(&sought, row)? {
            fitting.push(key);
        }
    }
    let (keys, next) = Looked { fitting, last: last.filter(|_| looked_at == look) }.cut(page);
    let mut items = Vec::with_capacity(keys.len());
    for key in keys {
        items.extend(webhooks::by_key(conn, ring, WebhookKey(key))?);
    }
    Ok(Listed { items, next })
}

fn fits(sought: &Sought, row: &Row<'_>) -> Result<bool, Failure> {
    let text = |column| Ok::<_, Failure>(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?);
    Ok(sought.fits(text(1)?, text(2)?, row.get::<_, Option<i64>>(3)?.is_some())
        && (!sought.asks_for_text() || sought.fits_text(text(4)?)?))
}

/// How many webhooks a tenant has of each kind.
pub(super) const COUNTS: &str = "SELECT count(*), count(*) FILTER (WHERE status = 'active'),
        count(*) FILTER (WHERE status = 'paused'), count(*) FILTER (WHERE status = 'disabled'), count(failing_since)
    FROM webhooks WHERE deleted_at IS NULL AND tenant = ?1";

fn counts(conn: &Connection, tenant: TenantKey) -> Result<WebhookCounts, Failure> {
    let counts = sql::one(conn, COUNTS, [tenant.0], |row| {
        let count = |column: usize| Ok::<_, Failure>(natural(row.get(column)?)?);
        let (all, active, paused) = (count(0)?, count(1)?, count(2)?);
        Ok(WebhookCounts { all, active, paused, disabled: count(3)?, failing: count(4)? })
    })?;
    Ok(counts.unwrap_or_default())
}

fn vitals(conn: &Connection, webhooks: &[WebhookKey], since: Timestamp) -> Result<Vec<Vitals>, Failure> {
    let newest = log_index::newest_of_each(conn, webhooks, VITALS_DELIVERIES)?;
    let one = |webhook: &WebhookKey| {
        let buckets = stats::buckets(conn, *webhook, since)?;
        let (queued, _) = stats::queued(conn, *webhook, VITALS_QUEUED)?;
        let mut tried = Vec::new();
        for delivery in newest.get(webhook).into_iter().flatten() {
            let last = attempts::of_delivery(conn, *delivery, 1)?.pop();
            tried.extend(last.map(|row| (*delivery, row.logged)));
        }
        Ok(Vitals { buckets, queued, last_attempt: latest(tried) })
    };
    webhooks.iter().map(one).collect()
}

/// The hours of a tenant, the oldest first.
pub(super) const BUCKETS: &str =
    "SELECT * FROM tenant_stats WHERE tenant = ?1 AND bucket >= ?2 ORDER BY bucket";

/// How much waits for a tenant, told by the index alone.
pub(super) const QUEUED: &str = "SELECT count(*), min(delivery) FROM (
        SELECT pending.delivery FROM webhooks CROSS JOIN pending ON pending.webhook = webhooks.key
        WHERE webhooks.tenant = ?1 AND webhooks.deleted_at IS NULL LIMIT ?2)";

fn of_tenant(conn: &Connection, tenant: TenantKey, since: Timestamp) -> Result<WebhookStats, Failure> {
    let buckets = sql::many(conn, BUCKETS, (tenant.0, bucket(micros(since))), stats::read_bucket)?;
    let limit = QUEUED_COUNTED.cast_signed();
    let queued = sql::one(conn, QUEUED, (tenant.0, limit), stats::read_queued)?;
    let (queued, oldest) = queued.unwrap_or_default();
    Ok(WebhookStats { buckets, queued, oldest_queued_at: stats::accepted_at(conn, oldest)? })
}

/// How many deliveries have a row, told by the index alone.
pub(super) const WAITING_IN_ALL: &str =
    "SELECT count(*) FROM (SELECT 1 FROM pending INDEXED BY pending_due LIMIT ?1)";

fn backlog(conn: &Connection, now: Timestamp) -> Result<Backlog, Failure> {
    let most = BACKLOG_COUNTED.cast_signed();
    let deliveries = natural(sql::value(conn, WAITING_IN_ALL, [most])?.unwrap_or(0))?;
    let due = claims::waiting(conn)?.into_iter().map(|(_, due)| due);
    Ok(Backlog { deliveries, due_since: due.min().filter(|due| *due <= now) })
}

/// Bytes of the file that hold nothing.
fn free_bytes(conn: &Connection) -> Result<u64, Failure> {
    let pages = sql::value(conn, "PRAGMA freelist_count", [])?.unwrap_or(0);
    let size = sql::value(conn, "PRAGMA page_size", [])?.unwrap_or(0);
    Ok(natural(pages)? * natural(size)?)
}

/// Bytes that the file takes, with the log of what is not in it yet.
fn bytes(path: PathBuf) -> std::io::Result<u64> {
    let file = std::fs::metadata(&path)?.len();
    let mut log = path.into_os_string();
    log.push("-wal");
    match std::fs::metadata(log) {
        Ok(log) => Ok(file + log.len()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(file),
        Err(error) => Err(error),
    }
}

#[async_trait]
impl OverviewStore for SqliteStore {
    async fn find_webhooks(
        &self,
        tenant: TenantKey,
        filter: WebhookFilter,
        page: Page,
    ) -> Result<Listed<Webhook>> {
        let ring = self.ring();
        self.readers.run(move |conn| find(conn, &ring, tenant, &filter, page)).await
    }

    async fn count_webhooks(&self, tenant: TenantKey) -> Result<WebhookCounts> {
        self.readers.run(move |conn| counts(conn, tenant)).await
    }

    async fn vitals(&self, webhooks: Vec<WebhookKey>, since: Timestamp) -> Result<Vec<Vitals>> {
        self.read_pending(move |conn| vitals(conn, &webhooks, since)).await
    }

    async fn tenant_stats(&self, tenant: TenantKey, since: Timestamp) -> Result<WebhookStats> {
        self.read_pending(move |conn| of_tenant(conn, tenant, since)).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog> {
        // What is under way has no row, and does not need one for this.
        self.readers.run(move |conn| backlog(conn, now)).await
    }

    async fn space(&self) -> Result<Space> {
        let path = self.readers.path().to_owned();
        let read = move |conn: &Connection| Ok((bytes(path), free_bytes(conn)?));
        let (bytes, free_bytes) = self.readers.run(read).await?;
        let bytes = bytes.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Space { bytes, free_bytes: Some(free_bytes) })
    }
}
