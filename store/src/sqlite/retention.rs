//! Deletes what has been kept long enough, and gives the space back.
//!
//! Events lie in the order of their acceptance, but tenants may keep them for
//! different times. So there is one pointer a length of retention, which
//! passes every event once and deletes those of the tenants with that length.

use std::collections::HashMap;

use callboard_domain::clock::Timestamp;
use callboard_domain::store::Cleared;
use rusqlite::Connection;

use super::attempts::first_key;
use super::failure::Failure;
use super::ledger::Write;
use super::log_index::{self, EVERY, subject_facet, type_facet};
use super::{chains, quantities, sql};
use crate::rows::counts::bucket;
use crate::rows::packed::unpack;
use crate::rows::{count, micros};

/// Events passed in one step, for each that may be deleted.
const PASSED: usize = 4;

/// Webhooks whose old counts are deleted in one step.
const STATS_WEBHOOKS: usize = 8;

/// Free pages that the file keeps for what comes next: giving a page back
/// and taking it again costs more than keeping it.
const SPARE_PAGES: i64 = 256;

/// Pages given back in one step: 4 MiB.
const GIVEN_BACK: i64 = 1_024;

/// Lets every pointer start from the first event, because a tenant's
/// retention has changed: pointers may have passed events that they would
/// have to delete now.
pub(super) fn start_over(conn: &Connection) -> Result<(), Failure> {
    sql::run(conn, "DELETE FROM retention", []).map(drop)
}

struct Candidate {
    key: i64,
    tenant: i64,
    accepted_at: i64,
    first_delivery: i64,
    type_name: String,
    subject: String,
    webhooks: Vec<u8>,
    is_echo: bool,
}

/// Deletes at most `limit` events.
pub(super) fn prune(
    write: &mut Write<'_>,
    now: Timestamp,
    default_seconds: u32,
    limit: usize,
) -> Result<Cleared, Failure> {
    let (time, now) = (now, micros(now));
    let classes = classes(write.conn, default_seconds)?;
    let mut cleared = sweep(write, time, &classes, limit)?;
    if cleared == (Cleared { rows: 0, more: true }) && write.ledger.unindexed() > 0 {
        // Only what is in the logs can be taken out of them. Not sooner, because
        // they are best written in large batches.
        log_index::advance(write)?;
        cleared = sweep(write, time, &classes, limit)?;
    }
    if cleared.rows > 0 {
        write.keep_marks()?;
    }
    prune_stats(write, now, &classes)?;
    quantities::forget(write, now)?;
    give_back(write.conn)?;
    Ok(cleared)
}

/// Moves each pointer on.
fn sweep(
    write: &mut Write<'_>,
    now: Timestamp,
    classes: &HashMap<i64, i64>,
    limit: usize,
) -> Result<Cleared, Failure> {
    let (mut rows, mut passed, mut more) = (limit, limit.saturating_mul(PASSED), false);
    for class in distinct(classes) {
        let step = Step { class, horizon: micros(now) - class * 1_000_000, now, classes };
        more |= step.run(write, &mut rows, &mut passed)?;
    }
    Ok(Cleared { rows: limit - rows, more })
}

/// The retention of each tenant, in seconds.
fn classes(conn: &Connection, default_seconds: u32) -> Result<HashMap<i64, i64>, Failure> {
    // A default that differs from the last one moves tenants to another class.
    let known = "INSERT INTO marks (name, value) VALUES ('default_retention', ?1)
        ON CONFLICT (name) DO UPDATE SET value = ?1 WHERE value <> ?1";
    if sql::run(conn, known, [default_seconds])? > 0 {
        start_over(conn)?;
    }
    let classes = "SELECT key, ifnull(retention_seconds, ?1) FROM tenants";
    let classes = sql::many(conn, classes, [default_seconds], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(classes.into_iter().collect())
}

fn distinct(classes: &HashMap<i64, i64>) -> Vec<i64> {
    let mut distinct: Vec<i64> = classes.values().copied().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// One pointer's part of a step.
struct Step<'a> {
    class: i64,
    /// Events accepted before this are to go.
    horizon: i64,
    now: Timestamp,
    classes: &'a HashMap<i64, i64>,
}

impl Step<'_> {
    /// Moves the pointer on and tells whether it has further to go.
    fn run(&self, write: &mut Write<'_>, rows: &mut usize, passed: &mut usize) -> Result<bool, Failure> {
        let pointer = "SELECT next_event FROM retention WHERE seconds = ?1";
        let start = sql::value(write.conn, pointer, [self.class])?.unwrap_or(0);
        let (mut next, mut more) = (start, false);
        while let Some(candidate) = candidate(write.conn, next)? {
            if candidate.accepted_at >= self.horizon {
                break;
            }
            if *rows == 0 || *passed == 0 || candidate.key > write.ledger.marks.indexed {
                more = true;
                break;
            }
            *passed -= 1;
            next = candidate.key + 1;
            // An echo goes with its origin, however young it is itself.
            if candidate.is_echo {
                continue;
            }
            if self.classes.get(&candidate.tenant) == Some(&self.class) {
                *rows -= 1;
                delete(write.conn, &candidate, self.now)?;
            }
        }
        if next != start {
            let store = "INSERT INTO retention (seconds, next_event) VALUES (?1, ?2)
                ON CONFLICT (seconds) DO UPDATE SET next_event = ?2";
            sql::run(write.conn, store, (self.class, next))?;
        }
        Ok(more)
    }
}

fn candidate(conn: &Connection, from: i64) -> Result<Option<Candidate>, Failure> {
    sql::one(
        conn,
        "SELECT key, tenant, accepted_at, first_delivery, type, subject, webhooks,
             origin IS NOT NULL
         FROM events WHERE key >= ?1 ORDER BY key LIMIT 1",
        [from],
        |row| {
            Ok(Candidate {
                key: row.get(0)?,
                tenant: row.get(1)?,
                accepted_at: row.get(2)?,
                first_delivery: row.get(3)?,
                type_name: row.get(4)?,
                subject: row.get(5)?,
                webhooks: row.get(6)?,
                is_echo: row.get(7)?,
            })
        },
    )
}

/// Deletes an event and everything that came of it, echoes included: the logs may
/// be behind those, and then take them in no more.
fn delete(conn: &Connection, event: &Candidate, now: Timestamp) -> Result<(), Failure> {
    delete_deliveries(conn, event.first_delivery, &event.webhooks, now)?;
    let echoes = "SELECT first_delivery, webhooks FROM events WHERE origin = ?1";
    let echoes: Vec<(i64, Vec<u8>)> =
        sql::many(conn, echoes, [event.key], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (first_delivery, webhooks) in &echoes {
        delete_deliveries(conn, *first_delivery, webhooks, now)?;
    }
    for facet in [EVERY, type_facet(&event.type_name), subject_facet(&event.subject)] {
        let sql = "DELETE FROM event_log WHERE span = ?1 AND tenant = ?2 AND facet = ?3 AND event = ?4";
        sql::run(conn, sql, (log_index::span(event.key), event.tenant, facet, event.key))?;
    }
    sql::run(conn, "DELETE FROM events WHERE origin = ?1", [event.key])?;
    sql::run(conn, "DELETE FROM events WHERE key = ?1", [event.key]).map(drop)
}

/// Deletes the deliveries of a row of events, with their attempts.
fn delete_deliveries(conn: &Connection, first: i64, webhooks: &[u8], now: Timestamp) -> Result<(), Failure> {
    let webhooks = unpack(webhooks);
    let end = first + count(webhooks.len());
    let chains = "DELETE FROM pending WHERE delivery >= ?1 AND delivery < ?2 RETURNING chain";
    let chains: Vec<i64> = sql::many(conn, chains, (first, end), |row| Ok(row.get(0)?))?;
    for chain in chains {
        chains::let_next_go(conn, chain, now)?;
    }
    let attempts = (first_key(first), first_key(end));
    sql::run(conn, "DELETE FROM attempts WHERE key >= ?1 AND key < ?2", attempts)?;
    for (webhook, delivery) in webhooks.zip(first..) {
        let sql = "DELETE FROM delivery_log WHERE webhook = ?1 AND delivery = ?2";
        sql::run(conn, sql, (webhook.0, delivery))?;
    }
    Ok(())
}

/// Deletes the old counts of a few webhooks, each step of the next ones.
fn prune_stats(write: &mut Write<'_>, now: i64, classes: &HashMap<i64, i64>) -> Result<(), Failure> {
    for _ in 0..STATS_WEBHOOKS {
        let next = "SELECT webhook FROM stats WHERE webhook > ?1 ORDER BY webhook LIMIT 1";
        let Some(webhook) = sql::value::<i64>(write.conn, next, [write.ledger.pruned_stats_of])? else {
            write.ledger.pruned_stats_of = 0;
            return Ok(());
        };
        write.ledger.pruned_stats_of = webhook;
        let tenant = "SELECT tenant FROM webhooks WHERE key = ?1";
        let tenant = sql::value::<i64>(write.conn, tenant, [webhook])?;
        let Some(tenant) = tenant else { continue };
        let Some(seconds) = classes.get(&tenant) else { continue };
        let horizon = bucket(now - seconds * 1_000_000);
        let old = "DELETE FROM stats WHERE webhook = ?1 AND bucket < ?2";
        sql::run(write.conn, old, (webhook, horizon))?;
        // Whoever has rows there has a webhook that has some here.
        let old = "DELETE FROM tenant_stats WHERE tenant = ?1 AND bucket < ?2";
        sql::run(write.conn, old, (tenant, horizon))?;
    }
    Ok(())
}

/// Shrinks the file a little, when much of it is free.
fn give_back(conn: &Connection) -> Result<(), Failure> {
    let free = sql::value(conn, "PRAGMA freelist_count", [])?.unwrap_or(0);
    let all: i64 = sql::value(conn, "PRAGMA page_count", [])?.unwrap_or(0);
    let spare = SPARE_PAGES.max(all / 8);
    if free > spare {
        let pages = (free - spare).min(GIVEN_BACK);
        // It gives back one page a row, so every row has to be asked for.
        let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}
