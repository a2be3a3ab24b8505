//! Reads over many webhooks at a time.

use async_trait::async_trait;
use callboard_domain::clock::Timestamp;
use callboard_domain::id::{TenantKey, WebhookKey};
use callboard_domain::stats::{QUEUED_COUNTED, WebhookStats};
use callboard_domain::store::{
    BACKLOG_COUNTED, Backlog, Listed, OverviewStore, Page, Result, Space, VITALS_DELIVERIES, VITALS_QUEUED,
    Vitals, WebhookCounts, WebhookFilter,
};
use callboard_domain::webhook::Webhook;
use tokio_postgres::Row;

use super::attempts::{self, attempt_columns};
use super::failure::Failure;
use super::sql::{self, Connection, Values, get};
use super::stats::{self, sums};
use super::transaction::{asking, reading};
use super::{PostgresStore, claims, webhooks};
use crate::rows::counts::bucket;
use crate::rows::looked::{Looked, look};
use crate::rows::overview::Sought;
use crate::rows::{before, count, micros, natural};
use crate::sealing::KeyRing;

/// Webhooks looked at in one statement: their settings may be long.
const PIECE: usize = 200;

/// The tenant's webhooks, newest first, as far as filters ask about them.
pub(super) const LOOKED_AT: &str = "SELECT key, status, dialect, failing_since IS NOT NULL,
        CASE WHEN $4 THEN settings END
    FROM webhooks WHERE deleted_at IS NULL AND tenant = $1 AND key < $2 ORDER BY key DESC LIMIT $3";

/// A page of the tenant's webhooks. Only those that fit are read whole, because to open
/// what is sealed costs the most.
async fn find(
    conn: &Connection,
    ring: &KeyRing,
    tenant: TenantKey,
    filter: &WebhookFilter,
    page: Page,
) -> Result<Listed<Webhook>, Failure> {
    let sought = Sought::new(filter);
    let (mut left, mut next, mut fitting) = (look(page, false), Some(before(page)), Vec::new());
    while fitting.len() <= page.limit.max(1)
        && left > 0
        && let Some(before) = next
    {
        let piece = left.min(PIECE);
        let (limit, with_settings) = (count(piece), sought.asks_for_text());
        let values: Values<'_> = &[&tenant.0, &before, &limit, &with_settings];
        let read = |row: &Row| Ok((get::<i64>(row, 0)?, fits(&sought, row)?));
        let looked_at = sql::many(conn, LOOKED_AT, values, read).await?;
        next = looked_at.last().map(|(key, _)| *key).filter(|_| looked_at.len() == piece);
        left -= piece;
        fitting.extend(looked_at.into_iter().filter(|(_, fits)| *fits).map(|(key, _)| key));
    }
    let (keys, next) = Looked { fitting, last: next }.cut(page);
    Ok(Listed { items: webhooks::of_keys(conn, ring, &keys).await?, next })
}

fn fits(sought: &Sought, row: &Row) -> Result<bool, Failure> {
    let settings: Option<&str> = row.try_get(4)?;
    Ok(sought.fits(row.try_get(1)?, row.try_get(2)?, get(row, 3)?)
        && settings.map_or(Ok(true), |settings| sought.fits_text(settings))?)
}

/// How many webhooks a tenant has of each kind.
pub(super) const COUNTS: &str = "SELECT count(*), count(*) FILTER (WHERE status = 'active'),
        count(*) FILTER (WHERE status = 'paused'), count(*) FILTER (WHERE status = 'disabled'), count(failing_since)
    FROM webhooks WHERE deleted_at IS NULL AND tenant = $1";

async fn counts(conn: &Connection, tenant: TenantKey) -> Result<WebhookCounts, Failure> {
    let read = |row: &Row| {
        let count = |column| Ok::<_, Failure>(natural(get(row, column)?)?);
        let (all, active, paused) = (count(0)?, count(1)?, count(2)?);
        Ok(WebhookCounts { all, active, paused, disabled: count(3)?, failing: count(4)? })
    };
    Ok(sql::one(conn, COUNTS, &[&tenant.0], read).await?.unwrap_or_default())
}

/// Hours of webhooks, each with the place of its webhook among those asked for.
pub(super) const BUCKETS: &str = concat!(
    "SELECT hours.*, wanted.place - 1 FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (webhook, place)
     CROSS JOIN LATERAL (
         SELECT bucket, ",
    sums!(),
    " FROM stats WHERE stats.webhook = wanted.webhook AND bucket >= $2 GROUP BY bucket ORDER BY bucket
     ) AS hours"
);

/// How much waits for each of some webhooks, told by the index alone.
pub(super) const QUEUED_OF_EACH: &str = "SELECT wanted.place - 1, (
        SELECT count(*) FROM (SELECT FROM pending WHERE webhook = wanted.webhook LIMIT $2) AS queued
    ) FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (webhook, place)";

/// The latest of the last attempts of the newest deliveries of each of some webhooks,
/// but for what was never sent.
pub(super) const LAST_OF_EACH: &str = concat!(
    "SELECT wanted.place - 1, latest.* FROM unnest($1::bigint[]) WITH ORDINALITY AS wanted (webhook, place)
     CROSS JOIN LATERAL (
         SELECT ",
    attempt_columns!(),
    " FROM (
             SELECT delivery FROM (
                 (SELECT delivery FROM pending WHERE webhook = wanted.webhook ORDER BY delivery DESC LIMIT $2)
                 UNION
                 (SELECT delivery FROM attempts WHERE webhook = wanted.webhook AND number = 1
                  ORDER BY delivery DESC LIMIT $2)
             ) AS known ORDER BY delivery DESC LIMIT $2
         ) AS newest CROSS JOIN LATERAL (
             SELECT * FROM attempts WHERE attempts.delivery = newest.delivery ORDER BY number DESC LIMIT 1
         ) AS last
         WHERE cause IS NULL OR cause NOT IN ('cancelled', 'superseded')
         ORDER BY started_at DESC, last.delivery DESC LIMIT 1
     ) AS latest"
);

async fn vitals(
    conn: &Connection,
    webhooks: &[WebhookKey],
    since: Timestamp,
) -> Result<Vec<Vitals>, Failure> {
    let keys: Vec<i64> = webhooks.iter().map(|webhook| webhook.0).collect();
    let (since, most, deliveries) =
        (bucket(micros(since)), VITALS_QUEUED.cast_signed(), count(VITALS_DELIVERIES));
    let mut vitals = vec![Vitals::default(); webhooks.len()];
    let read_hour = |row: &Row| Ok((get(row, stats::COLUMNS)?, stats::read_bucket(row)?));
    for (place, hour) in sql::many(conn, BUCKETS, &[&keys, &since], read_hour).await? {
        at(&mut vitals, place)?.buckets.push(hour);
    }
    let read_queued = |row: &Row| Ok((get(row, 0)?, natural(get(row, 1)?)?));
    for (place, queued) in sql::many(conn, QUEUED_OF_EACH, &[&keys, &most], read_queued).await? {
        at(&mut vitals, place)?.queued = queued;
    }
    let read_last = |row: &Row| Ok((get(row, 0)?, attempts::read(row, 1)?));
    for (place, last) in sql::many(conn, LAST_OF_EACH, &[&keys, &deliveries], read_last).await? {
        at(&mut vitals, place)?.last_attempt = Some(last);
    }
    Ok(vitals)
}

/// Those of the webhook at this place.
fn at(vitals: &mut [Vitals], place: i64) -> Result<&mut Vitals, Failure> {
    let found = usize::try_from(place).ok().and_then(|place| vitals.get_mut(place));
    found.ok_or_else(|| Failure::Corrupt("a webhook that was not asked for".to_owned()))
}

/// The hours of a tenant, the oldest first.
pub(super) const BUCKETS_OF_TENANT: &str = concat!(
    "SELECT bucket, ",
    sums!(),
    " FROM tenant_stats WHERE tenant = $1 AND bucket >= $2 GROUP BY bucket ORDER BY bucket"
);

/// How much waits for a tenant, told by the index alone.
pub(super) const QUEUED_OF_TENANT: &str = "SELECT count(*), min(delivery) FROM (
        SELECT delivery FROM webhooks CROSS JOIN LATERAL (
            SELECT delivery FROM pending WHERE webhook = webhooks.key ORDER BY delivery LIMIT $2
        ) AS waiting
        WHERE tenant = $1 AND deleted_at IS NULL LIMIT $2
    ) AS queued";

async fn of_tenant(conn: &Connection, tenant: TenantKey, since: Timestamp) -> Result<WebhookStats, Failure> {
    let values = (tenant.0, bucket(micros(since)));
    let buckets = sql::many(conn, BUCKETS_OF_TENANT, &[&values.0, &values.1], stats::read_bucket).await?;
    let most = QUEUED_COUNTED.cast_signed();
    let queued = sql::one(conn, QUEUED_OF_TENANT, &[&tenant.0, &most], stats::read_queued).await?;
    let (queued, oldest) = queued.unwrap_or_default();
    Ok(WebhookStats { buckets, queued, oldest_queued_at: stats::accepted_at(conn, oldest).await? })
}

/// How many deliveries have a row, told by the index alone. The rows of no webhook
/// have keys below zero.
pub(super) const WAITING_IN_ALL: &str =
    "SELECT count(*) FROM (SELECT FROM pending WHERE webhook > 0 LIMIT $1) AS waiting";

async fn backlog(conn: &Connection, now: Timestamp) -> Result<Backlog, Failure> {
    let most = BACKLOG_COUNTED.cast_signed();
    let deliveries = sql::value::<i64>(conn, WAITING_IN_ALL, &[&most]).await?;
    let due = claims::waiting(conn).await?.into_iter().map(|(_, due)| due);
    Ok(Backlog {
        deliveries: natural(deliveries.unwrap_or_default())?,
        due_since: due.min().filter(|due| *due <= now),
    })
}

/// What the tables of the schema take, with their indexes; others may share the
/// database.
const BYTES: &str = "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
    WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'S')";

#[async_trait]
impl OverviewStore for PostgresStore {
    async fn find_webhooks(
        &self,
        tenant: TenantKey,
        filter: WebhookFilter,
        page: Page,
    ) -> Result<Listed<Webhook>> {
        reading!(&self.pool, |conn| find(conn, &self.ring, tenant, &filter, page))
    }

    async fn count_webhooks(&self, tenant: TenantKey) -> Result<WebhookCounts> {
        asking!(self.pool, |conn| counts(conn, tenant))
    }

    async fn vitals(&self, webhooks: Vec<WebhookKey>, since: Timestamp) -> Result<Vec<Vitals>> {
        reading!(&self.pool, |conn| vitals(conn, &webhooks, since))
    }

    async fn tenant_stats(&self, tenant: TenantKey, since: Timestamp) -> Result<WebhookStats> {
        reading!(&self.pool, |conn| of_tenant(conn, tenant, since))
    }

    async fn backlog(&self, now: Timestamp) -> Result<Backlog> {
        asking!(self.pool, |conn| backlog(conn, now))
    }

    async fn space(&self) -> Result<Space> {
        let bytes = asking!(self.pool, |conn| sql::value::<i64>(conn, BYTES, &[]))?;
        let bytes = natural(bytes.unwrap_or_default()).map_err(Failure::from)?;
        Ok(Space { bytes, free_bytes: None })
    }
}
