//! Deletes what has been kept long enough.
//!
//! Events lie in the order of their acceptance, but tenants may keep them for
//! different times. So there is one pointer a length of retention, which passes
//! every event once and deletes those of the tenants with that length. Where a
//! whole partition is older than anybody keeps, its rows are left to be dropped
//! with it, once the pointers have passed it and taken away what stands elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use callboard_domain::clock::Timestamp;
use callboard_domain::store::{Cleared, StoreError};
use deadpool_postgres::Pool;
use parking_lot::Mutex;

use super::failure::Failure;
use super::partitions::{self, Partition, Room};
use super::patience::UPKEEP;
use super::sql::{self, Connection, get};
use super::transaction::writing;
use super::{chains, quantities};
use crate::rows::counts::bucket;
use crate::rows::{count, micros};

/// Events passed in one step, for each that may be deleted.
const PASSED: usize = 4;

/// Webhooks whose old counts are deleted in one step.
const STATS_WEBHOOKS: i32 = 8;

/// What upkeep remembers from one step to the next.
pub(super) struct Upkeep {
    room: Arc<Room>,
    /// The last webhook whose old counts were deleted.
    pruned_stats_of: Mutex<i64>,
    /// The last quantity that was looked at: the tenant and the ticket.
    looked_at_quantity: Mutex<(i64, String)>,
}

impl Upkeep {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room, pruned_stats_of: Mutex::default(), looked_at_quantity: Mutex::default() }
    }
}

/// Lets every pointer start from the first event, because a tenant's
/// retention has changed: pointers may have passed events that they would
/// have to delete now.
pub(super) async fn start_over(conn: &Connection) -> Result<(), Failure> {
    sql::run(conn, "DELETE FROM retention", &[]).await.map(drop)
}

/// Deletes at most `limit` events. While another node does, nothing is to be done.
pub(super) async fn prune(
    pool: &Pool,
    upkeep: &Upkeep,
    now: Timestamp,
    default_seconds: u32,
    limit: usize,
) -> Result<Cleared, StoreError> {
    let (cleared, dropped) = writing!(pool, UPKEEP, |conn| step(conn, upkeep, now, default_seconds, limit))?;
    for partition in dropped {
        match partitions::drop_one(pool, &partition).await {
            Ok(()) => tracing::info!(partition.name, "a partition was kept long enough"),
            Err(failure) => tracing::warn!(%failure, partition.name, "a partition is dropped later"),
        }
    }
    partitions::make_ahead(pool, &upkeep.room, (0, 0)).await?;
    Ok(cleared)
}

async fn step(
    conn: &Connection,
    upkeep: &Upkeep,
    now: Timestamp,
    default_seconds: u32,
    limit: usize,
) -> Result<(Cleared, Vec<Partition>), Failure> {
    let lock = "SELECT pg_try_advisory_xact_lock(lock_place('upkeep'), 0)";
    if sql::value(conn, lock, &[]).await? != Some(true) {
        return Ok((Cleared::default(), Vec::new()));
    }
    let classes = classes(conn, default_seconds).await?;
    let distinct = distinct(&classes);
    let expired = expired(conn, &distinct, now).await?;
    let (mut rows, mut passed, mut more) = (limit, limit.saturating_mul(PASSED), false);
    let (mut doomed, mut passing) = (Vec::new(), Vec::new());
    for class in &distinct {
        let walk = Walk { class: *class, horizon: micros(now) - class * 1_000_000, classes: &classes };
        let (pointer, further) = walk.run(conn, &mut rows, &mut passed, &mut doomed).await?;
        more |= further;
        passing.push((*class, pointer));
    }
    // Chains are locked in there, before any row is.
    delete(conn, &doomed, expired.as_ref().map_or(0, |partition| partition.beyond), now).await?;
    let (seconds, pointers): (Vec<i64>, Vec<i64>) = passing.iter().copied().unzip();
    let store = "INSERT INTO retention (seconds, next_event) SELECT * FROM unnest($1::bigint[], $2::bigint[])
        ON CONFLICT (seconds) DO UPDATE SET next_event = excluded.next_event";
    sql::run(conn, store, &[&seconds, &pointers]).await?;
    prune_stats(conn, upkeep, micros(now), default_seconds).await?;
    let looked_at = upkeep.looked_at_quantity.lock().clone();
    let looked_at = quantities::forget(conn, looked_at, micros(now)).await?;
    *upkeep.looked_at_quantity.lock() = looked_at;
    let expired = expired.filter(|partition| pointers.iter().all(|pointer| *pointer >= partition.beyond));
    let mut dropped: Vec<Partition> = expired.into_iter().collect();
    dropped.extend(emptied(conn).await?);
    Ok((Cleared { rows: limit - rows, more }, dropped))
}

/// The retention of each tenant, in seconds.
async fn classes(conn: &Connection, default_seconds: u32) -> Result<HashMap<i64, i64>, Failure> {
    let default_seconds = i64::from(default_seconds);
    // A default that differs from the last one moves tenants to another class.
    let known = "INSERT INTO marks (name, value) VALUES ('default_retention', $1)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE marks.value <> excluded.value";
    if sql::run(conn, known, &[&default_seconds]).await? > 0 {
        start_over(conn).await?;
    }
    let classes = "SELECT key, coalesce(retention_seconds, $1) FROM tenants";
    let classes =
        sql::many(conn, classes, &[&default_seconds], |row| Ok((get(row, 0)?, get(row, 1)?))).await?;
    Ok(classes.into_iter().collect())
}

fn distinct(classes: &HashMap<i64, i64>) -> Vec<i64> {
    let mut distinct: Vec<i64> = classes.values().copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// The oldest partition of events, when nobody keeps anything of it.
async fn expired(conn: &Connection, classes: &[i64], now: Timestamp) -> Result<Option<Partition>, Failure> {
    let Some(partition) = partitions::oldest_filled(conn, "events").await? else { return Ok(None) };
    let newest = "SELECT accepted_at FROM events WHERE key < $1 ORDER BY key DESC LIMIT 1";
    let newest = sql::value::<i64>(conn, newest, &[&partition.beyond]).await?;
    let longest = classes.last().copied().unwrap_or(i64::MAX / 1_000_000);
    let horizon = micros(now).saturating_sub(longest.saturating_mul(1_000_000));
    Ok(Some(partition).filter(|_| newest.is_none_or(|newest| newest < horizon)))
}

/// The oldest partition of attempts, when none of its deliveries is left: those of
/// the oldest event that is left come later.
async fn emptied(conn: &Connection) -> Result<Option<Partition>, Failure> {
    let Some(partition) = partitions::oldest_filled(conn, "attempts").await? else { return Ok(None) };
    let oldest = "SELECT first_delivery FROM events ORDER BY key LIMIT 1";
    let oldest = sql::value::<i64>(conn, oldest, &[]).await?;
    Ok(Some(partition).filter(|partition| oldest.is_some_and(|oldest| partition.beyond <= oldest)))
}

/// One pointer's part of a step.
struct Walk<'a> {
    class: i64,
    /// Events accepted before this are to go.
    horizon: i64,
    classes: &'a HashMap<i64, i64>,
}

/// An event that may be deleted.
struct Candidate {
    key: i64,
    tenant: i64,
    accepted_at: i64,
    first_delivery: i64,
    deliveries: i64,
    id: String,
    is_echo: bool,
}

impl Walk<'_> {
    /// Moves the pointer on. Returns where it is then, and whether it has further to
    /// go.
    async fn run(
        &self,
        conn: &Connection,
        rows: &mut usize,
        passed: &mut usize,
        doomed: &mut Vec<Candidate>,
    ) -> Result<(i64, bool), Failure> {
        let pointer = "SELECT next_event FROM retention WHERE seconds = $1";
        let mut next = sql::value(conn, pointer, &[&self.class]).await?.unwrap_or(0);
        for candidate in candidates(conn, next, count(*passed).saturating_add(1)).await? {
            if candidate.accepted_at >= self.horizon {
                break;
            }
            if *rows == 0 || *passed == 0 {
                return Ok((next, true));
            }
            *passed -= 1;
            next = candidate.key + 1;
            // An echo goes with its origin, however young it is itself.
            if !candidate.is_echo && self.classes.get(&candidate.tenant) == Some(&self.class) {
                *rows -= 1;
                doomed.push(candidate);
            }
        }
        Ok((next, false))
    }
}

async fn candidates(conn: &Connection, from: i64, limit: i64) -> Result<Vec<Candidate>, Failure> {
    let sql = "SELECT key, tenant, accepted_at, first_delivery, (octet_length(webhooks) / 4)::bigint, id,
            origin IS NOT NULL
        FROM events WHERE key >= $1 ORDER BY key LIMIT $2";
    sql::many(conn, sql, &[&from, &limit], |row| {
        Ok(Candidate {
            key: get(row, 0)?,
            tenant: get(row, 1)?,
            accepted_at: get(row, 2)?,
            first_delivery: get(row, 3)?,
            deliveries: get(row, 4)?,
            id: get(row, 5)?,
            is_echo: get(row, 6)?,
        })
    })
    .await
}

/// What goes with some events: stretches of deliveries, and the rows of events.
#[derive(Default)]
struct Gone {
    first: Vec<i64>,
    beyond: Vec<i64>,
    events: Vec<i64>,
}

impl Gone {
    fn add(&mut self, event: i64, first: i64, deliveries: i64) {
        self.events.push(event);
        self.first.push(first);
        self.beyond.push(first + deliveries);
    }
}

/// Deletes events and everything that came of them, echoes included. Rows of events
/// before `spared`, and their attempts, go with their partitions.
async fn delete(conn: &Connection, doomed: &[Candidate], spared: i64, now: Timestamp) -> Result<(), Failure> {
    if doomed.is_empty() {
        return Ok(());
    }
    let keys: Vec<i64> = doomed.iter().map(|event| event.key).collect();
    // Read without locks, only to know which chains to lock first.
    let waiting = gone(conn, doomed, &keys).await?;
    let of = "SELECT DISTINCT pending.chain FROM unnest($1::bigint[], $2::bigint[]) AS gone (first, beyond)
        JOIN pending ON pending.delivery >= gone.first AND pending.delivery < gone.beyond
        WHERE pending.chain <> 0";
    let locked: Vec<i64> = sql::many(conn, of, &[&waiting.first, &waiting.beyond], |row| get(row, 0)).await?;
    chains::lock(conn, &locked).await?;
    // Whoever makes an echo holds its origin meanwhile.
    sql::run(conn, "SELECT 1 FROM events WHERE key = ANY($1) ORDER BY key FOR UPDATE", &[&keys]).await?;
    let gone = gone(conn, doomed, &keys).await?;
    let pending = "DELETE FROM pending USING unnest($1::bigint[], $2::bigint[]) AS gone (first, beyond)
        WHERE pending.delivery >= gone.first AND pending.delivery < gone.beyond RETURNING pending.chain";
    let ended: Vec<i64> = sql::many(conn, pending, &[&gone.first, &gone.beyond], |row| get(row, 0)).await?;
    let rows = gone.without(spared);
    let attempts = "DELETE FROM attempts USING unnest($1::bigint[], $2::bigint[]) AS gone (first, beyond)
        WHERE attempts.delivery >= gone.first AND attempts.delivery < gone.beyond";
    sql::run(conn, attempts, &[&rows.first, &rows.beyond]).await?;
    sql::run(conn, "DELETE FROM events WHERE key = ANY($1)", &[&rows.events]).await?;
    sql::run(conn, "DELETE FROM late_deliveries WHERE origin = ANY($1)", &[&keys]).await?;
    let tenants: Vec<i64> = doomed.iter().map(|event| event.tenant).collect();
    let ids: Vec<&str> = doomed.iter().map(|event| event.id.as_str()).collect();
    let known = "DELETE FROM event_ids USING unnest($1::bigint[], $2::text[]) AS gone (tenant, id)
        WHERE event_ids.tenant = gone.tenant AND event_ids.id = gone.id";
    sql::run(conn, known, &[&tenants, &ids]).await?;
    chains::let_next_go(conn, ended, now).await.map(drop)
}

/// What goes with some events, at this moment.
async fn gone(conn: &Connection, doomed: &[Candidate], keys: &[i64]) -> Result<Gone, Failure> {
    let mut gone = Gone::default();
    for event in doomed {
        gone.add(event.key, event.first_delivery, event.deliveries);
    }
    let echoes = "SELECT event, delivery FROM late_deliveries WHERE origin = ANY($1)";
    for (event, delivery) in sql::many(conn, echoes, &[&keys], |row| Ok((get(row, 0)?, get(row, 1)?))).await?
    {
        gone.add(event, delivery, 1);
    }
    Ok(gone)
}

impl Gone {
    /// The same without the events before `spared`.
    fn without(&self, spared: i64) -> Self {
        let mut rows = Self::default();
        for ((event, first), beyond) in self.events.iter().zip(&self.first).zip(&self.beyond) {
            if *event >= spared {
                rows.add(*event, *first, beyond - first);
            }
        }
        rows
    }
}

/// Deletes the old counts of a few webhooks, each step of the next ones.
async fn prune_stats(
    conn: &Connection,
    upkeep: &Upkeep,
    now: i64,
    default_seconds: u32,
) -> Result<(), Failure> {
    let last = *upkeep.pruned_stats_of.lock();
    let next = "WITH RECURSIVE next (webhook, nth) AS (
            SELECT (SELECT min(webhook) FROM stats WHERE stats.webhook > $1), 1
            UNION ALL
            SELECT (SELECT min(webhook) FROM stats WHERE stats.webhook > next.webhook), nth + 1
            FROM next WHERE next.webhook IS NOT NULL AND nth < $2
        )
        SELECT next.webhook, coalesce(tenants.retention_seconds, $3), coalesce(tenants.key, 0)
        FROM next LEFT JOIN webhooks ON webhooks.key = next.webhook LEFT JOIN tenants ON tenants.key = webhooks.tenant
        WHERE next.webhook IS NOT NULL ORDER BY nth";
    let next = sql::many(conn, next, &[&last, &STATS_WEBHOOKS, &i64::from(default_seconds)], |row| {
        Ok((get::<i64>(row, 0)?, (get::<i64>(row, 2)?, bucket(now - get::<i64>(row, 1)? * 1_000_000))))
    })
    .await?;
    let (webhooks, (tenants, buckets)): (Vec<i64>, (Vec<i64>, Vec<i64>)) = next.into_iter().unzip();
    let old = "DELETE FROM stats USING unnest($1::bigint[], $2::bigint[]) AS old (webhook, bucket)
        WHERE stats.webhook = old.webhook AND stats.bucket < old.bucket";
    sql::run(conn, old, &[&webhooks, &buckets]).await?;
    // Whoever has rows there has a webhook that has some here.
    let old = "DELETE FROM tenant_stats USING unnest($1::bigint[], $2::bigint[]) AS old (tenant, bucket)
        WHERE tenant_stats.tenant = old.tenant AND tenant_stats.bucket < old.bucket";
    sql::run(conn, old, &[&tenants, &buckets]).await?;
    *upkeep.pruned_stats_of.lock() = webhooks.last().copied().unwrap_or(0);
    Ok(())
}
