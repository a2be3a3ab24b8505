//! The two logs, of deliveries by webhook and of events by tenant, written in
//! sorted batches behind the events.
//!
//! Writing them within the transaction that records the events would touch a
//! page a webhook and event. So they follow, and whoever reads them adds the
//! events that are not in them yet: the tail, which stays short.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use callboard_domain::id::{TenantKey, WebhookKey};
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::Write;
use super::sql;
use crate::rows::count;
use crate::rows::packed::{hash64, unpack};

/// Most events of one batch.
const BATCH: i64 = 1_000;

/// Rows after which a batch takes no further event.
const BATCH_ROWS: usize = 10_000;

/// The span of an event. The log of events is an index for each, so that a batch
/// touches only the pages of the newest one: with one index for all, events about
/// different subjects would touch a page each.
pub(super) const fn span(event: i64) -> i64 {
    event >> 15
}

/// The facet that every event of a tenant has.
pub(super) const EVERY: i64 = 0;

/// The facet of events of a type.
pub(super) fn type_facet(type_name: &str) -> i64 {
    facet(&[b"type:", type_name.as_bytes()])
}

/// The facet of events about a subject.
pub(super) fn subject_facet(subject_id: &str) -> i64 {
    facet(&[b"subject:", subject_id.as_bytes()])
}

/// Rows are verified, so it only has to differ mostly, and from [`EVERY`].
fn facet(parts: &[&[u8]]) -> i64 {
    (hash64(parts) >> 1).max(1).cast_signed()
}

struct Unindexed {
    key: i64,
    tenant: i64,
    facets: [i64; 3],
    first_delivery: i64,
    webhooks: Vec<u8>,
    is_echo: bool,
}

/// Takes the next batch of events into the logs.
pub(super) fn advance(write: &mut Write<'_>) -> Result<(), Failure> {
    let batch = sql::many(
        write.conn,
        "SELECT key, tenant, type, subject, first_delivery, webhooks, origin IS NOT NULL FROM events
         WHERE key > ?1 ORDER BY key LIMIT ?2",
        (write.ledger.marks.indexed, BATCH),
        |row| {
            let (type_name, subject): (String, String) = (row.get(2)?, row.get(3)?);
            Ok(Unindexed {
                key: row.get(0)?,
                tenant: row.get(1)?,
                facets: [EVERY, type_facet(&type_name), subject_facet(&subject)],
                first_delivery: row.get(4)?,
                webhooks: row.get(5)?,
                is_echo: row.get(6)?,
            })
        },
    )?;
    // An empty batch means that the events up to here are gone.
    let mut indexed = write.ledger.marks.next_event - 1;
    let (mut deliveries, mut facets) = (Vec::new(), Vec::new());
    for event in &batch {
        deliveries.extend(unpack(&event.webhooks).map(|webhook| webhook.0).zip(event.first_delivery..));
        if !event.is_echo {
            facets.extend(event.facets.map(|facet| (span(event.key), event.tenant, facet, event.key)));
        }
        indexed = event.key;
        if deliveries.len() + facets.len() >= BATCH_ROWS {
            break;
        }
    }
    deliveries.sort_unstable();
    facets.sort_unstable();
    let mut statement =
        write.conn.prepare_cached("INSERT INTO delivery_log (webhook, delivery) VALUES (?1, ?2)")?;
    for row in deliveries {
        statement.execute(row)?;
    }
    let mut statement = write
        .conn
        .prepare_cached("INSERT INTO event_log (span, tenant, facet, event) VALUES (?1, ?2, ?3, ?4)")?;
    for row in facets {
        statement.execute(row)?;
    }
    write.ledger.marks.indexed = indexed;
    write.set_mark("indexed", indexed)
}

/// The last event that is in the logs, as the snapshot of `conn` has it.
fn indexed(conn: &Connection) -> Result<i64, Failure> {
    Ok(sql::value(conn, "SELECT value FROM marks WHERE name = 'indexed'", [])?.unwrap_or(0))
}

/// Reads a webhook's log.
pub(super) const DELIVERIES: &str = "SELECT delivery FROM delivery_log
    WHERE webhook = ?1 AND delivery >= ?2 AND delivery < ?3 ORDER BY delivery DESC LIMIT ?4";

/// A webhook's deliveries from `from` to before `to`, the newest first, at
/// most `limit`.
pub(super) fn deliveries(
    conn: &Connection,
    webhook: WebhookKey,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<i64>, Failure> {
    let mut found = Vec::new();
    let mut statement =
        conn.prepare_cached("SELECT first_delivery, webhooks FROM events WHERE key > ?1 ORDER BY key DESC")?;
    let mut tail = statement.query([indexed(conn)?])?;
    while let Some(row) = tail.next()? {
        let first: i64 = row.get(0)?;
        let webhooks = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let wanted =
            |(key, heard): (i64, WebhookKey)| (heard == webhook && (from..to).contains(&key)).then_some(key);
        let numbered: Vec<_> = (first..).zip(unpack(webhooks)).collect();
        found.extend(numbered.into_iter().rev().filter_map(wanted));
        if first < from || found.len() >= limit {
            break;
        }
    }
    found.truncate(limit);
    let rest = count(limit - found.len());
    found.extend(sql::many(conn, DELIVERIES, (webhook.0, from, to, rest), |row| Ok(row.get::<_, i64>(0)?))?);
    Ok(found)
}

/// The newest deliveries of each of these webhooks, newest first, at most `limit` of
/// each. What is not in the log yet is walked through once for all of them.
pub(super) fn newest_of_each(
    conn: &Connection,
    webhooks: &[WebhookKey],
    limit: usize,
) -> Result<HashMap<WebhookKey, Vec<i64>>, Failure> {
    let mut found: HashMap<WebhookKey, Vec<i64>> = HashMap::new();
    let mut open = webhooks.to_vec();
    open.sort_unstable();
    open.dedup();
    let mut statement =
        conn.prepare_cached("SELECT first_delivery, webhooks FROM events WHERE key > ?1 ORDER BY key DESC")?;
    let mut tail = statement.query([indexed(conn)?])?;
    while !open.is_empty()
        && let Some(row) = tail.next()?
    {
        let first: i64 = row.get(0)?;
        let heard = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        for (index, webhook) in unpack(heard).enumerate().rev() {
            let Ok(place) = open.binary_search(&webhook) else { continue };
            let deliveries = found.entry(webhook).or_default();
            deliveries.push(first + count(index));
            if deliveries.len() >= limit {
                open.remove(place);
            }
        }
    }
    for webhook in open {
        let deliveries = found.entry(webhook).or_default();
        let bounds = (webhook.0, 0, i64::MAX, count(limit - deliveries.len()));
        deliveries.extend(sql::many(conn, DELIVERIES, bounds, |row| Ok(row.get::<_, i64>(0)?))?);
    }
    Ok(found)
}

/// Reads a webhook's log upwards.
pub(super) const DELIVERIES_UPWARDS: &str = "SELECT delivery FROM delivery_log
    WHERE webhook = ?1 AND delivery >= ?2 AND delivery < ?3 ORDER BY delivery LIMIT ?4";

/// A webhook's deliveries from `from` to before `to`, the oldest first, at
/// most `limit`. None of them is of an event before `first_event`.
pub(super) fn deliveries_upwards(
    conn: &Connection,
    webhook: WebhookKey,
    (from, to): (i64, i64),
    first_event: i64,
    limit: usize,
) -> Result<Vec<i64>, Failure> {
    let bounds = (webhook.0, from, to, count(limit));
    let mut found: Vec<i64> = sql::many(conn, DELIVERIES_UPWARDS, bounds, |row| Ok(row.get(0)?))?;
    let mut statement =
        conn.prepare_cached("SELECT first_delivery, webhooks FROM events WHERE key > ?1 ORDER BY key")?;
    let mut tail = statement.query([indexed(conn)?.max(first_event - 1)])?;
    while found.len() < limit
        && let Some(row) = tail.next()?
    {
        let first: i64 = row.get(0)?;
        let webhooks = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
        let numbered = (first..).zip(unpack(webhooks));
        found.extend(
            numbered.filter(|(key, heard)| *heard == webhook && (from..to).contains(key)).map(|(key, _)| key),
        );
    }
    found.truncate(limit);
    Ok(found)
}

/// The spans that may hold events from `from` to before `to`, of those that are
/// in the log.
fn spans(conn: &Connection, (from, to): (i64, i64), indexed: i64) -> Result<RangeInclusive<i64>, Failure> {
    let oldest = sql::value::<Option<i64>>(conn, "SELECT min(key) FROM events", [])?.flatten();
    let first = from.max(oldest.unwrap_or(i64::MAX));
    Ok(span(first)..=span(indexed.min(to.saturating_sub(1))))
}

/// Reads a facet's log in a span.
pub(super) const EVENTS: &str = "SELECT event FROM event_log
    WHERE span = ?1 AND tenant = ?2 AND facet = ?3 AND event >= ?4 AND event < ?5 ORDER BY event DESC LIMIT ?6";

/// A tenant's events from `from` to before `to`, the newest first, at most
/// `limit`: those in the log have the facet, those of the tail are all there.
pub(super) fn events(
    conn: &Connection,
    tenant: TenantKey,
    facet: i64,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<i64>, Failure> {
    let indexed = indexed(conn)?;
    let mut found = sql::many(
        conn,
        "SELECT key FROM events WHERE key > ?1 AND key >= ?2 AND key < ?3 AND tenant = ?4 AND origin IS NULL
         ORDER BY key DESC LIMIT ?5",
        (indexed, from, to, tenant.0, count(limit)),
        |row| Ok(row.get(0)?),
    )?;
    for span in spans(conn, (from, to), indexed)?.rev() {
        if found.len() >= limit {
            break;
        }
        let bounds = (span, tenant.0, facet, from, to, count(limit - found.len()));
        found.extend(sql::many(conn, EVENTS, bounds, |row| Ok(row.get::<_, i64>(0)?))?);
    }
    Ok(found)
}

/// Reads a facet's log in a span upwards.
pub(super) const EVENTS_UPWARDS: &str = "SELECT event FROM event_log
    WHERE span = ?1 AND tenant = ?2 AND facet = ?3 AND event >= ?4 AND event < ?5 ORDER BY event LIMIT ?6";

/// Like [`events`], the oldest first.
pub(super) fn events_upwards(
    conn: &Connection,
    tenant: TenantKey,
    facet: i64,
    (from, to): (i64, i64),
    limit: usize,
) -> Result<Vec<i64>, Failure> {
    let indexed = indexed(conn)?;
    let mut found = Vec::new();
    for span in spans(conn, (from, to), indexed)? {
        if found.len() >= limit {
            break;
        }
        let bounds = (span, tenant.0, facet, from, to, count(limit - found.len()));
        found.extend(sql::many(conn, EVENTS_UPWARDS, bounds, |row| Ok(row.get::<_, i64>(0)?))?);
    }
    found.extend(sql::many(
        conn,
        "SELECT key FROM events WHERE key >= ?1 AND key < ?2 AND tenant = ?3 AND origin IS NULL
         ORDER BY key LIMIT ?4",
        (from.max(indexed + 1), to, tenant.0, count(limit - found.len())),
        |row| Ok(row.get::<_, i64>(0)?),
    )?);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::ledger::Ledger;
    use crate::sqlite::migrations;

    #[test]
    fn events_of_many_spans_are_listed_in_order_from_any_place() {
        let mut conn = Connection::open_in_memory().expect("a database");
        migrations::migrate(&mut conn).expect("the schema");
        let keys = [5_i64, 32_767, 32_768, 40_000, 200_000, 200_001];
        for (index, key) in keys.into_iter().enumerate() {
            // The last one is of another tenant, the one before not in the log yet.
            let tenant = if key == 200_001 { 2 } else { 1 };
            conn.execute(
                "INSERT INTO events (key, tenant, id_key, accepted_at, first_delivery, id, type, subject, webhooks, body)
                 VALUES (?1, ?2, ?1, 1, ?1, ?1, 'ticket.updated', ?3, x'', x'7b7d')",
                (key, tenant, format!("T{}", index % 2)),
            )
            .expect("a row");
            if key == 40_000 {
                let mut ledger = Ledger::load(&conn, None).expect("a ledger");
                let mut write = Write::new(&conn, &mut ledger);
                advance(&mut write).expect("a batch");
            }
        }
        let list = |facet, range, limit| {
            let down = events(&conn, TenantKey(1), facet, range, limit).expect("a list");
            let up = events_upwards(&conn, TenantKey(1), facet, range, limit).expect("a list");
            (down, up)
        };
        let all = vec![5, 32_767, 32_768, 40_000, 200_000];
        assert_eq!(list(EVERY, (0, i64::MAX), 9), (all.iter().rev().copied().collect(), all));
        assert_eq!(list(EVERY, (0, i64::MAX), 2), (vec![200_000, 40_000], vec![5, 32_767]));
        assert_eq!(list(EVERY, (6, 40_000), 9), (vec![32_768, 32_767], vec![32_767, 32_768]));
        assert_eq!(list(EVERY, (40_001, 200_000), 9), (vec![], vec![]));
        // What is not in the log yet is there whatever its subject.
        let second = subject_facet("T1");
        assert_eq!(
            list(second, (0, i64::MAX), 9),
            (vec![200_000, 40_000, 32_767], vec![32_767, 40_000, 200_000])
        );
    }
}
