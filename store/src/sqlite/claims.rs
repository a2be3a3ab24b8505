//! Leases: who has which waiting delivery in its hands. A lease is a `due_at`
//! that never comes, and dies with the process.

use std::collections::HashMap;
use std::sync::Arc;

use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::StoredEvent;
use callboard_domain::id::{DeliveryKey, WebhookKey};
use callboard_domain::store::{ClaimRequest, Claimed, LaneClaim};
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::Write;
use super::sql;
use super::{chains, events};
use crate::rows::{LEASED, count, micros, timestamp, unleased};

/// Every lane in turn, at the cost of one step of the index a lane.
macro_rules! lanes {
    () => {
        "WITH RECURSIVE lanes (webhook) AS (
             SELECT min(webhook) FROM pending
             UNION ALL
             SELECT (SELECT min(webhook) FROM pending WHERE webhook > lanes.webhook)
             FROM lanes WHERE lanes.webhook IS NOT NULL
         )"
    };
}
pub(super) use lanes;

/// What waits in a lane, longest due first. The last column is when a late delivery
/// was made that was never attempted.
pub(super) const DUE: &str = "SELECT delivery, event, attempts, tries, chain, collapses,
        CASE attempts WHEN 0 THEN (
            SELECT accepted_at FROM events WHERE key = pending.event AND origin IS NOT NULL
        ) END
    FROM pending WHERE webhook = ?1 AND due_at <= ?2 ORDER BY due_at, delivery LIMIT ?3";

/// When the first of a lane is due.
pub(super) const NEXT_DUE: &str = "SELECT min(due_at) FROM pending WHERE webhook = ?1";

/// Every lane with the time when its first delivery is due.
pub(super) const WAITING: &str = concat!(
    lanes!(),
    " SELECT webhook, (SELECT min(due_at) FROM pending WHERE webhook = lanes.webhook)
      FROM lanes WHERE webhook IS NOT NULL"
);

/// Makes what is leased due since its event was accepted.
pub(super) const END_LEASES: &str = concat!(
    lanes!(),
    " UPDATE pending SET due_at = (SELECT accepted_at FROM events WHERE key = pending.event)
      WHERE delivery IN (
          SELECT leased.delivery FROM lanes CROSS JOIN pending AS leased
          WHERE leased.webhook = lanes.webhook AND leased.due_at = ?1
      )"
);

/// Ends the leases of a process that is gone.
pub(super) fn end_leases(conn: &Connection) -> Result<(), Failure> {
    sql::run(conn, END_LEASES, [LEASED]).map(drop)
}

/// Claims for each lane in turn. `max_bytes` is shared by the lanes, but each
/// gets its first delivery, or the last in line would never get one.
pub(super) fn claim(
    write: &mut Write<'_>,
    requests: &[ClaimRequest],
    now: Timestamp,
    max_bytes: usize,
) -> Result<Vec<LaneClaim>, Failure> {
    let mut bodies = Bodies { room: max_bytes, events: HashMap::new() };
    requests.iter().map(|request| claim_lane(write.conn, *request, now, &mut bodies)).collect()
}

/// The events claimed together.
struct Bodies {
    room: usize,
    events: HashMap<i64, Arc<StoredEvent>>,
}

impl Bodies {
    /// The event, unless there is no room for it and it is not `first`.
    fn take(&mut self, conn: &Connection, key: i64, first: bool) -> Result<Take, Failure> {
        if let Some(event) = self.events.get(&key) {
            return Ok(Take::Event(Arc::clone(event)));
        }
        let Some(event) = events::by_key(conn, key)? else { return Ok(Take::Gone) };
        if event.body.len() > self.room && !first {
            return Ok(Take::NoRoom);
        }
        self.room = self.room.saturating_sub(event.body.len());
        self.events.insert(key, Arc::clone(&event));
        Ok(Take::Event(event))
    }
}

/// A delivery that may be claimed.
struct Due {
    delivery: i64,
    event: i64,
    attempts: u32,
    tries: u32,
    chain: i64,
    collapses: bool,
    made_late_at: Option<i64>,
}

enum Take {
    Event(Arc<StoredEvent>),
    NoRoom,
    Gone,
}

fn claim_lane(
    conn: &Connection,
    request: ClaimRequest,
    now: Timestamp,
    bodies: &mut Bodies,
) -> Result<LaneClaim, Failure> {
    let due = sql::many(conn, DUE, (request.webhook.0, micros(now), count(request.limit)), |row| {
        Ok(Due {
            delivery: row.get(0)?,
            event: row.get(1)?,
            attempts: row.get(2)?,
            tries: row.get(3)?,
            chain: row.get(4)?,
            collapses: row.get(5)?,
            made_late_at: row.get(6)?,
        })
    })?;
    let (mut deliveries, mut late) = (Vec::with_capacity(due.len()), Vec::new());
    for Due { delivery, event, attempts, tries, chain, collapses, made_late_at } in due {
        if collapses && chains::is_superseded(conn, chain, delivery)? {
            chains::supersede(conn, delivery, now)?;
            // It is due now, so the lane will be asked for again at once.
            chains::let_next_go(conn, chain, now)?;
            continue;
        }
        match bodies.take(conn, event, deliveries.is_empty())? {
            Take::NoRoom => break,
            Take::Gone => {
                tracing::error!(delivery, event, "a waiting delivery has no event; it is dropped");
                sql::run(conn, "DELETE FROM pending WHERE delivery = ?1", [delivery])?;
                chains::let_next_go(conn, chain, now)?;
            }
            Take::Event(event) => {
                set_due(conn, delivery, LEASED)?;
                if let Some(made_at) = made_late_at {
                    late.push((DeliveryKey(delivery), timestamp(made_at)?));
                }
                deliveries.push(Claimed { delivery: DeliveryKey(delivery), attempts, tries, event });
            }
        }
    }
    let next_due = sql::value::<Option<i64>>(conn, NEXT_DUE, [request.webhook.0])?.flatten();
    Ok(LaneClaim { webhook: request.webhook, deliveries, late, next_due: unleased(next_due)? })
}

fn set_due(conn: &Connection, delivery: i64, due_at: i64) -> Result<(), Failure> {
    sql::run(conn, "UPDATE pending SET due_at = ?2 WHERE delivery = ?1", (delivery, due_at)).map(drop)
}

/// Ends leases; the deliveries are due at once.
pub(super) fn release(
    write: &mut Write<'_>,
    deliveries: &[DeliveryKey],
    now: Timestamp,
) -> Result<(), Failure> {
    for delivery in deliveries {
        write.ledger.unwritten.write_one(write.conn, delivery.0)?;
        sql::run(
            write.conn,
            "UPDATE pending SET due_at = ?2 WHERE delivery = ?1 AND due_at = ?3",
            (delivery.0, micros(now), LEASED),
        )?;
    }
    Ok(())
}

/// Every lane in which something waits unleased.
pub(super) fn waiting(conn: &Connection) -> Result<Vec<(WebhookKey, Timestamp)>, Failure> {
    let lanes = sql::many(conn, WAITING, [], |row| Ok((WebhookKey(row.get(0)?), unleased(row.get(1)?)?)))?;
    Ok(lanes.into_iter().filter_map(|(webhook, due_at)| Some((webhook, due_at?))).collect())
}
