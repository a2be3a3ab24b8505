//! The quantity that was last published of each ticket, so that a receiver can
//! be told by how much it changed.

use callboard_domain::event::Event;
use callboard_domain::id::TenantKey;
use rusqlite::Connection;

use super::failure::Failure;
use super::ledger::Write;
use super::sql;

/// How long a quantity is remembered that nothing was published for: longer
/// than the longest time between two notices of a ticket that is still sold.
const REMEMBERED: i64 = 366 * 24 * 60 * 60 * 1_000_000;

/// Quantities looked at in one step of upkeep.
const LOOKED_AT: i64 = 64;

/// Remembers the quantity that the event tells, if it does, and returns by how
/// much it differs from the one before.
pub(super) fn note(
    conn: &Connection,
    tenant: TenantKey,
    event: &Event,
    now: i64,
) -> Result<Option<i64>, Failure> {
    let Some(quantity) = event.quantity else { return Ok(None) };
    let ticket = &event.subject.id;
    let before = "SELECT quantity FROM quantities WHERE tenant = ?1 AND ticket = ?2";
    let before: Option<i64> = sql::value(conn, before, (tenant.0, ticket))?;
    sql::run(
        conn,
        "INSERT INTO quantities (tenant, ticket, quantity, published_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (tenant, ticket) DO UPDATE SET quantity = ?3, published_at = ?4",
        (tenant.0, ticket, quantity, now),
    )?;
    Ok(before.and_then(|before| quantity.checked_sub(before)))
}

/// Forgets quantities that nothing was published for in a year, a few each step.
pub(super) fn forget(write: &mut Write<'_>, now: i64) -> Result<(), Failure> {
    let next = "SELECT tenant, ticket, published_at FROM quantities
        WHERE (tenant, ticket) > (?1, ?2) ORDER BY tenant, ticket LIMIT ?3";
    let (tenant, ticket) = std::mem::take(&mut write.ledger.looked_at_quantity);
    let rows: Vec<(i64, String, i64)> = sql::many(write.conn, next, (tenant, &ticket, LOOKED_AT), |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    for (tenant, ticket, published_at) in &rows {
        if *published_at < now - REMEMBERED {
            let old = "DELETE FROM quantities WHERE tenant = ?1 AND ticket = ?2";
            sql::run(write.conn, old, (tenant, ticket))?;
        }
    }
    if let Some((tenant, ticket, _)) = rows.into_iter().next_back() {
        write.ledger.looked_at_quantity = (tenant, ticket);
    }
    Ok(())
}
