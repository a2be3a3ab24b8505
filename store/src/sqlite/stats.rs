//! Counts of attempts by webhook and hour, written once at the end of a
//! transaction, and what is told of them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use callboard_domain::clock::Timestamp;
use callboard_domain::id::WebhookKey;
use callboard_domain::stats::{LATENCY_CLASSES, QUEUED_COUNTED, StatsBucket, WebhookStats};
use rusqlite::{Connection, Row};

use super::failure::Failure;
use super::sql;
use crate::rows::counts::{Counts, bucket};
use crate::rows::{micros, natural, timestamp};

/// Adds to an hour in the table of this name.
macro_rules! add {
    ($table:literal) => {
        concat!(
            "INSERT INTO ",
            $table,
            " VALUES
                 (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
             ON CONFLICT DO UPDATE SET
                 delivered = delivered + ?3, failed_attempts = failed_attempts + ?4, given_up = given_up + ?5,
                 l0 = l0 + ?6, l1 = l1 + ?7, l2 = l2 + ?8, l3 = l3 + ?9,
                 l4 = l4 + ?10, l5 = l5 + ?11, l6 = l6 + ?12, l7 = l7 + ?13,
                 l8 = l8 + ?14, l9 = l9 + ?15, l10 = l10 + ?16, l11 = l11 + ?17,
                 l12 = l12 + ?18, l13 = l13 + ?19, l14 = l14 + ?20, l15 = l15 + ?21"
        )
    };
}

/// Adds to the hours of webhooks, and to those of their tenants. `tenants` remembers
/// whose each webhook is, which never changes.
pub(super) fn add(
    conn: &Connection,
    counted: impl IntoIterator<Item = ((i64, i64), Counts)>,
    tenants: &mut HashMap<i64, i64>,
) -> Result<(), Failure> {
    let mut of_tenants: HashMap<(i64, i64), Counts> = HashMap::new();
    if tenants.len() > REMEMBERED {
        tenants.clear();
    }
    for ((webhook, bucket), counts) in counted {
        run(conn, add!("stats"), (webhook, bucket), &counts)?;
        let tenant = match tenants.entry(webhook) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                let tenant = "SELECT tenant FROM webhooks WHERE key = ?1";
                let Some(tenant) = sql::value(conn, tenant, [webhook])? else { continue };
                *place.insert(tenant)
            }
        };
        of_tenants.entry((tenant, bucket)).or_default().add(&counts);
    }
    of_tenants.into_iter().try_for_each(|(hour, counts)| run(conn, add!("tenant_stats"), hour, &counts))
}

/// Webhooks of which it is remembered whose they are.
const REMEMBERED: usize = 65_536;

fn run(conn: &Connection, add: &str, (whose, bucket): (i64, i64), counts: &Counts) -> Result<(), Failure> {
    let mut values = vec![whose, bucket, counts.delivered, counts.failed_attempts, counts.given_up];
    values.extend(counts.latencies);
    sql::run(conn, add, rusqlite::params_from_iter(values)).map(drop)
}

/// How much waits for a webhook, told by the index alone.
pub(super) const QUEUED: &str = "SELECT count(*), min(delivery)
    FROM (SELECT delivery FROM pending WHERE webhook = ?1 LIMIT ?2)";

/// What happened to a webhook's deliveries since the hour of `since`, and
/// what waits.
pub(super) fn of_webhook(
    conn: &Connection,
    webhook: WebhookKey,
    since: Timestamp,
) -> Result<WebhookStats, Failure> {
    let buckets = buckets(conn, webhook, since)?;
    let (queued, oldest) = queued(conn, webhook, QUEUED_COUNTED)?;
    Ok(WebhookStats { buckets, queued, oldest_queued_at: accepted_at(conn, oldest)? })
}

/// A webhook's hours, the oldest first.
pub(super) fn buckets(
    conn: &Connection,
    webhook: WebhookKey,
    since: Timestamp,
) -> Result<Vec<StatsBucket>, Failure> {
    let sql = "SELECT * FROM stats WHERE webhook = ?1 AND bucket >= ?2 ORDER BY bucket";
    sql::many(conn, sql, (webhook.0, bucket(micros(since))), read_bucket)
}

/// How many deliveries wait for a webhook, counted up to `most`, and the oldest of
/// them.
pub(super) fn queued(
    conn: &Connection,
    webhook: WebhookKey,
    most: u64,
) -> Result<(u64, Option<i64>), Failure> {
    let queued = sql::one(conn, QUEUED, (webhook.0, most.cast_signed()), read_queued)?;
    Ok(queued.unwrap_or_default())
}

/// Reads a count, and a delivery.
pub(super) fn read_queued(row: &Row<'_>) -> Result<(u64, Option<i64>), Failure> {
    Ok((natural(row.get(0)?)?, row.get(1)?))
}

/// When a delivery that waits was accepted.
pub(super) fn accepted_at(conn: &Connection, delivery: Option<i64>) -> Result<Option<Timestamp>, Failure> {
    let accepted = "SELECT accepted_at FROM events
         WHERE key = (SELECT event FROM pending WHERE delivery = ?1)";
    let accepted = sql::value(conn, accepted, [delivery])?.map(timestamp).transpose();
    Ok(accepted?)
}

/// Reads a row of the table.
pub(super) fn read_bucket(row: &Row<'_>) -> Result<StatsBucket, Failure> {
    let mut latencies = [0; LATENCY_CLASSES];
    for (class, latency) in latencies.iter_mut().enumerate() {
        *latency = natural(row.get(5 + class)?)?;
    }
    Ok(StatsBucket {
        start: timestamp(row.get(1)?)?,
        delivered: natural(row.get(2)?)?,
        failed_attempts: natural(row.get(3)?)?,
        given_up: natural(row.get(4)?)?,
        latencies,
    })
}
