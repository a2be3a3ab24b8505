//! Retrying and calling off single deliveries, as people ask for it.

use callboard_domain::audit::{By, Change};
use callboard_domain::clock::Timestamp;
use callboard_domain::delivery::{MAX_ATTEMPTS, State};
use callboard_domain::id::{DeliveryKey, TenantKey};
use callboard_domain::store::ByHand;
use rusqlite::Connection;

use super::deliveries::{belongs_to, standing};
use super::failure::Failure;
use super::ledger::Write;
use super::{attempts, audit, chains, sql};
use crate::rows::attempts::{DISCARDED, Ending, Waiting};
use crate::rows::deliveries::Standing;
use crate::rows::{LEASED, RETRIED, micros, state_code};

fn owned(conn: &Connection, tenant: TenantKey, delivery: DeliveryKey) -> Result<Option<Standing>, Failure> {
    match standing(conn, delivery.0)? {
        Some(standing) if belongs_to(conn, &standing, tenant)? => Ok(Some(standing)),
        _ => Ok(None),
    }
}

/// Makes one delivery due at once.
pub(super) fn retry(
    write: &mut Write<'_>,
    tenant: TenantKey,
    delivery: DeliveryKey,
    by: &By,
) -> Result<Option<ByHand>, Failure> {
    let Some(standing) = owned(write.conn, tenant, delivery)? else { return Ok(None) };
    if standing.leased() {
        return Ok(Some(ByHand::OnItsWay));
    }
    if standing.state == State::Pending {
        return Ok(Some(ByHand::NotInState(State::Pending)));
    }
    if standing.attempts >= MAX_ATTEMPTS {
        return Ok(Some(ByHand::Exhausted));
    }
    if standing.state == State::Waiting {
        sql::run(
            write.conn,
            "UPDATE pending SET due_at = ?2, tries = 0 WHERE delivery = ?1",
            (delivery.0, micros(by.at)),
        )?;
    } else {
        revive(write.conn, delivery.0, standing.attempts, by.at)?;
    }
    audit::write(write.conn, Some(tenant), by, &Change::delivery_retried(delivery, standing.state))?;
    Ok(Some(ByHand::Done(standing.webhook)))
}

/// Lets a delivery that is over wait again, due at once. Its last attempt
/// tells its event and webhook.
pub(super) fn revive(conn: &Connection, delivery: i64, attempts: u32, now: Timestamp) -> Result<(), Failure> {
    let last = attempts::attempt_key(delivery, attempts);
    let rows = "SELECT event, webhook FROM attempts WHERE key = ?1";
    let rows = sql::one(conn, rows, [last], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((event, webhook)) = rows else { return Ok(()) };
    // It joins its chain at its old place: the next to go, but not beside the
    // one that is going.
    let chain = chains::of_ended(conn, webhook, event)?;
    let due_at = chains::due_at(conn, chain, micros(now))?;
    sql::run(
        conn,
        "INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain)
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
        (delivery, event, webhook, due_at, attempts, chain),
    )?;
    leave_failed(conn, last)
}

/// Takes an attempt out of the index of what is failed now, if it is in there.
fn leave_failed(conn: &Connection, attempt: i64) -> Result<(), Failure> {
    let sql = "UPDATE attempts SET state = ?2 WHERE key = ?1 AND state = ?3";
    sql::run(conn, sql, (attempt, RETRIED, state_code(State::Failed))).map(drop)
}

/// Calls off a delivery that is failed.
pub(super) fn discard(
    conn: &Connection,
    delivery: i64,
    attempts: u32,
    now: Timestamp,
) -> Result<(), Failure> {
    let last = attempts::attempt_key(delivery, attempts);
    let rows = "SELECT event, webhook FROM attempts WHERE key = ?1";
    let rows = sql::one(conn, rows, [last], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some((event, webhook)) = rows else { return Ok(()) };
    leave_failed(conn, last)?;
    // It did not wait, so nothing waits behind it.
    let ended = Waiting { delivery, event, webhook, due_at: LEASED, attempts, tries: 0, chain: 0 };
    attempts::end_unattempted(conn, &ended, Ending::CalledOff(DISCARDED), now)
}

/// Calls one delivery off.
pub(super) fn cancel(
    write: &mut Write<'_>,
    tenant: TenantKey,
    delivery: DeliveryKey,
    by: &By,
) -> Result<Option<ByHand>, Failure> {
    let Some(standing) = owned(write.conn, tenant, delivery)? else { return Ok(None) };
    let Some(waiting) = attempts::waiting(write.conn, delivery.0)? else {
        return Ok(Some(ByHand::NotInState(standing.state)));
    };
    // One that is on its way may still be delivered, and then it has to be
    // before the next: its chain can't do without it now.
    if waiting.chain != 0 && waiting.due_at == LEASED {
        return Ok(Some(ByHand::OnItsWay));
    }
    attempts::end_unattempted(write.conn, &waiting, Ending::CalledOff("it was called off by hand"), by.at)?;
    chains::let_next_go(write.conn, waiting.chain, by.at)?;
    audit::write(write.conn, Some(tenant), by, &Change::delivery_cancelled(delivery, standing.state))?;
    Ok(Some(ByHand::Done(standing.webhook)))
}

/// The first `limit` deliveries that wait for a webhook.
pub(super) const ORPHANS: &str = "SELECT delivery, event, webhook, due_at, attempts, tries, chain FROM pending WHERE webhook = ?1 LIMIT ?2";

/// Calls off what waits for deleted webhooks, at most `limit` deliveries.
pub(super) fn cancel_orphans(
    write: &mut Write<'_>,
    webhooks: &[i64],
    limit: usize,
    now: Timestamp,
) -> Result<usize, Failure> {
    let mut rows = 0;
    for webhook in webhooks {
        let limit = crate::rows::count(limit - rows);
        let orphans = sql::many(write.conn, ORPHANS, (webhook, limit), |row| {
            Ok(Waiting {
                delivery: row.get(0)?,
                event: row.get(1)?,
                webhook: row.get(2)?,
                due_at: row.get(3)?,
                attempts: row.get(4)?,
                tries: row.get(5)?,
                chain: row.get(6)?,
            })
        })?;
        rows += orphans.len();
        for orphan in &orphans {
            // All of its chain goes with it.
            attempts::end_unattempted(write.conn, orphan, Ending::CalledOff("its webhook was deleted"), now)?;
        }
    }
    Ok(rows)
}

/// Finds deleted webhooks among the lanes. Asking the lanes, and not the
/// webhooks, finds also what was recorded while a webhook was being deleted.
pub(super) const ORPHANED_LANES: &str = concat!(
    super::claims::lanes!(),
    " SELECT lanes.webhook FROM lanes CROSS JOIN webhooks
      WHERE webhooks.key = lanes.webhook AND webhooks.deleted_at IS NOT NULL"
);

/// Deleted webhooks for which something waits.
pub(super) fn orphaned_lanes(conn: &Connection) -> Result<Vec<i64>, Failure> {
    sql::many(conn, ORPHANED_LANES, [], |row| Ok(row.get(0)?))
}
