//! Late deliveries: each is an echo of its event, a row of its own that stands
//! where it was made, and takes everything but its delivery from the origin.

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{EventKey, TenantKey, WebhookKey};
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::Write;
use super::{chains, sql};
use crate::rows::packed::{pack_one, unpack};
use crate::rows::{micros, timestamp};

/// Whether a webhook has a delivery of an event: one that was made with it, or
/// an echo.
pub(super) const HEARD: &str = "SELECT webhooks, EXISTS (
        SELECT 1 FROM events AS echo WHERE echo.origin = events.key AND echo.webhooks = ?2
    ) FROM events WHERE key = ?1 AND tenant = ?3 AND origin IS NULL";

/// Whether the webhook has a delivery of the event; `None` when the tenant has
/// no such event.
pub(super) fn is_heard(
    conn: &Connection,
    tenant: TenantKey,
    event: i64,
    webhook: WebhookKey,
) -> Result<Option<bool>, Failure> {
    sql::one(conn, HEARD, (event, pack_one(webhook)?, tenant.0), |row| {
        let webhooks = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        Ok(row.get(1)? || unpack(webhooks).any(|heard| heard == webhook))
    })
}

/// Makes a late delivery, due at once; false when the webhook has one of the
/// event, or there is no such event any more.
pub(super) fn add(
    write: &mut Write<'_>,
    tenant: TenantKey,
    event: EventKey,
    webhook: WebhookKey,
    now: Timestamp,
) -> Result<bool, Failure> {
    if is_heard(write.conn, tenant, event.0, webhook)? != Some(false) {
        return Ok(false);
    }
    let now = micros(now);
    let marks = &mut write.ledger.marks;
    let (key, delivery) = (marks.next_event, marks.next_delivery);
    marks.next_event += 1;
    marks.next_delivery += 1;
    marks.accepted_at = marks.accepted_at.max(now);
    sql::run(
        write.conn,
        "INSERT INTO events
             (key, tenant, id_key, accepted_at, first_delivery, id, type, subject, webhooks, body, origin)
         SELECT ?1, tenant, ?1, ?2, ?3, id, type, subject, ?4, x'', key FROM events WHERE key = ?5",
        (key, marks.accepted_at, delivery, pack_one(webhook)?, event.0),
    )?;
    // It never makes what waits before it superfluous: it tells what is older.
    let chain = chains::of_ended(write.conn, webhook.0, key)?;
    let due_at = chains::due_at(write.conn, chain, now)?;
    sql::run(
        write.conn,
        "INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain)
         VALUES (?1, ?2, ?3, ?4, 0, 0, ?5)",
        (delivery, key, webhook.0, due_at, chain),
    )?;
    Ok(true)
}

/// Gives an echo that was read what it takes from its origin; any other event
/// stays as it is.
pub(super) fn complete(conn: &Connection, event: &mut StoredEvent) -> Result<(), Failure> {
    if !event.body.is_empty() {
        return Ok(());
    }
    let origin = "SELECT accepted_at, body, quantity_diff FROM events
        WHERE key = (SELECT origin FROM events WHERE key = ?1)";
    let found = sql::one(conn, origin, [event.key.0], |row| {
        event.accepted_at = timestamp(row.get(0)?)?;
        event.body = row.get::<_, Vec<u8>>(1)?.into();
        event.quantity_diff = row.get(2)?;
        Ok(())
    })?;
    found.ok_or_else(|| Failure::Corrupt(format!("{:?} is an echo of no event", event.key)))
}

/// The late deliveries of an event, from a key on.
pub(super) const DELIVERIES: &str = "SELECT first_delivery FROM events
    WHERE origin = ?1 AND first_delivery >= ?2 ORDER BY first_delivery LIMIT ?3";

/// The late deliveries of an event, from `from` on, at most `limit`.
pub(super) fn deliveries(
    conn: &Connection,
    event: EventKey,
    from: i64,
    limit: i64,
) -> Result<Vec<i64>, Failure> {
    sql::many(conn, DELIVERIES, (event.0, from, limit), |row| Ok(row.get(0)?))
}
